/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/err.h"
#include "base/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void a_text_is_what_was_added(void **state)
{
	struct text t CLEANUP_TEXT = { 0 };

	(void)state;
	assert_string_equal(text_str(&t), "");
	text_clear(&t);
	text_add(&t, "");
	assert_string_equal(text_str(&t), "");
	text_add(&t, "one ");
	text_addf(&t, "%d %s ", 2, "three");
	text_add_len(&t, "four and more", 4);
	assert_string_equal(text_str(&t), "one 2 three four");
	assert_int_equal(t.len, strlen("one 2 three four"));
	text_clear(&t);
	assert_string_equal(text_str(&t), "");
	text_add(&t, "again");
	assert_string_equal(text_str(&t), "again");
	text_free(&t);
	assert_string_equal(text_str(&t), "");
}

static void what_is_shown_moves_no_cursor(void **state)
{
	static const struct {
		const char *given, *shown;
	} cases[] = {
		{ "", "" },
		{ "plain, \"quoted\" and \\", "plain, \"quoted\" and \\" },
		{ "a\tline\nand another", "a\tline\nand another" },
		{ "\x1b[2Jgone\r", "\\x1b[2Jgone\\x0d" },
		{ "\x01\x1f\x7f", "\\x01\\x1f\\x7f" },
		/* CSI in one character, and letters that begin with the same byte. */
		{ "\xc2\x9b"
		  "2J",
		  "\\xc2\\x9b2J" },
		{ "\xc2\xa0\xc3\xa4", "\xc2\xa0\xc3\xa4" },
		{ "cut off\xc2", "cut off\xc2" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct text t CLEANUP_TEXT = { 0 };

		text_add_shown(&t, cases[i].given);
		assert_string_equal(text_str(&t), cases[i].shown);
	}
}

/* Every length across the places where it grows, by each way of adding. */
static void a_text_grows_without_an_end(void **state)
{
	(void)state;
	for (size_t size = 1; size < 300; size++) {
		struct text t CLEANUP_TEXT = { 0 };
		char piece[301];

		memset(piece, 'x', size);
		piece[size] = 0;
		for (int i = 0; i < 6; i++) {
			if (i % 2)
				text_addf(&t, "%s", piece);
			else
				text_add(&t, piece);
			assert_int_equal(strlen(text_str(&t)), size * (size_t)(i + 1));
		}
	}
}

static void a_number_is_digits_alone_and_not_too_large(void **state)
{
	static const struct {
		const char *s;
		uint32_t max;
		bool ok;
		uint32_t value;
	} rows[] = {
		{ "0", 0, true, 0 },
		{ "65535", 65535, true, 65535 },
		{ "65536", 65535, false, 0 },
		{ "0000000000000000000080", 65535, true, 80 },
		{ "4294967295", UINT32_MAX, true, UINT32_MAX },
		{ "4294967296", UINT32_MAX, false, 0 },
		{ "18446744073709551616", UINT32_MAX, false, 0 },
		{ "99999999999999999999999999999999999999", UINT32_MAX, false, 0 },
		{ "", 9, false, 0 },
		{ " 1", 9, false, 0 },
		{ "1 ", 9, false, 0 },
		{ "+1", 9, false, 0 },
		{ "-1", 9, false, 0 },
		{ "0x1", 9, false, 0 },
		{ "1.", 9, false, 0 },
		{ "\xd9\xa1", 9, false, 0 }, /* an Arabic one */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		uint32_t value = 77;

		assert_int_equal(str_to_u32(rows[i].s, rows[i].max, &value), rows[i].ok);
		assert_int_equal(value, rows[i].ok ? rows[i].value : 77);
	}
}

static void a_hardware_address_is_six_bytes_in_pairs_of_digits(void **state)
{
	static const char *const wrong[] = {
		"",
		"02:5a:11:79:06",
		"02:5a:11:79:06:",
		"02:5a:11:79:06:d",
		"02:5a:11:79:06:dE:",
		"02-5a-11-79-06-de",
		"02:5a:11:79:06:dg",
		"2:5a:11:79:06:de",
		" 2:5a:11:79:06:de",
	};
	struct text t CLEANUP_TEXT = { 0 };
	uint8_t mac[6];

	(void)state;
	assert_true(str_to_mac("02:5A:11:79:06:de", mac));
	text_add_mac(&t, mac);
	assert_string_equal(text_str(&t), "02:5a:11:79:06:de");
	for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
		assert_false(str_to_mac(wrong[i], mac));
}

static void strings_are_compared_whole_or_by_their_start(void **state)
{
	(void)state;
	assert_true(str_eq("lan", "lan"));
	assert_false(str_eq("lan", "lan2"));
	assert_false(str_eq("lan", ""));
	assert_true(str_starts("room-web", "room"));
	assert_true(str_starts("room", "room"));
	assert_true(str_starts("room", ""));
	assert_false(str_starts("roo", "room"));
}

static void a_hash_hangs_on_each_byte_and_on_the_seed(void **state)
{
	(void)state;
	assert_true(str_hash("office", 0) == str_hash("office", 0));
	assert_true(str_hash("office", 0) != str_hash("office", 1));
	assert_true(str_hash("office", 0) != str_hash("officf", 0));
	assert_true(str_hash("office", 0) != str_hash("eciffo", 0));
	assert_true(str_hash("", 0) != str_hash("", 1));
}

static void an_error_says_what_was_attempted_for_whom(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(err_set(&e, EINVAL, "port %d", 0), -EINVAL);
	assert_string_equal(e.text, "port 0");
	assert_int_equal(err_errno(&e, EPERM, "add %s", "rule"), -EPERM);
	assert_int_equal(err_wrap(&e, -EPERM, "door \"%s\"", "lan"), -EPERM);
	assert_int_equal(err_wrap(&e, -1, "gate \"office\""), -1);
	assert_string_equal(e.text,
			    "gate \"office\": door \"lan\": add rule: Operation not permitted");
}

/* The nearest name stays, the end is cut; nothing is written beyond. */
static void an_error_too_long_is_cut_and_stays_a_string(void **state)
{
	struct {
		struct err e;
		char guard[8];
	} x;
	char word[700];

	(void)state;
	memset(x.guard, 'g', sizeof(x.guard));
	memset(word, 'w', sizeof(word) - 1);
	word[sizeof(word) - 1] = 0;
	err_set(&x.e, EINVAL, "%s", word);
	err_wrap(&x.e, -EINVAL, "%s", word);
	err_wrap(&x.e, -EINVAL, "gate");
	assert_true(str_starts(x.e.text, "gate: www"));
	assert_int_equal(strlen(x.e.text), sizeof(x.e.text) - 1);
	err_errno(&x.e, EPERM, "%s%s", word, word);
	assert_int_equal(strlen(x.e.text), sizeof(x.e.text) - 1);
	assert_memory_equal(x.guard, "gggggggg", sizeof(x.guard));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_what_was_added),
		cmocka_unit_test(what_is_shown_moves_no_cursor),
		cmocka_unit_test(a_text_grows_without_an_end),
		cmocka_unit_test(a_number_is_digits_alone_and_not_too_large),
		cmocka_unit_test(a_hardware_address_is_six_bytes_in_pairs_of_digits),
		cmocka_unit_test(strings_are_compared_whole_or_by_their_start),
		cmocka_unit_test(a_hash_hangs_on_each_byte_and_on_the_seed),
		cmocka_unit_test(an_error_says_what_was_attempted_for_whom),
		cmocka_unit_test(an_error_too_long_is_cut_and_stays_a_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
