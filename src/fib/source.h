/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_SOURCE_H
#define FIB_SOURCE_H

#include "model/snapshot.h"

/*
 * The address that a socket without one gets for packets to @dst.  None if the
 * kernel finds none (IPv4 sends with 0.0.0.0 then, IPv6 not at all).
 */

/* By route @r and one of its hops; @hop NULL for a route that has none. */
struct ip source_by_route(const struct snapshot *net, const struct route *r, const struct hop *hop,
			  const struct ip *dst);

/*
 * IPv4, inet_select_addr(): the first address of link @index, one from the
 * network of @near if there is such (none: any), with a scope of at most
 * @scope (RT_SCOPE_*); else the first good one of any link.
 */
struct ip source_by_link(const struct snapshot *net, int index, const struct ip *near,
			 uint8_t scope);

/*
 * IPv6, ipv6_dev_get_saddr(): the rules of RFC 6724, section 5, with the
 * default policy table, for packets to @dst that leave by link @index (0: any).
 */
struct ip source_by_rfc6724(const struct snapshot *net, int index, const struct ip *dst);

#endif
