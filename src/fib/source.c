/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Not in a snapshot and taken as they are by default: the labels of
 * ip-addrlabel(8), and the sysctls use_tempaddr (0), use_oif_addrs_only (0)
 * and route_localnet (0).
 */
#include "fib/source.h"

#include "base/text.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stddef.h>

/* ---- IPv4 ---- */

static bool is_primary_ipv4(const struct address *addr)
{
	return addr->local.family == AF_INET && !(addr->flags & IFA_F_SECONDARY);
}

/* With a peer the network of the address is the peer's. */
static bool is_near(const struct address *addr, const struct ip *near)
{
	struct prefix p = {
		.ip = ip_is_none(&addr->peer) ? addr->local : addr->peer,
		.len = addr->len,
	};

	return prefix_covers(&p, near);
}

/* lo has addresses for other links too, but not those of scope link. */
static struct ip any_link(const struct snapshot *net, uint8_t scope)
{
	for (size_t l = 0; l < net->n_links; l++)
		for (size_t i = 0; i < net->n_addresses; i++) {
			const struct address *addr = &net->addresses[i];

			if (addr->link == net->links[l].index && is_primary_ipv4(addr) &&
			    addr->scope != RT_SCOPE_LINK && addr->scope <= scope)
				return addr->local;
		}
	return (struct ip){ 0 };
}

struct ip source_by_link(const struct snapshot *net, int index, const struct ip *near,
			 uint8_t scope)
{
	struct ip first = { 0 };

	for (size_t i = 0; i < net->n_addresses; i++) {
		const struct address *addr = &net->addresses[i];
		uint8_t needs = addr->scope;

		if (needs > RT_SCOPE_HOST)
			needs = RT_SCOPE_HOST;
		if (addr->link != index || !is_primary_ipv4(addr) || needs > scope)
			continue;
		if (ip_is_none(near) || is_near(addr, near))
			return addr->local;
		if (ip_is_none(&first))
			first = addr->local;
	}
	return ip_is_none(&first) ? any_link(net, scope) : first;
}

/*
 * The kernel compares with the gateway, whatever its family: of an IPv6
 * gateway it reads the first four bytes as if they were an IPv4 address.  Only
 * a next-hop object knows better.
 */
static struct ip by_hop_ipv4(const struct snapshot *net, const struct route *r,
			     const struct hop *hop)
{
	struct ip near = hop->via;

	if (near.family == AF_INET6 && r->nexthop_id)
		near = (struct ip){ 0 };
	if (!ip_is_none(&near))
		near.family = AF_INET;
	if (!ip_is_none(&near) && ip_is_any(&near))
		near.family = 0;
	return source_by_link(net, hop->link, &near, r->scope);
}

/* ---- IPv6 ---- */

enum { TYPE_UNICAST = 1, TYPE_MULTICAST = 2, TYPE_SPECIAL = 4 };

/* As __ipv6_addr_type() has them: scopes are those of multicast. */
enum {
	SCOPE_NODE = 1,
	SCOPE_LINK = 2,
	SCOPE_SITE = 5,
	SCOPE_GLOBAL = 14,
};

struct kind {
	struct prefix net;
	int scope;
	int label; /* of the default policy table, as the kernel has it */
	bool special; /* preferred even when deprecated */
};

#define NET(n, ...)                                                                                \
	{                                                                                          \
		.len = (n), .ip = { AF_INET6, { __VA_ARGS__ } }                                    \
	}

/* Longest first; ends with everything. */
static const struct kind kinds[] = {
	{ NET(128, [15] = 1), SCOPE_LINK, 0, true },
	{ NET(128, 0), SCOPE_GLOBAL, 3, true },
	{ NET(96, [10] = 0xff, 0xff), SCOPE_GLOBAL, 4, true },
	{ NET(96, 0), SCOPE_GLOBAL, 3, true },
	{ NET(32, 0x20, 0x01), SCOPE_GLOBAL, 6, false },
	{ NET(28, 0x20, 0x01, 0x00, 0x10), SCOPE_GLOBAL, 7, false },
	{ NET(16, 0x20, 0x02), SCOPE_GLOBAL, 2, false },
	{ NET(16, 0x3f, 0xfe), SCOPE_GLOBAL, 12, false },
	{ NET(10, 0xfe, 0x80), SCOPE_LINK, 1, false },
	{ NET(10, 0xfe, 0xc0), SCOPE_SITE, 11, false },
	{ NET(7, 0xfc), SCOPE_GLOBAL, 5, false },
	{ NET(3, 0x20), SCOPE_GLOBAL, 1, false },
	{ NET(3, 0x40), SCOPE_GLOBAL, 1, false },
	{ NET(3, 0x60), SCOPE_GLOBAL, 1, false },
	{ NET(3, 0x80), SCOPE_GLOBAL, 1, false },
	{ NET(3, 0xa0), SCOPE_GLOBAL, 1, false },
	{ NET(3, 0xc0), SCOPE_GLOBAL, 1, false },
	{ NET(8, 0xff), SCOPE_GLOBAL, 1, false },
	{ NET(0, 0), SCOPE_GLOBAL, 1, true },
};

static const struct kind *kind_of(const struct ip *ip)
{
	const struct kind *k = kinds;

	while (!prefix_covers(&k->net, ip))
		k++;
	return k;
}

static bool is_multicast(const struct ip *ip)
{
	return ip->byte[0] == 0xff;
}

static int scope_of(const struct ip *ip)
{
	return is_multicast(ip) ? ip->byte[1] & 0xf : kind_of(ip)->scope;
}

struct goal {
	const struct ip *dst;
	int link;
	int scope;
	int label;
};

static int common_bits(const struct ip *a, const struct ip *b)
{
	for (int i = 0; i < 16; i++) {
		unsigned int differ = a->byte[i] ^ b->byte[i];

		if (differ)
			return i * 8 + __builtin_clz(differ) - 24;
	}
	return 128;
}

static int same_address(const struct goal *g, const struct address *addr)
{
	return ip_equal(&addr->local, g->dst);
}

/* The smallest scope that is enough; if none is, the largest. */
static int good_scope(const struct goal *g, const struct address *addr)
{
	int scope = scope_of(&addr->local);

	return scope >= g->scope ? -scope : scope - 128;
}

static int not_deprecated(const struct goal *g, const struct address *addr)
{
	(void)g;
	return kind_of(&addr->local)->special ||
	       !(addr->flags & (IFA_F_DEPRECATED | IFA_F_OPTIMISTIC));
}

static int same_link(const struct goal *g, const struct address *addr)
{
	return !g->link || addr->link == g->link;
}

static int same_label(const struct goal *g, const struct address *addr)
{
	return kind_of(&addr->local)->label == g->label;
}

static int not_temporary(const struct goal *g, const struct address *addr)
{
	(void)g;
	return !(addr->flags & IFA_F_TEMPORARY);
}

static int both_orchid(const struct goal *g, const struct address *addr)
{
	return (kind_of(&addr->local)->label == 7) == (kind_of(g->dst)->label == 7);
}

static int longest_match(const struct goal *g, const struct address *addr)
{
	int bits = common_bits(&addr->local, g->dst);

	return bits < addr->len ? bits : addr->len;
}

static int not_optimistic(const struct goal *g, const struct address *addr)
{
	(void)g;
	return !(addr->flags & IFA_F_OPTIMISTIC);
}

/* RFC 6724, section 5, in the kernel's order; more is better. */
static int (*const scores[])(const struct goal *g, const struct address *addr) = {
	same_address,  good_scope,  not_deprecated, same_link,      same_label,
	not_temporary, both_orchid, longest_match,  not_optimistic,
};

static bool is_better(const struct goal *g, const struct address *addr, const struct address *best)
{
	for (size_t i = 0; i < ARRAY_LEN(scores); i++) {
		int differ = scores[i](g, addr) - scores[i](g, best);

		if (differ)
			return differ > 0;
	}
	return false;
}

static bool may_be_source(const struct address *addr)
{
	if (addr->local.family != AF_INET6 || ip_is_any(&addr->local) || is_multicast(&addr->local))
		return false;
	return !(addr->flags & IFA_F_TENTATIVE) || addr->flags & IFA_F_OPTIMISTIC;
}

/* The kernel goes through the links in their order, and so does a tie. */
struct ip source_by_rfc6724(const struct snapshot *net, int index, const struct ip *dst)
{
	struct goal g = { dst, index, scope_of(dst), kind_of(dst)->label };
	bool this_link = index && (is_multicast(dst) || g.scope <= SCOPE_LINK);
	const struct address *best = NULL;

	for (size_t i = 0; i < net->n_addresses; i++) {
		const struct address *addr = &net->addresses[i];

		if (!may_be_source(addr) || (this_link && addr->link != index))
			continue;
		if (!best || is_better(&g, addr, best))
			best = addr;
	}
	return best ? best->local : (struct ip){ 0 };
}

struct ip source_by_route(const struct snapshot *net, const struct route *r, const struct hop *hop,
			  const struct ip *dst)
{
	if (!ip_is_none(&r->prefsrc))
		return r->prefsrc;
	/* Of a group of next-hop objects IPv6 always asks the first. */
	if (dst->family == AF_INET6 && r->nexthop_id && r->n_hops)
		hop = &r->hops[0];
	if (dst->family == AF_INET6)
		return source_by_rfc6724(net, hop ? hop->link : LINK_LOOPBACK, dst);
	return hop ? by_hop_ipv4(net, r, hop) : (struct ip){ 0 };
}
