/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_RTNL_DECODE_H
#define WIRE_RTNL_DECODE_H

#include "base/arena.h"
#include "model/host.h"

#include <linux/netlink.h>

/*
 * One rtnetlink(7) message into one value.  @nlh->nlmsg_len is the size of the
 * memory behind @nlh; nothing else in the message is trusted.  Each returns 1
 * and the value, 0 if the message is none of ours (another family, a cached
 * route), -EBADMSG if it is cut off or an attribute has a wrong size.  @ret is
 * untouched unless 1 is returned.
 */
int rtnl_decode_link(const struct nlmsghdr *nlh, struct link *ret);
int rtnl_decode_address(const struct nlmsghdr *nlh, struct address *ret);

/*
 * Routes that refuse (unreachable, prohibit, blackhole, throw) have no hops:
 * IPv6 lists them by lo, IPv4 by nothing, and they mean the same.
 */
int rtnl_decode_route(struct arena *a, const struct nlmsghdr *nlh, struct route *ret);
/* The table alone, to pass over foreign routes without decoding them. */
int rtnl_decode_route_table(const struct nlmsghdr *nlh, uint32_t *ret);

/* What the kernel says and struct rule cannot stands by name in ret->unknown. */
int rtnl_decode_rule(const struct nlmsghdr *nlh, struct rule *ret);

/* A next-hop object. */
int rtnl_decode_nexthop(struct arena *a, const struct nlmsghdr *nlh, struct nexthop_seen *ret);

/* The link of which an RTM_NEWNETCONF tells: NETCONFA_IFINDEX_ALL or _DEFAULT if of none. */
int rtnl_decode_settings(const struct nlmsghdr *nlh, int *ret);

/*
 * The link by which a route leads, 0 if it does not say one; only that, to pass over
 * many routes without decoding them.
 */
int rtnl_decode_route_link(const struct nlmsghdr *nlh, int *ret);

struct link_stats {
	uint64_t packets_in, packets_out, bytes_in, bytes_out;
};
int rtnl_decode_stats(const struct nlmsghdr *nlh, struct link_stats *ret);

/*
 * The errno (0 or positive) of an NLMSG_ERROR or NLMSG_DONE, and in @ret_text
 * the kernel's own words (NLMSGERR_ATTR_MSG), "" if there are none.
 */
int rtnl_decode_error(const struct nlmsghdr *nlh, char *ret_text, size_t size);

#endif
