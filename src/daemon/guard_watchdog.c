/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The watchdog of a trial: it sees what the command does to the network, looks for proof
 * that the way in works, and keeps the change or takes it back, whether or not the guard
 * is still there (daemon/guard_trial.c).
 */
#include "daemon/guard_trial.h"

#include "plan/guard_xfrm.h"
#include "super/trial.h"
#include "sys/fd.h"
#include "sys/ping.h"
#include "sys/sock_diag.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <syslog.h>
#include <unistd.h>

#define TICK_MS  500
#define PROBE_MS 400

struct watchdog {
	struct guard *g; /* as it was when the watchdog was made */
	struct loop loop;
	struct trial trial;
	struct rtnl *rtnl;
	struct rtnl_watch *watch;
	struct loop_source watch_source;
	struct nft *nft;
	struct nft_watch *nft_watch;
	struct loop_source nft_source;
	struct loop_source channel;
	struct loop_timer tick;
	struct loop_timer deadline;
	uint64_t print; /* of the network as seen last */
	struct tcp_counts at_change;
	bool guard_lives;
};

static void say(const char *text)
{
	log_say(GUARD_WHO, "%s", text);
	syslog(LOG_DAEMON | LOG_NOTICE, "guard: %s", text);
}

static void tell(struct watchdog *w, enum trial_word word)
{
	char letter = (char)word;

	if (w->guard_lives && send(w->channel.fd, &letter, 1, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
	    errno != EAGAIN)
		w->guard_lives = false;
}

static uint64_t hash_ip(uint64_t h, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return str_hash(ip->family ? ip_text(ip, text) : "-", h);
}

static bool is_guards(uint32_t table)
{
	return table >= SLOT_TABLE && table <= GUARD_TABLE_LAST;
}

/* Everything of the network that a VPN client changes, and nothing of the guard's. */
static uint64_t print_of(const struct host_before *b)
{
	const struct snapshot *s = &b->net;
	uint64_t h = 0;

	for (size_t i = 0; i < s->n_links; i++)
		h = str_hash(s->links[i].name, h + (s->links[i].flags & IFF_UP));
	for (size_t i = 0; i < s->n_addresses; i++)
		h = hash_ip(h + (uint64_t)s->addresses[i].link, &s->addresses[i].local);
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *r = &s->routes[i];

		if (is_guards(r->table) || (r->flags & RTM_F_CLONED))
			continue;
		h = hash_ip(h + r->dst.len + r->table + r->metric, &r->dst.ip);
		h = hash_ip(h + (r->n_hops ? (uint64_t)r->hops[0].link : 0),
			    r->n_hops ? &r->hops[0].via : &(struct ip){ 0 });
	}
	for (size_t i = 0; i < s->n_rules; i++)
		if (!is_guards(s->rules[i].table))
			h = hash_ip(h + s->rules[i].table + s->rules[i].mark, &s->rules[i].from.ip);
	for (size_t i = 0; i < b->n_nft; i++)
		h = str_hash(b->nft[i], h);
	for (size_t i = 0; i < b->n_policies; i++)
		if (!guard_xfrm_is_ours(&b->policies[i]))
			h = hash_ip(h + b->policies[i].index, &b->policies[i].dst.ip);
	return h;
}

static void keep(struct watchdog *w)
{
	struct err e;

	/* Also when the guard is dead: its rules stay, and so must this. */
	if (guard_trial_arm_kernel(w->g, w->nft, 0, &e) < 0)
		say(e.text);
	tell(w, WORD_KEPT);
	w->g->kept = true;
	if (!w->guard_lives)
		guard_trial_write_kept(w->g);
	say("the way in works: the change is kept");
	w->loop.stop = true;
}

static void undo(struct watchdog *w)
{
	bool found = false;
	struct err e;

	say("nothing proves that the way in works: everything is taken back");
	tell(w, WORD_UNDOING);
	w->g->undone = true;
	guard_trial_write(w->g);
	say(undo_all(&w->g->before, &e) < 0 ? e.text : "the network is as it was before");
	tell(w, WORD_UNDONE);
	if (!w->guard_lives)
		guard_trial_forget(w->g);
	if (w->g->beside ? guard_trial_remove(w->nft, &found, &e) < 0
			 : !w->guard_lives && guard_remove(&found, &e) < 0)
		say(e.text);
	w->loop.stop = true;
}

static void step(struct watchdog *w, enum trial_event event)
{
	struct err e;

	switch (trial_step(&w->trial, event, clock_ms())) {
	case TRIAL_DO_NOTHING:
		return;
	case TRIAL_DO_WAIT:
		loop_arm(&w->loop, &w->deadline, w->trial.deadline - clock_ms() + 1);
		if (guard_trial_arm_kernel(w->g, w->nft, w->trial.limit, &e) < 0)
			say(e.text);
		return;
	case TRIAL_DO_KEEP:
		keep(w);
		return;
	case TRIAL_DO_UNDO:
		undo(w);
		return;
	}
}

static void deadline_came(struct loop_timer *t)
{
	step(t->ctx, TRIAL_EV_TIME);
}

/* What is on its way when the network changes says nothing when it arrives. */
static void note_counts(struct watchdog *w)
{
	struct err e;

	if (w->g->session.proto && sock_diag_counts(&w->g->session, &w->at_change, &e) < 0)
		w->at_change = (struct tcp_counts){ .sent = UINT64_MAX - 1 };
}

static void look(struct watchdog *w)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct host_before now = { 0 };
	bool first = !w->trial.changed;
	struct err e;
	uint64_t print;

	if (host_before_take(&a, w->rtnl, w->nft, &now, &e) < 0) {
		say(e.text);
		return;
	}
	print = print_of(&now);
	if (print == w->print)
		return;
	w->print = print;
	note_counts(w);
	step(w, TRIAL_EV_CHANGED);
	if (!first)
		return;
	tell(w, WORD_CHANGED);
	w->g->trial_ends = w->trial.deadline;
	if (!w->guard_lives)
		guard_trial_write(w->g);
}

/* Each proof needs data of its own. */
static bool session_proves(struct watchdog *w)
{
	struct tcp_counts now;
	struct err e;

	/* One more: the kernel counts a SYN as acknowledged, and not as sent. */
	if (!w->g->session.proto || sock_diag_counts(&w->g->session, &now, &e) < 0 ||
	    now.acked <= w->at_change.sent + 1)
		return false;
	w->at_change = now;
	return true;
}

static void ticked(struct loop_timer *t)
{
	struct watchdog *w = t->ctx;

	look(w);
	if (session_proves(w) ||
	    (!ip_is_none(&w->g->probe) && ping(&w->g->probe_from, &w->g->probe, PROBE_MS)))
		step(w, TRIAL_EV_PROVED);
	loop_arm(&w->loop, t, TICK_MS);
}

static void network_changed(struct loop_source *source, uint32_t events)
{
	struct watchdog *w = source->ctx;
	struct rtnl_news news;
	struct err e;

	(void)events;
	if (rtnl_watch_read(w->watch, &news, &e) < 0)
		say(e.text);
	look(w);
}

static void nft_changed(struct loop_source *source, uint32_t events)
{
	struct watchdog *w = source->ctx;
	char who[32] = "";
	bool foreign;
	struct err e;

	(void)events;
	if (nft_watch_read(w->nft_watch, &foreign, who, &e) < 0)
		say(e.text);
	look(w);
}

static void guard_said(struct loop_source *source, uint32_t events)
{
	struct watchdog *w = source->ctx;
	char word;
	ssize_t n = recv(source->fd, &word, 1, MSG_DONTWAIT);

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		say(w->g->beside ? "the trial's first process is dead; the time runs on"
				 : "the guard is dead; its rules stand, and the time runs on");
		w->guard_lives = false;
		loop_remove(&w->loop, source);
	} else if (word == WORD_YES) {
		step(w, TRIAL_EV_YES);
	} else if (word == WORD_OVER) {
		w->loop.stop = true;
	}
}

static int watch(struct watchdog *w, int channel, struct err *e)
{
	int r = loop_open(&w->loop, e);

	if (r == 0)
		r = rtnl_open(-1, &w->rtnl, e);
	if (r == 0)
		r = nft_open(-1, &w->nft, e);
	if (r == 0)
		r = rtnl_watch_open(-1, &w->watch, e);
	if (r == 0)
		r = nft_watch_open(-1, &w->nft_watch, e);
	if (r < 0)
		return r;
	w->watch_source = (struct loop_source){ .fd = -1, .ready = network_changed, .ctx = w };
	w->nft_source = (struct loop_source){ .fd = -1, .ready = nft_changed, .ctx = w };
	w->channel = (struct loop_source){ .fd = -1, .ready = guard_said, .ctx = w };
	r = loop_add(&w->loop, &w->watch_source, rtnl_watch_fd(w->watch), e);
	if (r == 0)
		r = loop_add(&w->loop, &w->nft_source, nft_watch_fd(w->nft_watch), e);
	return r < 0 ? r : loop_add(&w->loop, &w->channel, channel, e);
}

/* Nothing of the guard's may be held open by it: its socket says that it lives. */
static void leave_everything(int channel)
{
	int null = open("/dev/null", O_RDWR);
	sigset_t none;

	setsid();
	prctl(PR_SET_NAME, "sallyport-watch");
	signal(SIGHUP, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	dup2(null, 0);
	dup2(null, 1);
	dup2(channel, 3);
	close_range(4, ~0U, 0);
	fcntl(3, F_SETFD, FD_CLOEXEC);
	if (chdir("/") < 0)
		_exit(1);
}

_Noreturn void guard_watchdog(struct guard *g, int channel)
{
	struct watchdog w = { .g = g, .guard_lives = true };
	int64_t left = g->trial_ends ? g->trial_ends - clock_ms() : g->confirm_ms;
	struct err e;

	leave_everything(channel);
	g->watchdog = getpid();
	openlog("sallyport", LOG_PID, LOG_DAEMON);
	w.trial.limit = left > 1000 ? left : 1000;
	w.print = print_of(&g->before);
	w.tick = (struct loop_timer){ .fire = ticked, .ctx = &w };
	w.deadline = (struct loop_timer){ .fire = deadline_came, .ctx = &w };
	if (watch(&w, 3, &e) < 0) {
		say(e.text);
		_exit(1);
	}
	step(&w, TRIAL_EV_START);
	loop_arm(&w.loop, &w.tick, 1);
	if (loop_run(&w.loop, &e) < 0)
		say(e.text);
	_exit(0);
}
