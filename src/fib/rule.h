/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_RULE_H
#define FIB_RULE_H

#include "fib/flow.h"
#include "model/snapshot.h"

/* The selectors of a rule, in the order in which the kernel asks them. */
enum rule_selector {
	RULE_IIF,
	RULE_OIF,
	RULE_MARK,
	RULE_TUN_ID,
	RULE_L3MDEV,
	RULE_UID,
	RULE_FROM,
	RULE_TO,
	RULE_TOS,
	RULE_DSCP,
	RULE_FLOWLABEL,
	RULE_PROTO,
	RULE_SPORT,
	RULE_DPORT,
	RULE_UNKNOWN,
	RULE_SELECTORS,
};

/* A rule with the links that it names looked up. */
struct rule_bound {
	const struct rule *rule;
	int iif; /* index, 0: the rule names none, -1: there is none of that name */
	int oif;
	bool has_vrf; /* the rule is about VRFs and there is one */
};

struct rule_bound rule_bind(const struct rule *rule, const struct snapshot *net);

/*
 * Does the rule speak of this flow?  RULE_MAYBE: that hangs on something the
 * snapshot does not tell; @ret_selector names it.  On RULE_NO it is the first
 * selector that did not fit, RULE_SELECTORS for a "not" rule whose selectors
 * all did.
 */
enum rule_answer { RULE_NO, RULE_YES, RULE_MAYBE };

enum rule_answer rule_selects(const struct rule_bound *rule, const struct flow *flow,
			      enum rule_selector *ret_selector);

/* The word of ip-rule(8): "from", "fwmark", ... */
const char *rule_selector_name(enum rule_selector selector);

#endif
