/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What becomes of a host when a VPN client connects on it.  That a route of
 * openvpn(8) comes in front of an equal one with the same metric, even in front
 * of the connected one, is what tests/world/test_rehearse.py sees happen.
 */
#include "plan/push.h"

#include "base/text.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* The kernel's own, of IPv6 routes that are given none (IP6_RT_PRIO_USER, _ADDRCONF). */
#define METRIC6_USER      1024
#define METRIC6_CONNECTED 256
/* wg-quick(8): its default table and mark are the port. */
#define WG_TABLE 51820

static uint32_t metric_of(const struct push_route *r)
{
	if (r->dst.ip.family == AF_INET)
		return r->metric;
	if (r->way == PUSH_CONNECTED)
		return METRIC6_CONNECTED;
	return r->metric ? r->metric : METRIC6_USER;
}

const struct route *push_default_route(const struct snapshot *net, sa_family_t family)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < net->n_routes; i++) {
		const struct route *r = &net->routes[i];

		if (r->family == family && r->table == RT_TABLE_MAIN && !r->dst.len &&
		    r->type == RTN_UNICAST && r->n_hops && (!best || r->metric < best->metric))
			best = r;
	}
	return best;
}

/* --- the host's own routes by prefix --------------------------------------- */

static int compare_routes(const void *pa, const void *pb)
{
	const struct route *a = *(const struct route *const *)pa;
	const struct route *b = *(const struct route *const *)pb;
	int order = prefix_compare(&a->dst, &b->dst);

	if (order)
		return order;
	if (a->metric != b->metric)
		return a->metric < b->metric ? -1 : 1;
	return a < b ? -1 : a > b;
}

struct by_prefix {
	const struct route **items;
	size_t n;
};

static struct by_prefix sort_main(struct arena *a, const struct snapshot *host)
{
	struct by_prefix s = { .items = arena_alloc(a, (host->n_routes + 1) * sizeof(*s.items)) };

	for (size_t i = 0; i < host->n_routes; i++)
		if (host->routes[i].table == RT_TABLE_MAIN && !host->routes[i].tos &&
		    !host->routes[i].src.len)
			s.items[s.n++] = &host->routes[i];
	qsort(s.items, s.n, sizeof(*s.items), compare_routes);
	return s;
}

/* The best of the host's routes to @p. */
static const struct route *find_equal(const struct by_prefix *s, const struct prefix *p,
				      const struct route *const **ret_end)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (prefix_compare(&s->items[mid]->dst, p) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	for (high = low; high < s->n && prefix_equal(&s->items[high]->dst, p); high++)
		;
	*ret_end = &s->items[high];
	return low < high ? s->items[low] : NULL;
}

static bool has_metric(const struct route *const *end, const struct route *first,
		       const struct by_prefix *s, uint32_t metric)
{
	while (end-- != s->items) {
		if ((*end)->metric == metric)
			return true;
		if (*end == first)
			break;
	}
	return false;
}

static enum push_outcome judge(const struct by_prefix *s, const struct push *push,
			       const struct push_route *r, const struct route *gateway)
{
	const struct route *const *end;
	const struct route *equal = find_equal(s, &r->dst, &end);
	uint32_t metric = metric_of(r);
	bool first;

	if (r->way == PUSH_AROUND && !gateway)
		return PUSH_NO_GATEWAY;
	if (!equal)
		return PUSH_STANDS;
	if (push->tie == PUSH_REFUSED && r->way != PUSH_CONNECTED &&
	    has_metric(end, equal, s, metric))
		return PUSH_NOT_TAKEN;
	first = metric < equal->metric || (metric == equal->metric && r->dst.ip.family == AF_INET &&
					   r->way != PUSH_CONNECTED);
	return first ? PUSH_WINS : PUSH_LOSES;
}

/* --- the host with the push -------------------------------------------------- */

static int free_index(const struct snapshot *net)
{
	int max = LINK_LOOPBACK;

	for (size_t i = 0; i < net->n_links; i++)
		if (net->links[i].index > max)
			max = net->links[i].index;
	return max + 1;
}

static void add_link(struct arena *a, struct snapshot *net, const char *name, int index)
{
	struct link *links = arena_alloc(a, (net->n_links + 1) * sizeof(*links));
	struct link *l = &links[net->n_links];

	if (net->n_links)
		memcpy(links, net->links, net->n_links * sizeof(*links));
	l->index = index;
	strncpy(l->name, name, sizeof(l->name) - 1);
	memcpy(l->kind, "tun", 4);
	l->flags = IFF_UP | IFF_RUNNING | IFF_LOWER_UP | IFF_POINTOPOINT | IFF_NOARP;
	l->mtu = 1500;
	net->links = links;
	net->cap_links = ++net->n_links;
}

static void add_addresses(struct arena *a, struct snapshot *net, const struct push *push, int link)
{
	size_t n = net->n_addresses + push->n_addresses;
	struct address *all = arena_alloc(a, (n + 1) * sizeof(*all));

	if (net->n_addresses)
		memcpy(all, net->addresses, net->n_addresses * sizeof(*all));
	for (size_t i = 0; i < push->n_addresses; i++)
		all[net->n_addresses + i] = (struct address){ .link = link,
							      .local = push->addresses[i].ip,
							      .len = push->addresses[i].len };
	net->addresses = all;
	net->n_addresses = net->cap_addresses = n;
}

static struct route by_link(struct arena *a, const struct prefix *dst, int link, uint32_t table,
			    uint32_t metric)
{
	struct route r = { .family = dst->ip.family,
			   .type = RTN_UNICAST,
			   .table = table,
			   .metric = metric,
			   .dst = *dst,
			   .n_hops = 1 };

	r.protocol = RTPROT_BOOT;
	r.hops = arena_new(a, struct hop);
	r.hops[0] = (struct hop){ .link = link, .weight = 1 };
	return r;
}

static struct route local_route(struct arena *a, const struct ip *ip, int link)
{
	struct prefix p = prefix_host(ip);
	struct route r = by_link(a, &p, link, RT_TABLE_LOCAL, 0);

	r.type = RTN_LOCAL;
	r.scope = ip->family == AF_INET ? RT_SCOPE_HOST : RT_SCOPE_UNIVERSE;
	r.protocol = RTPROT_KERNEL;
	r.prefsrc = ip->family == AF_INET ? *ip : (struct ip){ 0 };
	return r;
}

static struct route pushed_route(struct arena *a, const struct push *push,
				 const struct push_route *p, int link, const struct route *gateway)
{
	struct route r;

	if (p->way == PUSH_AROUND) {
		r = *gateway;
		r.dst = p->dst;
		r.metric = metric_of(p);
		return r;
	}
	r = by_link(a, &p->dst, link, push->own_table && !p->dst.len ? WG_TABLE : RT_TABLE_MAIN,
		    metric_of(p));
	if (p->way == PUSH_CONNECTED) {
		r.protocol = RTPROT_KERNEL;
		r.scope = p->dst.ip.family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	}
	return r;
}

/* Among routes that the metric does not tell apart the kernel takes the first in the list. */
static void add_routes(struct arena *a, struct snapshot *net, const struct push *push, int link,
		       const enum push_outcome *results, const struct route *const gateways[2])
{
	size_t n = net->n_routes + push->n_routes + push->n_addresses;
	struct route *all = arena_alloc(a, (n + 1) * sizeof(*all));
	size_t at = 0;

	for (int behind = 0; behind < 2; behind++) {
		for (size_t i = 0; i < push->n_routes; i++) {
			const struct push_route *p = &push->routes[i];
			bool v6 = p->dst.ip.family == AF_INET6;

			if (results[i] == PUSH_NOT_TAKEN || results[i] == PUSH_NO_GATEWAY ||
			    (p->way == PUSH_CONNECTED || v6) != behind)
				continue;
			all[at++] = pushed_route(a, push, p, link, gateways[v6]);
		}
		if (!behind && net->n_routes) {
			memcpy(all + at, net->routes, net->n_routes * sizeof(*all));
			at += net->n_routes;
		}
	}
	for (size_t i = 0; i < push->n_addresses; i++)
		all[at++] = local_route(a, &push->addresses[i].ip, link);
	net->routes = all;
	net->n_routes = net->cap_routes = at;
}

/* As wg-quick(8) does: main without its default first, then its own table. */
static void add_wg_rules(struct arena *a, struct snapshot *net, sa_family_t family)
{
	struct rule *rules = arena_alloc(a, (net->n_rules + 2) * sizeof(*rules));
	uint32_t second = 0;
	size_t seen = 0, n = 0, i;
	struct rule own = { .family = family,
			    .action = FR_ACT_TO_TBL,
			    .table = RT_TABLE_MAIN,
			    .suppress_len = 0,
			    .suppress_group = -1 };

	for (i = 0; i < net->n_rules && seen < 2; i++)
		if (net->rules[i].family == family && seen++ < 2)
			second = net->rules[i].priority;
	own.priority = second > 1 ? second - 2 : 0;
	for (i = 0, seen = 0; i <= net->n_rules; i++) {
		bool mine = i < net->n_rules && net->rules[i].family == family;

		if (seen == 1 && (mine || i == net->n_rules)) {
			rules[n++] = own;
			own.priority = second ? second - 1 : 0;
			own.table = WG_TABLE;
			own.suppress_len = -1;
			own.invert = own.has_mark = true;
			own.mark = WG_TABLE;
			own.mark_mask = UINT32_MAX;
			rules[n++] = own;
		}
		seen += mine;
		if (i < net->n_rules)
			rules[n++] = net->rules[i];
	}
	net->rules = rules;
	net->n_rules = net->cap_rules = n;
}

static bool has_default(const struct push *push, sa_family_t family)
{
	for (size_t i = 0; i < push->n_routes; i++)
		if (push->routes[i].dst.ip.family == family && !push->routes[i].dst.len)
			return true;
	return false;
}

void push_apply(struct arena *a, const struct snapshot *host, const struct push *push,
		struct snapshot *ret, enum push_outcome **ret_results)
{
	enum push_outcome *results = arena_alloc(a, (push->n_routes + 1) * sizeof(*results));
	const struct route *const gateways[] = { push_default_route(host, AF_INET),
						 push_default_route(host, AF_INET6) };
	struct by_prefix sorted = sort_main(a, host);
	int link = free_index(host);

	for (size_t i = 0; i < push->n_routes; i++) {
		const struct push_route *p = &push->routes[i];

		results[i] = judge(&sorted, push, p, gateways[p->dst.ip.family == AF_INET6]);
		/* Another table knows no other default. */
		if (push->own_table && !p->dst.len)
			results[i] = PUSH_STANDS;
	}
	*ret = *host;
	add_link(a, ret, push->link, link);
	add_addresses(a, ret, push, link);
	add_routes(a, ret, push, link, results, gateways);
	for (int v6 = 0; push->own_table && v6 < 2; v6++)
		if (has_default(push, v6 ? AF_INET6 : AF_INET))
			add_wg_rules(a, ret, v6 ? AF_INET6 : AF_INET);
	*ret_results = results;
}

/* --- where pushes come from ---------------------------------------------------- */

static void note_route(struct arena *a, struct push *push, const struct route *r, int tunnel,
		       uint8_t protocol)
{
	bool by_tunnel = r->n_hops && r->hops[0].link == tunnel;
	struct push_route *p;

	if (r->table != RT_TABLE_MAIN || r->type != RTN_UNICAST || !r->n_hops ||
	    (!by_tunnel && (r->protocol == protocol || r->protocol == RTPROT_KERNEL)) ||
	    ip_is_link_local(&r->dst.ip) || r->dst.ip.byte[0] == 0xff)
		return;
	p = arena_push(a, push->routes, push->n_routes, push->cap_routes);
	p->dst = r->dst;
	p->metric = r->metric;
	p->way = !by_tunnel                     ? PUSH_AROUND
		 : r->protocol == RTPROT_KERNEL ? PUSH_CONNECTED
						: PUSH_TUNNEL;
}

void push_from_gate(struct arena *a, const struct snapshot *gate, const char *tunnel,
		    uint8_t protocol, struct push *ret)
{
	const struct link *l = snapshot_link_by_name(gate, tunnel);
	struct push push = { .link = tunnel, .tie = PUSH_IN_FRONT };

	for (size_t i = 0; l && i < gate->n_addresses; i++) {
		const struct address *x = &gate->addresses[i];

		if (x->link == l->index && !ip_is_link_local(&x->local))
			*arena_push(a, push.addresses, push.n_addresses, push.cap_addresses) =
				(struct push_address){ .ip = x->local, .len = x->len };
	}
	for (size_t i = 0; l && i < gate->n_routes; i++)
		note_route(a, &push, &gate->routes[i], l->index, protocol);
	*ret = push;
}

static void add_wg_address(struct arena *a, struct push *push, const struct wg_address *w)
{
	*arena_push(a, push->addresses, push->n_addresses, push->cap_addresses) =
		(struct push_address){ .ip = w->ip, .len = w->len };
	if (w->len < ip_bits(w->ip.family))
		*arena_push(a, push->routes, push->n_routes, push->cap_routes) =
			(struct push_route){ .dst = prefix_of(&w->ip, w->len),
					     .way = PUSH_CONNECTED };
}

void push_from_wg(struct arena *a, const struct wg_conf *conf, struct push *ret)
{
	struct push push = { .link = "wg0", .tie = PUSH_REFUSED, .own_table = true };
	struct ip ip;

	for (size_t i = 0; i < conf->n_addresses; i++)
		add_wg_address(a, &push, &conf->addresses[i]);
	for (size_t i = 0; i < conf->n_peers; i++) {
		const struct wg_peer *peer = &conf->peers[i];

		for (size_t j = 0; j < peer->n_allowed; j++)
			*arena_push(a, push.routes, push.n_routes, push.cap_routes) =
				(struct push_route){ .dst = peer->allowed[j] };
		if (peer->endpoint_host && ip_parse(peer->endpoint_host, &ip))
			*arena_push(a, push.servers, push.n_servers, push.cap_servers) = ip;
	}
	push.dns = conf->dns;
	push.n_dns = push.cap_dns = conf->n_dns;
	*ret = push;
}

const char *push_tun_name(struct arena *a, const struct snapshot *host)
{
	const char *name;
	int i = 0;

	do
		name = arena_printf(a, "tun%d", i++);
	while (snapshot_link_by_name(host, name));
	return name;
}
