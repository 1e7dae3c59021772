/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes a gate away by what the kernel tells of it, whoever made it: after a
 * clean end, after `kill -9`, half made.  First what uses it ends, then the way
 * in goes, then the table that guards, then the sysctls get their old values.
 * Nothing is touched that does not carry our name.
 */
#include "daemon/supervisor.h"

#include "base/text.h"
#include "plan/diff.h"
#include "sys/conntrack.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/netns.h"
#include "sys/sysctl.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOCK_LIMIT_MS 20000
#define STEP_MS       10
#define GRACE_MS      2000

static void pause_ms(int ms)
{
	struct timespec t = { .tv_nsec = (long)ms * 1000000 };

	nanosleep(&t, NULL);
}

int host_lock(int *ret_fd, struct err *e)
{
	int fd CLEANUP_FD = -1;
	int r = file_mkdirs(NETNS_DIR, 0755, e);

	if (r < 0)
		return r;
	fd = open(NETNS_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_errno(e, errno, "%s", NETNS_DIR);
	for (int waited = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; waited += STEP_MS) {
		if (errno != EWOULDBLOCK || waited >= LOCK_LIMIT_MS)
			return err_errno(e, errno,
					 "wait for another gate's start or end (lock on %s)",
					 NETNS_DIR);
		pause_ms(STEP_MS);
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

int end_processes(int netns_fd, int grace_ms, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };

	for (int waited = 0;; waited += STEP_MS) {
		int sig = waited == 0 ? SIGTERM : waited < grace_ms ? 0 : SIGKILL;
		size_t n = 0;
		int *pids;
		int r = netns_pids(&a, netns_fd, &pids, &n, e);

		if (r < 0 || !n)
			return r;
		if (waited > grace_ms + GRACE_MS)
			return err_set(e, EBUSY, "process %d does not end", pids[0]);
		for (size_t i = 0; i < n; i++)
			netns_signal(netns_fd, pids[i], sig);
		pause_ms(STEP_MS);
	}
}

struct remains {
	const char *gate;
	const char *link;
	struct rtnl *rtnl;
	struct nft *nft;
	struct snapshot host;
	const struct supervisor *keeps; /* whose namespaces stay; NULL: nobody's */
	bool run; /* made by `run`: what runs in its rooms ends with it */
	bool found;
};

/* NAME.gate, NAME and NAME.ROOM */
static bool has_our_name(const char *gate, const char *name)
{
	size_t len = strlen(gate);

	return strncmp(name, gate, len) == 0 && (!name[len] || name[len] == '.');
}

/* Does its loopback carry our alias? */
static bool is_our_netns(struct arena *a, const char *gate, int fd, bool *ret_run)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct snapshot net = { 0 };
	const char *alias = arena_printf(a, "sallyport %s", gate);
	const struct link *lo;
	struct err e;

	if (rtnl_open(fd, &rtnl, &e) < 0 || rtnl_snapshot_tables(rtnl, a, 0, 0, &net, &e) < 0)
		return false;
	lo = snapshot_link_by_name(&net, "lo");
	if (!lo || !str_starts(lo->alias, alias))
		return false;
	*ret_run = str_eq(lo->alias + strlen(alias), " run");
	return *ret_run || !lo->alias[strlen(alias)];
}

static bool is_kept(const struct remains *x, struct arena *a, const char *netns)
{
	const struct gate *g = x->keeps ? &x->keeps->gate : NULL;
	bool kept = g && str_eq(netns, plan_gate_netns(a, g));

	for (size_t i = 0; g && i < g->n_rooms; i++)
		kept |= str_eq(netns, plan_room_netns(a, g, i));
	return kept;
}

static int remove_netns(struct remains *x, struct arena *a, struct err *e)
{
	const char **names;
	size_t n = 0;
	int r = netns_list(a, &names, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		bool is_gate = str_eq(names[i], arena_printf(a, "%s.gate", x->gate));
		int fd CLEANUP_FD = -1;
		bool run = false;
		struct err ignored;

		r = has_our_name(x->gate, names[i]) && !is_kept(x, a, names[i])
			    ? netns_open(names[i], &fd, &ignored)
			    : -EXDEV;
		if (r == -ENOENT && netns_is_leftover(names[i])) {
			x->found = true;
			r = netns_delete(names[i], e);
			continue;
		}
		if (r < 0 || !is_our_netns(a, x->gate, fd, &run)) {
			r = 0;
			continue;
		}
		x->found = true;
		if (is_gate || run)
			r = end_processes(fd, GRACE_MS, e);
		if (r == 0)
			r = netns_delete(names[i], e);
	}
	return r;
}

/*
 * The gate's link and its rooms' short ones.  One that was made a moment before
 * its supervisor was killed has no alias yet, but the slot in its address.
 */
static bool is_gates_link(const struct remains *x, const struct link *l)
{
	const struct link *main = snapshot_link_by_name(&x->host, x->link);

	return plan_link_is_ours(l) && (str_eq(l->name, x->link) || plan_link_is_of(l, x->gate) ||
					(main && plan_link_is_ours(main) &&
					 memcmp(l->mac, main->mac, sizeof(l->mac)) == 0));
}

/* Another gate that still stands, by its link; NULL if this was the last. */
static const char *other_gate(struct remains *x, struct arena *a)
{
	for (size_t i = 0; i < x->host.n_links; i++) {
		const struct link *l = &x->host.links[i];
		const char *name = l->alias + strlen("sallyport ");

		if (str_starts(l->alias, "sallyport ") && !is_gates_link(x, l) &&
		    str_starts(l->name, "sp-"))
			return arena_strndup(a, name, strcspn(name, " "));
	}
	return NULL;
}

/* The rules on the host are all gates': the last one takes them, and what their table still holds. */
static int remove_policy(struct remains *x, struct arena *a, struct err *e)
{
	struct want nothing = { .place = PLACE_HOST,
				.protocol = RTPROT_KERNEL,
				.table_first = SLOT_TABLE,
				.table_last = SLOT_TABLE + SLOT_COUNT - 1 };
	struct snapshot now = { 0 };
	struct diff diff = { 0 };
	int r;

	if (other_gate(x, a))
		return 0;
	r = rtnl_snapshot_tables(x->rtnl, a, nothing.table_first, nothing.table_last, &now, e);
	if (r < 0)
		return r;
	diff_make(a, &now, &nothing, &diff);
	x->found |= diff.n_ops > 0;
	return rtnl_apply(x->rtnl, &nothing, &diff, NULL, NULL, e);
}

static bool is_among(const struct plan_sysctl *all, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(all[i].path, path))
			return true;
	return false;
}

/* The other gate needs the sysctls as they are now: it inherits what they were. */
static int bequeath(struct remains *x, struct arena *a, const char *heir,
		    const struct plan_sysctl *before, size_t n, struct err *e)
{
	struct text t CLEANUP_TEXT = { 0 };
	struct plan_sysctl *has;
	size_t n_has, n_new = 0;
	int r = before_read(x->nft, a, heir, &has, &n_has, e);

	if (r < 0)
		return r;
	text_addf(&t, "table inet " PLAN_NFT_HOST " {\n\tchain before_%s {\n", heir);
	for (size_t i = 0; i < n; i++) {
		if (is_among(has, n_has, before[i].path))
			continue;
		text_addf(&t, "\t\tcontinue comment \"%s %s\"\n", before[i].path, before[i].value);
		n_new++;
	}
	text_add(&t, "\t}\n}\n");
	return n_new ? nft_run(x->nft, text_str(&t), e) : 0;
}

static const char *value_before(const struct plan_sysctl *before, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(before[i].path, path))
			return before[i].value;
	return NULL;
}

static int put_back(const struct plan_sysctl *b, struct err *e)
{
	int r = sysctl_set(b->path, b->value, NULL, e);

	return r == -ENOENT ? 0 : r; /* the interface has gone */
}

/*
 * IPv6's "all" first: it sets every interface, and those come after.  IPv4's
 * stay on if ip_forward was switched on meanwhile: somebody else forwards.
 */
static int restore(struct arena *a, const struct plan_sysctl *before, size_t n, struct err *e)
{
	const char *forward = value_before(before, n, "ipv4/ip_forward");
	const char *now = "0";
	int r = 0;

	if (sysctl_get(a, "ipv4/ip_forward", &now, e) < 0)
		now = "0";
	for (size_t i = 0; r == 0 && i < n; i++)
		if (str_eq(before[i].path, "ipv6/conf/all/forwarding"))
			r = put_back(&before[i], e);
	for (size_t i = 0; r == 0 && i < n; i++) {
		bool ipv4 = str_starts(before[i].path, "ipv4/");

		if (str_eq(before[i].path, "ipv4/ip_forward") ||
		    (ipv4 && forward && str_eq(forward, "0") && str_eq(now, "1")))
			continue;
		r = put_back(&before[i], e);
	}
	return r;
}

/* Of the table that all gates share. */
struct part {
	const char **chains; /* this gate's */
	size_t n, cap;
	bool others; /* have chains there, too */
	bool older; /* there are chains of an older version's frame */
};

static int part_of_table(struct remains *x, struct arena *a, struct part *ret, struct err *e)
{
	struct nft_chain *chains;
	size_t n;
	int r = nft_chains(x->nft, a, "", &chains, &n, e);

	*ret = (struct part){ 0 };
	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *owner = plan_nft_chain_gate(chains[i].name);

		if (!str_eq(chains[i].family, "inet") || !str_eq(chains[i].table, PLAN_NFT_HOST))
			continue;
		ret->older |= str_eq(chains[i].name, PLAN_NFT_OLDER);
		if (!owner)
			continue;
		if (str_eq(owner, x->gate))
			*arena_push(a, ret->chains, ret->n, ret->cap) = chains[i].name;
		else
			ret->others = true;
	}
	return r;
}

/* The frame of an older version: the last gate of that takes it, whoever it was. */
static int remove_older(struct remains *x, struct arena *a, struct nft *nft, struct err *e)
{
	const char *listed, *stale;
	int r = nft_list_table(nft, a, PLAN_NFT_HOST, &listed, e);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	stale = plan_nft_stale(a, listed, x->gate);
	return *stale ? nft_run(nft, stale, e) : 0;
}

/*
 * What is this gate's alone goes as a gate's own doing, which wakes no other one.  It may
 * have elements and no chains, if an older version took it away.
 */
static int remove_own(struct remains *x, struct arena *a, const struct part *part, struct err *e)
{
	struct nft *nft CLEANUP_NFT = NULL;
	int here CLEANUP_FD = -1;
	int r = netns_open_self(&here, e);

	if (r == 0)
		r = nft_open_as_gate(here, &nft, e);
	if (r == 0)
		r = nft_remove_part(nft, PLAN_NFT_HOST, x->gate, part->chains, part->n, e);
	if (r < 0)
		return r;
	x->found |= r > 0;
	return part->older ? remove_older(x, a, nft, e) : 0;
}

/* The last gate takes the table, whatever is in it: who comes just then has to hear of that. */
static int remove_part(struct remains *x, struct arena *a, const struct part *part, struct err *e)
{
	if (part->others)
		return remove_own(x, a, part, e);
	if (!part->n)
		return 0;
	x->found = true;
	return nft_run(x->nft, "delete table inet " PLAN_NFT_HOST "\n", e);
}

static int remove_from_table(struct remains *x, struct arena *a, struct err *e)
{
	const char *heir = other_gate(x, a);
	struct plan_sysctl *before;
	struct part part;
	size_t n;
	int r = part_of_table(x, a, &part, e);

	if (r == 0)
		r = before_read(x->nft, a, x->gate, &before, &n, e);
	if (r == 0)
		r = heir ? bequeath(x, a, heir, before, n, e) : restore(a, before, n, e);
	return r < 0 ? r : remove_part(x, a, &part, e);
}

static int remove_links(struct remains *x, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->host.n_links; i++) {
		if (!is_gates_link(x, &x->host.links[i]))
			continue;
		x->found = true;
		r = rtnl_link_delete(x->rtnl, x->host.links[i].name, e);
	}
	return r;
}

/* Who goes on asking by UDP is answered by whoever publishes that port next. */
static int remove_flows(const struct slot *slot, struct err *e)
{
	struct prefix nets[] = { slot->net4, slot->net6 };
	struct conntrack_lost lost = { .from = nets, .n_from = ARRAY_LEN(nets) };

	return conntrack_forget(-1, &lost, e);
}

static int remove_all(struct remains *x, struct arena *a, struct err *e)
{
	int r = rtnl_snapshot_tables(x->rtnl, a, 0, 0, &x->host, e);
	bool has_slot;
	struct slot slot;

	if (r < 0)
		return r;
	has_slot = slot_find(&x->host, x->link, &slot);
	r = remove_netns(x, a, e);
	if (r == 0)
		r = remove_policy(x, a, e);
	if (r == 0)
		r = remove_links(x, e);
	if (r == 0)
		r = firewall_undo(x->nft, x->gate, e);
	if (r == 0)
		r = remove_from_table(x, a, e);
	if (r == 0 && has_slot)
		r = remove_flows(&slot, e);
	if (r == 0)
		r = file_remove_tree(arena_printf(a, RUN_DIR "/%s", x->gate), e);
	if (r < 0)
		return r;
	/* Only when they are empty: the last gate's, and where wireguard-go's socket stood. */
	(void)rmdir(RUN_DIR);
	(void)rmdir("/run/wireguard");
	return r;
}

int teardown_rooms(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct remains x = { .gate = s->gate.name, .keeps = s };

	return remove_netns(&x, &a, e);
}

int teardown(const char *gate, bool *ret_found, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct nft *nft CLEANUP_NFT = NULL;
	int lock CLEANUP_FD = -1, here CLEANUP_FD = -1;
	struct remains x = { .gate = gate, .link = arena_printf(&a, "sp-%s", gate) };
	int r = host_lock(&lock, e);

	if (r == 0)
		r = rtnl_open(-1, &rtnl, e);
	if (r == 0)
		r = netns_open_self(&here, e);
	if (r == 0)
		r = nft_open(here, &nft, e);
	if (r < 0)
		return r;
	x.rtnl = rtnl;
	x.nft = nft;
	r = remove_all(&x, &a, e);
	*ret_found = x.found;
	return r;
}
