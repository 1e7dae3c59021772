/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_PREFIXES_H
#define PLAN_PREFIXES_H

#include "base/arena.h"
#include "model/ip.h"

#include <stddef.h>

/*
 * Sets of prefixes, sorted by prefix_compare() and without duplicates: what
 * contains others stands before them, and they follow it without a gap.  So
 * everything here takes one pass or one bisection.
 */
struct prefixes {
	struct prefix *items;
	size_t n, cap;
};

void prefixes_add(struct arena *a, struct prefixes *set, const struct prefix *p);
/* Sorts and drops duplicates: after the last prefixes_add(). */
void prefixes_sort(struct prefixes *set);
/* The fewest prefixes with the same addresses: nested ones go, halves are joined. */
void prefixes_merge(struct prefixes *set);

/* Index of @p itself, @set->n if it is not there. */
size_t prefixes_find(const struct prefixes *set, const struct prefix *p);
/* Index of the longest prefix that contains @p (or is it), @set->n if there is none. */
size_t prefixes_cover(const struct prefixes *set, const size_t *parents, const struct prefix *p);
/* Does anything in @set share an address with @p? */
bool prefixes_overlap(const struct prefixes *set, const struct prefix *p);
/* What @p contains (itself included): items[first] to items[first + n - 1]. */
size_t prefixes_inside(const struct prefixes *set, const struct prefix *p, size_t *ret_first);

/*
 * For each item the index of the longest other one that contains it, @set->n
 * for none.
 */
size_t *prefixes_parents(struct arena *a, const struct prefixes *set);

/*
 * For each item: an address in it that no item inside it covers.  None where
 * they cover all of it.
 */
struct ip *prefixes_own_addresses(struct arena *a, const struct prefixes *set,
				  const size_t *parents);

/* The last address of @p. */
struct ip prefix_last(const struct prefix *p);

#endif
