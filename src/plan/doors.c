/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/doors.h"

#include "base/text.h"
#include "plan/plan.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

struct search {
	struct arena *arena;
	const struct snapshot *net;
	const struct ip *gateways;
	size_t n_gateways;
	struct seen_doors *out;
};

static size_t family_index(sa_family_t family)
{
	return family == AF_INET6;
}

bool door_has_address(const struct seen_door *d, const struct address *x)
{
	return x->link == d->link->index && !ip_is_link_local(&x->local) &&
	       !ip_is_loopback(&x->local);
}

bool door_is_asked_at(const struct seen_door *d, const struct address *x)
{
	return door_has_address(d, x) ||
	       (d->carried && x->link == d->link->index && x->local.family == AF_INET6 &&
		ip_is_link_local(&x->local));
}

static bool has_any_address(const struct snapshot *s, const struct link *l)
{
	const struct seen_door d = { .link = l };

	for (size_t i = 0; i < s->n_addresses; i++)
		if (door_has_address(&d, &s->addresses[i]))
			return true;
	return false;
}

/* An Ethernet that a program or another tunnel carries: a VPN's, or slirp4netns(1)'s only one. */
static bool is_carried(const struct link *l)
{
	static const char *const kinds[] = { "tun",       "vxlan",  "geneve", "gretap",
					     "ip6gretap", "erspan", "batadv", "macsec" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(l->kind, kinds[i]))
			return true;
	return false;
}

/* Holds addresses for services (a virtual IP), leads nowhere. */
static bool leads_nowhere(const struct link *l)
{
	return (l->flags & IFF_LOOPBACK) || str_eq(l->kind, "dummy");
}

static bool takes_part(const struct snapshot *s, const struct link *l)
{
	return (l->flags & IFF_UP) && !l->master && has_any_address(s, l);
}

static bool is_wire(const struct link *l)
{
	return l->has_mac && !(l->flags & IFF_POINTOPOINT) && !leads_nowhere(l);
}

static void note_elsewhere(struct search *w)
{
	struct seen_doors *out = w->out;

	for (size_t i = 0; i < w->net->n_addresses; i++) {
		const struct address *x = &w->net->addresses[i];
		const struct link *l = snapshot_link_by_index(w->net, x->link);

		if (l && leads_nowhere(l) && !ip_is_loopback(&x->local) &&
		    !ip_is_link_local(&x->local))
			*arena_push(w->arena, out->elsewhere, out->n_elsewhere,
				    out->cap_elsewhere) = x->local;
	}
}

static bool in_our_range(uint32_t table)
{
	return table >= PLAN_TABLE_DOOR &&
	       table < PLAN_TABLE_DOOR + DOORS_LAN_MAX + DOORS_TUNNEL_MAX;
}

/* The number that the door has already, by the routes in its table. */
static bool number_of(const struct snapshot *s, const struct link *l, uint32_t first, uint32_t *ret)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *r = &s->routes[i];
		uint32_t number = r->table - PLAN_TABLE_DOOR;

		if (in_our_range(r->table) && r->n_hops == 1 && r->hops[0].link == l->index &&
		    number >= first && number < first + DOORS_LAN_MAX) {
			*ret = number;
			return true;
		}
	}
	return false;
}

static bool is_taken(const struct snapshot *s, uint32_t number)
{
	for (size_t i = 0; i < s->n_links; i++) {
		uint32_t other;

		if ((number_of(s, &s->links[i], 0, &other) && other == number) ||
		    (number_of(s, &s->links[i], DOORS_LAN_MAX, &other) && other == number))
			return true;
	}
	return false;
}

static bool given(const struct seen_door *doors, size_t n, uint32_t number)
{
	for (size_t i = 0; i < n; i++)
		if (doors[i].number == number)
			return true;
	return false;
}

/* A door keeps its number, and so its connections' marks, when others come and go. */
static uint32_t choose_number(const struct search *w, const struct link *l,
			      const struct seen_door *doors, size_t n, uint32_t first)
{
	uint32_t number;

	if (number_of(w->net, l, first, &number) && !given(doors, n, number))
		return number;
	number = first;
	while (is_taken(w->net, number) || given(doors, n, number))
		number++;
	return number;
}

/* --- the way on from a door ------------------------------------------------------- */

static bool is_connected(const struct search *w, const struct seen_door *d, const struct ip *ip)
{
	for (size_t i = 0; i < w->net->n_addresses; i++) {
		const struct address *x = &w->net->addresses[i];
		struct prefix p = prefix_of(&x->local, x->len);

		if (x->link == d->link->index && prefix_covers(&p, ip) && !ip_equal(ip, &x->local))
			return true;
	}
	return false;
}

static bool goes_by(const struct route *r, const struct seen_door *d, sa_family_t family)
{
	return r->family == family && r->type == RTN_UNICAST && r->n_hops == 1 &&
	       r->hops[0].link == d->link->index && r->hops[0].via.family == family;
}

enum trust { MAIN_DEFAULT, OTHER_DEFAULT, TOLD, OWN_DEFAULT, SOME_ROUTE, N_TRUST };

static struct ip by_route(const struct search *w, const struct seen_door *d, sa_family_t family,
			  enum trust how)
{
	for (size_t i = 0; i < w->net->n_routes; i++) {
		const struct route *r = &w->net->routes[i];
		bool ours = in_our_range(r->table), all = r->dst.len == 0;
		bool fits = how == MAIN_DEFAULT    ? all && r->table == RT_TABLE_MAIN
			    : how == OTHER_DEFAULT ? all && !ours
			    : how == OWN_DEFAULT   ? all && ours
						   : !ours;

		if (goes_by(r, d, family) && fits &&
		    (how != SOME_ROUTE || is_connected(w, d, &r->hops[0].via)))
			return r->hops[0].via;
	}
	return (struct ip){ 0 };
}

static struct ip as_told(const struct search *w, const struct seen_door *d, sa_family_t family)
{
	for (size_t i = 0; i < w->n_gateways; i++)
		if (w->gateways[i].family == family && is_connected(w, d, &w->gateways[i]))
			return w->gateways[i];
	return (struct ip){ 0 };
}

/*
 * A VPN client may have replaced main's default.  Then the engine knows the
 * gateway, or our own table remembers it, or the route that the client made to
 * its server goes by it.
 */
static struct ip find_gateway(const struct search *w, const struct seen_door *d, sa_family_t family)
{
	for (enum trust how = MAIN_DEFAULT; how < N_TRUST; how++) {
		struct ip ip = how == TOLD ? as_told(w, d, family) : by_route(w, d, family, how);

		if (!ip_is_none(&ip))
			return ip;
	}
	return (struct ip){ 0 };
}

static bool lives_by_ra(const struct search *w, const struct link *l)
{
	for (size_t i = 0; i < w->net->n_routes; i++) {
		const struct route *r = &w->net->routes[i];

		if (r->family == AF_INET6 && r->protocol == RTPROT_RA && r->n_hops &&
		    r->hops[0].link == l->index)
			return true;
	}
	for (size_t i = 0; i < w->net->n_addresses; i++) {
		const struct address *x = &w->net->addresses[i];

		if (x->link == l->index && x->local.family == AF_INET6 &&
		    !ip_is_link_local(&x->local) && !(x->flags & IFA_F_PERMANENT))
			return true;
	}
	return false;
}

static void add_lan(struct search *w, const struct link *l)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	struct seen_doors *out = w->out;
	uint32_t number = choose_number(w, l, out->lan, out->n_lan, 0);
	struct seen_door *d;

	if (out->n_lan == DOORS_LAN_MAX)
		return;
	d = arena_push(w->arena, out->lan, out->n_lan, out->cap_lan);
	*d = (struct seen_door){
		.link = l, .number = number, .by_ra = lives_by_ra(w, l), .carried = is_carried(l)
	};
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		d->gateway[family_index(families[i])] = find_gateway(w, d, families[i]);
}

static void add_tunnel(struct search *w, const struct link *l)
{
	struct seen_doors *out = w->out;
	uint32_t number = choose_number(w, l, out->tunnels, out->n_tunnels, DOORS_LAN_MAX);

	if (out->n_tunnels == DOORS_TUNNEL_MAX)
		return;
	*arena_push(w->arena, out->tunnels, out->n_tunnels, out->cap_tunnels) =
		(struct seen_door){ .link = l, .number = number };
}

void doors_find(struct arena *a, const struct snapshot *s, const struct ip *gateways,
		size_t n_gateways, struct seen_doors *ret)
{
	struct search w = {
		.arena = a, .net = s, .gateways = gateways, .n_gateways = n_gateways, .out = ret
	};
	bool any = false;

	*ret = (struct seen_doors){ 0 };
	note_elsewhere(&w);
	for (size_t i = 0; i < s->n_links; i++)
		any = any || (takes_part(s, &s->links[i]) && is_wire(&s->links[i]) &&
			      !is_carried(&s->links[i]));
	for (size_t i = 0; i < s->n_links; i++) {
		const struct link *l = &s->links[i];

		if (!takes_part(s, l) || leads_nowhere(l))
			continue;
		if (is_wire(l) && !(any && is_carried(l)))
			add_lan(&w, l);
		else
			add_tunnel(&w, l);
	}
}
