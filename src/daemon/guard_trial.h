/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_GUARD_TRIAL_H
#define DAEMON_GUARD_TRIAL_H

#include "daemon/guard.h"

/* What a trial's two processes share: the guard (guard_trial.c) and its watchdog. */

/* What they say to one another, one letter each. */
enum trial_word {
	WORD_CHANGED = 'c', /* watchdog: the network was changed, the time runs */
	WORD_KEPT = 'k',
	WORD_UNDOING = 'u',
	WORD_UNDONE = 'U',
	WORD_YES = 'y', /* guard: a person says so */
	WORD_OVER = 'o', /* guard: the command has ended */
};

/* The kernel's way back waits a little longer than @ms, the time of the trial; 0: for ever. */
int guard_trial_arm_kernel(const struct guard *g, struct nft *nft, int64_t ms,
			   struct err *e) MUST_USE;
/* The trial's file, as things are now. */
void guard_trial_write(struct guard *g);
/* And once the change is kept: who looks at it has less to know, or nothing. */
void guard_trial_write_kept(struct guard *g);

/* What the child does that is forked to be the watchdog of @g; @channel leads to the guard. */
_Noreturn void guard_watchdog(struct guard *g, int channel);

#endif
