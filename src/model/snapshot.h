/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_SNAPSHOT_H
#define MODEL_SNAPSHOT_H

#include "base/arena.h"
#include "model/ip.h"

#include <stddef.h>

/*
 * The network of one namespace as plain values, as the kernel tells it
 * (rtnetlink(7)) or as a file of another machine tells it.  Everything that
 * decides where a packet goes is here; counters and neighbours are not.
 * Constants are the kernel's own (linux/rtnetlink.h, linux/fib_rules.h).
 */

#define LINK_NAME_SIZE 16
#define LINK_TEXT_SIZE 256
#define LINK_LOOPBACK  1 /* index of lo, in every namespace */

struct link {
	int index;
	char name[LINK_NAME_SIZE];
	char alias[LINK_TEXT_SIZE];
	char kind[LINK_NAME_SIZE]; /* "veth", "tun", "wireguard", "" for a real device */
	uint32_t flags; /* IFF_* of linux/if.h; IFF_LOWER_UP tells the carrier */
	uint32_t mtu; /* bytes */
	uint32_t group; /* IFLA_GROUP, 0 is the default one */
	int master; /* index, 0 for none */
	int peer; /* IFLA_LINK: index of the other end, 0 for none */
	bool has_mac;
	uint8_t mac[6];
};

struct address {
	int link; /* index */
	struct ip local;
	struct ip peer; /* none unless point-to-point */
	uint8_t len; /* of snapshot_address_net() */
	uint8_t scope; /* RT_SCOPE_* */
	uint32_t flags; /* IFA_F_* */
	uint32_t metric; /* IFA_RT_PRIORITY: of the connected route, 0 is default */
};

struct hop {
	int link; /* index, 0 for none (blackhole and the like) */
	struct ip via; /* none when on-link; may be of the other family */
	uint8_t flags; /* RTNH_F_ONLINK, _DEAD, _LINKDOWN */
	uint32_t weight; /* 1.. ; of a multipath route */
};

struct route {
	sa_family_t family;
	uint8_t type; /* RTN_* */
	uint8_t scope; /* RT_SCOPE_* */
	uint8_t protocol; /* RTPROT_* */
	uint8_t tos;
	uint8_t pref; /* RTA_PREF of IPv6: 0 medium, 1 high, 3 low (RFC 4191) */
	uint32_t table;
	uint32_t metric; /* RTA_PRIORITY */
	uint32_t nexthop_id; /* RTA_NH_ID, 0 for none; hops are filled in then too */
	uint32_t mtu; /* RTAX_MTU, 0 for none */
	uint32_t flags; /* rtm_flags: RTM_F_CLONED, ... */
	struct prefix dst;
	struct prefix src; /* IPv6 subtrees; len 0 otherwise */
	struct ip prefsrc; /* none if not given */
	struct hop *hops;
	size_t n_hops;
};

struct rule_range {
	uint32_t first; /* both inclusive; first > last means not given */
	uint32_t last;
};

struct rule {
	sa_family_t family;
	uint32_t priority;
	uint8_t action; /* FR_ACT_* of linux/fib_rules.h */
	uint8_t protocol; /* FRA_PROTOCOL */
	uint8_t tos;
	uint8_t ip_proto; /* IPPROTO_*, 0 for any */
	bool invert; /* FIB_RULE_INVERT: "not" */
	bool find_saddr; /* FIB_RULE_FIND_SADDR */
	bool l3mdev;
	uint32_t flags; /* the kernel's word, as it is */
	uint32_t table;
	uint32_t target; /* of FR_ACT_GOTO */
	uint32_t mark;
	uint32_t mark_mask;
	bool has_mark;
	int suppress_len; /* FRA_SUPPRESS_PREFIXLEN, -1 for none */
	int suppress_group; /* FRA_SUPPRESS_IFGROUP, -1 for none */
	bool has_uid;
	struct rule_range uid;
	bool has_sport, has_dport;
	struct rule_range sport;
	struct rule_range dport;
	uint16_t sport_mask; /* FRA_SPORT_MASK, 0 for none: first is the value then */
	uint16_t dport_mask;
	bool has_dscp; /* FRA_DSCP: all six bits, where tos knows three */
	uint8_t dscp;
	uint8_t dscp_mask; /* 0 means all six */
	uint32_t flowlabel; /* FRA_FLOWLABEL, host order */
	uint32_t flowlabel_mask; /* 0 for any label */
	uint64_t tun_id;
	struct prefix from; /* family 0 for any */
	struct prefix to;
	char iif[LINK_NAME_SIZE]; /* "" for any */
	char oif[LINK_NAME_SIZE];
	char unknown[64]; /* names of attributes we cannot model, "" if none */
};

struct snapshot {
	struct link *links;
	size_t n_links, cap_links;
	struct address *addresses;
	size_t n_addresses, cap_addresses;
	struct route *routes;
	size_t n_routes, cap_routes;
	struct rule *rules; /* as the kernel lists them: per family by priority */
	size_t n_rules, cap_rules;
};

const struct link *snapshot_link_by_index(const struct snapshot *s, int index);
const struct link *snapshot_link_by_name(const struct snapshot *s, const char *name);
/* The VRF that link @index is, or belongs to; NULL for none. */
const struct link *snapshot_vrf_of(const struct snapshot *s, int index);
/* The connected prefix: the peer's when there is one. */
struct prefix snapshot_address_net(const struct address *x);
/* True if @ip stands on any link. */
bool snapshot_has_address(const struct snapshot *s, const struct ip *ip);
/* Do two routes lead over the same links by the same gateways, in the same order? */
bool snapshot_same_hops(const struct route *a, const struct route *b);
/* Do two rules say the same in every word but the kernel's flags, which change with its links? */
bool snapshot_same_rule(const struct rule *a, const struct rule *b);

/* In words what no kernel has: two links of one index or name.  NULL if there are none. */
const char *snapshot_twin_links(struct arena *a, const struct snapshot *s);

#endif
