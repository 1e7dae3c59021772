/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SUPER_CLIENT_H
#define SUPER_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

/*
 * When a VPN client is started, given up and started again.  Pure: time comes
 * in as @now, in ms of one monotonic clock.
 */
enum client_state {
	CLIENT_IDLE, /* never started, or stopped for good */
	CLIENT_CONNECTING, /* runs, does not answer yet */
	CLIENT_UP,
	CLIENT_STOPPED, /* by a signal (SIGSTOP): it may go on by itself */
	CLIENT_KILLED, /* was told to end because it hangs */
	CLIENT_WAITING, /* ended; starts again when the back-off is over */
};

enum client_event {
	CLIENT_EV_START,
	CLIENT_EV_STARTED,
	CLIENT_EV_FAILED, /* could not even be started */
	CLIENT_EV_CONNECTED,
	CLIENT_EV_LOST, /* runs on, tries again by itself */
	CLIENT_EV_ALIVE, /* said something */
	CLIENT_EV_STOPPED, /* by a signal */
	CLIENT_EV_CONTINUED, /* likewise */
	CLIENT_EV_BUSY, /* is silent, but does something: once more as long */
	CLIENT_EV_BROKEN, /* runs, but somebody took away what it had made */
	CLIENT_EV_ENDED,
	CLIENT_EV_TIME, /* the deadline has come */
	CLIENT_EV_STOP,
};

enum client_action { CLIENT_DO_NOTHING, CLIENT_DO_START, CLIENT_DO_TERM, CLIENT_DO_KILL };

struct client {
	enum client_state state;
	unsigned int failures; /* ends in a row without having been up for a while */
	int64_t since; /* when the state was entered */
	int64_t deadline; /* CLIENT_EV_TIME is due then; 0: none */
	int64_t connect_limit; /* ms a client may take to connect; 0: for ever */
	int64_t silence_limit; /* ms it may say nothing while up; 0: for ever */
	bool excused; /* since it said something */
};

/* First back-off, doubled each time, and its limit, in ms. */
#define CLIENT_BACKOFF_FIRST 500
#define CLIENT_BACKOFF_LAST  60000
/* One that was up this long starts with a clean slate, in ms. */
#define CLIENT_PROVEN 30000
/* So long one may be stopped, in ms. */
#define CLIENT_STOPPED_LIMIT 2000
/* From SIGTERM to SIGKILL, in ms. */
#define CLIENT_GRACE 3000

enum client_action client_step(struct client *c, enum client_event event, int64_t now);

#endif
