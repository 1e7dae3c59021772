/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cure for a namespace that somebody else made.  snapshot -> want -> diff
 * -> apply as for a gate, but nothing here was made by us, so nothing is taken
 * for granted: the namespace may lose its links between any two steps, and what
 * was there before comes back with `detach`.
 */
#include "daemon/attach.h"

#include "daemon/attach_watch.h"
#include "daemon/supervisor.h"
#include "plan/diff.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/sock_diag.h"
#include "sys/sysctl.h"
#include "sys/xtables.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Links and addresses may change while we look. */
#define ROUNDS 6

#define DETACH_MS 15000

void attached_say(const struct attached *x, const char *fmt, ...)
{
	va_list ap;

	if (x->quiet)
		return;
	va_start(ap, fmt);
	log_say_v(x->target->label, fmt, ap);
	va_end(ap);
}

void attached_close(struct attached *x)
{
	rtnl_close(&x->rtnl);
	nft_close(&x->nft);
	own_table_free(&x->table);
	free(x->said);
	arena_free(&x->arena);
}

/* --- is it a namespace that can be attached to? ------------------------------------- */

static int check_owner(const struct attached *x, const struct snapshot *net, struct err *e)
{
	const struct link *lo = snapshot_link_by_index(net, LINK_LOOPBACK);
	int self CLEANUP_FD = -1;
	int r = x->inside ? 0 : netns_open_self(&self, e);

	if (r < 0)
		return r;
	if (!x->inside && netns_same(self, x->target->fd))
		return err_set(e, EINVAL,
			       "uses the host's own network, where attach does nothing; for a VPN "
			       "client on the host itself there is: sallyport guard");
	if (lo && str_starts(lo->alias, "sallyport "))
		return err_set(e, EEXIST,
			       "is part of gate \"%s\" already, which answers by the right door",
			       lo->alias + strlen("sallyport "));
	return 0;
}

static int check_doors(const struct seen_doors *doors, struct err *e)
{
	if (doors->n_lan)
		return 0;
	if (doors->n_tunnels)
		return err_set(e, ENODEV,
			       "has a tunnel and no other network; connect it to one that leads to "
			       "the LAN");
	return err_set(e, ENODEV,
		       "has no network but loopback; connect it to one (docker network connect)");
}

/* --- one round ----------------------------------------------------------------------- */

/*
 * The own namespace needs no visit, for which a container has no right either.
 * Who could not come back from a visit, like the hook of a podman without root,
 * moves: what is done after this is done there.
 */
int attached_go_near(struct attached *x, const struct attach_target *t, struct err *e)
{
	int self CLEANUP_FD = -1;
	int r;

	x->target = t;
	if (x->inside || t->own) {
		x->inside = true;
		return 0;
	}
	r = netns_open_self(&self, e);
	if (r < 0 || netns_same(self, t->fd) || netns_may_return())
		return r;
	r = netns_move(t->fd, e);
	x->inside = r == 0;
	return r;
}

int attached_place(const struct attached *x)
{
	return x->inside ? -1 : x->target->fd;
}

int attached_open(struct attached *x, const struct attach_target *t, struct err *e)
{
	int r = attached_go_near(x, t, e);

	if (r == 0)
		r = rtnl_open(attached_place(x), &x->rtnl, e);
	return r < 0 ? r : nft_open(attached_place(x), &x->nft, e);
}

static void remember(struct attached *x, const char *path, const char *value)
{
	struct plan_sysctl *b;

	for (size_t i = 0; i < x->n_before; i++)
		if (str_eq(x->before[i].path, path))
			return;
	b = arena_push(&x->arena, x->before, x->n_before, x->cap_before);
	b->path = arena_strdup(&x->arena, path);
	b->value = arena_strdup(&x->arena, value);
}

static int read_before(struct attached *x, struct err *e)
{
	struct plan_sysctl *found;
	size_t n;
	int r = before_read_chain(x->nft, &x->arena, PLAN_ATTACH_NFT, "before", &found, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++)
		remember(x, found[i].path, found[i].value);
	return r;
}

static int go_in(const struct attached *x, struct netns_visit *visit, struct err *e)
{
	return x->inside ? 0 : netns_enter(x->target->fd, visit, e);
}

/* Notes what the wanted sysctls are now, for the table, which is written before them. */
static int note_sysctls(struct attached *x, const struct want *w, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	int r = go_in(x, &visit, e);

	for (size_t i = 0; r == 0 && i < w->n_sysctls; i++) {
		struct err gone;
		const char *now;

		if (sysctl_get(&a, w->sysctls[i].path, &now, &gone) == 0 &&
		    !str_eq(now, w->sysctls[i].value))
			remember(x, w->sysctls[i].path, now);
	}
	return r;
}

static int set_sysctls(struct attached *x, const struct want *w, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int r = go_in(x, &visit, e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < w->n_sysctls; i++) {
		bool changed = false;

		r = sysctl_set(w->sysctls[i].path, w->sysctls[i].value, &changed, e);
		if (r == -EROFS || r == -EACCES || r == -EPERM) {
			if (!x->read_only)
				attached_say(x, "%s; nothing that the rules do depends on it",
					     e->text);
			x->read_only = true;
			return 0;
		}
		if (r < 0 && r != -ENOENT)
			return r;
		if (changed && x->settled)
			attached_say(x, "repaired: sysctl %s", w->sysctls[i].path);
	}
	return 0;
}

/* Each of our tables has this chain: the kernel is asked, which is much cheaper than a listing. */
static bool has_table(const struct attached *x)
{
	return nft_has_chain(x->nft, PLAN_ATTACH_NFT, "before");
}

/* A tunnel that comes back with other addresses leaves the sets of the old ones. */
static int with_stale(struct attached *x, struct arena *a, const char **text, struct err *e)
{
	const char *listed;
	int r;

	if (!has_table(x))
		return 0;
	r = nft_list_table(x->nft, a, PLAN_ATTACH_NFT, &listed, e);
	if (r == 0)
		*text = arena_printf(a, "%s%s", plan_nft_attach_stale(a, listed, *text), *text);
	return r == -ENOENT ? 0 : r;
}

static bool closes_anew(const struct attached *x)
{
	return !nft_has_chain(x->nft, PLAN_ATTACH_NFT, PLAN_ATTACH_BEGINS);
}

/*
 * The kill switch that tracks nothing takes every segment but the first for one of a
 * connection that came in.  Those that the namespace began before are told to it.
 */
static int older(const struct attached *x, struct arena *a, const struct snapshot *net,
		 const struct seen_doors *doors, const char **ret, struct err *e)
{
	struct socket_seen *all;
	size_t n;
	int r = sock_diag_list_tcp(a, attached_place(x), &all, &n, e);

	if (r == 0)
		*ret = plan_nft_attach_older(a, net, doors, all, n);
	return r;
}

/* Once with the table, and again for what began while it was written. */
static int close_anew(struct attached *x, struct arena *a, const struct snapshot *net,
		      const struct seen_doors *doors, const char *text, struct err *e)
{
	const char *before = "", *since = "";
	int r = older(x, a, net, doors, &before, e);

	if (r == 0)
		r = nft_run(x->nft, arena_printf(a, "%s%s", text, before), e);
	if (r == 0)
		r = older(x, a, net, doors, &since, e);
	return r < 0 || str_eq(since, before) || !*since ? r : nft_run(x->nft, since, e);
}

static int set_nft(struct attached *x, const struct want *w, const struct snapshot *net,
		   const struct seen_doors *doors, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *text = w->nft;
	int r;

	x->table.name = PLAN_ATTACH_NFT;
	if (own_table_has(&x->table, w->nft))
		return 0;
	r = with_stale(x, &a, &text, e);
	if (r == 0 && strstr(w->nft, "\tchain " PLAN_ATTACH_BEGINS " {") && closes_anew(x))
		r = close_anew(x, &a, net, doors, text, e);
	else if (r == 0)
		r = nft_run(x->nft, text, e);
	if (r < 0)
		return err_wrap(e, r, "nft table inet " PLAN_ATTACH_NFT);
	if (x->watched)
		return own_table_keep(&x->table, x->nft, w->nft, e);
	own_table_applied(&x->table, w->nft);
	return 0;
}

int attached_translation(struct attached *x, struct arena *a, bool *ret, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	struct nft_chain *chains;
	size_t n;
	int r = nft_chains(x->nft, a, PLAN_ATTACH_NFT, &chains, &n, e);

	if (r == 0)
		r = go_in(x, &visit, e);
	if (r < 0)
		return r;
	*ret = xtables_translates(a);
	for (size_t i = 0; i < n; i++)
		*ret = *ret || chains[i].nat;
	return 0;
}

static int look(struct attached *x, struct arena *a, struct snapshot *net, struct seen_doors *doors,
		struct err *e)
{
	int r = rtnl_snapshot(x->rtnl, a, net, e);

	if (r == 0)
		r = check_owner(x, net, e);
	if (r == 0)
		r = attached_translation(x, a, &x->ask.translated, e);
	if (r == 0)
		doors_find(a, net, x->target->gateways, x->target->n_gateways, doors);
	return r;
}

static bool own_is_empty(const struct attached *x)
{
	return nft_set_is_empty(x->nft, PLAN_ATTACH_NFT, PLAN_ATTACH_OWN4) &&
	       nft_set_is_empty(x->nft, PLAN_ATTACH_NFT, PLAN_ATTACH_OWN6);
}

/* Need the kill switch ask of each segment whether the namespace began its connection? */
static int look_at_own(struct attached *x, struct arena *a, const struct snapshot *net,
		       const struct seen_doors *doors, struct err *e)
{
	const char *before = "";
	int r = 0;

	if (x->ask.closed && closes_anew(x))
		r = older(x, a, net, doors, &before, e);
	x->ask.began_none = x->ask.closed && !*before && own_is_empty(x);
	return r;
}

static void make_want(struct attached *x, struct arena *a, const struct snapshot *net,
		      const struct seen_doors *doors, struct want *ret)
{
	x->ask.before = x->before;
	x->ask.n_before = x->n_before;
	plan_attach(a, net, doors, &x->ask, ret);
}

static void tell_repairs(const struct attached *x, struct arena *a, const struct diff *d)
{
	for (size_t i = 0; x->settled && i < d->n_ops; i++)
		if (d->ops[i].kind != OP_RULE_DEL && d->ops[i].kind != OP_ROUTE_DEL)
			attached_say(x, "repaired: %s", diff_op_text(a, &d->ops[i]));
}

static int no_netns(void *ctx, enum want_place place, size_t room)
{
	(void)ctx, (void)place, (void)room;
	return -1;
}

static void tell_doors(struct attached *x, struct arena *a, const struct snapshot *net,
		       const struct seen_doors *doors);

/* The table first: it closes before anything opens. */
static int one_round(struct attached *x, size_t *ret_steps, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot net = { 0 };
	struct seen_doors doors;
	struct diff diff = { 0 };
	struct want want;
	int r = look(x, &a, &net, &doors, e);

	if (r == 0)
		r = check_doors(&doors, e);
	if (r == 0)
		r = look_at_own(x, &a, &net, &doors, e);
	if (r < 0)
		return r;
	make_want(x, &a, &net, &doors, &want);
	r = note_sysctls(x, &want, e);
	if (r < 0)
		return r;
	make_want(x, &a, &net, &doors, &want);
	tell_doors(x, &a, &net, &doors);
	r = set_nft(x, &want, &net, &doors, e);
	if (r == 0)
		r = set_sysctls(x, &want, e);
	if (r < 0)
		return r;
	diff_make(&a, &net, &want, &diff);
	tell_repairs(x, &a, &diff);
	/* A connection may have begun before the table was there: then it is written again. */
	*ret_steps = diff.n_ops + (x->ask.began_none && !own_is_empty(x));
	return rtnl_apply(x->rtnl, &want, &diff, no_netns, NULL, e);
}

/* A link that goes while its routes are made is no failure: the next round knows better. */
int attached_reconcile(struct attached *x, struct err *e)
{
	size_t steps = 1;
	int r = 0;

	for (int i = 0; i < ROUNDS && steps; i++)
		r = one_round(x, &steps, e);
	return r;
}

/* --- taking it away ------------------------------------------------------------------- */

static int remove_routes(struct attached *x, bool *ret_found, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot net = { 0 };
	struct diff diff = { 0 };
	struct want want;
	int r = rtnl_snapshot(x->rtnl, &a, &net, e);

	if (r < 0)
		return r;
	plan_attach_nothing(&want);
	diff_make(&a, &net, &want, &diff);
	*ret_found = diff.n_ops > 0;
	return rtnl_apply(x->rtnl, &want, &diff, no_netns, NULL, e);
}

static int restore_sysctls(struct attached *x, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int r = go_in(x, &visit, e);

	for (size_t i = 0; r == 0 && i < x->n_before; i++) {
		r = sysctl_set(x->before[i].path, x->before[i].value, NULL, e);
		if (r == -ENOENT || r == -EROFS)
			r = 0;
	}
	return r;
}

/* Rules and routes first: answers then go as they went before, guarded to the end. */
int attached_remove(struct attached *x, bool *ret_found, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *listed;
	int r = read_before(x, e);

	if (r == 0)
		r = remove_routes(x, ret_found, e);
	if (r < 0)
		return r;
	r = nft_list_table(x->nft, &a, PLAN_ATTACH_NFT, &listed, e);
	if (r == -ENOENT)
		return 0;
	*ret_found = true;
	if (r == 0)
		r = restore_sysctls(x, e);
	return r < 0 ? r : nft_run(x->nft, "delete table inet " PLAN_ATTACH_NFT "\n", e);
}

/* --- what the user is told -------------------------------------------------------------- */

static void door_words(struct text *t, const struct snapshot *net, const struct seen_door *d)
{
	char ip[IP_TEXT_SIZE];
	bool any = false;

	text_addf(t, "%s%s (", t->len ? ", " : "", d->link->name);
	for (size_t i = 0; i < net->n_addresses; i++)
		if (door_has_address(d, &net->addresses[i])) {
			text_addf(t, "%s%s", any ? " " : "", ip_text(&net->addresses[i].local, ip));
			any = true;
		}
	text_add(t, ")");
}

static bool speaks(const struct snapshot *net, const struct seen_door *d, sa_family_t family)
{
	for (size_t i = 0; i < net->n_addresses; i++)
		if (net->addresses[i].local.family == family &&
		    door_has_address(d, &net->addresses[i]))
			return true;
	return false;
}

static void warn_gateway(const struct attached *x, const struct snapshot *net,
			 const struct seen_door *d, sa_family_t family)
{
	if (speaks(net, d, family) && ip_is_none(&d->gateway[family == AF_INET6]))
		attached_say(
			x,
			"door %s: nothing tells of an IPv%d gateway there: only clients of its own "
			"network are answered",
			d->link->name, family == AF_INET ? 4 : 6);
}

/* What rules cannot repair: the kernel looks for its own addresses before any of them. */
static void warn_address(const struct attached *x, const struct snapshot *net,
			 const struct seen_door *lan, const struct seen_door *tunnel)
{
	for (size_t i = 0; i < net->n_addresses; i++) {
		const struct address *y = &net->addresses[i];
		const struct ip *gateway = &lan->gateway[y->local.family == AF_INET6];
		char ip[IP_TEXT_SIZE];

		if (door_has_address(tunnel, y) && ip_equal(&y->local, gateway))
			attached_say(
				x,
				"tunnel %s has the address %s, which is the gateway of door %s: whoever "
				"comes from beyond it is not answered",
				tunnel->link->name, ip_text(&y->local, ip), lan->link->name);
	}
}

static void tell_doors(struct attached *x, struct arena *a, const struct snapshot *net,
		       const struct seen_doors *doors)
{
	struct text lan CLEANUP_TEXT = { 0 };
	struct text tunnels CLEANUP_TEXT = { 0 };
	const char *words;

	for (size_t i = 0; i < doors->n_lan; i++)
		door_words(&lan, net, &doors->lan[i]);
	for (size_t i = 0; i < doors->n_tunnels; i++)
		door_words(&tunnels, net, &doors->tunnels[i]);
	words = arena_printf(a, "lan doors: %s; tunnels: %s", text_str(&lan),
			     tunnels.len ? text_str(&tunnels) : "none yet");
	if (x->said && str_eq(x->said, words))
		return;
	free(x->said);
	x->said = strdup(words);
	attached_say(x, "%s", words);
	for (size_t i = 0; i < doors->n_lan; i++) {
		warn_gateway(x, net, &doors->lan[i], AF_INET);
		warn_gateway(x, net, &doors->lan[i], AF_INET6);
		for (size_t k = 0; k < doors->n_tunnels; k++)
			warn_address(x, net, &doors->lan[i], &doors->tunnels[k]);
	}
}

/* --- the verbs ---------------------------------------------------------------------------- */

static bool has_ended(const struct attach_target *t)
{
	struct pollfd p = { .fd = t->pidfd, .events = POLLIN };

	return t->pidfd >= 0 && poll(&p, 1, 0) > 0;
}

int attached_first(struct attached *x, struct err *e)
{
	struct err ignored;
	bool found;
	int r = read_before(x, e);
	bool fresh = r == 0 && !has_table(x);

	if (r == 0)
		r = attached_reconcile(x, e);
	if (has_ended(x->target))
		return err_set(e, ESRCH, "ended while it was attached to");
	if (r < 0 && fresh)
		(void)!attached_remove(x, &found, &ignored);
	return r;
}

int attach(const struct attach_target *t, const struct attach_ask *ask, bool quiet, struct err *e)
{
	struct attached x CLEANUP_ATTACHED = { .ask = *ask, .quiet = quiet };
	int r = attached_open(&x, t, e);

	if (r == 0)
		r = attached_first(&x, e);
	return r < 0 ? err_wrap(e, r, "%s", t->label) : 0;
}

int attach_plan(struct arena *a, const struct attach_target *t, const struct attach_ask *ask,
		struct want *ret, struct err *e)
{
	struct attached x CLEANUP_ATTACHED = { .ask = *ask, .quiet = true };
	struct snapshot *net = arena_new(a, struct snapshot);
	struct seen_doors *doors = arena_new(a, struct seen_doors);
	int r = attached_open(&x, t, e);

	if (r == 0)
		r = look(&x, a, net, doors, e);
	if (r == 0)
		r = check_doors(doors, e);
	if (r == 0)
		r = look_at_own(&x, a, net, doors, e);
	if (r < 0)
		return err_wrap(e, r, "%s", t->label);
	plan_attach(a, net, doors, &x.ask, ret);
	return 0;
}

const char *attached_lock(struct arena *a, const struct attach_target *t)
{
	struct stat st = { 0 };

	if (t->own)
		return ATTACH_INIT;
	(void)fstat(t->fd, &st);
	return arena_printf(a, "attach/%llu", (unsigned long long)st.st_ino);
}

int detach(const struct attach_target *t, struct err *e)
{
	struct attached x CLEANUP_ATTACHED = { 0 };
	const char *answer;
	bool found = false;
	int r = control_ask(&x.arena, attached_lock(&x.arena, t), "detach\n", DETACH_MS, &answer,
			    e);

	if (r == 0 && str_eq(answer, "done"))
		return 0;
	if (r == 0 && *answer)
		return err_set(e, EIO, "%s: %s", t->label, answer);
	r = attached_open(&x, t, e);
	if (r == 0)
		r = attached_remove(&x, &found, e);
	if (r == 0 && !found)
		return err_set(e, ENOENT, "%s is not attached", t->label);
	return r < 0 ? err_wrap(e, r, "%s", t->label) : 0;
}
