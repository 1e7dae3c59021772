/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that are older than the guard have no mark.  A LAN address leads
 * them by the LAN then, which is wrong for those that a VPN's peer has with such
 * an address: where main leads them by a tunnel, a rule for the two addresses
 * does from now on.
 */
#include "fib/lookup.h"
#include "plan/guard.h"

#include <stdio.h>
#include <string.h>

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

void guard_older_find(struct arena *a, const struct snapshot *host,
		      const struct socket_seen *sockets, size_t n, struct guard_older **ret,
		      size_t *ret_n)
{
	const struct fib *fib = fib_new(a, host);
	size_t cap = 0;

	*ret = NULL;
	*ret_n = 0;
	for (size_t i = 0; i < n && *ret_n < OLDER_MAX; i++) {
		const struct socket_seen *s = &sockets[i];
		struct flow flow = { .dst = s->peer, .src = s->local };
		struct guard_older *x;
		struct fib_result r;

		if (s->state != SOCKET_CONNECTED || s->mark || !is_led(host, &s->local) ||
		    is_known(*ret, *ret_n, s))
			continue;
		fib_lookup(fib, &flow, &r, NULL);
		if (r.verdict != FIB_UNICAST || !is_tunnel(host, r.link))
			continue;
		x = arena_push(a, *ret, *ret_n, cap);
		*x = (struct guard_older){ .local = s->local, .peer = s->peer };
		snprintf(x->door, sizeof(x->door), "%s",
			 snapshot_link_by_index(host, r.link)->name);
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
