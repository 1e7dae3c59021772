/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ini.h"

#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* Part of a line: [from, to) */
struct span {
	const struct line *line;
	size_t from;
	size_t to;
};

static struct span trim(struct span s)
{
	while (s.from < s.to && is_blank(s.line->text[s.from]))
		s.from++;
	while (s.to > s.from && is_blank(s.line->text[s.to - 1]))
		s.to--;
	return s;
}

static char *span_str(struct arena *a, struct span s)
{
	return arena_strndup(a, s.line->text + s.from, s.to - s.from);
}

static bool begins_comment(struct span s, size_t i, enum ini_dialect dialect)
{
	char c = s.line->text[i];
	bool after_blank = i == 0 || is_blank(s.line->text[i - 1]);

	if (dialect == INI_WIREGUARD)
		return c == '#' || (c == ';' && i == s.from);
	return (c == '#' || c == ';') && after_blank;
}

/* @s up to its comment. */
static struct span uncomment(struct span s, enum ini_dialect dialect)
{
	for (size_t i = s.from; i < s.to; i++) {
		if (!begins_comment(s, i, dialect))
			continue;
		s.to = i;
		break;
	}
	return trim(s);
}

static int read_section(struct arena *a, const struct lines *l, struct span s,
			struct ini_entry *entry, struct err *e)
{
	const char *open = s.line->text + s.from;
	const char *close = memchr(open, ']', s.to - s.from);
	struct span name = { s.line, s.from + 1, s.to };

	if (!close)
		return lines_err(l, s.line->number, (uint32_t)s.to + 1, e,
				 "the section has no \"]\"; write [SECTION]");
	name.to = (size_t)(close - s.line->text);
	if (name.to + 1 < s.to)
		return lines_err(l, s.line->number, (uint32_t)name.to + 2, e,
				 "text after \"]\"; write it on a line of its own");
	name = trim(name);
	if (name.from == name.to)
		return lines_err(l, s.line->number, (uint32_t)s.from + 1, e,
				 "the section has no name; write [SECTION]");
	entry->name = span_str(a, name);
	entry->column = (uint32_t)name.from + 1;
	return 0;
}

/* Messages show the first word only: what follows may be somebody's key. */
static size_t word_len(struct span s)
{
	size_t len = 0;

	while (s.from + len < s.to && !is_blank(s.line->text[s.from + len]) &&
	       s.line->text[s.from + len] != '=')
		len++;
	return len;
}

static bool is_before_equals(struct span s, size_t word)
{
	s.from += word;
	s = trim(s);
	return s.from < s.to && s.line->text[s.from] == '=';
}

static int read_key(struct arena *a, const struct lines *l, struct span whole, struct span s,
		    struct ini_entry *entry, struct err *e)
{
	const char *start = s.line->text + s.from;
	const char *equals = memchr(start, '=', s.to - s.from);
	size_t word = word_len(s);
	struct span key = s, value = s, raw = whole;

	if (!equals || !is_before_equals(s, word))
		return lines_err(l, s.line->number, (uint32_t)s.from + 1, e,
				 "\"%.*s\" is not followed by \"=\"; write KEY = VALUE",
				 (int)(word < 20 ? word : 20), start);
	key.to = value.from = raw.from = (size_t)(equals - s.line->text);
	value.from++;
	raw.from++;
	key = trim(key);
	value = trim(value);
	raw = trim(raw);
	if (key.from == key.to)
		return lines_err(l, s.line->number, (uint32_t)s.from + 1, e,
				 "no key before \"=\"; write KEY = VALUE");
	entry->name = span_str(a, key);
	entry->column = (uint32_t)key.from + 1;
	entry->value = span_str(a, value);
	entry->value_column = (uint32_t)value.from + 1;
	entry->raw = span_str(a, raw);
	return 0;
}

int ini_read(struct arena *a, const char *file, const char *text, size_t size,
	     enum ini_dialect dialect, struct ini *ret, struct err *e)
{
	struct ini ini = { .file = file };
	struct line line;
	struct lines l;
	int r = lines_start(&l, file, text, size, e);

	if (r < 0)
		return r;
	while ((r = lines_next(&l, &line, e)) > 0) {
		struct span whole = trim((struct span){ &line, 0, line.len });
		struct span s = uncomment(whole, dialect);
		struct ini_entry entry = { .line = line.number };

		if (s.from == s.to)
			continue;
		r = line.text[s.from] == '[' ? read_section(a, &l, s, &entry, e)
					     : read_key(a, &l, whole, s, &entry, e);
		if (r < 0)
			return r;
		*arena_push(a, ini.entries, ini.n_entries, ini.cap_entries) = entry;
	}
	if (r < 0)
		return r;
	*ret = ini;
	return 0;
}

const char *ini_word(struct arena *a, const char *start, const char **at, uint32_t *ret_offset)
{
	const char *word = *at + strspn(*at, " \t,");
	size_t len = strcspn(word, " \t,");

	*at = word + len;
	if (!len)
		return NULL;
	*ret_offset = (uint32_t)(word - start);
	return arena_strndup(a, word, len);
}
