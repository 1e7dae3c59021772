/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan of the gate.  The numbers of its rules in ARCHITECTURE.md are the
 * numbers of the comments here.
 */
#include "plan/plan_parts.h"

#include <linux/rtnetlink.h>

#define WG_MTU      1420u /* fits an outer path of 1500 in either family, as wg-quick(8) */
#define METRIC_MAIN 4096u /* the gate's default in main: any VPN client's beats it */

/* The tunnel's own address and size; its link is made by the supervisor. */
static void wg_link(struct arena *a, const struct plan_facts *f, struct want *w,
		    const struct plan_door *d)
{
	struct want_link *l = want_add_link(a, w, d->interface);

	l->mtu = d->wg->mtu ? d->wg->mtu : WG_MTU;
	l->optional = true;
	for (size_t i = 0; i < d->wg->n_addresses; i++) {
		const struct wg_address *x = &d->wg->addresses[i];
		struct want_address *y;

		if (x->ip.family == AF_INET6 && (!f->ipv6 || d->no_ipv6))
			continue;
		want_add_address(a, w, d->interface, x->ip, RT_SCOPE_UNIVERSE);
		y = &w->addresses[w->n_addresses - 1];
		y->len = x->len;
		y->optional = true;
	}
}

static void gate_sandbox(struct arena *a, const struct gate *g, const struct plan_facts *f,
			 struct want *w, size_t room)
{
	const struct sandbox *x = g->rooms[room].sandbox;
	struct want_link *l = want_add_link(a, w, plan_room_link(a, g, room));

	l->alias = plan_alias(a, g);
	if (f->sandboxes && f->sandboxes[room].link) {
		l->peer_name = f->sandboxes[room].link;
		l->peer_place = PLACE_ROOM;
		l->peer_room = room;
		l->peer_netns = x->path;
	}
	if (!ip_is_none(&x->gateway4))
		want_add_address(a, w, l->name, x->gateway4, RT_SCOPE_LINK);
	if (!ip_is_none(&x->gateway6) && f->ipv6)
		want_add_address(a, w, l->name, x->gateway6, RT_SCOPE_UNIVERSE);
}

static void gate_links(struct arena *a, const struct gate *g, const struct plan_facts *f,
		       struct want *w)
{
	struct want_link *lan;

	want_add_link(a, w, "lo")->alias = plan_alias(a, g); /* whose namespace it is */
	lan = want_add_link(a, w, "lan");
	lan->alias = plan_alias(a, g); /* also under another name */
	lan->plain = f->ipv6;
	want_add_address(a, w, "lan", slot_gate(&f->slot, AF_INET), RT_SCOPE_UNIVERSE);
	if (f->ipv6) {
		want_add_address(a, w, "lan", slot_gate(&f->slot, AF_INET6), RT_SCOPE_UNIVERSE);
		want_add_address(a, w, "lan", link_local(2), RT_SCOPE_LINK);
	}
	for (size_t i = 0; i < g->n_rooms; i++) {
		struct want_link *l;

		if (g->rooms[i].sandbox) {
			gate_sandbox(a, g, f, w, i);
			continue;
		}
		l = want_add_link(a, w, plan_room_link(a, g, i));
		l->alias = plan_alias(a, g);
		l->plain = f->ipv6;
		l->peer_name = "eth0";
		l->peer_place = PLACE_ROOM;
		l->peer_room = i;
		l->peer_netns = plan_room_netns(a, g, i);
		want_add_address(a, w, l->name, slot_gate(&f->slot, AF_INET), RT_SCOPE_LINK);
		if (f->ipv6)
			want_add_address(a, w, l->name, link_local(1), RT_SCOPE_LINK);
	}
	for (size_t i = 1; i < g->n_doors; i++)
		if (f->doors[i].interface && f->doors[i].wg)
			wg_link(a, f, w, &f->doors[i]);
}

/* By the lan door to everywhere. IPv6 goes by link-local addresses, which no VPN can push. */
static void by_lan(struct arena *a, const struct plan_facts *f, struct want *w, uint32_t table,
		   sa_family_t family, uint32_t metric)
{
	struct ip host = slot_host(&f->slot, family);
	struct want_route *r;

	if (family == AF_INET)
		want_add_route(a, w, table, prefix_host(&host), "lan", (struct ip){ 0 });
	r = want_add_route(a, w, table, want_everything(family), "lan",
			   family == AF_INET ? host : slot_link_local(&f->slot));
	r->prefsrc = slot_gate(&f->slot, family);
	if (metric)
		r->metric = metric;
}

/*
 * A WireGuard peer's AllowedIPs, as routes in main like those of any VPN
 * client.  Everything becomes two halves: rule 5 does not look at main's
 * default.  Of two doors that claim the same, the first in the file wins.
 */
static void wg_routes(struct arena *a, struct want *w, const struct plan_door *d, size_t door,
		      sa_family_t family, const struct prefix *p)
{
	struct prefix half = *p;

	if (p->ip.family != family)
		return;
	half.len = p->len ? p->len : 1;
	for (int i = 0; i < (p->len ? 1 : 2); i++) {
		struct want_route *r =
			want_add_route(a, w, RT_TABLE_MAIN, half, d->interface, (struct ip){ 0 });

		r->metric = (family == AF_INET6 ? WANT_METRIC6 : 0) + (uint32_t)door;
		r->optional = true;
		half.ip.byte[0] |= 0x80;
	}
}

static void wg_door(struct arena *a, struct want *w, const struct plan_door *d, size_t door,
		    sa_family_t family)
{
	for (size_t i = 0; i < d->wg->n_peers; i++)
		for (size_t j = 0; j < d->wg->peers[i].n_allowed; j++)
			wg_routes(a, w, d, door, family, &d->wg->peers[i].allowed[j]);
	for (size_t i = 0; i < d->wg->n_addresses; i++) {
		struct prefix p = prefix_of(&d->wg->addresses[i].ip, d->wg->addresses[i].len);

		if (p.len < ip_bits(family)) /* the connected route */
			wg_routes(a, w, d, door, family, &p);
	}
}

/* The kernel takes no route by an interface without the family. */
static bool carries(const struct plan_door *d, sa_family_t family)
{
	return d->interface && !(family == AF_INET6 && d->no_ipv6);
}

static void gate_routes(struct arena *a, const struct gate *g, const struct plan_facts *f,
			struct want *w, sa_family_t family)
{
	struct ip host = slot_host(&f->slot, family);

	want_add_floor(a, w, PLAN_TABLE_ROOMS, family);
	if (family == AF_INET)
		want_add_route(a, w, PLAN_TABLE_ROOMS, prefix_host(&host), "lan", (struct ip){ 0 });
	for (size_t i = 0; i < g->n_rooms; i++) {
		struct ip room = plan_room_inside(g, &f->slot, family, i);

		if (!ip_is_none(&room))
			want_add_route(a, w, PLAN_TABLE_ROOMS, prefix_host(&room),
				       plan_room_link(a, g, i), (struct ip){ 0 });
	}
	for (size_t i = 0; i < g->n_doors; i++) {
		uint32_t table = PLAN_TABLE_DOOR + (uint32_t)i;

		want_add_floor(a, w, table, family);
		if (i == 0)
			by_lan(a, f, w, table, family, 0);
		else if (carries(&f->doors[i], family))
			want_add_route(a, w, table, want_everything(family), f->doors[i].interface,
				       (struct ip){ 0 })
				->optional = true;
		if (i > 0 && carries(&f->doors[i], family) && f->doors[i].wg)
			wg_door(a, w, &f->doors[i], i, family);
	}
	/* VPN clients look here for the way to their server. */
	by_lan(a, f, w, RT_TABLE_MAIN, family, METRIC_MAIN);
}

/* Where a room's packets go that no VPN's route claims: a table, never main. */
static uint32_t room_table(const struct gate *g, const struct plan_facts *f,
			   const struct room *room)
{
	if (f->claims_all)
		return PLAN_TABLE_DOOR + (uint32_t)f->claims_all;
	switch (room->way) {
	case DEFAULT_LAN:
		return PLAN_TABLE_DOOR;
	case DEFAULT_DOOR:
		return PLAN_TABLE_DOOR + (uint32_t)room->way_door;
	case DEFAULT_VPN:
		return g->n_doors > 1 ? PLAN_TABLE_DOOR + 1 : PLAN_TABLE_ROOMS;
	case DEFAULT_NONE:
		break;
	}
	return PLAN_TABLE_ROOMS; /* its floor: unreachable */
}

static void room_rules(struct arena *a, const struct gate *g, const struct plan_facts *f,
		       struct want *w, sa_family_t family, size_t index)
{
	const struct room *room = &g->rooms[index];
	const char *iif = plan_room_link(a, g, index);
	struct want_rule *r;

	for (size_t i = 0; i < room->n_reach; i++) { /* 4 */
		if (room->reach[i].ip.family != family)
			continue;
		r = want_add_rule(a, w, family, PLAN_TABLE_DOOR);
		r->iif = iif;
		r->to = room->reach[i];
	}
	r = want_add_rule(a, w, family, RT_TABLE_MAIN); /* 5 */
	r->iif = iif;
	r->suppress_len = 0;
	want_add_rule(a, w, family, room_table(g, f, room))->iif = iif; /* 6 */
}

static bool is_of_earlier_door(const struct plan_facts *f, size_t door, const struct ip *ip)
{
	for (size_t i = 1; i < door; i++)
		if (plan_door_has(f, i, ip))
			return true;
	return false;
}

/*
 * A client may have the very address that a VPN gave us, and come in by another door:
 * its packets are martians where the local table is asked first, and the replies ours.
 * So for that address the door is asked before (measured with a strict rp_filter, which
 * asks with the mark, and proved by tests/world/test_faults.py, F14).
 */
static void before_local(struct arena *a, const struct gate *g, const struct plan_facts *f,
			 struct want *w, sa_family_t family)
{
	bool any = false;

	for (size_t i = 1; i < g->n_doors; i++)
		for (size_t j = 0; j < f->doors[i].n_addresses * g->n_doors; j++) {
			const struct ip *own = &f->doors[i].addresses[j / g->n_doors];
			size_t door = j % g->n_doors;
			struct want_rule *r;

			/* Two VPNs may give the same one: by each of their doors it is ours. */
			if (own->family != family || plan_door_has(f, door, own) ||
			    is_of_earlier_door(f, i, own))
				continue;
			r = want_add_rule(a, w, family, PLAN_TABLE_DOOR + (uint32_t)door);
			r->to = prefix_host(own);
			r->mark = plan_door_mark(door);
			r->mark_mask = PLAN_MARK_MASK;
			any = true;
		}
	if (any)
		want_add_rule(a, w, family, RT_TABLE_LOCAL);
}

static void gate_rules(struct arena *a, const struct gate *g, const struct plan_facts *f,
		       struct want *w, sa_family_t family)
{
	struct want_rule *r;

	before_local(a, g, f, w, family);
	want_add_rule(a, w, family, PLAN_TABLE_ROOMS)->to = slot_net(&f->slot, family); /* 1 */
	for (size_t i = 0; i < g->n_rooms; i++) {
		struct ip room = plan_room_inside(g, &f->slot, family, i);

		if (g->rooms[i].sandbox && !ip_is_none(&room))
			want_add_rule(a, w, family, PLAN_TABLE_ROOMS)->to = prefix_host(&room);
	}
	for (size_t i = 0; i < g->n_doors; i++) { /* 2 */
		r = want_add_rule(a, w, family, PLAN_TABLE_DOOR + (uint32_t)i);
		r->mark = plan_door_mark(i);
		r->mark_mask = PLAN_MARK_MASK;
	}
	r = want_add_rule(a, w, family, PLAN_TABLE_DOOR); /* 3 */
	r->mark = PLAN_MARK_TRANSPORT;
	r->mark_mask = PLAN_MARK_MASK;
	for (size_t i = 0; i < g->n_rooms; i++)
		room_rules(a, g, f, w, family, i);
	/* Somebody's `ip rule flush` takes these away. */
	want_add_rule(a, w, family, RT_TABLE_MAIN)->priority = 32766;
	if (family == AF_INET)
		want_add_rule(a, w, family, RT_TABLE_DEFAULT)->priority = 32767;
}

void plan_gate(struct arena *a, const struct gate *g, const struct plan_facts *f, struct want *ret)
{
	/* `default` first: links made later start with it. */
	static const char *const sysctls[][2] = {
		{ "ipv4/ip_forward", "1" },
		{ "ipv4/conf/all/src_valid_mark", "1" },
		{ "ipv4/conf/default/rp_filter", "1" },
		{ "ipv4/conf/all/rp_filter", "1" },
		{ "ipv4/fwmark_reflect", "1" },
		/* A namespace begins with the sysctls of the machine's first one. */
		{ "ipv4/conf/default/arp_ignore", "1" },
		{ "ipv4/conf/all/arp_ignore", "1" },
		{ "ipv4/conf/all/arp_announce", "2" },
		{ "ipv4/conf/default/accept_redirects", "0" },
		{ "ipv4/conf/all/accept_redirects", "0" },
		{ "ipv4/conf/all/secure_redirects", "0" },
		{ "ipv4/conf/default/send_redirects", "0" },
		{ "ipv4/conf/all/send_redirects", "0" },
		{ "ipv4/conf/all/accept_source_route", "0" },
	};
	static const char *const sysctls6[][2] = {
		{ "ipv6/conf/default/disable_ipv6", "0" },
		{ "ipv6/conf/all/disable_ipv6", "0" },
		{ "ipv6/conf/default/accept_dad", "0" },
		{ "ipv6/conf/default/accept_ra", "0" },
		{ "ipv6/conf/default/autoconf", "0" },
		{ "ipv6/conf/default/accept_redirects", "0" },
		{ "ipv6/conf/all/accept_redirects", "0" },
		{ "ipv6/conf/all/forwarding", "1" },
		{ "ipv6/fwmark_reflect", "1" },
	};
	struct want w = { .place = PLACE_GATE,
			  .protocol = PLAN_PROTOCOL,
			  .netns = plan_gate_netns(a, g),
			  .table_first = PLAN_TABLE_ROOMS,
			  .table_last = PLAN_TABLE_LAST };

	for (size_t i = 0; i < ARRAY_LEN(sysctls); i++)
		want_add_sysctl(a, &w, sysctls[i][0], sysctls[i][1]);
	for (size_t i = 0; f->ipv6 && i < ARRAY_LEN(sysctls6); i++)
		want_add_sysctl(a, &w, sysctls6[i][0], sysctls6[i][1]);
	gate_links(a, g, f, &w);
	for (size_t i = 0; i < n_families(f); i++) {
		gate_routes(a, g, f, &w, families[i]);
		gate_rules(a, g, f, &w, families[i]);
	}
	ipv6_on(a, f, &w, "lan");
	for (size_t i = 0; i < g->n_rooms; i++)
		ipv6_on(a, f, &w, plan_room_link(a, g, i));
	w.nft = plan_nft_gate(a, g, f);
	*ret = w;
}
