/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan: links, addresses, routes, rules and sysctls of host, gate and
 * rooms.  ARCHITECTURE.md has the picture; the numbers of the gate's rules
 * there are the numbers of the comments here.
 */
#include "plan/plan.h"

#include "base/text.h"
#include "plan/want_add.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

#define WG_MTU      1420u /* fits an outer path of 1500 in either family, as wg-quick(8) */
#define METRIC_MAIN 4096u /* the gate's default in main: any VPN client's beats it */

static const sa_family_t families[] = { AF_INET, AF_INET6 };

static size_t n_families(const struct plan_facts *f)
{
	return f->ipv6 ? 2 : 1;
}

/* Of a host that has switched IPv6 off it is not asked for; gate and rooms are ours. */
static size_t n_host_families(const struct plan_facts *f)
{
	return f->ipv6 && !f->host_no_ipv6 ? 2 : 1;
}

uint32_t plan_door_mark(size_t door)
{
	return (PLAN_TABLE_DOOR + (uint32_t)door) << 16;
}

const char *plan_host_link(struct arena *a, const struct gate *g)
{
	return arena_printf(a, "sp-%s", g->name);
}

const char *plan_short_link(struct arena *a, const struct slot *s, size_t room)
{
	return arena_printf(a, "sp-%u.%zu", s->number, room);
}

const char *plan_room_link(struct arena *a, const struct gate *g, size_t room)
{
	const char *name = g->rooms[room].name;

	return *name ? arena_printf(a, "room-%s", name) : "room";
}

const char *plan_sandbox_link(struct arena *a, const struct gate *g, size_t room)
{
	return arena_printf(a, "sp-%s.d", g->rooms[room].name);
}

const char *plan_room_netns(struct arena *a, const struct gate *g, size_t room)
{
	const char *name = g->rooms[room].name;

	if (g->rooms[room].sandbox)
		return g->rooms[room].sandbox->path;
	return *name ? arena_printf(a, "%s.%s", g->name, name) : g->name;
}

const char *plan_gate_netns(struct arena *a, const struct gate *g)
{
	return arena_printf(a, "%s.gate", g->name);
}

const char *plan_alias(struct arena *a, const struct gate *g)
{
	return arena_printf(a, "sallyport %s%s", g->name, g->ends_with_command ? " run" : "");
}

struct ip plan_room_outside(const struct gate *g, const struct slot *s, sa_family_t family,
			    size_t room)
{
	const struct sandbox *x = g->rooms[room].sandbox;

	return slot_room(s, family, x ? x->number : room);
}

struct ip plan_room_inside(const struct gate *g, const struct slot *s, sa_family_t family,
			   size_t room)
{
	const struct sandbox *x = g->rooms[room].sandbox;

	if (!x)
		return slot_room(s, family, room);
	return family == AF_INET ? x->address4 : x->address6;
}

const char *plan_sandbox_alias(struct arena *a, const struct gate *g)
{
	return arena_printf(a, "sallyport %s again", g->name);
}

bool plan_publish_is_short(const struct publish *p)
{
	return p->door == 0 && p->proto == IPPROTO_TCP && !p->by_gate;
}

bool plan_room_is_short(const struct gate *g, size_t room)
{
	for (size_t i = 0; i < g->n_publish; i++)
		if (g->publish[i].room == room && plan_publish_is_short(&g->publish[i]))
			return true;
	return false;
}

/* fe80::1 is the upper end of a link (towards the host), fe80::2 the lower one. */
static struct ip link_local(uint8_t last)
{
	return (struct ip){ .family = AF_INET6, .byte = { 0xfe, 0x80, [15] = last } };
}

static struct prefix slot_net(const struct slot *s, sa_family_t family)
{
	return family == AF_INET ? s->net4 : s->net6;
}

static struct want_sysctl *add_host_sysctl(struct arena *a, struct want *w, const char *path,
					   const char *value)
{
	struct want_sysctl *s = want_add_sysctl(a, w, path, value);

	s->restore = true;
	return s;
}

static bool host_has_ipv6(const struct snapshot *host, int own)
{
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct address *x = &host->addresses[i];

		if (x->local.family == AF_INET6 && x->link != own && !ip_is_link_local(&x->local) &&
		    !ip_is_loopback(&x->local))
			return true;
	}
	return false;
}

/* Locally administered (the 2), then ours, then the slot's number. */
static const uint8_t mac_head[4] = { 0x02, 0x5a, 0x11, 0x79 };

static const uint8_t *host_mac(struct arena *a, const struct slot *slot)
{
	uint8_t *mac = arena_alloc(a, 6);

	memcpy(mac, mac_head, sizeof(mac_head));
	mac[4] = (uint8_t)(slot->number >> 8);
	mac[5] = (uint8_t)slot->number;
	return mac;
}

bool plan_mac_slot(const uint8_t mac[6], uint32_t *ret)
{
	*ret = (uint32_t)mac[4] << 8 | mac[5];
	return memcmp(mac, mac_head, sizeof(mac_head)) == 0;
}

bool plan_link_is_ours(const struct link *l)
{
	uint32_t slot;

	return str_starts(l->alias, "sallyport ") ||
	       (l->has_mac && plan_mac_slot(l->mac, &slot) && str_eq(l->kind, "veth"));
}

bool plan_link_is_of(const struct link *l, const char *gate)
{
	const char *name = l->alias + strlen("sallyport ");
	size_t len = strlen(gate);

	return str_starts(l->alias, "sallyport ") && strncmp(name, gate, len) == 0 &&
	       (!name[len] || name[len] == ' ');
}

const char *plan_short_netns(const struct link *l)
{
	const char *gate = strchr(l->alias, ' ');
	const char *room = gate ? strchr(gate + 1, ' ') : NULL;

	return plan_link_is_ours(l) && strchr(l->name, '.') && room ? room + 1 : NULL;
}

/*
 * Forwarding is switched on where packets come in, not for the whole host:
 * IPv4 asks the incoming interface (IN_DEV_FORWARD).  IPv6 asks the whole
 * namespace (ip6_forward), and then stops believing router advertisements
 * unless accept_ra is 2: that comes first, or the host loses its default route.
 */
static void host_forwarding(struct arena *a, const struct plan_facts *f, struct want *w,
			    const char *own)
{
	const struct link *mine = snapshot_link_by_name(f->host, own);
	bool ipv6 = n_host_families(f) == 2 && host_has_ipv6(f->host, mine ? mine->index : -1);

	/* Remembered: if it is on at the end and was not, somebody else needs it now. */
	add_host_sysctl(a, w, "ipv4/ip_forward", NULL);

	for (size_t i = 0; i < f->host->n_links; i++) {
		const struct link *l = &f->host->links[i];

		if ((l->flags & IFF_LOOPBACK) || plan_link_is_ours(l))
			continue;
		add_host_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/forwarding", l->name), "1");
		if (ipv6)
			add_host_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/accept_ra", l->name),
					"2")
				->only_if = "1";
	}
	if (!ipv6)
		return;
	for (size_t i = 0; i < f->host->n_links; i++) {
		const struct link *l = &f->host->links[i];

		if (!plan_link_is_ours(l))
			add_host_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/forwarding", l->name),
					NULL);
	}
	add_host_sysctl(a, w, "ipv6/conf/default/forwarding", NULL);
	add_host_sysctl(a, w, "ipv6/conf/all/forwarding", "1");
}

static void host_link_sysctls(struct arena *a, const struct plan_facts *f, struct want *w,
			      const char *link)
{
	/*
	 * arp_announce 2: ask for the gate with our own end's address.  With the
	 * address of a LAN client the gate's strict rp_filter would not answer.
	 * route_localnet: 127.0.0.1 of the host is published too (chain publish
	 * changes the source; what comes from outside for 127/8 is dropped).
	 */
	static const char *const ones[][2] = {
		{ "forwarding", "1" },     { "arp_announce", "2" },
		{ "route_localnet", "1" }, { "accept_redirects", "0" },
		{ "send_redirects", "0" }, { "accept_source_route", "0" },
	};

	/* What chain answer makes of a reply: it says an address of this host, and goes elsewhere. */
	static const char *const answers[][2] = {
		{ "accept_local", "1" },
		{ "rp_filter", "2" },
	};

	for (size_t i = 0; i < ARRAY_LEN(ones); i++)
		want_add_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/%s", link, ones[i][0]),
				ones[i][1]);
	for (size_t i = 0; plan_has_own_ways(f->host) && i < ARRAY_LEN(answers); i++)
		want_add_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/%s", link, answers[i][0]),
				answers[i][1]);
}

/* The host's end of a link of the gate's: all of them speak with the same addresses. */
static struct want_link *add_host_link(struct arena *a, const struct gate *g,
				       const struct plan_facts *f, struct want *w, const char *name)
{
	struct want_link *l = want_add_link(a, w, name);

	l->alias = plan_alias(a, g);
	l->mac = host_mac(a, &f->slot);
	want_add_address(a, w, name, slot_host(&f->slot, AF_INET), RT_SCOPE_LINK);
	if (n_host_families(f) == 2)
		want_add_address(a, w, name, link_local(1), RT_SCOPE_LINK);
	host_link_sysctls(a, f, w, name);
	return l;
}

static void host_short(struct arena *a, const struct gate *g, const struct plan_facts *f,
		       struct want *w, size_t room)
{
	const char *link = plan_short_link(a, &f->slot, room);
	struct want_link *l = add_host_link(a, g, f, w, link);

	l->alias = arena_printf(a, "sallyport %s %s", g->name, plan_room_netns(a, g, room));
	l->peer_name = PLAN_SHORT_END;
	l->peer_place = PLACE_ROOM;
	l->peer_room = room;
	l->peer_netns = plan_room_netns(a, g, room);
	for (size_t i = 0; i < n_host_families(f); i++) {
		struct ip to = slot_short(&f->slot, families[i], room);

		want_add_route(a, w, w->table_first, prefix_host(&to), link, (struct ip){ 0 });
	}
	/* Whoever is root in the room asks here for other addresses of the host's. */
	want_add_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/arp_ignore", link), "1");
}

/* So few rules of others are walked past in less time than it takes to be sure of them. */
#define RULES_WORTH_IT 16

/*
 * Will rule @r do nothing that the lookup in main would not, to a packet from
 * @pool?  It does not select it, or leads to main itself.
 */
static bool rule_lets_pass(const struct rule *r, const struct prefix *pool)
{
	if (r->invert || r->unknown[0])
		return false;
	if (r->from.len && !prefix_overlaps(&r->from, pool))
		return true;
	return r->action == FR_ACT_TO_TBL && r->table == RT_TABLE_MAIN && r->suppress_len == -1 &&
	       r->suppress_group == -1;
}

static bool is_plain_main(const struct rule *r)
{
	return r->action == FR_ACT_TO_TBL && r->table == RT_TABLE_MAIN && !r->invert &&
	       !r->from.len && !r->to.len && !r->iif[0] && !r->oif[0] && !r->has_mark &&
	       r->suppress_len == -1 && r->suppress_group == -1 && !r->ip_proto && !r->has_uid &&
	       !r->has_sport && !r->has_dport && !r->tos && !r->has_dscp && !r->flowlabel_mask &&
	       !r->tun_id && !r->l3mdev && !r->unknown[0];
}

/*
 * Every reply that the host forwards, and the check of every request's source,
 * walks all rules of the host up to main: a thousand of them halve the
 * connections/s.  They may be passed by when none of them can concern a packet
 * from a gate, which is a thing that most rules (`from ADDRESS`) tell.
 */
static bool rules_pass_by(const struct snapshot *host, const struct prefix *pool)
{
	size_t n = 0;

	for (size_t i = 0; i < host->n_rules; i++) {
		const struct rule *r = &host->rules[i];

		if (r->family != pool->ip.family || r->table == RT_TABLE_LOCAL)
			continue;
		if (is_plain_main(r))
			return n >= RULES_WORTH_IT;
		if (r->priority == 0 && (r->table == SLOT_TABLE || slot_is_pool(&r->from)))
			continue;
		if (!rule_lets_pass(r, pool))
			return false;
		n++;
	}
	return false;
}

static void host_rules(struct arena *a, const struct plan_facts *f, struct want *w,
		       sa_family_t family)
{
	struct prefix pool = slot_pool(&f->slot, family);

	want_add_rule(a, w, family, SLOT_TABLE)->to = pool;
	if (f->host && rules_pass_by(f->host, &pool))
		want_add_rule(a, w, family, RT_TABLE_MAIN)->from = pool;
}

/* Made up to be taken away: in the engine's hands it is down and has no address. */
static void host_sandbox(struct arena *a, const struct gate *g, const struct plan_facts *f,
			 struct want *w, size_t room)
{
	struct want_link *l;

	if (!f->sandboxes || !f->sandboxes[room].on_host)
		return;
	l = want_add_link(a, w, plan_sandbox_link(a, g, room));
	l->alias = plan_alias(a, g);
	l->up = false;
	l->peer_name = plan_room_link(a, g, room);
	l->peer_place = PLACE_GATE;
	l->peer_netns = plan_gate_netns(a, g);
}

void plan_host(struct arena *a, const struct gate *g, const struct plan_facts *f, struct want *ret)
{
	const char *link = plan_host_link(a, g);
	const uint32_t table = SLOT_TABLE;
	struct want w = { .place = PLACE_HOST,
			  .protocol = RTPROT_KERNEL,
			  .table_first = table,
			  .table_last = table,
			  .shared = true,
			  .slot = f->slot };
	struct want_link *l = add_host_link(a, g, f, &w, link);

	l->peer_name = "lan";
	l->peer_place = PLACE_GATE;
	l->peer_netns = plan_gate_netns(a, g);
	for (size_t i = 0; i < n_host_families(f); i++) {
		sa_family_t family = families[i];
		struct ip gate = slot_gate(&f->slot, family);
		struct ip via = family == AF_INET ? gate : link_local(2);

		if (family == AF_INET)
			want_add_route(a, &w, table, prefix_host(&gate), link, (struct ip){ 0 });
		want_add_route(a, &w, table, slot_net(&f->slot, family), link, via);
		host_rules(a, f, &w, family);
		plan_want_sides(a, f->host, family, &w);
	}
	for (size_t i = 0; i < g->n_rooms; i++)
		if (plan_room_is_short(g, i))
			host_short(a, g, f, &w, i);
		else if (g->rooms[i].sandbox)
			host_sandbox(a, g, f, &w, i);
	host_forwarding(a, f, &w, link);
	w.nft = plan_nft_host(a, g, f);
	*ret = w;
}

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

		if (x->ip.family == AF_INET6 && !f->ipv6)
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
	want_add_link(a, w, "lo")->alias = plan_alias(a, g); /* whose namespace it is */
	want_add_link(a, w, "lan");
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
			   family == AF_INET ? host : link_local(1));
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
		else if (f->doors[i].interface)
			want_add_route(a, w, table, want_everything(family), f->doors[i].interface,
				       (struct ip){ 0 })
				->optional = true;
		if (i > 0 && f->doors[i].interface && f->doors[i].wg)
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

static void gate_rules(struct arena *a, const struct gate *g, const struct plan_facts *f,
		       struct want *w, sa_family_t family)
{
	struct want_rule *r;

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

/* `all` does not tell that somebody switched it off for one link. */
static void ipv6_on(struct arena *a, const struct plan_facts *f, struct want *w, const char *link)
{
	if (f->ipv6)
		want_add_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/disable_ipv6", link), "0")
			->of_link = true;
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

/* Who was reached by the short link answers from its address, and so by it. */
static void room_short(struct arena *a, const struct plan_facts *f, struct want *w, size_t room,
		       sa_family_t family)
{
	struct ip host = slot_host(&f->slot, family);
	struct ip own = slot_short(&f->slot, family, room);

	want_add_address(a, w, PLAN_SHORT_END, own, RT_SCOPE_UNIVERSE);
	want_add_floor(a, w, PLAN_TABLE_DOOR, family);
	if (family == AF_INET)
		want_add_route(a, w, PLAN_TABLE_DOOR, prefix_host(&host), PLAN_SHORT_END,
			       (struct ip){ 0 });
	want_add_route(a, w, PLAN_TABLE_DOOR, want_everything(family), PLAN_SHORT_END,
		       family == AF_INET ? host : link_local(1));
	want_add_rule(a, w, family, PLAN_TABLE_DOOR)->from = prefix_host(&own);
}

static bool sandbox_default(const struct plan_sandbox *x, sa_family_t family)
{
	return family == AF_INET ? x->default4 : x->default6;
}

/*
 * What the engine has set up is its own.  But the link goes with the gate, and no
 * engine makes it again: that is furnished as the engine had it.
 */
static void plan_sandbox(struct arena *a, const struct gate *g, const struct plan_facts *f,
			 size_t room, struct want *w)
{
	const struct sandbox *x = g->rooms[room].sandbox;
	const struct plan_sandbox *seen = f->sandboxes ? &f->sandboxes[room] : NULL;

	if (!seen || !seen->link || !seen->ours)
		return;
	want_add_link(a, w, seen->link)->alias = plan_sandbox_alias(a, g);
	want_add_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/accept_dad", seen->link), "0");
	want_add_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/disable_ipv6", seen->link), "0");
	for (size_t i = 0; i < n_families(f); i++) {
		sa_family_t family = families[i];
		struct ip own = plan_room_inside(g, &f->slot, family, room);
		struct ip gateway = family == AF_INET ? x->gateway4 : x->gateway6;

		if (ip_is_none(&own) || ip_is_none(&gateway))
			continue;
		want_add_address(a, w, seen->link, own, RT_SCOPE_UNIVERSE);
		want_add_route(a, w, RT_TABLE_MAIN, prefix_host(&gateway), seen->link,
			       (struct ip){ 0 });
		if (!sandbox_default(seen, family))
			want_add_route(a, w, RT_TABLE_MAIN, want_everything(family), seen->link,
				       gateway);
	}
}

void plan_room(struct arena *a, const struct gate *g, const struct plan_facts *f, size_t room,
	       struct want *ret)
{
	static const char *const sysctls[][2] = {
		/* The room is the service's own: it may bind port 80 without being root. */
		{ "ipv4/ip_unprivileged_port_start", "0" },
		{ "ipv4/ping_group_range", "0\t2147483647" },
	};
	static const char *const sysctls6[][2] = {
		{ "ipv6/conf/default/disable_ipv6", "0" }, { "ipv6/conf/all/disable_ipv6", "0" },
		{ "ipv6/conf/default/accept_dad", "0" },   { "ipv6/conf/default/accept_ra", "0" },
		{ "ipv6/conf/default/autoconf", "0" },
	};
	struct want w = { .place = PLACE_ROOM,
			  .room = room,
			  .protocol = PLAN_PROTOCOL,
			  .netns = plan_room_netns(a, g, room),
			  .table_first = PLAN_TABLE_DOOR,
			  .table_last = PLAN_TABLE_DOOR };

	if (g->rooms[room].sandbox) {
		plan_sandbox(a, g, f, room, &w);
		*ret = w;
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(sysctls); i++)
		want_add_sysctl(a, &w, sysctls[i][0], sysctls[i][1]);
	for (size_t i = 0; f->ipv6 && i < ARRAY_LEN(sysctls6); i++)
		want_add_sysctl(a, &w, sysctls6[i][0], sysctls6[i][1]);
	want_add_link(a, &w, "lo")->alias = plan_alias(a, g);
	want_add_link(a, &w, "eth0");
	ipv6_on(a, f, &w, "eth0");
	if (plan_room_is_short(g, room)) {
		want_add_link(a, &w, PLAN_SHORT_END);
		ipv6_on(a, f, &w, PLAN_SHORT_END);
	}
	for (size_t i = 0; i < n_families(f); i++) {
		sa_family_t family = families[i];
		struct ip gate = slot_gate(&f->slot, family);

		want_add_address(a, &w, "eth0", slot_room(&f->slot, family, room),
				 RT_SCOPE_UNIVERSE);
		if (family == AF_INET)
			want_add_route(a, &w, RT_TABLE_MAIN, prefix_host(&gate), "eth0",
				       (struct ip){ 0 });
		want_add_route(a, &w, RT_TABLE_MAIN, want_everything(family), "eth0",
			       family == AF_INET ? gate : link_local(1));
		if (plan_room_is_short(g, room))
			room_short(a, f, &w, room, family);
	}
	*ret = w;
}
