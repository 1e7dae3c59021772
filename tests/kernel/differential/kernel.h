/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DIFFERENTIAL_KERNEL_H
#define DIFFERENTIAL_KERNEL_H

/* The private namespace: builds a plan in it and asks it for routes. */
#include "world.h"

#include "wire/rtnl_decode.h"
#include "wire/rtnl_encode.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/nexthop.h>
#include <stdlib.h>
#include <sys/socket.h>

#define BATCH_SIZE (128 * 1024)

struct kernel {
	struct mnl_socket *sock;
	uint32_t seq;
	char out[BATCH_SIZE];
	size_t out_size;
	size_t out_n;
};

static inline void kernel_open(struct kernel *k)
{
	int size = 64 << 20;
	int one = 1;
	struct timeval limit = { .tv_sec = 20 };

	k->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!k->sock || mnl_socket_bind(k->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		abort();
	setsockopt(mnl_socket_get_fd(k->sock), SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	setsockopt(mnl_socket_get_fd(k->sock), SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	setsockopt(mnl_socket_get_fd(k->sock), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	mnl_socket_setsockopt(k->sock, NETLINK_CAP_ACK, &one, sizeof(one));
}

static inline void kernel_close(struct kernel *k)
{
	mnl_socket_close(k->sock);
}

typedef void (*kernel_fn)(void *ctx, size_t i, const struct nlmsghdr *nlh);

static inline void kernel_queue(struct kernel *k, struct nlmsghdr *nlh, uint16_t flags)
{
	size_t size = NLMSG_ALIGN((size_t)nlh->nlmsg_len);

	if (k->out_size + size > sizeof(k->out))
		abort();
	nlh->nlmsg_flags |= flags;
	nlh->nlmsg_seq = k->seq + (uint32_t)k->out_n++;
	memcpy(k->out + k->out_size, nlh, nlh->nlmsg_len);
	k->out_size += size;
}

/* Sends what is queued; each answer goes to @fn with its number. */
static inline void kernel_flush(struct kernel *k, kernel_fn fn, void *ctx)
{
	static char in[1 << 20];
	size_t left = k->out_n;

	if (left && mnl_socket_sendto(k->sock, k->out, k->out_size) < 0)
		abort();
	while (left) {
		ssize_t size = mnl_socket_recvfrom(k->sock, in, sizeof(in));
		const struct nlmsghdr *nlh = (const void *)in;
		int rest = (int)size;

		if (size <= 0) {
			perror("# netlink");
			abort();
		}
		for (; mnl_nlmsg_ok(nlh, rest); nlh = mnl_nlmsg_next(nlh, &rest)) {
			fn(ctx, nlh->nlmsg_seq - k->seq, nlh);
			left--;
		}
	}
	k->seq += (uint32_t)k->out_n;
	k->out_n = 0;
	k->out_size = 0;
}

static inline int kernel_errno(const struct nlmsghdr *nlh)
{
	const struct nlmsgerr *e = mnl_nlmsg_get_payload(nlh);

	return nlh->nlmsg_type == NLMSG_ERROR ? -e->error : 0;
}

static inline void kernel_take_errno(void *ctx, size_t i, const struct nlmsghdr *nlh)
{
	((int *)ctx)[i] = kernel_errno(nlh);
}

/* ---- Listing ---- */

static inline void kernel_dump(struct kernel *k, uint16_t type, sa_family_t family,
			       void (*fn)(void *ctx, const struct nlmsghdr *nlh), void *ctx)
{
	static char in[1 << 20];
	struct rtnl_message m;
	struct nlmsghdr *ask = rtnl_encode_dump(&m, type, family);

	ask->nlmsg_seq = k->seq++;
	if (mnl_socket_sendto(k->sock, ask, ask->nlmsg_len) < 0)
		abort();
	for (;;) {
		ssize_t size = mnl_socket_recvfrom(k->sock, in, sizeof(in));
		const struct nlmsghdr *nlh = (const void *)in;
		int rest = (int)size;

		if (size <= 0)
			abort();
		for (; mnl_nlmsg_ok(nlh, rest); nlh = mnl_nlmsg_next(nlh, &rest)) {
			if (nlh->nlmsg_type == NLMSG_DONE)
				return;
			if (nlh->nlmsg_type == NLMSG_ERROR)
				abort();
			fn(ctx, nlh);
		}
	}
}

struct listing {
	struct arena *arena;
	struct snapshot s;
};

static inline void listing_take(void *ctx, const struct nlmsghdr *nlh)
{
	struct listing *l = ctx;
	struct snapshot *s = &l->s;
	struct link link;
	struct address address;
	struct route route;
	struct rule rule;

	if (nlh->nlmsg_type == RTM_NEWLINK && rtnl_decode_link(nlh, &link) == 1)
		*arena_push(l->arena, s->links, s->n_links, s->cap_links) = link;
	if (nlh->nlmsg_type == RTM_NEWADDR && rtnl_decode_address(nlh, &address) == 1)
		*arena_push(l->arena, s->addresses, s->n_addresses, s->cap_addresses) = address;
	if (nlh->nlmsg_type == RTM_NEWROUTE && rtnl_decode_route(l->arena, nlh, &route) == 1)
		*arena_push(l->arena, s->routes, s->n_routes, s->cap_routes) = route;
	if (nlh->nlmsg_type == RTM_NEWRULE && rtnl_decode_rule(nlh, &rule) == 1)
		*arena_push(l->arena, s->rules, s->n_rules, s->cap_rules) = rule;
}

static inline struct snapshot kernel_snapshot(struct kernel *k, struct arena *a)
{
	static const uint16_t types[] = { RTM_GETADDR, RTM_GETROUTE, RTM_GETRULE };
	struct listing l = { .arena = a };

	kernel_dump(k, RTM_GETLINK, AF_UNSPEC, listing_take, &l);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		kernel_dump(k, types[i], AF_INET, listing_take, &l);
		kernel_dump(k, types[i], AF_INET6, listing_take, &l);
	}
	return l.s;
}

/* ---- Building ---- */

static inline struct nlmsghdr *kernel_nexthop(struct rtnl_message *m, const struct nexthop *n)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);
	struct nhmsg *nhm;

	nlh->nlmsg_type = RTM_NEWNEXTHOP;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	nhm = mnl_nlmsg_put_extra_header(nlh, sizeof(*nhm));
	nhm->nh_family = n->n_members ? AF_UNSPEC : (unsigned char)n->family;
	nhm->nh_protocol = RTPROT_STATIC;
	mnl_attr_put_u32(nlh, NHA_ID, n->id);
	if (n->n_members) {
		struct nexthop_grp grp[WORLD_HOPS] = { 0 };

		for (size_t i = 0; i < n->n_members; i++)
			grp[i].id = n->members[i];
		mnl_attr_put(nlh, NHA_GROUP, n->n_members * sizeof(grp[0]), grp);
		return nlh;
	}
	if (n->blackhole) {
		mnl_attr_put(nlh, NHA_BLACKHOLE, 0, NULL);
		return nlh;
	}
	nhm->nh_flags = n->hop.flags & RTNH_F_ONLINK;
	/* A gateway of the other family: the nexthop is of that family then. */
	if (!ip_is_none(&n->hop.via)) {
		nhm->nh_family = (unsigned char)n->hop.via.family;
		mnl_attr_put(nlh, NHA_GATEWAY, ip_bits(n->hop.via.family) / 8, n->hop.via.byte);
	}
	mnl_attr_put_u32(nlh, NHA_OIF, (uint32_t)n->hop.link);
	return nlh;
}

static inline struct nlmsghdr *kernel_nexthop_delete(struct rtnl_message *m, uint32_t id)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);

	nlh->nlmsg_type = RTM_DELNEXTHOP;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct nhmsg));
	mnl_attr_put_u32(nlh, NHA_ID, id);
	return nlh;
}

/* What stands without any plan: links, lo's own, one rule and then some. */
struct ground {
	struct snapshot base;
	bool ignores[2][64]; /* ignore_routes_with_linkdown, [IPv6?][index] */
};

static inline uint8_t ground_hop_flags(const struct ground *g, bool ipv6, int link)
{
	const struct link *l = snapshot_link_by_index(&g->base, link);

	if (!l || l->flags & IFF_LOWER_UP)
		return 0;
	return (uint8_t)(RTNH_F_LINKDOWN | (g->ignores[ipv6][link] ? RTNH_F_DEAD : 0));
}

struct built {
	struct arena *arena;
	const struct ground *ground;
	struct snapshot s;
};

static inline struct route *built_route(struct built *b, const struct route *r)
{
	struct route *to = arena_push(b->arena, b->s.routes, b->s.n_routes, b->s.cap_routes);

	*to = *r;
	to->hops = arena_alloc(b->arena, (r->n_hops + 1) * sizeof(*r->hops));
	if (r->n_hops)
		memcpy(to->hops, r->hops, r->n_hops * sizeof(*r->hops));
	for (size_t i = 0; i < to->n_hops; i++) {
		bool local = r->family == AF_INET ? r->scope == RT_SCOPE_HOST
						  : r->type == RTN_LOCAL;

		/* Nor does IPv4 look at the carrier for an IPv6 gateway. */
		local |= to->hops[i].via.family && to->hops[i].via.family != r->family &&
			 !r->nexthop_id;
		to->hops[i].flags &= RTNH_F_ONLINK;
		if (!local)
			to->hops[i].flags |= ground_hop_flags(b->ground, r->family == AF_INET6,
							      to->hops[i].link);
	}
	return to;
}

static inline bool same_hop(const struct hop *a, const struct hop *b)
{
	return a->link == b->link && ip_equal(&a->via, &b->via);
}

/* fib_valid_prefsrc(): another link's broadcast address is no source. */
static inline bool built_source_valid(const struct built *b, const struct route *r)
{
	const struct route *best = NULL;

	if (r->family != AF_INET || (r->type == RTN_LOCAL && ip_equal(&r->dst.ip, &r->prefsrc)))
		return true;
	for (size_t i = 0; i < b->s.n_routes; i++) {
		const struct route *o = &b->s.routes[i];

		if (o->family != AF_INET || o->table != RT_TABLE_LOCAL ||
		    !prefix_covers(&o->dst, &r->prefsrc) || o->hops[0].flags & RTNH_F_DEAD)
			continue;
		if (!best || o->dst.len > best->dst.len ||
		    (o->dst.len == best->dst.len && o->metric < best->metric))
			best = o;
	}
	return best && best->type == RTN_LOCAL;
}

static inline void built_own_route(struct built *b, struct route r, int link)
{
	struct hop hop = { .link = link, .weight = 1 };

	if (!built_source_valid(b, &r))
		return;

	r.protocol = RTPROT_KERNEL;
	r.hops = &hop;
	r.n_hops = 1;
	for (size_t i = 0; i < b->s.n_routes; i++) {
		const struct route *o = &b->s.routes[i];

		if (o->family == r.family && o->table == r.table && o->metric == r.metric &&
		    o->type == r.type && prefix_equal(&o->dst, &r.dst) && !o->src.len &&
		    o->n_hops == 1 && same_hop(&o->hops[0], &hop) &&
		    (ip_equal(&o->prefsrc, &r.prefsrc) || r.family == AF_INET6))
			return;
	}
	built_route(b, &r);
}

/* inet_insert_ifa(): primaries by scope, the rest behind. */
static inline bool built_place_ipv4(struct built *b, struct address *a, size_t *at)
{
	struct prefix net = { ip_is_none(&a->peer) ? a->local : a->peer, a->len };
	size_t last_primary = SIZE_MAX;

	*at = b->s.n_addresses;
	for (size_t i = 0; i < b->s.n_addresses; i++) {
		const struct address *o = &b->s.addresses[i];
		struct prefix p = { ip_is_none(&o->peer) ? o->local : o->peer, o->len };

		if (o->link != a->link || o->local.family != AF_INET)
			continue;
		if (last_primary == SIZE_MAX)
			last_primary = i;
		if (!(o->flags & IFA_F_SECONDARY) && a->scope <= o->scope)
			last_primary = i + 1;
		if (p.len == net.len && prefix_covers(&p, &net.ip))
			a->flags |= IFA_F_SECONDARY;
	}
	if (!(a->flags & IFA_F_SECONDARY) && last_primary != SIZE_MAX)
		*at = last_primary;
	return a->flags & IFA_F_SECONDARY;
}

/* ipv6_link_dev_addr(): by scope, the newest first; links in their order. */
static inline void built_place_ipv6(struct built *b, const struct address *a, size_t *at)
{
	*at = b->s.n_addresses;
	for (size_t i = 0; i < b->s.n_addresses; i++) {
		const struct address *o = &b->s.addresses[i];
		bool narrower = ip_is_link_local(&o->local) || ip_is_loopback(&o->local) ||
				!ip_is_link_local(&a->local);

		if (o->local.family != AF_INET6)
			continue;
		if (o->link > a->link || (o->link == a->link && narrower)) {
			*at = i;
			return;
		}
	}
}

static inline void built_insert(struct built *b, const struct address *a, size_t at)
{
	arena_push(b->arena, b->s.addresses, b->s.n_addresses, b->s.cap_addresses);
	memmove(&b->s.addresses[at + 1], &b->s.addresses[at],
		(b->s.n_addresses - 1 - at) * sizeof(*a));
	b->s.addresses[at] = *a;
}

/* fib_add_ifaddr() */
static inline void built_routes_ipv4(struct built *b, const struct address *a, bool secondary)
{
	struct prefix net = prefix_of(ip_is_none(&a->peer) ? &a->local : &a->peer, a->len);
	struct ip prim = a->local;
	struct ip last = net.ip;
	struct route r = { .family = AF_INET, .prefsrc = prim };
	bool lo = a->link == LINK_LOOPBACK;

	for (size_t i = 0; secondary && i < b->s.n_addresses; i++) {
		const struct address *o = &b->s.addresses[i];

		if (o->link == a->link && o->local.family == AF_INET &&
		    !(o->flags & IFA_F_SECONDARY) && o->len == a->len) {
			struct prefix p = { ip_is_none(&o->peer) ? o->local : o->peer, o->len };

			if (!prefix_covers(&p, &net.ip))
				continue;
			r.prefsrc = o->local;
			break;
		}
	}
	r.type = RTN_LOCAL;
	r.scope = RT_SCOPE_HOST;
	r.table = RT_TABLE_LOCAL;
	r.dst = prefix_host(&a->local);
	built_own_route(b, r, a->link);
	if (!world_link_up(&b->ground->base, a->link) || secondary || !net.ip.byte[0] ||
	    (ip_equal(&net.ip, &a->local) && a->len == 32))
		return;
	if (!(a->flags & IFA_F_NOPREFIXROUTE)) {
		r.type = lo ? RTN_LOCAL : RTN_UNICAST;
		r.scope = lo ? RT_SCOPE_HOST : RT_SCOPE_LINK;
		r.table = lo ? RT_TABLE_LOCAL : RT_TABLE_MAIN;
		r.dst = net;
		r.metric = a->metric;
		built_own_route(b, r, a->link);
	}
	if (a->len >= 31)
		return;
	for (unsigned int bit = a->len; bit < 32; bit++)
		last.byte[bit / 8] |= (uint8_t)(0x80 >> (bit % 8));
	r.metric = 0;
	r.type = RTN_BROADCAST;
	r.scope = RT_SCOPE_LINK;
	r.table = RT_TABLE_LOCAL;
	r.dst = prefix_host(&last);
	built_own_route(b, r, a->link);
}

static inline void built_routes_ipv6(struct built *b, const struct address *a)
{
	struct route r = { .family = AF_INET6,
			   .type = RTN_LOCAL,
			   .table = RT_TABLE_LOCAL,
			   .dst = prefix_host(&a->local) };

	built_own_route(b, r, a->link);
	if (!world_link_up(&b->ground->base, a->link) || a->flags & IFA_F_NOPREFIXROUTE)
		return;
	r.type = RTN_UNICAST;
	r.table = RT_TABLE_MAIN;
	r.metric = a->metric ? a->metric : 256;
	r.dst = prefix_of(&a->local, a->len);
	built_own_route(b, r, a->link);
}

static inline void built_address(struct built *b, struct address a)
{
	bool ipv4 = a.local.family == AF_INET;
	bool secondary = false;
	size_t at;

	if (ipv4)
		secondary = built_place_ipv4(b, &a, &at);
	else
		built_place_ipv6(b, &a, &at);
	built_insert(b, &a, at);
	if (ipv4)
		built_routes_ipv4(b, &a, secondary);
	else
		built_routes_ipv6(b, &a);
}

static inline void built_hops_of_nexthop(struct built *b, const struct plan *p, struct route *r)
{
	const struct nexthop *n = &p->nexthops[r->nexthop_id - 1];
	struct hop *hops = arena_alloc(b->arena, WORLD_HOPS * sizeof(*hops));

	if (n->blackhole)
		r->type = RTN_BLACKHOLE;
	else if (!n->n_members)
		hops[r->n_hops++] = n->hop;
	for (size_t i = 0; i < n->n_members; i++) {
		const struct nexthop *m = &p->nexthops[n->members[i] - 1];

		if (m->blackhole)
			r->type = RTN_BLACKHOLE;
		else
			hops[r->n_hops++] = m->hop;
	}
	r->hops = hops;
}

static inline bool by_gateways(const struct route *r)
{
	return r->family == AF_INET6 && !r->nexthop_id && r->n_hops && r->type == RTN_UNICAST &&
	       !ip_is_none(&r->hops[0].via);
}

/* IPv6 joins routes by gateways that differ in nothing else. */
static inline bool built_joins(struct built *b, const struct route *r)
{
	for (size_t i = 0; by_gateways(r) && i < b->s.n_routes; i++) {
		struct route *o = &b->s.routes[i];
		struct hop *hops;

		if (!by_gateways(o) || o->table != r->table || o->metric != r->metric ||
		    !prefix_equal(&o->dst, &r->dst) || o->src.len != r->src.len ||
		    (r->src.len && !prefix_equal(&o->src, &r->src)))
			continue;
		hops = arena_alloc(b->arena, (o->n_hops + r->n_hops) * sizeof(*hops));
		memcpy(hops, o->hops, o->n_hops * sizeof(*hops));
		memcpy(hops + o->n_hops, r->hops, r->n_hops * sizeof(*hops));
		for (size_t h = o->n_hops; h < o->n_hops + r->n_hops; h++)
			hops[h].flags = ground_hop_flags(b->ground, true, hops[h].link);
		o->hops = hops;
		o->n_hops += r->n_hops;
		return true;
	}
	return false;
}

static inline void built_planned_route(struct built *b, const struct plan *p, size_t at)
{
	struct route r = p->routes[at];

	if (r.nexthop_id)
		built_hops_of_nexthop(b, p, &r);
	if (!built_joins(b, &r))
		built_route(b, &r);
}

static inline bool is_main_rule(const struct rule *r)
{
	return r->priority == 32766 || r->priority == 32767;
}

static inline bool rule_dropped(const struct plan *p, const struct rule *r)
{
	if (r->priority == 32766)
		return p->drop_main[r->family == AF_INET6];
	return r->priority == 32767 && p->drop_default;
}

/*
 * Builds @p in the kernel and returns it as a snapshot, less what the kernel
 * would not have.
 */
static inline struct snapshot kernel_build(struct kernel *k, const struct ground *g,
					   const struct plan *p, struct arena *a)
{
	static int errors[WORLD_OBJECTS];
	struct rtnl_message m;
	struct built b = { .arena = a, .ground = g };

	for (size_t i = 0; i < g->base.n_links; i++)
		*arena_push(a, b.s.links, b.s.n_links, b.s.cap_links) = g->base.links[i];
	for (size_t i = 0; i < g->base.n_routes; i++)
		built_route(&b, &g->base.routes[i]);
	for (size_t i = 0; i < g->base.n_addresses; i++)
		built_insert(&b, &g->base.addresses[i], i);

	for (size_t i = 0; i < p->n_addresses; i++)
		kernel_queue(k, rtnl_encode_address(&m, RTM_NEWADDR, &p->addresses[i]),
			     NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
	kernel_flush(k, kernel_take_errno, errors);
	for (size_t i = 0; i < p->n_addresses; i++)
		if (!errors[i])
			built_address(&b, p->addresses[i]);

	for (size_t i = 0; i < p->n_nexthops; i++)
		kernel_queue(k, kernel_nexthop(&m, &p->nexthops[i]),
			     NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
	kernel_flush(k, kernel_take_errno, errors);

	for (size_t i = 0; i < p->n_routes; i++)
		kernel_queue(k, rtnl_encode_route(&m, RTM_NEWROUTE, &p->routes[i]),
			     (uint16_t)(NLM_F_CREATE | NLM_F_ACK |
					(p->append[i] ? NLM_F_APPEND : NLM_F_EXCL)));
	kernel_flush(k, kernel_take_errno, errors);
	for (size_t i = 0; i < p->n_routes; i++)
		if (!errors[i])
			built_planned_route(&b, p, i);

	for (size_t i = 0; i < p->n_rules; i++)
		kernel_queue(k, rtnl_encode_rule(&m, RTM_NEWRULE, &p->rules[i]),
			     NLM_F_CREATE | NLM_F_ACK);
	for (size_t i = 0; i < g->base.n_rules; i++)
		if (rule_dropped(p, &g->base.rules[i]))
			kernel_queue(k, rtnl_encode_rule(&m, RTM_DELRULE, &g->base.rules[i]),
				     NLM_F_ACK);
	kernel_flush(k, kernel_take_errno, errors);
	for (size_t i = 0; i < g->base.n_rules; i++)
		if (!rule_dropped(p, &g->base.rules[i]))
			*arena_push(a, b.s.rules, b.s.n_rules, b.s.cap_rules) = g->base.rules[i];
	for (size_t i = 0; i < p->n_rules; i++)
		if (!errors[i])
			*arena_push(a, b.s.rules, b.s.n_rules, b.s.cap_rules) = p->rules[i];
	return b.s;
}

static inline void kernel_ignore(void *ctx, size_t i, const struct nlmsghdr *nlh)
{
	(void)ctx;
	(void)i;
	(void)nlh;
}

static inline bool ground_has(const struct ground *g, const struct route *r)
{
	if (r->family == AF_INET6 && r->type == RTN_MULTICAST && r->protocol == RTPROT_KERNEL)
		return true;
	for (size_t i = 0; i < g->base.n_routes; i++) {
		const struct route *o = &g->base.routes[i];

		if (o->family == r->family && o->table == r->table && o->protocol == r->protocol &&
		    o->metric == r->metric && prefix_equal(&o->dst, &r->dst) &&
		    o->hops[0].link == r->hops[0].link)
			return true;
	}
	return false;
}

/* Back to the ground: what @now has and the ground has not goes away. */
static inline void kernel_clear(struct kernel *k, const struct ground *g,
				const struct snapshot *now, const struct plan *p)
{
	struct rtnl_message m;
	bool has_main[2] = { false, false };
	bool has_default = false;

	for (size_t i = 0; i < now->n_rules; i++) {
		const struct rule *r = &now->rules[i];
		struct nlmsghdr *nlh;

		if (!r->priority && r->table == RT_TABLE_LOCAL && r->protocol == RTPROT_KERNEL)
			continue;
		if (is_main_rule(r) && r->protocol == RTPROT_KERNEL) {
			has_main[r->family == AF_INET6] |= r->priority == 32766;
			has_default |= r->priority == 32767;
			continue;
		}
		nlh = rtnl_encode_rule(&m, RTM_DELRULE, r);
		kernel_queue(k, nlh, NLM_F_ACK);
	}
	for (size_t i = 0; i < g->base.n_rules; i++) {
		const struct rule *r = &g->base.rules[i];

		if ((r->priority == 32766 && !has_main[r->family == AF_INET6]) ||
		    (r->priority == 32767 && !has_default))
			kernel_queue(k, rtnl_encode_rule(&m, RTM_NEWRULE, r),
				     NLM_F_CREATE | NLM_F_ACK);
	}
	kernel_flush(k, kernel_ignore, NULL);
	for (size_t i = 0; i < p->n_nexthops; i++)
		kernel_queue(k, kernel_nexthop_delete(&m, p->nexthops[i].id), NLM_F_ACK);
	for (size_t i = now->n_addresses; i-- > 0;)
		if (!ip_is_loopback(&now->addresses[i].local))
			kernel_queue(k, rtnl_encode_address(&m, RTM_DELADDR, &now->addresses[i]),
				     NLM_F_ACK);
	kernel_flush(k, kernel_ignore, NULL);
	for (size_t i = 0; i < now->n_routes; i++)
		if (!ground_has(g, &now->routes[i]))
			kernel_queue(k, rtnl_encode_route(&m, RTM_DELROUTE, &now->routes[i]),
				     NLM_F_ACK);
	kernel_flush(k, kernel_ignore, NULL);
}

/* ---- Asking ---- */

struct answer {
	int error;
	uint8_t type, tos, dst_len;
	uint32_t table, metric, nexthop_id;
	struct ip dst, src, via;
	int link;
};

/* Two questions a flow: the route itself, and what becomes of a packet. */
struct answers {
	struct answer route;
	struct answer packet;
};

static inline void answer_of(const struct nlmsghdr *nlh, struct answer *ret)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *attr;

	*ret = (struct answer){ .error = kernel_errno(nlh) };
	if (nlh->nlmsg_type == NLMSG_ERROR)
		return;
	ret->type = rtm->rtm_type;
	ret->tos = rtm->rtm_tos;
	ret->dst_len = rtm->rtm_dst_len;
	ret->dst.family = rtm->rtm_family;
	mnl_attr_for_each(attr, nlh, sizeof(*rtm))
	{
		const void *p = mnl_attr_get_payload(attr);
		const struct rtvia *via = p;

		switch (mnl_attr_get_type(attr)) {
		case RTA_TABLE:
			ret->table = mnl_attr_get_u32(attr);
			break;
		case RTA_PRIORITY:
			ret->metric = mnl_attr_get_u32(attr);
			break;
		case RTA_NH_ID:
			ret->nexthop_id = mnl_attr_get_u32(attr);
			break;
		case RTA_OIF:
			ret->link = (int)mnl_attr_get_u32(attr);
			break;
		case RTA_DST:
			ret->dst = ip_from_bytes(rtm->rtm_family, p);
			break;
		case RTA_PREFSRC:
			ret->src = ip_from_bytes(rtm->rtm_family, p);
			break;
		case RTA_GATEWAY:
			ret->via = ip_from_bytes(rtm->rtm_family, p);
			break;
		case RTA_VIA:
			ret->via = ip_from_bytes(via->rtvia_family, via->rtvia_addr);
			break;
		}
	}
}

static inline void answer_take(void *ctx, size_t i, const struct nlmsghdr *nlh)
{
	struct answers *all = ctx;

	answer_of(nlh, i % 2 ? &all[i / 2].packet : &all[i / 2].route);
}

#define RTA_FLOWLABEL_ 31 /* newer than the oldest headers we build with */

static inline struct nlmsghdr *kernel_question(struct rtnl_message *m, const struct flow *f,
					       bool match)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);
	struct rtmsg *rtm;
	size_t size = ip_bits(f->dst.family) / 8;

	nlh->nlmsg_type = RTM_GETROUTE;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	rtm = mnl_nlmsg_put_extra_header(nlh, sizeof(*rtm));
	rtm->rtm_family = (unsigned char)f->dst.family;
	rtm->rtm_flags = RTM_F_LOOKUP_TABLE | (match ? RTM_F_FIB_MATCH : 0U);
	rtm->rtm_tos = f->tos;
	rtm->rtm_dst_len = (unsigned char)(size * 8);
	mnl_attr_put(nlh, RTA_DST, size, f->dst.byte);
	if (!ip_is_none(&f->src)) {
		rtm->rtm_src_len = (unsigned char)(size * 8);
		mnl_attr_put(nlh, RTA_SRC, size, f->src.byte);
	}
	if (f->iif)
		mnl_attr_put_u32(nlh, RTA_IIF, (uint32_t)f->iif);
	if (f->oif)
		mnl_attr_put_u32(nlh, RTA_OIF, (uint32_t)f->oif);
	if (f->mark)
		mnl_attr_put_u32(nlh, RTA_MARK, f->mark);
	mnl_attr_put_u32(nlh, RTA_UID, f->iif ? 0 : f->uid);
	if (f->proto)
		mnl_attr_put_u8(nlh, RTA_IP_PROTO, f->proto);
	if (f->flowlabel)
		mnl_attr_put_u32(nlh, RTA_FLOWLABEL_, htonl(f->flowlabel));
	if (f->sport)
		mnl_attr_put_u16(nlh, RTA_SPORT, htons(f->sport));
	if (f->dport)
		mnl_attr_put_u16(nlh, RTA_DPORT, htons(f->dport));
	return nlh;
}

#define ASK_MAX 128

static inline void kernel_ask(struct kernel *k, const struct flow *flows, size_t n,
			      struct answers *ret)
{
	struct rtnl_message m;

	for (size_t i = 0; i < n; i++) {
		kernel_queue(k, kernel_question(&m, &flows[i], true), 0);
		kernel_queue(k, kernel_question(&m, &flows[i], false), 0);
	}
	kernel_flush(k, answer_take, ret);
}

#endif
