/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_OWN_TABLE_H
#define DAEMON_OWN_TABLE_H

#include "sys/nft.h"

#include <stdbool.h>

/*
 * One nft table inet that is all ours, or three of one name, as applied last.  What others do to
 * it is found by its listing: an event says that something happened, not what.
 */
struct own_table {
	const char *name;
	bool families; /* there are tables ip and ip6 of that name, too */
	char *text; /* malloc'ed; NULL: not applied yet, or somebody changed it */
	char *listed; /* malloc'ed; NULL: not yet */
};

void own_table_free(struct own_table *t);

/* Stands what @text makes? */
bool own_table_has(const struct own_table *t, const char *text);
/* @text was applied: takes down what the kernel makes of it. */
int own_table_keep(struct own_table *t, struct nft *nft, const char *text, struct err *e) MUST_USE;

/* The same where nobody hears of changes: a listing costs more than all the rest. */
void own_table_applied(struct own_table *t, const char *text);

/*
 * Reads the events of @w.  True if somebody else changed the table, which is to
 * be applied anew then; *ret_what, in @a, says how and, where it can be told, by
 * whom: "deleted by nft".  *ret_failed has a
 * text if @w could not be read.
 */
bool own_table_changed(struct own_table *t, struct nft *nft, struct nft_watch *w, struct arena *a,
		       const char **ret_what, struct err *ret_failed);

#endif
