/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_NETDRIVER_SERVE_H
#define DAEMON_NETDRIVER_SERVE_H

#include "base/arena.h"
#include "base/err.h"

/*
 * Between daemon/netdriver.c, what requests mean, and daemon/netdriver_serve.c,
 * how they come.
 */

/*
 * The body for one request; -EAGAIN: ask again in a moment, and if that goes on
 * too long the text is the answer.
 */
int netdriver_answer(struct arena *a, const char *path, const char *body, size_t size,
		     int *ret_status, const char **ret, struct err *e) MUST_USE;

/*
 * Which container a room is of and what its label says, asked of the engine;
 * -EAGAIN while the engine does not know yet.  A room that nobody is in any more
 * is given up.
 */
int netdriver_complete(const char *engine, const char *gate, const char *room,
		       struct err *e) MUST_USE;
/* Have netdriver_complete() called soon, and until it succeeds. */
void netdriver_look_up(const char *gate, const char *room);
/* Calls @found for each room that there is. */
void netdriver_incomplete(void (*found)(const char *gate, const char *room));

/* The directory for what outlives a restart of the machine. */
const char *netdriver_state(void);

void netdriver_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
