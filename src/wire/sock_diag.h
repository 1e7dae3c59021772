/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_SOCK_DIAG_H
#define WIRE_SOCK_DIAG_H

#include "model/socket.h"

#include <linux/netlink.h>

/* sock_diag(7) for TCP and UDP: what listens, and what is connected. */
struct sock_diag_message {
	_Alignas(8) char bytes[128];
};

/*
 * A request for all of one family and protocol, with NLM_F_REQUEST; with @on_the_way
 * also for TCP connections that are being opened or closed, which count as connected.
 */
struct nlmsghdr *sock_diag_encode_dump(struct sock_diag_message *m, sa_family_t family,
				       uint8_t proto, bool on_the_way);

/*
 * One answer into one socket.  @nlh->nlmsg_len is the size of the memory behind
 * @nlh; nothing else in the message is trusted.  1 and the socket, 0 if it
 * neither listens nor is connected, -EBADMSG if it is cut off or an attribute
 * has a wrong size.  @ret is untouched unless 1 is returned; pid, process and
 * mine are not known here.
 */
int sock_diag_decode(const struct nlmsghdr *nlh, uint8_t proto, struct socket_seen *ret);

/* A request for one connection, as sock_diag_decode() gave it; NLM_F_REQUEST, no dump. */
struct nlmsghdr *sock_diag_encode_one(struct sock_diag_message *m, const struct socket_seen *s);

/* What a TCP connection has carried, in bytes. */
struct tcp_counts {
	uint64_t sent; /* for the first time: what was sent again does not count */
	uint64_t acked;
};
/* 1 and the counts, 0 if the kernel tells none, -EBADMSG as above. */
int sock_diag_decode_counts(const struct nlmsghdr *nlh, struct tcp_counts *ret);

#endif
