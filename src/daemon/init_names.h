/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_INIT_NAMES_H
#define DAEMON_INIT_NAMES_H

#include "base/arena.h"
#include "wire/resolvconf.h"

/*
 * The name servers of a container and of the services that share its network,
 * which is one file for all of them (Docker and podman mount it).  Before us it
 * names the LAN's, or an engine's own, that asks from the host: whoever looks a
 * name up would be heard past the tunnel.
 */
struct init_names {
	struct arena *arena;
	const char *before; /* the file as the engine wrote it */
	struct resolvconf_names chosen; /* by the user, in place of the VPN's */
	struct resolvconf_names vpn;
	bool off; /* the file is left alone */
};

/* Takes the file over, if @on: at first it names none but @n->chosen, and what may be asked. */
void init_names_open(struct init_names *n, bool on);
/* The servers before us, by which the VPN's own server is found. */
void init_names_before(const struct init_names *n, struct resolvconf_names *ret);
/* Writes what is known now; false: there is no server that may be asked. */
bool init_names_apply(struct init_names *n);
/* The file as it was. */
void init_names_close(struct init_names *n);

#endif
