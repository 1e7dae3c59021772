/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/guard.h"

#include "base/text.h"
#include "plan/known.h"
#include "plan/plan.h"
#include "plan/want_add.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

/* IPv6 has no metric 0, and of equal metrics it makes one route of several hops. */
#define METRIC 100u

/* --- what is known ----------------------------------------------------------------- */

bool guard_is_tunnel(const struct link *l)
{
	return known_is_tunnel(l) || (l->flags & IFF_POINTOPOINT);
}

static bool is_bound_to_link(const struct address *x)
{
	return x->local.family == AF_INET6 && ip_is_link_local(&x->local);
}

/* Link-local IPv6 needs no rules: it is bound to its link in any case. */
static bool counts(const struct address *x)
{
	return !is_bound_to_link(x) && !ip_is_loopback(&x->local);
}

static bool has_address(const struct snapshot *host, const struct link *l)
{
	for (size_t i = 0; i < host->n_addresses; i++)
		if (host->addresses[i].link == l->index && counts(&host->addresses[i]))
			return true;
	return false;
}

static const struct guard_door *find_door(const struct guard_memory *m, const char *name)
{
	for (size_t i = 0; i < m->n_doors; i++)
		if (str_eq(m->doors[i].name, name))
			return &m->doors[i];
	return NULL;
}

static bool number_taken(const struct guard_memory *m, uint32_t number)
{
	for (size_t i = 0; i < m->n_doors; i++)
		if (m->doors[i].number == number)
			return true;
	return false;
}

/* The same name gets the same number when it can: connections outlive a guard. */
static uint32_t choose_number(const struct guard_memory *m, const char *name)
{
	uint32_t first = (uint32_t)(str_hash(name, 0) % GUARD_DOORS_MAX);

	for (uint32_t i = 0; i < GUARD_DOORS_MAX; i++) {
		uint32_t number = (first + i) % GUARD_DOORS_MAX;

		if (!number_taken(m, number))
			return number;
	}
	return GUARD_DOORS_MAX;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct guard_door *)a)->name, ((const struct guard_door *)b)->name);
}

/*
 * A door stays one while its link is there: between two addresses of a DHCP
 * client it has none.  Those that were known keep their numbers.
 */
static void learn_doors(struct arena *a, const struct guard_memory *old,
			const struct snapshot *host, struct guard_memory *m)
{
	for (int known = 1; known >= 0; known--) /* so that numbers are kept */
		for (size_t i = 0; i < host->n_links; i++) {
			const struct link *l = &host->links[i];
			const struct guard_door *was = find_door(old, l->name);
			struct guard_door *d;

			if ((was != NULL) != known || l->index == LINK_LOOPBACK ||
			    plan_link_is_ours(l) || (!was && !has_address(host, l)))
				continue;
			d = arena_push(a, m->doors, m->n_doors, m->cap_doors);
			d->name = arena_strdup(a, l->name);
			d->index = l->index;
			d->tunnel = guard_is_tunnel(l);
			d->number = GUARD_DOORS_MAX;
			d->number = was ? was->number : choose_number(m, l->name);
		}
	if (m->n_doors)
		qsort(m->doors, m->n_doors, sizeof(*m->doors), by_name);
}

static bool is_gateways(const struct want_route *r)
{
	return !ip_is_none(&r->via);
}

/* Does an address of @link say that @via is its neighbour? */
static bool is_neighbour_by_address(const struct snapshot *host, const struct link *l,
				    const struct ip *via)
{
	if (via->family == AF_INET6 && ip_is_link_local(via))
		return true;
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct address *x = &host->addresses[i];
		struct prefix net = prefix_of(x->peer.family ? &x->peer : &x->local, x->len);

		if (x->link == l->index && prefix_covers(&net, via))
			return true;
	}
	return false;
}

static bool in_others_tables(const struct route *r)
{
	return r->type == RTN_UNICAST && !(r->flags & RTM_F_CLONED) && r->table != RT_TABLE_LOCAL &&
	       (r->table < SLOT_TABLE || r->table > GUARD_TABLE_LAST);
}

/* Those that the kernel makes of IPv4 addresses say nothing that these do not. */
static bool tells_neighbours(const struct route *r)
{
	return in_others_tables(r) && r->n_hops == 1 && ip_is_none(&r->hops[0].via) &&
	       (r->family == AF_INET6 || r->protocol != RTPROT_KERNEL);
}

/*
 * Or a route?  Clouds give an address /32, DHCPv6 one of /128: who is a neighbour
 * say routes of DHCP or of router advertisements alone, which go when the link
 * flaps, and are remembered.
 */
static bool is_neighbour(const struct guard_memory *m, const struct snapshot *host,
			 const struct link *l, const struct ip *via)
{
	if (is_neighbour_by_address(host, l, via))
		return true;
	for (size_t i = 0; i < host->n_routes; i++)
		if (tells_neighbours(&host->routes[i]) &&
		    host->routes[i].hops[0].link == l->index &&
		    prefix_covers(&host->routes[i].dst, via))
			return true;
	for (size_t i = 0; i < m->n_routes; i++)
		if (!is_gateways(&m->routes[i]) && str_eq(m->routes[i].link, l->name) &&
		    prefix_covers(&m->routes[i].dst, via))
			return true;
	return false;
}

static bool has_family(const struct snapshot *host, const struct link *l, sa_family_t family)
{
	for (size_t i = 0; i < host->n_addresses; i++)
		if (host->addresses[i].link == l->index &&
		    host->addresses[i].local.family == family && counts(&host->addresses[i]))
			return true;
	return false;
}

/* Could packets go by it now? */
static bool is_usable(const struct guard_memory *m, const struct snapshot *host,
		      const struct want_route *r)
{
	const struct link *l = snapshot_link_by_name(host, r->link);

	return l && has_family(host, l, r->family) &&
	       (!is_gateways(r) || r->onlink || is_neighbour(m, host, l, &r->via));
}

static struct want_route *find_route(struct guard_memory *m, const struct want_route *like)
{
	for (size_t i = 0; i < m->n_routes; i++) {
		struct want_route *r = &m->routes[i];

		if (r->family == like->family && str_eq(r->link, like->link) &&
		    prefix_equal(&r->dst, &like->dst))
			return r;
	}
	return NULL;
}

static bool has_gateway(const struct guard_memory *m, const struct snapshot *host,
			sa_family_t family, const char *link)
{
	for (size_t i = 0; i < m->n_routes; i++)
		if (m->routes[i].family == family && !m->routes[i].dst.len &&
		    str_eq(m->routes[i].link, link) && is_usable(m, host, &m->routes[i]))
			return true;
	return false;
}

static bool configures_doors(const struct route *r)
{
	return r->protocol == RTPROT_KERNEL || r->protocol == RTPROT_RA ||
	       r->protocol == RTPROT_DHCP;
}

/*
 * The kernel's own for an address's prefix come from the address.  A router
 * advertisement may tell of a prefix in which the host has no address.
 */
static bool is_connected(const struct snapshot *host, const struct route *r, const struct hop *h)
{
	if (r->protocol != RTPROT_KERNEL || !ip_is_none(&h->via))
		return false;
	if (r->family == AF_INET)
		return true;
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct address *x = &host->addresses[i];
		struct prefix net = prefix_of(x->peer.family ? &x->peer : &x->local, x->len);

		if (x->link == h->link && prefix_equal(&net, &r->dst))
			return true;
	}
	return false;
}

/* One hop of a route as the door's. */
static struct want_route as_doors(const struct route *r, const struct hop *h,
				  const struct guard_door *d)
{
	return (struct want_route){ .family = r->family,
				    .type = RTN_UNICAST,
				    .scope = r->scope,
				    .metric = r->metric,
				    .dst = r->dst,
				    .link = d->name,
				    .via = h->via,
				    .prefsrc = r->prefsrc,
				    .mtu = r->mtu,
				    .onlink = h->flags & RTNH_F_ONLINK,
				    .optional = true };
}

struct learn {
	struct arena *arena;
	const struct guard_memory *old;
	const struct snapshot *host;
	struct guard_memory *now;
};

static bool has_tunnel(const struct guard_memory *m)
{
	for (size_t i = 0; i < m->n_doors; i++)
		if (m->doors[i].tunnel)
			return true;
	return false;
}

/*
 * A door's route is new when the door is, when somebody who configures doors
 * made it, when it is a gateway for a door that has none, or when there is no
 * tunnel, and so no client: then it is the host's owner who has changed it.
 */
static bool is_credible(const struct learn *l, const struct route *r, const struct guard_door *d)
{
	if (!find_door(l->old, d->name) || configures_doors(r) || !has_tunnel(l->now))
		return true;
	return !has_gateway(l->old, l->host, r->family, d->name);
}

/* main's word is taken before other tables', a lower metric before a higher one. */
static bool is_better(const struct want_route *x, bool is_main, const struct want_route *than)
{
	return is_main && x->metric < than->metric;
}

/* A gateway that is a neighbour by a route only, on the link. */
static struct want_route as_neighbour(const struct want_route *r)
{
	return (struct want_route){ .family = r->via.family,
				    .type = RTN_UNICAST,
				    .scope = r->via.family == AF_INET ? RT_SCOPE_LINK
								      : RT_SCOPE_UNIVERSE,
				    .dst = prefix_host(&r->via),
				    .link = r->link,
				    .optional = true };
}

static bool needs_route(const struct snapshot *host, const struct want_route *r)
{
	const struct link *l = snapshot_link_by_name(host, r->link);

	return l && is_gateways(r) && !r->onlink && !is_neighbour_by_address(host, l, &r->via);
}

static void keep(struct learn *l, const struct want_route *x)
{
	*arena_push(l->arena, l->now->routes, l->now->n_routes, l->now->cap_routes) = *x;
}

static void learn_hop(struct learn *l, const struct route *r, const struct hop *h)
{
	const struct link *link = snapshot_link_by_index(l->host, h->link);
	const struct guard_door *d = link ? find_door(l->now, link->name) : NULL;
	struct want_route x, near, *known;

	if (!d || d->tunnel || is_connected(l->host, r, h) || !is_credible(l, r, d))
		return;
	x = as_doors(r, h, d);
	if (!is_usable(l->old, l->host, &x))
		return;
	near = as_neighbour(&x);
	if (needs_route(l->host, &x) && !find_route(l->now, &near))
		keep(l, &near);
	known = find_route(l->now, &x);
	if (!known)
		keep(l, &x);
	else if (is_better(&x, r->table == RT_TABLE_MAIN, known))
		*known = x;
}

static void learn_table(struct learn *l, bool main)
{
	for (size_t i = 0; i < l->host->n_routes; i++) {
		const struct route *r = &l->host->routes[i];

		if (!in_others_tables(r) || (r->table == RT_TABLE_MAIN) != main)
			continue;
		for (size_t j = 0; j < r->n_hops; j++)
			learn_hop(l, r, &r->hops[j]);
	}
}

static bool stands_in_others_tables(const struct snapshot *host, int link, const struct prefix *dst)
{
	for (size_t i = 0; i < host->n_routes; i++) {
		const struct route *r = &host->routes[i];

		for (size_t j = 0; j < r->n_hops && in_others_tables(r); j++)
			if (r->hops[j].link == link && prefix_equal(&r->dst, dst))
				return true;
	}
	return false;
}

/* A prefix of IPv6 is on the link for as long as routers say so. */
static bool was_advertised(const struct learn *l, const struct link *link,
			   const struct want_route *r)
{
	return r->family == AF_INET6 && r->dst.len < ip_bits(AF_INET6) && !is_gateways(r) &&
	       !stands_in_others_tables(l->host, link->index, &r->dst);
}

/*
 * Of an old route that nobody has any more: is it of no use?  Its link is gone,
 * or has an address again by which its gateway is nobody's neighbour.
 */
static bool is_stale(const struct learn *l, const struct want_route *r)
{
	const struct link *link = snapshot_link_by_name(l->host, r->link);
	const struct guard_door *d = find_door(l->now, r->link);

	if (!link || !d || d->tunnel || was_advertised(l, link, r))
		return true;
	return has_family(l->host, link, r->family) && !is_usable(l->old, l->host, r);
}

static void keep_old(struct learn *l)
{
	for (size_t i = 0; i < l->old->n_routes; i++) {
		const struct want_route *r = &l->old->routes[i];
		struct want_route x = *r;

		if (is_stale(l, r) || find_route(l->now, r))
			continue;
		x.link = arena_strdup(l->arena, r->link);
		keep(l, &x);
	}
}

/* A link that somebody renames is the same door: sockets have its mark. */
static void follow_names(struct arena *a, const struct guard_memory *old,
			 const struct snapshot *host, struct guard_memory *ret)
{
	*ret = (struct guard_memory){ 0 };
	for (size_t i = 0; i < old->n_routes; i++)
		*arena_push(a, ret->routes, ret->n_routes, ret->cap_routes) = old->routes[i];
	for (size_t i = 0; i < old->n_doors; i++) {
		struct guard_door *d = arena_push(a, ret->doors, ret->n_doors, ret->cap_doors);
		const struct link *l = snapshot_link_by_index(host, old->doors[i].index);

		*d = old->doors[i];
		if (!l || snapshot_link_by_name(host, d->name) || find_door(old, l->name))
			continue;
		for (size_t j = 0; j < ret->n_routes; j++)
			if (str_eq(ret->routes[j].link, d->name))
				ret->routes[j].link = l->name;
		d->name = l->name;
	}
}

void guard_learn(struct arena *a, const struct guard_memory *old, const struct snapshot *host,
		 struct guard_memory *ret)
{
	struct guard_memory was;
	struct learn l = { .arena = a, .old = &was, .host = host, .now = ret };

	*ret = (struct guard_memory){ 0 };
	follow_names(a, old, host, &was);
	learn_doors(a, &was, host, ret);
	learn_table(&l, true);
	learn_table(&l, false);
	keep_old(&l);
}

/* --- what the host must hold --------------------------------------------------------- */

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
	const struct ip *net = x->peer.family ? &x->peer : &x->local;

	return (struct want_route){
		.family = x->local.family,
		.type = RTN_UNICAST,
		.scope = x->local.family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.dst = prefix_of(net, x->len),
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
	struct want_route near = as_neighbour(r);

	if (needs_route(p->host, r) && !has_route(p->want, &near, table, false))
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

static void lan_routes(struct plan *p, const struct guard_door *d)
{
	const struct link *l = snapshot_link_by_name(p->host, d->name);

	if (!l)
		return;
	connected_routes(p, d, l);
	for (size_t i = 0; i < p->m->n_routes; i++) {
		const struct want_route *r = &p->m->routes[i];

		if (!str_eq(r->link, d->name) || !is_usable(p->m, p->host, r))
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
			    r->hops[j].via.family == family && in_others_tables(r))
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

	if (!l || d->number == GUARD_DOORS_MAX || !has_family(p->host, l, family))
		return;
	if (!(l->flags & (IFF_POINTOPOINT | IFF_NOARP))) {
		for (size_t i = 0; i < p->host->n_addresses; i++) {
			struct want_route near = connected(&p->host->addresses[i], d->name);

			if (p->host->addresses[i].link == l->index && near.family == family &&
			    counts(&p->host->addresses[i]) &&
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
	return d->number < GUARD_DOORS_MAX && has_gateway(p->m, p->host, family, d->name);
}

/*
 * What says a LAN door's address goes to the neighbours of any LAN door, then by
 * the gateway of its own, then by another's, and never any other way.
 */
static void address_rules(struct plan *p, const struct guard_door *d, const struct address *x)
{
	struct prefix from = prefix_host(&x->local);

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

		if (x->link == l->index && x->local.family == family && counts(x))
			address_rules(p, d, x);
	}
}

bool guard_leads_on(const struct guard_memory *m, const struct snapshot *host,
		    const struct guard_door *d)
{
	const struct link *l = snapshot_link_by_name(host, d->name);

	return l && !d->tunnel &&
	       (!str_eq(l->kind, "bridge") || has_gateway(m, host, AF_INET, d->name) ||
		has_gateway(m, host, AF_INET6, d->name));
}

/*
 * The guests of this host (containers, virtual machines) are on it, whatever a
 * VPN claims: else a published port leads into the tunnel.
 */
static void guest_rules(struct plan *p, const struct guard_door *d, sa_family_t family)
{
	const struct link *l = snapshot_link_by_name(p->host, d->name);

	if (!l || !str_eq(l->kind, "bridge") || has_gateway(p->m, p->host, family, d->name))
		return;
	for (size_t i = 0; i < p->host->n_addresses; i++) {
		const struct address *x = &p->host->addresses[i];

		if (x->link == l->index && x->local.family == family && counts(x))
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
			const struct guard_door *d = l ? find_door(p->m, l->name) : NULL;
			struct want_rule *r;

			if (!d || d->tunnel || x->local.family != to->ip.family || !counts(x))
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

		if (x->link == LINK_LOOPBACK && x->local.family == family && counts(x))
			address_rules(p, NULL, x);
	}
}

static void older_rules(struct plan *p, const struct guard_wish *wish, sa_family_t family)
{
	for (size_t i = 0; i < wish->n_older; i++) {
		const struct guard_older *x = &wish->older[i];
		const struct guard_door *d = find_door(p->m, x->door);
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

		if (l && x->local.family == family && counts(x) &&
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
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (speaks(&p, families[i]))
			family_plan(&p, wish, families[i]);
	ret->nft = guard_nft(a, m, host, wish);
}
