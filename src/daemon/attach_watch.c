/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whatever changes in a namespace that is attached to ends in attached_reconcile(). */
#include "daemon/attach_watch.h"

#include "base/text.h"
#include "daemon/supervisor.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/memory.h"
#include "sys/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * No event tells of the sysctls arp_ignore and arp_announce: netconf has none of them,
 * and inotify does not hear what is written by another mount of /proc, which each
 * container has of its own.  Nor does it hear of files below /proc.
 */
#define SWEEP_MS       30000
#define FIRST_SWEEP_MS 1000 /* gives back what the start needed */
#define LAZY_MS        50

void attach_watch_close(struct attach_watch *w)
{
	rtnl_watch_close(&w->rtnl);
	nft_watch_close(&w->nft);
	fd_close(&w->signals.fd);
	fd_close(&w->control.fd);
	fd_close(&w->path.fd);
	fd_close(&w->client);
	loop_close(&w->loop);
	attached_close(&w->x);
}

static void network_changed(struct loop_source *source, uint32_t events)
{
	struct attach_watch *w = source->ctx;
	struct rtnl_news news = { 0 };
	struct err e;

	(void)events;
	if (rtnl_watch_read(w->rtnl, &news, &e) < 0) {
		attached_say(&w->x, "%s", e.text);
		news.lost = true;
	}
	/* Routes that a VPN client adds, by the thousand, cannot hurt: one look for all. */
	if (news.links || news.addresses || news.rules || news.deletions || news.lost)
		w->dirty = true;
	else if (w->sweep.at_ms >
		 clock_ms() + LAZY_MS) /* from the first one on, however many come */
		loop_arm(&w->loop, &w->sweep, LAZY_MS);
}

static void nft_changed(struct loop_source *source, uint32_t events)
{
	struct attach_watch *w = source->ctx;
	struct arena a CLEANUP_ARENA = { 0 };
	bool translated = false;
	const char *what;
	struct err e;

	(void)events;
	if (own_table_changed(&w->x.table, w->x.nft, w->nft, &a, &what, &e)) {
		attached_say(&w->x, "repaired: nft table inet " PLAN_ATTACH_NFT " was %s", what);
		w->dirty = true;
	}
	if (*e.text)
		attached_say(&w->x, "%s", e.text);
	if (attached_translation(&w->x, &a, &translated, &e) == 0 &&
	    translated != w->x.ask.translated)
		w->dirty = true;
}

static void process_ended(struct loop_source *source, uint32_t events)
{
	struct attach_watch *w = source->ctx;

	(void)events;
	attached_say(&w->x, "has ended");
	w->loop.stop = true;
}

static void asked(struct loop_source *source, uint32_t events)
{
	struct attach_watch *w = source->ctx;
	char line[CONTROL_LINE_SIZE];
	int fd CLEANUP_FD = control_accept(&w->loop, source, w->x.target->label, line);

	(void)events;
	if (fd >= 0 && w->request) {
		w->request(w->request_ctx, line, fd);
	} else if (fd >= 0 && w->client < 0 && str_eq(line, "detach")) {
		w->client = fd_take(&fd);
		w->loop.stop = true;
	}
}

static bool path_is_gone(const struct attach_target *t)
{
	struct stat now, was;

	return t->path &&
	       (stat(t->path, &now) < 0 || fstat(t->fd, &was) < 0 || now.st_ino != was.st_ino);
}

static void look_for_path(struct attach_watch *w)
{
	if (!path_is_gone(w->x.target))
		return;
	attached_say(&w->x, "is gone");
	w->loop.stop = true;
}

static void names_changed(struct loop_source *source, uint32_t events)
{
	char buf[4096];

	(void)events;
	while (read(source->fd, buf, sizeof(buf)) > 0)
		;
	look_for_path(source->ctx);
}

static void sweep(struct loop_timer *timer)
{
	struct attach_watch *w = timer->ctx;

	if (w->path.fd < 0)
		look_for_path(w);
	w->dirty = w->swept = true;
	loop_arm(&w->loop, &w->sweep, SWEEP_MS);
}

static void idle(void *ctx)
{
	struct attach_watch *w = ctx;
	struct err e;

	if (!w->dirty)
		return;
	w->dirty = false;
	w->in_order = attached_reconcile(&w->x, &e) == 0;
	if (!w->in_order)
		attached_say(&w->x, "%s", e.text);
	if (w->swept)
		memory_give_back();
	w->swept = false;
}

static int add_source(struct attach_watch *w, struct loop_source *s, int fd,
		      void (*ready)(struct loop_source *s, uint32_t events), struct err *e)
{
	*s = (struct loop_source){ .ready = ready, .ctx = w, .fd = -1 };
	return loop_add(&w->loop, s, fd, e);
}

/* Of a file that is gone, as after `ip netns del`, the namespace must not live on by us. */
static int watch_path(struct attach_watch *w, const struct attach_target *t, struct err *e)
{
	int fd CLEANUP_FD = -1;
	int r;

	if (!t->path || str_starts(t->path, "/proc/"))
		return 0;
	fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	/* There are none left: the clock will do. */
	if (fd < 0 || inotify_add_watch(fd, file_directory(&w->x.arena, t->path),
					IN_DELETE | IN_MOVE | IN_CREATE | IN_DELETE_SELF) < 0)
		return 0;
	r = add_source(w, &w->path, fd, names_changed, e);
	if (r == 0)
		(void)fd_take(&fd);
	return r;
}

/* Watching begins before the first look, so that nothing is missed in between. */
static int open_watch(struct attach_watch *w, struct err *e)
{
	const struct attach_target *t = w->x.target;
	int control = -1;
	int r = loop_open(&w->loop, e);

	w->loop.idle = idle;
	w->loop.idle_ctx = w;
	w->sweep = (struct loop_timer){ .fire = sweep, .ctx = w };
	if (r == 0)
		r = control_bind(attached_lock(&w->x.arena, t), &control, e);
	if (r == -EADDRINUSE)
		return err_set(e, EADDRINUSE, "is watched already by another sallyport attach");
	if (r == 0)
		r = add_source(w, &w->control, control, asked, e);
	if (r == 0 && !w->signals_are_mine)
		r = loop_end_by_signals(&w->loop, &w->signals, e);
	if (r == 0)
		r = attached_go_near(&w->x, t, e);
	if (r == 0)
		r = rtnl_watch_open(attached_place(&w->x), &w->rtnl, e);
	if (r == 0)
		r = add_source(w, &w->rtnl_source, rtnl_watch_fd(w->rtnl), network_changed, e);
	if (r == 0)
		r = nft_watch_open(attached_place(&w->x), &w->nft, e);
	if (r == 0)
		r = add_source(w, &w->nft_source, nft_watch_fd(w->nft), nft_changed, e);
	if (r == 0)
		r = watch_path(w, t, e);
	if (r == 0 && t->pidfd >= 0)
		r = add_source(w, &w->ended, t->pidfd, process_ended, e);
	return r;
}

int attach_watch_open(struct attach_watch *w, const struct attach_target *t,
		      const struct attach_ask *ask, struct err *e)
{
	int r;

	w->x.target = t;
	w->x.ask = *ask;
	w->x.watched = true;
	r = open_watch(w, e);
	if (r == 0)
		r = attached_open(&w->x, t, e);
	if (r == 0)
		r = attached_first(&w->x, e);
	if (r < 0)
		return err_wrap(e, r, "%s", t->label);
	w->x.settled = w->in_order = true;
	loop_arm(&w->loop, &w->sweep, FIRST_SWEEP_MS);
	return 0;
}

void attach_watch_ask(struct attach_watch *w, const struct attach_ask *ask)
{
	w->x.ask = *ask;
	w->dirty = true;
}

int attach_watch(const struct attach_target *t, const struct attach_ask *ask, struct err *e)
{
	struct attach_watch w CLEANUP_WATCH = ATTACH_WATCH_NONE;
	bool found;
	int r = attach_watch_open(&w, t, ask, e);

	if (r < 0)
		return r;
	notify_send(getenv("NOTIFY_SOCKET"), "READY=1");
	r = loop_run(&w.loop, e);
	if (r == 0 && w.client >= 0) {
		r = attached_remove(&w.x, &found, e);
		control_send(w.client, r < 0 ? e->text : "done");
	}
	return r < 0 ? err_wrap(e, r, "%s", t->label) : 0;
}
