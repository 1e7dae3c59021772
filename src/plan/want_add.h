/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_WANT_ADD_H
#define PLAN_WANT_ADD_H

#include "plan/want.h"

/*
 * One more thing that a namespace must hold.  What is returned may be changed
 * until the next is added; strings are not copied.
 */

#define WANT_METRIC6 1024u /* what IPv6 uses when none is given; said, so that it compares */
#define WANT_FLOOR   4278198272u /* metric of the unreachable route under a table */

/* 0.0.0.0/0 or ::/0 */
struct prefix want_everything(sa_family_t family);

/* Up, and otherwise left as it is. */
struct want_link *want_add_link(struct arena *a, struct want *w, const char *name);
/* Alone (/32, /128), but a link-local one with its /64. */
struct want_address *want_add_address(struct arena *a, struct want *w, const char *link,
				      struct ip ip, uint8_t scope);
/* A unicast route by @link; @via none when on-link. */
struct want_route *want_add_route(struct arena *a, struct want *w, uint32_t table,
				  struct prefix dst, const char *link, struct ip via);
/* The floor: it has no device, so it survives a link flap, and the packet goes nowhere else. */
void want_add_floor(struct arena *a, struct want *w, uint32_t table, sa_family_t family);
/* At priority 0, for everything until it is narrowed. */
struct want_rule *want_add_rule(struct arena *a, struct want *w, sa_family_t family,
				uint32_t table);
struct want_sysctl *want_add_sysctl(struct arena *a, struct want *w, const char *path,
				    const char *value);

#endif
