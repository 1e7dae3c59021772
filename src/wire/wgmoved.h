/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_WGMOVED_H
#define WIRE_WGMOVED_H

#include "base/arena.h"
#include "model/wgconf.h"

/*
 * Peers that are called by a name and have moved.  WireGuard keeps to the address
 * that it was told: who is silent for long is looked up anew, as reresolve-dns.sh of
 * wireguard-tools does.  Times are in ms of a clock which nobody sets.
 */

/* Of a device that is made at @now_ms; @s is {0} at first, and its memory in @a. */
void wgmoved_begin(struct arena *a, const struct wg_conf *conf, int64_t now_ms,
		   struct wg_silence *s);
/* Notes what `wg show X latest-handshakes` says of each peer. */
void wgmoved_hear(const struct wg_conf *conf, const char *shown, int64_t now_ms,
		  struct wg_silence *s);
/* The names of silent peers, if it is time to ask for them; that they are is noted. */
size_t wgmoved_names(struct arena *a, const struct wg_conf *conf, int64_t now_ms,
		     struct wg_silence *s, const char ***ret);

struct wg_move {
	const struct wg_peer *peer;
	const char *from; /* address; "" for none */
	const char *to;
};

/*
 * Silent peers whose address is none that their names have now: @known as for
 * wgconf_endpoints(), @shown is what `wg show X endpoints` says.
 */
size_t wgmoved_find(struct arena *a, const struct wg_conf *conf, const char *known,
		    const char *shown, int64_t now_ms, const struct wg_silence *s,
		    struct wg_move **ret);
/* What is told of one. */
const char *wgmoved_words(struct arena *a, const struct wg_move *move);
/* "ADDRESS:PORT" for `wg set X peer KEY endpoint`. */
const char *wgmoved_endpoint(struct arena *a, const struct wg_move *move);

#endif
