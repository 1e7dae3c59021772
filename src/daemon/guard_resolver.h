/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_GUARD_RESOLVER_H
#define DAEMON_GUARD_RESOLVER_H

#include "base/arena.h"
#include "base/err.h"
#include "sys/resolved.h"

#include <jansson.h>

/*
 * The name servers that a host asks, as they were before a command changed them:
 * resolv.conf(5), and what systemd-resolved(8) was told about links.  In an arena.
 */
struct resolver_before {
	const char *conf; /* content; NULL: there is none */
	const char *target; /* of a symbolic link; NULL: a plain file */
	struct resolved resolved;
};

/* What cannot be read or asked counts as not there. */
void resolver_take(struct arena *a, struct resolver_before *ret);

/*
 * Does it differ from now?  Then *ret_words, in @a, says where, and which name
 * servers are asked now.
 */
bool resolver_differs(struct arena *a, const struct resolver_before *b, const char **ret_words);

/*
 * Goes on after a failure.  Links that NetworkManager configures are its own
 * affair, unless @all.
 */
int resolver_restore(const struct resolver_before *b, bool all, struct err *e) MUST_USE;

/*
 * What was before @b's command, and what that has made of it as seen now, stand in
 * a file until resolver_restore(): it outlives a guard that is killed.
 */
int resolver_save(const struct resolver_before *b, struct err *e) MUST_USE;
/* True if a killed guard has left one, and nobody has changed anything since. */
bool resolver_recall(struct arena *a, struct resolver_before *ret);

/* @b, and how it is now; NULL if that is no UTF-8. */
json_t *resolver_encode(const struct resolver_before *b);
/* @ret from that, which may be anything; true if nobody has changed anything since. */
bool resolver_decode(struct arena *a, const json_t *from, struct resolver_before *ret);

/* The directories in which something changes then; ends with NULL. */
extern const char *const resolver_directories[];

#endif
