/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_SIMULATOR_H
#define TESTS_SIMULATOR_H

/*
 * A namespace whose kernel is an array: what rtnetlink does with the steps of
 * a diff, as far as tests/kernel shows it.  A rule goes behind its equals in
 * priority; the first that matches in full is deleted; a route goes in front
 * of its equals; what stands already is EEXIST.
 */
#include "base/text.h"
#include "plan/diff.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

struct sim {
	struct arena arena;
	struct snapshot s;
	int last_index;
};

static inline void sim_free(struct sim *sim)
{
	arena_free(&sim->arena);
}
#define CLEANUP_SIM __attribute__((cleanup(sim_free)))

#define SIM_REMOVE(items, n, i)                                                                    \
	(memmove(&(items)[i], &(items)[(i) + 1], ((n) - (i)-1) * sizeof(*(items))), (n)--)

static inline struct link *sim_link(struct sim *sim, const char *name)
{
	for (size_t i = 0; i < sim->s.n_links; i++)
		if (str_eq(sim->s.links[i].name, name))
			return &sim->s.links[i];
	return NULL;
}

static inline struct link *sim_link_add(struct sim *sim, const char *name)
{
	struct link *l = arena_push(&sim->arena, sim->s.links, sim->s.n_links, sim->s.cap_links);

	*l = (struct link){ .index = ++sim->last_index, .mtu = 1500 };
	snprintf(l->name, sizeof(l->name), "%s", name);
	return l;
}

/* With everything that stands on it, but for the rules that name it. */
static inline void sim_link_del(struct sim *sim, const char *name)
{
	struct link *l = sim_link(sim, name);
	int index = l ? l->index : -1;

	for (size_t i = sim->s.n_addresses; i-- > 0;)
		if (sim->s.addresses[i].link == index)
			SIM_REMOVE(sim->s.addresses, sim->s.n_addresses, i);
	for (size_t i = sim->s.n_routes; i-- > 0;)
		if (sim->s.routes[i].n_hops && sim->s.routes[i].hops[0].link == index)
			SIM_REMOVE(sim->s.routes, sim->s.n_routes, i);
	if (l)
		SIM_REMOVE(sim->s.links, sim->s.n_links, (size_t)(l - sim->s.links));
}

static inline void sim_address_add(struct sim *sim, const struct address *a)
{
	*arena_push(&sim->arena, sim->s.addresses, sim->s.n_addresses, sim->s.cap_addresses) = *a;
}

static inline bool sim_route_equal(const struct route *a, const struct route *b)
{
	return a->family == b->family && a->type == b->type && a->table == b->table &&
	       a->metric == b->metric && a->tos == b->tos && prefix_equal(&a->dst, &b->dst) &&
	       ip_equal(&a->prefsrc, &b->prefsrc) && a->n_hops == b->n_hops &&
	       (!a->n_hops ||
		(a->hops[0].link == b->hops[0].link && ip_equal(&a->hops[0].via, &b->hops[0].via)));
}

static inline int sim_route_add(struct sim *sim, const struct route *r)
{
	struct route *to;
	size_t at = sim->s.n_routes;

	for (size_t i = sim->s.n_routes; i-- > 0;) {
		const struct route *x = &sim->s.routes[i];

		if (sim_route_equal(x, r))
			return -EEXIST;
		if (x->family == r->family && x->table == r->table && x->metric == r->metric &&
		    prefix_equal(&x->dst, &r->dst))
			at = i;
	}
	to = arena_push(&sim->arena, sim->s.routes, sim->s.n_routes, sim->s.cap_routes);
	memmove(&sim->s.routes[at + 1], &sim->s.routes[at],
		(size_t)(to - &sim->s.routes[at]) * sizeof(*to));
	sim->s.routes[at] = *r;
	if (r->n_hops) {
		sim->s.routes[at].hops = arena_new(&sim->arena, struct hop);
		*sim->s.routes[at].hops = *r->hops;
	}
	return 0;
}

static inline bool sim_range_equal(struct rule_range a, struct rule_range b)
{
	return a.first == b.first && a.last == b.last;
}

static inline bool sim_prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return (!a->len && !b->len) || prefix_equal(a, b);
}

static inline bool sim_rule_equal(const struct rule *a, const struct rule *b)
{
	return a->family == b->family && a->priority == b->priority && a->action == b->action &&
	       a->protocol == b->protocol && a->tos == b->tos && a->ip_proto == b->ip_proto &&
	       a->invert == b->invert && a->table == b->table && a->target == b->target &&
	       a->mark == b->mark && a->mark_mask == b->mark_mask && a->has_mark == b->has_mark &&
	       a->suppress_len == b->suppress_len && a->suppress_group == b->suppress_group &&
	       a->has_uid == b->has_uid && sim_range_equal(a->uid, b->uid) &&
	       a->has_dport == b->has_dport && sim_range_equal(a->dport, b->dport) &&
	       a->has_dscp == b->has_dscp && a->dscp == b->dscp && a->tun_id == b->tun_id &&
	       a->l3mdev == b->l3mdev && sim_prefix_equal(&a->from, &b->from) &&
	       sim_prefix_equal(&a->to, &b->to) && str_eq(a->iif, b->iif) &&
	       str_eq(a->oif, b->oif) && str_eq(a->unknown, b->unknown);
}

/* At @at of those with its priority and family, the last place when there are fewer. */
static inline void sim_rule_insert(struct sim *sim, const struct rule *r, size_t at)
{
	struct rule *end;
	struct rule rule = *r;
	size_t i = 0;

	for (; i < sim->s.n_rules; i++) {
		const struct rule *x = &sim->s.rules[i];

		if (x->family > r->family || (x->family == r->family && x->priority > r->priority))
			break;
		if (x->family == r->family && x->priority == r->priority && at-- == 0)
			break;
	}
	end = arena_push(&sim->arena, sim->s.rules, sim->s.n_rules, sim->s.cap_rules);
	memmove(&sim->s.rules[i + 1], &sim->s.rules[i],
		(size_t)(end - &sim->s.rules[i]) * sizeof(*end));
	sim->s.rules[i] = rule;
}

static inline void sim_rule_append(struct sim *sim, const struct rule *r)
{
	sim_rule_insert(sim, r, SIZE_MAX);
}

static inline int sim_rule_del(struct sim *sim, const struct rule *r)
{
	for (size_t i = 0; i < sim->s.n_rules; i++)
		if (sim_rule_equal(&sim->s.rules[i], r)) {
			SIM_REMOVE(sim->s.rules, sim->s.n_rules, i);
			return 0;
		}
	return -ENOENT;
}

static inline struct rule sim_rule(sa_family_t family, uint32_t priority, uint32_t table)
{
	return (struct rule){ .family = family,
			      .priority = priority,
			      .table = table,
			      .action = FR_ACT_TO_TBL,
			      .protocol = RTPROT_KERNEL,
			      .suppress_len = -1,
			      .suppress_group = -1 };
}

/* The rules of a namespace just made. */
static inline void sim_first_rules(struct sim *sim, bool ipv6)
{
	struct rule r = sim_rule(AF_INET, 0, RT_TABLE_LOCAL);

	sim_rule_append(sim, &r);
	r = sim_rule(AF_INET, 32766, RT_TABLE_MAIN);
	sim_rule_append(sim, &r);
	r = sim_rule(AF_INET, 32767, RT_TABLE_DEFAULT);
	sim_rule_append(sim, &r);
	if (!ipv6)
		return;
	r = sim_rule(AF_INET6, 0, RT_TABLE_LOCAL);
	sim_rule_append(sim, &r);
	r = sim_rule(AF_INET6, 32766, RT_TABLE_MAIN);
	sim_rule_append(sim, &r);
}

/* --- a diff applied --------------------------------------------------------- */

static inline struct rule sim_wanted_rule(const struct want *w, const struct want_rule *x)
{
	struct rule r = sim_rule(x->family, x->priority, x->table);

	if (x->priority == 0 && x->table != RT_TABLE_LOCAL)
		r.protocol = w->protocol;
	r.from = x->from;
	r.to = x->to;
	r.has_mark = x->mark_mask != 0;
	r.mark = x->mark;
	r.mark_mask = x->mark_mask;
	r.suppress_len = x->suppress_len;
	snprintf(r.iif, sizeof(r.iif), "%s", x->iif ? x->iif : "");
	return r;
}

/* -ENODEV when its link is away. */
static inline int sim_wanted_route(struct sim *sim, const struct want *w,
				   const struct want_route *x, struct hop *hop, struct route *ret)
{
	const struct link *l = x->link ? sim_link(sim, x->link) : NULL;

	*hop = (struct hop){ .link = l ? l->index : 0, .via = x->via, .weight = 1 };
	*ret = (struct route){ .family = x->family,
			       .type = x->type,
			       .scope = x->scope,
			       .protocol = w->protocol,
			       .table = x->table,
			       .metric = x->metric,
			       .dst = x->dst,
			       .prefsrc = x->prefsrc,
			       .hops = hop,
			       .n_hops = x->link ? 1 : 0 };
	return x->link && !l ? -ENODEV : 0;
}

static inline int sim_set_link(struct sim *sim, const struct want_link *x)
{
	struct link *l = sim_link(sim, x->name);

	if (!l)
		return -ENODEV;
	if (x->up)
		l->flags |= IFF_UP;
	if (x->mtu)
		l->mtu = x->mtu;
	if (x->alias)
		snprintf(l->alias, sizeof(l->alias), "%s", x->alias);
	return 0;
}

static inline int sim_add_address(struct sim *sim, const struct want_address *x)
{
	const struct link *l = sim_link(sim, x->link);

	if (!l)
		return -ENODEV;
	for (size_t i = 0; i < sim->s.n_addresses; i++)
		if (sim->s.addresses[i].link == l->index &&
		    ip_equal(&sim->s.addresses[i].local, &x->local) &&
		    (sim->s.addresses[i].len == x->len || x->local.family == AF_INET6))
			return -EEXIST;
	sim_address_add(sim, &(struct address){ .link = l->index,
						.local = x->local,
						.len = x->len,
						.scope = x->scope });
	return 0;
}

static inline int sim_del_address(struct sim *sim, const struct address *a)
{
	for (size_t i = 0; i < sim->s.n_addresses; i++) {
		const struct address *x = &sim->s.addresses[i];

		if (x->link == a->link && ip_equal(&x->local, &a->local) && x->len == a->len) {
			SIM_REMOVE(sim->s.addresses, sim->s.n_addresses, i);
			return 0;
		}
	}
	return -EADDRNOTAVAIL;
}

static inline int sim_del_route(struct sim *sim, const struct route *r)
{
	for (size_t i = 0; i < sim->s.n_routes; i++)
		if (sim_route_equal(&sim->s.routes[i], r)) {
			SIM_REMOVE(sim->s.routes, sim->s.n_routes, i);
			return 0;
		}
	return -ESRCH;
}

/* 0 or what the kernel would have said. @op points into another snapshot than the simulator's. */
static inline int sim_apply(struct sim *sim, const struct want *w, const struct op *op)
{
	struct route route;
	struct rule rule;
	struct hop hop;
	int r;

	switch (op->kind) {
	case OP_LINK_ADD:
		if (sim_link(sim, op->want_link->name))
			return -EEXIST;
		sim_link_add(sim, op->want_link->name);
		return sim_set_link(sim, op->want_link);
	case OP_LINK_FREE:
		sim_link(sim, op->want_link->name)->master = 0;
		sim_link(sim, op->want_link->name)->flags &= ~(uint32_t)IFF_NOARP;
		return 0;
	case OP_LINK_SET:
		return sim_set_link(sim, op->want_link);
	case OP_ADDRESS_ADD:
		return sim_add_address(sim, op->want_address);
	case OP_ADDRESS_DEL:
		return sim_del_address(sim, op->address);
	case OP_ROUTE_ADD:
		r = sim_wanted_route(sim, w, op->want_route, &hop, &route);
		return r < 0 ? r : sim_route_add(sim, &route);
	case OP_ROUTE_DEL:
		return sim_del_route(sim, op->route);
	case OP_RULE_ADD:
		rule = sim_wanted_rule(w, op->want_rule);
		sim_rule_append(sim, &rule);
		return 0;
	case OP_RULE_MOVE:
		sim_rule_append(sim, op->rule);
		return sim_rule_del(sim, op->rule);
	case OP_RULE_DEL:
		return sim_rule_del(sim, op->rule);
	}
	return -EINVAL;
}

/* A copy that later steps do not change; in @sim's arena. */
static inline struct snapshot sim_snapshot(struct sim *sim)
{
	struct snapshot s = sim->s;

#define SIM_COPY(items, n)                                                                         \
	(s.items = memcpy(arena_alloc(&sim->arena, (n) * sizeof(*s.items) + 1),                    \
			  sim->s.items ? (const void *)sim->s.items : "", (n) * sizeof(*s.items)))
	SIM_COPY(links, s.n_links);
	SIM_COPY(addresses, s.n_addresses);
	SIM_COPY(routes, s.n_routes);
	SIM_COPY(rules, s.n_rules);
#undef SIM_COPY
	return s;
}

/* The loop of the program: look, compare, do.  How many steps it took. */
static inline size_t sim_reconcile(struct sim *sim, const struct want *w)
{
	struct snapshot have = sim_snapshot(sim);
	struct diff diff;

	diff_make(&sim->arena, &have, w, &diff);
	for (size_t i = 0; i < diff.n_ops; i++)
		sim_apply(sim, w, &diff.ops[i]);
	return diff.n_ops;
}

#endif
