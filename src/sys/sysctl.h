/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_SYSCTL_H
#define SYS_SYSCTL_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

/*
 * /proc/sys/net of the namespace the thread is in (visit first).  @path is
 * below /proc/sys/net/, "ipv4/conf/eth0/forwarding".  -ENOENT if there is none.
 */
int sysctl_get(struct arena *a, const char *path, const char **ret, struct err *e) MUST_USE;
/* Writes only if it differs; *ret_changed (may be NULL) tells. */
int sysctl_set(const char *path, const char *value, bool *ret_changed, struct err *e) MUST_USE;

#endif
