/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_INI_H
#define WIRE_INI_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/lines.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * [SECTION], KEY = VALUE and comments, as sallyport.conf, wg0.conf and
 * systemd's files have it.  Comments begin with # or ; at the start of a line
 * or after a blank; in a WireGuard file with # wherever it stands.
 */
enum ini_dialect { INI_SALLYPORT, INI_WIREGUARD };

struct ini_entry {
	const char *name; /* of the section or of the key */
	const char *value; /* without comment; NULL for a section */
	const char *raw; /* the value with what looks like a comment: for /bin/sh */
	uint32_t line;
	uint32_t column; /* of name, from 1, in bytes */
	uint32_t value_column; /* of value (of the end of line when it is empty) */
};

struct ini {
	const char *file;
	struct ini_entry *entries;
	size_t n_entries, cap_entries;
};

int ini_read(struct arena *a, const char *file, const char *text, size_t size,
	     enum ini_dialect dialect, struct ini *ret, struct err *e) MUST_USE;

/*
 * The next word of a list separated by blanks and commas, NULL at the end;
 * @at runs along.  @ret_offset: where the word began in the string @start.
 */
const char *ini_word(struct arena *a, const char *start, const char **at, uint32_t *ret_offset);

#endif
