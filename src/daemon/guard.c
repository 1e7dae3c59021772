/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of a guard: it stands before the command starts, and goes when the
 * command has ended and left nothing behind.  A command may end and leave its
 * tunnel (wg-quick up, systemctl start): then the guard stays as long as that.
 */
#include "daemon/guard.h"

#include "sys/fd.h"
#include "sys/memory.h"
#include "sys/notify.h"
#include "sys/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <unistd.h>

/* What no event tells of is looked at this often, in ms. */
#define SWEEP_MS       30000
#define FIRST_SWEEP_MS 1000

void guard_log(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_say_v(GUARD_WHO, fmt, ap);
	va_end(ap);
}

void guard_repaired(struct guard *g, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_repaired(&g->repairs, GUARD_WHO, fmt, ap);
	va_end(ap);
}

/* --- requests -------------------------------------------------------------------------------- */

static void off(struct guard *g, int *client)
{
	g->off_client = fd_take(client); /* answered when all is away */
	if (g->child.pid > 0)
		kill(g->child.pid, SIGTERM);
	else
		g->loop.stop = true;
}

/* The trial's command starts once that is done. */
static const char *look_at_trials(struct guard *g, struct err *e)
{
	guard_trials_look(g);
	if (g->dirty && guard_reconcile(g, e) < 0)
		return e->text;
	return "done";
}

static void control_ready(struct loop_source *source, uint32_t events)
{
	struct guard *g = source->ctx;
	char line[CONTROL_LINE_SIZE];
	int fd CLEANUP_FD = control_accept(&g->loop, source, GUARD_WHO, line);
	struct err e;

	(void)events;
	if (fd < 0)
		return;
	if (str_eq(line, "status")) {
		char *json = guard_status_json(g);

		control_send(fd, json);
		free(json);
	} else if (str_eq(line, "trial") && !g->beside) {
		control_send(fd, look_at_trials(g, &e));
	} else if (str_eq(line, "off") && g->off_client < 0) {
		off(g, &fd);
	} else if (str_eq(line, "yes")) {
		guard_trial_yes(g);
		control_send(fd, g->confirm_ms ? "done" : "no confirmation is asked for");
	}
}

static int listen_for_requests(struct guard *g, struct err *e)
{
	int fd;
	int r = control_bind(g->beside ? GUARD_TRIAL_NAME : GUARD_NAME, &fd, e);

	if (r == -EADDRINUSE && g->beside)
		return err_set(e, EBUSY,
			       "another trial runs: sallyport guard --yes keeps what it tries, "
			       "sallyport guard --off ends it and the guard");
	if (r == -EADDRINUSE)
		return err_set(e, EADDRINUSE,
			       "a guard stands already: sallyport guard --status shows it, "
			       "sallyport guard --off ends it");
	if (r < 0)
		return r;
	g->control = (struct loop_source){ .fd = -1, .ready = control_ready, .ctx = g };
	return loop_add(&g->loop, &g->control, fd, e);
}

/* --- the command ----------------------------------------------------------------------------- */

static void command_over(void *ctx)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct guard *g = ctx;

	g->ended = true;
	g->handover = (struct handover){ .hands_over = undo_command(&a, g->command),
					 .ended = clock_ms() };
	g->exit_status = g->child.status;
	g->dirty = true;
}

static int start_command(struct guard *g, struct err *e)
{
	const char *env[] = { g->before.token, NULL };
	struct proc_spec spec = PROC_SPEC_NONE;
	int r;

	if (!g->command)
		return 0;
	spec.argv = g->command;
	spec.env = env;
	g->child.over = command_over;
	g->child.ctx = g;
	r = command_start(&g->child, spec, e);
	g->exit_status = g->child.status;
	return r;
}

/* A tunnel, or a policy of IPsec, that came since and is still there; NULL: none. */
static const char *left_behind(struct guard *g, struct arena *a)
{
	struct snapshot host = { 0 };
	const char *link;
	struct err e;

	if (rtnl_snapshot_tables(g->rtnl, a, 0, 0, &host, &e) < 0)
		return NULL;
	link = undo_left_tunnel(&g->before, &host);
	return link ? link : before_left_policy(a, &g->before);
}

static enum handover_action what_it_left(struct guard *g, bool tunnel)
{
	enum handover_word word = HANDOVER_SAYS_NOTHING;
	bool knows;

	if (!tunnel) {
		bool runs = undo_still_runs(&g->before, &knows);

		word = !knows ? HANDOVER_SAYS_NOTHING : runs ? HANDOVER_SAYS_YES : HANDOVER_SAYS_NO;
	}
	return handover_step(&g->handover, tunnel, word, clock_ms());
}

static void look_after_command(struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *link;

	/* While the watchdog undoes, it says when the end has come. */
	if (!g->command || !g->ended || g->loop.stop || g->undone)
		return;
	if (g->exit_status || g->off_client >= 0) {
		g->loop.stop = true;
		return;
	}
	link = left_behind(g, &a);
	switch (what_it_left(g, link)) {
	case HANDOVER_END:
		g->loop.stop = true;
		return;
	case HANDOVER_WAIT:
		if (!g->wait_said)
			guard_log("%s has ended, its tunnel is not there yet: the guard stands",
				  g->command[0]);
		g->wait_said = true;
		loop_arm(&g->loop, &g->sweep, FIRST_SWEEP_MS);
		return;
	case HANDOVER_STAND:
		/* The guard that stands goes on with it, but for what only this command asked for. */
		g->handed_on = g->loop.stop = g->beside && g->kept && !g->n_trial_lan;
		if (g->beside && (!g->kept || g->handed_on))
			return;
		if (!g->ready_said)
			guard_log("%s has ended and left %s: %s until that is gone", g->command[0],
				  link,
				  g->beside ? "what it wants on the LAN stays there"
					    : "the guard stands");
		g->ready_said = true;
		return;
	}
}

/* What the command did to the name servers is shown; it is undone at the end. */
static void look_after_resolver(struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct err e;
	const char *now;

	if (!g->command || !resolver_differs(&a, &g->before.resolver, &now) ||
	    (g->resolver_seen && str_eq(g->resolver_seen, now)))
		return;
	free(g->resolver_seen);
	g->resolver_seen = strdup(now);
	guard_log("%s; that is put back at the end", now);
	guard_trial_note(g);
	/* That file is the other guard's. */
	if (!g->beside && resolver_save(&g->before.resolver, &e) < 0)
		guard_log("%s", e.text);
}

/* --- its life ---------------------------------------------------------------------------------- */

static void idle(void *ctx)
{
	struct guard *g = ctx;
	bool looked = g->dirty;

	if (g->swept || (looked && g->trials.has_orphans))
		guard_trials_look(g);
	guard_reconcile_if_dirty(g);
	if (looked) {
		look_after_resolver(g);
		look_after_command(g);
	}
	if (g->swept)
		memory_give_back();
	g->swept = false;
}

static void sweep(struct loop_timer *t)
{
	struct guard *g = t->ctx;

	g->dirty = g->swept = true;
	loop_arm(&g->loop, t, SWEEP_MS);
}

static int stand(struct guard *g, struct err *e)
{
	int r = host_before_take(&g->arena, g->rtnl, g->nft, &g->before, e);
	/* A guard that was killed knew what was before its command. */
	if (g->command && (g->beside || !resolver_recall(&g->arena, &g->before.resolver)))
		resolver_take(&g->arena, &g->before.resolver);
	g->before.command = g->command;
	g->before.token = arena_printf(&g->arena, "SALLYPORT_GUARD=%d.%lld", (int)getpid(),
				       (long long)clock_ms());
	if (r == 0)
		r = guard_trial_arm(g, e);
	guard_trials_look(g);
	if (r == 0 && !g->beside)
		r = guard_watch(g, e);
	if (r == 0 && !g->beside)
		r = guard_reconcile(g, e);
	return r < 0 ? r : guard_trial_start(g, e);
}

/* Without the guard a tunnel that was left would cut the way in: it goes first. */
static void end_what_is_left(struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *link = g->ended && g->rtnl ? left_behind(g, &a) : NULL;

	if (!g->ended || what_it_left(g, link) == HANDOVER_END || undo_run_command(&g->before) ||
	    undo_processes(&g->before) || !link)
		return;
	guard_log("%s stays%s", link, g->beside ? "" : ", and nothing guards the host any more");
}

static int remove_own(struct guard *g, struct err *e)
{
	struct nft *nft CLEANUP_NFT = NULL;
	bool found = false;
	int r;

	if (!g->beside)
		return guard_remove(&found, e);
	r = nft_open(-1, &nft, e);
	return r < 0 ? r : guard_trial_remove(nft, &found, e);
}

static int take_away(struct guard *g, struct err *e)
{
	int r;

	guard_trial_end(g);
	/* Nobody has confirmed it, and nobody could any more. */
	if (g->trial_ends && !g->kept && !g->undone && undo_all(&g->before, e) < 0)
		guard_log("%s", e->text);
	if (!g->handed_on)
		end_what_is_left(g);
	guard_trials_close(g);
	guard_close(g);
	for (size_t i = 0; i < ARRAY_LEN(g->sysctl_dirs); i++)
		fd_close(&g->sysctl_dirs[i]);
	if (g->resolver_seen && !g->handed_on &&
	    resolver_restore(&g->before.resolver, false, e) < 0)
		guard_log("%s", e->text);
	free(g->resolver_seen);
	r = remove_own(g, e);
	guard_trial_forget(g);
	if (g->off_client >= 0) {
		const char *answer = r < 0 ? e->text : "done";

		(void)send(g->off_client, answer, strlen(answer), MSG_NOSIGNAL);
		fd_close(&g->off_client);
	}
	return r;
}

static void etc_changed(struct loop_source *source, uint32_t events)
{
	char buf[4096];

	(void)events;
	while (read(source->fd, buf, sizeof(buf)) > 0)
		;
	((struct guard *)source->ctx)->dirty = true;
}

/*
 * tcp_fwmark_accept and fwmark_reflect: of those no message tells, as one does of
 * links' rp_filter and forwarding (RTM_NEWNETCONF).  A directory is watched as long
 * as it stays in the kernel's cache of names, and so it is kept open.
 */
static void watch_sysctls(struct guard *g, int inotify)
{
	static const char *const directories[] = { "/proc/sys/net/ipv4", "/proc/sys/net/ipv6" };

	for (size_t i = 0; i < ARRAY_LEN(directories); i++) {
		g->sysctl_dirs[i] = open(directories[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		(void)inotify_add_watch(inotify, directories[i], IN_MODIFY);
	}
}

static int watch_etc(struct guard *g, struct err *e)
{
	int fd CLEANUP_FD = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	/* Without it the sweep finds what was changed. */
	if (fd < 0)
		return 0;
	if (!g->beside)
		watch_sysctls(g, fd);
	for (size_t i = 0; resolver_directories[i]; i++)
		(void)inotify_add_watch(fd, resolver_directories[i],
					IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_CLOSE_WRITE);
	g->etc = (struct loop_source){ .fd = -1, .ready = etc_changed, .ctx = g };
	return loop_add(&g->loop, &g->etc, fd_take(&fd), e);
}

static int run_loop(struct guard *g, struct err *e)
{
	int r = watch_etc(g, e);

	if (r == 0)
		r = start_command(g, e);

	if (r < 0)
		return r;
	g->sweep = (struct loop_timer){ .fire = sweep, .ctx = g };
	loop_arm(&g->loop, &g->sweep, FIRST_SWEEP_MS);
	g->loop.idle = idle;
	g->loop.idle_ctx = g;
	return loop_run(&g->loop, e);
}

static int live(struct guard *g, struct err *e)
{
	struct err later;
	int r = stand(g, e);

	if (r == 0) {
		notify_send(getenv("NOTIFY_SOCKET"), "READY=1\nSTATUS=the guard stands");
		if (!g->command)
			guard_log("stands; `sallyport guard --off` ends it");
		r = run_loop(g, e);
		notify_send(getenv("NOTIFY_SOCKET"), "STOPPING=1");
	}
	if (g->undone)
		g->exit_status = 1;
	if (take_away(g, &later) < 0) {
		guard_log("%s", later.text);
		return r < 0 ? r : err_set(e, EIO, "%s", later.text);
	}
	return r;
}

int guard_run(struct guard *g, struct err *e)
{
	bool found = false;
	int r = 0;

	if (!proc_has_net_admin())
		return err_set(
			e, EPERM,
			"this root may not change the network (it lacks CAP_NET_ADMIN), so "
			"that nothing can be guarded: in a container, try --cap-add NET_ADMIN");
	if (g->confirm_ms)
		r = guard_trial_prepare(g, e);
	g->pid = getpid();
	g->since = clock_now();
	g->wish.trial = g->confirm_ms != 0;
	if (r == 0)
		r = loop_open(&g->loop, e);
	if (r == 0)
		r = listen_for_requests(g, e);
	if (r == 0)
		r = command_signals(&g->child, &g->loop, e);
	if (r == 0)
		r = guard_trials_settle(&found, e);
	if (r == 0)
		r = guard_open(g, e);
	if (r == 0)
		r = guard_firewall_check(g, e);
	if (r == 0)
		r = guard_xfrm_check(g, e);
	if (r == 0)
		r = guard_try_kernel(g, e);
	return r < 0 ? r : live(g, e);
}

int guard_run_beside(struct guard *g, struct err *e)
{
	bool found = false;
	int r;

	g->beside = true;
	g->trial_lan = g->wish.lan;
	g->n_trial_lan = g->wish.n_lan;
	r = listen_for_requests(g, e);
	if (r == 0)
		r = guard_trials_settle(&found, e);
	if (r == 0)
		r = command_signals(&g->child, &g->loop, e);
	if (r == 0)
		r = guard_open(g, e);
	return r < 0 ? r : live(g, e);
}
