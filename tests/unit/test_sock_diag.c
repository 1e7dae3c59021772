/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sock_diag(7): what is asked, and what is made of the answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "wire/sock_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <stdlib.h>
#include <string.h>

#define ESTABLISHED 1
#define SYN_RECV    3
#define CLOSE       7
#define LISTEN      10

struct answer {
	_Alignas(8) char bytes[512];
};

static struct inet_diag_msg *put(struct answer *m, uint8_t family, uint8_t state, const char *local,
				 const char *peer)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);
	struct inet_diag_msg *d = mnl_nlmsg_put_extra_header(nlh, sizeof(*d));

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	d->idiag_family = family;
	d->idiag_state = state;
	d->id.idiag_sport = htons(22);
	d->id.idiag_dport = htons(51022);
	assert_int_equal(inet_pton(family, local, d->id.idiag_src), 1);
	assert_int_equal(inet_pton(family, peer, d->id.idiag_dst), 1);
	d->idiag_uid = 1000;
	d->idiag_inode = 4711;
	d->id.idiag_if = 7;
	return d;
}

static struct nlmsghdr *header(struct answer *m)
{
	return (void *)m->bytes;
}

static void assert_ip(const struct ip *ip, const char *text)
{
	char buf[IP_TEXT_SIZE];

	assert_string_equal(ip_text(ip, buf), text);
}

static void a_request_asks_for_what_listens_and_what_is_connected(void **state)
{
	struct sock_diag_message m;
	struct nlmsghdr *nlh = sock_diag_encode_dump(&m, AF_INET6, IPPROTO_TCP, false);
	const struct inet_diag_req_v2 *req = mnl_nlmsg_get_payload(nlh);

	(void)state;
	assert_int_equal(nlh->nlmsg_type, SOCK_DIAG_BY_FAMILY);
	assert_int_equal(req->sdiag_family, AF_INET6);
	assert_int_equal(req->sdiag_protocol, IPPROTO_TCP);
	assert_int_equal(req->idiag_states, 1 << ESTABLISHED | 1 << LISTEN);
	nlh = sock_diag_encode_dump(&m, AF_INET, IPPROTO_UDP, true);
	req = mnl_nlmsg_get_payload(nlh);
	assert_int_equal(req->idiag_states, 1 << ESTABLISHED | 1 << CLOSE);
}

static void a_connection_has_both_ends(void **state)
{
	struct answer m = { 0 };
	struct socket_seen s;

	(void)state;
	put(&m, AF_INET, ESTABLISHED, "172.16.5.10", "172.16.9.20");
	mnl_attr_put_u8(header(&m), INET_DIAG_TOS, 0x10);
	mnl_attr_put_u32(header(&m), INET_DIAG_MARK, 0x55);
	assert_int_equal(sock_diag_decode(header(&m), IPPROTO_TCP, &s), 1);
	assert_int_equal(s.state, SOCKET_CONNECTED);
	assert_ip(&s.local, "172.16.5.10");
	assert_ip(&s.peer, "172.16.9.20");
	assert_int_equal(s.local_port, 22);
	assert_int_equal(s.peer_port, 51022);
	assert_int_equal(s.tos, 0x10);
	assert_int_equal(s.mark, 0x55);
	assert_int_equal(s.uid, 1000);
	assert_int_equal(s.inode, 4711);
	assert_int_equal(s.link, 7);
}

static void ipv4_in_ipv6s_clothes_is_ipv4(void **state)
{
	struct answer m = { 0 };
	struct socket_seen s;

	(void)state;
	put(&m, AF_INET6, ESTABLISHED, "::ffff:172.16.5.10", "::ffff:172.16.9.20");
	mnl_attr_put_u8(header(&m), INET_DIAG_TCLASS, 0x20);
	mnl_attr_put_u8(header(&m), INET_DIAG_TOS, 0x10);
	assert_int_equal(sock_diag_decode(header(&m), IPPROTO_TCP, &s), 1);
	assert_ip(&s.local, "172.16.5.10");
	assert_ip(&s.peer, "172.16.9.20");
	assert_int_equal(s.tos, 0x10);
}

static void a_listener_on_everything_says_whether_ipv4_too(void **state)
{
	(void)state;
	for (int only = 0; only < 2; only++) {
		struct answer m = { 0 };
		struct socket_seen s;

		put(&m, AF_INET6, LISTEN, "::", "::");
		mnl_attr_put_u8(header(&m), INET_DIAG_SKV6ONLY, (uint8_t)only);
		assert_int_equal(sock_diag_decode(header(&m), IPPROTO_TCP, &s), 1);
		assert_int_equal(s.state, SOCKET_LISTENS);
		assert_true(ip_is_any(&s.local) && ip_is_none(&s.peer));
		assert_int_equal(s.only_ipv6, only);
	}
}

static void other_states_and_families_are_passed_over(void **state)
{
	struct answer m = { 0 };
	struct socket_seen s = { .uid = 5 };
	struct inet_diag_msg *d = put(&m, AF_INET, SYN_RECV, "10.0.0.1", "10.0.0.2");

	(void)state;
	assert_int_equal(sock_diag_decode(header(&m), IPPROTO_TCP, &s), 0);
	d->idiag_state = ESTABLISHED;
	d->idiag_family = AF_UNIX;
	assert_int_equal(sock_diag_decode(header(&m), IPPROTO_TCP, &s), 0);
	assert_int_equal(s.uid, 5);
}

static void nothing_cut_off_is_taken_for_whole(void **state)
{
	struct answer m = { 0 };
	struct socket_seen s = { .uid = 5 };
	uint32_t whole;

	(void)state;
	put(&m, AF_INET, ESTABLISHED, "10.0.0.1", "10.0.0.2");
	whole = header(&m)->nlmsg_len;
	mnl_attr_put_u32(header(&m), INET_DIAG_MARK, 0x55);
	for (uint32_t size = MNL_NLMSG_HDRLEN; size < header(&m)->nlmsg_len; size++) {
		struct nlmsghdr *copy = malloc(size);
		int r;

		memcpy(copy, m.bytes, size);
		copy->nlmsg_len = size;
		r = sock_diag_decode(copy, IPPROTO_TCP, &s);
		/* Not even the head of an attribute is none. */
		if (size >= whole && size < whole + MNL_ATTR_HDRLEN)
			assert_int_equal(r, 1);
		else
			assert_int_equal(r, -EBADMSG);
		free(copy);
	}
}

static void an_attribute_of_a_wrong_size_is_refused(void **state)
{
	static const uint16_t types[] = { INET_DIAG_TOS, INET_DIAG_TCLASS, INET_DIAG_SKV6ONLY,
					  INET_DIAG_MARK };

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		struct answer m = { 0 };
		struct socket_seen s = { .uid = 5 };

		put(&m, AF_INET, ESTABLISHED, "10.0.0.1", "10.0.0.2");
		mnl_attr_put(header(&m), types[i], 0, "");
		assert_int_equal(sock_diag_decode(header(&m), IPPROTO_TCP, &s), -EBADMSG);
		assert_int_equal(s.uid, 5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_asks_for_what_listens_and_what_is_connected),
		cmocka_unit_test(a_connection_has_both_ends),
		cmocka_unit_test(ipv4_in_ipv6s_clothes_is_ipv4),
		cmocka_unit_test(a_listener_on_everything_says_whether_ipv4_too),
		cmocka_unit_test(other_states_and_families_are_passed_over),
		cmocka_unit_test(nothing_cut_off_is_taken_for_whole),
		cmocka_unit_test(an_attribute_of_a_wrong_size_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
