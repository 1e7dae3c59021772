/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_DOORS_H
#define PLAN_DOORS_H

#include "base/arena.h"
#include "model/snapshot.h"

/*
 * The doors of a namespace that somebody else made: each interface with an
 * address is one.  What a VPN client made is a tunnel, everything else leads to
 * a local network.
 */

#define DOORS_LAN_MAX    32
#define DOORS_TUNNEL_MAX 32

struct seen_door {
	const struct link *link;
	uint32_t number; /* its table is PLAN_TABLE_DOOR + number; the same as long as it lives */
	struct ip gateway[2]; /* of IPv4 and IPv6, none if nothing tells */
	bool by_ra; /* it has its IPv6 from router advertisements */
	bool carried; /* by a program, such as pasta(1) */
};

struct seen_doors {
	struct seen_door *lan;
	size_t n_lan, cap_lan;
	struct seen_door *tunnels; /* numbered from DOORS_LAN_MAX */
	size_t n_tunnels, cap_tunnels;
	struct ip *elsewhere; /* addresses of lo and of dummies, reached by any door */
	size_t n_elsewhere, cap_elsewhere;
};

/*
 * @gateways: of the namespace's networks as far as somebody knows them (a
 * container engine does); each is used where it lies in a door's own prefix.
 * The result points into @s.
 */
void doors_find(struct arena *a, const struct snapshot *s, const struct ip *gateways,
		size_t n_gateways, struct seen_doors *ret);

/* Does @x belong to the door, and can packets from elsewhere be meant for it? */
bool door_has_address(const struct seen_door *d, const struct address *x);
/*
 * Do packets from elsewhere come to @x, meant for it or not?  A program that carries
 * a door may send them to its link-local address: pasta(1) does, by IPv6.
 */
bool door_is_asked_at(const struct seen_door *d, const struct address *x);

#endif
