/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_RESOLVED_H
#define SYS_RESOLVED_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * systemd-resolved(8) and what programs have told it about links at run time, as
 * resolvectl(1) does it: that goes before what systemd-networkd says of the link,
 * and is forgotten with the link.
 */

/* `resolvectl dns`, `domain`, ...: all that can be told about a link. */
#define RESOLVED_SETTINGS 8

struct resolved_link {
	int index;
	const char *kept; /* its file of the service's own: to be compared, not to be read */
};

/* In an arena.  Zero: the service does not run. */
struct resolved {
	bool runs;
	const char *uplinks; /* its resolv.conf(5) of all servers that it asks; NULL: none */
	struct resolved_link *links; /* about which it was told something itself */
	size_t n_links, cap_links;
	const char *said[RESOLVED_SETTINGS]; /* about all links; NULL: not asked */
};

/* Reads files of the service, and asks nobody. */
void resolved_look(struct arena *a, struct resolved *ret);
/* What it was told about the link with this index; NULL: nothing. */
const char *resolved_kept(const struct resolved *r, int index);

/*
 * Asks, if it runs, for all settings of all links.  -ENOENT without resolvectl(1),
 * -ETIMEDOUT; errors of the service.
 */
int resolved_ask(struct arena *a, struct resolved *r, struct err *e) MUST_USE;
/* Do both say the same of the link with @index? */
bool resolved_agree(const struct resolved *a, const struct resolved *b, int index);
/*
 * Makes it forget what it was told about the link with @index; what systemd-networkd
 * was told instead, of a link of its own, that forgets as well.
 */
int resolved_forget(int index, struct err *e) MUST_USE;
/* Tells it what @was says of the link, where it says something else after having forgotten. */
int resolved_tell(const struct resolved *was, int index, struct err *e) MUST_USE;

#endif
