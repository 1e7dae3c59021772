/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_NETDRIVER_HOST_H
#define DAEMON_NETDRIVER_HOST_H

#include "wire/netdriver_ports.h"

/*
 * The host on which the driver runs, as netdriver_ports() asks for it.  @taken
 * has the ports that rooms were promised already; it and @a must outlive *@ret.
 */
int netdriver_host(struct arena *a, const struct netdriver_gate *taken, struct netdriver_host *ret,
		   struct err *e) MUST_USE;

#endif
