/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules at priority 0 among each other: src/sys/rtnl_rule.c, and the kernel it was made for. */
#include "lab.h"

#include "base/text.h"
#include "sys/rtnl.h"
#include "sys/rtnl_sock.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>

struct scene {
	struct arena arena;
	struct rtnl *rt;
	struct err e;
};

static struct scene scene_open(void)
{
	struct scene s = { 0 };
	struct err e;

	assert_ok(rtnl_open(-1, &s.rt, &e));
	return s;
}

static void scene_close(struct scene *s)
{
	rtnl_close(&s->rt);
	arena_free(&s->arena);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_close)))

static struct rule rule_to(sa_family_t family, uint32_t table)
{
	return (struct rule){ .family = family,
			      .action = FR_ACT_TO_TBL,
			      .protocol = 222,
			      .table = table,
			      .suppress_len = -1,
			      .suppress_group = -1 };
}

static struct rule with_iif(struct rule r, const char *iif)
{
	snprintf(r.iif, sizeof(r.iif), "%s", iif);
	return r;
}

static struct rule with_to(struct rule r, const char *prefix)
{
	assert_true(prefix_parse(prefix, false, &r.to));
	return r;
}

static void append(struct scene *s, struct rule r)
{
	struct err e;

	assert_ok(rtnl_rule_append(s->rt, &r, &e));
}

/* "255 to!5901 iif!5901": tables of @family's rules at priority 0, with what narrows them. */
static const char *order(struct scene *s, sa_family_t family)
{
	struct text t = { 0 };
	struct snapshot snap;
	const char *words;
	struct err e;

	assert_ok(rtnl_snapshot(s->rt, &s->arena, &snap, &e));
	for (size_t i = 0; i < snap.n_rules; i++) {
		const struct rule *r = &snap.rules[i];

		if (r->family == family && r->priority == 0)
			text_addf(&t, "%s%s%s%s%u", t.len ? " " : "", r->to.len ? "to!" : "",
				  r->iif[0] ? "iif!" : "", r->invert ? "not!" : "", r->table);
	}
	words = arena_strdup(&s->arena, text_str(&t));
	text_free(&t);
	return words;
}

static const sa_family_t families[] = { AF_INET, AF_INET6 };

static void a_rule_at_priority_0_is_appended_behind_its_equals(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		append(&s, rule_to(families[i], 5901));
		append(&s, rule_to(families[i], 5902));
		append(&s, rule_to(families[i], 5901));
		assert_string_equal(order(&s, families[i]), "255 5901 5902 5901");
	}
}

static void a_rule_without_a_priority_lands_behind_ours_at_0(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();

	(void)state;
	append(&s, rule_to(AF_INET, 5901));
	/* What wg-quick and Mullvad do. */
	assert_int_equal(system("ip rule add lookup 51820"), 0);
	assert_string_equal(order(&s, AF_INET), "255 5901 51820");
}

static void a_flush_leaves_priority_0_standing(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();

	(void)state;
	append(&s, rule_to(AF_INET, 5901));
	assert_int_equal(system("ip rule add priority 100 lookup 52"), 0);
	assert_int_equal(system("ip rule flush"), 0);
	assert_string_equal(order(&s, AF_INET), "255 5901");
}

static void deleting_by_priority_alone_would_take_local(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();

	(void)state;
	append(&s, rule_to(AF_INET, 5901));
	assert_int_equal(system("ip rule del pref 0"), 0);
	assert_string_equal(order(&s, AF_INET), "5901");
}

static void the_kernel_deletes_a_narrower_rule_that_stands_before(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();

	(void)state;
	append(&s, with_iif(rule_to(AF_INET, 5901), "room"));
	append(&s, rule_to(AF_INET, 5901));
	assert_int_equal(system("ip rule del pref 0 lookup 5901"), 0);
	assert_string_equal(order(&s, AF_INET), "255 5901");
}

static void deletion_takes_the_equal_rule_and_keeps_the_order(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		struct scene s CLEANUP_SCENE = scene_open();
		const char *net = families[i] == AF_INET ? "192.0.2.0/24" : "2001:db8::/32";
		struct rule gone = with_iif(rule_to(families[i], 5901), "room");
		struct err e;

		append(&s, with_to(gone, net));
		append(&s, rule_to(families[i], 5905));
		append(&s, with_iif(rule_to(families[i], 5905), "other"));
		append(&s, gone);
		append(&s, rule_to(families[i], 5901));
		append(&s, rule_to(families[i], 5903));
		assert_string_equal(order(&s, families[i]),
				    "255 to!iif!5901 5905 iif!5905 iif!5901 5901 5903");
		assert_ok(rtnl_rule_delete(s.rt, &gone, &e));
		assert_string_equal(order(&s, families[i]),
				    "255 to!iif!5901 5905 iif!5905 5901 5903");
		assert_int_equal(rtnl_rule_delete(s.rt, &gone, &e), -ESRCH);
		assert_string_equal(order(&s, families[i]),
				    "255 to!iif!5901 5905 iif!5905 5901 5903");
	}
}

static void deletion_tells_a_rule_from_its_negation(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct rule plain = with_iif(rule_to(AF_INET, 5901), "room");
	struct rule inverted = plain;
	struct err e;

	(void)state;
	inverted.invert = true;
	append(&s, inverted);
	append(&s, plain);
	assert_ok(rtnl_rule_delete(s.rt, &plain, &e));
	assert_string_equal(order(&s, AF_INET), "255 iif!not!5901");
}

static void a_foreign_rule_is_moved_behind_with_all_it_says(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct snapshot before, after;
	struct err e;

	(void)state;
	/* realms stand for any attribute that struct rule does not know */
	assert_int_equal(system("ip rule add pref 0 from 10.0.0.0/8 realms 3/4 lookup 77"), 0);
	append(&s, rule_to(AF_INET, 5901));
	assert_ok(rtnl_snapshot(s.rt, &s.arena, &before, &e));
	assert_string_equal(before.rules[1].unknown, "realms");
	assert_ok(rtnl_rule_move(s.rt, &before.rules[1], &e));
	assert_string_equal(order(&s, AF_INET), "255 5901 77");
	assert_ok(rtnl_snapshot(s.rt, &s.arena, &after, &e));
	assert_string_equal(after.rules[2].unknown, "realms");
	assert_int_equal(system("ip rule | grep -q 'from 10.0.0.0/8 lookup 77 realms 3/4'"), 0);
}

static void the_local_rule_is_never_moved(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct snapshot snap;
	struct err e;

	(void)state;
	append(&s, rule_to(AF_INET, 5901));
	assert_ok(rtnl_snapshot(s.rt, &s.arena, &snap, &e));
	assert_int_equal(snap.rules[0].table, RT_TABLE_LOCAL);
	assert_ok(rtnl_rule_move(s.rt, &snap.rules[0], &e));
	assert_string_equal(order(&s, AF_INET), "255 5901");
}

/* Any list, any victim: it alone goes, the others keep their order. */
static void deletion_is_exact_in_random_lists(void **state)
{
	(void)state;
	for (int round = 0; round < 60; round++) {
		struct scene s CLEANUP_SCENE = scene_open();
		struct rule rules[8];
		size_t victim = lab_random(8);
		struct snapshot snap;
		size_t at = 0;
		struct err e;

		assert_int_equal(lab_enter(NULL), 0);
		rtnl_close(&s.rt);
		assert_ok(rtnl_open(-1, &s.rt, &e));
		for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
			rules[i] = rule_to(AF_INET, 5900 + lab_random(2));
			if (lab_random(2))
				rules[i] = with_iif(rules[i], "room");
			if (lab_random(2))
				rules[i] = with_to(rules[i], "192.0.2.0/24");
			rules[i].invert = lab_random(4) == 0;
			rules[i].mark = rules[i].mark_mask = lab_random(3) == 0;
			rules[i].has_mark = rules[i].mark;
			/* One more thing to differ in, which every request names. */
			rules[i].has_uid = true;
			rules[i].uid = (struct rule_range){ 0, 1000 + lab_random(2) };
			append(&s, rules[i]);
		}
		while (victim && memcmp(&rules[victim], &rules[victim - 1], sizeof(*rules)) == 0)
			victim--;
		for (size_t i = 0; i < victim; i++)
			if (memcmp(&rules[i], &rules[victim], sizeof(*rules)) == 0)
				victim = i;
		assert_ok(rtnl_rule_delete(s.rt, &rules[victim], &e));
		assert_ok(rtnl_snapshot(s.rt, &s.arena, &snap, &e));
		for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
			const struct rule *have;

			if (i == victim)
				continue;
			have = &snap.rules[1 + at++];
			assert_int_equal(have->table, rules[i].table);
			assert_string_equal(have->iif, rules[i].iif);
			assert_int_equal(have->to.len, rules[i].to.len);
			assert_int_equal(have->invert, rules[i].invert);
			assert_int_equal(have->mark, rules[i].mark);
			assert_int_equal(have->uid.last, rules[i].uid.last);
		}
		assert_int_equal(snap.rules[1 + at].priority, 32766);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_rule_at_priority_0_is_appended_behind_its_equals,
				       lab_enter),
		cmocka_unit_test_setup(a_rule_without_a_priority_lands_behind_ours_at_0, lab_enter),
		cmocka_unit_test_setup(a_flush_leaves_priority_0_standing, lab_enter),
		cmocka_unit_test_setup(deleting_by_priority_alone_would_take_local, lab_enter),
		cmocka_unit_test_setup(the_kernel_deletes_a_narrower_rule_that_stands_before,
				       lab_enter),
		cmocka_unit_test_setup(deletion_takes_the_equal_rule_and_keeps_the_order,
				       lab_enter),
		cmocka_unit_test_setup(deletion_tells_a_rule_from_its_negation, lab_enter),
		cmocka_unit_test_setup(a_foreign_rule_is_moved_behind_with_all_it_says, lab_enter),
		cmocka_unit_test_setup(the_local_rule_is_never_moved, lab_enter),
		cmocka_unit_test_setup(deletion_is_exact_in_random_lists, lab_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
