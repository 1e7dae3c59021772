/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gate's own part of the host's nft table, in one transaction with what all gates
 * share (plan/nft_frame.c): elements of its sets and maps, with the gate's name as
 * their comment.
 */
#include "plan/nft_emit.h"

static void element(struct nft_text *n, const char *set, const char *key, const char *value)
{
	emit(n, "add element inet " PLAN_NFT_HOST " %s { %s comment \"%s\"%s%s }", set, key,
	     n->gate->name, value ? " : " : "", value ? value : "");
}

static const char *quoted(struct nft_text *n, const char *link)
{
	return arena_printf(n->arena, "\"%s\"", link);
}

static const char *short_text(struct nft_text *n, sa_family_t family, size_t room,
			      char buf[IP_TEXT_SIZE])
{
	struct ip ip = slot_short(&n->facts->slot, family, room);

	return ip_text(&ip, buf);
}

static void slot_elements(struct nft_text *n)
{
	const char *link = quoted(n, n->link);
	char slot4[IP_TEXT_SIZE], slot6[IP_TEXT_SIZE];

	ip_text(&n->facts->slot.net4.ip, slot4);
	ip_text(&n->facts->slot.net6.ip, slot6);
	element(n, "gates", link, NULL);
	element(n, "links", link, NULL);
	element(n, "near4", arena_printf(n->arena, "%s . %s", link, slot4), NULL);
	element(n, "near6", arena_printf(n->arena, "%s . %s", link, slot6), NULL);
	element(n, "slots4", slot4, NULL);
	element(n, "slots6", slot6, NULL);
	element(n, "host4", link, n->host4);
}

static void short_elements(struct nft_text *n)
{
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		char ip4[IP_TEXT_SIZE], ip6[IP_TEXT_SIZE];
		const char *link;

		if (!plan_room_is_short(n->gate, i))
			continue;
		link = quoted(n, plan_short_link(n->arena, &n->facts->slot, i));
		short_text(n, AF_INET, i, ip4);
		short_text(n, AF_INET6, i, ip6);
		element(n, "shorts", link, NULL);
		element(n, "links", link, NULL);
		element(n, "short4", arena_printf(n->arena, "%s . %s", link, ip4), NULL);
		element(n, "short6", arena_printf(n->arena, "%s . %s", link, ip6), NULL);
		element(n, "host4", link, n->host4);
	}
}

/* --- what the gate may start towards the lan ------------------------------------------------- */

static bool has_reach(const struct gate *g)
{
	for (size_t i = 0; i < g->n_rooms; i++)
		if (g->rooms[i].way != DEFAULT_LAN && g->rooms[i].n_reach)
			return true;
	return false;
}

static void reach_chain(struct nft_text *n)
{
	emit(n, "\tchain reach_%s {", n->gate->name);
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const struct room *room = &n->gate->rooms[i];

		for (size_t j = 0; room->way != DEFAULT_LAN && j < room->n_reach; j++) {
			sa_family_t family = room->reach[j].ip.family;
			const char *v = family == AF_INET ? "ip" : "ip6";
			char ip[IP_TEXT_SIZE], to[PREFIX_TEXT_SIZE];

			emit(n, "\t\t%s saddr %s %s daddr %s accept", v,
			     emit_room(n, family, i, ip), v, prefix_text(&room->reach[j], to));
		}
	}
	emit_end_chain(n);
}

/* The VPN clients' transport, and rooms whose way is the lan. */
static void begin_elements(struct nft_text *n)
{
	element(n, "begin4", n->gate4, NULL);
	element(n, "begin6", n->gate6, NULL);
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		char ip[IP_TEXT_SIZE];

		if (n->gate->rooms[i].way != DEFAULT_LAN)
			continue;
		element(n, "begin4", emit_room(n, AF_INET, i, ip), NULL);
		element(n, "begin6", emit_room(n, AF_INET6, i, ip), NULL);
	}
	if (has_reach(n->gate))
		element(n, "reach", quoted(n, n->link),
			arena_printf(n->arena, "jump reach_%s", n->gate->name));
}

/* --- ports ----------------------------------------------------------------------------------- */

/* A port of all addresses of the host, or of one. */
struct port {
	const struct publish *publish;
	const struct ip *at; /* NULL: all */
};

struct ports {
	struct port *items;
	size_t n, cap;
};

static void add_port(struct nft_text *n, struct ports *all, const struct publish *p,
		     const struct ip *at)
{
	*arena_push(n->arena, all->items, all->n, all->cap) =
		(struct port){ .publish = p, .at = at };
}

static struct ports list_ports(struct nft_text *n)
{
	const struct door *lan = &n->gate->doors[0];
	struct ports all = { 0 };

	for (size_t i = 0; i < n->gate->n_publish; i++) {
		const struct publish *p = &n->gate->publish[i];

		if (p->door != 0)
			continue;
		if (!ip_is_any(&p->host))
			add_port(n, &all, p, &p->host);
		else if (!lan->n_listen)
			add_port(n, &all, p, NULL);
		for (size_t j = 0; ip_is_any(&p->host) && j < lan->n_listen; j++)
			if (publish_speaks(p, lan->listen[j].family))
				add_port(n, &all, p, &lan->listen[j]);
	}
	return all;
}

static const struct port_set {
	const char *name;
	sa_family_t family; /* AF_UNSPEC: of both */
	bool at; /* of one address */
	bool link; /* of the gate's link */
	bool room; /* tells where it leads */
} port_sets[] = {
	{ "ports4", AF_INET, false, false, false },    { "ports6", AF_INET6, false, false, false },
	{ "rooms4", AF_INET, false, false, true },     { "rooms6", AF_INET6, false, false, true },
	{ "own", AF_UNSPEC, false, true, false },      { "ports4_at", AF_INET, true, false, false },
	{ "ports6_at", AF_INET6, true, false, false }, { "rooms4_at", AF_INET, true, false, true },
	{ "rooms6_at", AF_INET6, true, false, true },  { "own4", AF_INET, true, true, false },
	{ "own6", AF_INET6, true, true, false },
};

static bool port_is_in(const struct port *x, const struct port_set *set)
{
	if (set->at != (x->at != NULL))
		return false;
	if (x->at)
		return x->at->family == set->family;
	return set->family == AF_UNSPEC || publish_speaks(x->publish, set->family);
}

static void put_port(struct nft_text *n, const struct port *x, const struct port_set *set)
{
	const struct publish *p = x->publish;
	char ip[IP_TEXT_SIZE];

	if (set->link)
		text_addf(&n->out, "\"%s\" . ", n->link);
	if (x->at)
		text_addf(&n->out, "%s . ", ip_text(x->at, ip));
	text_addf(&n->out, "%s . %u comment \"%s\"", emit_proto(p->proto), p->door_port,
		  n->gate->name);
	if (set->room)
		text_addf(&n->out, " : %s . %u",
			  (plan_publish_is_short(p) ? short_text : emit_room)(n, set->family,
									      p->room, ip),
			  p->room_port);
}

static void port_elements(struct nft_text *n, const struct ports *all, const struct port_set *set)
{
	bool any = false;

	for (size_t i = 0; i < all->n; i++) {
		if (!port_is_in(&all->items[i], set))
			continue;
		if (any)
			text_add(&n->out, ",\n\t");
		else
			text_addf(&n->out, "add element inet " PLAN_NFT_HOST " %s {\n\t",
				  set->name);
		put_port(n, &all->items[i], set);
		any = true;
	}
	if (any)
		emit(n, "\n}");
}

/* --- all of it ------------------------------------------------------------------------------- */

/* No packet comes here: the chain keeps what sysctls were before us, for whoever takes us away. */
static void before_chain(struct nft_text *n)
{
	emit(n, "\tchain before_%s {", n->gate->name);
	for (size_t i = 0; i < n->facts->n_before; i++)
		emit(n, "\t\tcontinue comment \"%s %s\"", n->facts->before[i].path,
		     n->facts->before[i].value);
	emit_end_chain(n);
}

static void open_own_chain(struct nft_text *n, const char *kind)
{
	emit(n, "add chain inet " PLAN_NFT_HOST " %s_%s", kind, n->gate->name);
	emit(n, "flush chain inet " PLAN_NFT_HOST " %s_%s", kind, n->gate->name);
}

static void host_elements(struct nft_text *n)
{
	const struct ports ports = list_ports(n);

	slot_elements(n);
	short_elements(n);
	begin_elements(n);
	for (size_t i = 0; i < ARRAY_LEN(port_sets); i++)
		port_elements(n, &ports, &port_sets[i]);
}

const char *plan_nft_host(struct arena *a, const struct gate *g, const struct plan_facts *f)
{
	struct nft_text n;

	emit_begin(&n, a, g, f);
	frame_open(&n);
	if (has_reach(g))
		open_own_chain(&n, "reach");
	open_own_chain(&n, "before");
	emit(&n, "table inet " PLAN_NFT_HOST " {");
	frame_chains(&n);
	frame_answer(&n);
	if (has_reach(g))
		reach_chain(&n);
	before_chain(&n);
	emit(&n, "}");
	host_elements(&n);
	frame_still(&n);
	frame_bridges(&n);
	return emit_end(&n);
}
