/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "super/handover.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define BEGIN ((int64_t)1000)

static struct handover handed(void)
{
	return (struct handover){ .hands_over = true, .ended = BEGIN };
}

static enum handover_action silent(struct handover *h, bool tunnel, int64_t now)
{
	return handover_step(h, tunnel, HANDOVER_SAYS_NOTHING, now);
}

static void a_tunnel_that_does_not_come_is_waited_for_a_minute(void **state)
{
	struct handover h = handed();

	(void)state;
	assert_int_equal(HANDOVER_MS, 60000);
	assert_int_equal(silent(&h, false, BEGIN), HANDOVER_WAIT);
	assert_int_equal(silent(&h, false, BEGIN + HANDOVER_MS - 1), HANDOVER_WAIT);
	assert_int_equal(silent(&h, false, BEGIN + HANDOVER_MS), HANDOVER_END);
}

static void one_that_came_and_went_is_not(void **state)
{
	struct handover h = handed();

	(void)state;
	assert_int_equal(silent(&h, false, BEGIN + 1), HANDOVER_WAIT);
	assert_int_equal(silent(&h, true, BEGIN + 2), HANDOVER_STAND);
	assert_int_equal(silent(&h, false, BEGIN + 3), HANDOVER_END);
}

static void one_that_comes_late_is_stood_for(void **state)
{
	struct handover h = handed();

	(void)state;
	assert_int_equal(silent(&h, true, BEGIN + 100 * HANDOVER_MS), HANDOVER_STAND);
}

static void a_command_that_hands_nothing_over_is_not_waited_for(void **state)
{
	struct handover h = { .ended = BEGIN };

	(void)state;
	assert_int_equal(silent(&h, false, BEGIN), HANDOVER_END);
	assert_int_equal(silent(&h, true, BEGIN), HANDOVER_STAND);
}

static void who_can_be_asked_has_the_last_word(void **state)
{
	struct handover h = handed();

	(void)state;
	assert_int_equal(handover_step(&h, false, HANDOVER_SAYS_NO, BEGIN), HANDOVER_END);
	assert_int_equal(handover_step(&h, true, HANDOVER_SAYS_NO, BEGIN), HANDOVER_STAND);
	/* Between two connections of a unit, however long it takes. */
	assert_int_equal(handover_step(&h, false, HANDOVER_SAYS_YES, BEGIN + 9 * HANDOVER_MS),
			 HANDOVER_WAIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_tunnel_that_does_not_come_is_waited_for_a_minute),
		cmocka_unit_test(one_that_came_and_went_is_not),
		cmocka_unit_test(one_that_comes_late_is_stood_for),
		cmocka_unit_test(a_command_that_hands_nothing_over_is_not_waited_for),
		cmocka_unit_test(who_can_be_asked_has_the_last_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
