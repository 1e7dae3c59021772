/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_OWNER_H
#define DAEMON_OWNER_H

#include "model/ip.h"

/*
 * A process that lives in a network namespace of this machine where @ip stands
 * on a link, the caller's own left out; its number, and the namespace in @ret_fd.
 * 0 if there is none, or if the caller may not look.
 */
int owner_find(const struct ip *ip, int *ret_fd);

#endif
