/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The resolv.conf of a container that names the VPN's servers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "wire/resolvconf.h"

#include <string.h>

static const char pushed[] =
	"PUSH: Received control message: 'PUSH_REPLY,route 10.0.0.0 255.0.0.0,dhcp-option DNS "
	"10.8.0.1,dhcp-option DOMAIN corp.example,dhcp-option DNS6 fd00::1,dhcp-option DNS "
	"10.8.0.1,dhcp-option WINS 10.8.0.9,dhcp-option DOMAIN a\tb,dhcp-option DNS x,ping 1'";

static void what_is_pushed_is_known(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct resolvconf_names n = { 0 };

	(void)state;
	resolvconf_add_push(&n, "OPTIONS IMPORT: dhcp-option DNS 10.8.0.1");
	assert_int_equal(n.n_servers, 0);
	resolvconf_add_push(&n, pushed);
	assert_string_equal(resolvconf_write(&a, "", &n),
			    "# sallyport: name servers that are asked by the tunnel\n"
			    "nameserver 10.8.0.1\n"
			    "nameserver fd00::1\n"
			    "search corp.example\n");
}

#define PUSH(options) "PUSH: Received control message: 'PUSH_REPLY," options "'"

static void the_newer_words_come_before_the_older_and_by_number(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct resolvconf_names n = { 0 };

	(void)state;
	resolvconf_add_push(&n,
			    PUSH("dhcp-option DNS 10.8.0.1,dns server 9 address 10.8.0.9,"
				 "dns server 2 address [fd00::2]:53 10.8.0.2:53 10.8.0.3,"
				 "dns server 2 address [fd00::4]:853 10.8.0.4:853 10.8.0.5:x,"
				 "dns server 200 address 10.8.0.6,dns server 1x address 10.8.0.7,"
				 "dns server 3,dns server 3 address,dns server 3 dnssec yes,"
				 "dns server 3 address [fd00::8,dns server 3 address fd00::9,dns,"
				 "dns server -7 address 10.8.0.10,dhcp-option DNS 10.8.0.11,"
				 "dns search-domains corp.example lab.example a/b"));
	assert_string_equal(resolvconf_write(&a, "", &n),
			    "# sallyport: name servers that are asked by the tunnel\n"
			    "nameserver 10.8.0.10\n"
			    "nameserver fd00::2\n"
			    "nameserver 10.8.0.2\n"
			    "nameserver 10.8.0.3\n"
			    "nameserver fd00::9\n"
			    "nameserver 10.8.0.9\n"
			    "search corp.example lab.example\n");
}

static void of_what_was_pushed_the_last_counts_without_what_is_filtered(void **state)
{
	static const char *const lines[] = {
		PUSH("dhcp-option DNS 10.8.0.1"),
		PUSH("dns server 1 address 10.8.0.2,dns server 1 address 10.8.0.22,"
		     "push-continuation 2"),
		PUSH("dhcp-option DOMAIN corp.example,dns server 2 address 10.8.0.3,"
		     "push-continuation 1"),
		"Pushed option removed by filter: 'dns server 1 address 10.8.0.2'",
		"Pushed option removed by filter: 'dhcp-option DOMAIN corp.example'",
	};
	struct text said CLEANUP_TEXT = { 0 };
	struct arena a CLEANUP_ARENA = { 0 };
	struct resolvconf_names n = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		resolvconf_hear(&said, lines[i]);
	resolvconf_add_push(&n, text_str(&said));
	assert_string_equal(resolvconf_write(&a, "", &n),
			    "# sallyport: name servers that are asked by the tunnel\n"
			    "nameserver 10.8.0.22\n"
			    "nameserver 10.8.0.3\n");
}

static void what_was_before_comes_back(void **state)
{
	static const char *const before[] = {
		"",
		"nameserver 127.0.0.11\noptions ndots:0\n",
		"# a word\nnameserver 192.0.2.1\n\nsearch lan\n",
	};
	struct resolvconf_names vpn = { 0 }, read;
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	resolvconf_add_option(&vpn, "dhcp-option DNS 10.8.0.1");
	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		const char *ours = resolvconf_write(&a, before[i], &vpn);
		const char *again = resolvconf_write(&a, resolvconf_before(&a, ours), &vpn);

		assert_string_equal(resolvconf_before(&a, before[i]), before[i]);
		assert_string_equal(resolvconf_before(&a, ours), before[i]);
		assert_string_equal(again, ours);
		resolvconf_read(ours, &read);
		assert_int_equal(read.n_servers, 1);
		assert_true(ip_equal(&read.servers[0], &vpn.servers[0]));
	}
}

static void docker_says_whom_its_own_server_asks(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {
		{ "nameserver 127.0.0.11\n# ExtServers: [192.0.2.1 192.0.2.2]\n", 2 },
		{ "# ExtServers: [host(127.0.0.53) 192.0.2.1]\nnameserver 192.0.2.9\n", 1 },
		{ "# ExtServers: [host(192.0.2.1)]\n", 0 },
		{ "# ExtServers: [192.0.2.1", 1 },
		{ "# ExtServers: [\n192.0.2.1]", 0 },
		{ "nameserver 192.0.2.1\n", 0 },
	};
	struct resolvconf_names n;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		resolvconf_read_docker(cases[i].text, &n);
		assert_int_equal(n.n_servers, cases[i].n);
	}
}

static void no_more_is_kept_than_there_is_room_for(void **state)
{
	struct resolvconf_names n = { 0 };
	struct ip ip;

	(void)state;
	assert_true(ip_parse("10.0.0.1", &ip));
	for (uint32_t i = 0; i < 300; i++) {
		struct ip next = ip_plus(&ip, i);

		resolvconf_add_server(&n, &next);
		resolvconf_add_search(&n, "corp.example");
	}
	assert_int_equal(n.n_servers, RESOLVCONF_MAX);
	assert_true(strlen(n.search) < sizeof(n.search));
	assert_true(strlen(n.search) % strlen(" corp.example") == 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_pushed_is_known),
		cmocka_unit_test(the_newer_words_come_before_the_older_and_by_number),
		cmocka_unit_test(of_what_was_pushed_the_last_counts_without_what_is_filtered),
		cmocka_unit_test(what_was_before_comes_back),
		cmocka_unit_test(docker_says_whom_its_own_server_asks),
		cmocka_unit_test(no_more_is_kept_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
