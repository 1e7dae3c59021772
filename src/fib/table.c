/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All routes are sorted once by family, table, address, length and rank.  In
 * that order a prefix stands right before everything it contains, so that one
 * pass with a stack finds for each prefix the next shorter one around it.
 *
 * To look an address up, find the last prefix that does not stand behind it
 * and go outwards until one covers it.  A window of the address's bits, past
 * those that nearly all prefixes share, says where in the array to search.
 * So the steps are few however long the table is: those inside one bucket of
 * the window, then those outwards, which are at most the bits of an address.
 */
#include "fib/table.h"

#include <stdlib.h>
#include <string.h>

#define NONE        UINT32_MAX
#define WINDOW_MAX  20
#define WINDOW_FROM 8 /* prefixes; below that searching is as quick */

struct fib_table {
	uint64_t id;
	const struct route *const *routes; /* of all tables */
	const struct fib_node *nodes;
	uint32_t n;
	unsigned int skip; /* bits of the address before the window */
	unsigned int bits; /* of the window, 0 for none */
	uint64_t shared; /* the skipped bits, where most prefixes are */
	const uint32_t *bucket; /* first node of each, and one more at the end */
};

struct fib_tables {
	struct fib_table *tables;
	size_t n;
};

struct key {
	uint64_t id; /* family and table */
	uint64_t high;
	uint64_t low;
	uint64_t rank;
	uint32_t index; /* in the snapshot: the older comes first */
};

static uint64_t id_of(sa_family_t family, uint32_t table)
{
	return (uint64_t)family << 32 | table;
}

static uint64_t eight_bytes(const uint8_t *p)
{
	uint64_t n;

	memcpy(&n, p, sizeof(n));
	return __builtin_bswap64(n);
}

static void ip_words(const struct ip *ip, uint64_t *ret_high, uint64_t *ret_low)
{
	*ret_high = eight_bytes(ip->byte);
	*ret_low = eight_bytes(ip->byte + 8);
	if (ip->family != AF_INET)
		return;
	*ret_high &= 0xffffffff00000000;
	*ret_low = 0;
}

/* Length first: a prefix stands before the longer ones at its address. */
static uint64_t rank_of(const struct route *r)
{
	return (uint64_t)r->dst.len << 48 | (uint64_t)(128 - r->src.len) << 40 |
	       (uint64_t)(255 - r->tos) << 32 | r->metric;
}

static int key_compare(const void *pa, const void *pb)
{
	const struct key *a = pa;
	const struct key *b = pb;

	if (a->id != b->id)
		return a->id < b->id ? -1 : 1;
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	if (a->rank != b->rank)
		return a->rank < b->rank ? -1 : 1;
	return a->index < b->index ? -1 : a->index > b->index;
}

static bool in_order(const struct key *keys, size_t n)
{
	for (size_t i = 1; i < n; i++)
		if (key_compare(&keys[i - 1], &keys[i]) > 0)
			return false;
	return true;
}

static struct key *sorted_keys(struct arena *a, const struct snapshot *net)
{
	struct key *keys = arena_alloc(a, net->n_routes * sizeof(*keys));

	for (size_t i = 0; i < net->n_routes; i++) {
		const struct route *r = &net->routes[i];

		keys[i].id = id_of(r->family, r->table);
		ip_words(&r->dst.ip, &keys[i].high, &keys[i].low);
		keys[i].rank = rank_of(r);
		keys[i].index = (uint32_t)i;
	}
	if (!in_order(keys, net->n_routes))
		qsort(keys, net->n_routes, sizeof(*keys), key_compare);
	return keys;
}

static uint64_t top_bits(uint64_t word, unsigned int n)
{
	return n ? word >> (64 - n) : 0;
}

static bool node_covers(const struct fib_node *node, uint64_t high, uint64_t low)
{
	if (node->len <= 64)
		return top_bits(node->high ^ high, node->len) == 0;
	return node->high == high && top_bits(node->low ^ low, node->len - 64U) == 0;
}

static bool same_prefix(const struct key *a, const struct key *b)
{
	return a->high == b->high && a->low == b->low && a->rank >> 48 == b->rank >> 48;
}

/* Nodes out of the keys of one table; returns how many. */
static uint32_t make_nodes(const struct key *keys, const struct route *const *routes,
			   uint32_t first, uint32_t end, struct fib_node *nodes)
{
	uint32_t n = 0;

	for (uint32_t i = first; i < end; i++) {
		struct fib_node *node = &nodes[n];
		uint32_t up = n ? n - 1 : NONE;

		if (i > first && same_prefix(&keys[i - 1], &keys[i])) {
			nodes[n - 1].n++;
			continue;
		}
		while (up != NONE && !node_covers(&nodes[up], keys[i].high, keys[i].low))
			up = nodes[up].shorter;
		*node = (struct fib_node){ .high = keys[i].high,
					   .low = keys[i].low,
					   .head = routes[i],
					   .shorter = up,
					   .first = i,
					   .n = 1,
					   .len = (uint8_t)(keys[i].rank >> 48) };
		n++;
	}
	return n;
}

static uint64_t window_of(const struct fib_table *t, uint64_t high)
{
	return top_bits(high << t->skip, t->bits);
}

/*
 * Skips what the middle three quarters of the prefixes have in common: one
 * default route or one stray prefix does not spoil it.
 */
static void make_window(struct arena *a, struct fib_table *t)
{
	uint64_t differ;
	uint32_t *bucket;
	uint32_t node;

	if (t->n < WINDOW_FROM)
		return;
	differ = t->nodes[t->n / 8].high ^ t->nodes[t->n - 1 - t->n / 8].high;
	if (!differ)
		return;
	t->skip = (unsigned int)__builtin_clzll(differ);
	t->bits = 31U - (unsigned int)__builtin_clz(t->n);
	if (t->bits > WINDOW_MAX)
		t->bits = WINDOW_MAX;
	if (t->bits > 64 - t->skip)
		t->bits = 64 - t->skip;
	t->shared = top_bits(t->nodes[t->n / 8].high, t->skip);

	bucket = arena_alloc(a, ((1UL << t->bits) + 1) * sizeof(*bucket));
	for (node = 0; top_bits(t->nodes[node].high, t->skip) < t->shared;)
		node++;
	for (uint64_t b = 0; b <= 1UL << t->bits; b++) {
		while (node < t->n && top_bits(t->nodes[node].high, t->skip) == t->shared &&
		       window_of(t, t->nodes[node].high) < b)
			node++;
		bucket[b] = node;
	}
	t->bucket = bucket;
}

struct fib_tables *fib_tables_new(struct arena *a, const struct snapshot *net)
{
	struct fib_tables *all = arena_new(a, struct fib_tables);
	struct arena scratch CLEANUP_ARENA = { 0 };
	const struct key *keys = sorted_keys(&scratch, net);
	uint32_t total = (uint32_t)net->n_routes;
	struct fib_node *nodes = arena_alloc(a, total * sizeof(*nodes));
	const struct route **routes = arena_alloc(a, total * sizeof(*routes));
	uint32_t end;
	size_t cap = 0;

	for (uint32_t i = 0; i < total; i++)
		routes[i] = &net->routes[keys[i].index];
	for (uint32_t first = 0; first < total; first = end) {
		struct fib_table *t = arena_push(a, all->tables, all->n, cap);

		for (end = first; end < total && keys[end].id == keys[first].id;)
			end++;
		t->id = keys[first].id;
		t->routes = routes;
		t->nodes = nodes;
		t->n = make_nodes(keys, routes, first, end, nodes);
		nodes += t->n;
		make_window(a, t);
	}
	return all;
}

const struct fib_table *fib_tables_find(const struct fib_tables *t, sa_family_t family,
					uint32_t table)
{
	uint64_t id = id_of(family, table);
	size_t low = 0;
	size_t high = t->n;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (t->tables[mid].id == id)
			return &t->tables[mid];
		if (t->tables[mid].id < id)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

static bool node_behind(const struct fib_node *node, uint64_t high, uint64_t low)
{
	return node->high > high || (node->high == high && node->low > low);
}

/* Where in the array the first node behind the address may stand. */
static void narrow(const struct fib_table *t, uint64_t high, uint32_t *ret_from, uint32_t *ret_to)
{
	uint64_t shared = top_bits(high, t->skip);
	uint64_t last = 1UL << t->bits;

	*ret_from = 0;
	*ret_to = t->n;
	if (!t->bucket)
		return;
	if (shared < t->shared) {
		*ret_to = t->bucket[0];
	} else if (shared > t->shared) {
		*ret_from = t->bucket[last];
	} else {
		*ret_from = t->bucket[window_of(t, high)];
		*ret_to = t->bucket[window_of(t, high) + 1];
	}
}

static inline const struct fib_node *find(const struct fib_table *t, const struct ip *ip,
					  unsigned int *steps)
{
	const struct fib_node *node;
	uint64_t high, low;
	uint32_t from, to;

	ip_words(ip, &high, &low);
	narrow(t, high, &from, &to);
	for (; from < to; (*steps)++) {
		uint32_t mid = from + (to - from) / 2;

		if (node_behind(&t->nodes[mid], high, low))
			to = mid;
		else
			from = mid + 1;
	}
	if (!from)
		return NULL;
	for (node = &t->nodes[from - 1]; node && !node_covers(node, high, low); (*steps)++)
		node = fib_table_shorter(t, node);
	return node;
}

const struct fib_node *fib_table_longest(const struct fib_table *t, const struct ip *ip)
{
	unsigned int steps = 0;

	return find(t, ip, &steps);
}

unsigned int fib_table_steps(const struct fib_table *t, const struct ip *ip)
{
	unsigned int steps = 0;

	find(t, ip, &steps);
	return steps;
}

const struct fib_node *fib_table_shorter(const struct fib_table *t, const struct fib_node *node)
{
	return node->shorter == NONE ? NULL : &t->nodes[node->shorter];
}

const struct route *fib_node_route(const struct fib_table *t, const struct fib_node *node, size_t i)
{
	return i ? t->routes[node->first + i] : node->head;
}
