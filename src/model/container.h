/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_CONTAINER_H
#define MODEL_CONTAINER_H

#include "model/ip.h"

/* A port of the host that leads to a container. */
struct container_port {
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	uint16_t port; /* of the host */
	struct ip host; /* 0.0.0.0 and ::: any address */
	struct ip inside; /* the container's address */
	uint16_t inside_port;
};

/* Where a container engine takes new networks from: prefixes of @len bits in @base. */
struct container_pool {
	const char *engine; /* "Docker", "Podman" */
	struct prefix base;
	uint8_t len;
};

#endif
