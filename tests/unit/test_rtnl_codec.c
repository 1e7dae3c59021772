/* SPDX-License-Identifier: GPL-2.0-or-later */
/* rtnetlink both ways: decode(encode(x)) = x, and nothing cut off is taken for whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "random.h"
#include "same.h"
#include "wire/rtnl_decode.h"
#include "wire/rtnl_encode.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROUNDS 2000

static struct dice dice = { .state = 1 };

static uint32_t below(uint32_t n)
{
	return roll_below(&dice, n);
}

static sa_family_t some_family(void)
{
	return below(2) ? AF_INET : AF_INET6;
}

static struct ip some_ip(sa_family_t family)
{
	struct ip ip = { .family = family };

	for (unsigned int i = 0; i < ip_bits(family) / 8; i++)
		ip.byte[i] = (uint8_t)below(256);
	return ip;
}

static struct ip maybe_ip(sa_family_t family)
{
	return below(2) ? some_ip(family) : (struct ip){ 0 };
}

static struct prefix some_prefix(sa_family_t family)
{
	struct ip ip = some_ip(family);

	return prefix_of(&ip, below(ip_bits(family) + 1));
}

static struct prefix maybe_prefix(sa_family_t family)
{
	struct prefix p = some_prefix(family);

	return below(2) && p.len ? p : (struct prefix){ 0 };
}

static struct hop some_hop(sa_family_t family)
{
	return (struct hop){ .link = (int)below(100) + 1,
			     .via = maybe_ip(below(4) ? family : some_family()),
			     .flags = below(2) ? RTNH_F_ONLINK : 0,
			     .weight = 1 };
}

static struct route some_route(struct arena *a)
{
	static const uint8_t types[] = { RTN_UNICAST, RTN_UNICAST, RTN_LOCAL, RTN_UNREACHABLE };
	sa_family_t family = some_family();
	struct route r = { .family = family,
			   .type = types[below(4)],
			   .scope = (uint8_t)below(256),
			   .protocol = (uint8_t)below(256),
			   .tos = (uint8_t)below(256),
			   .table = below(2) ? below(256) : 5900 + below(4100),
			   .metric = below(2) ? below(UINT32_MAX) : 0,
			   .mtu = below(3) ? 0 : 1280 + below(9000),
			   .dst = some_prefix(family),
			   .prefsrc = maybe_ip(family) };

	if (family == AF_INET6)
		r.src = maybe_prefix(family);
	if (r.type == RTN_UNREACHABLE)
		return r;
	r.n_hops = below(4) ? 1 : 2 + below(5);
	r.hops = arena_alloc(a, r.n_hops * sizeof(*r.hops));
	for (size_t i = 0; i < r.n_hops; i++) {
		r.hops[i] = some_hop(family);
		if (r.n_hops > 1)
			r.hops[i].weight = 1 + below(256);
	}
	return r;
}

static void a_route_comes_back_as_it_went(void **state)
{
	struct rtnl_message m;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct route r = some_route(&a), back;
		struct nlmsghdr *nlh = rtnl_encode_route(&m, RTM_NEWROUTE, &r);
		uint32_t table;

		assert_non_null(nlh);
		assert_int_equal(rtnl_decode_route(&a, nlh, &back), 1);
		ASSERT_SAME(&r, &back, route_members);
		ASSERT_SAME_LIST(&r, &back, hops, n_hops, hop_members);
		assert_int_equal(rtnl_decode_route_table(nlh, &table), 1);
		assert_int_equal(table, r.table);
	}
}

static struct rule_range some_range(bool has)
{
	uint32_t first = below(60000);

	return has ? (struct rule_range){ first, first + below(5000) } : (struct rule_range){ 0 };
}

static struct rule some_rule(void)
{
	sa_family_t family = some_family();
	struct rule r = { .family = family,
			  .action = (uint8_t)(1 + below(8)),
			  .priority = below(2) ? 0 : below(UINT32_MAX),
			  .protocol = (uint8_t)below(256),
			  .tos = (uint8_t)below(256),
			  .ip_proto = (uint8_t)(below(3) ? 0 : below(256)),
			  .invert = below(2),
			  .find_saddr = below(2),
			  .l3mdev = below(2),
			  .table = below(2) ? below(256) : 5900 + below(4100),
			  .target = below(3) ? 0 : below(32767),
			  .has_mark = below(2),
			  .suppress_len = below(2) ? -1 : (int)below(33),
			  .suppress_group = below(2) ? -1 : (int)below(1000),
			  .has_uid = below(2),
			  .has_sport = below(2),
			  .has_dport = below(2),
			  .has_dscp = below(2),
			  .tun_id = below(2) ? 0 : (uint64_t)below(UINT32_MAX) << 20,
			  .from = maybe_prefix(family),
			  .to = maybe_prefix(family) };

	r.uid = some_range(r.has_uid);
	r.sport = some_range(r.has_sport);
	r.dport = some_range(r.has_dport);
	r.sport_mask = (uint16_t)(r.has_sport ? below(0xffff) : 0);
	r.dport_mask = (uint16_t)(r.has_dport ? below(0xffff) : 0);
	r.dscp = (uint8_t)(r.has_dscp ? below(64) : 0);
	r.dscp_mask = (uint8_t)(r.has_dscp ? below(0x3f) : 0);
	r.flowlabel_mask = below(2) ? 0 : 1 + below(0xfffff);
	r.flowlabel = r.flowlabel_mask ? below(0x100000) : 0;
	r.mark = r.has_mark ? below(UINT32_MAX) : 0;
	r.mark_mask = r.has_mark ? 1 + below(UINT32_MAX - 1) : 0;
	if (below(2))
		snprintf(r.iif, sizeof(r.iif), "room-%u", below(1000));
	if (below(2))
		snprintf(r.oif, sizeof(r.oif), "fifteen-letters");
	r.flags = (r.invert ? FIB_RULE_INVERT : 0U) | (r.find_saddr ? FIB_RULE_FIND_SADDR : 0U);
	return r;
}

static void a_rule_comes_back_as_it_went(void **state)
{
	struct rtnl_message m;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		struct rule r = some_rule(), back;

		assert_int_equal(rtnl_decode_rule(rtnl_encode_rule(&m, RTM_NEWRULE, &r), &back), 1);
		ASSERT_SAME(&r, &back, rule_members);
	}
}

/* But not by the kernel's flags. */
static void a_rule_that_differs_in_one_word_is_another(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rule_members); i++) {
		const struct member *m = &rule_members[i];
		struct rule r = some_rule(), other;

		r.from = r.to = (struct prefix){ .ip.family = AF_INET6, .len = 128 };
		other = r;
		assert_true(snapshot_same_rule(&r, &other));
		((uint8_t *)&other)[m->at] ^= 1;
		if (snapshot_same_rule(&r, &other) != str_eq(m->name, "flags"))
			fail_msg("%s", m->name);
	}
}

static void an_address_comes_back_as_it_went(void **state)
{
	struct rtnl_message m;

	(void)state;
	for (int i = 0; i < ROUNDS; i++) {
		sa_family_t family = some_family();
		struct address x = { .link = (int)below(1000) + 1,
				     .local = some_ip(family),
				     .peer = maybe_ip(family),
				     .len = (uint8_t)below(ip_bits(family) + 1),
				     .scope = (uint8_t)below(256),
				     .flags = below(0x1000),
				     .metric = below(2) ? 0 : below(UINT32_MAX) };
		struct address y;

		assert_int_equal(rtnl_decode_address(rtnl_encode_address(&m, RTM_NEWADDR, &x), &y),
				 1);
		ASSERT_SAME(&x, &y, address_members);
	}
}

static const struct veth veth = {
	.name = "sp-office", .index = 77, .mtu = 1400, .peer_name = "lan", .peer_netns_fd = 5
};

static void a_link_is_read(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 7 };
	struct rtnl_message m;
	struct nlmsghdr *nlh = rtnl_encode_veth_add(&m, &veth);
	struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct link l;

	(void)state;
	assert_int_equal(ifi->ifi_index, veth.index);
	ifi->ifi_index = 12;
	ifi->ifi_type = 1;
	ifi->ifi_flags = 0x11043;
	mnl_attr_put_strz(nlh, IFLA_IFALIAS, "sallyport office");
	mnl_attr_put(nlh, IFLA_ADDRESS, sizeof(mac), mac);
	mnl_attr_put_u32(nlh, IFLA_MASTER, 3);
	mnl_attr_put_u32(nlh, IFLA_LINK, 4);
	mnl_attr_put_u32(nlh, IFLA_GROUP, 9);
	assert_int_equal(rtnl_decode_link(nlh, &l), 1);
	assert_int_equal(l.index, 12);
	assert_string_equal(l.name, "sp-office");
	assert_string_equal(l.alias, "sallyport office");
	assert_string_equal(l.kind, "veth");
	assert_int_equal(l.flags, 0x11043);
	assert_int_equal(l.mtu, 1400);
	assert_int_equal(l.master, 3);
	assert_int_equal(l.peer, 4);
	assert_int_equal(l.group, 9);
	assert_true(l.has_mac);
	assert_memory_equal(l.mac, mac, 6);
	/* A bridge speaks of its port. */
	ifi->ifi_family = AF_BRIDGE;
	assert_int_equal(rtnl_decode_link(nlh, &l), 0);
}

static void what_a_rule_says_beyond_us_is_noted(void **state)
{
	struct rtnl_message m;
	struct rule r = { .family = AF_INET, .suppress_len = -1, .suppress_group = -1 };
	struct nlmsghdr *nlh = rtnl_encode_rule(&m, RTM_NEWRULE, &r);

	(void)state;
	mnl_attr_put_u32(nlh, FRA_FLOW, 7);
	mnl_attr_put_u32(nlh, 99, 7);
	assert_int_equal(rtnl_decode_rule(nlh, &r), 1);
	assert_string_equal(r.unknown, "realms, attribute 99");
	for (uint16_t type = 40; type < 120; type++)
		mnl_attr_put_u32(nlh, type, 7);
	assert_int_equal(rtnl_decode_rule(nlh, &r), 1);
	assert_true(strlen(r.unknown) < sizeof(r.unknown));
}

static void a_listed_rule_at_0_is_sent_again_with_its_priority(void **state)
{
	struct rtnl_message listed, again;
	struct rule r = {
		.family = AF_INET, .table = 5901, .suppress_len = -1, .suppress_group = -1
	};
	struct nlmsghdr *nlh = rtnl_encode_rule(&listed, RTM_NEWRULE, &r);
	struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *a;
	int n = 0;

	(void)state;
	/* As the kernel lists it: no FRA_PRIORITY, and flags that are its own. */
	nlh->nlmsg_len = NLMSG_LENGTH(sizeof(*frh));
	mnl_attr_put_u32(nlh, FRA_TABLE, 5901);
	frh->flags = FIB_RULE_INVERT | FIB_RULE_IIF_DETACHED;
	nlh = rtnl_encode_listed_rule(&again, RTM_DELRULE, nlh);
	frh = mnl_nlmsg_get_payload(nlh);
	assert_int_equal(nlh->nlmsg_type, RTM_DELRULE);
	assert_int_equal(frh->flags, FIB_RULE_INVERT);
	mnl_attr_for_each(a, nlh, sizeof(*frh))
		n += mnl_attr_get_type(a) == FRA_PRIORITY && mnl_attr_get_u32(a) == 0;
	assert_int_equal(n, 1);
}

static void a_route_that_refuses_has_no_hops_in_either_family(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct route r = { .family = AF_INET6,
			   .type = RTN_UNREACHABLE,
			   .table = 5901,
			   .dst = { .ip = { .family = AF_INET6 } } };
	struct rtnl_message m;
	struct nlmsghdr *nlh = rtnl_encode_route(&m, RTM_NEWROUTE, &r);

	(void)state;
	mnl_attr_put_u32(nlh, RTA_OIF, 1); /* as IPv6 lists it */
	assert_int_equal(rtnl_decode_route(&a, nlh, &r), 1);
	assert_int_equal(r.n_hops, 0);
}

static void too_many_hops_are_refused(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct route r = { .family = AF_INET6, .type = RTN_UNICAST, .n_hops = RTNL_HOPS_MAX };
	struct rtnl_message m;

	(void)state;
	r.hops = arena_alloc(&a, (RTNL_HOPS_MAX + 1) * sizeof(*r.hops));
	for (size_t i = 0; i <= RTNL_HOPS_MAX; i++)
		r.hops[i] = (struct hop){ .link = 1, .via = some_ip(AF_INET6), .weight = 1 };
	assert_true(rtnl_encode_route(&m, RTM_NEWROUTE, &r)->nlmsg_len <= sizeof(m));
	r.n_hops++;
	assert_null(rtnl_encode_route(&m, RTM_NEWROUTE, &r));
}

static int decode_any(struct arena *a, const struct nlmsghdr *nlh)
{
	union {
		struct link link;
		struct address address;
		struct route route;
		struct rule rule;
	} u;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
		return rtnl_decode_link(nlh, &u.link);
	case RTM_NEWADDR:
		return rtnl_decode_address(nlh, &u.address);
	case RTM_NEWROUTE:
		return rtnl_decode_route(a, nlh, &u.route);
	}
	return rtnl_decode_rule(nlh, &u.rule);
}

static bool ends_between_attributes(const struct nlmsghdr *nlh, size_t header, size_t size)
{
	const struct nlattr *a;
	size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(header);

	if (size == start)
		return true;
	mnl_attr_for_each(a, nlh, header)
	{
		size_t end = (size_t)((const char *)a - (const char *)nlh);

		/* The padding behind an attribute may be missing. */
		if (size >= end + a->nla_len && size <= end + NLA_ALIGN(a->nla_len))
			return true;
	}
	return false;
}

/* Cut anywhere but between two attributes, a message is refused; never read beyond. */
static void what_is_cut_off_is_refused(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl_message m;

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct route route = some_route(&a);
		struct rule rule = some_rule();
		struct address addr = { .link = 1, .local = some_ip(some_family()) };
		struct nlmsghdr *nlh;
		size_t header;

		switch (i % 4) {
		case 0:
			nlh = rtnl_encode_route(&m, RTM_NEWROUTE, &route);
			header = sizeof(struct rtmsg);
			break;
		case 1:
			nlh = rtnl_encode_rule(&m, RTM_NEWRULE, &rule);
			header = sizeof(struct fib_rule_hdr);
			break;
		case 2:
			nlh = rtnl_encode_address(&m, RTM_NEWADDR, &addr);
			header = sizeof(struct ifaddrmsg);
			break;
		default:
			nlh = rtnl_encode_veth_add(&m, &veth);
			header = sizeof(struct ifinfomsg);
		}
		for (size_t size = NLMSG_HDRLEN; size < nlh->nlmsg_len; size++) {
			/* A block of this very size, so that a sanitizer sees one byte too far. */
			struct nlmsghdr *cut = malloc(size);
			int r;

			memcpy(cut, nlh, size);
			cut->nlmsg_len = (uint32_t)size;
			r = decode_any(&a, cut);
			if (!ends_between_attributes(nlh, header, size))
				assert_int_equal(r, -EBADMSG);
			free(cut);
		}
	}
}

static void the_kernels_words_are_found_in_its_errors(void **state)
{
	_Alignas(8) char buf[256] = { 0 };
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nlmsgerr *err = mnl_nlmsg_put_extra_header(nlh, sizeof(*err));
	char text[32];

	(void)state;
	nlh->nlmsg_type = NLMSG_ERROR;
	err->error = -EINVAL;
	assert_int_equal(rtnl_decode_error(nlh, text, sizeof(text)), EINVAL);
	assert_string_equal(text, "");
	nlh->nlmsg_flags = NLM_F_ACK_TLVS | NLM_F_CAPPED;
	err->msg.nlmsg_len = 4000; /* of a request that is not echoed */
	mnl_attr_put_strz(nlh, NLMSGERR_ATTR_MSG, "Invalid prefix for given prefix length");
	assert_int_equal(rtnl_decode_error(nlh, text, sizeof(text)), EINVAL);
	assert_string_equal(text, "Invalid prefix for given prefix");
	/* The request is echoed: lies about its length lead nowhere. */
	nlh->nlmsg_flags = NLM_F_ACK_TLVS;
	err->msg.nlmsg_len = UINT32_MAX;
	assert_int_equal(rtnl_decode_error(nlh, text, sizeof(text)), EINVAL);
	assert_string_equal(text, "");
	nlh->nlmsg_len = NLMSG_HDRLEN;
	assert_int_equal(rtnl_decode_error(nlh, text, sizeof(text)), EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_route_comes_back_as_it_went),
		cmocka_unit_test(a_rule_comes_back_as_it_went),
		cmocka_unit_test(a_rule_that_differs_in_one_word_is_another),
		cmocka_unit_test(an_address_comes_back_as_it_went),
		cmocka_unit_test(a_link_is_read),
		cmocka_unit_test(what_a_rule_says_beyond_us_is_noted),
		cmocka_unit_test(a_listed_rule_at_0_is_sent_again_with_its_priority),
		cmocka_unit_test(a_route_that_refuses_has_no_hops_in_either_family),
		cmocka_unit_test(too_many_hops_are_refused),
		cmocka_unit_test(what_is_cut_off_is_refused),
		cmocka_unit_test(the_kernels_words_are_found_in_its_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
