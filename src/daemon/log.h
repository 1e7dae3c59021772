/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_LOG_H
#define DAEMON_LOG_H

#include <jansson.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#define REPAIRS_KEPT 50

/* What was put right, as `status` tells it.  Zero is none. */
struct repairs {
	struct repair {
		int64_t when; /* wall clock, seconds */
		char *what; /* malloc'ed */
	} last[REPAIRS_KEPT]; /* the oldest first */
	size_t n;
	uint64_t ever;
};

/* "sallyport: WHO: ..." on stderr; @who NULL: "sallyport: ..." */
void log_say(const char *who, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void log_say_v(const char *who, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* The same with "repaired: ", and remembers it in @r. */
void log_repaired(struct repairs *r, const char *who, const char *fmt, va_list ap)
	__attribute__((format(printf, 3, 0)));
/* [{"when": ..., "what": ...}, ...]; the caller's. */
json_t *log_repairs_json(const struct repairs *r);

#endif
