/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts with more than one way out, and no rules by their own addresses (those are
 * plan/asked.c's): two interfaces each with a router, or a VPN on the host itself.
 * Main chooses by the client alone, and the reply of a room to who came in by the
 * one would leave by the other.  So connections get the mark of the interface that
 * they come in by, their replies are looked up with it, and a rule leads these to
 * a table of what main knows by that interface.
 *
 * Programs of the host answer as main says, as ever.
 */
#include "plan/plan.h"

#include "plan/guard.h"
#include "plan/want_add.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>

/* Whoever has so many routes by one interface is a router, and has a plan of its own. */
#define ROUTES_MAX 256

static bool is_a_way(const struct route *r)
{
	return r->table == RT_TABLE_MAIN && r->type == RTN_UNICAST && !(r->flags & RTM_F_CLONED);
}

/* Each interface's own networks are not: what main knows of them leads there. */
static bool is_connected(const struct snapshot *host, const struct route *r)
{
	const struct hop *h = &r->hops[0];

	if (r->n_hops != 1 || !ip_is_none(&h->via))
		return false;
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct address *a = &host->addresses[i];
		const struct ip *far = ip_is_none(&a->peer) ? &a->local : &a->peer;
		struct prefix net = prefix_of(far, a->len);

		if (a->link == h->link && a->local.family == r->family &&
		    prefix_equal(&net, &r->dst))
			return true;
	}
	return r->family == AF_INET6 && (ip_is_link_local(&r->dst.ip) || r->dst.ip.byte[0] == 0xff);
}

static const struct hop *hop_by(const struct route *r, int link)
{
	for (size_t i = 0; i < r->n_hops; i++)
		if (r->hops[i].link == link)
			return &r->hops[i];
	return NULL;
}

/*
 * A route can be left behind on an interface that became a port of a bridge: its router
 * is now known by the bridge.  The kernel keeps such a route of IPv6, but takes no
 * other one to a router that it reaches by another interface (ip6_route_check_nh_onlink()).
 */
static bool is_stale(const struct snapshot *host, const struct hop *h)
{
	const struct route *best = NULL;
	bool here = false;

	if (h->via.family != AF_INET6 || ip_is_link_local(&h->via))
		return false;
	for (size_t i = 0; i < host->n_routes; i++) {
		const struct route *r = &host->routes[i];

		if (!is_a_way(r) || !r->dst.len || !prefix_covers(&r->dst, &h->via) ||
		    (best && r->dst.len < best->dst.len))
			continue;
		here = hop_by(r, h->link) || (here && r->dst.len == best->dst.len);
		best = r;
	}
	return best && !here;
}

static bool leads_away(const struct snapshot *host, const struct link *l)
{
	for (size_t i = 0; i < host->n_routes; i++) {
		const struct route *r = &host->routes[i];

		if (is_a_way(r) && hop_by(r, l->index) && !is_connected(host, r))
			return true;
	}
	return false;
}

static bool may_be(const struct link *l)
{
	return l->flags & IFF_UP && !(l->flags & IFF_LOOPBACK) && !plan_link_is_ours(l) &&
	       l->index > 0 && (uint32_t)l->index < SLOT_COUNT;
}

/* The guard tells forwarded replies apart by itself. */
static bool is_guarded(const struct snapshot *host)
{
	for (size_t i = 0; i < host->n_rules; i++)
		if (host->rules[i].table >= GUARD_TABLE_NEAR &&
		    host->rules[i].table <= GUARD_TABLE_LAST)
			return true;
	return false;
}

static bool rules_choose(const struct snapshot *host, const struct link *l)
{
	for (size_t i = 0; i < host->n_addresses; i++)
		if (host->addresses[i].link == l->index &&
		    plan_has_own_way(host, &host->addresses[i]))
			return true;
	return false;
}

/* A router of its own, and not more than can be kept apart. */
static bool has_router(const struct snapshot *host, const struct link *l)
{
	bool any = false;
	size_t n = 0;

	for (size_t i = 0; i < host->n_routes; i++) {
		const struct route *r = &host->routes[i];
		const struct hop *h = is_a_way(r) ? hop_by(r, l->index) : NULL;

		n += h != NULL;
		any |= h && !r->dst.len && !ip_is_none(&h->via) && !is_stale(host, h);
	}
	return any && n <= ROUTES_MAX;
}

static bool has_many_ways(const struct snapshot *host)
{
	size_t n = 0;

	for (size_t i = 0; i < host->n_links; i++)
		n += may_be(&host->links[i]) && leads_away(host, &host->links[i]);
	return n > 1;
}

const struct link *const *plan_sides(struct arena *a, const struct snapshot *host, size_t *ret_n)
{
	const struct link **ret = NULL;
	size_t n = 0, cap = 0;

	*ret_n = 0;
	if (!host || !has_many_ways(host) || is_guarded(host))
		return NULL;
	for (size_t i = 0; i < host->n_links; i++) {
		const struct link *l = &host->links[i];

		if (may_be(l) && has_router(host, l) && !rules_choose(host, l))
			*arena_push(a, ret, n, cap) = l;
	}
	*ret_n = n;
	return ret;
}

static uint32_t side_table(const struct link *l)
{
	return SLOT_TABLE + (uint32_t)l->index;
}

bool plan_is_side_table(uint32_t table)
{
	return table > SLOT_TABLE && table < SLOT_TABLE + SLOT_COUNT;
}

uint32_t plan_side_mark(const struct link *l)
{
	return side_table(l) << 16;
}

static void want_side(struct arena *a, const struct snapshot *host, const struct link *l,
		      sa_family_t family, struct want *w)
{
	struct want_rule *rule = want_add_rule(a, w, family, side_table(l));

	rule->mark = plan_side_mark(l);
	rule->mark_mask = PLAN_MARK_MASK;

	for (size_t i = 0; i < host->n_routes; i++) {
		const struct route *r = &host->routes[i];
		const struct hop *h = is_a_way(r) && r->family == family ? hop_by(r, l->index)
									 : NULL;
		struct want_route *x;

		if (!h || (!ip_is_none(&h->via) && h->via.family != family) || is_stale(host, h))
			continue;
		x = want_add_route(a, w, side_table(l), r->dst, l->name, h->via);
		x->metric = r->metric;
		x->onlink = !ip_is_none(&h->via);
		x->optional = true;
	}
}

void plan_want_sides(struct arena *a, const struct snapshot *host, sa_family_t family,
		     struct want *w)
{
	size_t n;
	const struct link *const *sides = plan_sides(a, host, &n);

	for (size_t i = 0; i < n; i++)
		want_side(a, host, sides[i], family, w);
	/* Those that are no longer wanted go, too. */
	for (size_t i = 0; host && i < host->n_rules; i++)
		n += host->rules[i].has_mark && plan_is_side_table(host->rules[i].table);
	if (n)
		w->table_last = SLOT_TABLE + SLOT_COUNT - 1;
}
