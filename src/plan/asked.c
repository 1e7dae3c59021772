/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Hosts with more than one way out have rules by their own addresses (`from
 * 192.0.2.10 lookup 88`), so that who asked one of them is answered by its
 * interface.  A reply of a room has the room's address when the host looks for its
 * way, and would go by main.
 */
#include "plan/plan.h"

#include "plan/guard.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

/* The guard has such rules for each address, and tells forwarded replies apart by itself. */
static bool is_ours(const struct rule *r)
{
	return r->table == SLOT_TABLE || slot_is_pool(&r->from) ||
	       (r->table >= GUARD_TABLE_NEAR && r->table <= GUARD_TABLE_LAST);
}

static bool chooses(const struct rule *r)
{
	return r->from.len && r->action == FR_ACT_TO_TBL && r->table != RT_TABLE_MAIN &&
	       r->table != RT_TABLE_LOCAL && !is_ours(r);
}

bool plan_has_own_way(const struct snapshot *host, const struct address *x)
{
	const struct link *l = snapshot_link_by_index(host, x->link);

	if (ip_is_link_local(&x->local) || ip_is_loopback(&x->local) || !l || plan_link_is_ours(l))
		return false;
	for (size_t i = 0; i < host->n_rules; i++)
		if (host->rules[i].family == x->local.family &&
		    prefix_covers(&host->rules[i].from, &x->local) && chooses(&host->rules[i]))
			return true;
	return false;
}

bool plan_has_own_ways(const struct snapshot *host)
{
	size_t rule = 0;

	while (host && rule < host->n_rules && !chooses(&host->rules[rule]))
		rule++;
	if (!host || rule == host->n_rules)
		return false; /* nearly every host */
	for (size_t i = 0; i < host->n_addresses; i++)
		if (plan_has_own_way(host, &host->addresses[i]))
			return true;
	return false;
}
