/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/rtnl_decode.h"

#include "wire/attrs.h"
#include "wire/rtnl_attrs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

static bool is_ip_family(unsigned int family)
{
	return family == AF_INET || family == AF_INET6;
}

int rtnl_decode_link(const struct nlmsghdr *nlh, struct link *ret)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	struct attrs t, info;
	struct link l = { 0 };
	const void *mac;

	if (!attrs_of_message(&t, nlh, sizeof(*ifi)))
		return -EBADMSG;
	/* Bridges speak of their ports as links of family AF_BRIDGE. */
	if (ifi->ifi_family != AF_UNSPEC)
		return 0;
	l.index = ifi->ifi_index;
	l.flags = ifi->ifi_flags;
	l.mtu = attrs_u32(&t, IFLA_MTU, 0);
	l.group = attrs_u32(&t, IFLA_GROUP, 0);
	l.master = (int)attrs_u32(&t, IFLA_MASTER, 0);
	l.peer = (int)attrs_u32(&t, IFLA_LINK, 0);
	attrs_text(&t, IFLA_IFNAME, l.name, sizeof(l.name));
	attrs_text(&t, IFLA_IFALIAS, l.alias, sizeof(l.alias));
	attrs_nest(&t, IFLA_LINKINFO, &info);
	attrs_text(&info, IFLA_INFO_KIND, l.kind, sizeof(l.kind));
	mac = ifi->ifi_type == ARPHRD_ETHER ? attrs_bytes(&t, IFLA_ADDRESS, sizeof(l.mac)) : NULL;
	if (mac) {
		memcpy(l.mac, mac, sizeof(l.mac));
		l.has_mac = true;
	}
	if (t.bad || info.bad)
		return -EBADMSG;
	*ret = l;
	return 1;
}

int rtnl_decode_settings(const struct nlmsghdr *nlh, int *ret)
{
	struct attrs t;
	int index;

	if (!attrs_of_message(&t, nlh, sizeof(struct netconfmsg)))
		return -EBADMSG;
	index = (int)attrs_u32(&t, NETCONFA_IFINDEX, 0);
	if (t.bad || !index)
		return -EBADMSG;
	*ret = index;
	return 1;
}

int rtnl_decode_stats(const struct nlmsghdr *nlh, struct link_stats *ret)
{
	struct rtnl_link_stats64 s;
	struct attrs t;
	const void *p;

	if (!attrs_of_message(&t, nlh, sizeof(struct ifinfomsg)))
		return -EBADMSG;
	/* The struct grows at its end; only its first four members are ours. */
	p = attrs_bytes(&t, IFLA_STATS64, 4 * sizeof(__u64));
	if (!p)
		return -EBADMSG;
	memcpy(&s, p, 4 * sizeof(__u64));
	*ret = (struct link_stats){ .packets_in = s.rx_packets,
				    .packets_out = s.tx_packets,
				    .bytes_in = s.rx_bytes,
				    .bytes_out = s.tx_bytes };
	return 1;
}

int rtnl_decode_address(const struct nlmsghdr *nlh, struct address *ret)
{
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	struct address addr = { 0 };
	struct attrs t;

	if (!attrs_of_message(&t, nlh, sizeof(*ifa)))
		return -EBADMSG;
	if (!is_ip_family(ifa->ifa_family))
		return 0;
	addr.link = (int)ifa->ifa_index;
	addr.len = ifa->ifa_prefixlen;
	addr.scope = ifa->ifa_scope;
	addr.flags = attrs_u32(&t, IFA_FLAGS, ifa->ifa_flags);
	addr.metric = attrs_u32(&t, IFA_RT_PRIORITY, 0);
	addr.local = attrs_ip(&t, IFA_LOCAL, ifa->ifa_family);
	addr.peer = attrs_ip(&t, IFA_ADDRESS, ifa->ifa_family);
	/* IPv6 gives IFA_LOCAL only when there is a peer, IPv4 always. */
	if (ip_is_none(&addr.local))
		addr.local = addr.peer;
	if (ip_equal(&addr.local, &addr.peer))
		addr.peer = (struct ip){ 0 };
	if (t.bad || ip_is_none(&addr.local) || addr.len > ip_bits(ifa->ifa_family))
		return -EBADMSG;
	*ret = addr;
	return 1;
}

/* The gateway of a route or of one hop of several: RTA_VIA is one of the other family. */
static struct ip get_gateway(struct attrs *t, sa_family_t family)
{
	const struct rtvia *via = attrs_bytes(t, RTA_VIA, sizeof(*via));

	if (!via)
		return attrs_ip(t, RTA_GATEWAY, family);
	if (!is_ip_family(via->rtvia_family) ||
	    !attrs_bytes(t, RTA_VIA, sizeof(*via) + ip_bits(via->rtvia_family) / 8)) {
		t->bad = true;
		return (struct ip){ 0 };
	}
	return ip_from_bytes(via->rtvia_family, via->rtvia_addr);
}

static int decode_hops(struct arena *a, struct attrs *t, struct route *r)
{
	const struct nlattr *multi = t->at[RTA_MULTIPATH];
	const char *p = mnl_attr_get_payload(multi);
	size_t left = mnl_attr_get_payload_len(multi);
	size_t cap = 0;

	while (left) {
		const struct rtnexthop *nh = (const void *)p;
		struct attrs nested;
		size_t step;
		struct hop *hop;

		if (left < sizeof(*nh) || nh->rtnh_len < sizeof(*nh) || nh->rtnh_len > left)
			return -EBADMSG;
		attrs_parse(&nested, p + sizeof(*nh), nh->rtnh_len - sizeof(*nh));
		hop = arena_push(a, r->hops, r->n_hops, cap);
		hop->link = nh->rtnh_ifindex;
		hop->flags = nh->rtnh_flags;
		hop->weight = nh->rtnh_hops + 1U;
		hop->via = get_gateway(&nested, r->family);
		if (nested.bad)
			return -EBADMSG;
		step = RTNH_ALIGN(nh->rtnh_len);
		step = step < left ? step : left;
		p += step;
		left -= step;
	}
	return 0;
}

static bool refuses(uint8_t type)
{
	return type == RTN_UNREACHABLE || type == RTN_PROHIBIT || type == RTN_BLACKHOLE ||
	       type == RTN_THROW;
}

int rtnl_decode_route_table(const struct nlmsghdr *nlh, uint32_t *ret)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct attrs t;
	uint32_t table;

	if (!attrs_of_message(&t, nlh, sizeof(*rtm)))
		return -EBADMSG;
	table = attrs_u32(&t, RTA_TABLE, rtm->rtm_table);
	if (t.bad)
		return -EBADMSG;
	*ret = table;
	return 1;
}

int rtnl_decode_route_link(const struct nlmsghdr *nlh, int *ret)
{
	const struct nlattr *a;
	int link = 0;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)))
		return -EBADMSG;
	mnl_attr_for_each(a, nlh, sizeof(struct rtmsg))
	{
		if (mnl_attr_get_type(a) != RTA_OIF)
			continue;
		if (mnl_attr_validate(a, MNL_TYPE_U32) < 0)
			return -EBADMSG;
		link = (int)mnl_attr_get_u32(a);
	}
	*ret = link;
	return 1;
}

static int decode_ways(struct arena *a, const struct rtmsg *rtm, struct attrs *t, struct route *r)
{
	struct hop hop = { .weight = 1, .flags = (uint8_t)rtm->rtm_flags };

	if (refuses(r->type))
		return 0;
	if (t->at[RTA_MULTIPATH])
		return decode_hops(a, t, r);
	hop.link = (int)attrs_u32(t, RTA_OIF, 0);
	hop.via = get_gateway(t, r->family);
	if (!hop.link && ip_is_none(&hop.via))
		return 0;
	r->hops = arena_new(a, struct hop);
	r->hops[0] = hop;
	r->n_hops = 1;
	return 0;
}

int rtnl_decode_route(struct arena *a, const struct nlmsghdr *nlh, struct route *ret)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	struct attrs t, metrics;
	struct route r = { 0 };

	if (!attrs_of_message(&t, nlh, sizeof(*rtm)))
		return -EBADMSG;
	if (!is_ip_family(rtm->rtm_family) || (rtm->rtm_flags & RTM_F_CLONED))
		return 0;
	r.family = rtm->rtm_family;
	if (rtm->rtm_dst_len > ip_bits(r.family) || rtm->rtm_src_len > ip_bits(r.family))
		return -EBADMSG;
	r.type = rtm->rtm_type;
	r.scope = rtm->rtm_scope;
	r.protocol = rtm->rtm_protocol;
	r.tos = rtm->rtm_tos;
	/* The low byte is the hop's (RTNH_F_*). */
	r.flags = rtm->rtm_flags & ~0xffU;
	r.table = attrs_u32(&t, RTA_TABLE, rtm->rtm_table);
	r.metric = attrs_u32(&t, RTA_PRIORITY, 0);
	r.nexthop_id = attrs_u32(&t, RTA_NH_ID, 0);
	r.pref = attrs_u8(&t, RTA_PREF, 0);
	r.dst = (struct prefix){ .ip = attrs_ip(&t, RTA_DST, r.family), .len = rtm->rtm_dst_len };
	r.dst.ip.family = r.family;
	if (rtm->rtm_src_len)
		r.src = (struct prefix){ .ip = attrs_ip(&t, RTA_SRC, r.family),
					 .len = rtm->rtm_src_len };
	r.prefsrc = attrs_ip(&t, RTA_PREFSRC, r.family);
	attrs_nest(&t, RTA_METRICS, &metrics);
	r.mtu = attrs_u32(&metrics, RTAX_MTU, 0);
	if (decode_ways(a, rtm, &t, &r) < 0 || t.bad || metrics.bad)
		return -EBADMSG;
	*ret = r;
	return 1;
}

static int decode_members(struct arena *a, struct attrs *t, struct nexthop_seen *n)
{
	const struct nlattr *group = t->at[NHA_GROUP];
	size_t size = group ? mnl_attr_get_payload_len(group) : 0;

	if (size % sizeof(struct nexthop_grp))
		return -EBADMSG;
	n->n_members = size / sizeof(struct nexthop_grp);
	n->members = arena_alloc(a, n->n_members * sizeof(*n->members));
	for (size_t i = 0; i < n->n_members; i++) {
		struct nexthop_grp g;

		memcpy(&g, (const char *)mnl_attr_get_payload(group) + i * sizeof(g), sizeof(g));
		n->members[i] = (struct nexthop_member){ .id = g.id, .weight = g.weight + 1U };
	}
	return 0;
}

int rtnl_decode_nexthop(struct arena *a, const struct nlmsghdr *nlh, struct nexthop_seen *ret)
{
	const struct nhmsg *nhm = mnl_nlmsg_get_payload(nlh);
	struct nexthop_seen n = { 0 };
	struct attrs t;

	if (!attrs_of_message(&t, nlh, sizeof(*nhm)))
		return -EBADMSG;
	/* A group, and a blackhole of none, have no family. */
	n.family = is_ip_family(nhm->nh_family) ? nhm->nh_family : AF_UNSPEC;
	n.protocol = nhm->nh_protocol;
	n.scope = nhm->nh_scope;
	n.flags = nhm->nh_flags;
	n.id = attrs_u32(&t, NHA_ID, 0);
	n.link = (int)attrs_u32(&t, NHA_OIF, 0);
	n.blackhole = t.at[NHA_BLACKHOLE] != NULL;
	n.fdb = t.at[NHA_FDB] != NULL;
	if (n.family)
		n.via = attrs_ip(&t, NHA_GATEWAY, n.family);
	if (decode_members(a, &t, &n) < 0 || t.bad || !n.id || n.link < 0)
		return -EBADMSG;
	*ret = n;
	return 1;
}

static bool rule_models(int type)
{
	switch (type) {
	case FRA_UNSPEC:
	case FRA_DST:
	case FRA_SRC:
	case FRA_IIFNAME:
	case FRA_GOTO:
	case FRA_PRIORITY:
	case FRA_FWMARK:
	case FRA_TUN_ID:
	case FRA_SUPPRESS_IFGROUP:
	case FRA_SUPPRESS_PREFIXLEN:
	case FRA_TABLE:
	case FRA_FWMASK:
	case FRA_OIFNAME:
	case FRA_PAD:
	case FRA_L3MDEV:
	case FRA_UID_RANGE:
	case FRA_PROTOCOL:
	case FRA_IP_PROTO:
	case FRA_SPORT_RANGE:
	case FRA_DPORT_RANGE:
	case RULE_DSCP:
	case RULE_DSCP_MASK:
	case RULE_FLOWLABEL:
	case RULE_FLOWLABEL_MASK:
	case RULE_SPORT_MASK:
	case RULE_DPORT_MASK:
		return true;
	}
	return false;
}

/* Names of what may yet come are not to be had: numbers, but for the one that is old. */
static void note_unknown(const struct attrs *t, char *text, size_t size)
{
	size_t len = 0;

	for (int type = 0; type < ATTRS_MAX && len < size; type++) {
		const char *comma = len ? ", " : "";

		if (!t->at[type] || rule_models(type))
			continue;
		if (type == FRA_FLOW)
			len += (size_t)snprintf(text + len, size - len, "%srealms", comma);
		else
			len += (size_t)snprintf(text + len, size - len, "%sattribute %d", comma,
						type);
	}
}

static struct prefix get_rule_prefix(struct attrs *t, int type, sa_family_t family, uint8_t len)
{
	struct prefix p = { .len = len };

	if (!len)
		return p;
	p.ip = attrs_ip(t, type, family);
	if (len > ip_bits(family) || ip_is_none(&p.ip))
		t->bad = true;
	return p;
}

static struct rule_range get_ports(struct attrs *t, int type, bool *ret_has)
{
	const struct fib_rule_port_range *p = attrs_bytes(t, type, sizeof(*p));

	*ret_has = p != NULL;
	return p ? (struct rule_range){ p->start, p->end } : (struct rule_range){ 0 };
}

/* The kernel adds a full mask to a single value, which says nothing new. */
static uint16_t mask_or_none(unsigned int mask, unsigned int full)
{
	return (uint16_t)(mask == full ? 0 : mask);
}

static void get_masked(struct attrs *t, struct rule *r)
{
	r->sport_mask = mask_or_none(attrs_u16(t, RULE_SPORT_MASK), 0xffff);
	r->dport_mask = mask_or_none(attrs_u16(t, RULE_DPORT_MASK), 0xffff);
	r->has_dscp = t->at[RULE_DSCP] != NULL;
	r->dscp = attrs_u8(t, RULE_DSCP, 0);
	r->dscp_mask = (uint8_t)mask_or_none(attrs_u8(t, RULE_DSCP_MASK, 0), 0x3f);
	r->flowlabel = ntohl(attrs_u32(t, RULE_FLOWLABEL, 0));
	r->flowlabel_mask = ntohl(attrs_u32(t, RULE_FLOWLABEL_MASK, 0));
}

static void get_selectors(struct attrs *t, struct rule *r)
{
	const struct fib_rule_uid_range *uid = attrs_bytes(t, FRA_UID_RANGE, sizeof(*uid));

	get_masked(t, r);
	r->mark = attrs_u32(t, FRA_FWMARK, 0);
	r->mark_mask = attrs_u32(t, FRA_FWMASK, r->mark ? UINT32_MAX : 0);
	r->has_mark = r->mark || r->mark_mask;
	r->ip_proto = attrs_u8(t, FRA_IP_PROTO, 0);
	r->l3mdev = attrs_u8(t, FRA_L3MDEV, 0) != 0;
	r->tun_id = attrs_be64(t, FRA_TUN_ID);
	r->sport = get_ports(t, FRA_SPORT_RANGE, &r->has_sport);
	r->dport = get_ports(t, FRA_DPORT_RANGE, &r->has_dport);
	r->has_uid = uid != NULL;
	if (uid)
		r->uid = (struct rule_range){ uid->start, uid->end };
	attrs_text(t, FRA_IIFNAME, r->iif, sizeof(r->iif));
	attrs_text(t, FRA_OIFNAME, r->oif, sizeof(r->oif));
}

int rtnl_decode_rule(const struct nlmsghdr *nlh, struct rule *ret)
{
	const struct fib_rule_hdr *frh = mnl_nlmsg_get_payload(nlh);
	struct rule r = { 0 };
	struct attrs t;

	if (!attrs_of_message(&t, nlh, sizeof(*frh)))
		return -EBADMSG;
	if (!is_ip_family(frh->family))
		return 0;
	r.family = frh->family;
	r.action = frh->action;
	r.tos = frh->tos;
	r.flags = frh->flags;
	r.invert = (frh->flags & FIB_RULE_INVERT) != 0;
	r.find_saddr = (frh->flags & FIB_RULE_FIND_SADDR) != 0;
	r.priority = attrs_u32(&t, FRA_PRIORITY, 0);
	r.protocol = attrs_u8(&t, FRA_PROTOCOL, 0);
	r.table = attrs_u32(&t, FRA_TABLE, frh->table);
	r.target = attrs_u32(&t, FRA_GOTO, 0);
	r.suppress_len = (int)attrs_u32(&t, FRA_SUPPRESS_PREFIXLEN, UINT32_MAX);
	r.suppress_group = (int)attrs_u32(&t, FRA_SUPPRESS_IFGROUP, UINT32_MAX);
	r.from = get_rule_prefix(&t, FRA_SRC, r.family, frh->src_len);
	r.to = get_rule_prefix(&t, FRA_DST, r.family, frh->dst_len);
	get_selectors(&t, &r);
	note_unknown(&t, r.unknown, sizeof(r.unknown));
	if (t.bad)
		return -EBADMSG;
	*ret = r;
	return 1;
}

int rtnl_decode_error(const struct nlmsghdr *nlh, char *ret_text, size_t size)
{
	const struct nlmsgerr *err = mnl_nlmsg_get_payload(nlh);
	size_t start = NLMSG_HDRLEN + sizeof(int);
	struct attrs t;
	int code;

	ret_text[0] = 0;
	if (nlh->nlmsg_len < start)
		return EBADMSG;
	memcpy(&code, err, sizeof(code));
	/* The kernel's errors lie in -MAX_ERRNO..0; INT_MIN has no negation. */
	if (code > 0 || code < -4095)
		return EBADMSG;
	if (!(nlh->nlmsg_flags & NLM_F_ACK_TLVS))
		return -code;
	if (nlh->nlmsg_type == NLMSG_ERROR) {
		start = NLMSG_HDRLEN + sizeof(*err);
		if (nlh->nlmsg_len < start)
			return EBADMSG;
		/* The request is echoed unless NETLINK_CAP_ACK is on. */
		if (!(nlh->nlmsg_flags & NLM_F_CAPPED)) {
			if (err->msg.nlmsg_len < NLMSG_HDRLEN ||
			    err->msg.nlmsg_len > nlh->nlmsg_len)
				return -code;
			start += NLMSG_ALIGN(err->msg.nlmsg_len) - NLMSG_HDRLEN;
		}
	}
	if (start >= nlh->nlmsg_len)
		return -code;
	attrs_parse(&t, (const char *)nlh + start, nlh->nlmsg_len - start);
	attrs_text(&t, NLMSGERR_ATTR_MSG, ret_text, size);
	return -code;
}
