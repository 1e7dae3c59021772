/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_GUARD_JOURNAL_H
#define DAEMON_GUARD_JOURNAL_H

#include "daemon/guard_undo.h"

/*
 * A trial of guard --confirm as it stands in a file, for whoever comes after it
 * should its process and its watchdog both be killed: the kernel brings the way in
 * back by itself, and nothing else.
 *
 * There are two: of a guard of its own, and of a command beside a guard that stands.
 * Neither outlives its boot nor its network namespace.
 */

/* A process by its number and its start, so that another one of that number is not taken for it. */
struct journal_process {
	pid_t pid; /* 0: none */
	uint64_t began; /* starttime of proc_pid_stat(5) */
};

struct journal {
	bool beside;
	struct journal_process guard, watchdog;
	int64_t since; /* by clock_now() */
	int64_t confirm_ms;
	int64_t armed; /* when the trial began, by clock_ms() */
	int64_t ends; /* by clock_ms(); 0: the network has not changed yet */
	const char *proof; /* what else than a person can prove the way in, in words; "": nothing */
	const char *from; /* the address whose session began it; "": none */
	bool kept; /* proved: only the prefixes still count */
	bool undoing; /* the watchdog, or who has taken its place, is at it */
	const struct prefix *lan; /* to be kept on the LAN beside a guard that stands */
	size_t n_lan;
	struct host_before before;
	bool names_since; /* somebody has changed the name servers since it was written */
};

struct journal_process journal_process_of(pid_t pid);
bool journal_process_lives(const struct journal_process *p);

int journal_write(const struct journal *j, struct err *e) MUST_USE;
/* In @a; false if there is none, or none of this boot and namespace. */
bool journal_read(struct arena *a, bool beside, struct journal *ret);
/* Only if it is of that token: who comes later may have one, too. */
void journal_remove(bool beside, const char *token);

/* Is there anybody who looks after it? */
bool journal_lives(const struct journal *j);
/* Nobody is there any more who could keep it or take it back. */
bool journal_is_orphan(const struct journal *j);

/* "openvpn --config office.ovpn", in @a. */
const char *journal_command(struct arena *a, const struct journal *j);

/*
 * Takes back what the trial of a dead guard has changed, and the file away.  Later than
 * an hour after its time only the command's processes and, if nobody has changed them since,
 * the name servers: who has repaired the network meanwhile must not lose that.
 */
int journal_undo(const struct journal *j, struct err *e) MUST_USE;

/* One object for each trial, for guard --status. */
json_t *journal_status(void);

#endif
