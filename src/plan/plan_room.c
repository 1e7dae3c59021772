/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The plan of a room, and of what an engine's sandbox lacks. */
#include "plan/plan_parts.h"

#include <linux/rtnetlink.h>

#define METRIC_LAST 4096u /* any other default's beats it */

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
		       family == AF_INET ? host : slot_link_local(&f->slot));
	want_add_rule(a, w, family, PLAN_TABLE_DOOR)->from = prefix_host(&own);
}

static bool sandbox_default(const struct plan_sandbox *x, sa_family_t family)
{
	return family == AF_INET ? x->default4 : x->default6;
}

static bool lacks(const struct plan_lost *x)
{
	return x->address || x->route || x->mended;
}

bool plan_sandbox_lacks(const struct plan_sandbox *x)
{
	return lacks(&x->lost4) || lacks(&x->lost6);
}

/*
 * No link is wanted, so that everything else on the engine's stays.  The default route
 * comes after all others: engines, and VPN clients in the container, may still set theirs.
 */
static void mend_sandbox(struct arena *a, const struct gate *g, const struct plan_facts *f,
			 size_t room, struct want *w)
{
	const struct sandbox *x = g->rooms[room].sandbox;
	const struct plan_sandbox *seen = &f->sandboxes[room];

	for (size_t i = 0; i < n_families(f); i++) {
		bool v4 = families[i] == AF_INET;
		struct ip own = plan_room_inside(g, &f->slot, families[i], room);
		struct ip gateway = v4 ? x->gateway4 : x->gateway6;
		const struct plan_lost *lost = v4 ? &seen->lost4 : &seen->lost6;

		if (!lacks(lost) || ip_is_none(&own) || ip_is_none(&gateway))
			continue;
		if (lost->address && !v4)
			want_add_sysctl(a, w,
					arena_printf(a, "ipv6/conf/%s/disable_ipv6", seen->link),
					"0");
		if (lost->address)
			want_add_address(a, w, seen->link, own, RT_SCOPE_UNIVERSE);
		want_add_route(a, w, RT_TABLE_MAIN, prefix_host(&gateway), seen->link,
			       (struct ip){ 0 });
		if (lost->route)
			want_add_route(a, w, RT_TABLE_MAIN, want_everything(families[i]),
				       seen->link, gateway)
				->metric = METRIC_LAST;
	}
}

/*
 * What the engine has set up is its own, until somebody removes it.  But the link goes
 * with the gate, and no engine makes it again: that is furnished as the engine had it.
 */
static void plan_sandbox(struct arena *a, const struct gate *g, const struct plan_facts *f,
			 size_t room, struct want *w)
{
	const struct sandbox *x = g->rooms[room].sandbox;
	const struct plan_sandbox *seen = f->sandboxes ? &f->sandboxes[room] : NULL;

	if (seen && plan_sandbox_lacks(seen))
		mend_sandbox(a, g, f, room, w);
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
		/* A hardened host says 2, by which the room would not answer its gate. */
		{ "ipv4/conf/default/arp_ignore", "1" },
		{ "ipv4/conf/all/arp_ignore", "1" },
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
