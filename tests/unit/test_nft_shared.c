/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/plan.h"

#include "base/text.h"

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* As nft 1.0.6 lists it. */
static const char listed[] =
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
	"\tchain forward {\n\t\ttype filter hook forward priority 0; policy accept;\n"
	"\t\tiifname vmap @lan\n\t}\n\n"
	"\tchain from_a {\n\t\tip6 saddr != { fe80::/10, :: } counter drop\n\t}\n\n"
	"\tchain before_a {\n\t\tcontinue comment \"ipv4/ip_forward 0\"\n\t}\n\n"
	"\tchain from_b {\n\t}\n\n"
	"\tchain from_from_a {\n\t}\n"
	"}\n";

static void what_leads_to_a_gate_is_told_from_what_leads_to_others(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_string_equal(plan_nft_stale(&a, listed, "a"),
			    "delete element inet sallyport from { \"sp-a\" }\n"
			    "delete element inet sallyport ports { 17 . 53 }\n");
	assert_string_equal(plan_nft_stale(&a, listed, "c"), "");
	assert_string_equal(plan_nft_stale(&a, "", "c"), "");
}

static const char *conflict(struct arena *a, const char *gate, const char *listen, struct publish p)
{
	struct ip ip;
	struct door lan = { .name = "lan", .listen = &ip, .n_listen = listen ? 1 : 0 };
	struct gate g = { .name = gate, .doors = &lan, .n_doors = 1, .publish = &p, .n_publish = 1 };
	const struct publish *which;

	if (listen)
		assert_true(ip_parse(listen, &ip));
	return plan_nft_conflict(a, listed, &g, &which);
}

static void a_port_of_another_gate_is_found(void **state)
{
	const struct publish tcp80 = { .door_port = 80, .proto = IPPROTO_TCP };
	const struct publish udp80 = { .door_port = 80, .proto = IPPROTO_UDP };
	const struct publish tcp443 = { .door_port = 443, .proto = IPPROTO_TCP };
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_string_equal(conflict(&a, "c", NULL, tcp80), "b");
	assert_null(conflict(&a, "b", NULL, tcp80));
	assert_null(conflict(&a, "c", NULL, udp80));
	assert_null(conflict(&a, "c", NULL, tcp443));
	assert_string_equal(conflict(&a, "c", "192.0.2.1", tcp443), "from_a");
	assert_null(conflict(&a, "c", "192.0.2.2", tcp443));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_leads_to_a_gate_is_told_from_what_leads_to_others),
		cmocka_unit_test(a_port_of_another_gate_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
