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
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>
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

/* What a module asks, behind its name; no name: nothing. */
struct match {
	const char *name;
	uint8_t revision;
	const void *data;
	size_t size;
};

static size_t match_size(const struct match *m)
{
	return m->name ? sizeof(struct xt_entry_match) + (m->size + 7) / 8 * 8 : 0;
}

static void put_match(uint8_t *to, const struct match *m)
{
	struct xt_entry_match head = { .u.user.match_size = (uint16_t)match_size(m),
				       .u.user.revision = m->revision };

	if (!m->name)
		return;
	snprintf(head.u.user.name, sizeof(head.u.user.name), "%s", m->name);
	memcpy(to, &head, sizeof(head));
	if (m->size)
		memcpy(to + sizeof(head), m->data, m->size);
}

/* Adds a rule; its offset. */
static uint32_t put_asking(struct table *t, const char *in, const char *out, struct match match,
			   const char *target, int verdict)
{
	struct xt_standard_target end = { .verdict = verdict };
	uint32_t at = t->size;
	size_t head = head_size(t) + match_size(&match);
	uint8_t *to = t->bytes + at;

	put_match(to + head_size(t), &match);

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

static uint32_t put(struct table *t, const char *in, const char *out, const char *target,
		    int verdict)
{
	return put_asking(t, in, out, (struct match){ 0 }, target, verdict);
}

static struct xtables_table table_of(const struct table *t, uint32_t first, uint32_t policy)
{
	struct xtables_table x = { .family = t->family, .entries = t->bytes, .size = t->size };

	x.first[NF_INET_FORWARD] = first;
	x.policy[NF_INET_FORWARD] = policy;
	return x;
}

static enum xtables_way asked(const struct table *t, uint32_t first, uint32_t policy,
			      const struct xtables_packet *p)
{
	struct xtables_table x = table_of(t, first, policy);
	enum xtables_way ret = (enum xtables_way)99;

	assert_int_equal(xtables_way(&x, NF_INET_FORWARD, p, &ret), 0);
	return ret;
}

static enum xtables_way way(const struct table *t, uint32_t forward, uint32_t policy,
			    const char *in, const char *out)
{
	struct xtables_packet p = { .in = in, .out = out };

	return asked(t, forward, policy, &p);
}

static void a_policy_drops_what_no_rule_of_its_interface_accepts(void **state)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct table t = { .family = families[i] };
		uint32_t first = put(&t, "sp-+", NULL, "", ACCEPT);
		uint32_t policy;

		put(&t, NULL, "sp-web", "", ACCEPT);
		policy = put(&t, NULL, NULL, "", DROP);
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
	uint32_t first =
		put_asking(&t, NULL, NULL, (struct match){ "mac", 0, "12345678", 8 }, "", DROP);
	uint32_t reject, policy;

	(void)state;
	put(&t, "eth9", NULL, "", DROP);
	reject = put(&t, NULL, NULL, "REJECT", 0);
	policy = put(&t, NULL, NULL, "", ACCEPT);
	assert_int_equal(way(&t, first, policy, "sp-web", NULL), XTABLES_RULE);
	assert_int_equal(way(&t, reject, policy, "sp-web", NULL), XTABLES_RULE);
	assert_int_equal(way(&t, first, reject, "sp-web", NULL), XTABLES_PASSES);
}

static void chains_are_followed_and_come_back(void **state)
{
	struct table t = { .family = AF_INET6 };
	uint32_t chain = put(&t, "sp-+", NULL, "", ACCEPT);
	uint32_t back, last, first, policy;

	(void)state;
	back = put(&t, NULL, NULL, "", XT_RETURN);
	last = put(&t, NULL, NULL, "", DROP); /* after the return: nobody comes here */
	first = put(&t, NULL, NULL, "", (int)chain);
	put(&t, NULL, NULL, "", (int)back);
	policy = put(&t, NULL, NULL, "", DROP);
	assert_int_equal(way(&t, first, policy, "sp-web", NULL), XTABLES_PASSES);
	assert_int_equal(way(&t, first, policy, "eth0", NULL), XTABLES_POLICY);
	first = put(&t, NULL, NULL, "", (int)last);
	policy = put(&t, NULL, NULL, "", ACCEPT);
	assert_int_equal(way(&t, first, policy, "sp-web", NULL), XTABLES_RULE);
}

static void what_is_no_table_is_refused(void **state)
{
	struct table t = { .family = AF_INET };
	struct xtables_packet p = { .in = "sp-web" };
	struct xtables_table x = table_of(&t, 0, 0);
	enum xtables_way ret;

	(void)state;
	put(&t, NULL, NULL, "", ACCEPT);
	for (x.size = 0; x.size < t.size; x.size++)
		assert_int_equal(xtables_way(&x, NF_INET_FORWARD, &p, &ret), -EBADMSG);
	assert_int_equal(xtables_way(&x, NF_INET_FORWARD, &p, &ret), 0);
	x.first[NF_INET_FORWARD] = x.policy[NF_INET_FORWARD] = 8;
	assert_int_equal(xtables_way(&x, NF_INET_FORWARD, &p, &ret), -EBADMSG);
	/* A chain that jumps to itself. */
	t.size = 0;
	put(&t, NULL, NULL, "", 0);
	x.first[NF_INET_FORWARD] = 0;
	x.policy[NF_INET_FORWARD] = put(&t, NULL, NULL, "", ACCEPT);
	x.size = t.size;
	assert_int_equal(xtables_way(&x, NF_INET_FORWARD, &p, &ret), -EBADMSG);
}

#define NEW 8u /* XTABLES_STATE_BIT(IP_CT_NEW) */

static const struct xtables_packet reply = { .out = "eth0",
					     .answers = true,
					     .state = XTABLES_ESTABLISHED };
static const struct xtables_packet raw = { .out = "eth0",
					   .answers = true,
					   .state = XTABLES_INVALID };

static struct match states(struct xt_conntrack_mtinfo3 *m, uint16_t mask, uint16_t inverted)
{
	*m = (struct xt_conntrack_mtinfo3){ .match_flags = XT_CONNTRACK_STATE,
					    .invert_flags = inverted,
					    .state_mask = mask };
	return (struct match){ "conntrack", 3, m, sizeof(*m) };
}

static void an_answer_is_let_out_by_what_may_fit_it(void **state)
{
	struct xt_conntrack_mtinfo3 m;
	struct xt_state_info old = { XTABLES_ESTABLISHED };
	struct xt_udp dns = { .spts = { 0, UINT16_MAX }, .dpts = { 53, 53 } };
	struct xt_udp any = { .spts = { 80, 80 }, .dpts = { 0, UINT16_MAX } };
	struct xt_tcp not_dns = { .spts = { 0, UINT16_MAX },
				  .dpts = { 53, 53 },
				  .invflags = XT_TCP_INV_DSTPT };
	const struct {
		struct match match;
		const char *out;
		int verdict;
		enum xtables_way way, raw;
	} cases[] = {
		{ { 0 }, "eth0", ACCEPT, XTABLES_PASSES, XTABLES_PASSES },
		{ { 0 }, "tun+", ACCEPT, XTABLES_POLICY, XTABLES_POLICY },
		{ { 0 }, "eth0", DROP, XTABLES_RULE, XTABLES_RULE },
		{ { 0 }, "tun+", DROP, XTABLES_POLICY, XTABLES_POLICY },
		{ { "mac", 0, "12345678", 8 }, NULL, ACCEPT, XTABLES_PASSES, XTABLES_PASSES },
		{ { "mac", 0, "12345678", 8 }, NULL, DROP, XTABLES_POLICY, XTABLES_POLICY },
		{ { "comment", 0, "words...", 8 }, NULL, DROP, XTABLES_RULE, XTABLES_RULE },
		{ { "state", 0, &old, sizeof(old) }, NULL, ACCEPT, XTABLES_PASSES, XTABLES_POLICY },
		{ { "udp", 0, &dns, sizeof(dns) }, NULL, ACCEPT, XTABLES_POLICY, XTABLES_POLICY },
		{ { "udp", 0, &any, sizeof(any) }, NULL, ACCEPT, XTABLES_PASSES, XTABLES_PASSES },
		{ { "tcp", 0, &not_dns, sizeof(not_dns) },
		  NULL,
		  ACCEPT,
		  XTABLES_PASSES,
		  XTABLES_PASSES },
	};
	static const struct {
		uint16_t mask, inverted;
		int verdict;
		enum xtables_way way, raw;
	} by_state[] = {
		{ XTABLES_ESTABLISHED, 0, ACCEPT, XTABLES_PASSES, XTABLES_POLICY },
		{ NEW, 0, ACCEPT, XTABLES_POLICY, XTABLES_POLICY },
		{ NEW, XT_CONNTRACK_STATE, ACCEPT, XTABLES_PASSES, XTABLES_PASSES },
		{ XTABLES_ESTABLISHED, XT_CONNTRACK_STATE, DROP, XTABLES_POLICY, XTABLES_RULE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct table t = { .family = i % 2 ? AF_INET : AF_INET6 };
		uint32_t policy;

		put_asking(&t, NULL, cases[i].out, cases[i].match, "", cases[i].verdict);
		policy = put(&t, NULL, NULL, "", DROP);
		assert_int_equal(asked(&t, 0, policy, &reply), cases[i].way);
		assert_int_equal(asked(&t, 0, policy, &raw), cases[i].raw);
	}
	for (size_t i = 0; i < sizeof(by_state) / sizeof(*by_state); i++) {
		struct table t = { .family = AF_INET };
		uint32_t policy;

		put_asking(&t, NULL, NULL, states(&m, by_state[i].mask, by_state[i].inverted), "",
			   by_state[i].verdict);
		policy = put(&t, NULL, NULL, "", DROP);
		assert_int_equal(asked(&t, 0, policy, &reply), by_state[i].way);
		assert_int_equal(asked(&t, 0, policy, &raw), by_state[i].raw);
	}
}

static void a_chain_that_answers_may_go_to_accepts_and_does_not_drop_them(void **state)
{
	struct table t = { .family = AF_INET };
	uint32_t drops = put(&t, NULL, NULL, "", DROP), accepts, first, policy;
	struct match mac = { "mac", 0, "12345678", 8 };

	(void)state;
	accepts = put(&t, NULL, "eth0", "", ACCEPT);
	put(&t, NULL, NULL, "", XT_RETURN);
	first = put_asking(&t, NULL, NULL, mac, "", (int)drops);
	policy = put(&t, NULL, NULL, "", DROP);
	assert_int_equal(asked(&t, first, policy, &reply), XTABLES_POLICY);
	first = put_asking(&t, NULL, NULL, mac, "", (int)accepts);
	policy = put(&t, NULL, NULL, "", DROP);
	assert_int_equal(asked(&t, first, policy, &reply), XTABLES_PASSES);
	/* What does not answer may not fit. */
	assert_int_equal(way(&t, first, policy, NULL, "eth0"), XTABLES_POLICY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_policy_drops_what_no_rule_of_its_interface_accepts),
		cmocka_unit_test(the_first_rule_that_asks_for_nothing_decides),
		cmocka_unit_test(chains_are_followed_and_come_back),
		cmocka_unit_test(what_is_no_table_is_refused),
		cmocka_unit_test(an_answer_is_let_out_by_what_may_fit_it),
		cmocka_unit_test(a_chain_that_answers_may_go_to_accepts_and_does_not_drop_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
