/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SUPER_TRIAL_H
#define SUPER_TRIAL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * Confirm or undo: when a change of the network is kept, and when it is taken
 * back.  Pure: time comes in as @now, in ms of one monotonic clock.
 *
 * The time runs from the first change: a client that takes long to connect must
 * not use it up.  When it is over, the way in must have been proved after the
 * last change, and not long ago.
 */
struct trial {
	int64_t limit; /* ms */
	int64_t deadline; /* TRIAL_EV_TIME is due then */
	int64_t changed; /* when the network changed last; 0: not yet */
	int64_t proved; /* when the way in was proved to work last; 0: never */
	bool over;
};

enum trial_event {
	TRIAL_EV_START,
	TRIAL_EV_CHANGED, /* somebody changed the network */
	TRIAL_EV_PROVED, /* by what was sent after the last change */
	TRIAL_EV_YES, /* a person says so */
	TRIAL_EV_TIME,
};

enum trial_action {
	TRIAL_DO_NOTHING,
	TRIAL_DO_WAIT, /* the deadline is another now */
	TRIAL_DO_KEEP,
	TRIAL_DO_UNDO,
};

enum trial_action trial_step(struct trial *t, enum trial_event event, int64_t now);

#endif
