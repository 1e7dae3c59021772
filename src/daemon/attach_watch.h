/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_ATTACH_WATCH_H
#define DAEMON_ATTACH_WATCH_H

#include "daemon/attach.h"
#include "daemon/own_table.h"
#include "sys/loop.h"
#include "sys/nft.h"
#include "sys/rtnl.h"

/* One namespace that is attached to, and what is held open of it. */
struct attached {
	struct arena arena;
	const struct attach_target *target;
	bool inside; /* for good: it needs no visits */
	struct attach_ask ask;
	struct rtnl *rtnl;
	struct nft *nft;
	struct own_table table;
	bool watched; /* what others do to the table will be heard of */
	struct plan_sysctl *before;
	size_t n_before, cap_before;
	bool read_only; /* /proc/sys cannot be written, and that was said */
	bool settled; /* what differs from now on is a repair */
	char *said; /* the doors as they were told last */
	bool quiet;
};

/* daemon/attach.c; "sallyport: LABEL: ..." on stderr. */
void attached_say(const struct attached *x, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
/* To where the work can be done from; for good, if there is no way back. */
int attached_go_near(struct attached *x, const struct attach_target *t, struct err *e) MUST_USE;
/* Where to work: -1 is here. */
int attached_place(const struct attached *x);
int attached_open(struct attached *x, const struct attach_target *t, struct err *e) MUST_USE;
void attached_close(struct attached *x);
#define CLEANUP_ATTACHED __attribute__((cleanup(attached_close)))
/* Makes it so; takes all back if it was not attached to before and that fails. */
int attached_first(struct attached *x, struct err *e) MUST_USE;
int attached_reconcile(struct attached *x, struct err *e) MUST_USE;
int attached_remove(struct attached *x, bool *ret_found, struct err *e) MUST_USE;
/* Of the control socket by which one process at a time watches a namespace. */
const char *attached_lock(struct arena *a, const struct attach_target *t);
/* Does somebody in the namespace translate addresses? */
int attached_translation(struct attached *x, struct arena *a, bool *ret, struct err *e) MUST_USE;

/* The same with a loop that keeps it so. */
struct attach_watch {
	struct attached x;
	struct loop loop;
	struct rtnl_watch *rtnl;
	struct nft_watch *nft;
	struct loop_source rtnl_source, nft_source, ended, signals, control;
	struct loop_source path; /* who comes and goes beside the namespace's file */
	struct loop_timer sweep;
	bool dirty;
	bool swept; /* the look that comes is the sweep's */
	int client; /* asks for `detach`; -1 */
	bool in_order; /* the last look found or left everything as it must be */
	/* Answers what else is asked at the socket, NULL: nothing is. */
	void (*request)(void *ctx, const char *line, int fd);
	void *request_ctx;
	bool signals_are_mine; /* whoever opened it handles signals itself */
};

#define ATTACH_WATCH_NONE                                                                          \
	((struct attach_watch){ .loop.epoll = -1,                                                  \
				.signals.fd = -1,                                                  \
				.control.fd = -1,                                                  \
				.path.fd = -1,                                                     \
				.client = -1 })

/* Attaches, and is ready for loop_run(); @t and what @ask points to must stay. */
int attach_watch_open(struct attach_watch *w, const struct attach_target *t,
		      const struct attach_ask *ask, struct err *e) MUST_USE;
/* Another wish, as soon as the loop comes to it. */
void attach_watch_ask(struct attach_watch *w, const struct attach_ask *ask);
void attach_watch_close(struct attach_watch *w);
#define CLEANUP_WATCH __attribute__((cleanup(attach_watch_close)))

#endif
