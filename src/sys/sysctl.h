/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_SYSCTL_H
#define SYS_SYSCTL_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>

/*
 * /proc/sys/net of the namespace the thread is in (visit first).  @path is
 * below /proc/sys/net/, "ipv4/conf/eth0/forwarding".  -ENOENT if there is none.
 */
/*
 * The directories ipv4 and ipv6 of one namespace, opened when they are first
 * used.  The kernel finds them by walking through those of all namespaces, what
 * is in them at once.  Use it in no other namespace than the first time.
 */
struct sysctl_dirs {
	int fd[2];
};
#define SYSCTL_DIRS_NONE ((struct sysctl_dirs){ { -1, -1 } })
void sysctl_dirs_close(struct sysctl_dirs *d);

/* @d may be NULL. */
int sysctl_get_in(struct sysctl_dirs *d, struct arena *a, const char *path, const char **ret,
		  struct err *e) MUST_USE;
int sysctl_set_in(struct sysctl_dirs *d, const char *path, const char *value,
		  struct err *e) MUST_USE;
/*
 * Sets it to @value if it is another one (and @only_if, unless that is NULL).
 * *@ret_was: what it was then; NULL if it stays, as one that cannot be read does.
 */
int sysctl_change_in(struct sysctl_dirs *d, struct arena *a, const char *path, const char *value,
		     const char *only_if, const char **ret_was, struct err *e) MUST_USE;

int sysctl_get(struct arena *a, const char *path, const char **ret, struct err *e) MUST_USE;
/* Writes only if it differs; *ret_changed (may be NULL) tells. */
int sysctl_set(const char *path, const char *value, bool *ret_changed, struct err *e) MUST_USE;

#endif
