/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/attach.h"

#include "base/text.h"
#include "plan/want_add.h"

#include <linux/rtnetlink.h>

/* Rules in the order of the numbers: what is bound to an address, then the ways that must stay. */

struct work {
	struct arena *arena;
	const struct snapshot *net;
	const struct seen_doors *doors;
	const struct attach_ask *ask;
	struct want *want;
};

static const sa_family_t families[] = { AF_INET, AF_INET6 };

static uint32_t table_of(const struct seen_door *d)
{
	return PLAN_TABLE_DOOR + d->number;
}

static const struct ip *gateway_of(const struct seen_door *d, sa_family_t family)
{
	return &d->gateway[family == AF_INET6];
}

static bool speaks(const struct work *w, const struct seen_door *d, sa_family_t family)
{
	for (size_t i = 0; i < w->net->n_addresses; i++)
		if (w->net->addresses[i].local.family == family &&
		    door_has_address(d, &w->net->addresses[i]))
			return true;
	return false;
}

static bool has_route(const struct want *w, uint32_t table, const struct prefix *dst)
{
	for (size_t i = 0; i < w->n_routes; i++)
		if (w->routes[i].table == table && w->routes[i].type == RTN_UNICAST &&
		    prefix_equal(&w->routes[i].dst, dst))
			return true;
	return false;
}

/* A secondary address of the same prefix is reached by the same route. */
static void connected_route(struct work *w, const struct seen_door *d, const struct address *x)
{
	const struct ip *ip = ip_is_none(&x->peer) ? &x->local : &x->peer;
	struct prefix p = prefix_of(ip, x->len);

	if (!has_route(w->want, table_of(d), &p))
		want_add_route(w->arena, w->want, table_of(d), p, d->link->name, (struct ip){ 0 });
}

/*
 * Replies to aliases need a source before they get their client's address back,
 * and with it their way: these routes only say the source.
 */
static void alias_routes(struct work *w, const struct seen_door *d, const struct address *x)
{
	struct prefix nets[6];
	size_t n = attach_alias_nets(w->doors, w->net, d, &x->local, nets);

	for (size_t i = 0; w->ask->alias && i < n; i++)
		want_add_route(w->arena, w->want, table_of(d), nets[i], d->link->name,
			       (struct ip){ 0 })
			->prefsrc = x->local;
}

/* Networks behind a door that has no way to everywhere: as far as main knows them. */
static void static_routes(struct work *w, const struct seen_door *d, sa_family_t family)
{
	for (size_t i = 0; i < w->net->n_routes; i++) {
		const struct route *r = &w->net->routes[i];

		if (r->family != family || r->table != RT_TABLE_MAIN || r->type != RTN_UNICAST ||
		    r->n_hops != 1 || r->hops[0].link != d->link->index ||
		    r->hops[0].via.family != family || !r->dst.len)
			continue;
		if (!has_route(w->want, table_of(d), &r->dst))
			want_add_route(w->arena, w->want, table_of(d), r->dst, d->link->name,
				       r->hops[0].via);
	}
}

static void door_table(struct work *w, const struct seen_door *d, sa_family_t family)
{
	const struct ip *gateway = gateway_of(d, family);

	want_add_floor(w->arena, w->want, table_of(d), family);
	for (size_t i = 0; i < w->net->n_addresses; i++) {
		const struct address *x = &w->net->addresses[i];

		if (x->local.family != family || !door_is_asked_at(d, x))
			continue;
		connected_route(w, d, x);
		alias_routes(w, d, x);
	}
	/* One that a tunnel has for its own is no way for the kernel; the caller is told. */
	if (ip_is_none(gateway))
		static_routes(w, d, family);
	else if (!snapshot_has_address(w->net, gateway))
		want_add_route(w->arena, w->want, table_of(d), want_everything(family),
			       d->link->name, *gateway);
}

static void source_rules(struct work *w, const struct seen_door *d, sa_family_t family)
{
	for (size_t i = 0; i < w->net->n_addresses; i++) {
		const struct address *x = &w->net->addresses[i];

		if (x->local.family == family && door_is_asked_at(d, x))
			want_add_rule(w->arena, w->want, family, table_of(d))->from =
				prefix_host(&x->local);
	}
}

/*
 * What came in by a tunnel is answered by it though its client's address lies
 * in the container's own network.  No floor: the tunnel may come again when
 * nobody watches, and main knows it then.
 */
static void tunnel(struct work *w, const struct seen_door *d, sa_family_t family)
{
	if (!speaks(w, d, family) || d->link->has_mac)
		return;
	want_add_route(w->arena, w->want, table_of(d), want_everything(family), d->link->name,
		       (struct ip){ 0 })
		->optional = true;
	source_rules(w, d, family);
}

static void to_rule(struct work *w, const struct seen_door *d, struct prefix to)
{
	struct want *want = w->want;

	for (size_t i = 0; i < want->n_rules; i++)
		if (want->rules[i].table == table_of(d) && want->rules[i].to.ip.family &&
		    prefix_equal(&want->rules[i].to, &to))
			return;
	want_add_rule(w->arena, want, to.ip.family, table_of(d))->to = to;
}

/*
 * The gateway stays where it is though a VPN claims its address: a client's
 * route to its server is resolved by it.  Likewise who lives on the door's own
 * network.
 */
static void neighbour_rules(struct work *w, const struct seen_door *d, sa_family_t family)
{
	struct prefix nets[6];

	if (!ip_is_none(gateway_of(d, family)) && !ip_is_link_local(gateway_of(d, family)))
		to_rule(w, d, prefix_host(gateway_of(d, family)));
	for (size_t i = 0; i < w->net->n_addresses; i++) {
		const struct address *x = &w->net->addresses[i];
		size_t n;

		if (x->local.family != family || !door_has_address(d, x))
			continue;
		if (x->len < ip_bits(family))
			to_rule(w, d, prefix_of(&x->local, x->len));
		n = w->ask->alias ? attach_alias_nets(w->doors, w->net, d, &x->local, nets) : 0;
		for (size_t k = 0; k < n; k++)
			to_rule(w, d, nets[k]);
	}
}

/* The door by which the namespace begins to talk to what is not on a network of its own. */
static const struct seen_door *way_out(const struct work *w, sa_family_t family)
{
	for (size_t i = 0; i < w->doors->n_lan; i++)
		if (!ip_is_none(gateway_of(&w->doors->lan[i], family)))
			return &w->doors->lan[i];
	return NULL;
}

static void chosen_rules(struct work *w, sa_family_t family)
{
	const struct seen_door *d = way_out(w, family);

	if (!d)
		return;
	for (size_t i = 0; i < w->ask->n_servers; i++)
		if (w->ask->servers[i].ip.family == family && !ip_is_any(&w->ask->servers[i].ip))
			to_rule(w, d, prefix_host(&w->ask->servers[i].ip));
	for (size_t i = 0; i < w->ask->n_reach; i++)
		if (w->ask->reach[i].ip.family == family)
			to_rule(w, d, w->ask->reach[i]);
}

static void one_family(struct work *w, sa_family_t family)
{
	const struct seen_doors *doors = w->doors;
	bool any = false;

	for (size_t i = 0; i < doors->n_lan; i++) {
		if (!speaks(w, &doors->lan[i], family))
			continue;
		any = true;
		door_table(w, &doors->lan[i], family);
		source_rules(w, &doors->lan[i], family);
	}
	if (!any)
		return;
	for (size_t i = 0; i < doors->n_tunnels; i++)
		tunnel(w, &doors->tunnels[i], family);
	for (size_t i = 0; i < doors->n_lan; i++)
		if (speaks(w, &doors->lan[i], family))
			neighbour_rules(w, &doors->lan[i], family);
	chosen_rules(w, family);
}

/*
 * arp_ignore: who asks on one door for another's address, or a tunnel's, learns
 * nothing (a virtual IP on lo must be told, though).  arp_announce: nor is a
 * tunnel's address told by asking.
 */
static void sysctls(struct work *w)
{
	for (size_t i = 0; i < w->doors->n_lan; i++) {
		const char *link = w->doors->lan[i].link->name;

		if (!w->doors->n_elsewhere)
			want_add_sysctl(w->arena, w->want,
					arena_printf(w->arena, "ipv4/conf/%s/arp_ignore", link),
					"1")
				->restore = true;
		want_add_sysctl(w->arena, w->want,
				arena_printf(w->arena, "ipv4/conf/%s/arp_announce", link), "2")
			->restore = true;
	}
}

void plan_attach_nothing(struct want *ret)
{
	/*
	 * As on a host: the namespace is not ours, and systemd-networkd in a
	 * container deletes rules of every protocol but the kernel's.
	 */
	*ret = (struct want){ .place = PLACE_HOST,
			      .protocol = RTPROT_KERNEL,
			      .table_first = PLAN_TABLE_DOOR,
			      .table_last = PLAN_TABLE_LAST };
}

void plan_attach(struct arena *a, const struct snapshot *s, const struct seen_doors *doors,
		 const struct attach_ask *ask, struct want *ret)
{
	struct work w = { .arena = a, .net = s, .doors = doors, .ask = ask, .want = ret };

	plan_attach_nothing(ret);
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		one_family(&w, families[i]);
	sysctls(&w);
	ret->nft = plan_nft_attach(a, s, doors, ask);
}

/* --- aliases ------------------------------------------------------------------------ */

/* The how-manieth address of a lan door is it, of its family? */
static size_t alias_index(const struct seen_doors *doors, const struct snapshot *s,
			  const struct seen_door *d, const struct ip *x)
{
	size_t index = 0;

	for (size_t i = 0; i < doors->n_lan; i++)
		for (size_t k = 0; k < s->n_addresses; k++) {
			const struct address *y = &s->addresses[k];

			if (y->local.family != x->family || !door_has_address(&doors->lan[i], y))
				continue;
			if (&doors->lan[i] == d && ip_equal(&y->local, x))
				return index;
			index++;
		}
	return ATTACH_ALIASES_MAX;
}

/*
 * 240.0.0.0/4 is nobody's, and large enough to keep what people read in an
 * address: 10.1.2.3 becomes 241.1.2.3, 192.168.1.5 becomes 242.168.1.5, and
 * public addresses share 243.0.0.0/8; 244 to 246 for the next address, and so
 * on.  In IPv6 the lower half stays as it is.
 */
size_t attach_alias_nets(const struct seen_doors *doors, const struct snapshot *s,
			 const struct seen_door *d, const struct ip *x, struct prefix ret[6])
{
	size_t index = alias_index(doors, s, d, x);
	uint8_t first = (uint8_t)(241 + 3 * index);
	const struct prefix v4[] = {
		{ { AF_INET, { first } }, 8 },
		{ { AF_INET, { (uint8_t)(first + 1), 16 } }, 12 },
		{ { AF_INET, { (uint8_t)(first + 1), 64 } }, 10 },
		{ { AF_INET, { (uint8_t)(first + 1), 168 } }, 16 },
		{ { AF_INET, { (uint8_t)(first + 1), 254 } }, 16 },
		{ { AF_INET, { (uint8_t)(first + 2) } }, 8 },
	};

	if (index == ATTACH_ALIASES_MAX)
		return 0;
	if (x->family == AF_INET6) {
		ret[0] = (struct prefix){
			{ AF_INET6, { 0xfd, 0x5a, 0x11, 0x79, 0x09, 0x27, 0xff, (uint8_t)index } },
			64
		};
		return 1;
	}
	for (size_t i = 0; i < ARRAY_LEN(v4); i++)
		ret[i] = v4[i];
	return ARRAY_LEN(v4);
}
