/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Completion knows the flags and values of every verb. */
#include "cli/complete.h"

#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void every_flag_stands_in_its_usage_with_a_value_that_is_known(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	size_t n, n_flags = 0;
	const struct verb *const *verbs = cli_verbs(&n);

	(void)state;
	for (size_t i = 0; i < n; i++)
		for (const struct option *f = verbs[i]->flags; f && f->name; f++, n_flags++) {
			const char *value = usage_value(&a, verbs[i], f);

			if (!value || !complete_knows(value))
				fail_msg("%s --%s: usage says %s", verbs[i]->name, f->name,
					 value ? value : "nothing");
			assert_int_equal(f->has_arg == no_argument, !*value);
		}
	assert_true(n_flags > 40);
}

static void every_argument_is_one_that_is_known(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	size_t n, n_words = 0;
	const struct verb *const *verbs = cli_verbs(&n);

	(void)state;
	for (size_t i = 0; i < n; i++) {
		const char *word;

		for (size_t k = 0; (word = usage_argument(&a, verbs[i], k)); k++, n_words++)
			if (!complete_knows(word))
				fail_msg("%s: %s", verbs[i]->name, word);
	}
	assert_true(n_words > 12);
}

static void a_word_that_it_does_not_know_is_seen(void **state)
{
	(void)state;
	assert_true(complete_knows("learn|alias"));
	assert_true(complete_knows("GATE|FILE"));
	assert_false(complete_knows("GATE|PLANET"));
}

static void arguments_are_told_from_the_values_of_flags(void **state)
{
	static const struct {
		const struct verb *verb;
		size_t n;
		const char *want; /* NULL: there is no such argument */
	} cases[] = {
		{ &verb_explain, 0, "CLIENT" },       { &verb_explain, 1, "SERVER[:PORT]" },
		{ &verb_explain, 2, "tcp|udp|icmp" }, { &verb_explain, 3, NULL },
		{ &verb_rehearse, 0, "FILE" },        { &verb_rehearse, 1, NULL },
		{ &verb_guard, 0, "COMMAND" },        { &verb_guard, 1, NULL },
		{ &verb_oci_hook, 0, NULL },          { &verb_exec, 0, "GATE[.ROOM]" },
		{ &verb_exec, 1, "COMMAND" },         { &verb_status, 0, "GATE" },
		{ &verb_snapshot, 0, NULL },
	};
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char *word = usage_argument(&a, cases[i].verb, cases[i].n);

		if (cases[i].want)
			assert_string_equal(word ? word : "", cases[i].want);
		else
			assert_null(word);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_flag_stands_in_its_usage_with_a_value_that_is_known),
		cmocka_unit_test(every_argument_is_one_that_is_known),
		cmocka_unit_test(a_word_that_it_does_not_know_is_seen),
		cmocka_unit_test(arguments_are_told_from_the_values_of_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
