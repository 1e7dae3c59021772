/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_BAD_INPUT_H
#define TESTS_BAD_INPUT_H

#include "base/arena.h"
#include "base/err.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Needs those above. */
#include <cmocka.h>

/*
 * Tables of texts that a reader must refuse, one test each: -EINVAL, exactly
 * this error, and what it was to fill in untouched.
 */
struct bad {
	const char *name;
	const char *text;
	size_t size;
	const char *error;
};

#define BAD(name, text, error)                                                                     \
	{                                                                                          \
		name " is an error", text, sizeof(text) - 1, error                                 \
	}

/* What the readers fill in is no larger. */
#define BAD_RET_SIZE 512

typedef int bad_reader(struct arena *a, const char *text, size_t size, void *ret, struct err *e);

static inline void refuse(const struct bad *bad, bad_reader *reader)
{
	_Alignas(16) uint8_t ret[BAD_RET_SIZE], before[BAD_RET_SIZE];
	CLEANUP_ARENA struct arena a = { 0 };
	struct err e = { 0 };

	memset(ret, 0xa5, sizeof(ret));
	memset(before, 0xa5, sizeof(before));
	assert_int_equal(reader(&a, bad->text, bad->size, ret, &e), -22);
	assert_string_equal(e.text, bad->error);
	assert_memory_equal(ret, before, sizeof(ret));
}

/* Fills @n tests that call @run with a row as their state. */
static inline size_t add_bad(struct CMUnitTest *tests, const struct bad *rows, size_t n,
			     CMUnitTestFunction run)
{
	for (size_t i = 0; i < n; i++)
		tests[i] = (struct CMUnitTest){ .name = rows[i].name,
						.test_func = run,
						.initial_state = (void *)&rows[i] };
	return n;
}

#endif
