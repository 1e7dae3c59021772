/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A growing string; free with text_free() (or CLEANUP_TEXT).  Never NULL to read. */
struct text {
	char *buf;
	size_t len;
	size_t cap;
};

void text_add(struct text *t, const char *s);
void text_add_len(struct text *t, const char *s, size_t len);
void text_addf(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "02:5a:11:79:00:01" */
void text_add_mac(struct text *t, const uint8_t mac[6]);
void text_addv(struct text *t, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/*
 * @s for a terminal or a log: control characters but tabs and line ends, which
 * could write over what stands there, become \x1b and the like.
 */
void text_add_shown(struct text *t, const char *s);
const char *text_str(const struct text *t);
void text_clear(struct text *t);
void text_free(struct text *t);
#define CLEANUP_TEXT __attribute__((cleanup(text_free)))

bool str_eq(const char *a, const char *b);
bool str_starts(const char *s, const char *start);

/* Whole string as a number in base 10 (no sign, no blanks) of at most @max. */
bool str_to_u32(const char *s, uint32_t max, uint32_t *ret);
/* "02:5a:11:79:00:01"; @ret is not left alone on failure. */
bool str_to_mac(const char *s, uint8_t ret[6]);

/* FNV-1a, for choosing slots and names; not for secrets. */
uint64_t str_hash(const char *s, uint64_t seed);

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
