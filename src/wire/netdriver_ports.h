/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NETDRIVER_PORTS_H
#define WIRE_NETDRIVER_PORTS_H

#include "wire/netdriver.h"

/*
 * Which ports of which doors a container of a network gets, and what speaks against
 * it: decided by values alone, whatever those were read from.
 */

/* Peers of a VPN have addresses beside its own: no pool for containers is to have them, too. */
int netdriver_check_pool(const struct netdriver_network *n, const struct netdriver_gate *g,
			 struct err *e) MUST_USE;

/*
 * Where -P finds a port: from where Docker begins, to where the ports begin that
 * gates masquerade to (plan/nft_host.c).
 */
#define NETDRIVER_ANY_FIRST 49153
#define NETDRIVER_ANY_LAST  61000

/* What only the host knows. */
struct netdriver_host {
	bool (*has_address)(void *ctx, const struct ip *ip);
	/* Has nobody this port of @host, or none: of any address, and any door? */
	bool (*is_free)(void *ctx, uint8_t proto, const struct ip *host, uint16_t port);
	void *ctx;
};

/* What -p and -P say, in words of sandbox_publish(), behind @ret; ports are chosen here. */
int netdriver_ports(struct arena *a, const struct netdriver_network *n,
		    const struct netdriver_request *q, const struct netdriver_host *h,
		    struct sandbox_words *ret, struct err *e) MUST_USE;
/* Likewise what option or label say: "80 8080:80@office 53/udp@all". */
int netdriver_words(struct arena *a, const struct netdriver_network *n, const char *value,
		    const struct netdriver_host *h, struct sandbox_words *ret,
		    struct err *e) MUST_USE;

#endif
