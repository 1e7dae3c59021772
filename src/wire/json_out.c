/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/json_out.h"

#include <string.h>

static uint32_t utf8_value(const char *s, size_t size)
{
	static const unsigned char first[] = { 0, 0x7f, 0x1f, 0x0f, 0x07 };
	uint32_t c = (unsigned char)s[0] & first[size];

	for (size_t i = 1; i < size; i++)
		c = c << 6 | ((unsigned char)s[i] & 0x3f);
	return c;
}

static void add_character(struct text *t, const char *s, size_t size)
{
	uint32_t c = size ? utf8_value(s, size) : 0xdc00U + (unsigned char)*s;

	if (c == '"' || c == '\\')
		text_addf(t, "\\%c", (char)c);
	else if (c >= ' ' && c < 0x7f)
		text_add_len(t, s, 1);
	else if (c < 0x10000)
		text_addf(t, "\\u%04x", c);
	else
		text_addf(t, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
}

void json_out_string(struct text *t, const char *s)
{
	size_t left = strlen(s);

	text_add(t, "\"");
	while (left) {
		size_t size = json_utf8_size(s, left);

		add_character(t, s, size);
		s += size ? size : 1;
		left -= size ? size : 1;
	}
	text_add(t, "\"");
}
