/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_BEFORE_H
#define PLAN_BEFORE_H

#include "base/arena.h"
#include "model/snapshot.h"
#include "plan/plan.h"

/*
 * The records of what was before us, a line for each thing.  Their readers take what we
 * write and nothing else: of a damaged record the rest counts.
 */

/* The next line of @text, which is moved behind it; NULL: there is none that has its end. */
const char *before_line(struct arena *a, const char **text);

/* "ipv4/conf/eth0/forwarding 0" */
bool before_sysctl(struct arena *a, const char *line, struct plan_sysctl *ret);

/* "2 eth0" */
bool before_link(const char *line, unsigned int *ret_index, char ret_name[LINK_NAME_SIZE]);

#endif
