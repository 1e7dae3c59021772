/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ovpnlex.h"

#include "base/text.h"

#include <string.h>

/* OPTION_LINE_SIZE of openvpn, with the end of line. */
#define OVPN_LINE_MAX 255

int ovpnlex_start(struct ovpnlex *l, struct arena *a, const char *file, const char *text,
		  size_t size, struct err *e)
{
	l->a = a;
	return lines_start(&l->lines, file, text, size, e);
}

enum state { BETWEEN, IN_WORD, IN_DOUBLE, IN_SINGLE };

/* One line being cut into words. */
struct cut {
	struct ovpn_option *option;
	size_t n;
	enum state state;
	bool backslash;
	char word[OVPN_LINE_MAX + 1];
	size_t len;
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static void begin_word(struct cut *c, size_t at, enum state state)
{
	c->state = state;
	c->len = 0;
	c->option->column[c->n] = (uint32_t)at + 1;
}

static void end_word(struct arena *a, struct cut *c)
{
	c->option->word[c->n++] = arena_strndup(a, c->word, c->len);
	c->state = BETWEEN;
}

/* A character between two words; false at a comment. */
static bool step_between(struct cut *c, char in, size_t at)
{
	if (is_space(in))
		return true;
	if (in == '#' || in == ';')
		return false;
	if (!c->backslash && in == '"') {
		begin_word(c, at, IN_DOUBLE);
	} else if (!c->backslash && in == '\'') {
		begin_word(c, at, IN_SINGLE);
	} else {
		begin_word(c, at, IN_WORD);
		c->word[c->len++] = in;
	}
	return true;
}

static void step_within(struct arena *a, struct cut *c, char in)
{
	bool ends = (c->state == IN_WORD && is_space(in)) || (c->state == IN_DOUBLE && in == '"') ||
		    (c->state == IN_SINGLE && in == '\'');

	if (ends && !c->backslash)
		end_word(a, c);
	else
		c->word[c->len++] = in;
}

/* openvpn knows three escapes; a comment may begin after any backslash. */
static bool is_bad_backslash(const struct cut *c, char in)
{
	if (!c->backslash || in == '\\' || in == '"' || is_space(in))
		return false;
	return c->state != BETWEEN || (in != '#' && in != ';');
}

static int check_end(const struct ovpnlex *l, const struct cut *c, const struct line *line,
		     struct err *e)
{
	if (c->state == IN_DOUBLE || c->state == IN_SINGLE)
		return lines_err(&l->lines, line->number, c->option->column[c->n], e,
				 "the quote is not closed; write %s at the end of the word",
				 c->state == IN_DOUBLE ? "\"" : "'");
	if (c->backslash && c->state == IN_WORD)
		return lines_err(&l->lines, line->number, (uint32_t)line->len, e,
				 "a backslash at the end of the line; write \\\\");
	return 0;
}

static int cut_words(struct ovpnlex *l, const struct line *line, struct ovpn_option *ret,
		     struct err *e)
{
	struct cut c = { .option = ret };

	for (size_t i = 0; i < line->len && c.n < OVPN_WORDS_MAX; i++) {
		char in = line->text[i];

		if (in == '\\' && !c.backslash && c.state != IN_SINGLE) {
			c.backslash = true;
			if (c.state == BETWEEN)
				ret->column[c.n] = (uint32_t)i + 1;
			continue;
		}
		if (is_bad_backslash(&c, in))
			return lines_err(&l->lines, line->number, (uint32_t)i, e,
					 "a backslash before \"%c\"; write \\\\ for a backslash",
					 in);
		if (c.state != BETWEEN)
			step_within(l->a, &c, in);
		else if (!step_between(&c, in, i))
			break;
		c.backslash = false;
	}
	if (c.n < OVPN_WORDS_MAX && c.state == IN_WORD && !c.backslash)
		end_word(l->a, &c);
	for (size_t i = c.n; i <= OVPN_WORDS_MAX; i++)
		ret->word[i] = "";
	return c.n < OVPN_WORDS_MAX ? check_end(l, &c, line, e) : 0;
}

static bool is_tag(const char *s)
{
	size_t len = strlen(s);

	return len > 2 && s[0] == '<' && s[len - 1] == '>';
}

/* Its lines are options, not a file. */
static bool is_connection(const char *tag)
{
	return str_eq(tag, "<connection>") || str_eq(tag, "</connection>");
}

static bool closes(const struct line *line, const char *tag)
{
	size_t from = 0, len = strlen(tag);

	while (from < line->len && is_space(line->text[from]))
		from++;
	return line->len - from >= len && memcmp(line->text + from, tag, len) == 0;
}

static int read_inline(struct ovpnlex *l, struct ovpn_option *option, struct err *e)
{
	const char *name = option->word[0] + 1;
	struct line line;
	char *tag;
	int r;

	if (*name == '/')
		return lines_err(&l->lines, option->line, option->column[0], e,
				 "<%.40s closes nothing; write <%.40s above it, or take it out",
				 name, name + 1);
	option->is_inline = true;
	option->word[0] = arena_strndup(l->a, name, strlen(name) - 1);
	option->body = l->lines.text + l->lines.at;
	tag = arena_printf(l->a, "</%s>", option->word[0]);
	while ((r = lines_next(&l->lines, &line, e)) > 0) {
		if (!closes(&line, tag))
			continue;
		option->body_size = (size_t)(line.text - option->body);
		return 0;
	}
	if (r < 0)
		return r;
	return lines_err(&l->lines, option->line, option->column[0], e,
			 "<%.40s> is not closed; write </%.40s> on a line of its own below",
			 option->word[0], option->word[0]);
}

static void drop_words(struct ovpn_option *option, size_t n)
{
	for (size_t i = 0; i <= OVPN_WORDS_MAX; i++) {
		bool is_there = i + n <= OVPN_WORDS_MAX;

		option->word[i] = is_there ? option->word[i + n] : "";
		option->column[i] = is_there ? option->column[i + n] : 0;
	}
}

/* "--dev tun" is "dev tun". */
static void drop_dashes(struct ovpn_option *option)
{
	if (strlen(option->word[0]) >= 3 && str_starts(option->word[0], "--"))
		option->word[0] += 2;
}

/* "setenv opt dev tun" is "dev tun", too. */
static void drop_setenv(struct ovpn_option *option)
{
	if (str_eq(option->word[0], "setenv") && str_eq(option->word[1], "opt") && *option->word[2])
		drop_words(option, 2);
}

/* 1 with an option, 0 when the line has none. */
static int read_line(struct ovpnlex *l, const struct line *line, struct ovpn_option *ret,
		     struct err *e)
{
	struct ovpn_option option = { .line = line->number };
	int r;

	if (line->len > OVPN_LINE_MAX)
		return lines_err(&l->lines, line->number, OVPN_LINE_MAX + 1, e,
				 "the line has %zu bytes; openvpn reads at most %d", line->len,
				 OVPN_LINE_MAX);
	r = cut_words(l, line, &option, e);
	if (r < 0)
		return r;
	option.from = (size_t)(line->text - l->lines.text);
	drop_dashes(&option);
	if (is_tag(option.word[0]) && !*option.word[1] && !is_connection(option.word[0]))
		r = read_inline(l, &option, e);
	if (r < 0)
		return r;
	drop_setenv(&option);
	option.to = l->lines.at;
	*ret = option;
	return *option.word[0] ? 1 : 0;
}

int ovpnlex_next(struct ovpnlex *l, struct ovpn_option *ret, struct err *e)
{
	struct line line;
	int r;

	while ((r = lines_next(&l->lines, &line, e)) > 0) {
		r = read_line(l, &line, ret, e);
		if (r != 0)
			return r;
	}
	return r;
}
