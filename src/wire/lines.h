/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_LINES_H
#define WIRE_LINES_H

#include "base/arena.h"
#include "base/err.h"

#include <stddef.h>
#include <stdint.h>

/*
 * The lines of a text somebody wrote: without a byte order mark, without the
 * ends of line of any system.  What is no text (NUL, control bytes, UTF-16)
 * and what no person wrote (huge files, endless lines) is an error with its
 * place, so that no later reader has to think of it, and nothing that could
 * play tricks with a terminal comes back in a message.
 */

#define LINES_FILE_MAX ((size_t)1024 * 1024)
#define LINES_LINE_MAX ((size_t)16 * 1024)

struct lines {
	const char *file;
	const char *text;
	size_t size;
	size_t at; /* where the next line begins */
	uint32_t number; /* of the line read last, from 1 */
};

struct line {
	const char *text; /* not ended by NUL */
	size_t len;
	uint32_t number;
};

/* Begins to read @size bytes at @text. */
int lines_start(struct lines *l, const char *file, const char *text, size_t size,
		struct err *e) MUST_USE;

/* 1 and the next line, 0 at the end, -EINVAL. */
int lines_next(struct lines *l, struct line *ret, struct err *e) MUST_USE;

/* -EINVAL with "file:line:column: ..." */
int lines_err(const struct lines *l, uint32_t line, uint32_t column, struct err *e, const char *fmt,
	      ...) __attribute__((format(printf, 5, 6)));

#endif
