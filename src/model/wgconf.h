/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_WGCONF_H
#define MODEL_WGCONF_H

#include "model/ip.h"

#include <stddef.h>

/* A wg-quick(8) configuration file. Keys are base64 as in the file. */
struct wg_peer {
	const char *public_key;
	const char *preshared_key; /* NULL for none */
	const char *endpoint_host; /* name or literal address; NULL for none */
	uint16_t endpoint_port;
	uint16_t keepalive; /* seconds, 0 for off */
	struct prefix *allowed;
	size_t n_allowed, cap_allowed;
	uint32_t line;
};

struct wg_address {
	struct ip ip;
	uint8_t len;
};

struct wg_conf {
	const char *private_key;
	uint16_t listen_port; /* 0: any */
	uint32_t mtu; /* 0: derive */
	struct wg_address *addresses;
	size_t n_addresses, cap_addresses;
	struct ip *dns;
	size_t n_dns, cap_dns;
	const char **search; /* DNS= entries that are names */
	size_t n_search, cap_search;
	struct wg_peer *peers;
	size_t n_peers, cap_peers;
	const char **warnings; /* ignored keys (Table, PostUp, ...), in words with the line */
	size_t n_warnings, cap_warnings;
};

/* When a handshake was seen last; of a device that was made anew it is {0}. */
struct wg_heard {
	uint64_t sum; /* of the wall clock's times that were shown of all peers that we call */
	int64_t at_ms;
};

/* The same of each peer, and when names of silent ones were asked for last (0: never). */
struct wg_silence {
	struct wg_heard *peers;
	int64_t asked_ms;
};

#endif
