/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_OVPNCONF_H
#define MODEL_OVPNCONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What sallyport must know of an openvpn(8) client configuration. */

/* What the client connects to: a server or, in its place, a proxy. */
struct ovpn_remote {
	const char *host; /* name or literal address */
	uint16_t port; /* 0: any */
	const char *proto; /* "udp", "tcp-client", "udp6", ... as openvpn writes it */
	uint32_t line;
};

struct ovpn_conf {
	struct ovpn_remote *remotes; /* <connection> blocks too */
	size_t n_remotes, cap_remotes;
	bool random_hostname; /* each look-up of a remote asks for another name below it */
	const char *auth_user_pass; /* file, "" when inline; NULL when not asked for */
	const char *cd; /* directory of relative paths, NULL: that of the file */
	const char **warnings; /* options we override or ignore, in words with the line */
	size_t n_warnings, cap_warnings;
};

#endif
