/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_RANDOM_H
#define TESTS_RANDOM_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* The same numbers each time: xorshift64*. */
struct dice {
	uint64_t state;
};

static inline struct dice dice_of(uint64_t seed)
{
	return (struct dice){ .state = seed * 0x9e3779b97f4a7c15ULL + 1 };
}

static inline uint32_t roll(struct dice *d)
{
	d->state ^= d->state >> 12;
	d->state ^= d->state << 25;
	d->state ^= d->state >> 27;
	return (uint32_t)((d->state * 0x2545f4914f6cdd1dULL) >> 32);
}

/* 0 to @n - 1. */
static inline uint32_t roll_below(struct dice *d, uint32_t n)
{
	return (uint32_t)(((uint64_t)roll(d) * n) >> 32);
}

static inline bool one_in(struct dice *d, uint32_t n)
{
	return roll_below(d, n) == 0;
}

/* Ten times as many in a long check. */
static inline unsigned int rounds(unsigned int n)
{
	return getenv("SALLYPORT_LONG") ? n * 10 : n;
}

#endif
