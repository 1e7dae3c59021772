/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The traps of the kernel's lookup, one by one.  That the kernel does so is
 * shown by tests/kernel/test_fib_differential.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "fib/arrive.h"
#include "fib/lookup.h"
#include "fib/source.h"
#include "net.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

static struct fib_result look(struct net *n, struct flow f, struct fib_trace *trace)
{
	struct fib_result r;

	fib_lookup(fib_new(&n->a, &n->s), &f, &r, trace);
	return r;
}

static struct fib_result look_to(struct net *n, const char *dst)
{
	return look(n, (struct flow){ .dst = ip(dst) }, NULL);
}

static void assert_ip(struct ip a, const char *text)
{
	char buf[IP_TEXT_SIZE];

	assert_string_equal(ip_text(&a, buf), text);
}

static void a_push_takes_the_reply_of_an_unbound_socket(void **state)
{
	struct net n CLEANUP_NET = host();
	struct fib_result r;

	(void)state;
	r = look_to(&n, "172.16.9.20");
	assert_int_equal(r.link, ETH0);
	assert_ip(r.src, "192.168.1.5");
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	r = look_to(&n, "172.16.9.20");
	assert_int_equal(r.verdict, FIB_UNICAST);
	assert_int_equal(r.link, TUN0);
	assert_ip(r.via, "10.8.0.1");
	assert_ip(r.src, "10.8.0.2");
}

static void a_source_rule_saves_only_who_has_a_source(void **state)
{
	struct net n CLEANUP_NET = host();
	struct flow f = { .dst = ip("172.16.9.20"), .src = ip("192.168.1.5") };

	(void)state;
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	route_add(&n, 5900, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.1");
	rule_add(&n, AF_INET, 0, 5900)->from = prefix("192.168.1.5/32");
	assert_int_equal(look(&n, f, NULL).link, ETH0);
	assert_int_equal(look(&n, f, NULL).table, 5900);
	f.src = ip(NULL);
	assert_int_equal(look(&n, f, NULL).link, TUN0);
}

static void from_zero_means_sockets_without_a_source(void **state)
{
	struct net n CLEANUP_NET = host();
	struct flow f = { .dst = ip("8.8.8.8") };

	(void)state;
	route_add(&n, 5900, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	rule_add(&n, AF_INET, 10, 5900)->from = prefix("0.0.0.0/32");
	assert_int_equal(look(&n, f, NULL).link, TUN0);
	f.src = ip("192.168.1.5");
	assert_int_equal(look(&n, f, NULL).link, ETH0);
	f = (struct flow){ .dst = ip("2001:db8:ffff::1") };
	rule_add(&n, AF_INET6, 10, 5900)->from = prefix("::/128");
	route_add(&n, 5900, RTN_UNICAST, "::/0", TUN0, NULL);
	assert_int_equal(look(&n, f, NULL).link, ETH0);
}

static void of_equal_priorities_the_older_rule_wins(void **state)
{
	struct net n CLEANUP_NET = host();

	(void)state;
	route_add(&n, 100, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	route_add(&n, 200, RTN_UNICAST, "0.0.0.0/0", ETH0, NULL);
	rule_add(&n, AF_INET, 0, 100);
	rule_add(&n, AF_INET, 0, 200);
	assert_int_equal(look_to(&n, "8.8.8.8").table, 100);
	assert_int_equal(look_to(&n, "192.168.1.5").verdict, FIB_LOCAL);
}

static void suppress_hides_short_routes_that_lead_somewhere(void **state)
{
	static const struct {
		const char *dst;
		uint8_t type;
		enum fib_verdict verdict;
	} cases[] = {
		{ "0.0.0.0/0", RTN_UNICAST, FIB_UNICAST }, /* of table 200 */
		{ "0.0.0.0/0", RTN_UNREACHABLE, FIB_UNREACHABLE },
		{ "0.0.0.0/0", RTN_PROHIBIT, FIB_PROHIBIT },
		{ "0.0.0.0/0", RTN_BLACKHOLE, FIB_BLACKHOLE },
		{ "::/0", RTN_UNICAST, FIB_UNICAST },
		{ "::/0", RTN_UNREACHABLE, FIB_UNREACHABLE },
		{ "::/0", RTN_PROHIBIT, FIB_PROHIBIT },
		{ "::/0", RTN_BLACKHOLE, FIB_BLACKHOLE },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net n CLEANUP_NET = host();
		bool leads = cases[i].type == RTN_UNICAST;
		sa_family_t family = prefix(cases[i].dst).ip.family;
		struct fib_result r;

		route_add(&n, 100, cases[i].type, cases[i].dst, leads ? TUN0 : 0, NULL);
		route_add(&n, 200, RTN_UNICAST, cases[i].dst, ETH0, NULL);
		rule_add(&n, family, 10, 100)->suppress_len = 0;
		rule_add(&n, family, 20, 200);
		r = look_to(&n, family == AF_INET ? "8.8.8.8" : "2001:db8:f::1");
		assert_int_equal(r.verdict, cases[i].verdict);
		assert_int_equal(r.table, leads ? 200 : 100);
	}
}

static void each_step_says_what_became_of_its_rule(void **state)
{
	struct net n CLEANUP_NET = host();
	struct fib_trace t = { .arena = &n.a };
	static const enum fib_why whys[] = { FIB_WHY_NO_MATCH, FIB_WHY_NOT_SELECTED,
					     FIB_WHY_THROWN,   FIB_WHY_SUPPRESSED_LEN,
					     FIB_WHY_JUMPS,    FIB_WHY_CHOSEN };
	struct rule *r;

	(void)state;
	route_add(&n, 100, RTN_THROW, "8.0.0.0/8", 0, NULL);
	rule_add(&n, AF_INET, 10, 100)->iif[0] = 'x';
	rule_add(&n, AF_INET, 20, 100);
	rule_add(&n, AF_INET, 30, RT_TABLE_MAIN)->suppress_len = 0;
	r = rule_add(&n, AF_INET, 40, 0);
	r->action = FR_ACT_GOTO;
	r->target = 32766;
	rule_add(&n, AF_INET, 50, 0)->action = FR_ACT_PROHIBIT;
	look(&n, (struct flow){ .dst = ip("8.8.8.8") }, &t);
	assert_int_equal(t.n, ARRAY_LEN(whys));
	for (size_t i = 0; i < t.n; i++)
		assert_int_equal(t.steps[i].why, whys[i]);
	assert_int_equal(t.steps[1].selector, RULE_IIF);
	assert_string_equal(rule_selector_name(t.steps[1].selector), "iif");
	assert_int_equal(t.steps[3].route->dst.len, 0);
	assert_int_equal(t.steps[5].rule->priority, 32766);
}

static void a_goto_backwards_or_to_nowhere_is_passed_over(void **state)
{
	static const uint32_t targets[] = { 5, 40, 41 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct net n CLEANUP_NET = host();
		struct rule *r;

		rule_add(&n, AF_INET, 5, 77);
		r = rule_add(&n, AF_INET, 40, 0);
		r->action = FR_ACT_GOTO;
		r->target = targets[i];
		assert_int_equal(look_to(&n, "8.8.8.8").rule->priority, 32766);
	}
}

static void a_rule_for_a_link_that_is_not_there_fits_nothing(void **state)
{
	struct net n CLEANUP_NET = host();
	struct rule *r = rule_add(&n, AF_INET, 10, 0);

	(void)state;
	r->action = FR_ACT_PROHIBIT;
	strcpy(r->oif, "wg9");
	assert_int_equal(look_to(&n, "8.8.8.8").verdict, FIB_UNICAST);
	n.s.rules[n.s.n_rules - 1].invert = true;
	assert_int_equal(look_to(&n, "8.8.8.8").verdict, FIB_PROHIBIT);
}

static void what_refuses_stops_ipv4_on_any_link_but_not_ipv6(void **state)
{
	struct net n CLEANUP_NET = host();
	struct flow f = { .dst = ip("8.8.8.8"), .oif = ETH0 };

	(void)state;
	route_add(&n, 100, RTN_UNREACHABLE, "8.0.0.0/8", 0, NULL);
	rule_add(&n, AF_INET, 10, 100);
	route_add(&n, 100, RTN_UNREACHABLE, "2001:db8:f::/48", 0, NULL);
	rule_add(&n, AF_INET6, 10, 100);
	/* IPv4 sends all the same: as if the peer were on that link. */
	assert_null(look(&n, f, NULL).pick.route);
	assert_int_equal(look(&n, f, NULL).link, ETH0);
	f.dst = ip("2001:db8:f::1");
	assert_int_equal(look(&n, f, NULL).link, ETH0);
	assert_int_equal(look(&n, f, NULL).table, RT_TABLE_MAIN);
	f.oif = 0;
	assert_int_equal(look(&n, f, NULL).verdict, FIB_UNREACHABLE);
}

static void of_several_hops_a_dead_one_is_never_taken(void **state)
{
	struct net n CLEANUP_NET = host();
	struct route *r = route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "9.0.0.0/8", ETH0, NULL);
	struct hop hops[] = { { .link = ETH0, .weight = 1 },
			      { .link = TUN0, .weight = 1 },
			      { .link = TUN0, .weight = 1, .flags = RTNH_F_DEAD } };
	struct fib_result f;

	(void)state;
	r->hops = hops;
	r->n_hops = 3;
	f = look_to(&n, "9.9.9.9");
	assert_true(f.pick.by_hash);
	assert_true(fib_pick_may_take(&f.pick, &hops[1]));
	assert_false(fib_pick_may_take(&f.pick, &hops[2]));
	hops[0].flags = RTNH_F_DEAD;
	f = look_to(&n, "9.9.9.9");
	assert_false(f.pick.by_hash);
	assert_int_equal(f.link, TUN0);
	assert_ip(f.src, "10.8.0.2");
}

static void what_the_snapshot_does_not_tell_is_said(void **state)
{
	struct net n CLEANUP_NET = host();
	struct fib_result r;

	(void)state;
	strcpy(rule_add(&n, AF_INET, 10, 100)->unknown, "realms");
	r = look_to(&n, "8.8.8.8");
	assert_int_equal(r.verdict, FIB_CANNOT_MODEL);
	assert_int_equal(r.rule->priority, 10);
	/* A plain no outweighs the doubt. */
	n.s.rules[n.s.n_rules - 1].to = prefix("9.0.0.0/8");
	assert_int_equal(look_to(&n, "8.8.8.8").verdict, FIB_UNICAST);
}

static void without_rules_of_its_own_main_may_compete_with_local(void **state)
{
	struct net n CLEANUP_NET = host();

	(void)state;
	route_add(&n, RT_TABLE_LOCAL, RTN_LOCAL, "10.9.0.0/16", LO, NULL);
	assert_int_equal(look_to(&n, "10.9.9.9").verdict, FIB_LOCAL);
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "10.9.9.0/24", TUN0, NULL);
	assert_int_equal(look_to(&n, "10.9.9.9").verdict, FIB_CANNOT_MODEL);
	rule_add(&n, AF_INET, 10, 4242);
	assert_int_equal(look_to(&n, "10.9.9.9").verdict, FIB_LOCAL);
}

static void ipv6_routes_with_a_source_hide_those_without(void **state)
{
	struct net n CLEANUP_NET = host();
	struct flow f = { .dst = ip("2001:db8:f::1") };
	struct route *r;

	(void)state;
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "2001:db8:f::/48", TUN0, NULL);
	r = route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "2001:db8:f::/48", TUN0, NULL);
	r->src = prefix("fd00:8::/64");
	r->metric = 7;
	f.src = ip("fd00:8::2");
	assert_int_equal(look(&n, f, NULL).pick.route->metric, 7);
	f.src = ip("2001:db8:1::5");
	assert_int_equal(look(&n, f, NULL).link, ETH0);
}

static void strict_reverse_path_wants_the_door_it_came_in_by(void **state)
{
	struct net n CLEANUP_NET = host();
	struct link_conf conf = { .rp_filter = 1, .forwarding = true };
	struct flow f = {
		.dst = ip("192.168.1.5"), .src = ip("172.16.9.20"), .iif = ETH0, .mark = 0x10000
	};
	struct fib_result r;
	struct rule *rule;
	enum fib_rp rp;

	(void)state;
	rule_add(&n, AF_INET, 10, 4242);
	fib_arrive(fib_new(&n.a, &n.s), &f, &conf, &r, &rp, NULL);
	assert_int_equal(r.verdict, FIB_LOCAL);
	assert_int_equal(rp, FIB_RP_PASSES);

	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	fib_arrive(fib_new(&n.a, &n.s), &f, &conf, &r, &rp, NULL);
	assert_int_equal(r.error, EXDEV);
	assert_int_equal(rp, FIB_RP_OTHER_LINK);
	conf.rp_filter = 2;
	assert_int_equal(fib_reverse_path(fib_new(&n.a, &n.s), &f, 0, &conf, NULL, NULL),
			 FIB_RP_PASSES);

	/* The mark leads back by the door, if it is asked. */
	conf.rp_filter = 1;
	route_add(&n, 5900, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.1");
	rule = rule_add(&n, AF_INET, 5, 5900);
	rule->has_mark = true;
	rule->mark = rule->mark_mask = 0x10000;
	assert_int_equal(fib_reverse_path(fib_new(&n.a, &n.s), &f, 0, &conf, NULL, NULL),
			 FIB_RP_OTHER_LINK);
	conf.src_valid_mark = true;
	assert_int_equal(fib_reverse_path(fib_new(&n.a, &n.s), &f, 0, &conf, NULL, NULL),
			 FIB_RP_PASSES);
}

static void own_and_odd_sources_are_martians(void **state)
{
	struct net n CLEANUP_NET = host();
	static const char *const sources[] = { "192.168.1.5", "127.0.0.1", "224.0.0.1",
					       "255.255.255.255", "0.0.0.0" };
	struct link_conf conf = { .forwarding = true };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
		struct flow f = { .dst = ip("10.8.0.2"), .src = ip(sources[i]), .iif = ETH0 };
		struct fib_result r;
		enum fib_rp rp;

		fib_arrive(fib_new(&n.a, &n.s), &f, &conf, &r, &rp, NULL);
		assert_int_equal(r.verdict, FIB_REFUSED);
		assert_int_equal(r.error, EINVAL);
	}
}

static void ipv6_sources_follow_rfc_6724(void **state)
{
	static const struct {
		const char *dst;
		int link;
		const char *src;
	} cases[] = {
		{ "2001:db8:1::99", ETH0, "2001:db8:1::5" }, /* longest match */
		{ "fd00:8::1", ETH0, "2001:db8:1::5" }, /* the link before the label */
		{ "fd00:8::1", TUN0, "fd00:8::2" },
		{ "2001:db8:ffff::1", TUN0, "fd00:8::2" }, /* the link comes first */
		{ "2001:db8:ffff::1", ETH0, "2001:db8:1::5" },
		{ "fd00:8::2", ETH0, "fd00:8::2" }, /* its own address */
		{ "fe80::77", TUN0, "fd00:8::2" }, /* of that link or none */
	};
	struct net n CLEANUP_NET = host();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct ip dst = ip(cases[i].dst);
		struct ip src = source_by_rfc6724(&n.s, cases[i].link, &dst);

		assert_ip(src, cases[i].src);
	}
	n.s.addresses[2].flags = IFA_F_DEPRECATED;
	assert_ip(source_by_rfc6724(&n.s, ETH0, &n.s.addresses[3].local), "fd00:8::2");
}

static void an_empty_snapshot_leads_nowhere(void **state)
{
	struct net n CLEANUP_NET = { 0 };

	(void)state;
	assert_int_equal(look_to(&n, "8.8.8.8").verdict, FIB_NO_ROUTE);
	assert_int_equal(look_to(&n, "8.8.8.8").error, ENETUNREACH);
	assert_int_equal(look_to(&n, "::1").verdict, FIB_CANNOT_MODEL);
}

/* Against trying every prefix, around the sizes where the window begins. */
static void the_longest_prefix_is_found_in_tables_of_any_size(void **state)
{
	static const size_t sizes[] = { 1, 2, 7, 8, 9, 63, 64, 1000 };
	uint64_t x = 88172645463325252ULL;

	(void)state;
	for (size_t i = 0; i < 2 * ARRAY_LEN(sizes); i++) {
		struct net n CLEANUP_NET = { 0 };
		sa_family_t family = i % 2 ? AF_INET6 : AF_INET;
		const struct fib_table *t;

		for (size_t j = 0; j < sizes[i / 2]; j++) {
			struct route *r =
				arena_push(&n.a, n.s.routes, n.s.n_routes, n.s.cap_routes);
			struct ip at = { .family = family };

			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			for (size_t b = 0; b < 4; b++)
				at.byte[b] = (uint8_t)(x >> (33 + b * 3) & (b ? 0xe7 : 0x83));
			*r = (struct route){ .family = family, .table = 7 };
			r->dst = prefix_of(&at, (unsigned int)(x >> 58) % 33);
		}
		t = fib_tables_find(fib_tables_new(&n.a, &n.s), family, 7);
		for (int j = 0; j < 2000; j++) {
			struct ip at = { .family = family };
			const struct fib_node *node;
			int longest = -1;

			x = x * 6364136223846793005ULL + 1442695040888963407ULL;
			for (size_t b = 0; b < 4; b++)
				at.byte[b] = (uint8_t)(x >> (33 + b * 3) & (b ? 0xe7 : 0xff));
			for (size_t k = 0; k < n.s.n_routes; k++)
				if (prefix_covers(&n.s.routes[k].dst, &at) &&
				    n.s.routes[k].dst.len > longest)
					longest = n.s.routes[k].dst.len;
			node = fib_table_longest(t, &at);
			assert_int_equal(node ? node->len : -1, longest);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_push_takes_the_reply_of_an_unbound_socket),
		cmocka_unit_test(a_source_rule_saves_only_who_has_a_source),
		cmocka_unit_test(from_zero_means_sockets_without_a_source),
		cmocka_unit_test(of_equal_priorities_the_older_rule_wins),
		cmocka_unit_test(suppress_hides_short_routes_that_lead_somewhere),
		cmocka_unit_test(each_step_says_what_became_of_its_rule),
		cmocka_unit_test(a_goto_backwards_or_to_nowhere_is_passed_over),
		cmocka_unit_test(a_rule_for_a_link_that_is_not_there_fits_nothing),
		cmocka_unit_test(what_refuses_stops_ipv4_on_any_link_but_not_ipv6),
		cmocka_unit_test(of_several_hops_a_dead_one_is_never_taken),
		cmocka_unit_test(what_the_snapshot_does_not_tell_is_said),
		cmocka_unit_test(without_rules_of_its_own_main_may_compete_with_local),
		cmocka_unit_test(ipv6_routes_with_a_source_hide_those_without),
		cmocka_unit_test(strict_reverse_path_wants_the_door_it_came_in_by),
		cmocka_unit_test(own_and_odd_sources_are_martians),
		cmocka_unit_test(ipv6_sources_follow_rfc_6724),
		cmocka_unit_test(an_empty_snapshot_leads_nowhere),
		cmocka_unit_test(the_longest_prefix_is_found_in_tables_of_any_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
