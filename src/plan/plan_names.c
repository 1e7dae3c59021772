/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What things of a gate are called, and how they are known again. */
#include "plan/plan.h"

#include "base/text.h"

#include <string.h>

uint32_t plan_door_mark(size_t door)
{
	return (PLAN_TABLE_DOOR + (uint32_t)door) << 16;
}

bool plan_door_has(const struct plan_facts *f, size_t door, const struct ip *ip)
{
	for (size_t i = 0; i < f->doors[door].n_addresses; i++)
		if (ip_equal(&f->doors[door].addresses[i], ip))
			return true;
	return false;
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

const char *plan_sandbox_alias(struct arena *a, const struct gate *g)
{
	return arena_printf(a, "sallyport %s again", g->name);
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

/* Locally administered (the 2), then ours, then the slot's number. */
static const uint8_t mac_head[4] = { 0x02, 0x5a, 0x11, 0x79 };

const uint8_t *plan_host_mac(struct arena *a, const struct slot *slot)
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
