/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/loop.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>

/* How long who comes waits when there is no descriptor for him, in ms. */
#define REST_MS 200

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

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

int loop_open(struct loop *l, struct err *e)
{
	*l = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC), .spare = -1 };
	if (l->epoll < 0)
		return err_errno(e, errno, "epoll_create1");
	l->spare = open_spare();
	return 0;
}

void loop_close(struct loop *l)
{
	if (l->epoll >= 0)
		fd_close(&l->spare);
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
	s->rests_until = 0;
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

/* What it has to say stays: epoll(7) would tell of it at once, again and again. */
static void hear(struct loop *l, struct loop_source *s, bool hears)
{
	struct epoll_event ev = { .events = hears ? EPOLLIN : 0, .data.ptr = s };

	s->rests_until = hears ? 0 : clock_ms() + REST_MS;
	(void)epoll_ctl(l->epoll, EPOLL_CTL_MOD, s->fd, &ev);
}

static bool is_short(int r)
{
	return r == -EMFILE || r == -ENFILE || r == -ENOBUFS || r == -ENOMEM;
}

static int accept_one(const struct loop_source *s, int flags)
{
	int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC | flags);

	return fd < 0 ? -errno : fd;
}

int loop_accept(struct loop *l, struct loop_source *s, int flags)
{
	bool told = s->short_of;
	int r;

	/* Whoever got its number last may have gone. */
	if (l->spare < 0)
		l->spare = open_spare();
	r = accept_one(s, flags);
	if (is_short(r) && l->spare >= 0) {
		fd_close(&l->spare);
		r = accept_one(s, flags);
	}
	s->short_of = is_short(r);
	if (s->short_of)
		hear(l, s, false);
	return r < 0 && (!s->short_of || told) ? -EAGAIN : r;
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

/* The sooner of both, in ms from @now; -1: never. */
static int64_t sooner(int64_t wait, int64_t at_ms, int64_t now)
{
	int64_t left = at_ms > now ? at_ms - now : 0;

	return wait < 0 || left < wait ? left : wait;
}

static int until_next_timer(const struct loop *l)
{
	int64_t now = clock_ms();
	int64_t wait = -1;

	for (const struct loop_timer *t = l->timers; t; t = t->next)
		wait = sooner(wait, t->at_ms, now);
	for (const struct loop_source *s = l->sources; s; s = s->next)
		if (s->rests_until)
			wait = sooner(wait, s->rests_until, now);
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

static void hear_again(struct loop *l)
{
	int64_t now = clock_ms();

	for (struct loop_source *s = l->sources; s; s = s->next)
		if (s->rests_until && s->rests_until <= now)
			hear(l, s, true);
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
		hear_again(l);
	}
	return 0;
}
