/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_HOST_H
#define MODEL_HOST_H

#include "base/arena.h"
#include "model/container.h"
#include "model/snapshot.h"
#include "model/socket.h"

/*
 * One namespace with everything that sallyport asks of it: its routing, and
 * whom it serves.  Taken from the kernel (daemon/observe.h), or read from a
 * file of `sallyport snapshot` (wire/host_json.h) or of ip(8) (wire/ip_json.h).
 */

/* One file below /proc/sys/net, as the kernel writes it. */
struct sysctl_seen {
	const char *path; /* "ipv4/conf/eth0/rp_filter" */
	const char *value;
};

struct nexthop_member {
	uint32_t id;
	uint32_t weight; /* 1.. */
};

/* A next-hop object (ip-nexthop(8)); routes by one have their hops filled in as well. */
struct nexthop_seen {
	uint32_t id;
	sa_family_t family; /* 0 of a group */
	uint8_t protocol; /* RTPROT_* */
	uint8_t scope; /* RT_SCOPE_* */
	uint32_t flags; /* RTNH_F_* */
	bool blackhole;
	bool fdb; /* of a bridge's or VXLAN's table: no way for packets */
	int link; /* index, 0 for none */
	struct ip via;
	struct nexthop_member *members; /* of a group */
	size_t n_members;
};

/* A connection that passes through, as conntrack has it, both ways. */
struct flow_seen {
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	struct ip client; /* who began it */
	struct ip asked; /* the address that the client speaks to */
	struct ip inside; /* who answers */
	struct ip back; /* whom that one answers: the client, or who masks it */
	uint16_t client_port; /* host order */
	uint16_t asked_port;
	uint16_t inside_port;
	uint16_t back_port;
	uint32_t mark;
};

/* What is in a host; of the rest nothing is known. */
enum host_part {
	HOST_LINKS = 1 << 0, /* with their addresses */
	HOST_LINK_KINDS = 1 << 1,
	HOST_ROUTES4 = 1 << 2,
	HOST_ROUTES6 = 1 << 3,
	HOST_RULES4 = 1 << 4,
	HOST_RULES6 = 1 << 5,
	HOST_NEXTHOPS = 1 << 6,
	HOST_SYSCTLS = 1 << 7,
	HOST_SOCKETS = 1 << 8,
	HOST_CONTAINERS = 1 << 9, /* published ports and pools */
	HOST_DNS = 1 << 10,
	HOST_FLOWS = 1 << 11,
	HOST_NFT = 1 << 12, /* our own table */
	HOST_ALL = (1 << 13) - 1,
};

struct host {
	const char *name; /* of the machine, "" if not known */
	const char *place; /* of the namespace as the user named it, "" for the machine's own */
	const char *kernel; /* release, as uname(2) has it */
	const char *version; /* of the sallyport that took it */
	const char *taken; /* when, "2026-11-22T22:52:00Z" */
	uint32_t parts; /* HOST_* */
	struct snapshot net;
	struct nexthop_seen *nexthops;
	size_t n_nexthops, cap_nexthops;
	struct sysctl_seen *sysctls; /* in order of path */
	size_t n_sysctls, cap_sysctls;
	struct socket_seen *sockets;
	size_t n_sockets, cap_sockets;
	struct container_port *ports;
	size_t n_ports, cap_ports;
	struct container_pool *pools;
	size_t n_pools, cap_pools;
	struct ip *dns; /* name servers of resolv.conf(5) */
	size_t n_dns, cap_dns;
	struct flow_seen *flows;
	size_t n_flows, cap_flows;
	const char *nft; /* sallyport's own table as nft(8) lists it, "" for none */
	const char *dnat; /* who else rewrites destinations, in words, "" for nobody */
	/* SSH_CONNECTION of who took it; family 0: none. */
	struct ip session_peer;
	uint16_t session_port;
};

/* The sysctl @path ("ipv4/conf/eth0/rp_filter"); @absent if it is not known or no number. */
int host_sysctl_int(const struct host *h, const char *path, int absent);

/* In words for people: "links", "IPv4 routes", ... */
const char *host_part_name(enum host_part part);

/*
 * Where rules or routes of a family are not known, a first rule that cannot be
 * modelled stands for them, so that no lookup is made without them.
 */
void host_bar_unknown(struct arena *a, struct host *h);

#endif
