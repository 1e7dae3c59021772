/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "explain_scene.h"
#include "plan/guard.h"
#include "plan/known.h"
#include "plan/plan.h"

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
	"\tset ports4 {\n\t\ttype inet_proto . inet_service\n"                                     \
	"\t\telements = { 6 . 80 comment \"web\" }\n\t}\n\n"                                       \
	"\tmap rooms4 {\n\t\ttype inet_proto . inet_service : ipv4_addr . inet_service\n"          \
	"\t\telements = { 136 . 80 comment \"no\" : 198.18.1.9 . 1,\n"                             \
	"\t\t\t     6 . 180 comment \"no\" : 198.18.1.9 . 2,\n"                                    \
	"\t\t\t     6 . 80 comment \"web\" : 198.18.1.3 . 8080,\n"                                 \
	"\t\t\t     17 . 53 comment \"web\" : 198.18.1.3 . 53 }\n\t}\n}\n"

/* Of a gate whose ports lead to a chain of its own. */
#define OLDER_NFT_TEXT                                                                             \
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
	assert_true(nft_find_on_host(&a, HOST_NFT_TEXT, &to, IPPROTO_TCP, 80, &found));
	assert_int_equal(found.port, 8080);
	/* One address of the host has its own. */
	assert_true(nft_find_on_host(
		&a,
		"table inet sallyport {\n\tmap rooms4 {\n\t\telements = { "
		"6 . 80 comment \"web\" : 198.18.1.9 . 2 }\n\t}\n\n\tmap rooms4_at {\n"
		"\t\telements = { 192.168.1.4 . 6 . 80 comment \"no\" : 198.18.1.9 . 1, "
		"192.168.1.5 . 6 . 80 comment \"web\" : 198.18.1.3 . 4 }\n\t}\n}\n",
		&to, IPPROTO_TCP, 80, &found));
	assert_string_equal(found.gate, "web");
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

static void a_table_of_an_older_version_is_read_too(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft_published found = { 0 };
	struct ip to = ip("192.168.1.5");

	(void)state;
	assert_true(nft_find_on_host(&a, OLDER_NFT_TEXT, &to, IPPROTO_UDP, 53, &found));
	assert_string_equal(found.gate, "web");
	assert_int_equal(found.port, 53);
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
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_published_port_of_a_container_is_followed_to_its_bridge),
		cmocka_unit_test(a_published_port_is_followed_through_gate_and_room_both_ways),
		cmocka_unit_test(what_comes_in_by_the_gates_vpn_is_answered_by_the_vpn),
		cmocka_unit_test(a_gate_whose_marks_are_gone_goes_wrong_in_the_gate),
		cmocka_unit_test(a_gate_that_marks_but_does_not_restore_goes_wrong),
		cmocka_unit_test(a_vpn_on_the_host_takes_the_replies_of_rooms_too),
		cmocka_unit_test(a_namespace_that_is_not_there_yet_is_asked_for),
		cmocka_unit_test(a_rule_in_front_of_ours_is_named),
		cmocka_unit_test(what_the_guard_marks_leaves_by_its_door),
		cmocka_unit_test(our_tables_are_read_as_nft_lists_them),
		cmocka_unit_test(a_table_of_an_older_version_is_read_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
