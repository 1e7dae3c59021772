/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/loop.h"

#include "sys/fd.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <time.h>

int64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_now(void)
{
	return (int64_t)time(NULL);
}

int signals_open(const sigset_t *set, int *ret_fd, struct err *e)
{
	int fd;

	if (sigprocmask(SIG_BLOCK, set, NULL) < 0)
		return err_errno(e, errno, "block signals");
	fd = signalfd(-1, set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "signalfd");
	*ret_fd = fd;
	return 0;
}

int loop_open(struct loop *l, struct err *e)
{
	*l = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
	if (l->epoll < 0)
		return err_errno(e, errno, "epoll_create1");
	return 0;
}

void loop_close(struct loop *l)
{
	fd_close(&l->epoll);
}

static bool still_there(const struct loop *l, const struct loop_source *s)
{
	for (const struct loop_source *x = l->sources; x; x = x->next)
		if (x == s)
			return true;
	return false;
}

int loop_add(struct loop *l, struct loop_source *s, int fd, struct err *e)
{
	struct epoll_event ev = { .events = EPOLLIN, .data.ptr = s };

	/* The list would become a ring. */
	if (still_there(l, s))
		return err_set(e, EEXIST, "a source of the loop is added twice");
	if (epoll_ctl(l->epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
		return err_errno(e, errno, "epoll_ctl");
	s->fd = fd;
	s->next = l->sources;
	l->sources = s;
	return 0;
}

void loop_remove(struct loop *l, struct loop_source *s)
{
	struct loop_source **p = &l->sources;

	while (*p && *p != s)
		p = &(*p)->next;
	if (!*p)
		return;
	*p = s->next;
	(void)epoll_ctl(l->epoll, EPOLL_CTL_DEL, s->fd, NULL);
	s->fd = -1;
}

void loop_disarm(struct loop *l, struct loop_timer *t)
{
	struct loop_timer **p = &l->timers;

	while (*p && *p != t)
		p = &(*p)->next;
	if (*p)
		*p = t->next;
	t->at_ms = 0;
}

void loop_arm(struct loop *l, struct loop_timer *t, int64_t in_ms)
{
	loop_disarm(l, t);
	t->at_ms = clock_ms() + (in_ms > 0 ? in_ms : 1);
	t->next = l->timers;
	l->timers = t;
}

static int until_next_timer(const struct loop *l)
{
	int64_t now = clock_ms();
	int64_t wait = -1;

	for (const struct loop_timer *t = l->timers; t; t = t->next) {
		int64_t left = t->at_ms > now ? t->at_ms - now : 0;

		if (wait < 0 || left < wait)
			wait = left;
	}
	return wait > INT32_MAX ? INT32_MAX : (int)wait;
}

static struct loop_timer *due_timer(const struct loop *l, int64_t now)
{
	for (struct loop_timer *t = l->timers; t; t = t->next)
		if (t->at_ms <= now)
			return t;
	return NULL;
}

static void fire_timers(struct loop *l)
{
	int64_t now = clock_ms();
	struct loop_timer *t;

	/* One that arms itself again is due later than now. */
	while ((t = due_timer(l, now))) {
		loop_disarm(l, t);
		t->fire(t);
	}
}

static void end_loop(struct loop_source *s, uint32_t events)
{
	struct loop *l = s->ctx;

	(void)events;
	l->stop = true;
}

int loop_end_by_signals(struct loop *l, struct loop_source *s, struct err *e)
{
	int fd CLEANUP_FD = -1;
	sigset_t set;
	int r;

	*s = (struct loop_source){ .fd = -1, .ready = end_loop, .ctx = l };
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	r = signals_open(&set, &fd, e);
	if (r == 0)
		r = loop_add(l, s, fd, e);
	if (r == 0)
		(void)fd_take(&fd);
	return r;
}

int loop_run(struct loop *l, struct err *e)
{
	struct epoll_event events[16];

	while (!l->stop) {
		int n;

		if (l->idle)
			l->idle(l->idle_ctx);
		if (l->stop)
			break;
		n = epoll_wait(l->epoll, events, 16, until_next_timer(l));
		if (n < 0 && errno != EINTR)
			return err_errno(e, errno, "epoll_wait");
		for (int i = 0; i < n; i++) {
			struct loop_source *s = events[i].data.ptr;

			if (still_there(l, s))
				s->ready(s, events[i].events);
		}
		fire_timers(l);
	}
	return 0;
}
