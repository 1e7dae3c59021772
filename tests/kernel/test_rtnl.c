/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Snapshots and what is applied, against the kernel's own account. */
#include "lab.h"

#include "base/text.h"
#include "plan/diff.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/rtnl.h"
#include "sys/rtnl_sock.h"
#include "wire/rtnl_decode.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

struct scene {
	struct arena arena;
	struct rtnl *rt;
	int room;
};

static int netns_of(void *ctx, enum want_place place, size_t room)
{
	struct scene *s = ctx;

	(void)place;
	(void)room;
	return s->room;
}

static struct scene scene_open(void)
{
	struct scene s = { .room = -1 };
	struct err e;

	assert_ok(netns_create("room", "sallyport office", &s.room, &e));
	assert_ok(rtnl_open(-1, &s.rt, &e));
	return s;
}

static void scene_close(struct scene *s)
{
	rtnl_close(&s->rt);
	fd_close(&s->room);
	arena_free(&s->arena);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_close)))

static struct snapshot snapshot(struct scene *s)
{
	struct snapshot snap;
	struct err e;

	assert_ok(rtnl_snapshot(s->rt, &s->arena, &snap, &e));
	return snap;
}

static struct prefix prefix(const char *text)
{
	struct prefix p;

	assert_true(prefix_parse(text, true, &p));
	return p;
}

static struct ip ip(const char *text)
{
	struct ip x;

	assert_true(ip_parse(text, &x));
	return x;
}

static struct diff diff_now(struct scene *s, const struct want *want)
{
	struct snapshot *have = arena_new(&s->arena, struct snapshot);
	struct diff d;

	*have = snapshot(s);
	diff_make(&s->arena, have, want, &d);
	return d;
}

static void assert_nothing_to_do(struct scene *s, const struct want *want)
{
	struct diff d = diff_now(s, want);

	if (d.n_ops)
		fail_msg("%s", diff_op_text(&s->arena, &d.ops[0]));
}

static void apply(struct scene *s, const struct want *want)
{
	struct diff d = diff_now(s, want);
	struct err e;

	assert_ok(rtnl_apply(s->rt, want, &d, netns_of, s, &e));
}

static struct want_link *want_link(struct scene *s, struct want *w, const char *name)
{
	struct want_link *l = arena_push(&s->arena, w->links, w->n_links, w->cap_links);

	*l = (struct want_link){ .name = name,
				 .peer_name = "eth0",
				 .alias = "sallyport office",
				 .peer_place = PLACE_ROOM,
				 .up = true };
	return l;
}

static void want_address(struct scene *s, struct want *w, const char *link, const char *text)
{
	struct prefix p = prefix(text);

	*arena_push(&s->arena, w->addresses, w->n_addresses, w->cap_addresses) =
		(struct want_address){ .link = link,
				       .local = ip(
					       arena_strndup(&s->arena, text, strcspn(text, "/"))),
				       .len = p.len };
}

static struct want_route *want_route(struct scene *s, struct want *w, const char *dst,
				     const char *link, const char *via)
{
	struct want_route *r = arena_push(&s->arena, w->routes, w->n_routes, w->cap_routes);

	*r = (struct want_route){ .type = link ? RTN_UNICAST : RTN_UNREACHABLE,
				  .table = 5901,
				  .metric = link ? 10 : 4278198272,
				  .dst = prefix(dst),
				  .link = link };
	r->family = r->dst.ip.family;
	r->scope = link && !via && r->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	if (via)
		r->via = ip(via);
	return r;
}

static struct want_rule *want_rule(struct scene *s, struct want *w, sa_family_t family,
				   uint32_t table)
{
	struct want_rule *r = arena_push(&s->arena, w->rules, w->n_rules, w->cap_rules);

	*r = (struct want_rule){ .family = family, .table = table, .suppress_len = -1 };
	return r;
}

static struct want gate(void)
{
	return (struct want){ .place = PLACE_GATE,
			      .netns = "office.gate",
			      .protocol = 222,
			      .table_first = 5900,
			      .table_last = 5999 };
}

/* A gate as plan/plan_gate.c makes them, both families. */
static struct want whole_gate(struct scene *s)
{
	struct want w = gate();

	want_link(s, &w, "room")->mtu = 1400;
	want_address(s, &w, "room", "198.18.0.2/32");
	want_address(s, &w, "room", "fd00:1::2/128");
	want_address(s, &w, "room", "fe80::2/64");
	want_route(s, &w, "198.18.0.3/32", "room", NULL);
	want_route(s, &w, "0.0.0.0/0", "room", "198.18.0.3")->onlink = true;
	want_route(s, &w, "0.0.0.0/0", NULL, NULL);
	want_route(s, &w, "203.0.113.0/24", "room", "fe80::1");
	want_route(s, &w, "198.51.100.0/24", "room", NULL)->prefsrc = ip("198.18.0.2");
	want_route(s, &w, "fd00:1::3/128", "room", NULL);
	want_route(s, &w, "::/0", "room", "fe80::1");
	want_route(s, &w, "::/0", NULL, NULL);
	want_route(s, &w, "192.0.2.0/24", "tun0", NULL)->optional = true;
	for (int i = 0; i < 2; i++) {
		sa_family_t family = i ? AF_INET6 : AF_INET;
		struct want_rule *r;

		want_rule(s, &w, family, 5900)->to = prefix(i ? "fd00:1::/64" : "198.18.0.0/26");
		r = want_rule(s, &w, family, 5901);
		r->mark = 0x10000;
		r->mark_mask = 0xffff0000;
		r = want_rule(s, &w, family, 5901);
		r->iif = "room";
		r->to = prefix(i ? "2001:db8::/32" : "192.168.0.0/16");
		r = want_rule(s, &w, family, RT_TABLE_MAIN);
		r->iif = "room";
		r->suppress_len = 0;
		want_rule(s, &w, family, 5901)->iif = "room";
	}
	return w;
}

static void a_gate_once_applied_needs_nothing_more(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct want w = whole_gate(&s);
	struct snapshot have;
	const struct link *l;

	(void)state;
	apply(&s, &w);
	lab_run("ip netns exec room ip link set eth0 up");
	assert_nothing_to_do(&s, &w);
	have = snapshot(&s);
	l = snapshot_link_by_name(&have, "room");
	assert_non_null(l);
	assert_string_equal(l->kind, "veth");
	assert_string_equal(l->alias, "sallyport office");
	assert_int_equal(l->mtu, 1400);
	/* No route of the kernel's making stands in main. */
	lab_run("test -z \"$(ip -4 route show table main)\"");
	lab_run("ip -6 addr show dev room | grep -q 'fd00:1::2/128.*nodad\\|fd00:1::2/128 scope global'");
	lab_run("! ip -6 addr show dev room | grep fd00 | grep tentative");
	lab_run("ip netns exec room ip link show eth0 | grep -q 'mtu 1400'");
}

static void what_was_taken_away_is_put_back(void **state)
{
	static const char *const damage[] = {
		"ip addr flush dev room",
		"ip link set room down",
		"ip route flush table 5901",
		"ip -6 route flush table 5901",
		"while ip rule del pref 0 2>/dev/null; do :; done",
		"while ip -6 rule del pref 0 2>/dev/null; do :; done",
		"ip link del room",
		"ip route add default dev room table 5901 metric 5",
		"ip rule add pref 0 to 9.9.9.9 lookup 5901 protocol 222",
		"ip rule add pref 0 lookup 5901 protocol 222",
	};
	struct scene s CLEANUP_SCENE = scene_open();
	struct want w = whole_gate(&s);

	(void)state;
	apply(&s, &w);
	for (size_t i = 0; i < ARRAY_LEN(damage); i++) {
		lab_run(damage[i]);
		assert_true(diff_now(&s, &w).n_ops > 0);
		apply(&s, &w);
		/* A flap takes link-local routes with it until the link is there again. */
		apply(&s, &w);
		assert_nothing_to_do(&s, &w);
	}
}

struct first {
	const char *link;
	struct link seen; /* the first message of it that says that it is up */
	bool is_seen;
};

static void note_first(const struct nlmsghdr *nlh, void *ctx)
{
	struct first *f = ctx;
	struct link l;

	if (f->is_seen || rtnl_decode_link(nlh, &l) != 1 || !str_eq(l.name, f->link) ||
	    !(l.flags & IFF_UP))
		return;
	f->seen = l;
	f->is_seen = true;
}

/* What is said of a link that is up costs the more, the more gates there are: it is said once. */
static void a_link_that_is_up_has_all_that_it_gets(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	const int group = RTNLGRP_LINK;
	struct first f = { .link = "room" };
	struct want w = whole_gate(&s);
	struct mnl_socket *ear;
	struct err e;
	bool lost;

	(void)state;
	assert_ok(netlink_listen(-1, NETLINK_ROUTE, &group, 1, "links", &ear, &e));
	apply(&s, &w);
	assert_ok(netlink_news(ear, "links", note_first, &f, &lost, &e));
	assert_true(f.is_seen && !lost);
	assert_string_equal(f.seen.alias, "sallyport office");
	assert_int_equal(f.seen.mtu, 1400);
	mnl_socket_close(ear);
}

static void an_optional_route_waits_for_its_link(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct want w = gate();
	struct want_route *r = want_route(&s, &w, "0.0.0.0/0", "tun0", NULL);
	struct diff d = { 0 };
	struct op op = { .kind = OP_ROUTE_ADD, .want_route = r };
	struct err e;

	(void)state;
	d.ops = &op;
	d.n_ops = 1;
	assert_int_equal(rtnl_apply(s.rt, &w, &d, netns_of, &s, &e), -ENODEV);
	assert_string_equal(e.text,
			    "add route default dev tun0 table 5901: link \"tun0\": No such device");
	r->optional = true;
	assert_ok(rtnl_apply(s.rt, &w, &d, netns_of, &s, &e));
	lab_run("ip link add tun0 type veth peer name d1 && ip link set d1 up");
	assert_ok(rtnl_apply(s.rt, &w, &d, netns_of, &s, &e));
	lab_run("ip link set tun0 up");
	assert_ok(rtnl_apply(s.rt, &w, &d, netns_of, &s, &e));
	assert_nothing_to_do(&s, &w);
}

static void the_kernels_own_words_are_quoted(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct want_route r = { .family = AF_INET,
				.type = RTN_UNICAST,
				.table = 5901,
				.dst = prefix("0.0.0.0/0"),
				.link = "lo",
				.via = ip("192.0.2.1") };
	struct err e;

	(void)state;
	assert_int_equal(rtnl_route_add(s.rt, &r, 222, &e), -ENETUNREACH);
	assert_string_equal(e.text, "add route default dev lo table 5901: Network is unreachable "
				    "(Nexthop has invalid gateway)");
}

static void a_changed_route_is_never_missing(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct want w = whole_gate(&s);
	struct diff d;

	(void)state;
	apply(&s, &w);
	for (size_t i = 0; i < w.n_routes; i++)
		if (w.routes[i].family == AF_INET && !w.routes[i].dst.len && w.routes[i].link)
			w.routes[i].via = ip("198.18.0.4");
	d = diff_now(&s, &w);
	assert_int_equal(d.n_ops, 2);
	assert_int_equal(d.ops[0].kind, OP_ROUTE_ADD);
	assert_int_equal(d.ops[1].kind, OP_ROUTE_DEL);
	apply(&s, &w);
	assert_nothing_to_do(&s, &w);
	lab_run("ip route show table 5901 | grep -q 'default via 198.18.0.4'");
	lab_run("! ip route show table 5901 | grep -q 'default via 198.18.0.3'");
}

/* Random rules of every sort we can say: the kernel tells them back as they went. */
static void random_rules_come_back_from_the_kernel(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct rule sent[100];
	struct snapshot have;
	size_t at = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
		bool v4 = lab_random(2);
		struct rule r = { .family = v4 ? AF_INET : AF_INET6,
				  .action = FR_ACT_TO_TBL,
				  .protocol = 222,
				  /* apart, so that the list has the order of the array */
				  .priority = (uint32_t)(v4 ? 0 : 1000) + (uint32_t)i,
				  .table = 5900 + lab_random(100),
				  .suppress_len = lab_random(2) ? -1 : (int)lab_random(30),
				  .suppress_group = lab_random(2) ? -1 : (int)lab_random(30),
				  .invert = lab_random(2),
				  .ip_proto = lab_random(2) ? IPPROTO_UDP : 0,
				  .has_mark = lab_random(2),
				  .has_uid = lab_random(2),
				  .tun_id = lab_random(2) ? 0 : lab_random(1000000),
				  .find_saddr = lab_random(2) };
		struct err e;

		r.mark = r.has_mark ? lab_random(1000) : 0;
		r.mark_mask = r.has_mark ? 0xffff0000 | r.mark : 0;
		r.uid = (struct rule_range){ 0, r.has_uid ? 1 + lab_random(1000) : 0 };
		if (r.ip_proto) {
			r.has_dport = true;
			r.dport = (struct rule_range){ 5, 5 + lab_random(1000) };
		}
		if (lab_random(2))
			r.from = prefix(v4 ? "10.1.0.0/16" : "2001:db8:1::/48");
		if (lab_random(2))
			r.to = prefix(v4 ? "198.18.0.0/26" : "fd00::/64");
		if (lab_random(2))
			snprintf(r.iif, sizeof(r.iif), "room-%u", lab_random(100));
		assert_ok(rtnl_rule_append(s.rt, &r, &e));
		sent[i] = r;
	}
	have = snapshot(&s);
	for (int family = 0; family < 2; family++) {
		for (size_t i = 0; i < ARRAY_LEN(sent); i++) {
			const struct rule *x = &sent[i], *y;

			if ((x->family == AF_INET6) != (family == 1))
				continue;
			while (have.rules[at].family != x->family || have.rules[at].protocol != 222)
				at++;
			y = &have.rules[at++];
			assert_int_equal(x->priority, y->priority);
			assert_int_equal(x->table, y->table);
			assert_int_equal(x->action, y->action);
			assert_int_equal(x->invert, y->invert);
			assert_int_equal(x->find_saddr, y->find_saddr);
			assert_int_equal(x->mark, y->mark);
			assert_int_equal(x->mark_mask, y->mark_mask);
			assert_int_equal(x->ip_proto, y->ip_proto);
			assert_int_equal(x->suppress_len, y->suppress_len);
			assert_int_equal(x->suppress_group, y->suppress_group);
			assert_int_equal(x->has_uid, y->has_uid);
			assert_int_equal(x->uid.last, y->uid.last);
			assert_int_equal(x->has_dport, y->has_dport);
			assert_int_equal(x->dport.last, y->dport.last);
			assert_int_equal(x->sport_mask, y->sport_mask);
			assert_int_equal(x->dport_mask, y->dport_mask);
			assert_int_equal(x->tun_id, y->tun_id);
			assert_true(x->from.len == y->from.len && x->to.len == y->to.len);
			assert_string_equal(x->iif, y->iif);
			assert_string_equal(y->unknown, "");
		}
	}
}

static void what_iproute2_sets_is_read(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	const struct route *multi = NULL, *via6 = NULL, *mtu = NULL;
	struct snapshot have;
	bool peer = false;

	(void)state;
	lab_run("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 group 7 up && "
		"ip addr add 192.0.2.1/24 dev d0 && ip addr add 192.0.2.9 peer 192.0.2.10/32 dev d0 && "
		"ip route add 198.51.100.0/24 nexthop via 192.0.2.2 dev d0 weight 3 "
		"nexthop via 192.0.2.3 dev d0 && "
		"ip route add 203.0.113.0/24 via inet6 fe80::1 dev d0 && "
		"ip -6 route add 2001:db8::/32 dev d0 mtu 1300 pref high");
	have = snapshot(&s);
	for (size_t i = 0; i < have.n_routes; i++) {
		const struct route *r = &have.routes[i];

		multi = r->n_hops == 2 ? r : multi;
		via6 = r->family == AF_INET && r->n_hops == 1 && r->hops[0].via.family == AF_INET6
			       ? r
			       : via6;
		mtu = r->mtu == 1300 ? r : mtu;
	}
	for (size_t i = 0; i < have.n_addresses; i++)
		peer |= have.addresses[i].peer.family == AF_INET;
	assert_true(peer);
	assert_non_null(multi);
	assert_int_equal(multi->hops[0].weight, 3);
	assert_int_equal(multi->hops[1].weight, 1);
	assert_non_null(via6);
	assert_non_null(mtu);
	assert_int_equal(mtu->pref, 1);
	assert_int_equal(snapshot_link_by_name(&have, "d0")->group, 7);
}

static void some_tables_are_main_and_the_range(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct snapshot have;
	struct err e;

	(void)state;
	lab_run("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up && ip route add 10.0.0.0/8 dev d0 && "
		"ip route add 10.1.0.0/16 dev d0 table 5901 && ip route add 10.2.0.0/16 dev d0 table 77");
	assert_ok(rtnl_snapshot_tables(s.rt, &s.arena, 5900, 5999, &have, &e));
	assert_true(have.n_routes >= 2);
	for (size_t i = 0; i < have.n_routes; i++)
		assert_true(have.routes[i].table == RT_TABLE_MAIN || have.routes[i].table == 5901);
	assert_true(have.n_rules > 0);
}

/* One end of a gate's link: with its address and routes, as a supervisor makes it. */
static void make_end(const char *link, unsigned int slot, const char *ip, const char *net)
{
	char command[512];

	snprintf(
		command, sizeof(command),
		"ip link add %s address 02:5a:11:79:%02x:%02x type veth "
		"peer name %s.1 address 02:5a:11:79:%02x:%02x && "
		"ip link set %s up && ip addr add %s/32 dev %s && ip addr add fe80::1/64 dev %s && "
		"ip route add %s dev %s table 5900",
		link, slot >> 8, slot & 0xff, link, slot >> 8, slot & 0xff, link, ip, link, link,
		net, link);
	lab_run(command);
}

static const struct rtnl_own mine = { .link = "sp-mine", .slot = 1 };

static struct snapshot near(struct scene *s, uint32_t table)
{
	struct snapshot snap;
	struct err e;

	assert_ok(rtnl_snapshot_near(s->rt, &s->arena, &mine, table, table, &snap, &e));
	return snap;
}

static bool has_ip(const struct snapshot *s, const char *text)
{
	struct ip x = ip(text);

	return snapshot_has_address(s, &x);
}

static bool has_route(const struct snapshot *s, uint32_t table, const char *dst)
{
	struct prefix p = prefix(dst);

	for (size_t i = 0; i < s->n_routes; i++)
		if (s->routes[i].table == table && prefix_equal(&s->routes[i].dst, &p))
			return true;
	return false;
}

static size_t count_routes(const struct snapshot *s, uint32_t table, const char *dst)
{
	struct prefix p = prefix(dst);
	size_t n = 0;

	for (size_t i = 0; i < s->n_routes; i++)
		n += s->routes[i].table == table && prefix_equal(&s->routes[i].dst, &p);
	return n;
}

static size_t count_addresses(const struct snapshot *s, const char *link)
{
	const struct link *l = snapshot_link_by_name(s, link);
	size_t n = 0;

	for (size_t i = 0; l && i < s->n_addresses; i++)
		n += s->addresses[i].link == l->index;
	return n;
}

/* By two links, by one of ours, another gate's and a third, and by none, of either family. */
static const char *const everywhere[] = { "10.31.0.0/16",     "10.32.0.0/16",
					  "10.33.0.0/16",     "10.34.0.0/16",
					  "10.35.0.0/16",     "10.36.0.0/16",
					  "2001:db8:31::/48", "2001:db8:32::/48",
					  "2001:db8:33::/48", "2001:db8:34::/48" };

static void make_routes_everywhere(void)
{
	lab_run("ip addr add 192.0.2.9/24 dev eth9 && ip link set eth9 up && "
		"ip addr add 2001:db8:9::9/64 dev eth9 nodad && "
		"ip link set eth10 up && ip link set eth8 up && "
		"ip route add 10.31.0.0/16 table 78 nexthop dev eth7 nexthop dev eth9 && "
		"ip route add 10.32.0.0/16 table 78 nexthop dev sp-other nexthop dev eth9 "
		"nexthop dev eth7 && "
		"ip route add unreachable 10.33.0.0/16 table 78 && "
		"ip route add blackhole 10.34.0.0/16 table 78 && "
		"ip route add prohibit 10.35.0.0/16 table 78 && "
		"ip route add throw 10.36.0.0/16 table 78 && "
		"ip -6 route add 2001:db8:31::/48 table 78 nexthop via 2001:db8::8 nexthop via 2001:db8:9::8 && "
		"ip -6 route add unreachable 2001:db8:32::/48 table 78 && "
		"ip -6 route add blackhole 2001:db8:33::/48 table 78 && "
		"ip -6 route add throw 2001:db8:34::/48 table 78 && "
		"ip route add 10.37.0.0/16 table 5900 nexthop dev sp-other nexthop dev eth9 "
		"nexthop dev eth7 && "
		"ip route add prohibit 10.38.0.0/16 table 5900 && "
		"ip -6 route add unreachable 2001:db8:38::/48 table 5900 && "
		"ip route add local 198.19.0.0/24 dev lo && "
		"ip rule add from 203.0.113.7 lookup 77 && ip rule add fwmark 7 lookup 78 && "
		"ip rule add fwmark 8 lookup 78 && ip -6 rule add fwmark 7 lookup 78");
}

/* What is near is listed in whole; the rest is not, but its ranges are to be had. */
static void assert_near(struct scene *s, const char *other)
{
	struct snapshot have = near(s, 5900);

	assert_null(snapshot_link_by_name(&have, other));
	assert_string_equal(snapshot_link_by_name(&have, "sp-mine")->alias, "sallyport mine");
	assert_non_null(snapshot_link_by_name(&have, "lo"));
	assert_string_equal(snapshot_link_by_name(&have, "sp-1.0")->kind, "veth");
	assert_int_equal(snapshot_link_by_name(&have, "eth7")->mtu, 1400);
	/* Nobody's: its slot is no gate's, its name no gate's address, its gate of old. */
	assert_non_null(snapshot_link_by_name(&have, "sp-9.0"));
	assert_non_null(snapshot_link_by_name(&have, "sp-admins"));
	assert_non_null(snapshot_link_by_name(&have, "eth9"));
	assert_true(has_ip(&have, "198.18.0.65"));
	assert_true(has_ip(&have, "192.0.2.7"));
	assert_true(has_ip(&have, "2001:db8::7"));
	assert_false(has_ip(&have, "198.18.0.129"));
	/* IPv6 may give links addresses of its own besides. */
	assert_true(count_addresses(&have, "sp-mine") >= 2);
	assert_true(count_addresses(&have, "eth7") >= 2);
	assert_true(has_route(&have, 5900, "198.18.0.64/26"));
	assert_true(has_route(&have, 5900, "198.18.9.0/26"));
	assert_true(has_route(&have, RT_TABLE_MAIN, "10.7.0.0/16"));
	assert_false(has_route(&have, 5900, "198.18.0.128/26"));
	assert_false(has_route(&have, 77, "10.8.0.0/16"));
	assert_int_equal(count_routes(&have, 5900, "10.38.0.0/16"), 1);
	assert_int_equal(count_routes(&have, 5900, "2001:db8:38::/48"), 1);
	assert_true(count_routes(&have, 5900, "10.37.0.0/16") <= 1);
	assert_true(have.n_rules > 0);
	have = near(s, 0);
	assert_null(snapshot_link_by_name(&have, other));
	assert_true(has_ip(&have, "198.18.0.129"));
	assert_true(has_route(&have, 77, "10.8.0.0/16"));
	assert_true(has_route(&have, RT_TABLE_LOCAL, "192.0.2.7/32"));
	assert_true(has_route(&have, RT_TABLE_LOCAL, "198.19.0.0/24"));
	for (size_t i = 0; i < sizeof(everywhere) / sizeof(*everywhere); i++)
		assert_int_equal(count_routes(&have, 78, everywhere[i]), 1);
}

static void of_other_gates_only_the_ranges_are_listed(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();

	(void)state;
	lab_run("ip link add eth7 mtu 1400 type veth peer name eth8 && ip link set eth7 up && "
		"ip addr add 192.0.2.7/24 dev eth7 && ip addr add 2001:db8::7/64 dev eth7 nodad && "
		"ip route add 10.7.0.0/16 dev eth7 && ip route add 10.8.0.0/16 dev eth7 table 77 && "
		"ip link add sp-admins type veth peer name admins");
	make_end("sp-mine", 1, "198.18.0.65", "198.18.0.64/26");
	lab_run("ip link set sp-mine alias 'sallyport mine' && "
		"ip link add eth9 address 02:5a:11:79:00:02 type veth peer name eth10");
	make_end("sp-1.0", 1, "198.18.0.66", "198.18.0.70/32");
	make_end("sp-9.0", 9, "198.18.9.1", "198.18.9.0/26");
	/* One other gate: everything is listed and what is its own left out. */
	make_end("sp-other", 2, "198.18.0.129", "198.18.0.128/26");
	lab_run("ip link set sp-other.1 up");
	make_routes_everywhere();
	assert_near(&s, "sp-other");
	/* More of them than anything else: what is near is asked for one by one. */
	for (unsigned int i = 0; i < 16; i++) {
		char name[16];

		snprintf(name, sizeof(name), "sp-%c", 'a' + (int)i);
		make_end(name, 100 + i, "203.0.113.1", "203.0.113.0/26");
		lab_run("ip route del 203.0.113.0/26 table 5900");
	}
	make_end("sp-2.0", 2, "198.18.0.130", "198.18.0.134/32");
	assert_near(&s, "sp-other");
	assert_near(&s, "sp-2.0");
	assert_near(&s, "sp-p");
}

/* The host's end of a gate's link, by the index that tells the slot. */
static void make_indexed(const char *link, uint32_t number, size_t which, const char *ip)
{
	struct slot s = slot_of(number);
	char command[256];

	snprintf(command, sizeof(command),
		 "ip link add %s index %d type veth peer name %s.p && ip link set %s up && "
		 "ip addr add %s/32 dev %s",
		 link, slot_index(&s, which), link, link, ip, link);
	lab_run(command);
}

static bool sees(struct scene *s, const struct rtnl_own *own, const char *link)
{
	struct snapshot snap;
	struct err e;

	assert_ok(rtnl_snapshot_near(s->rt, &s->arena, own, 5900, 5900, &snap, &e));
	return snapshot_link_by_name(&snap, link) != NULL;
}

static void a_gates_link_is_known_by_its_index_whatever_it_is_called(void **state)
{
	static const struct rtnl_own new = { .link = "sp-mine", .slot = SLOT_COUNT };
	static const struct rtnl_own unknown = { .link = "sp-mine", .slot_unknown = true };
	static const struct rtnl_own moved = { .link = "sp-mine", .slot = 5 };
	struct scene s CLEANUP_SCENE = scene_open();
	struct snapshot have;
	struct err e;

	(void)state;
	make_indexed("sp-mine", 1, 0, "198.18.0.65");
	make_indexed("sp-1.0", 1, 1, "198.18.0.66");
	make_indexed("sp-other", 2, 0, "198.18.0.129");
	make_indexed("sp-2.0", 2, 1, "198.18.0.130");
	make_indexed("sp-9.0", 9, 1, "198.18.9.1");
	assert_true(sees(&s, &mine, "sp-mine") && sees(&s, &mine, "sp-1.0"));
	assert_false(sees(&s, &mine, "sp-other") || sees(&s, &mine, "sp-2.0"));
	assert_true(sees(&s, &mine, "sp-9.0")); /* nobody's any more */
	/* A gate that is to come has nothing, but for what has its name. */
	assert_ok(rtnl_snapshot_near(s.rt, &s.arena, &new, 0, 0, &have, &e));
	assert_null(snapshot_link_by_name(&have, "sp-other"));
	assert_true(has_ip(&have, "198.18.0.129"));
	/* The gate's link keeps its index when the slot becomes another. */
	assert_true(sees(&s, &moved, "sp-mine") && sees(&s, &moved, "sp-1.0"));
	lab_run("ip link set sp-mine down && ip link set sp-mine name lost && "
		"ip link set sp-2.0 down && ip link set sp-2.0 name found");
	assert_true(sees(&s, &mine, "lost"));
	assert_false(sees(&s, &mine, "found") || sees(&s, &new, "lost"));
	assert_true(sees(&s, &unknown, "lost") && sees(&s, &unknown, "found"));
}

static void a_taken_index_is_no_obstacle(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct want_link link = {
		.name = "sp-mine", .index = 77, .peer_name = "lan", .peer_place = PLACE_ROOM
	};
	const struct want want = { .links = &link, .n_links = 1 };
	const struct snapshot none = { 0 };
	struct snapshot have;
	struct diff diff = { 0 };
	struct err e;

	(void)state;
	lab_run("ip link add was-ours index 77 type veth peer name d1");
	diff_make(&s.arena, &none, &want, &diff);
	assert_ok(rtnl_apply(s.rt, &want, &diff, netns_of, &s, &e));
	have = snapshot(&s);
	assert_true(snapshot_link_by_name(&have, "sp-mine")->index != 77);
	lab_run("ip link del sp-mine && ip link del was-ours");
	assert_ok(rtnl_apply(s.rt, &want, &diff, netns_of, &s, &e));
	have = snapshot(&s);
	assert_int_equal(snapshot_link_by_name(&have, "sp-mine")->index, 77);
}

static void links_are_made_counted_and_deleted(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct rtnl *room CLEANUP_RTNL = NULL;
	struct rtnl_counters c;
	struct err e;

	(void)state;
	assert_int_equal(rtnl_link_add_kind(s.rt, "wg0", "no-such-kind", -1, &e), -EOPNOTSUPP);
	assert_ok(rtnl_link_add_kind(s.rt, "br0", "bridge", -1, &e));
	assert_int_equal(rtnl_link_add_kind(s.rt, "br0", "bridge", -1, &e), -EEXIST);
	lab_run("ip link add d0 type veth peer name d1 && ip link set d1 up && "
		"ip link set d0 netns room name office");
	assert_int_equal(rtnl_counters(s.rt, "d0", &c, &e), -ENODEV);
	assert_ok(rtnl_open(s.room, &room, &e));
	assert_ok(rtnl_link_set(room, "office", true, 1300, "sallyport office", false, &e));
	lab_run("ip netns exec room ip neigh add 192.0.2.7 lladdr 02:00:00:00:00:01 dev office && "
		"ip netns exec room ip addr add 192.0.2.1/24 dev office && "
		"ip netns exec room python3 -c \"import socket; "
		"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.7', 9))\"");
	assert_ok(rtnl_counters(room, "office", &c, &e));
	assert_true(c.packets_out > 0 && c.bytes_out > 0);
	assert_ok(rtnl_link_delete(room, "office", &e));
	assert_ok(rtnl_link_delete(room, "office", &e));
	assert_int_equal(rtnl_link_set(room, "a-name-that-is-too-long", true, 0, NULL, false, &e),
			 -EINVAL);
}

static void the_socket_stays_in_its_namespace(void **state)
{
	struct scene s CLEANUP_SCENE = scene_open();
	struct rtnl *room CLEANUP_RTNL = NULL;
	struct snapshot have;
	struct err e;

	(void)state;
	assert_ok(rtnl_open(s.room, &room, &e));
	lab_run("ip link add here type veth peer name d1");
	assert_ok(rtnl_snapshot(room, &s.arena, &have, &e));
	assert_null(snapshot_link_by_name(&have, "here"));
	assert_string_equal(snapshot_link_by_name(&have, "lo")->alias, "sallyport office");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_gate_once_applied_needs_nothing_more, lab_enter),
		cmocka_unit_test_setup(what_was_taken_away_is_put_back, lab_enter),
		cmocka_unit_test_setup(a_link_that_is_up_has_all_that_it_gets, lab_enter),
		cmocka_unit_test_setup(an_optional_route_waits_for_its_link, lab_enter),
		cmocka_unit_test_setup(the_kernels_own_words_are_quoted, lab_enter),
		cmocka_unit_test_setup(a_changed_route_is_never_missing, lab_enter),
		cmocka_unit_test_setup(random_rules_come_back_from_the_kernel, lab_enter),
		cmocka_unit_test_setup(what_iproute2_sets_is_read, lab_enter),
		cmocka_unit_test_setup(some_tables_are_main_and_the_range, lab_enter),
		cmocka_unit_test_setup(of_other_gates_only_the_ranges_are_listed, lab_enter),
		cmocka_unit_test_setup(a_gates_link_is_known_by_its_index_whatever_it_is_called,
				       lab_enter),
		cmocka_unit_test_setup(a_taken_index_is_no_obstacle, lab_enter),
		cmocka_unit_test_setup(links_are_made_counted_and_deleted, lab_enter),
		cmocka_unit_test_setup(the_socket_stays_in_its_namespace, lab_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
