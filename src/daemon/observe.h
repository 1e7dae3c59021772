/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_OBSERVE_H
#define DAEMON_OBSERVE_H

#include "base/arena.h"
#include "base/err.h"
#include "model/host.h"

/*
 * The namespace @place (netns_open_place()), NULL for the caller's own, as the
 * kernel tells it now: @parts (HOST_*) of it.  Whom the host serves beyond its
 * sockets (containers, name servers, the user's session) is looked for in the
 * caller's own namespace only, and stays unknown of another.  Everything lies
 * in @a.
 */
int host_observe(struct arena *a, const char *place, uint32_t parts, struct host *ret,
		 struct err *e) MUST_USE;

/*
 * The host that a file tells of: what `sallyport snapshot` wrote, or what ip(8)
 * printed with -j, several documents in one file or in several, their names in
 * @files with commas between them; "-" is standard input.  Waits at most a
 * minute for a pipe.  -EINVAL: what is in it is wrong.
 */
int host_load(struct arena *a, const char *files, struct host *ret, struct err *e) MUST_USE;

#endif
