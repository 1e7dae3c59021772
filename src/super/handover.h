/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SUPER_HANDOVER_H
#define SUPER_HANDOVER_H

#include <stdbool.h>
#include <stdint.h>

/*
 * A command that has ended well may have handed its work to others ("systemctl
 * start", "wg-quick up"): how long the guard stands for what they do.  Pure: time
 * comes in as @now, in ms of one monotonic clock.
 */

/* `systemctl start openvpn` is over before it is connected. */
#define HANDOVER_MS 60000

struct handover {
	bool hands_over; /* it is one of those commands */
	int64_t ended; /* when it did */
	bool seen; /* something of its was there since then */
};

/* Does what took the work over say that it lives? */
enum handover_word { HANDOVER_SAYS_NOTHING, HANDOVER_SAYS_YES, HANDOVER_SAYS_NO };

enum handover_action {
	HANDOVER_STAND, /* its tunnel is there */
	HANDOVER_WAIT, /* no tunnel is there (any more), and yet one may come */
	HANDOVER_END,
};

/* Is its tunnel there?  If not, @word counts. */
enum handover_action handover_step(struct handover *h, bool tunnel, enum handover_word word,
				   int64_t now);

#endif
