/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The walk of a request and of its reply.
 *
 * 1. The door: the link on which the server's address stands.
 * 2. The request, namespace by namespace: what our tables rewrite (published
 *    ports, marks), then the kernel's decision for a packet that arrives.  Into
 *    a gate of ours and its room it is followed; places[] are in that order.
 * 3. Whoever has the port.
 * 4. The reply, back through the same namespaces.  In each it must leave by the
 *    link by which the request came in; where it does not, the walk ends.
 *
 * A request that only rp_filter drops is followed on, as if it had been let in:
 * where the reply would go tells why.
 */
#include "plan/explain.h"

#include "base/text.h"
#include "plan/guard.h"
#include "plan/known.h"
#include "plan/plan.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>

static const struct explain_place *place_of(const struct explain_work *w, size_t place)
{
	return &w->in->places[place];
}

struct link_conf explain_conf(const struct explain_place *p, int index)
{
	/* What lets everything pass that another setting could. */
	struct link_conf conf = { .forwarding = true };

	for (size_t i = 0; p->confs && i < p->net->n_links; i++)
		if (p->net->links[i].index == index)
			conf = p->confs[i];
	return conf;
}

/* --- 1. the door ------------------------------------------------------------- */

static bool is_self(const struct snapshot *net, const struct ip *ip)
{
	return ip_is_loopback(ip) || snapshot_has_address(net, ip);
}

/* The only link besides lo on which @ip stands; NULL if there is none or more. */
static const struct link *link_of_address(const struct snapshot *net, const struct ip *ip)
{
	const struct link *found = NULL;

	for (size_t i = 0; i < net->n_addresses; i++) {
		const struct address *x = &net->addresses[i];
		const struct link *l = snapshot_link_by_index(net, x->link);

		if (!ip_equal(&x->local, ip) || !l || l->index == LINK_LOOPBACK)
			continue;
		if (found && found != l)
			return NULL;
		found = l;
	}
	return found;
}

static bool better(const struct route *a, const struct route *b)
{
	if (!b || a->dst.len != b->dst.len)
		return !b || a->dst.len > b->dst.len;
	return a->metric < b->metric;
}

/* Main's way to @ip by links that are no tunnels and lead to no container. */
static const struct link *link_without_vpn(const struct snapshot *net, const struct ip *ip)
{
	const struct route *best = NULL;
	const struct link *link = NULL;

	for (size_t i = 0; i < net->n_routes; i++) {
		const struct route *r = &net->routes[i];
		const struct link *l;

		if (r->table != RT_TABLE_MAIN || r->type != RTN_UNICAST || r->n_hops != 1 ||
		    !prefix_covers(&r->dst, ip))
			continue;
		l = snapshot_link_by_index(net, r->hops[0].link);
		if (!l || known_is_tunnel(l) || plan_link_is_ours(l) || !better(r, best))
			continue;
		best = r;
		link = l;
	}
	return link;
}

static void find_door(struct explain_work *w)
{
	const struct explain_query *q = &w->in->query;
	const struct snapshot *net = w->in->places[0].net;
	struct explain_report *out = w->out;

	if (q->iif) {
		out->how = EXPLAIN_DOOR_GIVEN;
		out->door = snapshot_link_by_name(net, q->iif);
	} else if (is_self(net, &q->client) && is_self(net, &q->server)) {
		out->how = EXPLAIN_DOOR_SELF;
		out->door = snapshot_link_by_index(net, LINK_LOOPBACK);
	} else if ((out->door = link_of_address(net, &q->server))) {
		out->how = EXPLAIN_DOOR_ADDRESS;
	} else if ((out->door = link_without_vpn(net, &q->client))) {
		out->how = EXPLAIN_DOOR_ROUTE;
	}
	if (!out->door)
		out->how = EXPLAIN_DOOR_UNKNOWN;
}

/* --- one leg ------------------------------------------------------------------- */

static struct explain_leg *new_leg(struct explain_work *w, size_t place, bool reply,
				   const struct link *in)
{
	struct explain_leg *leg = &w->out->legs[w->out->n_legs++];

	*leg = (struct explain_leg){ .place = place, .reply = reply, .in = in };
	leg->trace.arena = w->a;
	return leg;
}

static bool refused_by_rp(const struct explain_leg *leg)
{
	return leg->rp == FIB_RP_OTHER_LINK || leg->rp == FIB_RP_NO_WAY_BACK;
}

/* fib_arrive() knows what IPv4 asks of a link; IPv6 asks the whole namespace. */
static bool is_not_forwarded(const struct explain_place *p, const struct explain_leg *leg)
{
	return leg->arrives && leg->flow.dst.family == AF_INET6 &&
	       leg->result.verdict == FIB_UNICAST && !explain_conf(p, leg->flow.iif).forwarding;
}

static void refuse(struct fib_result *r, int error, const char *why_not)
{
	r->verdict = FIB_REFUSED;
	r->error = error;
	r->link = 0;
	r->why_not = why_not;
}

static void look(struct explain_work *w, struct explain_leg *leg)
{
	const struct explain_place *p = place_of(w, leg->place);
	const struct fib *fib = w->fibs[leg->place];
	struct link_conf conf;
	enum fib_rp unused;

	leg->rp = FIB_RP_NOT_ASKED;
	if (!leg->arrives) {
		fib_lookup(fib, &leg->flow, &leg->result, &leg->trace);
	} else {
		conf = explain_conf(p, leg->flow.iif);
		fib_arrive(fib, &leg->flow, &conf, &leg->result, &leg->rp, &leg->trace);
		if (refused_by_rp(leg) && !leg->reply) {
			conf.rp_filter = 0;
			fib_arrive(fib, &leg->flow, &conf, &leg->result, &unused, NULL);
		}
	}
	if (leg->in && !(leg->in->flags & IFF_UP))
		refuse(&leg->result, ENETDOWN, "that interface is down");
	else if (is_not_forwarded(p, leg))
		refuse(&leg->result, EHOSTUNREACH, "this machine does not forward IPv6");
	if (leg->result.verdict == FIB_UNICAST)
		leg->out = snapshot_link_by_index(p->net, leg->result.link);
}

/* --- 2. the request --------------------------------------------------------------- */

static const struct container_port *container_of(const struct explain_place *p,
						 const struct flow *flow)
{
	for (size_t i = 0; i < p->n_ports; i++) {
		const struct container_port *c = &p->ports[i];

		if (c->proto == flow->proto && c->port == flow->dport &&
		    c->inside.family == flow->dst.family &&
		    (ip_is_any(&c->host) || ip_equal(&c->host, &flow->dst)))
			return c;
	}
	return NULL;
}

/*
 * Where somebody else's rules send it on, as a live connection to the same port
 * shows, one of the same client rather than another's.
 */
static const struct flow_seen *shown_by(const struct explain_place *p, const struct flow *flow)
{
	const struct flow_seen *found = NULL;

	for (size_t i = 0; i < p->n_flows; i++) {
		const struct flow_seen *f = &p->flows[i];

		if (f->proto != flow->proto || f->asked_port != flow->dport ||
		    !ip_equal(&f->asked, &flow->dst) || f->inside.family != flow->dst.family ||
		    !ip_equal(&f->back, &f->client))
			continue;
		if (!found || ip_equal(&f->client, &flow->src))
			found = f;
	}
	return found;
}

/* What stands before the routes: marks of our gates, published ports. */
static void rewrite(struct explain_work *w, const struct explain_place *p, const struct link *in,
		    struct flow *flow)
{
	bool has_ports = flow->proto == IPPROTO_TCP || flow->proto == IPPROTO_UDP;
	const struct container_port *c;
	const struct flow_seen *shown;
	struct nft_published found;
	bool is_ours = false;

	if (p->gate && p->nft)
		flow->mark = nft_find_mark(w->a, p->nft, in->name);
	if (p->gate && p->nft && str_eq(in->name, "lan"))
		(void)nft_find_enter(w->a, p->nft, &flow->dst, &flow->dst);
	if (!has_ports || !snapshot_has_address(p->net, &flow->dst))
		return;
	if (p->nft && p->gate)
		is_ours = nft_find_in_gate(w->a, p->nft, in->name, flow->dst.family, flow->proto,
					   flow->dport, &found);
	else if (p->nft && !plan_link_is_ours(in))
		is_ours = nft_find_on_host(w->a, p->nft, &flow->dst, flow->proto, flow->dport,
					   &found);
	if (is_ours) {
		w->out->published = true;
		w->out->publish = found;
		flow->dst = found.room;
		flow->dport = found.port;
		return;
	}
	c = container_of(p, flow);
	if (c) {
		w->out->container = c;
		flow->dst = c->inside;
		flow->dport = c->inside_port;
		return;
	}
	shown = shown_by(p, flow);
	if (shown && !w->out->shown) {
		w->out->shown = shown;
		flow->dst = shown->inside;
		flow->dport = shown->inside_port;
	}
}

/* A container that is a room: its namespace has no name. */
static bool is_sandbox(struct explain_work *w, const struct explain_place *p,
		       const struct flow *flow)
{
	return p->gate && p->nft && nft_find_sandbox(w->a, p->nft, &flow->dst);
}

/* A link of ours leads into a namespace by a rule of names (plan/plan.h). */
static bool leads_on(struct explain_work *w, const struct explain_place *p, const struct link *out)
{
	struct explain_report *r = w->out;

	if (!p->gate && plan_short_netns(out)) {
		r->more = plan_short_netns(out);
		r->more_gate = arena_strndup(w->a, r->more, strcspn(r->more, "."));
		r->more_name = arena_printf(w->a, "room %s", r->more);
		return true;
	}
	if (!p->gate && plan_link_is_ours(out) && str_starts(out->name, "sp-")) {
		r->more_gate = out->name + 3;
		r->more = arena_printf(w->a, "%s.gate", r->more_gate);
		r->more_name = arena_printf(w->a, "gate %s", r->more_gate);
		return true;
	}
	if (p->gate && (str_eq(out->name, "room") || str_starts(out->name, "room-"))) {
		r->more_gate = p->gate;
		r->more = str_eq(out->name, "room")
				  ? p->gate
				  : arena_printf(w->a, "%s.%s", p->gate, out->name + 5);
		r->more_name = arena_printf(w->a, "room %s", r->more);
		return true;
	}
	return false;
}

/* A container: the neighbour behind a bridge or a veth has the address itself. */
static bool leads_to_neighbour(struct explain_work *w, const struct explain_leg *leg)
{
	bool first = !leg->place || is_sandbox(w, place_of(w, leg->place), &leg->flow);

	if (!first || !ip_is_none(&leg->result.via) ||
	    !(str_eq(leg->out->kind, "bridge") || str_eq(leg->out->kind, "veth")))
		return false;
	w->out->more_ip = &leg->flow.dst;
	return true;
}

/* The link by which the packet of @leg comes into the next place; NULL: not looked into. */
static const struct link *next_in(struct explain_work *w, const struct explain_leg *leg)
{
	const struct explain_place *p = place_of(w, leg->place);
	bool ours = !is_sandbox(w, p, &leg->flow) && leads_on(w, p, leg->out);
	const struct snapshot *next;

	if ((!ours && !leads_to_neighbour(w, leg)) || leg->place + 1 >= w->in->n_places)
		return NULL;
	w->out->more = NULL;
	w->out->more_ip = NULL;
	next = place_of(w, leg->place + 1)->net;
	if (!ours)
		return link_of_address(next, &leg->flow.dst);
	if (plan_short_netns(leg->out))
		return snapshot_link_by_name(next, PLAN_SHORT_END);
	return snapshot_link_by_name(next, p->gate ? "eth0" : "lan");
}

/* A client on 127.0.0.1 gets the host's end of the link as its source on the way in. */
static void leave_loopback(const struct snapshot *net, const struct link *out, struct flow *flow)
{
	for (size_t i = 0; ip_is_loopback(&flow->src) && i < net->n_addresses; i++)
		if (net->addresses[i].link == out->index &&
		    net->addresses[i].local.family == flow->src.family)
			flow->src = net->addresses[i].local;
}

static struct flow first_flow(const struct explain_query *q)
{
	return (struct flow){ .dst = q->server,
			      .src = q->client,
			      .mark = q->mark,
			      .tos = q->tos,
			      .proto = q->proto,
			      .sport = q->client_port,
			      .dport = q->port };
}

/* Is the packet of @leg the server's now, or has it gone where we do not look? */
static bool has_arrived(const struct explain_leg *leg)
{
	return leg->result.verdict == FIB_LOCAL || (leg->result.verdict == FIB_UNICAST && leg->out);
}

static void follow_request(struct explain_work *w)
{
	struct flow flow = first_flow(&w->in->query);
	const struct link *in = w->out->door;

	for (size_t place = 0; in; place++) {
		struct explain_leg *leg = new_leg(w, place, false, in);

		rewrite(w, place_of(w, place), in, &flow);
		leg->arrives = in->index != LINK_LOOPBACK;
		flow.iif = leg->arrives ? in->index : 0;
		leg->flow = flow;
		look(w, leg);
		if (leg->result.verdict != FIB_UNICAST || !leg->out)
			return;
		leave_loopback(place_of(w, place)->net, leg->out, &flow);
		in = next_in(w, leg);
	}
}

/* The reverse path for every link by which the request might come. */
static void find_rps(struct explain_work *w)
{
	const struct explain_place *p = place_of(w, 0);
	const struct explain_leg *leg = &w->out->legs[0];
	struct explain_report *out = w->out;
	struct flow flow = leg->flow;
	int oif = leg->out ? leg->out->index : 0;

	if (!out->n_legs || !leg->arrives || !p->confs || flow.dst.family != AF_INET)
		return;
	for (size_t i = 0; i < p->net->n_links; i++) {
		const struct link *l = &p->net->links[i];
		struct fib_result back;
		struct explain_rp *rp;

		if (!(l->flags & IFF_UP) || (l->flags & IFF_LOOPBACK) || l->index == oif)
			continue;
		rp = arena_push(w->a, out->rps, out->n_rps, out->cap_rps);
		flow.iif = l->index;
		*rp = (struct explain_rp){ .link = l, .filter = p->confs[i].rp_filter };
		rp->verdict = fib_reverse_path(w->fibs[0], &flow, oif, &p->confs[i], &back, NULL);
		rp->back = snapshot_link_by_index(p->net, back.link);
	}
}

/* --- 3. who has the port ------------------------------------------------------------ */

/* 0: not for this packet; more: the better. */
static int suits(const struct socket_seen *s, const struct explain_leg *leg)
{
	const struct flow *f = &leg->flow;
	bool any = ip_is_any(&s->local);
	bool takes = any ? s->local.family == f->dst.family ||
				     (s->local.family == AF_INET6 && !s->only_ipv6)
			 : ip_equal(&s->local, &f->dst);

	if (s->state != SOCKET_LISTENS || s->proto != f->proto || s->local_port != f->dport ||
	    !takes || (s->link && leg->in && s->link != leg->in->index))
		return 0;
	return 1 + 4 * (s->link != 0) + 2 * !any + (s->local.family == f->dst.family);
}

static void find_socket(struct explain_work *w, const struct explain_leg *leg)
{
	const struct explain_place *p = place_of(w, leg->place);
	int best = 0;

	for (size_t i = 0; i < p->n_sockets; i++) {
		int score = suits(&p->sockets[i], leg);

		if (score > best) {
			best = score;
			w->out->socket = &p->sockets[i];
		}
	}
}

static void meet(struct explain_work *w)
{
	const struct explain_leg *leg = &w->out->legs[w->out->n_legs - 1];
	struct explain_report *out = w->out;

	if (!has_arrived(leg)) {
		out->meets = EXPLAIN_MEETS_NOTHING;
	} else if (leg->out) {
		out->meets = EXPLAIN_MEETS_OTHER;
	} else if (leg->flow.proto == IPPROTO_ICMP || leg->flow.proto == IPPROTO_ICMPV6) {
		out->meets = EXPLAIN_MEETS_KERNEL;
	} else if (!place_of(w, leg->place)->sockets_known) {
		out->meets = EXPLAIN_MEETS_UNKNOWN;
	} else {
		find_socket(w, leg);
		out->meets = out->socket ? EXPLAIN_MEETS_SOCKET : EXPLAIN_MEETS_NOBODY;
	}
}

/* --- 4. the reply --------------------------------------------------------------------- */

/*
 * What the kernel knows when it looks for the reply's way.  TCP and ICMP answer
 * from the address that was asked.  A UDP socket that is bound to every address
 * has none yet: the route decides about the source.
 */
static struct flow reply_made_here(const struct explain_work *w, const struct explain_leg *request)
{
	const struct explain_query *q = &w->in->query;
	const struct socket_seen *s = w->out->socket;
	const struct flow *f = &request->flow;
	struct flow reply = { .dst = f->src,
			      .src = f->dst,
			      .mark = q->has_mark ? q->mark
				      : s         ? s->mark
						  : 0,
			      .uid = q->has_uid ? q->uid
				     : s        ? s->uid
						: 0,
			      .tos = q->tos,
			      .proto = f->proto,
			      .sport = f->dport,
			      .dport = f->sport,
			      .oif = s ? s->link : 0 };
	bool nobody = w->out->meets == EXPLAIN_MEETS_NOBODY;

	if (f->proto == IPPROTO_UDP && nobody) { /* "port unreachable" */
		reply.proto = f->dst.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
		reply.sport = reply.dport = 0;
	} else if (f->proto == IPPROTO_UDP && (!s || ip_is_any(&s->local))) {
		reply.src = (struct ip){ 0 };
	}
	/* icmpv6_echo_reply() asks for the link of the request; so does all that is link-local. */
	if (request->arrives && (f->proto == IPPROTO_ICMPV6 || ip_is_link_local(&f->src)) &&
	    f->dst.family == AF_INET6)
		reply.oif = request->in->index;
	return reply;
}

/* Do rules of the host's choose the way of what says @asked?  Then replies say it in time. */
static bool says_asked(const struct explain_place *p, const struct link *from,
		       const struct ip *asked)
{
	if (!plan_link_is_ours(from))
		return false;
	for (size_t i = 0; i < p->net->n_addresses; i++)
		if (ip_equal(&p->net->addresses[i].local, asked) &&
		    plan_has_own_way(p->net, &p->net->addresses[i]))
			return true;
	return false;
}

static struct flow reply_turned_round(const struct explain_work *w,
				      const struct explain_leg *request)
{
	const struct explain_place *p = place_of(w, request->place);
	const struct flow *f = &request->flow;
	struct flow reply = { .dst = f->src,
			      .src = f->dst,
			      .iif = request->out->index,
			      .mark = w->in->query.mark,
			      .tos = w->in->query.tos,
			      .proto = f->proto,
			      .sport = f->dport,
			      .dport = f->sport };

	/* The gate gives it the mark of the door that the connection came in by. */
	if (p->gate)
		reply.mark = p->nft && nft_find_restores(w->a, p->nft) ? f->mark : 0;
	else if (says_asked(p, request->out, &w->in->query.server))
		reply.src = w->in->query.server;
	return reply;
}

static bool tells_by_mark(uint32_t table)
{
	return plan_is_side_table(table) || (table >= GUARD_TABLE_DOOR && table < GUARD_TABLE_LAST);
}

/*
 * The mark of door @link where a guard stands (plan/guard_hooks.c) or rooms' replies
 * are told apart (plan/sides.c), known by its rules: "fwmark TABLE<<16 lookup TABLE",
 * and the table leads by the door.
 */
static uint32_t guard_mark(const struct snapshot *net, const struct link *link, sa_family_t family)
{
	for (size_t i = 0; i < net->n_rules; i++) {
		const struct rule *rule = &net->rules[i];

		if (rule->family != family || rule->mark != rule->table << 16 ||
		    !tells_by_mark(rule->table))
			continue;
		for (size_t j = 0; j < net->n_routes; j++)
			if (net->routes[j].table == rule->table && net->routes[j].n_hops &&
			    net->routes[j].hops[0].link == link->index)
				return rule->mark;
	}
	return 0;
}

/*
 * In a namespace that `attach` put right each address has a rule of its own,
 * and nftables puts the address that was asked into answers without one.
 */
static bool is_attached(const struct snapshot *net, const struct ip *asked)
{
	for (size_t i = 0; i < net->n_rules; i++)
		if (known_rule_is_ours(&net->rules[i]) && !net->rules[i].has_mark &&
		    net->rules[i].from.len == ip_bits(asked->family) &&
		    ip_equal(&net->rules[i].from.ip, asked))
			return true;
	return false;
}

/*
 * What the guard makes of a reply: one that is passed on has the mark of its
 * connection when it comes, one that is made here gets it, and the address that
 * was asked, if it was going to leave by another link.
 */
static void guard(struct explain_work *w, const struct explain_leg *request,
		  struct explain_leg *leg)
{
	const struct explain_place *p = place_of(w, leg->place);
	bool may = !p->gate && request->arrives;
	uint32_t mark = may ? guard_mark(p->net, request->in, leg->flow.dst.family) : 0;

	if ((!mark && !(may && is_attached(p->net, &request->flow.dst))) ||
	    (!leg->arrives && leg->out == request->in &&
	     ip_equal(&leg->result.src, &request->flow.dst)))
		return;
	if (!leg->arrives && leg->result.verdict != FIB_UNICAST)
		return;
	leg->guarded = true;
	if (mark)
		leg->flow.mark = (leg->flow.mark & ~GUARD_MARK_MASK) | mark;
	leg->flow.src = request->flow.dst;
	leg->trace.n = 0;
	leg->out = NULL;
	look(w, leg);
}

static void follow_reply(struct explain_work *w)
{
	for (size_t place = w->out->n_legs; place-- > 0;) {
		const struct explain_leg *request = &w->out->legs[place];
		struct explain_leg *leg = new_leg(w, place, true, request->out);

		leg->arrives = request->out != NULL;
		leg->flow = leg->arrives ? reply_turned_round(w, request)
					 : reply_made_here(w, request);
		look(w, leg);
		guard(w, request, leg);
		if (explain_goes_by(w, &leg->result, request->in) != EXPLAIN_SAME_DOOR)
			return;
	}
}

const struct explain_leg *explain_last_reply(const struct explain_report *r)
{
	const struct explain_leg *last = r->n_legs ? &r->legs[r->n_legs - 1] : NULL;

	return last && last->reply ? last : NULL;
}

void explain(struct arena *a, const struct explain_input *in, struct explain_report *ret)
{
	struct explain_work w = { .a = a, .in = in, .out = ret };

	*ret = (struct explain_report){ .in = in, .meets = EXPLAIN_MEETS_NOTHING };
	for (size_t i = 0; i < in->n_places; i++)
		w.fibs[i] = fib_new(a, in->places[i].net);
	find_door(&w);
	if (ret->door) {
		follow_request(&w);
		find_rps(&w);
		meet(&w);
		if (ret->meets != EXPLAIN_MEETS_NOTHING)
			follow_reply(&w);
	}
	explain_judge(&w);
}
