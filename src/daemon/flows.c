/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where rooms were.  conntrack(8) leads all of a UDP conversation where its first datagram
 * was led, for as long as the client goes on asking: when a room has another address (the
 * gate's links had to move, an engine made a container anew), or a port was not published
 * yet, who asked before would never be answered again, whoever answered then.  So such
 * conversations are forgotten, on the host and in the gate.
 */
#include "daemon/supervisor.h"

#include "sys/conntrack.h"

#include <string.h>

static void add(struct rooms_at *ret, uint64_t whose, struct ip ip)
{
	if (!ip_is_none(&ip))
		ret->at[ret->n++] = (struct room_at){ .whose = whose, .ip = ip };
}

static bool is_among(const struct room_at *x, const struct rooms_at *list)
{
	for (size_t i = 0; i < list->n; i++)
		if (x->whose == list->at[i].whose && ip_equal(&x->ip, &list->at[i].ip))
			return true;
	return false;
}

/* Addresses of @was that are nobody's or another room's @now. */
static void note_left(struct arena *a, const struct rooms_at *was, const struct rooms_at *now,
		      struct conntrack_lost *ret)
{
	struct prefix *left = arena_alloc(a, sizeof(*left) * (ret->n_from + was->n + 1));
	size_t n = ret->n_from;

	if (n)
		memcpy(left, ret->from, sizeof(*left) * n);
	for (size_t i = 0; i < was->n; i++)
		if (!is_among(&was->at[i], now))
			left[n++] = prefix_host(&was->at[i].ip);
	ret->from = left;
	ret->n_from = n;
}

/* If ports lead elsewhere than before, or anywhere at all: who asked before that. */
static void note_udp(struct arena *a, const struct supervisor *s, struct conntrack_lost *ret)
{
	size_t cap = 0;

	for (size_t i = 0; i < s->gate.n_publish; i++)
		if (s->gate.publish[i].proto == IPPROTO_UDP)
			*arena_push(a, ret->udp, ret->n_udp, cap) = s->gate.publish[i].door_port;
}

static uint64_t hash_ports(const struct supervisor *s, const struct rooms_at *inside)
{
	uint64_t h = s->facts_hash;

	for (size_t i = 0; i < inside->n; i++)
		h = str_hash("room", h + inside->at[i].whose);
	for (size_t i = 0; i < s->gate.n_publish; i++)
		h = str_hash("port", h + s->gate.publish[i].door_port);
	return h;
}

/*
 * A program of the host that has ended: its clients' datagrams would go on coming to the
 * host.  That of one that still answers elsewhere begin anew, and nobody notices.
 */
static int note_own(struct arena *a, struct supervisor *s, struct conntrack_lost *ret,
		    struct err *e)
{
	struct snapshot host;
	size_t cap = 0;
	int r;

	if (!ret->n_udp)
		return 0;
	r = sup_look_at_host(s, a, SLOT_TABLE, SLOT_TABLE, &host, e);
	for (size_t i = 0; r == 0 && i < host.n_addresses; i++)
		*arena_push(a, ret->own, ret->n_own, cap) = host.addresses[i].local;
	return r;
}

struct ways {
	struct arena *a;
	struct conntrack_lost *to;
	size_t cap_ways, cap_led;
};

static void add_way(struct ways *w, struct ip asked, uint16_t port, struct ip to)
{
	if (!ip_is_none(&to))
		*arena_push(w->a, w->to->ways, w->to->n_ways, w->cap_ways) =
			(struct conntrack_way){ .asked = asked, .port = port, .to = to };
}

static void add_led(struct ways *w, struct prefix led)
{
	*arena_push(w->a, w->to->led, w->to->n_led, w->cap_led) = led;
}

static void note_way_in(struct ways *w, const struct supervisor *s, const struct publish *p,
			bool on_host)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	const struct ip any = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		sa_family_t f = families[i];
		struct ip inside = plan_room_inside(&s->gate, &s->slot, f, p->room);
		struct ip outside = plan_room_outside(&s->gate, &s->slot, f, p->room);

		if (on_host && p->door == 0)
			add_way(w, any, p->door_port, outside);
		if (!on_host && p->door != 0)
			add_way(w, any, p->door_port, inside);
		if (!on_host)
			add_way(w, outside, 0, inside);
	}
}

/*
 * What a supervisor that was killed had led to rooms that are no more, or are others: its
 * successor has not seen where they were.  A new gate has led nobody anywhere, and need not
 * ask: the kernel walks all of its table.
 */
static void note_ways(struct arena *a, const struct supervisor *s, bool on_host,
		      struct conntrack_lost *ret)
{
	struct ways w = { .a = a, .to = ret };

	ret->n_ways = ret->n_led = 0;
	ret->ways = NULL;
	ret->led = NULL;
	for (size_t i = 0; i < s->gate.n_publish; i++)
		if (s->gate.publish[i].proto == IPPROTO_UDP)
			note_way_in(&w, s, &s->gate.publish[i], on_host);
	add_led(&w, on_host ? s->slot.net4 : (struct prefix){ .ip.family = AF_INET });
	add_led(&w, on_host ? s->slot.net6 : (struct prefix){ .ip.family = AF_INET6 });
}

static int forget(const struct place *p, const struct conntrack_lost *lost, struct err *e)
{
	return lost->n_from || lost->n_udp || lost->n_led ? conntrack_forget(p->fd, lost, e) : 0;
}

static void note_room(const struct supervisor *s, size_t room, sa_family_t family,
		      struct rooms_at *outside, struct rooms_at *inside)
{
	struct arena a CLEANUP_ARENA = { 0 };
	uint64_t whose = str_hash(plan_room_netns(&a, &s->gate, room), 0);

	add(outside, whose, plan_room_outside(&s->gate, &s->slot, family, room));
	add(outside, whose, slot_short(&s->slot, family, room));
	add(inside, whose, plan_room_inside(&s->gate, &s->slot, family, room));
}

/*
 * On the host, a container's own address may be somebody else's.  A start has better things
 * to do: who asked before it is looked for in a moment.
 */
int flows_follow(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rooms_at outside = { .n = 0 }, inside = { .n = 0 };
	struct conntrack_lost lost = { .n_from = 0 };
	bool first = !s->ports_hash && !s->inner.made;
	uint64_t ports;
	int r = 0;

	if (!s->settled)
		return 0;
	for (size_t i = 0; i < s->gate.n_rooms; i++) {
		note_room(s, i, AF_INET, &outside, &inside);
		note_room(s, i, AF_INET6, &outside, &inside);
	}
	ports = hash_ports(s, &inside);
	if (ports != s->ports_hash)
		note_udp(&a, s, &lost);
	if (ports != s->ports_hash)
		r = note_own(&a, s, &lost, e);
	note_left(&a, &s->outside, &outside, &lost);
	if (first)
		note_ways(&a, s, true, &lost);
	if (r == 0)
		r = forget(&s->host, &lost, e);
	note_left(&a, &s->inside, &inside, &lost);
	if (first)
		note_ways(&a, s, false, &lost);
	if (r == 0)
		r = forget(&s->inner, &lost, e);
	if (r < 0)
		return r; /* they are left the next time, too */
	s->outside = outside;
	s->inside = inside;
	s->ports_hash = ports;
	return 0;
}
