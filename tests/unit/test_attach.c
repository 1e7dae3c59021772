/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The doors of a namespace that somebody else made, and its plan. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "plan/attach.h"

#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

/* A container as Docker makes it; what a test adds is the difference. */
struct scene {
	struct arena arena;
	struct snapshot net;
	struct seen_doors doors;
};

static struct ip ip(const char *text)
{
	struct ip ret = { 0 };

	assert_true(ip_parse(text, &ret));
	return ret;
}

static struct link *add_link(struct scene *s, int index, const char *name, const char *kind,
			     bool mac)
{
	struct link *l = arena_push(&s->arena, s->net.links, s->net.n_links, s->net.cap_links);

	l->index = index;
	l->flags = IFF_UP | (index == 1 ? IFF_LOOPBACK : 0U);
	l->has_mac = mac;
	snprintf(l->name, sizeof(l->name), "%s", name);
	snprintf(l->kind, sizeof(l->kind), "%s", kind);
	return l;
}

static struct address *add_address(struct scene *s, int link, const char *text, uint8_t len)
{
	struct address *x =
		arena_push(&s->arena, s->net.addresses, s->net.n_addresses, s->net.cap_addresses);

	*x = (struct address){
		.link = link, .local = ip(text), .len = len, .flags = IFA_F_PERMANENT
	};
	return x;
}

/* @via "": on-link */
static struct route *add_route(struct scene *s, uint32_t table, const char *dst, int link,
			       const char *via)
{
	struct route *r = arena_push(&s->arena, s->net.routes, s->net.n_routes, s->net.cap_routes);

	*r = (struct route){ .type = RTN_UNICAST, .table = table, .n_hops = 1 };
	assert_true(prefix_parse(dst, true, &r->dst));
	r->family = r->dst.ip.family;
	r->hops = arena_new(&s->arena, struct hop);
	r->hops[0].link = link;
	if (*via)
		r->hops[0].via = ip(via);
	return r;
}

static void container(struct scene *s)
{
	*s = (struct scene){ 0 };
	add_link(s, 1, "lo", "", true);
	add_address(s, 1, "127.0.0.1", 8);
	add_link(s, 2, "eth0", "veth", true);
	add_address(s, 2, "172.17.0.2", 16);
	add_route(s, RT_TABLE_MAIN, "0.0.0.0/0", 2, "172.17.0.1");
}

static void tunnel(struct scene *s)
{
	add_link(s, 3, "tun0", "tun", false);
	add_address(s, 3, "10.8.0.2", 24);
}

static void find(struct scene *s)
{
	doors_find(&s->arena, &s->net, NULL, 0, &s->doors);
}

static void plan(struct scene *s, struct want *ret)
{
	static const struct attach_ask ask = { 0 };

	find(s);
	plan_attach(&s->arena, &s->net, &s->doors, &ask, ret);
}

static bool has_rule(const struct want *w, const char *from, const char *to, uint32_t table)
{
	struct prefix p = { 0 };

	assert_true(prefix_parse(*from ? from : to, true, &p));
	for (size_t i = 0; i < w->n_rules; i++) {
		const struct want_rule *r = &w->rules[i];

		if (r->table == table && prefix_equal(*from ? &r->from : &r->to, &p))
			return true;
	}
	return false;
}

static const struct want_route *default_of(const struct want *w, uint32_t table)
{
	for (size_t i = 0; i < w->n_routes; i++)
		if (w->routes[i].table == table && !w->routes[i].dst.len &&
		    w->routes[i].type == RTN_UNICAST)
			return &w->routes[i];
	return NULL;
}

static void what_a_vpn_made_is_a_tunnel(void **state)
{
	struct scene s;

	(void)state;
	container(&s);
	tunnel(&s);
	find(&s);
	assert_int_equal(s.doors.n_lan, 1);
	assert_string_equal(s.doors.lan[0].link->name, "eth0");
	assert_int_equal(s.doors.n_tunnels, 1);
	assert_string_equal(s.doors.tunnels[0].link->name, "tun0");
	arena_free(&s.arena);
}

static void a_tap_is_a_tunnel_beside_a_network_and_a_door_without_one(void **state)
{
	struct scene s;

	(void)state;
	container(&s);
	add_link(&s, 3, "tap0", "tun", true);
	add_address(&s, 3, "10.0.2.100", 24);
	find(&s);
	assert_int_equal(s.doors.n_lan, 1);
	assert_int_equal(s.doors.n_tunnels, 1);
	s.net.links[1].flags = 0; /* as under slirp4netns(1) */
	find(&s);
	assert_int_equal(s.doors.n_lan, 1);
	assert_string_equal(s.doors.lan[0].link->name, "tap0");
	arena_free(&s.arena);
}

static void what_has_no_address_or_a_master_is_no_door(void **state)
{
	struct scene s;

	(void)state;
	container(&s);
	add_link(&s, 3, "eth1", "veth", true);
	add_link(&s, 4, "eth2", "veth", true)->master = 2;
	add_address(&s, 4, "172.18.0.2", 16);
	add_link(&s, 5, "eth3", "veth", true);
	add_address(&s, 5, "fe80::1", 64);
	find(&s);
	assert_int_equal(s.doors.n_lan, 1);
	arena_free(&s.arena);
}

static void virtual_addresses_are_reached_by_every_door(void **state)
{
	struct scene s;
	struct want w;

	(void)state;
	container(&s);
	add_address(&s, 1, "192.0.2.7", 32);
	plan(&s, &w);
	assert_int_equal(s.doors.n_elsewhere, 1);
	assert_non_null(strstr(w.nft, "ip daddr != { 192.0.2.7 } fib daddr type local"));
	for (size_t i = 0; i < w.n_sysctls; i++)
		assert_null(strstr(w.sysctls[i].path, "arp_ignore"));
	arena_free(&s.arena);
}

static void a_source_leads_to_its_door(void **state)
{
	struct scene s;
	struct want w;

	(void)state;
	container(&s);
	tunnel(&s);
	add_address(&s, 2, "172.17.0.200", 16);
	plan(&s, &w);
	assert_true(has_rule(&w, "172.17.0.2/32", "", 5901));
	assert_true(has_rule(&w, "172.17.0.200/32", "", 5901));
	assert_true(has_rule(&w, "10.8.0.2/32", "", 5901 + DOORS_LAN_MAX));
	assert_true(has_rule(&w, "", "172.17.0.1/32", 5901));
	assert_true(has_rule(&w, "", "172.17.0.0/16", 5901));
	assert_true(default_of(&w, 5901)->onlink);
	assert_string_equal(default_of(&w, 5901 + DOORS_LAN_MAX)->link, "tun0");
	arena_free(&s.arena);
}

static void a_door_that_a_program_carries_is_asked_at_its_link_local_address(void **state)
{
	struct scene s;
	struct want w;

	(void)state;
	container(&s);
	add_address(&s, 2, "2001:db8::2", 64);
	add_address(&s, 2, "fe80::2", 64);
	plan(&s, &w);
	assert_false(has_rule(&w, "fe80::2/128", "", 5901));
	assert_null(strstr(w.nft, "fe80::2"));
	snprintf(s.net.links[1].kind, sizeof(s.net.links[1].kind), "tun"); /* pasta(1) */
	plan(&s, &w);
	assert_true(has_rule(&w, "fe80::2/128", "", 5901));
	assert_non_null(strstr(w.nft, "ip6 saddr set fe80::2"));
	arena_free(&s.arena);
}

/* The kernel takes no route by an address of this namespace's own. */
static void a_gateway_whose_address_a_tunnel_has_is_no_way(void **state)
{
	struct scene s;
	struct want w;

	(void)state;
	container(&s);
	tunnel(&s);
	add_address(&s, 3, "172.17.0.1", 32);
	plan(&s, &w);
	assert_null(default_of(&w, 5901));
	assert_true(has_rule(&w, "172.17.0.2/32", "", 5901));
	arena_free(&s.arena);
}

static struct ip gateway_with(struct scene *s, const char *told)
{
	struct ip t = *told ? ip(told) : (struct ip){ 0 };

	doors_find(&s->arena, &s->net, &t, *told ? 1 : 0, &s->doors);
	return s->doors.lan[0].gateway[0];
}

static void a_gateway_is_found_though_the_vpn_took_the_default(void **state)
{
	struct scene s;
	struct ip got, want = ip("172.17.0.1");

	(void)state;
	container(&s);
	tunnel(&s);
	s.net.routes[0].hops[0].link = 3; /* default via tun0 */
	got = gateway_with(&s, "");
	assert_true(ip_is_none(&got));
	got = gateway_with(&s, "172.18.0.1"); /* another network's */
	assert_true(ip_is_none(&got));
	got = gateway_with(&s, "172.17.0.1");
	assert_true(ip_equal(&got, &want));
	add_route(&s, RT_TABLE_MAIN, "198.51.100.2/32", 2, "172.17.0.1"); /* to the server */
	got = gateway_with(&s, "");
	assert_true(ip_equal(&got, &want));
	s.net.n_routes--;
	add_route(&s, 5901, "0.0.0.0/0", 2, "172.17.0.1"); /* ours, from before */
	got = gateway_with(&s, "");
	assert_true(ip_equal(&got, &want));
	arena_free(&s.arena);
}

static void a_door_keeps_its_number_when_another_goes(void **state)
{
	struct scene s;

	(void)state;
	container(&s);
	add_link(&s, 4, "eth1", "veth", true);
	add_address(&s, 4, "172.18.0.2", 16);
	find(&s);
	assert_int_equal(s.doors.lan[1].number, 1);
	add_route(&s, 5902, "172.18.0.0/16", 4, "");
	s.net.links[1].flags = 0; /* eth0 is down */
	find(&s);
	assert_int_equal(s.doors.n_lan, 1);
	assert_int_equal(s.doors.lan[0].number, 1);
	s.net.links[1].flags = IFF_UP;
	find(&s);
	assert_int_equal(s.doors.lan[0].number, 0);
	assert_int_equal(s.doors.lan[1].number, 1);
	arena_free(&s.arena);
}

static void a_door_without_gateway_knows_mains_networks(void **state)
{
	struct scene s;
	struct want w;
	bool found = false;

	(void)state;
	container(&s);
	add_link(&s, 4, "eth1", "veth", true);
	add_address(&s, 4, "172.18.0.2", 16);
	add_route(&s, RT_TABLE_MAIN, "192.168.0.0/16", 4, "172.18.0.77");
	s.net.routes[1].hops[0].via = ip("172.19.0.1"); /* not on its network: no gateway */
	plan(&s, &w);
	assert_null(default_of(&w, 5902));
	for (size_t i = 0; i < w.n_routes; i++)
		found = found || (w.routes[i].table == 5902 && w.routes[i].dst.len == 16 &&
				  !ip_is_none(&w.routes[i].via));
	assert_true(found);
	arena_free(&s.arena);
}

static void router_advertisements_are_heard_where_a_door_lives_by_them(void **state)
{
	static const char drop[] = "iifname \"eth0\" icmpv6 type nd-router-advert counter drop";
	struct scene s;
	struct want w;

	(void)state;
	container(&s);
	plan(&s, &w);
	assert_non_null(strstr(w.nft, drop));
	add_address(&s, 2, "2001:db8::2", 64)->flags = 0;
	plan(&s, &w);
	assert_null(strstr(w.nft, drop));
	arena_free(&s.arena);
}

static void aliases_of_each_address_are_apart(void **state)
{
	struct prefix nets[2][6];
	struct scene s;

	(void)state;
	container(&s);
	add_address(&s, 2, "172.17.0.200", 16);
	find(&s);
	for (size_t i = 0; i < 2; i++)
		assert_int_equal(attach_alias_nets(&s.doors, &s.net, &s.doors.lan[0],
						   &s.net.addresses[1 + i].local, nets[i]),
				 6);
	for (size_t i = 0; i < 6; i++)
		for (size_t k = 0; k < 6; k++)
			assert_false(prefix_overlaps(&nets[0][i], &nets[1][k]));
	arena_free(&s.arena);
}

static bool tracks(struct scene *s, const struct attach_ask *ask)
{
	const char *text;

	find(s);
	text = plan_nft_attach(&s->arena, &s->net, &s->doors, ask);
	assert_true(!strstr(text, "\tchain arrive {") == !!strstr(text, "\tchain enter {"));
	assert_true(!strstr(text, "ct mark") == !!strstr(text, "\tchain enter {"));
	return strstr(text, "ct mark");
}

static void connections_are_tracked_where_an_address_does_not_tell(void **state)
{
	struct scene s;

	(void)state;
	container(&s);
	tunnel(&s);
	assert_false(tracks(&s, &(struct attach_ask){ 0 }));
	assert_false(tracks(&s, &(struct attach_ask){ .closed = true }));
	assert_true(tracks(&s, &(struct attach_ask){ .closed = true, .translated = true }));
	assert_true(tracks(&s, &(struct attach_ask){ .alias = true }));
	assert_true(tracks(&s, &(struct attach_ask){ .translated = true }));
	add_address(&s, 1, "192.0.2.7", 32);
	assert_true(tracks(&s, &(struct attach_ask){ 0 }));
	arena_free(&s.arena);
}

static const char *closed_text(struct scene *s, struct attach_ask ask)
{
	find(s);
	ask.closed = true;
	return plan_nft_attach(&s->arena, &s->net, &s->doors, &ask);
}

static bool looks_up_own(struct scene *s, const struct attach_ask *ask)
{
	return strstr(closed_text(s, *ask),
		      "oifname \"eth0\" ip saddr 172.17.0.2 tcp flags & (syn "
		      "| ack) != syn ip daddr . tcp dport . tcp sport != @own4 accept");
}

static void segments_are_looked_up_only_where_a_connection_may_have_begun_here(void **state)
{
	struct plan_server udp = { .ip = ip("198.51.100.2"), .port = 1194, .proto = IPPROTO_UDP };
	struct plan_server any = { .ip = ip("198.51.100.2"), .port = 443 };
	struct prefix reach = { ip("192.168.0.0"), 16 };
	struct scene s;

	(void)state;
	container(&s);
	tunnel(&s);
	assert_true(looks_up_own(&s, &(struct attach_ask){ .servers = &udp, .n_servers = 1 }));
	assert_false(looks_up_own(
		&s, &(struct attach_ask){ .servers = &udp, .n_servers = 1, .began_none = true }));
	assert_true(looks_up_own(
		&s, &(struct attach_ask){ .servers = &any, .n_servers = 1, .began_none = true }));
	assert_true(looks_up_own(
		&s, &(struct attach_ask){ .reach = &reach, .n_reach = 1, .began_none = true }));
	arena_free(&s.arena);
}

/* Told by their ports: what listens nowhere was begun here. */
static void connections_that_the_namespace_began_are_told_to_the_kill_switch(void **state)
{
	const struct socket_seen all[] = {
		{ .proto = IPPROTO_TCP,
		  .state = SOCKET_LISTENS,
		  .local = ip("0.0.0.0"),
		  .local_port = 80 },
		{ .proto = IPPROTO_TCP,
		  .local = ip("172.17.0.2"),
		  .local_port = 80,
		  .peer = ip("192.0.2.1"),
		  .peer_port = 5000 },
		{ .proto = IPPROTO_TCP,
		  .local = ip("172.17.0.2"),
		  .local_port = 40000,
		  .peer = ip("192.0.2.1"),
		  .peer_port = 443 },
		{ .proto = IPPROTO_TCP,
		  .local = ip("10.8.0.2"),
		  .local_port = 40001,
		  .peer = ip("192.0.2.1"),
		  .peer_port = 443 },
		{ .proto = IPPROTO_UDP,
		  .local = ip("172.17.0.2"),
		  .local_port = 40002,
		  .peer = ip("192.0.2.1"),
		  .peer_port = 443 },
	};
	struct scene s;

	(void)state;
	container(&s);
	tunnel(&s);
	find(&s);
	assert_string_equal(plan_nft_attach_older(&s.arena, &s.net, &s.doors, all, ARRAY_LEN(all)),
			    "add element inet sallyport-attach own4 { 192.0.2.1 . 443 . 40000 }\n");
	assert_string_equal(plan_nft_attach_older(&s.arena, &s.net, &s.doors, all, 2), "");
	arena_free(&s.arena);
}

static void segments_by_tunnels_are_made_small_where_that_is_asked_for(void **state)
{
	struct scene s;
	const char *text;

	(void)state;
	container(&s);
	find(&s);
	text = plan_nft_attach(&s.arena, &s.net, &s.doors, &(struct attach_ask){ .mss = 1200 });
	assert_non_null(strstr(text, "iifname != { \"eth0\" } tcp flags syn / syn,rst tcp option "
				     "maxseg size set 1200"));
	assert_non_null(strstr(text, "oifname != { \"eth0\" } tcp flags syn / syn,rst tcp option "
				     "maxseg size set 1200"));
	text = plan_nft_attach(&s.arena, &s.net, &s.doors, &(struct attach_ask){ 0 });
	assert_null(strstr(text, "maxseg"));
	arena_free(&s.arena);
}

static void chains_of_the_other_table_are_stale(void **state)
{
	struct arena a = { 0 };
	const char *gone = plan_nft_attach_stale(
		&a, "\tset passed4 {\n\tchain enter {\n\tchain leave {\n", "\tchain leave { }");

	(void)state;
	assert_string_equal(gone, "flush table inet sallyport-attach\n"
				  "delete chain inet sallyport-attach enter\n"
				  "delete set inet sallyport-attach passed4\n");
	arena_free(&a);
}

static void sets_of_addresses_that_went_are_stale(void **state)
{
	struct arena a = { 0 };
	const char *gone = plan_nft_attach_stale(&a, "\tset to_0a080002 {\n\tset began4 {\n",
						 "\tset began4 { type x; }\n\tset to_0a080003 { }");

	(void)state;
	assert_string_equal(gone, "flush table inet sallyport-attach\n"
				  "delete set inet sallyport-attach to_0a080002\n");
	assert_string_equal(plan_nft_attach_stale(&a, "\tset began4 {\n", "\tset began4 { }"), "");
	arena_free(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_a_vpn_made_is_a_tunnel),
		cmocka_unit_test(a_tap_is_a_tunnel_beside_a_network_and_a_door_without_one),
		cmocka_unit_test(what_has_no_address_or_a_master_is_no_door),
		cmocka_unit_test(virtual_addresses_are_reached_by_every_door),
		cmocka_unit_test(a_source_leads_to_its_door),
		cmocka_unit_test(a_door_that_a_program_carries_is_asked_at_its_link_local_address),
		cmocka_unit_test(a_gateway_whose_address_a_tunnel_has_is_no_way),
		cmocka_unit_test(a_gateway_is_found_though_the_vpn_took_the_default),
		cmocka_unit_test(a_door_keeps_its_number_when_another_goes),
		cmocka_unit_test(a_door_without_gateway_knows_mains_networks),
		cmocka_unit_test(router_advertisements_are_heard_where_a_door_lives_by_them),
		cmocka_unit_test(aliases_of_each_address_are_apart),
		cmocka_unit_test(connections_are_tracked_where_an_address_does_not_tell),
		cmocka_unit_test(
			segments_are_looked_up_only_where_a_connection_may_have_begun_here),
		cmocka_unit_test(connections_that_the_namespace_began_are_told_to_the_kill_switch),
		cmocka_unit_test(segments_by_tunnels_are_made_small_where_that_is_asked_for),
		cmocka_unit_test(chains_of_the_other_table_are_stale),
		cmocka_unit_test(sets_of_addresses_that_went_are_stale),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
