/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_ENGINE_H
#define SYS_ENGINE_H

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>

/*
 * Container engines by their sockets.  Being allowed to open the socket is all
 * that is needed; an engine that is slow, stops in the middle or answers with
 * garbage is an error within the time limit.
 */

#define ENGINE_DOCKER "/var/run/docker.sock"
#define ENGINE_PODMAN "/run/podman/podman.sock"

struct engine_answer {
	int status; /* of HTTP */
	const char *body; /* zero-terminated behind @size bytes */
	size_t size;
};

/* As http_request() takes them. */
struct engine_request {
	const char *method; /* NULL: GET */
	const char *path;
	const char *body; /* NULL for none */
	int timeout_ms;
};

int engine_ask(struct arena *a, const char *socket, const struct engine_request *q,
	       struct engine_answer *ret, struct err *e) MUST_USE;

/*
 * Sends the request and leaves the answer to be read, for what comes bit by bit
 * (events); the fd does not block.
 */
int engine_open(const char *socket, const char *path, int timeout_ms, int *ret_fd,
		struct err *e) MUST_USE;

#endif
