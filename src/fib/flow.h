/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_FLOW_H
#define FIB_FLOW_H

#include "model/ip.h"

/*
 * What the kernel knows of a packet when it asks for a route (struct flowi).
 * Zero is "not known" or "none", as it is to the kernel.
 */
struct flow {
	struct ip dst;
	struct ip src; /* none: the socket is not bound to an address yet */
	int iif; /* index of the link it came in by, 0: made here */
	int oif; /* index of the link the socket is bound to, 0: any */
	uint32_t mark;
	uint32_t uid; /* of the socket's owner; packets that come in have 0 */
	uint8_t tos; /* the byte of the header: DSCP in the upper six bits */
	uint8_t proto; /* IPPROTO_* */
	uint16_t sport; /* host order */
	uint16_t dport;
	uint32_t flowlabel; /* of IPv6, host order */
	uint64_t tun_id;
};

#endif
