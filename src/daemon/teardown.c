/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Takes a gate away by what the kernel tells of it, whoever made it: after a
 * clean end, after `kill -9`, half made.  First what uses it ends, then the way
 * in goes, then the table that guards, then the sysctls get their old values.
 * Nothing is touched that does not carry our name.  What cannot be taken away is told,
 * and keeps nothing else from going.
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
#include <stdarg.h>
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
			return err_set(e, EBUSY,
				       "process %d does not end, not even by SIGKILL (try: cat "
				       "/proc/%d/stack, which says where it hangs)",
				       pids[0], pids[0]);
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
	struct text *left; /* what stays, a line each */
	size_t n_left;
	const struct supervisor *keeps; /* whose namespaces stay; NULL: nobody's */
	bool run; /* made by `run`: what runs in its rooms ends with it */
	bool found;
};

/* One thing stays: @why, and what to try against that. */
__attribute__((format(printf, 3, 4))) static void leave(struct remains *x, const struct err *why,
							const char *fmt, ...)
{
	va_list ap;

	text_addf(x->left, "%s%s (try: ", x->n_left++ ? "\n" : "", why->text);
	va_start(ap, fmt);
	text_addv(x->left, fmt, ap);
	va_end(ap);
	text_add(x->left, ")");
}

/* The same of a file: most of all, one of a file system that has become read-only. */
static void leave_file(struct remains *x, int r, const char *path, const char *cure,
		       const struct err *why)
{
	if (r == -EROFS)
		leave(x, why, "mount -o remount,rw \"$(findmnt -n -o TARGET -T %s)\"", path);
	else
		leave(x, why, "%s %s", cure, path);
}

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

static void delete_name(struct remains *x, struct arena *a, const char *name)
{
	struct err e;
	int r = netns_delete(name, &e);

	if (r < 0)
		leave_file(x, r, arena_printf(a, NETNS_DIR "/%s", name), "umount -l", &e);
}

/* While somebody lives in it, its name is how he is found next time. */
static void remove_netns(struct remains *x, struct arena *a, const char *name)
{
	bool is_gate = str_eq(name, arena_printf(a, "%s.gate", x->gate));
	int fd CLEANUP_FD = -1;
	bool run = false;
	struct err e;
	int r = netns_open(name, &fd, &e);

	if (r == -ENOENT ? !netns_is_leftover(name) : r < 0 || !is_our_netns(a, x->gate, fd, &run))
		return;
	x->found = true;
	r = r == 0 && (is_gate || run) ? end_processes(fd, GRACE_MS, &e) : 0;
	if (r < 0)
		leave(x, &e, "ip netns pids %s", name);
	else
		delete_name(x, a, name);
}

static void remove_all_netns(struct remains *x, struct arena *a)
{
	const char **names;
	size_t n = 0;
	struct err e;
	int r = netns_list(a, &names, &n, &e);

	if (r < 0)
		leave(x, &e, "ls -l " NETNS_DIR);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (has_our_name(x->gate, names[i]) && !is_kept(x, a, names[i]))
			remove_netns(x, a, names[i]);
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

static void leave_step(struct remains *x, const struct op *op, const struct err *why)
{
	const struct rule *rule = op->kind == OP_RULE_DEL ? op->rule : NULL;
	const struct route *route = op->kind == OP_ROUTE_DEL ? op->route : NULL;

	if (rule)
		leave(x, why, "ip -%c rule del pref %u table %u",
		      rule->family == AF_INET6 ? '6' : '4', rule->priority, rule->table);
	else if (route)
		leave(x, why, "ip -%c route flush table %u", route->family == AF_INET6 ? '6' : '4',
		      route->table);
	else
		leave(x, why, "ip rule; ip route show table all");
}

/* The rules on the host are all gates': the last one takes them, and what their table still holds. */
static void remove_policy(struct remains *x, struct arena *a)
{
	struct want nothing = { .place = PLACE_HOST,
				.protocol = RTPROT_KERNEL,
				.table_first = SLOT_TABLE,
				.table_last = SLOT_TABLE + SLOT_COUNT - 1 };
	struct snapshot now = { 0 };
	struct diff diff = { 0 };
	struct err e;

	if (other_gate(x, a))
		return;
	if (rtnl_snapshot_tables(x->rtnl, a, nothing.table_first, nothing.table_last, &now, &e) <
	    0) {
		leave(x, &e, "ip rule; ip route show table all");
		return;
	}
	diff_make(a, &now, &nothing, &diff);
	x->found |= diff.n_ops > 0;
	for (size_t i = 0; i < diff.n_ops; i++) {
		const struct diff step = { .ops = &diff.ops[i], .n_ops = 1 };

		if (rtnl_apply(x->rtnl, &nothing, &step, NULL, NULL, &e) < 0)
			leave_step(x, &diff.ops[i], &e);
	}
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

/* What was before us, and which of it is not so again. */
struct owed {
	struct plan_sysctl *items;
	size_t n, cap;
};

static void put_back(struct remains *x, struct arena *a, const struct plan_sysctl *b,
		     struct owed *owed)
{
	struct err e;
	int r = sysctl_set(b->path, b->value, NULL, &e);

	if (r == 0 || r == -ENOENT) /* the interface has gone */
		return;
	*arena_push(a, owed->items, owed->n, owed->cap) = *b;
	leave(x, &e, "sysctl -w net/%s=%s", b->path, b->value);
}

/*
 * IPv6's "all" first: it sets every interface, and those come after.  IPv4's
 * stay on if ip_forward was switched on meanwhile: somebody else forwards.
 */
static void restore(struct remains *x, struct arena *a, const struct plan_sysctl *before, size_t n,
		    struct owed *owed)
{
	const char *forward = value_before(before, n, "ipv4/ip_forward");
	const char *now = "0";
	struct err ignored;

	if (sysctl_get(a, "ipv4/ip_forward", &now, &ignored) < 0)
		now = "0";
	for (size_t i = 0; i < n; i++)
		if (str_eq(before[i].path, PLAN_FORWARDING6_ALL))
			put_back(x, a, &before[i], owed);
	for (size_t i = 0; i < n; i++) {
		bool ipv4 = str_starts(before[i].path, "ipv4/");

		if (str_eq(before[i].path, PLAN_FORWARDING6_ALL) ||
		    str_eq(before[i].path, "ipv4/ip_forward") ||
		    (ipv4 && forward && str_eq(forward, "0") && str_eq(now, "1")))
			continue;
		put_back(x, a, &before[i], owed);
	}
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

/* To the next gate, or to the host. */
static void give_back(struct remains *x, struct arena *a, struct plan_sysctl *before, size_t n,
		      struct owed *owed)
{
	const char *heir = other_gate(x, a);
	struct err e;

	if (!heir) {
		restore(x, a, before, n, owed);
	} else if (bequeath(x, a, heir, before, n, &e) < 0) {
		*owed = (struct owed){ .items = before, .n = n };
		leave(x, &e, "nft list chain inet " PLAN_NFT_HOST " before_%s", heir);
	}
}

/* The table is not taken away before what it tells of the sysctls is known. */
static void remove_from_table(struct remains *x, struct arena *a, struct owed *owed)
{
	struct plan_sysctl *before;
	struct part part;
	struct err e;
	size_t n;
	int r = part_of_table(x, a, &part, &e);

	if (r == 0)
		r = before_read(x->nft, a, x->gate, &before, &n, &e);
	if (r == 0) {
		give_back(x, a, before, n, owed);
		r = remove_part(x, a, &part, &e);
	}
	if (r < 0) {
		(void)err_wrap(&e, r, "remove from table inet " PLAN_NFT_HOST);
		leave(x, &e, "nft list table inet " PLAN_NFT_HOST);
	}
}

static void remove_links(struct remains *x)
{
	struct err e;

	for (size_t i = 0; i < x->host.n_links; i++) {
		const char *name = x->host.links[i].name;

		if (!is_gates_link(x, &x->host.links[i]))
			continue;
		x->found = true;
		if (rtnl_link_delete(x->rtnl, name, &e) < 0)
			leave(x, &e, "ip link del %s", name);
	}
}

static void remove_others_rules(struct remains *x)
{
	struct err e;

	if (firewall_undo(x->nft, x->gate, &e) < 0)
		leave(x, &e,
		      "nft -a list ruleset | grep sallyport-%s; nft delete rule ... handle N",
		      x->gate);
}

/* Who goes on asking by UDP is answered by whoever publishes that port next. */
static void remove_flows(struct remains *x, const struct slot *slot)
{
	struct prefix nets[] = { slot->net4, slot->net6 };
	struct conntrack_lost lost = { .from = nets, .n_from = ARRAY_LEN(nets) };
	char net[PREFIX_TEXT_SIZE];
	struct err e;

	if (conntrack_forget(-1, &lost, &e) < 0)
		leave(x, &e, "conntrack -D -r %s", prefix_text(&slot->net4, net));
}

/* All but what the host is owed still, which is for the next one who takes the gate away, or over. */
static void remove_files(struct remains *x, struct arena *a, const struct owed *owed)
{
	const char *dir = arena_printf(a, RUN_DIR "/%s", x->gate);
	struct err e;
	int r;

	x->found |= access(dir, F_OK) == 0;
	r = file_remove_tree(dir, &e);
	if (r == 0 && owed->n)
		r = before_leave(a, x->gate, owed->items, owed->n, &e);
	if (r < 0)
		leave_file(x, r, dir, "rm -r", &e);
	/* Only when they are empty: the last gate's, and where wireguard-go's socket stood. */
	(void)rmdir(RUN_DIR);
	(void)rmdir("/run/wireguard");
}

static int remove_all(struct remains *x, struct arena *a, struct err *e)
{
	int r = rtnl_snapshot_tables(x->rtnl, a, 0, 0, &x->host, e);
	struct owed owed = { 0 };
	bool has_slot;
	struct slot slot;

	if (r < 0)
		return r;
	has_slot = slot_find(&x->host, x->link, &slot);
	remove_all_netns(x, a);
	remove_policy(x, a);
	remove_links(x);
	remove_others_rules(x);
	remove_from_table(x, a, &owed);
	if (has_slot)
		remove_flows(x, &slot);
	remove_files(x, a, &owed);
	return 0;
}

int teardown_rooms(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text left CLEANUP_TEXT = { 0 };
	struct remains x = { .gate = s->gate.name, .keeps = s, .left = &left };

	remove_all_netns(&x, &a);
	return x.n_left ? err_set(e, EIO, "%s", text_str(&left)) : 0;
}

int teardown(const char *gate, bool *ret_found, struct text *left, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct nft *nft CLEANUP_NFT = NULL;
	int lock CLEANUP_FD = -1, here CLEANUP_FD = -1;
	struct remains x = { .gate = gate, .link = arena_printf(&a, "sp-%s", gate), .left = left };
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
	if (r < 0 || !x.n_left)
		return r;
	return err_set(e, EIO, "%s; when that is mended, go on with: sallyport down %s",
		       x.n_left == 1 ? "one thing is left of it"
				     : arena_printf(&a, "%zu things are left of it", x.n_left),
		       gate);
}
