/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/slot.h"

#include "base/text.h"
#include "plan/plan.h"

#include <string.h>

/*
 * Ranges nobody's LAN should be: RFC 2544's benchmark range first, then corners
 * of the private ranges for hosts that do use it.  Together SLOT_COUNT /26s.
 */
static const struct {
	uint8_t net[4];
	uint32_t slots;
} pools[] = {
	{ { 198, 18, 0, 0 }, 2048 },
	{ { 10, 213, 0, 0 }, 1024 },
	{ { 172, 30, 0, 0 }, 1024 },
	{ { 192, 168, 213, 0 }, 4 },
};

static const uint8_t pool6[] = { 0xfd, 0x5a, 0x11, 0x79, 0x09, 0x27 };

static struct prefix pool_of(size_t i)
{
	struct ip first = ip_from_bytes(AF_INET, pools[i].net);
	uint8_t len = 26;

	for (uint32_t slots = 1; slots < pools[i].slots; slots *= 2)
		len--;
	return prefix_of(&first, len);
}

static struct prefix pool_of6(void)
{
	struct ip first = { .family = AF_INET6 };

	memcpy(first.byte, pool6, sizeof(pool6));
	return prefix_of(&first, sizeof(pool6) * 8);
}

struct prefix slot_pool(const struct slot *s, sa_family_t family)
{
	size_t i = 0;

	if (family == AF_INET6)
		return pool_of6();
	for (struct prefix p = pool_of(0);
	     i + 1 < ARRAY_LEN(pools) && !prefix_contains(&p, &s->net4); p = pool_of(++i))
		;
	return pool_of(i);
}

bool slot_is_pool(const struct prefix *p)
{
	struct prefix pool = pool_of6();
	bool is = prefix_equal(p, &pool);

	for (size_t i = 0; i < ARRAY_LEN(pools) && !is; i++) {
		pool = pool_of(i);
		is = prefix_equal(p, &pool);
	}
	return is;
}

int slot_index(const struct slot *s, size_t link)
{
	return (int)(SLOT_INDEX | (uint32_t)link << SLOT_INDEX_LINK | s->number);
}

bool slot_of_index(int index, uint32_t *ret_number, bool *ret_main)
{
	uint32_t x = (uint32_t)index;

	*ret_number = x & SLOT_INDEX_SLOT;
	*ret_main = (x & ~SLOT_INDEX_MASK) >> SLOT_INDEX_LINK == 0;
	return (x & SLOT_INDEX_MASK) == SLOT_INDEX && *ret_number < SLOT_COUNT;
}

struct slot slot_of(uint32_t number)
{
	struct ip net6 = pool_of6().ip;
	struct slot s = { .number = number };
	uint32_t rest = number;

	for (size_t i = 0; i < ARRAY_LEN(pools); i++) {
		if (rest < pools[i].slots) {
			struct ip first = ip_from_bytes(AF_INET, pools[i].net);
			struct ip net = ip_plus(&first, rest * 64);

			s.net4 = prefix_of(&net, 26);
			break;
		}
		rest -= pools[i].slots;
	}
	net6.byte[6] = (uint8_t)(number >> 8);
	net6.byte[7] = (uint8_t)number;
	s.net6 = prefix_of(&net6, 64);
	return s;
}

static struct ip numbered(const struct slot *s, sa_family_t family, uint32_t n)
{
	return ip_plus(family == AF_INET ? &s->net4.ip : &s->net6.ip, n);
}

struct ip slot_host(const struct slot *s, sa_family_t family)
{
	return numbered(s, family, 1);
}

struct ip slot_link_local(const struct slot *s)
{
	return (struct ip){ .family = AF_INET6,
			    .byte = { 0xfe, 0x80, [12] = (uint8_t)(s->number >> 8),
				      (uint8_t)s->number, [15] = 1 } };
}

struct ip slot_gate(const struct slot *s, sa_family_t family)
{
	return numbered(s, family, 2);
}

struct ip slot_room(const struct slot *s, sa_family_t family, size_t room)
{
	return numbered(s, family, 3 + (uint32_t)room);
}

struct ip slot_short(const struct slot *s, sa_family_t family, size_t room)
{
	return numbered(s, family, 3 + GATE_ROOMS_MAX + (uint32_t)room);
}

static bool overlaps(const struct slot *s, const struct prefix *p)
{
	return prefix_overlaps(&s->net4, p) || prefix_overlaps(&s->net6, p);
}

/*
 * A default, or a VPN's half of everything, covers all and means none.  So does
 * a route around the whole /48 of the slots: nobody else has drawn its random
 * bits, and RFC 4193 (4.3) asks routers for one to fc00::/7 that goes nowhere.
 */
static bool means_none(const struct prefix *p)
{
	return p->len < (p->ip.family == AF_INET ? 2 : 48);
}

/* The gate's link, and its rooms' short ones. */
static bool is_own(const struct snapshot *net, const char *own, int index)
{
	const struct link *l = snapshot_link_by_index(net, index);

	return l && (str_eq(l->name, own) || plan_link_is_of(l, own + strlen("sp-")));
}

bool slot_taken(const struct slot *s, const struct snapshot *net, const char *own)
{
	for (size_t i = 0; i < net->n_addresses; i++) {
		struct prefix p = prefix_host(&net->addresses[i].local);

		if (overlaps(s, &p) && !is_own(net, own, net->addresses[i].link))
			return true;
	}
	for (size_t i = 0; i < net->n_routes; i++) {
		const struct route *r = &net->routes[i];

		if (!means_none(&r->dst) && overlaps(s, &r->dst) &&
		    !(r->n_hops && is_own(net, own, r->hops[0].link)))
			return true;
	}
	return false;
}

bool slot_clashes(const struct slot *s, const struct snapshot *gate)
{
	for (size_t i = 0; i < gate->n_addresses; i++) {
		struct prefix p = prefix_host(&gate->addresses[i].local);
		const struct link *l = snapshot_link_by_index(gate, gate->addresses[i].link);
		bool ours = l && (str_eq(l->name, "lan") || str_starts(l->name, "room"));

		if (!ours && overlaps(s, &p))
			return true;
	}
	return false;
}

bool slot_choose(const char *name, const char *own, const struct snapshot *host,
		 const struct snapshot *gate, struct slot *ret)
{
	uint32_t start = (uint32_t)(str_hash(name, 0) % pools[0].slots);

	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		struct slot s = slot_of((start + i) % SLOT_COUNT);

		if (slot_taken(&s, host, own) || (gate && slot_clashes(&s, gate)))
			continue;
		*ret = s;
		return true;
	}
	return false;
}

bool slot_find(const struct snapshot *host, const char *own, struct slot *ret)
{
	const struct link *l = snapshot_link_by_name(host, own);

	for (size_t i = 0; l && i < host->n_addresses; i++) {
		const struct address *a = &host->addresses[i];

		if (a->link != l->index || a->local.family != AF_INET)
			continue;
		for (uint32_t n = 0; n < SLOT_COUNT; n++) {
			struct slot s = slot_of(n);
			struct ip h = slot_host(&s, AF_INET);

			if (ip_equal(&h, &a->local)) {
				*ret = s;
				return true;
			}
		}
	}
	return false;
}
