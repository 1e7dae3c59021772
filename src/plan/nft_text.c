/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nft table of the host and of the gate, each one text that replaces the
 * whole table in one transaction.  Interfaces are matched by name: a tunnel
 * may come and go, and rules for it stand before it is there.
 */
#include "plan/plan.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>

/* ICMPv6 without which a link does not work at all. */
#define NEIGHBOUR "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"

/* Outside the ports that the kernel gives out by itself (32768-60999). */
#define PRIVATE_PORTS "61001-65535"

struct nft_text {
	struct arena *arena;
	const struct gate *gate;
	const struct plan_facts *facts;
	struct text out;
	char slot4[PREFIX_TEXT_SIZE], slot6[PREFIX_TEXT_SIZE];
	char host4[IP_TEXT_SIZE], gate4[IP_TEXT_SIZE], gate6[IP_TEXT_SIZE];
	const char *link; /* sp-NAME */
};

static void line(struct nft_text *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(struct nft_text *n, const char *fmt, ...)
{
	char buf[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	text_addf(&n->out, "%s\n", buf);
}

static void begin(struct nft_text *n, struct arena *a, const struct gate *g,
		  const struct plan_facts *f)
{
	const struct slot *s = &f->slot;
	struct ip host = slot_host(s, AF_INET);
	struct ip gate4 = slot_gate(s, AF_INET);
	struct ip gate6 = slot_gate(s, AF_INET6);

	*n = (struct nft_text){ .arena = a, .gate = g, .facts = f,
				.link = plan_host_link(a, g) };
	prefix_text(&s->net4, n->slot4);
	prefix_text(&s->net6, n->slot6);
	ip_text(&host, n->host4);
	ip_text(&gate4, n->gate4);
	ip_text(&gate6, n->gate6);
	/* The first line makes the second succeed when there is no table yet. */
	line(n, "table inet sallyport-%s", g->name);
	line(n, "delete table inet sallyport-%s", g->name);
	line(n, "table inet sallyport-%s {", g->name);
}

static const char *end(struct nft_text *n)
{
	char *text;

	line(n, "}");
	text = arena_strdup(n->arena, text_str(&n->out));
	text_free(&n->out);
	return text;
}

static void chain(struct nft_text *n, const char *name, const char *type, const char *hook,
		  const char *priority, const char *policy)
{
	line(n, "\tchain %s {", name);
	line(n, "\t\ttype %s hook %s priority %s; policy %s;", type, hook, priority, policy);
}

static void end_chain(struct nft_text *n)
{
	line(n, "\t}");
}

static const char *proto_name(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "udp" : "tcp";
}

static const char *room_text(struct nft_text *n, sa_family_t family, size_t room,
			     char buf[IP_TEXT_SIZE])
{
	struct ip ip = slot_room(&n->facts->slot, family, room);

	return ip_text(&ip, buf);
}

static const char *family_type(sa_family_t family)
{
	return family == AF_INET ? "ipv4_addr" : "ipv6_addr";
}

static int family_digit(sa_family_t family)
{
	return family == AF_INET ? 4 : 6;
}

typedef bool (*publish_filter)(const struct publish *p);

static bool on_lan(const struct publish *p)
{
	return p->door == 0;
}

static bool on_vpn(const struct publish *p)
{
	return p->door != 0;
}

/* The elements of a set or map over the ports that @filter takes; false if there are none. */
static bool ports(struct nft_text *n, publish_filter filter, const char *head,
		  sa_family_t family,
		  void (*element)(struct nft_text *n, sa_family_t family, const struct publish *p))
{
	bool any = false;

	line(n, "\t%s", head);
	for (size_t i = 0; i < n->gate->n_publish; i++) {
		const struct publish *p = &n->gate->publish[i];

		if (!filter(p))
			continue;
		text_add(&n->out, any ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t");
		element(n, family, p);
		any = true;
	}
	if (any)
		line(n, "\n\t\t}");
	line(n, "\t}");
	return any;
}

static void host_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	char room[IP_TEXT_SIZE];

	text_addf(&n->out, "%s . %u : %s . %u", proto_name(p->proto), p->door_port,
		  room_text(n, family, p->room, room), p->room_port);
}

static void vpn_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	const struct door *d = &n->gate->doors[p->door];
	const char *interface = n->facts->doors[p->door].interface;
	char room[IP_TEXT_SIZE];

	text_addf(&n->out, "\"%s\" . %s . %u : %s . %u", interface ? interface : d->name,
		  proto_name(p->proto), p->door_port, room_text(n, family, p->room, room),
		  p->room_port);
}

static void lan_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	char room[IP_TEXT_SIZE];

	text_addf(&n->out, "%s . %s . %u", room_text(n, family, p->room, room),
		  proto_name(p->proto), p->room_port);
}

/* Addresses of the host that the lan door listens on: "ip daddr { ... }" or every local one. */
static const char *listen_text(struct nft_text *n, sa_family_t family)
{
	const struct door *lan = &n->gate->doors[0];
	struct text t = { 0 };
	const char *ret;

	if (!lan->n_listen)
		return family == AF_INET ? "fib daddr type local ip daddr != 127.0.0.0/8"
					 : "fib daddr type local ip6 daddr != ::1";
	for (size_t i = 0; i < lan->n_listen; i++) {
		char ip[IP_TEXT_SIZE];

		if (lan->listen[i].family == family)
			text_addf(&t, "%s%s", t.len ? ", " : "", ip_text(&lan->listen[i], ip));
	}
	ret = t.len ? arena_printf(n->arena, "ip%s daddr { %s }", family == AF_INET ? "" : "6",
				   text_str(&t))
		    : NULL;
	text_free(&t);
	return ret;
}

static void host_dnat(struct nft_text *n, const char *from)
{
	const char *to4 = listen_text(n, AF_INET);
	const char *to6 = listen_text(n, AF_INET6);

	if (to4)
		line(n, "\t\t%s %s dnat ip to meta l4proto . th dport map @ports4", from, to4);
	if (to6)
		line(n, "\t\t%s %s dnat ip6 to meta l4proto . th dport map @ports6", from, to6);
}

static void host_publish(struct nft_text *n)
{
	for (sa_family_t family = AF_INET;; family = AF_INET6) {
		ports(n, on_lan,
		      arena_printf(n->arena,
				   "map ports%d { type inet_proto . inet_service : %s . inet_service",
				   family_digit(family), family_type(family)),
		      family, host_element);
		if (family == AF_INET6)
			break;
	}
	chain(n, "publish", "nat", "prerouting", "-100", "accept");
	host_dnat(n, arena_printf(n->arena, "iifname != \"%s\"", n->link));
	end_chain(n);
	/* The host itself is a client too; its own 127.0.0.1 needs another source. */
	chain(n, "publish_self", "nat", "output", "-100", "accept");
	host_dnat(n, "oifname \"lo\"");
	if (!n->gate->doors[0].n_listen)
		line(n, "\t\tip daddr 127.0.0.1 dnat ip to meta l4proto . th dport map @ports4");
	end_chain(n);
}

/* What the gate may start towards the lan: the VPN clients' transport and what rooms may reach. */
static void host_allow_new(struct nft_text *n)
{
	line(n, "\t\tip saddr %s accept", n->gate4);
	line(n, "\t\tip6 saddr %s accept", n->gate6);
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const struct room *room = &n->gate->rooms[i];
		char ip[IP_TEXT_SIZE];

		if (room->way == DEFAULT_LAN) {
			line(n, "\t\tip saddr %s accept", room_text(n, AF_INET, i, ip));
			line(n, "\t\tip6 saddr %s accept", room_text(n, AF_INET6, i, ip));
			continue;
		}
		for (size_t j = 0; j < room->n_reach; j++) {
			const char *v = room->reach[j].ip.family == AF_INET ? "ip" : "ip6";
			char to[PREFIX_TEXT_SIZE];

			line(n, "\t\t%s saddr %s %s daddr %s accept", v,
			     room_text(n, room->reach[j].ip.family, i, ip), v,
			     prefix_text(&room->reach[j], to));
		}
	}
}

/*
 * Before anything else: 127.0.0.0/8 comes from nowhere but lo (a crafted frame
 * reaches ports bound to loopback otherwise, route_localnet or not), nobody
 * addresses the slot from outside (unpublished ports of a room), and the gate
 * says nobody else's address.
 */
static void host_outside(struct nft_text *n)
{
	chain(n, "outside", "filter", "prerouting", "-300", "accept");
	line(n, "\t\tiifname \"lo\" accept");
	line(n, "\t\tip daddr 127.0.0.0/8 counter drop");
	line(n, "\t\tiifname \"%s\" jump from_gate", n->link);
	line(n, "\t\tiifname != \"%s\" ip daddr %s counter drop", n->link, n->slot4);
	line(n, "\t\tiifname != \"%s\" ip6 daddr %s counter drop", n->link, n->slot6);
	end_chain(n);
}

static void host_from_gate(struct nft_text *n)
{
	line(n, "\tchain from_gate {");
	line(n, "\t\tip saddr != %s counter drop", n->slot4);
	line(n, "\t\tip6 saddr != { %s, fe80::/10, :: } counter drop", n->slot6);
	line(n, "\t\ticmpv6 type { nd-router-advert, nd-redirect } counter drop");
	end_chain(n);
}

static void host_forward(struct nft_text *n)
{
	chain(n, "forward", "filter", "forward", "0", "accept");
	line(n, "\t\toifname \"%s\" ct status dnat accept", n->link);
	line(n, "\t\toifname \"%s\" ct state established,related accept", n->link);
	line(n, "\t\toifname \"%s\" counter drop", n->link);
	line(n, "\t\tiifname \"%s\" goto to_lan", n->link);
	end_chain(n);
	chain(n, "input", "filter", "input", "0", "accept");
	line(n, "\t\tiifname \"%s\" " NEIGHBOUR " accept", n->link);
	line(n, "\t\tiifname \"%s\" goto to_lan", n->link);
	end_chain(n);
	line(n, "\tchain to_lan {");
	line(n, "\t\tct state established,related accept");
	line(n, "\t\tct state invalid counter drop");
	host_allow_new(n);
	line(n, "\t\tcounter drop");
	end_chain(n);
}

/*
 * What leaves for the network gets the host's address, and a port that no
 * service of the host can have: otherwise a room could take a port of the
 * host's for its peer (Port Shadow, CVE-2021-3773).
 */
static void host_leave(struct nft_text *n)
{
	chain(n, "leave", "nat", "postrouting", "100", "accept");
	line(n, "\t\toifname \"%s\" ip saddr 127.0.0.0/8 snat ip to %s", n->link, n->host4);
	line(n, "\t\toifname \"%s\" accept", n->link);
	for (int v = 4; v <= 6; v += 2) {
		const char *ip = v == 4 ? "ip" : "ip6";
		const char *slot = v == 4 ? n->slot4 : n->slot6;

		line(n, "\t\t%s saddr %s meta l4proto { tcp, udp } masquerade to :" PRIVATE_PORTS,
		     ip, slot);
		line(n, "\t\t%s saddr %s masquerade", ip, slot);
	}
	end_chain(n);
}

/* No packet comes here: the chain keeps what sysctls were before us, for whoever takes us away. */
static void host_before(struct nft_text *n)
{
	line(n, "\tchain before {");
	for (size_t i = 0; i < n->facts->n_before; i++)
		line(n, "\t\tcontinue comment \"%s %s\"", n->facts->before[i].path,
		     n->facts->before[i].value);
	end_chain(n);
}

const char *plan_nft_host(struct arena *a, const struct gate *g, const struct plan_facts *f)
{
	struct nft_text n;

	begin(&n, a, g, f);
	host_from_gate(&n);
	host_outside(&n);
	host_publish(&n);
	host_forward(&n);
	host_leave(&n);
	host_before(&n);
	return end(&n);
}

static const char *door_link(struct nft_text *n, size_t door)
{
	const char *interface = n->facts->doors[door].interface;

	return door == 0 ? "lan" : interface ? interface : n->gate->doors[door].name;
}

/*
 * Which door: the packet's mark (for strict rp_filter and for replies that the
 * gate itself makes) and, for what begins here, the connection's.
 */
static void gate_arrive(struct nft_text *n)
{
	char room[IP_TEXT_SIZE];

	chain(n, "arrive", "filter", "prerouting", "-150", "accept");
	line(n, "\t\tiifname \"lo\" accept");
	/* Most packets by far, and checked when they were new; `forward` asks for the mark. */
	line(n, "\t\tiifname \"lan\" ct state established meta mark set 0x%x accept",
	     plan_door_mark(0));
	line(n, "\t\tiifname \"room*\" ct state established meta mark set ct mark and 0x%x accept",
	     PLAN_MARK_MASK);
	line(n, "\t\tct state invalid counter drop");
	line(n, "\t\ticmp type redirect counter drop");
	line(n, "\t\ticmpv6 type { nd-router-advert, nd-redirect } counter drop");
	/* A room says its own address. Of IPv4 strict rp_filter sees to that; IPv6 has none. */
	for (size_t i = 0; i < n->gate->n_rooms; i++)
		line(n, "\t\tiifname \"%s\" ip6 saddr != { %s, fe80::/10, :: } counter drop",
		     plan_room_link(n->arena, n->gate, i), room_text(n, AF_INET6, i, room));
	line(n, "\t\tiifname \"room*\" meta mark set ct mark and 0x%x", PLAN_MARK_MASK);
	/* Its own rule: what conntrack does not know (neighbour discovery) has no mark to read. */
	line(n, "\t\tiifname \"room*\" accept");
	line(n, "\t\tiifname \"lan\" goto arrive_lan");
	line(n, "\t\tip daddr %s counter drop", n->slot4);
	line(n, "\t\tip saddr %s counter drop", n->slot4);
	line(n, "\t\tip6 daddr %s counter drop", n->slot6);
	line(n, "\t\tip6 saddr %s counter drop", n->slot6);
	/* Only to the address of this very door: no router for peers, no weak host. */
	line(n, "\t\tfib daddr . iif type != local counter drop");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		line(n,
		     "\t\tiifname \"%s\" meta mark set 0x%x ct state new ct mark set ct mark and 0x%x or 0x%x accept",
		     door_link(n, i), plan_door_mark(i), ~PLAN_MARK_MASK, plan_door_mark(i));
	end_chain(n);
}

static void gate_arrive_lan(struct nft_text *n)
{
	line(n, "\tchain arrive_lan {");
	line(n, "\t\tip daddr != %s counter drop", n->slot4);
	line(n, "\t\tip6 daddr != { %s, fe80::/10, ff02::/16 } counter drop", n->slot6);
	line(n, "\t\tmeta mark set 0x%x", plan_door_mark(0));
	line(n, "\t\tct state new ct mark set ct mark and 0x%x or 0x%x", ~PLAN_MARK_MASK,
	     plan_door_mark(0));
	end_chain(n);
}

static void gate_publish(struct nft_text *n)
{
	for (sa_family_t family = AF_INET;; family = AF_INET6) {
		ports(n, on_vpn,
		      arena_printf(n->arena,
				   "map ports%d { type ifname . inet_proto . inet_service : %s . inet_service",
				   family_digit(family), family_type(family)),
		      family, vpn_element);
		ports(n, on_lan,
		      arena_printf(n->arena,
				   "set lan%d { type %s . inet_proto . inet_service",
				   family_digit(family), family_type(family)),
		      family, lan_element);
		if (family == AF_INET6)
			break;
	}
	chain(n, "publish", "nat", "prerouting", "-100", "accept");
	line(n, "\t\tiifname != { \"lan\", \"lo\" } dnat ip to iifname . meta l4proto . th dport map @ports4");
	line(n, "\t\tiifname != { \"lan\", \"lo\" } dnat ip6 to iifname . meta l4proto . th dport map @ports6");
	end_chain(n);
	/* What a room starts through a tunnel says the tunnel's address. */
	chain(n, "leave", "nat", "postrouting", "100", "accept");
	line(n, "\t\toifname { \"lan\", \"lo\" } accept");
	line(n, "\t\toifname \"room*\" accept");
	line(n, "\t\tip saddr %s masquerade", n->slot4);
	line(n, "\t\tip6 saddr %s masquerade", n->slot6);
	end_chain(n);
}

/* A TCP connection through a tunnel must fit it even when nobody hears of "too big". */
static void clamp(struct nft_text *n, size_t door)
{
	uint32_t mtu = n->facts->doors[door].mtu;
	uint32_t mss = n->gate->doors[door].mss;
	const char *link = door_link(n, door);

	if (!mtu && !mss)
		return;
	for (int v = 4; v <= 6; v += 2) {
		uint32_t head = v == 4 ? 40 : 60;
		uint32_t size = mtu > head + 500 ? mtu - head : 536;

		if (mss && (mss < size || !mtu))
			size = mss;
		for (int in = 0; in < 2; in++)
			line(n,
			     "\t\t%s \"%s\" meta nfproto ipv%d tcp flags syn / syn,rst tcp option maxseg size set %u",
			     in ? "iifname" : "oifname", link, v, size);
	}
}

static void accept_marked(struct nft_text *n, size_t door)
{
	const char *link = door_link(n, door);
	uint32_t mark = plan_door_mark(door);

	line(n, "\t\tiifname \"%s\" oifname \"room*\" ct mark and 0x%x == 0x%x ct state established,related accept",
	     link, PLAN_MARK_MASK, mark);
	line(n, "\t\tiifname \"room*\" oifname \"%s\" ct mark and 0x%x == 0x%x accept", link,
	     PLAN_MARK_MASK, mark);
}

/* New connections that rooms may start; the mark ties them to the door they took. */
static void gate_start(struct nft_text *n)
{
	line(n, "\tchain start {");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		line(n,
		     "\t\toifname \"%s\" ct state new ct mark set ct mark and 0x%x or 0x%x accept",
		     door_link(n, i), ~PLAN_MARK_MASK, plan_door_mark(i));
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const struct room *room = &n->gate->rooms[i];
		const char *link = plan_room_link(n->arena, n->gate, i);

		if (room->way == DEFAULT_LAN)
			line(n,
			     "\t\tiifname \"%s\" oifname \"lan\" ct state new ct mark set ct mark and 0x%x or 0x%x accept",
			     link, ~PLAN_MARK_MASK, plan_door_mark(0));
		for (size_t j = 0; j < room->n_reach; j++) {
			char to[PREFIX_TEXT_SIZE];

			line(n,
			     "\t\tiifname \"%s\" oifname \"lan\" %s daddr %s ct state new ct mark set ct mark and 0x%x or 0x%x accept",
			     link, room->reach[j].ip.family == AF_INET ? "ip" : "ip6",
			     prefix_text(&room->reach[j], to), ~PLAN_MARK_MASK, plan_door_mark(0));
		}
	}
	end_chain(n);
}

/*
 * The kill switch.  Out by the lan door goes only what carries its mark: what
 * came in by it, and what `start` let out.  "Established" alone is not enough:
 * it leaks when a tunnel loses its route.
 */
static void gate_forward(struct nft_text *n)
{
	gate_start(n);
	chain(n, "forward", "filter", "forward", "0", "drop");
	accept_marked(n, 0);
	for (size_t i = 1; i < n->gate->n_doors; i++)
		clamp(n, i);
	for (size_t i = 1; i < n->gate->n_doors; i++)
		accept_marked(n, i);
	line(n, "\t\tiifname \"lan\" oifname \"room*\" ct state new ip daddr . meta l4proto . th dport @lan4 accept");
	line(n, "\t\tiifname \"lan\" oifname \"room*\" ct state new ip6 daddr . meta l4proto . th dport @lan6 accept");
	line(n, "\t\tiifname != \"lan\" oifname \"room*\" ct state new ct status dnat accept");
	line(n, "\t\tiifname \"room*\" ct mark and 0x%x == 0 jump start", PLAN_MARK_MASK);
	line(n, "\t\tiifname \"room*\" counter reject with icmpx admin-prohibited");
	line(n, "\t\tcounter drop");
	end_chain(n);
}

static const char *server_ports(struct nft_text *n, const struct plan_server *s)
{
	const char *protos = s->proto == IPPROTO_TCP ? "tcp" :
			     s->proto == IPPROTO_UDP ? "udp" :
						       "{ tcp, udp }";

	if (!s->port)
		return s->proto ? arena_printf(n->arena, " meta l4proto %s", protos) : "";
	return arena_printf(n->arena, " meta l4proto %s th dport %u", protos, s->port);
}

/*
 * A client of another make cannot be told to mark its sockets, but they are the
 * only ones in the gate.  With `server` it reaches just those and the host's
 * name servers; without, whatever it asks for.
 */
static void gate_command(struct nft_text *n, size_t door)
{
	const struct plan_door *d = &n->facts->doors[door];
	char ip[IP_TEXT_SIZE];

	if (!n->gate->doors[door].n_servers) {
		line(n, "\t\tip saddr %s accept", n->gate4);
		line(n, "\t\tip6 saddr %s accept", n->gate6);
		return;
	}
	for (size_t i = 0; i < d->n_servers; i++)
		line(n, "\t\t%s daddr %s%s accept",
		     d->servers[i].ip.family == AF_INET ? "ip" : "ip6",
		     ip_text(&d->servers[i].ip, ip), server_ports(n, &d->servers[i]));
}

/* The gate's own sockets are the VPN clients': only what they marked goes out by the lan door. */
static void gate_local(struct nft_text *n)
{
	chain(n, "output", "filter", "output", "0", "accept");
	line(n, "\t\toifname != \"lan\" accept");
	line(n, "\t\tmeta mark and 0x%x == { 0x%x, 0x%x } accept", PLAN_MARK_MASK,
	     PLAN_MARK_TRANSPORT, plan_door_mark(0));
	line(n, "\t\t" NEIGHBOUR " accept");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		if (n->gate->doors[i].kind == DOOR_COMMAND)
			gate_command(n, i);
	line(n, "\t\tcounter drop");
	end_chain(n);
	chain(n, "input", "filter", "input", "0", "drop");
	line(n, "\t\tiifname \"lo\" accept");
	line(n, "\t\t" NEIGHBOUR " accept");
	line(n, "\t\tct state established,related accept");
	line(n, "\t\tmeta l4proto { icmp, icmpv6 } accept");
	line(n, "\t\tiifname \"lan\" counter drop");
	line(n, "\t\tmeta l4proto tcp reject with tcp reset");
	line(n, "\t\treject");
	end_chain(n);
}

const char *plan_nft_gate(struct arena *a, const struct gate *g, const struct plan_facts *f)
{
	struct nft_text n;

	begin(&n, a, g, f);
	gate_arrive_lan(&n);
	gate_arrive(&n);
	gate_publish(&n);
	gate_forward(&n);
	gate_local(&n);
	return end(&n);
}
