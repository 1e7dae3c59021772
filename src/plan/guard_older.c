/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that are older than the guard have no mark.  A LAN address leads
 * them by the LAN then, which is wrong for those that a VPN's peer has with such
 * an address; and nothing leads those with a tunnel's own, should another VPN claim
 * the peer.  Where main leads them by a tunnel, a rule for the two addresses does
 * from now on.
 */
#include "fib/lookup.h"
#include "plan/guard.h"

#include <stdio.h>

/* More of them is no host that somebody works on, and rules cost every lookup. */
#define OLDER_MAX 64

static bool is_tunnel(const struct snapshot *host, int link)
{
	const struct link *l = snapshot_link_by_index(host, link);

	return l && guard_is_tunnel(l);
}

/* Is @ip an address that rules of ours lead, which are those of all links but tunnels? */
static bool is_led(const struct snapshot *host, const struct ip *ip)
{
	for (size_t i = 0; i < host->n_addresses; i++)
		if (ip_equal(&host->addresses[i].local, ip))
			return !is_tunnel(host, host->addresses[i].link);
	return false;
}

static bool is_known(const struct guard_older *all, size_t n, const struct socket_seen *s)
{
	for (size_t i = 0; i < n; i++)
		if (ip_equal(&all[i].local, &s->local) && ip_equal(&all[i].peer, &s->peer))
			return true;
	return false;
}

/* The tunnel that leads @s, which has no mark to say so; NULL for none. */
static const struct link *tunnel_of(const struct fib *fib, const struct snapshot *host,
				    const struct socket_seen *s)
{
	struct flow flow = { .dst = s->peer, .src = s->local };
	struct fib_result r;

	if (s->state != SOCKET_CONNECTED || s->mark || !snapshot_has_address(host, &s->local))
		return NULL;
	fib_lookup(fib, &flow, &r, NULL);
	return r.verdict == FIB_UNICAST && is_tunnel(host, r.link)
		       ? snapshot_link_by_index(host, r.link)
		       : NULL;
}

void guard_older_find(struct arena *a, const struct snapshot *host,
		      const struct socket_seen *sockets, size_t n, struct guard_older **ret,
		      size_t *ret_n)
{
	const struct fib *fib = fib_new(a, host);
	size_t cap = 0;

	*ret = NULL;
	*ret_n = 0;
	/* First those that would be lost at once. */
	for (int led = 1; led >= 0; led--)
		for (size_t i = 0; i < n && *ret_n < OLDER_MAX; i++) {
			const struct socket_seen *s = &sockets[i];
			const struct link *l =
				is_led(host, &s->local) == led ? tunnel_of(fib, host, s) : NULL;
			struct guard_older *x;

			if (!l || is_known(*ret, *ret_n, s))
				continue;
			x = arena_push(a, *ret, *ret_n, cap);
			*x = (struct guard_older){ .local = s->local, .peer = s->peer };
			snprintf(x->door, sizeof(x->door), "%s", l->name);
		}
}

size_t guard_plain_keep(const struct snapshot *host, const struct guard_older *older,
			size_t n_older, struct socket_seen *sockets, size_t n, size_t max)
{
	size_t kept = 0;

	for (size_t i = 0; i < n && kept < max; i++) {
		const struct socket_seen *s = &sockets[i];

		if (s->state == SOCKET_CONNECTED && !ip_is_loopback(&s->peer) &&
		    is_led(host, &s->local) && !is_known(older, n_older, s) &&
		    (s->mark & GUARD_MARKS_MASK) != GUARD_MARKS)
			sockets[kept++] = *s;
	}
	return kept;
}

size_t guard_older_keep(struct guard_older *older, size_t n, const struct socket_seen *sockets,
			size_t n_sockets)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		bool lives = false;

		for (size_t j = 0; !lives && j < n_sockets; j++)
			lives = sockets[j].state == SOCKET_CONNECTED &&
				is_known(&older[i], 1, &sockets[j]);
		if (lives)
			older[kept++] = older[i];
	}
	return kept;
}
