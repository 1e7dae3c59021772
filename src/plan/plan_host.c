/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan of the host: its ends of the gate's links, what leads to the slot, and
 * what the host must forward.
 */
#include "plan/plan_parts.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

/* Of a host that has switched IPv6 off it is not asked for; gate and rooms are ours. */
static size_t n_host_families(const struct plan_facts *f)
{
	return f->ipv6 && !f->host_no_ipv6 ? 2 : 1;
}

static struct want_sysctl *add_host_sysctl(struct arena *a, struct want *w, const char *path,
					   const char *value)
{
	struct want_sysctl *s = want_add_sysctl(a, w, path, value);

	s->restore = true;
	return s;
}

static bool host_has_ipv6(const struct snapshot *host, int own)
{
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct address *x = &host->addresses[i];

		if (x->local.family == AF_INET6 && x->link != own && !ip_is_link_local(&x->local) &&
		    !ip_is_loopback(&x->local))
			return true;
	}
	return false;
}

/*
 * Forwarding is switched on where packets come in, not for the whole host:
 * IPv4 asks the incoming interface (IN_DEV_FORWARD).  IPv6 asks the whole
 * namespace (ip6_forward), and then stops believing router advertisements
 * unless accept_ra is 2: that comes first, or the host loses its default route.
 */
static void host_forwarding(struct arena *a, const struct plan_facts *f, struct want *w,
			    const char *own)
{
	const struct link *mine = snapshot_link_by_name(f->host, own);
	bool ipv6 = n_host_families(f) == 2 && host_has_ipv6(f->host, mine ? mine->index : -1);

	/* Remembered: if it is on at the end and was not, somebody else needs it now. */
	add_host_sysctl(a, w, "ipv4/ip_forward", NULL);

	for (size_t i = 0; i < f->host->n_links; i++) {
		const struct link *l = &f->host->links[i];

		if ((l->flags & IFF_LOOPBACK) || plan_link_is_ours(l))
			continue;
		add_host_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/forwarding", l->name), "1");
		if (ipv6)
			add_host_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/accept_ra", l->name),
					"2")
				->only_if = "1";
	}
	if (!ipv6)
		return;
	for (size_t i = 0; i < f->host->n_links; i++) {
		const struct link *l = &f->host->links[i];

		if (!plan_link_is_ours(l) && !(l->flags & IFF_LOOPBACK))
			add_host_sysctl(a, w, arena_printf(a, "ipv6/conf/%s/forwarding", l->name),
					NULL);
	}
	add_host_sysctl(a, w, "ipv6/conf/default/forwarding", NULL);
	add_host_sysctl(a, w, PLAN_FORWARDING6_ALL, "1");
	/* After that, which writes it, too: whoever else writes is noticed by it. */
	add_host_sysctl(a, w, PLAN_FORWARDING6_LO,
			plan_was(f, PLAN_FORWARDING6_ALL, "0") ? "0" : NULL);
}

static void host_link_sysctls(struct arena *a, const struct plan_facts *f, struct want *w,
			      const char *link)
{
	/*
	 * arp_announce 2: ask for the gate with our own end's address.  With the
	 * address of a LAN client the gate's strict rp_filter would not answer.
	 * route_localnet: 127.0.0.1 of the host is published too (chain publish
	 * changes the source; what comes from outside for 127/8 is dropped).
	 */
	static const char *const ones[][2] = {
		{ "forwarding", "1" },     { "arp_announce", "2" },
		{ "route_localnet", "1" }, { "accept_redirects", "0" },
		{ "send_redirects", "0" }, { "accept_source_route", "0" },
	};

	/* What chain answer makes of a reply: it says an address of this host, and goes elsewhere. */
	static const char *const answers[][2] = {
		{ "accept_local", "1" },
		{ "rp_filter", "2" },
	};

	for (size_t i = 0; i < ARRAY_LEN(ones); i++)
		want_add_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/%s", link, ones[i][0]),
				ones[i][1]);
	for (size_t i = 0; plan_has_own_ways(f->host) && i < ARRAY_LEN(answers); i++)
		want_add_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/%s", link, answers[i][0]),
				answers[i][1]);
}

/* The host's end of a link of the gate's: all of them speak with the same addresses. */
static struct want_link *add_host_link(struct arena *a, const struct gate *g,
				       const struct plan_facts *f, struct want *w, const char *name,
				       size_t number)
{
	struct want_link *l = want_add_link(a, w, name);
	struct want_address *x;

	l->alias = plan_alias(a, g);
	l->mac = plan_host_mac(a, &f->slot);
	l->index = slot_index(&f->slot, number);
	l->plain = n_host_families(f) == 2;
	x = want_add_address(a, w, name, slot_host(&f->slot, AF_INET), RT_SCOPE_LINK);
	/* Who asks must have an address of the same prefix; that makes a route that nobody uses. */
	if (f->host_arp_prefix)
		x->len = f->slot.net4.len;
	if (n_host_families(f) == 2)
		want_add_address(a, w, name, slot_link_local(&f->slot), RT_SCOPE_LINK);
	host_link_sysctls(a, f, w, name);
	return l;
}

static void host_short(struct arena *a, const struct gate *g, const struct plan_facts *f,
		       struct want *w, size_t room)
{
	const char *link = plan_short_link(a, &f->slot, room);
	struct want_link *l = add_host_link(a, g, f, w, link, 1 + room);

	l->alias = arena_printf(a, "sallyport %s %s", g->name, plan_room_netns(a, g, room));
	l->peer_name = PLAN_SHORT_END;
	l->peer_place = PLACE_ROOM;
	l->peer_room = room;
	l->peer_netns = plan_room_netns(a, g, room);
	for (size_t i = 0; i < n_host_families(f); i++) {
		struct ip to = slot_short(&f->slot, families[i], room);

		want_add_route(a, w, w->table_first, prefix_host(&to), link, (struct ip){ 0 });
	}
	/* Whoever is root in the room asks here for other addresses of the host's. */
	want_add_sysctl(a, w, arena_printf(a, "ipv4/conf/%s/arp_ignore", link), "1");
}

/* So few rules of others are walked past in less time than it takes to be sure of them. */
#define RULES_WORTH_IT 16

/*
 * Will rule @r do nothing that the lookup in main would not, to a packet from
 * @pool?  It does not select it, or leads to main itself.
 */
static bool rule_lets_pass(const struct rule *r, const struct prefix *pool)
{
	if (r->invert || r->unknown[0])
		return false;
	if (r->from.len && !prefix_overlaps(&r->from, pool))
		return true;
	return r->action == FR_ACT_TO_TBL && r->table == RT_TABLE_MAIN && r->suppress_len == -1 &&
	       r->suppress_group == -1;
}

static bool is_plain_main(const struct rule *r)
{
	return r->action == FR_ACT_TO_TBL && r->table == RT_TABLE_MAIN && !r->invert &&
	       !r->from.len && !r->to.len && !r->iif[0] && !r->oif[0] && !r->has_mark &&
	       r->suppress_len == -1 && r->suppress_group == -1 && !r->ip_proto && !r->has_uid &&
	       !r->has_sport && !r->has_dport && !r->tos && !r->has_dscp && !r->flowlabel_mask &&
	       !r->tun_id && !r->l3mdev && !r->unknown[0];
}

/*
 * Every reply that the host forwards, and the check of every request's source,
 * walks all rules of the host up to main: a thousand of them halve the
 * connections/s.  They may be passed by when none of them can concern a packet
 * from a gate, which is a thing that most rules (`from ADDRESS`) tell.
 */
static bool rules_pass_by(const struct snapshot *host, const struct prefix *pool)
{
	size_t n = 0;

	for (size_t i = 0; i < host->n_rules; i++) {
		const struct rule *r = &host->rules[i];

		if (r->family != pool->ip.family || r->table == RT_TABLE_LOCAL)
			continue;
		if (is_plain_main(r))
			return n >= RULES_WORTH_IT;
		if (r->priority == 0 && (r->table == SLOT_TABLE || slot_is_pool(&r->from)))
			continue;
		if (!rule_lets_pass(r, pool))
			return false;
		n++;
	}
	return false;
}

static void host_rules(struct arena *a, const struct plan_facts *f, struct want *w,
		       sa_family_t family)
{
	struct prefix pool = slot_pool(&f->slot, family);

	want_add_rule(a, w, family, SLOT_TABLE)->to = pool;
	if (f->host && rules_pass_by(f->host, &pool))
		want_add_rule(a, w, family, RT_TABLE_MAIN)->from = pool;
}

/* Made up to be taken away: in the engine's hands it is down and has no address. */
static void host_sandbox(struct arena *a, const struct gate *g, const struct plan_facts *f,
			 struct want *w, size_t room)
{
	struct want_link *l;

	if (!f->sandboxes || !f->sandboxes[room].on_host)
		return;
	l = want_add_link(a, w, plan_sandbox_link(a, g, room));
	l->alias = plan_alias(a, g);
	l->up = false;
	l->peer_name = plan_room_link(a, g, room);
	l->peer_place = PLACE_GATE;
	l->peer_netns = plan_gate_netns(a, g);
}

void plan_host(struct arena *a, const struct gate *g, const struct plan_facts *f, struct want *ret)
{
	const char *link = plan_host_link(a, g);
	const uint32_t table = SLOT_TABLE;
	struct want w = { .place = PLACE_HOST,
			  .protocol = RTPROT_KERNEL,
			  .table_first = table,
			  .table_last = table,
			  .shared = true,
			  .slot = f->slot };
	struct want_link *l = add_host_link(a, g, f, &w, link, 0);

	l->peer_name = "lan";
	l->peer_place = PLACE_GATE;
	l->peer_netns = plan_gate_netns(a, g);
	for (size_t i = 0; i < n_host_families(f); i++) {
		sa_family_t family = families[i];
		struct ip gate = slot_gate(&f->slot, family);

		if (family == AF_INET)
			want_add_route(a, &w, table, prefix_host(&gate), link, (struct ip){ 0 });
		/*
		 * By an address of the slot: the gate announces it from there, and firewalld
		 * drops announcements from where no route leads (its IPv6_rpfilter).
		 */
		want_add_route(a, &w, table, slot_net(&f->slot, family), link, gate)->onlink = true;
		host_rules(a, f, &w, family);
		plan_want_sides(a, f->host, family, &w);
	}
	for (size_t i = 0; i < g->n_rooms; i++)
		if (plan_room_is_short(g, i))
			host_short(a, g, f, &w, i);
		else if (g->rooms[i].sandbox)
			host_sandbox(a, g, f, &w, i);
	host_forwarding(a, f, &w, link);
	w.nft = plan_nft_host(a, g, f);
	*ret = w;
}
