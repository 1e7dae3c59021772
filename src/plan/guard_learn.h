/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_GUARD_LEARN_H
#define PLAN_GUARD_LEARN_H

#include "plan/guard.h"

/* What guard_learn() asks, and the plan once more. */

/* Does it need rules?  Link-local IPv6 does not: it is bound to its link in any case. */
bool guard_address_counts(const struct address *x);
/* NULL if there is none. */
const struct guard_door *guard_door_named(const struct guard_memory *m, const char *name);
/* Is one of its doors a tunnel?  Else addresses lead as they did before there was a guard. */
bool guard_has_tunnel(const struct guard_memory *m);
/* Has @l an address of @family that counts? */
bool guard_link_speaks(const struct snapshot *host, const struct link *l, sa_family_t family);
/* Is @r one that leads somewhere, and neither the kernel's own nor ours? */
bool guard_in_others_tables(const struct route *r);
/* Could packets go by it now? */
bool guard_route_usable(const struct guard_memory *m, const struct snapshot *host,
			const struct want_route *r);
/* Has the door of @link a gateway that could be used now? */
bool guard_has_gateway(const struct guard_memory *m, const struct snapshot *host,
		       sa_family_t family, const char *link);
/* Is the gateway of @r a neighbour by a route only?  Then that is guard_route_to_gateway(). */
bool guard_gateway_needs_route(const struct snapshot *host, const struct want_route *r);
/* In no table; points where @r does. */
struct want_route guard_route_to_gateway(const struct want_route *r);

#endif
