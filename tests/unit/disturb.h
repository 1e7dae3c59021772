/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UNIT_DISTURB_H
#define TESTS_UNIT_DISTURB_H

/* What somebody did to a namespace in the simulator, as the dice have it. */
#include "random_gate.h"
#include "right.h"
#include "simulator.h"

static inline struct rule foreign_rule(struct dice *d, bool ipv6)
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

static inline struct rule other_gates_rule(struct dice *d, const struct want *w)
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
static inline void narrow(struct dice *d, struct rule *r)
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

static inline void disturb_rules(struct sim *sim, struct dice *d, const struct want *w, bool ipv6)
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

static inline void disturb_routes(struct sim *sim, struct dice *d, const struct want *w, bool ipv6)
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

static inline void disturb_links(struct sim *sim, struct dice *d, bool ipv6)
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

static inline void disturb(struct sim *sim, struct dice *d, const struct want *w, bool ipv6)
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

#endif
