/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What OCI runtimes say of a container, and are told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "wire/oci.h"

#include <errno.h>
#include <string.h>

static void a_state_is_read(void **state)
{
	static const char text[] =
		"{\"ociVersion\":\"1.0.2\",\"id\":\"abc\",\"status\":\"created\",\"pid\":42,"
		"\"annotations\":{\"sallyport.attach\":\"require\",\"sallyport.server\":\"a:1\"}}";
	struct arena a CLEANUP_ARENA = { 0 };
	struct oci_state s;
	struct err e;

	(void)state;
	assert_int_equal(oci_read_state(&a, text, sizeof(text) - 1, &s, &e), 0);
	assert_string_equal(s.id, "abc");
	assert_int_equal(s.pid, 42);
	assert_string_equal(s.attach, "require");
	assert_string_equal(s.server, "a:1");
	assert_string_equal(s.udp, "");
}

static void what_is_no_state_is_an_error(void **state)
{
	static const char *const bad[] = { "",
					   "[]",
					   "{}",
					   "{\"id\":\"a\"}",
					   "{\"id\":\"a\",\"pid\":0}",
					   "{\"id\":\"a\",\"pid\":99999999999}",
					   "{\"id\":7,\"pid\":1}" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct oci_state s;
		struct err e;

		assert_int_equal(oci_read_state(&a, bad[i], strlen(bad[i]), &s, &e), -EINVAL);
	}
}

static void the_subcommand_stands_behind_global_options(void **state)
{
	static const char *const docker[] = { "--root",       "/r",   "--log", "/l",
					      "--log-format", "json", "start", "abc" };
	static const char *const plain[] = { "--debug", "--systemd-cgroup", "kill", "abc", "9" };
	static const char *const none[] = { "--version" };

	(void)state;
	assert_int_equal(oci_subcommand(docker, ARRAY_LEN(docker)), 6);
	assert_int_equal(oci_subcommand(plain, ARRAY_LEN(plain)), 2);
	assert_int_equal(oci_subcommand(none, 1), 1);
	assert_int_equal(oci_subcommand(docker, 1), 1);
	assert_int_equal(oci_subcommand(NULL, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_state_is_read),
		cmocka_unit_test(what_is_no_state_is_an_error),
		cmocka_unit_test(the_subcommand_stands_behind_global_options),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
