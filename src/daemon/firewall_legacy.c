/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The old iptables(8) beside nftables: its chains have their say as well, and nft
 * does not list them.  A chain FORWARD that drops gets no rule of ours, as its
 * table can only be replaced whole; the user adds the lines that we print.
 */
#include "daemon/supervisor.h"

#include "sys/xtables.h"

#include <errno.h>
#include <linux/netfilter.h>

static int refused(sa_family_t family, enum xtables_way way, struct err *e)
{
	const char *tool = xtables_tool(family);

	return err_set(e, EPERM,
		       "the host's firewall drops what is forwarded to the room: chain FORWARD of "
		       "table filter of %s %s. Add these lines, then try again:\n"
		       "  %s -I FORWARD -i sp-+ -j ACCEPT\n"
		       "  %s -I FORWARD -o sp-+ -j ACCEPT",
		       tool,
		       way == XTABLES_POLICY ? "has policy DROP"
					     : "has a rule that drops everything",
		       tool, tool);
}

static int check_link(const struct xtables_table *t, const char *link, struct err *e)
{
	const struct xtables_packet from = { .in = link }, to = { .out = link };
	enum xtables_way in = XTABLES_PASSES, out = XTABLES_PASSES;
	int r = xtables_way(t, NF_INET_FORWARD, &from, &in);

	if (r == 0)
		r = xtables_way(t, NF_INET_FORWARD, &to, &out);
	if (r < 0)
		return err_errno(e, -r, "understand the tables of iptables-legacy");
	if (in == XTABLES_PASSES && out == XTABLES_PASSES)
		return 0;
	return refused(t->family, in == XTABLES_PASSES ? out : in, e);
}

static int check_family(struct supervisor *s, sa_family_t family, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct xtables_table t;
	int r = xtables_read(&a, family, "filter", &t, e);

	if (r <= 0)
		return r;
	r = check_link(&t, plan_host_link(&a, &s->gate), e);
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		if (plan_room_is_short(&s->gate, i))
			r = check_link(&t, plan_short_link(&a, &s->slot, i), e);
	return r;
}

int firewall_legacy(struct supervisor *s, struct err *e)
{
	int r = check_family(s, AF_INET, e);

	/* A client on trial can do without IPv6. */
	return r < 0 || !s->ipv6 || s->trial ? r : check_family(s, AF_INET6, e);
}
