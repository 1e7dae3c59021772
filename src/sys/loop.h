/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_LOOP_H
#define SYS_LOOP_H

#include "base/err.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

/*
 * One epoll loop with timers.  Sources and timers belong to their owners and
 * stay where they are; the loop only points at them.  Callbacks may add and
 * remove any source or timer, their own too.
 */
struct loop_source {
	int fd; /* -1: not in the loop */
	void (*ready)(struct loop_source *s, uint32_t events);
	void *ctx;
	struct loop_source *next; /* the loop's */
	int64_t rests_until; /* likewise: until then it is not heard; 0: it is */
	bool short_of; /* likewise: descriptors or memory for who comes, and that was told */
};

struct loop_timer {
	int64_t at_ms; /* CLOCK_BOOTTIME; 0: not armed */
	void (*fire)(struct loop_timer *t);
	void *ctx;
	struct loop_timer *next; /* the loop's */
};

struct loop {
	int epoll;
	int spare; /* descriptor that is given up for who comes when there is no other */
	bool stop;
	struct loop_source *sources;
	struct loop_timer *timers;
	/* Called when every event at hand has been delivered, before waiting again. */
	void (*idle)(void *ctx);
	void *idle_ctx;
};

int loop_open(struct loop *l, struct err *e) MUST_USE;
void loop_close(struct loop *l);
/* Readable events by default; the fd stays the caller's.  -EEXIST: @s is in it already. */
int loop_add(struct loop *l, struct loop_source *s, int fd, struct err *e) MUST_USE;
void loop_remove(struct loop *l, struct loop_source *s);
/*
 * accept4(2) of the listening socket of @s, O_CLOEXEC and with @flags.  Without a descriptor
 * the kernel leaves who comes in the queue and @s readable: one is kept for that, and where
 * it does not help, @s is not listened to for a moment.  -EMFILE, -ENFILE, -ENOBUFS or
 * -ENOMEM the first time, to be told; else -EAGAIN: there is nobody, or it is tried again.
 */
int loop_accept(struct loop *l, struct loop_source *s, int flags) MUST_USE;
void loop_arm(struct loop *l, struct loop_timer *t, int64_t in_ms);
void loop_disarm(struct loop *l, struct loop_timer *t);
/* Until l->stop is set. */
int loop_run(struct loop *l, struct err *e) MUST_USE;

/* CLOCK_BOOTTIME in ms: goes on while the machine sleeps. */
int64_t clock_ms(void);
/* CLOCK_REALTIME in seconds, for people. */
int64_t clock_now(void);

/* Blocks @set and returns a signalfd for it (O_CLOEXEC, non-blocking). */
int signals_open(const sigset_t *set, int *ret_fd, struct err *e) MUST_USE;
/*
 * SIGINT, SIGTERM and SIGHUP end loop_run().  They are blocked from here on;
 * @s->fd is the caller's to close.
 */
int loop_end_by_signals(struct loop *l, struct loop_source *s, struct err *e) MUST_USE;

#endif
