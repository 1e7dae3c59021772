/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_LOOKUP_H
#define FIB_LOOKUP_H

#include "base/arena.h"
#include "fib/choose.h"
#include "fib/flow.h"
#include "fib/rule.h"
#include "model/snapshot.h"

/*
 * Which way a packet goes: the kernel's decision on a snapshot, and why.
 * tests/kernel/test_fib_differential.c asks the kernel the same questions.
 *
 * Not in a snapshot, and so not known here: neighbours (a gateway is taken to
 * answer), what ICMP redirects and path MTU discovery taught the kernel about
 * single destinations, and IPsec policies, which act after routing.
 */
struct fib;

/* @net and what it points to must live as long as the arena. */
struct fib *fib_new(struct arena *a, const struct snapshot *net);

enum fib_verdict {
	FIB_NO_ROUTE,
	FIB_UNICAST,
	FIB_LOCAL,
	FIB_BROADCAST,
	FIB_MULTICAST,
	FIB_ANYCAST,
	FIB_BLACKHOLE,
	FIB_UNREACHABLE,
	FIB_PROHIBIT,
	FIB_REFUSED, /* the kernel takes no packet with such addresses */
	FIB_CANNOT_MODEL, /* the snapshot does not tell; @why_not says what */
};

struct fib_result {
	enum fib_verdict verdict;
	int error; /* errno of a verdict without a way, else 0 */
	const struct rule *rule; /* that decided; NULL if none did */
	uint32_t table; /* where @pick.route stands, 0 if nowhere */
	struct fib_pick pick; /* .route NULL: no route decided */
	int link; /* index of the link it leaves by, 0 for none */
	struct ip via; /* the gateway, none if the peer is on the link */
	struct ip src; /* the flow's, or the one the kernel chooses */
	bool src_unsure; /* the kernel may choose another: see walk.c */
	const char *why_not; /* of FIB_CANNOT_MODEL and FIB_REFUSED, for people */
};

/* What became of one rule. */
enum fib_why {
	FIB_WHY_NOT_SELECTED, /* @selector did not fit */
	FIB_WHY_JUMPS, /* goto */
	FIB_WHY_NO_TARGET, /* goto where there is no rule: passed over */
	FIB_WHY_NOTHING, /* nop */
	FIB_WHY_REFUSES, /* the rule itself is unreachable, prohibit, ... */
	FIB_WHY_NO_MATCH, /* no route in its table fits */
	FIB_WHY_THROWN, /* a throw route: on with the next rule */
	FIB_WHY_SUPPRESSED_LEN,
	FIB_WHY_SUPPRESSED_GROUP,
	FIB_WHY_OTHER_SOURCE, /* @route would have a source that "from" excludes */
	FIB_WHY_CHOSEN, /* @route decides; it may refuse, too */
	FIB_WHY_CANNOT_MODEL,
};

struct fib_step {
	const struct rule *rule;
	enum fib_why why;
	enum rule_selector selector;
	const struct route *route; /* the best of the table; NULL if none */
};

/* Filled by the walk itself, in order.  Steps lie in @arena. */
struct fib_trace {
	struct arena *arena;
	struct fib_step *steps;
	size_t n, cap;
};

/*
 * The decision for @flow.  Made here (iif 0): as for a socket, with the checks
 * of ip_route_output_key() and the source address.  From outside (iif given):
 * rules and routes only; fib_arrive() adds the rest.  @trace may be NULL.
 */
void fib_lookup(const struct fib *fib, const struct flow *flow, struct fib_result *ret,
		struct fib_trace *trace);

/* The same result by another hop of its route (see fib_pick_may_take()). */
void fib_take_hop(const struct fib *fib, const struct flow *flow, const struct hop *hop,
		  struct fib_result *result);

/*
 * Fills in where the packet goes by @hop of its route (may be NULL).  False if
 * that cannot be told; the verdict says so then.
 */
bool fib_go_by(const struct fib *fib, struct fib_result *r, const struct hop *hop);

/* Rules and routes alone: fib_lookup() inside the kernel. */
void fib_walk(const struct fib *fib, const struct flow *flow, struct fib_result *ret,
	      struct fib_trace *trace);

/* The local table alone; .route NULL if nothing there fits. */
struct fib_pick fib_in_local(const struct fib *fib, const struct flow *flow);

/*
 * IPv4 without rules of its own may have local and main in one, or not: does
 * that decide whether @ip, which stands on no link, is local?
 */
bool fib_local_hangs_on_history(const struct fib *fib, const struct ip *ip);

const struct snapshot *fib_snapshot(const struct fib *fib);
/* Other rules than the kernel's own. */
bool fib_has_custom_rules(const struct fib *fib, sa_family_t family);

/*
 * Does any IPv4 rule ask packets from outside for protocol or ports?  If none
 * does the kernel does not look for them in such packets.
 */
bool fib_reads_ports(const struct fib *fib);

const char *fib_verdict_name(enum fib_verdict verdict);

#endif
