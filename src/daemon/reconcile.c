/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What host, gate and rooms should be, and in which order they are made so
 * (daemon/place_set.c).  Used for the first start, after `kill -9`, when a tunnel comes
 * and goes, and for repair: what differs decides, not what we think has happened.
 *
 * The order closes before it opens: first the gate's sysctls and its nft table
 * (the kill switch), then links, addresses, routes and rules, the host's way in
 * last.
 */
#include "daemon/supervisor.h"

#include "plan/diff.h"
#include "sys/netns.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Links made in one round get their addresses in the next; one more sees that nothing is left. */
#define ROUNDS 6

#define LAZY_MS  50
#define RETRY_MS 1000

static void hash_facts(uint64_t *h, const struct door_run *d)
{
	char text[64];

	snprintf(text, sizeof(text), "%s/%u/%d", d->interface, d->mtu, d->no_ipv6);
	*h = str_hash(text, *h);
	*h = str_hash(text_str(&d->addresses), *h);
}

static int snapshot_gate(struct supervisor *s, struct arena *a, struct snapshot *ret, struct err *e)
{
	return rtnl_snapshot_tables(s->inner.rtnl, a, PLAN_TABLE_ROOMS, PLAN_TABLE_LAST, ret, e);
}

/* A room's link under another name: its address of the slot would look like a VPN's. */
static bool is_renamed(const struct supervisor *s, struct arena *a, const struct link *l)
{
	bool known = str_eq(l->name, "lo") || str_eq(l->name, "lan");

	for (size_t i = 0; !known && i < s->gate.n_rooms; i++)
		known = str_eq(l->name, plan_room_link(a, &s->gate, i));
	return !known && plan_link_is_of(l, s->gate.name);
}

/*
 * An end whose other end is not where it belongs comes from a gate or a room
 * that was taken apart: the kernel will remove it, at a time of its own.
 */
static int drop_stale_links(struct supervisor *s, struct arena *a, struct snapshot *gate,
			    struct err *e)
{
	struct rtnl_counters ignored;
	struct err away;
	bool dropped = false;
	int r = 0;

	if (!snapshot_link_by_name(gate, "lan"))
		r = rtnl_link_delete(s->host.rtnl, plan_host_link(a, &s->gate), e);
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		if (!s->gate.rooms[i].sandbox &&
		    snapshot_link_by_name(gate, plan_room_link(a, &s->gate, i)) &&
		    rtnl_counters(s->rooms[i].rtnl, "eth0", &ignored, &away) == -ENODEV) {
			r = rtnl_link_delete(s->inner.rtnl, plan_room_link(a, &s->gate, i), e);
			dropped = true;
		}
	for (size_t i = 0; r == 0 && i < gate->n_links; i++)
		if (is_renamed(s, a, &gate->links[i])) {
			r = rtnl_link_delete(s->inner.rtnl, gate->links[i].name, e);
			dropped = true;
		}
	return r < 0 || !dropped ? r : snapshot_gate(s, a, gate, e);
}

static size_t find_claims_all(const struct supervisor *s, const struct snapshot *gate)
{
	for (size_t i = 0; i < gate->n_routes; i++) {
		const struct route *r = &gate->routes[i];
		const struct link *l = r->n_hops ? snapshot_link_by_index(gate, r->hops[0].link)
						 : NULL;

		if (r->dst.len || r->table != RT_TABLE_MAIN || r->type != RTN_UNICAST || !l)
			continue;
		for (size_t d = 1; d < s->gate.n_doors; d++)
			if (str_eq(l->name, s->doors[d].interface))
				return d;
	}
	return 0;
}

static int put_back_doors(struct supervisor *s, struct arena *a, struct snapshot *gate,
			  struct err *e)
{
	bool did = false, any = false;

	for (size_t i = 1; i < s->gate.n_doors; i++)
		any |= s->doors[i].had.index != 0;
	if (any) /* who took away what is missing in @gate */
		place_hear(&s->inner);
	for (size_t i = 1; i < s->gate.n_doors; i++)
		did |= door_had_look(&s->doors[i], gate);
	return did ? snapshot_gate(s, a, gate, e) : 0;
}

/*
 * What the plan needs to know of the gate as it is: which doors have an
 * interface.  A VPN that gave itself an address of our slot makes us move.
 */
static int observe(struct supervisor *s, struct arena *a, struct snapshot *gate, struct err *e)
{
	struct snapshot host = { 0 };
	uint64_t h = s->slot.number;
	int r;

	r = snapshot_gate(s, a, gate, e);
	if (r == 0)
		r = drop_stale_links(s, a, gate, e);
	if (r == 0)
		r = put_back_doors(s, a, gate, e);
	if (r == 0)
		r = sandboxes_look(s, a, gate, e);
	if (r < 0)
		return r;
	for (size_t i = 1; i < s->gate.n_doors; i++) {
		if (door_observe(&s->doors[i], gate))
			s->dirty = true; /* status and readiness follow */
		door_had_note(&s->doors[i], gate);
		hash_facts(&h, &s->doors[i]);
	}
	s->claims_all = find_claims_all(s, gate);
	if (slot_clashes(&s->slot, gate)) {
		r = rtnl_snapshot(s->host.rtnl, a, &host, e);
		if (r < 0)
			return r;
		if (!slot_choose(s->gate.name, plan_host_link(a, &s->gate), &host, gate, &s->slot))
			return err_set(e, EADDRINUSE, "no free range for the gate's links");
		sup_log(s, "a VPN took an address of our links: they move to %u.%u.%u.%u/26",
			s->slot.net4.ip.byte[0], s->slot.net4.ip.byte[1], s->slot.net4.ip.byte[2],
			s->slot.net4.ip.byte[3]);
		h = str_hash("moved", h + s->slot.number);
	}
	s->facts_changed = h != s->facts_hash;
	s->facts_hash = h;
	return 0;
}

static struct plan_facts facts_of(struct supervisor *s, struct arena *a,
				  const struct snapshot *host)
{
	struct plan_facts f = { .slot = s->slot,
				.ipv6 = s->ipv6,
				.host = host,
				.before = s->before,
				.n_before = s->n_before };

	f.doors = arena_alloc(a, sizeof(*f.doors) * s->gate.n_doors);
	for (size_t i = 1; i < s->gate.n_doors; i++) {
		struct door_run *d = &s->doors[i];

		f.doors[i].interface = d->interface[0] ? d->interface : NULL;
		f.doors[i].mtu = d->mtu;
		f.doors[i].no_ipv6 = d->no_ipv6;
		f.doors[i].addresses = d->ips;
		f.doors[i].n_addresses = d->n_ips;
		f.doors[i].servers = d->servers;
		f.doors[i].n_servers = d->n_servers;
		if (d->door->kind == DOOR_WIREGUARD)
			f.doors[i].wg = &d->wg;
	}
	f.claims_all = s->claims_all;
	f.sandboxes = arena_alloc(a, sizeof(*f.sandboxes) * (s->gate.n_rooms + 1));
	for (size_t i = s->sandboxes.n_own_rooms; i < s->gate.n_rooms; i++)
		f.sandboxes[i] = s->rooms[i].sandbox;
	return f;
}

static bool host_says(struct supervisor *s, struct arena *a, const char *path, const char *value)
{
	const char *now;
	struct err e;

	return sysctl_get_in(&s->host.sysctls, a, path, &now, &e) == 0 && str_eq(now, value);
}

static bool is_one(struct supervisor *s, struct arena *a, const char *path)
{
	return host_says(s, a, path, "1");
}

/* A link that is there has its own switch, which it got from `default` when it was made. */
static bool host_refuses_ipv6(struct supervisor *s, struct arena *a)
{
	bool off =
		is_one(s, a, "ipv6/conf/default/disable_ipv6") ||
		is_one(s, a,
		       arena_printf(a, "ipv6/conf/%s/disable_ipv6", plan_host_link(a, &s->gate)));

	for (size_t i = 0; !off && i < s->gate.n_rooms; i++)
		off = plan_room_is_short(&s->gate, i) &&
		      is_one(s, a,
			     arena_printf(a, "ipv6/conf/%s/disable_ipv6",
					  plan_short_link(a, &s->slot, i)));
	return off;
}

void sup_want(struct supervisor *s, struct arena *a, const struct place *p,
	      const struct snapshot *host, struct want *ret)
{
	struct plan_facts f = facts_of(s, a, host);

	switch (p->kind) {
	case PLACE_HOST:
		f.forwards4 = is_one(s, a, "ipv4/ip_forward");
		f.host_no_ipv6 = s->ipv6 && host_refuses_ipv6(s, a);
		f.host_arp_prefix = host_says(s, a, "ipv4/conf/all/arp_ignore", "2") ||
				    host_says(s, a, "ipv4/conf/default/arp_ignore", "2");
		plan_host(a, &s->gate, &f, ret);
		break;
	case PLACE_GATE:
		plan_gate(a, &s->gate, &f, ret);
		break;
	case PLACE_ROOM:
		plan_room(a, &s->gate, &f, p->room, ret);
		break;
	}
}

/* A sandbox's link that its engine has not taken yet. */
static bool waits_for_engine(const struct supervisor *s, struct arena *a, const char *link)
{
	for (size_t i = s->sandboxes.n_own_rooms; i < s->gate.n_rooms; i++)
		if (str_eq(plan_sandbox_link(a, &s->gate, i), link))
			return true;
	return false;
}

/*
 * Short links of another slot or of rooms that have none any more, and those
 * whose other end is in a room that was taken apart.
 */
static int drop_short_links(struct supervisor *s, struct arena *a, struct snapshot *host,
			    const struct want *w, struct err *e)
{
	struct rtnl_counters ignored;
	struct err away;
	bool dropped = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < host->n_links; i++) {
		if (!plan_link_is_of(&host->links[i], s->gate.name) ||
		    want_has_link(w, host->links[i].name) ||
		    waits_for_engine(s, a, host->links[i].name))
			continue;
		r = rtnl_link_delete(s->host.rtnl, host->links[i].name, e);
		dropped = true;
	}
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		if (plan_room_is_short(&s->gate, i) &&
		    snapshot_link_by_name(host, plan_short_link(a, &s->slot, i)) &&
		    rtnl_counters(s->rooms[i].rtnl, PLAN_SHORT_END, &ignored, &away) == -ENODEV) {
			r = rtnl_link_delete(s->host.rtnl, plan_short_link(a, &s->slot, i), e);
			dropped = true;
		}
	return r < 0 || !dropped ? r : place_snapshot(&s->host, a, w, host, e);
}

/* Whose changes on the host concern us; true if we know only now. */
static bool watch_host(struct supervisor *s, struct arena *a, const struct snapshot *host)
{
	const char *own[1 + GATE_ROOMS_MAX] = { plan_host_link(a, &s->gate) };
	size_t n_own = 1, n_others = 0, cap_others = 0;
	int *others = NULL;

	if (!s->host.watch)
		return false;
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		if (plan_room_is_short(&s->gate, i))
			own[n_own++] = plan_short_link(a, &s->slot, i);
	for (size_t i = 0; i < host->n_links; i++)
		if (!str_starts(host->links[i].name, "sp-"))
			*arena_push(a, others, n_others, cap_others) = host->links[i].index;
	return rtnl_watch_own(s->host.watch, s->slot.number, own, n_own, others, n_others);
}

/* Another way out of the host is nobody's damage. */
static void note_sides(struct supervisor *s, const struct want *w)
{
	char text[PREFIX_TEXT_SIZE + IP_TEXT_SIZE + LINK_NAME_SIZE + 32];
	char dst[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];
	uint64_t h = 1;

	for (size_t i = 0; i < w->n_routes; i++) {
		const struct want_route *r = &w->routes[i];

		if (!plan_is_side_table(r->table))
			continue;
		snprintf(text, sizeof(text), "%s %s %s %u", prefix_text(&r->dst, dst),
			 ip_text(&r->via, via), r->link, r->metric);
		h = str_hash(text, h);
	}
	s->sides_changed = h != s->sides_hash;
	s->sides_hash = h;
}

/* The host's plan, with the old sysctls noted in it before they are changed. */
static int want_host(struct supervisor *s, struct arena *a, struct want *ret, struct snapshot *host,
		     struct err *e)
{
	bool adopted = false;
	size_t n_before;
	int r;

	if (s->seen) {
		*host = *s->seen;
		s->seen = NULL;
		s->host_later = true;
	} else {
		r = sup_look_at_host(s, a, SLOT_TABLE, SLOT_TABLE, host, e);
		if (r < 0)
			return r;
	}
	n_before = s->n_before;
	sup_want(s, a, &s->host, host, ret);
	/* Another gate may have left something there. */
	if (before_is_written(s, a, ret))
		s->before_known = false;
	r = before_merge(s, a, e);
	if (r == 0)
		r = router_look(s, a, &adopted, e);
	if (r < 0)
		return r;
	adopted |= before_follow(s, a, host);
	before_note(s, a, ret);
	r = before_keep(s, e);
	if (r < 0)
		return r;
	if (s->n_before != n_before || adopted)
		sup_want(s, a, &s->host, host, ret);
	note_sides(s, ret);
	listen_look(s, a, host);
	if (ret->table_last != ret->table_first) /* more tables than were looked at */
		r = place_snapshot(&s->host, a, ret, host, e);
	return r < 0 ? r : drop_short_links(s, a, host, ret, e);
}

static int host_round(struct supervisor *s, struct arena *a, size_t *ret_steps, struct err *e)
{
	struct snapshot host = { 0 };
	struct want want = { 0 };
	int r = want_host(s, a, &want, &host, e);

	if (r == 0)
		r = place_set_nft(&s->host, a, &want, e);
	if (r == 0)
		r = place_set_network(&s->host, a, &want, host, ret_steps, e);
	if (r == 0 && !s->host.watch)
		r = place_watch(&s->host, e);
	if (r == 0 && watch_host(s, a, &host))
		*ret_steps += 1;
	if (r == 0)
		r = place_set_sysctls(&s->host, a, &want, e);
	router_note(s, a);
	return r;
}

/*
 * Of a new gate the host's part is made in the first round, from nothing, and the second
 * is for the other ends of its links.  To look at the host again costs the more, the more
 * gates there are: that is done, and seen that nothing is left anywhere, when this one
 * answers already.
 */
static bool is_for_later(const struct supervisor *s, int rounds, int round)
{
	return round >= rounds && s->host_later && !s->settled;
}

/*
 * Gate's and rooms' sysctls are of all links and those to come: the first round is enough
 * for them, and they come before any link.  The gate makes the rooms' ends as well.
 * Whoever is root in a room can make it fail there; that is told, and the others
 * are put right all the same.
 */
static int one_round(struct supervisor *s, int round, size_t *ret_steps, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const struct snapshot none = { 0 };
	struct snapshot gate = { 0 };
	struct want want = { 0 };
	bool first = round == 0;
	struct err why;
	int r, of_room, rooms = 0;

	r = observe(s, &a, &gate, e);
	if (r < 0)
		return r;
	for (size_t i = 0; first && r == 0 && i < s->gate.n_rooms; i++) {
		if (s->gate.rooms[i].sandbox)
			continue; /* its links are made later */
		sup_want(s, &a, &s->rooms[i], &none, &want);
		r = place_set_sysctls(&s->rooms[i], &a, &want, e);
	}
	sup_want(s, &a, &s->inner, &none, &want);
	if (r == 0 && first)
		r = place_set_sysctls(&s->inner, &a, &want, e);
	if (r == 0)
		r = place_set_nft(&s->inner, &a, &want, e);
	if (r == 0)
		r = place_set_network(&s->inner, &a, &want, gate, ret_steps, e);
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++) {
		if (s->gate.rooms[i].sandbox && !s->rooms[i].sandbox.ours &&
		    !plan_sandbox_lacks(&s->rooms[i].sandbox))
			continue; /* the engine's */
		sup_want(s, &a, &s->rooms[i], &none, &want);
		of_room = s->gate.rooms[i].sandbox
				  ? place_set_sysctls(&s->rooms[i], &a, &want, &why)
				  : 0;
		if (of_room == 0)
			of_room = place_set_network(&s->rooms[i], &a, &want, none, ret_steps, &why);
		if (of_room < 0) {
			rooms = of_room;
			*e = why;
		}
	}
	if (r == 0 && !is_for_later(s, 1, round))
		r = host_round(s, &a, ret_steps, e);
	return r < 0 ? r : rooms;
}

static int keep_names(struct supervisor *s, struct err *e)
{
	int r = netns_keep(s->inner.netns, s->inner.fd, e);

	if (r > 0)
		sup_repaired(s, "the name %s/%s was gone", NETNS_DIR, s->inner.netns);
	for (size_t i = 0; r >= 0 && i < s->sandboxes.n_own_rooms; i++) {
		r = netns_keep(s->rooms[i].netns, s->rooms[i].fd, e);
		if (r > 0)
			sup_repaired(s, "the name %s/%s was gone", NETNS_DIR, s->rooms[i].netns);
	}
	return r < 0 ? r : files_watch_names(s, e);
}

static void settle(struct supervisor *s)
{
	s->settled = true;
	s->slot_unknown = false;
	s->host.had_sysctls = s->inner.had_sysctls = true;
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		s->rooms[i].had_sysctls = true;
}

static void forget_news(struct place *p)
{
	struct rtnl_news ignored;
	struct err e;

	if (p->watch && rtnl_watch_read(p->watch, &ignored, &e) < 0)
		reconcile_soon(p->sup);
}

static void forget_all_news(struct supervisor *s)
{
	forget_news(&s->host);
	forget_news(&s->inner);
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		forget_news(&s->rooms[i]);
}

/*
 * What we are about to look at in whole need not be told of: a start would look once
 * more.  Nor would anybody hear what the first round of a new gate does to its links; and
 * a table costs half as much again as long as somebody listens, in whatever namespace.
 */
static int hear_from_now_on(struct supervisor *s, struct err *e)
{
	int r = 0;

	forget_all_news(s);
	if (!s->inner.watch)
		r = place_watch(&s->inner, e);
	for (size_t i = 0; r == 0 && i < s->sandboxes.n_own_rooms; i++)
		if (!s->rooms[i].watch)
			r = place_watch(&s->rooms[i], e);
	if (r == 0 && !s->host.nft_watch)
		r = place_watch_nft(&s->host, e);
	if (r == 0 && !s->inner.nft_watch)
		r = place_watch_nft(&s->inner, e);
	return r;
}

static void follow(struct loop_timer *t)
{
	struct supervisor *s = t->ctx;
	struct err e;

	if (flows_follow(s, &e) < 0)
		reconcile_soon(s); /* which says so */
}

/* Conversations that a start found are led on in a moment; the host is looked at when it rests. */
static void follow_soon(struct supervisor *s)
{
	s->follow = (struct loop_timer){ .fire = follow, .ctx = s };
	loop_arm(&s->loop, &s->follow, LAZY_MS);
}

int reconcile(struct supervisor *s, struct err *e)
{
	size_t steps = 1;
	struct err why;
	int r = keep_names(s, e), closed = 0;

	for (int i = 0; r == 0 && steps && i < ROUNDS && !is_for_later(s, 2, i); i++) {
		if (i > 0 && !s->settled)
			r = hear_from_now_on(s, e);
		steps = 0;
		if (r == 0)
			r = one_round(s, i, &steps, e);
	}
	if (!s->settled)
		forget_all_news(s); /* of what we did: the whole is looked at soon */
	/* What is forwarded may wait for a person; names and conversations need not. */
	if (r == 0)
		closed = firewall_open(s, &why);
	if (r == 0)
		r = flows_follow(s, e);
	if (r == 0)
		r = resolv_write(s, e);
	if (r < 0)
		return r;
	if (closed < 0) {
		*e = why;
		return closed;
	}
	s->host_later = !s->settled;
	if (!s->settled)
		follow_soon(s);
	settle(s);
	s->sandboxes.changed = false;
	return 0;
}

static void lazy_fired(struct loop_timer *t)
{
	reconcile_soon(t->ctx);
}

static void arm_lazy(struct supervisor *s, int64_t in_ms)
{
	s->lazy.fire = lazy_fired;
	s->lazy.ctx = s;
	loop_arm(&s->loop, &s->lazy, in_ms);
}

void reconcile_if_dirty(struct supervisor *s)
{
	struct err e;

	if (!s->dirty)
		return;
	s->dirty = false;
	loop_disarm(&s->loop, &s->lazy); /* here it is */
	if (reconcile(s, &e) == 0) {
		if (s->last_error)
			sup_log(s, "in order again");
		free(s->last_error);
		s->last_error = NULL;
		return;
	}
	if (!s->last_error || !str_eq(s->last_error, e.text)) {
		sup_log(s, "%s; trying again every second", e.text);
		free(s->last_error);
		s->last_error = strdup(e.text);
	}
	arm_lazy(s, RETRY_MS);
}

void reconcile_soon(struct supervisor *s)
{
	s->dirty = true;
}

void reconcile_later(struct supervisor *s)
{
	if (!s->lazy.at_ms)
		arm_lazy(s, LAZY_MS);
}
