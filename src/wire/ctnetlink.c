/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ctnetlink.h"

#include "base/text.h"
#include "wire/attrs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_conntrack_tcp.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>

static struct nlmsghdr *request(struct ctnetlink_message *m, uint16_t type, uint16_t flags,
				uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);
	struct nfgenmsg *nfg;

	nlh->nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | type;
	nlh->nlmsg_flags = NLM_F_REQUEST | flags;
	nfg = mnl_nlmsg_put_extra_header(nlh, sizeof(*nfg));
	nfg->nfgen_family = family;
	nfg->version = NFNETLINK_V0;
	return nlh;
}

struct nlmsghdr *ctnetlink_encode_dump(struct ctnetlink_message *m, sa_family_t family)
{
	return request(m, IPCTNL_MSG_CT_GET, NLM_F_DUMP, (uint8_t)family);
}

/* Its attributes and family, which is IP: 1; 0 of another one, -EBADMSG if it is cut off. */
static int read_message(const struct nlmsghdr *nlh, struct attrs *t, uint8_t *ret_family)
{
	const struct nfgenmsg *nfg = mnl_nlmsg_get_payload(nlh);

	if (!attrs_of_message(t, nlh, sizeof(*nfg)))
		return -EBADMSG;
	*ret_family = nfg->nfgen_family;
	return nfg->nfgen_family == AF_INET || nfg->nfgen_family == AF_INET6;
}

struct tuple {
	struct ip src, dst;
	uint16_t sport, dport; /* host order */
	uint8_t proto;
};

static bool read_tuple(struct attrs *t, int type, sa_family_t family, struct tuple *ret)
{
	bool v6 = family == AF_INET6;
	struct attrs tuple, ip, proto;

	attrs_nest(t, type, &tuple);
	attrs_nest(&tuple, CTA_TUPLE_IP, &ip);
	attrs_nest(&tuple, CTA_TUPLE_PROTO, &proto);
	*ret = (struct tuple){
		.src = attrs_ip(&ip, v6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, family),
		.dst = attrs_ip(&ip, v6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, family),
		.proto = attrs_u8(&proto, CTA_PROTO_NUM, 0),
		.sport = ntohs(attrs_u16(&proto, CTA_PROTO_SRC_PORT)),
		.dport = ntohs(attrs_u16(&proto, CTA_PROTO_DST_PORT)),
	};
	return !t->bad && !tuple.bad && !ip.bad && !proto.bad && ret->src.family && ret->dst.family;
}

/* Both ends of a connection, whatever it is; returns what read_message() does. */
static int read_ends(const struct nlmsghdr *nlh, struct attrs *t, struct tuple *there,
		     struct tuple *back)
{
	uint8_t family;
	int r = read_message(nlh, t, &family);

	if (r != 1)
		return r;
	return read_tuple(t, CTA_TUPLE_ORIG, family, there) &&
			       read_tuple(t, CTA_TUPLE_REPLY, family, back)
		       ? 1
		       : -EBADMSG;
}

/* -EBADMSG, or 1 if it is alive. */
static int is_alive(struct attrs *t, uint8_t proto, uint32_t status)
{
	struct attrs info, tcp;

	if (proto == IPPROTO_UDP)
		return (status & IPS_SEEN_REPLY) != 0;
	attrs_nest(t, CTA_PROTOINFO, &info);
	attrs_nest(&info, CTA_PROTOINFO_TCP, &tcp);
	if (attrs_u8(&tcp, CTA_PROTOINFO_TCP_STATE, TCP_CONNTRACK_NONE) !=
	    TCP_CONNTRACK_ESTABLISHED)
		return t->bad || info.bad || tcp.bad ? -EBADMSG : 0;
	return 1;
}

int ctnetlink_decode(const struct nlmsghdr *nlh, struct flow_seen *ret)
{
	struct tuple there, back;
	uint32_t status;
	struct attrs t;
	int r = read_ends(nlh, &t, &there, &back);

	if (r != 1)
		return r;
	status = ntohl(attrs_u32(&t, CTA_STATUS, 0));
	if (there.proto != IPPROTO_TCP && there.proto != IPPROTO_UDP)
		return 0;
	r = is_alive(&t, there.proto, status);
	if (r <= 0 || !(status & IPS_DST_NAT))
		return t.bad ? -EBADMSG : r < 0 ? r : 0;
	*ret = (struct flow_seen){
		.proto = there.proto,
		.client = there.src,
		.client_port = there.sport,
		.asked = there.dst,
		.asked_port = there.dport,
		.inside = back.src,
		.inside_port = back.sport,
		.back = back.dst,
		.back_port = back.dport,
		.mark = ntohl(attrs_u32(&t, CTA_MARK, 0)),
	};
	return t.bad ? -EBADMSG : 1;
}

int ctnetlink_decode_any(const struct nlmsghdr *nlh, struct ctnetlink_flow *ret)
{
	struct tuple there, back;
	struct attrs t;
	int r = read_ends(nlh, &t, &there, &back);

	if (r != 1)
		return r;
	*ret = (struct ctnetlink_flow){
		.asked = there.dst,
		.from = back.src,
		.proto = there.proto,
		.asked_port = there.dport,
		.answered = (ntohl(attrs_u32(&t, CTA_STATUS, 0)) & IPS_SEEN_REPLY) != 0,
	};
	return t.bad ? -EBADMSG : 1;
}

struct nlmsghdr *ctnetlink_encode_delete(struct ctnetlink_message *m, const struct nlmsghdr *seen)
{
	/* The number tells it from one that has its place by now. */
	static const int parts[] = { CTA_TUPLE_ORIG, CTA_ZONE, CTA_ID };
	struct nlmsghdr *nlh;
	struct attrs t;
	uint8_t family;

	if (read_message(seen, &t, &family) != 1 || !t.at[CTA_TUPLE_ORIG])
		return NULL;
	nlh = request(m, IPCTNL_MSG_CT_DELETE, 0, family);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const struct nlattr *x = t.at[parts[i]];

		if (x && !mnl_attr_put_check(nlh, sizeof(m->bytes), x->nla_type,
					     x->nla_len - MNL_ATTR_HDRLEN, mnl_attr_get_payload(x)))
			return NULL;
	}
	return nlh;
}
