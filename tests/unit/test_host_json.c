/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `sallyport snapshot` writes, and what is read of it again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "../kernel/differential/world.h"
#include "base/text.h"
#include "fib/conf.h"
#include "same.h"
#include "wire/host_json.h"

/* A member more is a row more in wire/host_json.c, in a table of members, and below. */
_Static_assert(sizeof(struct link) == 320, "struct link has changed");
_Static_assert(sizeof(struct address) == 52, "struct address has changed");
_Static_assert(sizeof(struct hop) == 28, "struct hop has changed");
_Static_assert(sizeof(struct route) == 104, "struct route has changed");
_Static_assert(sizeof(struct rule) == 240, "struct rule has changed");
_Static_assert(sizeof(struct nexthop_seen) == 56, "struct nexthop_seen has changed");
_Static_assert(sizeof(struct socket_seen) == 96, "struct socket_seen has changed");
_Static_assert(sizeof(struct container_port) == 42, "struct container_port has changed");
_Static_assert(sizeof(struct container_pool) == 32, "struct container_pool has changed");
_Static_assert(sizeof(struct flow_seen) == 88, "struct flow_seen has changed");
_Static_assert(sizeof(struct host) == 352, "struct host has changed");

static const struct member nexthop_members[] = {
	MEMBER(nexthop_seen, id),    MEMBER(nexthop_seen, family), MEMBER(nexthop_seen, protocol),
	MEMBER(nexthop_seen, scope), MEMBER(nexthop_seen, flags),  MEMBER(nexthop_seen, blackhole),
	MEMBER(nexthop_seen, fdb),   MEMBER(nexthop_seen, link),   MEMBER(nexthop_seen, via),
};

static const struct member group_members[] = {
	MEMBER(nexthop_member, id),
	MEMBER(nexthop_member, weight),
};

static const struct member socket_members[] = {
	MEMBER(socket_seen, proto),      MEMBER(socket_seen, state),
	MEMBER(socket_seen, local),      MEMBER(socket_seen, peer),
	MEMBER(socket_seen, local_port), MEMBER(socket_seen, peer_port),
	MEMBER(socket_seen, only_ipv6),  MEMBER(socket_seen, link),
	MEMBER(socket_seen, mark),       MEMBER(socket_seen, uid),
	MEMBER(socket_seen, tos),        MEMBER(socket_seen, inode),
	MEMBER(socket_seen, pid),        MEMBER(socket_seen, process),
	MEMBER(socket_seen, mine),
};

static const struct member port_members[] = {
	MEMBER(container_port, proto),       MEMBER(container_port, port),
	MEMBER(container_port, host),        MEMBER(container_port, inside),
	MEMBER(container_port, inside_port),
};

static const struct member flow_members[] = {
	MEMBER(flow_seen, proto),      MEMBER(flow_seen, client),
	MEMBER(flow_seen, asked),      MEMBER(flow_seen, inside),
	MEMBER(flow_seen, back),       MEMBER(flow_seen, client_port),
	MEMBER(flow_seen, asked_port), MEMBER(flow_seen, inside_port),
	MEMBER(flow_seen, back_port),  MEMBER(flow_seen, mark),
};

static struct ip ip(const char *s)
{
	struct ip ret;

	assert_true(ip_parse(s, &ret));
	return ret;
}

static struct prefix prefix(const char *s)
{
	struct prefix ret;

	assert_true(prefix_parse(s, false, &ret));
	return ret;
}

static bool read_text(struct arena *a, const char *text, size_t size, struct host *ret,
		      struct err *e)
{
	struct json_in j;

	json_in_start(&j, a, "host.json", text, size, e);
	return host_json_read(&j, ret);
}

/* Every member that is not zero for a reason. */
static struct host everything(void)
{
	static struct link links[] = {
		{ .index = 1,
		  .name = "lo",
		  .alias = "sallyport \"office\"\\\n\x01\xff\xc3\xa9",
		  .kind = "dummy",
		  .flags = UINT32_MAX,
		  .mtu = 65536,
		  .group = 7,
		  .master = 2,
		  .peer = 3,
		  .has_mac = true,
		  .mac = { 0x02, 0xff, 0, 0x1a, 0xbc, 0x09 } },
		{ .index = INT32_MAX, .name = "abcdefghijklmno" },
	};
	static struct address addresses[1];
	static struct hop hops[2];
	static struct route routes[2];
	static struct rule rules[3];
	static struct nexthop_member members[] = { { 5, 1 }, { 6, 256 } };
	static struct nexthop_seen nexthops[2];
	static struct sysctl_seen sysctls[] = { { "ipv4/conf/all/rp_filter", "2" },
						{ "ipv4/conf/lo/rp_filter", "" } };
	static struct socket_seen sockets[2];
	static struct container_port ports[1];
	static struct container_pool pools[1];
	static struct ip dns[2];
	static struct flow_seen flows[1];

	addresses[0] = (struct address){ .link = 1,
					 .local = ip("10.0.0.1"),
					 .peer = ip("10.0.0.2"),
					 .len = 31,
					 .scope = RT_SCOPE_LINK,
					 .flags = 0x12345678,
					 .metric = 99 };
	hops[0] = (struct hop){
		.link = 1, .via = ip("fe80::1"), .flags = RTNH_F_ONLINK, .weight = 256
	};
	hops[1] = (struct hop){ .link = -1, .weight = 1 };
	routes[0] = (struct route){ .family = AF_INET,
				    .type = RTN_ANYCAST,
				    .scope = RT_SCOPE_SITE,
				    .protocol = 186,
				    .tos = 0x10,
				    .pref = 3,
				    .table = UINT32_MAX,
				    .metric = 4278198272,
				    .nexthop_id = 9,
				    .mtu = 1400,
				    .flags = 0x1000,
				    .dst = prefix("0.0.0.0/0"),
				    .prefsrc = ip("10.0.0.1"),
				    .hops = hops,
				    .n_hops = 2 };
	routes[1] = (struct route){ .family = AF_INET6,
				    .type = 200,
				    .table = 0,
				    .dst = prefix("2001:db8::/32"),
				    .src = prefix("fd00::/8") };
	rules[0] = (struct rule){ .family = AF_INET,
				  .priority = 3,
				  .action = FR_ACT_GOTO,
				  .protocol = 222,
				  .tos = 0x1c,
				  .ip_proto = 132,
				  .invert = true,
				  .find_saddr = true,
				  .l3mdev = true,
				  .flags = 0x10002,
				  .table = 5900,
				  .target = 32767,
				  .mark = 0x10000,
				  .mark_mask = 0xffff0000,
				  .has_mark = true,
				  .suppress_len = 0,
				  .suppress_group = 12,
				  .has_uid = true,
				  .uid = { 0, UINT32_MAX - 1 },
				  .has_sport = true,
				  .has_dport = true,
				  .sport = { 1, 65535 },
				  .dport = { 22, 22 },
				  .sport_mask = 0xff00,
				  .dport_mask = 0x00ff,
				  .has_dscp = true,
				  .dscp = 46,
				  .dscp_mask = 0x3e,
				  .flowlabel = 0xfffff,
				  .flowlabel_mask = 0xff,
				  .tun_id = UINT64_MAX,
				  .iif = "eth0",
				  .oif = "wg0",
				  .unknown = "attribute 99" };
	/* The kernel keeps what stands beyond the length. */
	rules[0].from = (struct prefix){ .ip = ip("10.1.2.3"), .len = 8 };
	rules[0].to = (struct prefix){ .ip = ip("0.0.0.0"), .len = 0 };
	rules[1] = (struct rule){ .family = AF_INET6,
				  .priority = 0,
				  .action = 77,
				  .suppress_len = -1,
				  .suppress_group = -1,
				  .has_dscp = true };
	rules[2] = (struct rule){ .family = AF_INET,
				  .priority = 3,
				  .action = FR_ACT_TO_TBL,
				  .suppress_len = 128,
				  .suppress_group = -1 };
	nexthops[0] = (struct nexthop_seen){ .id = 5,
					     .family = AF_INET6,
					     .protocol = 4,
					     .scope = RT_SCOPE_LINK,
					     .flags = RTNH_F_LINKDOWN,
					     .blackhole = true,
					     .fdb = true,
					     .link = 1,
					     .via = ip("fe80::2") };
	nexthops[1] = (struct nexthop_seen){ .id = 9, .members = members, .n_members = 2 };
	sockets[0] = (struct socket_seen){ .proto = IPPROTO_TCP,
					   .state = SOCKET_CONNECTED,
					   .local = ip("10.0.0.1"),
					   .peer = ip("10.0.0.9"),
					   .local_port = 22,
					   .peer_port = 65535,
					   .link = 1,
					   .mark = 7,
					   .uid = 1000,
					   .tos = 0x10,
					   .inode = 4000000000,
					   .pid = 4711,
					   .process = "sshd-session-xy",
					   .mine = true };
	sockets[1] = (struct socket_seen){ .proto = IPPROTO_UDP,
					   .state = SOCKET_LISTENS,
					   .local = ip("::"),
					   .local_port = 53,
					   .only_ipv6 = true };
	ports[0] = (struct container_port){ .proto = IPPROTO_UDP,
					    .port = 8080,
					    .host = ip("0.0.0.0"),
					    .inside = ip("172.17.0.2"),
					    .inside_port = 80 };
	pools[0] = (struct container_pool){ .engine = "Docker",
					    .base = prefix("172.17.0.0/16"),
					    .len = 24 };
	dns[0] = ip("9.9.9.9");
	dns[1] = ip("2620:fe::fe");
	flows[0] = (struct flow_seen){ .proto = IPPROTO_TCP,
				       .client = ip("10.0.0.9"),
				       .asked = ip("10.0.0.1"),
				       .inside = ip("172.17.0.2"),
				       .back = ip("10.0.0.8"),
				       .client_port = 50000,
				       .asked_port = 8080,
				       .inside_port = 80,
				       .back_port = 50001,
				       .mark = 0x17000000 };
	return (struct host){
		.name = "servera",
		.place = "office",
		.kernel = "6.1.0",
		.version = "0.1.0",
		.taken = "2026-11-22T22:52:00Z",
		.parts = HOST_ALL & ~(uint32_t)HOST_FLOWS,
		.net = { .links = links,
			 .n_links = 2,
			 .addresses = addresses,
			 .n_addresses = 1,
			 .routes = routes,
			 .n_routes = 2,
			 .rules = rules,
			 .n_rules = 3 },
		.nexthops = nexthops,
		.n_nexthops = 2,
		.sysctls = sysctls,
		.n_sysctls = 2,
		.sockets = sockets,
		.n_sockets = 2,
		.ports = ports,
		.n_ports = 1,
		.pools = pools,
		.n_pools = 1,
		.dns = dns,
		.n_dns = 2,
		.flows = flows,
		.n_flows = 1,
		.nft = "table inet sallyport {\n\tchain x {\n\t}\n}\n",
		.dnat = "Docker (iptables)",
		.session_peer = ip("10.0.0.9"),
		.session_port = 65535,
	};
}

static struct host again(struct arena *a, const struct host *h, struct text *t)
{
	struct host ret = { 0 };
	struct err e;

	host_json_write(t, h);
	if (!read_text(a, text_str(t), t->len, &ret, &e))
		fail_msg("%s", e.text);
	return ret;
}

static void assert_same_routes(const struct snapshot *x, const struct snapshot *y)
{
	ASSERT_SAME_LIST(x, y, routes, n_routes, route_members);
	for (size_t i = 0; i < x->n_routes; i++)
		ASSERT_SAME_LIST(&x->routes[i], &y->routes[i], hops, n_hops, hop_members);
}

static void assert_same_net(const struct snapshot *x, const struct snapshot *y)
{
	ASSERT_SAME_LIST(x, y, links, n_links, link_members);
	ASSERT_SAME_LIST(x, y, addresses, n_addresses, address_members);
	ASSERT_SAME_LIST(x, y, rules, n_rules, rule_members);
	assert_same_routes(x, y);
}

static void assert_same_nexthops(const struct host *x, const struct host *y)
{
	ASSERT_SAME_LIST(x, y, nexthops, n_nexthops, nexthop_members);
	for (size_t i = 0; i < x->n_nexthops; i++)
		ASSERT_SAME_LIST(&x->nexthops[i], &y->nexthops[i], members, n_members,
				 group_members);
}

static void assert_same_sysctls(const struct host *x, const struct host *y)
{
	assert_int_equal(x->n_sysctls, y->n_sysctls);
	for (size_t i = 0; i < x->n_sysctls; i++) {
		assert_string_equal(x->sysctls[i].path, y->sysctls[i].path);
		assert_string_equal(x->sysctls[i].value, y->sysctls[i].value);
	}
}

static void every_member_comes_back_as_it_was(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text t CLEANUP_TEXT = { 0 }, t2 CLEANUP_TEXT = { 0 };
	struct host h = everything(), back = again(&a, &h, &t);

	(void)state;
	assert_string_equal(back.name, h.name);
	assert_string_equal(back.place, h.place);
	assert_string_equal(back.kernel, h.kernel);
	assert_string_equal(back.version, h.version);
	assert_string_equal(back.taken, h.taken);
	assert_string_equal(back.nft, h.nft);
	assert_string_equal(back.dnat, h.dnat);
	assert_int_equal(back.parts, h.parts);
	assert_same_net(&h.net, &back.net);
	assert_same_nexthops(&h, &back);
	assert_same_sysctls(&h, &back);
	ASSERT_SAME_LIST(&h, &back, sockets, n_sockets, socket_members);
	ASSERT_SAME_LIST(&h, &back, ports, n_ports, port_members);
	assert_int_equal(back.n_pools, 1);
	assert_string_equal(back.pools[0].engine, "Docker");
	assert_true(prefix_equal(&back.pools[0].base, &h.pools[0].base));
	assert_int_equal(back.pools[0].len, 24);
	assert_int_equal(back.n_dns, 2);
	assert_true(ip_equal(&back.dns[0], &h.dns[0]) && ip_equal(&back.dns[1], &h.dns[1]));
	ASSERT_SAME_LIST(&h, &back, flows, n_flows, flow_members);
	assert_true(ip_equal(&back.session_peer, &h.session_peer));
	assert_int_equal(back.session_port, h.session_port);
	host_json_write(&t2, &back);
	assert_string_equal(text_str(&t2), text_str(&t));
}

static void nothing_comes_back_as_nothing(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text t CLEANUP_TEXT = { 0 };
	struct host h = { 0 }, back = again(&a, &h, &t);

	(void)state;
	assert_string_equal(text_str(&t), "{\n  \"schema\": 1,\n  \"parts\": []\n}\n");
	assert_string_equal(back.name, "");
	assert_int_equal(back.parts, 0);
	assert_int_equal(back.net.n_links + back.net.n_routes + back.net.n_rules, 0);
}

/* Any bytes but zero: a name in the kernel need not be text. */
static void every_byte_of_a_name_comes_back(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct dice d = { .state = 7 };

	(void)state;
	for (int i = 0; i < 2000; i++) {
		struct text t CLEANUP_TEXT = { 0 };
		struct link l = { .index = 1, .name = "x" };
		struct host h = { .net = { .links = &l, .n_links = 1 } };
		uint32_t n = dice_below(&d, 60);
		struct host back;

		for (uint32_t at = 0; at < n; at++)
			l.alias[at] = (char)(1 + dice_below(&d, dice_percent(&d, 50) ? 255 : 127));
		back = again(&a, &h, &t);
		assert_string_equal(back.net.links[0].alias, l.alias);
		for (size_t at = 0; at < t.len; at++)
			assert_true((unsigned char)t.buf[at] < 0x80);
	}
}

/* --- random networks ------------------------------------------------------------ */

static struct snapshot random_net(struct dice *d, struct arena *a, struct plan *plan)
{
	struct snapshot net = { 0 };
	struct rule *rules;

	for (int i = 1; i <= 6; i++) {
		struct link *l = arena_push(a, net.links, net.n_links, net.cap_links);

		l->index = i;
		snprintf(l->name, sizeof(l->name), "l%d", i);
		l->flags = dice_below(d, 1 << 17);
	}
	world_plan(d, &net, dice_percent(d, 10), plan);
	net.addresses = plan->addresses;
	net.n_addresses = plan->n_addresses;
	net.routes = plan->routes;
	net.n_routes = plan->n_routes;
	/* In order of priority, as the kernel lists them. */
	rules = arena_alloc(a, (plan->n_rules + 1) * sizeof(*rules));
	for (size_t i = 0; i < plan->n_rules; i++) {
		size_t at = i;

		for (; at && rules[at - 1].priority > plan->rules[i].priority; at--)
			rules[at] = rules[at - 1];
		rules[at] = plan->rules[i];
	}
	/* The generator asks for gotos backwards, which the kernel refuses. */
	for (size_t i = 0; i < plan->n_rules; i++)
		if (rules[i].action == FR_ACT_GOTO && rules[i].target <= rules[i].priority)
			rules[i].target = rules[i].priority + 1;
	net.rules = rules;
	net.n_rules = plan->n_rules;
	return net;
}

static void random_networks_come_back_as_they_were(void **state)
{
	static struct plan plan;
	struct dice d = { .state = 42 };

	(void)state;
	for (int i = 0; i < 200; i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct text t CLEANUP_TEXT = { 0 }, t2 CLEANUP_TEXT = { 0 };
		struct host h = { .parts = HOST_ALL }, back;

		h.net = random_net(&d, &a, &plan);
		back = again(&a, &h, &t);
		/* The text has every member, as shown above; bytes between members have garbage. */
		host_json_write(&t2, &back);
		assert_string_equal(text_str(&t2), text_str(&t));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_member_comes_back_as_it_was),
		cmocka_unit_test(nothing_comes_back_as_nothing),
		cmocka_unit_test(every_byte_of_a_name_comes_back),
		cmocka_unit_test(random_networks_come_back_as_they_were),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
