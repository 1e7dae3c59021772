/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UNIT_RIGHT_H
#define TESTS_UNIT_RIGHT_H

/*
 * What must be so of a namespace in the simulator: in the end, and after each step on
 * the way.  It is said here a second time, without a look at diff.c.
 */
#include "simulator.h"

static const sa_family_t families[] = { AF_INET, AF_INET6 };

static inline bool is_kernels_local(const struct rule *r)
{
	struct rule plain = sim_rule(r->family, 0, RT_TABLE_LOCAL);

	plain.protocol = r->protocol;
	return sim_rule_equal(r, &plain);
}

static inline bool in_tables(const struct want *w, uint32_t table)
{
	return w->table_first && table >= w->table_first && table <= w->table_last;
}

static inline const struct prefix *net_of(const struct want *w, sa_family_t family)
{
	return family == AF_INET ? &w->slot.net4 : &w->slot.net6;
}

/* `to POOL lookup TABLE` and `from POOL lookup main` of gates that are elsewhere. */
static inline bool is_other_gates(const struct want *w, const struct rule *r)
{
	const struct prefix *p = r->table == RT_TABLE_MAIN ? &r->from : &r->to;

	return w->place == PLACE_HOST && r->priority == 0 && r->protocol == RTPROT_KERNEL &&
	       slot_is_pool(p) && (r->table == RT_TABLE_MAIN || r->table == SLOT_TABLE) &&
	       w->shared && !prefix_contains(p, net_of(w, r->family));
}

/* A rule of ours at priority 0, whether wanted or not. */
static inline bool is_ours(const struct want *w, const struct rule *r)
{
	if (r->priority != 0 || is_kernels_local(r) || is_other_gates(w, r))
		return false;
	if (w->place == PLACE_HOST)
		return in_tables(w, r->table) ||
		       (r->protocol == RTPROT_KERNEL && r->table == RT_TABLE_MAIN &&
			slot_is_pool(&r->from));
	return r->protocol == w->protocol;
}

/* May a packet of the slot be taken by it? */
static inline bool may_take(const struct want *w, const struct rule *r)
{
	if (w->place != PLACE_HOST || !r->to.ip.family)
		return true;
	for (size_t i = 0; i < w->n_rules; i++)
		if (prefix_overlaps(&r->to, &w->rules[i].to) || w->rules[i].from.len)
			return true;
	return false;
}

/* At priority 0: local, ours in the order wanted, and behind them whatever could take our packets. */
static inline void expect_rules(const struct want *w, const struct snapshot *s, sa_family_t family)
{
	size_t next = 0;
	bool local = false, behind = false;

	for (size_t i = 0; i < s->n_rules; i++) {
		const struct rule *r = &s->rules[i];
		struct rule wanted;

		if (r->family != family || r->priority != 0)
			continue;
		if (is_kernels_local(r)) {
			local = true;
			assert_int_equal(next, 0);
			/* On the host and in rooms that is their owner's affair. */
			assert_false(behind && w->place == PLACE_GATE);
		} else if (is_ours(w, r)) {
			assert_false(behind);
			while (next < w->n_rules &&
			       (w->rules[next].family != family || w->rules[next].priority))
				next++;
			assert_true(next < w->n_rules);
			wanted = sim_wanted_rule(w, &w->rules[next++]);
			wanted.protocol =
				r->protocol; /* the table alone makes it ours on the host */
			assert_true(sim_rule_equal(r, &wanted));
		} else if (!is_other_gates(w, r) && may_take(w, r)) {
			behind = true;
		}
	}
	for (; next < w->n_rules; next++)
		assert_true(w->rules[next].family != family || w->rules[next].priority != 0);
	assert_true(local || w->place == PLACE_HOST);
}

static inline bool has_rule(const struct snapshot *s, const struct rule *r)
{
	for (size_t i = 0; i < s->n_rules; i++)
		if (sim_rule_equal(&s->rules[i], r))
			return true;
	return false;
}

static inline bool has_route(const struct snapshot *s, const struct route *r)
{
	for (size_t i = 0; i < s->n_routes; i++)
		if (sim_route_equal(&s->routes[i], r))
			return true;
	return false;
}

static inline bool has_address(const struct snapshot *s, const struct address *a)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (s->addresses[i].link == a->link && s->addresses[i].len == a->len &&
		    ip_equal(&s->addresses[i].local, &a->local))
			return true;
	return false;
}

static inline bool wants_route(struct sim *sim, const struct want *w, const struct route *r)
{
	for (size_t i = 0; i < w->n_routes; i++) {
		struct route wanted;
		struct hop hop;

		if (sim_wanted_route(sim, w, &w->routes[i], &hop, &wanted) == 0 &&
		    sim_route_equal(&wanted, r))
			return true;
	}
	return false;
}

static inline const struct want_link *wanted_link(const struct want *w, const char *name)
{
	for (size_t i = 0; i < w->n_links; i++)
		if (str_eq(w->links[i].name, name))
			return &w->links[i];
	return NULL;
}

static inline bool leads_to_us(struct sim *sim, const struct want *w, const struct route *r)
{
	const struct link *l = r->n_hops ? snapshot_link_by_index(&sim->s, r->hops[0].link) : NULL;

	return prefix_contains(net_of(w, r->family), &r->dst) ||
	       (l && wanted_link(w, l->name) != NULL);
}

static inline bool route_is_ours(struct sim *sim, const struct want *w, const struct route *r)
{
	if (in_tables(w, r->table))
		return !w->shared || leads_to_us(sim, w, r);
	return w->place != PLACE_HOST && r->table == RT_TABLE_MAIN && r->protocol == w->protocol;
}

/* Every wanted one whose link is there, and none of ours besides. */
static inline void expect_routes(struct sim *sim, const struct want *w)
{
	for (size_t i = 0; i < w->n_routes; i++) {
		struct route wanted;
		struct hop hop;

		if (sim_wanted_route(sim, w, &w->routes[i], &hop, &wanted) == 0)
			assert_true(has_route(&sim->s, &wanted));
		else
			assert_true(w->routes[i].optional || !sim_link(sim, w->routes[i].link));
	}
	for (size_t i = 0; i < sim->s.n_routes; i++)
		if (route_is_ours(sim, w, &sim->s.routes[i]))
			assert_true(wants_route(sim, w, &sim->s.routes[i]));
}

static inline bool wants_address(struct sim *sim, const struct want *w, const struct address *a)
{
	for (size_t i = 0; i < w->n_addresses; i++) {
		const struct link *l = sim_link(sim, w->addresses[i].link);

		if (l && l->index == a->link && w->addresses[i].len == a->len &&
		    ip_equal(&w->addresses[i].local, &a->local))
			return true;
	}
	return false;
}

static inline void expect_links_and_addresses(struct sim *sim, const struct want *w)
{
	for (size_t i = 0; i < w->n_links; i++) {
		const struct want_link *x = &w->links[i];
		const struct link *l = sim_link(sim, x->name);

		assert_true(l || !x->peer_name);
		if (!l)
			continue;
		assert_true((l->flags & IFF_UP) || !x->up);
		assert_true(!x->alias || str_eq(l->alias, x->alias));
		assert_true(!x->mtu || l->mtu == x->mtu);
	}
	for (size_t i = 0; i < w->n_addresses; i++) {
		const struct want_address *x = &w->addresses[i];
		const struct link *l = sim_link(sim, x->link);

		if (l)
			assert_true(has_address(&sim->s, &(struct address){ .link = l->index,
									    .local = x->local,
									    .len = x->len }));
	}
	for (size_t i = 0; i < sim->s.n_addresses; i++) {
		const struct address *a = &sim->s.addresses[i];
		const struct link *l = snapshot_link_by_index(&sim->s, a->link);

		if (l && !str_eq(l->name, "lo") && wanted_link(w, l->name) &&
		    !ip_is_link_local(&a->local))
			assert_true(wants_address(sim, w, a));
	}
}

static inline void expect_right(struct sim *sim, const struct want *w, bool ipv6)
{
	for (size_t f = 0; f < (ipv6 ? 2 : 1); f++)
		expect_rules(w, &sim->s, families[f]);
	for (size_t i = 0; i < w->n_rules; i++) {
		struct rule wanted = sim_wanted_rule(w, &w->rules[i]);

		if (wanted.priority != 0)
			assert_true(has_rule(&sim->s, &wanted));
	}
	expect_routes(sim, w);
	expect_links_and_addresses(sim, w);
}

static inline bool is_wanted(const struct want *w, const struct rule *r)
{
	for (size_t i = 0; i < w->n_rules; i++) {
		struct rule x = sim_wanted_rule(w, &w->rules[i]);

		if (sim_rule_equal(&x, r))
			return true;
	}
	return false;
}

/* --- what is never missing ---------------------------------------------------- */

/* The rules that stand for us, for the kernel and for everybody else stand at each step. */
static inline void expect_kept(struct sim *sim, const struct want *w, const struct snapshot *before)
{
	for (size_t i = 0; i < before->n_rules; i++) {
		const struct rule *r = &before->rules[i];
		if (!is_ours(w, r) || is_wanted(w, r))
			assert_true(has_rule(&sim->s, r));
	}
	for (size_t i = 0; i < before->n_routes; i++) {
		const struct route *r = &before->routes[i];

		if (!route_is_ours(sim, w, r) || wants_route(sim, w, r))
			assert_true(has_route(&sim->s, r));
	}
	for (size_t i = 0; i < before->n_addresses; i++)
		if (wants_address(sim, w, &before->addresses[i]) ||
		    ip_is_link_local(&before->addresses[i].local))
			assert_true(has_address(&sim->s, &before->addresses[i]));
}

static inline size_t count_rules(const struct want *w, const struct snapshot *s,
				 const struct rule *like)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_rules; i++)
		if (!is_ours(w, &s->rules[i]) && sim_rule_equal(&s->rules[i], like))
			n++;
	return n;
}

/* Nobody else's rule is lost, doubled or made, but for the kernel's own. */
static inline void expect_others_untouched(const struct want *w, const struct snapshot *before,
					   const struct snapshot *after)
{
	for (size_t i = 0; i < after->n_rules; i++) {
		const struct rule *r = &after->rules[i];

		if (!is_wanted(w, r) && !(is_kernels_local(r) && w->place != PLACE_HOST))
			assert_true(has_rule(before, r));
	}
	for (size_t i = 0; i < before->n_rules; i++)
		if (!is_ours(w, &before->rules[i]))
			assert_int_equal(count_rules(w, before, &before->rules[i]),
					 count_rules(w, after, &before->rules[i]));
}

/* Others' rules keep their order among those that were moved, and among those that were not. */
static inline void expect_order_of_moved(const struct want *w, const struct snapshot *before,
					 const struct snapshot *after, bool other_gates)
{
	size_t at = 0;

	for (size_t i = 0; i < before->n_rules; i++) {
		const struct rule *r = &before->rules[i];

		if (r->priority != 0 || is_ours(w, r) || r->table == RT_TABLE_LOCAL ||
		    is_other_gates(w, r) != other_gates || !may_take(w, r))
			continue;
		while (at < after->n_rules && !sim_rule_equal(&after->rules[at], r))
			at++;
		assert_true(at++ < after->n_rules);
	}
}

#endif
