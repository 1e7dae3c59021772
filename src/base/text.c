/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Most of what is added fits into that, and is printed once. */
#define LINE_SIZE 128

static void reserve(struct text *t, size_t more)
{
	size_t cap = t->cap ? t->cap : 64;

	while (cap < t->len + more + 1)
		cap *= 2;
	if (cap == t->cap)
		return;
	t->buf = realloc(t->buf, cap);
	if (!t->buf)
		abort();
	t->cap = cap;
}

void text_add_len(struct text *t, const char *s, size_t len)
{
	reserve(t, len);
	memcpy(t->buf + t->len, s, len);
	t->len += len;
	t->buf[t->len] = 0;
}

void text_add(struct text *t, const char *s)
{
	text_add_len(t, s, strlen(s));
}

void text_addv(struct text *t, const char *fmt, va_list ap)
{
	va_list again;
	int n;

	va_copy(again, ap);
	reserve(t, LINE_SIZE);
	n = vsnprintf(t->buf + t->len, t->cap - t->len, fmt, ap);
	if (n < 0)
		abort();
	if ((size_t)n >= t->cap - t->len) {
		reserve(t, (size_t)n);
		vsnprintf(t->buf + t->len, (size_t)n + 1, fmt, again);
	}
	va_end(again);
	t->len += (size_t)n;
}

void text_addf(struct text *t, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_addv(t, fmt, ap);
	va_end(ap);
}

void text_add_mac(struct text *t, const uint8_t mac[6])
{
	text_addf(t, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		  mac[5]);
}

/* In the bytes that are left of a string: of ISO 6429, C0, DEL, and C1 as UTF-8 has it. */
static size_t control_size(const unsigned char *s)
{
	if (*s == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0)
		return 2;
	return (*s < ' ' && *s != '\t' && *s != '\n') || *s == 0x7f;
}

void text_add_shown(struct text *t, const char *s)
{
	while (*s) {
		size_t n = control_size((const unsigned char *)s);

		if (!n)
			text_add_len(t, s++, 1);
		for (; n; n--)
			text_addf(t, "\\x%02x", (unsigned char)*s++);
	}
}

const char *text_str(const struct text *t)
{
	return t->buf ? t->buf : "";
}

void text_clear(struct text *t)
{
	t->len = 0;
	if (t->buf)
		t->buf[0] = 0;
}

void text_free(struct text *t)
{
	free(t->buf);
	*t = (struct text){ 0 };
}

bool str_eq(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

bool str_starts(const char *s, const char *start)
{
	return strncmp(s, start, strlen(start)) == 0;
}

bool str_to_u32(const char *s, uint32_t max, uint32_t *ret)
{
	uint64_t value = 0;

	if (!*s)
		return false;
	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return false;
		value = value * 10 + (uint64_t)(*s - '0');
		if (value > max)
			return false;
	}
	*ret = (uint32_t)value;
	return true;
}

uint64_t str_hash(const char *s, uint64_t seed)
{
	uint64_t h = 0xcbf29ce484222325ULL ^ (seed * 0x9e3779b97f4a7c15ULL);

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	return h ^ (h >> 29);
}

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= ' ';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool str_to_mac(const char *s, uint8_t ret[6])
{
	if (strlen(s) != 17)
		return false;
	for (int i = 0; i < 6; i++, s += 3) {
		if (hex(s[0]) < 0 || hex(s[1]) < 0 || s[2] != (i < 5 ? ':' : 0))
			return false;
		ret[i] = (uint8_t)(hex(s[0]) << 4 | hex(s[1]));
	}
	return true;
}
