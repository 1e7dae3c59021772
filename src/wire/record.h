/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_RECORD_H
#define WIRE_RECORD_H

#include "base/text.h"
#include "wire/json_in.h"

/*
 * A struct and its JSON object, by one table for both ways: a field that is
 * written is read, and the other way round.  A member that has its first value
 * (zero, unless fresh() says otherwise) is left out.
 */
enum field_kind {
	FIELD_BOOL,
	FIELD_NUMBER, /* unsigned, of the member's size or up to @max */
	FIELD_INT, /* int */
	FIELD_CHARS, /* char[] */
	FIELD_STRING, /* const char *; never NULL once read */
	FIELD_IP,
	FIELD_PREFIX,
	FIELD_MATCH, /* a prefix with bits beyond its length, as rules may have */
	FIELD_MAC, /* uint8_t[6] */
	FIELD_RANGE, /* struct rule_range: [first, last] */
	FIELD_NAME, /* a number that has names */
	FIELD_BITS, /* list of names of bits */
	FIELD_WORD, /* const char * of a string, or of a number's digits */
	FIELD_NULL, /* bool: the key is there, and its value says no more */
	FIELD_OBJECT, /* a struct of @of inside */
	FIELD_LIST, /* pointer to an array of @of, their number at @n_at */
};

struct field_name {
	uint32_t number;
	const char *name;
};

struct field {
	const char *key; /* NULL: the record is not an object but this value alone */
	enum field_kind kind;
	bool needed;
	size_t at, size; /* of the member */
	size_t has; /* offset of a bool that says whether there is a value, 0 for none */
	size_t n_at;
	const struct record *of;
	const struct field_name *names;
	size_t n_names;
	uint64_t max; /* 0: all that the member can hold */
};

/* At most 64 fields. */
struct record {
	size_t size;
	const struct field *fields;
	size_t n_fields;
	void (*fresh)(void *item); /* sets what does not begin with zero; NULL: nothing */
	/* Fills in what follows from the rest; in words what is wrong, NULL if nothing is. */
	const char *(*finish)(void *item);
	/* Told of keys that are not known, whose values are passed over; NULL: they are errors. */
	void (*other)(void *item, const char *key);
};

/* Helps to write tables: struct @s, its member @m. */
#define FIELD_AT(s, m)            .at = offsetof(struct s, m), .size = sizeof(((struct s *)NULL)->m)
#define FIELD_HAS(s, m)           .has = offsetof(struct s, m)
#define FIELD_OF(r)               .of = &(r)
#define FIELD_NAMES(ns)           .names = (ns), .n_names = ARRAY_LEN(ns)
#define FIELD_LISTED(s, items, n) FIELD_AT(s, items), .n_at = offsetof(struct s, n)

/* @indent: each item of a list on a line of its own, for the outermost object. */
void record_write(struct text *t, const struct record *r, const void *item, bool indent);

/*
 * False if the object is none of this kind: a key that is not known or there
 * twice, a needed one that is not there, a value that does not fit.
 */
bool record_read(struct json_in *j, const struct record *r, void *item);

#endif
