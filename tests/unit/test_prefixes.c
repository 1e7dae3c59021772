/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Prefix algebra against an oracle that tries every address of a small world. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "plan/prefixes.h"
#include "random.h"

#define ROUNDS 3000
#define WORLD  8 /* the last bits of an address that vary */

static struct dice dice = { .state = 1 };

static uint32_t below(uint32_t n)
{
	return roll_below(&dice, n);
}

static struct ip address(sa_family_t family, unsigned int n)
{
	struct ip ip = { .family = family, .byte = { 10, 0, 0 } };

	ip.byte[ip_bits(family) / 8 - 1] = (uint8_t)n;
	return ip;
}

static struct prefix some_prefix(sa_family_t family)
{
	struct ip ip = address(family, below(1 << WORLD));

	return prefix_of(&ip, ip_bits(family) - below(WORLD + 1));
}

static struct prefixes some_set(struct arena *a, sa_family_t family)
{
	struct prefixes set = { 0 };

	for (uint32_t n = below(12); n-- > 0;) {
		struct prefix p = some_prefix(family);

		prefixes_add(a, &set, &p);
	}
	return set;
}

static bool covers(const struct prefixes *set, const struct ip *ip)
{
	for (size_t i = 0; i < set->n; i++)
		if (prefix_covers(&set->items[i], ip))
			return true;
	return false;
}

static sa_family_t family_of(int round)
{
	return round % 2 ? AF_INET : AF_INET6;
}

static void sorting_keeps_every_prefix_once(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct prefixes before = some_set(&a, family_of(round)), after = { 0 };

		for (size_t i = 0; i < before.n; i++)
			prefixes_add(&a, &after, &before.items[i]);
		prefixes_sort(&after);
		for (size_t i = 1; i < after.n; i++)
			assert_true(prefix_compare(&after.items[i - 1], &after.items[i]) < 0);
		for (size_t i = 0; i < before.n; i++)
			assert_true(prefixes_find(&after, &before.items[i]) < after.n);
		for (size_t i = 0; i < after.n; i++) {
			size_t j = 0;

			while (j < before.n && !prefix_equal(&before.items[j], &after.items[i]))
				j++;
			assert_true(j < before.n);
		}
	}
}

static void merging_keeps_the_addresses_with_the_fewest_prefixes(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct arena a CLEANUP_ARENA = { 0 };
		sa_family_t family = family_of(round);
		struct prefixes set = some_set(&a, family), merged = { 0 };

		for (size_t i = 0; i < set.n; i++)
			prefixes_add(&a, &merged, &set.items[i]);
		prefixes_sort(&merged);
		prefixes_merge(&merged);
		for (unsigned int n = 0; n < 1 << WORLD; n++) {
			struct ip ip = address(family, n);

			assert_int_equal(covers(&set, &ip), covers(&merged, &ip));
		}
		/* Each is whole because the prefix around it is not all in the set. */
		for (size_t i = 0; i < merged.n; i++) {
			struct prefix outer =
				prefix_of(&merged.items[i].ip, merged.items[i].len - 1u);
			bool all = true;

			for (unsigned int n = 0; n < 1 << WORLD; n++) {
				struct ip ip = address(family, n);

				if (prefix_covers(&outer, &ip))
					all &= covers(&set, &ip);
			}
			assert_true(!all || outer.len < ip_bits(family) - WORLD);
		}
	}
}

static void cover_and_overlap_are_what_comparing_all_pairs_says(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct prefixes set = some_set(&a, family_of(round));
		struct prefix p = some_prefix(family_of(round));
		size_t *parents, best = SIZE_MAX, inside = 0, first;
		bool overlaps = false;

		prefixes_sort(&set);
		parents = prefixes_parents(&a, &set);
		for (size_t i = 0; i < set.n; i++) {
			overlaps |= prefix_overlaps(&set.items[i], &p);
			inside += prefix_contains(&p, &set.items[i]);
			if (prefix_contains(&set.items[i], &p) &&
			    (best == SIZE_MAX || set.items[i].len > set.items[best].len))
				best = i;
		}
		assert_int_equal(prefixes_cover(&set, parents, &p),
				 best == SIZE_MAX ? set.n : best);
		assert_int_equal(prefixes_overlap(&set, &p), overlaps);
		assert_int_equal(prefixes_inside(&set, &p, &first), inside);
		if (inside)
			assert_true(prefix_contains(&p, &set.items[first]) &&
				    prefix_contains(&p, &set.items[first + inside - 1]));
	}
}

static void an_address_of_ones_own_is_in_no_prefix_inside(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct arena a CLEANUP_ARENA = { 0 };
		sa_family_t family = family_of(round);
		struct prefixes set = some_set(&a, family);
		size_t *parents;
		struct ip *own;

		prefixes_sort(&set);
		parents = prefixes_parents(&a, &set);
		own = prefixes_own_addresses(&a, &set, parents);
		for (size_t i = 0; i < set.n; i++) {
			bool any = false;

			for (unsigned int n = 0; n < 1 << WORLD; n++) {
				struct ip ip = address(family, n);
				struct prefix host = prefix_host(&ip);
				bool mine = prefixes_cover(&set, parents, &host) == i;

				any |= mine;
				if (ip_equal(&ip, &own[i]))
					assert_true(mine);
			}
			assert_int_equal(any, !ip_is_none(&own[i]));
		}
	}
}

static void the_ends_of_a_family_are_no_trap(void **state)
{
	static const char *const words[] = { "0.0.0.0/0", "128.0.0.0/1", "255.255.255.255",
					     "::/0",      "8000::/1",    "ffff::/16" };
	struct arena a CLEANUP_ARENA = { 0 };
	struct prefixes set = { 0 };
	size_t *parents;
	struct ip *own;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		struct prefix p;

		assert_true(prefix_parse(words[i], false, &p));
		prefixes_add(&a, &set, &p);
	}
	prefixes_sort(&set);
	parents = prefixes_parents(&a, &set);
	own = prefixes_own_addresses(&a, &set, parents);
	for (size_t i = 0; i < set.n; i++)
		assert_true(ip_equal(&own[i], &set.items[i].ip));
	prefixes_merge(&set);
	assert_int_equal(set.n, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sorting_keeps_every_prefix_once),
		cmocka_unit_test(merging_keeps_the_addresses_with_the_fewest_prefixes),
		cmocka_unit_test(cover_and_overlap_are_what_comparing_all_pairs_says),
		cmocka_unit_test(an_address_of_ones_own_is_in_no_prefix_inside),
		cmocka_unit_test(the_ends_of_a_family_are_no_trap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
