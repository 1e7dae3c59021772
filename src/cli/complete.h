/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_COMPLETE_H
#define CLI_COMPLETE_H

#include "cli/cli.h"

/*
 * What may stand where the cursor is: the flags from the table that the verb gives to
 * getopt_long(3), all else from its usage.  Strings live in the arena.
 */

/*
 * What the usage of @v calls the value of @flag: "FILE", "learn|alias", "" of a flag that
 * takes none; NULL if the usage does not name the flag.
 */
const char *usage_value(struct arena *a, const struct verb *v, const struct option *flag);
/* The @n-th argument that is no flag (from 0): "GATE", "COMMAND"; NULL if there are fewer. */
const char *usage_argument(struct arena *a, const struct verb *v, size_t n);

/* The words before the cursor, as far as values depend on them. */
struct complete_words {
	const char *verb;
	const char *engine; /* of --engine; NULL */
	const char **vpn; /* of --vpn */
	size_t n_vpn, cap_vpn;
};

/* The suggestions so far, one a line. */
struct complete_answer {
	struct arena *a;
	const char *typed; /* what the suggestions begin with */
	const char *before; /* put in front of each: "--flag=", or "" */
	bool files; /* and the files there are, which the shell knows */
	struct text text;
};

/* Adds @word if it begins with what was typed; @what is said of it, NULL for nothing. */
void complete_add(struct complete_answer *out, const char *word, const char *what);

/*
 * cli/complete_values.c: what a value may be of which a usage says @word ("GATE|FILE").
 * Looks at the host; what cannot be learnt, or not at once, is left out.
 */
void complete_value(struct complete_answer *out, const struct complete_words *words,
		    const char *word);
/* Is each alternative of @word one that complete_value() has heard of? */
bool complete_knows(const char *word);

#endif
