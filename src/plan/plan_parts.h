/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_PLAN_PARTS_H
#define PLAN_PLAN_PARTS_H

#include "base/text.h"
#include "plan/plan.h"
#include "plan/want_add.h"

/* What the plans of host, gate and rooms share; others see plan.h. */

static const sa_family_t families[] = { AF_INET, AF_INET6 };

static inline size_t n_families(const struct plan_facts *f)
{
	return f->ipv6 ? 2 : 1;
}

/* Between gate and room: fe80::1 is the upper end of a link (towards the host). */
static inline struct ip link_local(uint8_t last)
{
	return (struct ip){ .family = AF_INET6, .byte = { 0xfe, 0x80, [15] = last } };
}

static inline struct prefix slot_net(const struct slot *s, sa_family_t family)
{
	return family == AF_INET ? s->net4 : s->net6;
}

/* `all` does not tell that somebody switched it off for one link. */
static inline void ipv6_on(struct arena *a, const struct plan_facts *f, struct want *w,
			   const char *link)
{
	if (f->ipv6)
		want_add_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/disable_ipv6", link), "0")
			->of_link = true;
}

#endif
