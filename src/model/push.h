/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_PUSH_H
#define MODEL_PUSH_H

#include "model/ip.h"

#include <stddef.h>

/*
 * What a VPN client brings to the host that it connects on: a link with its
 * addresses, and routes.
 */
enum push_way {
	PUSH_TUNNEL,
	PUSH_CONNECTED, /* by the tunnel too; the kernel makes it along with an address */
	PUSH_AROUND, /* by the host's own default gateway: the VPN server, net_gateway */
};

struct push_route {
	struct prefix dst;
	uint32_t metric;
	enum push_way way;
};

struct push_address {
	struct ip ip;
	uint8_t len;
};

/*
 * What becomes of a route where one to the same prefix with the same metric
 * stands already (IPv4; in IPv6 the older one stays in front in any case).
 */
enum push_tie {
	/* openvpn(8) since 2.5: NLM_F_CREATE alone, which puts it in front. */
	PUSH_IN_FRONT,
	/* ip-route(8) and wg-quick(8): NLM_F_EXCL, "File exists". */
	PUSH_REFUSED,
};

struct push {
	const char *link; /* the tunnel's name on the host */
	enum push_tie tie;
	/* wg-quick(8) puts a default into a table of its own and rules in front of main. */
	bool own_table;
	struct push_route *routes;
	size_t n_routes, cap_routes;
	struct push_address *addresses;
	size_t n_addresses, cap_addresses;
	struct ip *dns;
	size_t n_dns, cap_dns;
	struct ip *servers; /* where the client's own packets go */
	size_t n_servers, cap_servers;
};

#endif
