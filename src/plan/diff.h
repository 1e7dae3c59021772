/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_DIFF_H
#define PLAN_DIFF_H

#include "plan/want.h"

/*
 * One step towards a want.  Applied in order: links, addresses, routes, rules;
 * what is added comes before what is taken away, so that at no moment a packet
 * finds neither (make before break).
 */
enum op_kind {
	OP_LINK_ADD, /* veth pair, link->peer_* say where the other end goes */
	OP_LINK_FREE, /* out of a bridge, with ARP */
	OP_LINK_SET, /* alias, mtu, up */
	OP_ADDRESS_ADD,
	OP_ADDRESS_DEL, /* address */
	OP_ROUTE_ADD,
	OP_ROUTE_DEL, /* route */
	OP_RULE_ADD, /* appended behind what has the same priority */
	OP_RULE_MOVE, /* a foreign rule at priority 0: appended again, the first one deleted */
	OP_RULE_DEL, /* rule: the first that matches in full */
};

struct op {
	enum op_kind kind;
	const struct want_link *want_link;
	const struct want_address *want_address;
	const struct want_route *want_route;
	const struct want_rule *want_rule;
	const struct address *address; /* of the snapshot, for _DEL */
	const struct route *route;
	const struct rule *rule; /* for _DEL and _MOVE */
};

struct diff {
	struct op *ops;
	size_t n_ops, cap_ops;
};

/*
 * The steps from @have to @want.  Ours is what stands in @want's tables and
 * what carries its protocol at priority 0; addresses are compared only on
 * links that @want names, and link-local IPv6 ones are left alone unless wanted.  An
 * unchanged namespace gives no step.  The result points into @have and @want.
 */
void diff_make(struct arena *a, const struct snapshot *have, const struct want *want,
	       struct diff *ret);

bool want_has_link(const struct want *w, const char *name);

/* One line of words for the log: "rule to 198.18.0.0/26 lookup 5901 was gone". */
const char *diff_op_text(struct arena *a, const struct op *op);

#endif
