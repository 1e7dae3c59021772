/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a VPN would break, against an oracle that keeps no sets and no tree: it
 * goes through all routes for each address of a small world, before and after.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "plan/clash.h"
#include "random.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>

#define ROUNDS      1500
#define BITS        7 /* the last bits of an address that vary */
#define WORLD       (1u << BITS)
#define TUNNEL      1000 /* to the oracle */
#define SPECIAL     77 /* a table of its own, for one source */
#define PORT        22
#define OTHER_PORT  80
#define CLIENT_PORT 40000

static struct dice dice = { .state = 1 };

static uint32_t below(uint32_t n)
{
	return roll_below(&dice, n);
}

/* --- a random host and a random push ------------------------------------------- */

struct scene {
	struct arena a;
	sa_family_t family;
	struct snapshot host;
	struct push push;
	struct socket_seen *sockets;
	size_t n_sockets, cap_sockets;
	bool special; /* a rule gives the first local address a table of its own */
	struct ip local[2];
};

static struct ip address(sa_family_t family, unsigned int n)
{
	struct ip ip = { .family = family, .byte = { 10 } };

	if (family == AF_INET6)
		ip.byte[0] = 0xfd;
	ip.byte[ip_bits(family) / 8 - 1] = (uint8_t)n;
	return ip;
}

static struct prefix some_prefix(sa_family_t family)
{
	struct ip ip = address(family, below(WORLD));

	return prefix_of(&ip, ip_bits(family) - below(BITS + 1));
}

static void add_route(struct scene *s, uint32_t table, struct prefix dst, uint32_t metric, int link,
		      struct ip via)
{
	struct route *r = arena_push(&s->a, s->host.routes, s->host.n_routes, s->host.cap_routes);

	r->family = s->family;
	r->type = RTN_UNICAST;
	r->table = table;
	r->dst = dst;
	r->metric = metric;
	r->n_hops = 1;
	r->hops = arena_new(&s->a, struct hop);
	r->hops[0] = (struct hop){ .link = link, .via = via, .weight = 1 };
}

static void add_rule(struct scene *s, uint32_t priority, uint32_t table, struct prefix from)
{
	struct rule *r = arena_push(&s->a, s->host.rules, s->host.n_rules, s->host.cap_rules);

	*r = (struct rule){ .family = s->family,
			    .action = FR_ACT_TO_TBL,
			    .priority = priority,
			    .table = table,
			    .suppress_len = -1,
			    .suppress_group = -1,
			    .from = from };
}

static void add_link(struct scene *s, int index, const char *name)
{
	struct link *l = arena_push(&s->a, s->host.links, s->host.n_links, s->host.cap_links);

	l->index = index;
	snprintf(l->name, sizeof(l->name), "%s", name);
	l->flags = IFF_UP | IFF_LOWER_UP | IFF_RUNNING |
		   (index == LINK_LOOPBACK ? IFF_LOOPBACK : 0);
	l->mtu = 1500;
}

/* Local addresses stand outside the world, so that all of the world is peers. */
static void add_locals(struct scene *s)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct address *x = arena_push(&s->a, s->host.addresses, s->host.n_addresses,
					       s->host.cap_addresses);

		s->local[i] = address(s->family, 250 + i);
		*x = (struct address){ .link = 2, .local = s->local[i] };
		x->len = (uint8_t)ip_bits(s->family);
		add_route(s, RT_TABLE_LOCAL, prefix_host(&s->local[i]), 0, LINK_LOOPBACK,
			  (struct ip){ 0 });
		s->host.routes[s->host.n_routes - 1].type = RTN_LOCAL;
	}
}

static uint32_t some_metric(sa_family_t family)
{
	static const uint32_t metrics[][3] = { { 0, 100, 200 }, { 256, 1024, 2000 } };

	return metrics[family == AF_INET6][below(3)];
}

static bool has_equal(const struct scene *s, const struct prefix *dst, uint32_t metric)
{
	for (size_t i = 0; i < s->host.n_routes; i++)
		if (s->host.routes[i].table == RT_TABLE_MAIN &&
		    s->host.routes[i].metric == metric && prefix_equal(&s->host.routes[i].dst, dst))
			return true;
	return false;
}

static void some_host(struct scene *s)
{
	struct prefix all = { .ip = { .family = s->family } }, world = { 0 };
	struct ip router = address(s->family, 200);

	add_link(s, LINK_LOOPBACK, "lo");
	add_link(s, 2, "eth0");
	add_link(s, 3, "eth1");
	add_locals(s);
	if (below(4))
		add_route(s, RT_TABLE_MAIN, all, some_metric(s->family), 2, router);
	for (uint32_t n = below(6); n-- > 0;) {
		struct prefix dst = some_prefix(s->family);
		uint32_t metric = some_metric(s->family);

		if (!has_equal(s, &dst, metric))
			add_route(s, RT_TABLE_MAIN, dst, metric, 2 + (int)below(2),
				  below(3) ? address(s->family, 200 + below(2)) : (struct ip){ 0 });
	}
	add_rule(s, 0, RT_TABLE_LOCAL, (struct prefix){ 0 });
	s->special = below(3) == 0;
	if (s->special) {
		add_rule(s, 100, SPECIAL, prefix_host(&s->local[0]));
		add_route(s, SPECIAL, below(2) ? all : some_prefix(s->family), 0, 3, world.ip);
	}
	add_rule(s, 32766, RT_TABLE_MAIN, (struct prefix){ 0 });
}

static void some_push(struct scene *s)
{
	static const uint32_t metrics[] = { 0, 0, 100, 1024 };

	s->push.link = "tun0";
	s->push.tie = below(2) ? PUSH_IN_FRONT : PUSH_REFUSED;
	for (uint32_t n = below(6); n-- > 0;) {
		struct push_route *p =
			arena_push(&s->a, s->push.routes, s->push.n_routes, s->push.cap_routes);

		/* Now and then exactly what the host has. */
		p->dst = below(3) || !s->host.n_routes
				 ? some_prefix(s->family)
				 : s->host.routes[below((uint32_t)s->host.n_routes)].dst;
		p->metric = metrics[below(4)];
		p->way = below(4) ? PUSH_TUNNEL : below(2) ? PUSH_CONNECTED : PUSH_AROUND;
	}
}

static void add_socket(struct scene *s, struct socket_seen one)
{
	*arena_push(&s->a, s->sockets, s->n_sockets, s->cap_sockets) = one;
}

/* A connection from everybody to each local address, and who listens there. */
static void some_sockets(struct scene *s)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct socket_seen one = { .proto = IPPROTO_TCP,
					   .state = SOCKET_LISTENS,
					   .local = s->local[i],
					   .local_port = i ? OTHER_PORT : PORT };

		add_socket(s, one);
		one.state = SOCKET_CONNECTED;
		for (unsigned int n = 0; n < WORLD; n++) {
			one.peer = address(s->family, n);
			one.peer_port = CLIENT_PORT;
			add_socket(s, one);
		}
	}
}

static void make_scene(struct scene *s, int round)
{
	*s = (struct scene){ .family = round % 2 ? AF_INET : AF_INET6 };
	some_host(s);
	some_push(s);
	some_sockets(s);
}

/* --- the oracle ------------------------------------------------------------------ */

struct way {
	const struct route *route; /* of the host; NULL: none, or of the push */
	int link; /* 0: no way */
	struct ip via;
	unsigned int len;
	uint64_t order; /* among routes to one prefix: metric, then age */
};

static void better(struct way *best, struct way candidate)
{
	if (!best->link || candidate.len > best->len ||
	    (candidate.len == best->len && candidate.order < best->order))
		*best = candidate;
}

static struct way in_table(const struct scene *s, uint32_t table, const struct ip *dst)
{
	struct way best = { 0 };

	for (size_t i = 0; i < s->host.n_routes; i++) {
		const struct route *r = &s->host.routes[i];

		if (r->table == table && prefix_covers(&r->dst, dst))
			better(&best, (struct way){ .route = r,
						    .link = r->hops[0].link,
						    .via = r->hops[0].via,
						    .len = r->dst.len,
						    .order = ((uint64_t)r->metric << 2) + 1 });
	}
	return best;
}

static const struct route *default_of(const struct scene *s)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < s->host.n_routes; i++) {
		const struct route *r = &s->host.routes[i];

		if (r->table == RT_TABLE_MAIN && !r->dst.len && (!best || r->metric < best->metric))
			best = r;
	}
	return best;
}

static void add_pushed(const struct scene *s, const struct ip *dst, struct way *best)
{
	const struct route *gateway = default_of(s);

	for (size_t i = 0; i < s->push.n_routes; i++) {
		const struct push_route *p = &s->push.routes[i];
		bool connected = p->way == PUSH_CONNECTED;
		uint32_t metric = s->family == AF_INET ? p->metric
				  : connected          ? 256
				  : p->metric          ? p->metric
						       : 1024;
		/* In front of, or behind, what the host has with the same metric. */
		bool behind = s->family == AF_INET6 || connected;

		struct way way = { .link = TUNNEL,
				   .len = p->dst.len,
				   .order = ((uint64_t)metric << 2) + (behind ? 2 : 0) };

		if (!prefix_covers(&p->dst, dst) ||
		    (s->push.tie == PUSH_REFUSED && !connected && has_equal(s, &p->dst, metric)))
			continue;
		if (p->way == PUSH_AROUND && !gateway)
			continue;
		if (p->way == PUSH_AROUND) {
			way.link = gateway->hops[0].link;
			way.via = gateway->hops[0].via;
		}
		better(best, way);
	}
}

static struct way oracle(const struct scene *s, bool after, const struct ip *src,
			 const struct ip *dst)
{
	struct way best = { 0 };

	if (s->special && ip_equal(src, &s->local[0]))
		best = in_table(s, SPECIAL, dst);
	if (best.link)
		return best;
	best = in_table(s, RT_TABLE_MAIN, dst);
	if (after)
		add_pushed(s, dst, &best);
	return best;
}

static enum clash_fate fate(const struct scene *s, const struct ip *src, const struct ip *dst)
{
	struct way before = oracle(s, false, src, dst), after = oracle(s, true, src, dst);

	if (before.link != after.link)
		return CLASH_CUT;
	return ip_equal(&before.via, &after.via) || ip_is_none(&before.via) ? CLASH_KEPT
									    : CLASH_UNSURE;
}

/* --- tests --------------------------------------------------------------------------- */

static void find(struct scene *s, struct clash_report *ret)
{
	const struct clash_input in = {
		.host = &s->host, .push = &s->push, .sockets = s->sockets, .n_sockets = s->n_sockets
	};

	clash_find(&s->a, &in, ret);
}

static void a_connection_is_cut_when_its_answers_take_another_way(void **state)
{
	size_t seen[3] = { 0 };

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct scene s;
		struct clash_report report;

		make_scene(&s, round);
		find(&s, &report);
		assert_int_equal(report.n_connections, 2 * WORLD);
		for (size_t i = 0; i < report.n_connections; i++) {
			const struct clash_connection *c = &report.connections[i];
			enum clash_fate want = fate(&s, &c->socket->local, &c->socket->peer);

			assert_int_equal(c->fate, want);
			seen[want]++;
		}
		arena_free(&s.a);
	}
	/* All happen often, or this shows little. */
	assert_true(seen[CLASH_CUT] > 10000 && seen[CLASH_KEPT] > 10000);
	assert_true(seen[CLASH_UNSURE] > 500);
}

/* The longest of the sets' prefixes around @ip says. */
static bool loses(const struct clash_loss *loss, const struct ip *ip)
{
	const struct {
		const struct prefixes *set;
		bool lost;
	} sets[] = {
		{ &loss->near, true },
		{ &loss->far, true },
		{ &loss->but, false },
		{ &loss->again, true },
	};
	int best = -1;
	bool lost = false;

	for (size_t i = 0; i < ARRAY_LEN(sets); i++)
		for (size_t j = 0; j < sets[i].set->n; j++) {
			const struct prefix *p = &sets[i].set->items[j];

			if (!prefix_covers(p, ip) || (int)p->len < best)
				continue;
			best = p->len;
			lost = sets[i].lost;
		}
	return lost;
}

static void a_port_loses_the_clients_whose_answers_take_another_way(void **state)
{
	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct scene s;
		struct clash_report report;

		make_scene(&s, round);
		find(&s, &report);
		assert_int_equal(report.n_listeners, 2);
		for (size_t i = 0; i < 2; i++) {
			const struct clash_listener *l = &report.listeners[i];
			const struct clash_loss *loss =
				&report.losses[l->loss[s.family == AF_INET6]];

			for (unsigned int n = 0; n < WORLD; n++) {
				struct ip client = address(s.family, n);
				struct way now = oracle(&s, false, &l->socket->local, &client);

				/* Who is not answered now cannot be lost. */
				assert_int_equal(now.link && loses(loss, &client),
						 now.link && fate(&s, &l->socket->local, &client) ==
								     CLASH_CUT);
			}
		}
		arena_free(&s.a);
	}
}

static const struct clash_network *relation_of(const struct clash_report *report,
					       const struct route *r)
{
	for (size_t i = 0; i < report->n_networks; i++)
		if (report->networks[i].route == r)
			return &report->networks[i];
	return NULL;
}

static void a_network_is_swallowed_as_far_as_its_addresses_move(void **state)
{
	size_t partly = 0, swallowed = 0, other = 0;

	(void)state;
	for (int round = 0; round < ROUNDS; round++) {
		struct scene s;
		struct clash_report report;
		struct ip unbound = { 0 };

		make_scene(&s, round);
		find(&s, &report);
		for (size_t i = 0; i < s.host.n_routes; i++) {
			const struct route *r = &s.host.routes[i];
			const struct clash_network *n = relation_of(&report, r);
			bool gone = false, stays = false;

			if (r->table != RT_TABLE_MAIN || !r->dst.len)
				continue;
			for (unsigned int k = 0; k < WORLD; k++) {
				struct ip ip = address(s.family, k);

				if (oracle(&s, false, &unbound, &ip).route != r)
					continue;
				if (oracle(&s, true, &unbound, &ip).link == TUNNEL)
					gone = true;
				else
					stays = true;
			}
			if (gone)
				assert_true(n && n->relation ==
							 (stays ? CLASH_PARTLY : CLASH_SWALLOWED));
			else
				assert_true(!n || n->relation == CLASH_TIE ||
					    n->relation == CLASH_HIDES);
			partly += gone && stays;
			swallowed += gone && !stays;
			other += n && !gone;
		}
		arena_free(&s.a);
	}
	assert_true(partly > 50 && swallowed > 50 && other > 50);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_cut_when_its_answers_take_another_way),
		cmocka_unit_test(a_port_loses_the_clients_whose_answers_take_another_way),
		cmocka_unit_test(a_network_is_swallowed_as_far_as_its_addresses_move),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
