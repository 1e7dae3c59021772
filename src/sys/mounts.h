/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_MOUNTS_H
#define SYS_MOUNTS_H

#include "sys/proc.h"

/*
 * Puts the calling process into a mount namespace of its own, as struct
 * proc_spec asks: masks, resolv.conf, nsswitch.conf, hosts, private directory.
 * On failure the process may be half way in and should end.
 */
int mounts_enter(const struct proc_spec *s, struct err *e) MUST_USE;

/*
 * A host that renames a new file over its resolv.conf or hosts takes ours away in
 * every room: a mount goes with the name it stands on.  Puts @file back over @over
 * where process @pid lives, if mounts_enter() once made that mount namespace and the
 * file is not in its place: 1 if it had to, else 0.  -ETIMEDOUT after 5 s, if a file
 * system there answers nobody.
 */
int mounts_renew(pid_t pid, const char *file, const char *over, struct err *e) MUST_USE;

#endif
