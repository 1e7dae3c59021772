/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known of the guarded host: its doors, and by which routes they reach what
 * they reach, seen before and beside what a VPN client says.
 */
#include "plan/guard_learn.h"

#include "base/text.h"
#include "plan/known.h"
#include "plan/plan.h"

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

bool guard_is_tunnel(const struct link *l)
{
	return known_is_tunnel(l) || (l->flags & IFF_POINTOPOINT);
}

static bool is_bound_to_link(const struct address *x)
{
	return x->local.family == AF_INET6 && ip_is_link_local(&x->local);
}

/* Link-local IPv6 needs no rules: it is bound to its link in any case. */
bool guard_address_counts(const struct address *x)
{
	return !is_bound_to_link(x) && !ip_is_loopback(&x->local);
}

bool guard_link_speaks(const struct snapshot *host, const struct link *l, sa_family_t family)
{
	for (size_t i = 0; i < host->n_addresses; i++)
		if (host->addresses[i].link == l->index &&
		    host->addresses[i].local.family == family &&
		    guard_address_counts(&host->addresses[i]))
			return true;
	return false;
}

static bool has_address(const struct snapshot *host, const struct link *l)
{
	return guard_link_speaks(host, l, AF_INET) || guard_link_speaks(host, l, AF_INET6);
}

const struct guard_door *guard_door_named(const struct guard_memory *m, const char *name)
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
			const struct guard_door *was = guard_door_named(old, l->name);
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
		struct prefix net = snapshot_address_net(x);

		if (x->link == l->index && prefix_covers(&net, via))
			return true;
	}
	return false;
}

bool guard_in_others_tables(const struct route *r)
{
	return r->type == RTN_UNICAST && !(r->flags & RTM_F_CLONED) && r->table != RT_TABLE_LOCAL &&
	       (r->table < SLOT_TABLE || r->table > GUARD_TABLE_LAST);
}

/* Those that the kernel makes of IPv4 addresses say nothing that these do not. */
static bool tells_neighbours(const struct route *r)
{
	return guard_in_others_tables(r) && r->n_hops == 1 && ip_is_none(&r->hops[0].via) &&
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

/* Could packets go by it now? */
bool guard_route_usable(const struct guard_memory *m, const struct snapshot *host,
			const struct want_route *r)
{
	const struct link *l = snapshot_link_by_name(host, r->link);

	return l && guard_link_speaks(host, l, r->family) &&
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

bool guard_has_gateway(const struct guard_memory *m, const struct snapshot *host,
		       sa_family_t family, const char *link)
{
	for (size_t i = 0; i < m->n_routes; i++)
		if (m->routes[i].family == family && !m->routes[i].dst.len &&
		    str_eq(m->routes[i].link, link) && guard_route_usable(m, host, &m->routes[i]))
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
		struct prefix net = snapshot_address_net(x);

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

bool guard_has_tunnel(const struct guard_memory *m)
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
	if (!guard_door_named(l->old, d->name) || configures_doors(r) || !guard_has_tunnel(l->now))
		return true;
	return !guard_has_gateway(l->old, l->host, r->family, d->name);
}

/* main's word is taken before other tables', a lower metric before a higher one. */
static bool is_better(const struct want_route *x, bool is_main, const struct want_route *than)
{
	return is_main && x->metric < than->metric;
}

/* A gateway that is a neighbour by a route only, on the link. */
struct want_route guard_route_to_gateway(const struct want_route *r)
{
	return (struct want_route){ .family = r->via.family,
				    .type = RTN_UNICAST,
				    .scope = r->via.family == AF_INET ? RT_SCOPE_LINK
								      : RT_SCOPE_UNIVERSE,
				    .dst = prefix_host(&r->via),
				    .link = r->link,
				    .optional = true };
}

bool guard_gateway_needs_route(const struct snapshot *host, const struct want_route *r)
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
	const struct guard_door *d = link ? guard_door_named(l->now, link->name) : NULL;
	struct want_route x, near, *known;

	if (!d || d->tunnel || is_connected(l->host, r, h) || !is_credible(l, r, d))
		return;
	x = as_doors(r, h, d);
	if (!guard_route_usable(l->old, l->host, &x))
		return;
	near = guard_route_to_gateway(&x);
	if (guard_gateway_needs_route(l->host, &x) && !find_route(l->now, &near))
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

		if (!guard_in_others_tables(r) || (r->table == RT_TABLE_MAIN) != main)
			continue;
		for (size_t j = 0; j < r->n_hops; j++)
			learn_hop(l, r, &r->hops[j]);
	}
}

static bool stands_in_others_tables(const struct snapshot *host, int link, const struct prefix *dst)
{
	for (size_t i = 0; i < host->n_routes; i++) {
		const struct route *r = &host->routes[i];

		for (size_t j = 0; j < r->n_hops && guard_in_others_tables(r); j++)
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
	const struct guard_door *d = guard_door_named(l->now, r->link);

	if (!link || !d || d->tunnel || was_advertised(l, link, r))
		return true;
	return guard_link_speaks(l->host, link, r->family) &&
	       !guard_route_usable(l->old, l->host, r);
}

/*
 * While there is no VPN that could have taken it out, a route that main has no more
 * was taken back by whoever made it.  Defaults are kept: a link that flaps may wait
 * long for its own.
 */
static bool is_taken_back(const struct learn *l, const struct want_route *r)
{
	const struct link *link = snapshot_link_by_name(l->host, r->link);

	return r->dst.len && !guard_has_tunnel(l->old) && !guard_has_tunnel(l->now) && link &&
	       (link->flags & IFF_UP);
}

static void keep_old(struct learn *l)
{
	for (size_t i = 0; i < l->old->n_routes; i++) {
		const struct want_route *r = &l->old->routes[i];
		struct want_route x = *r;

		if (is_stale(l, r) || is_taken_back(l, r) || find_route(l->now, r))
			continue;
		x.link = arena_strdup(l->arena, r->link);
		keep(l, &x);
	}
}

static bool has_default(const struct guard_memory *m, sa_family_t family)
{
	for (size_t i = 0; i < m->n_routes; i++)
		if (m->routes[i].family == family && !m->routes[i].dst.len)
			return true;
	return false;
}

static bool tunnel_has_default(const struct learn *l, sa_family_t family)
{
	for (size_t i = 0; i < l->host->n_routes; i++) {
		const struct route *r = &l->host->routes[i];
		const struct link *link =
			r->n_hops ? snapshot_link_by_index(l->host, r->hops[0].link) : NULL;

		if (r->table == RT_TABLE_MAIN && r->family == family && !r->dst.len && link &&
		    guard_is_tunnel(link))
			return true;
	}
	return false;
}

/*
 * When a guard begins while a VPN has the default route, nobody says by which
 * gateway the LAN went to others before.  But the client still reaches its server
 * that way, by a route of its own: unless such routes differ, theirs is the gateway.
 */
static void infer_default(struct learn *l, sa_family_t family)
{
	const struct want_route *like = NULL;
	struct want_route x;

	if (has_default(l->now, family) || !tunnel_has_default(l, family))
		return;
	for (size_t i = 0; i < l->now->n_routes; i++) {
		const struct want_route *r = &l->now->routes[i];

		if (r->family != family || r->dst.len != ip_bits(family) || !is_gateways(r))
			continue;
		if (like && (!ip_equal(&like->via, &r->via) || !str_eq(like->link, r->link)))
			return;
		like = r;
	}
	if (!like)
		return;
	x = *like;
	x.dst = (struct prefix){ .ip.family = family };
	keep(l, &x);
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
		if (!l || snapshot_link_by_name(host, d->name) || guard_door_named(old, l->name))
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
	infer_default(&l, AF_INET);
	infer_default(&l, AF_INET6);
}
