/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_CTNETLINK_H
#define WIRE_CTNETLINK_H

#include "model/host.h"

#include <linux/netlink.h>

/* conntrack's own table, by netlink (linux/netfilter/nfnetlink_conntrack.h). */
struct ctnetlink_message {
	_Alignas(8) char bytes[64];
};

/* A request for all of one family, with NLM_F_REQUEST. */
struct nlmsghdr *ctnetlink_encode_dump(struct ctnetlink_message *m, sa_family_t family);

/*
 * One answer into one connection that somebody's destination was rewritten of:
 * a TCP one that is established, or UDP that has been answered.  1, or 0 if it
 * is none of these, -EBADMSG if it is cut off or an attribute has a wrong size.
 * Nothing but @nlh->nlmsg_len is trusted.  @ret is untouched unless 1.
 */
int ctnetlink_decode(const struct nlmsghdr *nlh, struct flow_seen *ret);

#endif
