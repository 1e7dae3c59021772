/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What conntrack tells of connections whose destination was rewritten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "wire/ctnetlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <stdlib.h>
#include <string.h>

struct end {
	const char *ip;
	uint16_t port;
};

struct entry {
	sa_family_t family;
	uint8_t proto;
	struct end src, dst, back_src, back_dst;
	uint32_t status;
	uint8_t tcp_state;
	uint32_t mark;
};

static const struct entry published = {
	AF_INET,
	IPPROTO_TCP,
	{ "172.16.9.20", 51022 },
	{ "172.16.5.10", 8080 },
	{ "172.17.0.2", 80 },
	{ "172.16.9.20", 51022 },
	IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED | IPS_DST_NAT | IPS_DST_NAT_DONE,
	TCP_CONNTRACK_ESTABLISHED,
	0x170d0000,
};

static void put_tuple(struct nlmsghdr *nlh, uint16_t type, const struct entry *x,
		      const struct end *src, const struct end *dst)
{
	bool v6 = x->family == AF_INET6;
	struct nlattr *tuple = mnl_attr_nest_start(nlh, type);
	struct nlattr *nest = mnl_attr_nest_start(nlh, CTA_TUPLE_IP);
	struct ip ip;

	assert_true(ip_parse(src->ip, &ip));
	mnl_attr_put(nlh, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, ip_bits(x->family) / 8, ip.byte);
	assert_true(ip_parse(dst->ip, &ip));
	mnl_attr_put(nlh, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, ip_bits(x->family) / 8, ip.byte);
	mnl_attr_nest_end(nlh, nest);
	nest = mnl_attr_nest_start(nlh, CTA_TUPLE_PROTO);
	mnl_attr_put_u8(nlh, CTA_PROTO_NUM, x->proto);
	mnl_attr_put_u16(nlh, CTA_PROTO_SRC_PORT, htons(src->port));
	mnl_attr_put_u16(nlh, CTA_PROTO_DST_PORT, htons(dst->port));
	mnl_attr_nest_end(nlh, nest);
	mnl_attr_nest_end(nlh, tuple);
}

static struct nlmsghdr *message(const struct entry *x)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(calloc(1, 1024));
	struct nfgenmsg *nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	struct nlattr *info, *tcp;

	nfg->nfgen_family = (uint8_t)x->family;
	put_tuple(nlh, CTA_TUPLE_ORIG, x, &x->src, &x->dst);
	put_tuple(nlh, CTA_TUPLE_REPLY, x, &x->back_src, &x->back_dst);
	mnl_attr_put_u32(nlh, CTA_STATUS, htonl(x->status));
	info = mnl_attr_nest_start(nlh, CTA_PROTOINFO);
	tcp = mnl_attr_nest_start(nlh, CTA_PROTOINFO_TCP);
	mnl_attr_put_u8(nlh, CTA_PROTOINFO_TCP_STATE, x->tcp_state);
	mnl_attr_nest_end(nlh, tcp);
	mnl_attr_nest_end(nlh, info);
	mnl_attr_put_u32(nlh, CTA_MARK, htonl(x->mark));
	return nlh;
}

static int decode(const struct entry *x, struct flow_seen *ret)
{
	struct nlmsghdr *nlh = message(x);
	int r = ctnetlink_decode(nlh, ret);

	free(nlh);
	return r;
}

static void assert_end(const struct ip *ip, uint16_t port, const struct end *end)
{
	char buf[IP_TEXT_SIZE];

	assert_string_equal(ip_text(ip, buf), end->ip);
	assert_int_equal(port, end->port);
}

static void a_connection_to_a_container_is_told_with_all_its_ends(void **state)
{
	struct entry v6 = published;
	struct flow_seen f;

	(void)state;
	v6.family = AF_INET6;
	v6.src.ip = v6.back_dst.ip = "fd00:16:9::20";
	v6.dst.ip = "fd00:16:5::10";
	v6.back_src.ip = "fd00:17::2";
	for (int i = 0; i < 2; i++) {
		const struct entry *x = i ? &v6 : &published;

		assert_int_equal(decode(x, &f), 1);
		assert_int_equal(f.proto, IPPROTO_TCP);
		assert_end(&f.client, f.client_port, &x->src);
		assert_end(&f.asked, f.asked_port, &x->dst);
		assert_end(&f.inside, f.inside_port, &x->back_src);
		assert_end(&f.back, f.back_port, &x->back_dst);
		assert_int_equal(f.mark, 0x170d0000);
	}
}

static void what_is_not_alive_or_not_rewritten_is_passed_over(void **state)
{
	struct entry closing = published, plain = published, udp = published, icmp = published;
	struct flow_seen f = { .client_port = 7 };

	(void)state;
	closing.tcp_state = TCP_CONNTRACK_TIME_WAIT;
	assert_int_equal(decode(&closing, &f), 0);
	plain.status &= ~(uint32_t)IPS_DST_NAT;
	assert_int_equal(decode(&plain, &f), 0);
	icmp.proto = IPPROTO_ICMP;
	assert_int_equal(decode(&icmp, &f), 0);
	udp.proto = IPPROTO_UDP;
	udp.status &= ~(uint32_t)IPS_SEEN_REPLY;
	assert_int_equal(decode(&udp, &f), 0);
	assert_int_equal(f.client_port, 7);
	udp.status |= IPS_SEEN_REPLY;
	assert_int_equal(decode(&udp, &f), 1);
}

static void a_message_cut_off_anywhere_is_none(void **state)
{
	struct nlmsghdr *whole = message(&published);
	uint32_t size = whole->nlmsg_len;

	(void)state;
	for (uint32_t n = NLMSG_HDRLEN; n < size; n++) {
		struct nlmsghdr *copy = malloc(n);
		struct flow_seen f = { .client_port = 7 };

		memcpy(copy, whole, n);
		copy->nlmsg_len = n;
		/* Without its last attribute it is whole, but for the mark. */
		if (ctnetlink_decode(copy, &f) == 1)
			assert_int_equal(f.mark, 0);
		else
			assert_int_equal(f.client_port, 7);
		free(copy);
	}
	free(whole);
}

static void what_is_answered_from_where_is_told_of_all(void **state)
{
	struct entry icmp = published;
	char text[IP_TEXT_SIZE];
	struct ctnetlink_flow f;
	struct nlmsghdr *nlh;

	(void)state;
	icmp.proto = IPPROTO_ICMP;
	icmp.status = 0;
	nlh = message(&icmp);
	assert_int_equal(ctnetlink_decode_any(nlh, &f), 1);
	assert_string_equal(ip_text(&f.from, text), "172.17.0.2");
	assert_string_equal(ip_text(&f.asked, text), published.dst.ip);
	assert_int_equal(f.proto, IPPROTO_ICMP);
	assert_int_equal(f.asked_port, published.dst.port);
	assert_false(f.answered);
	((struct nfgenmsg *)mnl_nlmsg_get_payload(nlh))->nfgen_family = AF_UNSPEC;
	assert_int_equal(ctnetlink_decode_any(nlh, &f), 0);
	nlh->nlmsg_len = NLMSG_HDRLEN + 2;
	assert_int_equal(ctnetlink_decode_any(nlh, &f), -EBADMSG);
	free(nlh);
}

static void assert_same(const struct nlmsghdr *a, const struct nlmsghdr *b, uint16_t type)
{
	const struct nlattr *x = NULL, *y = NULL, *at;

	mnl_attr_for_each(at, a, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(at) == type) x = at;
	mnl_attr_for_each(at, b, sizeof(struct nfgenmsg)) if (mnl_attr_get_type(at) == type) y = at;
	assert_non_null(x);
	assert_non_null(y);
	assert_int_equal(x->nla_len, y->nla_len);
	assert_memory_equal(x, y, x->nla_len);
}

/* Not another one between the same ends, and not one of another zone. */
static void the_very_connection_is_forgotten(void **state)
{
	static const uint16_t parts[] = { CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID };
	struct nlmsghdr *seen = message(&published), *nlh;
	struct ctnetlink_message m;

	(void)state;
	mnl_attr_put_u16(seen, CTA_ZONE, htons(7));
	mnl_attr_put_u32(seen, CTA_ID, htonl(0x12345678));
	nlh = ctnetlink_encode_delete(&m, seen);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_type, NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE);
	assert_int_equal(nlh->nlmsg_flags, NLM_F_REQUEST);
	assert_int_equal(((struct nfgenmsg *)mnl_nlmsg_get_payload(nlh))->nfgen_family, AF_INET);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		assert_same(nlh, seen, parts[i]);
	/* Without its ends it would be all connections. */
	seen->nlmsg_len = NLMSG_HDRLEN + sizeof(struct nfgenmsg);
	assert_null(ctnetlink_encode_delete(&m, seen));
	free(seen);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_to_a_container_is_told_with_all_its_ends),
		cmocka_unit_test(what_is_not_alive_or_not_rewritten_is_passed_over),
		cmocka_unit_test(a_message_cut_off_anywhere_is_none),
		cmocka_unit_test(what_is_answered_from_where_is_told_of_all),
		cmocka_unit_test(the_very_connection_is_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
