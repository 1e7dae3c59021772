/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_VPNENV_H
#define WIRE_VPNENV_H

#include "base/arena.h"
#include "base/err.h"
#include "model/ip.h"
#include "wire/resolvconf.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What a container is told by its environment: our own variables, and those
 * that people bring from other VPN images (gluetun, haugene, binhex, wfg), each
 * of which is told about once.
 */
struct vpnenv {
	const char *vpn; /* path of the VPN's file, NULL if not given */
	const char *wireguard; /* text of a wg-quick(8) file made of variables, or NULL */
	const char *user, *password; /* for auth-user-pass, or NULL */
	const char *user_file, *password_file; /* files that hold them */
	bool alias; /* SALLYPORT_UDP=alias */
	uint32_t mss; /* SALLYPORT_MSS, 0 if not given */
	struct prefix *reach;
	size_t n_reach, cap_reach;
	struct resolvconf_names names; /* SALLYPORT_DNS: servers in place of the VPN's */
	bool keep_names; /* SALLYPORT_DNS=keep: resolv.conf is left alone */
	const char **notes; /* for the log */
	size_t n_notes, cap_notes;
};

/* @environ as of environ(7).  -EINVAL names the variable. */
int vpnenv_read(struct arena *a, const char *const *environ, struct vpnenv *ret,
		struct err *e) MUST_USE;

#endif
