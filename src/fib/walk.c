/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk over the rules: fib_rules_lookup() of the kernel.
 *
 * 1. Rules are tried in order of priority; among equals the older first.
 * 2. A rule that does not select the flow is passed over.
 * 3. goto jumps ahead to the first rule of a priority.  nop does nothing.
 * 4. unreachable, prohibit and blackhole rules end the walk.
 * 5. Else the best route of the rule's table is looked for.  None, or one of
 *    type throw: the next rule.
 * 6. A route that refuses ends the walk.  It is never suppressed.
 * 7. A route that leads somewhere but is too short, or leaves by a link of the
 *    wrong group, is suppressed: the next rule.
 * 8. Otherwise this is the route.
 *
 * Each step is written down by the code that takes it.
 */
#include "fib/lookup.h"

#include "base/text.h"
#include "fib/source.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>

struct ruleset {
	struct rule_bound *rules;
	size_t *target; /* of a goto: where to go on; n for nowhere */
	size_t n;
	bool custom;
	bool reads_ports;
};

struct fib {
	const struct snapshot *net;
	bool shares_nexthops; /* IPv6 */
	const struct fib_tables *tables;
	struct ruleset ipv4;
	struct ruleset ipv6;
};

struct walk {
	const struct fib *fib;
	const struct flow *flow;
	struct ip src; /* the flow's, or what a rule found on the way */
	int oif;
	bool strict;
	struct fib_result *result;
};

/* ---- Making ---- */

static int by_priority(const void *pa, const void *pb)
{
	const struct rule *a = ((const struct rule_bound *)pa)->rule;
	const struct rule *b = ((const struct rule_bound *)pb)->rule;

	if (a->priority != b->priority)
		return a->priority < b->priority ? -1 : 1;
	/* They lie in one array, the older first. */
	return a < b ? -1 : a > b;
}

/* Where the kernel itself would have put a rule, with nothing selected. */
static bool is_default(const struct rule *r)
{
	static const struct {
		uint32_t priority, table;
	} defaults[] = { { 0, RT_TABLE_LOCAL },
			 { 32766, RT_TABLE_MAIN },
			 { 32767, RT_TABLE_DEFAULT } };

	for (size_t i = 0; i < ARRAY_LEN(defaults); i++)
		if (r->priority == defaults[i].priority && r->table == defaults[i].table)
			return r->action == FR_ACT_TO_TBL && !r->from.len && !r->to.len &&
			       !r->iif[0] && !r->oif[0] && !r->has_mark && !r->invert &&
			       !r->ip_proto && !r->has_uid && !r->tos && !r->l3mdev &&
			       !r->has_sport && !r->has_dport && !r->has_dscp &&
			       r->suppress_len == -1 && r->suppress_group == -1;
	return false;
}

/* IPv6 does not take note when one of its own rules is deleted. */
static bool all_default(const struct ruleset *set, sa_family_t family)
{
	if (family == AF_INET && set->n != 3)
		return false;
	for (size_t i = 0; i < set->n; i++)
		if (!is_default(set->rules[i].rule))
			return false;
	return true;
}

/* The kernel accepts no goto backwards; a file might have one. */
static size_t target_of(const struct ruleset *set, size_t at)
{
	const struct rule *from = set->rules[at].rule;
	size_t low = at + 1;
	size_t high = set->n;

	if (from->action != FR_ACT_GOTO || from->target <= from->priority)
		return set->n;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (set->rules[mid].rule->priority < from->target)
			low = mid + 1;
		else
			high = mid;
	}
	if (low < set->n && set->rules[low].rule->priority == from->target)
		return low;
	return set->n;
}

/* fib_rule_requires_fldissect(): what is made here brings its ports along. */
static bool asks_ports(const struct rule_bound *r)
{
	return r->iif != LINK_LOOPBACK &&
	       (r->rule->ip_proto || r->rule->has_sport || r->rule->has_dport);
}

static void make_ruleset(struct arena *a, const struct snapshot *net, sa_family_t family,
			 struct ruleset *ret)
{
	ret->rules = arena_alloc(a, net->n_rules * sizeof(*ret->rules));
	ret->target = arena_alloc(a, net->n_rules * sizeof(*ret->target));
	for (size_t i = 0; i < net->n_rules; i++)
		if (net->rules[i].family == family)
			ret->rules[ret->n++] = rule_bind(&net->rules[i], net);
	if (ret->n)
		qsort(ret->rules, ret->n, sizeof(*ret->rules), by_priority);
	for (size_t i = 0; i < ret->n; i++)
		ret->target[i] = target_of(ret, i);
	for (size_t i = 0; i < ret->n; i++)
		ret->reads_ports |= asks_ports(&ret->rules[i]);
	ret->custom = !all_default(ret, family);
}

static bool shares_nexthops(const struct snapshot *net)
{
	size_t n = 0;

	for (size_t i = 0; i < net->n_routes; i++)
		n += net->routes[i].family == AF_INET6 && net->routes[i].nexthop_id;
	return n > 1;
}

struct fib *fib_new(struct arena *a, const struct snapshot *net)
{
	struct fib *fib = arena_new(a, struct fib);

	fib->net = net;
	fib->tables = fib_tables_new(a, net);
	fib->shares_nexthops = shares_nexthops(net);
	make_ruleset(a, net, AF_INET, &fib->ipv4);
	make_ruleset(a, net, AF_INET6, &fib->ipv6);
	return fib;
}

const struct snapshot *fib_snapshot(const struct fib *fib)
{
	return fib->net;
}

static const struct ruleset *rules_of(const struct fib *fib, sa_family_t family)
{
	return family == AF_INET ? &fib->ipv4 : &fib->ipv6;
}

bool fib_has_custom_rules(const struct fib *fib, sa_family_t family)
{
	return rules_of(fib, family)->custom;
}

bool fib_reads_ports(const struct fib *fib)
{
	return fib->ipv4.reads_ports;
}

/* ---- Walking ---- */

static struct fib_pick in_table(const struct fib *fib, uint32_t table, const struct flow *flow)
{
	const struct fib_table *t = fib_tables_find(fib->tables, flow->dst.family, table);

	if (!t)
		return (struct fib_pick){ 0 };
	return choose_in_table(t, flow, &flow->src, flow->oif, false);
}

struct fib_pick fib_in_local(const struct fib *fib, const struct flow *flow)
{
	return in_table(fib, RT_TABLE_LOCAL, flow);
}

bool fib_local_hangs_on_history(const struct fib *fib, const struct ip *ip)
{
	struct flow to = { .dst = *ip };
	const struct route *local = fib_in_local(fib, &to).route;
	const struct route *main = in_table(fib, RT_TABLE_MAIN, &to).route;

	if (fib->ipv4.custom || ip->family != AF_INET || !main)
		return false;
	if (local && local->dst.len >= main->dst.len)
		return false;
	return main->type == RTN_LOCAL || (local && local->type == RTN_LOCAL);
}

static bool cannot(struct walk *w, struct fib_step *step, const char *why_not)
{
	step->why = FIB_WHY_CANNOT_MODEL;
	w->result->verdict = FIB_CANNOT_MODEL;
	w->result->rule = step->rule;
	w->result->why_not = why_not;
	return true;
}

/* What a rule or a route of a type means; unicast and the like have no error. */
static const struct {
	uint8_t type;
	enum fib_verdict verdict;
	int error;
} route_verdicts[] = {
	{ RTN_UNICAST, FIB_UNICAST, 0 },
	{ RTN_LOCAL, FIB_LOCAL, 0 },
	{ RTN_BROADCAST, FIB_BROADCAST, 0 },
	{ RTN_ANYCAST, FIB_ANYCAST, 0 },
	{ RTN_MULTICAST, FIB_MULTICAST, 0 },
	{ RTN_BLACKHOLE, FIB_BLACKHOLE, EINVAL },
	{ RTN_UNREACHABLE, FIB_UNREACHABLE, EHOSTUNREACH },
	{ RTN_PROHIBIT, FIB_PROHIBIT, EACCES },
}, rule_verdicts[] = {
	{ FR_ACT_BLACKHOLE, FIB_BLACKHOLE, EINVAL },
	{ FR_ACT_UNREACHABLE, FIB_UNREACHABLE, ENETUNREACH },
	{ FR_ACT_PROHIBIT, FIB_PROHIBIT, EACCES },
};

static bool refuse_by_rule(struct walk *w, struct fib_step *step)
{
	step->why = FIB_WHY_REFUSES;
	for (size_t i = 0; i < ARRAY_LEN(rule_verdicts); i++) {
		if (rule_verdicts[i].type != step->rule->action)
			continue;
		w->result->verdict = rule_verdicts[i].verdict;
		w->result->error = rule_verdicts[i].error;
		w->result->rule = step->rule;
		return true;
	}
	return cannot(w, step, "the rule's action is not known to sallyport");
}

/*
 * A gateway of IPv4 counts if it is a neighbour (nhc_scope is link).  It is
 * this machine itself when it is an address of that very link; and a route of
 * scope link is let in with no other.  The kernel looks that up when the route
 * is made: in the route's own table first, unless that is main, and then by the
 * rules of that time.  By lo nothing is certain.
 */
enum gateway { GATEWAY_NEIGHBOUR, GATEWAY_SELF, GATEWAY_UNKNOWN };

static enum gateway gateway_of(const struct fib *fib, const struct route *route,
			       const struct hop *hop)
{
	struct flow to = { .dst = hop->via, .oif = hop->link };
	const struct route *r;

	if (hop->via.family != AF_INET || hop->flags & RTNH_F_ONLINK)
		return GATEWAY_NEIGHBOUR;
	if (route->scope >= RT_SCOPE_LINK)
		return GATEWAY_SELF;
	if (hop->link == LINK_LOOPBACK)
		return GATEWAY_UNKNOWN;
	r = in_table(fib, RT_TABLE_LOCAL, &to).route;
	if (!r || r->type != RTN_LOCAL)
		return GATEWAY_NEIGHBOUR;
	if (route->table != RT_TABLE_MAIN && in_table(fib, route->table, &to).route)
		return GATEWAY_UNKNOWN;
	return GATEWAY_SELF;
}

bool fib_go_by(const struct fib *fib, struct fib_result *r, const struct hop *hop)
{
	r->pick.hop = hop;
	r->via = (struct ip){ 0 };
	if (!hop)
		return true;
	r->link = hop->link;
	switch (gateway_of(fib, r->pick.route, hop)) {
	case GATEWAY_NEIGHBOUR:
		r->via = hop->via;
		return true;
	case GATEWAY_SELF:
		return true;
	case GATEWAY_UNKNOWN:
		break;
	}
	r->verdict = FIB_CANNOT_MODEL;
	r->why_not = "whether the gateway is this machine was decided when the route was made";
	return false;
}

/*
 * IPv6 keeps the route of the last packet with the next-hop object, for all
 * routes by that object: their lengths and sources get mixed up.
 */
static bool mixes_up(const struct walk *w, const struct fib_pick *pick)
{
	return w->fib->shares_nexthops && pick->route->family == AF_INET6 &&
	       pick->route->nexthop_id;
}

static bool decide(struct walk *w, struct fib_step *step, const struct fib_pick *pick)
{
	struct fib_result *r = w->result;

	step->why = FIB_WHY_CHOSEN;
	r->rule = step->rule;
	r->pick = *pick;
	r->table = pick->route->table;
	r->src_unsure = ip_is_none(&w->flow->src) && mixes_up(w, pick);
	if (!fib_go_by(w->fib, r, pick->hop)) {
		step->why = FIB_WHY_CANNOT_MODEL;
		return true;
	}
	for (size_t i = 0; i < ARRAY_LEN(route_verdicts); i++) {
		if (route_verdicts[i].type != pick->route->type)
			continue;
		r->verdict = route_verdicts[i].verdict;
		r->error = route_verdicts[i].error;
		return true;
	}
	return cannot(w, step, "the route's type is not known to sallyport");
}

/* IPv4 asks the route's first hop, IPv6 the one that is taken. */
static bool group_is(const struct walk *w, const struct fib_pick *pick, int group)
{
	const struct hop *hop = w->flow->dst.family == AF_INET && pick->route->n_hops
					? &pick->route->hops[0]
					: pick->hop;
	const struct link *l;

	l = hop ? snapshot_link_by_index(w->fib->net, hop->link) : NULL;
	return l && (int)l->group == group;
}

static bool is_suppressed(const struct walk *w, const struct fib_pick *pick, struct fib_step *step)
{
	const struct rule *rule = step->rule;

	if ((int)pick->route->dst.len <= rule->suppress_len) {
		step->why = FIB_WHY_SUPPRESSED_LEN;
		return true;
	}
	if (rule->suppress_group != -1 && group_is(w, pick, rule->suppress_group)) {
		step->why = FIB_WHY_SUPPRESSED_GROUP;
		return true;
	}
	return false;
}

/*
 * FIB_RULE_FIND_SADDR: "from" is asked of the source that the route would
 * give.  A source once found stays for the rules that follow.
 */
static bool source_fits(struct walk *w, const struct fib_pick *pick, const struct rule *rule)
{
	struct ip src;

	if (!rule->find_saddr || !rule->from.len || w->flow->dst.family != AF_INET6 ||
	    !ip_is_none(&w->flow->src))
		return true;
	src = source_by_rfc6724(w->fib->net, pick->hop ? pick->hop->link : LINK_LOOPBACK,
				&w->flow->dst);
	if (ip_is_none(&src) || !prefix_covers(&rule->from, &src))
		return false;
	w->src = src;
	return true;
}

/* True if which hop the hash takes matters to the rule itself. */
static bool rule_asks_hop(const struct walk *w, const struct rule *rule)
{
	return w->flow->dst.family == AF_INET6 && (rule->suppress_group != -1 || rule->find_saddr);
}

/* True if the walk ends here. */
static bool try_table(struct walk *w, struct fib_step *step)
{
	const struct rule *rule = step->rule;
	/* No table is main: so it is for "not l3mdev". */
	const struct fib_table *t = fib_tables_find(w->fib->tables, w->flow->dst.family,
						    rule->table ? rule->table : RT_TABLE_MAIN);
	struct fib_pick pick = { 0 };

	if (t)
		pick = choose_in_table(t, w->flow, &w->src, w->oif, w->strict);
	step->route = pick.route;
	if (!pick.route) {
		step->why = FIB_WHY_NO_MATCH;
		return false;
	}
	if (pick.by_hash && rule_asks_hop(w, rule))
		return cannot(w, step,
			      "the rule looks at the next hop, and the kernel "
			      "takes one of several by a hash");
	if (rule->suppress_len >= 0 && mixes_up(w, &pick))
		return cannot(w, step,
			      "the rule looks at the prefix length, and the "
			      "kernel mixes those of routes up that share a "
			      "next-hop object");
	if (!source_fits(w, &pick, rule)) {
		step->why = FIB_WHY_OTHER_SOURCE;
		return false;
	}
	if (pick.route->type == RTN_THROW) {
		step->why = FIB_WHY_THROWN;
		return false;
	}
	if (!route_refuses(pick.route) && is_suppressed(w, &pick, step))
		return false;
	return decide(w, step, &pick);
}

static bool try_rule(struct walk *w, const struct rule_bound *r, bool has_target,
		     struct fib_step *step)
{
	step->rule = r->rule;
	switch (rule_selects(r, w->flow, &step->selector)) {
	case RULE_NO:
		step->why = FIB_WHY_NOT_SELECTED;
		return false;
	case RULE_MAYBE:
		return cannot(w, step, "whether the rule fits is not in the snapshot");
	case RULE_YES:
		break;
	}
	if (r->rule->action == FR_ACT_TO_TBL)
		return try_table(w, step);
	if (r->rule->action == FR_ACT_GOTO)
		step->why = has_target ? FIB_WHY_JUMPS : FIB_WHY_NO_TARGET;
	else if (r->rule->action == FR_ACT_NOP)
		step->why = FIB_WHY_NOTHING;
	else
		return refuse_by_rule(w, step);
	return false;
}

static void write_down(struct fib_trace *trace, const struct fib_step *step)
{
	if (trace)
		*arena_push(trace->arena, trace->steps, trace->n, trace->cap) = *step;
}

static void walk_rules(struct walk *w, const struct ruleset *set, struct fib_trace *trace)
{
	for (size_t i = 0; i < set->n;) {
		struct fib_step step = { 0 };
		bool done = try_rule(w, &set->rules[i], set->target[i] < set->n, &step);

		write_down(trace, &step);
		if (done)
			return;
		i = step.why == FIB_WHY_JUMPS ? set->target[i] : i + 1;
	}
	w->result->verdict = FIB_NO_ROUTE;
	w->result->error = ENETUNREACH;
}

/*
 * Until a namespace gets its first rule, IPv4 keeps local and main in one trie:
 * a longer prefix in main beats local then, and a throw in local sends the
 * kernel past main.  Whether it ever had a rule cannot be seen
 * from outside; but mostly the answer is the same.
 */
static bool hangs_on_history_ipv4(const struct walk *w)
{
	const struct fib_tables *all = w->fib->tables;
	const struct fib_table *local = fib_tables_find(all, AF_INET, RT_TABLE_LOCAL);
	const struct fib_table *main = fib_tables_find(all, AF_INET, RT_TABLE_MAIN);
	const struct fib_table *last = fib_tables_find(all, AF_INET, RT_TABLE_DEFAULT);
	struct fib_pick pick;

	/* One trie or two: it is the same where local has nothing to say. */
	if (!local || !fib_table_longest(local, &w->flow->dst))
		return false;
	pick = choose_in_two(local, main, w->flow, w->oif);
	if (last && (!pick.route || pick.route->type == RTN_THROW))
		pick = choose_in_table(last, w->flow, &w->src, w->oif, false);
	if (pick.route && pick.route->type == RTN_THROW)
		pick = (struct fib_pick){ 0 };
	return pick.route != w->result->pick.route || pick.hop != w->result->pick.hop;
}

/*
 * IPv6 without rules of its own asks local and main, even if the rules for that
 * were deleted.
 */
static bool hangs_on_history_ipv6(const struct walk *w)
{
	return w->fib->ipv6.n < 2;
}

static bool hangs_on_history(const struct walk *w, sa_family_t family)
{
	if (rules_of(w->fib, family)->custom)
		return false;
	return family == AF_INET ? hangs_on_history_ipv4(w) : hangs_on_history_ipv6(w);
}

/* IPv6 takes no other link for what means something only on a link. */
static bool needs_strict(const struct ip *ip)
{
	return ip->byte[0] == 0xff || ip_is_link_local(ip) || ip_is_loopback(ip);
}

void fib_walk(const struct fib *fib, const struct flow *flow, struct fib_result *ret,
	      struct fib_trace *trace)
{
	bool ipv6 = flow->dst.family == AF_INET6;
	struct walk w = {
		.fib = fib, .flow = flow, .src = flow->src, .oif = flow->oif, .result = ret
	};

	*ret = (struct fib_result){ .src = flow->src };
	if ((flow->oif && snapshot_vrf_of(fib->net, flow->oif)) ||
	    (flow->iif && snapshot_vrf_of(fib->net, flow->iif))) {
		ret->verdict = FIB_CANNOT_MODEL;
		ret->why_not = "the link belongs to a VRF, whose tables are "
			       "not in the snapshot";
		return;
	}
	/* IPv6 likes a way back out of the link that a packet came in by. */
	if (ipv6 && flow->iif)
		w.oif = flow->iif;
	if (ipv6)
		w.strict = needs_strict(&flow->dst) ||
			   (flow->oif && !flow->iif && ip_is_none(&flow->src));
	walk_rules(&w, rules_of(fib, flow->dst.family), trace);
	if (ret->verdict != FIB_CANNOT_MODEL && hangs_on_history(&w, flow->dst.family)) {
		*ret = (struct fib_result){ .verdict = FIB_CANNOT_MODEL };
		ret->why_not = "the kernel's choice hangs on whether this "
			       "namespace ever had a rule of its own";
	}
}
