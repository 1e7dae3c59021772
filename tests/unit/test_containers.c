/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What Docker says of its networks and published ports. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "wire/containers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_pools(struct arena *a, const char *text, struct container_pool **ret, size_t *n,
		      struct err *e)
{
	return containers_docker_pools(a, "daemon.json", text, text ? strlen(text) : 0, ret, n, e);
}

static void pools_are_what_the_file_says(void **state)
{
	static const char text[] = "{ \"debug\": true, \"default-address-pools\": ["
				   "{ \"base\": \"10.201.0.0/16\", \"size\": 24 },"
				   "{ \"base\": \"fd00:9::/48\", \"size\": 64 } ] }";
	struct arena a CLEANUP_ARENA = { 0 };
	struct container_pool *pools;
	char buf[PREFIX_TEXT_SIZE];
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(read_pools(&a, text, &pools, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(prefix_text(&pools[0].base, buf), "10.201.0.0/16");
	assert_int_equal(pools[0].len, 24);
	assert_string_equal(prefix_text(&pools[1].base, buf), "fd00:9::/48");
	assert_string_equal(pools[1].engine, "Docker");
}

static void without_a_word_of_pools_they_are_dockers_own(void **state)
{
	static const char *const texts[] = { NULL, "{}", "{ \"default-address-pools\": [] }" };
	struct arena a CLEANUP_ARENA = { 0 };
	char buf[PREFIX_TEXT_SIZE];

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct container_pool *pools;
		struct err e;
		size_t n;

		assert_int_equal(read_pools(&a, texts[i], &pools, &n, &e), 0);
		assert_int_equal(n, 7);
		assert_string_equal(prefix_text(&pools[0].base, buf), "172.17.0.0/16");
		assert_string_equal(prefix_text(&pools[6].base, buf), "192.168.0.0/16");
	}
}

static void what_is_no_pool_is_an_error(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		/* The rest of this one is jansson's to say. */
		{ "{ \"debug\": ", "daemon.json:1:" },
		{ "{ \"default-address-pools\": [ { \"base\": \"10.0.0.0/8\" } ] }",
		  "daemon.json: default-address-pools: number 1 is no pool" },
		{ "{ \"default-address-pools\": [ { \"base\": \"10.0.0.0/8\", \"size\": 7 } ] }",
		  "daemon.json: default-address-pools: number 1 is no pool" },
		{ "{ \"default-address-pools\": [ { \"base\": \"10.0.0.0/8\", \"size\": 33 } ] }",
		  "daemon.json: default-address-pools: number 1 is no pool" },
		{ "{ \"default-address-pools\": [ 5 ] }",
		  "daemon.json: default-address-pools: number 1 is no pool" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct container_pool *pools = NULL;
		size_t n = 99;
		struct err e;

		assert_int_equal(read_pools(&a, cases[i].text, &pools, &n, &e), -EINVAL);
		assert_true(str_starts(e.text, cases[i].error));
		assert_null(pools);
		assert_int_equal(n, 99);
	}
}

#define PROXY                                                                                      \
	"/usr/bin/docker-proxy\0-proto\0tcp\0-host-ip\0"                                           \
	"0.0.0.0\0-host-port\0"                                                                    \
	"8080\0-container-ip\0"                                                                    \
	"172.17.0.2\0-container-port\0"                                                            \
	"80"

static void docker_proxys_arguments_are_a_port(void **state)
{
	struct container_port p;
	char buf[IP_TEXT_SIZE];

	(void)state;
	assert_true(containers_proxy(PROXY, sizeof(PROXY), &p));
	assert_int_equal(p.proto, IPPROTO_TCP);
	assert_int_equal(p.port, 8080);
	assert_int_equal(p.inside_port, 80);
	assert_string_equal(ip_text(&p.inside, buf), "172.17.0.2");
	assert_true(ip_is_any(&p.host));
}

static void what_is_not_docker_proxy_is_no_port(void **state)
{
	struct container_port p = { .port = 1 };
	char text[sizeof(PROXY)];

	(void)state;
	/* Cut off anywhere, the last zero first. */
	for (size_t size = 0; size < sizeof(PROXY); size++) {
		char *copy = malloc(size + 1);

		memcpy(copy, PROXY, size);
		if (size && copy[size - 1])
			assert_false(containers_proxy(copy, size, &p));
		free(copy);
	}
	memcpy(text, PROXY, sizeof(PROXY));
	text[9] = 'D';
	assert_false(containers_proxy(text, sizeof(text), &p));
	memcpy(text, PROXY, sizeof(PROXY));
	memcpy(text + 29, "tcq", 3);
	assert_false(containers_proxy(text, sizeof(text), &p));
	assert_int_equal(p.port, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pools_are_what_the_file_says),
		cmocka_unit_test(without_a_word_of_pools_they_are_dockers_own),
		cmocka_unit_test(what_is_no_pool_is_an_error),
		cmocka_unit_test(docker_proxys_arguments_are_a_port),
		cmocka_unit_test(what_is_not_docker_proxy_is_no_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
