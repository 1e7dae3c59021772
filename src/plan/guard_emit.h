/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_GUARD_EMIT_H
#define PLAN_GUARD_EMIT_H

#include "base/text.h"
#include "plan/guard.h"

/*
 * What the writers of the guard's nft text share (guard_nft.c and guard_hooks.c);
 * others see guard_nft() of plan/guard.h.
 */

#define GUARD_NOT_OURS "and 0xff000000 != 0x27000000"
/* Of a word: everybody else's half. */
#define GUARD_REST 0x0000ffffu

struct guard_text {
	struct arena *arena; /* for words of rules */
	const struct guard_memory *m;
	const struct snapshot *host;
	const struct guard_wish *wish;
	struct text t;
};

uint32_t guard_door_mark(const struct guard_door *d);
bool guard_has_mark(const struct guard_door *d);

/* One line inside of a chain. */
void guard_rule(struct guard_text *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* @hook "": others lead to it. */
void guard_chain(struct guard_text *n, const char *chain, const char *hook);
void guard_chain_end(struct guard_text *n);

/* Statements that change our part of a packet's mark. */
const char *guard_marks(const struct guard_text *n, uint32_t mark);
/* "A, B" */
const char *guard_listed(const struct guard_text *n, const char *list, const char *item);

/* plan/guard_hooks.c: what tables ip and ip6 hold, for packets of @family from and to the host. */
void guard_hooks(struct guard_text *n, sa_family_t family);

#endif
