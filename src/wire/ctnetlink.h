/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_CTNETLINK_H
#define WIRE_CTNETLINK_H

#include "model/host.h"

#include <linux/netlink.h>

/* conntrack's own table, by netlink (linux/netfilter/nfnetlink_conntrack.h). */
struct ctnetlink_message {
	_Alignas(8) char bytes[256];
};

/* A request for all of one family, or of each (AF_UNSPEC), with NLM_F_REQUEST. */
struct nlmsghdr *ctnetlink_encode_dump(struct ctnetlink_message *m, sa_family_t family);

/*
 * One answer into one connection that somebody's destination was rewritten of:
 * a TCP one that is established, or UDP that has been answered.  1, or 0 if it
 * is none of these, -EBADMSG if it is cut off or an attribute has a wrong size.
 * Nothing but @nlh->nlmsg_len is trusted.  @ret is untouched unless 1.
 */
int ctnetlink_decode(const struct nlmsghdr *nlh, struct flow_seen *ret);

/* Of whatever connection. */
struct ctnetlink_flow {
	struct ip asked; /* the address */
	struct ip from; /* where what it is answered comes from */
	uint8_t proto;
	uint16_t asked_port; /* host order; 0 if it has none */
	bool answered;
};

/* The same answer: 1, or -EBADMSG like above; 0 of a family that is not IP. */
int ctnetlink_decode_any(const struct nlmsghdr *nlh, struct ctnetlink_flow *ret);

/* A request to forget the very connection that @seen tells of; NULL if that is cut off. */
struct nlmsghdr *ctnetlink_encode_delete(struct ctnetlink_message *m, const struct nlmsghdr *seen);

#endif
