/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "net.h"
#include "plan/explain.h"
#include "plan/guard.h"
#include "plan/known.h"
#include "plan/plan.h"

/* A LAN host with a VPN's route over the LAN; 172.16.0.0/12 as everywhere. */
struct scene {
	struct net n;
	struct link_conf confs[8];
	struct socket_seen sockets[4];
	struct explain_input in;
	struct explain_report report;
};

static void one_place(struct scene *s)
{
	s->in.n_places = 1;
	s->in.places[0] = (struct explain_place){ .name = "this host",
						  .enter = "",
						  .net = &s->n.s,
						  .confs = s->confs,
						  .sockets = s->sockets,
						  .sockets_known = true,
						  .nft_known = true };
	for (size_t i = 0; i < ARRAY_LEN(s->confs); i++)
		s->confs[i].forwarding = true;
}

/* 192.168.1.5 on eth0, 10.8.0.2 on tun0; see net.h. */
static void scene(struct scene *s)
{
	*s = (struct scene){ .n = host() };
	strcpy(s->n.s.links[2].kind, "tun");
	one_place(s);
}

static void listens(struct scene *s, uint8_t proto, const char *local, uint16_t port)
{
	s->sockets[s->in.places[0].n_sockets++] = (struct socket_seen){
		.proto = proto, .state = SOCKET_LISTENS, .local = ip(local), .local_port = port
	};
}

static void scene_free(struct scene *s)
{
	net_free(&s->n);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_free)))

static enum explain_verdict ask(struct scene *s, const char *client, const char *server,
				uint16_t port, uint8_t proto)
{
	s->in.query.client = ip(client);
	s->in.query.server = ip(server);
	s->in.query.port = port;
	s->in.query.proto = proto;
	explain(&s->n.a, &s->in, &s->report);
	return s->report.verdict;
}

static enum explain_verdict ask_tcp(struct scene *s, const char *client)
{
	return ask(s, client, "192.168.1.5", 22, IPPROTO_TCP);
}

static const char *out_link(const struct scene *s)
{
	const struct explain_leg *leg = explain_last_reply(&s->report);

	return leg && leg->out ? leg->out->name : "";
}

/* --- one host ------------------------------------------------------------------- */

static void without_a_vpn_the_reply_takes_the_door_of_the_request(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.how, EXPLAIN_DOOR_ADDRESS);
	assert_string_equal(s.report.door->name, "eth0");
	assert_int_equal(s.report.meets, EXPLAIN_MEETS_NOBODY);
	assert_int_equal(s.report.n_cures, 0);
	assert_int_equal(ask(&s, "fd00:9::9", "2001:db8:1::5", 22, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_int_equal(ask(&s, "10.8.0.1", "10.8.0.2", 22, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_string_equal(s.report.door->name, "tun0");
}

/* What a VPN brings, and why the reply goes there. */
static void each_sort_of_push_has_its_reason(void **state)
{
	static const struct {
		const char *dst;
		uint32_t metric, wanted_metric;
		enum explain_why why;
	} cases[] = {
		{ "172.16.0.0/12", 0, 0, EXPLAIN_WHY_LONGER },
		{ "172.16.9.20/32", 0, 0, EXPLAIN_WHY_LONGER },
		{ "128.0.0.0/1", 0, 0, EXPLAIN_WHY_LONGER },
		{ "0.0.0.0/0", 0, 100, EXPLAIN_WHY_METRIC },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct scene s CLEANUP_SCENE;

		scene(&s);
		for (size_t j = 0; j < s.n.s.n_routes; j++)
			if (!s.n.s.routes[j].dst.len)
				s.n.s.routes[j].metric = cases[i].wanted_metric;
		route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, cases[i].dst, TUN0, "10.8.0.1")->metric =
			cases[i].metric;
		assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
		assert_string_equal(out_link(&s), "tun0");
		assert_int_equal(s.report.why, cases[i].why);
		assert_string_equal(s.report.wanted_door->name, "eth0");
		assert_int_equal(s.report.wanted->dst.len, 0);
		assert_int_equal(s.report.n_cures, 3);
		assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
	}
}

static void a_dead_route_is_the_reason_when_it_would_have_won(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct route *r;

	(void)state;
	scene(&s);
	r = route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.9.0/24", ETH0, "192.168.1.1");
	r->hops[0].flags = RTNH_F_DEAD;
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.why, EXPLAIN_WHY_DEAD);
	assert_int_equal(s.report.wanted->dst.len, 24);
}

static void a_rule_in_front_of_main_is_the_reason(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	rule = rule_add(&s.n, AF_INET, 32764, RT_TABLE_MAIN);
	rule->suppress_len = 0;
	rule = rule_add(&s.n, AF_INET, 32765, 51820);
	rule->invert = rule->has_mark = true;
	rule->mark = 51820;
	rule->mark_mask = UINT32_MAX;
	route_add(&s.n, 51820, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.why, EXPLAIN_WHY_RULE);
	assert_string_equal(known_rule_maker(explain_last_reply(&s.report)->result.rule),
			    "wg-quick");
	/* With the mark of the tunnel's own packets it is main's turn. */
	assert_int_equal(s.report.n_ifs, 1);
	assert_true(s.report.ifs[0].mark && s.report.ifs[0].same_door);
	assert_int_equal(s.report.ifs[0].flow.mark, 51820);
}

static void strict_rp_filter_drops_the_request_and_the_reply_tells_why(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	s.confs[1].rp_filter = 1; /* eth0 */
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
	assert_false(s.report.legs[s.report.decisive].reply);
	assert_string_equal(out_link(&s), "tun0");
	assert_int_equal(s.report.why, EXPLAIN_WHY_LONGER);
	assert_int_equal(s.report.n_rps, 2);
	for (size_t i = 0; i < s.report.n_rps; i++)
		assert_int_equal(s.report.rps[i].verdict, s.report.rps[i].link->index == ETH0
								  ? FIB_RP_OTHER_LINK
								  : FIB_RP_PASSES);
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
	s.confs[1].rp_filter = 2;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
}

/* A rule that only the reply fits: its port is none of the reverse path's. */
static void rp_filter_that_asks_another_question_is_told_to_be_loose(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	rule = rule_add(&s.n, AF_INET, 100, 100);
	strcpy(rule->iif, "lo");
	route_add(&s.n, 100, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.1");
	strcpy(s.n.s.links[0].name, "lo");
	s.confs[1].rp_filter = 1;
	s.in.query.has_mark = true;
	s.in.query.mark = 7;
	rule->has_mark = true;
	rule->mark = 7;
	rule->mark_mask = UINT32_MAX;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
	assert_string_equal(out_link(&s), "eth0");
	assert_int_equal(s.report.n_cures, 1);
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_LOOSE);
}

static void what_refuses_makes_no_reply(void **state)
{
	static const uint8_t types[] = { RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT };
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_BLACKHOLE, "172.16.0.0/12", 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		s.n.s.routes[s.n.s.n_routes - 1].type = types[i];
		assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_NO_REPLY);
		assert_int_equal(s.report.why, EXPLAIN_WHY_LONGER);
		assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
		assert_int_equal(s.report.n_cures, 1);
	}
	rule = rule_add(&s.n, AF_INET, 10, 0);
	rule->action = FR_ACT_BLACKHOLE;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_NO_REPLY);
	assert_int_equal(s.report.why, EXPLAIN_WHY_REFUSES);
}

static void a_client_whose_address_is_ours_gets_nothing(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* The VPN gave this host the laptop's own address; the laptop asks by the LAN. */
	address_add(&s.n, TUN0, "172.16.9.20/32");
	s.in.query.iif = "eth0";
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
	s.confs[1].accept_local = true;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_STAYS_HERE);
}

static void the_host_itself_is_a_client_like_any_other(void **state)
{
	static const char *const clients[] = { "127.0.0.1", "192.168.1.5", "10.8.0.2" };
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_LOCAL, RTN_LOCAL, "127.0.0.0/8", LO, NULL);
	for (size_t i = 0; i < ARRAY_LEN(clients); i++) {
		assert_int_equal(ask_tcp(&s, clients[i]), EXPLAIN_SAME_DOOR);
		assert_int_equal(s.report.how, EXPLAIN_DOOR_SELF);
		assert_int_equal(s.report.n_rps, 0);
	}
}

/* --- sockets -------------------------------------------------------------------- */

static void an_unbound_udp_socket_answers_from_where_the_route_says(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_UDP, "0.0.0.0", 53);
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP), EXPLAIN_SAME_DOOR);
	address_add(&s.n, ETH0, "192.168.1.6/24");
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.6", 53, IPPROTO_UDP),
			 EXPLAIN_OTHER_SOURCE);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP),
			 EXPLAIN_OTHER_DOOR);
	/* Only a rule for the client can help whoever has no source. */
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_RULE);
	assert_int_equal(s.report.cures[0].cure.from.ip.family, 0);
	assert_int_equal(s.report.cures[0].cure.to.len, 32);
}

static void a_bound_socket_is_the_better_one(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_UDP, "0.0.0.0", 53);
	listens(&s, IPPROTO_UDP, "192.168.1.5", 53);
	listens(&s, IPPROTO_TCP, "::", 53);
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP), EXPLAIN_SAME_DOOR);
	assert_ptr_equal(s.report.socket, &s.sockets[1]);
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_ptr_equal(s.report.socket, &s.sockets[2]);
	s.sockets[2].only_ipv6 = true;
	ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_TCP);
	assert_null(s.report.socket);
	s.sockets[1].link = TUN0; /* hears nothing from eth0 */
	ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP);
	assert_ptr_equal(s.report.socket, &s.sockets[0]);
}

static void the_sockets_user_counts_and_another_ones_is_tried(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_TCP, "0.0.0.0", 22);
	s.sockets[0].uid = 1000;
	rule = rule_add(&s.n, AF_INET, 100, 100);
	rule->has_uid = true;
	rule->uid = (struct rule_range){ 1000, 1000 };
	route_add(&s.n, 100, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.n_ifs, 1);
	assert_true(s.report.ifs[0].uid && s.report.ifs[0].same_door);
	s.in.query.has_uid = true;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.n_ifs, 0);
}

static void a_clients_port_that_a_rule_asks_for_is_tried_unless_it_is_known(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	rule = rule_add(&s.n, AF_INET, 100, 100);
	rule->has_dport = true;
	rule->dport = (struct rule_range){ 5000, 6000 };
	route_add(&s.n, 100, RTN_UNICAST, "0.0.0.0/0", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.n_ifs, 1);
	assert_true(s.report.ifs[0].client_port);
	assert_int_equal(s.report.ifs[0].flow.dport, 5000);
	s.in.query.client_port = 5500;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.n_ifs, 0);
}

static void a_socket_bound_to_the_door_is_better_than_one_bound_to_its_address(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_TCP, "192.168.1.5", 22);
	listens(&s, IPPROTO_TCP, "0.0.0.0", 22);
	s.sockets[1].link = ETH0;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	assert_ptr_equal(s.report.socket, &s.sockets[1]);
}

static void an_ipv6_echo_asks_for_the_link_of_the_request(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "fd00::/8", TUN0, NULL);
	rule = rule_add(&s.n, AF_INET6, 100, 100);
	strcpy(rule->oif, "eth0");
	route_add(&s.n, 100, RTN_UNICAST, "::/0", ETH0, "fe80::1");
	assert_int_equal(ask(&s, "fd00:9::9", "2001:db8:1::5", 0, IPPROTO_ICMPV6),
			 EXPLAIN_SAME_DOOR);
	assert_int_equal(ask(&s, "fd00:9::9", "2001:db8:1::5", 22, IPPROTO_TCP),
			 EXPLAIN_OTHER_DOOR);
}

/* --- doors ------------------------------------------------------------------------ */

static void without_its_address_the_door_is_foretold_without_the_vpn(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* On lo: it may be reached by any link. */
	address_add(&s.n, LO, "192.0.2.1/32");
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask(&s, "172.16.9.20", "192.0.2.1", 22, IPPROTO_TCP), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.how, EXPLAIN_DOOR_ROUTE);
	assert_string_equal(s.report.door->name, "eth0");
	s.in.query.iif = "tun0";
	assert_int_equal(ask(&s, "172.16.9.20", "192.0.2.1", 22, IPPROTO_TCP), EXPLAIN_SAME_DOOR);
	assert_int_equal(s.report.how, EXPLAIN_DOOR_GIVEN);
}

static void a_door_that_nobody_knows_is_said_to_be_unknown(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	s.n.s.n_routes = 0;
	assert_int_equal(ask(&s, "172.16.9.20", "192.0.2.1", 22, IPPROTO_TCP), EXPLAIN_UNSURE);
	assert_null(s.report.door);
	assert_int_equal(s.report.n_legs, 0);
}

static void a_door_that_is_down_lets_nothing_in(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	s.n.s.links[1].flags = 0;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_REQUEST_DROPPED);
}

static void of_several_equal_ways_all_must_take_the_door(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct route *r;

	(void)state;
	scene(&s);
	r = route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", ETH0, "192.168.1.1");
	r->hops = arena_alloc(&s.n.a, 2 * sizeof(*r->hops));
	r->hops[0] = (struct hop){ .link = ETH0, .via = ip("192.168.1.1"), .weight = 1 };
	r->hops[1] = (struct hop){ .link = ETH0, .via = ip("192.168.1.2"), .weight = 1 };
	r->n_hops = 2;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_SAME_DOOR);
	r->hops[1].link = TUN0;
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_UNSURE);
}

/* --- containers, gates, the guard ---------------------------------------------------- */

static void a_published_port_of_a_container_is_followed_to_its_bridge(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct container_port port = { .proto = IPPROTO_TCP,
				       .port = 8080,
				       .host = ip("0.0.0.0"),
				       .inside = ip("172.17.0.2"),
				       .inside_port = 80 };

	(void)state;
	scene(&s);
	link_add(&s.n, 4, "docker0", IFF_BROADCAST);
	address_add(&s.n, 4, "172.17.0.1/16");
	s.in.places[0].ports = &port;
	s.in.places[0].n_ports = 1;
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 8080, IPPROTO_TCP),
			 EXPLAIN_SAME_DOOR);
	assert_ptr_equal(s.report.container, &port);
	assert_string_equal(s.report.legs[0].out->name, "docker0");
	assert_int_equal(s.report.meets, EXPLAIN_MEETS_OTHER);
	assert_null(s.report.more_ip);
	strcpy(s.n.s.links[3].kind, "bridge");
	ask(&s, "172.16.9.20", "192.168.1.5", 8080, IPPROTO_TCP);
	assert_true(ip_equal(s.report.more_ip, &port.inside));
	/* A network behind a router is no neighbour's. */
	port.inside = ip("172.30.0.2");
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.30.0.0/16", 4, "172.17.0.9");
	ask(&s, "172.16.9.20", "192.168.1.5", 8080, IPPROTO_TCP);
	assert_null(s.report.more_ip);
	port.inside = ip("172.17.0.2");
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 8080, IPPROTO_TCP),
			 EXPLAIN_OTHER_DOOR);
	/* The reply comes from the container's address: no rule for ours helps. */
	assert_string_equal(s.report.cures[0].cure.iif, "docker0");
}

#define HOST_NFT_TEXT                                                                              \
	"table inet sallyport {\n"                                                                 \
	"\tmap ports {\n\t\ttype inet_proto . inet_service : verdict\n"                            \
	"\t\telements = { 6 . 80 : goto publish_web,\n\t\t\t     17 . 53 : goto publish_web }\n"   \
	"\t}\n\n"                                                                                  \
	"\tchain publish_web {\n\t\tiifname \"sp-web\" return\n"                                   \
	"\t\tmeta nfproto 2 dnat ip to meta l4proto . th dport map { 6 . 80 : 198.18.1.3 . 8080, " \
	"17 . 53 : 198.18.1.3 . 53 }\n\t}\n}\n"
#define GATE_NFT_TEXT                                                                              \
	"table inet sallyport-web {\n"                                                             \
	"\tmap ports4 {\n\t\telements = { \"tun0\" . 6 . 80 : 198.18.1.3 . 8080 }\n\t}\n\n"        \
	"\tchain arrive_lan {\n\t\tmeta mark set 0x170d0000\n\t}\n\n"                              \
	"\tchain arrive {\n\t\tiifname \"lan\" goto arrive_lan\n"                                  \
	"\t\tiifname \"room*\" meta mark set ct mark & 0xffff0000\n"                               \
	"\t\tiifname \"tun0\" meta mark set 0x170e0000 ct state 0x8 accept\n\t}\n}\n"

/* Host, gate and room of gate "web" as plan_host(), plan_gate() and plan_room() make them. */
struct gate_scene {
	struct scene s;
	struct net gate, room;
	struct link_conf confs[8];
};

static void local_rules(struct net *n)
{
	rule_add(n, AF_INET, 0, RT_TABLE_LOCAL);
	rule_add(n, AF_INET, 32766, RT_TABLE_MAIN);
	rule_add(n, AF_INET, 32767, RT_TABLE_DEFAULT);
}

static struct rule *our_rule(struct net *n, uint32_t table, uint8_t protocol, size_t at)
{
	struct rule *r;

	rule_add(n, AF_INET, 0, table);
	memmove(&n->s.rules[at + 1], &n->s.rules[at], (n->s.n_rules - 1 - at) * sizeof(*r));
	r = &n->s.rules[at];
	*r = (struct rule){ .family = AF_INET,
			    .table = table,
			    .action = FR_ACT_TO_TBL,
			    .protocol = protocol,
			    .suppress_len = -1,
			    .suppress_group = -1 };
	return r;
}

static void build_gate(struct net *n)
{
	struct rule *r;

	*n = (struct net){ 0 };
	link_add(n, LO, "lo", IFF_LOOPBACK);
	link_add(n, 2, "lan", IFF_BROADCAST);
	link_add(n, 3, "tun0", IFF_POINTOPOINT);
	link_add(n, 4, "room", IFF_BROADCAST);
	strcpy(n->s.links[2].kind, "tun");
	address_add(n, 2, "198.18.1.2/32");
	address_add(n, 3, "172.20.0.10/16");
	route_add(n, 5900, RTN_UNICAST, "198.18.1.1/32", 2, NULL);
	route_add(n, 5900, RTN_UNICAST, "198.18.1.3/32", 4, NULL);
	route_add(n, 5901, RTN_UNICAST, "0.0.0.0/0", 2, "198.18.1.1");
	route_add(n, 5902, RTN_UNICAST, "0.0.0.0/0", 3, NULL);
	route_add(n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", 3, "172.20.0.1");
	local_rules(n);
	our_rule(n, 5900, PLAN_PROTOCOL, 1)->to = prefix("198.18.1.0/26");
	for (uint32_t i = 0; i < 2; i++) {
		r = our_rule(n, 5901 + i, PLAN_PROTOCOL, 2 + i);
		r->has_mark = true;
		r->mark = plan_door_mark(i);
		r->mark_mask = PLAN_MARK_MASK;
	}
}

static void build_room(struct net *n)
{
	*n = (struct net){ 0 };
	link_add(n, LO, "lo", IFF_LOOPBACK);
	link_add(n, 2, "eth0", IFF_BROADCAST);
	address_add(n, 2, "198.18.1.3/32");
	route_add(n, RT_TABLE_MAIN, RTN_UNICAST, "0.0.0.0/0", 2, "198.18.1.2");
	local_rules(n);
}

static void gate_scene(struct gate_scene *g)
{
	struct net *h = &g->s.n;
	struct explain_place *p = g->s.in.places;

	scene(&g->s);
	link_add(h, 5, "sp-web", IFF_BROADCAST);
	strcpy(h->s.links[3].alias, "sallyport web");
	address_add(h, 5, "198.18.1.1/32");
	route_add(h, 5904, RTN_UNICAST, "198.18.1.0/26", 5, "198.18.1.2");
	our_rule(h, 5904, RTPROT_KERNEL, 1)->to = prefix("198.18.1.0/26");
	build_gate(&g->gate);
	build_room(&g->room);
	for (size_t i = 0; i < ARRAY_LEN(g->confs); i++)
		g->confs[i] = (struct link_conf){ .forwarding = true,
						  .rp_filter = 1,
						  .src_valid_mark = true,
						  .no_redirects = true };
	g->s.in.n_places = 3;
	p[0].nft = HOST_NFT_TEXT;
	p[1] = p[2] = (struct explain_place){ .enter = "",
					      .gate = "web",
					      .confs = g->confs,
					      .sockets_known = true,
					      .nft_known = true };
	p[1].name = "gate web";
	p[1].net = &g->gate.s;
	p[1].nft = GATE_NFT_TEXT;
	p[2].name = "room web";
	p[2].net = &g->room.s;
	p[2].sockets = g->s.sockets;
	p[2].n_sockets = 1;
	g->s.sockets[0] = (struct socket_seen){ .proto = IPPROTO_TCP,
						.state = SOCKET_LISTENS,
						.local = ip("0.0.0.0"),
						.local_port = 8080 };
}

static void gate_scene_free(struct gate_scene *g)
{
	net_free(&g->s.n);
	net_free(&g->gate);
	net_free(&g->room);
}
#define CLEANUP_GATE __attribute__((cleanup(gate_scene_free)))

static void a_published_port_is_followed_through_gate_and_room_both_ways(void **state)
{
	struct gate_scene g CLEANUP_GATE;
	const struct explain_report *r = &g.s.report;

	(void)state;
	gate_scene(&g);
	assert_int_equal(ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP),
			 EXPLAIN_SAME_DOOR);
	assert_string_equal(r->publish.gate, "web");
	assert_int_equal(r->publish.port, 8080);
	assert_int_equal(r->n_legs, 6);
	assert_int_equal(r->meets, EXPLAIN_MEETS_SOCKET);
	assert_null(r->more);
	assert_string_equal(r->legs[0].out->name, "sp-web");
	assert_string_equal(r->legs[1].out->name, "room");
	assert_null(r->legs[2].out);
	/* room, gate, host; in the gate by the mark of the door it came in by */
	assert_string_equal(r->legs[3].out->name, "eth0");
	assert_int_equal(r->legs[4].flow.mark, plan_door_mark(0));
	assert_string_equal(r->legs[4].out->name, "lan");
	assert_string_equal(r->legs[5].out->name, "eth0");
}

static void what_comes_in_by_the_gates_vpn_is_answered_by_the_vpn(void **state)
{
	struct gate_scene g CLEANUP_GATE;
	const struct explain_report *r = &g.s.report;

	(void)state;
	gate_scene(&g);
	g.s.in.n_places = 2;
	g.s.in.places[0] = g.s.in.places[1];
	g.s.in.places[1] = g.s.in.places[2];
	assert_int_equal(ask(&g.s, "172.16.9.20", "172.20.0.10", 80, IPPROTO_TCP),
			 EXPLAIN_SAME_DOOR);
	assert_string_equal(r->door->name, "tun0");
	assert_int_equal(r->legs[0].flow.mark, plan_door_mark(1));
	assert_int_equal(r->n_legs, 4);
	assert_string_equal(r->legs[3].out->name, "tun0");
}

static void a_gate_whose_marks_are_gone_goes_wrong_in_the_gate(void **state)
{
	struct gate_scene g CLEANUP_GATE;
	const struct explain_report *r = &g.s.report;

	(void)state;
	gate_scene(&g);
	g.s.in.places[1].nft = NULL;
	for (size_t i = 0; i < ARRAY_LEN(g.confs); i++)
		g.confs[i].rp_filter = 0;
	assert_int_equal(ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP),
			 EXPLAIN_OTHER_DOOR);
	assert_int_equal(r->legs[r->decisive].place, 1);
	assert_string_equal(out_link(&g.s), "tun0");
	assert_int_equal(r->n_cures, 1);
	assert_int_equal(r->cures[0].kind, EXPLAIN_CURE_REPAIR);
}

static void a_gate_that_marks_but_does_not_restore_goes_wrong(void **state)
{
	struct gate_scene g CLEANUP_GATE;
	char text[sizeof(GATE_NFT_TEXT)] = GATE_NFT_TEXT;

	(void)state;
	gate_scene(&g);
	memcpy(strstr(text, "\"room*\""), "\"ruum*\"", 7);
	g.s.in.places[1].nft = text;
	for (size_t i = 0; i < ARRAY_LEN(g.confs); i++)
		g.confs[i].rp_filter = 0;
	assert_int_equal(ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP),
			 EXPLAIN_OTHER_DOOR);
	assert_int_equal(g.s.report.legs[1].flow.mark, plan_door_mark(0));
	assert_int_equal(explain_last_reply(&g.s.report)->flow.mark, 0);
}

static void a_vpn_on_the_host_takes_the_replies_of_rooms_too(void **state)
{
	struct gate_scene g CLEANUP_GATE;

	(void)state;
	gate_scene(&g);
	route_add(&g.s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP),
			 EXPLAIN_OTHER_DOOR);
	assert_int_equal(g.s.report.legs[g.s.report.decisive].place, 0);
	assert_string_equal(g.s.report.cures[0].cure.iif, "sp-web");
}

static void a_namespace_that_is_not_there_yet_is_asked_for(void **state)
{
	struct gate_scene g CLEANUP_GATE;

	(void)state;
	gate_scene(&g);
	g.s.in.n_places = 1;
	ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP);
	assert_string_equal(g.s.report.more, "web.gate");
	g.s.in.n_places = 2;
	ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP);
	assert_string_equal(g.s.report.more, "web");
}

static void a_rule_in_front_of_ours_is_named(void **state)
{
	struct gate_scene g CLEANUP_GATE;

	(void)state;
	gate_scene(&g);
	ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP);
	assert_null(g.s.report.before_ours);
	our_rule(&g.s.n, 77, RTPROT_BOOT, 1);
	ask(&g.s, "172.16.9.20", "192.168.1.5", 80, IPPROTO_TCP);
	assert_int_equal(g.s.report.before_ours->table, 77);
	assert_int_equal(g.s.report.before_ours_place, 0);
}

static void what_the_guard_marks_leaves_by_its_door(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct rule *rule;

	(void)state;
	scene(&s);
	listens(&s, IPPROTO_UDP, "0.0.0.0", 53);
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP),
			 EXPLAIN_OTHER_DOOR);
	rule = our_rule(&s.n, GUARD_TABLE_DOOR, RTPROT_KERNEL, 1);
	rule->has_mark = true;
	rule->mark = GUARD_TABLE_DOOR << 16;
	rule->mark_mask = GUARD_MARK_MASK;
	route_add(&s.n, GUARD_TABLE_DOOR, RTN_UNICAST, "0.0.0.0/0", ETH0, "192.168.1.1");
	assert_true(known_rule_is_ours(rule));
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.5", 53, IPPROTO_UDP), EXPLAIN_SAME_DOOR);
	assert_true(explain_last_reply(&s.report)->guarded);
	/* It puts the address back that was asked. */
	address_add(&s.n, ETH0, "192.168.1.6/24");
	assert_int_equal(ask(&s, "172.16.9.20", "192.168.1.6", 53, IPPROTO_UDP), EXPLAIN_SAME_DOOR);
}

/* --- cures and makers ------------------------------------------------------------------- */

static void a_router_that_nobody_knows_is_asked_for(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* No route says who the router on eth0 is. */
	for (size_t i = 0; i < s.n.s.n_routes; i++)
		if (!s.n.s.routes[i].dst.len)
			s.n.s.routes[i].type = RTN_THROW;
	route_add(&s.n, RT_TABLE_MAIN, RTN_UNICAST, "172.16.0.0/12", TUN0, "10.8.0.1");
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	assert_int_equal(s.report.why, EXPLAIN_WHY_ONLY);
	assert_int_equal(s.report.cures[0].kind, EXPLAIN_CURE_ROUTER);
}

static void a_cure_that_would_not_help_is_not_told(void **state)
{
	struct scene s CLEANUP_SCENE;

	(void)state;
	scene(&s);
	/* New rules of priority 0 come behind this one. */
	our_rule(&s.n, 77, RTPROT_BOOT, 1);
	route_add(&s.n, 77, RTN_UNICAST, "172.16.0.0/12", TUN0, NULL);
	assert_int_equal(ask_tcp(&s, "172.16.9.20"), EXPLAIN_OTHER_DOOR);
	for (size_t i = 0; i < s.report.n_cures; i++)
		assert_int_not_equal(s.report.cures[i].kind, EXPLAIN_CURE_RULE);
}

static void a_cure_stands_behind_what_has_priority_0(void **state)
{
	struct scene s CLEANUP_SCENE;
	struct snapshot cured;
	struct cure c = { .family = AF_INET, .table = 100, .link = "eth0" };

	(void)state;
	scene(&s);
	our_rule(&s.n, 77, RTPROT_BOOT, 1);
	cured = cure_apply(&s.n.a, &s.n.s, &c, 1);
	assert_int_equal(cured.n_rules, s.n.s.n_rules + 1);
	assert_int_equal(cured.rules[1].table, 77);
	assert_int_equal(cured.rules[2].table, 100);
	assert_int_equal(cure_free_table(&cured, 100), 101);
}

static void rules_are_known_by_priority_table_mark_and_protocol(void **state)
{
	static const struct {
		struct rule rule;
		const char *maker;
	} cases[] = {
		{ { .priority = 5270, .table = 52 }, "Tailscale" },
		{ { .priority = 5210,
		    .table = RT_TABLE_MAIN,
		    .has_mark = true,
		    .mark = 0x80000,
		    .mark_mask = 0xff0000 },
		  "Tailscale" },
		{ { .priority = 32764,
		    .table = 51820,
		    .invert = true,
		    .has_mark = true,
		    .mark = 51820,
		    .mark_mask = UINT32_MAX },
		  "wg-quick" },
		{ { .priority = 101,
		    .table = 51820,
		    .invert = true,
		    .has_mark = true,
		    .mark = 51820,
		    .mark_mask = UINT32_MAX },
		  "gluetun" },
		{ { .priority = 31001,
		    .table = 52000,
		    .invert = true,
		    .has_mark = true,
		    .mark = 52000,
		    .mark_mask = UINT32_MAX },
		  "NetworkManager" },
		{ { .priority = 32763, .table = 0x6d6f6c65 }, "Mullvad" },
		{ { .priority = 110, .table = 0x1bd0 }, "NetBird" },
		{ { .priority = 220, .table = 220 }, "strongSwan" },
		{ { .priority = 100, .table = RT_TABLE_LOCAL }, "Cilium" },
		{ { .priority = 111, .table = 11, .protocol = RTPROT_KERNEL }, "Cilium" },
		{ { .priority = 9, .table = 2004, .has_mark = true, .mark_mask = 0xf00 },
		  "Cilium" },
		{ { .priority = 30401, .table = 30401 }, "nm-cloud-setup" },
		{ { .priority = 100, .table = 200 }, "gluetun" },
		{ { .priority = 2001, .has_mark = true, .mark = 0x100, .mark_mask = 0x3f00 },
		  "mwan3" },
		{ { .priority = 500, .table = 7, .protocol = RTPROT_STATIC }, "systemd-networkd" },
		{ { .priority = 500, .table = 7, .protocol = RTPROT_ZEBRA }, "FRR or Quagga" },
		{ { .table = 5904, .protocol = RTPROT_KERNEL }, "sallyport" },
		{ { .priority = 5, .table = 7, .protocol = PLAN_PROTOCOL }, "sallyport" },
		{ { .priority = 500, .table = 7 }, NULL },
		{ { .priority = 0, .table = RT_TABLE_LOCAL }, NULL },
		{ { .priority = 32766, .table = RT_TABLE_MAIN }, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct rule r = cases[i].rule;
		const char *maker;

		r.family = AF_INET;
		r.action = FR_ACT_TO_TBL;
		r.suppress_len = r.suppress_group = -1;
		maker = known_rule_maker(&r);
		if (cases[i].maker)
			assert_string_equal(maker ? maker : "nobody", cases[i].maker);
		else
			assert_null(maker);
	}
}

static void our_tables_are_read_as_nft_lists_them(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft_published found = { 0 };
	struct ip to = ip("192.168.1.5"), to6 = ip("fd00::1");

	(void)state;
	assert_true(nft_find_on_host(&a, HOST_NFT_TEXT, &to, IPPROTO_UDP, 53, &found));
	assert_string_equal(found.gate, "web");
	assert_int_equal(found.port, 53);
	assert_false(nft_find_on_host(&a, HOST_NFT_TEXT, &to, IPPROTO_UDP, 80, &found));
	assert_false(nft_find_on_host(&a, HOST_NFT_TEXT, &to, IPPROTO_TCP, 8, &found));
	assert_false(nft_find_on_host(&a, HOST_NFT_TEXT, &to6, IPPROTO_TCP, 80, &found));
	assert_false(nft_find_on_host(&a, "", &to, IPPROTO_TCP, 80, &found));
	/* UDP-Lite is no TCP, and port 180 not 80. */
	assert_true(nft_find_on_host(
		&a,
		"table inet sallyport {\n\tmap ports {\n\t\telements = { 6 . 80 : goto publish_web }\n"
		"\t}\n\n\tchain publish_web {\n\t\tdnat ip to meta l4proto . th dport map { "
		"136 . 80 : 198.18.1.9 . 1, 6 . 180 : 198.18.1.9 . 2, 6 . 80 : 198.18.1.3 . 3 }\n"
		"\t}\n}\n",
		&to, IPPROTO_TCP, 80, &found));
	assert_int_equal(found.port, 3);
	/* One address of the host has its own. */
	assert_true(nft_find_on_host(
		&a,
		"table inet sallyport {\n\tmap listen4 {\n\t\telements = { "
		"192.168.1.5 . 6 . 80 : goto publish_web }\n\t}\n\n\tchain publish_web {\n"
		"\t\tdnat ip to ip daddr . meta l4proto . th dport map { 192.168.1.4 . 6 . 80 : "
		"198.18.1.9 . 1, 192.168.1.5 . 6 . 80 : 198.18.1.3 . 4 }\n"
		"\t\tdnat ip to meta l4proto . th dport map { 6 . 80 : 198.18.1.9 . 2 }\n"
		"\t}\n}\n",
		&to, IPPROTO_TCP, 80, &found));
	assert_int_equal(found.port, 4);
	assert_true(nft_find_in_gate(&a, GATE_NFT_TEXT, "tun0", AF_INET, IPPROTO_TCP, 80, &found));
	assert_int_equal(found.port, 8080);
	assert_false(nft_find_in_gate(&a, GATE_NFT_TEXT, "un0", AF_INET, IPPROTO_TCP, 80, &found));
	assert_int_equal(nft_find_mark(&a, GATE_NFT_TEXT, "tun0"), 0x170e0000);
	assert_int_equal(nft_find_mark(&a, GATE_NFT_TEXT, "lan"), 0x170d0000);
	assert_int_equal(nft_find_mark(&a, GATE_NFT_TEXT, "eth9"), 0);
	assert_true(nft_find_restores(&a, GATE_NFT_TEXT));
	assert_false(nft_find_restores(&a, HOST_NFT_TEXT));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_a_vpn_the_reply_takes_the_door_of_the_request),
		cmocka_unit_test(each_sort_of_push_has_its_reason),
		cmocka_unit_test(a_dead_route_is_the_reason_when_it_would_have_won),
		cmocka_unit_test(a_rule_in_front_of_main_is_the_reason),
		cmocka_unit_test(strict_rp_filter_drops_the_request_and_the_reply_tells_why),
		cmocka_unit_test(rp_filter_that_asks_another_question_is_told_to_be_loose),
		cmocka_unit_test(what_refuses_makes_no_reply),
		cmocka_unit_test(a_client_whose_address_is_ours_gets_nothing),
		cmocka_unit_test(the_host_itself_is_a_client_like_any_other),
		cmocka_unit_test(an_unbound_udp_socket_answers_from_where_the_route_says),
		cmocka_unit_test(a_bound_socket_is_the_better_one),
		cmocka_unit_test(
			a_socket_bound_to_the_door_is_better_than_one_bound_to_its_address),
		cmocka_unit_test(an_ipv6_echo_asks_for_the_link_of_the_request),
		cmocka_unit_test(the_sockets_user_counts_and_another_ones_is_tried),
		cmocka_unit_test(a_clients_port_that_a_rule_asks_for_is_tried_unless_it_is_known),
		cmocka_unit_test(without_its_address_the_door_is_foretold_without_the_vpn),
		cmocka_unit_test(a_door_that_nobody_knows_is_said_to_be_unknown),
		cmocka_unit_test(a_door_that_is_down_lets_nothing_in),
		cmocka_unit_test(of_several_equal_ways_all_must_take_the_door),
		cmocka_unit_test(a_published_port_of_a_container_is_followed_to_its_bridge),
		cmocka_unit_test(a_published_port_is_followed_through_gate_and_room_both_ways),
		cmocka_unit_test(what_comes_in_by_the_gates_vpn_is_answered_by_the_vpn),
		cmocka_unit_test(a_gate_whose_marks_are_gone_goes_wrong_in_the_gate),
		cmocka_unit_test(a_gate_that_marks_but_does_not_restore_goes_wrong),
		cmocka_unit_test(a_vpn_on_the_host_takes_the_replies_of_rooms_too),
		cmocka_unit_test(a_namespace_that_is_not_there_yet_is_asked_for),
		cmocka_unit_test(a_rule_in_front_of_ours_is_named),
		cmocka_unit_test(what_the_guard_marks_leaves_by_its_door),
		cmocka_unit_test(a_router_that_nobody_knows_is_asked_for),
		cmocka_unit_test(a_cure_that_would_not_help_is_not_told),
		cmocka_unit_test(a_cure_stands_behind_what_has_priority_0),
		cmocka_unit_test(rules_are_known_by_priority_table_mark_and_protocol),
		cmocka_unit_test(our_tables_are_read_as_nft_lists_them),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
