/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_NETNS_H
#define SYS_NETNS_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Network namespaces by name, as ip-netns(8) keeps them: a file in
 * /run/netns on which the namespace is bind-mounted.  File descriptors are
 * O_CLOEXEC.  setns(2) is per thread; the program has one.
 */

#define NETNS_DIR "/run/netns"

/* An fd of the caller's own namespace. */
int netns_open_self(int *ret_fd, struct err *e) MUST_USE;
/* -ENOENT if there is none of that name. @name has no slash. */
int netns_open(const char *name, int *ret_fd, struct err *e) MUST_USE;
/*
 * What a user means by @place: a gate (/run/netns/PLACE.gate), a namespace of
 * ip-netns(8), the number of a process, or the path of a namespace's file.
 */
int netns_open_place(const char *place, int *ret_fd, struct err *e) MUST_USE;
/* Does this result of the two say that there is none, and not that it could not be opened? */
bool netns_is_gone(int r);
/* Makes a new one, loopback up, alias of loopback = @alias; -EEXIST if the name is taken. */
int netns_create(const char *name, const char *alias, int *ret_fd, struct err *e) MUST_USE;
/* Unmounts and unlinks; 0 if it was not there. */
int netns_delete(const char *name, struct err *e) MUST_USE;

/* Is @name a mere file of ours, because its maker died before the namespace came or after it went? */
bool netns_is_leftover(const char *name);
/*
 * Puts the name back on @fd's namespace if somebody took it away: 1 if it had
 * to, 0 if it stands.  A name that now means another namespace: -EEXIST.
 */
int netns_keep(const char *name, int fd, struct err *e) MUST_USE;
/*
 * Has inotify instance @inotify_fd tell when somebody takes the name away, and of no other
 * name (so @ret_wd says IN_ATTRIB, IN_MOVE_SELF and IN_IGNORED).  -ENOENT: it is gone already.
 */
int netns_watch(const char *name, int inotify_fd, int *ret_wd, struct err *e) MUST_USE;
/* Are both fds the same namespace (st_dev, st_ino)? */
bool netns_same(int fd_a, int fd_b);

/*
 * Visit: the thread enters @fd and comes back in netns_leave(); -EPERM if it
 * would have no right to.  A visit that cannot come back all the same aborts:
 * continuing in the wrong namespace is never right.
 *	struct netns_visit v CLEANUP_VISIT = NETNS_VISIT_NONE;
 *	r = netns_enter(fd, &v, e);
 */
struct netns_visit {
	int home; /* -1: not away */
};
#define NETNS_VISIT_NONE ((struct netns_visit){ -1 })
int netns_enter(int fd, struct netns_visit *v, struct err *e) MUST_USE;
void netns_leave(struct netns_visit *v);
#define CLEANUP_VISIT __attribute__((cleanup(netns_leave)))

/*
 * Has the caller the right to come back into its own namespace?  Root of a user
 * namespace, as a podman without root makes one, has it not where the network
 * is the host's (setns(2): CAP_SYS_ADMIN in the user namespace that owns it).
 */
bool netns_may_return(void);
/* For good. */
int netns_move(int fd, struct err *e) MUST_USE;

/* The names in /run/netns; none if the directory is not there.  Arena strings. */
int netns_list(struct arena *a, const char ***ret_names, size_t *ret_n, struct err *e) MUST_USE;

/*
 * Pids of processes whose network namespace is @fd, read from /proc; the
 * caller's own pid is left out.
 */
int netns_pids(struct arena *a, int fd, int **ret_pids, size_t *ret_n, struct err *e) MUST_USE;

/*
 * Sends @sig to process @pid if it lives in namespace @fd, which is asked while a pidfd
 * holds it (pidfd_send_signal(2)): its number may be somebody else's by now.
 */
void netns_signal(int fd, int pid, int sig);

#endif
