/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_ATTACH_H
#define DAEMON_ATTACH_H

#include "base/arena.h"
#include "base/err.h"
#include "plan/attach.h"

#include <sys/types.h>

/*
 * A namespace that somebody else made, found by what the user calls it.  The
 * fds keep it alive; attach_target_close() lets it go.
 */
struct attach_target {
	const char *label; /* as the user knows it: container "web", process 123, a path */
	const char *path; /* of the namespace's file; NULL for a process or container */
	int fd; /* the namespace */
	int pid; /* of the process it was found by, 0 for a path */
	int pidfd; /* of the same, -1 for a path */
	bool own; /* the caller's: fd is -1 */
	const struct ip *gateways; /* of its networks, as an engine tells them */
	size_t n_gateways;
};

/* Where `init` listens, in its own namespace; see control_bind(). */
#define ATTACH_INIT "init"

#define ATTACH_TARGET_NONE ((struct attach_target){ .fd = -1, .pidfd = -1 })

/* daemon/attach_target.c; @engine: the socket to ask, NULL for those of Docker and Podman. */
int attach_target_find(struct arena *a, const char *word, const char *engine,
		       struct attach_target *ret, struct err *e) MUST_USE;
void attach_target_close(struct attach_target *t);
#define CLEANUP_TARGET __attribute__((cleanup(attach_target_close)))

/* Servers by name, resolved here and not in the namespace; within 20 s. */
struct door_server;
int attach_resolve(struct arena *a, const struct door_server *servers, size_t n,
		   struct attach_ask *ret, struct err *e) MUST_USE;

/* Those with literal addresses, and those whose names stand in @names as in /etc/hosts. */
void attach_add_servers(struct arena *a, const struct door_server *servers, size_t n,
			const char *names, struct attach_ask *ret);

/*
 * Makes it so, and fails without a trace if it cannot.  What stands already is
 * taken over: clients that were learned stay learned.  Doors and warnings go to
 * stderr unless @quiet.
 */
int attach(const struct attach_target *t, const struct attach_ask *ask, bool quiet,
	   struct err *e) MUST_USE;
/* The same, and then keeps it so until a signal, `detach` or the end of the process. */
int attach_watch(const struct attach_target *t, const struct attach_ask *ask,
		 struct err *e) MUST_USE;
/*
 * Tells on stderr, with the line to type, where a firewall of the caller's
 * namespace drops what clients send to the doors.
 */
void attach_tell_firewall(const struct attach_target *t);
/* Takes all of it away, sysctls back; -ENOENT if there is nothing. */
int detach(const struct attach_target *t, struct err *e) MUST_USE;
/* What attach() would do, without doing it. */
int attach_plan(struct arena *a, const struct attach_target *t, const struct attach_ask *ask,
		struct want *ret, struct err *e) MUST_USE;

#endif
