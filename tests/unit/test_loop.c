/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/loop.h"

#include "sys/fd.h"

#include <unistd.h>

struct pair {
	struct loop loop;
	struct loop_source sources[2];
	int pipes[2][2];
	int called;
};

/* Takes the other one out: what was it is freed by then. */
static void take_the_other_out(struct loop_source *s, uint32_t events)
{
	struct pair *p = s->ctx;

	(void)events;
	p->called++;
	loop_remove(&p->loop, &p->sources[s == &p->sources[0]]);
	p->loop.stop = true;
}

static void who_is_taken_out_is_not_called_any_more(void **state)
{
	struct pair p = { .called = 0 };
	struct err e;

	(void)state;
	assert_int_equal(loop_open(&p.loop, &e), 0);
	for (int i = 0; i < 2; i++) {
		p.sources[i] = (struct loop_source){ .ready = take_the_other_out, .ctx = &p };
		assert_int_equal(pipe(p.pipes[i]), 0);
		assert_int_equal(write(p.pipes[i][1], "x", 1), 1);
		assert_int_equal(loop_add(&p.loop, &p.sources[i], p.pipes[i][0], &e), 0);
	}
	/* Both are ready, and told of at once. */
	assert_int_equal(loop_run(&p.loop, &e), 0);
	assert_int_equal(p.called, 1);
	for (int i = 0; i < 2; i++) {
		fd_close(&p.pipes[i][0]);
		fd_close(&p.pipes[i][1]);
	}
	loop_close(&p.loop);
}

struct ticks {
	struct loop loop;
	struct loop_timer timer, end, never;
	int n, ended, wrong;
};

static void tick(struct loop_timer *t)
{
	struct ticks *x = t->ctx;

	x->n++;
	loop_arm(&x->loop, t, x->n < 3 ? 0 : 1000000);
}

static void end(struct loop_timer *t)
{
	struct ticks *x = t->ctx;

	x->ended++;
	x->loop.stop = true;
}

static void wrong(struct loop_timer *t)
{
	struct ticks *x = t->ctx;

	x->wrong++;
}

static void a_timer_fires_once_for_each_time_it_is_armed(void **state)
{
	struct ticks x = { .n = 0 };
	struct err e;

	(void)state;
	assert_int_equal(loop_open(&x.loop, &e), 0);
	x.timer = (struct loop_timer){ .fire = tick, .ctx = &x };
	x.end = (struct loop_timer){ .fire = end, .ctx = &x };
	x.never = (struct loop_timer){ .fire = wrong, .ctx = &x };
	loop_arm(&x.loop, &x.never, 1);
	loop_arm(&x.loop, &x.end, 1000000);
	loop_arm(&x.loop, &x.end, 50); /* instead of that */
	loop_arm(&x.loop, &x.timer, 1);
	loop_disarm(&x.loop, &x.never);
	assert_int_equal(loop_run(&x.loop, &e), 0);
	assert_int_equal(x.ended, 1);
	assert_int_equal(x.wrong, 0);
	assert_in_range(x.n, 1, 3);
	loop_close(&x.loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_taken_out_is_not_called_any_more),
		cmocka_unit_test(a_timer_fires_once_for_each_time_it_is_armed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
