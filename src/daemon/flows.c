/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where rooms were.  conntrack(8) leads all of a UDP conversation where its first datagram
 * was led, for as long as the client goes on asking: when a room has another address (the
 * gate's links had to move, an engine made a container anew), or a port was not published
 * yet, who asked before would never be answered again.  So such conversations are
 * forgotten, on the host and in the gate.
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

static int forget(const struct place *p, const struct conntrack_lost *lost, struct err *e)
{
	return lost->n_from || lost->n_udp ? conntrack_forget(p->fd, lost, e) : 0;
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
	uint64_t ports;
	int r;

	if (!s->settled)
		return 0;
	for (size_t i = 0; i < s->gate.n_rooms; i++) {
		note_room(s, i, AF_INET, &outside, &inside);
		note_room(s, i, AF_INET6, &outside, &inside);
	}
	ports = hash_ports(s, &inside);
	if (ports != s->ports_hash)
		note_udp(&a, s, &lost);
	note_left(&a, &s->outside, &outside, &lost);
	r = forget(&s->host, &lost, e);
	note_left(&a, &s->inside, &inside, &lost);
	if (r == 0)
		r = forget(&s->inner, &lost, e);
	if (r < 0)
		return r; /* they are left the next time, too */
	s->outside = outside;
	s->inside = inside;
	s->ports_hash = ports;
	return 0;
}
