/* SPDX-License-Identifier: GPL-2.0-or-later */
/* plan/sides.c: where are replies of rooms told apart by the interface of their request? */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plan/guard.h"
#include "plan/plan.h"

#include "net.h"

enum { ETH1 = TUN0 + 1, DOCKER0 };

#define MAIN RT_TABLE_MAIN

static struct net with_second_router(void)
{
	struct net n = host();

	link_add(&n, ETH1, "eth1", 0);
	address_add(&n, ETH1, "192.168.50.10/24");
	route_add(&n, MAIN, RTN_UNICAST, "0.0.0.0/0", ETH1, "192.168.50.1")->metric = 500;
	return n;
}

/* "eth0 eth1 ", in order. */
static const char *sides(struct net *n)
{
	const struct link *const *links;
	const char *names = "";
	size_t count;

	links = plan_sides(&n->a, &n->s, &count);
	for (size_t i = 0; i < count; i++)
		names = arena_printf(&n->a, "%s%s ", names, links[i]->name);
	return names;
}

static void one_way_out_leaves_no_choice(void **state)
{
	struct net n CLEANUP_NET = host();

	(void)state;
	link_add(&n, DOCKER0, "docker0", 0);
	address_add(&n, DOCKER0, "172.17.0.1/16");
	route_add(&n, MAIN, RTN_UNICAST, "10.0.0.0/8", ETH0, "192.168.1.2");
	assert_string_equal(sides(&n), "");
	assert_null(plan_sides(NULL, NULL, &(size_t){ 0 }));
}

static void each_interface_with_a_router_is_one_of_several(void **state)
{
	struct net n CLEANUP_NET = with_second_router();

	(void)state;
	assert_string_equal(sides(&n), "eth0 eth1 ");
}

static void a_vpn_on_the_host_makes_the_lan_one(void **state)
{
	struct net n CLEANUP_NET = host();

	(void)state;
	route_add(&n, MAIN, RTN_UNICAST, "192.168.0.0/16", TUN0, NULL);
	assert_string_equal(sides(&n), "eth0 ");
}

static void rules_by_the_hosts_own_addresses_come_first(void **state)
{
	struct net n CLEANUP_NET = with_second_router();

	(void)state;
	rule_add(&n, AF_INET, 100, 88)->from = prefix("192.168.50.10/32");
	assert_string_equal(sides(&n), "eth0 ");
}

static void where_a_guard_stands_it_does_that(void **state)
{
	struct net n CLEANUP_NET = with_second_router();

	(void)state;
	rule_add(&n, AF_INET, 0, GUARD_TABLE_NEAR)->from = prefix("192.168.1.5/32");
	assert_string_equal(sides(&n), "");
}

static void what_is_down_or_a_routers_is_none(void **state)
{
	struct net n CLEANUP_NET = with_second_router();

	(void)state;
	for (int i = 0; i < 300; i++)
		route_add(&n, MAIN, RTN_UNICAST,
			  arena_printf(&n.a, "10.%d.%d.0/24", 100 + i / 250, i % 250), ETH0,
			  "192.168.1.3");
	assert_string_equal(sides(&n), "eth1 ");
	n.s.links[n.s.n_links - 1].flags = 0;
	assert_string_equal(sides(&n), "");
}

static void a_side_has_what_main_knows_by_it_and_a_rule(void **state)
{
	struct net n CLEANUP_NET = with_second_router();
	struct want w = { .table_first = SLOT_TABLE, .table_last = SLOT_TABLE };
	size_t defaults = 0;

	(void)state;
	plan_want_sides(&n.a, &n.s, AF_INET, &w);
	assert_true(w.table_last > SLOT_TABLE + ETH1);
	assert_int_equal(w.n_routes, 4); /* of each its network and its router */
	for (size_t i = 0; i < w.n_routes; i++) {
		bool eth1 = strcmp(w.routes[i].link, "eth1") == 0;

		assert_int_equal(w.routes[i].table, SLOT_TABLE + (eth1 ? ETH1 : ETH0));
		defaults += !w.routes[i].dst.len;
	}
	assert_int_equal(defaults, 2);
	assert_int_equal(w.n_rules, 2);
	for (size_t i = 0; i < w.n_rules; i++)
		assert_int_equal(w.rules[i].mark, w.rules[i].table << 16);
}

static void of_sides_that_are_no_more_the_tables_are_looked_at(void **state)
{
	struct net n CLEANUP_NET = host();
	struct want w = { .table_first = SLOT_TABLE, .table_last = SLOT_TABLE };
	struct rule *r = rule_add(&n, AF_INET, 0, SLOT_TABLE + ETH1);

	(void)state;
	r->has_mark = true;
	plan_want_sides(&n.a, &n.s, AF_INET, &w);
	assert_int_equal(w.n_rules, 0);
	assert_true(w.table_last > SLOT_TABLE + ETH1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_way_out_leaves_no_choice),
		cmocka_unit_test(each_interface_with_a_router_is_one_of_several),
		cmocka_unit_test(a_vpn_on_the_host_makes_the_lan_one),
		cmocka_unit_test(rules_by_the_hosts_own_addresses_come_first),
		cmocka_unit_test(where_a_guard_stands_it_does_that),
		cmocka_unit_test(what_is_down_or_a_routers_is_none),
		cmocka_unit_test(a_side_has_what_main_knows_by_it_and_a_rule),
		cmocka_unit_test(of_sides_that_are_no_more_the_tables_are_looked_at),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
