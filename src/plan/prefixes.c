/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/prefixes.h"

#include <stdlib.h>

void prefixes_add(struct arena *a, struct prefixes *set, const struct prefix *p)
{
	*arena_push(a, set->items, set->n, set->cap) = *p;
}

static int compare(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

void prefixes_sort(struct prefixes *set)
{
	size_t n = 0;

	if (set->n)
		qsort(set->items, set->n, sizeof(*set->items), compare);
	for (size_t i = 0; i < set->n; i++)
		if (!n || !prefix_equal(&set->items[n - 1], &set->items[i]))
			set->items[n++] = set->items[i];
	set->n = n;
}

/* The two halves of one prefix, in order. */
static bool are_halves(const struct prefix *low, const struct prefix *high)
{
	struct prefix whole;

	if (!low->len || low->len != high->len || low->ip.family != high->ip.family)
		return false;
	whole = prefix_of(&low->ip, low->len - 1u);
	return prefix_contains(&whole, high) && ip_equal(&whole.ip, &low->ip);
}

void prefixes_merge(struct prefixes *set)
{
	size_t n = 0;

	for (size_t i = 0; i < set->n; i++) {
		if (n && prefix_contains(&set->items[n - 1], &set->items[i]))
			continue;
		set->items[n++] = set->items[i];
		while (n > 1 && are_halves(&set->items[n - 2], &set->items[n - 1])) {
			set->items[n - 2].len--;
			n--;
		}
	}
	set->n = n;
}

/* How many items are less than @p (or, with @equal, at most @p). */
static size_t count_below(const struct prefixes *set, const struct prefix *p, bool equal)
{
	size_t low = 0, high = set->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = prefix_compare(&set->items[mid], p);

		if (order < 0 || (equal && order == 0))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

size_t prefixes_find(const struct prefixes *set, const struct prefix *p)
{
	size_t at = count_below(set, p, false);

	return at < set->n && prefix_equal(&set->items[at], p) ? at : set->n;
}

size_t prefixes_cover(const struct prefixes *set, const size_t *parents, const struct prefix *p)
{
	size_t at = count_below(set, p, true);

	if (!at)
		return set->n;
	for (at--; at < set->n && !prefix_contains(&set->items[at], p); at = parents[at])
		;
	return at;
}

size_t prefixes_inside(const struct prefixes *set, const struct prefix *p, size_t *ret_first)
{
	struct prefix last = { .ip = prefix_last(p), .len = (uint8_t)ip_bits(p->ip.family) };
	size_t first = count_below(set, p, false);

	*ret_first = first;
	return count_below(set, &last, true) - first;
}

bool prefixes_overlap(const struct prefixes *set, const struct prefix *p)
{
	size_t first;

	if (prefixes_inside(set, p, &first))
		return true;
	for (unsigned int len = p->len; len-- > 0;) {
		struct prefix outer = prefix_of(&p->ip, len);

		if (prefixes_find(set, &outer) < set->n)
			return true;
	}
	return false;
}

size_t *prefixes_parents(struct arena *a, const struct prefixes *set)
{
	size_t *parents = arena_alloc(a, (set->n + 1) * sizeof(*parents));

	for (size_t i = 0; i < set->n; i++) {
		size_t at = i ? i - 1 : set->n;

		while (at < set->n && !prefix_contains(&set->items[at], &set->items[i]))
			at = parents[at];
		parents[i] = at;
	}
	return parents;
}

struct ip prefix_last(const struct prefix *p)
{
	struct ip ip = p->ip;

	for (unsigned int i = 0; i < ip_bits(ip.family) / 8; i++) {
		unsigned int keep = p->len > i * 8 ? p->len - i * 8u : 0;

		if (keep < 8)
			ip.byte[i] |= (uint8_t)(0xff >> keep);
	}
	return ip;
}

/*
 * Items inside one another come in order, so one cursor for each item is
 * enough: up to there everything is covered.  It stands still at the first gap.
 */
struct ip *prefixes_own_addresses(struct arena *a, const struct prefixes *set,
				  const size_t *parents)
{
	struct ip *cursor = arena_alloc(a, (set->n + 1) * sizeof(*cursor));

	for (size_t i = 0; i < set->n; i++) {
		size_t outer = parents[i];
		struct ip last = prefix_last(&set->items[i]), outer_last;

		cursor[i] = set->items[i].ip;
		if (outer == set->n || !ip_equal(&cursor[outer], &set->items[i].ip))
			continue;
		outer_last = prefix_last(&set->items[outer]);
		cursor[outer] = ip_equal(&last, &outer_last) ? (struct ip){ 0 } : ip_plus(&last, 1);
	}
	return cursor;
}
