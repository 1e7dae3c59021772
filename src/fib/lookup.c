/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a socket's packet meets around the walk: ip_route_output_key_hash_rcu()
 * and __mkroute_output() for IPv4, ip6_route_output() for IPv6.
 *
 * 1. IPv4: a source that no packet may have, or that is not ours, is refused.
 * 2. IPv4, a link is asked for: it must be up; multicast of the link and
 *    broadcast go out by it without a look at any route.
 * 3. IPv4 to nowhere (0.0.0.0) means lo.
 * 4. The walk.  If IPv4 finds no route but a link was asked for, it sends by
 *    that link as if the peer were on it ("routing tables are wrong").
 * 5. The source address, if there is none.
 * 6. IPv4: what may not leave by the link found is refused.
 */
#include "fib/lookup.h"

#include "fib/source.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>

static bool is_multicast(const struct ip *ip)
{
	return (ip->byte[0] & 0xf0) == 0xe0;
}

static bool is_local_multicast(const struct ip *ip)
{
	return ip->byte[0] == 224 && !ip->byte[1] && !ip->byte[2];
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

static void refuse(struct fib_result *r, int error, const char *why_not)
{
	*r = (struct fib_result){
		.verdict = FIB_REFUSED, .error = error, .src = r->src, .why_not = why_not
	};
}

static void cannot(struct fib_result *r, const char *why_not)
{
	r->verdict = FIB_CANNOT_MODEL;
	r->why_not = why_not;
}

/* Sends by @link without asking the routes. */
static void send_by(struct fib_result *r, int link, enum fib_verdict verdict)
{
	*r = (struct fib_result){ .verdict = verdict, .link = link, .src = r->src };
}

static int link_of_address(const struct fib *fib, const struct ip *ip)
{
	const struct snapshot *net = fib_snapshot(fib);

	for (size_t i = 0; i < net->n_addresses; i++)
		if (ip_equal(&net->addresses[i].local, ip))
			return net->addresses[i].link;
	return 0;
}

/* __ip_dev_find(): an address of a link, or what local calls local. */
static int link_of_source(const struct fib *fib, const struct ip *src)
{
	struct flow to_src = { .dst = *src };
	int link = link_of_address(fib, src);
	const struct route *r;

	if (link)
		return link;
	r = fib_in_local(fib, &to_src).route;
	return r && r->type == RTN_LOCAL && r->n_hops ? r->hops[0].link : 0;
}

static bool stands_on_others(const struct fib *fib, const struct ip *ip, int link)
{
	const struct snapshot *net = fib_snapshot(fib);

	for (size_t i = 0; i < net->n_addresses; i++)
		if (net->addresses[i].link != link && ip_equal(&net->addresses[i].local, ip))
			return true;
	return false;
}

/* True if that decided. */
static bool source_decides(const struct fib *fib, const struct flow *flow, struct fib_result *r)
{
	int link;

	if (is_multicast(&flow->src) || is_broadcast(&flow->src) || is_zeronet(&flow->src)) {
		refuse(r, EINVAL, "no packet may have this source address");
		return true;
	}
	if (!link_of_address(fib, &flow->src) && fib_local_hangs_on_history(fib, &flow->src)) {
		cannot(r, "whether the source is local hangs on whether this "
			  "namespace ever had a rule of its own");
		return true;
	}
	link = link_of_source(fib, &flow->src);
	if (!flow->oif && link && (is_multicast(&flow->dst) || is_broadcast(&flow->dst))) {
		send_by(r, link, FIB_UNICAST);
		if (stands_on_others(fib, &flow->src, link))
			cannot(r, "the source stands on several links, and "
				  "the kernel takes the one that got it last");
		return true;
	}
	if (!link)
		refuse(r, ENETUNREACH, "the source is no address of this namespace");
	return !link;
}

static struct ip by_link(const struct fib *fib, int link, uint8_t scope)
{
	return source_by_link(fib_snapshot(fib), link, &(struct ip){ 0 }, scope);
}

/* True if that decided. */
static bool link_decides(const struct fib *fib, const struct flow *flow, struct fib_result *r)
{
	const struct link *l = snapshot_link_by_index(fib_snapshot(fib), flow->oif);

	if (!l) {
		refuse(r, ENODEV, "the link it is bound to is not there");
		return true;
	}
	if (!(l->flags & IFF_UP)) {
		refuse(r, ENETUNREACH, "the link it is bound to is down");
		return true;
	}
	if (is_local_multicast(&flow->dst) || is_broadcast(&flow->dst) ||
	    flow->proto == IPPROTO_IGMP) {
		if (ip_is_none(&r->src))
			r->src = by_link(fib, flow->oif, RT_SCOPE_LINK);
		send_by(r, flow->oif, FIB_UNICAST);
		return true;
	}
	if (!ip_is_none(&r->src))
		return false;
	if (is_multicast(&flow->dst))
		r->src = by_link(fib, flow->oif, RT_SCOPE_UNIVERSE);
	else if (ip_is_any(&flow->dst))
		r->src = by_link(fib, flow->oif, RT_SCOPE_HOST);
	return false;
}

static struct ip loopback(void)
{
	return (struct ip){ AF_INET, { 127, 0, 0, 1 } };
}

/* Steps 1 to 3; true if one of them decided. */
static bool decided_before(const struct fib *fib, const struct flow *flow, struct fib_result *r)
{
	if (!ip_is_none(&flow->src) && source_decides(fib, flow, r))
		return true;
	if (flow->oif && link_decides(fib, flow, r))
		return true;
	if (!ip_is_any(&flow->dst))
		return false;
	if (ip_is_none(&r->src))
		r->src = loopback();
	send_by(r, LINK_LOOPBACK, FIB_LOCAL);
	return true;
}

/*
 * IPv4 keeps the source with the next-hop object, found with the scope of the
 * object when it was made and with that of some route by it later.
 */
static bool hangs_on_scope(const struct fib *fib, const struct flow *flow,
			   const struct fib_result *r)
{
	struct route narrow = *r->pick.route;
	struct ip src[2];

	for (int i = 0; i < 2; i++) {
		narrow.scope = i ? RT_SCOPE_HOST : RT_SCOPE_LINK;
		src[i] = source_by_route(fib_snapshot(fib), &narrow, r->pick.hop, &flow->dst);
	}
	return !ip_equal(&src[0], &r->src) || !ip_equal(&src[1], &r->src);
}

static void choose_source(const struct fib *fib, const struct flow *flow, struct fib_result *r)
{
	const struct route *route = r->pick.route;

	if (!ip_is_none(&r->src) || !route)
		return;
	if (flow->dst.family == AF_INET && route->type == RTN_LOCAL)
		r->src = ip_is_none(&route->prefsrc) ? flow->dst : route->prefsrc;
	else
		r->src = source_by_route(fib_snapshot(fib), route, r->pick.hop, &flow->dst);
	if (flow->dst.family == AF_INET && route->nexthop_id)
		r->src_unsure |= hangs_on_scope(fib, flow, r);
}

/* __mkroute_output() */
static void check_leaving(const struct fib *fib, const struct flow *flow, struct fib_result *r)
{
	int link = r->verdict == FIB_LOCAL ? LINK_LOOPBACK : r->link;
	const struct link *l = snapshot_link_by_index(fib_snapshot(fib), link);
	bool to_lo = l && l->flags & IFF_LOOPBACK;
	struct ip dst = ip_is_any(&flow->dst) ? r->src : flow->dst;

	if (!ip_is_none(&r->src) && ip_is_loopback(&r->src) && !to_lo) {
		refuse(r, EINVAL, "127.0.0.0/8 does not leave the machine");
		return;
	}
	if (is_broadcast(&dst)) {
		r->verdict = FIB_BROADCAST;
		r->link = link;
		r->via = (struct ip){ 0 };
	} else if (is_multicast(&dst)) {
		r->verdict = FIB_MULTICAST;
		r->link = link;
		if (r->pick.route && r->pick.route->dst.len < 4)
			r->via = (struct ip){ 0 };
	} else if (is_zeronet(&dst)) {
		refuse(r, EINVAL, "0.0.0.0/8 is no destination");
	}
}

static bool is_way(const struct fib_result *r)
{
	return !r->error && r->verdict != FIB_CANNOT_MODEL;
}

/* Some of the hops go out, some do not. */
static bool leaves_by_some(const struct fib_pick *pick)
{
	size_t n = 0, out = 0;

	for (size_t i = 0; pick->by_hash && i < pick->route->n_hops; i++) {
		const struct hop *hop = &pick->route->hops[i];

		if (!fib_pick_may_take(pick, hop))
			continue;
		n++;
		out += hop->link != LINK_LOOPBACK;
	}
	return out && out < n;
}

static void lookup_ipv4(const struct fib *fib, const struct flow *flow, struct fib_result *ret,
			struct fib_trace *trace)
{
	struct flow asked = *flow;

	if (decided_before(fib, flow, ret)) {
		if (is_way(ret))
			check_leaving(fib, flow, ret);
		return;
	}
	asked.src = ret->src;
	fib_walk(fib, &asked, ret, trace);
	if (ret->verdict == FIB_CANNOT_MODEL)
		return;
	if (ret->error && flow->oif) {
		if (ip_is_none(&ret->src))
			ret->src = by_link(fib, flow->oif, RT_SCOPE_LINK);
		send_by(ret, flow->oif, FIB_UNICAST);
	}
	if (!is_way(ret))
		return;
	choose_source(fib, flow, ret);
	if (!ip_is_none(&ret->src) && ip_is_loopback(&ret->src) && leaves_by_some(&ret->pick))
		cannot(ret, "127.0.0.0/8 does not leave the machine, and the "
			    "kernel takes a hop that does or one that does not");
	else
		check_leaving(fib, flow, ret);
}

void fib_lookup(const struct fib *fib, const struct flow *flow, struct fib_result *ret,
		struct fib_trace *trace)
{
	struct flow known = *flow;

	/* To the kernel an address of zeroes is none. */
	if (!ip_is_none(&known.src) && ip_is_any(&known.src))
		known.src = (struct ip){ 0 };
	*ret = (struct fib_result){ .src = known.src };
	if (flow->iif) {
		fib_walk(fib, &known, ret, trace);
	} else if (flow->dst.family == AF_INET) {
		lookup_ipv4(fib, &known, ret, trace);
	} else {
		fib_walk(fib, &known, ret, trace);
		if (is_way(ret))
			choose_source(fib, &known, ret);
	}
}

void fib_take_hop(const struct fib *fib, const struct flow *flow, const struct hop *hop,
		  struct fib_result *result)
{
	result->pick.by_hash = false;
	if (!fib_go_by(fib, result, hop) || flow->iif)
		return;
	if (ip_is_none(&flow->src)) {
		result->src = (struct ip){ 0 };
		choose_source(fib, flow, result);
	}
	if (flow->dst.family == AF_INET)
		check_leaving(fib, flow, result);
}

const char *fib_verdict_name(enum fib_verdict verdict)
{
	static const char *const names[] = {
		[FIB_NO_ROUTE] = "no route",
		[FIB_UNICAST] = "unicast",
		[FIB_LOCAL] = "local",
		[FIB_BROADCAST] = "broadcast",
		[FIB_MULTICAST] = "multicast",
		[FIB_ANYCAST] = "anycast",
		[FIB_BLACKHOLE] = "blackhole",
		[FIB_UNREACHABLE] = "unreachable",
		[FIB_PROHIBIT] = "prohibit",
		[FIB_REFUSED] = "refused",
		[FIB_CANNOT_MODEL] = "cannot model",
	};

	return names[verdict];
}
