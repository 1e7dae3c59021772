/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is the host a router because somebody wants it to be one?  Of IPv4 `ip_forward` says
 * so: we switch forwarding on for single interfaces.
 *
 * IPv6 has one switch, which a gate needs, and who writes 1 where 1 stands is told of by
 * nobody.  But a write to it is one to each interface (addrconf_forward_change), and each
 * that changes is told.  So loopback's own, which means nothing, is left off, and whoever
 * finds it on knows that somebody wrote.  What the host had before us is then what that
 * wrote: it is put back at the end like everything else.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"

#include <string.h>

#define ALL PLAN_FORWARDING6_ALL

static bool is_switch(const char *path)
{
	return str_starts(path, "ipv6/conf/") && strstr(path, "/forwarding");
}

static struct plan_sysctl *before_all(struct supervisor *s)
{
	for (size_t i = 0; i < s->n_before; i++)
		if (str_eq(s->before[i].path, ALL))
			return &s->before[i];
	return NULL;
}

static bool says(struct supervisor *s, struct arena *a, const char *path, const char *value)
{
	const char *now;
	struct err ignored;

	return sysctl_get_in(&s->host.sysctls, a, path, &now, &ignored) == 0 && str_eq(now, value);
}

/* The write to the switch for all was one to each of them. */
static void adopt(struct supervisor *s, const char *value)
{
	for (size_t i = 0; i < s->n_before; i++)
		if (is_switch(s->before[i].path))
			s->before[i].value = value;
	s->n_before_kept = 0;
	sup_log(s, str_eq(value, "1") ? "the host is a router of IPv6 by somebody's will now: who "
					"comes by its interfaces is passed on (" ALL ")"
				      : "the host is no router of IPv6 any more: who comes by its "
					"interfaces reaches gates alone (" ALL ")");
}

static bool somebody_wrote(struct supervisor *s, struct arena *a)
{
	return says(s, a, PLAN_FORWARDING6_LO, "1") && says(s, a, ALL, "1");
}

/* Another gate may just be about to: both are written with the lock held. */
static int look6(struct supervisor *s, struct arena *a, bool *ret_adopted, struct err *e)
{
	const struct plan_sysctl *all = before_all(s);
	int lock CLEANUP_FD = -1;
	int r;

	if (!all)
		return 0;
	if (str_eq(all->value, "1")) {
		*ret_adopted = says(s, a, ALL, "0");
		if (*ret_adopted)
			adopt(s, "0");
		return 0;
	}
	if (!s->loopback_is_still || !somebody_wrote(s, a))
		return 0;
	r = host_lock(&lock, e);
	*ret_adopted = r == 0 && somebody_wrote(s, a);
	if (*ret_adopted)
		adopt(s, "1");
	return r;
}

static void look4(struct supervisor *s, struct arena *a)
{
	bool on = says(s, a, "ipv4/ip_forward", "1");

	if (s->settled && on != s->routes4)
		sup_log(s,
			on ? "the host is a router of IPv4 by somebody's will now: who comes by "
			     "its interfaces is passed on (ipv4/ip_forward)"
			   : "the host is no router of IPv4 any more: who comes by its interfaces "
			     "reaches gates alone (ipv4/ip_forward)");
	s->routes4 = on;
}

int router_look(struct supervisor *s, struct arena *a, bool *ret_adopted, struct err *e)
{
	look4(s, a);
	return look6(s, a, ret_adopted, e);
}

void router_note(struct supervisor *s, struct arena *a)
{
	const struct plan_sysctl *all = before_all(s);

	s->loopback_is_still = all && str_eq(all->value, "0") && says(s, a, ALL, "1") &&
			       says(s, a, PLAN_FORWARDING6_LO, "0");
}
