/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input as every file and output of container engines that is read. */
#include "wire/containers.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As what iptables-save, nft and containers.conf have. */
static void judge_text(struct arena *a, const uint8_t *data, size_t size)
{
	char *text = arena_strndup(a, (const char *)data, size);
	struct container_ports ports = { 0 };
	struct container_pool *pools;
	struct err e;
	size_t n;

	containers_iptables(a, text, &ports);
	containers_nft(a, text, &ports);
	for (size_t i = 0; i < ports.n; i++)
		if (!ports.items[i].port ||
		    ports.items[i].host.family != ports.items[i].inside.family)
			abort();
	if (containers_podman_conf(a, "f", text, size, &pools, &n, &e) == 1 && !n)
		abort();
}

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
	judge_text(&a, data, size);
	free(copy);
	return 0;
}
