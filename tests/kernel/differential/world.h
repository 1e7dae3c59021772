/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DIFFERENTIAL_WORLD_H
#define DIFFERENTIAL_WORLD_H

/*
 * Random networks and random packets as values.  Few different addresses,
 * lengths, metrics and tables, so that they meet.
 */
#include "random.h"

#include "base/arena.h"
#include "base/text.h"
#include "fib/flow.h"
#include "model/snapshot.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define WORLD_OBJECTS 400
#define WORLD_HOPS    4

struct nexthop {
	uint32_t id;
	sa_family_t family;
	bool blackhole;
	struct hop hop;
	uint32_t members[WORLD_HOPS]; /* ids; of a group */
	size_t n_members;
};

/* What is asked of the kernel; it may say no to any of it. */
struct plan {
	struct address addresses[WORLD_OBJECTS];
	size_t n_addresses;
	struct nexthop nexthops[WORLD_OBJECTS];
	size_t n_nexthops;
	struct route routes[WORLD_OBJECTS];
	struct hop hops[WORLD_OBJECTS][WORLD_HOPS];
	bool append[WORLD_OBJECTS];
	size_t n_routes;
	struct rule rules[WORLD_OBJECTS];
	size_t n_rules;
	bool drop_main[2], drop_default; /* rules of the kernel to take away */
};

static inline struct ip world_ip4(uint32_t word)
{
	return (struct ip){ AF_INET,
			    { (uint8_t)(word >> 24), (uint8_t)(word >> 16), (uint8_t)(word >> 8),
			      (uint8_t)word } };
}

static inline struct ip world_ip(struct dice *d, sa_family_t family)
{
	static const uint8_t hosts[] = { 0, 1, 2, 3, 127, 128, 254, 255 };
	struct ip ip = { family, { 0 } };

	if (family == AF_INET) {
		ip.byte[0] = dice_percent(d, 90) ? 10 : 172;
		ip.byte[1] = (uint8_t)dice_below(d, 3);
		ip.byte[2] = (uint8_t)dice_below(d, 3);
		ip.byte[3] = DICE_PICK(d, hosts);
		return ip;
	}
	ip.byte[0] = dice_percent(d, 85) ? 0x20 : 0xfd;
	ip.byte[1] = ip.byte[0] == 0x20 ? 0x01 : 0;
	ip.byte[2] = 0x0d;
	ip.byte[3] = 0xb8;
	ip.byte[5] = (uint8_t)dice_below(d, 3);
	ip.byte[7] = (uint8_t)dice_below(d, 3);
	ip.byte[8] = dice_percent(d, 10) ? 0x80 : 0;
	ip.byte[15] = DICE_PICK(d, hosts);
	return ip;
}

static inline struct prefix world_prefix(struct dice *d, sa_family_t family)
{
	static const uint8_t lens4[] = { 0, 0, 1, 8, 12, 16, 16, 24, 24, 24, 25, 30, 31, 32, 32 };
	static const uint8_t lens6[] = {
		0, 0, 1, 16, 32, 48, 48, 64, 64, 64, 65, 96, 127, 128, 128
	};
	struct ip ip = world_ip(d, family);

	return prefix_of(&ip, family == AF_INET ? DICE_PICK(d, lens4) : DICE_PICK(d, lens6));
}

static inline int world_link(struct dice *d, const struct snapshot *base)
{
	/* Some links more than others, so that they get several addresses. */
	uint32_t among = dice_percent(d, 40) && base->n_links > 4 ? 4 : (uint32_t)base->n_links;

	return base->links[dice_below(d, among)].index;
}

static inline bool world_link_up(const struct snapshot *base, int index)
{
	const struct link *l = snapshot_link_by_index(base, index);

	return l && l->flags & IFF_UP;
}

static inline void world_add_address(struct dice *d, const struct snapshot *base, struct plan *p)
{
	static const uint8_t lens4[] = { 8, 16, 24, 24, 24, 25, 30, 31, 32 };
	static const uint8_t lens6[] = { 32, 48, 64, 64, 64, 127, 128 };
	static const uint8_t scopes[] = { RT_SCOPE_UNIVERSE, RT_SCOPE_UNIVERSE, RT_SCOPE_UNIVERSE,
					  RT_SCOPE_LINK, RT_SCOPE_HOST };
	sa_family_t family = dice_percent(d, 50) ? AF_INET : AF_INET6;
	struct address *a = &p->addresses[p->n_addresses++];

	*a = (struct address){ .link = world_link(d, base), .local = world_ip(d, family) };
	a->len = family == AF_INET ? DICE_PICK(d, lens4) : DICE_PICK(d, lens6);
	/* The first bytes of 2001:db8::, should somebody take them for IPv4. */
	if (family == AF_INET && dice_percent(d, 8)) {
		a->local = world_ip4(0x20010d00 + dice_below(d, 255));
		a->len = 24;
	}
	if (family == AF_INET)
		a->scope = DICE_PICK(d, scopes);
	else
		a->flags = IFA_F_NODAD;
	if (family == AF_INET6 && dice_percent(d, 20)) {
		a->local = (struct ip){ AF_INET6, { 0xfe, 0x80 } };
		a->local.byte[15] = (uint8_t)(1 + dice_below(d, 9));
		a->len = 64;
		a->scope = RT_SCOPE_LINK;
	}
	if (dice_percent(d, 10))
		a->flags |= IFA_F_NOPREFIXROUTE;
	if (dice_percent(d, 15))
		a->metric = 1 + dice_below(d, 3) * 50;
	if (family == AF_INET && dice_percent(d, 10))
		a->peer = world_ip(d, family);
}

static inline struct ip world_gateway(struct dice *d, const struct plan *p, int link,
				      sa_family_t family)
{
	struct ip ip;
	size_t from;

	if (family == AF_INET6 && dice_percent(d, 40)) {
		ip = (struct ip){ AF_INET6, { 0xfe, 0x80 } };
		ip.byte[15] = (uint8_t)(0x10 + dice_below(d, 9));
		return ip;
	}
	from = p->n_addresses ? dice_below(d, (uint32_t)p->n_addresses) : 0;
	for (size_t i = 0; i < p->n_addresses; i++) {
		const struct address *a = &p->addresses[(from + i) % p->n_addresses];

		if (a->link != link || a->local.family != family)
			continue;
		ip = a->local;
		ip.byte[ip_bits(family) / 8 - 1] ^= (uint8_t)(1 + dice_below(d, 3));
		return ip;
	}
	return world_ip(d, family);
}

static inline struct hop world_hop(struct dice *d, const struct snapshot *base,
				   const struct plan *p, sa_family_t family)
{
	struct hop h = { .link = world_link(d, base), .weight = 1 };

	if (dice_percent(d, h.link == LINK_LOOPBACK ? 10 : 60)) {
		/* IPv4 may go by an IPv6 gateway. */
		sa_family_t via = family == AF_INET && dice_percent(d, 10) ? AF_INET6 : family;

		h.via = world_gateway(d, p, h.link, via);
		if (dice_percent(d, 30))
			h.flags = RTNH_F_ONLINK;
	}
	return h;
}

static inline void world_add_nexthop(struct dice *d, const struct snapshot *base, struct plan *p)
{
	struct nexthop *n = &p->nexthops[p->n_nexthops++];

	*n = (struct nexthop){ .id = (uint32_t)p->n_nexthops };
	n->family = dice_percent(d, 50) ? AF_INET : AF_INET6;
	if (p->n_nexthops > 6 && dice_percent(d, 35)) {
		for (uint32_t id = 1; id < n->id && n->n_members < 3; id++)
			if (p->nexthops[id - 1].family == n->family &&
			    !p->nexthops[id - 1].n_members && dice_percent(d, 50))
				n->members[n->n_members++] = id;
		if (n->n_members)
			return;
	}
	n->blackhole = dice_percent(d, 10);
	if (!n->blackhole)
		n->hop = world_hop(d, base, p, n->family);
}

static inline struct ip world_own(struct dice *d, const struct plan *p, sa_family_t family)
{
	for (int tries = 0; tries < 10 && p->n_addresses; tries++) {
		const struct address *a = &p->addresses[dice_below(d, (uint32_t)p->n_addresses)];

		if (a->local.family == family)
			return a->local;
	}
	return world_ip(d, family);
}

static inline uint8_t world_type(struct dice *d, sa_family_t family)
{
	static const uint8_t odd[] = {
		RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT,  RTN_THROW,
		RTN_THROW,     RTN_LOCAL,       RTN_BROADCAST, RTN_MULTICAST
	};
	uint8_t type = dice_percent(d, 70) ? RTN_UNICAST : DICE_PICK(d, odd);

	return family == AF_INET6 && type == RTN_BROADCAST ? RTN_ANYCAST : type;
}

static inline bool world_has_way(uint8_t type)
{
	return type != RTN_BLACKHOLE && type != RTN_UNREACHABLE && type != RTN_PROHIBIT &&
	       type != RTN_THROW;
}

static inline uint32_t world_table(struct dice *d)
{
	static const uint32_t tables[] = { 254, 254, 254, 254, 253, 100, 100, 101, 102, 1000, 255 };

	return DICE_PICK(d, tables);
}

static inline void world_choose_way(struct dice *d, const struct snapshot *base, struct plan *p,
				    struct route *r, struct hop *hops)
{
	uint32_t n = dice_percent(d, 15) ? 2 + dice_below(d, 2) : 1;

	if (!world_has_way(r->type))
		return;
	if (p->n_nexthops && r->type == RTN_UNICAST && dice_percent(d, 20)) {
		r->nexthop_id = 1 + dice_below(d, (uint32_t)p->n_nexthops);
		return;
	}
	if (r->type == RTN_LOCAL || r->type == RTN_ANYCAST)
		n = 1;
	for (uint32_t i = 0; i < n; i++) {
		hops[i] = world_hop(d, base, p, r->family);
		if (r->type != RTN_UNICAST)
			hops[i].via = (struct ip){ 0 };
		hops[i].weight = n > 1 ? 1 + dice_below(d, 3) : 1;
	}
	r->hops = hops;
	r->n_hops = n;
}

static inline void world_add_route(struct dice *d, const struct snapshot *base, struct plan *p)
{
	static const uint32_t metrics[] = { 0, 0, 0, 1, 50, 100, 1024, 4000000000 };
	static const uint8_t prefs[] = { 0, 0, 1, 3 };
	size_t at = p->n_routes++;
	struct route *r = &p->routes[at];

	*r = (struct route){ .family = dice_percent(d, 50) ? AF_INET : AF_INET6,
			     .protocol = RTPROT_STATIC,
			     .table = world_table(d) };
	r->type = world_type(d, r->family);
	r->dst = world_prefix(d, r->family);
	if (r->type == RTN_MULTICAST && dice_percent(d, 50)) {
		r->dst.ip.byte[0] = r->family == AF_INET ? 0xe0 : 0xff;
		r->dst = prefix_of(&r->dst.ip, r->dst.len);
	}
	/* In local little, or nothing else would ever be asked. */
	if (r->table == RT_TABLE_LOCAL && r->dst.len < 16)
		r->table = RT_TABLE_MAIN;
	r->metric = DICE_PICK(d, metrics);
	if (r->family == AF_INET && dice_percent(d, 15))
		r->tos = (uint8_t)(4 << dice_below(d, 3));
	if (r->family == AF_INET6 && dice_percent(d, 15)) {
		r->src = world_prefix(d, AF_INET6);
		if (!r->src.len)
			r->src = (struct prefix){ 0 };
	}
	world_choose_way(d, base, p, r, p->hops[at]);
	/*
	 * What is local where gateways are looked up makes gateways ours; whether
	 * it was so when the gateway was given is no longer to be seen.
	 */
	if (r->family == AF_INET && r->type == RTN_LOCAL)
		r->hops[0].link = LINK_LOOPBACK;
	p->append[at] = dice_percent(d, 60);
	/*
	 * IPv6 joins appended routes by gateways into one of several hops,
	 * each with its own source and preference: not among these.
	 */
	if (!p->append[at] || (r->n_hops == 1 && ip_is_none(&r->hops[0].via))) {
		if (dice_percent(d, 25) && world_has_way(r->type))
			r->prefsrc = world_own(d, p, r->family);
		/* A route that refuses, or is by lo, forgets its preference. */
		if (r->family == AF_INET6 && r->n_hops && r->hops[0].link != LINK_LOOPBACK &&
		    dice_percent(d, 40))
			r->pref = DICE_PICK(d, prefs);
	}
	if (r->family == AF_INET6 && (!ip_is_none(&r->prefsrc) || r->pref))
		r->metric = 77;
	else if (r->family == AF_INET6 && !r->metric)
		r->metric = 1024;
	/*
	 * The kernel lists routes by gateways of one metric as one, and leaves
	 * out what stands between them.
	 */
	if (r->family == AF_INET6 && r->metric != 77 &&
	    (r->nexthop_id || !r->n_hops || ip_is_none(&r->hops[0].via)))
		r->metric += 5;
	if (r->family == AF_INET && r->n_hops && r->type != RTN_LOCAL &&
	    ip_is_none(&r->hops[0].via))
		r->scope = RT_SCOPE_LINK;
	if (r->family == AF_INET && r->type == RTN_LOCAL)
		r->scope = RT_SCOPE_HOST;
}

static inline void world_name(struct dice *d, const struct snapshot *base, char *name)
{
	if (dice_percent(d, 10))
		strcpy(name, "nolink");
	else
		strcpy(name, base->links[dice_below(d, (uint32_t)base->n_links)].name);
}

static inline struct rule_range world_range(struct dice *d, uint32_t from, uint32_t spread)
{
	uint32_t first = from + dice_below(d, spread);

	return (struct rule_range){ first, first + dice_below(d, spread) };
}

/*
 * Before Linux 6.15 a rule's dscp, flow label or mask of ports is taken without
 * a word and forgotten.
 */
static inline bool world_kernel_forgets(uint32_t selector)
{
	static int forgets = -1;
	struct utsname u;
	int major = 0, minor = 0;

	if (forgets < 0 && uname(&u) == 0 && sscanf(u.release, "%d.%d", &major, &minor) == 2)
		forgets = major < 6 || (major == 6 && minor < 15);
	return forgets > 0 && (selector == 14 || selector == 15 || selector == 20);
}

/* One selector, by its number: each has its generator. */
static inline void world_select(struct dice *d, const struct snapshot *base, struct plan *p,
				struct rule *r, uint32_t which)
{
	if (world_kernel_forgets(which))
		return;
	switch (which) {
	case 0:
	case 1:
		r->from = world_prefix(d, r->family);
		break;
	case 2:
	case 3:
		r->to = world_prefix(d, r->family);
		break;
	case 4:
		r->from = prefix_host(&(struct ip){ r->family, { 0 } });
		break;
	case 5:
		world_name(d, base, r->iif);
		break;
	case 6:
		world_name(d, base, r->oif);
		break;
	case 7:
	case 8:
		r->has_mark = true;
		r->mark = dice_below(d, 4);
		r->mark_mask = dice_percent(d, 50) ? UINT32_MAX : 1 + dice_below(d, 3);
		break;
	case 9:
		r->ip_proto = dice_percent(d, 50) ? IPPROTO_TCP : IPPROTO_UDP;
		break;
	case 10:
		r->has_sport = true;
		r->sport = world_range(d, 20, 6);
		break;
	case 11:
		r->has_dport = true;
		r->dport = world_range(d, 20, 6);
		break;
	case 12:
		r->has_uid = true;
		r->uid = world_range(d, 0, 3);
		break;
	case 13:
		r->tos = (uint8_t)(4 << dice_below(d, 3));
		break;
	case 14:
		r->has_dscp = true;
		r->dscp = (uint8_t)dice_below(d, 64);
		r->dscp_mask = (uint8_t)(dice_percent(d, 50) ? 0 : 1 + dice_below(d, 7));
		r->dscp &= r->dscp_mask ? r->dscp_mask : 0x3f;
		break;
	case 15:
		r->has_dport = true;
		r->dport = (struct rule_range){ 20, 20 };
		r->dport_mask = (uint16_t)(0xfffc | dice_below(d, 4));
		r->dport.first &= r->dport_mask;
		r->dport.last = r->dport.first;
		break;
	case 16:
		r->l3mdev = true;
		r->table = 0;
		break;
	case 17:
		r->find_saddr = r->family == AF_INET6;
		r->from.ip = world_own(d, p, r->family);
		r->from = prefix_of(&r->from.ip, dice_percent(d, 50) ? 16 : 32);
		if (r->action == FR_ACT_TO_TBL && dice_percent(d, 50))
			r->suppress_len = 64;
		break;
	case 18:
		r->from = prefix_host(&(struct ip){ 0 });
		r->from.ip = world_own(d, p, r->family);
		r->from = prefix_host(&r->from.ip);
		break;
	case 19:
		r->tun_id = 1 + dice_below(d, 2);
		break;
	case 20:
		if (r->family != AF_INET6)
			break;
		r->flowlabel_mask = 1 + dice_below(d, 3);
		r->flowlabel = dice_below(d, 4) & r->flowlabel_mask;
		break;
	}
}

static inline void world_add_rule(struct dice *d, const struct snapshot *base, struct plan *p)
{
	static const uint32_t priorities[] = { 0, 0, 10, 20, 30, 40, 100, 200, 32765, 32766, 32768 };
	static const uint32_t tables[] = { 254, 254, 253, 100, 100, 101, 102, 1000, 255, 4242 };
	static const uint8_t actions[] = { FR_ACT_GOTO,      FR_ACT_GOTO,        FR_ACT_NOP,
					   FR_ACT_BLACKHOLE, FR_ACT_UNREACHABLE, FR_ACT_PROHIBIT };
	struct rule *r = &p->rules[p->n_rules++];
	uint32_t selectors = dice_below(d, 4);

	*r = (struct rule){ .family = dice_percent(d, 50) ? AF_INET : AF_INET6,
			    .priority = DICE_PICK(d, priorities),
			    .action = FR_ACT_TO_TBL,
			    .protocol = RTPROT_STATIC,
			    .suppress_len = -1,
			    .suppress_group = -1 };
	if (dice_percent(d, 25))
		r->action = DICE_PICK(d, actions);
	if (r->action == FR_ACT_TO_TBL)
		r->table = DICE_PICK(d, tables);
	if (r->action == FR_ACT_GOTO)
		r->target = DICE_PICK(d, priorities) + dice_below(d, 2) * 10;
	if (r->action != FR_ACT_TO_TBL && r->action != FR_ACT_GOTO && !selectors)
		selectors = 1;
	if (r->action == FR_ACT_TO_TBL && dice_percent(d, 30)) {
		static const uint8_t lens[] = { 0, 0, 8, 16, 24, 32, 64 };

		r->suppress_len = DICE_PICK(d, lens);
	}
	if (r->action == FR_ACT_TO_TBL && dice_percent(d, 25))
		r->suppress_group = (int)dice_below(d, 3);
	r->invert = dice_percent(d, 15);
	for (uint32_t i = 0; i < selectors; i++)
		world_select(d, base, p, r, dice_below(d, 21));
}

static inline void world_plan(struct dice *d, const struct snapshot *base, bool pristine,
			      struct plan *p)
{
	uint32_t size = 1 + dice_below(d, 3);
	uint32_t n;

	memset(p, 0, sizeof(*p));
	for (n = 2 + dice_below(d, 6 * size); n; n--)
		world_add_address(d, base, p);
	for (n = dice_below(d, 12); n; n--)
		world_add_nexthop(d, base, p);
	for (n = dice_below(d, 100 * size); n; n--)
		world_add_route(d, base, p);
	if (pristine)
		return;
	for (n = dice_below(d, 12 * size); n; n--)
		world_add_rule(d, base, p);
	p->drop_main[0] = dice_percent(d, 20);
	/* That counts only where some other rule ever stood. */
	p->drop_main[1] = p->n_rules > 10 && dice_percent(d, 20);
	p->drop_default = dice_percent(d, 20);
}

static inline struct flow world_flow(struct dice *d, const struct snapshot *net,
				     const struct plan *p, sa_family_t family)
{
	static const uint8_t protos[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct flow f = { .dst = world_ip(d, family) };

	if (dice_percent(d, 5)) {
		f.dst.byte[0] = family == AF_INET ? 0xe0 : 0xff;
		f.dst.byte[1] = family == AF_INET ? (uint8_t)dice_below(d, 2) : 0x02;
	} else if (dice_percent(d, 5)) {
		f.dst.byte[0] = family == AF_INET ? 127 : 0xfe;
		f.dst.byte[1] = family == AF_INET ? 0 : 0x80;
	} else if (dice_percent(d, 10)) {
		f.dst = world_own(d, p, family);
	} else if (dice_percent(d, 1) && family == AF_INET) {
		f.dst = world_ip4(dice_percent(d, 50) ? UINT32_MAX : 0);
	}
	/* Multicast from outside is the multicast router's to answer. */
	if (dice_percent(d, 20) && f.dst.byte[0] != 0xff)
		f.iif = world_link(d, net);
	/* What comes in by lo was routed when it was sent. */
	if (f.iif == LINK_LOOPBACK)
		f.iif = 0;
	if (!f.iif && dice_percent(d, 20))
		f.oif = world_link(d, net);
	if (f.iif || dice_percent(d, 15))
		f.src = world_ip(d, family);
	else if (dice_percent(d, 35))
		f.src = world_own(d, p, family);
	if (!f.iif && family == AF_INET && dice_percent(d, 2))
		f.src = world_ip4(0x7f000001);
	f.mark = dice_percent(d, 50) ? 0 : dice_below(d, 5);
	f.uid = dice_below(d, 5);
	f.tos = (uint8_t)(dice_percent(d, 50) ? 0 : dice_below(d, 64) << 2);
	f.proto = DICE_PICK(d, protos);
	if (family == AF_INET6)
		f.flowlabel = dice_below(d, 4);
	f.sport = (uint16_t)(dice_percent(d, 20) ? 0 : 18 + dice_below(d, 14));
	f.dport = (uint16_t)(dice_percent(d, 20) ? 0 : 18 + dice_below(d, 14));
	return f;
}

#endif
