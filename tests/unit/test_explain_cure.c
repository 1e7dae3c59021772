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
#include "plan/plan.h"

static void a_router_that_nobody_knows_is_asked_for(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* No route says who the router on eth0 is. */
	for (size_t i = 0; i < s.n.s.n_routes; i++)
		if (!s.n.s.routes[i].dst.len)
			s.n.s.routes[i].type = RTN_THROW;
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.why, EXPLAIN_WHY_ONLY);
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_ROUTER);
}

static void a_cure_that_would_not_help_is_not_told(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* New rules of priority 0 come behind this one. */
	our_rule(&s.n, 77, RTPROT_BOOT, 1);
	route_add(&s.n, 77, RTN_UNICAST, "172.16.0.0/12", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	for (size_t i = 0; i < s.report.n_cures; i++)
		assert_int_not_equal(s.report.cures[i].kind, EXPLAIN_CURE_RULE);
}

static void a_cure_stands_behind_what_has_priority_0(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct snapshot cured;
	struct cure c = { .family = AF_INET, .table = 100, .link = "eth0" };

	(void)state;
	scene(&s);
	our_rule(&s.n, 77, RTPROT_BOOT, 1);
	cured = cure_apply(&s.n.a, &s.n.s, &c, 1);
	assert_int_equal(cured.n_rules, s.n.s.n_rules + 1);
	assert_int_equal(cured.rules[1].table, 77);
	assert_int_equal(cured.rules[2].table, 100);
	assert_int_equal(cure_free_table(&cured, 100), 101);
}

static void rules_are_known_by_priority_table_mark_and_protocol(void **state)
{
	static const struct {
		struct rule rule;
		const char *maker;
	} cases[] = {
		{ { .priority = 5270, .table = 52 }, "Tailscale" },
		{ { .priority = 5210,
		    .table = RT_TABLE_MAIN,
		    .has_mark = true,
		    .mark = 0x80000,
		    .mark_mask = 0xff0000 },
		  "Tailscale" },
		{ { .priority = 32764,
		    .table = 51820,
		    .invert = true,
		    .has_mark = true,
		    .mark = 51820,
		    .mark_mask = UINT32_MAX },
		  "wg-quick" },
		{ { .priority = 101,
		    .table = 51820,
		    .invert = true,
		    .has_mark = true,
		    .mark = 51820,
		    .mark_mask = UINT32_MAX },
		  "gluetun" },
		{ { .priority = 31001,
		    .table = 52000,
		    .invert = true,
		    .has_mark = true,
		    .mark = 52000,
		    .mark_mask = UINT32_MAX },
		  "NetworkManager" },
		{ { .priority = 32763, .table = 0x6d6f6c65 }, "Mullvad" },
		{ { .priority = 110, .table = 0x1bd0 }, "NetBird" },
		{ { .priority = 220, .table = 220 }, "strongSwan" },
		{ { .priority = 100, .table = RT_TABLE_LOCAL }, "Cilium" },
		{ { .priority = 111, .table = 11, .protocol = RTPROT_KERNEL }, "Cilium" },
		{ { .priority = 9, .table = 2004, .has_mark = true, .mark_mask = 0xf00 },
		  "Cilium" },
		{ { .priority = 30401, .table = 30401 }, "nm-cloud-setup" },
		{ { .priority = 100, .table = 200 }, "gluetun" },
		{ { .priority = 2001, .has_mark = true, .mark = 0x100, .mark_mask = 0x3f00 },
		  "mwan3" },
		{ { .priority = 500, .table = 7, .protocol = RTPROT_STATIC }, "systemd-networkd" },
		{ { .priority = 500, .table = 7, .protocol = RTPROT_ZEBRA }, "FRR or Quagga" },
		{ { .table = 5904, .protocol = RTPROT_KERNEL }, "sallyport" },
		{ { .priority = 5, .table = 7, .protocol = PLAN_PROTOCOL }, "sallyport" },
		{ { .priority = 500, .table = 7 }, NULL },
		{ { .priority = 0, .table = RT_TABLE_LOCAL }, NULL },
		{ { .priority = 32766, .table = RT_TABLE_MAIN }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rule r = cases[i].rule;
		const char *maker;

		r.family = AF_INET;
		r.action = FR_ACT_TO_TBL;
		r.suppress_len = r.suppress_group = -1;
		maker = known_rule_maker(&r);
		if (cases[i].maker)
			assert_string_equal(maker ? maker : "nobody", cases[i].maker);
		else
			assert_null(maker);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_router_that_nobody_knows_is_asked_for),
		cmocka_unit_test(a_cure_that_would_not_help_is_not_told),
		cmocka_unit_test(a_cure_stands_behind_what_has_priority_0),
		cmocka_unit_test(rules_are_known_by_priority_table_mark_and_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
