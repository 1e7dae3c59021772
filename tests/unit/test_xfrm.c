/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Policies of IPsec: as messages, and which of them a guard can pass by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "plan/guard_xfrm.h"
#include "wire/xfrm.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>

static struct xfrm_policy policy(const char *src, const char *dst, uint8_t dir, uint32_t priority)
{
	struct xfrm_policy p = { .dir = dir, .priority = priority };

	assert_true(prefix_parse(src, false, &p.src));
	assert_true(prefix_parse(dst, false, &p.dst));
	p.family = p.src.ip.family;
	return p;
}

static void what_is_written_is_read_again(void **state)
{
	struct xfrm_policy all[GUARD_XFRM_OURS + 2], back;
	struct xfrm_message m;

	(void)state;
	for (size_t i = 0; i < GUARD_XFRM_OURS; i++)
		all[i] = guard_xfrm_policy(i);
	all[GUARD_XFRM_OURS] = policy("172.16.0.0/12", "172.16.0.0/12", XFRM_POLICY_OUT, 371327);
	all[GUARD_XFRM_OURS].if_id = 7;
	all[GUARD_XFRM_OURS].link = 3;
	all[GUARD_XFRM_OURS + 1] = policy("fd00::/8", "::/0", XFRM_POLICY_FWD, 0);
	all[GUARD_XFRM_OURS + 1].block = true;
	for (size_t i = 0; i < ARRAY_LEN(all); i++) {
		assert_int_equal(xfrm_decode_policy(xfrm_encode_add(&m, &all[i]), &back), 1);
		assert_true(guard_xfrm_is(&back, &all[i]));
		assert_int_equal(guard_xfrm_is_ours(&back), i < GUARD_XFRM_OURS);
	}
}

static void a_message_that_is_cut_off_is_refused(void **state)
{
	struct xfrm_policy p = guard_xfrm_policy(0), back;
	struct xfrm_message m;
	struct nlmsghdr *nlh = xfrm_encode_add(&m, &p);
	uint32_t whole = nlh->nlmsg_len;

	(void)state;
	for (nlh->nlmsg_len = NLMSG_HDRLEN; nlh->nlmsg_len < whole; nlh->nlmsg_len += 4)
		/* Without its mark it is another policy. */
		if (xfrm_decode_policy(nlh, &back) == 1)
			assert_false(guard_xfrm_is_ours(&back));
	nlh->nlmsg_len = NLMSG_HDRLEN + 60;
	assert_int_equal(xfrm_decode_policy(nlh, &back), -EBADMSG);
}

static void an_impossible_prefix_is_refused_and_others_messages_are_passed_over(void **state)
{
	struct xfrm_policy p = policy("10.0.0.0/8", "10.0.0.0/8", XFRM_POLICY_IN, 1), back;
	struct xfrm_message m;
	struct nlmsghdr *nlh = xfrm_encode_add(&m, &p);
	struct xfrm_userpolicy_info *info = mnl_nlmsg_get_payload(nlh);

	(void)state;
	info->sel.prefixlen_s = 33;
	assert_int_equal(xfrm_decode_policy(nlh, &back), -EBADMSG);
	info->sel.prefixlen_s = 8;
	info->dir = XFRM_POLICY_FWD + 1; /* a socket's */
	assert_int_equal(xfrm_decode_policy(nlh, &back), 0);
	info->dir = XFRM_POLICY_IN;
	info->sel.family = AF_UNSPEC;
	assert_int_equal(xfrm_decode_policy(nlh, &back), 0);
	nlh->nlmsg_type = XFRM_MSG_NEWSA;
	assert_int_equal(xfrm_decode_policy(nlh, &back), 0);
}

/* The kernel lists the youngest first, and asks the oldest of equal priority. */
static void only_an_older_one_of_priority_0_is_asked_before_ours(void **state)
{
	struct xfrm_policy ours = guard_xfrm_policy(0);
	struct xfrm_policy theirs = policy("10.0.0.0/8", "10.0.0.0/8", XFRM_POLICY_OUT, 0);
	struct xfrm_policy list[2];

	(void)state;
	theirs.n_templates = 1;
	list[0] = ours;
	list[1] = theirs;
	assert_true(guard_xfrm_is_ahead(list, 2, &list[1]));
	assert_false(guard_xfrm_is_ahead(list, 2, &list[0]));
	list[1].priority = 1;
	assert_false(guard_xfrm_is_ahead(list, 2, &list[1]));
	list[1].priority = 0;
	list[1].dir = XFRM_POLICY_IN; /* ours is of another direction, or will be the youngest */
	assert_true(guard_xfrm_is_ahead(list, 2, &list[1]));
	list[0] = theirs;
	list[1] = ours;
	assert_false(guard_xfrm_is_ahead(list, 2, &list[0]));
}

static void a_policy_is_told_as_ip_takes_it(void **state)
{
	static const char *const want[] = {
		"src 0.0.0.0/0 dst 0.0.0.0/0 dir out",
		"src 0.0.0.0/0 dst 0.0.0.0/0 dir in",
		"src 0.0.0.0/0 dst 0.0.0.0/0 dir fwd",
		"src ::/0 dst ::/0 dir out",
		"src ::/0 dst ::/0 dir in",
		"src ::/0 dst ::/0 dir fwd",
		"src ::/0 dst ::/0 proto ipv6-icmp type 133 dir out",
	};
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(want); i++) {
		struct xfrm_policy p = guard_xfrm_policy(i);

		assert_string_equal(guard_xfrm_text(&a, &p), want[i]);
	}
}

static void what_cures_it_is_told_as_ip_takes_it(void **state)
{
	struct xfrm_policy p = policy("10.0.0.0/8", "172.16.0.0/12", XFRM_POLICY_OUT, 0);
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	p.n_templates = 1;
	p.template = (struct xfrm_template){ .proto = IPPROTO_ESP,
					     .mode = XFRM_MODE_TUNNEL,
					     .reqid = 7 };
	assert_true(ip_parse("192.0.2.1", &p.template.src));
	assert_true(ip_parse("192.0.2.2", &p.template.dst));
	assert_string_equal(guard_xfrm_cure(&a, &p),
			    "ip xfrm policy update src 10.0.0.0/8 dst 172.16.0.0/12 dir out "
			    "priority 1 tmpl src 192.0.2.1 dst 192.0.2.2 proto esp reqid 7 mode "
			    "tunnel");
	p.template.optional = true;
	p.template.spi = 0x1234;
	p.template.mode = XFRM_MODE_TRANSPORT;
	assert_string_equal(guard_xfrm_cure(&a, &p),
			    "ip xfrm policy update src 10.0.0.0/8 dst 172.16.0.0/12 dir out "
			    "priority 1 tmpl src 192.0.2.1 dst 192.0.2.2 proto esp spi 0x00001234 "
			    "reqid 7 mode transport level use");
	p.n_templates = 2;
	assert_null(guard_xfrm_cure(&a, &p));
	p.block = true;
	assert_string_equal(guard_xfrm_cure(&a, &p),
			    "ip xfrm policy delete src 10.0.0.0/8 dst 172.16.0.0/12 dir out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_written_is_read_again),
		cmocka_unit_test(a_message_that_is_cut_off_is_refused),
		cmocka_unit_test(
			an_impossible_prefix_is_refused_and_others_messages_are_passed_over),
		cmocka_unit_test(only_an_older_one_of_priority_0_is_asked_before_ours),
		cmocka_unit_test(a_policy_is_told_as_ip_takes_it),
		cmocka_unit_test(what_cures_it_is_told_as_ip_takes_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
