/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VPN client installs, and what becomes of it beside the host's own routes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "plan/push.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#define GATE_PROTOCOL 222

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, false, &p));
	return p;
}

static struct route *add_route(struct arena *a, struct snapshot *net, const char *dst,
			       uint32_t metric, int link, const char *via)
{
	struct route *r = arena_push(a, net->routes, net->n_routes, net->cap_routes);

	*r = (struct route){ .type = RTN_UNICAST,
			     .table = RT_TABLE_MAIN,
			     .protocol = RTPROT_BOOT,
			     .metric = metric,
			     .dst = prefix(dst),
			     .n_hops = 1 };
	r->family = r->dst.ip.family;
	r->hops = arena_new(a, struct hop);
	r->hops[0] = (struct hop){ .link = link, .weight = 1 };
	if (via)
		assert_true(ip_parse(via, &r->hops[0].via));
	return r;
}

static void add_link(struct arena *a, struct snapshot *net, int index, const char *name)
{
	struct link *l = arena_push(a, net->links, net->n_links, net->cap_links);

	l->index = index;
	snprintf(l->name, sizeof(l->name), "%s", name);
}

static void an_equal_prefix_is_decided_by_metric_client_and_family(void **state)
{
	static const struct {
		const char *have;
		uint32_t have_metric;
		const char *pushed;
		uint32_t metric;
		enum push_way way;
		enum push_tie tie;
		enum push_outcome outcome;
	} cases[] = {
		{ "10.0.0.0/8", 0, "172.16.0.0/12", 0, PUSH_TUNNEL, PUSH_IN_FRONT, PUSH_STANDS },
		{ "172.16.5.0/24", 0, "172.16.5.0/24", 0, PUSH_TUNNEL, PUSH_IN_FRONT, PUSH_WINS },
		{ "172.16.5.0/24", 0, "172.16.5.0/24", 0, PUSH_TUNNEL, PUSH_REFUSED,
		  PUSH_NOT_TAKEN },
		{ "172.16.5.0/24", 0, "172.16.5.0/24", 0, PUSH_CONNECTED, PUSH_IN_FRONT,
		  PUSH_LOSES },
		{ "172.16.5.0/24", 100, "172.16.5.0/24", 0, PUSH_TUNNEL, PUSH_REFUSED, PUSH_WINS },
		{ "172.16.5.0/24", 100, "172.16.5.0/24", 200, PUSH_TUNNEL, PUSH_IN_FRONT,
		  PUSH_LOSES },
		{ "fd00:5::/64", 256, "fd00:5::/64", 0, PUSH_TUNNEL, PUSH_IN_FRONT, PUSH_LOSES },
		{ "fd00:5::/64", 1024, "fd00:5::/64", 0, PUSH_TUNNEL, PUSH_IN_FRONT, PUSH_LOSES },
		{ "fd00:5::/64", 1024, "fd00:5::/64", 0, PUSH_TUNNEL, PUSH_REFUSED,
		  PUSH_NOT_TAKEN },
		{ "fd00:5::/64", 1024, "fd00:5::/64", 512, PUSH_TUNNEL, PUSH_IN_FRONT, PUSH_WINS },
		{ "172.16.5.0/24", 0, "10.1.0.0/16", 0, PUSH_AROUND, PUSH_IN_FRONT,
		  PUSH_NO_GATEWAY },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct push_route route = { .dst = prefix(cases[i].pushed),
					    .metric = cases[i].metric,
					    .way = cases[i].way };
		struct push push = {
			.link = "tun0", .tie = cases[i].tie, .routes = &route, .n_routes = 1
		};
		struct snapshot host = { 0 }, after;
		enum push_outcome *results;
		bool stands;

		add_link(&a, &host, 1, "lo");
		add_link(&a, &host, 2, "eth0");
		add_route(&a, &host, cases[i].have, cases[i].have_metric, 2, NULL);
		push_apply(&a, &host, &push, &after, &results);
		if (results[0] != cases[i].outcome)
			fail_msg("case %zu: outcome %d, not %d", i, (int)results[0],
				 (int)cases[i].outcome);
		stands = cases[i].outcome != PUSH_NOT_TAKEN && cases[i].outcome != PUSH_NO_GATEWAY;
		assert_int_equal(after.n_routes, 1 + stands);
		assert_string_equal(after.links[after.n_links - 1].name, "tun0");
		assert_int_equal(host.n_routes, 1);
	}
}

static void a_gates_routes_are_told_apart_by_link_and_protocol(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot gate = { 0 };
	struct push push;
	struct address *x;

	(void)state;
	add_link(&a, &gate, 1, "lo");
	add_link(&a, &gate, 2, "lan");
	add_link(&a, &gate, 3, "office");
	x = arena_push(&a, gate.addresses, gate.n_addresses, gate.cap_addresses);
	*x = (struct address){ .link = 3, .len = 16 };
	assert_true(ip_parse("172.20.0.10", &x->local));
	add_route(&a, &gate, "0.0.0.0/0", 4096, 2, "198.18.0.1")->protocol = GATE_PROTOCOL;
	add_route(&a, &gate, "198.18.0.1/32", 0, 2, NULL)->protocol = RTPROT_KERNEL;
	add_route(&a, &gate, "198.51.100.2/32", 0, 2, "198.18.0.1");
	add_route(&a, &gate, "172.20.0.0/16", 0, 3, NULL)->protocol = RTPROT_KERNEL;
	add_route(&a, &gate, "172.16.0.0/12", 0, 3, "172.20.0.1");
	add_route(&a, &gate, "fe80::/64", 256, 3, NULL)->protocol = RTPROT_KERNEL;
	add_route(&a, &gate, "10.0.0.0/8", 0, 3, NULL)->table = 5901;
	push_from_gate(&a, &gate, "office", GATE_PROTOCOL, &push);
	assert_int_equal(push.n_addresses, 1);
	assert_int_equal(push.n_routes, 3);
	assert_int_equal(push.routes[0].way, PUSH_AROUND);
	assert_int_equal(push.routes[1].way, PUSH_CONNECTED);
	assert_int_equal(push.routes[2].way, PUSH_TUNNEL);
	assert_int_equal(push.tie, PUSH_IN_FRONT);
}

static void add_rule(struct arena *a, struct snapshot *net, sa_family_t family, uint32_t priority,
		     uint32_t table)
{
	*arena_push(a, net->rules, net->n_rules, net->cap_rules) =
		(struct rule){ .family = family,
			       .action = FR_ACT_TO_TBL,
			       .priority = priority,
			       .table = table,
			       .suppress_len = -1,
			       .suppress_group = -1 };
}

static void wg_quicks_rules_stand_in_front_of_main_in_its_family_alone(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct push_route route = { .dst = prefix("0.0.0.0/0") };
	struct push push = { .link = "wg0", .tie = PUSH_REFUSED, .own_table = true };
	struct snapshot host = { 0 }, after;
	enum push_outcome *results;

	(void)state;
	push.routes = &route;
	push.n_routes = 1;
	add_rule(&a, &host, AF_INET, 0, RT_TABLE_LOCAL);
	add_rule(&a, &host, AF_INET, 32766, RT_TABLE_MAIN);
	add_rule(&a, &host, AF_INET6, 0, RT_TABLE_LOCAL);
	add_rule(&a, &host, AF_INET6, 32766, RT_TABLE_MAIN);
	push_apply(&a, &host, &push, &after, &results);
	assert_int_equal(after.n_rules, 6);
	assert_int_equal(after.rules[1].priority, 32764);
	assert_int_equal(after.rules[1].table, RT_TABLE_MAIN);
	assert_int_equal(after.rules[1].suppress_len, 0);
	assert_int_equal(after.rules[2].priority, 32765);
	assert_int_equal(after.rules[2].table, 51820);
	assert_true(after.rules[2].invert);
	assert_int_equal(after.rules[2].mark, 51820);
	assert_int_equal(after.rules[3].table, RT_TABLE_MAIN);
	assert_int_equal(after.rules[5].family, AF_INET6);
	assert_int_equal(after.n_routes, 1);
	assert_int_equal(after.routes[0].table, 51820);
}

static void the_first_free_tun_is_taken(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };

	(void)state;
	assert_string_equal(push_tun_name(&a, &host), "tun0");
	add_link(&a, &host, 2, "tun0");
	add_link(&a, &host, 3, "tun1");
	assert_string_equal(push_tun_name(&a, &host), "tun2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_equal_prefix_is_decided_by_metric_client_and_family),
		cmocka_unit_test(a_gates_routes_are_told_apart_by_link_and_protocol),
		cmocka_unit_test(wg_quicks_rules_stand_in_front_of_main_in_its_family_alone),
		cmocka_unit_test(the_first_free_tun_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
