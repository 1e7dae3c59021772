/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard of a bare host remembers of doors, their gateways and their routes,
 * whatever a VPN client does to them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "guard_scene.h"

#include <stdio.h>
#include <string.h>

static void drop_default(struct net *n)
{
	for (size_t i = 0; i < n->s.n_routes; i++)
		if (!n->s.routes[i].dst.len && n->s.routes[i].table == RT_TABLE_MAIN)
			n->s.routes[i--] = n->s.routes[--n->s.n_routes];
}

static const struct want_route *gateway(const struct guard_memory *m, sa_family_t family)
{
	for (size_t i = 0; i < m->n_routes; i++)
		if (m->routes[i].family == family && !m->routes[i].dst.len)
			return &m->routes[i];
	return NULL;
}

static void a_gateway_that_a_client_takes_out_of_main_is_remembered(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	char text[IP_TEXT_SIZE];

	(void)state;
	drop_default(&n);
	m = learn(&n, &m);
	assert_non_null(gateway(&m, AF_INET));
	assert_string_equal(ip_text(&gateway(&m, AF_INET)->via, text), "192.168.1.1");
	assert_non_null(gateway(&m, AF_INET6));
}

static void a_gateway_that_a_client_puts_on_a_door_is_not_believed(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	size_t known = m.n_routes;
	char text[IP_TEXT_SIZE];

	(void)state;
	drop_default(&n);
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.66");
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.9.0/24", ETH0, "192.168.1.66");
	m = learn(&n, &m);
	assert_int_equal(m.n_routes, known);
	assert_string_equal(ip_text(&gateway(&m, AF_INET)->via, text), "192.168.1.1");
}

static void another_gateway_by_dhcp_is_believed(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	char text[IP_TEXT_SIZE];

	(void)state;
	drop_default(&n);
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.254")->protocol =
		RTPROT_DHCP;
	m = learn(&n, &m);
	assert_string_equal(ip_text(&gateway(&m, AF_INET)->via, text), "192.168.1.254");
}

static void a_gateway_that_is_nobodys_neighbour_any_more_is_forgotten(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);

	(void)state;
	drop_default(&n);
	n.s.addresses[0].local = ip("10.99.0.5");
	m = learn(&n, &m);
	assert_null(gateway(&m, AF_INET));
	/* The new network's own, whoever says so. */
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", ETH0, "10.99.0.1");
	m = learn(&n, &m);
	assert_non_null(gateway(&m, AF_INET));
}

/* Of a client that was there before the guard. */
static void the_gateway_to_the_vpns_server_is_that_of_the_lan(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m;
	char text[IP_TEXT_SIZE];

	(void)state;
	drop_default(&n);
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "198.51.100.2/32", ETH0, "192.168.1.254");
	m = learn(&n, &none);
	assert_null(gateway(&m, AF_INET));
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	m = learn(&n, &none);
	assert_string_equal(ip_text(&gateway(&m, AF_INET)->via, text), "192.168.1.254");
	assert_null(gateway(&m, AF_INET6));
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "198.51.100.3/32", ETH0, "192.168.1.77");
	m = learn(&n, &none);
	assert_null(gateway(&m, AF_INET));
}

static bool is_known(const struct guard_memory *m, const char *dst)
{
	struct prefix p = prefix(dst);

	for (size_t i = 0; i < m->n_routes; i++)
		if (prefix_equal(&m->routes[i].dst, &p))
			return true;
	return false;
}

static void drop_route(struct net *n, const char *dst)
{
	struct prefix p = prefix(dst);

	for (size_t i = 0; i < n->s.n_routes; i++)
		if (prefix_equal(&n->s.routes[i].dst, &p))
			n->s.routes[i--] = n->s.routes[--n->s.n_routes];
}

/* As clouds and DHCPv6 do it. */
static void who_is_a_neighbour_by_a_route_alone_is_remembered(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m;

	(void)state;
	drop_default(&n);
	drop_route(&n, "192.168.1.0/24");
	n.s.addresses[0].len = 32;
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "192.168.1.1/32", ETH0, NULL);
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.1");
	m = learn(&n, &none);
	assert_non_null(gateway(&m, AF_INET));
	drop_default(&n);
	drop_route(&n, "192.168.1.1/32");
	m = learn(&n, &m);
	assert_non_null(gateway(&m, AF_INET));
	assert_true(is_known(&m, "192.168.1.1/32"));
}

static void a_prefix_that_routers_tell_of_is_on_the_link_while_they_do(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m;

	(void)state;
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "2001:db8:2::/64", ETH0, NULL)->protocol =
		RTPROT_KERNEL;
	m = learn(&n, &none);
	m = learn(&n, &m);
	assert_true(is_known(&m, "2001:db8:2::/64"));
	assert_false(is_known(&m, "2001:db8:1::/64")); /* by its address */
	drop_route(&n, "2001:db8:2::/64");
	m = learn(&n, &m);
	assert_false(is_known(&m, "2001:db8:2::/64"));
}

/* Without a tunnel: as the host is before a VPN, and after it. */
static void drop_tunnel(struct net *n)
{
	for (size_t i = 0; i < n->s.n_addresses; i++)
		if (n->s.addresses[i].link == TUN0)
			n->s.addresses[i--] = n->s.addresses[--n->s.n_addresses];
	for (size_t i = 0; i < n->s.n_links; i++)
		if (n->s.links[i].index == TUN0)
			n->s.links[i--] = n->s.links[--n->s.n_links];
}

static void a_route_that_is_gone_is_forgotten_only_if_no_vpn_can_have_taken_it(void **state)
{
	static const struct {
		const char *gone;
		bool tunnel_before, tunnel_now, down, forgotten;
	} cases[] = {
		{ .gone = "172.16.9.0/24", .forgotten = true },
		{ .gone = "172.16.9.0/24", .tunnel_before = true },
		{ .gone = "172.16.9.0/24", .tunnel_now = true },
		{ .gone = "172.16.9.0/24", .down = true }, /* the kernel took it */
		{ .gone = "0.0.0.0/0" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct net before CLEANUP_NET = host(), now CLEANUP_NET = host();
		struct guard_memory none = { 0 }, m;

		if (!cases[i].tunnel_before)
			drop_tunnel(&before);
		route_add(&before, RT_TABLE_MAIN, RTN_UNICAST, "172.16.9.0/24", ETH0,
			  "192.168.1.254");
		m = learn(&before, &none);
		assert_true(is_known(&m, cases[i].gone));
		if (!cases[i].tunnel_now)
			drop_tunnel(&now);
		drop_route(&now, cases[i].gone);
		if (cases[i].down)
			now.s.links[ETH0 - 1].flags &= ~(uint32_t)IFF_UP;
		m = learn(&now, &m);
		assert_int_equal(is_known(&m, cases[i].gone), !cases[i].forgotten);
	}
}

static void a_door_that_is_renamed_keeps_its_number_and_its_routes(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	uint32_t mark = mark_of(&m, "eth0");

	(void)state;
	drop_default(&n);
	strcpy(n.s.links[ETH0 - 1].name, "lan");
	m = learn(&n, &m);
	assert_int_equal(mark_of(&m, "eth0"), 0);
	assert_int_equal(mark_of(&m, "lan"), mark);
	assert_non_null(gateway(&m, AF_INET));
	assert_string_equal(gateway(&m, AF_INET)->link, "lan");
}

/* Which route the kernel lists first says nothing. */
static void mains_word_counts_more_than_other_tables_and_a_lower_metric_more(void **state)
{
	static const struct {
		uint32_t table, metric;
		const char *via;
	} routes[] = {
		{ 100, 0, "192.168.1.66" },
		{ RT_TABLE_MAIN, 200, "192.168.1.2" },
		{ RT_TABLE_MAIN, 100, "192.168.1.1" },
		{ RT_TABLE_MAIN, 300, "192.168.1.3" },
	};

	(void)state;
	for (size_t first = 0; first < ARRAY_LEN(routes); first++) {
		struct net n CLEANUP_NET = host();
		struct guard_memory none = { 0 }, m;
		char text[IP_TEXT_SIZE];

		drop_default(&n);
		for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
			size_t at = (first + i) % ARRAY_LEN(routes);

			route_add(&n, routes[at].table, RTN_UNICAST, "0.0.0.0/0", ETH0,
				  routes[at].via)
				->metric = routes[at].metric;
		}
		m = learn(&n, &none);
		assert_string_equal(ip_text(&gateway(&m, AF_INET)->via, text), "192.168.1.1");
	}
}

static void a_door_keeps_its_number_while_others_come_and_go(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m = learn(&n, &none);
	uint32_t mark = mark_of(&m, "eth0");

	(void)state;
	for (int i = 0; i < 150; i++) {
		char name[16], address[32];

		snprintf(name, sizeof(name), "br%d", i);
		snprintf(address, sizeof(address), "10.%d.0.1/24", i);
		link_add(&n, 10 + i, name, IFF_BROADCAST);
		address_add(&n, 10 + i, address);
		m = learn(&n, &m);
		assert_int_equal(mark_of(&m, "eth0"), mark);
	}
	assert_int_equal(m.n_doors, 152);
	(void)plan(&n, &m);
}

static void a_bridge_leads_on_when_it_has_a_gateway(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory none = { 0 }, m;
	size_t led = 0;

	(void)state;
	link_add(&n, 20, "guests", IFF_BROADCAST);
	snprintf(n.s.links[n.s.n_links - 1].kind, sizeof(n.s.links[0].kind), "bridge");
	address_add(&n, 20, "172.17.0.1/16");
	m = learn(&n, &none);
	for (size_t i = 0; i < m.n_doors; i++) {
		bool leads = guard_leads_on(&m, &n.s, &m.doors[i]);

		assert_true(leads == str_eq(m.doors[i].name, "eth0"));
		led += leads;
	}
	assert_int_equal(m.n_doors, 3);
	assert_int_equal(led, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_gateway_that_a_client_takes_out_of_main_is_remembered),
		cmocka_unit_test(a_gateway_that_a_client_puts_on_a_door_is_not_believed),
		cmocka_unit_test(another_gateway_by_dhcp_is_believed),
		cmocka_unit_test(a_gateway_that_is_nobodys_neighbour_any_more_is_forgotten),
		cmocka_unit_test(the_gateway_to_the_vpns_server_is_that_of_the_lan),
		cmocka_unit_test(who_is_a_neighbour_by_a_route_alone_is_remembered),
		cmocka_unit_test(a_prefix_that_routers_tell_of_is_on_the_link_while_they_do),
		cmocka_unit_test(
			a_route_that_is_gone_is_forgotten_only_if_no_vpn_can_have_taken_it),
		cmocka_unit_test(a_door_that_is_renamed_keeps_its_number_and_its_routes),
		cmocka_unit_test(mains_word_counts_more_than_other_tables_and_a_lower_metric_more),
		cmocka_unit_test(a_door_keeps_its_number_while_others_come_and_go),
		cmocka_unit_test(a_bridge_leads_on_when_it_has_a_gateway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
