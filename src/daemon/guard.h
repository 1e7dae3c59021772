/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_GUARD_H
#define DAEMON_GUARD_H

#include "daemon/command.h"
#include "daemon/guard_journal.h"
#include "daemon/own_table.h"
#include "daemon/supervisor.h"
#include "model/socket.h"
#include "plan/guard.h"
#include "super/handover.h"

/*
 * The guard of a bare host: one process and one loop, as a supervisor is, for
 * the namespace it was started in.  There is one guard of a host at most.
 */

/* Its control socket; no gate can have this name. */
#define GUARD_NAME " guard"
/* That of a trial beside a guard that stands. */
#define GUARD_TRIAL_NAME " guard trial"

/* Trials as a guard that stands sees them (guard_trials.c). */
struct trials {
	struct arena lan_arena; /* of wish.lan while trials have added to it */
	const struct prefix *own_lan; /* what the guard was told itself */
	size_t n_own_lan;
	struct loop_source alive[4]; /* guard and watchdog of both sorts of trials */
	pid_t undoer; /* takes one back that is dead; 0: none */
	struct loop_source undone;
	bool has_orphans; /* one is kept whose processes are dead: its client is looked for */
	bool known; /* own_lan is */
};

struct guard {
	struct arena arena; /* as long as the guard */
	struct loop loop;
	struct loop_source control;
	struct rtnl *rtnl;
	struct rtnl_watch *watch;
	struct loop_source watch_source;
	struct nft *nft;
	struct nft_watch *nft_watch;
	struct loop_source nft_source;
	struct loop_source udp_alarms[2]; /* of both families, until wish.udp is true */
	struct loop_timer udp_again;
	struct loop_timer lazy;
	struct loop_timer sweep;

	struct arena memory_arena; /* of memory, renewed with it */
	struct guard_memory memory;
	struct guard_wish wish;
	struct guard_sysctl *sysctls; /* that wish points to; malloc'ed */
	struct guard_older *older; /* that wish points to; in arena */
	char *planned; /* what the host had to hold last, as text */
	struct arena last_arena; /* of last, renewed with it */
	struct want last; /* its routes and rules */
	struct own_table table;
	struct rule *foreign; /* of priority 0, in the order that their makers meant; malloc'ed */
	size_t n_foreign;
	struct trials trials;
	bool settled, dirty;
	char who[16]; /* probably took away what is missing; "" if not known */
	bool swept; /* the sweep was just done: what it needed can be given back */
	char *last_error;
	struct mnl_socket *xfrm; /* of changes of IPsec's policies; NULL: the kernel has none */
	struct loop_source xfrm_source;
	bool xfrm_stands; /* the guard's own policies do */
	char *xfrm_told; /* of policies that drop replies; malloc'ed */
	bool xfrm_none; /* there was no policy when they were looked at last */
	struct arena plain_arena; /* of wish.plain */
	struct repairs repairs;

	const char *const *command; /* NULL: stands until it is told to go */
	struct command child;
	bool ended; /* the command has */
	struct handover handover; /* since it has; by clock_ms() */
	int exit_status;
	struct host_before before; /* in arena */
	struct loop_source etc; /* where name servers stand, and sysctls of sysctl_dirs */
	int sysctl_dirs[2];
	char *resolver_seen; /* what the command did to name servers, as told last; malloc'ed */

	int64_t confirm_ms; /* 0: no confirmation is asked for */
	struct ip probe; /* what must answer; none: the session proves it */
	struct ip probe_from;
	struct socket_seen session; /* that the guard was started from; proto 0: none is known */
	bool beside; /* only a trial: another guard stands, and does all the rest */
	bool handed_on; /* what the command has left is that guard's affair now */
	bool kept, undone;
	pid_t pid; /* of this process; the watchdog is another */
	const struct prefix
		*trial_lan; /* that the guard which stands is to keep on the LAN, beside */
	size_t n_trial_lan;
	int64_t trial_armed; /* by clock_ms() */
	int64_t trial_ends; /* by clock_ms(); 0: the network has not changed yet */
	struct loop_timer nudge;
	pid_t watchdog;
	int watchdog_pidfd;
	struct loop_source watchdog_ended;
	struct loop_source channel; /* to the watchdog */
	struct loop_source person; /* standard input, for a typed "yes" */
	int off_client; /* connection that waits for "done"; -1 */
	int64_t since;
	bool ready_said, wait_said;
};

#define GUARD_NONE                                                                                 \
	((struct guard){                                                                           \
		.child = COMMAND_NONE,                                                             \
		.off_client = -1,                                                                  \
		.control.fd = -1,                                                                  \
		.watch_source.fd = -1,                                                             \
		.nft_source.fd = -1,                                                               \
		.sysctl_dirs = { -1, -1 },                                                         \
		.xfrm_source.fd = -1,                                                              \
		.trials = { .alive = { { .fd = -1 }, { .fd = -1 }, { .fd = -1 }, { .fd = -1 } },   \
			    .undone.fd = -1 },                                                     \
		.udp_alarms = { { .fd = -1 }, { .fd = -1 } } })

/* "sallyport: guard: ..." on stderr. */
void guard_log(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void guard_repaired(struct guard *g, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Stands around g->command, or until it is told to go; then the host is as it was. */
int guard_run(struct guard *g, struct err *e) MUST_USE;
/* After guard_run() said -EADDRINUSE: g->command on trial, while the guard that is there stands. */
int guard_run_beside(struct guard *g, struct err *e) MUST_USE;

/* daemon/guard_reconcile.c */
int guard_open(struct guard *g, struct err *e) MUST_USE;
int guard_watch(struct guard *g, struct err *e) MUST_USE;
void guard_close(struct guard *g);
int guard_reconcile(struct guard *g, struct err *e) MUST_USE;
void guard_reconcile_if_dirty(struct guard *g);
/* Fails if the kernel lacks what the guard may need later, when a VPN is there; changes nothing. */
int guard_try_kernel(struct guard *g, struct err *e) MUST_USE;
/* What the host is now, and what of it is remembered (g->memory). */
int guard_look(struct guard *g, struct arena *a, struct snapshot *host, struct err *e) MUST_USE;
/* The plan for the host as it is, for --dry-run: no more is needed than g->wish. */
int guard_want(struct guard *g, struct arena *a, struct want *ret, struct err *e) MUST_USE;

/* Takes away what the kernel says is a guard's; *ret_found tells whether there was any. */
int guard_remove(bool *ret_found, struct err *e) MUST_USE;

/* daemon/guard_sysctl.c */
/* Finds what must be set otherwise, for g->wish; changes nothing. */
void guard_sysctls_look(struct guard *g, const struct snapshot *host);
/* Sets it, once the guard's table remembers what it was. */
int guard_sysctls_set(struct guard *g, struct err *e) MUST_USE;
/* As the table remembers; those that somebody has set since stay.  Goes on after a failure. */
int guard_sysctls_restore(struct nft *nft, struct err *e) MUST_USE;

/* daemon/guard_udp.c: services that are bound to no address, for g->wish.udp. */
void guard_udp_look(struct guard *g);
/* From now on the first datagram for a new one makes the guard look. */
void guard_udp_watch(struct guard *g);
void guard_udp_close(struct guard *g);

/* daemon/guard_xfrm.c: policies of IPsec. */
/* -EPERM if there is one that no guard can pass by, and the line that helps; changes nothing. */
int guard_xfrm_check(struct guard *g, struct err *e) MUST_USE;
/* Says in g->wish whether they are to be passed by; changes nothing. */
int guard_xfrm_look(struct guard *g, struct arena *a, const struct snapshot *host,
		    struct err *e) MUST_USE;
/* Ours stand or go, as g->wish says, behind the nft table that gives them their marks. */
int guard_xfrm_set(struct guard *g, struct err *e) MUST_USE;
int guard_xfrm_remove(bool *ret_found, struct err *e) MUST_USE;
void guard_xfrm_close(struct guard *g);

/* daemon/guard_firewall.c */
/* -EPERM if a chain on their way out drops the replies of a door, with the line to add. */
int guard_firewall_check(struct guard *g, struct err *e) MUST_USE;

/* daemon/guard_trial.c: confirm or undo; it shares guard_trial.h with the watchdog. */
/* Before anything is changed: finds what can prove the way in, or says that nothing can. */
int guard_trial_prepare(struct guard *g, struct err *e) MUST_USE;
/* The kernel's own way back, before the first guard_reconcile(). */
int guard_trial_arm(struct guard *g, struct err *e) MUST_USE;
/* The watchdog, before the command starts. */
int guard_trial_start(struct guard *g, struct err *e) MUST_USE;
/* Does a trial beside a guard run?  Waits half a second to be sure that it does. */
bool guard_trial_lives(void);
/* Takes away the kernel's way back of a trial beside a guard. */
int guard_trial_remove(struct nft *nft, bool *ret_found, struct err *e) MUST_USE;
/* A person says yes. */
void guard_trial_yes(struct guard *g);
/* The command is over: nothing is left to undo. */
void guard_trial_end(struct guard *g);
/* The client has changed the name servers: that is to be known if all are killed. */
void guard_trial_note(struct guard *g);
/* All is as it should be, and nobody has to look at the trial's file any more. */
void guard_trial_forget(struct guard *g);

/* daemon/guard_trials.c: trials of others, by their files. */
/* After a start, and whenever one may have begun or ended: their prefixes, and dead ones. */
void guard_trials_look(struct guard *g);
void guard_trials_close(struct guard *g);
/*
 * Takes back, here and now, what trials have left of which nobody is alive, and waits for those
 * that somebody is taking back just now; *ret_found tells whether there was one.
 */
int guard_trials_settle(bool *ret_found, struct err *e) MUST_USE;

/* daemon/guard_status.c */
char *guard_status_json(struct guard *g); /* malloc'ed */

#endif
