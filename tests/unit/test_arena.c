/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "random.h"

#include "base/arena.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void memory_is_zero_aligned_and_nobody_elses(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct dice d = dice_of(1);
	struct {
		unsigned char *p;
		size_t size;
	} got[500];

	(void)state;
	for (size_t i = 0; i < 500; i++) {
		/* Small, none at all, a block to the byte, more than a block. */
		static const size_t edges[] = { 0, 1, 15, 16, 17, 16384, 16385, 100000 };
		size_t size = one_in(&d, 10) ? edges[roll_below(&d, 8)] : roll_below(&d, 300);

		got[i].p = arena_alloc(&a, size);
		got[i].size = size;
		assert_int_equal((uintptr_t)got[i].p % 16, 0);
		for (size_t j = 0; j < size; j++)
			assert_int_equal(got[i].p[j], 0);
		memset(got[i].p, (int)(i % 255) + 1, size);
	}
	for (size_t i = 0; i < 500; i++)
		for (size_t j = 0; j < got[i].size; j++)
			assert_int_equal(got[i].p[j], i % 255 + 1);
}

static void an_array_keeps_what_was_pushed(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct {
		uint32_t *items;
		size_t n, cap;
	} list = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 10000; i++) {
		uint32_t *item = arena_push(&a, list.items, list.n, list.cap);

		assert_int_equal(*item, 0);
		*item = i;
	}
	assert_int_equal(list.n, 10000);
	assert_true(list.cap >= list.n);
	for (uint32_t i = 0; i < 10000; i++)
		assert_int_equal(list.items[i], i);
}

static void strings_are_copies(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	char word[] = "office";
	char *copy = arena_strdup(&a, word);
	char *start = arena_strndup(&a, word, 3);
	char *made = arena_printf(&a, "%s-%04d", word, 42);

	(void)state;
	memset(word, 'x', sizeof(word) - 1);
	assert_string_equal(copy, "office");
	assert_string_equal(start, "off");
	assert_string_equal(made, "office-0042");
	assert_string_equal(arena_printf(&a, "%s", ""), "");
}

static void an_arena_serves_again_after_it_was_freed(void **state)
{
	struct arena a = { 0 };

	(void)state;
	arena_free(&a);
	for (int i = 0; i < 3; i++) {
		assert_string_equal(arena_strdup(&a, "again"), "again");
		arena_free(&a);
		assert_null(a.head);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(memory_is_zero_aligned_and_nobody_elses),
		cmocka_unit_test(an_array_keeps_what_was_pushed),
		cmocka_unit_test(strings_are_copies),
		cmocka_unit_test(an_arena_serves_again_after_it_was_freed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
