/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Makes one place (host, gate, room) what it should be, and tells what somebody else
 * had done to it.
 */
#include "daemon/supervisor.h"

#include "plan/diff.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/sysctl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

static int netns_of(void *ctx, enum want_place place, size_t room)
{
	struct supervisor *s = ctx;

	switch (place) {
	case PLACE_HOST:
		return s->host.fd;
	case PLACE_GATE:
		return s->inner.fd;
	case PLACE_ROOM:
		return s->rooms[room].fd;
	}
	return -1;
}

static const char *place_name(const struct place *p)
{
	return p->netns ? p->netns : "host";
}

bool place_sysctl_differs(struct place *p, struct arena *a, const struct want_sysctl *x,
			  const char **ret_now)
{
	struct err e;

	if (sysctl_get_in(&p->sysctls, a, x->path, ret_now, &e) < 0)
		return false; /* a kernel without it, or an interface that has just gone */
	if (!x->value || str_eq(*ret_now, x->value))
		return false;
	return !x->only_if || str_eq(*ret_now, x->only_if);
}

/* Will the host's switch be written that other gates look at as well (router.c)? */
static bool needs_lock(struct place *p, struct arena *a, const struct want *w)
{
	const char *now;

	for (size_t i = 0; p->sup->settled && i < w->n_sysctls; i++)
		if (w->sysctls[i].restore && str_eq(w->sysctls[i].path, PLAN_FORWARDING6_ALL))
			return place_sysctl_differs(p, a, &w->sysctls[i], &now);
	return false;
}

int place_set_sysctls(struct place *p, struct arena *a, const struct want *w, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int lock CLEANUP_FD = -1;
	const char *was;
	int r;

	if (p->netns)
		r = netns_enter(p->fd, &visit, e);
	else
		r = needs_lock(p, a, w) ? host_lock(&lock, e) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->n_sysctls; i++) {
		const struct want_sysctl *x = &w->sysctls[i];

		if (!x->value)
			continue;
		r = sysctl_change_in(&p->sysctls, a, x->path, x->value, x->only_if, &was, e);
		if (r < 0 && r != -ENOENT)
			return r;
		if (was && p->had_sysctls && !x->restore)
			sup_repaired(p->sup, "%s: sysctl %s was %s", place_name(p), x->path, was);
	}
	return 0;
}

/*
 * The host's table is every gate's.  What stands in it for this one, from
 * before a `kill -9` or for an older slot, is taken out in the same transaction,
 * and so is what an older version left for nobody.  It has to be listed for that, so
 * only when there is something, or somebody in our way.
 */
static int with_stale(struct place *p, struct arena *a, const char *text, const char **ret,
		      struct err *e)
{
	const struct gate *g = &p->sup->gate;
	const struct publish *port;
	const char *listed, *other;
	int r = nft_list_table(p->nft, a, PLAN_NFT_HOST, &listed, e);

	*ret = text;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	other = plan_nft_conflict(a, listed, g, &port);
	if (other)
		return err_set(
			e, EADDRINUSE,
			"port %u/%s is gate \"%s\"'s: publish another one, or take that gate "
			"away with: sallyport down %s",
			port->door_port, port->proto == IPPROTO_UDP ? "udp" : "tcp", other, other);
	*ret = arena_printf(a, "%s%s", plan_nft_stale(a, listed, g->name), text);
	return 0;
}

static bool has_part(struct place *p, struct arena *a)
{
	return nft_has_chain(p->nft, PLAN_NFT_HOST,
			     arena_printf(a, "before_%s", p->sup->gate.name)) ||
	       nft_has_chain(p->nft, PLAN_NFT_HOST, PLAN_NFT_OLDER);
}

static int run_nft(struct place *p, struct arena *a, const char *text, struct err *e)
{
	int r;

	if (p->kind != PLACE_HOST)
		return nft_run(p->nft, text, e);
	if (!has_part(p, a)) {
		r = nft_run(p->nft, text, e);
		if (r != -EEXIST) /* a port of ours leads to another gate */
			return r;
	}
	r = with_stale(p, a, text, &text, e);
	return r < 0 ? r : nft_run(p->nft, text, e);
}

int place_set_nft(struct place *p, struct arena *a, const struct want *w, struct err *e)
{
	int r;

	if (!w->nft || (p->nft_text && str_eq(p->nft_text, w->nft)))
		return 0;
	r = run_nft(p, a, w->nft, e);
	if (r < 0)
		return err_wrap(e, r, "nft table inet %s of %s", place_nft_table(p, a),
				place_name(p));
	free(p->nft_text);
	p->nft_text = strdup(w->nft);
	return 0;
}

int sup_look_at_host(const struct supervisor *s, struct arena *a, uint32_t table_first,
		     uint32_t table_last, struct snapshot *ret, struct err *e)
{
	const struct rtnl_own own = { .link = plan_host_link(a, &s->gate),
				      .slot_unknown = s->slot_unknown,
				      .slot = s->slot.number };

	return rtnl_snapshot_near(s->host.rtnl, a, &own, table_first, table_last, ret, e);
}

int place_snapshot(struct place *p, struct arena *a, const struct want *w, struct snapshot *ret,
		   struct err *e)
{
	if (p->kind == PLACE_HOST)
		return sup_look_at_host(p->sup, a, w->table_first, w->table_last, ret, e);
	return rtnl_snapshot_tables(p->rtnl, a, w->table_first, w->table_last, ret, e);
}

/*
 * Told to the log only when somebody else did it: not at the first start, and
 * not when a door has just come or gone and the plan follows.  What follows
 * from one deletion (a renewed list of rules) is one repair.
 */
static void report(struct place *p, struct arena *a, const struct diff *d)
{
	struct supervisor *s = p->sup;

	if (!s->settled || s->facts_changed || s->sandboxes.changed ||
	    (p->kind == PLACE_HOST && s->sides_changed))
		return;
	for (size_t i = 0; i < d->n_ops; i++) {
		if (d->ops[i].kind == OP_RULE_DEL)
			continue;
		sup_repaired(s, "%s: %s", place_name(p), diff_op_text(a, &d->ops[i]));
		if (d->ops[i].kind == OP_RULE_ADD || d->ops[i].kind == OP_RULE_MOVE) {
			while (i + 1 < d->n_ops && (d->ops[i + 1].kind == OP_RULE_ADD ||
						    d->ops[i + 1].kind == OP_RULE_MOVE ||
						    d->ops[i + 1].kind == OP_RULE_DEL))
				i++;
		}
	}
}

static bool has_rules(const struct diff *d)
{
	for (size_t i = 0; i < d->n_ops; i++)
		if (d->ops[i].kind == OP_RULE_ADD || d->ops[i].kind == OP_RULE_DEL ||
		    d->ops[i].kind == OP_RULE_MOVE)
			return true;
	return false;
}

/* On the host, others' links are their own affair. */
static void keep_wanted_links(struct snapshot *s, const struct want *w)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_links; i++)
		if (want_has_link(w, s->links[i].name))
			s->links[n++] = s->links[i];
	s->n_links = n;
}

/*
 * The kernel's routes of our addresses, if it said that such were taken away: also when an
 * address went, or a link was set down, which concerns nobody any more.
 */
static int put_back_locals(struct place *p, struct arena *a, const struct want *w,
			   size_t *ret_steps, struct err *e)
{
	const struct want local = { .table_first = RT_TABLE_LOCAL, .table_last = RT_TABLE_LOCAL };
	struct text words CLEANUP_TEXT = { 0 };
	struct snapshot now;
	int r;

	if (!p->locals_due)
		return 0;
	p->locals_due = false;
	r = place_snapshot(p, a, &local, &now, e);
	if (r == 0 && p->kind == PLACE_HOST)
		keep_wanted_links(&now, w);
	if (r == 0)
		r = rtnl_locals_put_back(p->rtnl, &now, &words, e);
	if (r < 0) /* nobody will tell of what is missing once more */
		p->locals_due = true;
	if (words.len) {
		*ret_steps += 1; /* routes may have gone with an address */
		sup_repaired(p->sup, "%s: %s was missing", place_name(p), text_str(&words));
	}
	return r;
}

int place_set_network(struct place *p, struct arena *a, const struct want *w, struct snapshot have,
		      size_t *ret_steps, struct err *e)
{
	struct diff diff = { 0 };
	int lock CLEANUP_FD = -1;
	int r = have.n_links ? 0 : place_snapshot(p, a, w, &have, e);
	struct err why;
	int locals;

	if (r < 0)
		return err_wrap(e, r, "%s", place_name(p));
	diff_make(a, &have, w, &diff);
	if (p->kind == PLACE_HOST && p->sup->settled && has_rules(&diff)) {
		/* They are every gate's: one at a time, by what is there then. */
		r = host_lock(&lock, e);
		if (r == 0)
			r = place_snapshot(p, a, w, &have, e);
		if (r < 0)
			return r;
		diff_make(a, &have, w, &diff);
	}
	report(p, a, &diff);
	*ret_steps += diff.n_ops;
	/* A source is only taken from what is known to be local. */
	locals = put_back_locals(p, a, w, ret_steps, &why);
	r = rtnl_apply(p->rtnl, w, &diff, netns_of, p->sup, e);
	if (r == 0 && locals < 0) {
		r = locals;
		*e = why;
	}
	return r < 0 ? err_wrap(e, r, "%s", place_name(p)) : 0;
}
