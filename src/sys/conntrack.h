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

/*
 * What has lost its end.  The kernel leads all that follows where the first datagram was
 * led, as long as more of them come.
 */
struct conntrack_lost {
	struct prefix *from; /* answers come from here, and nobody has such an address any more */
	size_t n_from;
	uint16_t *udp; /* a datagram to such a port (host order) was not answered yet */
	size_t n_udp;
};

/*
 * Forgets these connections of the namespace.  @netns_fd, errors and a kernel without
 * conntrack as above.
 */
int conntrack_forget(int netns_fd, const struct conntrack_lost *lost, struct err *e) MUST_USE;

#endif
