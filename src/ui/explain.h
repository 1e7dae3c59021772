/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UI_EXPLAIN_H
#define UI_EXPLAIN_H

#include "base/text.h"
#include "plan/explain.h"

#include <jansson.h>

#define EXPLAIN_SCHEMA 1

/* Both ways, each rule, the verdict and what would change it, for people. */
void explain_text(struct text *t, const struct explain_report *r);
/* The same with all of it; a new reference. */
json_t *explain_json(const struct explain_report *r);

/* --- shared by the two: ui/explain_words.c ------------------------------------ */

const struct explain_place *explain_place(const struct explain_report *r,
					  const struct explain_leg *leg);
/* @none: in place of a link that is not there. */
const char *explain_link_name(const struct explain_place *p, int index, const char *none);
const char *explain_verdict_word(enum explain_verdict verdict);
const char *explain_why_word(enum fib_why why);
const char *explain_rp_word(enum fib_rp rp);
const char *explain_meets_word(enum explain_meets meets);
/* Why the request is expected by the door. */
void explain_door(struct text *t, const struct explain_report *r);
/* What the request meets in the end. */
void explain_meets(struct text *t, const struct explain_report *r);
/* What became of one rule. */
void explain_step(struct text *t, const struct explain_report *r, const struct explain_leg *leg,
		  const struct fib_step *step);
/* Where the packet of a leg goes. */
void explain_way(struct text *t, const struct explain_report *r, const struct explain_leg *leg);
/* What would be otherwise. */
void explain_if(struct text *t, const struct explain_report *r, const struct explain_if *x);
/* What was not looked at and might matter; each a sentence. */
void explain_notes(const struct explain_report *r, void (*each)(const char *note, void *ctx),
		   void *ctx);
/* What would help: what it does, and what to type, a line each. */
void explain_cure(struct text *what, struct text *commands, const struct explain_report *r,
		  const struct explain_cure *c);

/* --- ui/explain_sentence.c ---------------------------------------------------- */

/* The verdict, with its reason, in a sentence or two. */
void explain_sentence(struct text *t, const struct explain_report *r);
/* Somebody's rule in front of ours. */
void explain_before_ours(struct text *t, const struct explain_report *r);

#endif
