/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UI_REHEARSE_H
#define UI_REHEARSE_H

#include "base/text.h"
#include "plan/clash.h"

#include <jansson.h>

#define REHEARSE_SCHEMA 1

struct rehearse_title {
	const char *file; /* of the VPN; NULL: --routes */
	bool partly; /* not all is known of the host */
	const char *learned; /* how the routes are known: "told by the server", ... */
};

/* What would break, and what would help, for people. */
void rehearse_text(struct text *t, const struct rehearse_title *title,
		   const struct clash_report *r);
/* The same with all of it; a new reference. */
json_t *rehearse_json(const struct rehearse_title *title, const struct clash_report *r);

/* --- shared by the two ------------------------------------------------------- */

/* Why a connection is kept or cut, in words. */
void rehearse_why(struct text *t, const struct clash_report *r, const struct clash_connection *c);

/* One thing that would help, and what to type for it: lines of @commands. */
struct rehearse_cure {
	struct text what;
	struct text commands;
};
/* Calls @each for every cure, best first. */
void rehearse_cures(const struct rehearse_title *title, const struct clash_report *r,
		    void (*each)(const struct rehearse_cure *cure, void *ctx), void *ctx);

const char *rehearse_fate_word(enum clash_fate fate);
const char *rehearse_relation_word(enum clash_relation relation);
const char *rehearse_out_word(enum clash_out_kind kind);
const char *rehearse_outcome_word(enum push_outcome outcome);

#endif
