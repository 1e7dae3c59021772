/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UI_PLAN_TEXT_H
#define UI_PLAN_TEXT_H

#include "base/text.h"
#include "plan/plan.h"

/* `ip netns add ...` for gate and rooms. */
void plan_text_namespaces(struct text *t, const struct gate *g, struct arena *a);
/*
 * One namespace's plan as shell commands that a person could type.  For all
 * namespaces first the guards, then the links (the host's, whose other end is
 * the gate's, before the gate's), then what stands on them.
 */
void plan_text_guard(struct text *t, const struct want *w);
void plan_text_links(struct text *t, const struct want *w);
void plan_text_routes(struct text *t, const struct want *w);

#endif
