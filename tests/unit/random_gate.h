/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_RANDOM_GATE_H
#define TESTS_RANDOM_GATE_H

/* A gate as the dice have it, with what is observed of its doors. */
#include "random.h"

#include "base/arena.h"
#include "base/text.h"
#include "plan/plan.h"

struct random_gate {
	struct gate gate;
	struct plan_facts facts;
};

static inline struct ip random_ip(struct dice *d, sa_family_t family)
{
	struct ip ip = { .family = family };

	for (unsigned int i = 0; i < ip_bits(family) / 8; i++)
		ip.byte[i] = (uint8_t)roll(d);
	return ip;
}

/* Private ranges and short lengths are frequent, as they are among VPNs. */
static inline struct prefix random_prefix(struct dice *d, sa_family_t family)
{
	static const uint8_t starts[][2] = { { 10, 0 }, { 172, 16 }, { 192, 168 }, { 198, 18 } };
	static const uint8_t lens[] = { 0, 1, 2, 7, 8, 12, 15, 16, 24, 31, 32 };
	struct ip ip = random_ip(d, family);
	unsigned int len = one_in(d, 2) ? roll_below(d, ip_bits(family) + 1)
					: lens[roll_below(d, ARRAY_LEN(lens))];

	if (family == AF_INET && one_in(d, 2)) {
		const uint8_t *start = starts[roll_below(d, ARRAY_LEN(starts))];

		ip.byte[0] = start[0];
		ip.byte[1] = start[1];
	} else if (family == AF_INET6 && one_in(d, 2)) {
		ip.byte[0] = 0xfd;
	}
	return prefix_of(&ip, family == AF_INET6 && len < 32 ? len * 4 : len);
}

static inline sa_family_t random_family(struct dice *d)
{
	return one_in(d, 2) ? AF_INET : AF_INET6;
}

static inline const struct wg_conf *random_wg(struct arena *a, struct dice *d)
{
	struct wg_conf *wg = arena_new(a, struct wg_conf);
	struct wg_peer *peer = arena_push(a, wg->peers, wg->n_peers, wg->cap_peers);

	for (uint32_t i = 1 + roll_below(d, 3); i > 0; i--) {
		struct prefix p = random_prefix(d, random_family(d));
		struct wg_address *x;

		if (p.len < 8)
			continue;
		x = arena_push(a, wg->addresses, wg->n_addresses, wg->cap_addresses);
		*x = (struct wg_address){ .ip = p.ip, .len = p.len };
		x->ip.byte[0] = p.ip.family == AF_INET ? 100 : 0xfc; /* not in the slot */
	}
	for (uint32_t i = roll_below(d, 4); i > 0; i--)
		*arena_push(a, peer->allowed, peer->n_allowed, peer->cap_allowed) =
			random_prefix(d, random_family(d));
	return wg;
}

static inline void random_door(struct arena *a, struct dice *d, struct random_gate *g, size_t i)
{
	static const enum door_kind kinds[] = { DOOR_OPENVPN, DOOR_WIREGUARD, DOOR_COMMAND };
	struct door *door = arena_push(a, g->gate.doors, g->gate.n_doors, g->gate.cap_doors);
	struct plan_door *facts = &g->facts.doors[i];

	*door = (struct door){ .name = i ? arena_printf(a, "vpn%zu", i) : "lan" };
	if (!i)
		return;
	door->kind = kinds[roll_below(d, ARRAY_LEN(kinds))];
	if (one_in(d, 4)) /* its client is not there yet */
		return;
	facts->interface = door->name;
	facts->mtu = 1280 + roll_below(d, 200);
	if (door->kind == DOOR_WIREGUARD)
		facts->wg = random_wg(a, d);
}

static inline void random_room(struct arena *a, struct dice *d, struct gate *g, size_t i)
{
	struct room *room = arena_push(a, g->rooms, g->n_rooms, g->cap_rooms);

	room->name = i || one_in(d, 2) ? arena_printf(a, "r%zu", i) : "";
	room->way = (enum room_default)roll_below(d, g->n_doors > 1 ? 4 : 3);
	if (room->way == DEFAULT_DOOR)
		room->way_door = 1 + roll_below(d, (uint32_t)g->n_doors - 1);
	if (!one_in(d, 3))
		return;
	for (uint32_t n = 1 + roll_below(d, 3); n > 0; n--)
		*arena_push(a, room->reach, room->n_reach, room->cap_reach) =
			random_prefix(d, random_family(d));
}

static inline void random_publish(struct arena *a, struct dice *d, struct gate *g)
{
	for (uint32_t n = roll_below(d, 5); n > 0; n--)
		*arena_push(a, g->publish, g->n_publish, g->cap_publish) = (struct publish){
			.door_port = (uint16_t)(1000 + n), /* no port twice */
			.room_port = (uint16_t)(1 + roll_below(d, 65535)),
			.proto = one_in(d, 2) ? IPPROTO_TCP : IPPROTO_UDP,
			.room = roll_below(d, (uint32_t)g->n_rooms),
			.door = roll_below(d, (uint32_t)g->n_doors),
		};
}

/* Points into @a alone; @host may be NULL unless the host is planned. */
static inline struct random_gate random_gate(struct arena *a, struct dice *d,
					     const struct slot *slot, bool ipv6,
					     const struct snapshot *host)
{
	struct random_gate g = { .gate = { .name = "office", .file = "office.conf" },
				 .facts = { .slot = *slot, .ipv6 = ipv6, .host = host } };
	size_t doors = 1 + roll_below(d, 4);

	g.facts.doors = arena_alloc(a, doors * sizeof(*g.facts.doors));
	for (size_t i = 0; i < doors; i++)
		random_door(a, d, &g, i);
	for (uint32_t i = 0, n = 1 + roll_below(d, 4); i < n; i++)
		random_room(a, d, &g.gate, i);
	random_publish(a, d, &g.gate);
	if (one_in(d, 4) && doors > 1)
		g.facts.claims_all = 1 + roll_below(d, (uint32_t)doors - 1);
	return g;
}

#endif
