/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "explain_scene.h"
#include "plan/known.h"

/* --- one host ------------------------------------------------------------------- */

static void without_a_vpn_the_reply_takes_the_door_of_the_request(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.how, EXPLAIN_DOOR_ADDRESS);
	assert_string_equal(s.report.door->name, "eth0");
	assert_int_equal(s.report.meets, EXPLAIN_MEETS_NOBODY);
	assert_int_equal(s.report.n_cures, 0);
	assert_int_equal(ask(&s, "fd00:9::9", "2001:db8:1::5", 22, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_int_equal(ask(&s, "10.8.0.1", "10.8.0.2", 22, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_string_equal(s.report.door->name, "tun0");
}

/* What a VPN brings, and why the reply goes there. */
static void each_sort_of_push_has_its_reason(void **state)
{
	static const struct {
		const char *dst;
		uint32_t metric, wanted_metric;
		enum explain_why why;
	} cases[] = {
		{ "172.16.0.0/12", 0, 0, EXPLAIN_WHY_LONGER },
		{ "172.16.9.20/32", 0, 0, EXPLAIN_WHY_LONGER },
		{ "128.0.0.0/1", 0, 0, EXPLAIN_WHY_LONGER },
		{ "0.0.0.0/0", 0, 100, EXPLAIN_WHY_METRIC },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scene s CLEANUP_SCENE;

		scene(&s);
		for (size_t j = 0; j < s.n.s.n_routes; j++)
			if (!s.n.s.routes[j].dst.len)
				s.n.s.routes[j].metric = cases[i].wanted_metric;
		route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, cases[i].dst, TUN0, "10.8.0.1")->metric =
			cases[i].metric;
		assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
		assert_string_equal(out_link(&s), "tun0");
		assert_int_equal(s.report.why, cases[i].why);
		assert_string_equal(s.report.wanted_door->name, "eth0");
		assert_int_equal(s.report.wanted->dst.len, 0);
		assert_int_equal(s.report.n_cures, 3);
		assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
	}
}

static void a_dead_route_is_the_reason_when_it_would_have_won(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct route *r;

	(void)state;
	scene(&s);
	r = route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.9.0/24", ETH0, "192.168.1.1");
	r->hops[0].flags = RTNH_F_DEAD;
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.why, EXPLAIN_WHY_DEAD);
	assert_int_equal(s.report.wanted->dst.len, 24);
}

static void a_rule_in_front_of_main_is_the_reason(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	rule = rule_add(&s.n, AF_INET, 32764, RT_TABLE_MAIN);
	rule->suppress_len = 0;
	rule = rule_add(&s.n, AF_INET, 32765, 51820);
	rule->invert = rule->has_mark = true;
	rule->mark = 51820;
	rule->mark_mask = UINT32_MAX;
	route_add(&s.n, 51820, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.why, EXPLAIN_WHY_RULE);
	assert_string_equal(known_rule_maker(explain_last_reply(&s.report)->result.rule),
			    "wg-quick");
	/* With the mark of the tunnel's own packets it is main's turn. */
	assert_int_equal(s.report.n_ifs, 1);
	assert_true(s.report.ifs[0].mark && s.report.ifs[0].same_door);
	assert_int_equal(s.report.ifs[0].flow.mark, 51820);
}

static void strict_rp_filter_drops_the_request_and_the_reply_tells_why(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	s.confs[1].rp_filter = 1; /* eth0 */
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
	assert_false(s.report.legs[s.report.decisive].reply);
	assert_string_equal(out_link(&s), "tun0");
	assert_int_equal(s.report.why, EXPLAIN_WHY_LONGER);
	assert_int_equal(s.report.n_rps, 2);
	for (size_t i = 0; i < s.report.n_rps; i++)
		assert_int_equal(s.report.rps[i].verdict, s.report.rps[i].link->index == ETH0
								  ? FIB_RP_OTHER_LINK
								  : FIB_RP_PASSES);
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
	s.confs[1].rp_filter = 2;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
}

/* A rule that only the reply fits: its port is none of the reverse path's. */
static void rp_filter_that_asks_another_question_is_told_to_be_loose(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	rule = rule_add(&s.n, AF_INET, 100, 100);
	strcpy(rule->iif, "lo");
	route_add(&s.n, 100, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.1");
	strcpy(s.n.s.links[0].name, "lo");
	s.confs[1].rp_filter = 1;
	s.in.query.has_mark = true;
	s.in.query.mark = 7;
	rule->has_mark = true;
	rule->mark = 7;
	rule->mark_mask = UINT32_MAX;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
	assert_string_equal(out_link(&s), "eth0");
	assert_int_equal(s.report.n_cures, 1);
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_LOOSE);
}

static void what_refuses_makes_no_reply(void **state)
{
	static const uint8_t types[] = { RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT };
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_BLACKHOLE, "172.16.0.0/12", 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		s.n.s.routes[s.n.s.n_routes - 1].type = types[i];
		assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_NO_REPLY);
		assert_int_equal(s.report.why, EXPLAIN_WHY_LONGER);
		assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
		assert_int_equal(s.report.n_cures, 1);
	}
	rule = rule_add(&s.n, AF_INET, 10, 0);
	rule->action = FR_ACT_BLACKHOLE;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_NO_REPLY);
	assert_int_equal(s.report.why, EXPLAIN_WHY_REFUSES);
}

static void a_client_whose_address_is_ours_gets_nothing(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* The VPN gave this host the laptop's own address; the laptop asks by the LAN. */
	address_add(&s.n, TUN0, "172.16.9.20/32");
	s.in.query.iif = "eth0";
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
	s.confs[1].accept_local = true;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_STAYS_HERE);
}

static void the_host_itself_is_a_client_like_any_other(void **state)
{
	static const char *const clients[] = { "127.0.0.1", "192.168.1.5", "10.8.0.2" };
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_LOCAL, RTN_LOCAL, "127.0.0.0/8", LO, NULL);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		assert_int_equal(ask_tcp(&s, clients[i]), EXPLAIN_SAME_DOOR);
		assert_int_equal(s.report.how, EXPLAIN_DOOR_SELF);
		assert_int_equal(s.report.n_rps, 0);
	}
}

/* --- sockets -------------------------------------------------------------------- */

static void an_unbound_udp_socket_answers_from_where_the_route_says(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_UDP, "0.0.0.0", 53);
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP), EXPLAIN_SAME_DOOR);
	address_add(&s.n, ETH0, "192.168.1.6/24");
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.6", 53, IPPROTO_UDP),
			 EXPLAIN_OTHER_SOURCE);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP),
			 EXPLAIN_OTHER_DOOR);
	/* Only a rule for the client can help whoever has no source. */
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
	assert_int_equal(s.report.cures[0].cure.from.ip.family, 0);
	assert_int_equal(s.report.cures[0].cure.to.len, 32);
}

static void a_bound_socket_is_the_better_one(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_UDP, "0.0.0.0", 53);
	listens(&s, IPPROTO_UDP, "192.168.1.5", 53);
	listens(&s, IPPROTO_TCP, "::", 53);
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP), EXPLAIN_SAME_DOOR);
	assert_ptr_equal(s.report.socket, &s.sockets[1]);
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_ptr_equal(s.report.socket, &s.sockets[2]);
	s.sockets[2].only_ipv6 = true;
	ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_TCP);
	assert_null(s.report.socket);
	s.sockets[1].link = TUN0; /* hears nothing from eth0 */
	ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP);
	assert_ptr_equal(s.report.socket, &s.sockets[0]);
}

static void the_sockets_user_counts_and_another_ones_is_tried(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_TCP, "0.0.0.0", 22);
	s.sockets[0].uid = 1000;
	rule = rule_add(&s.n, AF_INET, 100, 100);
	rule->has_uid = true;
	rule->uid = (struct rule_range){ 1000, 1000 };
	route_add(&s.n, 100, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.n_ifs, 1);
	assert_true(s.report.ifs[0].uid && s.report.ifs[0].same_door);
	s.in.query.has_uid = true;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.n_ifs, 0);
}

static void a_clients_port_that_a_rule_asks_for_is_tried_unless_it_is_known(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	rule = rule_add(&s.n, AF_INET, 100, 100);
	rule->has_dport = true;
	rule->dport = (struct rule_range){ 5000, 6000 };
	route_add(&s.n, 100, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.n_ifs, 1);
	assert_true(s.report.ifs[0].client_port);
	assert_int_equal(s.report.ifs[0].flow.dport, 5000);
	s.in.query.client_port = 5500;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.n_ifs, 0);
}

static void a_socket_bound_to_the_door_is_better_than_one_bound_to_its_address(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_TCP, "192.168.1.5", 22);
	listens(&s, IPPROTO_TCP, "0.0.0.0", 22);
	s.sockets[1].link = ETH0;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_ptr_equal(s.report.socket, &s.sockets[1]);
}

static void an_ipv6_echo_asks_for_the_link_of_the_request(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "fd00::/8", TUN0, NULL);
	rule = rule_add(&s.n, AF_INET6, 100, 100);
	strcpy(rule->oif, "eth0");
	route_add(&s.n, 100, RTN_UNICAST, "::/0", ETH0, "fe80::1");
	assert_int_equal(ask(&s, "fd00:9::9", "2001:db8:1::5", 0, IPPROTO_ICMPV6),
			 EXPLAIN_SAME_DOOR);
	assert_int_equal(ask(&s, "fd00:9::9", "2001:db8:1::5", 22, IPPROTO_TCP),
			 EXPLAIN_OTHER_DOOR);
}

/* --- doors ------------------------------------------------------------------------ */

static void without_its_address_the_door_is_foretold_without_the_vpn(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* On lo: it may be reached by any link. */
	address_add(&s.n, LO, "192.0.2.1/32");
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask(&s, "172.16.9.20", "192.0.2.1", 22, IPPROTO_TCP), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.how, EXPLAIN_DOOR_ROUTE);
	assert_string_equal(s.report.door->name, "eth0");
	s.in.query.iif = "tun0";
	assert_int_equal(ask(&s, "172.16.9.20", "192.0.2.1", 22, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.how, EXPLAIN_DOOR_GIVEN);
}

static void a_door_that_nobody_knows_is_said_to_be_unknown(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	s.n.s.n_routes = 0;
	assert_int_equal(ask(&s, "172.16.9.20", "192.0.2.1", 22, IPPROTO_TCP), EXPLAIN_UNSURE);
	assert_null(s.report.door);
	assert_int_equal(s.report.n_legs, 0);
}

static void a_door_that_is_down_lets_nothing_in(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	s.n.s.links[1].flags = 0;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
}

static void of_several_equal_ways_all_must_take_the_door(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct route *r;

	(void)state;
	scene(&s);
	r = route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", ETH0, "192.168.1.1");
	r->hops = arena_alloc(&s.n.a, 2 * sizeof(*r->hops));
	r->hops[0] = (struct hop){ .link = ETH0, .via = ip("192.168.1.1"), .weight = 1 };
	r->hops[1] = (struct hop){ .link = ETH0, .via = ip("192.168.1.2"), .weight = 1 };
	r->n_hops = 2;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	r->hops[1].link = TUN0;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_UNSURE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_vpn_the_reply_takes_the_door_of_the_request),
		cmocka_unit_test(each_sort_of_push_has_its_reason),
		cmocka_unit_test(a_dead_route_is_the_reason_when_it_would_have_won),
		cmocka_unit_test(a_rule_in_front_of_main_is_the_reason),
		cmocka_unit_test(strict_rp_filter_drops_the_request_and_the_reply_tells_why),
		cmocka_unit_test(rp_filter_that_asks_another_question_is_told_to_be_loose),
		cmocka_unit_test(what_refuses_makes_no_reply),
		cmocka_unit_test(a_client_whose_address_is_ours_gets_nothing),
		cmocka_unit_test(the_host_itself_is_a_client_like_any_other),
		cmocka_unit_test(an_unbound_udp_socket_answers_from_where_the_route_says),
		cmocka_unit_test(a_bound_socket_is_the_better_one),
		cmocka_unit_test(
			a_socket_bound_to_the_door_is_better_than_one_bound_to_its_address),
		cmocka_unit_test(an_ipv6_echo_asks_for_the_link_of_the_request),
		cmocka_unit_test(the_sockets_user_counts_and_another_ones_is_tried),
		cmocka_unit_test(a_clients_port_that_a_rule_asks_for_is_tried_unless_it_is_known),
		cmocka_unit_test(without_its_address_the_door_is_foretold_without_the_vpn),
		cmocka_unit_test(a_door_that_nobody_knows_is_said_to_be_unknown),
		cmocka_unit_test(a_door_that_is_down_lets_nothing_in),
		cmocka_unit_test(of_several_equal_ways_all_must_take_the_door),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
