/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_CONTAINERS_H
#define WIRE_CONTAINERS_H

#include "base/arena.h"
#include "base/err.h"
#include "model/container.h"

#include <stddef.h>

/*
 * default-address-pools of Docker's daemon.json; Docker's own defaults if it
 * says nothing of them (@text NULL: there is no file).  -EINVAL with @file, line
 * and column if it is no JSON or a pool is none.
 */
int containers_docker_pools(struct arena *a, const char *file, const char *text, size_t size,
			    struct container_pool **ret, size_t *ret_n, struct err *e) MUST_USE;

/* What Podman takes networks from unless containers.conf(5) says otherwise. */
void containers_podman_pools(struct arena *a, struct container_pool **ret, size_t *ret_n);

/*
 * /proc/PID/cmdline of docker-proxy: one published port.  False if it is no
 * such thing.
 */
bool containers_proxy(const char *cmdline, size_t size, struct container_port *ret);

struct container_ports {
	struct container_port *items;
	size_t n, cap;
};

/*
 * Published ports in the output of `iptables-save -t nat`: what the chains of
 * Docker (DOCKER), netavark (NETAVARK-DN-*) and CNI (CNI-DN-*) rewrite.  Other
 * lines, and matches that are not known, are passed over.
 */
void containers_iptables(struct arena *a, const char *text, struct container_ports *ports);

/* The same of netavark's own nft table, as `nft -j list table inet netavark` prints it. */
void containers_nft(struct arena *a, const char *text, struct container_ports *ports);

/*
 * default_subnet_pools in section [network] of a containers.conf(5): 1 and the
 * pools, 0 if it says nothing of them.  -EINVAL with @file and line.
 */
int containers_podman_conf(struct arena *a, const char *file, const char *text, size_t size,
			   struct container_pool **ret, size_t *ret_n, struct err *e) MUST_USE;

#endif
