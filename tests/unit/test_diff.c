/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Random namespaces and what must become of them, in a simulated kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "disturb.h"
#include "random_gate.h"
#include "right.h"
#include "simulator.h"

#define PAIRS 400

struct scene {
	struct sim sim;
	struct dice dice;
	enum want_place place;
	bool ipv6;
	struct slot slot;
	const char *name; /* of the gate */
	struct snapshot host;
};

static void scene_free(struct scene *s)
{
	sim_free(&s->sim);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_free)))

static void scene_open(struct scene *s, enum want_place place, uint64_t seed)
{
	*s = (struct scene){ .place = place, .name = "office", .dice = dice_of(seed) };
	s->ipv6 = !one_in(&s->dice, 5);
	s->slot = slot_of(roll_below(&s->dice, SLOT_COUNT));
	sim_link_add(&s->sim, "lo")->flags = IFF_UP | IFF_LOOPBACK;
	if (place == PLACE_HOST)
		sim_link_add(&s->sim, "docker0");
	if (place == PLACE_GATE)
		sim_link_add(&s->sim, "lan"); /* the host's veth made it */
	if (place == PLACE_ROOM)
		sim_link_add(&s->sim, "eth0");
	for (int i = 1; place == PLACE_GATE && i < 4; i++)
		if (!one_in(&s->dice, 3))
			sim_link_add(&s->sim, arena_printf(&s->sim.arena, "vpn%d", i));
	sim_first_rules(&s->sim, s->ipv6);
}

/* What a gate of the dice wants here. */
static struct want scene_want(struct scene *s)
{
	struct arena *a = &s->sim.arena;
	struct random_gate g = random_gate(a, &s->dice, &s->slot, s->ipv6, &s->host);
	struct want w = { 0 };

	g.gate.name = s->name;
	switch (s->place) {
	case PLACE_HOST:
		plan_host(a, &g.gate, &g.facts, &w);
		break;
	case PLACE_GATE:
		plan_gate(a, &g.gate, &g.facts, &w);
		break;
	case PLACE_ROOM:
		plan_room(a, &g.gate, &g.facts, 0, &w);
		break;
	}
	return w;
}

static void expect_no_step(struct scene *s, const struct want *w)
{
	struct snapshot have = sim_snapshot(&s->sim);
	struct diff diff;

	diff_make(&s->sim.arena, &have, w, &diff);
	if (diff.n_ops)
		fail_msg("%s", diff_op_text(&s->sim.arena, &diff.ops[0]));
}

/*
 * Links, addresses, routes, rules; and what goes away last, when no rule leads
 * to it any more: a packet that finds its table empty goes on to the next rule.
 */
static int rank(enum op_kind kind)
{
	switch (kind) {
	case OP_LINK_ADD:
	case OP_LINK_FREE:
	case OP_LINK_SET:
		return 0;
	case OP_ADDRESS_ADD:
		return 1;
	case OP_ROUTE_ADD:
		return 2;
	case OP_RULE_ADD:
	case OP_RULE_MOVE:
	case OP_RULE_DEL:
		return 3;
	case OP_ROUTE_DEL:
		return 4;
	case OP_ADDRESS_DEL:
		return 5;
	}
	return -1;
}

/* From whatever stands to what is wanted, looking after each step. */
static void expect_repair(struct scene *s, const struct want *w)
{
	struct snapshot before = sim_snapshot(&s->sim);
	struct diff diff;

	diff_make(&s->sim.arena, &before, w, &diff);
	for (size_t i = 0; i < diff.n_ops; i++) {
		sim_apply(&s->sim, w, &diff.ops[i]);
		expect_kept(&s->sim, w, &before);
		assert_true(i == 0 || rank(diff.ops[i - 1].kind) <= rank(diff.ops[i].kind));
		assert_true(*diff_op_text(&s->sim.arena, &diff.ops[i]));
	}
	expect_right(&s->sim, w, s->ipv6);
	expect_others_untouched(w, &before, &s->sim.s);
	expect_order_of_moved(w, &before, &s->sim.s, false);
	expect_order_of_moved(w, &before, &s->sim.s, true);
	expect_no_step(s, w);
}

static void every_pair(enum want_place place)
{
	for (unsigned int i = 0; i < rounds(PAIRS); i++) {
		struct scene s CLEANUP_SCENE;
		struct want w;

		scene_open(&s, place, i * 3 + (uint64_t)place);
		w = scene_want(&s);
		expect_repair(&s, &w); /* from nothing */
		disturb(&s.sim, &s.dice, &w, s.ipv6);
		expect_repair(&s, &w); /* what somebody broke */
		disturb(&s.sim, &s.dice, &w, s.ipv6);
		w = scene_want(&s);
		expect_repair(&s, &w); /* another configuration */
	}
}

static void a_host_becomes_what_is_wanted_and_nothing_is_missing_on_the_way(void **state)
{
	(void)state;
	every_pair(PLACE_HOST);
}

static void a_gate_becomes_what_is_wanted_and_nothing_is_missing_on_the_way(void **state)
{
	(void)state;
	every_pair(PLACE_GATE);
}

static void a_room_becomes_what_is_wanted_and_nothing_is_missing_on_the_way(void **state)
{
	(void)state;
	every_pair(PLACE_ROOM);
}

/* As teardown does: nothing is wanted, and the gate's one table is named. */
static void what_is_no_longer_wanted_goes_and_leaves_the_rest(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < rounds(PAIRS); i++) {
		struct scene s CLEANUP_SCENE;
		struct want w, nothing = { .place = PLACE_HOST, .protocol = RTPROT_KERNEL };
		struct snapshot before;

		scene_open(&s, PLACE_HOST, i);
		for (int j = 0; j < 3; j++)
			disturb_rules(&s.sim, &s.dice, &nothing, s.ipv6);
		before = sim_snapshot(&s.sim);
		w = scene_want(&s);
		nothing.table_first = nothing.table_last = w.table_first;
		sim_reconcile(&s.sim, &w);
		sim_reconcile(&s.sim, &nothing);
		expect_others_untouched(&nothing, &before, &s.sim.s);
		for (size_t j = 0; j < s.sim.s.n_rules; j++)
			assert_false(is_ours(&w, &s.sim.s.rules[j]));
		for (size_t j = 0; j < s.sim.s.n_routes; j++)
			assert_false(route_is_ours(&s.sim, &w, &s.sim.s.routes[j]));
		expect_no_step(&s, &nothing);
	}
}

/* Any number of gates on one host, each repaired whenever another one moved something. */
static void gates_on_one_host_do_not_fight(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < rounds(PAIRS / 8); i++) {
		struct scene s CLEANUP_SCENE;
		struct want w[5];
		struct rule r;

		scene_open(&s, PLACE_HOST, i);
		for (uint32_t j = 0; j < ARRAY_LEN(w); j++) {
			s.slot = slot_of(j * 800 + i);
			s.name = arena_printf(&s.sim.arena, "g%u", j);
			w[j] = scene_want(&s);
		}
		for (int j = 0; j < 4; j++) {
			r = foreign_rule(&s.dice, s.ipv6);
			sim_rule_insert(&s.sim, &r, roll_below(&s.dice, 8));
		}
		for (int turn = 0; turn < 3; turn++)
			for (size_t j = 0; j < ARRAY_LEN(w); j++)
				sim_reconcile(&s.sim, &w[j]);
		for (size_t j = 0; j < ARRAY_LEN(w); j++)
			expect_no_step(&s, &w[j]);
	}
}

static void a_kernel_without_ipv6_is_asked_for_none(void **state)
{
	static const enum want_place places[] = { PLACE_HOST, PLACE_GATE, PLACE_ROOM };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		for (unsigned int seed = 0; seed < 50; seed++) {
			struct scene s CLEANUP_SCENE;
			struct want w;

			scene_open(&s, places[i], seed);
			if (s.ipv6)
				continue;
			w = scene_want(&s);
			sim_reconcile(&s.sim, &w);
			for (size_t j = 0; j < s.sim.s.n_rules; j++)
				assert_int_equal(s.sim.s.rules[j].family, AF_INET);
			for (size_t j = 0; j < s.sim.s.n_routes; j++)
				assert_int_equal(s.sim.s.routes[j].family, AF_INET);
			for (size_t j = 0; j < s.sim.s.n_addresses; j++)
				assert_int_equal(s.sim.s.addresses[j].local.family, AF_INET);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_becomes_what_is_wanted_and_nothing_is_missing_on_the_way),
		cmocka_unit_test(a_gate_becomes_what_is_wanted_and_nothing_is_missing_on_the_way),
		cmocka_unit_test(a_room_becomes_what_is_wanted_and_nothing_is_missing_on_the_way),
		cmocka_unit_test(what_is_no_longer_wanted_goes_and_leaves_the_rest),
		cmocka_unit_test(gates_on_one_host_do_not_fight),
		cmocka_unit_test(a_kernel_without_ipv6_is_asked_for_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
