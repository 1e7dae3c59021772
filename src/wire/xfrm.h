/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_XFRM_H
#define WIRE_XFRM_H

#include "model/xfrm.h"

#include <linux/netlink.h>

/* Policies of IPsec by netlink (linux/xfrm.h, NETLINK_XFRM). */
struct xfrm_message {
	_Alignas(8) char bytes[4096];
};

/* A request for all, with NLM_F_REQUEST. */
struct nlmsghdr *xfrm_encode_dump(struct xfrm_message *m);
/* One without templates, with XFRM_MSG_NEWPOLICY. */
struct nlmsghdr *xfrm_encode_add(struct xfrm_message *m, const struct xfrm_policy *p);
/* Exactly the one with this index. */
struct nlmsghdr *xfrm_encode_delete(struct xfrm_message *m, const struct xfrm_policy *p);
/*
 * One answer: 1, or 0 if it is no policy, or one of a socket or of another
 * family than IP's, -EBADMSG if it is cut off or an attribute has a wrong size.
 * Nothing but @nlh->nlmsg_len is trusted.  @ret is untouched unless 1.
 */
int xfrm_decode_policy(const struct nlmsghdr *nlh, struct xfrm_policy *ret);

#endif
