/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Addresses that ports are published on.  One that is named and that the host does not
 * have may come later, as by DHCP; it may as well be a slip of the pen, and so it is said.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"

#include <errno.h>
#include <stdlib.h>

struct asked {
	const struct ip **ips;
	size_t n, cap;
};

static bool has(const struct asked *x, const struct ip *ip)
{
	for (size_t i = 0; i < x->n; i++)
		if (ip_equal(x->ips[i], ip))
			return true;
	return false;
}

static struct asked asked_for(struct arena *a, const struct gate *g)
{
	const struct door *lan = &g->doors[0];
	struct asked all = { 0 };

	for (size_t i = 0; i < g->n_publish; i++) {
		const struct publish *p = &g->publish[i];

		if (p->door != 0)
			continue;
		if (!ip_is_any(&p->host) && !has(&all, &p->host))
			*arena_push(a, all.ips, all.n, all.cap) = &p->host;
		for (size_t j = 0; ip_is_any(&p->host) && j < lan->n_listen; j++)
			if (!has(&all, &lan->listen[j]))
				*arena_push(a, all.ips, all.n, all.cap) = &lan->listen[j];
	}
	return all;
}

/* A whole range may be the host's by a route of type local: the kernel is asked. */
static bool is_here(const struct snapshot *host, const struct ip *ip)
{
	int fd CLEANUP_FD = -1;

	return snapshot_has_address(host, ip) ||
	       port_bind(ip, IPPROTO_UDP, 0, &fd) != -EADDRNOTAVAIL;
}

size_t listen_absent(struct arena *a, const struct gate *g, const struct snapshot *host,
		     const struct ip **ret)
{
	struct asked all = asked_for(a, g);
	struct ip *absent = arena_alloc(a, (all.n + 1) * sizeof(*absent));
	size_t n = 0;

	for (size_t i = 0; i < all.n; i++)
		if (!is_here(host, all.ips[i]))
			absent[n++] = *all.ips[i];
	*ret = absent;
	return n;
}

bool listen_wants(const struct door *lan, const struct ip *ip)
{
	if (!lan->n_listen)
		return !ip_is_link_local(ip) && (!ip_is_loopback(ip) || ip->byte[3] == 1);
	for (size_t i = 0; i < lan->n_listen; i++)
		if (ip_equal(&lan->listen[i], ip))
			return true;
	return false;
}

/*
 * Of a VRF's addresses table local knows nothing: who asks them is not led to a room.
 * And the way back would be looked up outside of the VRF.
 */
void listen_warn(const struct supervisor *s, const struct snapshot *host)
{
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct ip *ip = &host->addresses[i].local;
		const struct link *l = snapshot_link_by_index(host, host->addresses[i].link);
		const struct link *vrf = l ? snapshot_vrf_of(host, l->index) : NULL;
		char text[IP_TEXT_SIZE];

		if (vrf && vrf != l && listen_wants(&s->gate.doors[0], ip))
			sup_log(s,
				"the lan door does not answer on %s: %s is in the VRF %s, where "
				"gates are not known. Let clients ask an address of another "
				"interface, or take it out: ip link set %s nomaster",
				ip_text(ip, text), l->name, vrf->name, l->name);
	}
}

static bool is_among(const struct ip *ips, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_equal(&ips[i], ip))
			return true;
	return false;
}

void listen_look(struct supervisor *s, struct arena *a, const struct snapshot *host)
{
	char text[IP_TEXT_SIZE];
	const struct ip *now;
	size_t n = listen_absent(a, &s->gate, host, &now);

	for (size_t i = 0; i < n; i++)
		if (!is_among(s->absent, s->n_absent, &now[i]))
			sup_log(s, LISTEN_ABSENT, ip_text(&now[i], text));
	for (size_t i = 0; i < s->n_absent; i++)
		if (!is_among(now, n, &s->absent[i]))
			sup_log(s, "%s is an address of this host now: the lan door answers there",
				ip_text(&s->absent[i], text));
	free(s->absent);
	s->absent = calloc(n + 1, sizeof(*s->absent));
	if (!s->absent)
		abort();
	for (size_t i = 0; i < n; i++)
		s->absent[i] = now[i];
	s->n_absent = n;
}
