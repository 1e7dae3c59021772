/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/json_in.h"

#include "base/text.h"
#include "wire/json_out.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define QUOTE_MAX 40

void json_in_start(struct json_in *j, struct arena *a, const char *file, const char *text,
		   size_t size, struct err *e)
{
	*j = (struct json_in){ .a = a, .file = file, .text = text, .size = size, .e = e };
}

/* --- what is wrong, and where -------------------------------------------------- */

static void add_path(struct json_in *j, struct text *t)
{
	for (size_t i = 0; i < j->depth; i++) {
		const struct json_in_level *l = &j->levels[i];

		if (l->is_list && l->n)
			text_addf(t, "[%zu]", l->n - 1);
		else if (!l->is_list && *l->key)
			text_addf(t, "%s%s", t->len ? "." : "", json_in_quote(j, l->key));
	}
	if (t->len)
		text_add(t, ": ");
}

static bool fail_at(struct json_in *j, size_t at, const char *words)
{
	struct text path CLEANUP_TEXT = { 0 };
	size_t line = 1, start = 0;

	if (j->failed)
		return false;
	for (size_t i = 0; i < at && i < j->size; i++) {
		if (j->text[i] != '\n')
			continue;
		line++;
		start = i + 1;
	}
	add_path(j, &path);
	err_set(j->e, EINVAL, "%s:%zu:%zu: %s%s", j->file, line, at - start + 1, text_str(&path),
		words);
	j->failed = true;
	return false;
}

bool json_in_fail(struct json_in *j, const char *fmt, ...)
{
	char words[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	return fail_at(j, j->value_at, words);
}

const char *json_in_quote(struct json_in *j, const char *s)
{
	size_t len = strlen(s);
	char *copy = arena_strndup(j->a, s, len < QUOTE_MAX ? len : QUOTE_MAX);

	for (char *c = copy; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
	return len < QUOTE_MAX ? copy : arena_printf(j->a, "%s...", copy);
}

/* --- characters ------------------------------------------------------------------ */

static void pass_blanks(struct json_in *j)
{
	while (j->at < j->size && strchr(" \t\r\n", j->text[j->at]) && j->text[j->at])
		j->at++;
}

static bool pass_char(struct json_in *j, char c)
{
	pass_blanks(j);
	if (j->at >= j->size || j->text[j->at] != c)
		return false;
	j->at++;
	return true;
}

static bool pass_word(struct json_in *j, const char *word)
{
	size_t len = strlen(word);

	if (j->size - j->at < len || memcmp(j->text + j->at, word, len) != 0)
		return false;
	j->at += len;
	return true;
}

static const char *kind_name(enum json_in_kind kind)
{
	switch (kind) {
	case JSON_IN_BAD:
		return "what is no JSON";
	case JSON_IN_END:
		return "the end of the file";
	case JSON_IN_OBJECT:
		return "an object";
	case JSON_IN_LIST:
		return "a list";
	case JSON_IN_STRING:
		return "a string";
	case JSON_IN_NUMBER:
		return "a number";
	case JSON_IN_BOOL:
		return "true or false";
	case JSON_IN_NULL:
		return "null";
	}
	return "";
}

enum json_in_kind json_in_next(struct json_in *j)
{
	char c;

	pass_blanks(j);
	if (j->at >= j->size)
		return JSON_IN_END;
	c = j->text[j->at];
	if (c == '{')
		return JSON_IN_OBJECT;
	if (c == '[')
		return JSON_IN_LIST;
	if (c == '"')
		return JSON_IN_STRING;
	if (c == '-' || (c >= '0' && c <= '9'))
		return JSON_IN_NUMBER;
	if (c == 't' || c == 'f')
		return JSON_IN_BOOL;
	return c == 'n' ? JSON_IN_NULL : JSON_IN_BAD;
}

static bool expect(struct json_in *j, enum json_in_kind kind)
{
	enum json_in_kind next;
	char words[128];

	if (j->failed)
		return false;
	next = json_in_next(j);
	j->value_at = j->at;
	if (next == kind)
		return true;
	snprintf(words, sizeof(words), "%s where %s belongs", kind_name(next), kind_name(kind));
	return fail_at(j, j->at, words);
}

/* --- objects and lists -------------------------------------------------------------- */

static bool enter(struct json_in *j, bool is_list)
{
	if (!expect(j, is_list ? JSON_IN_LIST : JSON_IN_OBJECT))
		return false;
	if (j->depth == JSON_IN_DEPTH_MAX)
		return json_in_fail(j, "more than %d lists and objects in one another",
				    JSON_IN_DEPTH_MAX);
	j->at++;
	j->levels[j->depth++] = (struct json_in_level){ .is_list = is_list };
	return true;
}

bool json_in_object(struct json_in *j)
{
	return enter(j, false);
}

bool json_in_list(struct json_in *j)
{
	return enter(j, true);
}

/* In front of another item; false at the end, which is taken. */
static bool another(struct json_in *j, char close)
{
	struct json_in_level *l = &j->levels[j->depth - 1];
	char words[64];

	if (j->failed)
		return false;
	if (pass_char(j, close)) {
		j->depth--;
		return false;
	}
	if (l->n && !pass_char(j, ',')) {
		snprintf(words, sizeof(words), "%s where \",\" or \"%c\" belongs",
			 j->at < j->size ? "something else" : "the end of the file", close);
		return fail_at(j, j->at, words);
	}
	l->n++;
	return true;
}

bool json_in_item(struct json_in *j)
{
	return another(j, ']');
}

bool json_in_key(struct json_in *j, const char **ret)
{
	struct json_in_level *l = &j->levels[j->depth - 1];
	const char *key;

	if (!another(j, '}'))
		return false;
	l->key[0] = 0;
	if (!json_in_string(j, &key))
		return false;
	snprintf(l->key, sizeof(l->key), "%.*s", JSON_IN_KEY_SIZE - 1, key);
	if (!pass_char(j, ':'))
		return fail_at(j, j->at, "no \":\" behind the key");
	*ret = l->key;
	return true;
}

/* --- strings --------------------------------------------------------------------------- */

static bool hex4(const struct json_in *j, size_t at, uint32_t *ret)
{
	uint32_t n = 0;

	if (j->size - at < 4)
		return false;
	for (size_t i = at; i < at + 4; i++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		const char *d = j->text[i] ? strchr(digits, j->text[i]) : NULL;

		if (!d)
			return false;
		n = n << 4 | (uint32_t)((d - digits) % 16);
	}
	*ret = n;
	return true;
}

static void add_bytes(struct json_in *j, const char *s, size_t n)
{
	if (j->word_cap - j->word_len < n + 1) {
		size_t cap = (j->word_cap + n + 1) * 2;
		char *more = arena_alloc(j->a, cap);

		if (j->word_len)
			memcpy(more, j->word, j->word_len);
		j->word = more;
		j->word_cap = cap;
	}
	memcpy(j->word + j->word_len, s, n);
	j->word_len += n;
	j->word[j->word_len] = 0;
}

static void add_utf8(struct json_in *j, uint32_t c)
{
	if (c < 0x80) {
		add_bytes(j, (char[]){ (char)c }, 1);
	} else if (c < 0x800) {
		add_bytes(j, (char[]){ (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)) }, 2);
	} else if (c < 0x10000) {
		add_bytes(j,
			  (char[]){ (char)(0xe0 | c >> 12), (char)(0x80 | (c >> 6 & 0x3f)),
				    (char)(0x80 | (c & 0x3f)) },
			  3);
	} else {
		add_bytes(j,
			  (char[]){ (char)(0xf0 | c >> 18), (char)(0x80 | (c >> 12 & 0x3f)),
				    (char)(0x80 | (c >> 6 & 0x3f)), (char)(0x80 | (c & 0x3f)) },
			  4);
	}
}

/*
 * The four digits behind \u.  A name in the kernel is bytes, JSON is text: a
 * byte that is none stands as a lone low surrogate (json_out.c), as in Python.
 */
static bool take_unicode(struct json_in *j)
{
	uint32_t c, low;

	if (!hex4(j, j->at, &c))
		return fail_at(j, j->at, "no four hexadecimal digits behind \\u");
	j->at += 4;
	if (!c)
		return fail_at(j, j->at - 6, "a zero byte in a string");
	if (c >= 0xdc80 && c <= 0xdcff) {
		add_bytes(j, (char[]){ (char)(c & 0xff) }, 1);
		return true;
	}
	if (c >= 0xd800 && c <= 0xdbff && j->size - j->at >= 6 && j->text[j->at] == '\\' &&
	    j->text[j->at + 1] == 'u' && hex4(j, j->at + 2, &low) && low >= 0xdc00 &&
	    low <= 0xdfff) {
		j->at += 6;
		add_utf8(j, 0x10000 + ((c - 0xd800) << 10 | (low - 0xdc00)));
		return true;
	}
	if (c >= 0xd800 && c <= 0xdfff)
		return fail_at(j, j->at - 6, "half a surrogate pair");
	add_utf8(j, c);
	return true;
}

static bool take_escape(struct json_in *j)
{
	static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	char c = j->at < j->size ? j->text[j->at++] : 0;
	const char *name = c ? strchr(names, c) : NULL;

	if (c == 'u')
		return take_unicode(j);
	if (!name)
		return fail_at(j, j->at, "no such escape in a string");
	add_bytes(j, &means[name - names], 1);
	return true;
}

size_t json_utf8_size(const char *s, size_t left)
{
	const unsigned char *p = (const unsigned char *)s;
	size_t n = p[0] < 0x80   ? 1
		   : p[0] < 0xc2 ? 0
		   : p[0] < 0xe0 ? 2
		   : p[0] < 0xf0 ? 3
		   : p[0] < 0xf5 ? 4
				 : 0;

	if (!n || n > left)
		return 0;
	for (size_t i = 1; i < n; i++)
		if ((p[i] & 0xc0) != 0x80)
			return 0;
	/* Longer than need be, surrogates, beyond the last character. */
	if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
	    (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
		return 0;
	return n;
}

bool json_in_string(struct json_in *j, const char **ret)
{
	if (!expect(j, JSON_IN_STRING))
		return false;
	j->at++;
	j->word_len = 0;
	add_bytes(j, "", 0);
	while (j->at < j->size && j->text[j->at] != '"') {
		const char *c = j->text + j->at;
		size_t n = json_utf8_size(c, j->size - j->at);

		if (!n)
			return fail_at(j, j->at, "a byte that is no UTF-8");
		if ((unsigned char)*c < ' ')
			return fail_at(j, j->at, "a control character in a string");
		j->at += n;
		if (*c != '\\')
			add_bytes(j, c, n);
		else if (!take_escape(j))
			return false;
	}
	if (j->at >= j->size)
		return fail_at(j, j->at, "the end of the file inside a string");
	j->at++;
	*ret = j->word;
	return true;
}

/* --- the rest ------------------------------------------------------------------------------ */

static size_t pass_digits(struct json_in *j)
{
	size_t from = j->at;

	while (j->at < j->size && j->text[j->at] >= '0' && j->text[j->at] <= '9')
		j->at++;
	return j->at - from;
}

/* The whole part; true if there is no other. */
static bool pass_number(struct json_in *j, bool *ret_whole)
{
	size_t digits;
	char first;

	*ret_whole = true;
	if (j->text[j->at] == '-')
		j->at++;
	first = j->at < j->size ? j->text[j->at] : 0;
	digits = pass_digits(j);
	if (!digits || (first == '0' && digits > 1))
		return fail_at(j, j->at, "a number that is none");
	if (j->at < j->size && j->text[j->at] == '.') {
		*ret_whole = false;
		j->at++;
		if (!pass_digits(j))
			return fail_at(j, j->at, "a number that is none");
	}
	if (j->at < j->size && (j->text[j->at] == 'e' || j->text[j->at] == 'E')) {
		*ret_whole = false;
		j->at++;
		if (j->at < j->size && (j->text[j->at] == '+' || j->text[j->at] == '-'))
			j->at++;
		if (!pass_digits(j))
			return fail_at(j, j->at, "a number that is none");
	}
	return true;
}

bool json_in_number(struct json_in *j, int64_t min, uint64_t max, uint64_t *ret)
{
	bool whole, negative, fits = true;
	uint64_t n = 0;

	if (!expect(j, JSON_IN_NUMBER) || !pass_number(j, &whole))
		return false;
	if (!whole)
		return json_in_fail(j, "is no whole number");
	negative = j->text[j->value_at] == '-';
	for (size_t i = j->value_at + negative; fits && i < j->at; i++)
		fits = !__builtin_mul_overflow(n, 10, &n) &&
		       !__builtin_add_overflow(n, (uint64_t)(j->text[i] - '0'), &n);
	if (negative)
		fits = fits && min < 0 && n <= (uint64_t)-min;
	else
		fits = fits && n <= max && (min <= 0 || n >= (uint64_t)min);
	if (!fits)
		return json_in_fail(j, "is not from %lld to %llu", (long long)min,
				    (unsigned long long)max);
	*ret = negative ? -n : n;
	return true;
}

bool json_in_bool(struct json_in *j, bool *ret)
{
	if (!expect(j, JSON_IN_BOOL))
		return false;
	if (pass_word(j, "true"))
		*ret = true;
	else if (pass_word(j, "false"))
		*ret = false;
	else
		return json_in_fail(j, "is neither true nor false");
	return true;
}

static bool pass_null(struct json_in *j)
{
	if (!expect(j, JSON_IN_NULL))
		return false;
	return pass_word(j, "null") || json_in_fail(j, "is no null");
}

/* One value that is neither object nor list. */
static bool skip_plain(struct json_in *j, enum json_in_kind kind)
{
	const char *string;
	bool whatever;

	if (kind == JSON_IN_STRING)
		return json_in_string(j, &string);
	if (kind == JSON_IN_NUMBER)
		return expect(j, kind) && pass_number(j, &whatever);
	if (kind == JSON_IN_BOOL)
		return json_in_bool(j, &whatever);
	if (kind == JSON_IN_NULL)
		return pass_null(j);
	j->value_at = j->at;
	return json_in_fail(j, "%s where a value belongs", kind_name(kind));
}

bool json_in_skip(struct json_in *j)
{
	size_t depth = j->depth;
	const char *key;

	do {
		enum json_in_kind kind = json_in_next(j);

		if (kind == JSON_IN_OBJECT || kind == JSON_IN_LIST)
			enter(j, kind == JSON_IN_LIST);
		else
			skip_plain(j, kind);
		/* On to the next value; out of what ends here. */
		while (!j->failed && j->depth > depth &&
		       !(j->levels[j->depth - 1].is_list ? json_in_item(j) : json_in_key(j, &key)))
			;
	} while (!j->failed && j->depth > depth);
	return !j->failed;
}
