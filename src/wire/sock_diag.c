/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/sock_diag.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>
#include <stddef.h>
#include <string.h>

/* Of the kernel's TCP states; UDP uses the first and the second of these. */
#define STATE_ESTABLISHED 1
#define STATE_SYN_SENT    2
#define STATE_FIN_WAIT1   4
#define STATE_FIN_WAIT2   5
#define STATE_CLOSE       7 /* UDP: not connected */
#define STATE_CLOSE_WAIT  8
#define STATE_LAST_ACK    9
#define STATE_LISTEN      10
#define STATE_CLOSING     11

/* A connection that begins or ends; each of them may still send. */
#define STATES_ON_THE_WAY                                                                          \
	(1u << STATE_SYN_SENT | 1u << STATE_FIN_WAIT1 | 1u << STATE_FIN_WAIT2 |                    \
	 1u << STATE_CLOSE_WAIT | 1u << STATE_LAST_ACK | 1u << STATE_CLOSING)

struct nlmsghdr *sock_diag_encode_dump(struct sock_diag_message *m, sa_family_t family,
				       uint8_t proto, bool on_the_way)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);
	struct inet_diag_req_v2 *req;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = (uint8_t)family;
	req->sdiag_protocol = proto;
	req->idiag_ext = 1 << (INET_DIAG_TOS - 1) | 1 << (INET_DIAG_TCLASS - 1);
	req->idiag_states = 1u << STATE_ESTABLISHED |
			    1u << (proto == IPPROTO_TCP ? STATE_LISTEN : STATE_CLOSE);
	if (on_the_way && proto == IPPROTO_TCP)
		req->idiag_states |= STATES_ON_THE_WAY;
	return nlh;
}

static struct ip address_of(uint8_t family, const void *bytes)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	const uint8_t *b = bytes;

	if (family == AF_INET6 && memcmp(b, mapped, sizeof(mapped)) == 0)
		return ip_from_bytes(AF_INET, b + sizeof(mapped));
	return ip_from_bytes(family, b);
}

/* The payload is read here, where the sanitizers look on, and not inside libmnl. */
static int read_attr(const struct nlattr *attr, uint8_t family, struct socket_seen *s)
{
	const uint8_t *payload = mnl_attr_get_payload(attr);

	switch (mnl_attr_get_type(attr)) {
	case INET_DIAG_TOS:
	case INET_DIAG_TCLASS:
		if (mnl_attr_get_payload_len(attr) < 1)
			return -EBADMSG;
		if ((mnl_attr_get_type(attr) == INET_DIAG_TOS) == (s->local.family == AF_INET))
			s->tos = *payload;
		break;
	case INET_DIAG_SKV6ONLY:
		if (mnl_attr_get_payload_len(attr) < 1)
			return -EBADMSG;
		s->only_ipv6 = family == AF_INET6 && *payload;
		break;
	case INET_DIAG_MARK:
		if (mnl_attr_get_payload_len(attr) < sizeof(uint32_t))
			return -EBADMSG;
		memcpy(&s->mark, payload, sizeof(s->mark));
		break;
	}
	return 0;
}

/* libmnl's own loop trusts lengths that it has not checked. */
static int read_attrs(const struct nlmsghdr *nlh, uint8_t family, struct socket_seen *s)
{
	size_t at = MNL_ALIGN(sizeof(struct inet_diag_msg)) + MNL_NLMSG_HDRLEN;

	while (at + MNL_ATTR_HDRLEN <= nlh->nlmsg_len) {
		const struct nlattr *attr = (const void *)((const char *)nlh + at);
		int r;

		if (attr->nla_len < MNL_ATTR_HDRLEN || attr->nla_len > nlh->nlmsg_len - at)
			return -EBADMSG;
		r = read_attr(attr, family, s);
		if (r < 0)
			return r;
		at += MNL_ALIGN(attr->nla_len);
	}
	return 0;
}

int sock_diag_decode(const struct nlmsghdr *nlh, uint8_t proto, struct socket_seen *ret)
{
	struct socket_seen s = { .proto = proto };
	const struct inet_diag_msg *m;
	uint8_t family;
	int r;

	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(*m))
		return -EBADMSG;
	m = mnl_nlmsg_get_payload(nlh);
	family = m->idiag_family;
	if (family != AF_INET && family != AF_INET6)
		return 0;
	if (m->idiag_state == STATE_ESTABLISHED || (proto == IPPROTO_TCP && m->idiag_state < 32 &&
						    (STATES_ON_THE_WAY >> m->idiag_state & 1)))
		s.state = SOCKET_CONNECTED;
	else if (m->idiag_state == STATE_LISTEN || m->idiag_state == STATE_CLOSE)
		s.state = SOCKET_LISTENS;
	else
		return 0;
	s.local = address_of(family, m->id.idiag_src);
	s.local_port = ntohs(m->id.idiag_sport);
	if (s.state == SOCKET_CONNECTED) {
		s.peer = address_of(family, m->id.idiag_dst);
		s.peer_port = ntohs(m->id.idiag_dport);
		if (s.peer.family != s.local.family)
			return -EBADMSG;
	}
	s.link = (int)m->id.idiag_if;
	s.uid = m->idiag_uid;
	s.inode = m->idiag_inode;
	r = read_attrs(nlh, family, &s);
	if (r < 0)
		return r;
	*ret = s;
	return 1;
}

struct nlmsghdr *sock_diag_encode_one(struct sock_diag_message *m, const struct socket_seen *s)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);
	struct inet_diag_req_v2 *req;
	size_t size = s->local.family == AF_INET ? 4 : 16;

	nlh->nlmsg_type = SOCK_DIAG_BY_FAMILY;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	req = mnl_nlmsg_put_extra_header(nlh, sizeof(*req));
	req->sdiag_family = (uint8_t)s->local.family;
	req->sdiag_protocol = s->proto;
	req->idiag_ext = 1 << (INET_DIAG_INFO - 1);
	req->idiag_states = UINT32_MAX;
	req->id.idiag_sport = htons(s->local_port);
	req->id.idiag_dport = htons(s->peer_port);
	memcpy(req->id.idiag_src, s->local.byte, size);
	memcpy(req->id.idiag_dst, s->peer.byte, size);
	req->id.idiag_cookie[0] = req->id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return nlh;
}

int sock_diag_decode_counts(const struct nlmsghdr *nlh, struct tcp_counts *ret)
{
	size_t at = MNL_ALIGN(sizeof(struct inet_diag_msg)) + MNL_NLMSG_HDRLEN;
	struct tcp_info info;

	if (nlh->nlmsg_len < MNL_NLMSG_HDRLEN + sizeof(struct inet_diag_msg))
		return -EBADMSG;
	while (at + MNL_ATTR_HDRLEN <= nlh->nlmsg_len) {
		const struct nlattr *attr = (const void *)((const char *)nlh + at);

		if (attr->nla_len < MNL_ATTR_HDRLEN || attr->nla_len > nlh->nlmsg_len - at)
			return -EBADMSG;
		at += MNL_ALIGN(attr->nla_len);
		if (mnl_attr_get_type(attr) != INET_DIAG_INFO)
			continue;
		/* An older kernel's is shorter. */
		if (mnl_attr_get_payload_len(attr) <
		    offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(uint64_t))
			return 0;
		memset(&info, 0, sizeof(info));
		memcpy(&info, mnl_attr_get_payload(attr),
		       mnl_attr_get_payload_len(attr) < sizeof(info)
			       ? mnl_attr_get_payload_len(attr)
			       : sizeof(info));
		*ret = (struct tcp_counts){ .sent = info.tcpi_bytes_sent - info.tcpi_bytes_retrans,
					    .acked = info.tcpi_bytes_acked };
		return 1;
	}
	return 0;
}
