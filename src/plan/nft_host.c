/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gate's own part of the host's nft table, in one transaction with what all gates
 * share (plan/nft_frame.c): its chains, and the elements that lead to them.
 */
#include "plan/nft_emit.h"

/* Outside the ports that the kernel gives out by itself (32768-60999). */
#define PRIVATE_PORTS "61001-65535"

static void own_chain(struct nft_text *n, const char *kind)
{
	emit(n, "\tchain %s_%s {", kind, n->gate->name);
}

/*
 * Comparisons one after the other and no anonymous set of ranges: libnftables
 * fetches those of all gates before each transaction.
 */
static void host_from(struct nft_text *n)
{
	own_chain(n, "from");
	emit(n, "\t\tip saddr != %s counter drop", n->slot4);
	emit(n, "\t\tip6 saddr != %s ip6 saddr != fe80::/10 ip6 saddr != :: counter drop",
	     n->slot6);
	emit(n, "\t\ticmpv6 type { nd-router-advert, nd-redirect } counter drop");
	emit_end_chain(n);
	own_chain(n, "closed");
	emit(n, "\t\tiifname \"%s\" accept", n->link);
	emit(n, "\t\tcounter drop");
	emit_end_chain(n);
}

static const char *short_text(struct nft_text *n, sa_family_t family, size_t room,
			      char buf[IP_TEXT_SIZE])
{
	struct ip ip = slot_short(&n->facts->slot, family, room);

	return ip_text(&ip, buf);
}

/*
 * By a short link comes TCP, from the address that the room has there, and the
 * host's state of connections knows all of it.  An ICMP error by it could speak
 * of any other connection of the host; the gate is not there to look.
 */
static void host_short(struct nft_text *n)
{
	own_chain(n, "short");
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const char *link = plan_short_link(n->arena, &n->facts->slot, i);
		char ip[IP_TEXT_SIZE];

		if (!plan_room_is_short(n->gate, i))
			continue;
		emit(n, "\t\tiifname \"%s\" ip saddr %s meta l4proto tcp accept", link,
		     short_text(n, AF_INET, i, ip));
		emit(n, "\t\tiifname \"%s\" ip6 saddr %s meta l4proto tcp accept", link,
		     short_text(n, AF_INET6, i, ip));
	}
	emit(n, "\t\t" NEIGHBOUR " accept");
	emit(n, "\t\tcounter drop");
	emit_end_chain(n);
}

static void publish_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	char room[IP_TEXT_SIZE], host[IP_TEXT_SIZE];

	text_addf(&n->out, "\n\t\t\t%s%s%s . %u : %s . %u",
		  ip_is_any(&p->host) ? "" : ip_text(&p->host, host),
		  ip_is_any(&p->host) ? "" : " . ", emit_proto(p->proto), p->door_port,
		  (plan_publish_is_short(p) ? short_text : emit_room)(n, family, p->room, room),
		  p->room_port);
}

/* Those of one address of the host (@of_one), or those of all. */
static void publish_family(struct nft_text *n, sa_family_t family, bool of_one)
{
	const char *ip = family == AF_INET ? "ip" : "ip6";
	bool any = false;

	for (size_t i = 0; i < n->gate->n_publish; i++) {
		const struct publish *p = &n->gate->publish[i];

		if (p->door != 0 || ip_is_any(&p->host) == of_one || !publish_speaks(p, family))
			continue;
		if (any)
			text_add(&n->out, ",");
		else if (of_one)
			text_addf(&n->out,
				  "\t\tdnat %s to %s daddr . meta l4proto . th dport map {", ip,
				  ip);
		else
			text_addf(&n->out,
				  "\t\tmeta nfproto ipv%d dnat %s to meta l4proto . th dport map {",
				  emit_family_digit(family), ip);
		publish_element(n, family, p);
		any = true;
	}
	if (any)
		emit(n, "\n\t\t}");
}

static void publish_sides(struct nft_text *n)
{
	size_t n_sides;
	const struct link *const *sides = plan_sides(n->arena, n->facts->host, &n_sides);

	for (size_t i = 0; i < n_sides; i++)
		emit(n, "\t\tiifname \"%s\" ct mark set ct mark and 0x%x or 0x%x", sides[i]->name,
		     ~PLAN_MARK_MASK, plan_side_mark(sides[i]));
}

static void host_publish(struct nft_text *n)
{
	own_chain(n, "publish");
	emit(n, "\t\tiifname \"%s\" return", n->link);
	for (size_t i = 0; i < n->gate->n_rooms; i++)
		if (plan_room_is_short(n->gate, i))
			emit(n, "\t\tiifname \"%s\" return",
			     plan_short_link(n->arena, &n->facts->slot, i));
	publish_sides(n);
	publish_family(n, AF_INET, true);
	publish_family(n, AF_INET6, true);
	publish_family(n, AF_INET, false);
	publish_family(n, AF_INET6, false);
	emit_end_chain(n);
}

/* Towards the gate or a room: only what a published port has sent there. */
static void host_into(struct nft_text *n)
{
	own_chain(n, "into");
	emit(n, "\t\tct status dnat return");
	emit(n, "\t\tct state related return");
	emit(n, "\t\tcounter drop");
	emit_end_chain(n);
}

/* What the gate may start towards the lan: the VPN clients' transport and what rooms may reach. */
static void host_allow_new(struct nft_text *n)
{
	emit(n, "\t\tip saddr %s accept", n->gate4);
	emit(n, "\t\tip6 saddr %s accept", n->gate6);
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const struct room *room = &n->gate->rooms[i];
		char ip[IP_TEXT_SIZE];

		if (room->way == DEFAULT_LAN) {
			emit(n, "\t\tip saddr %s accept", emit_room(n, AF_INET, i, ip));
			emit(n, "\t\tip6 saddr %s accept", emit_room(n, AF_INET6, i, ip));
			continue;
		}
		for (size_t j = 0; j < room->n_reach; j++) {
			const char *v = room->reach[j].ip.family == AF_INET ? "ip" : "ip6";
			char to[PREFIX_TEXT_SIZE];

			emit(n, "\t\t%s saddr %s %s daddr %s accept", v,
			     emit_room(n, room->reach[j].ip.family, i, ip), v,
			     prefix_text(&room->reach[j], to));
		}
	}
}

/* From the gate or a room, to the network or the host itself. */
static void host_lan(struct nft_text *n)
{
	own_chain(n, "lan");
	emit(n, "\t\tct state established,related accept");
	emit(n, "\t\tct state invalid counter drop");
	host_allow_new(n);
	emit(n, "\t\tcounter drop");
	emit_end_chain(n);
	own_chain(n, "host");
	emit(n, "\t\t" NEIGHBOUR " accept");
	emit(n, "\t\tgoto lan_%s", n->gate->name);
	emit_end_chain(n);
}

/*
 * What leaves for the network gets the host's address, and a port that no
 * service of the host can have: otherwise a room could take a port of the
 * host's for its peer (Port Shadow, CVE-2021-3773).
 */
static void host_leave(struct nft_text *n)
{
	own_chain(n, "enter");
	emit(n, "\t\tip saddr 127.0.0.0/8 snat ip to %s", n->host4);
	emit_end_chain(n);
	own_chain(n, "leave");
	emit(n, "\t\tmeta l4proto { tcp, udp } masquerade to :" PRIVATE_PORTS);
	emit(n, "\t\tmasquerade");
	emit_end_chain(n);
}

/* No packet comes here: the chain keeps what sysctls were before us, for whoever takes us away. */
static void host_before(struct nft_text *n)
{
	own_chain(n, "before");
	for (size_t i = 0; i < n->facts->n_before; i++)
		emit(n, "\t\tcontinue comment \"%s %s\"", n->facts->before[i].path,
		     n->facts->before[i].value);
	emit_end_chain(n);
}

static void element(struct nft_text *n, const char *map, const char *key, const char *verdict)
{
	emit(n, "add element inet " PLAN_NFT_HOST " %s { %s : %s_%s }", map, key, verdict,
	     n->gate->name);
}

static void port_element(struct nft_text *n, const struct publish *p, const char *suffix,
			 const char *key)
{
	element(n, arena_printf(n->arena, "%s%s", *suffix ? "listen" : "ports", suffix), key,
		"goto publish");
	if (p->proto == IPPROTO_TCP)
		element(n, arena_printf(n->arena, "stray%s", suffix), key, "goto closed");
}

static void listen_element(struct nft_text *n, const struct publish *p, const struct ip *host,
			   const char *port)
{
	char ip[IP_TEXT_SIZE];

	port_element(n, p, host->family == AF_INET ? "4" : "6",
		     arena_printf(n->arena, "%s . %s", ip_text(host, ip), port));
}

static void port_elements(struct nft_text *n, const struct publish *p)
{
	const struct door *lan = &n->gate->doors[0];
	const char *port = arena_printf(n->arena, "%s . %u", emit_proto(p->proto), p->door_port);

	if (!ip_is_any(&p->host)) {
		listen_element(n, p, &p->host, port);
		return;
	}
	if (!lan->n_listen)
		port_element(n, p, "", port);
	for (size_t i = 0; i < lan->n_listen; i++)
		if (publish_speaks(p, lan->listen[i].family))
			listen_element(n, p, &lan->listen[i], port);
}

static void link_elements(struct nft_text *n, const char *name, const char *from)
{
	const char *link = arena_printf(n->arena, "\"%s\"", name);

	element(n, "from", link, from);
	element(n, "into", link, "jump into");
	element(n, "lan", link, "goto lan");
	element(n, "host", link, "goto host");
	element(n, "enter", link, "jump enter");
}

static void host_elements(struct nft_text *n)
{
	char slot4[IP_TEXT_SIZE], slot6[IP_TEXT_SIZE];

	link_elements(n, n->link, "jump from");
	for (size_t i = 0; i < n->gate->n_rooms; i++)
		if (plan_room_is_short(n->gate, i))
			link_elements(n, plan_short_link(n->arena, &n->facts->slot, i),
				      "goto short");
	ip_text(&n->facts->slot.net4.ip, slot4);
	ip_text(&n->facts->slot.net6.ip, slot6);
	element(n, "closed4", slot4, "goto closed");
	element(n, "closed6", slot6, "goto closed");
	element(n, "leave4", slot4, "goto leave");
	element(n, "leave6", slot6, "goto leave");
	for (size_t i = 0; i < n->gate->n_publish; i++)
		if (n->gate->publish[i].door == 0)
			port_elements(n, &n->gate->publish[i]);
}

const char *plan_nft_host(struct arena *a, const struct gate *g, const struct plan_facts *f)
{
	struct nft_text n;

	emit_begin(&n, a, g, f);
	frame_open(&n);
	emit(&n, "table inet " PLAN_NFT_HOST " {");
	frame_chains(&n);
	host_from(&n);
	host_short(&n);
	frame_answer(&n);
	host_publish(&n);
	host_into(&n);
	host_lan(&n);
	host_leave(&n);
	host_before(&n);
	emit(&n, "}");
	host_elements(&n);
	frame_still(&n);
	return emit_end(&n);
}
