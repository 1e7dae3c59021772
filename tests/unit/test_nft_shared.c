/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/plan.h"

#include "base/text.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* As nft 1.0.6 lists it. */
static const char listed[] =
	"table inet sallyport {\n"
	"\tset links {\n\t\ttype ifname\n"
	"\t\telements = { \"sp-a\" comment \"a\", \"sp-b\" comment \"b\",\n"
	"\t\t\t     \"eth0\" }\n\t}\n\n"
	"\tset ports4 {\n\t\ttype inet_proto . inet_service\n"
	"\t\telements = { 17 . 53 comment \"a\", 6 . 80 comment \"b\" }\n\t}\n\n"
	"\tmap rooms4 {\n\t\ttype inet_proto . inet_service : ipv4_addr . inet_service\n"
	"\t\telements = { 17 . 53 comment \"a\" : 198.18.0.3 . 53,\n"
	"\t\t\t     6 . 80 comment \"b\" : 198.18.1.3 . 80 }\n\t}\n\n"
	"\tmap rooms6_at {\n\t\ttype ipv6_addr . inet_proto . inet_service : ipv6_addr . "
	"inet_service\n"
	"\t\telements = { 2001:db8::1 . 6 . 443 comment \"b\" : fd00::3 . 443 }\n\t}\n\n"
	"\tmap reach {\n\t\ttype ifname : verdict\n"
	"\t\telements = { \"sp-a\" comment \"a\" : jump reach_a }\n\t}\n\n"
	"\tchain pass {\n\t\ttype filter hook forward priority 0; policy accept;\n"
	"\t\toifname @links jump towards\n\t}\n\n"
	"\tchain reach_a {\n\t}\n\n"
	"\tchain before_a {\n\t\tcontinue comment \"ipv4/ip_forward 0\"\n\t}\n"
	"}\n";

/* Of gates of a version whose ports led to chains of their own. */
static const char older[] =
	"table inet sallyport {\n"
	"\tmap from {\n\t\ttype ifname : verdict\n"
	"\t\telements = { \"sp-a\" : jump from_a, \"sp-b\" : jump from_b,\n"
	"\t\t\t     \"sp-from_a\" : jump from_from_a }\n\t}\n\n"
	"\tmap ports {\n\t\ttype inet_proto . inet_service : verdict\n"
	"\t\telements = { 17 . 53 : goto publish_a,\n"
	"\t\t\t     6 . 80 : goto publish_b }\n\t}\n\n"
	"\tmap listen4 {\n\t\ttype ipv4_addr . inet_proto . inet_service : verdict\n"
	"\t\telements = { 192.0.2.1 . 6 . 443 : goto publish_from_a }\n\t}\n\n"
	"\tmap listen6 {\n\t\ttype ipv6_addr . inet_proto . inet_service : verdict\n\t}\n\n"
	"\tset still4 {\n\t\ttype ifname\n\t}\n\n"
	"\tchain outside {\n\t\ttype filter hook prerouting priority -300; policy accept;\n"
	"\t\tiifname vmap @from\n\t}\n\n"
	"\tchain from_a {\n\t\tip6 saddr != { fe80::/10, :: } counter drop\n\t}\n\n"
	"\tchain before_a {\n\t\tcontinue comment \"ipv4/ip_forward 0\"\n\t}\n\n"
	"\tchain from_b {\n\t}\n\n"
	"\tchain from_from_a {\n\t}\n"
	"}\n";

static void what_is_a_gates_is_told_from_what_is_others(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_string_equal(plan_nft_stale(&a, listed, "a"),
			    "delete element inet sallyport links { \"sp-a\" }\n"
			    "delete element inet sallyport ports4 { 17 . 53 }\n"
			    "delete element inet sallyport rooms4 { 17 . 53 }\n"
			    "delete element inet sallyport reach { \"sp-a\" }\n");
	assert_string_equal(plan_nft_stale(&a, listed, "c"), "");
	assert_string_equal(plan_nft_stale(&a, "", "c"), "");
}

static void of_older_gates_all_goes_that_no_other_one_needs(void **state)
{
	static const char last[] = "table inet sallyport {\n"
				   "\tmap from {\n\t\ttype ifname : verdict\n\t}\n\n"
				   "\tset still4 {\n\t\ttype ifname\n\t}\n\n"
				   "\tchain outside {\n\t\tiifname vmap @from\n\t}\n\n"
				   "\tchain answer {\n\t}\n\n"
				   "\tchain host_a {\n\t\tgoto lan_a\n\t}\n\n"
				   "\tchain lan_a {\n\t}\n\n"
				   "\tchain before_a {\n\t}\n"
				   "}\n";
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_string_equal(plan_nft_stale(&a, older, "a"),
			    "delete element inet sallyport from { \"sp-a\" }\n"
			    "delete element inet sallyport ports { 17 . 53 }\n"
			    "flush chain inet sallyport from_a\n"
			    "delete chain inet sallyport from_a\n");
	assert_string_equal(plan_nft_stale(&a, older, "c"), "");
	assert_string_equal(plan_nft_stale(&a, last, "a"), "flush chain inet sallyport outside\n"
							   "flush chain inet sallyport host_a\n"
							   "flush chain inet sallyport lan_a\n"
							   "delete chain inet sallyport outside\n"
							   "delete chain inet sallyport host_a\n"
							   "delete chain inet sallyport lan_a\n"
							   "delete map inet sallyport from\n");
	assert_string_equal(plan_nft_stale(&a, last, "b"), "");
}

static const char *conflict(struct arena *a, const char *gate, const char *listen, struct publish p,
			    const char *with)
{
	struct ip ip;
	struct door lan = { .name = "lan", .listen = &ip, .n_listen = listen ? 1 : 0 };
	struct gate g = { .name = gate, .doors = &lan, .n_doors = 1, .publish = &p, .n_publish = 1 };
	const struct publish *which;

	if (listen)
		assert_true(ip_parse(listen, &ip));
	return plan_nft_conflict(a, with, &g, &which);
}

static void a_port_of_another_gate_is_found(void **state)
{
	const struct publish tcp80 = { .door_port = 80, .proto = IPPROTO_TCP };
	const struct publish udp80 = { .door_port = 80, .proto = IPPROTO_UDP };
	const struct publish tcp443 = { .door_port = 443, .proto = IPPROTO_TCP };
	const struct publish tcp80_6 = { .door_port = 80,
					 .proto = IPPROTO_TCP,
					 .host.family = AF_INET6 };
	static const char *const tables[] = { listed, older };
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		assert_string_equal(conflict(&a, "c", NULL, tcp80, tables[i]), "b");
		assert_null(conflict(&a, "b", NULL, tcp80, tables[i]));
		assert_null(conflict(&a, "c", NULL, udp80, tables[i]));
		assert_null(conflict(&a, "c", NULL, tcp443, tables[i]));
	}
	assert_null(conflict(&a, "c", NULL, tcp80_6, listed));
	assert_string_equal(conflict(&a, "c", "2001:db8::1", tcp443, listed), "b");
	assert_null(conflict(&a, "c", "2001:db8::2", tcp443, listed));
	assert_string_equal(conflict(&a, "c", "192.0.2.1", tcp443, older), "from_a");
	assert_null(conflict(&a, "c", "192.0.2.2", tcp443, older));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_a_gates_is_told_from_what_is_others),
		cmocka_unit_test(of_older_gates_all_goes_that_no_other_one_needs),
		cmocka_unit_test(a_port_of_another_gate_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
