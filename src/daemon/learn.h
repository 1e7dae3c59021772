/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_LEARN_H
#define DAEMON_LEARN_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "model/push.h"
#include "model/snapshot.h"

/*
 * What the client of the VPN file @file would install on @host.  A WireGuard
 * file says it itself.  For OpenVPN the client connects in a gate of its own
 * (as `run` would make it, without a published port), which is gone when this
 * returns; it may take @limit_s seconds.  @ret_how: how it is known, in words.
 * @said: what the client and its supervisor said, for when it fails.
 * -EINVAL: the file is wrong.  -EINTR: a signal came.
 */
int learn_push(struct arena *a, const char *file, const struct snapshot *host, int limit_s,
	       struct push *ret, const char **ret_how, struct text *said, struct err *e) MUST_USE;

#endif
