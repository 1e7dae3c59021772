/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_RTNL_ENCODE_H
#define WIRE_RTNL_ENCODE_H

#include "model/snapshot.h"

#include <linux/netlink.h>

/*
 * Values into rtnetlink(7) requests.  Each writes into @m and returns the
 * message there, with NLM_F_REQUEST; more flags and the sequence number are
 * the sender's.
 */
struct rtnl_message {
	_Alignas(8) char bytes[8192];
};

#define RTNL_HOPS_MAX 128

/* RTM_GETLINK, RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE and the like, of everything. */
struct nlmsghdr *rtnl_encode_dump(struct rtnl_message *m, uint16_t type, sa_family_t family);
/*
 * RTM_GETROUTE of what has this table, this link as one of its hops and this type
 * (RTN_*), of a socket with NETLINK_GET_STRICT_CHK; 0: of any.
 */
struct nlmsghdr *rtnl_encode_dump_routes(struct rtnl_message *m, sa_family_t family, uint32_t table,
					 int link, uint8_t type);

/* RTM_GETADDR of one link, likewise. */
struct nlmsghdr *rtnl_encode_dump_addresses(struct rtnl_message *m, sa_family_t family, int index);

/* @type is RTM_NEWADDR or RTM_DELADDR. */
struct nlmsghdr *rtnl_encode_address(struct rtnl_message *m, uint16_t type,
				     const struct address *addr);
/* RTM_NEWROUTE or RTM_DELROUTE; NULL for more than RTNL_HOPS_MAX hops. */
struct nlmsghdr *rtnl_encode_route(struct rtnl_message *m, uint16_t type, const struct route *r);
/* RTM_NEWRULE or RTM_DELRULE.  The priority is always given, 0 too. */
struct nlmsghdr *rtnl_encode_rule(struct rtnl_message *m, uint16_t type, const struct rule *r);
/*
 * A listed rule, attributes that struct rule cannot hold included, as a
 * request to add it once more or to delete it.  NULL if it does not fit.
 */
struct nlmsghdr *rtnl_encode_listed_rule(struct rtnl_message *m, uint16_t type,
					 const struct nlmsghdr *listed);

/* RTM_GETLINK of one, by name. */
struct nlmsghdr *rtnl_encode_link_get(struct rtnl_message *m, const char *name);
/* The same by index, and without its counters. */
struct nlmsghdr *rtnl_encode_link_at(struct rtnl_message *m, int index);
struct nlmsghdr *rtnl_encode_link_delete(struct rtnl_message *m, int index);
/* In the namespace @netns_fd, or with -1 in that of the socket. */
struct nlmsghdr *rtnl_encode_link_add(struct rtnl_message *m, const char *name, const char *kind,
				      int netns_fd);
/* Both ends down: a peer created with IFF_UP fails with ENOTCONN. */
struct veth {
	const char *name;
	int index; /* of this end; 0: the kernel's choice */
	const uint8_t *mac; /* likewise; NULL */
	uint32_t mtu; /* of both ends; 0 */
	const char *peer_name;
	int peer_netns_fd; /* -1: here, too */
};
struct nlmsghdr *rtnl_encode_veth_add(struct rtnl_message *m, const struct veth *v);
/* IFLA_MASTER 0, IFF_NOARP off. */
struct nlmsghdr *rtnl_encode_link_free(struct rtnl_message *m, int index);
struct nlmsghdr *rtnl_encode_link_up(struct rtnl_message *m, int index, bool up);
struct nlmsghdr *rtnl_encode_link_rename(struct rtnl_message *m, int index, const char *name);
/*
 * @mtu 0 and @alias NULL: as they are.  @plain: IPv6 gives it no address by itself (before
 * it is up; -EAFNOSUPPORT if it has no IPv6).
 */
struct nlmsghdr *rtnl_encode_link_dress(struct rtnl_message *m, int index, uint32_t mtu,
					const char *alias, bool plain);

#endif
