/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Sources of the loop that come and go. */
#include "lab.h"

#include "sys/loop.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

struct ear {
	struct loop_source source;
	struct loop *loop;
	int heard;
};

static void hear(struct loop_source *s, uint32_t events)
{
	struct ear *x = s->ctx;
	char word;

	(void)events;
	x->heard += read(s->fd, &word, 1) == 1;
	x->loop->stop = true;
}

/* A child that dies: its channel has a word, is at its end, and is opened anew. */
static void a_source_is_not_added_twice_and_the_others_are_still_heard(void **state)
{
	struct loop loop = { .epoll = -1 };
	struct ear first = { .loop = &loop }, again = { .loop = &loop };
	int a[2], b[2], c[2];
	struct err e;

	(void)state;
	first.source = (struct loop_source){ .fd = -1, .ready = hear, .ctx = &first };
	again.source = (struct loop_source){ .fd = -1, .ready = hear, .ctx = &again };
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, a), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, b), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, c), 0);
	assert_ok(loop_open(&loop, &e));
	assert_ok(loop_add(&loop, &first.source, a[0], &e));
	assert_ok(loop_add(&loop, &again.source, b[0], &e));
	/* As its owner would, who has forgotten that it is there. */
	assert_int_equal(loop_add(&loop, &again.source, c[0], &e), -EEXIST);
	assert_int_equal(write(a[1], "x", 1), 1);
	alarm(60); /* a ring has no end */
	assert_ok(loop_run(&loop, &e));
	assert_int_equal(first.heard, 1);
	loop_remove(&loop, &again.source);
	assert_ok(loop_add(&loop, &again.source, c[0], &e));
	assert_int_equal(write(c[1], "x", 1), 1);
	loop.stop = false;
	assert_ok(loop_run(&loop, &e));
	assert_int_equal(again.heard, 1);
	alarm(0);
	loop_close(&loop);
	for (int i = 0; i < 2; i++) {
		close(a[i]);
		close(b[i]);
		close(c[i]);
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_source_is_not_added_twice_and_the_others_are_still_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
