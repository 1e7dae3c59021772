/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_CURE_H
#define PLAN_CURE_H

#include "base/arena.h"
#include "model/snapshot.h"

/*
 * One rule at priority 0 and a table of its own that leads to one link: what a
 * person can type so that some packets leave by that link whatever a VPN
 * installs.  As a value it can be tried on a snapshot before it is told.
 */
struct cure {
	sa_family_t family;
	uint32_t table; /* a free one */
	const char *link;
	struct ip gateway; /* none: everybody is on the link */
	struct prefix onlink; /* the connected network, family 0 for none */
	struct prefix from; /* the rule's selectors; family 0: any */
	struct prefix to;
	const char *iif; /* NULL: any */
};

/* The first table from @first on that neither route nor rule of @net speaks of. */
uint32_t cure_free_table(const struct snapshot *net, uint32_t first);

/* The connected network of @ip on link @index; family 0 if there is none. */
struct prefix cure_network_of(const struct snapshot *net, const struct ip *ip, int index);

/* @net with the cures in it.  What they name must live as long as @a. */
struct snapshot cure_apply(struct arena *a, const struct snapshot *net, const struct cure *cures,
			   size_t n);

#endif
