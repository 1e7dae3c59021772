/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UNIT_NET_H
#define TESTS_UNIT_NET_H

/* A network built line by line; the tests' cases add what they are about. */

#include "base/arena.h"
#include "model/snapshot.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

enum { LO = 1, ETH0, TUN0 };

/* A network under construction; each line of a test adds one thing to it. */
struct net {
	struct arena a;
	struct snapshot s;
};

static struct ip ip(const char *text)
{
	struct ip x = { 0 };

	assert_true(!text || ip_parse(text, &x));
	return x;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, true, &p));
	return p;
}

static void link_add(struct net *n, int index, const char *name, uint32_t flags)
{
	struct link *l = arena_push(&n->a, n->s.links, n->s.n_links, n->s.cap_links);

	l->index = index;
	l->flags = IFF_UP | IFF_LOWER_UP | flags;
	strcpy(l->name, name);
}

static struct rule *rule_add(struct net *n, sa_family_t family, uint32_t priority, uint32_t table)
{
	struct rule *r = arena_push(&n->a, n->s.rules, n->s.n_rules, n->s.cap_rules);

	*r = (struct rule){ .family = family,
			    .priority = priority,
			    .table = table,
			    .action = FR_ACT_TO_TBL,
			    .suppress_len = -1,
			    .suppress_group = -1 };
	return r;
}

static struct route *route_add(struct net *n, uint32_t table, uint8_t type, const char *dst,
			       int link, const char *via)
{
	struct route *r = arena_push(&n->a, n->s.routes, n->s.n_routes, n->s.cap_routes);

	*r = (struct route){ .type = type, .table = table, .dst = prefix(dst) };
	r->family = r->dst.ip.family;
	if (!link)
		return r;
	r->hops = arena_new(&n->a, struct hop);
	r->hops[0] = (struct hop){ .link = link, .via = ip(via), .weight = 1 };
	r->n_hops = 1;
	if (r->family == AF_INET && !via)
		r->scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK;
	return r;
}

static void address_add(struct net *n, int link, const char *text)
{
	struct address *a = arena_push(&n->a, n->s.addresses, n->s.n_addresses, n->s.cap_addresses);
	struct prefix p = prefix(text);
	char plain[PREFIX_TEXT_SIZE];

	snprintf(plain, sizeof(plain), "%s", text);
	*strchr(plain, '/') = 0;
	*a = (struct address){ .link = link, .local = ip(plain), .len = p.len };
	snprintf(plain + strlen(plain), 5, "/%u", ip_bits(a->local.family));
	route_add(n, RT_TABLE_LOCAL, RTN_LOCAL, plain, link, NULL);
	route_add(n, RT_TABLE_MAIN, RTN_UNICAST, text, link, NULL)->protocol = RTPROT_KERNEL;
}

/* A host on a LAN with a tunnel: 192.168.1.5 by eth0, 10.8.0.2 by tun0. */
static inline struct net host(void)
{
	struct net n = { 0 };

	link_add(&n, LO, "lo", IFF_LOOPBACK);
	link_add(&n, ETH0, "eth0", IFF_BROADCAST);
	link_add(&n, TUN0, "tun0", IFF_POINTOPOINT);
	address_add(&n, ETH0, "192.168.1.5/24");
	address_add(&n, TUN0, "10.8.0.2/24");
	address_add(&n, ETH0, "2001:db8:1::5/64");
	address_add(&n, TUN0, "fd00:8::2/64");
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.1");
	route_add(&n, RT_TABLE_MAIN, RTN_UNICAST, "::/0", ETH0, "fe80::1");
	for (int i = 0; i < 2; i++) {
		rule_add(&n, i ? AF_INET6 : AF_INET, 0, RT_TABLE_LOCAL);
		rule_add(&n, i ? AF_INET6 : AF_INET, 32766, RT_TABLE_MAIN);
	}
	rule_add(&n, AF_INET, 32767, RT_TABLE_DEFAULT);
	return n;
}

static void net_free(struct net *n)
{
	arena_free(&n->a);
}
#define CLEANUP_NET __attribute__((cleanup(net_free)))

#endif
