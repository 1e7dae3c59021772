/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NEAR_H
#define WIRE_NEAR_H

#include <stddef.h>

/* The one of @names that @word is a slip of the pen of, or NULL. */
const char *near_name(const char *word, const char *const *names, size_t n);

/*
 * What to write instead of the unknown @word, for the end of a message:
 * `did you mean "publish"? [room] knows publish, default, reach`
 */
void near_teach(char *buf, size_t size, const char *who, const char *word, const char *const *names,
		size_t n);

#endif
