/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_INIT_H
#define DAEMON_INIT_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/vpnenv.h"

#define INIT_OVPN "/etc/sallyport/vpn.ovpn"
#define INIT_WG   "/etc/sallyport/vpn.conf"

struct init_options {
	const struct vpnenv *env;
	const char *const *command; /* a client of another make instead of a file; NULL: none */
	const struct door_server *servers; /* of the command */
	size_t n_servers;
};

/*
 * A container's first process: makes the container's own namespace the gate,
 * closed before anything else, keeps the VPN client running, and ends what it
 * started when it is told to.  0 when it was told to end.
 */
int init_run(const struct init_options *o, struct err *e) MUST_USE;

#endif
