/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The tables of the old iptables(8), put together as the kernel gives them out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "wire/xtables.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdio.h>
#include <string.h>

#define ACCEPT (-NF_ACCEPT - 1)
#define DROP   (-NF_DROP - 1)

struct table {
	sa_family_t family;
	_Alignas(8) uint8_t bytes[4096];
	uint32_t size;
};

static size_t head_size(const struct table *t)
{
	return t->family == AF_INET ? sizeof(struct ipt_entry) : sizeof(struct ip6t_entry);
}

/* "sp-+" is every name that begins so. */
static void interface(const char *word, char name[IFNAMSIZ], unsigned char mask[IFNAMSIZ])
{
	size_t len = word ? strlen(word) : 0;

	if (!len)
		return;
	memset(mask, 0xff, word[len - 1] == '+' ? len - 1 : len + 1);
	memcpy(name, word, word[len - 1] == '+' ? len - 1 : len);
}

/* Adds a rule with @match more bytes of a module's; its offset. */
static uint32_t put(struct table *t, const char *in, const char *out, size_t match,
		    const char *target, int verdict)
{
	struct xt_standard_target end = { .verdict = verdict };
	uint32_t at = t->size;
	size_t head = head_size(t) + match;
	uint8_t *to = t->bytes + at;

	end.target.u.target_size = sizeof(end);
	snprintf(end.target.u.user.name, sizeof(end.target.u.user.name), "%s", target);
	if (t->family == AF_INET) {
		struct ipt_entry x = { .target_offset = (uint16_t)head,
				       .next_offset = (uint16_t)(head + sizeof(end)) };

		interface(in, x.ip.iniface, x.ip.iniface_mask);
		interface(out, x.ip.outiface, x.ip.outiface_mask);
		memcpy(to, &x, sizeof(x));
	} else {
		struct ip6t_entry x = { .target_offset = (uint16_t)head,
					.next_offset = (uint16_t)(head + sizeof(end)) };

		interface(in, x.ipv6.iniface, x.ipv6.iniface_mask);
		interface(out, x.ipv6.outiface, x.ipv6.outiface_mask);
		memcpy(to, &x, sizeof(x));
	}
	memcpy(to + head, &end, sizeof(end));
	t->size += (uint32_t)(head + sizeof(end));
	return at;
}

static enum xtables_way way(const struct table *t, uint32_t forward, uint32_t policy,
			    const char *in, const char *out)
{
	struct xtables_table x = { t->family, t->bytes, t->size, forward, policy };
	enum xtables_way ret = (enum xtables_way)99;

	assert_int_equal(xtables_forward(&x, in, out, &ret), 0);
	return ret;
}

static void a_policy_drops_what_no_rule_of_its_interface_accepts(void **state)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct table t = { .family = families[i] };
		uint32_t first = put(&t, "sp-+", NULL, 0, "", ACCEPT);
		uint32_t policy;

		put(&t, NULL, "sp-web", 0, "", ACCEPT);
		policy = put(&t, NULL, NULL, 0, "", DROP);
		assert_int_equal(way(&t, first, policy, "sp-web", NULL), XTABLES_PASSES);
		assert_int_equal(way(&t, first, policy, "eth0", NULL), XTABLES_POLICY);
		assert_int_equal(way(&t, first, policy, NULL, "sp-web"), XTABLES_PASSES);
		/* No "+": the name is whole. */
		assert_int_equal(way(&t, first, policy, NULL, "sp-web2"), XTABLES_POLICY);
		/* From sp- is not to sp-, and the other end is not known. */
		assert_int_equal(way(&t, first, policy, NULL, "sp-db"), XTABLES_POLICY);
	}
}

static void the_first_rule_that_asks_for_nothing_decides(void **state)
{
	struct table t = { .family = AF_INET };
	uint32_t first = put(&t, NULL, NULL, 40, "", DROP); /* a module's match */
	uint32_t reject, policy;

	(void)state;
	put(&t, "eth9", NULL, 0, "", DROP);
	reject = put(&t, NULL, NULL, 0, "REJECT", 0);
	policy = put(&t, NULL, NULL, 0, "", ACCEPT);
	assert_int_equal(way(&t, first, policy, "sp-web", NULL), XTABLES_RULE);
	assert_int_equal(way(&t, reject, policy, "sp-web", NULL), XTABLES_RULE);
	assert_int_equal(way(&t, first, reject, "sp-web", NULL), XTABLES_PASSES);
}

static void chains_are_followed_and_come_back(void **state)
{
	struct table t = { .family = AF_INET6 };
	uint32_t chain = put(&t, "sp-+", NULL, 0, "", ACCEPT);
	uint32_t back, last, first, policy;

	(void)state;
	back = put(&t, NULL, NULL, 0, "", XT_RETURN);
	last = put(&t, NULL, NULL, 0, "", DROP); /* after the return: nobody comes here */
	first = put(&t, NULL, NULL, 0, "", (int)chain);
	put(&t, NULL, NULL, 0, "", (int)back);
	policy = put(&t, NULL, NULL, 0, "", DROP);
	assert_int_equal(way(&t, first, policy, "sp-web", NULL), XTABLES_PASSES);
	assert_int_equal(way(&t, first, policy, "eth0", NULL), XTABLES_POLICY);
	first = put(&t, NULL, NULL, 0, "", (int)last);
	policy = put(&t, NULL, NULL, 0, "", ACCEPT);
	assert_int_equal(way(&t, first, policy, "sp-web", NULL), XTABLES_RULE);
}

static void what_is_no_table_is_refused(void **state)
{
	struct table t = { .family = AF_INET };
	struct xtables_table x = { .family = AF_INET, .entries = t.bytes };
	enum xtables_way ret;

	(void)state;
	put(&t, NULL, NULL, 0, "", ACCEPT);
	for (x.size = 0; x.size < t.size; x.size++)
		assert_int_equal(xtables_forward(&x, "sp-web", NULL, &ret), -EBADMSG);
	assert_int_equal(xtables_forward(&x, "sp-web", NULL, &ret), 0);
	x.forward = x.policy = 8;
	assert_int_equal(xtables_forward(&x, "sp-web", NULL, &ret), -EBADMSG);
	/* A chain that jumps to itself. */
	t.size = 0;
	put(&t, NULL, NULL, 0, "", 0);
	x.forward = 0;
	x.policy = put(&t, NULL, NULL, 0, "", ACCEPT);
	x.size = t.size;
	assert_int_equal(xtables_forward(&x, "sp-web", NULL, &ret), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_drops_what_no_rule_of_its_interface_accepts),
		cmocka_unit_test(the_first_rule_that_asks_for_nothing_decides),
		cmocka_unit_test(chains_are_followed_and_come_back),
		cmocka_unit_test(what_is_no_table_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
