/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_CONF_H
#define FIB_CONF_H

#include "fib/arrive.h"
#include "model/host.h"

/*
 * What the sysctls of @host say of packets of @family that come in by @link,
 * "all" and the link's own taken together as the kernel does
 * (linux/inetdevice.h).  False if the host does not tell its sysctls.
 */
bool fib_link_conf(const struct host *host, const char *link, sa_family_t family,
		   struct link_conf *ret);

#endif
