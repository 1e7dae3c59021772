/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "super/client.h"

static void enter(struct client *c, enum client_state state, int64_t now, int64_t limit)
{
	/* However it ends being up: losing its server, falling silent, exit. */
	if (c->state == CLIENT_UP && now - c->since >= CLIENT_PROVEN)
		c->failures = 0;
	c->state = state;
	c->since = now;
	c->deadline = limit ? now + limit : 0;
}

static int64_t backoff(unsigned int failures)
{
	int64_t wait = CLIENT_BACKOFF_FIRST;

	while (failures-- > 1 && wait < CLIENT_BACKOFF_LAST)
		wait *= 2;
	return wait < CLIENT_BACKOFF_LAST ? wait : CLIENT_BACKOFF_LAST;
}

static void wait_again(struct client *c, int64_t now)
{
	enter(c, CLIENT_WAITING, now, 0);
	c->failures++;
	c->deadline = now + backoff(c->failures);
}

static enum client_action time_is_up(struct client *c, int64_t now)
{
	switch (c->state) {
	case CLIENT_WAITING:
		enter(c, CLIENT_CONNECTING, now, c->connect_limit);
		return CLIENT_DO_START;
	case CLIENT_CONNECTING:
	case CLIENT_UP:
	case CLIENT_STOPPED:
		enter(c, CLIENT_KILLED, now, CLIENT_GRACE);
		return CLIENT_DO_TERM;
	case CLIENT_KILLED:
		enter(c, CLIENT_KILLED, now, CLIENT_GRACE);
		return CLIENT_DO_KILL;
	case CLIENT_IDLE:
		break;
	}
	return CLIENT_DO_NOTHING;
}

enum client_action client_step(struct client *c, enum client_event event, int64_t now)
{
	switch (event) {
	case CLIENT_EV_START:
		if (c->state != CLIENT_IDLE)
			break;
		enter(c, CLIENT_CONNECTING, now, c->connect_limit);
		return CLIENT_DO_START;
	case CLIENT_EV_STARTED:
		break;
	case CLIENT_EV_CONNECTED:
		if (c->state == CLIENT_CONNECTING)
			enter(c, CLIENT_UP, now, c->silence_limit);
		break;
	case CLIENT_EV_LOST:
		if (c->state == CLIENT_UP)
			enter(c, CLIENT_CONNECTING, now, c->connect_limit);
		break;
	case CLIENT_EV_ALIVE:
		if (c->state == CLIENT_UP && c->silence_limit)
			c->deadline = now + c->silence_limit;
		c->excused = false;
		break;
	case CLIENT_EV_BUSY:
		if (c->state == CLIENT_UP && c->silence_limit && !c->excused) {
			c->deadline = now + c->silence_limit;
			c->excused = true;
		}
		break;
	case CLIENT_EV_BROKEN:
		if (c->state != CLIENT_UP && c->state != CLIENT_CONNECTING)
			break;
		enter(c, CLIENT_KILLED, now, CLIENT_GRACE);
		return CLIENT_DO_TERM;
	case CLIENT_EV_STOPPED:
		if (c->state == CLIENT_UP || c->state == CLIENT_CONNECTING)
			enter(c, CLIENT_STOPPED, now, CLIENT_STOPPED_LIMIT);
		break;
	case CLIENT_EV_CONTINUED:
		if (c->state == CLIENT_STOPPED)
			enter(c, CLIENT_CONNECTING, now, c->connect_limit);
		break;
	case CLIENT_EV_FAILED:
	case CLIENT_EV_ENDED:
		if (c->state != CLIENT_IDLE && c->state != CLIENT_WAITING)
			wait_again(c, now);
		break;
	case CLIENT_EV_TIME:
		if (c->deadline && now >= c->deadline)
			return time_is_up(c, now);
		break;
	case CLIENT_EV_STOP:
		enter(c, CLIENT_IDLE, now, 0);
		return CLIENT_DO_TERM;
	}
	return CLIENT_DO_NOTHING;
}
