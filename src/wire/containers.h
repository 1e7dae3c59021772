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

#endif
