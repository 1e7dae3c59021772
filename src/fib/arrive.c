/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet from outside: ip_route_input_slow() and fib_validate_source().
 *
 * 1. Sources and destinations that no packet on a wire has are refused.
 * 2. The walk.
 * 3. Broadcast and local: the source must pass the reverse path.
 * 4. All else only if this link forwards, and by unicast routes alone.
 *
 * The reverse path asks for a way to the source as if the packet were an
 * answer: addresses and ports change places, the mark counts only with
 * src_valid_mark, and ports only if some rule wants them of packets from
 * outside (a rule with "iif lo" does not, though just such a rule is asked).
 */
#include "fib/arrive.h"

#include <errno.h>
#include <linux/rtnetlink.h>

static bool is_multicast(const struct ip *ip)
{
	return (ip->byte[0] & 0xf0) == 0xe0;
}

static bool is_broadcast(const struct ip *ip)
{
	static const struct ip all = { AF_INET, { 255, 255, 255, 255 } };

	return ip_equal(ip, &all);
}

static bool is_zeronet(const struct ip *ip)
{
	return ip->byte[0] == 0;
}

/* ---- The reverse path ---- */

static bool has_link_address(const struct snapshot *net, int link)
{
	for (size_t i = 0; i < net->n_addresses; i++)
		if (net->addresses[i].link == link && net->addresses[i].local.family == AF_INET)
			return true;
	return false;
}

static bool leads_by(const struct fib_result *r, int link)
{
	const struct route *route = r->pick.route;

	if (route->type == RTN_LOCAL && link == LINK_LOOPBACK)
		return true;
	for (size_t i = 0; i < route->n_hops; i++)
		if (route->hops[i].link == link)
			return true;
	return false;
}

static struct flow turned_round(const struct fib *fib, const struct flow *flow, int oif,
				const struct link_conf *conf)
{
	struct flow back = { .dst = flow->src,
			     .src = flow->dst,
			     .iif = oif,
			     .mark = conf->src_valid_mark ? flow->mark : 0,
			     .tos = flow->tos };

	if (fib_reads_ports(fib)) {
		back.proto = flow->proto;
		back.sport = flow->dport;
		back.dport = flow->sport;
	}
	return back;
}

static enum fib_rp full_check(const struct fib *fib, const struct flow *flow, int oif,
			      const struct link_conf *conf, struct fib_result *back,
			      struct fib_trace *trace)
{
	struct flow reply = turned_round(fib, flow, oif, conf);

	fib_walk(fib, &reply, back, trace);
	if (back->verdict == FIB_CANNOT_MODEL)
		return FIB_RP_CANNOT_MODEL;
	if (back->error)
		return conf->rp_filter ? FIB_RP_NO_WAY_BACK : FIB_RP_PASSES;
	if (back->verdict != FIB_UNICAST && !(back->verdict == FIB_LOCAL && conf->accept_local))
		return FIB_RP_SOURCE_BAD;
	if (leads_by(back, flow->iif))
		return FIB_RP_PASSES;
	if (!has_link_address(fib_snapshot(fib), flow->iif))
		return conf->rp_filter ? FIB_RP_NO_WAY_BACK : FIB_RP_PASSES;
	/* Loose: some way back is enough. */
	return conf->rp_filter == 1 ? FIB_RP_OTHER_LINK : FIB_RP_PASSES;
}

static bool has_custom_local(const struct snapshot *net)
{
	for (size_t i = 0; i < net->n_routes; i++)
		if (net->routes[i].family == AF_INET && net->routes[i].type == RTN_LOCAL &&
		    net->routes[i].protocol != RTPROT_KERNEL)
			return true;
	return false;
}

/*
 * Without rp_filter, and as long as rules and local table are the kernel's
 * own, it looks only whether the source is one of our addresses.
 */
static enum fib_rp short_check(const struct fib *fib, const struct flow *flow)
{
	return snapshot_has_address(fib_snapshot(fib), &flow->src) ? FIB_RP_SOURCE_BAD
								   : FIB_RP_PASSES;
}

enum fib_rp fib_reverse_path(const struct fib *fib, const struct flow *flow, int oif,
			     const struct link_conf *conf, struct fib_result *back,
			     struct fib_trace *trace)
{
	struct fib_result unused;
	enum fib_rp full, quick;

	if (flow->dst.family != AF_INET)
		return FIB_RP_NOT_ASKED;
	if (!back)
		back = &unused;
	*back = (struct fib_result){ 0 };
	if (conf->rp_filter || (oif == flow->iif && !conf->no_redirects))
		return full_check(fib, flow, oif, conf, back, trace);
	if (conf->accept_local)
		return FIB_RP_PASSES;
	full = full_check(fib, flow, oif, conf, back, trace);
	if (fib_has_custom_rules(fib, AF_INET) || has_custom_local(fib_snapshot(fib)))
		return full;
	/* Whether there ever was a rule cannot be seen. */
	quick = short_check(fib, flow);
	return quick == full ? full : FIB_RP_CANNOT_MODEL;
}

/* ---- Arriving ---- */

static void refuse(struct fib_result *r, int error, const char *why_not)
{
	r->verdict = FIB_REFUSED;
	r->error = error;
	r->link = 0;
	r->via = (struct ip){ 0 };
	r->why_not = why_not;
}

static const char *martian(const struct flow *flow, const struct link_conf *conf)
{
	const struct ip *dst = &flow->dst;
	const struct ip *src = &flow->src;

	if (is_multicast(src) || is_broadcast(src))
		return "multicast and broadcast addresses are no sources";
	if (is_broadcast(dst) || (ip_is_any(src) && ip_is_any(dst)))
		return NULL;
	if (is_zeronet(src) || is_zeronet(dst))
		return "0.0.0.0/8 is neither source nor destination";
	if ((ip_is_loopback(dst) || ip_is_loopback(src)) && !conf->route_localnet)
		return "127.0.0.0/8 does not come from outside";
	return NULL;
}

static void apply_reverse_path(struct fib_result *r, enum fib_rp rp)
{
	switch (rp) {
	case FIB_RP_PASSES:
	case FIB_RP_NOT_ASKED:
		return;
	case FIB_RP_SOURCE_BAD:
		refuse(r, EINVAL,
		       "the source is an address of our own, or "
		       "of no single host");
		return;
	case FIB_RP_OTHER_LINK:
		refuse(r, EXDEV,
		       "rp_filter: the way back to the source is by "
		       "another link");
		return;
	case FIB_RP_NO_WAY_BACK:
		refuse(r, EXDEV, "rp_filter: there is no way back to the source");
		return;
	case FIB_RP_CANNOT_MODEL:
		r->verdict = FIB_CANNOT_MODEL;
		r->why_not = "the reverse path hangs on what is not in the "
			     "snapshot";
		return;
	}
}

static void not_forwarding(struct fib_result *r)
{
	r->verdict = FIB_UNREACHABLE;
	r->error = EHOSTUNREACH;
	r->why_not = "this machine does not forward from that link";
}

static void deliver_broadcast(const struct fib *fib, const struct flow *flow,
			      const struct link_conf *conf, struct fib_result *r,
			      enum fib_rp *ret_rp)
{
	struct flow back = *flow;

	r->verdict = FIB_BROADCAST;
	r->link = 0;
	if (is_zeronet(&flow->src))
		return;
	back.dst = (struct ip){ .family = AF_INET };
	*ret_rp = fib_reverse_path(fib, &back, 0, conf, NULL, NULL);
	apply_reverse_path(r, *ret_rp);
}

/* The reverse path by each hop that the kernel may take. */
static enum fib_rp reverse_paths(const struct fib *fib, const struct flow *flow,
				 const struct link_conf *conf, const struct fib_result *r)
{
	enum fib_rp rp = fib_reverse_path(fib, flow, r->link, conf, NULL, NULL);

	for (size_t i = 0; r->pick.by_hash && i < r->pick.route->n_hops; i++) {
		const struct hop *hop = &r->pick.route->hops[i];

		if (fib_pick_may_take(&r->pick, hop) &&
		    fib_reverse_path(fib, flow, hop->link, conf, NULL, NULL) != rp)
			return FIB_RP_CANNOT_MODEL;
	}
	return rp;
}

static void forward(const struct fib *fib, const struct flow *flow, const struct link_conf *conf,
		    struct fib_result *r, enum fib_rp *ret_rp)
{
	if (!conf->forwarding) {
		not_forwarding(r);
		return;
	}
	if (r->verdict != FIB_UNICAST && !(r->verdict == FIB_BROADCAST && conf->bc_forwarding)) {
		refuse(r, EINVAL, "only unicast is forwarded");
		return;
	}
	*ret_rp = reverse_paths(fib, flow, conf, r);
	apply_reverse_path(r, *ret_rp);
}

static void arrive_ipv4(const struct fib *fib, const struct flow *flow,
			const struct link_conf *conf, struct fib_result *r, enum fib_rp *ret_rp,
			struct fib_trace *trace)
{
	const char *why_not = martian(flow, conf);

	if (is_multicast(&flow->dst)) {
		r->verdict = FIB_CANNOT_MODEL;
		r->why_not = "who listens to multicast is not in the snapshot";
		return;
	}
	if (why_not) {
		refuse(r, EINVAL, why_not);
		return;
	}
	if (is_broadcast(&flow->dst) || ip_is_any(&flow->dst)) {
		deliver_broadcast(fib, flow, conf, r, ret_rp);
		return;
	}
	fib_walk(fib, flow, r, trace);
	if (r->verdict == FIB_CANNOT_MODEL)
		return;
	if (r->error) {
		if (!conf->forwarding)
			not_forwarding(r);
	} else if (r->verdict == FIB_BROADCAST && !conf->bc_forwarding) {
		deliver_broadcast(fib, flow, conf, r, ret_rp);
	} else if (r->verdict == FIB_LOCAL) {
		*ret_rp = fib_reverse_path(fib, flow, 0, conf, NULL, NULL);
		apply_reverse_path(r, *ret_rp);
	} else {
		forward(fib, flow, conf, r, ret_rp);
	}
}

void fib_arrive(const struct fib *fib, const struct flow *flow, const struct link_conf *conf,
		struct fib_result *ret, enum fib_rp *ret_rp, struct fib_trace *trace)
{
	struct flow known = *flow;

	*ret = (struct fib_result){ .src = flow->src };
	*ret_rp = FIB_RP_NOT_ASKED;
	if (flow->dst.family != AF_INET) {
		fib_lookup(fib, flow, ret, trace);
		return;
	}
	known.src.family = AF_INET;
	arrive_ipv4(fib, &known, conf, ret, ret_rp, trace);
}
