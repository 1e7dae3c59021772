/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "wire/resolvectl.h"

static void the_words_behind_the_link_are_told(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ "Link 2 (eth0): 192.0.2.1 2001:db8::1\n", "192.0.2.1 2001:db8::1" },
		{ "Link 2 (tun0): ~.\n", "~." },
		{ "Link 2 (tun0):\n", "" },
		{ "Link 2 (tun0):", "" },
		{ "Link 2 (a:b): yes", "yes" },
		{ "Global: 192.0.2.9\nLink 2 (eth0): no\nLink 3 (tun0): yes\n", "no" },
		/* As wide as a terminal. */
		{ "Link 2 (eth0): 2001:db8::1#dns.example.net\n        2001:db8::2#dns.example.net"
		  "\n        192.0.2.1:5353\n",
		  "2001:db8::1#dns.example.net 2001:db8::2#dns.example.net 192.0.2.1:5353" },
		{ "Link 2 (eth0): a\nGlobal: b\n", "a" },
		{ "Link 22 (eth9): b\nLink 2 (eth0): a\nLink 3 (tun0): c\n", "a" },
		{ "Link 22 (eth9): b\nLink 3 (tun0): c\n", NULL },
		{ "Link 2 (eth0): a\n\n b\n", "a" },
		{ "", NULL },
		{ "Global: 192.0.2.9\n", NULL },
		{ "Link 2 (eth0\n): 192.0.2.9\n", NULL },
		{ "Failed to resolve interface \"Link 2 (eth0):\": No such device\n", NULL },
	};
	struct arena a = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *words = resolvectl_words(&a, cases[i].text, 2);

		if (cases[i].words)
			assert_string_equal(words, cases[i].words);
		else
			assert_null(words);
	}
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_words_behind_the_link_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
