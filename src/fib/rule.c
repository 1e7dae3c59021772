/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One policy rule against one flow: fib_rule_match() of the kernel, with
 * fib4_rule_match() and fib6_rule_match().  Each selector is a row of a table;
 * a selector that the rule does not have fits every flow.
 */
#include "fib/rule.h"

#include "base/text.h"

/* IPTOS_TOS_MASK and the six bits of DSCP together: what IPv4 sees of tos. */
#define TOS_SEEN  0x1c
#define DSCP_SEEN 0xfc

/* What is made here comes in by lo, as far as rules are concerned. */
static enum rule_answer iif_fits(const struct rule_bound *r, const struct flow *flow)
{
	return !r->iif || r->iif == (flow->iif ? flow->iif : LINK_LOOPBACK);
}

static enum rule_answer oif_fits(const struct rule_bound *r, const struct flow *flow)
{
	return !r->oif || r->oif == flow->oif;
}

static enum rule_answer mark_fits(const struct rule_bound *r, const struct flow *flow)
{
	return ((r->rule->mark ^ flow->mark) & r->rule->mark_mask) == 0;
}

static enum rule_answer tun_id_fits(const struct rule_bound *r, const struct flow *flow)
{
	return !r->rule->tun_id || r->rule->tun_id == flow->tun_id;
}

/*
 * The rule fits what a VRF concerns.  Which table a VRF has is not in a
 * snapshot; that none can be concerned is.
 */
static enum rule_answer l3mdev_fits(const struct rule_bound *r, const struct flow *flow)
{
	if (!r->rule->l3mdev)
		return RULE_YES;
	return r->has_vrf && (flow->iif || flow->oif) ? RULE_MAYBE : RULE_NO;
}

static enum rule_answer uid_fits(const struct rule_bound *r, const struct flow *flow)
{
	/* A packet from outside has the owner of the namespace, root. */
	uint32_t uid = flow->iif ? 0 : flow->uid;

	return !r->rule->has_uid || (uid >= r->rule->uid.first && uid <= r->rule->uid.last);
}

/*
 * A socket that has no source yet: IPv4 compares 0.0.0.0, so that
 * "from 0.0.0.0/32" means just these sockets.  IPv6 fits no "from" at all,
 * unless the rule wants the source looked up first (FIB_RULE_FIND_SADDR); the
 * walk does that when it has a route.
 */
static enum rule_answer from_fits(const struct rule_bound *r, const struct flow *flow)
{
	struct ip src = flow->src;

	if (!r->rule->from.len)
		return RULE_YES;
	if (ip_is_none(&src) && flow->dst.family == AF_INET6)
		return r->rule->find_saddr;
	src.family = flow->dst.family;
	return prefix_covers(&r->rule->from, &src);
}

static enum rule_answer to_fits(const struct rule_bound *r, const struct flow *flow)
{
	return !r->rule->to.len || prefix_covers(&r->rule->to, &flow->dst);
}

/* IPv4 looks at three bits of the six for the sake of old rules. */
static enum rule_answer tos_fits(const struct rule_bound *r, const struct flow *flow)
{
	uint8_t seen = flow->dst.family == AF_INET ? TOS_SEEN : DSCP_SEEN;

	return !r->rule->tos || r->rule->tos == (flow->tos & seen);
}

static enum rule_answer dscp_fits(const struct rule_bound *r, const struct flow *flow)
{
	unsigned int mask = r->rule->dscp_mask ? r->rule->dscp_mask : DSCP_SEEN >> 2;

	return !r->rule->has_dscp || ((r->rule->dscp ^ (unsigned int)(flow->tos >> 2)) & mask) == 0;
}

static enum rule_answer flowlabel_fits(const struct rule_bound *r, const struct flow *flow)
{
	return ((r->rule->flowlabel ^ flow->flowlabel) & r->rule->flowlabel_mask) == 0;
}

static enum rule_answer proto_fits(const struct rule_bound *r, const struct flow *flow)
{
	return !r->rule->ip_proto || r->rule->ip_proto == flow->proto;
}

static bool port_fits(const struct rule_range *range, uint16_t mask, uint16_t port)
{
	if (mask)
		return ((range->first ^ port) & mask) == 0;
	return port >= range->first && port <= range->last;
}

static enum rule_answer sport_fits(const struct rule_bound *r, const struct flow *flow)
{
	return !r->rule->has_sport || port_fits(&r->rule->sport, r->rule->sport_mask, flow->sport);
}

static enum rule_answer dport_fits(const struct rule_bound *r, const struct flow *flow)
{
	return !r->rule->has_dport || port_fits(&r->rule->dport, r->rule->dport_mask, flow->dport);
}

static enum rule_answer unknown_fits(const struct rule_bound *r, const struct flow *flow)
{
	(void)flow;
	return r->rule->unknown[0] ? RULE_MAYBE : RULE_YES;
}

static const struct {
	const char *name;
	enum rule_answer (*fits)(const struct rule_bound *r, const struct flow *flow);
} selectors[RULE_SELECTORS] = {
	[RULE_IIF] = { "iif", iif_fits },
	[RULE_OIF] = { "oif", oif_fits },
	[RULE_MARK] = { "fwmark", mark_fits },
	[RULE_TUN_ID] = { "tun_id", tun_id_fits },
	[RULE_L3MDEV] = { "l3mdev", l3mdev_fits },
	[RULE_UID] = { "uidrange", uid_fits },
	[RULE_FROM] = { "from", from_fits },
	[RULE_TO] = { "to", to_fits },
	[RULE_TOS] = { "tos", tos_fits },
	[RULE_DSCP] = { "dscp", dscp_fits },
	[RULE_FLOWLABEL] = { "flowlabel", flowlabel_fits },
	[RULE_PROTO] = { "ipproto", proto_fits },
	[RULE_SPORT] = { "sport", sport_fits },
	[RULE_DPORT] = { "dport", dport_fits },
	[RULE_UNKNOWN] = { "attributes unknown to sallyport", unknown_fits },
};

const char *rule_selector_name(enum rule_selector selector)
{
	return selector < RULE_SELECTORS ? selectors[selector].name : "not";
}

/* A plain no outweighs every doubt, so all selectors are asked. */
static enum rule_answer all_fit(const struct rule_bound *r, const struct flow *flow,
				enum rule_selector *ret_selector)
{
	enum rule_answer sum = RULE_YES;

	*ret_selector = RULE_SELECTORS;
	for (size_t i = 0; i < RULE_SELECTORS; i++) {
		enum rule_answer one = selectors[i].fits(r, flow);

		if (one == RULE_YES)
			continue;
		if (one == RULE_NO || sum == RULE_YES)
			*ret_selector = (enum rule_selector)i;
		if (one == RULE_NO)
			return RULE_NO;
		sum = RULE_MAYBE;
	}
	return sum;
}

enum rule_answer rule_selects(const struct rule_bound *r, const struct flow *flow,
			      enum rule_selector *ret_selector)
{
	enum rule_answer fit = all_fit(r, flow, ret_selector);

	if (!r->rule->invert || fit == RULE_MAYBE)
		return fit;
	return fit == RULE_YES ? RULE_NO : RULE_YES;
}

/* A rule may name a link that is not there: it fits nothing then. */
static int index_of(const struct snapshot *net, const char *name)
{
	const struct link *l;

	if (!name[0])
		return 0;
	l = snapshot_link_by_name(net, name);
	return l ? l->index : -1;
}

static bool has_vrf(const struct snapshot *net)
{
	for (size_t i = 0; i < net->n_links; i++)
		if (str_eq(net->links[i].kind, "vrf"))
			return true;
	return false;
}

struct rule_bound rule_bind(const struct rule *rule, const struct snapshot *net)
{
	return (struct rule_bound){ .rule = rule,
				    .iif = index_of(net, rule->iif),
				    .oif = index_of(net, rule->oif),
				    .has_vrf = rule->l3mdev && has_vrf(net) };
}
