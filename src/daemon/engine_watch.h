/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_ENGINE_WATCH_H
#define DAEMON_ENGINE_WATCH_H

#include "base/err.h"
#include "plan/attach.h"

#include <stddef.h>

struct engine_watch_options {
	const char *socket;
	const char *const *attach; /* names of containers to attach to whenever they start */
	size_t n_attach;
	struct attach_ask ask; /* for these */
};

/*
 * Listens to a container engine.  A container that joined another's network is
 * restarted, or made anew if it must be, when that one has a network of its own
 * again; until a signal.
 */
int engine_watch(const struct engine_watch_options *o, struct err *e) MUST_USE;

#endif
