/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "random.h"

#include "base/arena.h"
#include "base/text.h"
#include "model/gate.h"
#include "plan/slot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static const sa_family_t families[] = { AF_INET, AF_INET6 };

/* --- a host of a few lines ------------------------------------------------- */

struct net {
	struct arena arena;
	struct snapshot s;
};

static struct link *add_link(struct net *n, const char *name)
{
	struct link *l = arena_push(&n->arena, n->s.links, n->s.n_links, n->s.cap_links);

	l->index = (int)n->s.n_links;
	snprintf(l->name, sizeof(l->name), "%s", name);
	return l;
}

static void add_ip(struct net *n, const struct link *l, struct ip ip, uint8_t len)
{
	struct address *a =
		arena_push(&n->arena, n->s.addresses, n->s.n_addresses, n->s.cap_addresses);

	*a = (struct address){ .link = l->index, .local = ip, .len = len };
}

static void add_address(struct net *n, const struct link *l, const char *ip, uint8_t len)
{
	struct ip parsed;

	assert_true(ip_parse(ip, &parsed));
	add_ip(n, l, parsed, len);
}

static void add_route(struct net *n, const struct link *l, struct prefix dst, uint32_t table)
{
	struct route *r = arena_push(&n->arena, n->s.routes, n->s.n_routes, n->s.cap_routes);

	*r = (struct route){ .family = dst.ip.family, .type = 1, .table = table, .dst = dst };
	r->hops = arena_new(&n->arena, struct hop);
	r->hops->link = l->index;
	r->n_hops = 1;
}

static void add_route_text(struct net *n, const struct link *l, const char *dst)
{
	struct prefix p;

	assert_true(prefix_parse(dst, false, &p));
	add_route(n, l, p, 254);
}

static void net_free(struct net *n)
{
	arena_free(&n->arena);
}
#define CLEANUP_NET __attribute__((cleanup(net_free)))

/* --- what a slot is -------------------------------------------------------- */

static int by_net4(const void *a, const void *b)
{
	return prefix_compare(&((const struct slot *)a)->net4, &((const struct slot *)b)->net4);
}

static int by_net6(const void *a, const void *b)
{
	return prefix_compare(&((const struct slot *)a)->net6, &((const struct slot *)b)->net6);
}

/* Sorted, a prefix that meets any other meets its neighbour. */
static void no_two_slots_share_an_address(void **state)
{
	static struct slot s[SLOT_COUNT];

	(void)state;
	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		s[i] = slot_of(i);
		assert_int_equal(s[i].number, i);
		assert_int_equal(s[i].net4.ip.family, AF_INET);
		assert_int_equal(s[i].net4.len, 26);
		assert_int_equal(s[i].net6.ip.family, AF_INET6);
		assert_int_equal(s[i].net6.len, 64);
	}
	qsort(s, SLOT_COUNT, sizeof(s[0]), by_net4);
	for (uint32_t i = 1; i < SLOT_COUNT; i++)
		assert_false(prefix_overlaps(&s[i - 1].net4, &s[i].net4));
	qsort(s, SLOT_COUNT, sizeof(s[0]), by_net6);
	for (uint32_t i = 1; i < SLOT_COUNT; i++)
		assert_false(prefix_overlaps(&s[i - 1].net6, &s[i].net6));
}

/* RFC 2544, RFC 1918, RFC 4193. */
static void slots_lie_where_the_internet_is_not(void **state)
{
	static const char *const private[] = { "198.18.0.0/15", "10.0.0.0/8", "172.16.0.0/12",
					       "192.168.0.0/16" };
	struct prefix ula;

	(void)state;
	assert_true(prefix_parse("fd00::/8", false, &ula));
	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		struct slot s = slot_of(i);
		size_t in = 0;

		for (size_t j = 0; j < ARRAY_LEN(private); j++) {
			struct prefix p;

			assert_true(prefix_parse(private[j], false, &p));
			in += prefix_contains(&p, &s.net4);
		}
		assert_int_equal(in, 1);
		assert_true(prefix_contains(&ula, &s.net6));
	}
}

/* Reserved tables end at 255, and ours is none of other tools' round numbers. */
static void the_slots_have_a_table_of_their_own(void **state)
{
	(void)state;
	assert_int_equal(SLOT_TABLE, 5900);
	assert_int_equal(SLOT_TABLE + SLOT_COUNT - 1, 9999);
}

static void every_slot_lies_in_its_pool_and_in_no_other(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		struct slot s = slot_of(i);
		struct prefix pool4 = slot_pool(&s, AF_INET), pool6 = slot_pool(&s, AF_INET6);

		assert_true(prefix_contains(&pool4, &s.net4));
		assert_true(prefix_contains(&pool6, &s.net6));
		assert_true(slot_is_pool(&pool4) && slot_is_pool(&pool6));
		assert_false(slot_is_pool(&s.net4) || slot_is_pool(&s.net6));
		for (uint32_t j = 0; j < SLOT_COUNT; j += 512) {
			struct slot other = slot_of(j);
			struct prefix p = slot_pool(&other, AF_INET);

			assert_true(prefix_equal(&p, &pool4) || !prefix_overlaps(&p, &pool4));
		}
	}
}

static void host_gate_and_rooms_have_different_addresses_in_the_slot(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 2047, 2048, 3071, 3072, 4095, 4096, 4099 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		for (size_t f = 0; f < ARRAY_LEN(families); f++) {
			struct slot s = slot_of(numbers[i]);
			const struct prefix *net = families[f] == AF_INET ? &s.net4 : &s.net6;
			struct ip last = ip_plus(&net->ip, families[f] == AF_INET ? 63 : 255);
			struct ip ip = slot_host(&s, families[f]);
			struct ip next = slot_gate(&s, families[f]);

			assert_true(ip_compare(&net->ip, &ip) < 0);
			for (size_t room = 0; room < GATE_ROOMS_MAX; room++) {
				assert_true(ip_compare(&ip, &next) < 0);
				assert_true(prefix_covers(net, &next));
				ip = next;
				next = slot_room(&s, families[f], room);
			}
			for (size_t room = 0; room < GATE_ROOMS_MAX; room++) {
				assert_true(ip_compare(&ip, &next) < 0);
				assert_true(prefix_covers(net, &next));
				ip = next;
				next = slot_short(&s, families[f], room);
			}
			/* The broadcast address of a /26 is nobody's. */
			assert_true(ip_compare(&next, &last) < 0);
		}
}

/* --- which slot ------------------------------------------------------------ */

static void a_free_host_gives_a_name_the_same_slot_each_time(void **state)
{
	struct net n CLEANUP_NET = { 0 };
	struct slot a, b;

	(void)state;
	assert_true(slot_choose("office", "sp-office", &n.s, NULL, &a));
	assert_true(slot_choose("office", "sp-office", &n.s, &n.s, &b));
	assert_int_equal(a.number, b.number);
	assert_true(slot_choose("home", "sp-home", &n.s, NULL, &b));
	assert_int_not_equal(a.number, b.number);
	/* The pools of private addresses are for hosts that use the first one. */
	assert_int_equal(a.net4.ip.byte[0], 198);
	assert_int_equal(b.net4.ip.byte[0], 198);
}

/* @taken: a way of using what is @part of the way through the slot. */
static void expect_avoided(void (*use)(struct net *n, const struct link *l, struct ip ip),
			   sa_family_t family)
{
	for (uint32_t at = 0; at < 64; at += 9) {
		struct net n CLEANUP_NET = { 0 };
		const struct link *l = add_link(&n, "eth0");
		struct slot first, second;
		struct ip ip;

		assert_true(slot_choose("office", "sp-office", &n.s, NULL, &first));
		ip = ip_plus(family == AF_INET ? &first.net4.ip : &first.net6.ip, at);
		use(&n, l, ip);
		assert_true(slot_taken(&first, &n.s, "sp-office"));
		assert_true(slot_choose("office", "sp-office", &n.s, NULL, &second));
		assert_int_not_equal(first.number, second.number);
		assert_false(slot_taken(&second, &n.s, "sp-office"));
	}
}

static void use_address(struct net *n, const struct link *l, struct ip ip)
{
	add_ip(n, l, ip, (uint8_t)ip_bits(ip.family));
}

static void use_host_route(struct net *n, const struct link *l, struct ip ip)
{
	add_route(n, l, prefix_host(&ip), 254);
}

static void use_wide_route(struct net *n, const struct link *l, struct ip ip)
{
	add_route(n, l, prefix_of(&ip, ip.family == AF_INET ? 25 : 60), 254);
}

static void use_route_of_another_table(struct net *n, const struct link *l, struct ip ip)
{
	add_route(n, l, prefix_host(&ip), 100);
}

static void what_the_host_uses_is_avoided(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		expect_avoided(use_address, families[f]);
		expect_avoided(use_host_route, families[f]);
		expect_avoided(use_route_of_another_table, families[f]);
	}
	expect_avoided(use_wide_route, AF_INET);
	expect_avoided(use_wide_route, AF_INET6);
}

static void a_route_around_all_slots_takes_none(void **state)
{
	static const char *const wide[] = { "0.0.0.0/0", "128.0.0.0/1", "0.0.0.0/1", "::/0",
					    "8000::/1",  "fc00::/7",    "fd00::/8" };
	struct net n CLEANUP_NET = { 0 };
	const struct link *l = add_link(&n, "tun0");

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(wide); i++)
		add_route_text(&n, l, wide[i]);
	for (uint32_t i = 0; i < SLOT_COUNT; i++) {
		struct slot s = slot_of(i);

		assert_false(slot_taken(&s, &n.s, "sp-office"));
	}
}

static void a_host_that_uses_the_benchmark_range_gets_another(void **state)
{
	struct net n CLEANUP_NET = { 0 };
	const struct link *l = add_link(&n, "eth0");
	struct slot s;

	(void)state;
	add_route_text(&n, l, "198.18.0.0/15");
	assert_true(slot_choose("office", "sp-office", &n.s, NULL, &s));
	assert_int_equal(s.net4.ip.byte[0], 10);
	add_route_text(&n, l, "10.0.0.0/8");
	assert_true(slot_choose("office", "sp-office", &n.s, NULL, &s));
	assert_int_equal(s.net4.ip.byte[0], 172);
	add_route_text(&n, l, "172.16.0.0/12");
	assert_true(slot_choose("office", "sp-office", &n.s, NULL, &s));
	assert_int_equal(s.net4.ip.byte[0], 192);
	add_route_text(&n, l, "192.168.0.0/16");
	assert_false(slot_choose("office", "sp-office", &n.s, NULL, &s));
}

static void gates_take_slots_until_none_is_left(void **state)
{
	struct net n CLEANUP_NET = { 0 };
	static bool used[SLOT_COUNT];
	char name[16], own[16];
	struct slot s;

	(void)state;
	/* All but a few are taken by one address each; the names get the rest, each its own. */
	for (uint32_t i = 0; i < SLOT_COUNT; i++)
		if (i % 1000 != 7) {
			struct slot taken = slot_of(i);

			add_ip(&n, add_link(&n, "sp-x"), slot_host(&taken, AF_INET), 32);
		}
	for (int i = 0; i < 5; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		snprintf(own, sizeof(own), "sp-g%d", i);
		assert_true(slot_choose(name, own, &n.s, NULL, &s));
		assert_int_equal(s.number % 1000, 7);
		assert_false(used[s.number]);
		used[s.number] = true;
		add_ip(&n, add_link(&n, own), slot_host(&s, AF_INET), 32);
	}
	assert_false(slot_choose("last", "sp-last", &n.s, NULL, &s));
}

static void its_own_link_and_routes_do_not_take_a_slot(void **state)
{
	struct net n CLEANUP_NET = { 0 };
	const struct link *l;
	struct slot s, again;

	(void)state;
	assert_true(slot_choose("office", "sp-office", &n.s, NULL, &s));
	l = add_link(&n, "sp-office");
	add_ip(&n, l, slot_host(&s, AF_INET), 32);
	add_route(&n, l, s.net4, SLOT_TABLE);
	add_route(&n, l, s.net6, SLOT_TABLE);
	assert_false(slot_taken(&s, &n.s, "sp-office"));
	assert_true(slot_taken(&s, &n.s, "sp-other"));
	assert_true(slot_choose("office", "sp-office", &n.s, NULL, &again));
	assert_int_equal(s.number, again.number);
}

static void a_slot_in_use_is_found_again(void **state)
{
	static const uint32_t numbers[] = { 0, 5, 2047, 2048, 3072, 4099 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
		struct net n CLEANUP_NET = { 0 };
		struct slot s = slot_of(numbers[i]), found;
		const struct link *l = add_link(&n, "sp-office");

		assert_false(slot_find(&n.s, "sp-office", &found));
		add_address(&n, l, "fe80::1", 64);
		add_ip(&n, l, slot_gate(&s, AF_INET), 32);
		assert_false(slot_find(&n.s, "sp-office", &found));
		add_ip(&n, l, slot_host(&s, AF_INET), 32);
		assert_true(slot_find(&n.s, "sp-office", &found));
		assert_int_equal(found.number, s.number);
		assert_true(prefix_equal(&found.net6, &s.net6));
		assert_false(slot_find(&n.s, "sp-offic", &found));
	}
}

static void what_is_chosen_is_found_whatever_the_name_and_the_host(void **state)
{
	struct dice d = dice_of(11);

	(void)state;
	for (unsigned int i = 0; i < rounds(500); i++) {
		struct net n CLEANUP_NET = { 0 };
		struct slot s, found;
		char own[16];

		snprintf(own, sizeof(own), "sp-g%u", roll(&d) % 100000);
		for (uint32_t j = roll_below(&d, 40); j > 0; j--) {
			struct slot taken = slot_of(roll_below(&d, SLOT_COUNT));
			struct ip ip = ip_plus(&taken.net4.ip, roll_below(&d, 64));

			use_address(&n, add_link(&n, "x"), ip);
		}
		assert_true(slot_choose(own + 3, own, &n.s, NULL, &s));
		add_ip(&n, add_link(&n, own), slot_host(&s, AF_INET), 32);
		assert_true(slot_find(&n.s, own, &found));
		assert_int_equal(found.number, s.number);
		/* Starting again keeps it. */
		assert_true(slot_choose(own + 3, own, &n.s, NULL, &found));
		assert_int_equal(found.number, s.number);
	}
}

/* --- what a VPN does in the gate ------------------------------------------- */

static void a_vpns_address_in_the_slot_clashes_and_its_route_does_not(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		struct net n CLEANUP_NET = { 0 };
		struct slot s, other;
		const struct link *tun;

		assert_true(slot_choose("office", "sp-office", &n.s, NULL, &s));
		add_ip(&n, add_link(&n, "lan"), slot_gate(&s, families[f]), 32);
		add_ip(&n, add_link(&n, "room"), slot_gate(&s, families[f]), 32);
		add_ip(&n, add_link(&n, "room-web"), slot_gate(&s, families[f]), 32);
		tun = add_link(&n, "office");
		add_route(&n, tun, families[f] == AF_INET ? s.net4 : s.net6, 254);
		assert_false(slot_clashes(&s, &n.s));
		add_ip(&n, tun, slot_room(&s, families[f], 40), 24);
		assert_true(slot_clashes(&s, &n.s));
		/* The next one to be chosen does not. */
		assert_true(
			slot_choose("office", "sp-office", &(struct snapshot){ 0 }, &n.s, &other));
		assert_int_not_equal(other.number, s.number);
		assert_false(slot_clashes(&other, &n.s));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_two_slots_share_an_address),
		cmocka_unit_test(slots_lie_where_the_internet_is_not),
		cmocka_unit_test(the_slots_have_a_table_of_their_own),
		cmocka_unit_test(every_slot_lies_in_its_pool_and_in_no_other),
		cmocka_unit_test(host_gate_and_rooms_have_different_addresses_in_the_slot),
		cmocka_unit_test(a_free_host_gives_a_name_the_same_slot_each_time),
		cmocka_unit_test(what_the_host_uses_is_avoided),
		cmocka_unit_test(a_route_around_all_slots_takes_none),
		cmocka_unit_test(a_host_that_uses_the_benchmark_range_gets_another),
		cmocka_unit_test(gates_take_slots_until_none_is_left),
		cmocka_unit_test(its_own_link_and_routes_do_not_take_a_slot),
		cmocka_unit_test(a_slot_in_use_is_found_again),
		cmocka_unit_test(what_is_chosen_is_found_whatever_the_name_and_the_host),
		cmocka_unit_test(a_vpns_address_in_the_slot_clashes_and_its_route_does_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
