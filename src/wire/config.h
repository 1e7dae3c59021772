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
int config_read(struct arena *a, const char *name, const char *file, const char *text, size_t size,
		struct gate *ret, struct err *e) MUST_USE;

/* What `run` was told on its command line. */
struct config_flags {
	const char *const *publish; /* --publish: words, several in one are fine */
	size_t n_publish;
	const char *const *vpn; /* --vpn: files; a door is called as its file */
	size_t n_vpn;
	const char *const *reach; /* --reach: prefixes */
	size_t n_reach;
	const char *way; /* --default, NULL: not given */
};

/*
 * A gate with one unnamed room that ends with its command.  Errors begin with
 * the flag: `--publish 80x: ...`.
 */
int config_from_flags(struct arena *a, const char *name, const struct config_flags *flags,
		      struct gate *ret, struct err *e) MUST_USE;

/*
 * "80", "8080:80", "53/udp", "8080:80/tcp": door-port[:room-port][/proto].
 * Fills in ports and proto only.  The error has no place: wrap it.
 */
int config_publish(const char *word, struct publish *ret, struct err *e) MUST_USE;

/* A TCP segment size: 536 to 8960 bytes.  As config_publish(). */
int config_mss(const char *word, uint32_t *ret, struct err *e) MUST_USE;

/* "vpn.example.net:443/tcp", port and protocol may be left out.  As config_publish(). */
int config_server(struct arena *a, const char *word, struct door_server *ret,
		  struct err *e) MUST_USE;

/*
 * Letters, digits, "-" and "_", at most @max of them; @what names the thing
 * ("gate name").  The error has no place: wrap it.
 */
int config_check_name(const char *name, size_t max, const char *what, struct err *e) MUST_USE;

/* Could it be a host's name?  Letters, digits, "-", "." and "_", and no flag. */
bool config_is_host(const char *name);

/* DOOR_WIREGUARD if it has an [Interface] section, else DOOR_OPENVPN if it looks like one. */
int config_vpn_kind(const char *file, const char *text, size_t size, enum door_kind *ret,
		    struct err *e) MUST_USE;

int wgconf_read(struct arena *a, const char *file, const char *text, size_t size,
		struct wg_conf *ret, struct err *e) MUST_USE;

/*
 * The text for `wg setconf`.  @endpoints: for each peer the literal address of
 * its endpoint, NULL for none; the array may be NULL.  @fwmark 0: none.
 */
const char *wgconf_setconf(struct arena *a, const struct wg_conf *conf,
			   const char *const *endpoints, uint32_t fwmark);
/* The endpoints that are names, to be resolved; returns how many. */
size_t wgconf_names(struct arena *a, const struct wg_conf *conf, const char ***ret);
/*
 * Each peer's endpoint for wgconf_setconf(), by what is known of names: lines "ADDRESS NAME".
 * @turn: which of a name's addresses, from 0, again from the first behind the last.
 */
const char **wgconf_endpoints(struct arena *a, const struct wg_conf *conf, const char *known,
			      unsigned int turn);
/*
 * Peers that we call are called again and again: behind somebody's masquerade
 * the way in by the tunnel closes without traffic.
 */
void wgconf_keep_alive(struct wg_conf *conf);
/*
 * Does a peer that we call answer, or is there none?  @shown is what
 * `wg show X latest-handshakes` says: a key and, in seconds of the wall clock,
 * when that peer did; 0 for never.  Somebody may set that clock: what counts is
 * that a number changes, at @now_ms of one which nobody sets.  @h remembers.
 */
bool wgconf_answers(const struct wg_conf *conf, const char *shown, int64_t now_ms,
		    struct wg_heard *h);

/*
 * Refuses what would ask at a terminal (auth-user-pass or askpass without a
 * file, an encrypted inline key, ...), dev tap, servers, and no remote.
 */
int ovpnconf_read(struct arena *a, const char *file, const char *text, size_t size,
		  struct ovpn_conf *ret, struct err *e) MUST_USE;

/*
 * The same text with the lines blanked that ovpnconf_read() warns are left
 * out: sallyport sets those itself.  Lines keep their numbers.  @text has
 * been read by ovpnconf_read() without error; -EINVAL if not.
 */
int ovpnconf_rewrite(struct arena *a, const char *text, size_t size, const char **ret,
		     size_t *ret_size) MUST_USE;
/* Said by an openvpn before 2.7, which does not know dns-updown: our word, not the file's. */
bool ovpnconf_is_of_ours(const char *line);

#endif
