/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_OBSERVE_H
#define DAEMON_OBSERVE_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "model/host.h"

/*
 * The namespace @place (netns_open_place()), NULL for the caller's own, as the
 * kernel tells it now: @parts (HOST_*) of it.  Whom the host serves beyond its
 * sockets (containers, name servers, the user's session) is looked for in the
 * caller's own namespace only, and stays unknown of another.  Everything lies
 * in @a.  @said (may be NULL) is told what is wrong and stops nothing.
 */
int host_observe(struct arena *a, const char *place, uint32_t parts, struct host *ret,
		 struct text *said, struct err *e) MUST_USE;

/*
 * The host that @n files tell of: one that `sallyport snapshot` wrote, or what
 * ip(8) printed with -j (wire/ip_json.h), in one file or several; "-" is
 * standard input.  Waits at most a minute for a pipe.  -EINVAL: what is in them
 * is wrong.  @ret->parts says what they tell; where they do not tell a family's
 * rules or routes its lookups say so (host_bar_unknown()).
 */
int host_load(struct arena *a, const char *const *files, size_t n, struct host *ret,
	      struct err *e) MUST_USE;

/* "FILE does not tell sysctls, sockets, ...", "" if all is told. */
void host_missing(struct text *t, const char *file, const struct host *h, uint32_t wanted);

#endif
