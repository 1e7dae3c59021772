/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NETDRIVER_H
#define WIRE_NETDRIVER_H

#include "base/arena.h"
#include "base/err.h"
#include "model/ip.h"
#include "wire/sandbox.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Docker's protocol for network drivers of others (libnetwork, docs/remote.md):
 * JSON by HTTP, both ways small objects.  What is the same in every request is
 * read by one reader; what is absent is "" or none.
 */

struct netdriver_option {
	const char *key;
	const char *value;
};

/* One -p, as Docker says it, or what it makes of -P. */
struct netdriver_port {
	uint8_t proto; /* IPPROTO_* */
	uint16_t room_port;
	uint16_t door_port; /* 0: any */
	uint16_t door_port_end; /* above that: any from door_port on to this */
	struct ip host; /* of the host; none: every address */
};

struct netdriver_request {
	const char *network;
	const char *endpoint;
	const char *sandbox; /* path of the namespace that will be */
	bool internal; /* CreateNetwork */
	struct netdriver_option *options; /* CreateNetwork: -o */
	size_t n_options, cap_options;
	struct prefix pool4, pool6; /* CreateNetwork; length 0: none */
	struct ip address4, address6; /* CreateEndpoint */
	struct netdriver_port *ports;
	size_t n_ports, cap_ports;
	const char *publish; /* the endpoint's option sallyport.publish */
};

/* A network of the engine's: which gate, and what holds for its rooms. */
struct netdriver_network {
	const char *gate;
	struct sandbox_words doors; /* on which -p publishes */
	const char *way; /* `default` of its rooms; NULL: not given */
	struct sandbox_words reach;
	struct prefix pool4, pool6; /* Docker's; length 0: it gives no addresses */
};

#define NETDRIVER_LABEL "sallyport.publish" /* of a container, and the option of an endpoint */

int netdriver_read(struct arena *a, const char *text, size_t size, struct netdriver_request *ret,
		   struct err *e) MUST_USE;

/* From CreateNetwork; errors tell what to write. */
int netdriver_network(struct arena *a, const struct netdriver_request *q,
		      struct netdriver_network *ret, struct err *e) MUST_USE;
/* The network's file; errors name @file. */
int netdriver_network_read(struct arena *a, const char *file, const char *text, size_t size,
			   struct netdriver_network *ret, struct err *e) MUST_USE;
const char *netdriver_network_write(struct arena *a, const struct netdriver_network *n);

/* What a supervisor's status says of its gate. */
struct netdriver_gate {
	struct prefix net4, net6; /* of its slot; net6 none: no IPv6 */
	struct ip *vpn; /* its VPN doors' own addresses */
	size_t n_vpn, cap_vpn;
	struct publish *ports; /* on any door; only protocol and door's port */
	size_t n_ports, cap_ports;
};
int netdriver_read_gate(struct arena *a, const char *text, size_t size, struct netdriver_gate *ret,
			struct err *e) MUST_USE;

/* Bodies of answers; arena strings. */
const char *netdriver_failed(struct arena *a, const char *why);
const char *netdriver_created(struct arena *a, const struct netdriver_request *q,
			      const struct sandbox *s);
const char *netdriver_joined(struct arena *a, const struct netdriver_network *n,
			     const struct sandbox *s, const char *link);

/* Whose endpoint it is, in the engine's list of containers; false if it is not in it yet. */
struct netdriver_container {
	const char *name;
	const char *image; /* ID */
	const char *label; /* NETDRIVER_LABEL; NULL: none */
};
bool netdriver_find(struct arena *a, const char *text, size_t size, const char *endpoint,
		    struct netdriver_container *ret);
/* The same label of an image, as the engine tells of it; NULL: none. */
int netdriver_image_label(struct arena *a, const char *text, size_t size, const char **ret,
			  struct err *e) MUST_USE;

#endif
