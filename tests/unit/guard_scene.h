/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UNIT_GUARD_SCENE_H
#define TESTS_UNIT_GUARD_SCENE_H

/* A host that a guard learns and plans for. */

#include "base/text.h"
#include "net.h"
#include "plan/guard.h"

enum { ETH1 = 21 };

static inline struct guard_memory learn(struct net *n, const struct guard_memory *old)
{
	struct guard_memory m;

	guard_learn(&n->a, old, &n->s, &m);
	return m;
}

static inline struct want plan(struct net *n, const struct guard_memory *m)
{
	struct guard_wish wish = { .udp = true };
	struct want w;

	guard_plan(&n->a, m, &n->s, &wish, &w);
	return w;
}

static inline uint32_t mark_of(const struct guard_memory *m, const char *name)
{
	for (size_t i = 0; i < m->n_doors; i++)
		if (str_eq(m->doors[i].name, name))
			return (GUARD_TABLE_DOOR + m->doors[i].number) << 16;
	return 0;
}

#endif
