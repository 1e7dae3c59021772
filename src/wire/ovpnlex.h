/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_OVPNLEX_H
#define WIRE_OVPNLEX_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * openvpn's own way to cut a configuration into options (parse_line() and
 * check_inline_file() of its options_parse.c): quotes, backslashes, comments, a "--"
 * that may stand in front, `setenv opt` that may hide an option, and inline
 * files from <ca> to </ca>.  The lines of <connection> come as options.
 */

#define OVPN_WORDS_MAX 16

struct ovpn_option {
	const char *word[OVPN_WORDS_MAX + 1]; /* [0] its name, "" beyond the last */
	uint32_t column[OVPN_WORDS_MAX + 1];
	uint32_t line;
	size_t from, to; /* bytes of the text, with the end of line */
	bool is_inline; /* its file follows, in body; name without < > */
	const char *body; /* not ended by NUL */
	size_t body_size;
};

struct ovpnlex {
	struct arena *a;
	struct lines lines;
};

int ovpnlex_start(struct ovpnlex *l, struct arena *a, const char *file, const char *text,
		  size_t size, struct err *e) MUST_USE;

/* 1 and the next option, 0 at the end, -EINVAL. */
int ovpnlex_next(struct ovpnlex *l, struct ovpn_option *ret, struct err *e) MUST_USE;

#endif
