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

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define ROUNDS      1500
#define BITS        7 /* the last bits of an address that vary */
#define WORLD       (1u << BITS)
#define TUNNEL      1000 /* to the oracle */
#define SPECIAL     77 /* a table of its own, for one source */
#define PORT        22
#define OTHER_PORT  80
#define CLIENT_PORT 40000

static uint32_t below(uint32_t n)
{
	static uint64_t x = 362436069ULL;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 20) % n;
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

/* --- single cases --------------------------------------------------------------------- */

static void make_plain(struct scene *s)
{
	struct ip router = { .family = AF_INET, .byte = { 172, 16, 5, 1 } };
	struct prefix lan = { .ip = { .family = AF_INET, .byte = { 172, 16, 5, 0 } }, .len = 24 };
	struct address *x;

	*s = (struct scene){ .family = AF_INET };
	add_link(s, LINK_LOOPBACK, "lo");
	add_link(s, 2, "eth0");
	s->local[0] = (struct ip){ .family = AF_INET, .byte = { 172, 16, 5, 10 } };
	x = arena_push(&s->a, s->host.addresses, s->host.n_addresses, s->host.cap_addresses);
	*x = (struct address){ .link = 2, .local = s->local[0], .len = 24 };
	add_route(s, RT_TABLE_LOCAL, prefix_host(&s->local[0]), 0, LINK_LOOPBACK, (struct ip){ 0 });
	s->host.routes[0].type = RTN_LOCAL;
	add_route(s, RT_TABLE_MAIN, (struct prefix){ .ip = { .family = AF_INET } }, 0, 2, router);
	add_route(s, RT_TABLE_MAIN, lan, 0, 2, (struct ip){ 0 });
	add_rule(s, 0, RT_TABLE_LOCAL, (struct prefix){ 0 });
	add_rule(s, 32766, RT_TABLE_MAIN, (struct prefix){ 0 });
	s->push = (struct push){ .link = "tun0", .tie = PUSH_IN_FRONT };
}

static void push_prefix(struct scene *s, const char *text)
{
	struct push_route *p =
		arena_push(&s->a, s->push.routes, s->push.n_routes, s->push.cap_routes);

	assert_true(prefix_parse(text, false, &p->dst));
}

static void listen_on(struct scene *s, uint8_t proto, const char *ip)
{
	struct socket_seen one = { .proto = proto, .state = SOCKET_LISTENS, .local_port = PORT };

	assert_true(ip_parse(ip, &one.local));
	add_socket(s, one);
}

static void connect_from(struct scene *s, const char *peer)
{
	struct socket_seen one = { .proto = IPPROTO_TCP,
				   .state = SOCKET_CONNECTED,
				   .local = s->local[0],
				   .local_port = PORT,
				   .peer_port = CLIENT_PORT };

	assert_true(ip_parse(peer, &one.peer));
	add_socket(s, one);
}

static void only_what_came_in_is_a_connection(void **state)
{
	struct clash_report report;
	struct scene s;

	(void)state;
	make_plain(&s);
	push_prefix(&s, "172.16.0.0/12");
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "172.16.9.20");
	connect_from(&s, "172.16.9.21");
	s.sockets[2].local_port = 50000; /* to somebody's port, so it went out */
	s.sockets[2].peer_port = 443;
	find(&s, &report);
	assert_int_equal(report.n_connections, 1);
	assert_int_equal(report.connections[0].fate, CLASH_CUT);
	assert_true(report.cut);
	arena_free(&s.a);
}

static void ones_own_session_comes_first_and_then_ssh(void **state)
{
	struct clash_report report;
	struct clash_input in;
	struct scene s;

	(void)state;
	make_plain(&s);
	push_prefix(&s, "172.16.9.0/25");
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "172.16.9.20");
	connect_from(&s, "203.0.113.5");
	connect_from(&s, "172.16.9.200");
	s.sockets[1].local_port = 8022;
	s.sockets[0].local_port = 8022;
	in = (struct clash_input){ .host = &s.host, .push = &s.push, .sockets = s.sockets };
	in.n_sockets = s.n_sockets;
	assert_true(ip_parse("172.16.9.200", &in.ssh_peer));
	in.ssh_peer_port = CLIENT_PORT;
	clash_find(&s.a, &in, &report);
	assert_int_equal(report.n_connections, 3);
	assert_true(report.connections[0].mine);
	assert_ptr_equal(report.connections[0].socket, &s.sockets[3]);
	assert_true(report.connections[1].ssh && !report.connections[1].mine);
	assert_int_equal(report.connections[2].fate, CLASH_CUT);
	arena_free(&s.a);
}

static void what_nobody_here_has_is_no_cut(void **state)
{
	struct clash_report report;
	struct scene s;

	(void)state;
	make_plain(&s);
	push_prefix(&s, "10.8.0.0/16");
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "172.16.9.20");
	find(&s, &report);
	assert_false(report.cut);
	assert_int_equal(report.losses[0].near.n, 0);
	assert_int_equal(report.losses[0].far.n, 1);
	arena_free(&s.a);
}

static void the_vpn_server_in_its_own_tunnel_is_a_cut(void **state)
{
	struct clash_report report;
	struct scene s;
	struct ip server;

	(void)state;
	make_plain(&s);
	push_prefix(&s, "198.51.100.0/24");
	assert_true(ip_parse("198.51.100.2", &server));
	s.push.servers = &server;
	s.push.n_servers = 1;
	find(&s, &report);
	assert_true(report.cut);
	/* A client that goes around its tunnel, as redirect-gateway does. */
	push_prefix(&s, "198.51.100.2/32");
	s.push.routes[1].way = PUSH_AROUND;
	find(&s, &report);
	assert_false(report.cut);
	arena_free(&s.a);
}

static void wg_quick_keeps_its_own_packets_out_of_its_tunnel(void **state)
{
	struct clash_report report;
	struct scene s;
	struct ip server;

	(void)state;
	make_plain(&s);
	push_prefix(&s, "0.0.0.0/0");
	s.push.own_table = true;
	s.push.tie = PUSH_REFUSED;
	assert_true(ip_parse("198.51.100.2", &server));
	s.push.servers = &server;
	s.push.n_servers = 1;
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "203.0.113.5");
	connect_from(&s, "172.16.5.66");
	find(&s, &report);
	assert_int_equal(report.n_connections, 2);
	assert_int_equal(report.connections[0].fate, CLASH_CUT);
	assert_int_equal(report.connections[1].fate, CLASH_KEPT);
	for (size_t i = 0; i < report.n_outs; i++)
		if (report.outs[i].kind == CLASH_OUT_SERVER)
			assert_int_equal(report.outs[i].fate, CLASH_KEPT);
	arena_free(&s.a);
}

static void a_rule_by_source_keeps_tcp_but_not_unbound_udp(void **state)
{
	struct clash_report report;
	struct scene s;

	(void)state;
	make_plain(&s);
	push_prefix(&s, "172.16.0.0/12");
	s.host.n_rules = 1;
	add_rule(&s, 100, SPECIAL, prefix_host(&s.local[0]));
	add_rule(&s, 32766, RT_TABLE_MAIN, (struct prefix){ 0 });
	add_route(&s, SPECIAL, (struct prefix){ .ip = { .family = AF_INET } }, 0, 2,
		  s.host.routes[1].hops[0].via);
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	listen_on(&s, IPPROTO_UDP, "0.0.0.0");
	listen_on(&s, IPPROTO_UDP, "172.16.5.10");
	find(&s, &report);
	assert_int_equal(report.n_listeners, 3);
	assert_false(report.listeners[0].cut[0]); /* TCP */
	assert_true(report.listeners[1].cut[0]); /* UDP on every address */
	assert_false(report.listeners[2].cut[0]); /* UDP bound to its address */
	arena_free(&s.a);
}

/* --- containers ------------------------------------------------------------------------ */

/* docker0 with a container at 172.17.0.2:80, and the host's 8080 led there. */
struct published {
	struct scene s;
	struct container_port port;
	struct flow_seen flow;
	struct clash_input in;
};

static struct ip parsed(const char *text)
{
	struct ip ip;

	assert_true(ip_parse(text, &ip));
	return ip;
}

static void make_published(struct published *p, const char *client, const char *push)
{
	struct prefix net;

	make_plain(&p->s);
	add_link(&p->s, 3, "docker0");
	assert_true(prefix_parse("172.17.0.0/16", false, &net));
	add_route(&p->s, RT_TABLE_MAIN, net, 0, 3, (struct ip){ 0 });
	push_prefix(&p->s, push);
	p->port = (struct container_port){ .proto = IPPROTO_TCP,
					   .port = 8080,
					   .host = { .family = AF_INET },
					   .inside = parsed("172.17.0.2"),
					   .inside_port = 80 };
	p->flow = (struct flow_seen){ .proto = IPPROTO_TCP,
				      .client = parsed(client),
				      .client_port = CLIENT_PORT,
				      .asked = p->s.local[0],
				      .asked_port = 8080,
				      .inside = parsed("172.17.0.2"),
				      .inside_port = 80,
				      .back = parsed(client),
				      .back_port = CLIENT_PORT };
	p->in = (struct clash_input){ .host = &p->s.host,
				      .push = &p->s.push,
				      .publish = &p->port,
				      .n_publish = 1,
				      .flows = &p->flow,
				      .n_flows = 1 };
}

static void a_connection_to_a_container_is_cut_either_way(void **state)
{
	static const struct {
		const char *client, *push;
		enum clash_fate fate;
		bool inward, port_cut;
	} cases[] = {
		{ "172.16.9.20", "10.0.0.0/8", CLASH_KEPT, false, false },
		{ "172.16.9.20", "172.16.0.0/12", CLASH_CUT, false, true },
		{ "172.16.5.66", "172.16.0.0/12", CLASH_KEPT, false, true },
		{ "172.16.5.66", "172.17.0.0/17", CLASH_CUT, true, true },
		{ "203.0.113.5", "172.17.0.2/32", CLASH_CUT, true, true },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct clash_report report;
		struct published p;

		make_published(&p, cases[i].client, cases[i].push);
		clash_find(&p.s.a, &p.in, &report);
		assert_int_equal(report.n_connections, 1);
		assert_ptr_equal(report.connections[0].flow, &p.flow);
		assert_int_equal(report.connections[0].fate, cases[i].fate);
		assert_int_equal(report.connections[0].inward, cases[i].inward);
		/* No rule for the host's address would help. */
		assert_int_equal(report.connections[0].door, report.n_doors);
		assert_int_equal(report.listeners[0].cut[0], cases[i].port_cut);
		arena_free(&p.s.a);
	}
}

static void a_connection_of_the_host_itself_to_a_container_did_not_come_in(void **state)
{
	static const char *const clients[] = { "172.16.5.10", "127.0.0.1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		struct clash_report report;
		struct published p;

		make_published(&p, clients[i], "172.16.0.0/12");
		clash_find(&p.s.a, &p.in, &report);
		assert_int_equal(report.n_connections, 0);
		arena_free(&p.s.a);
	}
}

/* Somebody's chain may restore the mark of the connection, or not. */
static void a_marked_connection_is_unsure_where_a_rule_asks_its_mark(void **state)
{
	struct prefix all = { .ip = { .family = AF_INET } };

	(void)state;
	for (uint32_t mark = 0; mark < 3; mark++) {
		struct clash_report report;
		struct published p;
		struct rule *r;

		make_published(&p, "172.16.9.20", "172.16.0.0/12");
		add_route(&p.s, SPECIAL, all, 0, 2, parsed("172.16.5.1"));
		add_rule(&p.s, 5, SPECIAL, (struct prefix){ 0 });
		r = &p.s.host.rules[p.s.host.n_rules - 1];
		r->has_mark = true;
		r->mark = 1;
		r->mark_mask = UINT32_MAX;
		p.flow.mark = mark;
		clash_find(&p.s.a, &p.in, &report);
		assert_int_equal(report.connections[0].fate, mark == 1 ? CLASH_UNSURE : CLASH_CUT);
		arena_free(&p.s.a);
	}
}

/* dockerd and conmon hold the port so that nobody else takes it. */
static void the_socket_that_holds_a_published_port_is_no_listener(void **state)
{
	struct clash_report report;
	struct published p;

	(void)state;
	make_published(&p, "172.16.9.20", "172.16.0.0/12");
	listen_on(&p.s, IPPROTO_TCP, "0.0.0.0");
	listen_on(&p.s, IPPROTO_UDP, "0.0.0.0");
	listen_on(&p.s, IPPROTO_TCP, "::");
	for (size_t i = 0; i < 3; i++)
		p.s.sockets[i].local_port = 8080;
	p.in.sockets = p.s.sockets;
	p.in.n_sockets = 3;
	clash_find(&p.s.a, &p.in, &report);
	/* UDP is not published; :: goes on for IPv6. */
	assert_int_equal(report.n_listeners, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(report.listeners[i].socket != &p.s.sockets[0]);
	arena_free(&p.s.a);
}

/* --- rp_filter ---------------------------------------------------------------------------- */

static void a_strict_rp_filter_cuts_where_the_answers_stay(void **state)
{
	(void)state;
	for (uint8_t strict = 0; strict < 3; strict++) {
		struct link_conf confs[2] = { { 0 }, { .rp_filter = strict } };
		struct clash_report report;
		struct clash_input in;
		struct scene s;

		make_plain(&s);
		push_prefix(&s, "172.16.9.0/24");
		listen_on(&s, IPPROTO_TCP, "0.0.0.0");
		connect_from(&s, "172.16.9.20");
		/* Bound to eth0, and so are its answers. */
		s.sockets[0].link = s.sockets[1].link = 2;
		in = (struct clash_input){ .host = &s.host,
					   .push = &s.push,
					   .confs = confs,
					   .sockets = s.sockets,
					   .n_sockets = 2 };
		clash_find(&s.a, &in, &report);
		assert_int_equal(report.connections[0].fate, strict == 1 ? CLASH_CUT : CLASH_KEPT);
		assert_int_equal(report.connections[0].stopped, strict == 1);
		/* A rule for the host's address is asked for the way back as well. */
		assert_int_equal(report.n_doors, strict == 1);
		assert_int_equal(report.connections[0].door, 0);
		assert_int_equal(report.listeners[0].cut[0], strict == 1);
		arena_free(&s.a);
	}
}

static void a_free_pool_meets_nobody(void **state)
{
	struct container_pool pools[2] = { { .engine = "Docker", .len = 16 },
					   { .engine = "Docker", .len = 20 } };
	struct clash_report report;
	struct clash_input in;
	struct scene s;

	(void)state;
	make_plain(&s);
	push_prefix(&s, "172.16.0.0/12");
	push_prefix(&s, "10.192.0.0/10");
	assert_true(prefix_parse("172.17.0.0/16", false, &pools[0].base));
	assert_true(prefix_parse("192.168.0.0/16", false, &pools[1].base));
	in = (struct clash_input){ .host = &s.host, .push = &s.push, .pools = pools, .n_pools = 2 };
	clash_find(&s.a, &in, &report);
	assert_true(report.pools[0].taken);
	assert_false(report.pools[1].taken);
	assert_int_equal(report.free_pool.ip.family, AF_INET);
	for (size_t i = 0; i < s.push.n_routes; i++)
		assert_false(prefix_overlaps(&report.free_pool, &s.push.routes[i].dst));
	for (size_t i = 0; i < 2; i++)
		assert_false(prefix_overlaps(&report.free_pool, &pools[i].base));
	arena_free(&s.a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_connection_is_cut_when_its_answers_take_another_way),
		cmocka_unit_test(a_port_loses_the_clients_whose_answers_take_another_way),
		cmocka_unit_test(a_network_is_swallowed_as_far_as_its_addresses_move),
		cmocka_unit_test(only_what_came_in_is_a_connection),
		cmocka_unit_test(ones_own_session_comes_first_and_then_ssh),
		cmocka_unit_test(what_nobody_here_has_is_no_cut),
		cmocka_unit_test(the_vpn_server_in_its_own_tunnel_is_a_cut),
		cmocka_unit_test(wg_quick_keeps_its_own_packets_out_of_its_tunnel),
		cmocka_unit_test(a_rule_by_source_keeps_tcp_but_not_unbound_udp),
		cmocka_unit_test(a_connection_to_a_container_is_cut_either_way),
		cmocka_unit_test(a_connection_of_the_host_itself_to_a_container_did_not_come_in),
		cmocka_unit_test(a_marked_connection_is_unsure_where_a_rule_asks_its_mark),
		cmocka_unit_test(the_socket_that_holds_a_published_port_is_no_listener),
		cmocka_unit_test(a_strict_rp_filter_cuts_where_the_answers_stay),
		cmocka_unit_test(a_free_pool_meets_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
