/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_GUARD_XFRM_H
#define PLAN_GUARD_XFRM_H

#include "base/arena.h"
#include "model/xfrm.h"
#include "plan/guard.h"

/*
 * A guard beside IPsec that works by policies of the kernel.  They are asked
 * after all routing: one whose selector covers the LAN takes the replies to it,
 * and the requests from it are dropped because they are not encrypted.
 *
 * The guard's own are asked first, and let pass as it is what has one of the
 * guard's marks: what belongs to a connection that came in unencrypted by a door.
 * So do those for neighbour discovery, which is nobody's connection: encrypted it
 * reaches no neighbour (RFC 4301, section 4.4.1.1, leaves that to the user).
 */
#define GUARD_XFRM_OURS 14 /* in, out and fwd of both families, and IPv6's neighbours */

/* The @i-th of the guard's own. */
struct xfrm_policy guard_xfrm_policy(size_t i);
/* The same but for its index. */
bool guard_xfrm_is(const struct xfrm_policy *p, const struct xfrm_policy *like);
bool guard_xfrm_is_ours(const struct xfrm_policy *p);

/*
 * Is it asked before ours, although ours have the lowest priority there is?  Of
 * equal ones the oldest is; in the kernel's list @list it comes last.  Ours that
 * are not there yet will be the youngest.
 */
bool guard_xfrm_is_ahead(const struct xfrm_policy *list, size_t n, const struct xfrm_policy *p);

/* "SRC to DST (out)" */
const char *guard_xfrm_text(struct arena *a, const struct xfrm_policy *p);

/*
 * Does @p drop replies of a door of the host before any hook of nftables sees
 * them?  A route that leads nowhere comes with no packet that could be marked.
 */
bool guard_xfrm_blocks(const struct guard_memory *m, const struct snapshot *host,
		       const struct xfrm_policy *p);

/*
 * One that is ahead or blocks: does it take all that the network of a LAN door asks of
 * the host, or is answered?  The name of the door; NULL: of none.
 */
const char *guard_xfrm_takes(const struct guard_memory *m, const struct snapshot *host,
			     const struct xfrm_policy *p);

/*
 * The ip(8) command after which the guard can pass it by: with a priority of its
 * own, or away with it if it blocks; NULL for one of several templates.
 */
const char *guard_xfrm_cure(struct arena *a, const struct xfrm_policy *p);

#endif
