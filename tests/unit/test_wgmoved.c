/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "wire/config.h"
#include "wire/wgmoved.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static char dead[] = "DEAD=", alive[] = "ALIVE=", literal[] = "LITERAL=";
static char dead_name[] = "dead.example", alive_name[] = "alive.example", address[] = "192.0.2.9";

static struct wg_peer peers[] = {
	{ .public_key = dead, .endpoint_host = dead_name, .endpoint_port = 1 },
	{ .public_key = alive, .endpoint_host = alive_name, .endpoint_port = 2 },
	{ .public_key = literal, .endpoint_host = address, .endpoint_port = 3 },
};
static const struct wg_conf conf = { .peers = peers, .n_peers = 3 };

static void a_peer_that_is_alive_hides_no_silent_one(void **state)
{
	static const struct {
		const char *shown;
		int64_t now_s;
		size_t asked;
	} cases[] = {
		{ "DEAD=\t0\nALIVE=\t0\nLITERAL=\t0\n", 1, 0 },
		{ "DEAD=\t500\nALIVE=\t500\nLITERAL=\t0\n", 10, 0 },
		{ "DEAD=\t500\nALIVE=\t600\nLITERAL=\t0\n", 144, 0 },
		{ "DEAD=\t500\nALIVE=\t600\nLITERAL=\t0\n", 145, 1 },
		{ "DEAD=\t500\nALIVE=\t600\nLITERAL=\t0\n", 174, 0 },
		{ "DEAD=\t500\nALIVE=\t700\nLITERAL=\t0\n", 175, 1 },
		{ "DEAD=\t800\nALIVE=\t700\nLITERAL=\t0\n", 206, 0 },
		{ "", 600, 2 },
	};
	CLEANUP_ARENA struct arena a = { 0 };
	struct wg_silence s = { 0 };

	(void)state;
	wgmoved_begin(&a, &conf, 0, &s);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		const char **names = NULL;
		size_t n;

		wgmoved_hear(&conf, cases[i].shown, cases[i].now_s * 1000, &s);
		n = wgmoved_names(&a, &conf, cases[i].now_s * 1000, &s, &names);
		assert_int_equal(n, cases[i].asked);
		if (n)
			assert_string_equal(names[0], dead_name);
	}
}

static void an_address_that_the_name_still_has_is_kept(void **state)
{
	static const struct {
		const char *known, *endpoint, *from, *to;
	} cases[] = {
		{ "192.0.2.2 dead.example\n", "192.0.2.1:1", "192.0.2.1", "192.0.2.2:1" },
		{ "192.0.2.2 dead.example\n192.0.2.1 dead.example\n", "192.0.2.1:1", NULL, NULL },
		{ "2001:db8::2 dead.example\n", "[2001:db8::1]:1", "2001:db8::1",
		  "[2001:db8::2]:1" },
		{ "2001:db8::1 dead.example\n", "[2001:db8::1]:1", NULL, NULL },
		{ "192.0.2.2 dead.example\n", "(none)", "", "192.0.2.2:1" },
		{ "192.0.2.2 dead.example.net\n", "192.0.2.1:1", NULL, NULL },
		{ "", "192.0.2.1:1", NULL, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		CLEANUP_ARENA struct arena a = { 0 };
		struct wg_silence s = { 0 };
		struct wg_move *moves = NULL;
		const char *shown =
			arena_printf(&a, "ALIVE=\t192.0.2.5:2\nDEAD=\t%s\n", cases[i].endpoint);
		const char *known = arena_printf(&a, "%s192.0.2.7 alive.example\n", cases[i].known);
		size_t n;

		wgmoved_begin(&a, &conf, 0, &s);
		wgmoved_hear(&conf, "ALIVE=\t7\n", 150000, &s);
		n = wgmoved_find(&a, &conf, known, shown, 150000, &s, &moves);
		assert_int_equal(n, cases[i].to != NULL);
		if (!n)
			continue;
		assert_ptr_equal(moves[0].peer, &peers[0]);
		assert_string_equal(moves[0].from, cases[i].from);
		assert_string_equal(wgmoved_endpoint(&a, &moves[0]), cases[i].to);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_peer_that_is_alive_hides_no_silent_one),
		cmocka_unit_test(an_address_that_the_name_still_has_is_kept),
	};

	return cmocka_run_group_tests_name("wgmoved", tests, NULL, NULL);
}
