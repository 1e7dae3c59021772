/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nft table of the gate: by which door a packet came, where published ports
 * lead, the kill switch, and what the gate's own sockets may say.
 */
#include "plan/nft_emit.h"

static void chain(struct nft_text *n, const char *name, const char *type, const char *hook,
		  const char *priority, const char *policy)
{
	emit(n, "\tchain %s {", name);
	emit(n, "\t\ttype %s hook %s priority %s; policy %s;", type, hook, priority, policy);
}

static const char *door_link(struct nft_text *n, size_t door)
{
	const char *interface = n->facts->doors[door].interface;

	return door == 0 ? "lan" : interface ? interface : n->gate->doors[door].name;
}

static bool has_sandboxes(const struct gate *g)
{
	for (size_t i = 0; i < g->n_rooms; i++)
		if (g->rooms[i].sandbox)
			return true;
	return false;
}

/* As the gate knows it; NULL if the room has no address of @family. */
static const char *inside_text(struct nft_text *n, sa_family_t family, size_t room,
			       char buf[IP_TEXT_SIZE])
{
	struct ip ip = plan_room_inside(n->gate, &n->facts->slot, family, room);

	return ip_is_none(&ip) ? NULL : ip_text(&ip, buf);
}

static const char *family_type(sa_family_t family)
{
	return family == AF_INET ? "ipv4_addr" : "ipv6_addr";
}

/*
 * Two VPNs may give us the same address.  The table `local` has it of both doors, and
 * nftables' fib, which looks at the first route of IPv4 only, does not know it of the other.
 */
static void gate_arrive_shared(struct nft_text *n, size_t door)
{
	const struct plan_door *d = &n->facts->doors[door];

	for (size_t i = 0; i < d->n_addresses; i++) {
		const char *link = door_link(n, door);
		bool shared = false;
		char ip[IP_TEXT_SIZE];

		for (size_t other = 1; other < n->gate->n_doors; other++)
			shared |= other != door && plan_door_has(n->facts, other, &d->addresses[i]);
		if (!shared || d->addresses[i].family != AF_INET)
			continue;
		ip_text(&d->addresses[i], ip);
		emit(n,
		     "\t\tiifname \"%s\" ip daddr %s ct state new ct mark set ct mark and 0x%x or 0x%x",
		     link, ip, ~PLAN_MARK_MASK, plan_door_mark(door));
		emit(n, "\t\tiifname \"%s\" ip daddr %s meta mark set 0x%x accept", link, ip,
		     plan_door_mark(door));
	}
}

/*
 * Which door: the packet's mark (for strict rp_filter and for replies that the
 * gate itself makes) and, for what begins here, the connection's.
 */
static void gate_arrive(struct nft_text *n)
{
	char room[IP_TEXT_SIZE];

	chain(n, "arrive", "filter", "prerouting", "-150", "accept");
	emit(n, "\t\tiifname \"lo\" accept");
	/*
	 * Most packets by far, and checked when they were new; `forward` asks for the mark.
	 * IPv6 of a room goes the long way: no rp_filter says whose address it uses.
	 */
	emit(n, "\t\tiifname \"lan\" ct state established meta mark set 0x%x accept",
	     plan_door_mark(0));
	emit(n,
	     "\t\tiifname \"room*\" meta nfproto ipv4 ct state established meta mark set ct mark and 0x%x accept",
	     PLAN_MARK_MASK);
	emit(n, "\t\tct state invalid counter drop");
	emit(n, "\t\ticmp type redirect counter drop");
	emit(n, "\t\ticmpv6 type { nd-router-advert, nd-redirect } counter drop");
	/* A room says its own address. Of IPv4 strict rp_filter sees to that; IPv6 has none. */
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const char *own = inside_text(n, AF_INET6, i, room);

		emit(n,
		     "\t\tiifname \"%s\" ip6 saddr != %s ip6 saddr != fe80::/10 ip6 saddr != :: counter drop",
		     plan_room_link(n->arena, n->gate, i), own ? own : "::");
	}
	emit(n, "\t\tiifname \"room*\" meta mark set ct mark and 0x%x", PLAN_MARK_MASK);
	/* Its own rule: what conntrack does not know (neighbour discovery) has no mark to read. */
	emit(n, "\t\tiifname \"room*\" accept");
	emit(n, "\t\tiifname \"lan\" goto arrive_lan");
	emit(n, "\t\tip daddr %s counter drop", n->slot4);
	emit(n, "\t\tip saddr %s counter drop", n->slot4);
	emit(n, "\t\tip6 daddr %s counter drop", n->slot6);
	emit(n, "\t\tip6 saddr %s counter drop", n->slot6);
	if (has_sandboxes(n->gate)) {
		emit(n, "\t\tip daddr @inside4 counter drop");
		emit(n, "\t\tip saddr @inside4 counter drop");
		emit(n, "\t\tip6 daddr @inside6 counter drop");
		emit(n, "\t\tip6 saddr @inside6 counter drop");
	}
	/* Only to the address of this very door: no router for peers, no weak host. */
	for (size_t i = 1; i < n->gate->n_doors; i++)
		gate_arrive_shared(n, i);
	emit(n, "\t\tfib daddr . iif type != local counter drop");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		emit(n,
		     "\t\tiifname \"%s\" meta mark set 0x%x ct state new ct mark set ct mark and 0x%x or 0x%x accept",
		     door_link(n, i), plan_door_mark(i), ~PLAN_MARK_MASK, plan_door_mark(i));
	emit_end_chain(n);
}

static const char *word_inside(struct nft_text *n, sa_family_t family, size_t room)
{
	char inside[IP_TEXT_SIZE];

	return arena_strdup(n->arena, inside_text(n, family, room, inside));
}

static const char *word_enter(struct nft_text *n, sa_family_t family, size_t room)
{
	char outside[IP_TEXT_SIZE];

	return arena_printf(n->arena, "%s : %s", emit_room(n, family, room, outside),
			    word_inside(n, family, room));
}

static const char *word_leave(struct nft_text *n, sa_family_t family, size_t room)
{
	char outside[IP_TEXT_SIZE];

	return arena_printf(n->arena, "%s : %s", word_inside(n, family, room),
			    emit_room(n, family, room, outside));
}

/* One element for each sandbox that speaks @family. */
static void sandbox_table(struct nft_text *n, const char *head, sa_family_t family,
			  const char *(*word)(struct nft_text *n, sa_family_t family, size_t room))
{
	const char *between = "\t\telements = { ";

	emit(n, "\t%s", head);
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		char ip[IP_TEXT_SIZE];

		if (!n->gate->rooms[i].sandbox || !inside_text(n, family, i, ip))
			continue;
		text_addf(&n->out, "%s%s", between, word(n, family, i));
		between = ", ";
	}
	emit(n, "%s\t}", *between == ',' ? " }\n" : "");
}

static bool are_neighbours(const struct gate *g, size_t a, size_t b)
{
	const struct sandbox *x = g->rooms[a].sandbox, *y = g->rooms[b].sandbox;

	return a != b && x && y && str_eq(x->network, y->network);
}

/* Rooms of one of the engine's networks reach each other, as its users expect. */
static void neighbours(struct nft_text *n)
{
	const char *between = "\t\telements = { ";
	const struct gate *g = n->gate;

	emit(n, "\tset neighbours { type ifname . ifname;");
	for (size_t i = 0; i < g->n_rooms; i++)
		for (size_t j = 0; j < g->n_rooms; j++) {
			if (!are_neighbours(g, i, j))
				continue;
			text_addf(&n->out, "%s\"%s\" . \"%s\"", between,
				  plan_room_link(n->arena, g, i), plan_room_link(n->arena, g, j));
			between = ", ";
		}
	emit(n, "%s\t}", *between == ',' ? " }\n" : "");
}

/*
 * To the lan door a sandbox has its address of the slot, and in the gate the one
 * that its engine gave: whatever that may be, the host need not know it.
 */
static void gate_sandboxes(struct nft_text *n)
{
	if (!has_sandboxes(n->gate))
		return;
	for (sa_family_t family = AF_INET;; family = AF_INET6) {
		int v = emit_family_digit(family);
		const char *type = family_type(family);

		sandbox_table(n, arena_printf(n->arena, "set inside%d { type %s;", v, type), family,
			      word_inside);
		sandbox_table(n,
			      arena_printf(n->arena, "map enter%d { type %s : %s;", v, type, type),
			      family, word_enter);
		sandbox_table(n,
			      arena_printf(n->arena, "map leave%d { type %s : %s;", v, type, type),
			      family, word_leave);
		if (family == AF_INET6)
			break;
	}
	neighbours(n);
}

static void gate_arrive_lan(struct nft_text *n)
{
	emit(n, "\tchain arrive_lan {");
	emit(n, "\t\tip daddr != %s counter drop", n->slot4);
	emit(n, "\t\tip6 daddr != %s ip6 daddr != fe80::/10 ip6 daddr != ff02::/16 counter drop",
	     n->slot6);
	emit(n, "\t\tmeta mark set 0x%x", plan_door_mark(0));
	emit(n, "\t\tct state new ct mark set ct mark and 0x%x or 0x%x", ~PLAN_MARK_MASK,
	     plan_door_mark(0));
	emit_end_chain(n);
}

typedef bool (*publish_filter)(const struct publish *p);

/* Through the gate; what is not goes by a short link. */
static bool on_lan(const struct publish *p)
{
	return p->door == 0 && !plan_publish_is_short(p);
}

static bool on_vpn(const struct publish *p)
{
	return p->door != 0;
}

/* The elements of a set or map over the ports that @filter takes. */
static void ports(struct nft_text *n, publish_filter filter, const char *head, sa_family_t family,
		  void (*element)(struct nft_text *n, sa_family_t family, const struct publish *p))
{
	bool any = false;

	emit(n, "\t%s", head);
	for (size_t i = 0; i < n->gate->n_publish; i++) {
		const struct publish *p = &n->gate->publish[i];
		struct ip room = plan_room_inside(n->gate, &n->facts->slot, family, p->room);

		if (!filter(p) || ip_is_none(&room) || !publish_speaks(p, family))
			continue;
		text_add(&n->out, any ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t");
		element(n, family, p);
		any = true;
	}
	if (any)
		emit(n, "\n\t\t}");
	emit(n, "\t}");
}

static void vpn_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	const struct door *d = &n->gate->doors[p->door];
	const char *interface = n->facts->doors[p->door].interface;
	char room[IP_TEXT_SIZE];

	text_addf(&n->out, "\"%s\" . %s . %u : %s . %u", interface ? interface : d->name,
		  emit_proto(p->proto), p->door_port, inside_text(n, family, p->room, room),
		  p->room_port);
}

static void lan_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	char room[IP_TEXT_SIZE];

	text_addf(&n->out, "%s . %s . %u", inside_text(n, family, p->room, room),
		  emit_proto(p->proto), p->room_port);
}

static void gate_publish(struct nft_text *n)
{
	for (sa_family_t family = AF_INET;; family = AF_INET6) {
		ports(n, on_vpn,
		      arena_printf(
			      n->arena,
			      "map ports%d { type ifname . inet_proto . inet_service : %s . inet_service",
			      emit_family_digit(family), family_type(family)),
		      family, vpn_element);
		ports(n, on_lan,
		      arena_printf(n->arena, "set lan%d { type %s . inet_proto . inet_service",
				   emit_family_digit(family), family_type(family)),
		      family, lan_element);
		if (family == AF_INET6)
			break;
	}
	chain(n, "publish", "nat", "prerouting", "-100", "accept");
	if (has_sandboxes(n->gate)) {
		emit(n, "\t\tiifname \"lan\" dnat ip to ip daddr map @enter4");
		emit(n, "\t\tiifname \"lan\" dnat ip6 to ip6 daddr map @enter6");
	}
	emit(n,
	     "\t\tiifname != { \"lan\", \"lo\" } dnat ip to iifname . meta l4proto . th dport map @ports4");
	emit(n,
	     "\t\tiifname != { \"lan\", \"lo\" } dnat ip6 to iifname . meta l4proto . th dport map @ports6");
	emit_end_chain(n);
	/* What a room starts through a tunnel says the tunnel's address. */
	chain(n, "leave", "nat", "postrouting", "100", "accept");
	if (has_sandboxes(n->gate)) {
		emit(n, "\t\toifname \"lan\" snat ip to ip saddr map @leave4");
		emit(n, "\t\toifname \"lan\" snat ip6 to ip6 saddr map @leave6");
	}
	emit(n, "\t\toifname { \"lan\", \"lo\" } accept");
	emit(n, "\t\toifname \"room*\" accept");
	emit(n, "\t\tip saddr %s masquerade", n->slot4);
	emit(n, "\t\tip6 saddr %s masquerade", n->slot6);
	if (has_sandboxes(n->gate)) {
		emit(n, "\t\tip saddr @inside4 masquerade");
		emit(n, "\t\tip6 saddr @inside6 masquerade");
	}
	emit_end_chain(n);
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
			emit(n,
			     "\t\t%s \"%s\" meta nfproto ipv%d tcp flags syn / syn,rst tcp option maxseg size set %u",
			     in ? "iifname" : "oifname", link, v, size);
	}
}

static void accept_marked(struct nft_text *n, size_t door)
{
	const char *link = door_link(n, door);
	uint32_t mark = plan_door_mark(door);

	emit(n,
	     "\t\tiifname \"%s\" oifname \"room*\" ct mark and 0x%x == 0x%x ct state established,related accept",
	     link, PLAN_MARK_MASK, mark);
	emit(n, "\t\tiifname \"room*\" oifname \"%s\" ct mark and 0x%x == 0x%x accept", link,
	     PLAN_MARK_MASK, mark);
}

/*
 * New connections that rooms may start; the mark ties them to the door they took.
 * TCP starts with a SYN: the middle of a connection that conntrack has forgotten
 * is not taken up from here, where it could only leave by another door, but with
 * the client's next segment, by the door that this comes in by.
 */
static void gate_start(struct nft_text *n)
{
	emit(n, "\tchain start {");
	emit(n, "\t\ttcp flags & (fin | syn | rst | ack) != syn counter drop");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		emit(n,
		     "\t\toifname \"%s\" ct state new ct mark set ct mark and 0x%x or 0x%x accept",
		     door_link(n, i), ~PLAN_MARK_MASK, plan_door_mark(i));
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const struct room *room = &n->gate->rooms[i];
		const char *link = plan_room_link(n->arena, n->gate, i);

		if (room->way == DEFAULT_LAN)
			emit(n,
			     "\t\tiifname \"%s\" oifname \"lan\" ct state new ct mark set ct mark and 0x%x or 0x%x accept",
			     link, ~PLAN_MARK_MASK, plan_door_mark(0));
		for (size_t j = 0; j < room->n_reach; j++) {
			char to[PREFIX_TEXT_SIZE];

			emit(n,
			     "\t\tiifname \"%s\" oifname \"lan\" %s daddr %s ct state new ct mark set ct mark and 0x%x or 0x%x accept",
			     link, room->reach[j].ip.family == AF_INET ? "ip" : "ip6",
			     prefix_text(&room->reach[j], to), ~PLAN_MARK_MASK, plan_door_mark(0));
		}
	}
	emit_end_chain(n);
}

/*
 * From room to room: who may begin is told apart from who answers by conntrack's
 * direction and not by its state, so that what the file no longer allows ends.
 */
static void gate_rooms(struct nft_text *n)
{
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const struct room *room = &n->gate->rooms[i];
		const char *from = plan_room_link(n->arena, n->gate, i);

		for (size_t j = 0; j < room->n_reach_rooms; j++) {
			const char *to = plan_room_link(n->arena, n->gate, room->reach_rooms[j]);

			emit(n, "\t\tiifname \"%s\" oifname \"%s\" ct direction original accept",
			     from, to);
			emit(n, "\t\tiifname \"%s\" oifname \"%s\" ct direction reply accept", to,
			     from);
		}
	}
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
	if (has_sandboxes(n->gate))
		emit(n, "\t\tiifname . oifname @neighbours accept");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		clamp(n, i);
	for (size_t i = 1; i < n->gate->n_doors; i++)
		accept_marked(n, i);
	emit(n,
	     "\t\tiifname \"lan\" oifname \"room*\" ct state new ip daddr . meta l4proto . th dport @lan4 accept");
	emit(n,
	     "\t\tiifname \"lan\" oifname \"room*\" ct state new ip6 daddr . meta l4proto . th dport @lan6 accept");
	emit(n, "\t\tiifname != \"lan\" oifname \"room*\" ct state new ct status dnat accept");
	gate_rooms(n);
	emit(n, "\t\tiifname \"room*\" ct mark and 0x%x == 0 jump start", PLAN_MARK_MASK);
	emit(n, "\t\tiifname \"room*\" counter reject with icmpx admin-prohibited");
	emit(n, "\t\tcounter drop");
	emit_end_chain(n);
}

static const char *server_ports(struct nft_text *n, const struct plan_server *s)
{
	const char *protos = s->proto == IPPROTO_TCP   ? "tcp"
			     : s->proto == IPPROTO_UDP ? "udp"
						       : "{ tcp, udp }";

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
		emit(n, "\t\tip saddr %s accept", n->gate4);
		emit(n, "\t\tip6 saddr %s accept", n->gate6);
		return;
	}
	for (size_t i = 0; i < d->n_servers; i++)
		emit(n, "\t\t%s daddr %s%s accept",
		     d->servers[i].ip.family == AF_INET ? "ip" : "ip6",
		     ip_text(&d->servers[i].ip, ip), server_ports(n, &d->servers[i]));
}

/* The gate's own sockets are the VPN clients': only what they marked goes out by the lan door. */
static void gate_local(struct nft_text *n)
{
	chain(n, "output", "filter", "output", "0", "accept");
	emit(n, "\t\toifname != \"lan\" accept");
	emit(n, "\t\tmeta mark and 0x%x == { 0x%x, 0x%x } accept", PLAN_MARK_MASK,
	     PLAN_MARK_TRANSPORT, plan_door_mark(0));
	emit(n, "\t\t" NEIGHBOUR " accept");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		if (n->gate->doors[i].kind == DOOR_COMMAND)
			gate_command(n, i);
	emit(n, "\t\tcounter drop");
	emit_end_chain(n);
	chain(n, "input", "filter", "input", "0", "drop");
	emit(n, "\t\tiifname \"lo\" accept");
	emit(n, "\t\t" NEIGHBOUR " accept");
	emit(n, "\t\tct state established,related accept");
	emit(n, "\t\tmeta l4proto { icmp, icmpv6 } accept");
	emit(n, "\t\tiifname \"lan\" counter drop");
	emit(n, "\t\tmeta l4proto tcp reject with tcp reset");
	emit(n, "\t\treject");
	emit_end_chain(n);
}

const char *plan_nft_gate(struct arena *a, const struct gate *g, const struct plan_facts *f)
{
	struct nft_text n;

	emit_begin(&n, a, g, f);
	/* The first line makes the second succeed when there is no table yet. */
	emit(&n, "table inet sallyport-%s", g->name);
	emit(&n, "delete table inet sallyport-%s", g->name);
	emit(&n, "table inet sallyport-%s {", g->name);
	gate_sandboxes(&n);
	gate_arrive_lan(&n);
	gate_arrive(&n);
	gate_publish(&n);
	gate_forward(&n);
	gate_local(&n);
	emit(&n, "}");
	return emit_end(&n);
}
