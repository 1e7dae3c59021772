/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_INIT_VPN_H
#define DAEMON_INIT_VPN_H

#include "daemon/init.h"
#include "model/gate.h"
#include "model/ovpnconf.h"
#include "model/wgconf.h"

/* The VPN of a container: its file, or a command in its place. */
struct init_vpn {
	enum door_kind kind;
	const char *file; /* for messages */
	const char *text; /* NULL for a command */
	size_t size;
	struct ovpn_conf ovpn;
	struct wg_conf wg;
	struct door_server *servers;
	size_t n_servers, cap_servers;
};

/* Finds and reads it; says what the file's warnings are.  In @a. */
int init_vpn_load(struct arena *a, const struct init_options *o, struct init_vpn *ret,
		  struct err *e) MUST_USE;

#endif
