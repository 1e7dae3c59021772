/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "super/trial.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define S     ((int64_t)1000)
#define LIMIT (60 * S)

static struct trial begun(void)
{
	struct trial t = { .limit = LIMIT };

	assert_int_equal(trial_step(&t, TRIAL_EV_START, S), TRIAL_DO_WAIT);
	assert_int_equal(t.deadline, S + LIMIT);
	return t;
}

static void a_change_that_nobody_proves_is_undone(void **state)
{
	struct trial t = begun();

	(void)state;
	assert_int_equal(trial_step(&t, TRIAL_EV_PROVED, 2 * S), TRIAL_DO_NOTHING);
	assert_int_equal(trial_step(&t, TRIAL_EV_CHANGED, 3 * S), TRIAL_DO_WAIT);
	assert_int_equal(t.deadline, 3 * S + LIMIT);
	assert_int_equal(trial_step(&t, TRIAL_EV_TIME, t.deadline - 1), TRIAL_DO_NOTHING);
	assert_int_equal(trial_step(&t, TRIAL_EV_TIME, t.deadline), TRIAL_DO_UNDO);
	assert_int_equal(trial_step(&t, TRIAL_EV_TIME, t.deadline + S), TRIAL_DO_NOTHING);
}

static void a_change_that_is_proved_is_kept(void **state)
{
	struct trial t = begun();

	(void)state;
	assert_int_equal(trial_step(&t, TRIAL_EV_CHANGED, 3 * S), TRIAL_DO_WAIT);
	assert_int_equal(trial_step(&t, TRIAL_EV_CHANGED, 4 * S), TRIAL_DO_NOTHING);
	trial_step(&t, TRIAL_EV_PROVED, 50 * S);
	assert_int_equal(trial_step(&t, TRIAL_EV_TIME, 63 * S), TRIAL_DO_KEEP);
}

static void a_proof_before_the_last_change_or_long_ago_is_none(void **state)
{
	struct trial t = begun(), u = begun();

	(void)state;
	trial_step(&t, TRIAL_EV_CHANGED, 3 * S);
	trial_step(&t, TRIAL_EV_PROVED, 50 * S);
	trial_step(&t, TRIAL_EV_CHANGED, 51 * S);
	assert_int_equal(trial_step(&t, TRIAL_EV_TIME, 63 * S), TRIAL_DO_UNDO);
	trial_step(&u, TRIAL_EV_CHANGED, 3 * S);
	trial_step(&u, TRIAL_EV_PROVED, 10 * S);
	assert_int_equal(trial_step(&u, TRIAL_EV_TIME, 63 * S), TRIAL_DO_UNDO);
}

static void without_a_change_the_time_begins_anew(void **state)
{
	struct trial t = begun();

	(void)state;
	for (int i = 0; i < 1000; i++)
		assert_int_equal(trial_step(&t, TRIAL_EV_TIME, t.deadline), TRIAL_DO_WAIT);
	assert_int_equal(t.deadline, S + 1001 * LIMIT);
}

static void yes_keeps_at_once(void **state)
{
	struct trial t = begun();

	(void)state;
	trial_step(&t, TRIAL_EV_CHANGED, 3 * S);
	assert_int_equal(trial_step(&t, TRIAL_EV_YES, 4 * S), TRIAL_DO_KEEP);
	assert_int_equal(trial_step(&t, TRIAL_EV_TIME, 63 * S), TRIAL_DO_NOTHING);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_change_that_nobody_proves_is_undone),
		cmocka_unit_test(a_change_that_is_proved_is_kept),
		cmocka_unit_test(a_proof_before_the_last_change_or_long_ago_is_none),
		cmocka_unit_test(without_a_change_the_time_begins_anew),
		cmocka_unit_test(yes_keeps_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
