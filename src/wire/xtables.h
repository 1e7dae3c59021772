/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_XTABLES_H
#define WIRE_XTABLES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#define XTABLES_HOOKS 5 /* NF_INET_NUMHOOKS of linux/netfilter.h */

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
	uint32_t first[XTABLES_HOOKS]; /* offset of the first rule of each chain */
	uint32_t policy[XTABLES_HOOKS]; /* and of its last, which is the policy */
};

/* States of a connection, as both xt_conntrack.h and xt_state.h count them. */
#define XTABLES_INVALID     1u /* and before connections are tracked */
#define XTABLES_ESTABLISHED 2u

/* What is known of the packets that are asked about. */
struct xtables_packet {
	const char *in, *out; /* links; NULL: not known */
	/*
	 * They answer clients: all that rules ask of them is whether a client could
	 * be answered so, and which state their connection has.
	 */
	bool answers;
	uint32_t state; /* 0: not known */
};

enum xtables_way {
	XTABLES_PASSES, /* nothing drops it, or a rule for it accepts it first */
	XTABLES_POLICY, /* no rule accepts it, and the policy is DROP */
	XTABLES_RULE, /* a rule that asks for no more than is known drops or rejects it */
};

/*
 * What the chain of @t at @hook, which it has, does with packets.  Rules that ask
 * for what is not known are passed over: they may fit or not.  But of answers
 * those that accept are taken to fit: dropped is only what no rule could accept.
 * -EBADMSG for what is no such table.
 */
int xtables_way(const struct xtables_table *t, unsigned hook, const struct xtables_packet *p,
		enum xtables_way *ret);

#endif
