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

#include "fib/lookup.h"
#include "guard_scene.h"
#include "random.h"

#define ROUNDS 300

static const char *const lan4 = "192.168.1.5", *const lan6 = "2001:db8:1::5";

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
		cmocka_unit_test(what_says_a_lan_address_leaves_by_the_lan_whatever_is_pushed),
		cmocka_unit_test(what_says_an_address_of_loopback_leaves_by_the_lan),
		cmocka_unit_test(what_the_host_starts_goes_as_without_a_guard),
		cmocka_unit_test(of_two_lans_of_one_range_each_has_its_own_neighbours),
		cmocka_unit_test(only_lans_of_one_range_take_rules_of_their_own_for_it),
		cmocka_unit_test(
			an_older_connection_of_a_vpn_peer_with_a_lan_address_stays_in_the_tunnel),
		cmocka_unit_test(
			only_what_goes_by_a_lan_door_without_a_mark_passes_policies_as_it_is),
		cmocka_unit_test(
			what_is_taken_away_while_the_plan_changes_is_told_from_what_is_new),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
