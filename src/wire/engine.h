/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_ENGINE_H
#define WIRE_ENGINE_H

#include "base/arena.h"
#include "base/err.h"
#include "model/ip.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What a container engine says of its containers: Docker's API, which podman
 * speaks too.  Paths without a version mean the engine's own.  Strings live in
 * the arena.
 */

/* As of GET /containers/NAME/json. */
struct engine_container {
	const char *id;
	const char *name; /* without the slash */
	bool running;
	int pid; /* of its first process, as the engine sees it; 0: none */
	const char *network_mode; /* "default", "host", "none", "container:ID", ... */
	struct ip *gateways; /* of the networks it is on */
	size_t n_gateways, cap_gateways;
};

int engine_read_container(struct arena *a, const char *text, size_t size,
			  struct engine_container *ret, struct err *e) MUST_USE;

/* One of GET /containers/json. */
struct engine_listed {
	const char *id;
	const char *name; /* the first of its names */
	const char *state; /* "running", "exited", ... */
	const char *network_mode;
	const char *service; /* "PROJECT/SERVICE" of compose, "" if it is none of compose's */
};

int engine_read_list(struct arena *a, const char *text, size_t size, struct engine_listed **ret,
		     size_t *ret_n, struct err *e) MUST_USE;

/* One of GET /events: `docker restart` ends in { "container", "start", ... }. */
struct engine_event {
	const char *type;
	const char *action;
	const char *id;
	const char *name; /* "" if it does not tell */
};

int engine_read_event(struct arena *a, const char *text, size_t size, struct engine_event *ret,
		      struct err *e) MUST_USE;

/* The words of an error: {"message": "No such container: x"}; NULL if there are none. */
const char *engine_read_message(struct arena *a, const char *text, size_t size);

/*
 * The body of POST /containers/create for another container like the one of
 * @text (GET /containers/NAME/json) that joins the network of container @joins.
 * Its volumes are taken along, unnamed ones too.
 */
int engine_write_like(struct arena *a, const char *text, size_t size, const char *joins,
		      const char **ret, struct err *e) MUST_USE;
/* The Id of what POST /containers/create answers; NULL. */
const char *engine_read_id(struct arena *a, const char *text, size_t size);

/* "container:ID" -> ID; NULL for every other mode. */
const char *engine_joined(const char *network_mode);

#endif
