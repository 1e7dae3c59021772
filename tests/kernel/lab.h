/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_KERNEL_LAB_H
#define TESTS_KERNEL_LAB_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */
#include <cmocka.h>

#include "base/arena.h"
#include "base/err.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

/*
 * Every test has namespaces of its own, network and mounts, and an empty /run:
 * nothing here reaches the machine that runs it.
 */
static inline int lab_enter(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("lab", "/run", "tmpfs", 0, "mode=0755,size=4m") < 0) {
		perror("namespaces for the test (needs root)");
		return -1;
	}
	return 0;
}

static inline void lab_run(const char *command)
{
	assert_int_equal(system(command), 0);
}

/* With the words of the error, should it be one. */
#define assert_ok(call)                                                                            \
	do {                                                                                       \
		int lab_r = (call);                                                                \
                                                                                                   \
		if (lab_r < 0)                                                                     \
			fail_msg("%s: %s", #call, e.text);                                         \
	} while (0)

/* A small generator of our own: the same tests on every machine; seed in LAB_SEED. */
static inline uint32_t lab_random(uint32_t below)
{
	static uint64_t x;

	if (!x) {
		const char *seed = getenv("LAB_SEED");

		x = seed ? strtoull(seed, NULL, 10) * 2 + 1 : 88172645463325252ULL;
	}
	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 20) % below;
}

#endif
