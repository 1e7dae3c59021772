/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/nft.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/nft_library.h"
#include "sys/nft_raw.h"
#include "sys/rtnl_sock.h"
#include "wire/nft_encode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#define TIMEOUT_S 5

struct nft {
	struct rtnl raw;
	const struct nft_library *library; /* NULL: not needed yet */
	struct nft_ctx *ctx; /* likewise */
	int netns_fd; /* for it */
	uint32_t generation; /* as we and nobody else made it; 0: not known */
};

static bool is_netfilter_socket(int fd)
{
	int domain = 0, bus = 0;
	socklen_t size = sizeof(int);

	return getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_NETLINK &&
	       getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &bus, &size) == 0 &&
	       bus == NETLINK_NETFILTER;
}

/*
 * libnftables 1.0.6 opens its socket without O_CLOEXEC: every child would
 * inherit a socket of this namespace, a room's process one of the host's.  Nor
 * does it limit its waiting.  The socket is the lowest number that was free.
 */
static int tame_socket(int lowest, struct err *e)
{
	const struct timeval limit = { .tv_sec = TIMEOUT_S };

	for (int fd = lowest; fd < lowest + 8; fd++) {
		if (!is_netfilter_socket(fd))
			continue;
		if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
		    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
			return err_errno(e, errno, "nftables socket");
		return 0;
	}
	return err_set(e, EBADF, "nftables: no socket");
}

static int lowest_free_fd(void)
{
	int fd CLEANUP_FD = open("/", O_PATH | O_CLOEXEC);

	return fd;
}

static int make_context(struct nft *n, struct err *e)
{
	int lowest = lowest_free_fd();
	int r;

	if (lowest < 0)
		return err_errno(e, errno, "nftables");
	n->ctx = n->library->ctx_new(NFT_CTX_DEFAULT);
	if (!n->ctx)
		return err_set(e, ENOMEM, "nftables: no context");
	r = tame_socket(lowest, e);
	if (r == 0 && (n->library->buffer_output(n->ctx) || n->library->buffer_error(n->ctx)))
		r = err_set(e, ENOMEM, "nftables: no buffers");
	if (r < 0) {
		n->library->ctx_free(n->ctx);
		n->ctx = NULL;
	}
	return r;
}

/* What libnftables reads and sets up before it is asked anything costs as much as a table of ours. */
static int need_context(struct nft *n, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int r;

	if (n->ctx)
		return 0;
	r = nft_library_load(&n->library, e);
	if (r < 0)
		return r;
	if (n->netns_fd >= 0) {
		r = netns_enter(n->netns_fd, &visit, e);
		if (r < 0)
			return r;
	}
	return make_context(n, e);
}

static int open_at(int netns_fd, uint32_t ports, struct nft **ret, struct err *e)
{
	struct nft *n CLEANUP_NFT = calloc(1, sizeof(*n));
	int r;

	if (!n)
		abort();
	n->netns_fd = -1;
	r = netlink_open_at(netns_fd, NETLINK_NETFILTER, ports, &n->raw.sock, e);
	if (r < 0)
		return r;
	if (netns_fd >= 0) {
		n->netns_fd = fcntl(netns_fd, F_DUPFD_CLOEXEC, 0);
		if (n->netns_fd < 0)
			return err_errno(e, errno, "nftables");
		r = nft_library_check(e);
		if (r < 0)
			return r;
	} else {
		/* Who has no right to come back here later needs it now. */
		r = need_context(n, e);
		if (r < 0)
			return r;
	}
	*ret = n;
	n = NULL;
	return 0;
}

int nft_open(int netns_fd, struct nft **ret, struct err *e)
{
	return open_at(netns_fd, 0, ret, e);
}

int nft_open_as_gate(int netns_fd, struct nft **ret, struct err *e)
{
	int r = open_at(netns_fd, NFT_GATE_PORTS, ret, e);

	if (r == 0)
		(*ret)->generation = nft_raw_generation(&(*ret)->raw);
	return r;
}

bool nft_is_alone(struct nft *n)
{
	return n->generation && nft_raw_generation(&n->raw) == n->generation;
}

void nft_close(struct nft **n)
{
	if (!*n)
		return;
	if ((*n)->ctx)
		(*n)->library->ctx_free((*n)->ctx);
	if ((*n)->raw.sock)
		mnl_socket_close((*n)->raw.sock);
	fd_close(&(*n)->netns_fd);
	free(*n);
	*n = NULL;
}

/* libnftables tells why only in words. */
static int errno_of(const char *words)
{
	static const int known[] = { ENOENT,     EPERM,  EACCES,  EEXIST, EBUSY,
				     EOPNOTSUPP, ENOMEM, ENOBUFS, EAGAIN, ETIMEDOUT };

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strstr(words, strerror(known[i])))
			return known[i];
	return EINVAL;
}

/*
 * "Error: Could not process rule: No such file or directory" and lines that
 * point at the place; the first line and the one it points into say it.
 */
static int error_of(const char *words, struct err *e)
{
	int errnum = errno_of(words);
	struct text line CLEANUP_TEXT = { 0 };

	if (str_starts(words, "internal:0:0-0: "))
		words += strlen("internal:0:0-0: ");
	for (; *words && line.len < 600; words++) {
		if (*words == '\n') {
			words += strspn(words, "\n\t ^~");
			text_add(&line, *words ? "; " : "");
		}
		if (!*words)
			break;
		text_add_len(&line, words, 1);
	}
	return err_set(e, errnum, "nft: %s", line.len ? text_str(&line) : strerror(errnum));
}

static int run_words(struct nft *n, const char *commands, struct err *e)
{
	int r = need_context(n, e);
	const char *words;

	if (r < 0)
		return r;
	r = n->library->run(n->ctx, commands);
	words = n->library->error(n->ctx);
	/* Reading a buffer empties it: what a success says must not stay for the next call. */
	n->library->output(n->ctx);
	return r ? error_of(words, e) : 0;
}

/* What cannot be encoded or is refused is libnftables' to do, or to say why in words. */
int nft_run(struct nft *n, const char *commands, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft_batch batch;
	int r = 0;

	if (!nft_encode(&a, commands, &batch) || nft_raw_run(&n->raw, &batch, e) < 0)
		r = run_words(n, commands, e);
	if (r == 0 && n->generation)
		n->generation++;
	return r;
}

int nft_remove_part(struct nft *n, const char *table, const char *owner, const char *const *chains,
		    size_t n_chains, struct err *e)
{
	n->generation = 0;
	return nft_raw_remove_part(&n->raw, table, owner, chains, n_chains, e);
}

int nft_remove_commented(struct nft *n, const struct nft_chain *c, const char *comment,
			 struct err *e)
{
	n->generation = 0;
	return nft_raw_remove_commented(&n->raw, c, comment, e);
}

static int run_for_output(struct nft *n, struct arena *a, unsigned int flags, const char *command,
			  const char **ret, struct err *e)
{
	const char *output, *words;
	unsigned int before;
	int r = need_context(n, e);

	if (r < 0)
		return r;
	before = n->library->get_flags(n->ctx);
	n->library->set_flags(n->ctx, flags);
	r = n->library->run(n->ctx, command);
	output = n->library->output(n->ctx);
	words = n->library->error(n->ctx);
	n->library->set_flags(n->ctx, before);
	if (r)
		return error_of(words, e);
	*ret = arena_strdup(a, output);
	return 0;
}

static int list_of(struct nft *n, struct arena *a, const char *family, const char *name,
		   const char **ret, struct err *e)
{
	return run_for_output(n, a, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_NUMERIC_ALL,
			      arena_printf(a, "list table %s %s", family, name), ret, e);
}

int nft_list_table(struct nft *n, struct arena *a, const char *name, const char **ret,
		   struct err *e)
{
	return list_of(n, a, "inet", name, ret, e);
}

/* One after the other: of several commands libnftables 1.0.6 reads what the last one needs. */
int nft_list_tables(struct nft *n, struct arena *a, const char *name, const char **ret,
		    struct err *e)
{
	const char *inet, *ip, *ip6;
	int r = list_of(n, a, "inet", name, &inet, e);

	if (r == 0)
		r = list_of(n, a, "ip", name, &ip, e);
	if (r == 0)
		r = list_of(n, a, "ip6", name, &ip6, e);
	if (r == 0)
		*ret = arena_printf(a, "%s%s%s", inet, ip, ip6);
	return r;
}

int nft_list_json(struct nft *n, struct arena *a, const char *what, const char **ret, struct err *e)
{
	return run_for_output(n, a, NFT_CTX_OUTPUT_JSON, arena_printf(a, "list %s", what), ret, e);
}

int nft_list_root(struct nft *n, const char *what, json_t **ret, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	json_error_t why;
	const char *text;
	json_t *root;
	int r = nft_list_json(n, &a, what, &text, e);

	if (r < 0)
		return r;
	root = json_loads(text, 0, &why);
	if (!root)
		return err_set(e, EPROTO, "nft list %s: %s", what, why.text);
	*ret = root;
	return 0;
}

int nft_list_handles(struct nft *n, struct arena *a, const char *family, const char *table,
		     const char **ret, struct err *e)
{
	return run_for_output(n, a, NFT_CTX_OUTPUT_STATELESS | NFT_CTX_OUTPUT_HANDLE,
			      arena_printf(a, "list table %s %s", family, table), ret, e);
}

bool nft_has_chain(struct nft *n, const char *table, const char *chain)
{
	struct err e;

	return nft_raw_has_chain(&n->raw, table, chain, &e) == 0;
}

bool nft_set_is_empty(struct nft *n, const char *table, const char *set)
{
	bool any = false;
	struct err e;
	int r = nft_raw_any_element(&n->raw, table, set, &any, &e);

	return r == -ENOENT || (r == 0 && !any);
}

int nft_comments(struct nft *n, struct arena *a, const char *table, const char *chain,
		 const char *const **ret, size_t *ret_n, struct err *e)
{
	return nft_raw_comments(&n->raw, a, table, chain, ret, ret_n, e);
}

int nft_chains(struct nft *n, struct arena *a, const char *but, struct nft_chain **ret,
	       size_t *ret_n, struct err *e)
{
	return nft_raw_chains(&n->raw, a, but, ret, ret_n, e);
}
