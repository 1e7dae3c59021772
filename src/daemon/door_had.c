/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VPN's interface had when its client was connected: its name, addresses and
 * routes.  The client made it and looks at it no more, so what somebody takes away is put
 * back here for as long as the client runs and has not connected anew.  What the client
 * takes away itself is its own affair, and told by the number of its netlink socket.
 *
 * Of a client that is not known to us (`command`) nothing is put back, as it may change
 * its addresses at any time, and does so by scripts: of 200 processes `ip route del` 52
 * to 79 had ended before a listener could ask whose they were.  If it has no address any
 * more, or no interface, and does not see to that, it is started again.
 */
#include "daemon/supervisor.h"

#include <linux/rtnetlink.h>
#include <unistd.h>

/* So long a client may be without what it had, in ms: it may be about to have it anew. */
#define LOST_LIMIT_MS 3000

void door_had_forget(struct door_run *d)
{
	arena_free(&d->had.arena);
	d->had = (struct door_had){ .due = d->client.state == CLIENT_UP };
}

static int family_bit(const struct ip *ip)
{
	return ip->family == AF_INET6 ? 2 : 1;
}

static int families_of(const struct snapshot *gate, int index)
{
	int found = 0;

	for (size_t i = 0; i < gate->n_addresses; i++)
		if (gate->addresses[i].link == index &&
		    !ip_is_link_local(&gate->addresses[i].local))
			found |= family_bit(&gate->addresses[i].local);
	return found;
}

/* The plan's own are put back by the plan. */
static bool is_clients(const struct route *r, int index)
{
	return r->table == RT_TABLE_MAIN && r->protocol != PLAN_PROTOCOL && r->n_hops == 1 &&
	       r->hops[0].link == index && !(r->flags & RTM_F_CLONED) && r->type == RTN_UNICAST;
}

static void note(struct door_run *d, const struct snapshot *gate, const struct link *l)
{
	struct arena *a = &d->had.arena;
	struct snapshot *to = &d->had.net;

	door_had_forget(d);
	*arena_push(a, to->links, to->n_links, to->cap_links) = *l;
	for (size_t i = 0; i < gate->n_addresses; i++)
		if (gate->addresses[i].link == l->index)
			*arena_push(a, to->addresses, to->n_addresses, to->cap_addresses) =
				gate->addresses[i];
	for (size_t i = 0; i < gate->n_routes; i++) {
		struct route r = gate->routes[i];

		if (!is_clients(&r, l->index))
			continue;
		r.hops = arena_alloc(a, sizeof(*r.hops));
		*r.hops = gate->routes[i].hops[0];
		*arena_push(a, to->routes, to->n_routes, to->cap_routes) = r;
	}
	d->had.index = l->index;
	d->had.families = families_of(gate, l->index);
	d->had.due = false;
}

/* True if there was something to do, so that @gate is old. */
static bool put_back(struct door_run *d, const struct snapshot *gate)
{
	struct text words CLEANUP_TEXT = { 0 };
	struct err e;
	int r;

	if (d->door->kind == DOOR_COMMAND || !snapshot_link_by_index(gate, d->had.index))
		return false;
	r = rtnl_put_back(d->sup->inner.rtnl, &d->had.net, gate, &words, &e);
	if (words.len)
		sup_repaired(d->sup, "%s: %s of %s", d->sup->inner.netns, text_str(&words),
			     d->door->name);
	d->had.failed = r < 0;
	if (r < 0) /* who takes it away may be about it still */
		reconcile_later(d->sup);
	return words.len || r < 0;
}

bool door_had_look(struct door_run *d, const struct snapshot *gate)
{
	return d->client.state == CLIENT_UP && d->had.index && put_back(d, gate);
}

/*
 * After door_observe().  What it is now is what it had when it has just connected, and
 * when it has another interface than before.
 */
void door_had_note(struct door_run *d, const struct snapshot *gate)
{
	const struct link *l = d->interface[0] ? snapshot_link_by_name(gate, d->interface) : NULL;
	int missing;

	if (d->client.state == CLIENT_UP && l && (d->had.due || l->index != d->had.index))
		note(d, gate, l);
	missing = d->had.families & ~(l ? families_of(gate, l->index) : 0);
	if (!d->had.index || (!missing && !d->had.failed)) {
		d->had.lost = 0;
	} else if (!d->had.lost) {
		d->had.lost = clock_ms();
		door_look_soon(d);
	}
}

int64_t door_had_deadline(const struct door_run *d)
{
	bool counts = d->client.state == CLIENT_UP ||
		      (d->client.state == CLIENT_CONNECTING && d->door->kind == DOOR_COMMAND);

	return d->had.lost && counts && d->pid > 0 ? d->had.lost + LOST_LIMIT_MS : 0;
}

/* A script of the client's is in its process group, if it still runs. */
static bool is_of_client(const struct door_run *d, uint32_t port)
{
	return d->pid > 0 && ((pid_t)port == d->pid || getpgid((pid_t)port) == d->pid);
}

void doors_had_hear(struct supervisor *s, const struct rtnl_news *news)
{
	for (size_t i = 1; i < s->gate.n_doors; i++)
		for (size_t j = 0; j < news->n_takers; j++)
			if (is_of_client(&s->doors[i], news->takers[j]))
				door_had_forget(&s->doors[i]);
}
