/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_LEARN_H
#define DAEMON_LEARN_H

#include "base/arena.h"
#include "base/err.h"
#include "model/push.h"
#include "model/snapshot.h"

struct learned {
	struct push push;
	const char *how; /* it is known, in words */
};

/*
 * What the client of the VPN file @file would install on @host.  A WireGuard
 * file says it itself.  For OpenVPN the client connects in a gate of its own
 * (as `run` would make it, without a published port), which is gone when this
 * returns; it may take @limit_s seconds.  If it fails, what the client and its
 * supervisor said is told on standard error.
 * -EINVAL: the file is wrong.  -EINTR: a signal came.
 */
int learn_push(struct arena *a, const char *file, const struct snapshot *host, int limit_s,
	       struct learned *ret, struct err *e) MUST_USE;

#endif
