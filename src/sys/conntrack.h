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

#endif
