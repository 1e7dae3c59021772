/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/guard_learn.h"

#include "base/text.h"
#include "plan/plan.h"
#include "plan/want_add.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* IPv6 has no metric 0, and of equal metrics it makes one route of several hops. */
#define METRIC 100u

struct plan {
	struct arena *arena;
	const struct guard_memory *m;
	const struct snapshot *host;
	struct want *want;
};

static uint32_t door_table(const struct guard_door *d)
{
	return GUARD_TABLE_DOOR + d->number;
}

static struct want_route *add_route(struct plan *p, const struct want_route *r, uint32_t table,
				    uint32_t metric)
{
	struct want *w = p->want;
	struct want_route *x = arena_push(p->arena, w->routes, w->n_routes, w->cap_routes);

	*x = *r;
	x->table = table;
	x->metric = metric;
	x->optional = true;
	if (!ip_is_none(&x->prefsrc) && !snapshot_has_address(p->host, &x->prefsrc))
		x->prefsrc = (struct ip){ 0 };
	return x;
}

static bool is_up(const struct plan *p, const char *link)
{
	const struct link *l = snapshot_link_by_name(p->host, link);

	return l && (l->flags & IFF_UP);
}

/* The connected prefix of an address, as the kernel puts it into main. */
static struct want_route connected(const struct address *x, const char *link)
{
	return (struct want_route){
		.family = x->local.family,
		.type = RTN_UNICAST,
		.scope = x->local.family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.dst = snapshot_address_net(x),
		.link = link,
		.prefsrc = x->local.family == AF_INET ? x->local : (struct ip){ 0 }
	};
}

static bool has_route(const struct want *w, const struct want_route *x, uint32_t table,
		      bool any_link)
{
	for (size_t i = 0; i < w->n_routes; i++)
		if (w->routes[i].table == table && prefix_equal(&w->routes[i].dst, &x->dst) &&
		    w->routes[i].family == x->family &&
		    (any_link || str_eq(w->routes[i].link, x->link)))
			return true;
	return false;
}

/* Of two doors that reach the same, the one with the lower metric in main comes first. */
static uint32_t rank(const struct plan *p, const struct want_route *x)
{
	uint32_t n = 0;

	for (size_t i = 0; i < p->m->n_routes; i++) {
		const struct want_route *r = &p->m->routes[i];

		if (r->family == x->family && prefix_equal(&r->dst, &x->dst) &&
		    (r->metric < x->metric ||
		     (r->metric == x->metric && strcmp(r->link, x->link) < 0)))
			n++;
	}
	return n;
}

/* The kernel takes for a gateway only whom it reaches on the link. */
static void add_after_gateway(struct plan *p, const struct want_route *r, uint32_t table,
			      uint32_t metric)
{
	struct want_route near = guard_route_to_gateway(r);

	if (guard_gateway_needs_route(p->host, r) && !has_route(p->want, &near, table, false))
		add_route(p, &near, table, metric);
	add_route(p, r, table, metric);
}

/* What a door's addresses say is on its link. */
static void connected_routes(struct plan *p, const struct guard_door *d, const struct link *l)
{
	for (size_t i = 0; i < p->host->n_addresses; i++) {
		const struct address *x = &p->host->addresses[i];
		struct want_route r = connected(x, d->name);

		if (x->link != l->index || ip_is_loopback(&x->local) ||
		    r.dst.len == ip_bits(r.family))
			continue;
		if (d->number < GUARD_DOORS_MAX && !has_route(p->want, &r, door_table(d), true))
			add_route(p, &r, door_table(d), METRIC);
		if (!has_route(p->want, &r, GUARD_TABLE_NEAR, false))
			add_route(p, &r, GUARD_TABLE_NEAR, METRIC + d->number);
	}
}

/*
 * Guests of whom a route alone tells, by a link without an address (Calico's), ask
 * the host for one of the LAN's, and are near to it.
 */
static void guest_routes(struct plan *p)
{
	for (size_t i = 0; i < p->host->n_routes; i++) {
		const struct route *r = &p->host->routes[i];
		const struct link *l =
			r->n_hops == 1 ? snapshot_link_by_index(p->host, r->hops[0].link) : NULL;
		struct want_route x = { .family = r->family,
					.type = RTN_UNICAST,
					.scope = r->scope,
					.dst = r->dst,
					.link = l ? l->name : NULL };

		if (l && r->table == RT_TABLE_MAIN && guard_in_others_tables(r) && r->dst.len &&
		    ip_is_none(&r->hops[0].via) && !plan_link_is_ours(l) && !guard_is_tunnel(l) &&
		    !guard_door_named(p->m, l->name) && l->index != LINK_LOOPBACK &&
		    !ip_is_link_local(&r->dst.ip) &&
		    !has_route(p->want, &x, GUARD_TABLE_NEAR, false))
			add_route(p, &x, GUARD_TABLE_NEAR, 2 * METRIC);
	}
}

static void lan_routes(struct plan *p, const struct guard_door *d)
{
	const struct link *l = snapshot_link_by_name(p->host, d->name);

	if (!l)
		return;
	connected_routes(p, d, l);
	for (size_t i = 0; i < p->m->n_routes; i++) {
		const struct want_route *r = &p->m->routes[i];

		if (!str_eq(r->link, d->name) || !guard_route_usable(p->m, p->host, r))
			continue;
		if (d->number < GUARD_DOORS_MAX && !has_route(p->want, r, door_table(d), true))
			add_after_gateway(p, r, door_table(d), METRIC);
		if (!r->dst.len)
			add_after_gateway(p, r, GUARD_TABLE_FAR, METRIC + rank(p, r));
		else if (!has_route(p->want, r, GUARD_TABLE_NEAR, false))
			add_after_gateway(p, r, GUARD_TABLE_NEAR, 2 * METRIC + rank(p, r));
	}
}

/* Of a tunnel with neighbours (tap), the gateway that its client uses. */
static struct ip tunnel_gateway(const struct plan *p, const struct link *l, sa_family_t family)
{
	for (size_t i = 0; i < p->host->n_routes; i++) {
		const struct route *r = &p->host->routes[i];

		for (size_t j = 0; j < r->n_hops; j++)
			if (r->hops[j].link == l->index && r->family == family &&
			    r->hops[j].via.family == family && guard_in_others_tables(r))
				return r->hops[j].via;
	}
	return (struct ip){ 0 };
}

/* Whoever came out of a tunnel is reached by it, whatever its client claims. */
static void tunnel_routes(struct plan *p, const struct guard_door *d, sa_family_t family)
{
	const struct link *l = snapshot_link_by_name(p->host, d->name);
	struct want_route r = { .family = family,
				.type = RTN_UNICAST,
				.scope = family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
				.dst = { .ip.family = family },
				.link = d->name };

	if (!l || d->number == GUARD_DOORS_MAX || !guard_link_speaks(p->host, l, family))
		return;
	if (!(l->flags & (IFF_POINTOPOINT | IFF_NOARP))) {
		for (size_t i = 0; i < p->host->n_addresses; i++) {
			struct want_route near = connected(&p->host->addresses[i], d->name);

			if (p->host->addresses[i].link == l->index && near.family == family &&
			    guard_address_counts(&p->host->addresses[i]) &&
			    !has_route(p->want, &near, door_table(d), true))
				add_route(p, &near, door_table(d), METRIC);
		}
		r.via = tunnel_gateway(p, l, family);
		if (ip_is_none(&r.via))
			return;
		r.scope = RT_SCOPE_UNIVERSE;
	}
	add_route(p, &r, door_table(d), METRIC);
}

static struct want_rule *add_rule(struct plan *p, sa_family_t family, uint32_t table)
{
	return want_add_rule(p->arena, p->want, family, table);
}

static void mark_rule(struct plan *p, sa_family_t family, uint32_t mark, uint32_t table)
{
	struct want_rule *r = add_rule(p, family, table);

	r->mark = mark;
	r->mark_mask = GUARD_MARK_MASK;
}

static bool has_default(const struct plan *p, const struct guard_door *d, sa_family_t family)
{
	return d->number < GUARD_DOORS_MAX && guard_has_gateway(p->m, p->host, family, d->name);
}

/* Is the range of @x, on door @d, another LAN door's, too? */
static bool is_twin(const struct plan *p, const struct guard_door *d, const struct address *x)
{
	struct prefix net = snapshot_address_net(x);

	for (size_t i = 0; i < p->host->n_addresses; i++) {
		const struct address *y = &p->host->addresses[i];
		const struct link *l = snapshot_link_by_index(p->host, y->link);
		const struct guard_door *other = l ? guard_door_named(p->m, l->name) : NULL;
		struct prefix its = snapshot_address_net(y);

		if (other && other != d && !other->tunnel && guard_address_counts(y) &&
		    prefix_equal(&its, &net))
			return true;
	}
	return false;
}

/*
 * What says a LAN door's address goes to the neighbours of any LAN door, then by
 * the gateway of its own, then by another's, and never any other way.  Of two
 * LANs of one range, who asked an address of the one is a neighbour there.
 */
static void address_rules(struct plan *p, const struct guard_door *d, const struct address *x)
{
	struct prefix from = prefix_host(&x->local);
	struct want_rule *own;

	if (d && d->number < GUARD_DOORS_MAX && is_twin(p, d, x)) {
		own = add_rule(p, x->local.family, door_table(d));
		own->from = from;
		own->to = snapshot_address_net(x);
	}
	add_rule(p, x->local.family, GUARD_TABLE_NEAR)->from = from;
	if (d && has_default(p, d, x->local.family))
		add_rule(p, x->local.family, door_table(d))->from = from;
	add_rule(p, x->local.family, GUARD_TABLE_FAR)->from = from;
}

static void door_rules(struct plan *p, const struct guard_door *d, sa_family_t family)
{
	const struct link *l = snapshot_link_by_name(p->host, d->name);

	for (size_t i = 0; l && i < p->host->n_addresses; i++) {
		const struct address *x = &p->host->addresses[i];

		if (x->link == l->index && x->local.family == family && guard_address_counts(x))
			address_rules(p, d, x);
	}
}

bool guard_leads_on(const struct guard_memory *m, const struct snapshot *host,
		    const struct guard_door *d)
{
	const struct link *l = snapshot_link_by_name(host, d->name);

	return l && !d->tunnel &&
	       (!str_eq(l->kind, "bridge") || guard_has_gateway(m, host, AF_INET, d->name) ||
		guard_has_gateway(m, host, AF_INET6, d->name));
}

/*
 * The guests of this host (containers, virtual machines) are on it, whatever a
 * VPN claims: else a published port leads into the tunnel.
 */
static void guest_rules(struct plan *p, const struct guard_door *d, sa_family_t family)
{
	const struct link *l = snapshot_link_by_name(p->host, d->name);

	if (!l || !str_eq(l->kind, "bridge") || guard_has_gateway(p->m, p->host, family, d->name))
		return;
	for (size_t i = 0; i < p->host->n_addresses; i++) {
		const struct address *x = &p->host->addresses[i];

		if (x->link == l->index && x->local.family == family && guard_address_counts(x))
			add_rule(p, family, GUARD_TABLE_NEAR)->to = prefix_of(&x->local, x->len);
	}
}

/*
 * New connections to @to: what has no source yet, and what is forwarded for a
 * LAN door's network.  A plain `to` would steal the replies to VPN peers inside
 * the prefix.  IPv6 does not take ::/128 for "none yet"; FIND_SADDR lets a rule
 * with a source be asked before there is one.
 */
static void lan_rules(struct plan *p, const struct prefix *to)
{
	static const uint32_t tables[] = { GUARD_TABLE_NEAR, GUARD_TABLE_FAR };
	struct prefix none = { .ip.family = AF_INET, .len = 32 };

	for (size_t t = 0; t < ARRAY_LEN(tables); t++) {
		if (to->ip.family == AF_INET) {
			struct want_rule *r = add_rule(p, AF_INET, tables[t]);

			r->from = none;
			r->to = *to;
		}
		for (size_t i = 0; i < p->host->n_addresses; i++) {
			const struct address *x = &p->host->addresses[i];
			const struct link *l = snapshot_link_by_index(p->host, x->link);
			const struct guard_door *d = l ? guard_door_named(p->m, l->name) : NULL;
			struct want_rule *r;

			if (!d || d->tunnel || x->local.family != to->ip.family ||
			    !guard_address_counts(x))
				continue;
			r = add_rule(p, to->ip.family, tables[t]);
			r->from = prefix_of(&x->local, x->len);
			r->to = *to;
			r->find_saddr = to->ip.family == AF_INET6;
		}
	}
}

/* Addresses of loopback can be reached by every door: a router's own, an anycast service's. */
static void loopback_rules(struct plan *p, sa_family_t family)
{
	for (size_t i = 0; i < p->host->n_addresses; i++) {
		const struct address *x = &p->host->addresses[i];

		if (x->link == LINK_LOOPBACK && x->local.family == family &&
		    guard_address_counts(x))
			address_rules(p, NULL, x);
	}
}

static void older_rules(struct plan *p, const struct guard_wish *wish, sa_family_t family)
{
	for (size_t i = 0; i < wish->n_older; i++) {
		const struct guard_older *x = &wish->older[i];
		const struct guard_door *d = guard_door_named(p->m, x->door);
		struct want_rule *r;

		if (!d || d->number == GUARD_DOORS_MAX || x->local.family != family)
			continue;
		r = add_rule(p, family, door_table(d));
		r->from = prefix_host(&x->local);
		r->to = prefix_host(&x->peer);
	}
}

static bool speaks(const struct plan *p, sa_family_t family)
{
	for (size_t i = 0; i < p->host->n_addresses; i++)
		if (p->host->addresses[i].local.family == family &&
		    !ip_is_loopback(&p->host->addresses[i].local))
			return true;
	return false;
}

static bool local_comes_first(const struct snapshot *host, sa_family_t family)
{
	for (size_t i = 0; i < host->n_rules; i++) {
		const struct rule *r = &host->rules[i];

		if (r->family == family && r->priority == 0 && r->table == RT_TABLE_LOCAL)
			return true;
	}
	return false;
}

/*
 * Where the rule of table local was moved behind others (for VRFs, say the kernel's
 * own instructions), ours are asked before it: what is the host's own stays with it.
 */
static void own_routes(struct plan *p, sa_family_t family)
{
	for (size_t i = 0; i < p->host->n_addresses; i++) {
		const struct address *x = &p->host->addresses[i];
		const struct link *l = snapshot_link_by_index(p->host, x->link);
		struct want_route r = { .family = family,
					.type = RTN_LOCAL,
					.scope = family == AF_INET ? RT_SCOPE_HOST
								   : RT_SCOPE_UNIVERSE,
					.dst = prefix_host(&x->local),
					.link = l ? l->name : NULL };

		if (l && x->local.family == family && guard_address_counts(x) &&
		    !has_route(p->want, &r, GUARD_TABLE_NEAR, true))
			add_route(p, &r, GUARD_TABLE_NEAR, METRIC);
	}
}

static void family_plan(struct plan *p, const struct guard_wish *wish, sa_family_t family)
{
	for (size_t i = 0; i < p->m->n_doors; i++) {
		const struct guard_door *d = &p->m->doors[i];

		if (d->tunnel && is_up(p, d->name))
			tunnel_routes(p, d, family);
		if (d->number < GUARD_DOORS_MAX)
			mark_rule(p, family, door_table(d) << 16, door_table(d));
	}
	if (!local_comes_first(p->host, family))
		own_routes(p, family);
	want_add_floor(p->arena, p->want, GUARD_TABLE_FAR, family);
	mark_rule(p, family, GUARD_MARK_BEFORE, GUARD_TABLE_NEAR);
	mark_rule(p, family, GUARD_MARK_BEFORE, GUARD_TABLE_FAR);
	for (size_t i = 0; i < p->m->n_doors; i++)
		if (!p->m->doors[i].tunnel)
			guest_rules(p, &p->m->doors[i], family);
	older_rules(p, wish, family);
	for (size_t i = 0; i < p->m->n_doors; i++)
		if (!p->m->doors[i].tunnel)
			door_rules(p, &p->m->doors[i], family);
	loopback_rules(p, family);
	for (size_t i = 0; i < wish->n_lan; i++)
		if (wish->lan[i].ip.family == family)
			lan_rules(p, &wish->lan[i]);
}

void guard_plan(struct arena *a, const struct guard_memory *m, const struct snapshot *host,
		const struct guard_wish *wish, struct want *ret)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	struct plan p = { .arena = a, .m = m, .host = host, .want = ret };

	*ret = (struct want){ .place = PLACE_HOST,
			      .guard = true,
			      .protocol = RTPROT_KERNEL,
			      .table_first = GUARD_TABLE_NEAR,
			      .table_last = GUARD_TABLE_LAST };
	for (size_t i = 0; i < m->n_doors; i++)
		if (!m->doors[i].tunnel && is_up(&p, m->doors[i].name))
			lan_routes(&p, &m->doors[i]);
	guest_routes(&p);
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (speaks(&p, families[i]))
			family_plan(&p, wish, families[i]);
	ret->nft = guard_nft(a, m, host, wish);
}
