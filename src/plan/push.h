/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_PUSH_H
#define PLAN_PUSH_H

#include "base/arena.h"
#include "model/push.h"
#include "model/snapshot.h"
#include "model/wgconf.h"

/* What became of one route of a push. */
enum push_outcome {
	PUSH_STANDS, /* nothing else to that prefix */
	PUSH_WINS, /* the host has a route to that prefix, and this one is in front of it */
	PUSH_LOSES, /* ... and it is behind it */
	PUSH_NOT_TAKEN, /* ... and the kernel says "File exists" */
	PUSH_NO_GATEWAY, /* PUSH_AROUND, and the host has no default gateway */
};

/*
 * @host as it is once a client has installed @push on it.  @ret_results has one
 * for each route of @push.  The result points into @host.
 */
void push_apply(struct arena *a, const struct snapshot *host, const struct push *push,
		struct snapshot *ret, enum push_outcome **ret_results);

/* The way out for everything else: the best default in main; NULL if there is none. */
const struct route *push_default_route(const struct snapshot *net, sa_family_t family);

/*
 * What a client has installed in a gate: the addresses of link @tunnel and the
 * routes in main by it, and those by the lan door that are not @protocol's.
 */
void push_from_gate(struct arena *a, const struct snapshot *gate, const char *tunnel,
		    uint8_t protocol, struct push *ret);

/* What wg-quick(8) makes of a file; endpoints that are names are left out. */
void push_from_wg(struct arena *a, const struct wg_conf *conf, struct push *ret);

/* tun0, or the first one that the host does not have. */
const char *push_tun_name(struct arena *a, const struct snapshot *host);

#endif
