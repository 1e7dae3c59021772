/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What to make of the walk: the verdict, why the route that decided did, what
 * hangs on things that are not known, and what would change it.  A cure is told
 * only if the same lookups say that it helps.
 */
#include "plan/explain.h"

#include "plan/known.h"

#include <linux/if.h>
#include <linux/rtnetlink.h>

#define CURE_TABLE 100

/* --- by which link ------------------------------------------------------------- */

/* One answer for all of several ways; UNSURE when they differ. */
static void sum_up(bool same, bool *any, enum explain_verdict *sum)
{
	enum explain_verdict one = same ? EXPLAIN_SAME_DOOR : EXPLAIN_OTHER_DOOR;

	*sum = !*any || *sum == one ? one : EXPLAIN_UNSURE;
	*any = true;
}

static bool is_equal_route(const struct route *a, const struct route *b)
{
	return a->table == b->table && a->family == b->family && a->type == b->type &&
	       a->metric == b->metric && a->tos == b->tos && prefix_equal(&a->dst, &b->dst);
}

/* The kernel takes one of several hops by a hash, or one of several equal routes. */
static enum explain_verdict one_of_several(const struct snapshot *net, const struct fib_pick *pick,
					   int door)
{
	enum explain_verdict sum = EXPLAIN_UNSURE;
	bool any = false;

	for (size_t i = 0; pick->by_hash && i < pick->route->n_hops; i++)
		if (fib_pick_may_take(pick, &pick->route->hops[i]))
			sum_up(pick->route->hops[i].link == door, &any, &sum);
	for (size_t i = 0; pick->by_neighbour && i < net->n_routes; i++)
		for (size_t j = 0;
		     is_equal_route(&net->routes[i], pick->route) && j < net->routes[i].n_hops; j++)
			sum_up(net->routes[i].hops[j].link == door, &any, &sum);
	return sum;
}

static enum explain_verdict goes_by(const struct snapshot *net, const struct fib_result *r,
				    const struct link *door)
{
	bool here = door->index == LINK_LOOPBACK;

	if (r->verdict == FIB_CANNOT_MODEL)
		return EXPLAIN_UNSURE;
	if (r->error || r->verdict == FIB_NO_ROUTE)
		return EXPLAIN_NO_REPLY;
	if (r->verdict == FIB_LOCAL)
		return here ? EXPLAIN_SAME_DOOR : EXPLAIN_STAYS_HERE;
	if (r->pick.by_hash || r->pick.by_neighbour)
		return one_of_several(net, &r->pick, door->index);
	return r->link == door->index ? EXPLAIN_SAME_DOOR : EXPLAIN_OTHER_DOOR;
}

enum explain_verdict explain_goes_by(const struct explain_work *w, const struct fib_result *result,
				     const struct link *door)
{
	/* Any namespace's: equal routes are found by their table and prefix. */
	const struct snapshot *net = w->in->places[0].net;

	for (size_t i = 0; i < w->in->n_places; i++)
		if (result->pick.route >= w->in->places[i].net->routes &&
		    result->pick.route <
			    w->in->places[i].net->routes + w->in->places[i].net->n_routes)
			net = w->in->places[i].net;
	return goes_by(net, result, door);
}

/* --- the verdict ------------------------------------------------------------------- */

static const struct snapshot *net_of(const struct explain_work *w, const struct explain_leg *leg)
{
	return w->in->places[leg->place].net;
}

/* The link by which the request came into the namespace of @leg. */
static const struct link *door_of(const struct explain_work *w, const struct explain_leg *leg)
{
	return w->out->legs[leg->place].in;
}

/* The reply of an unbound socket, by the right door but from the wrong address. */
static enum explain_verdict check_source(const struct explain_work *w,
					 const struct explain_leg *leg)
{
	const struct ip *asked = &w->out->legs[leg->place].flow.dst;

	if (leg->arrives || !ip_is_none(&leg->flow.src))
		return EXPLAIN_SAME_DOOR;
	if (leg->result.src_unsure)
		return EXPLAIN_UNSURE;
	return ip_equal(&leg->result.src, asked) ? EXPLAIN_SAME_DOOR : EXPLAIN_OTHER_SOURCE;
}

static enum explain_verdict judge_reply(struct explain_work *w)
{
	struct explain_report *out = w->out;

	for (size_t i = 0; i < out->n_legs; i++) {
		const struct explain_leg *leg = &out->legs[i];
		enum explain_verdict v;

		if (!leg->reply)
			continue;
		out->decisive = i;
		v = explain_goes_by(w, &leg->result, door_of(w, leg));
		if (v == EXPLAIN_SAME_DOOR)
			v = check_source(w, leg);
		if (v != EXPLAIN_SAME_DOOR)
			return v;
	}
	return explain_last_reply(out) ? EXPLAIN_SAME_DOOR : EXPLAIN_UNSURE;
}

/* Where the request itself goes wrong; EXPLAIN_SAME_DOOR if it does not. */
static enum explain_verdict judge_request(struct explain_work *w)
{
	struct explain_report *out = w->out;

	if (!out->door)
		return EXPLAIN_UNSURE;
	for (size_t i = 0; i < out->n_legs && !out->legs[i].reply; i++) {
		const struct explain_leg *leg = &out->legs[i];

		out->decisive = i;
		if (leg->rp == FIB_RP_OTHER_LINK || leg->rp == FIB_RP_NO_WAY_BACK)
			return EXPLAIN_REQUEST_DROPPED;
		if (leg->result.verdict == FIB_CANNOT_MODEL)
			return EXPLAIN_UNSURE;
		if (leg->result.verdict != FIB_UNICAST && leg->result.verdict != FIB_LOCAL)
			return EXPLAIN_REQUEST_DROPPED;
	}
	return EXPLAIN_SAME_DOOR;
}

/* --- why this route --------------------------------------------------------------------- */

static const struct hop *hop_by(const struct route *r, int link)
{
	for (size_t i = 0; i < r->n_hops; i++)
		if (r->hops[i].link == link)
			return &r->hops[i];
	return NULL;
}

static bool has_rule_for(const struct snapshot *net, const struct route *r)
{
	for (size_t i = 0; i < net->n_rules; i++)
		if (net->rules[i].family == r->family && net->rules[i].table == r->table)
			return true;
	return false;
}

/* Routes of the table that decided first, then the longest, then the cheapest. */
static bool is_nearer(const struct route *a, const struct route *b, uint32_t table)
{
	if (!b)
		return true;
	if ((a->table == table) != (b->table == table))
		return a->table == table;
	if (a->dst.len != b->dst.len)
		return a->dst.len > b->dst.len;
	return a->metric < b->metric;
}

/* The route to the client by the door that would have decided if this one had not. */
static const struct route *find_wanted(const struct explain_work *w, const struct explain_leg *leg)
{
	const struct snapshot *net = net_of(w, leg);
	const struct route *best = NULL;
	int door = door_of(w, leg)->index;
	const struct ip *to = leg->reply ? &leg->flow.dst : &leg->flow.src;

	for (size_t i = 0; i < net->n_routes; i++) {
		const struct route *r = &net->routes[i];

		if (r->type == RTN_UNICAST && r->table != RT_TABLE_LOCAL &&
		    prefix_covers(&r->dst, to) && hop_by(r, door) && has_rule_for(net, r) &&
		    is_nearer(r, best, leg->result.table))
			best = r;
	}
	return best;
}

static bool is_dead(const struct explain_work *w, const struct explain_leg *leg,
		    const struct route *r)
{
	const struct link *door = door_of(w, leg);
	const struct hop *hop = hop_by(r, door->index);

	return !(door->flags & IFF_UP) || (hop->flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN));
}

static enum explain_why why_of(const struct explain_work *w, const struct explain_leg *leg)
{
	const struct route *won = leg->result.pick.route, *wanted = w->out->wanted;

	if (!won && leg->result.rule)
		return EXPLAIN_WHY_REFUSES;
	if (!wanted)
		return EXPLAIN_WHY_ONLY;
	if (!won)
		return is_dead(w, leg, wanted) ? EXPLAIN_WHY_DEAD : EXPLAIN_WHY_NONE;
	if (won->table != wanted->table)
		return EXPLAIN_WHY_RULE;
	if (won->dst.len != wanted->dst.len)
		return won->dst.len > wanted->dst.len ? EXPLAIN_WHY_LONGER : EXPLAIN_WHY_DEAD;
	if (won->metric != wanted->metric)
		return won->metric < wanted->metric ? EXPLAIN_WHY_METRIC : EXPLAIN_WHY_DEAD;
	return EXPLAIN_WHY_FIRST;
}

static void find_why(struct explain_work *w)
{
	const struct explain_leg *leg = &w->out->legs[w->out->decisive];
	const struct explain_leg *reply = explain_last_reply(w->out);

	/* Of a request that rp_filter drops the reply's way is the reason. */
	if (!leg->reply && reply)
		leg = reply;
	w->out->wanted_door = door_of(w, leg);
	w->out->wanted = find_wanted(w, leg);
	w->out->why = why_of(w, leg);
}

/* --- others in front of us ------------------------------------------------------------ */

static const struct rule *before_ours(const struct snapshot *net, sa_family_t family)
{
	const struct rule *first = NULL;

	for (size_t i = 0; i < net->n_rules; i++) {
		const struct rule *r = &net->rules[i];

		if (r->family != family)
			continue;
		if (known_rule_is_ours(r))
			return first;
		if (!first && !known_rule_is_kernels(r))
			first = r;
	}
	return NULL; /* none of ours here */
}

static void find_before_ours(struct explain_work *w)
{
	for (size_t i = 0; i < w->in->n_places && !w->out->before_ours; i++) {
		w->out->before_ours = before_ours(w->in->places[i].net, w->in->query.client.family);
		w->out->before_ours_place = i;
	}
}

/* --- what hangs on things not known ------------------------------------------------------ */

static bool in_range(const struct rule_range *range, uint32_t n)
{
	return n >= range->first && n <= range->last;
}

static uint32_t out_of_range(const struct rule_range *range)
{
	return range->last < UINT16_MAX ? range->last + 1 : range->first - 1;
}

static void turn_mark(const struct rule *r, struct flow *f)
{
	bool fits = ((f->mark ^ r->mark) & r->mark_mask) == 0;

	f->mark = fits ? f->mark ^ (r->mark_mask & -r->mark_mask)
		       : (f->mark & ~r->mark_mask) | (r->mark & r->mark_mask);
}

static void turn_tos(const struct rule *r, struct flow *f)
{
	uint8_t want = r->has_dscp ? (uint8_t)(r->dscp << 2) : r->tos;

	f->tos = f->tos == want ? 0 : want;
}

/*
 * Changes what is not known of the flow and the rule asks for, so that the rule
 * finds the opposite there.  False if it asks for nothing of that.
 */
static bool turn(const struct explain_query *q, const struct explain_leg *leg, bool mark_is_ours,
		 const struct rule *r, struct explain_if *x)
{
	struct flow *f = &x->flow;
	bool ports = f->proto == IPPROTO_TCP || f->proto == IPPROTO_UDP;

	x->mark = r->has_mark && r->mark_mask && !q->has_mark && !mark_is_ours;
	x->uid = r->has_uid && !q->has_uid && !leg->arrives && f->proto != IPPROTO_ICMP &&
		 f->proto != IPPROTO_ICMPV6;
	x->tos = (r->tos || r->has_dscp) && !q->has_tos;
	x->client_port = ports && r->has_dport && !q->client_port && !r->dport_mask;
	if (x->mark)
		turn_mark(r, f);
	if (x->uid)
		f->uid = in_range(&r->uid, f->uid) ? out_of_range(&r->uid) : r->uid.first;
	if (x->tos)
		turn_tos(r, f);
	if (x->client_port)
		f->dport = (uint16_t)(in_range(&r->dport, f->dport) ? out_of_range(&r->dport)
								    : r->dport.first);
	return x->mark || x->uid || x->tos || x->client_port;
}

static bool same_way(const struct fib_result *a, const struct fib_result *b)
{
	return a->verdict == b->verdict && a->link == b->link && ip_equal(&a->via, &b->via);
}

/* Notes @x if its flow goes another way than the leg's. */
static void try_if(struct explain_work *w, const struct explain_leg *leg, struct explain_if *x)
{
	const struct fib *fib = w->fibs[leg->place];
	struct link_conf conf = explain_conf(&w->in->places[leg->place], leg->flow.iif);
	enum fib_rp unused;

	if (leg->arrives)
		fib_arrive(fib, &x->flow, &conf, &x->result, &unused, NULL);
	else
		fib_lookup(fib, &x->flow, &x->result, NULL);
	x->same_door = explain_goes_by(w, &x->result, door_of(w, leg)) == EXPLAIN_SAME_DOOR;
	if (!same_way(&x->result, &leg->result) && w->out->n_ifs < EXPLAIN_IFS_MAX)
		w->out->ifs[w->out->n_ifs++] = *x;
}

static void find_ifs(struct explain_work *w)
{
	const struct explain_leg *leg = explain_last_reply(w->out);
	const struct explain_leg *request = &w->out->legs[leg->place];
	const struct explain_place *p = &w->in->places[leg->place];
	bool mark_is_ours = p->gate && p->nft && leg->arrives;

	if (!leg->arrives && ip_is_none(&leg->flow.src)) {
		struct explain_if x = { .flow = leg->flow };

		x.flow.src = request->flow.dst;
		try_if(w, leg, &x);
	}
	for (size_t i = 0; i < leg->trace.n; i++) {
		struct explain_if x = { .rule = leg->trace.steps[i].rule, .flow = leg->flow };

		if (turn(&w->in->query, leg, mark_is_ours, x.rule, &x))
			try_if(w, leg, &x);
	}
}

/* --- cures -------------------------------------------------------------------------------- */

/* The router behind the door that leads to most; none if no route names one. */
static struct ip gateway_of(const struct snapshot *net, const struct route *wanted, int door,
			    sa_family_t family)
{
	struct ip best = { 0 };
	const struct hop *hop = wanted ? hop_by(wanted, door) : NULL;

	if (hop)
		return hop->via;
	for (size_t i = 0; i < net->n_routes; i++) {
		const struct route *r = &net->routes[i];

		hop = r->family == family && !r->dst.len && r->type == RTN_UNICAST ? hop_by(r, door)
										   : NULL;
		if (hop && hop->via.family == family)
			best = hop->via;
	}
	return best;
}

/* False if the router behind the door is not known. */
static bool make_cure(struct explain_work *w, const struct explain_leg *reply, struct cure *ret)
{
	const struct explain_leg *request = &w->out->legs[reply->place];
	const struct snapshot *net = net_of(w, reply);
	const struct link *door = request->in;
	const struct route *wanted = find_wanted(w, reply);
	struct prefix client = prefix_host(&reply->flow.dst);

	*ret = (struct cure){ .family = client.ip.family,
			      .table = cure_free_table(net, CURE_TABLE),
			      .link = door->name,
			      .gateway = gateway_of(net, wanted, door->index, client.ip.family),
			      .onlink = cure_network_of(net, &w->in->query.server, door->index) };
	if (ip_is_none(&ret->gateway) && wanted && wanted->dst.len)
		ret->onlink = wanted->dst;
	if (reply->arrives) {
		ret->iif = reply->in->name;
		ret->to = client;
	} else if (ip_is_none(&reply->flow.src)) {
		ret->to = client;
	} else {
		ret->from = prefix_host(&reply->flow.src);
	}
	/* Whom no route reaches by the door is behind a router that nobody here knows. */
	return !ip_is_none(&ret->gateway) ||
	       (ret->onlink.ip.family && prefix_covers(&ret->onlink, &client.ip));
}

/* Would the request pass and the reply leave by the door? */
static bool helps(struct explain_work *w, const struct explain_leg *reply, const struct cure *cure)
{
	const struct explain_leg *request = &w->out->legs[reply->place];
	const struct explain_place *p = &w->in->places[reply->place];
	struct snapshot *cured = arena_new(w->a, struct snapshot);
	struct explain_leg again = *reply;
	struct fib_result r;
	struct link_conf conf;
	const struct fib *fib;
	enum fib_rp rp;

	*cured = cure_apply(w->a, p->net, cure, 1);
	fib = fib_new(w->a, cured);
	if (request->arrives) {
		conf = explain_conf(p, request->flow.iif);
		fib_arrive(fib, &request->flow, &conf, &r, &rp, NULL);
		if (r.verdict != FIB_LOCAL && r.verdict != FIB_UNICAST)
			return false;
	}
	conf = explain_conf(p, reply->flow.iif);
	if (reply->arrives)
		fib_arrive(fib, &reply->flow, &conf, &again.result, &rp, NULL);
	else
		fib_lookup(fib, &reply->flow, &again.result, NULL);
	return goes_by(cured, &again.result, request->in) == EXPLAIN_SAME_DOOR &&
	       check_source(w, &again) == EXPLAIN_SAME_DOOR;
}

static struct explain_cure *add_cure(struct explain_work *w, enum explain_cure_kind kind,
				     size_t place)
{
	struct explain_cure *c = &w->out->cures[w->out->n_cures++];

	*c = (struct explain_cure){ .kind = kind, .place = place };
	return c;
}

static void find_cures(struct explain_work *w)
{
	const struct explain_leg *reply = explain_last_reply(w->out);
	const struct explain_leg *leg = reply ? reply : &w->out->legs[w->out->decisive];
	bool only_rp = reply && w->out->verdict == EXPLAIN_REQUEST_DROPPED &&
		       explain_goes_by(w, &reply->result, door_of(w, reply)) == EXPLAIN_SAME_DOOR;
	struct cure cure;

	if (w->in->places[leg->place].gate) {
		add_cure(w, EXPLAIN_CURE_REPAIR, leg->place);
		return;
	}
	/* The reply would go right: rp_filter asks another question than the reply does. */
	if (only_rp)
		add_cure(w, EXPLAIN_CURE_LOOSE, leg->place);
	else if (reply && !make_cure(w, reply, &cure))
		add_cure(w, EXPLAIN_CURE_ROUTER, leg->place)->cure = cure;
	else if (reply && helps(w, reply, &cure))
		add_cure(w, EXPLAIN_CURE_RULE, leg->place)->cure = cure;
	if (!reply || !reply->out || !known_is_tunnel(reply->out))
		return;
	if (w->in->places[leg->place].attach)
		add_cure(w, EXPLAIN_CURE_ATTACH, leg->place);
	else if (!*w->in->places[leg->place].enter)
		add_cure(w, EXPLAIN_CURE_GUARD, leg->place);
	add_cure(w, EXPLAIN_CURE_GATE, leg->place);
}

void explain_judge(struct explain_work *w)
{
	struct explain_report *out = w->out;

	out->verdict = judge_request(w);
	if (out->verdict == EXPLAIN_SAME_DOOR)
		out->verdict = judge_reply(w);
	find_before_ours(w);
	if (explain_last_reply(out))
		find_ifs(w);
	if (out->verdict == EXPLAIN_SAME_DOOR || out->verdict == EXPLAIN_UNSURE || !out->n_legs)
		return;
	find_why(w);
	find_cures(w);
}
