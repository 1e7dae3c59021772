/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_JSON_IN_H
#define WIRE_JSON_IN_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * JSON (RFC 8259) value by value, as it stands in the text, without a tree: a
 * table of a million routes is as much memory as its routes.  What is wrong is
 * told with its place in the text and in the document:
 *
 *	host.json:12:31: routes[3].dst: "10.0.0.300" is no prefix
 *
 * The reader remembers the first failure.  From then on every function returns
 * false, so loops end and one check behind them is enough.
 *
 *	json_in_start(&j, a, file, text, size, e);
 *	if (json_in_object(&j))
 *		while (json_in_key(&j, &key))
 *			each value is taken once, or passed by json_in_skip()
 */

#define JSON_IN_DEPTH_MAX 16 /* lists and objects in one another */

enum json_in_kind {
	JSON_IN_BAD,
	JSON_IN_END, /* of the text */
	JSON_IN_OBJECT,
	JSON_IN_LIST,
	JSON_IN_STRING,
	JSON_IN_NUMBER,
	JSON_IN_BOOL,
	JSON_IN_NULL,
};

#define JSON_IN_KEY_SIZE 32 /* of longer keys the first bytes */

struct json_in_level {
	char key[JSON_IN_KEY_SIZE]; /* of an object's value, "" before the first */
	size_t n; /* items begun */
	bool is_list;
};

struct json_in {
	struct arena *a;
	const char *file;
	const char *text;
	size_t size;
	size_t at;
	size_t value_at; /* where the last value or key began */
	struct json_in_level levels[JSON_IN_DEPTH_MAX];
	size_t depth;
	char *word; /* the last string */
	size_t word_len, word_cap;
	struct err *e;
	bool failed;
};

void json_in_start(struct json_in *j, struct arena *a, const char *file, const char *text,
		   size_t size, struct err *e);

/* What comes next; nothing is taken. */
enum json_in_kind json_in_next(struct json_in *j);

/* Into an object or a list; its end is where json_in_key() or json_in_item() is false. */
bool json_in_object(struct json_in *j);
bool json_in_list(struct json_in *j);
bool json_in_key(struct json_in *j, const char **ret); /* cut; good until its value is taken */
bool json_in_item(struct json_in *j);

/* Good until the next string; no zero byte inside. */
bool json_in_string(struct json_in *j, const char **ret);
/* Whole numbers, without fraction or exponent. */
bool json_in_number(struct json_in *j, int64_t min, uint64_t max, uint64_t *ret);
bool json_in_bool(struct json_in *j, bool *ret);
/* Any value, read as carefully as every other. */
bool json_in_skip(struct json_in *j);

/* The value last taken is wrong: false, with its place in front of the words. */
bool json_in_fail(struct json_in *j, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* @s as it may stand in a message: cut, and with nothing that a terminal would obey. */
const char *json_in_quote(struct json_in *j, const char *s);

#endif
