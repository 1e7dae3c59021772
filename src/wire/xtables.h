/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_XTABLES_H
#define WIRE_XTABLES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

/*
 * A table of the old iptables(8), as the kernel gives it out by IPT_SO_GET_ENTRIES:
 * rules one behind the other, each with the distance to the next one; a jump
 * names the offset of a chain's first rule (linux/netfilter_ipv4/ip_tables.h,
 * linux/netfilter/x_tables.h).
 */
struct xtables_table {
	sa_family_t family;
	const void *entries;
	size_t size; /* bytes */
	uint32_t forward; /* offset of the first rule of chain FORWARD */
	uint32_t policy; /* and of its last, which is the policy */
};

enum xtables_way {
	XTABLES_PASSES, /* nothing drops it, or a rule for its interface accepts it first */
	XTABLES_POLICY, /* no rule accepts it, and the policy is DROP */
	XTABLES_RULE, /* a rule that asks for nothing drops or rejects it */
};

/*
 * What chain FORWARD does with whatever comes in by interface @in or goes out by
 * @out; one of them is NULL, and then not known.  Rules that ask for anything
 * else are passed over: they may fit or not.  -EBADMSG for what is no such table.
 */
int xtables_forward(const struct xtables_table *t, const char *in, const char *out,
		    enum xtables_way *ret);

#endif
