/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which route of a table: fib_table_lookup() for IPv4, fib6_table_lookup()
 * with rt6_select() for IPv6.  From the longest prefix outwards, and inside a
 * prefix in the order of fib_node_route(), the first that fits.  Where the
 * families differ:
 *
 * 1. A route that refuses ends an IPv4 search whatever link was asked for.
 *    IPv6 has such routes on lo: a search for another link passes them by.
 * 2. IPv6 takes the best of all routes of one metric: the wanted link first,
 *    then the router's preference.  If no route of the lowest metric fits, it
 *    takes the best of all the others, whatever their metrics.
 * 3. When no hop of an IPv4 route by next-hop object fits, the kernel also
 *    passes over all routes with the same network address, shorter ones too
 *    (they share a leaf of its trie).
 * 4. IPv6 routes with a source hide those without one to the same prefix, if
 *    no source fits: fib6_node_lookup_1() goes outwards then.  Not so for
 *    ::/0, and not once some route was found that would not do.
 */
#include "fib/choose.h"

#include <linux/rtnetlink.h>

#define TOS_SEEN 0x1c /* of the byte; IPv4 routes look at no more */

struct search {
	const struct fib_table *table;
	const struct flow *flow;
	const struct ip *src;
	int oif;
	bool strict;
};

bool route_refuses(const struct route *r)
{
	return r->type == RTN_UNREACHABLE || r->type == RTN_PROHIBIT || r->type == RTN_BLACKHOLE ||
	       r->type == RTN_THROW;
}

static bool is_dead(const struct hop *hop)
{
	return hop->flags & RTNH_F_DEAD;
}

bool fib_pick_may_take(const struct fib_pick *pick, const struct hop *hop)
{
	if (hop == pick->hop)
		return true;
	if (!pick->by_hash)
		return false;
	/* A group of next-hop objects takes any, whatever link was asked for. */
	if (pick->route->nexthop_id)
		return true;
	return !is_dead(hop) && (!pick->only_link || hop->link == pick->only_link);
}

static bool has_choice(const struct fib_pick *pick)
{
	for (size_t i = 0; i < pick->route->n_hops; i++) {
		const struct hop *hop = &pick->route->hops[i];

		if (hop != pick->hop && fib_pick_may_take(pick, hop))
			return true;
	}
	return false;
}

/* ---- IPv4 ---- */

static bool tos_fits(const struct search *s, const struct route *r)
{
	return !r->tos || r->tos == (s->flow->tos & TOS_SEEN);
}

static const struct hop *usable_hop(const struct search *s, const struct route *r)
{
	for (size_t i = 0; i < r->n_hops; i++) {
		const struct hop *hop = &r->hops[i];

		if (!is_dead(hop) && (!s->oif || hop->link == s->oif))
			return hop;
	}
	return NULL;
}

/*
 * fib_select_default(): among defaults of equal standing the kernel prefers
 * one whose gateway answers.  Without news of neighbours it is the first.
 */
static bool has_equal_default(const struct search *s, const struct fib_node *node, uint32_t at)
{
	const struct route *first = fib_node_route(s->table, node, at);

	if (node->len || s->oif || first->type != RTN_UNICAST || !first->n_hops ||
	    ip_is_none(&first->hops[0].via))
		return false;
	for (uint32_t i = at + 1; i < node->n; i++) {
		const struct route *r = fib_node_route(s->table, node, i);

		if (!tos_fits(s, r) || !usable_hop(s, r))
			continue;
		if (r->metric > first->metric && r->tos == first->tos)
			return false;
		if (r->type == RTN_UNICAST && r->scope == first->scope &&
		    !ip_is_none(&r->hops[0].via))
			return true;
	}
	return false;
}

/* True if @ret is the end of the search in this leaf of the trie. */
static bool choose_ipv4(const struct search *s, const struct fib_node *node, struct fib_pick *ret)
{
	for (uint32_t i = 0; i < node->n; i++) {
		const struct route *r = fib_node_route(s->table, node, i);

		if (!tos_fits(s, r))
			continue;
		if (route_refuses(r)) {
			ret->route = r;
			return true;
		}
		ret->hop = usable_hop(s, r);
		if (ret->hop) {
			ret->route = r;
			ret->by_hash = r->n_hops > 1 && !s->oif;
			ret->by_neighbour = has_equal_default(s, node, i);
			return true;
		}
		if (r->nexthop_id)
			return true;
	}
	return false;
}

static const struct fib_node *longest(const struct fib_table *t, const struct flow *flow)
{
	return t ? fib_table_longest(t, &flow->dst) : NULL;
}

/* Of two tables (mostly there is but one) the longer prefix, or the first. */
static struct fib_pick search_ipv4(struct search *s, const struct fib_table *first,
				   const struct fib_table *second)
{
	const struct fib_node *a = longest(first, s->flow);
	const struct fib_node *b = longest(second, s->flow);
	const struct fib_node *passed = NULL;
	struct fib_pick pick = { 0 };

	while (a || b) {
		bool from_first = a && (!b || a->len >= b->len);
		const struct fib_node *node = from_first ? a : b;

		s->table = from_first ? first : second;
		if (!(passed && passed->high == node->high) && choose_ipv4(s, node, &pick)) {
			if (pick.route)
				break;
			passed = node;
		}
		if (from_first)
			a = fib_table_shorter(first, a);
		else
			b = fib_table_shorter(second, b);
	}
	return pick;
}

/* ---- IPv6 ---- */

/* RFC 4191: low, medium, high in ascending order. */
static int preference(const struct route *r)
{
	return r->pref ^ 2;
}

/* rt6_score_route(); -1 if the link will not do. */
static int score(const struct search *s, const struct route *r, int link)
{
	bool wanted = !s->oif || link == s->oif;

	if (!wanted && s->strict)
		return -1;
	return (wanted ? 2 : 0) | preference(r) << 2;
}

struct best {
	const struct route *route;
	const struct hop *hop;
	int score;
	bool final;
};

static void consider_hop(const struct search *s, const struct route *r, const struct hop *hop,
			 struct best *best)
{
	int n = score(s, r, hop ? hop->link : LINK_LOOPBACK);

	if (n <= best->score)
		return;
	*best = (struct best){ .route = r, .hop = hop, .score = n };
}

static void consider(const struct search *s, const struct route *r, struct best *best)
{
	if (r->nexthop_id && r->type == RTN_BLACKHOLE) {
		*best = (struct best){ .route = r, .final = true };
		return;
	}
	if (!r->n_hops)
		consider_hop(s, r, NULL, best);
	for (size_t i = 0; i < r->n_hops; i++)
		if (!is_dead(&r->hops[i]))
			consider_hop(s, r, &r->hops[i], best);
}

static bool source_fits(const struct search *s, const struct route *r)
{
	struct ip src = *s->src;

	src.family = AF_INET6;
	return !r->src.len || prefix_covers(&r->src, &src);
}

/*
 * Routes @first to @end of @node have sources of one length.  First those of
 * the lowest metric, then the rest as if they had but one.
 */
static void choose_by_score(const struct search *s, const struct fib_node *node, uint32_t first,
			    uint32_t end, struct best *best)
{
	const struct route *lowest = NULL;

	for (uint32_t i = first; i < end && !best->final; i++) {
		const struct route *r = fib_node_route(s->table, node, i);

		if (!source_fits(s, r))
			continue;
		if (!lowest)
			lowest = r;
		if (best->route && r->metric != lowest->metric &&
		    best->route->metric == lowest->metric)
			return;
		consider(s, r, best);
	}
}

static bool choose_ipv6(const struct search *s, const struct fib_node *node, struct fib_pick *ret)
{
	struct best best = { .score = -1 };
	uint32_t end;

	for (uint32_t i = 0; i < node->n && !best.route; i = end) {
		uint8_t len = fib_node_route(s->table, node, i)->src.len;

		for (end = i + 1; end < node->n; end++)
			if (fib_node_route(s->table, node, end)->src.len != len)
				break;
		choose_by_score(s, node, i, end, &best);
	}
	ret->route = best.route;
	ret->hop = best.hop;
	ret->only_link = s->strict ? s->oif : 0;
	ret->by_hash = best.route && best.route->n_hops > 1;
	return best.route;
}

static bool is_hidden(const struct search *s, const struct fib_node *node)
{
	uint32_t i;

	if (!node->len || !fib_node_route(s->table, node, 0)->src.len)
		return false;
	for (i = 0; i < node->n; i++) {
		const struct route *r = fib_node_route(s->table, node, i);

		if (r->src.len && source_fits(s, r))
			return false;
	}
	return true;
}

static struct fib_pick search_ipv6(const struct search *s)
{
	const struct fib_node *node;
	struct fib_pick pick = { 0 };

	node = fib_table_longest(s->table, &s->flow->dst);
	while (node && is_hidden(s, node))
		node = fib_table_shorter(s->table, node);
	while (node && !choose_ipv6(s, node, &pick))
		node = fib_table_shorter(s->table, node);
	return pick;
}

struct fib_pick choose_in_table(const struct fib_table *t, const struct flow *flow,
				const struct ip *src, int oif, bool strict)
{
	struct search s = { t, flow, src, oif, strict };
	struct fib_pick pick = flow->dst.family == AF_INET ? search_ipv4(&s, t, NULL)
							   : search_ipv6(&s);

	if (pick.by_hash)
		pick.by_hash = has_choice(&pick);
	return pick;
}

struct fib_pick choose_in_two(const struct fib_table *first, const struct fib_table *second,
			      const struct flow *flow, int oif)
{
	struct search s = { .flow = flow, .oif = oif };

	return search_ipv4(&s, first, second);
}
