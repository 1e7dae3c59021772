/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The nft tables of the guard of a bare host: what is in them, and what goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "guard_scene.h"

#include <stdio.h>
#include <string.h>

static void sets_of_addresses_that_are_gone_are_deleted(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	struct want w = plan(&n, &m);
	const char *stale, *listed = w.nft;

	(void)state;
	assert_string_equal(guard_nft_stale(&n.a, w.nft, listed), "");
	n.s.addresses[0].local = ip("192.168.1.6");
	w = plan(&n, &m);
	stale = guard_nft_stale(&n.a, w.nft, listed);
	assert_non_null(strstr(stale, "delete chain ip sallyport-guard learn_"));
	assert_non_null(strstr(stale, "delete set ip sallyport-guard spoken_"));
	assert_non_null(strstr(stale, "delete set ip sallyport-guard last_"));
	assert_null(strstr(stale, "trial"));
}

/* A rule of each in each one's chain would be a million. */
static void a_thousand_addresses_take_no_million_rules(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m;
	struct want w;

	(void)state;
	for (int i = 0; i < 1000; i++) {
		char address[32];

		snprintf(address, sizeof(address), "10.7.%d.%d/16", i / 250, i % 250 + 1);
		address_add(&n, ETH0, address);
	}
	m = learn(&n, &none);
	w = plan(&n, &m);
	assert_true(strlen(w.nft) < 4 << 20);
}

static void what_sysctls_were_is_told_anew_each_time_and_goes_with_the_last(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	struct guard_sysctl sysctls[] = { { "eth0", 1 }, { GUARD_ACCEPT, 0 } };
	struct guard_wish wish = { .sysctls = sysctls, .n_sysctls = 2 };
	struct want with, without = plan(&n, &m);

	(void)state;
	guard_plan(&n.a, &m, &n.s, &wish, &with);
	assert_non_null(strstr(with.nft, "flush map inet sallyport-guard sysctls\n"));
	assert_non_null(strstr(with.nft, "elements = { \"eth0\" : 1, \"/accept\" : 0 }"));
	assert_null(strstr(without.nft, "sysctls"));
	assert_string_equal(guard_nft_stale(&n.a, with.nft, with.nft), "");
	assert_string_equal(guard_nft_stale(&n.a, without.nft,
					    "table inet sallyport-guard {\n\tmap sysctls {\n"),
			    "delete map inet sallyport-guard sysctls\n");
}

static const char *nft_of(struct net *n, const struct guard_wish *wish)
{
	struct guard_memory none = { 0 }, m = learn(n, &none);

	return guard_nft(&n->a, &m, &n->s, wish);
}

static void no_packet_passes_a_hook_while_there_is_no_vpn(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_wish wish = { 0 };

	(void)state;
	n.s.n_addresses = 0;
	address_add(&n, ETH0, "192.168.1.5/24");
	link_add(&n, ETH1, "eth1", IFF_BROADCAST);
	address_add(&n, ETH1, "10.99.0.5/24");
	assert_null(strstr(nft_of(&n, &wish), " hook "));
	address_add(&n, TUN0, "10.8.0.2/24");
	assert_non_null(strstr(nft_of(&n, &wish), "hook input"));
	assert_null(strstr(nft_of(&n, &wish), "hook output"));
}

static void connections_are_tracked_only_where_the_host_forwards(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_wish wish = { .udp = true, .trial = true, .ipsec = true };

	(void)state;
	assert_null(strstr(nft_of(&n, &wish), "ct "));
	assert_non_null(strstr(nft_of(&n, &wish), "chain answer"));
	wish.forwards = true;
	assert_non_null(strstr(nft_of(&n, &wish), "hook forward"));
}

static size_t count(const char *text, const char *word)
{
	size_t n = 0;

	for (const char *s = strstr(text, word); s; s = strstr(s + 1, word))
		n++;
	return n;
}

static void marks_that_meant_something_to_sockets_before_go_on_doing_so(void **state)
{
	static const char others[] = "meta mark != 0 meta mark and 0xff000000 != 0x27000000 return";
	struct net n CLEANUP_NET = host();
	struct guard_sysctl was[] = { { GUARD_ACCEPT, 0 },
				      { GUARD_REFLECT4, 0 },
				      { GUARD_REFLECT6, 0 } };
	struct guard_wish wish = { .sysctls = was, .n_sysctls = 3 };

	(void)state;
	assert_int_equal(count(nft_of(&n, &wish), others), 0);
	wish.n_sysctls = 2;
	assert_int_equal(count(nft_of(&n, &wish), others), 1);
	assert_non_null(
		strstr(strstr(nft_of(&n, &wish), "table ip6 sallyport-guard {\n\t"), others));
	wish.n_sysctls = 1;
	assert_int_equal(count(nft_of(&n, &wish), others), 2);
	wish.n_sysctls = 0;
	assert_int_equal(count(nft_of(&n, &wish), others), 4);
}

/* A table of theirs is emptied and not deleted: its map remembers sysctls. */
static void what_an_older_version_had_in_one_table_is_deleted_there_alone(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	struct want w = plan(&n, &m);
	static const char older[] = "table inet sallyport-guard {\n"
				    "\tset asked4 {\n\t\telements = { 1.2.3.4 . 5 . 6 }\n\t}\n"
				    "\tchain arrive {\n\t}\n\tset trial {\n\t}\n}\n"
				    "table ip sallyport-guard {\n\tchain arrive {\n\t}\n}\n";

	(void)state;
	assert_string_equal(guard_nft_stale(&n.a, w.nft, older),
			    "delete chain inet sallyport-guard arrive\n"
			    "delete set inet sallyport-guard asked4\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_of_addresses_that_are_gone_are_deleted),
		cmocka_unit_test(a_thousand_addresses_take_no_million_rules),
		cmocka_unit_test(what_sysctls_were_is_told_anew_each_time_and_goes_with_the_last),
		cmocka_unit_test(no_packet_passes_a_hook_while_there_is_no_vpn),
		cmocka_unit_test(connections_are_tracked_only_where_the_host_forwards),
		cmocka_unit_test(marks_that_meant_something_to_sockets_before_go_on_doing_so),
		cmocka_unit_test(what_an_older_version_had_in_one_table_is_deleted_there_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
