/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input as daemon.json, and as the command line of docker-proxy. */
#include "wire/containers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct container_pool *pools = NULL;
	struct container_port port;
	char *copy = malloc(size ? size : 1);
	size_t n = 0;
	struct err e;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (containers_docker_pools(&a, "f", copy, size, &pools, &n, &e) == 0)
		for (size_t i = 0; i < n; i++)
			if (pools[i].len < pools[i].base.len ||
			    pools[i].len > ip_bits(pools[i].base.ip.family))
				abort();
	if (containers_proxy(copy, size, &port) &&
	    (!port.port || !port.inside_port || port.host.family == 0))
		abort();
	free(copy);
	return 0;
}
