/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard of a bare host holds to, whatever a VPN client adds: asked of
 * the lookup itself, thousands of times.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "fib/lookup.h"
#include "net.h"
#include "plan/guard.h"
#include "random.h"

#define ROUNDS 300

enum { ETH1 = 21 };

static const char *const lan4 = "192.168.1.5", *const lan6 = "2001:db8:1::5";

static struct guard_memory learn(struct net *n, const struct guard_memory *old)
{
	struct guard_memory m;

	guard_learn(&n->a, old, &n->s, &m);
	return m;
}

static struct want plan(struct net *n, const struct guard_memory *m)
{
	struct guard_wish wish = { .udp = true };
	struct want w;

	guard_plan(&n->a, m, &n->s, &wish, &w);
	return w;
}

static int index_of(const struct net *n, const char *name)
{
	const struct link *l = snapshot_link_by_name(&n->s, name);

	assert_non_null(l);
	return l->index;
}

static void install_routes(struct net *n, const struct want *w)
{
	for (size_t i = 0; i < w->n_routes; i++) {
		const struct want_route *x = &w->routes[i];
		char to[PREFIX_TEXT_SIZE];
		struct route *r = route_add(n, x->table, x->type, prefix_text(&x->dst, to),
					    x->link ? index_of(n, x->link) : 0, NULL);

		r->metric = x->metric;
		r->scope = x->scope;
		r->prefsrc = x->prefsrc;
		if (x->link)
			r->hops[0].via = x->via;
	}
}

/* Behind `local`, in front of all others. */
static void install_rules(struct net *n, const struct want *w)
{
	struct snapshot was = n->s;

	n->s.rules = NULL;
	n->s.n_rules = n->s.cap_rules = 0;
	for (int f = 0; f < 2; f++) {
		sa_family_t family = f ? AF_INET6 : AF_INET;

		rule_add(n, family, 0, RT_TABLE_LOCAL);
		for (size_t i = 0; i < w->n_rules; i++) {
			const struct want_rule *x = &w->rules[i];
			struct rule *r;

			if (x->family != family)
				continue;
			r = rule_add(n, family, 0, x->table);
			r->from = x->from;
			r->to = x->to;
			r->mark = x->mark;
			r->mark_mask = x->mark_mask;
			r->has_mark = x->mark_mask != 0;
			r->find_saddr = x->find_saddr;
		}
		for (size_t i = 0; i < was.n_rules; i++)
			if (was.rules[i].family == family && was.rules[i].table != RT_TABLE_LOCAL)
				*rule_add(n, family, 0, 0) = was.rules[i];
	}
}

static struct guard_memory guard(struct net *n)
{
	struct guard_memory none = { 0 }, m = learn(n, &none);
	struct want w = plan(n, &m);

	install_routes(n, &w);
	install_rules(n, &w);
	return m;
}

/* As wg-quick's: without a number, which among rules at 0 is behind the last of them. */
static void rule_at_0(struct net *n, sa_family_t family, uint32_t table)
{
	struct rule rule = *rule_add(n, family, 0, table);
	size_t at = n->s.n_rules - 1;

	while (n->s.rules[at - 1].family != family || n->s.rules[at - 1].priority) {
		n->s.rules[at] = n->s.rules[at - 1];
		at--;
	}
	n->s.rules[at] = rule;
}

/* What a client may install: a prefix around or inside of anything, by main or a rule. */
static void push(struct net *n, struct dice *rnd)
{
	static const char *const around[] = { "192.168.1.1",  "192.168.1.77", "172.16.9.20",
					      "10.8.0.9",     "203.0.113.5",  "2001:db8:1::7",
					      "fd00:16:9::20" };
	struct ip to = ip(around[roll_below(rnd, ARRAY_LEN(around))]);
	struct prefix p = prefix_of(&to, roll_below(rnd, ip_bits(to.family) + 1));
	uint32_t table = roll_below(rnd, 3) ? RT_TABLE_MAIN : 51820;
	char text[PREFIX_TEXT_SIZE];

	route_add(n, table, RTN_UNICAST, prefix_text(&p, text), TUN0, NULL);
	if (table != RT_TABLE_MAIN)
		rule_at_0(n, to.family, table);
}

static int leaves_by(struct net *n, const char *src, const char *dst, uint32_t mark)
{
	struct flow f = { .dst = ip(dst), .mark = mark };
	struct fib_result r;

	if (src)
		f.src = ip(src);
	fib_lookup(fib_new(&n->a, &n->s), &f, &r, NULL);
	return r.verdict == FIB_UNICAST ? r.link : 0;
}

static uint32_t mark_of(const struct guard_memory *m, const char *name)
{
	for (size_t i = 0; i < m->n_doors; i++)
		if (str_eq(m->doors[i].name, name))
			return (GUARD_TABLE_DOOR + m->doors[i].number) << 16;
	return 0;
}

static void what_says_a_lan_address_leaves_by_the_lan_whatever_is_pushed(void **state)
{
	static const char *const clients4[] = { "192.168.1.77", "172.16.9.20", "10.8.0.9",
						"203.0.113.5" };
	struct dice rnd = dice_of(1);

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct net n CLEANUP_NET = host();
		struct guard_memory m = guard(&n);

		for (int j = 0; j < 6; j++)
			push(&n, &rnd);
		for (size_t j = 0; j < ARRAY_LEN(clients4); j++) {
			assert_int_equal(leaves_by(&n, lan4, clients4[j], 0), ETH0);
			assert_int_equal(leaves_by(&n, NULL, clients4[j], mark_of(&m, "eth0")),
					 ETH0);
			assert_int_equal(leaves_by(&n, NULL, clients4[j], mark_of(&m, "tun0")),
					 TUN0);
			assert_int_equal(leaves_by(&n, NULL, clients4[j], GUARD_MARK_BEFORE), ETH0);
		}
		assert_int_equal(leaves_by(&n, lan6, "fd00:16:9::20", 0), ETH0);
		assert_int_equal(leaves_by(&n, lan6, "2001:db8:1::7", 0), ETH0);
	}
}

static void what_says_an_address_of_loopback_leaves_by_the_lan(void **state)
{
	struct net n CLEANUP_NET = host();

	(void)state;
	address_add(&n, LO, "198.51.100.53/32");
	guard(&n);
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, NULL);
	assert_int_equal(leaves_by(&n, "198.51.100.53", "172.16.9.20", 0), ETH0);
}

static void what_the_host_starts_goes_as_without_a_guard(void **state)
{
	static const char *const to[] = { "192.168.1.77", "172.16.9.20", "10.8.0.9", "203.0.113.5",
					  "fd00:16:9::20" };

	(void)state;
	for (uint64_t i = 0; i < ROUNDS; i++) {
		struct net with CLEANUP_NET = host();
		struct net without CLEANUP_NET = host();
		struct dice a = dice_of(i), b = dice_of(i);

		guard(&with);
		for (int j = 0; j < 6; j++) {
			push(&with, &a);
			push(&without, &b);
		}
		for (size_t j = 0; j < ARRAY_LEN(to); j++)
			assert_int_equal(leaves_by(&with, NULL, to[j], 0),
					 leaves_by(&without, NULL, to[j], 0));
	}
}

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

/* Who asked the address of the one is a neighbour there, and not on the other. */
static void of_two_lans_of_one_range_each_has_its_own_neighbours(void **state)
{
	static const char *const clients[] = { "192.168.1.1", "192.168.1.77" };
	struct net n CLEANUP_NET = host();

	(void)state;
	link_add(&n, ETH1, "eth1", IFF_BROADCAST);
	address_add(&n, ETH1, "192.168.1.6/24");
	guard(&n);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		assert_int_equal(leaves_by(&n, lan4, clients[i], 0), ETH0);
		assert_int_equal(leaves_by(&n, "192.168.1.6", clients[i], 0), ETH1);
	}
}

static size_t rules_to_somewhere(struct net *n)
{
	struct guard_memory none = { 0 }, m = learn(n, &none);
	struct want w = plan(n, &m);
	size_t count = 0;

	for (size_t i = 0; i < w.n_rules; i++)
		count += w.rules[i].to.len != 0;
	return count;
}

static void only_lans_of_one_range_take_rules_of_their_own_for_it(void **state)
{
	struct net n CLEANUP_NET = host();

	(void)state;
	link_add(&n, ETH1, "eth1", IFF_BROADCAST);
	address_add(&n, ETH0, "192.168.1.7/24");
	address_add(&n, TUN0, "192.168.1.8/24");
	assert_int_equal(rules_to_somewhere(&n), 0);
	address_add(&n, ETH1, "192.168.1.6/24");
	assert_int_equal(rules_to_somewhere(&n), 3);
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

static void an_older_connection_of_a_vpn_peer_with_a_lan_address_stays_in_the_tunnel(void **state)
{
	struct net n CLEANUP_NET = host();
	struct socket_seen sockets[] = {
		{ .proto = 6, .local = ip("10.8.0.2"), .peer = ip("172.20.0.30") },
		{ .proto = 6, .local = ip(lan4), .peer = ip("172.20.0.30") },
		{ .proto = 6, .local = ip(lan4), .peer = ip("172.20.0.30") },
		{ .proto = 6, .local = ip(lan4), .peer = ip("203.0.113.5") },
		{ .proto = 6, .local = ip(lan4), .peer = ip("172.20.0.31"), .mark = 7 },
		{ .proto = 6, .state = SOCKET_LISTENS, .local = ip(lan4) },
	};
	struct guard_memory none = { 0 }, m;
	struct guard_older *older;
	struct guard_wish wish = { 0 };
	struct want w;

	(void)state;
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, NULL);
	guard_older_find(&n.a, &n.s, sockets, ARRAY_LEN(sockets), &older, &wish.n_older);
	assert_int_equal(wish.n_older, 2);
	assert_string_equal(older[0].door, "tun0");
	assert_true(ip_equal(&older[0].local, &sockets[1].local));
	assert_true(ip_equal(&older[1].local, &sockets[0].local));
	wish.older = older;
	m = learn(&n, &none);
	guard_plan(&n.a, &m, &n.s, &wish, &w);
	install_routes(&n, &w);
	install_rules(&n, &w);
	assert_int_equal(leaves_by(&n, lan4, "172.20.0.30", 0), TUN0);
	assert_int_equal(leaves_by(&n, lan4, "172.20.0.31", 0), ETH0);
	/* Another VPN claims the peer. */
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "172.20.0.0/24", ETH0, NULL);
	assert_int_equal(leaves_by(&n, "10.8.0.2", "172.20.0.30", 0), TUN0);
	assert_int_equal(guard_older_keep(older, 1, sockets + 1, 2), 1);
	assert_int_equal(guard_older_keep(older, 1, sockets + 3, 3), 0);
}

static void only_what_goes_by_a_lan_door_without_a_mark_passes_policies_as_it_is(void **state)
{
	struct net n CLEANUP_NET = host();
	struct socket_seen sockets[] = {
		{ .proto = 6, .state = SOCKET_LISTENS, .local = ip(lan4) },
		{ .proto = 6, .local = ip(lan4), .peer = ip("172.20.0.30"), .peer_port = 1 },
		{ .proto = 6, .local = ip("10.8.0.2"), .peer = ip("172.20.0.31"), .peer_port = 2 },
		{ .proto = 6, .local = ip(lan4), .peer = ip("203.0.113.5"), .mark = 0x27130000 },
		{ .proto = 6, .local = ip("127.0.0.1"), .peer = ip("127.0.0.1") },
		{ .proto = 6, .local = ip(lan4), .peer = ip("203.0.113.5"), .peer_port = 3 },
		{ .proto = 6, .local = ip(lan4), .peer = ip("203.0.113.5"), .mark = 7 },
		{ .proto = 6, .local = ip(lan4), .peer = ip("203.0.113.6"), .peer_port = 5 },
	};
	struct guard_older older = { .local = ip(lan4), .peer = ip("172.20.0.30") };

	(void)state;
	assert_int_equal(guard_plain_keep(&n.s, &older, 1, sockets, ARRAY_LEN(sockets), 2), 2);
	assert_int_equal(sockets[0].peer_port, 3);
	assert_int_equal(sockets[1].mark, 7);
}

static size_t count_lost(struct net *n, const struct want *last, const struct want *now,
			 enum op_kind kind)
{
	struct diff lost;
	size_t count = 0;

	guard_plan_lost(&n->a, &n->s, last, now, &lost);
	for (size_t i = 0; i < lost.n_ops; i++)
		count += lost.ops[i].kind == kind;
	return count;
}

static void what_is_taken_away_while_the_plan_changes_is_told_from_what_is_new(void **state)
{
	struct net n CLEANUP_NET = host();
	struct guard_memory first = guard(&n), second;
	struct want was = plan(&n, &first), last, now, nothing = { 0 };
	struct diff both;

	(void)state;
	guard_plan_copy(&n.a, &was, &last);
	address_add(&n, ETH0, "192.168.1.6/24");
	second = learn(&n, &first);
	now = plan(&n, &second);
	diff_make(&n.a, &n.s, &now, &both);
	assert_true(both.n_ops > 0);
	guard_plan_lost(&n.a, &n.s, &last, &now, &both);
	assert_int_equal(both.n_ops, 0);

	for (size_t i = 0; i < n.s.n_routes; i++)
		if (n.s.routes[i].table == GUARD_TABLE_FAR && n.s.routes[i].n_hops &&
		    n.s.routes[i].family == AF_INET)
			n.s.routes[i].table = 4242;
	assert_int_equal(count_lost(&n, &last, &now, OP_ROUTE_ADD), 1);
	assert_int_equal(count_lost(&n, &last, &nothing, OP_ROUTE_ADD), 0);
	assert_int_equal(count_lost(&n, &last, &now, OP_RULE_ADD), 0);
	for (size_t i = 0; i < n.s.n_rules; i++)
		if (n.s.rules[i].table == GUARD_TABLE_FAR)
			n.s.rules[i].table = 4242;
	assert_true(count_lost(&n, &last, &now, OP_RULE_ADD) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			only_what_goes_by_a_lan_door_without_a_mark_passes_policies_as_it_is),
		cmocka_unit_test(what_says_a_lan_address_leaves_by_the_lan_whatever_is_pushed),
		cmocka_unit_test(what_says_an_address_of_loopback_leaves_by_the_lan),
		cmocka_unit_test(what_the_host_starts_goes_as_without_a_guard),
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
		cmocka_unit_test(of_two_lans_of_one_range_each_has_its_own_neighbours),
		cmocka_unit_test(only_lans_of_one_range_take_rules_of_their_own_for_it),
		cmocka_unit_test(a_door_keeps_its_number_while_others_come_and_go),
		cmocka_unit_test(sets_of_addresses_that_are_gone_are_deleted),
		cmocka_unit_test(a_thousand_addresses_take_no_million_rules),
		cmocka_unit_test(what_sysctls_were_is_told_anew_each_time_and_goes_with_the_last),
		cmocka_unit_test(a_bridge_leads_on_when_it_has_a_gateway),
		cmocka_unit_test(no_packet_passes_a_hook_while_there_is_no_vpn),
		cmocka_unit_test(connections_are_tracked_only_where_the_host_forwards),
		cmocka_unit_test(marks_that_meant_something_to_sockets_before_go_on_doing_so),
		cmocka_unit_test(what_an_older_version_had_in_one_table_is_deleted_there_alone),
		cmocka_unit_test(
			an_older_connection_of_a_vpn_peer_with_a_lan_address_stays_in_the_tunnel),
		cmocka_unit_test(
			what_is_taken_away_while_the_plan_changes_is_told_from_what_is_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
