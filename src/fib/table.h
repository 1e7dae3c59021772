/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_TABLE_H
#define FIB_TABLE_H

#include "base/arena.h"
#include "model/snapshot.h"

/*
 * The routes of a snapshot by table and prefix.  Building takes O(n log n),
 * or O(n) for routes that come in order, as a dump has them.  Finding the
 * longest prefix takes at most as many steps as an address has bits, and the
 * next shorter one after it a single step.
 */
struct fib_tables;
struct fib_table;

/* All routes to one destination prefix. */
struct fib_node {
	uint64_t high; /* the address, big end first; IPv4 in the upper half */
	uint64_t low;
	const struct route *head; /* its first route, at hand for the cache's sake */
	uint32_t shorter; /* index of the longest prefix that contains this one */
	uint32_t first; /* index of its first route */
	uint32_t n;
	uint8_t len;
};

struct fib_tables *fib_tables_new(struct arena *a, const struct snapshot *net);

/* NULL if no route is in that table. */
const struct fib_table *fib_tables_find(const struct fib_tables *t, sa_family_t family,
					uint32_t table);

/* The longest prefix that covers @ip; NULL if there is none. */
const struct fib_node *fib_table_longest(const struct fib_table *t, const struct ip *ip);
const struct fib_node *fib_table_shorter(const struct fib_table *t, const struct fib_node *node);

/* How many prefixes were looked at for that, for the benchmark. */
unsigned int fib_table_steps(const struct fib_table *t, const struct ip *ip);

/*
 * Route @i of @node, in the order in which the kernel looks at them: longest
 * source first, then highest tos, lowest metric, oldest.
 */
const struct route *fib_node_route(const struct fib_table *t, const struct fib_node *node,
				   size_t i);

#endif
