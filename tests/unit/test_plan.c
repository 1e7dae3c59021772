/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random gates, and in each of them a VPN that pushes random routes into main:
 * where packets go then, asked of the same lookup that explains a host to its
 * user.  The tunnels' routes are those of the dice, ours those of the plan.
 */
#include "random_gate.h"
#include "simulator.h"

#include "fib/lookup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define GATES 10000
#define FLOWS 16 /* of each of four sorts */

struct scene {
	struct sim sim;
	struct dice dice;
	struct random_gate g;
	struct want want;
	struct fib *fib;
	int lan;
	size_t pushed; /* index of the first pushed route */
};

static void scene_free(struct scene *s)
{
	sim_free(&s->sim);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_free)))

/* What a client installs: routes and addresses of its tunnel, and what it thinks of main's default. */
static void push(struct scene *s, size_t door)
{
	const struct link *tun = sim_link(&s->sim, s->g.facts.doors[door].interface);
	struct hop hop = { .link = tun->index, .weight = 1 };

	for (uint32_t i = roll_below(&s->dice, one_in(&s->dice, 20) ? 200 : 12); i > 0; i--) {
		sa_family_t family = random_family(&s->dice);
		struct route r = { .family = family,
				   .type = RTN_UNICAST,
				   .table = RT_TABLE_MAIN,
				   .protocol = RTPROT_BOOT,
				   .hops = &hop,
				   .n_hops = 1,
				   .dst = random_prefix(&s->dice, family),
				   .metric = roll_below(&s->dice, 3) };

		/* Right over the gate's own links, now and then. */
		if (one_in(&s->dice, 4)) {
			const struct slot *slot = &s->g.facts.slot;
			unsigned int len = roll_below(&s->dice, ip_bits(family) + 1);

			r.dst = prefix_of(family == AF_INET ? &slot->net4.ip : &slot->net6.ip, len);
		}
		sim_route_add(&s->sim, &r);
	}
}

static void scene_open(struct scene *s, uint64_t seed)
{
	struct slot slot = slot_of((uint32_t)(seed * 7 % SLOT_COUNT));

	*s = (struct scene){ .dice = dice_of(seed) };
	s->g = random_gate(&s->sim.arena, &s->dice, &slot, true, NULL);
	plan_gate(&s->sim.arena, &s->g.gate, &s->g.facts, &s->want);
	sim_link_add(&s->sim, "lo");
	s->lan = sim_link_add(&s->sim, "lan")->index;
	for (size_t i = 1; i < s->g.gate.n_doors; i++)
		if (s->g.facts.doors[i].interface)
			sim_link_add(&s->sim, s->g.facts.doors[i].interface)->flags = IFF_UP;
	sim_first_rules(&s->sim, true);
	sim_reconcile(&s->sim, &s->want);
	s->pushed = s->sim.s.n_routes;
	for (size_t i = 1; i < s->g.gate.n_doors; i++)
		if (s->g.facts.doors[i].interface)
			push(s, i);
	for (size_t i = 0; i < s->sim.s.n_links; i++)
		s->sim.s.links[i].flags |= IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
	s->fib = fib_new(&s->sim.arena, &s->sim.s);
}

static bool in_slot(const struct scene *s, const struct ip *ip)
{
	const struct slot *slot = &s->g.facts.slot;

	return prefix_covers(&slot->net4, ip) || prefix_covers(&slot->net6, ip);
}

/* Into, or to the very edges of, some route or prefix that is there; or anywhere. */
static struct ip random_target(struct scene *s)
{
	struct ip ip = random_ip(&s->dice, random_family(&s->dice));
	const struct route *r;

	if (one_in(&s->dice, 4) || !s->sim.s.n_routes)
		return ip;
	r = &s->sim.s.routes[roll_below(&s->dice, (uint32_t)s->sim.s.n_routes)];
	ip = random_ip(&s->dice, r->family);
	for (unsigned int bit = 0; bit < r->dst.len; bit++) {
		uint8_t mask = (uint8_t)(0x80 >> bit % 8);

		ip.byte[bit / 8] =
			(uint8_t)((ip.byte[bit / 8] & ~mask) | (r->dst.ip.byte[bit / 8] & mask));
	}
	return one_in(&s->dice, 4) ? r->dst.ip : ip;
}

static bool goes_somewhere(const struct ip *ip)
{
	return !ip_is_any(ip) && !ip_is_loopback(ip) && !ip_is_link_local(ip) &&
	       (ip->family == AF_INET ? ip->byte[0] > 0 && ip->byte[0] < 224
				      : ip->byte[0] != 0xff && ip->byte[0] != 0);
}

/* The link that a forwarded packet leaves by, "" when it goes nowhere. */
static const char *way(struct scene *s, const char *iif, struct ip src, struct ip dst,
		       uint32_t mark)
{
	struct flow flow = { .dst = dst,
			     .src = src,
			     .iif = sim_link(&s->sim, iif)->index,
			     .mark = mark,
			     .proto = IPPROTO_TCP };
	struct fib_result r = { 0 };

	fib_lookup(s->fib, &flow, &r, NULL);
	assert_int_not_equal(r.verdict, FIB_CANNOT_MODEL);
	if (r.verdict != FIB_UNICAST)
		return "";
	return snapshot_link_by_index(&s->sim.s, r.link)->name;
}

/* The link that the gate's own socket sends by. */
static const char *own_way(struct scene *s, struct ip dst, uint32_t mark)
{
	struct flow flow = { .dst = dst, .mark = mark, .proto = IPPROTO_UDP };
	struct fib_result r = { 0 };

	fib_lookup(s->fib, &flow, &r, NULL);
	return r.verdict == FIB_UNICAST ? snapshot_link_by_index(&s->sim.s, r.link)->name : "";
}

static size_t random_room_of(struct scene *s)
{
	return roll_below(&s->dice, (uint32_t)s->g.gate.n_rooms);
}

static const char *room_link(struct scene *s, size_t room)
{
	return plan_room_link(&s->sim.arena, &s->g.gate, room);
}

static bool reaches(const struct room *room, const struct ip *ip)
{
	for (size_t i = 0; i < room->n_reach; i++)
		if (prefix_covers(&room->reach[i], ip))
			return true;
	return false;
}

typedef void check_fn(struct scene *s, size_t room, struct ip src, struct ip dst);

static void every_flow(check_fn *check)
{
	for (unsigned int i = 0; i < rounds(GATES); i++) {
		struct scene s CLEANUP_SCENE;

		scene_open(&s, i + 1);
		for (int j = 0; j < FLOWS; j++) {
			struct ip dst = random_target(&s);
			size_t room = random_room_of(&s);

			if (goes_somewhere(&dst))
				check(&s, room, slot_room(&s.g.facts.slot, dst.family, room), dst);
		}
	}
}

static void check_reply_by_lan(struct scene *s, size_t room, struct ip src, struct ip dst)
{
	if (!in_slot(s, &dst))
		assert_string_equal(way(s, room_link(s, room), src, dst, plan_door_mark(0)), "lan");
}

static void a_reply_to_the_lan_leaves_by_lan_whatever_is_pushed(void **state)
{
	(void)state;
	every_flow(check_reply_by_lan);
}

static void check_reply_by_vpn(struct scene *s, size_t room, struct ip src, struct ip dst)
{
	for (size_t i = 1; i < s->g.gate.n_doors && !in_slot(s, &dst); i++) {
		const char *interface = s->g.facts.doors[i].interface;

		/* Without its tunnel it goes nowhere: the floor. */
		assert_string_equal(way(s, room_link(s, room), src, dst, plan_door_mark(i)),
				    interface ? interface : "");
	}
}

static void a_reply_through_a_vpn_leaves_by_that_vpn_or_not_at_all(void **state)
{
	(void)state;
	every_flow(check_reply_by_vpn);
}

/* What the room starts by itself: by a tunnel, or by lan if it may. */
static void check_start(struct scene *s, size_t room, struct ip src, struct ip dst)
{
	const struct room *r = &s->g.gate.rooms[room];
	const char *link = way(s, room_link(s, room), src, dst, 0);

	if (in_slot(s, &dst))
		return;
	if (reaches(r, &dst))
		assert_string_equal(link, "lan");
	else if (r->way != DEFAULT_LAN || s->g.facts.claims_all)
		assert_string_not_equal(link, "lan");
}

static void a_room_starts_nothing_by_lan_but_what_it_may(void **state)
{
	(void)state;
	every_flow(check_start);
}

/* The longest of the routes to @dst in main that are no default; NULL for none. */
static const struct route *claimed(struct scene *s, const struct ip *dst)
{
	const struct route *best = NULL;

	for (size_t i = 0; i < s->sim.s.n_routes; i++) {
		const struct route *r = &s->sim.s.routes[i];

		if (r->table != RT_TABLE_MAIN || !r->dst.len || !prefix_covers(&r->dst, dst))
			continue;
		if (!best || r->dst.len > best->dst.len)
			best = r;
	}
	return best;
}

/* The table of README: what a VPN claims goes by the VPN, the rest as `default` says. */
static void check_default(struct scene *s, size_t room, struct ip src, struct ip dst)
{
	const struct room *r = &s->g.gate.rooms[room];
	const char *link = way(s, room_link(s, room), src, dst, 0);
	const struct route *route = claimed(s, &dst);
	size_t door = s->g.facts.claims_all;
	const char *interface;

	if (in_slot(s, &dst) || reaches(r, &dst))
		return;
	if (route) { /* by one of the tunnels; which, is the kernel's affair */
		assert_string_not_equal(link, "");
		assert_string_not_equal(link, "lan");
		assert_false(str_starts(link, "room"));
		return;
	}
	if (!door && r->way == DEFAULT_VPN)
		door = s->g.gate.n_doors > 1 ? 1 : 0;
	else if (!door && r->way == DEFAULT_DOOR)
		door = r->way_door;
	interface = door ? s->g.facts.doors[door].interface : NULL;
	if (!door && r->way == DEFAULT_LAN)
		interface = "lan";
	assert_string_equal(link, interface ? interface : "");
}

static void what_no_vpn_claims_goes_as_default_says(void **state)
{
	(void)state;
	every_flow(check_default);
}

/* Between the gate and its rooms and the host: from wherever, with whatever mark. */
static void check_links(struct scene *s, size_t room, struct ip src, struct ip dst)
{
	static const char *const froms[] = { "lan", "vpn1", "vpn2", "vpn3" };
	const char *from = froms[roll_below(&s->dice, ARRAY_LEN(froms))];
	uint32_t mark = one_in(&s->dice, 2) ? plan_door_mark(roll_below(&s->dice, 4))
					    : PLAN_MARK_TRANSPORT;
	struct ip to_room = slot_room(&s->g.facts.slot, dst.family, room);
	struct ip nobody = slot_room(&s->g.facts.slot, dst.family, 55);
	struct ip host = slot_host(&s->g.facts.slot, AF_INET);

	if (!sim_link(&s->sim, from))
		from = room_link(s, random_room_of(s));
	(void)src;
	assert_string_equal(way(s, from, dst, to_room, one_in(&s->dice, 3) ? 0 : mark),
			    room_link(s, room));
	assert_string_equal(way(s, from, dst, nobody, one_in(&s->dice, 3) ? 0 : mark), "");
	assert_string_equal(own_way(s, to_room, one_in(&s->dice, 3) ? 0 : mark),
			    room_link(s, room));
	assert_string_equal(own_way(s, host, one_in(&s->dice, 3) ? 0 : mark), "lan");
}

static void no_pushed_route_touches_the_gates_own_links(void **state)
{
	(void)state;
	every_flow(check_links);
}

static void check_transport(struct scene *s, size_t room, struct ip src, struct ip dst)
{
	(void)room;
	(void)src;
	if (!in_slot(s, &dst))
		assert_string_equal(own_way(s, dst, PLAN_MARK_TRANSPORT), "lan");
}

static void a_tunnels_own_packets_leave_by_lan_and_never_by_a_tunnel(void **state)
{
	(void)state;
	every_flow(check_transport);
}

/* The gate's strict rp_filter asks so of what comes in by lan (the mark counts: src_valid_mark). */
static void check_reverse(struct scene *s, size_t room, struct ip src, struct ip dst)
{
	(void)room;
	if (!in_slot(s, &dst))
		assert_string_equal(way(s, "lan", src, dst, plan_door_mark(0)), "lan");
}

static void who_comes_in_by_lan_passes_the_reverse_path_check(void **state)
{
	(void)state;
	every_flow(check_reverse);
}

/* --- not by dice ---------------------------------------------------------------- */

/* Its own address leads to the gate; that of the short link is for answers by it alone. */
static void check_room_ways(const struct want *w, const struct slot *slot, size_t room)
{
	for (size_t j = 0; j < w->n_routes; j++) {
		if (w->routes[j].link && str_eq(w->routes[j].link, "eth0"))
			assert_int_equal(w->routes[j].table, RT_TABLE_MAIN);
		else
			assert_int_equal(w->routes[j].table, PLAN_TABLE_DOOR);
	}
	for (size_t j = 0; j < w->n_addresses; j++) {
		sa_family_t family = w->addresses[j].local.family;
		bool gate = str_eq(w->addresses[j].link, "eth0");
		struct ip own = (gate ? slot_room : slot_short)(slot, family, room);

		assert_true(ip_equal(&w->addresses[j].local, &own));
	}
	for (size_t j = 0; j < w->n_rules; j++) {
		struct ip own = slot_short(slot, w->rules[j].family, room);

		assert_int_equal(w->rules[j].table, PLAN_TABLE_DOOR);
		assert_true(prefix_equal(&w->rules[j].from,
					 &(struct prefix){ own, w->rules[j].from.len }));
		assert_int_equal(w->rules[j].from.len, ip_bits(own.family));
	}
}

static void a_room_has_one_way_out_and_one_to_answer(void **state)
{
	size_t n_short = 0, n_long = 0;

	(void)state;
	for (unsigned int i = 1; i <= 200; i++) {
		struct sim sim CLEANUP_SIM = { 0 };
		struct slot slot = slot_of(i);
		struct dice d = dice_of(i);
		struct random_gate g = random_gate(&sim.arena, &d, &slot, i % 5 != 0, NULL);
		size_t room = roll_below(&d, (uint32_t)g.gate.n_rooms);
		struct want w;

		plan_room(&sim.arena, &g.gate, &g.facts, room, &w);
		assert_null(w.nft);
		check_room_ways(&w, &slot, room);
		if (plan_room_is_short(&g.gate, room)) {
			n_short++;
			assert_int_equal(w.n_links, 3);
			assert_int_equal(w.n_rules, g.facts.ipv6 ? 2 : 1);
		} else {
			n_long++;
			assert_int_equal(w.n_links, 2);
			assert_int_equal(w.n_rules, 0);
		}
	}
	assert_true(n_short && n_long);
}

/* Every mark, table and name of a gate is its own. */
static void the_doors_marks_and_tables_do_not_meet(void **state)
{
	(void)state;
	for (size_t i = 0; i < GATE_DOORS_MAX; i++) {
		assert_int_equal(plan_door_mark(i) & ~PLAN_MARK_MASK, 0);
		assert_int_not_equal(plan_door_mark(i), PLAN_MARK_TRANSPORT);
		assert_int_not_equal(plan_door_mark(i), 0);
		for (size_t j = 0; j < i; j++)
			assert_int_not_equal(plan_door_mark(i), plan_door_mark(j));
	}
	assert_true(PLAN_TABLE_DOOR + GATE_DOORS_MAX - 1 <= PLAN_TABLE_LAST);
	assert_true(PLAN_TABLE_ROOMS < PLAN_TABLE_DOOR);
}

static bool is_a_link_of(struct arena *a, const struct slot *slot, const char *name)
{
	return str_eq(name, "sp-office") ||
	       str_starts(name, arena_printf(a, "sp-%u.", slot->number));
}

/* Whatever is planned for the host speaks of the slot alone, or of the pool that it lies in. */
static void the_hosts_rules_and_routes_are_about_the_slot(void **state)
{
	(void)state;
	for (unsigned int i = 1; i <= 200; i++) {
		struct sim sim CLEANUP_SIM = { 0 };
		struct slot slot = slot_of(i * 20);
		struct dice d = dice_of(i);
		struct random_gate g = random_gate(&sim.arena, &d, &slot, true, &sim.s);
		struct want w;

		sim_link_add(&sim, "eth0");
		plan_host(&sim.arena, &g.gate, &g.facts, &w);
		assert_int_equal(w.table_first, SLOT_TABLE);
		assert_int_equal(w.table_last, w.table_first);
		for (size_t j = 0; j < w.n_rules; j++) {
			assert_int_equal(w.rules[j].priority, 0);
			assert_int_equal(w.rules[j].table, w.table_first);
			assert_true(prefix_contains(&w.rules[j].to, &slot.net4) ||
				    prefix_contains(&w.rules[j].to, &slot.net6));
			assert_true(slot_is_pool(&w.rules[j].to));
		}
		for (size_t j = 0; j < w.n_routes; j++) {
			assert_int_equal(w.routes[j].table, w.table_first);
			assert_true(is_a_link_of(&sim.arena, &slot, w.routes[j].link));
			assert_true(prefix_contains(&slot.net4, &w.routes[j].dst) ||
				    prefix_contains(&slot.net6, &w.routes[j].dst));
		}
		for (size_t j = 0; j < w.n_links; j++)
			assert_true(is_a_link_of(&sim.arena, &slot, w.links[j].name));
	}
}

/* One that a packet from a gate cannot be meant by, or one that it may. */
static struct rule hosts_rule(struct dice *d, const struct prefix *pool, bool concerns)
{
	struct rule r = sim_rule(pool->ip.family, one_in(d, 20) ? 0 : 100 + roll_below(d, 900),
				 one_in(d, 3) ? RT_TABLE_MAIN : 100);

	r.protocol = RTPROT_BOOT;
	do {
		r.from = random_prefix(d, pool->ip.family);
	} while (!r.from.len || prefix_overlaps(&r.from, pool));
	if (one_in(d, 4))
		r.to = random_prefix(d, pool->ip.family);
	if (one_in(d, 4)) {
		r.has_mark = true;
		r.mark = r.mark_mask = 7;
	}
	if (!concerns)
		return r;
	switch (roll_below(d, 4)) {
	case 0:
		r.invert = true;
		break;
	case 1:
		r.from = (struct prefix){ 0 };
		break;
	case 2:
		r.from = prefix_of(&pool->ip, pool->len - 1 - roll_below(d, 4));
		break;
	default:
		r.from = *pool;
		break;
	}
	if (one_in(d, 4)) {
		r.action = FR_ACT_UNREACHABLE;
		r.table = 0;
	} else if (r.table == RT_TABLE_MAIN) {
		r.suppress_len = 0;
	}
	return r;
}

static void add_default(struct sim *sim, sa_family_t family, uint32_t table, const char *link)
{
	struct hop hop = { .link = sim_link(sim, link)->index, .weight = 1 };
	struct route r = { .family = family,
			   .type = RTN_UNICAST,
			   .table = table,
			   .protocol = RTPROT_BOOT,
			   .dst.ip.family = family,
			   .hops = &hop,
			   .n_hops = 1 };

	sim_route_add(sim, &r);
}

/* The link by which the host forwards what a gate sends to @dst. */
static int hosts_way(struct sim *sim, const struct ip *src, const struct ip *dst, uint32_t mark)
{
	struct flow flow = { .dst = *dst,
			     .src = *src,
			     .iif = sim_link(sim, "docker0")->index,
			     .mark = mark,
			     .proto = IPPROTO_TCP };
	struct snapshot now = sim_snapshot(sim);
	struct fib_result r = { 0 };

	fib_lookup(fib_new(&sim->arena, &now), &flow, &r, NULL);
	assert_int_not_equal(r.verdict, FIB_CANNOT_MODEL);
	return r.verdict == FIB_UNICAST ? r.link : -(int)r.verdict;
}

static bool is_way_past(const struct want *w, sa_family_t family)
{
	for (size_t i = 0; i < w->n_rules; i++)
		if (w->rules[i].from.len && w->rules[i].family == family)
			return true;
	return false;
}

/* Returns whether there was a way past the host's rules. */
static bool check_way_past(struct sim *sim, struct dice *d, struct want *w, const struct slot *slot,
			   sa_family_t family)
{
	const struct ip src = slot_short(slot, family, 0);
	struct ip to[8];
	uint32_t mark[8];
	int before[8];

	for (size_t i = 0; i < ARRAY_LEN(to); i++) {
		to[i] = random_ip(d, family);
		mark[i] = one_in(d, 2) ? 7 : 0;
		before[i] = hosts_way(sim, &src, &to[i], mark[i]);
	}
	w->n_links = w->n_addresses = w->n_routes = 0;
	sim_reconcile(sim, w);
	for (size_t i = 0; i < ARRAY_LEN(to); i++)
		assert_int_equal(hosts_way(sim, &src, &to[i], mark[i]), before[i]);
	return is_way_past(w, family);
}

static void the_way_past_the_hosts_rules_leads_where_they_do(void **state)
{
	size_t passed = 0, not_passed = 0;

	(void)state;
	for (unsigned int i = 1; i <= 600; i++) {
		struct sim sim CLEANUP_SIM = { 0 };
		struct slot slot = slot_of(i * 6);
		struct dice d = dice_of(i);
		sa_family_t family = random_family(&d);
		struct prefix pool = slot_pool(&slot, family);
		struct random_gate g;
		struct want w;

		sim_link_add(&sim, "eth0");
		sim_link_add(&sim, "eth1");
		sim_link_add(&sim, "docker0");
		sim_first_rules(&sim, true);
		if (!one_in(&d, 10))
			add_default(&sim, family, RT_TABLE_MAIN, "eth0");
		add_default(&sim, family, 100, "eth1");
		for (uint32_t n = roll_below(&d, 60); n > 0; n--) {
			struct rule r = hosts_rule(&d, &pool, one_in(&d, 50));

			sim_rule_append(&sim, &r);
		}
		g = random_gate(&sim.arena, &d, &slot, true, &sim.s);
		plan_host(&sim.arena, &g.gate, &g.facts, &w);
		if (check_way_past(&sim, &d, &w, &slot, family))
			passed++;
		else
			not_passed++;
	}
	assert_true(passed > 100);
	assert_true(not_passed > 100);
}

/* AllowedIPs = 0.0.0.0/0, ::/0 claims all but what the gate itself sends. */
static void a_wireguard_peer_for_everything_gets_everything(void **state)
{
	static const char *const targets[] = { "1.1.1.1",   "126.255.0.0", "128.0.0.1",
					       "223.9.9.9", "2001:db8::1", "9000::1" };
	struct prefix all[] = { { .ip.family = AF_INET }, { .ip.family = AF_INET6 } };
	struct wg_peer peer = { .allowed = all, .n_allowed = ARRAY_LEN(all) };
	struct wg_conf wg = { .peers = &peer, .n_peers = 1 };
	struct plan_door facts[] = { { 0 }, { .interface = "tun", .wg = &wg } };
	struct door doors[] = { { .name = "lan" }, { .name = "tun", .kind = DOOR_WIREGUARD } };
	struct room room = { .name = "", .way = DEFAULT_NONE };
	struct scene s CLEANUP_SCENE = { 0 };

	(void)state;
	s.g.gate = (struct gate){
		.name = "office", .doors = doors, .n_doors = 2, .rooms = &room, .n_rooms = 1
	};
	s.g.facts = (struct plan_facts){ .slot = slot_of(3), .ipv6 = true, .doors = facts };
	plan_gate(&s.sim.arena, &s.g.gate, &s.g.facts, &s.want);
	sim_link_add(&s.sim, "lo");
	sim_link_add(&s.sim, "lan");
	sim_link_add(&s.sim, "tun");
	sim_first_rules(&s.sim, true);
	sim_reconcile(&s.sim, &s.want);
	for (size_t i = 0; i < s.sim.s.n_links; i++)
		s.sim.s.links[i].flags |= IFF_UP | IFF_RUNNING | IFF_LOWER_UP;
	s.fib = fib_new(&s.sim.arena, &s.sim.s);
	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct ip dst;

		assert_true(ip_parse(targets[i], &dst));
		assert_string_equal(
			way(&s, "room", slot_room(&s.g.facts.slot, dst.family, 0), dst, 0), "tun");
		assert_string_equal(own_way(&s, dst, PLAN_MARK_TRANSPORT), "lan");
	}
}

/* A client of another make marks nothing and finds its server by main's default. */
static void an_unmarked_client_finds_its_server_by_lan(void **state)
{
	(void)state;
	for (unsigned int i = 1; i <= 200; i++) {
		struct scene s CLEANUP_SCENE;
		struct ip dst;

		scene_open(&s, i);
		dst = random_target(&s);
		if (goes_somewhere(&dst) && !in_slot(&s, &dst) && !claimed(&s, &dst) &&
		    s.sim.s.n_routes == s.pushed)
			assert_string_equal(own_way(&s, dst, 0), "lan");
	}
}

/* Each that is changed on the host is put back, but those of our own link. */
static void a_host_sysctl_is_restored_or_ours(void **state)
{
	struct sim sim CLEANUP_SIM = { 0 };
	struct slot slot = slot_of(1);
	struct dice d = dice_of(1);
	struct random_gate g = random_gate(&sim.arena, &d, &slot, true, &sim.s);
	struct address ip = { .len = 64 };
	struct want w;
	size_t restored = 0;

	(void)state;
	sim_link_add(&sim, "lo")->flags = IFF_LOOPBACK;
	ip.link = sim_link_add(&sim, "eth0")->index;
	assert_true(ip_parse("2001:db8::1", &ip.local));
	sim_address_add(&sim, &ip);
	plan_host(&sim.arena, &g.gate, &g.facts, &w);
	for (size_t i = 0; i < w.n_sysctls; i++) {
		bool own = strstr(w.sysctls[i].path, "/sp-office/") != NULL;

		assert_int_equal(w.sysctls[i].restore, !own);
		restored += w.sysctls[i].restore;
	}
	assert_true(restored >= 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_reply_to_the_lan_leaves_by_lan_whatever_is_pushed),
		cmocka_unit_test(a_reply_through_a_vpn_leaves_by_that_vpn_or_not_at_all),
		cmocka_unit_test(a_room_starts_nothing_by_lan_but_what_it_may),
		cmocka_unit_test(what_no_vpn_claims_goes_as_default_says),
		cmocka_unit_test(no_pushed_route_touches_the_gates_own_links),
		cmocka_unit_test(a_tunnels_own_packets_leave_by_lan_and_never_by_a_tunnel),
		cmocka_unit_test(who_comes_in_by_lan_passes_the_reverse_path_check),
		cmocka_unit_test(a_room_has_one_way_out_and_one_to_answer),
		cmocka_unit_test(the_doors_marks_and_tables_do_not_meet),
		cmocka_unit_test(the_hosts_rules_and_routes_are_about_the_slot),
		cmocka_unit_test(the_way_past_the_hosts_rules_leads_where_they_do),
		cmocka_unit_test(a_wireguard_peer_for_everything_gets_everything),
		cmocka_unit_test(an_unmarked_client_finds_its_server_by_lan),
		cmocka_unit_test(a_host_sysctl_is_restored_or_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
