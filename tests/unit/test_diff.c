/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random namespaces and what must become of them, in a simulated kernel.  What
 * "right" means is said here a second time, without a look at diff.c.
 */
#include "random_gate.h"
#include "simulator.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define PAIRS 400

static const sa_family_t families[] = { AF_INET, AF_INET6 };

/* --- what is right ----------------------------------------------------------- */

static bool is_kernels_local(const struct rule *r)
{
	struct rule plain = sim_rule(r->family, 0, RT_TABLE_LOCAL);

	plain.protocol = r->protocol;
	return sim_rule_equal(r, &plain);
}

static bool in_tables(const struct want *w, uint32_t table)
{
	return w->table_first && table >= w->table_first && table <= w->table_last;
}

static const struct prefix *net_of(const struct want *w, sa_family_t family)
{
	return family == AF_INET ? &w->slot.net4 : &w->slot.net6;
}

/* `to POOL lookup TABLE` and `from POOL lookup main` of gates that are elsewhere. */
static bool is_other_gates(const struct want *w, const struct rule *r)
{
	const struct prefix *p = r->table == RT_TABLE_MAIN ? &r->from : &r->to;

	return w->place == PLACE_HOST && r->priority == 0 && r->protocol == RTPROT_KERNEL &&
	       slot_is_pool(p) && (r->table == RT_TABLE_MAIN || r->table == SLOT_TABLE) &&
	       w->shared && !prefix_contains(p, net_of(w, r->family));
}

/* A rule of ours at priority 0, whether wanted or not. */
static bool is_ours(const struct want *w, const struct rule *r)
{
	if (r->priority != 0 || is_kernels_local(r) || is_other_gates(w, r))
		return false;
	if (w->place == PLACE_HOST)
		return in_tables(w, r->table) ||
		       (r->protocol == RTPROT_KERNEL && r->table == RT_TABLE_MAIN &&
			slot_is_pool(&r->from));
	return r->protocol == w->protocol;
}

/* May a packet of the slot be taken by it? */
static bool may_take(const struct want *w, const struct rule *r)
{
	if (w->place != PLACE_HOST || !r->to.ip.family)
		return true;
	for (size_t i = 0; i < w->n_rules; i++)
		if (prefix_overlaps(&r->to, &w->rules[i].to) || w->rules[i].from.len)
			return true;
	return false;
}

/* At priority 0: local, ours in the order wanted, and behind them whatever could take our packets. */
static void expect_rules(const struct want *w, const struct snapshot *s, sa_family_t family)
{
	size_t next = 0;
	bool local = false, behind = false;

	for (size_t i = 0; i < s->n_rules; i++) {
		const struct rule *r = &s->rules[i];
		struct rule wanted;

		if (r->family != family || r->priority != 0)
			continue;
		if (is_kernels_local(r)) {
			local = true;
			assert_int_equal(next, 0);
			/* On the host and in rooms that is their owner's affair. */
			assert_false(behind && w->place == PLACE_GATE);
		} else if (is_ours(w, r)) {
			assert_false(behind);
			while (next < w->n_rules &&
			       (w->rules[next].family != family || w->rules[next].priority))
				next++;
			assert_true(next < w->n_rules);
			wanted = sim_wanted_rule(w, &w->rules[next++]);
			wanted.protocol =
				r->protocol; /* the table alone makes it ours on the host */
			assert_true(sim_rule_equal(r, &wanted));
		} else if (!is_other_gates(w, r) && may_take(w, r)) {
			behind = true;
		}
	}
	for (; next < w->n_rules; next++)
		assert_true(w->rules[next].family != family || w->rules[next].priority != 0);
	assert_true(local || w->place == PLACE_HOST);
}

static bool has_rule(const struct snapshot *s, const struct rule *r)
{
	for (size_t i = 0; i < s->n_rules; i++)
		if (sim_rule_equal(&s->rules[i], r))
			return true;
	return false;
}

static bool has_route(const struct snapshot *s, const struct route *r)
{
	for (size_t i = 0; i < s->n_routes; i++)
		if (sim_route_equal(&s->routes[i], r))
			return true;
	return false;
}

static bool has_address(const struct snapshot *s, const struct address *a)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (s->addresses[i].link == a->link && s->addresses[i].len == a->len &&
		    ip_equal(&s->addresses[i].local, &a->local))
			return true;
	return false;
}

static bool wants_route(struct sim *sim, const struct want *w, const struct route *r)
{
	for (size_t i = 0; i < w->n_routes; i++) {
		struct route wanted;
		struct hop hop;

		if (sim_wanted_route(sim, w, &w->routes[i], &hop, &wanted) == 0 &&
		    sim_route_equal(&wanted, r))
			return true;
	}
	return false;
}

static const struct want_link *wanted_link(const struct want *w, const char *name)
{
	for (size_t i = 0; i < w->n_links; i++)
		if (str_eq(w->links[i].name, name))
			return &w->links[i];
	return NULL;
}

static bool leads_to_us(struct sim *sim, const struct want *w, const struct route *r)
{
	const struct link *l = r->n_hops ? snapshot_link_by_index(&sim->s, r->hops[0].link) : NULL;

	return prefix_contains(net_of(w, r->family), &r->dst) ||
	       (l && wanted_link(w, l->name) != NULL);
}

static bool route_is_ours(struct sim *sim, const struct want *w, const struct route *r)
{
	if (in_tables(w, r->table))
		return !w->shared || leads_to_us(sim, w, r);
	return w->place != PLACE_HOST && r->table == RT_TABLE_MAIN && r->protocol == w->protocol;
}

/* Every wanted one whose link is there, and none of ours besides. */
static void expect_routes(struct sim *sim, const struct want *w)
{
	for (size_t i = 0; i < w->n_routes; i++) {
		struct route wanted;
		struct hop hop;

		if (sim_wanted_route(sim, w, &w->routes[i], &hop, &wanted) == 0)
			assert_true(has_route(&sim->s, &wanted));
		else
			assert_true(w->routes[i].optional || !sim_link(sim, w->routes[i].link));
	}
	for (size_t i = 0; i < sim->s.n_routes; i++)
		if (route_is_ours(sim, w, &sim->s.routes[i]))
			assert_true(wants_route(sim, w, &sim->s.routes[i]));
}

static bool wants_address(struct sim *sim, const struct want *w, const struct address *a)
{
	for (size_t i = 0; i < w->n_addresses; i++) {
		const struct link *l = sim_link(sim, w->addresses[i].link);

		if (l && l->index == a->link && w->addresses[i].len == a->len &&
		    ip_equal(&w->addresses[i].local, &a->local))
			return true;
	}
	return false;
}

static void expect_links_and_addresses(struct sim *sim, const struct want *w)
{
	for (size_t i = 0; i < w->n_links; i++) {
		const struct want_link *x = &w->links[i];
		const struct link *l = sim_link(sim, x->name);

		assert_true(l || !x->peer_name);
		if (!l)
			continue;
		assert_true((l->flags & IFF_UP) || !x->up);
		assert_true(!x->alias || str_eq(l->alias, x->alias));
		assert_true(!x->mtu || l->mtu == x->mtu);
	}
	for (size_t i = 0; i < w->n_addresses; i++) {
		const struct want_address *x = &w->addresses[i];
		const struct link *l = sim_link(sim, x->link);

		if (l)
			assert_true(has_address(&sim->s, &(struct address){ .link = l->index,
									    .local = x->local,
									    .len = x->len }));
	}
	for (size_t i = 0; i < sim->s.n_addresses; i++) {
		const struct address *a = &sim->s.addresses[i];
		const struct link *l = snapshot_link_by_index(&sim->s, a->link);

		if (l && !str_eq(l->name, "lo") && wanted_link(w, l->name) &&
		    !ip_is_link_local(&a->local))
			assert_true(wants_address(sim, w, a));
	}
}

static void expect_right(struct sim *sim, const struct want *w, bool ipv6)
{
	for (size_t f = 0; f < (ipv6 ? 2 : 1); f++)
		expect_rules(w, &sim->s, families[f]);
	for (size_t i = 0; i < w->n_rules; i++) {
		struct rule wanted = sim_wanted_rule(w, &w->rules[i]);

		if (wanted.priority != 0)
			assert_true(has_rule(&sim->s, &wanted));
	}
	expect_routes(sim, w);
	expect_links_and_addresses(sim, w);
}

static bool is_wanted(const struct want *w, const struct rule *r)
{
	for (size_t i = 0; i < w->n_rules; i++) {
		struct rule x = sim_wanted_rule(w, &w->rules[i]);

		if (sim_rule_equal(&x, r))
			return true;
	}
	return false;
}

/* --- what is never missing ---------------------------------------------------- */

/* The rules that stand for us, for the kernel and for everybody else stand at each step. */
static void expect_kept(struct sim *sim, const struct want *w, const struct snapshot *before)
{
	for (size_t i = 0; i < before->n_rules; i++) {
		const struct rule *r = &before->rules[i];
		if (!is_ours(w, r) || is_wanted(w, r))
			assert_true(has_rule(&sim->s, r));
	}
	for (size_t i = 0; i < before->n_routes; i++) {
		const struct route *r = &before->routes[i];

		if (!route_is_ours(sim, w, r) || wants_route(sim, w, r))
			assert_true(has_route(&sim->s, r));
	}
	for (size_t i = 0; i < before->n_addresses; i++)
		if (wants_address(sim, w, &before->addresses[i]) ||
		    ip_is_link_local(&before->addresses[i].local))
			assert_true(has_address(&sim->s, &before->addresses[i]));
}

static size_t count_rules(const struct want *w, const struct snapshot *s, const struct rule *like)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_rules; i++)
		if (!is_ours(w, &s->rules[i]) && sim_rule_equal(&s->rules[i], like))
			n++;
	return n;
}

/* Nobody else's rule is lost, doubled or made, but for the kernel's own. */
static void expect_others_untouched(const struct want *w, const struct snapshot *before,
				    const struct snapshot *after)
{
	for (size_t i = 0; i < after->n_rules; i++) {
		const struct rule *r = &after->rules[i];

		if (!is_wanted(w, r) && !(is_kernels_local(r) && w->place != PLACE_HOST))
			assert_true(has_rule(before, r));
	}
	for (size_t i = 0; i < before->n_rules; i++)
		if (!is_ours(w, &before->rules[i]))
			assert_int_equal(count_rules(w, before, &before->rules[i]),
					 count_rules(w, after, &before->rules[i]));
}

/* Others' rules keep their order among those that were moved, and among those that were not. */
static void expect_order_of_moved(const struct want *w, const struct snapshot *before,
				  const struct snapshot *after, bool other_gates)
{
	size_t at = 0;

	for (size_t i = 0; i < before->n_rules; i++) {
		const struct rule *r = &before->rules[i];

		if (r->priority != 0 || is_ours(w, r) || r->table == RT_TABLE_LOCAL ||
		    is_other_gates(w, r) != other_gates || !may_take(w, r))
			continue;
		while (at < after->n_rules && !sim_rule_equal(&after->rules[at], r))
			at++;
		assert_true(at++ < after->n_rules);
	}
}

/* --- what somebody did --------------------------------------------------------- */

static struct rule foreign_rule(struct dice *d, bool ipv6)
{
	static const uint32_t tables[] = { 51820, 100, RT_TABLE_MAIN, 5901, 6000 };
	sa_family_t family = ipv6 ? random_family(d) : AF_INET;
	struct rule r = sim_rule(family, one_in(d, 4) ? 100 : 0, tables[roll_below(d, 5)]);

	r.protocol = (uint8_t)(one_in(d, 2) ? RTPROT_BOOT : RTPROT_STATIC);
	if (one_in(d, 3))
		r.to = random_prefix(d, family);
	if (one_in(d, 3))
		r.from = random_prefix(d, family);
	if (one_in(d, 4)) {
		r.has_mark = true;
		r.mark = 51820;
		r.mark_mask = UINT32_MAX;
		r.invert = one_in(d, 2);
	}
	if (one_in(d, 6))
		snprintf(r.unknown, sizeof(r.unknown), "FRA_99");
	if (one_in(d, 8))
		r.suppress_len = 0;
	if (one_in(d, 8))
		r.action = FR_ACT_UNREACHABLE;
	r.tun_id = roll(d); /* each its own */
	return r;
}

static struct rule other_gates_rule(struct dice *d, const struct want *w)
{
	struct slot s = slot_of(roll_below(d, SLOT_COUNT));
	struct rule r = sim_rule(AF_INET, 0, one_in(d, 4) ? RT_TABLE_MAIN : SLOT_TABLE);

	if (prefix_equal(&(struct prefix[]){ slot_pool(&s, AF_INET) }[0],
			 &(struct prefix[]){ slot_pool(&w->slot, AF_INET) }[0]))
		s = slot_of(w->slot.number < 2048 ? 2048 : 0);
	*(r.table == RT_TABLE_MAIN ? &r.from : &r.to) = slot_pool(&s, AF_INET);
	return r;
}

/* One of ours that says less, or speaks of fewer packets, than it must. */
static void narrow(struct dice *d, struct rule *r)
{
	switch (roll_below(d, 12)) {
	case 9:
		r->suppress_len = r->suppress_len < 0 ? 0 : -1;
		break;
	case 10:
		r->has_mark = true;
		r->mark ^= 0x10000;
		r->mark_mask = PLAN_MARK_MASK;
		break;
	case 11:
		r->to = random_prefix(d, r->family);
		break;
	case 0:
		r->has_uid = true;
		r->uid = (struct rule_range){ 1000, 1000 };
		break;
	case 1:
		r->ip_proto = IPPROTO_UDP;
		break;
	case 2:
		r->has_dscp = true;
		r->dscp = 46;
		break;
	case 3:
		r->invert = true;
		break;
	case 4:
		r->suppress_group = 7;
		break;
	case 5:
		r->tun_id = 9;
		break;
	case 6:
		snprintf(r->oif, sizeof(r->oif), "eth9");
		break;
	case 7:
		r->tos = 0x10;
		break;
	default:
		r->table++;
		break;
	}
}

static void disturb_rules(struct sim *sim, struct dice *d, const struct want *w, bool ipv6)
{
	uint32_t at = sim->s.n_rules ? roll_below(d, (uint32_t)sim->s.n_rules) : 0;
	struct rule r = sim->s.n_rules ? sim->s.rules[at] : (struct rule){ 0 };

	switch (roll_below(d, 7)) {
	case 0:
		if (sim->s.n_rules)
			sim_rule_del(sim, &r);
		break;
	case 1: /* somebody's, in front, between or behind */
		r = foreign_rule(d, ipv6);
		sim_rule_insert(sim, &r, roll_below(d, 8));
		break;
	case 2: /* a second one of the same */
		if (sim->s.n_rules && is_ours(w, &r))
			sim_rule_insert(sim, &r, roll_below(d, 8));
		break;
	case 3: /* elsewhere */
		if (sim->s.n_rules && r.priority == 0) {
			sim_rule_del(sim, &r);
			sim_rule_insert(sim, &r, roll_below(d, 8));
		}
		break;
	case 4:
		if (sim->s.n_rules && is_ours(w, &sim->s.rules[at]))
			narrow(d, &sim->s.rules[at]);
		break;
	case 5: /* `ip rule flush`, as if the priority did not keep it from it */
		for (size_t i = sim->s.n_rules; one_in(d, 8) && i-- > 0;)
			SIM_REMOVE(sim->s.rules, sim->s.n_rules, i);
		break;
	default:
		if (w->place == PLACE_HOST) {
			r = other_gates_rule(d, w);
			sim_rule_insert(sim, &r, roll_below(d, 8));
		}
		break;
	}
}

static void disturb_routes(struct sim *sim, struct dice *d, const struct want *w, bool ipv6)
{
	uint32_t at = sim->s.n_routes ? roll_below(d, (uint32_t)sim->s.n_routes) : 0;
	sa_family_t family = ipv6 ? random_family(d) : AF_INET;
	struct hop hop = { .link = 1 + (int)roll_below(d, (uint32_t)sim->last_index) };
	struct route r = { .family = family,
			   .type = RTN_UNICAST,
			   .table = RT_TABLE_MAIN,
			   .protocol = RTPROT_BOOT,
			   .dst = random_prefix(d, family),
			   .hops = &hop,
			   .n_hops = 1 };

	switch (roll_below(d, 5)) {
	case 0:
		if (sim->s.n_routes)
			SIM_REMOVE(sim->s.routes, sim->s.n_routes, at);
		return;
	case 1: /* the same by another link, in front of ours */
		if (!sim->s.n_routes)
			return;
		r = sim->s.routes[at];
		r.hops = &hop;
		r.n_hops = 1;
		r.type = RTN_UNICAST;
		break;
	case 4: /* ours, and not quite */
		if (sim->s.n_routes && one_in(d, 2))
			sim->s.routes[at].metric++;
		else if (sim->s.n_routes && sim->s.routes[at].n_hops)
			sim->s.routes[at].prefsrc = random_ip(d, sim->s.routes[at].family);
		return;
	case 2:
		r.table = w->table_first ? w->table_first : RT_TABLE_MAIN;
		r.protocol = w->protocol;
		break;
	default:
		break;
	}
	sim_route_add(sim, &r);
}

static void disturb_links(struct sim *sim, struct dice *d, bool ipv6)
{
	struct link *l = &sim->s.links[roll_below(d, (uint32_t)sim->s.n_links)];

	struct ip ip = random_ip(d, ipv6 ? random_family(d) : AF_INET);

	switch (roll_below(d, 6)) {
	case 4:
		l->mtu = 576;
		break;
	case 0:
		l->flags &= ~(uint32_t)IFF_UP;
		break;
	case 1:
		snprintf(l->alias, sizeof(l->alias), "mine");
		break;
	case 2:
		if (sim->s.n_addresses)
			SIM_REMOVE(sim->s.addresses, sim->s.n_addresses,
				   roll_below(d, (uint32_t)sim->s.n_addresses));
		break;
	case 3:
		if (ip.family == AF_INET6 && one_in(d, 2)) {
			ip.byte[0] = 0xfe;
			ip.byte[1] = 0x80;
		}
		sim_address_add(sim, &(struct address){ .link = l->index, .len = 24, .local = ip });
		break;
	default:
		if (!str_eq(l->name, "lo"))
			sim_link_del(sim, l->name);
		break;
	}
}

static void disturb(struct sim *sim, struct dice *d, const struct want *w, bool ipv6)
{
	for (uint32_t i = roll_below(d, 8); i > 0; i--) {
		if (one_in(d, 2))
			disturb_rules(sim, d, w, ipv6);
		else if (one_in(d, 2))
			disturb_routes(sim, d, w, ipv6);
		else
			disturb_links(sim, d, ipv6);
	}
}

/* --- the properties -------------------------------------------------------------- */

struct scene {
	struct sim sim;
	struct dice dice;
	enum want_place place;
	bool ipv6;
	struct slot slot;
	const char *name; /* of the gate */
	struct snapshot host;
};

static void scene_free(struct scene *s)
{
	sim_free(&s->sim);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_free)))

static void scene_open(struct scene *s, enum want_place place, uint64_t seed)
{
	*s = (struct scene){ .place = place, .name = "office", .dice = dice_of(seed) };
	s->ipv6 = !one_in(&s->dice, 5);
	s->slot = slot_of(roll_below(&s->dice, SLOT_COUNT));
	sim_link_add(&s->sim, "lo")->flags = IFF_UP | IFF_LOOPBACK;
	if (place == PLACE_HOST)
		sim_link_add(&s->sim, "docker0");
	if (place == PLACE_GATE)
		sim_link_add(&s->sim, "lan"); /* the host's veth made it */
	if (place == PLACE_ROOM)
		sim_link_add(&s->sim, "eth0");
	for (int i = 1; place == PLACE_GATE && i < 4; i++)
		if (!one_in(&s->dice, 3))
			sim_link_add(&s->sim, arena_printf(&s->sim.arena, "vpn%d", i));
	sim_first_rules(&s->sim, s->ipv6);
}

/* What a gate of the dice wants here. */
static struct want scene_want(struct scene *s)
{
	struct arena *a = &s->sim.arena;
	struct random_gate g = random_gate(a, &s->dice, &s->slot, s->ipv6, &s->host);
	struct want w = { 0 };

	g.gate.name = s->name;
	switch (s->place) {
	case PLACE_HOST:
		plan_host(a, &g.gate, &g.facts, &w);
		break;
	case PLACE_GATE:
		plan_gate(a, &g.gate, &g.facts, &w);
		break;
	case PLACE_ROOM:
		plan_room(a, &g.gate, &g.facts, 0, &w);
		break;
	}
	return w;
}

static void expect_no_step(struct scene *s, const struct want *w)
{
	struct snapshot have = sim_snapshot(&s->sim);
	struct diff diff;

	diff_make(&s->sim.arena, &have, w, &diff);
	if (diff.n_ops)
		fail_msg("%s", diff_op_text(&s->sim.arena, &diff.ops[0]));
}

/*
 * Links, addresses, routes, rules; and what goes away last, when no rule leads
 * to it any more: a packet that finds its table empty goes on to the next rule.
 */
static int rank(enum op_kind kind)
{
	switch (kind) {
	case OP_LINK_ADD:
	case OP_LINK_FREE:
	case OP_LINK_SET:
		return 0;
	case OP_ADDRESS_ADD:
		return 1;
	case OP_ROUTE_ADD:
		return 2;
	case OP_RULE_ADD:
	case OP_RULE_MOVE:
	case OP_RULE_DEL:
		return 3;
	case OP_ROUTE_DEL:
		return 4;
	case OP_ADDRESS_DEL:
		return 5;
	}
	return -1;
}

/* From whatever stands to what is wanted, looking after each step. */
static void expect_repair(struct scene *s, const struct want *w)
{
	struct snapshot before = sim_snapshot(&s->sim);
	struct diff diff;

	diff_make(&s->sim.arena, &before, w, &diff);
	for (size_t i = 0; i < diff.n_ops; i++) {
		sim_apply(&s->sim, w, &diff.ops[i]);
		expect_kept(&s->sim, w, &before);
		assert_true(i == 0 || rank(diff.ops[i - 1].kind) <= rank(diff.ops[i].kind));
		assert_true(*diff_op_text(&s->sim.arena, &diff.ops[i]));
	}
	expect_right(&s->sim, w, s->ipv6);
	expect_others_untouched(w, &before, &s->sim.s);
	expect_order_of_moved(w, &before, &s->sim.s, false);
	expect_order_of_moved(w, &before, &s->sim.s, true);
	expect_no_step(s, w);
}

static void every_pair(enum want_place place)
{
	for (unsigned int i = 0; i < rounds(PAIRS); i++) {
		struct scene s CLEANUP_SCENE;
		struct want w;

		scene_open(&s, place, i * 3 + (uint64_t)place);
		w = scene_want(&s);
		expect_repair(&s, &w); /* from nothing */
		disturb(&s.sim, &s.dice, &w, s.ipv6);
		expect_repair(&s, &w); /* what somebody broke */
		disturb(&s.sim, &s.dice, &w, s.ipv6);
		w = scene_want(&s);
		expect_repair(&s, &w); /* another configuration */
	}
}

static void a_host_becomes_what_is_wanted_and_nothing_is_missing_on_the_way(void **state)
{
	(void)state;
	every_pair(PLACE_HOST);
}

static void a_gate_becomes_what_is_wanted_and_nothing_is_missing_on_the_way(void **state)
{
	(void)state;
	every_pair(PLACE_GATE);
}

static void a_room_becomes_what_is_wanted_and_nothing_is_missing_on_the_way(void **state)
{
	(void)state;
	every_pair(PLACE_ROOM);
}

/* As teardown does: nothing is wanted, and the gate's one table is named. */
static void what_is_no_longer_wanted_goes_and_leaves_the_rest(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < rounds(PAIRS); i++) {
		struct scene s CLEANUP_SCENE;
		struct want w, nothing = { .place = PLACE_HOST, .protocol = RTPROT_KERNEL };
		struct snapshot before;

		scene_open(&s, PLACE_HOST, i);
		for (int j = 0; j < 3; j++)
			disturb_rules(&s.sim, &s.dice, &nothing, s.ipv6);
		before = sim_snapshot(&s.sim);
		w = scene_want(&s);
		nothing.table_first = nothing.table_last = w.table_first;
		sim_reconcile(&s.sim, &w);
		sim_reconcile(&s.sim, &nothing);
		expect_others_untouched(&nothing, &before, &s.sim.s);
		for (size_t j = 0; j < s.sim.s.n_rules; j++)
			assert_false(is_ours(&w, &s.sim.s.rules[j]));
		for (size_t j = 0; j < s.sim.s.n_routes; j++)
			assert_false(route_is_ours(&s.sim, &w, &s.sim.s.routes[j]));
		expect_no_step(&s, &nothing);
	}
}

/* Any number of gates on one host, each repaired whenever another one moved something. */
static void gates_on_one_host_do_not_fight(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < rounds(PAIRS / 8); i++) {
		struct scene s CLEANUP_SCENE;
		struct want w[5];
		struct rule r;

		scene_open(&s, PLACE_HOST, i);
		for (uint32_t j = 0; j < ARRAY_LEN(w); j++) {
			s.slot = slot_of(j * 800 + i);
			s.name = arena_printf(&s.sim.arena, "g%u", j);
			w[j] = scene_want(&s);
		}
		for (int j = 0; j < 4; j++) {
			r = foreign_rule(&s.dice, s.ipv6);
			sim_rule_insert(&s.sim, &r, roll_below(&s.dice, 8));
		}
		for (int turn = 0; turn < 3; turn++)
			for (size_t j = 0; j < ARRAY_LEN(w); j++)
				sim_reconcile(&s.sim, &w[j]);
		for (size_t j = 0; j < ARRAY_LEN(w); j++)
			expect_no_step(&s, &w[j]);
	}
}

static void a_kernel_without_ipv6_is_asked_for_none(void **state)
{
	static const enum want_place places[] = { PLACE_HOST, PLACE_GATE, PLACE_ROOM };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(places); i++)
		for (unsigned int seed = 0; seed < 50; seed++) {
			struct scene s CLEANUP_SCENE;
			struct want w;

			scene_open(&s, places[i], seed);
			if (s.ipv6)
				continue;
			w = scene_want(&s);
			sim_reconcile(&s.sim, &w);
			for (size_t j = 0; j < s.sim.s.n_rules; j++)
				assert_int_equal(s.sim.s.rules[j].family, AF_INET);
			for (size_t j = 0; j < s.sim.s.n_routes; j++)
				assert_int_equal(s.sim.s.routes[j].family, AF_INET);
			for (size_t j = 0; j < s.sim.s.n_addresses; j++)
				assert_int_equal(s.sim.s.addresses[j].local.family, AF_INET);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_host_becomes_what_is_wanted_and_nothing_is_missing_on_the_way),
		cmocka_unit_test(a_gate_becomes_what_is_wanted_and_nothing_is_missing_on_the_way),
		cmocka_unit_test(a_room_becomes_what_is_wanted_and_nothing_is_missing_on_the_way),
		cmocka_unit_test(what_is_no_longer_wanted_goes_and_leaves_the_rest),
		cmocka_unit_test(gates_on_one_host_do_not_fight),
		cmocka_unit_test(a_kernel_without_ipv6_is_asked_for_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
