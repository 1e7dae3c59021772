/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A strict rp_filter asks main, as if the room's answer had no mark and no address
 * of the host's yet: where main would send it by another interface the kernel drops
 * the request, before anything of ours.  That is the host's own to set: it is said.
 */
#include "daemon/supervisor.h"

#include "sys/sysctl.h"

#include <linux/rtnetlink.h>

static bool is_strict(struct arena *a, const char *link)
{
	const char *of_all, *of_link;
	struct err e;
	uint32_t all, own;

	if (sysctl_get(a, "ipv4/conf/all/rp_filter", &of_all, &e) < 0 ||
	    sysctl_get(a, arena_printf(a, "ipv4/conf/%s/rp_filter", link), &of_link, &e) < 0 ||
	    !str_to_u32(of_all, 2, &all) || !str_to_u32(of_link, 2, &own))
		return false;
	return (all > own ? all : own) == 1; /* the greater one counts (ip-sysctl) */
}

/* What no other route claims goes by it. */
static bool has_first_default(const struct snapshot *host, const struct link *l)
{
	const struct route *first = NULL;

	for (size_t i = 0; i < host->n_routes; i++) {
		const struct route *r = &host->routes[i];

		if (r->table == RT_TABLE_MAIN && r->family == AF_INET && !r->dst.len && r->n_hops &&
		    (!first || r->metric < first->metric))
			first = r;
	}
	return first && first->hops[0].link == l->index;
}

static bool is_side(struct arena *a, const struct snapshot *host, const struct link *l)
{
	size_t n;
	const struct link *const *sides = plan_sides(a, host, &n);

	for (size_t i = 0; i < n; i++)
		if (sides[i] == l)
			return true;
	for (size_t i = 0; i < host->n_addresses; i++)
		if (host->addresses[i].link == l->index &&
		    host->addresses[i].local.family == AF_INET &&
		    plan_has_own_way(host, &host->addresses[i]))
			return true;
	return false;
}

void strict_warn(const struct supervisor *s, struct arena *a, const struct snapshot *host)
{
	for (size_t i = 0; i < host->n_links; i++) {
		const struct link *l = &host->links[i];

		if (is_side(a, host, l) && !has_first_default(host, l) && is_strict(a, l->name))
			sup_log(s,
				"%s: rp_filter is strict and main has another way out: the kernel "
				"drops who asks from beyond this network. Let it be loose: sysctl "
				"-w net.ipv4.conf.%s.rp_filter=2",
				l->name, l->name);
	}
}
