/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Trials of others, as a guard that stands sees them: by the files that they keep
 * (daemon/guard_journal.h), which it reads when one of them says so, when a process
 * of theirs ends, and with every sweep.  What they want kept on the LAN is kept as
 * long as they last.  One whose process and watchdog are both dead is taken back.
 */
#include "daemon/guard.h"

#include "sys/fd.h"
#include "sys/proc.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

/* For one that somebody else takes back. */
#define SETTLE_MS 30000

/* --- those of which nobody is alive ---------------------------------------------------------- */

static int take_back(const struct journal *j, struct err *e)
{
	struct nft *nft CLEANUP_NFT = NULL;
	struct arena a CLEANUP_ARENA = { 0 };
	struct err later;
	bool found;
	int r;

	guard_log("the trial of %s was killed: what it changed is taken back",
		  journal_command(&a, j));
	r = journal_undo(j, e);
	if (j->beside && nft_open(-1, &nft, &later) == 0 &&
	    guard_trial_remove(nft, &found, &later) < 0)
		guard_log("%s", later.text);
	return r;
}

int guard_trials_settle(bool *ret_found, struct err *e)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	int64_t until = clock_ms() + SETTLE_MS;
	int r = 0;

	for (int beside = 0; beside < 2;) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct journal j;
		bool there = journal_read(&a, beside, &j);

		if (there && j.undoing && journal_lives(&j) && clock_ms() < until) {
			*ret_found = true;
			nanosleep(&pause, NULL);
			continue;
		}
		beside++;
		if (!there || !journal_is_orphan(&j))
			continue;
		*ret_found = true;
		if (take_back(&j, e) < 0)
			r = -EIO;
	}
	return r;
}

static void undoer_ended(struct loop_source *source, uint32_t events)
{
	struct guard *g = source->ctx;
	int fd = source->fd, status;

	(void)events;
	(void)proc_reap(g->trials.undoer, &status);
	loop_remove(&g->loop, source);
	fd_close(&fd);
	g->trials.undoer = 0;
	guard_trials_look(g);
}

static _Noreturn void be_undoer(const struct journal *j)
{
	struct err e;
	sigset_t none;

	setsid();
	prctl(PR_SET_NAME, "sallyport-undo");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	close_range(3, ~0U, 0);
	if (take_back(j, &e) < 0)
		guard_log("%s", e.text);
	_exit(0);
}

/* By a process of its own: a client may take its time to go, and the guard has to stand. */
static void start_undoer(struct guard *g, const struct journal *j)
{
	struct trials *t = &g->trials;
	struct err e;
	int fd;

	if (t->undoer)
		return;
	t->undoer = fork();
	if (t->undoer == 0)
		be_undoer(j);
	fd = t->undoer > 0 ? pidfd_open(t->undoer, 0) : -1;
	t->undone = (struct loop_source){ .fd = -1, .ready = undoer_ended, .ctx = g };
	if (fd < 0 || loop_add(&g->loop, &t->undone, fd, &e) < 0) {
		guard_log("a killed trial cannot be taken back now: %s", strerror(errno));
		fd_close(&fd);
		t->undoer = 0;
	}
}

/* --- those that live ------------------------------------------------------------------------- */

static void one_died(struct loop_source *source, uint32_t events)
{
	(void)events;
	guard_trials_look(source->ctx);
}

static void forget_processes(struct guard *g)
{
	for (size_t i = 0; i < ARRAY_LEN(g->trials.alive); i++) {
		int fd = g->trials.alive[i].fd;

		if (fd < 0)
			continue;
		loop_remove(&g->loop, &g->trials.alive[i]);
		fd_close(&fd);
	}
}

/* Of one that cannot be watched the sweep finds the end. */
static void watch_process(struct guard *g, struct loop_source *s, const struct journal_process *p)
{
	int fd CLEANUP_FD = journal_process_lives(p) ? pidfd_open(p->pid, 0) : -1;
	struct err e;

	*s = (struct loop_source){ .fd = -1, .ready = one_died, .ctx = g };
	if (fd >= 0 && loop_add(&g->loop, s, fd, &e) == 0)
		(void)fd_take(&fd);
}

/* Its processes, or the tunnel that a command has left that hands its work to others. */
static bool client_lives(struct guard *g, struct arena *a, const struct journal *j)
{
	struct snapshot now = { 0 };
	struct err e;
	bool knows;

	if (undo_still_runs(&j->before, &knows))
		return true;
	return rtnl_snapshot_tables(g->rtnl, a, 0, 0, &now, &e) == 0 &&
	       undo_left_tunnel(&j->before, &now);
}

/* Does it still count? */
static bool look_at(struct guard *g, struct arena *a, const struct journal *j)
{
	struct loop_source *alive = &g->trials.alive[j->beside ? 2 : 0];

	if (journal_is_orphan(j)) {
		start_undoer(g, j);
		return true;
	}
	watch_process(g, &alive[0], &j->guard);
	watch_process(g, &alive[1], &j->watchdog);
	if (journal_lives(j))
		return true;
	if (client_lives(g, a, j)) {
		g->trials.has_orphans = true;
		return true;
	}
	journal_remove(j->beside, j->before.token);
	return false;
}

/* --- what they keep on the LAN ----------------------------------------------------------------- */

struct lans {
	struct arena arena;
	struct prefix *items;
	size_t n, cap;
};

static bool is_among(const struct prefix *p, const struct prefix *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_equal(p, &list[i]))
			return true;
	return false;
}

static void add_lan(struct lans *l, const struct prefix *p)
{
	if (!is_among(p, l->items, l->n))
		*arena_push(&l->arena, l->items, l->n, l->cap) = *p;
}

static void take_over(struct guard *g, const struct lans *now)
{
	char text[PREFIX_TEXT_SIZE];
	struct guard_wish *w = &g->wish;

	for (size_t i = 0; i < now->n; i++)
		if (!is_among(&now->items[i], w->lan, w->n_lan)) {
			guard_log("%s stays on the LAN while a command beside the guard stands",
				  prefix_text(&now->items[i], text));
			g->dirty = true;
		}
	for (size_t i = 0; i < w->n_lan; i++)
		if (!is_among(&w->lan[i], now->items, now->n)) {
			guard_log("%s is kept on the LAN no more: its command is over",
				  prefix_text(&w->lan[i], text));
			g->dirty = true;
		}
	arena_free(&g->trials.lan_arena);
	g->trials.lan_arena = now->arena;
	w->lan = now->items;
	w->n_lan = now->n;
}

void guard_trials_look(struct guard *g)
{
	struct trials *t = &g->trials;
	struct lans now = { 0 };

	if (g->beside)
		return;
	if (!t->known) {
		t->own_lan = g->wish.lan;
		t->n_own_lan = g->wish.n_lan;
		t->known = true;
	}
	forget_processes(g);
	t->has_orphans = false;
	for (size_t i = 0; i < t->n_own_lan; i++)
		add_lan(&now, &t->own_lan[i]);
	for (int beside = 0; beside < 2; beside++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct journal j;

		if (!journal_read(&a, beside, &j) || j.guard.pid == g->pid || !look_at(g, &a, &j))
			continue;
		for (size_t i = 0; beside && i < j.n_lan; i++)
			add_lan(&now, &j.lan[i]);
	}
	take_over(g, &now);
}

/* One that is taken back just now goes on being that. */
void guard_trials_close(struct guard *g)
{
	int fd = g->trials.undone.fd;

	forget_processes(g);
	if (fd >= 0) {
		loop_remove(&g->loop, &g->trials.undone);
		fd_close(&fd);
	}
	arena_free(&g->trials.lan_arena);
	g->wish.lan = NULL;
	g->wish.n_lan = 0;
}
