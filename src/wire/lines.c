/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool begins(const char *text, size_t size, const char *with, size_t n)
{
	return size >= n && memcmp(text, with, n) == 0;
}

int lines_err(const struct lines *l, uint32_t line, uint32_t column, struct err *e, const char *fmt,
	      ...)
{
	char what[sizeof(e->text)];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return err_set(e, EINVAL, "%s:%u:%u: %s", l->file, line, column, what);
}

int lines_start(struct lines *l, const char *file, const char *text, size_t size, struct err *e)
{
	*l = (struct lines){ .file = file, .text = text, .size = size };
	if (size > LINES_FILE_MAX)
		return lines_err(l, 1, 1, e,
				 "the file has %zu bytes; a configuration has at most %zu", size,
				 LINES_FILE_MAX);
	if (begins(text, size, "\xff\xfe", 2) || begins(text, size, "\xfe\xff", 2))
		return lines_err(l, 1, 1, e, "the file is UTF-16; save it as UTF-8");
	if (begins(text, size, "\xef\xbb\xbf", 3))
		l->at = 3;
	return 0;
}

static int check_bytes(const struct lines *l, const struct line *line, struct err *e)
{
	for (size_t i = 0; i < line->len; i++) {
		unsigned char c = (unsigned char)line->text[i];

		if (c == 0)
			return lines_err(l, line->number, (uint32_t)i + 1, e,
					 "a NUL byte; save the file as plain text (UTF-8)");
		if ((c < ' ' && c != '\t') || c == 0x7f)
			return lines_err(l, line->number, (uint32_t)i + 1, e,
					 "a control byte 0x%02x; take it out", c);
	}
	return 0;
}

int lines_next(struct lines *l, struct line *ret, struct err *e)
{
	struct line line = { .text = l->text + l->at, .number = l->number + 1 };
	size_t left = l->size - l->at;
	const char *end;
	int r;

	if (!left)
		return 0;
	end = memchr(line.text, '\n', left);
	line.len = end ? (size_t)(end - line.text) : left;
	l->at += line.len + (end ? 1 : 0);
	l->number++;
	if (line.len > LINES_LINE_MAX)
		return lines_err(l, line.number, (uint32_t)LINES_LINE_MAX + 1, e,
				 "the line has %zu bytes; break it into lines of at most %zu",
				 line.len, LINES_LINE_MAX);
	if (line.len && line.text[line.len - 1] == '\r')
		line.len--;
	r = check_bytes(l, &line, e);
	if (r < 0)
		return r;
	*ret = line;
	return 1;
}
