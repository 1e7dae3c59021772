/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_NETDRIVER_H
#define DAEMON_NETDRIVER_H

#include "base/err.h"

/*
 * The network driver that Docker asks for `-d sallyport`: it notes in files what
 * Docker says, and the gates' supervisors do the rest.  It has no state of its
 * own; nothing depends on its running but that Docker can begin or end a
 * container of such a network.
 */
#define NETDRIVER_SOCKET "/run/docker/plugins/sallyport.sock"
#define NETDRIVER_STATE  "/var/lib/sallyport"

struct netdriver_options {
	const char *socket; /* to listen on, unless systemd(1) hands one over */
	const char *state; /* directory: which network is behind which gate */
	const char *engine; /* Docker's own, for names and labels of containers */
};

int netdriver(const struct netdriver_options *o, struct err *e) MUST_USE;

#endif
