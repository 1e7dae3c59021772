/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_CHOOSE_H
#define FIB_CHOOSE_H

#include "fib/flow.h"
#include "fib/table.h"

/* A route and where it leads. */
struct fib_pick {
	const struct route *route; /* NULL: none fits */
	const struct hop *hop; /* NULL for a route that has none */
	bool by_hash; /* @hop is one of several; the kernel takes any of them */
	bool by_neighbour; /* other equal defaults; the kernel avoids dead gateways */
	int only_link; /* index of the only link it may be by, 0: any */
};

/*
 * The best route of one table to @flow->dst.  @src is the source as far as it
 * is known, @oif the link it shall leave by (0: any); with @strict no other
 * will do.
 */
struct fib_pick choose_in_table(const struct fib_table *t, const struct flow *flow,
				const struct ip *src, int oif, bool strict);

/* IPv4: the best of two tables as if they were one; either may be NULL. */
struct fib_pick choose_in_two(const struct fib_table *first, const struct fib_table *second,
			      const struct flow *flow, int oif);

/* Could the kernel have taken @hop of the picked route instead? */
bool fib_pick_may_take(const struct fib_pick *pick, const struct hop *hop);

/* Unreachable, prohibit, blackhole, throw. */
bool route_refuses(const struct route *r);

#endif
