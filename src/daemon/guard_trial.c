/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Confirm or undo.  Three hold the way back, each without the others:
 *
 *  - a watchdog (daemon/guard_watchdog.c), a process in a session of its own, which
 *    outlives the terminal and the guard: it looks for proof, decides, and undoes;
 *  - the guard, which starts a killed watchdog again;
 *  - the kernel: while set `trial` of the guard's table has no element, all
 *    output goes the way it went before.  Its elements live until the trial
 *    should be over, or for ever once the change is kept.  Beside a guard that
 *    stands the trial has a table of its own, which goes when it is over.
 *
 * What it was before stands in a file, too (daemon/guard_journal.c): should all of them
 * be killed, a guard that stands takes the rest back, or the next one does.
 *
 * The way in is proved by the session that the guard was started from, when data
 * that it sent after the last change was acknowledged, or by a probe.
 */
#include "daemon/guard_trial.h"

#include "sys/fd.h"
#include "sys/ping.h"
#include "sys/proc.h"
#include "sys/sock_diag.h"

#include <errno.h>
#include <stdio.h>
#include <sys/pidfd.h>
#include <sys/socket.h>
#include <unistd.h>

/* How long the guard that stands may take to look at it. */
#define TELL_MS 5000
/* The kernel waits this much longer than the watchdog, in ms. */
#define KERNEL_MS 10000

/* While it runs the guard says something this often: that is data to be acknowledged. */
#define NUDGES 8

/* More than a watchdog ever says. */
#define LAST_WORDS 16

/* --- the kernel's part ------------------------------------------------------------------ */

int guard_trial_remove(struct nft *nft, bool *ret_found, struct err *e)
{
	int r = nft_run(nft, "delete table inet " GUARD_TRIAL_NFT, e);

	*ret_found = *ret_found || r == 0;
	return r == -ENOENT ? 0 : r;
}

bool guard_trial_lives(void)
{
	int fd CLEANUP_FD = -1;
	struct err e;

	return control_bind(GUARD_TRIAL_NAME, &fd, &e) == -EADDRINUSE;
}

int guard_trial_arm_kernel(const struct guard *g, struct nft *nft, int64_t ms, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int64_t longer = ms + KERNEL_MS;
	const char *limit = ms ? arena_printf(&a, " timeout %lldms", (long long)longer) : "";
	bool found = false;

	if (g->beside)
		return ms ? nft_run(nft, guard_nft_trial(&a, longer), e)
			  : guard_trial_remove(nft, &found, e);
	return nft_run(nft,
		       arena_printf(&a,
				    "table inet " GUARD_NFT " {\n\tset trial {\n"
				    "\t\ttypeof meta nfproto\n\t\tflags timeout\n\t}\n}\n"
				    "flush set inet " GUARD_NFT " trial\n"
				    "add element inet " GUARD_NFT " trial { ipv4%s, ipv6%s }\n",
				    limit, limit),
		       e);
}

/* --- what others read of it ---------------------------------------------------------------- */

static const char *proof_of(const struct guard *g, struct arena *a)
{
	char ip[IP_TEXT_SIZE];

	if (!ip_is_none(&g->probe))
		return arena_printf(a, "an answer of %s to a ping", ip_text(&g->probe, ip));
	if (g->session.proto)
		return arena_printf(a, "the session from %s", ip_text(&g->session.peer, ip));
	return "";
}

void guard_trial_write(struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	char ip[IP_TEXT_SIZE];
	struct journal j = { .beside = g->beside,
			     .guard = journal_process_of(g->pid),
			     .watchdog = journal_process_of(g->watchdog),
			     .since = g->since,
			     .confirm_ms = g->confirm_ms,
			     .armed = g->trial_armed,
			     .ends = g->trial_ends,
			     .proof = proof_of(g, &a),
			     .kept = g->kept,
			     .undoing = g->undone,
			     .lan = g->trial_lan,
			     .n_lan = g->n_trial_lan,
			     .before = g->before };
	struct err e;

	j.from = ip_is_none(&g->session.peer) ? "" : ip_text(&g->session.peer, ip);
	if (journal_write(&j, &e) < 0)
		guard_log("%s: should this process and its watchdog both be killed, only the "
			  "kernel brings the way in back",
			  e.text);
}

/* The guard that stands does not have to be there. */
static void tell_guard(const struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *answer;
	struct err ignored;

	if (g->beside && control_ask(&a, GUARD_NAME, "trial\n", TELL_MS, &answer, &ignored) < 0)
		return;
}

/* Prefixes of a command that is kept beside a guard stay as long as that runs. */
void guard_trial_write_kept(struct guard *g)
{
	if (g->n_trial_lan)
		guard_trial_write(g);
	else
		journal_remove(g->beside, g->before.token);
}

/* --- the guard's side ------------------------------------------------------------------------ */

static int start_watchdog(struct guard *g, struct err *e);

static void watchdog_said(struct loop_source *source, uint32_t events);

/* What it said last is heard, up to the end: the next one needs a channel of its own. */
static void close_channel(struct guard *g)
{
	int fd;

	for (int i = 0; g->channel.fd >= 0 && i < LAST_WORDS; i++)
		watchdog_said(&g->channel, 0);
	fd = g->channel.fd;
	loop_remove(&g->loop, &g->channel);
	fd_close(&fd);
}

static void watchdog_over(struct loop_source *source, uint32_t events)
{
	struct guard *g = source->ctx;
	int status;
	struct err e;

	(void)events;
	(void)proc_reap(g->watchdog, &status);
	close_channel(g);
	loop_remove(&g->loop, &g->watchdog_ended);
	fd_close(&g->watchdog_pidfd);
	g->watchdog = 0;
	g->loop.stop = g->loop.stop || g->undone;
	if (g->kept || g->loop.stop)
		return;
	guard_log("the watchdog is dead: another one is started");
	if (start_watchdog(g, &e) < 0)
		guard_log("%s", e.text);
}

static void person_typed(struct loop_source *source, uint32_t events)
{
	char line[64];
	ssize_t n = read(source->fd, line, sizeof(line) - 1);

	(void)events;
	if (n <= 0) {
		loop_remove(&((struct guard *)source->ctx)->loop, source);
		return;
	}
	line[n] = 0;
	if (str_starts(line, "yes"))
		guard_trial_yes(source->ctx);
}

static void ask_person(struct guard *g)
{
	struct err e;

	guard_log("the network changed: kept if the way in is proved within %lld s, else undone; "
		  "to keep it now: sallyport guard --yes%s",
		  (long long)(g->confirm_ms / 1000), isatty(0) ? ", or type yes" : "");
	if (!isatty(0))
		return;
	g->person = (struct loop_source){ .fd = -1, .ready = person_typed, .ctx = g };
	if (loop_add(&g->loop, &g->person, 0, &e) < 0)
		guard_log("%s", e.text);
}

static void nudge(struct loop_timer *t)
{
	struct guard *g = t->ctx;
	int64_t left = g->trial_ends - clock_ms();

	if (g->kept || g->undone)
		return;
	guard_log("%lld s left to prove the way in", (long long)(left > 0 ? left / 1000 : 0));
	loop_arm(&g->loop, t, g->confirm_ms / NUDGES);
}

static void kept(struct guard *g)
{
	loop_disarm(&g->loop, &g->nudge);
	g->kept = true;
	g->wish.trial = false;
	g->dirty = true;
	guard_trial_write_kept(g);
	loop_remove(&g->loop, &g->person);
}

static void watchdog_said(struct loop_source *source, uint32_t events)
{
	struct guard *g = source->ctx;
	char word;
	ssize_t n = recv(source->fd, &word, 1, MSG_DONTWAIT);
	int fd = source->fd;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		loop_remove(&g->loop, source);
		close(fd);
	} else if (word == WORD_CHANGED) {
		g->trial_ends = g->trial_ends ? g->trial_ends : clock_ms() + g->confirm_ms;
		guard_trial_write(g);
		ask_person(g);
		g->nudge = (struct loop_timer){ .fire = nudge, .ctx = g };
		loop_arm(&g->loop, &g->nudge, g->confirm_ms / NUDGES);
	} else if (word == WORD_KEPT) {
		kept(g);
	} else if (word == WORD_UNDOING) {
		g->undone = true;
	} else if (word == WORD_UNDONE) {
		g->loop.stop = true;
	}
}

static int start_watchdog(struct guard *g, struct err *e)
{
	int mine CLEANUP_FD = -1, its CLEANUP_FD = -1;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return err_errno(e, errno, "socketpair");
	mine = ends[0];
	its = ends[1];
	fflush(NULL);
	g->watchdog = fork();
	if (g->watchdog < 0)
		return err_errno(e, errno, "fork");
	if (g->watchdog == 0)
		guard_watchdog(g, its);
	guard_trial_write(g);
	g->watchdog_pidfd = pidfd_open(g->watchdog, 0);
	if (g->watchdog_pidfd < 0)
		return err_errno(e, errno, "pidfd");
	g->watchdog_ended = (struct loop_source){ .fd = -1, .ready = watchdog_over, .ctx = g };
	g->channel = (struct loop_source){ .fd = -1, .ready = watchdog_said, .ctx = g };
	if (loop_add(&g->loop, &g->watchdog_ended, g->watchdog_pidfd, e) < 0)
		return -EIO;
	return loop_add(&g->loop, &g->channel, fd_take(&mine), e);
}

int guard_trial_arm(struct guard *g, struct err *e)
{
	return g->confirm_ms ? guard_trial_arm_kernel(g, g->nft, g->confirm_ms, e) : 0;
}

/* An older one does not know the word. */
static int ask_guard(struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *answer;
	int r = control_ask(&a, GUARD_NAME, "trial\n", TELL_MS, &answer, e);

	if (r < 0)
		return r;
	if (!*answer)
		return err_set(
			e, EPROTO,
			"the guard that stands is of an older version, which keeps no prefix "
			"on the LAN for a command: start it anew (systemctl restart "
			"sallyport-guard)");
	return str_eq(answer, "done") ? 0 : err_set(e, EIO, "%s", answer);
}

int guard_trial_start(struct guard *g, struct err *e)
{
	int r;

	if (!g->confirm_ms)
		return 0;
	g->trial_armed = clock_ms();
	r = start_watchdog(g, e);
	/* Before the command may ask for something that is to stay on the LAN. */
	if (r == 0 && g->n_trial_lan)
		return ask_guard(e);
	if (r == 0)
		tell_guard(g);
	return r;
}

void guard_trial_yes(struct guard *g)
{
	char word = WORD_YES;

	if (g->channel.fd >= 0)
		(void)send(g->channel.fd, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void guard_trial_end(struct guard *g)
{
	char word = WORD_OVER;

	if (g->channel.fd >= 0 && !g->undone)
		(void)send(g->channel.fd, &word, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void guard_trial_note(struct guard *g)
{
	if (g->confirm_ms && !g->kept && !g->undone)
		guard_trial_write(g);
}

void guard_trial_forget(struct guard *g)
{
	if (!g->confirm_ms || !g->before.token)
		return;
	journal_remove(g->beside, g->before.token);
	tell_guard(g);
}

/* --- before anything is changed ------------------------------------------------------------------ */

/* The connection that one of our ancestors holds: sshd's, whoever stands between. */
static int find_session(struct guard *g, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct socket_seen *all;
	size_t n;
	int r = sock_diag_list(&a, -1, &all, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++)
		if (all[i].mine && all[i].state == SOCKET_CONNECTED &&
		    all[i].proto == IPPROTO_TCP && !ip_is_loopback(&all[i].peer)) {
			g->session = all[i];
			break;
		}
	return r;
}

int guard_trial_prepare(struct guard *g, struct err *e)
{
	char ip[IP_TEXT_SIZE];
	int r = find_session(g, e);

	if (r < 0)
		return r;
	if (!ip_is_none(&g->probe)) {
		if (ping_source(&g->probe, &g->probe_from) && ip_equal(&g->probe, &g->probe_from))
			return err_set(
				e, EINVAL,
				"--probe %s is this host's own address, which answers in any "
				"case: name another one",
				ip_text(&g->probe, ip));
		if (!ping_source(&g->probe, &g->probe_from) ||
		    !ping(&g->probe_from, &g->probe, 3000))
			return err_set(e, EHOSTUNREACH,
				       "--probe %s does not answer a ping as things are: name an "
				       "address that does",
				       ip_text(&g->probe, ip));
		/* One proof is as good as the other; the probe was asked for. */
		g->session.proto = 0;
		return 0;
	}
	if (!g->session.proto && !isatty(0))
		return err_set(e, EINVAL,
			       "--confirm: nothing can prove that the way in works: start it from "
			       "an ssh session, or name an address that answers: --probe ADDRESS");
	return 0;
}
