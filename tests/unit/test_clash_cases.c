/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a VPN would break, one case at a time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "net.h"
#include "plan/clash.h"

#define OWN         "172.16.5.10"
#define ROUTER      "172.16.5.1"
#define SPECIAL     77 /* a table of its own, for one source or mark */
#define PORT        22
#define CLIENT_PORT 40000

enum { DOCKER0 = 3 };

/* A host on a LAN, and who speaks to it. */
struct scene {
	struct net net;
	struct push push;
	struct socket_seen *sockets;
	size_t n_sockets, cap_sockets;
};

static struct scene plain(void)
{
	struct scene s = { .push = { .link = "tun0", .tie = PUSH_IN_FRONT } };

	link_add(&s.net, LO, "lo", IFF_LOOPBACK);
	link_add(&s.net, ETH0, "eth0", IFF_BROADCAST);
	address_add(&s.net, ETH0, OWN "/24");
	route_add(&s.net, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", ETH0, ROUTER);
	rule_add(&s.net, AF_INET, 0, RT_TABLE_LOCAL);
	rule_add(&s.net, AF_INET, 32766, RT_TABLE_MAIN);
	return s;
}

static void scene_free(struct scene *s)
{
	net_free(&s->net);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_free)))

static struct push_route *push_prefix(struct scene *s, const char *text)
{
	struct push_route *p =
		arena_push(&s->net.a, s->push.routes, s->push.n_routes, s->push.cap_routes);

	p->dst = prefix(text);
	return p;
}

static struct socket_seen *add_socket(struct scene *s, struct socket_seen one)
{
	struct socket_seen *ret = arena_push(&s->net.a, s->sockets, s->n_sockets, s->cap_sockets);

	*ret = one;
	return ret;
}

static struct socket_seen *listen_on(struct scene *s, uint8_t proto, const char *local)
{
	return add_socket(s, (struct socket_seen){ .proto = proto,
						   .state = SOCKET_LISTENS,
						   .local = ip(local),
						   .local_port = PORT });
}

static struct socket_seen *connect_from(struct scene *s, const char *peer)
{
	return add_socket(s, (struct socket_seen){ .proto = IPPROTO_TCP,
						   .state = SOCKET_CONNECTED,
						   .local = ip(OWN),
						   .local_port = PORT,
						   .peer = ip(peer),
						   .peer_port = CLIENT_PORT });
}

static struct clash_input input(const struct scene *s)
{
	return (struct clash_input){ .host = &s->net.s,
				     .push = &s->push,
				     .sockets = s->sockets,
				     .n_sockets = s->n_sockets };
}

static struct clash_report find(struct scene *s)
{
	struct clash_input in = input(s);
	struct clash_report report;

	clash_find(&s->net.a, &in, &report);
	return report;
}

static void only_what_came_in_is_a_connection(void **state)
{
	struct scene s CLEANUP_SCENE = plain();
	struct clash_report report;
	struct socket_seen *out;

	(void)state;
	push_prefix(&s, "172.16.0.0/12");
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "172.16.9.20");
	out = connect_from(&s, "172.16.9.21");
	out->local_port = 50000; /* to somebody's port, so it went out */
	out->peer_port = 443;
	report = find(&s);
	assert_int_equal(report.n_connections, 1);
	assert_int_equal(report.connections[0].fate, CLASH_CUT);
	assert_true(report.cut);
}

static void ones_own_session_comes_first_and_then_ssh(void **state)
{
	struct scene s CLEANUP_SCENE = plain();
	struct clash_report report;
	struct clash_input in;

	(void)state;
	push_prefix(&s, "172.16.9.0/25");
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "172.16.9.20");
	connect_from(&s, "203.0.113.5");
	connect_from(&s, "172.16.9.200");
	s.sockets[1].local_port = 8022;
	s.sockets[0].local_port = 8022;
	in = input(&s);
	in.ssh_peer = ip("172.16.9.200");
	in.ssh_peer_port = CLIENT_PORT;
	clash_find(&s.net.a, &in, &report);
	assert_int_equal(report.n_connections, 3);
	assert_true(report.connections[0].mine);
	assert_ptr_equal(report.connections[0].socket, &s.sockets[3]);
	assert_true(report.connections[1].ssh && !report.connections[1].mine);
	assert_int_equal(report.connections[2].fate, CLASH_CUT);
}

static void what_nobody_here_has_is_no_cut(void **state)
{
	struct scene s CLEANUP_SCENE = plain();
	struct clash_report report;

	(void)state;
	push_prefix(&s, "10.8.0.0/16");
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "172.16.9.20");
	report = find(&s);
	assert_false(report.cut);
	assert_int_equal(report.losses[0].near.n, 0);
	assert_int_equal(report.losses[0].far.n, 1);
}

static void the_vpn_server_in_its_own_tunnel_is_a_cut(void **state)
{
	struct ip server = ip("198.51.100.2");
	struct scene s CLEANUP_SCENE = plain();
	struct clash_report report;

	(void)state;
	push_prefix(&s, "198.51.100.0/24");
	s.push.servers = &server;
	s.push.n_servers = 1;
	report = find(&s);
	assert_true(report.cut);
	/* A client that goes around its tunnel, as redirect-gateway does. */
	push_prefix(&s, "198.51.100.2/32")->way = PUSH_AROUND;
	report = find(&s);
	assert_false(report.cut);
}

static void wg_quick_keeps_its_own_packets_out_of_its_tunnel(void **state)
{
	struct ip server = ip("198.51.100.2");
	struct scene s CLEANUP_SCENE = plain();
	struct clash_report report;

	(void)state;
	push_prefix(&s, "0.0.0.0/0");
	s.push.own_table = true;
	s.push.tie = PUSH_REFUSED;
	s.push.servers = &server;
	s.push.n_servers = 1;
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	connect_from(&s, "203.0.113.5");
	connect_from(&s, "172.16.5.66");
	report = find(&s);
	assert_int_equal(report.n_connections, 2);
	assert_int_equal(report.connections[0].fate, CLASH_CUT);
	assert_int_equal(report.connections[1].fate, CLASH_KEPT);
	for (size_t i = 0; i < report.n_outs; i++)
		if (report.outs[i].kind == CLASH_OUT_SERVER)
			assert_int_equal(report.outs[i].fate, CLASH_KEPT);
}

static void a_rule_by_source_keeps_tcp_but_not_unbound_udp(void **state)
{
	struct scene s CLEANUP_SCENE = plain();
	struct clash_report report;

	(void)state;
	push_prefix(&s, "172.16.0.0/12");
	s.net.s.n_rules = 1;
	rule_add(&s.net, AF_INET, 100, SPECIAL)->from = prefix(OWN "/32");
	rule_add(&s.net, AF_INET, 32766, RT_TABLE_MAIN);
	route_add(&s.net, SPECIAL, RTN_UNICAST, "0.0.0.0/0", ETH0, ROUTER);
	listen_on(&s, IPPROTO_TCP, "0.0.0.0");
	listen_on(&s, IPPROTO_UDP, "0.0.0.0");
	listen_on(&s, IPPROTO_UDP, "172.16.5.10");
	report = find(&s);
	assert_int_equal(report.n_listeners, 3);
	assert_false(report.listeners[0].cut[0]); /* TCP */
	assert_true(report.listeners[1].cut[0]); /* UDP on every address */
	assert_false(report.listeners[2].cut[0]); /* UDP bound to its address */
}

/* --- containers ------------------------------------------------------------------------ */

/* docker0 with a container at 172.17.0.2:80, and the host's 8080 led there. */
struct published {
	struct scene s;
	struct container_port port;
	struct flow_seen flow;
};

static struct published published(const char *client, const char *push)
{
	struct published p = { .s = plain() };

	link_add(&p.s.net, DOCKER0, "docker0", IFF_BROADCAST);
	route_add(&p.s.net, RT_TABLE_MAIN, RTN_UNICAST, "172.17.0.0/16", DOCKER0, NULL);
	push_prefix(&p.s, push);
	p.port = (struct container_port){ .proto = IPPROTO_TCP,
					  .port = 8080,
					  .host = { .family = AF_INET },
					  .inside = ip("172.17.0.2"),
					  .inside_port = 80 };
	p.flow = (struct flow_seen){ .proto = IPPROTO_TCP,
				     .client = ip(client),
				     .client_port = CLIENT_PORT,
				     .asked = ip(OWN),
				     .asked_port = 8080,
				     .inside = ip("172.17.0.2"),
				     .inside_port = 80,
				     .back = ip(client),
				     .back_port = CLIENT_PORT };
	return p;
}

static struct clash_report find_published(struct published *p)
{
	struct clash_input in = input(&p->s);
	struct clash_report report;

	in.publish = &p->port;
	in.n_publish = 1;
	in.flows = &p->flow;
	in.n_flows = 1;
	clash_find(&p->s.net.a, &in, &report);
	return report;
}

static void published_free(struct published *p)
{
	scene_free(&p->s);
}
#define CLEANUP_PUBLISHED __attribute__((cleanup(published_free)))

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
		struct published p CLEANUP_PUBLISHED = published(cases[i].client, cases[i].push);
		struct clash_report report = find_published(&p);

		assert_int_equal(report.n_connections, 1);
		assert_ptr_equal(report.connections[0].flow, &p.flow);
		assert_int_equal(report.connections[0].fate, cases[i].fate);
		assert_int_equal(report.connections[0].inward, cases[i].inward);
		/* No rule for the host's address would help. */
		assert_int_equal(report.connections[0].door, report.n_doors);
		assert_int_equal(report.listeners[0].cut[0], cases[i].port_cut);
	}
}

static void a_connection_of_the_host_itself_to_a_container_did_not_come_in(void **state)
{
	static const char *const clients[] = { "172.16.5.10", "127.0.0.1" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		struct published p CLEANUP_PUBLISHED = published(clients[i], "172.16.0.0/12");

		assert_int_equal(find_published(&p).n_connections, 0);
	}
}

/* Somebody's chain may restore the mark of the connection, or not. */
static void a_marked_connection_is_unsure_where_a_rule_asks_its_mark(void **state)
{
	(void)state;
	for (uint32_t mark = 0; mark < 3; mark++) {
		struct published p CLEANUP_PUBLISHED = published("172.16.9.20", "172.16.0.0/12");
		struct rule *r = rule_add(&p.s.net, AF_INET, 5, SPECIAL);
		struct clash_report report;

		route_add(&p.s.net, SPECIAL, RTN_UNICAST, "0.0.0.0/0", ETH0, ROUTER);
		r->has_mark = true;
		r->mark = 1;
		r->mark_mask = UINT32_MAX;
		p.flow.mark = mark;
		report = find_published(&p);
		assert_int_equal(report.connections[0].fate, mark == 1 ? CLASH_UNSURE : CLASH_CUT);
	}
}

/* dockerd and conmon hold the port so that nobody else takes it. */
static void the_socket_that_holds_a_published_port_is_no_listener(void **state)
{
	struct published p CLEANUP_PUBLISHED = published("172.16.9.20", "172.16.0.0/12");
	struct clash_report report;

	(void)state;
	listen_on(&p.s, IPPROTO_TCP, "0.0.0.0")->local_port = 8080;
	listen_on(&p.s, IPPROTO_UDP, "0.0.0.0")->local_port = 8080;
	listen_on(&p.s, IPPROTO_TCP, "::")->local_port = 8080;
	report = find_published(&p);
	/* UDP is not published; :: goes on for IPv6. */
	assert_int_equal(report.n_listeners, 3);
	for (size_t i = 0; i < 3; i++)
		assert_true(report.listeners[i].socket != &p.s.sockets[0]);
}

/* --- rp_filter ---------------------------------------------------------------------------- */

static void a_strict_rp_filter_cuts_where_the_answers_stay(void **state)
{
	(void)state;
	for (uint8_t strict = 0; strict < 3; strict++) {
		struct link_conf confs[2] = { { 0 }, { .rp_filter = strict } };
		struct scene s CLEANUP_SCENE = plain();
		struct clash_report report;
		struct clash_input in;

		push_prefix(&s, "172.16.9.0/24");
		/* Bound to eth0, and so are its answers. */
		listen_on(&s, IPPROTO_TCP, "0.0.0.0")->link = ETH0;
		connect_from(&s, "172.16.9.20")->link = ETH0;
		in = input(&s);
		in.confs = confs;
		clash_find(&s.net.a, &in, &report);
		assert_int_equal(report.connections[0].fate, strict == 1 ? CLASH_CUT : CLASH_KEPT);
		assert_int_equal(report.connections[0].stopped, strict == 1);
		/* A rule for the host's address is asked for the way back as well. */
		assert_int_equal(report.n_doors, strict == 1);
		assert_int_equal(report.connections[0].door, 0);
		assert_int_equal(report.listeners[0].cut[0], strict == 1);
	}
}

static void a_free_pool_meets_nobody(void **state)
{
	struct container_pool pools[2] = { { .engine = "Docker", .len = 16 },
					   { .engine = "Docker", .len = 20 } };
	struct scene s CLEANUP_SCENE = plain();
	struct clash_report report;
	struct clash_input in;

	(void)state;
	push_prefix(&s, "172.16.0.0/12");
	push_prefix(&s, "10.192.0.0/10");
	pools[0].base = prefix("172.17.0.0/16");
	pools[1].base = prefix("192.168.0.0/16");
	in = input(&s);
	in.pools = pools;
	in.n_pools = 2;
	clash_find(&s.net.a, &in, &report);
	assert_true(report.pools[0].taken);
	assert_false(report.pools[1].taken);
	assert_int_equal(report.free_pool.ip.family, AF_INET);
	for (size_t i = 0; i < s.push.n_routes; i++)
		assert_false(prefix_overlaps(&report.free_pool, &s.push.routes[i].dst));
	for (size_t i = 0; i < 2; i++)
		assert_false(prefix_overlaps(&report.free_pool, &pools[i].base));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
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
