/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What status tells of a gate that is not as it should be. */
#include "daemon/supervisor.h"

#include "sys/netns.h"
#include "sys/sysctl.h"

static uint32_t conntrack_says(struct arena *a, const char *name)
{
	const char *text;
	uint32_t n = 0;
	struct err ignored;

	if (sysctl_get(a, arena_printf(a, "netfilter/nf_conntrack_%s", name), &text, &ignored) == 0)
		str_to_u32(text, UINT32_MAX, &n);
	return n;
}

/*
 * The kernel says no more of it than a line in its own log, and new connections are dropped
 * without a word where none of the older ones can be.  One limit holds for each namespace.
 */
static const char *conntrack_trouble(struct arena *a, const struct place *p, const char *whose)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	uint32_t n, max;
	struct err ignored;

	if (p->netns && netns_enter(p->fd, &visit, &ignored) < 0)
		return NULL;
	n = conntrack_says(a, "count");
	max = conntrack_says(a, "max");
	if (!max || n < max)
		return NULL;
	return arena_printf(a,
			    "the %s's table of connections is full: new ones may be dropped. Make "
			    "it larger:\n  sysctl -w net.netfilter.nf_conntrack_max=%llu",
			    whose, 2ULL * max);
}

const char *status_trouble(struct supervisor *s, struct arena *a)
{
	const char *text = s->last_error;

	if (!text)
		text = conntrack_trouble(a, &s->host, "host");
	return text ? text : conntrack_trouble(a, &s->inner, "gate");
}
