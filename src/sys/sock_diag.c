/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/sock_diag.h"

#include "sys/proc.h"
#include "sys/rtnl_sock.h"
#include "wire/sock_diag.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TRIES         10
#define ANCESTORS_MAX 64

/* --- sockets --------------------------------------------------------------- */

struct list {
	struct arena *a;
	uint8_t proto;
	bool on_the_way;
	struct socket_seen *items;
	size_t n, cap;
};

static int take(const struct nlmsghdr *nlh, void *ctx)
{
	struct list *l = ctx;
	struct socket_seen s;
	int r = sock_diag_decode(nlh, l->proto, &s);

	if (r == 1 && s.local_port)
		*arena_push(l->a, l->items, l->n, l->cap) = s;
	return r < 0 ? r : 0;
}

/* A dump that the kernel interrupts is taken again from its start. */
static int dump(struct rtnl *rt, struct list *l, sa_family_t family, uint8_t proto, struct err *e)
{
	struct sock_diag_message m;
	size_t start = l->n;
	int r = -EAGAIN;

	l->proto = proto;
	for (int i = 0; r == -EAGAIN && i < TRIES; i++) {
		l->n = start;
		r = rtnl_talk(rt, sock_diag_encode_dump(&m, family, proto, l->on_the_way),
			      NLM_F_DUMP, take, l, e);
	}
	if (r == -ENOENT) /* a kernel without IPv6, or without the module */
		return 0;
	return err_wrap(e, r, "list sockets");
}

/* --- owners ------------------------------------------------------------------ */

static int by_inode(const void *pa, const void *pb)
{
	const struct socket_seen *a = *(struct socket_seen *const *)pa;
	const struct socket_seen *b = *(struct socket_seen *const *)pb;

	return a->inode < b->inode ? -1 : a->inode > b->inode;
}

struct owners {
	struct socket_seen **sorted;
	size_t n;
};

static struct socket_seen *find_inode(const struct owners *o, uint32_t inode)
{
	const struct socket_seen key = { .inode = inode }, *p = &key;
	struct socket_seen **found =
		bsearch(&p, o->sorted, o->n, sizeof(struct socket_seen *), by_inode);

	return found ? *found : NULL;
}

static void look_at_process(const struct owners *o, int pid, bool ancestor)
{
	char path[64], to[64], name[PROCESS_NAME_SIZE] = "";
	const struct dirent *entry;
	DIR *dir;

	snprintf(path, sizeof(path), "/proc/%d/fd", pid);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, to, sizeof(to) - 1);
		struct socket_seen *s;
		unsigned long inode;

		if (n <= 0)
			continue;
		to[n] = 0;
		if (sscanf(to, "socket:[%lu]", &inode) != 1)
			continue;
		s = find_inode(o, (uint32_t)inode);
		if (!s || s->pid)
			continue;
		if (!*name)
			proc_name(pid, name, sizeof(name));
		s->pid = pid;
		memcpy(s->process, name, sizeof(name));
		s->mine = ancestor;
	}
	if (dir)
		closedir(dir);
}

static int parent_of(int pid)
{
	char path[64], line[512];
	const char *end = NULL;
	int parent = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fgets(line, sizeof(line), f))
		end = strrchr(line, ')');
	fclose(f);
	if (!end || sscanf(end + 1, " %*c %d", &parent) != 1)
		return 0;
	return parent;
}

/* Our own ancestors first: a session's connection is theirs. */
static void find_owners(const struct owners *o)
{
	const struct dirent *entry;
	int pid = getppid();
	DIR *proc;

	for (int i = 0; pid > 1 && i < ANCESTORS_MAX; i++) {
		look_at_process(o, pid, true);
		pid = parent_of(pid);
	}
	proc = opendir("/proc");
	while (proc && (entry = readdir(proc))) {
		uint32_t number;

		if (str_to_u32(entry->d_name, INT32_MAX, &number))
			look_at_process(o, (int)number, false);
	}
	if (proc)
		closedir(proc);
}

static int dump_all(struct list *l, int netns_fd, const uint8_t *protos, size_t n_protos,
		    struct err *e)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	struct rtnl rt = { 0 };
	int r = netlink_open(netns_fd, NETLINK_SOCK_DIAG, &rt.sock, e);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < ARRAY_LEN(families); i++)
		for (size_t j = 0; r == 0 && j < n_protos; j++)
			r = dump(&rt, l, families[i], protos[j], e);
	mnl_socket_close(rt.sock);
	return r;
}

int sock_diag_list_of(struct arena *a, uint8_t proto, struct socket_seen **ret, size_t *ret_n,
		      struct err *e)
{
	struct list l = { .a = a };
	int r = dump_all(&l, -1, &proto, 1, e);

	if (r < 0)
		return r;
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}

int sock_diag_list_tcp(struct arena *a, int netns_fd, struct socket_seen **ret, size_t *ret_n,
		       struct err *e)
{
	static const uint8_t tcp = IPPROTO_TCP;
	struct list l = { .a = a, .on_the_way = true };
	int r = dump_all(&l, netns_fd, &tcp, 1, e);

	if (r < 0)
		return r;
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}

int sock_diag_list(struct arena *a, int netns_fd, struct socket_seen **ret, size_t *ret_n,
		   struct err *e)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct list l = { .a = a };
	struct owners o;
	int r = dump_all(&l, netns_fd, protos, ARRAY_LEN(protos), e);

	if (r < 0)
		return r;
	o.n = l.n;
	o.sorted = arena_alloc(a, (l.n + 1) * sizeof(struct socket_seen *));
	for (size_t i = 0; i < l.n; i++)
		o.sorted[i] = &l.items[i];
	qsort(o.sorted, o.n, sizeof(struct socket_seen *), by_inode);
	find_owners(&o);
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}

static int take_counts(const struct nlmsghdr *nlh, void *ctx)
{
	int r = sock_diag_decode_counts(nlh, ctx);

	return r < 0 ? r : r ? 0 : -ENODATA;
}

int sock_diag_counts(const struct socket_seen *s, struct tcp_counts *ret, struct err *e)
{
	struct sock_diag_message m;
	struct tcp_counts counts = { 0 };
	struct rtnl rt = { 0 };
	int r = netlink_open(-1, NETLINK_SOCK_DIAG, &rt.sock, e);

	if (r < 0)
		return r;
	r = rtnl_talk(&rt, sock_diag_encode_one(&m, s), NLM_F_ACK, take_counts, &counts, e);
	mnl_socket_close(rt.sock);
	if (r == 0)
		*ret = counts;
	return r;
}
