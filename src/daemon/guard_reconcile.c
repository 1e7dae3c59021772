/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot -> learn -> plan -> diff -> apply for the guarded host, at the start
 * and after everything that happens to its network.
 */
#include "daemon/guard.h"

#include "plan/diff.h"
#include "plan/slot.h"
#include "sys/sock_diag.h"
#include "ui/plan_text.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A link that comes up may take its routes in one round and lose none in the next. */
#define ROUNDS 4

#define LAZY_MS  50
#define RETRY_MS 1000

int guard_open(struct guard *g, struct err *e)
{
	int r = rtnl_open(-1, &g->rtnl, e);

	return r < 0 ? r : nft_open(-1, &g->nft, e);
}

void guard_close(struct guard *g)
{
	loop_remove(&g->loop, &g->watch_source);
	loop_remove(&g->loop, &g->nft_source);
	guard_udp_close(g);
	guard_xfrm_close(g);
	rtnl_watch_close(&g->watch);
	nft_watch_close(&g->nft_watch);
	rtnl_close(&g->rtnl);
	nft_close(&g->nft);
	arena_free(&g->memory_arena);
	arena_free(&g->last_arena);
	free(g->planned);
	own_table_free(&g->table);
	free(g->foreign);
	free(g->sysctls);
	free(g->last_error);
	g->planned = g->last_error = NULL;
	g->last = (struct want){ 0 };
	g->foreign = NULL;
	g->sysctls = NULL;
	g->wish.n_sysctls = 0;
}

/* --- the plan ---------------------------------------------------------------------- */

/*
 * After a `kill -9` the guard's own tables are its memory of routes that a VPN
 * took out of main since: they are read as if main still had them.
 */
static void recall(struct guard *g, struct arena *a, struct snapshot *host)
{
	size_t n = host->n_routes;

	if (g->settled)
		return;
	for (size_t i = 0; i < n; i++) {
		struct route r = host->routes[i];

		if (r.table != GUARD_TABLE_NEAR && r.table != GUARD_TABLE_FAR)
			continue;
		if (r.type != RTN_UNICAST ||
		    (r.n_hops == 1 && ip_is_none(&r.hops[0].via) && r.dst.len < ip_bits(r.family)))
			continue;
		r.table = RT_TABLE_MAIN;
		r.metric += UINT16_MAX; /* behind what main says itself */
		*arena_push(a, host->routes, host->n_routes, host->cap_routes) = r;
	}
}

/* At the beginning, and whether they live when it is swept. */
static void look_at_older(struct guard *g, struct arena *a, const struct snapshot *host)
{
	struct socket_seen *all;
	struct err e;
	size_t n;

	if (g->settled ? !g->swept || !g->wish.n_older : g->older != NULL)
		return;
	if (sock_diag_list_of(a, IPPROTO_TCP, &all, &n, &e) < 0)
		return;
	if (g->settled)
		g->wish.n_older = guard_older_keep(g->older, g->wish.n_older, all, n);
	else
		guard_older_find(&g->arena, host, all, n, &g->older, &g->wish.n_older);
	g->wish.older = g->older;
}

int guard_look(struct guard *g, struct arena *a, struct snapshot *host, struct err *e)
{
	struct guard_memory now;
	struct arena fresh = { 0 };
	int r = rtnl_snapshot(g->rtnl, a, host, e);

	if (r < 0)
		return r;
	recall(g, a, host);
	guard_learn(&fresh, &g->memory, host, &now);
	arena_free(&g->memory_arena);
	g->memory_arena = fresh;
	g->memory = now;
	guard_sysctls_look(g, host);
	guard_udp_look(g);
	look_at_older(g, a, host);
	return guard_xfrm_look(g, a, host, e);
}

int guard_want(struct guard *g, struct arena *a, struct want *ret, struct err *e)
{
	struct snapshot *host = arena_new(a, struct snapshot);
	int r = guard_look(g, a, host, e);

	if (r == 0)
		guard_plan(a, &g->memory, host, &g->wish, ret);
	return r;
}

/* True if the plan is another than last time: then not all that differs is a repair. */
static bool is_new_plan(const struct guard *g, const struct want *w, struct text *t)
{
	plan_text_routes(t, w);
	plan_text_guard(t, w);
	return !g->planned || !str_eq(g->planned, text_str(t));
}

static void remember_plan(struct guard *g, const struct want *w, const char *text)
{
	struct arena fresh = { 0 };

	guard_plan_copy(&fresh, w, &g->last);
	arena_free(&g->last_arena);
	g->last_arena = fresh;
	free(g->planned);
	g->planned = strdup(text);
}

/* --- what stands ---------------------------------------------------------------------- */

/* What somebody did to the table and is not told yet would be written over. */
static void hear_of_table(struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *what;
	struct err e;

	if (own_table_changed(&g->table, g->nft, g->nft_watch, &a, &what, &e)) {
		guard_repaired(g, "nft table " GUARD_NFT " was %s", what);
		g->dirty = true;
	}
	if (*e.text)
		guard_log("%s", e.text);
}

static int apply_nft(struct guard *g, struct arena *a, const struct want *w, struct err *e)
{
	const char *listed, *stale;
	int r;

	g->table.name = GUARD_NFT;
	g->table.families = true;
	if (own_table_has(&g->table, w->nft))
		return 0;
	hear_of_table(g);
	r = nft_run(g->nft, w->nft, e);
	if (r == 0)
		r = nft_list_tables(g->nft, a, GUARD_NFT, &listed, e);
	/* Of addresses and doors that are gone, or an older version's: nothing refers to it
	 * any more. */
	stale = r == 0 ? guard_nft_stale(a, w->nft, listed) : "";
	if (*stale)
		r = nft_run(g->nft, stale, e);
	if (r == 0)
		r = own_table_keep(&g->table, g->nft, w->nft, e);
	return r < 0 ? err_wrap(e, r, "nft table " GUARD_NFT) : 0;
}

static const char *by_whom(struct guard *g, struct arena *a)
{
	return g->who[0] ? arena_printf(a, ", probably removed by %s", g->who) : "";
}

/* Does one of the guard's tables?  An older version's are fewer. */
static bool stands(struct guard *g, struct arena *a)
{
	const char *listed;
	struct err e;

	for (size_t i = 0; i < ARRAY_LEN(guard_nft_families); i++)
		if (nft_list_json(g->nft, a,
				  arena_printf(a, "table %s " GUARD_NFT, guard_nft_families[i]),
				  &listed, &e) == 0)
			return true;
	return false;
}

int guard_try_kernel(struct guard *g, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct guard_wish all = g->wish;
	struct snapshot host = { 0 };
	const char *text;
	int r;

	/* One that stands has been taken once. */
	if (stands(g, &a))
		return 0;
	r = guard_look(g, &a, &host, e);
	if (r < 0)
		return r;
	all.udp = true;
	text = guard_nft(&a, &g->memory, &host, &all);
	for (size_t i = 0; i < ARRAY_LEN(guard_nft_families); i++)
		text = arena_printf(&a, "%sdelete table %s " GUARD_NFT "\n", text,
				    guard_nft_families[i]);
	r = nft_run(g->nft, text, e); /* in one transaction: nobody ever sees it */
	return r < 0 ? err_wrap(
			       e, r,
			       "the kernel does not take the guard's nft table (is a module missing? "
			       "try: modprobe nft_socket)")
		     : 0;
}

/* What follows from one deletion, a renewed list of rules, is one repair. */
static void report(struct guard *g, struct arena *a, const struct diff *d)
{
	bool rules = false;

	for (size_t i = 0; i < d->n_ops; i++) {
		enum op_kind kind = d->ops[i].kind;

		if (kind == OP_RULE_MOVE)
			guard_repaired(g, "%s", diff_op_text(a, &d->ops[i]));
		else if (kind == OP_ROUTE_ADD)
			guard_repaired(g, "%s%s", diff_op_text(a, &d->ops[i]), by_whom(g, a));
		rules = rules || kind == OP_RULE_ADD;
	}
	if (rules)
		guard_repaired(g,
			       "rules of the guard were missing or out of order%s (if "
			       "systemd-networkd took them: sallyport guard --networkd)",
			       by_whom(g, a));
}

/* Before anything is put right. */
static void tell_repairs(struct guard *g, struct arena *a, const struct snapshot *host,
			 const struct want *w)
{
	struct text text CLEANUP_TEXT = { 0 };
	bool follows = is_new_plan(g, w, &text);
	struct diff lost;

	if (g->settled) {
		guard_plan_lost(a, host, &g->last, w, &lost);
		report(g, a, &lost);
	}
	if (follows)
		remember_plan(g, w, text_str(&text));
}

static int no_netns(void *ctx, enum want_place place, size_t room)
{
	(void)ctx;
	(void)place;
	(void)room;
	return -1;
}

static int one_round(struct guard *g, size_t *ret_steps, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	struct diff diff = { 0 };
	struct want want;
	int r = guard_look(g, &a, &host, e);

	if (r < 0)
		return r;
	guard_plan(&a, &g->memory, &host, &g->wish, &want);
	tell_repairs(g, &a, &host, &want);
	r = apply_nft(g, &a, &want, e);
	if (r == 0)
		r = guard_sysctls_set(g, e);
	if (r == 0)
		r = guard_xfrm_set(g, e);
	if (r < 0)
		return r;
	diff_make(&a, &host, &want, &diff);
	*ret_steps = diff.n_ops;
	return rtnl_apply(g->rtnl, &want, &diff, no_netns, NULL, e);
}

/* --- others' rules at priority 0 --------------------------------------------------------- */

/*
 * A rule without a number goes before all others, so a client that adds several
 * (wg-quick) means the last to come first.  Where ours stand at priority 0, the
 * kernel appends them instead: they are put into the order that was meant.
 */
static bool is_foreign(const struct rule *r)
{
	bool gates = (r->table >= SLOT_TABLE && r->table < SLOT_TABLE + SLOT_COUNT) ||
		     slot_is_pool(&r->from);
	bool ours = r->table >= GUARD_TABLE_NEAR && r->table <= GUARD_TABLE_LAST;

	return r->priority == 0 && r->table != RT_TABLE_LOCAL && !gates && !ours;
}

static bool is_known(const struct guard *g, const struct rule *r)
{
	for (size_t i = 0; i < g->n_foreign; i++)
		if (snapshot_same_rule(&g->foreign[i], r))
			return true;
	return false;
}

/* New ones, the latest first, and behind them those that were known. */
static size_t order_meant(const struct guard *g, const struct snapshot *host, struct rule *ret)
{
	size_t n = 0;

	for (size_t i = host->n_rules; i-- > 0;)
		if (is_foreign(&host->rules[i]) && !is_known(g, &host->rules[i]))
			ret[n++] = host->rules[i];
	for (size_t i = 0; i < g->n_foreign; i++)
		for (size_t j = 0; j < host->n_rules; j++)
			if (is_foreign(&host->rules[j]) &&
			    snapshot_same_rule(&host->rules[j], &g->foreign[i])) {
				ret[n++] = host->rules[j];
				break;
			}
	return n;
}

static bool stands_so(const struct snapshot *host, const struct rule *meant, size_t n,
		      sa_family_t family)
{
	size_t next = 0;

	for (size_t i = 0; i < host->n_rules; i++) {
		const struct rule *r = &host->rules[i];

		if (r->family != family || !is_foreign(r))
			continue;
		while (next < n && meant[next].family != family)
			next++;
		if (next == n || !snapshot_same_rule(r, &meant[next++]))
			return false;
	}
	return true;
}

static int order_foreign(struct guard *g, struct err *e)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	struct want want = { 0 };
	struct diff diff = { 0 };
	struct rule *meant;
	size_t n;
	int r = rtnl_snapshot_tables(g->rtnl, &a, 0, 0, &host, e);

	if (r < 0)
		return r;
	meant = calloc(host.n_rules + 1, sizeof(*meant));
	if (!meant)
		abort();
	n = order_meant(g, &host, meant);
	/* After a `kill -9` nobody knows who came last: they stay as they stand. */
	for (size_t f = 0; g->settled && f < ARRAY_LEN(families); f++)
		for (size_t i = 0; !stands_so(&host, meant, n, families[f]) && i < n; i++)
			if (meant[i].family == families[f])
				*arena_push(&a, diff.ops, diff.n_ops, diff.cap_ops) =
					(struct op){ .kind = OP_RULE_MOVE, .rule = &meant[i] };
	r = rtnl_apply(g->rtnl, &want, &diff, no_netns, NULL, e);
	if (!g->settled)
		for (size_t i = 0; i < n / 2; i++) {
			struct rule swap = meant[i];

			meant[i] = meant[n - 1 - i];
			meant[n - 1 - i] = swap;
		}
	free(g->foreign);
	g->foreign = meant;
	g->n_foreign = n;
	return r;
}

int guard_reconcile(struct guard *g, struct err *e)
{
	size_t steps = 1;
	int r = 0;

	for (int i = 0; r == 0 && steps && i < ROUNDS; i++)
		r = one_round(g, &steps, e);
	if (r == 0)
		r = order_foreign(g, e);
	if (r == 0)
		g->settled = true;
	return r;
}

static void lazy_fired(struct loop_timer *t)
{
	((struct guard *)t->ctx)->dirty = true;
}

static void arm_lazy(struct guard *g, int64_t in_ms)
{
	g->lazy.fire = lazy_fired;
	g->lazy.ctx = g;
	loop_arm(&g->loop, &g->lazy, in_ms);
}

void guard_reconcile_if_dirty(struct guard *g)
{
	struct err e;
	int r;

	if (!g->dirty)
		return;
	g->dirty = false;
	if (g->beside)
		return;
	r = guard_reconcile(g, &e);
	g->who[0] = 0;
	if (r == 0) {
		free(g->last_error);
		g->last_error = NULL;
		return;
	}
	if (!g->last_error || !str_eq(g->last_error, e.text)) {
		guard_log("%s; trying again every second", e.text);
		free(g->last_error);
		g->last_error = strdup(e.text);
	}
	arm_lazy(g, RETRY_MS);
}

/* --- events ------------------------------------------------------------------------------ */

static void network_changed(struct loop_source *source, uint32_t events)
{
	struct guard *g = source->ctx;
	struct rtnl_news news = { 0 };
	struct err e;

	(void)events;
	if (rtnl_watch_read(g->watch, &news, &e) < 0) {
		guard_log("%s", e.text);
		news.lost = true;
	}
	if (news.lost)
		guard_log("the kernel had more news than room for them: everything is looked "
			  "at anew");
	if (news.who[0])
		snprintf(g->who, sizeof(g->who), "%s", news.who);
	if (news.links || news.addresses || news.rules || news.deletions || news.lost)
		g->dirty = true;
	else if (news.routes && !g->lazy.at_ms)
		arm_lazy(g, LAZY_MS);
}

static void nft_changed(struct loop_source *source, uint32_t events)
{
	(void)events;
	hear_of_table(source->ctx);
}

int guard_watch(struct guard *g, struct err *e)
{
	int r = rtnl_watch_open(-1, &g->watch, e);

	if (r < 0)
		return r;
	rtnl_watch_blame(g->watch, GUARD_TABLE_NEAR, GUARD_TABLE_LAST);
	g->watch_source = (struct loop_source){ .ready = network_changed, .ctx = g };
	r = loop_add(&g->loop, &g->watch_source, rtnl_watch_fd(g->watch), e);
	if (r == 0)
		r = nft_watch_open(-1, &g->nft_watch, e);
	if (r < 0)
		return r;
	guard_udp_look(g);
	guard_udp_watch(g);
	g->nft_source = (struct loop_source){ .ready = nft_changed, .ctx = g };
	return loop_add(&g->loop, &g->nft_source, nft_watch_fd(g->nft_watch), e);
}

/* --- the end ------------------------------------------------------------------------------- */

static void ours_away(struct arena *a, const struct snapshot *host, struct diff *d)
{
	for (size_t i = 0; i < host->n_rules; i++)
		if (host->rules[i].priority == 0 && host->rules[i].table >= GUARD_TABLE_NEAR &&
		    host->rules[i].table <= GUARD_TABLE_LAST)
			*arena_push(a, d->ops, d->n_ops, d->cap_ops) =
				(struct op){ .kind = OP_RULE_DEL, .rule = &host->rules[i] };
	for (size_t i = 0; i < host->n_routes; i++)
		if (host->routes[i].table >= GUARD_TABLE_NEAR &&
		    host->routes[i].table <= GUARD_TABLE_LAST)
			*arena_push(a, d->ops, d->n_ops, d->cap_ops) =
				(struct op){ .kind = OP_ROUTE_DEL, .route = &host->routes[i] };
}

/* One by one: an older version has the first alone, and somebody may have deleted any. */
static int tables_away(struct nft *nft, bool *ret_found, struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(guard_nft_families); i++) {
		char command[64];
		int r;

		snprintf(command, sizeof(command), "delete table %s " GUARD_NFT,
			 guard_nft_families[i]);
		r = nft_run(nft, command, e);
		if (r < 0 && r != -ENOENT)
			return r;
		*ret_found = *ret_found || r == 0;
	}
	return 0;
}

int guard_remove(bool *ret_found, struct err *e)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct nft *nft CLEANUP_NFT = NULL;
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	struct want want = { 0 };
	struct diff diff = { 0 };
	int r = rtnl_open(-1, &rtnl, e);

	if (r == 0)
		r = rtnl_snapshot_tables(rtnl, &a, GUARD_TABLE_NEAR, GUARD_TABLE_LAST, &host, e);
	if (r == 0)
		r = nft_open(-1, &nft, e);
	if (r < 0)
		return r;
	r = guard_sysctls_restore(nft, e);
	if (r == 0)
		r = guard_xfrm_remove(ret_found, e);
	if (r < 0)
		return r;
	ours_away(&a, &host, &diff);
	r = rtnl_apply(rtnl, &want, &diff, no_netns, NULL, e);
	if (r == 0 && !guard_trial_lives()) /* else it goes with the trial */
		r = guard_trial_remove(nft, ret_found, e);
	if (r < 0)
		return r;
	*ret_found = *ret_found || diff.n_ops;
	return tables_away(nft, ret_found, e);
}
