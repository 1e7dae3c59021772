/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/rtnl_encode.h"

#include "wire/rtnl_attrs.h"

#include <arpa/inet.h>
#include <endian.h>
#include <libmnl/libmnl.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>

static struct nlmsghdr *start(struct rtnl_message *m, uint16_t type)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	return nlh;
}

static void put_ip(struct nlmsghdr *nlh, uint16_t type, const struct ip *ip)
{
	if (!ip_is_none(ip))
		mnl_attr_put(nlh, type, ip_bits(ip->family) / 8, ip->byte);
}

/*
 * Strict checking wants each dump's own header, with nothing in it but the
 * family.
 */
struct nlmsghdr *rtnl_encode_dump(struct rtnl_message *m, uint16_t type, sa_family_t family)
{
	struct nlmsghdr *nlh = start(m, type);
	struct ifinfomsg *ifi;
	struct ifaddrmsg *ifa;
	struct rtmsg *rtm;
	struct netconfmsg *ncm;
	struct fib_rule_hdr *frh;
	struct nhmsg *nhm;

	nlh->nlmsg_flags |= NLM_F_DUMP;
	switch (type) {
	case RTM_GETLINK:
		ifi = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifi));
		ifi->ifi_family = (unsigned char)family;
		mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
		break;
	case RTM_GETADDR:
		ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));
		ifa->ifa_family = (unsigned char)family;
		break;
	case RTM_GETROUTE:
		rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
		rtm->rtm_family = (unsigned char)family;
		break;
	case RTM_GETRULE:
		frh = mnl_nlmsg_put_extra_header(nlh, sizeof(*frh));
		frh->family = (unsigned char)family;
		break;
	case RTM_GETNEXTHOP:
		nhm = mnl_nlmsg_put_extra_header(nlh, sizeof(*nhm));
		nhm->nh_family = (unsigned char)family;
		break;
	case RTM_GETNETCONF:
		ncm = mnl_nlmsg_put_extra_header(nlh, sizeof(*ncm));
		ncm->ncm_family = (unsigned char)family;
		break;
	}
	return nlh;
}

struct nlmsghdr *rtnl_encode_dump_addresses(struct rtnl_message *m, sa_family_t family, int index)
{
	struct nlmsghdr *nlh = rtnl_encode_dump(m, RTM_GETADDR, family);
	struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);

	ifa->ifa_index = (unsigned int)index;
	return nlh;
}

struct nlmsghdr *rtnl_encode_dump_routes(struct rtnl_message *m, sa_family_t family, uint32_t table,
					 int link, uint8_t type)
{
	struct nlmsghdr *nlh = rtnl_encode_dump(m, RTM_GETROUTE, family);
	struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	rtm->rtm_type = type;
	if (table)
		mnl_attr_put_u32(nlh, RTA_TABLE, table);
	if (link)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)link);
	return nlh;
}

struct nlmsghdr *rtnl_encode_address(struct rtnl_message *m, uint16_t type,
				     const struct address *addr)
{
	struct nlmsghdr *nlh = start(m, type);
	struct ifaddrmsg *ifa = mnl_nlmsg_put_extra_header(nlh, sizeof(*ifa));

	ifa->ifa_family = (unsigned char)addr->local.family;
	ifa->ifa_prefixlen = addr->len;
	ifa->ifa_flags = (unsigned char)addr->flags;
	ifa->ifa_scope = addr->scope;
	ifa->ifa_index = (unsigned int)addr->link;
	put_ip(nlh, IFA_LOCAL, &addr->local);
	put_ip(nlh, IFA_ADDRESS, ip_is_none(&addr->peer) ? &addr->local : &addr->peer);
	mnl_attr_put_u32(nlh, IFA_FLAGS, addr->flags);
	if (addr->metric)
		mnl_attr_put_u32(nlh, IFA_RT_PRIORITY, addr->metric);
	return nlh;
}

static void put_gateway(struct nlmsghdr *nlh, sa_family_t family, const struct ip *via)
{
	struct {
		__kernel_sa_family_t family;
		uint8_t addr[16];
	} other = { .family = via->family };

	if (via->family == family || ip_is_none(via)) {
		put_ip(nlh, RTA_GATEWAY, via);
		return;
	}
	memcpy(other.addr, via->byte, sizeof(other.addr));
	mnl_attr_put(nlh, RTA_VIA, sizeof(other.family) + ip_bits(via->family) / 8, &other);
}

static void put_hops(struct nlmsghdr *nlh, const struct route *r)
{
	struct nlattr *nest = mnl_attr_nest_start(nlh, RTA_MULTIPATH);

	for (size_t i = 0; i < r->n_hops; i++) {
		struct rtnexthop *nh = mnl_nlmsg_get_payload_tail(nlh);

		*nh = (struct rtnexthop){ .rtnh_flags = r->hops[i].flags & RTNH_F_ONLINK,
					  .rtnh_hops = (unsigned char)(r->hops[i].weight - 1),
					  .rtnh_ifindex = r->hops[i].link };
		nlh->nlmsg_len += sizeof(*nh);
		put_gateway(nlh, r->family, &r->hops[i].via);
		nh->rtnh_len =
			(unsigned short)((char *)mnl_nlmsg_get_payload_tail(nlh) - (char *)nh);
	}
	mnl_attr_nest_end(nlh, nest);
}

static void put_ways(struct nlmsghdr *nlh, struct rtmsg *rtm, const struct route *r)
{
	if (r->nexthop_id) {
		mnl_attr_put_u32(nlh, RTA_NH_ID, r->nexthop_id);
		return;
	}
	if (r->n_hops > 1) {
		put_hops(nlh, r);
		return;
	}
	if (!r->n_hops) {
		/*
		 * IPv6 deletes by the link and never looks at the type: without lo
		 * (always 1) the first route of this metric would go.
		 */
		if (r->family == AF_INET6 && nlh->nlmsg_type == RTM_DELROUTE)
			mnl_attr_put_u32(nlh, RTA_OIF, 1);
		return;
	}
	rtm->rtm_flags |= r->hops[0].flags & RTNH_F_ONLINK;
	if (r->hops[0].link)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)r->hops[0].link);
	put_gateway(nlh, r->family, &r->hops[0].via);
}

struct nlmsghdr *rtnl_encode_route(struct rtnl_message *m, uint16_t type, const struct route *r)
{
	struct nlmsghdr *nlh = start(m, type);
	struct rtmsg *rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	struct nlattr *nest;

	if (r->n_hops > RTNL_HOPS_MAX)
		return NULL;
	rtm->rtm_family = (unsigned char)r->family;
	rtm->rtm_dst_len = r->dst.len;
	rtm->rtm_src_len = r->src.len;
	rtm->rtm_tos = r->tos;
	rtm->rtm_table = r->table < 256 ? (unsigned char)r->table : RT_TABLE_UNSPEC;
	rtm->rtm_protocol = r->protocol;
	rtm->rtm_scope = r->scope;
	rtm->rtm_type = r->type;
	mnl_attr_put_u32(nlh, RTA_TABLE, r->table);
	if (r->dst.len)
		put_ip(nlh, RTA_DST, &r->dst.ip);
	if (r->src.len)
		put_ip(nlh, RTA_SRC, &r->src.ip);
	if (r->metric)
		mnl_attr_put_u32(nlh, RTA_PRIORITY, r->metric);
	put_ip(nlh, RTA_PREFSRC, &r->prefsrc);
	if (r->pref)
		mnl_attr_put_u8(nlh, RTA_PREF, r->pref);
	/* Not on deletion: IPv4 would compare them. */
	if (r->mtu && type == RTM_NEWROUTE) {
		nest = mnl_attr_nest_start(nlh, RTA_METRICS);
		mnl_attr_put_u32(nlh, RTAX_MTU, r->mtu);
		mnl_attr_nest_end(nlh, nest);
	}
	put_ways(nlh, rtm, r);
	return nlh;
}

static void put_ports(struct nlmsghdr *nlh, uint16_t type, const struct rule_range *range)
{
	struct fib_rule_port_range ports = { (uint16_t)range->first, (uint16_t)range->last };

	mnl_attr_put(nlh, type, sizeof(ports), &ports);
}

static void put_masked(struct nlmsghdr *nlh, const struct rule *r)
{
	if (r->sport_mask)
		mnl_attr_put_u16(nlh, RULE_SPORT_MASK, r->sport_mask);
	if (r->dport_mask)
		mnl_attr_put_u16(nlh, RULE_DPORT_MASK, r->dport_mask);
	if (r->has_dscp)
		mnl_attr_put_u8(nlh, RULE_DSCP, r->dscp);
	if (r->dscp_mask)
		mnl_attr_put_u8(nlh, RULE_DSCP_MASK, r->dscp_mask);
	if (!r->flowlabel_mask)
		return;
	mnl_attr_put_u32(nlh, RULE_FLOWLABEL, htonl(r->flowlabel));
	mnl_attr_put_u32(nlh, RULE_FLOWLABEL_MASK, htonl(r->flowlabel_mask));
}

static void put_selectors(struct nlmsghdr *nlh, const struct rule *r)
{
	struct fib_rule_uid_range uid = { r->uid.first, r->uid.last };

	if (r->from.len)
		put_ip(nlh, FRA_SRC, &r->from.ip);
	if (r->to.len)
		put_ip(nlh, FRA_DST, &r->to.ip);
	if (r->iif[0])
		mnl_attr_put_strz(nlh, FRA_IIFNAME, r->iif);
	if (r->oif[0])
		mnl_attr_put_strz(nlh, FRA_OIFNAME, r->oif);
	if (r->has_mark) {
		mnl_attr_put_u32(nlh, FRA_FWMARK, r->mark);
		mnl_attr_put_u32(nlh, FRA_FWMASK, r->mark_mask);
	}
	if (r->has_uid)
		mnl_attr_put(nlh, FRA_UID_RANGE, sizeof(uid), &uid);
	if (r->ip_proto)
		mnl_attr_put_u8(nlh, FRA_IP_PROTO, r->ip_proto);
	if (r->has_sport)
		put_ports(nlh, FRA_SPORT_RANGE, &r->sport);
	if (r->has_dport)
		put_ports(nlh, FRA_DPORT_RANGE, &r->dport);
	if (r->tun_id)
		mnl_attr_put_u64(nlh, FRA_TUN_ID, htobe64(r->tun_id));
	if (r->l3mdev)
		mnl_attr_put_u8(nlh, FRA_L3MDEV, 1);
	put_masked(nlh, r);
}

struct nlmsghdr *rtnl_encode_rule(struct rtnl_message *m, uint16_t type, const struct rule *r)
{
	struct nlmsghdr *nlh = start(m, type);
	struct fib_rule_hdr *frh = mnl_nlmsg_put_extra_header(nlh, sizeof(*frh));

	frh->family = (unsigned char)r->family;
	frh->src_len = r->from.len;
	frh->dst_len = r->to.len;
	frh->tos = r->tos;
	frh->table = r->table < 256 ? (unsigned char)r->table : RT_TABLE_UNSPEC;
	frh->action = r->action;
	/* The other flags are the kernel's to set. */
	frh->flags = (r->invert ? FIB_RULE_INVERT : 0U) |
		     (r->find_saddr ? FIB_RULE_FIND_SADDR : 0U);
	mnl_attr_put_u32(nlh, FRA_PRIORITY, r->priority);
	if (r->table)
		mnl_attr_put_u32(nlh, FRA_TABLE, r->table);
	if (r->target)
		mnl_attr_put_u32(nlh, FRA_GOTO, r->target);
	if (r->protocol)
		mnl_attr_put_u8(nlh, FRA_PROTOCOL, r->protocol);
	if (r->suppress_len >= 0)
		mnl_attr_put_u32(nlh, FRA_SUPPRESS_PREFIXLEN, (uint32_t)r->suppress_len);
	if (r->suppress_group >= 0)
		mnl_attr_put_u32(nlh, FRA_SUPPRESS_IFGROUP, (uint32_t)r->suppress_group);
	put_selectors(nlh, r);
	return nlh;
}

struct nlmsghdr *rtnl_encode_listed_rule(struct rtnl_message *m, uint16_t type,
					 const struct nlmsghdr *listed)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)m->bytes;
	struct fib_rule_hdr *frh;
	const struct nlattr *a;

	if (listed->nlmsg_len < NLMSG_HDRLEN + sizeof(*frh) ||
	    listed->nlmsg_len > sizeof(m->bytes) - 64)
		return NULL;
	memcpy(nlh, listed, listed->nlmsg_len);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nlh->nlmsg_pid = 0;
	frh = mnl_nlmsg_get_payload(nlh);
	frh->flags &= FIB_RULE_INVERT | FIB_RULE_FIND_SADDR;
	mnl_attr_for_each(a, nlh, sizeof(*frh))
	{
		if (mnl_attr_get_type(a) == FRA_PRIORITY)
			return nlh;
	}
	/* The kernel lists no priority for 0, and without one it would choose its own. */
	mnl_attr_put_u32(nlh, FRA_PRIORITY, 0);
	return nlh;
}

static struct ifinfomsg *start_link(struct rtnl_message *m, uint16_t type, int index,
				    struct nlmsghdr **ret)
{
	struct ifinfomsg *ifi;

	*ret = start(m, type);
	ifi = mnl_nlmsg_put_extra_header(*ret, sizeof(*ifi));
	ifi->ifi_index = index;
	return ifi;
}

struct nlmsghdr *rtnl_encode_link_get(struct rtnl_message *m, const char *name)
{
	struct nlmsghdr *nlh;

	start_link(m, RTM_GETLINK, 0, &nlh);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return nlh;
}

struct nlmsghdr *rtnl_encode_link_at(struct rtnl_message *m, int index)
{
	struct nlmsghdr *nlh;

	start_link(m, RTM_GETLINK, index, &nlh);
	mnl_attr_put_u32(nlh, IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
	return nlh;
}

static void put_plain(struct nlmsghdr *nlh)
{
	struct nlattr *families, *ipv6;

	families = mnl_attr_nest_start(nlh, IFLA_AF_SPEC);
	ipv6 = mnl_attr_nest_start(nlh, AF_INET6);
	mnl_attr_put_u8(nlh, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
	mnl_attr_nest_end(nlh, ipv6);
	mnl_attr_nest_end(nlh, families);
}

struct nlmsghdr *rtnl_encode_link_delete(struct rtnl_message *m, int index)
{
	struct nlmsghdr *nlh;

	start_link(m, RTM_DELLINK, index, &nlh);
	return nlh;
}

struct nlmsghdr *rtnl_encode_link_add(struct rtnl_message *m, const char *name, const char *kind,
				      int netns_fd)
{
	struct nlmsghdr *nlh;
	struct nlattr *info;

	start_link(m, RTM_NEWLINK, 0, &nlh);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	if (netns_fd >= 0)
		mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)netns_fd);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, kind);
	mnl_attr_nest_end(nlh, info);
	return nlh;
}

/*
 * One queue each way is what the kernel uses unless it is told otherwise.  But from
 * 5.15 on it makes one for each CPU first, and waits for a grace period of RCU to
 * take the others out of use: six times in a start.
 */
static void put_one_queue(struct nlmsghdr *nlh)
{
	mnl_attr_put_u32(nlh, IFLA_NUM_TX_QUEUES, 1);
	mnl_attr_put_u32(nlh, IFLA_NUM_RX_QUEUES, 1);
}

struct nlmsghdr *rtnl_encode_veth_add(struct rtnl_message *m, const struct veth *v)
{
	struct nlmsghdr *nlh;
	struct nlattr *info, *data, *peer;

	start_link(m, RTM_NEWLINK, v->index, &nlh);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, v->name);
	put_one_queue(nlh);
	if (v->mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, v->mtu);
	if (v->mac)
		mnl_attr_put(nlh, IFLA_ADDRESS, 6, v->mac);
	info = mnl_attr_nest_start(nlh, IFLA_LINKINFO);
	mnl_attr_put_strz(nlh, IFLA_INFO_KIND, "veth");
	data = mnl_attr_nest_start(nlh, IFLA_INFO_DATA);
	peer = mnl_attr_nest_start(nlh, VETH_INFO_PEER);
	/* The nest begins with a header of its own, not with an attribute. */
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct ifinfomsg));
	mnl_attr_put_strz(nlh, IFLA_IFNAME, v->peer_name);
	put_one_queue(nlh);
	if (v->mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, v->mtu);
	if (v->peer_netns_fd >= 0)
		mnl_attr_put_u32(nlh, IFLA_NET_NS_FD, (uint32_t)v->peer_netns_fd);
	mnl_attr_nest_end(nlh, peer);
	mnl_attr_nest_end(nlh, data);
	mnl_attr_nest_end(nlh, info);
	return nlh;
}

struct nlmsghdr *rtnl_encode_link_free(struct rtnl_message *m, int index)
{
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi = start_link(m, RTM_NEWLINK, index, &nlh);

	ifi->ifi_change = IFF_NOARP;
	mnl_attr_put_u32(nlh, IFLA_MASTER, 0);
	return nlh;
}

struct nlmsghdr *rtnl_encode_link_up(struct rtnl_message *m, int index, bool up)
{
	struct nlmsghdr *nlh;
	struct ifinfomsg *ifi = start_link(m, RTM_NEWLINK, index, &nlh);

	ifi->ifi_flags = up ? IFF_UP : 0;
	ifi->ifi_change = IFF_UP;
	return nlh;
}

struct nlmsghdr *rtnl_encode_link_rename(struct rtnl_message *m, int index, const char *name)
{
	struct nlmsghdr *nlh;

	start_link(m, RTM_NEWLINK, index, &nlh);
	mnl_attr_put_strz(nlh, IFLA_IFNAME, name);
	return nlh;
}

struct nlmsghdr *rtnl_encode_link_dress(struct rtnl_message *m, int index, uint32_t mtu,
					const char *alias, bool plain)
{
	struct nlmsghdr *nlh;

	start_link(m, RTM_NEWLINK, index, &nlh);
	if (mtu)
		mnl_attr_put_u32(nlh, IFLA_MTU, mtu);
	if (alias)
		mnl_attr_put(nlh, IFLA_IFALIAS, strnlen(alias, LINK_TEXT_SIZE - 1), alias);
	if (plain)
		put_plain(nlh);
	return nlh;
}
