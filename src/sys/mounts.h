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

#endif
