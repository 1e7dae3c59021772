/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Variables of a container's environment, ours and other images'. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "wire/config.h"
#include "wire/vpnenv.h"

#include <errno.h>
#include <string.h>

#define READ(a, ret, e, ...) vpnenv_read(a, (const char *const[]){ __VA_ARGS__, NULL }, ret, e)

static void our_own_are_taken_without_a_word(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct vpnenv v;
	struct err e;

	(void)state;
	assert_int_equal(READ(&a, &v, &e, "PATH=/bin", "HOME=/", "SALLYPORT_VPN=/v",
			      "SALLYPORT_REACH=10.0.0.0/8, fd00::/8", "SALLYPORT_UDP=alias",
			      "SALLYPORT_MSS=1200"),
			 0);
	assert_string_equal(v.vpn, "/v");
	assert_int_equal(v.n_reach, 2);
	assert_true(v.alias);
	assert_int_equal(v.mss, 1200);
	assert_int_equal(v.n_notes, 0);
	assert_null(v.wireguard);
}

static void those_of_others_are_taken_and_told(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct vpnenv v;
	struct err e;

	(void)state;
	assert_int_equal(READ(&a, &v, &e, "OPENVPN_CUSTOM_CONFIG=/v", "LAN_NETWORK=10.0.0.0/8",
			      "OPENVPN_FLAGS=x", "FIREWALL_OUTBOUND_SUBNETS=10.1.0.0/16"),
			 0);
	assert_string_equal(v.vpn, "/v");
	assert_int_equal(v.n_reach, 1);
	assert_int_equal(v.n_notes, 4);
	assert_string_equal(v.notes[0],
			    "OPENVPN_CUSTOM_CONFIG is taken; its name here is SALLYPORT_VPN");
	assert_string_equal(v.notes[1], "LAN_NETWORK is not needed: it does nothing, leave it out");
	assert_string_equal(v.notes[2], "OPENVPN_FLAGS is not known here and does nothing: "
					"sallyport(8) lists what is");
}

static void name_servers_are_addresses_or_kept(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct vpnenv v;
	struct err e;

	(void)state;
	assert_int_equal(READ(&a, &v, &e, "SALLYPORT_DNS=10.8.0.1, fd00::1"), 0);
	assert_int_equal(v.names.n_servers, 2);
	assert_false(v.keep_names);
	assert_int_equal(READ(&a, &v, &e, "SALLYPORT_DNS=keep"), 0);
	assert_true(v.keep_names);
	assert_int_equal(READ(&a, &v, &e, "DNS_KEEP_NAMESERVER=on"), 0);
	assert_true(v.keep_names);
	assert_int_equal(READ(&a, &v, &e, "DNS_ADDRESS=127.0.0.1"), 0);
	assert_int_equal(v.names.n_servers, 0);
	assert_int_equal(READ(&a, &v, &e, "SALLYPORT_DNS=dns.example"), -EINVAL);
	assert_non_null(strstr(e.text, "SALLYPORT_DNS: \"dns.example\" is no address"));
}

static void wireguard_variables_are_a_wireguard_file(void **state)
{
	static const char key[] = "aGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGVsbG8gaGU=";
	struct arena a CLEANUP_ARENA = { 0 };
	struct wg_conf wg;
	struct vpnenv v;
	struct err e = { 0 };

	(void)state;
	assert_int_equal(READ(&a, &v, &e, arena_printf(&a, "WIREGUARD_PRIVATE_KEY=%s", key),
			      arena_printf(&a, "WIREGUARD_PUBLIC_KEY=%s", key),
			      "WIREGUARD_ADDRESSES=10.66.0.2/32",
			      "WIREGUARD_ENDPOINT_IP=2001:db8::1"),
			 0);
	assert_non_null(v.wireguard);
	if (wgconf_read(&a, "env", v.wireguard, strlen(v.wireguard), &wg, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(wg.n_peers, 1);
	assert_string_equal(wg.peers[0].endpoint_host, "2001:db8::1");
	assert_int_equal(wg.peers[0].endpoint_port, 51820);
	assert_int_equal(wg.peers[0].n_allowed, 2);
}

static void what_cannot_be_is_an_error_that_names_the_variable(void **state)
{
	static const char *const bad[] = { "SALLYPORT_REACH=10.0.0.300", "SALLYPORT_UDP=maybe",
					   "SALLYPORT_MSS=40", "VPN_SERVICE_PROVIDER=mullvad" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct vpnenv v;
		struct err e;

		assert_int_equal(READ(&a, &v, &e, bad[i]), -EINVAL);
		assert_memory_equal(e.text, bad[i], strcspn(bad[i], "="));
	}
}

static void an_empty_variable_is_none(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct vpnenv v;
	struct err e;

	(void)state;
	assert_int_equal(READ(&a, &v, &e, "SALLYPORT_VPN=", "SALLYPORT_UDP=", "LAN_NETWORK"), 0);
	assert_null(v.vpn);
	assert_int_equal(v.n_notes, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(our_own_are_taken_without_a_word),
		cmocka_unit_test(those_of_others_are_taken_and_told),
		cmocka_unit_test(name_servers_are_addresses_or_kept),
		cmocka_unit_test(wireguard_variables_are_a_wireguard_file),
		cmocka_unit_test(what_cannot_be_is_an_error_that_names_the_variable),
		cmocka_unit_test(an_empty_variable_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
