/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What sysctls of "all" and of one link mean together (linux/inetdevice.h). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "fib/conf.h"

#include <linux/fib_rules.h>
#include <stdio.h>

static struct link_conf conf_of(const char *name, const char *all, const char *own,
				sa_family_t family)
{
	char all_path[64], own_path[64];
	struct sysctl_seen sysctls[] = { { all_path, all }, { own_path, own } };
	struct host h = { .parts = HOST_SYSCTLS, .sysctls = sysctls, .n_sysctls = 2 };
	struct link_conf ret;

	snprintf(all_path, sizeof(all_path), "ipv%d/conf/all/%s", family == AF_INET ? 4 : 6, name);
	snprintf(own_path, sizeof(own_path), "ipv%d/conf/eth0/%s", family == AF_INET ? 4 : 6, name);
	assert_true(fib_link_conf(&h, "eth0", family, &ret));
	return ret;
}

static void rp_filter_is_the_higher_of_the_two(void **state)
{
	(void)state;
	for (char all = '0'; all < '3'; all++)
		for (char own = '0'; own < '3'; own++)
			assert_int_equal(conf_of("rp_filter", (char[]){ all, 0 },
						 (char[]){ own, 0 }, AF_INET)
						 .rp_filter,
					 (all > own ? all : own) - '0');
}

static void each_switch_is_taken_with_all_as_the_kernel_does(void **state)
{
	static const char *const bits[] = { "0", "1" };

	(void)state;
	for (int i = 0; i < 4; i++) {
		const char *all = bits[i / 2], *own = bits[i % 2];
		bool either = i > 0, both = i == 3, mine = i % 2, first = i / 2;

#define CONF(name) conf_of(#name, all, own, AF_INET)
		assert_int_equal(CONF(forwarding).forwarding, mine);
		assert_int_equal(CONF(src_valid_mark).src_valid_mark, either);
		assert_int_equal(CONF(accept_local).accept_local, either);
		assert_int_equal(CONF(route_localnet).route_localnet, either);
		assert_int_equal(CONF(bc_forwarding).bc_forwarding, both);
		assert_int_equal(CONF(send_redirects).no_redirects, !either);
		/* IPv6 forwards by "all", or where a link is made to. */
		assert_int_equal(conf_of("forwarding", all, own, AF_INET6).forwarding, first);
		assert_int_equal(conf_of("force_forwarding", all, own, AF_INET6).forwarding, mine);
	}
}

static void what_is_not_known_is_not_taken_for_zero(void **state)
{
	struct host h = { .parts = HOST_ALL & ~(uint32_t)HOST_SYSCTLS };
	struct link_conf ret = { .rp_filter = 7 };

	(void)state;
	assert_false(fib_link_conf(&h, "eth0", AF_INET, &ret));
	assert_int_equal(ret.rp_filter, 7);
}

static void a_family_whose_rules_are_not_known_is_barred(void **state)
{
	static struct rule rules[] = {
		{ .family = AF_INET, .action = FR_ACT_TO_TBL, .table = 254 }
	};
	struct arena a CLEANUP_ARENA = { 0 };
	struct host h = { .parts = HOST_RULES4 | HOST_ROUTES4 | HOST_RULES6,
			  .net = { .rules = rules, .n_rules = 1 } };
	struct flow flow = { .dst = { .family = AF_INET6, .byte = { 0x20 } } };
	struct fib_result r;

	(void)state;
	host_bar_unknown(&a, &h);
	assert_int_equal(h.net.n_rules, 2);
	assert_int_equal(h.net.rules[0].family, AF_INET6);
	assert_string_equal(h.net.rules[0].unknown, "IPv6 routes");
	fib_lookup(fib_new(&a, &h.net), &flow, &r, NULL);
	assert_int_equal(r.verdict, FIB_CANNOT_MODEL);
	flow.dst.family = AF_INET;
	fib_lookup(fib_new(&a, &h.net), &flow, &r, NULL);
	assert_int_equal(r.verdict, FIB_NO_ROUTE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rp_filter_is_the_higher_of_the_two),
		cmocka_unit_test(each_switch_is_taken_with_all_as_the_kernel_does),
		cmocka_unit_test(what_is_not_known_is_not_taken_for_zero),
		cmocka_unit_test(a_family_whose_rules_are_not_known_is_barred),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
