/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The answers of live connections, the ways out, and what would keep a
 * connection that is going to be cut.  A connection came in by a door; what
 * the host sends in it must go on leaving by that door.  So its fate is the
 * lookup of one packet, from the local address to the peer, before and after.
 */
#include "plan/clash.h"

#include "base/text.h"
#include "plan/cure.h"

#include <stdlib.h>
#include <string.h>

#define SSH_PORT 22
/* wg-quick(8): the mark on its own packets. */
#define WG_MARK 51820
/* Of the rules and tables in the cures. */
#define CURE_TABLE 100

/* --- one packet, twice ------------------------------------------------------- */

static bool picks_any_of_several(const struct fib_pick *p)
{
	return p->by_hash || p->by_neighbour;
}

static bool same_route(const struct fib_result *x, const struct fib_result *y)
{
	const struct route *a = x->pick.route, *b = y->pick.route;

	return a && b && x->table == y->table && prefix_equal(&a->dst, &b->dst) &&
	       a->metric == b->metric && a->protocol == b->protocol;
}

static bool same_way(const struct fib_result *x, const struct fib_result *y)
{
	if (x->verdict != y->verdict)
		return false;
	if (x->link == y->link && ip_equal(&x->via, &y->via))
		return true;
	return picks_any_of_several(&x->pick) && picks_any_of_several(&y->pick) && same_route(x, y);
}

enum clash_fate clash_compare(const struct clash_work *w, const struct flow *flow,
			      struct fib_result *ret_before, struct fib_result *ret_after)
{
	fib_lookup(w->before, flow, ret_before, NULL);
	fib_lookup(w->after, flow, ret_after, NULL);
	if (ret_before->verdict == FIB_CANNOT_MODEL || ret_after->verdict == FIB_CANNOT_MODEL)
		return CLASH_UNSURE;
	if (same_way(ret_before, ret_after))
		return CLASH_KEPT;
	if (ret_before->verdict != FIB_UNICAST || ret_after->verdict != FIB_UNICAST ||
	    ret_before->link != ret_after->link)
		return CLASH_CUT;
	/* A gateway of the same link reaches who is on it; of others it may not know. */
	return ip_is_none(&ret_before->via) ? CLASH_KEPT : CLASH_UNSURE;
}

static const struct link_conf *conf_of(const struct clash_input *in, int link)
{
	for (size_t i = 0; in->confs && i < in->host->n_links; i++)
		if (in->host->links[i].index == link)
			return &in->confs[i];
	return NULL;
}

bool clash_is_stopped(const struct clash_work *w, const struct flow *request, int oif,
		      struct fib_result *ret_back)
{
	const struct link_conf *conf = conf_of(w->in, request->iif);
	struct fib_result before, after;
	enum fib_rp rp;

	if (!conf || !conf->rp_filter || request->dst.family != AF_INET ||
	    fib_reverse_path(w->before, request, oif, conf, &before, NULL) != FIB_RP_PASSES)
		return false;
	rp = fib_reverse_path(w->after, request, oif, conf, &after, NULL);
	if (rp != FIB_RP_OTHER_LINK && rp != FIB_RP_NO_WAY_BACK)
		return false;
	*ret_back = after;
	return true;
}

/* --- live connections ---------------------------------------------------------- */

static struct flow answer_of(const struct socket_seen *s)
{
	return (struct flow){
		.dst = s->peer,
		.src = s->local,
		.oif = s->link,
		.mark = s->mark,
		.uid = s->uid,
		.tos = s->tos,
		.proto = s->proto,
		.sport = s->local_port,
		.dport = s->peer_port,
	};
}

static struct flow request_of(const struct clash_connection *c, const struct ip *to, uint16_t port)
{
	return (struct flow){
		.dst = *to,
		.src = c->socket->peer,
		.iif = c->before.link,
		.proto = c->socket->proto,
		.sport = c->socket->peer_port,
		.dport = port,
	};
}

/* An answer that is kept is of no use if the request is not let in. */
static void judge_request(struct clash_work *w, struct clash_connection *c, const struct ip *to,
			  uint16_t port, int oif)
{
	struct flow request = request_of(c, to, port);

	if (c->fate == CLASH_CUT || c->before.verdict != FIB_UNICAST ||
	    !clash_is_stopped(w, &request, oif, &c->after))
		return;
	c->fate = CLASH_CUT;
	c->stopped = true;
}

static bool is_mine(const struct clash_input *in, const struct socket_seen *s)
{
	if (ip_is_none(&in->ssh_peer))
		return s->mine;
	return s->peer_port == in->ssh_peer_port && ip_equal(&s->peer, &in->ssh_peer);
}

static bool is_ssh(const struct socket_seen *s)
{
	return s->proto == IPPROTO_TCP &&
	       (s->local_port == SSH_PORT || str_starts(s->process, "sshd"));
}

static void judge_connection(struct clash_work *w, const struct socket_seen *s)
{
	struct flow flow = answer_of(s);
	struct clash_report *out = w->out;
	struct clash_connection *c =
		arena_push(w->a, out->connections, out->n_connections, out->cap_connections);

	c->socket = s;
	c->mine = is_mine(w->in, s);
	c->ssh = c->mine || is_ssh(s);
	c->fate = clash_compare(w, &flow, &c->before, &c->after);
	judge_request(w, c, &s->local, s->local_port, 0);
	out->cut |= c->fate == CLASH_CUT;
}

static bool asks_marks(const struct snapshot *net)
{
	for (size_t i = 0; i < net->n_rules; i++)
		if (net->rules[i].has_mark)
			return true;
	return false;
}

/*
 * The way of a container's answer is asked before conntrack puts the host's
 * address in the place of the container's (nf_nat does that in postrouting),
 * but after the client's own stands there again.  Whether somebody's chain puts
 * the connection's mark on it is not known.
 */
static enum clash_fate compare_answer(struct clash_work *w, const struct flow_seen *f, int iif,
				      struct fib_result *ret_before, struct fib_result *ret_after)
{
	struct flow answer = {
		.dst = f->client,
		.src = f->inside,
		.iif = iif,
		.proto = f->proto,
		.sport = f->inside_port,
		.dport = f->client_port,
	};
	enum clash_fate plain = clash_compare(w, &answer, ret_before, ret_after), marked;
	struct fib_result before, after;

	if (!f->mark || !asks_marks(w->in->host))
		return plain;
	answer.mark = f->mark;
	marked = clash_compare(w, &answer, &before, &after);
	return marked == plain ? plain : CLASH_UNSURE;
}

/* The request was given the container's address before it was routed (prerouting). */
enum clash_fate clash_compare_inward(const struct clash_work *w, int iif, const struct ip *client,
				     const struct ip *inside, struct fib_result *ret_before,
				     struct fib_result *ret_after)
{
	struct flow request = { .dst = *inside, .src = *client, .iif = iif };

	return clash_compare(w, &request, ret_before, ret_after);
}

static void judge_flow(struct clash_work *w, const struct flow_seen *f)
{
	int iif = clash_link_towards(w, &f->inside);
	struct clash_report *out = w->out;
	struct clash_connection *c;
	struct socket_seen *s;

	/* One whose other end is here has a socket. */
	if (!iif || f->proto != IPPROTO_TCP || ip_is_loopback(&f->client) ||
	    snapshot_has_address(w->in->host, &f->client))
		return;
	s = arena_new(w->a, struct socket_seen);
	*s = (struct socket_seen){
		.proto = f->proto,
		.state = SOCKET_CONNECTED,
		.local = f->asked,
		.local_port = f->asked_port,
		.peer = f->client,
		.peer_port = f->client_port,
	};
	c = arena_push(w->a, out->connections, out->n_connections, out->cap_connections);
	c->socket = s;
	c->flow = f;
	c->mine = !ip_is_none(&w->in->ssh_peer) && is_mine(w->in, s);
	c->ssh = c->mine || is_ssh(s);
	c->fate = clash_compare_inward(w, clash_link_towards(w, &f->client), &f->client, &f->inside,
				       &c->before, &c->after);
	c->inward = c->fate == CLASH_CUT;
	if (!c->inward)
		c->fate = compare_answer(w, f, iif, &c->before, &c->after);
	judge_request(w, c, &f->inside, f->inside_port, iif);
	out->cut |= c->fate == CLASH_CUT;
}

static int rank(const struct clash_connection *c)
{
	return c->mine ? 0 : c->ssh ? 1 : 2;
}

static int compare_connections(const void *pa, const void *pb)
{
	const struct clash_connection *a = pa, *b = pb;
	int order = rank(a) - rank(b);

	if (!order)
		order = (b->fate == CLASH_CUT) - (a->fate == CLASH_CUT);
	if (!order)
		order = ip_compare(&a->socket->peer, &b->socket->peer);
	if (!order)
		order = (int)a->socket->local_port - (int)b->socket->local_port;
	return order ? order : (int)a->socket->peer_port - (int)b->socket->peer_port;
}

/* What came in has a port that somebody listens on. */
static void judge_connections(struct clash_work *w)
{
	const struct clash_input *in = w->in;
	bool *listens = arena_alloc(w->a, 65536);

	for (size_t i = 0; i < in->n_sockets; i++)
		if (in->sockets[i].state == SOCKET_LISTENS && in->sockets[i].proto == IPPROTO_TCP)
			listens[in->sockets[i].local_port] = true;
	for (size_t i = 0; i < in->n_sockets; i++) {
		const struct socket_seen *s = &in->sockets[i];

		if (s->state == SOCKET_CONNECTED && s->proto == IPPROTO_TCP &&
		    !ip_is_loopback(&s->peer) && !ip_equal(&s->peer, &s->local) &&
		    (listens[s->local_port] || is_mine(in, s) || is_ssh(s)))
			judge_connection(w, s);
	}
	for (size_t i = 0; i < in->n_flows; i++)
		judge_flow(w, &in->flows[i]);
	if (w->out->n_connections)
		qsort(w->out->connections, w->out->n_connections, sizeof(*w->out->connections),
		      compare_connections);
}

/* --- cures ----------------------------------------------------------------------- */

size_t clash_door_of(struct clash_work *w, const struct ip *ip, const struct fib_result *before)
{
	struct clash_report *out = w->out;
	const struct link *l = snapshot_link_by_index(w->in->host, before->link);
	struct clash_door *d;
	struct prefix onlink;

	if (before->verdict != FIB_UNICAST || !l || l->index == LINK_LOOPBACK)
		return SIZE_MAX;
	for (size_t i = 0; i < out->n_doors; i++) {
		d = &out->doors[i];
		if (!ip_equal(&d->ip, ip) || !str_eq(d->link, l->name))
			continue;
		if (ip_is_none(&d->gateway))
			d->gateway = before->via;
		return i;
	}
	onlink = cure_network_of(w->in->host, ip, l->index);
	/* Answers to a link that the address has nothing to do with: the door is another. */
	if (ip_is_none(&before->via) && !onlink.ip.family)
		return SIZE_MAX;
	d = arena_push(w->a, out->doors, out->n_doors, out->cap_doors);
	d->ip = *ip;
	d->link = l->name;
	d->gateway = before->via;
	d->onlink = onlink;
	d->table = cure_free_table(w->in->host, out->n_doors > 1 ? d[-1].table + 1 : CURE_TABLE);
	return out->n_doors - 1;
}

/* The host after the push with the cure of each door in it. */
static struct snapshot cured_host(struct clash_work *w)
{
	const struct clash_report *out = w->out;
	struct cure *cures = arena_alloc(w->a, (out->n_doors + 1) * sizeof(*cures));

	for (size_t i = 0; i < out->n_doors; i++) {
		const struct clash_door *d = &out->doors[i];

		cures[i] = (struct cure){ .family = d->ip.family,
					  .table = d->table,
					  .link = d->link,
					  .gateway = d->gateway,
					  .onlink = d->onlink,
					  .from = prefix_host(&d->ip) };
	}
	return cure_apply(w->a, out->after, cures, out->n_doors);
}

/* On the host that @fib is of, which has the cure. */
static bool is_cured(const struct clash_work *w, const struct fib *fib,
		     const struct clash_connection *c)
{
	struct flow answer = answer_of(c->socket);
	struct flow request = request_of(c, &c->socket->local, c->socket->local_port);
	const struct link_conf *conf = conf_of(w->in, request.iif);
	struct fib_result r;

	fib_lookup(fib, &answer, &r, NULL);
	if (!same_way(&c->before, &r))
		return false;
	return !c->stopped || !conf ||
	       fib_reverse_path(fib, &request, 0, conf, &r, NULL) == FIB_RP_PASSES;
}

/* A cure is offered only where the lookup says that it helps. */
static void try_cures(struct clash_work *w)
{
	struct clash_report *out = w->out;
	struct snapshot *cured = arena_new(w->a, struct snapshot);
	const struct fib *fib;

	for (size_t i = 0; i < out->n_connections; i++) {
		struct clash_connection *c = &out->connections[i];

		/* A rule for the host's address does not see what containers answer. */
		c->door = c->fate == CLASH_CUT && !c->flow
				  ? clash_door_of(w, &c->socket->local, &c->before)
				  : SIZE_MAX;
	}
	out->table = cure_free_table(
		w->in->host, out->n_doors ? out->doors[out->n_doors - 1].table + 1 : CURE_TABLE);
	*cured = cured_host(w);
	fib = fib_new(w->a, cured);
	for (size_t i = 0; i < out->n_connections; i++) {
		struct clash_connection *c = &out->connections[i];

		if (c->door >= out->n_doors || !is_cured(w, fib, c))
			c->door = out->n_doors;
	}
}

/* --- the ways out ------------------------------------------------------------------ */

static bool is_private(const struct ip *ip)
{
	const uint8_t *b = ip->byte;

	if (ip->family == AF_INET6)
		return (b[0] & 0xfe) == 0xfc || ip_is_link_local(ip);
	return b[0] == 10 || (b[0] == 172 && (b[1] & 0xf0) == 16) || (b[0] == 192 && b[1] == 168) ||
	       (b[0] == 100 && (b[1] & 0xc0) == 64) || ip_is_link_local(ip);
}

static struct clash_out *add_out(struct clash_work *w, enum clash_out_kind kind,
				 const struct ip *ip, uint32_t mark)
{
	struct clash_report *out = w->out;
	struct clash_out *o = arena_push(w->a, out->outs, out->n_outs, out->cap_outs);
	struct flow flow = { .dst = *ip, .mark = mark };

	o->kind = kind;
	o->ip = *ip;
	o->fate = clash_compare(w, &flow, &o->before, &o->after);
	o->moves = o->after.verdict == FIB_UNICAST && o->after.link == out->tunnel;
	return o;
}

static bool pushes_default(const struct push *push)
{
	for (size_t i = 0; i < push->n_routes; i++)
		if (!push->routes[i].dst.len)
			return true;
	return false;
}

/* Somebody in each half of the Internet. */
static const char *const far_away[2][2] = { { "9.9.9.9", "149.112.112.112" },
					    { "2001:4860::8888", "2600::1" } };

static void judge_default(struct clash_work *w, int v6)
{
	const struct route *r = push_default_route(w->in->host, v6 ? AF_INET6 : AF_INET);
	struct clash_out *o;
	struct ip probe[2];
	bool moves = true;

	if (!r)
		return;
	for (int i = 0; i < 2; i++) {
		struct flow flow = { 0 };
		struct fib_result there;

		if (!ip_parse(far_away[v6][i], &probe[i]))
			abort();
		flow.dst = probe[i];
		fib_lookup(w->after, &flow, &there, NULL);
		moves &= there.verdict == FIB_UNICAST && there.link == w->out->tunnel;
	}
	o = add_out(w, CLASH_OUT_DEFAULT, &probe[0], 0);
	/* That is what such a VPN is for; what it cuts is told where it is cut. */
	o->fate = CLASH_KEPT;
	o->moves = moves;
	if (!ip_is_none(&r->hops[0].via) && !ip_is_link_local(&r->hops[0].via)) {
		o = add_out(w, CLASH_OUT_GATEWAY, &r->hops[0].via, 0);
		/* Routes by it were resolved long ago; only the router itself is lost. */
		w->out->cut |= o->fate == CLASH_CUT;
	}
}

static void judge_ways_out(struct clash_work *w)
{
	const struct push *push = w->in->push;
	uint32_t mark = push->own_table && pushes_default(push) ? WG_MARK : 0;
	const struct clash_out *outs;
	bool moves[2] = { false, false };

	for (int v6 = 0; v6 < 2; v6++) {
		size_t n = w->out->n_outs;

		judge_default(w, v6);
		outs = w->out->outs;
		moves[v6] = n < w->out->n_outs && outs[n].moves;
		if (v6)
			w->out->bypass6 = moves[0] && n < w->out->n_outs && !moves[1];
	}
	for (size_t i = 0; i < w->in->n_dns; i++) {
		struct clash_out *o = add_out(w, CLASH_OUT_DNS, &w->in->dns[i], 0);

		/* A public one answers through the tunnel as well. */
		if (o->fate == CLASH_CUT && o->moves && !is_private(&o->ip))
			o->fate = CLASH_KEPT;
		w->out->cut |= o->fate == CLASH_CUT;
	}
	for (size_t i = 0; i < push->n_servers; i++) {
		struct clash_out *o = add_out(w, CLASH_OUT_SERVER, &push->servers[i], mark);

		if (o->fate == CLASH_CUT && !o->moves)
			o->fate = CLASH_KEPT;
		w->out->cut |= o->fate == CLASH_CUT;
	}
}

struct clash_input clash_input_of(const struct host *h)
{
	return (struct clash_input){
		.host = &h->net,
		.sockets = h->sockets,
		.n_sockets = h->n_sockets,
		.flows = h->flows,
		.n_flows = h->n_flows,
		.publish = h->ports,
		.n_publish = h->n_ports,
		.pools = h->pools,
		.n_pools = h->n_pools,
		.dns = h->dns,
		.n_dns = h->n_dns,
		.ssh_peer = h->session_peer,
		.ssh_peer_port = h->session_port,
	};
}

void clash_find(struct arena *a, const struct clash_input *in, struct clash_report *ret)
{
	struct clash_work w = { .a = a, .in = in, .out = ret };

	*ret = (struct clash_report){ .push = in->push, .host = in->host };
	ret->after = arena_new(a, struct snapshot);
	push_apply(a, in->host, in->push, ret->after, &ret->results);
	ret->tunnel = ret->after->links[ret->after->n_links - 1].index;
	w.before = fib_new(a, in->host);
	w.after = fib_new(a, ret->after);
	clash_find_bounds(&w);
	judge_connections(&w);
	clash_find_losses(&w);
	clash_find_networks(&w);
	clash_find_pools(&w);
	judge_ways_out(&w);
	try_cures(&w);
}
