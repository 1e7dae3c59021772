/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_CONNTRACK_H
#define SYS_CONNTRACK_H

#include "base/arena.h"
#include "base/err.h"
#include "model/host.h"

/*
 * The live connections of a namespace whose destination was rewritten, as those
 * to published ports of containers are.  @netns_fd -1: the caller's own.
 * Needs CAP_NET_ADMIN: -EPERM.  None if the kernel tracks nothing.
 */
int conntrack_list(struct arena *a, int netns_fd, struct flow_seen **ret, size_t *ret_n,
		   struct err *e) MUST_USE;

/* Who asks for this is led there. */
struct conntrack_way {
	struct ip asked; /* none: whatever address */
	uint16_t port; /* host order; 0: whatever port */
	struct ip to;
};

/*
 * What has lost its end.  The kernel leads all that follows where the first datagram was
 * led, as long as more of them come.
 */
struct conntrack_lost {
	struct prefix *from; /* answers come from here, and nobody has such an address any more */
	size_t n_from;
	/*
	 * Ports (host order) that lead elsewhere by now: datagrams to them that were not
	 * answered yet, or by the namespace itself, which has the addresses @own.
	 */
	uint16_t *udp;
	size_t n_udp;
	struct ip *own;
	size_t n_own;
	/* UDP that is led into one of these is led there by one of @ways. */
	struct prefix *led;
	size_t n_led;
	struct conntrack_way *ways;
	size_t n_ways;
};

/*
 * Forgets these connections of the namespace.  @netns_fd, errors and a kernel without
 * conntrack as above.
 */
int conntrack_forget(int netns_fd, const struct conntrack_lost *lost, struct err *e) MUST_USE;

#endif
