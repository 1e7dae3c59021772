/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/diff.h"

#include "base/text.h"
#include "plan/plan.h"
#include "plan/slot.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

struct work {
	struct arena *arena;
	const struct snapshot *have;
	const struct want *want;
	struct diff *out;
};

static struct op *add_op(struct work *w, enum op_kind kind)
{
	struct op *op = arena_push(w->arena, w->out->ops, w->out->n_ops, w->out->cap_ops);

	op->kind = kind;
	return op;
}

static const char *link_name(const struct snapshot *s, int index)
{
	const struct link *l = snapshot_link_by_index(s, index);

	return l ? l->name : "";
}

#define USUAL_MTU 1500u

/* What is not told to have a certain size may have any that works. */
static bool is_too_small(const struct want_link *x, const struct link *l)
{
	return x->mtu ? l->mtu != x->mtu : !x->optional && l->mtu < IPV6_LEAST_MTU;
}

static const struct want_link *with_mtu(struct work *w, const struct want_link *x)
{
	struct want_link *ret = arena_new(w->arena, struct want_link);

	*ret = *x;
	if (!ret->mtu)
		ret->mtu = USUAL_MTU;
	return ret;
}

/* In a bridge, or told not to resolve addresses: then no packet passes our own pairs. */
static bool is_captured(const struct link *l)
{
	return str_eq(l->kind, "veth") && (l->master || (l->flags & IFF_NOARP));
}

static void diff_links(struct work *w)
{
	for (size_t i = 0; i < w->want->n_links; i++) {
		const struct want_link *x = &w->want->links[i];
		const struct link *l = snapshot_link_by_name(w->have, x->name);

		if (!l && x->peer_name)
			add_op(w, OP_LINK_ADD)->want_link = x;
		if (!l && !x->peer_name)
			continue; /* the other end's namespace makes it */
		if (l && is_captured(l))
			add_op(w, OP_LINK_FREE)->want_link = x;
		if (l && is_too_small(x, l))
			add_op(w, OP_LINK_SET)->want_link = with_mtu(w, x);
		else if (!l || (x->up && !(l->flags & IFF_UP)) ||
			 (x->alias && !str_eq(l->alias, x->alias)))
			add_op(w, OP_LINK_SET)->want_link = x;
	}
}

bool want_has_link(const struct want *w, const char *name)
{
	for (size_t i = 0; i < w->n_links; i++)
		if (str_eq(w->links[i].name, name))
			return true;
	return false;
}

/* Will the link be there once the links of this diff are made? */
static bool link_comes(const struct work *w, const char *name)
{
	if (snapshot_link_by_name(w->have, name))
		return true;
	for (size_t i = 0; i < w->want->n_links; i++)
		if (str_eq(w->want->links[i].name, name))
			return w->want->links[i].peer_name != NULL;
	return false;
}

/* Of a link-local one the length says nothing without its route, and was 64 once. */
static bool address_is(const struct snapshot *s, const struct address *a,
		       const struct want_address *x)
{
	return ip_equal(&a->local, &x->local) &&
	       (a->len == x->len || ip_is_link_local(&x->local)) &&
	       str_eq(link_name(s, a->link), x->link);
}

static bool have_address(const struct work *w, const struct want_address *x)
{
	for (size_t i = 0; i < w->have->n_addresses; i++)
		if (address_is(w->have, &w->have->addresses[i], x))
			return true;
	return false;
}

static bool want_has_address(const struct work *w, const struct address *a)
{
	for (size_t i = 0; i < w->want->n_addresses; i++)
		if (address_is(w->have, a, &w->want->addresses[i]))
			return true;
	return false;
}

static void diff_addresses_add(struct work *w)
{
	for (size_t i = 0; i < w->want->n_addresses; i++) {
		const struct want_address *x = &w->want->addresses[i];

		if (link_comes(w, x->link) && !have_address(w, x))
			add_op(w, OP_ADDRESS_ADD)->want_address = x;
	}
}

/* Loopback's own addresses and automatic link-local ones are the kernel's. */
static void diff_addresses_del(struct work *w)
{
	for (size_t i = 0; i < w->have->n_addresses; i++) {
		const struct address *a = &w->have->addresses[i];
		const char *name = link_name(w->have, a->link);

		if (str_eq(name, "lo") || ip_is_link_local(&a->local) ||
		    !want_has_link(w->want, name) || want_has_address(w, a))
			continue;
		add_op(w, OP_ADDRESS_DEL)->address = a;
	}
}

static bool in_our_tables(const struct want *w, uint32_t table)
{
	return w->table_first && table >= w->table_first && table <= w->table_last;
}

static const struct prefix *slot_net(const struct slot *s, sa_family_t family)
{
	return family == AF_INET ? &s->net4 : &s->net6;
}

/* Of a table that many share: into the slot, or (from when it was another one) by a link of ours. */
static bool leads_to_us(const struct work *w, const struct route *r)
{
	return prefix_contains(slot_net(&w->want->slot, r->family), &r->dst) ||
	       (r->n_hops && want_has_link(w->want, link_name(w->have, r->hops[0].link)));
}

static bool route_is_ours(const struct work *w, const struct route *r)
{
	const struct want *want = w->want;

	if (r->flags & RTM_F_CLONED)
		return false;
	if (in_our_tables(want, r->table)) /* of sides every gate wants the same */
		return !want->shared || plan_is_side_table(r->table) || leads_to_us(w, r);
	return want->place != PLACE_HOST && r->table == RT_TABLE_MAIN &&
	       r->protocol == want->protocol;
}

static bool same_key(const struct route *r, const struct want_route *x)
{
	return r->family == x->family && r->table == x->table && r->metric == x->metric &&
	       prefix_equal(&r->dst, &x->dst);
}

static bool route_is(const struct snapshot *s, const struct route *r, const struct want_route *x)
{
	if (!same_key(r, x) || r->type != x->type)
		return false;
	if (x->type != RTN_UNICAST)
		return true;
	return r->n_hops == 1 && str_eq(link_name(s, r->hops[0].link), x->link) &&
	       ip_equal(&r->hops[0].via, &x->via) && ip_equal(&r->prefsrc, &x->prefsrc);
}

static bool have_route(const struct work *w, const struct want_route *x)
{
	for (size_t i = 0; i < w->have->n_routes; i++)
		if (route_is(w->have, &w->have->routes[i], x))
			return true;
	return false;
}

static bool want_has_route(const struct work *w, const struct route *r)
{
	for (size_t i = 0; i < w->want->n_routes; i++)
		if (route_is(w->have, r, &w->want->routes[i]))
			return true;
	return false;
}

static void diff_routes_add(struct work *w)
{
	for (size_t i = 0; i < w->want->n_routes; i++) {
		const struct want_route *x = &w->want->routes[i];

		if (x->link && !link_comes(w, x->link))
			continue;
		if (!have_route(w, x))
			add_op(w, OP_ROUTE_ADD)->want_route = x;
	}
}

/* Takes away what is ours and not wanted, unless a wanted one replaces it by its key. */
static void diff_routes_del(struct work *w)
{
	for (size_t i = 0; i < w->have->n_routes; i++) {
		const struct route *r = &w->have->routes[i];

		if (route_is_ours(w, r) && !want_has_route(w, r))
			add_op(w, OP_ROUTE_DEL)->route = r;
	}
}

/* Looks in a table, and for nothing that struct want_rule cannot say. */
static bool is_plain(const struct rule *r)
{
	return r->action == FR_ACT_TO_TBL && !r->invert && !r->ip_proto && !r->has_uid &&
	       !r->has_sport && !r->has_dport && !r->tos && !r->has_dscp && !r->flowlabel_mask &&
	       !r->tun_id && !r->l3mdev && r->suppress_group == -1 && !r->oif[0] && !r->unknown[0];
}

static bool is_local_rule(const struct rule *r)
{
	return r->priority == 0 && r->table == RT_TABLE_LOCAL && is_plain(r) && !r->from.len &&
	       !r->to.len && !r->iif[0] && !r->has_mark;
}

static bool prefix_is(const struct prefix *a, const struct prefix *b)
{
	/* family 0 and length 0 both mean any */
	if ((!a->ip.family || !a->len) && (!b->ip.family || !b->len))
		return true;
	return prefix_equal(a, b);
}

static bool rule_is(const struct rule *r, const struct want_rule *x)
{
	bool mark = x->mark_mask != 0;

	return r->family == x->family && r->priority == x->priority && r->table == x->table &&
	       is_plain(r) && r->suppress_len == x->suppress_len && prefix_is(&r->from, &x->from) &&
	       prefix_is(&r->to, &x->to) && str_eq(r->iif, x->iif ? x->iif : "") &&
	       r->find_saddr == x->find_saddr && r->has_mark == mark &&
	       (!mark || (r->mark == x->mark && r->mark_mask == x->mark_mask));
}

/* `from POOL lookup main`, the way past the host's rules. */
static bool is_way_past(const struct rule *r)
{
	return r->protocol == RTPROT_KERNEL && r->table == RT_TABLE_MAIN && slot_is_pool(&r->from);
}

/* A rule of a pool in which the slot does not lie is other gates'. */
static bool is_other_pools(const struct want *w, const struct rule *r)
{
	const struct prefix *p = r->table == RT_TABLE_MAIN ? &r->from : &r->to;

	return w->shared && slot_is_pool(p) && !prefix_contains(p, slot_net(&w->slot, r->family));
}

/* Has it a place of its own among ours?  Else the kernel's stands in front. */
static bool wants_local(const struct want *w, sa_family_t family)
{
	for (size_t i = 0; i < w->n_rules; i++)
		if (w->rules[i].family == family && w->rules[i].table == RT_TABLE_LOCAL)
			return true;
	return false;
}

static bool rule_is_ours(const struct want *w, const struct rule *r)
{
	if (is_local_rule(r))
		return wants_local(w, r->family);
	if (w->place == PLACE_HOST)
		return r->priority == 0 && !is_other_pools(w, r) &&
		       (in_our_tables(w, r->table) || (!w->guard && is_way_past(r)));
	return r->protocol == w->protocol && r->priority == 0;
}

/* `to POOL` or `from POOL`, of gates on the host. */
static bool is_gates(const struct rule *r)
{
	return is_way_past(r) || (r->table >= SLOT_TABLE && r->table < SLOT_TABLE + SLOT_COUNT &&
				  (r->to.ip.family || r->has_mark));
}

static bool may_overlap(const struct prefix *a, const struct prefix *b)
{
	return !a->ip.family || !b->ip.family || prefix_overlaps(a, b);
}

/*
 * Can a rule in front of ours take our packets?  On the host only what speaks
 * of our slot matters, which other gates' rules do not; in a gate, all do.  So
 * they do where a rule of ours is for every destination.  Where nothing is
 * wanted (any more) nothing can be disturbed.
 */
static bool rule_disturbs(const struct want *w, const struct rule *r)
{
	bool any = w->place != PLACE_HOST;

	if (r->priority != 0 || is_local_rule(r) || rule_is_ours(w, r))
		return false;
	if (w->guard && is_gates(r))
		return false;
	for (size_t i = 0; i < w->n_rules && !any; i++) {
		const struct want_rule *x = &w->rules[i];

		any = x->family == r->family && x->priority == 0 && may_overlap(&x->to, &r->to) &&
		      (r->invert || may_overlap(&x->from, &r->from));
	}
	return any;
}

/* The first rule at priority 0 that @w wants, from @at on; n_rules if there is none. */
static size_t next_wanted(const struct want *w, size_t at, sa_family_t family)
{
	while (at < w->n_rules && (w->rules[at].family != family || w->rules[at].priority != 0))
		at++;
	return at;
}

/* Does priority 0 have what it must: local, ours in order, the rest? */
static bool rules_in_order(const struct work *w, sa_family_t family)
{
	size_t next = 0;
	bool local = false;
	bool intruder = false;

	for (size_t i = 0; i < w->have->n_rules; i++) {
		const struct rule *r = &w->have->rules[i];

		if (r->family != family || r->priority != 0)
			continue;
		if (is_local_rule(r) && !rule_is_ours(w->want, r)) {
			if (next)
				return false; /* local came back behind ours */
			local = true;
		} else if (rule_is_ours(w->want, r)) {
			next = next_wanted(w->want, next, family);
			if (intruder || next == w->want->n_rules ||
			    !rule_is(r, &w->want->rules[next]))
				return false;
			next++;
		} else if (rule_disturbs(w->want, r)) {
			intruder = true;
		}
	}
	return next_wanted(w->want, next, family) == w->want->n_rules &&
	       (local || wants_local(w->want, family) || w->want->place == PLACE_HOST);
}

static bool local_rule_stands(const struct work *w, sa_family_t family)
{
	for (size_t i = 0; i < w->have->n_rules; i++)
		if (w->have->rules[i].family == family && is_local_rule(&w->have->rules[i]))
			return true;
	return false;
}

static void add_local_rule(struct work *w, sa_family_t family)
{
	struct want_rule *x = arena_new(w->arena, struct want_rule);

	*x = (struct want_rule){ .family = family, .table = RT_TABLE_LOCAL, .suppress_len = -1 };
	add_op(w, OP_RULE_ADD)->want_rule = x;
}

/*
 * The kernel appends among equals.  So all of ours are appended once more, what
 * stood in front is appended behind them, and the old ones go last (a deletion
 * takes the first that matches): at no moment does a foreign rule come first
 * that did not before.
 */
static void renew_rules(struct work *w, sa_family_t family)
{
	if (w->want->place != PLACE_HOST && !local_rule_stands(w, family) &&
	    !wants_local(w->want, family))
		add_local_rule(w, family);
	for (size_t i = 0; i < w->want->n_rules; i++) {
		const struct want_rule *x = &w->want->rules[i];

		if (x->family == family && x->priority == 0)
			add_op(w, OP_RULE_ADD)->want_rule = x;
	}
	for (size_t i = 0; i < w->have->n_rules; i++) {
		const struct rule *r = &w->have->rules[i];

		if (r->family == family && rule_disturbs(w->want, r))
			add_op(w, OP_RULE_MOVE)->rule = r;
	}
	for (size_t i = 0; i < w->have->n_rules; i++) {
		const struct rule *r = &w->have->rules[i];

		if (r->family == family && rule_is_ours(w->want, r))
			add_op(w, OP_RULE_DEL)->rule = r;
	}
}

/* A rule that may stand anywhere, at a priority of its own. */
static void need_rule(struct work *w, const struct want_rule *x)
{
	for (size_t i = 0; i < w->have->n_rules; i++)
		if (rule_is(&w->have->rules[i], x))
			return;
	add_op(w, OP_RULE_ADD)->want_rule = x;
}

/* A kernel may be without IPv6; then nothing of it is wanted here. */
static bool is_spoken(const struct work *w, sa_family_t family)
{
	for (size_t i = 0; i < w->want->n_routes; i++)
		if (w->want->routes[i].family == family)
			return true;
	for (size_t i = 0; i < w->have->n_rules; i++)
		if (w->have->rules[i].family == family)
			return true;
	return false;
}

static void diff_rules(struct work *w)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (is_spoken(w, families[i]) && !rules_in_order(w, families[i]))
			renew_rules(w, families[i]);
	for (size_t i = 0; i < w->want->n_rules; i++)
		if (w->want->rules[i].priority != 0)
			need_rule(w, &w->want->rules[i]);
}

void diff_make(struct arena *a, const struct snapshot *have, const struct want *want,
	       struct diff *ret)
{
	struct work w = { .arena = a, .have = have, .want = want, .out = ret };

	*ret = (struct diff){ 0 };
	diff_links(&w);
	diff_addresses_add(&w);
	diff_routes_add(&w);
	diff_rules(&w);
	diff_routes_del(&w);
	diff_addresses_del(&w);
}

static const char *prefix_words(struct arena *a, const char *word, const struct prefix *p)
{
	char buf[PREFIX_TEXT_SIZE];

	return p->ip.family && p->len ? arena_printf(a, " %s %s", word, prefix_text(p, buf)) : "";
}

static const char *want_rule_words(struct arena *a, const struct want_rule *r)
{
	return arena_printf(
		a, "rule%s%s%s%s%s lookup %u", prefix_words(a, "from", &r->from),
		prefix_words(a, "to", &r->to), r->iif ? " iif " : "", r->iif ? r->iif : "",
		r->mark_mask ? arena_printf(a, " fwmark 0x%x/0x%x", r->mark, r->mark_mask) : "",
		r->table);
}

static const char *rule_words(struct arena *a, const struct rule *r)
{
	return arena_printf(
		a, "rule%s%s%s%s%s lookup %u", prefix_words(a, "from", &r->from),
		prefix_words(a, "to", &r->to), r->iif[0] ? " iif " : "", r->iif,
		r->has_mark ? arena_printf(a, " fwmark 0x%x/0x%x", r->mark, r->mark_mask) : "",
		r->table);
}

static const char *want_route_words(struct arena *a, const struct want_route *r)
{
	char buf[PREFIX_TEXT_SIZE];

	return arena_printf(a, "%sroute %s%s%s table %u",
			    r->type == RTN_UNREACHABLE ? "unreachable " : "",
			    prefix_text(&r->dst, buf), r->link ? " dev " : "",
			    r->link ? r->link : "", r->table);
}

const char *diff_op_text(struct arena *a, const struct op *op)
{
	char buf[PREFIX_TEXT_SIZE];

	switch (op->kind) {
	case OP_LINK_ADD:
		return arena_printf(a, "link %s was missing", op->want_link->name);
	case OP_LINK_FREE:
		return arena_printf(a, "link %s was in a bridge or without ARP",
				    op->want_link->name);
	case OP_LINK_SET:
		return arena_printf(a, "link %s was not as it must be (up, alias, size)",
				    op->want_link->name);
	case OP_ADDRESS_ADD:
		return arena_printf(a, "address %s on %s was missing",
				    ip_text(&op->want_address->local, buf), op->want_address->link);
	case OP_ADDRESS_DEL:
		return arena_printf(a, "address %s was too much",
				    ip_text(&op->address->local, buf));
	case OP_ROUTE_ADD:
		return arena_printf(a, "%s was missing", want_route_words(a, op->want_route));
	case OP_ROUTE_DEL:
		return arena_printf(a, "route %s table %u was too much",
				    prefix_text(&op->route->dst, buf), op->route->table);
	case OP_RULE_ADD:
		return arena_printf(a, "%s was missing or out of order",
				    want_rule_words(a, op->want_rule));
	case OP_RULE_MOVE:
		return arena_printf(a, "%s stood in front of ours", rule_words(a, op->rule));
	case OP_RULE_DEL:
		return arena_printf(a, "old %s", rule_words(a, op->rule));
	}
	return "";
}
