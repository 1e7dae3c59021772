/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_CONFIG_H
#define WIRE_CONFIG_H

#include "base/arena.h"
#include "base/err.h"
#include "model/gate.h"
#include "model/ovpnconf.h"
#include "model/wgconf.h"

/*
 * Readers of the files a user writes.  Pure: @text is the whole file (@size
 * bytes, may hold NUL), @file its name for messages.  On failure -EINVAL with
 * "file:line:column: what is wrong; what to write instead", outputs untouched.
 */

/*
 * sallyport.conf(5).  @name is the gate's name.  VPN doors come out with kind
 * DOOR_OPENVPN when the file's content is not known yet: the caller reads the
 * file and calls config_vpn_kind().  Relative paths of vpn= are taken from the
 * directory of @file.
 */
int config_read(struct arena *a, const char *name, const char *file, const char *text,
		size_t size, struct gate *ret, struct err *e) MUST_USE;

/* "80", "8080:80", "53/udp", "8080:80/tcp": door-port[:room-port][/proto]. */
int config_publish(const char *word, struct publish *ret, struct err *e) MUST_USE;

/*
 * Fills in doors and rooms of `run`: each of @n_words publish words goes to
 * every door that has no publish of its own.  Also used by config_read.
 */
int config_check_name(const char *name, size_t max, const char *what, struct err *e) MUST_USE;

/* DOOR_WIREGUARD if it has an [Interface] section, else DOOR_OPENVPN if it looks like one. */
int config_vpn_kind(const char *file, const char *text, size_t size, enum door_kind *ret,
		    struct err *e) MUST_USE;

int wgconf_read(struct arena *a, const char *file, const char *text, size_t size,
		struct wg_conf *ret, struct err *e) MUST_USE;

/*
 * Refuses what would ask at a terminal: auth-user-pass without a file,
 * askpass without a file, and dev tap.
 */
int ovpnconf_read(struct arena *a, const char *file, const char *text, size_t size,
		  struct ovpn_conf *ret, struct err *e) MUST_USE;

#endif
