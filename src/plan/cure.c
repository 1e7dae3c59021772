/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/cure.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define METRIC6 1024 /* what ip-route(8) gives an IPv6 route */

uint32_t cure_free_table(const struct snapshot *net, uint32_t first)
{
	for (size_t i = 0; i < net->n_routes; i++)
		if (net->routes[i].table == first)
			return cure_free_table(net, first + 1);
	for (size_t i = 0; i < net->n_rules; i++)
		if (net->rules[i].table == first)
			return cure_free_table(net, first + 1);
	return first;
}

struct prefix cure_network_of(const struct snapshot *net, const struct ip *ip, int index)
{
	for (size_t i = 0; i < net->n_addresses; i++)
		if (net->addresses[i].link == index && ip_equal(&net->addresses[i].local, ip) &&
		    net->addresses[i].len < ip_bits(ip->family))
			return prefix_of(ip, net->addresses[i].len);
	return (struct prefix){ 0 };
}

static struct rule cure_rule(const struct cure *c)
{
	struct rule r = { .family = c->family,
			  .action = FR_ACT_TO_TBL,
			  .protocol = RTPROT_BOOT,
			  .table = c->table,
			  .suppress_len = -1,
			  .suppress_group = -1,
			  .from = c->from,
			  .to = c->to };

	if (c->iif)
		snprintf(r.iif, sizeof(r.iif), "%s", c->iif);
	return r;
}

static struct route cure_route(struct arena *a, const struct cure *c, const struct prefix *dst,
			       const struct ip *via, int link)
{
	bool narrow = ip_is_none(via) && c->family == AF_INET;
	struct route r = { .family = c->family,
			   .type = RTN_UNICAST,
			   .scope = narrow ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
			   .table = c->table,
			   .metric = c->family == AF_INET6 ? METRIC6 : 0,
			   .dst = *dst,
			   .n_hops = 1 };

	r.hops = arena_new(a, struct hop);
	r.hops[0] = (struct hop){ .link = link, .via = *via, .weight = 1 };
	return r;
}

/* Index of the first rule that the kernel asks after a new one of priority 0. */
static size_t place_of(const struct snapshot *net, sa_family_t family)
{
	size_t at = 0;

	for (size_t i = 0; i < net->n_rules; i++)
		if (net->rules[i].family == family && net->rules[i].priority == 0)
			at = i + 1;
	return at;
}

static void add_rule(struct snapshot *net, const struct cure *c)
{
	size_t at = place_of(net, c->family);

	memmove(&net->rules[at + 1], &net->rules[at], (net->n_rules - at) * sizeof(*net->rules));
	net->rules[at] = cure_rule(c);
	net->n_rules++;
}

static void add_routes(struct arena *a, struct snapshot *net, const struct cure *c)
{
	const struct link *l = snapshot_link_by_name(net, c->link);
	struct prefix all = { .ip.family = c->family };

	if (c->onlink.ip.family)
		net->routes[net->n_routes++] =
			cure_route(a, c, &c->onlink, &(struct ip){ 0 }, l->index);
	if (!ip_is_none(&c->gateway) || !c->onlink.ip.family)
		net->routes[net->n_routes++] = cure_route(a, c, &all, &c->gateway, l->index);
}

struct snapshot cure_apply(struct arena *a, const struct snapshot *net, const struct cure *cures,
			   size_t n)
{
	struct snapshot cured = *net;

	cured.cap_rules = net->n_rules + n + 1;
	cured.cap_routes = net->n_routes + 2 * n + 1;
	cured.rules = arena_alloc(a, cured.cap_rules * sizeof(*cured.rules));
	cured.routes = arena_alloc(a, cured.cap_routes * sizeof(*cured.routes));
	if (net->n_rules)
		memcpy(cured.rules, net->rules, net->n_rules * sizeof(*cured.rules));
	if (net->n_routes)
		memcpy(cured.routes, net->routes, net->n_routes * sizeof(*cured.routes));
	for (size_t i = 0; i < n; i++) {
		add_rule(&cured, &cures[i]);
		add_routes(a, &cured, &cures[i]);
	}
	return cured;
}
