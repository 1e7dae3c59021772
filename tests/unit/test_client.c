/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "random.h"

#include "base/text.h"
#include "super/client.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define CONNECT_LIMIT 40000
#define SILENCE_LIMIT 90000
#define SECOND        ((int64_t)1000)
#define HOUR          (3600 * SECOND)
#define YEAR          (365 * 24 * HOUR)

#define START     CLIENT_EV_START
#define STARTED   CLIENT_EV_STARTED
#define FAILED    CLIENT_EV_FAILED
#define CONNECTED CLIENT_EV_CONNECTED
#define LOST      CLIENT_EV_LOST
#define ALIVE     CLIENT_EV_ALIVE
#define STOPS     CLIENT_EV_STOPPED
#define CONTINUES CLIENT_EV_CONTINUED
#define BUSY      CLIENT_EV_BUSY
#define ENDED     CLIENT_EV_ENDED
#define TIME      CLIENT_EV_TIME
#define BROKEN    CLIENT_EV_BROKEN
#define STOP      CLIENT_EV_STOP

#define IDLE       CLIENT_IDLE
#define CONNECTING CLIENT_CONNECTING
#define UP         CLIENT_UP
#define STOPPED    CLIENT_STOPPED
#define KILLED     CLIENT_KILLED
#define WAITING    CLIENT_WAITING

#define NOTHING CLIENT_DO_NOTHING
#define RUN     CLIENT_DO_START
#define TERM    CLIENT_DO_TERM
#define KILL    CLIENT_DO_KILL

#define STAYS (-1)

/*
 * Every state and every event, 1 s after the state was entered and with its
 * deadline not yet come; TIME is also told when it has come.  @in: ms to the
 * new deadline, 0 for none, STAYS for the old one.
 */
static const struct row {
	enum client_state from;
	enum client_event event;
	bool due;
	enum client_state to;
	enum client_action action;
	int64_t in;
} rows[] = {
	{ IDLE, START, false, CONNECTING, RUN, CONNECT_LIMIT },
	{ IDLE, STARTED, false, IDLE, NOTHING, STAYS },
	{ IDLE, FAILED, false, IDLE, NOTHING, STAYS },
	{ IDLE, CONNECTED, false, IDLE, NOTHING, STAYS },
	{ IDLE, LOST, false, IDLE, NOTHING, STAYS },
	{ IDLE, ALIVE, false, IDLE, NOTHING, STAYS },
	{ IDLE, STOPS, false, IDLE, NOTHING, STAYS },
	{ IDLE, CONTINUES, false, IDLE, NOTHING, STAYS },
	{ IDLE, BUSY, false, IDLE, NOTHING, STAYS },
	{ IDLE, BROKEN, false, IDLE, NOTHING, STAYS },
	{ IDLE, ENDED, false, IDLE, NOTHING, STAYS },
	{ IDLE, TIME, false, IDLE, NOTHING, STAYS },
	{ IDLE, TIME, true, IDLE, NOTHING, STAYS },
	{ IDLE, STOP, false, IDLE, TERM, 0 },

	{ CONNECTING, START, false, CONNECTING, NOTHING, STAYS },
	{ CONNECTING, STARTED, false, CONNECTING, NOTHING, STAYS },
	{ CONNECTING, FAILED, false, WAITING, NOTHING, 500 },
	{ CONNECTING, CONNECTED, false, UP, NOTHING, SILENCE_LIMIT },
	{ CONNECTING, LOST, false, CONNECTING, NOTHING, STAYS },
	{ CONNECTING, ALIVE, false, CONNECTING, NOTHING, STAYS },
	{ CONNECTING, STOPS, false, STOPPED, NOTHING, CLIENT_STOPPED_LIMIT },
	{ CONNECTING, CONTINUES, false, CONNECTING, NOTHING, STAYS },
	{ CONNECTING, BUSY, false, CONNECTING, NOTHING, STAYS },
	{ CONNECTING, BROKEN, false, KILLED, TERM, CLIENT_GRACE },
	{ CONNECTING, ENDED, false, WAITING, NOTHING, 500 },
	{ CONNECTING, TIME, false, CONNECTING, NOTHING, STAYS },
	{ CONNECTING, TIME, true, KILLED, TERM, CLIENT_GRACE },
	{ CONNECTING, STOP, false, IDLE, TERM, 0 },

	{ UP, START, false, UP, NOTHING, STAYS },
	{ UP, STARTED, false, UP, NOTHING, STAYS },
	{ UP, FAILED, false, WAITING, NOTHING, 500 },
	{ UP, CONNECTED, false, UP, NOTHING, STAYS },
	{ UP, LOST, false, CONNECTING, NOTHING, CONNECT_LIMIT },
	{ UP, ALIVE, false, UP, NOTHING, SILENCE_LIMIT },
	{ UP, STOPS, false, STOPPED, NOTHING, CLIENT_STOPPED_LIMIT },
	{ UP, CONTINUES, false, UP, NOTHING, STAYS },
	{ UP, BUSY, false, UP, NOTHING, SILENCE_LIMIT },
	{ UP, BROKEN, false, KILLED, TERM, CLIENT_GRACE },
	{ UP, ENDED, false, WAITING, NOTHING, 500 },
	{ UP, TIME, false, UP, NOTHING, STAYS },
	{ UP, TIME, true, KILLED, TERM, CLIENT_GRACE },
	{ UP, STOP, false, IDLE, TERM, 0 },

	{ STOPPED, START, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, STARTED, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, FAILED, false, WAITING, NOTHING, 500 },
	{ STOPPED, CONNECTED, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, LOST, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, ALIVE, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, STOPS, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, CONTINUES, false, CONNECTING, NOTHING, CONNECT_LIMIT },
	{ STOPPED, BUSY, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, BROKEN, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, ENDED, false, WAITING, NOTHING, 500 },
	{ STOPPED, TIME, false, STOPPED, NOTHING, STAYS },
	{ STOPPED, TIME, true, KILLED, TERM, CLIENT_GRACE },
	{ STOPPED, STOP, false, IDLE, TERM, 0 },

	{ KILLED, START, false, KILLED, NOTHING, STAYS },
	{ KILLED, STARTED, false, KILLED, NOTHING, STAYS },
	{ KILLED, FAILED, false, WAITING, NOTHING, 500 },
	{ KILLED, CONNECTED, false, KILLED, NOTHING, STAYS },
	{ KILLED, LOST, false, KILLED, NOTHING, STAYS },
	{ KILLED, ALIVE, false, KILLED, NOTHING, STAYS },
	{ KILLED, STOPS, false, KILLED, NOTHING, STAYS },
	{ KILLED, CONTINUES, false, KILLED, NOTHING, STAYS },
	{ KILLED, BUSY, false, KILLED, NOTHING, STAYS },
	{ KILLED, BROKEN, false, KILLED, NOTHING, STAYS },
	{ KILLED, ENDED, false, WAITING, NOTHING, 500 },
	{ KILLED, TIME, false, KILLED, NOTHING, STAYS },
	{ KILLED, TIME, true, KILLED, KILL, CLIENT_GRACE },
	{ KILLED, STOP, false, IDLE, TERM, 0 },

	{ WAITING, START, false, WAITING, NOTHING, STAYS },
	{ WAITING, STARTED, false, WAITING, NOTHING, STAYS },
	{ WAITING, FAILED, false, WAITING, NOTHING, STAYS },
	{ WAITING, CONNECTED, false, WAITING, NOTHING, STAYS },
	{ WAITING, LOST, false, WAITING, NOTHING, STAYS },
	{ WAITING, ALIVE, false, WAITING, NOTHING, STAYS },
	{ WAITING, STOPS, false, WAITING, NOTHING, STAYS },
	{ WAITING, CONTINUES, false, WAITING, NOTHING, STAYS },
	{ WAITING, BUSY, false, WAITING, NOTHING, STAYS },
	{ WAITING, BROKEN, false, WAITING, NOTHING, STAYS },
	{ WAITING, ENDED, false, WAITING, NOTHING, STAYS },
	{ WAITING, TIME, false, WAITING, NOTHING, STAYS },
	{ WAITING, TIME, true, CONNECTING, RUN, CONNECT_LIMIT },
	{ WAITING, STOP, false, IDLE, TERM, 0 },
};

static void every_event_in_every_state_does_what_the_table_says(void **state)
{
	const int64_t now = 100 * SECOND;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];
		int64_t deadline = r->from == IDLE ? 0 : r->due ? now : now + 1;
		struct client c = { .state = r->from,
				    .since = now - SECOND,
				    .deadline = deadline,
				    .connect_limit = CONNECT_LIMIT,
				    .silence_limit = SILENCE_LIMIT };

		assert_int_equal(client_step(&c, r->event, now), r->action);
		assert_int_equal(c.state, r->to);
		assert_int_equal(c.deadline, r->in == STAYS ? deadline : r->in ? now + r->in : 0);
		assert_int_equal(c.since, r->to == r->from && r->in == STAYS      ? now - SECOND
					  : r->event == ALIVE || r->event == BUSY ? now - SECOND
										  : now);
	}
}

static void a_limit_of_nothing_is_no_deadline(void **state)
{
	struct client c = { 0 };

	(void)state;
	assert_int_equal(client_step(&c, START, 5), RUN);
	assert_int_equal(c.deadline, 0);
	assert_int_equal(client_step(&c, TIME, YEAR), NOTHING);
	client_step(&c, CONNECTED, YEAR);
	client_step(&c, ALIVE, YEAR + 1);
	assert_int_equal(c.deadline, 0);
	assert_int_equal(client_step(&c, TIME, 2 * YEAR), NOTHING);
	assert_int_equal(c.state, UP);
}

static void who_is_busy_is_excused_once(void **state)
{
	struct client c = { .state = UP, .deadline = 1, .silence_limit = 10 };

	(void)state;
	client_step(&c, BUSY, 5);
	assert_int_equal(c.deadline, 15);
	client_step(&c, BUSY, 14);
	assert_int_equal(c.deadline, 15);
	client_step(&c, ALIVE, 14);
	client_step(&c, BUSY, 20);
	assert_int_equal(c.deadline, 30);
}

static struct client started(int64_t now)
{
	struct client c = { .connect_limit = CONNECT_LIMIT, .silence_limit = SILENCE_LIMIT };

	assert_int_equal(client_step(&c, START, now), RUN);
	return c;
}

/* Ends at @now; returns how long it waits, and starts again. */
static int64_t wait_after_end(struct client *c, int64_t now)
{
	int64_t due;

	assert_int_equal(client_step(c, ENDED, now), NOTHING);
	assert_int_equal(c->state, WAITING);
	due = c->deadline;
	assert_int_equal(client_step(c, TIME, due - 1), NOTHING);
	assert_int_equal(client_step(c, TIME, due), RUN);
	return due - now;
}

static void the_wait_doubles_from_half_a_second_to_a_minute(void **state)
{
	static const int64_t waits[] = { 500,   1000,  2000,  4000,  8000,
					 16000, 32000, 60000, 60000, 60000 };
	struct client c = started(1);
	int64_t now = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(waits); i++) {
		now += 10; /* ended at once */
		assert_int_equal(wait_after_end(&c, now), waits[i]);
		now += waits[i];
	}
}

static void a_client_that_was_up_for_a_while_waits_little(void **state)
{
	struct client c = started(1);
	int64_t now = 1;

	(void)state;
	for (int i = 0; i < 9; i++)
		now += wait_after_end(&c, now);
	client_step(&c, CONNECTED, now);
	now += CLIENT_PROVEN - 1;
	assert_int_equal(wait_after_end(&c, now), 60000);
	now += 60000;
	client_step(&c, CONNECTED, now);
	now += CLIENT_PROVEN;
	assert_int_equal(wait_after_end(&c, now), 500);
}

/* Reached UP, then lost its server or fell silent: it had been good all the same. */
static void what_a_client_proved_is_not_forgotten_when_it_loses_its_server(void **state)
{
	(void)state;
	for (int silent = 0; silent < 2; silent++) {
		struct client c = started(1);
		int64_t now = 1;

		for (int i = 0; i < 9; i++)
			now += wait_after_end(&c, now);
		client_step(&c, CONNECTED, now);
		now += HOUR;
		if (silent)
			assert_int_equal(client_step(&c, TIME, now), TERM);
		else
			client_step(&c, LOST, now);
		assert_int_equal(wait_after_end(&c, now + SECOND), 500);
	}
}

/* A tunnel that flaps faster than PROVEN proves nothing. */
static void a_flapping_client_waits_longer_and_longer(void **state)
{
	struct client c = started(1);
	int64_t now = 1;

	(void)state;
	for (int i = 0; i < 20; i++) {
		client_step(&c, CONNECTED, now);
		now += CLIENT_PROVEN / 2;
		client_step(&c, LOST, now);
		client_step(&c, CONNECTED, now);
		now += CLIENT_PROVEN / 2;
		now += wait_after_end(&c, now);
	}
	assert_int_equal(wait_after_end(&c, now), 60000);
}

static void a_hanging_client_is_told_to_end_and_then_killed_until_it_has(void **state)
{
	struct client c = started(1);
	int64_t now = 1 + CONNECT_LIMIT;

	(void)state;
	assert_int_equal(client_step(&c, TIME, now - 1), NOTHING);
	assert_int_equal(client_step(&c, TIME, now), TERM);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(client_step(&c, TIME, now + CLIENT_GRACE - 1), NOTHING);
		now += CLIENT_GRACE;
		assert_int_equal(client_step(&c, TIME, now), KILL);
	}
	assert_int_equal(client_step(&c, ENDED, now), NOTHING);
	assert_int_equal(c.state, WAITING);
}

static void a_stopped_client_stays_stopped(void **state)
{
	static const enum client_event events[] = { STARTED, FAILED, CONNECTED, LOST,
						    ALIVE,   ENDED,  TIME };
	struct client c = started(1);

	(void)state;
	client_step(&c, CONNECTED, 2);
	assert_int_equal(client_step(&c, STOP, 3), TERM);
	for (size_t i = 0; i < ARRAY_LEN(events); i++) {
		assert_int_equal(client_step(&c, events[i], YEAR), NOTHING);
		assert_int_equal(c.state, IDLE);
		assert_int_equal(c.deadline, 0);
	}
}

/*
 * A year of a client that hangs, ends, connects and flaps as the dice fall:
 * it is never left alone for longer than a limit, never runs twice, and is
 * started no more often than the back-off lets it be.
 */
static void in_a_year_no_client_is_forgotten_or_started_too_often(void **state)
{
	static const enum client_event chances[] = { CONNECTED, LOST, ALIVE, ENDED, FAILED, START };
	struct dice d = dice_of(21);
	struct client c = started(1);
	int64_t now = 1, last_end = 0;
	bool runs = true;
	long starts = 1;

	(void)state;
	while (now < YEAR) {
		enum client_event event = chances[roll_below(&d, ARRAY_LEN(chances))];
		int64_t at = now + 1 + roll_below(&d, one_in(&d, 20) ? 200000 : 20000);
		enum client_action action;

		if (!runs && event != START) /* the dead say nothing */
			event = TIME;
		assert_true(c.deadline > now && c.deadline <= now + SILENCE_LIMIT);
		if (at >= c.deadline || event == TIME) {
			event = TIME;
			at = c.deadline;
		}
		now = at;
		action = client_step(&c, event, now);
		if (event == ENDED || event == FAILED) {
			runs = false;
			last_end = now;
		}
		if (action == RUN) {
			assert_false(runs);
			assert_true(now - last_end >= CLIENT_BACKOFF_FIRST);
			assert_true(now - last_end <= CLIENT_BACKOFF_LAST);
			runs = true;
			starts++;
		}
		if (action == TERM || action == KILL)
			assert_true(runs);
		assert_int_equal(runs, c.state != WAITING);
	}
	/* The dice did let it run, end and run again. */
	assert_in_range(starts, 10000, YEAR / CLIENT_BACKOFF_LAST * 10);
}

/* 525,600 minutes of a client that can never start: one try a minute, no counter runs over. */
static void a_year_without_success_is_a_try_a_minute(void **state)
{
	struct client c = started(1);
	int64_t now = 1;
	long starts = 1;

	(void)state;
	while (now < YEAR) {
		assert_int_equal(client_step(&c, FAILED, now), NOTHING);
		now = c.deadline;
		assert_int_equal(client_step(&c, TIME, now), RUN);
		starts++;
	}
	assert_in_range(starts, 525600, 525610);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_event_in_every_state_does_what_the_table_says),
		cmocka_unit_test(a_limit_of_nothing_is_no_deadline),
		cmocka_unit_test(who_is_busy_is_excused_once),
		cmocka_unit_test(the_wait_doubles_from_half_a_second_to_a_minute),
		cmocka_unit_test(a_client_that_was_up_for_a_while_waits_little),
		cmocka_unit_test(what_a_client_proved_is_not_forgotten_when_it_loses_its_server),
		cmocka_unit_test(a_flapping_client_waits_longer_and_longer),
		cmocka_unit_test(a_hanging_client_is_told_to_end_and_then_killed_until_it_has),
		cmocka_unit_test(a_stopped_client_stays_stopped),
		cmocka_unit_test(in_a_year_no_client_is_forgotten_or_started_too_often),
		cmocka_unit_test(a_year_without_success_is_a_try_a_minute),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
