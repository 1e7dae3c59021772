/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nft table of the gate and the gate's part of the host's, each one text
 * that replaces all of it in one transaction.  Interfaces are matched by name: a
 * tunnel may come and go, and rules for it stand before it is there.
 */
#include "plan/plan.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

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
	va_list ap;

	va_start(ap, fmt);
	text_addv(&n->out, fmt, ap);
	va_end(ap);
	text_add(&n->out, "\n");
}

static void begin(struct nft_text *n, struct arena *a, const struct gate *g,
		  const struct plan_facts *f)
{
	const struct slot *s = &f->slot;
	struct ip host = slot_host(s, AF_INET);
	struct ip gate4 = slot_gate(s, AF_INET);
	struct ip gate6 = slot_gate(s, AF_INET6);

	*n = (struct nft_text){ .arena = a, .gate = g, .facts = f, .link = plan_host_link(a, g) };
	prefix_text(&s->net4, n->slot4);
	prefix_text(&s->net6, n->slot6);
	ip_text(&host, n->host4);
	ip_text(&gate4, n->gate4);
	ip_text(&gate6, n->gate6);
}

static const char *end(struct nft_text *n)
{
	char *text;

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

/* As the host knows it. */
static const char *room_text(struct nft_text *n, sa_family_t family, size_t room,
			     char buf[IP_TEXT_SIZE])
{
	struct ip ip = plan_room_outside(n->gate, &n->facts->slot, family, room);

	return ip_text(&ip, buf);
}

/* As the gate knows it; NULL if the room has no address of @family. */
static const char *inside_text(struct nft_text *n, sa_family_t family, size_t room,
			       char buf[IP_TEXT_SIZE])
{
	struct ip ip = plan_room_inside(n->gate, &n->facts->slot, family, room);

	return ip_is_none(&ip) ? NULL : ip_text(&ip, buf);
}

static const char *short_text(struct nft_text *n, sa_family_t family, size_t room,
			      char buf[IP_TEXT_SIZE])
{
	struct ip ip = slot_short(&n->facts->slot, family, room);

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

	line(n, "\t%s", head);
	for (size_t i = 0; i < n->gate->n_publish; i++) {
		const struct publish *p = &n->gate->publish[i];
		struct ip room = plan_room_inside(n->gate, &n->facts->slot, family, p->room);

		if (!filter(p) || ip_is_none(&room))
			continue;
		text_add(&n->out, any ? ",\n\t\t\t" : "\t\telements = {\n\t\t\t");
		element(n, family, p);
		any = true;
	}
	if (any)
		line(n, "\n\t\t}");
	line(n, "\t}");
}

static void vpn_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	const struct door *d = &n->gate->doors[p->door];
	const char *interface = n->facts->doors[p->door].interface;
	char room[IP_TEXT_SIZE];

	text_addf(&n->out, "\"%s\" . %s . %u : %s . %u", interface ? interface : d->name,
		  proto_name(p->proto), p->door_port, inside_text(n, family, p->room, room),
		  p->room_port);
}

static void lan_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	char room[IP_TEXT_SIZE];

	text_addf(&n->out, "%s . %s . %u", inside_text(n, family, p->room, room),
		  proto_name(p->proto), p->room_port);
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
 * The host's table is one for all gates: a base chain for each of them would
 * have every packet of the host pass as many chains as there are gates.  Its
 * base chains look up once, by interface, address or port, which gate's chain
 * has to see a packet.  What is a gate's own is a chain called KIND_NAME or an
 * element that leads to one; of its links' names there is a set besides.
 */
static const char *const shared_maps[] = {
	"from { type ifname : verdict; }",
	"closed4 { type ipv4_addr : verdict; }",
	"closed6 { type ipv6_addr : verdict; }",
	"ports { type inet_proto . inet_service : verdict; }",
	"listen4 { type ipv4_addr . inet_proto . inet_service : verdict; }",
	"listen6 { type ipv6_addr . inet_proto . inet_service : verdict; }",
	"stray { type inet_proto . inet_service : verdict; }",
	"stray4 { type ipv4_addr . inet_proto . inet_service : verdict; }",
	"stray6 { type ipv6_addr . inet_proto . inet_service : verdict; }",
	"into { type ifname : verdict; }",
	"lan { type ifname : verdict; }",
	"host { type ifname : verdict; }",
	"enter { type ifname : verdict; }",
	"leave4 { type ipv4_addr : verdict; }",
	"leave6 { type ipv6_addr : verdict; }",
};

/* Three bytes are compared sooner than a name is looked up, and most packets are not ours. */
#define BY_OURS "iifname \"sp-*\" iifname"

/* Slots are all of one size. */
#define SLOT4_OF(addr) "ip " addr " & 255.255.255.192"
#define SLOT6_OF(addr) "ip6 " addr " & ffff:ffff:ffff:ffff::"

static const struct shared_chain {
	const char *name;
	const char *base;
	const char *rules;
} shared_chains[] = {
	/*
	 * Before anything else: 127.0.0.0/8 comes from nowhere but lo (a crafted
	 * frame reaches ports bound to loopback otherwise, route_localnet or not),
	 * nobody addresses a slot from outside (unpublished ports of a room), and a
	 * gate says nobody else's address.
	 */
	{ "outside", "filter hook prerouting priority -300",
	  "\t\tiifname \"lo\" accept\n"
	  "\t\tip daddr 127.0.0.0/8 counter drop\n"
	  "\t\t" BY_OURS " vmap @from\n"
	  "\t\t" SLOT4_OF("daddr") " vmap @closed4\n"
				   "\t\t" SLOT6_OF("daddr") " vmap @closed6\n" },
	{ "publish", "nat hook prerouting priority -100",
	  "\t\tip daddr . meta l4proto . th dport vmap @listen4\n"
	  "\t\tip6 daddr . meta l4proto . th dport vmap @listen6\n"
	  "\t\tfib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @ports\n"
	  "\t\tfib daddr type local ip6 daddr != ::1 meta l4proto . th dport vmap @ports\n" },
	/* The host itself is a client too; its own 127.0.0.1 needs another source. */
	{ "self", "nat hook output priority -100",
	  "\t\toifname \"lo\" ip daddr . meta l4proto . th dport vmap @listen4\n"
	  "\t\toifname \"lo\" ip6 daddr . meta l4proto . th dport vmap @listen6\n"
	  "\t\toifname \"lo\" fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @ports\n"
	  "\t\toifname \"lo\" fib daddr type local ip6 daddr != ::1 meta l4proto . th dport vmap @ports\n"
	  "\t\tip daddr 127.0.0.1 meta l4proto . th dport vmap @ports\n" },
	/*
	 * Most packets by far belong to what pleased all of it when it was new.
	 * What goes from one gate to another has to please both.
	 */
	{ "forward", "filter hook forward priority 0",
	  "\t\tct state established accept\n"
	  "\t\toifname vmap @into\n"
	  "\t\tiifname vmap @lan\n"
	  "\t\toifname != \"sp-*\" meta nfproto ipv4 iifname @still4 counter drop\n"
	  "\t\tmeta nfproto ipv6 iifname @still6 oifname @still6 counter drop\n" },
	/*
	 * A segment outside of its window is invalid to conntrack and not translated: the
	 * host, where nobody listens on that port, would reset a conversation of the room's.
	 */
	{ "input", "filter hook input priority 0",
	  "\t\t" BY_OURS " vmap @host\n"
	  "\t\tct state invalid meta l4proto . th dport vmap @stray\n"
	  "\t\tct state invalid ip daddr . meta l4proto . th dport vmap @stray4\n"
	  "\t\tct state invalid ip6 daddr . meta l4proto . th dport vmap @stray6\n" },
	{ "leave", "nat hook postrouting priority 100",
	  "\t\toifname vmap @enter\n"
	  "\t\t" SLOT4_OF("saddr") " vmap @leave4\n"
				   "\t\t" SLOT6_OF("saddr") " vmap @leave6\n" },
};

static const char *const own_chains[] = { "from", "short", "closed", "publish", "into",
					  "lan",  "host",  "enter",  "leave",   "before" };

const char *plan_nft_chain_gate(const char *chain)
{
	for (size_t i = 0; i < ARRAY_LEN(own_chains); i++) {
		size_t len = strlen(own_chains[i]);

		if (strncmp(chain, own_chains[i], len) == 0 && chain[len] == '_')
			return chain + len + 1;
	}
	return NULL;
}

/*
 * Conntrack puts the asked address into a reply when its way is chosen already.
 * Here that is done before, for addresses that rules of the host's look at: then
 * these choose.  Where there are none, there is no such chain either.
 */
#define ANSWER "answer"

static bool has_answers(struct nft_text *n)
{
	size_t n_sides;

	plan_sides(n->arena, n->facts->host, &n_sides);
	return n_sides || plan_has_own_ways(n->facts->host);
}

/* Replies get the mark that their connection has from the interface where it came in. */
static void answer_sides(struct nft_text *n)
{
	size_t n_sides;
	const struct link *const *sides = plan_sides(n->arena, n->facts->host, &n_sides);

	for (size_t i = 0; i < n_sides; i++)
		line(n,
		     "\t\tiifname \"sp-*\" ct direction reply ct mark and 0x%x == 0x%x meta mark set meta mark and 0x%x or 0x%x",
		     PLAN_MARK_MASK, plan_side_mark(sides[i]), ~PLAN_MARK_MASK,
		     plan_side_mark(sides[i]));
}

static void publish_sides(struct nft_text *n)
{
	size_t n_sides;
	const struct link *const *sides = plan_sides(n->arena, n->facts->host, &n_sides);

	for (size_t i = 0; i < n_sides; i++)
		line(n, "\t\tiifname \"%s\" ct mark set ct mark and 0x%x or 0x%x", sides[i]->name,
		     ~PLAN_MARK_MASK, plan_side_mark(sides[i]));
}

static void host_answer(struct nft_text *n)
{
	const struct snapshot *host = n->facts->host;

	if (!has_answers(n))
		return;
	line(n, "\tchain " ANSWER " {");
	answer_sides(n);
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct ip *own = &host->addresses[i].local;
		const char *v = own->family == AF_INET ? "ip" : "ip6";
		char ip[IP_TEXT_SIZE];

		if (plan_has_own_way(host, &host->addresses[i]))
			line(n,
			     "\t\tiifname \"sp-*\" ct direction reply ct original %s daddr %s %s saddr set %s",
			     v, ip_text(own, ip), v, ip);
	}
	end_chain(n);
}

/* The interface of "ipvN/conf/INTERFACE/forwarding"; NULL: another sysctl, or not of one. */
static const char *forwarding_of(struct arena *a, const char *path, int v)
{
	const char *head = v == 4 ? "ipv4/conf/" : "ipv6/conf/";
	const char *name = path + strlen(head);
	const char *end = str_starts(path, head) ? strchr(name, '/') : NULL;
	const char *link = end && str_eq(end, "/forwarding")
				   ? arena_strndup(a, name, (size_t)(end - name))
				   : NULL;

	return link && !str_eq(link, "all") && !str_eq(link, "default") ? link : NULL;
}

static bool was(const struct plan_facts *f, const char *path, const char *value)
{
	for (size_t i = 0; i < f->n_before; i++)
		if (str_eq(f->before[i].path, path))
			return str_eq(f->before[i].value, value);
	return false;
}

/*
 * We switch forwarding on so that a gate is reached, and for the kernel that makes
 * the host a router for whoever is near it.  The sets name the interfaces where it
 * was off: by them nothing goes on but to a gate.  IPv6 has but one switch for all,
 * so what appears later (containers' bridges) is not held back there.  They are all
 * gates' and end with the table: who comes second finds it switched on.
 */
static void host_still(struct nft_text *n)
{
	const struct plan_facts *f = n->facts;
	bool off6 = was(f, "ipv6/conf/all/forwarding", "0");

	for (size_t i = 0; i < f->n_before; i++) {
		const char *link4 = forwarding_of(n->arena, f->before[i].path, 4);
		const char *link6 = forwarding_of(n->arena, f->before[i].path, 6);

		if (!str_eq(f->before[i].value, "0"))
			continue;
		if (link4 && !f->forwards4)
			line(n, "add element inet " PLAN_NFT_HOST " still4 { \"%s\" }", link4);
		if (link6 && off6)
			line(n, "add element inet " PLAN_NFT_HOST " still6 { \"%s\" }", link6);
	}
}

/* Every command does no harm where it was done before, and makes what is missing. */
static void host_frame(struct nft_text *n)
{
	line(n, "add table inet " PLAN_NFT_HOST);
	for (size_t i = 0; i < ARRAY_LEN(shared_maps); i++)
		line(n, "add map inet " PLAN_NFT_HOST " %s", shared_maps[i]);
	line(n, "add set inet " PLAN_NFT_HOST " still4 { type ifname; }");
	line(n, "add set inet " PLAN_NFT_HOST " still6 { type ifname; }");
	if (n->facts->forwards4) /* somebody wants it to be a router */
		line(n, "flush set inet " PLAN_NFT_HOST " still4");
	for (size_t i = 0; i < ARRAY_LEN(shared_chains); i++) {
		const struct shared_chain *c = &shared_chains[i];

		line(n, "add chain inet " PLAN_NFT_HOST " %s { type %s; policy accept; }", c->name,
		     c->base);
		line(n, "flush chain inet " PLAN_NFT_HOST " %s", c->name);
	}
	if (has_answers(n)) {
		line(n, "add chain inet " PLAN_NFT_HOST " " ANSWER
			" { type filter hook prerouting priority -150; policy accept; }");
		line(n, "flush chain inet " PLAN_NFT_HOST " " ANSWER);
	}
	for (size_t i = 0; i < ARRAY_LEN(own_chains); i++) {
		line(n, "add chain inet " PLAN_NFT_HOST " %s_%s", own_chains[i], n->gate->name);
		line(n, "flush chain inet " PLAN_NFT_HOST " %s_%s", own_chains[i], n->gate->name);
	}
}

static void host_shared(struct nft_text *n)
{
	for (size_t i = 0; i < ARRAY_LEN(shared_chains); i++)
		line(n, "\tchain %s {\n%s\t}", shared_chains[i].name, shared_chains[i].rules);
}

static void own_chain(struct nft_text *n, const char *kind)
{
	line(n, "\tchain %s_%s {", kind, n->gate->name);
}

/*
 * Comparisons one after the other and no anonymous set of ranges: libnftables
 * fetches those of all gates before each transaction.
 */
static void host_from(struct nft_text *n)
{
	own_chain(n, "from");
	line(n, "\t\tip saddr != %s counter drop", n->slot4);
	line(n, "\t\tip6 saddr != %s ip6 saddr != fe80::/10 ip6 saddr != :: counter drop",
	     n->slot6);
	line(n, "\t\ticmpv6 type { nd-router-advert, nd-redirect } counter drop");
	end_chain(n);
	own_chain(n, "closed");
	line(n, "\t\tiifname \"%s\" accept", n->link);
	line(n, "\t\tcounter drop");
	end_chain(n);
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
		line(n, "\t\tiifname \"%s\" ip saddr %s meta l4proto tcp accept", link,
		     short_text(n, AF_INET, i, ip));
		line(n, "\t\tiifname \"%s\" ip6 saddr %s meta l4proto tcp accept", link,
		     short_text(n, AF_INET6, i, ip));
	}
	line(n, "\t\t" NEIGHBOUR " accept");
	line(n, "\t\tcounter drop");
	end_chain(n);
}

static void publish_element(struct nft_text *n, sa_family_t family, const struct publish *p)
{
	char room[IP_TEXT_SIZE], host[IP_TEXT_SIZE];

	text_addf(&n->out, "\n\t\t\t%s%s%s . %u : %s . %u",
		  ip_is_none(&p->host) ? "" : ip_text(&p->host, host),
		  ip_is_none(&p->host) ? "" : " . ", proto_name(p->proto), p->door_port,
		  (plan_publish_is_short(p) ? short_text : room_text)(n, family, p->room, room),
		  p->room_port);
}

/* Those of one address of the host (@of_one), or those of all. */
static void publish_family(struct nft_text *n, sa_family_t family, bool of_one)
{
	const char *ip = family == AF_INET ? "ip" : "ip6";
	bool any = false;

	for (size_t i = 0; i < n->gate->n_publish; i++) {
		const struct publish *p = &n->gate->publish[i];

		if (p->door != 0 || ip_is_none(&p->host) == of_one ||
		    (of_one && p->host.family != family))
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
				  family_digit(family), ip);
		publish_element(n, family, p);
		any = true;
	}
	if (any)
		line(n, "\n\t\t}");
}

static void host_publish(struct nft_text *n)
{
	own_chain(n, "publish");
	line(n, "\t\tiifname \"%s\" return", n->link);
	for (size_t i = 0; i < n->gate->n_rooms; i++)
		if (plan_room_is_short(n->gate, i))
			line(n, "\t\tiifname \"%s\" return",
			     plan_short_link(n->arena, &n->facts->slot, i));
	publish_sides(n);
	publish_family(n, AF_INET, true);
	publish_family(n, AF_INET6, true);
	publish_family(n, AF_INET, false);
	publish_family(n, AF_INET6, false);
	end_chain(n);
}

/* Towards the gate or a room: only what a published port has sent there. */
static void host_into(struct nft_text *n)
{
	own_chain(n, "into");
	line(n, "\t\tct status dnat return");
	line(n, "\t\tct state related return");
	line(n, "\t\tcounter drop");
	end_chain(n);
}

/* From the gate or a room, to the network or the host itself. */
static void host_lan(struct nft_text *n)
{
	own_chain(n, "lan");
	line(n, "\t\tct state established,related accept");
	line(n, "\t\tct state invalid counter drop");
	host_allow_new(n);
	line(n, "\t\tcounter drop");
	end_chain(n);
	own_chain(n, "host");
	line(n, "\t\t" NEIGHBOUR " accept");
	line(n, "\t\tgoto lan_%s", n->gate->name);
	end_chain(n);
}

/*
 * What leaves for the network gets the host's address, and a port that no
 * service of the host can have: otherwise a room could take a port of the
 * host's for its peer (Port Shadow, CVE-2021-3773).
 */
static void host_leave(struct nft_text *n)
{
	own_chain(n, "enter");
	line(n, "\t\tip saddr 127.0.0.0/8 snat ip to %s", n->host4);
	end_chain(n);
	own_chain(n, "leave");
	line(n, "\t\tmeta l4proto { tcp, udp } masquerade to :" PRIVATE_PORTS);
	line(n, "\t\tmasquerade");
	end_chain(n);
}

/* No packet comes here: the chain keeps what sysctls were before us, for whoever takes us away. */
static void host_before(struct nft_text *n)
{
	own_chain(n, "before");
	for (size_t i = 0; i < n->facts->n_before; i++)
		line(n, "\t\tcontinue comment \"%s %s\"", n->facts->before[i].path,
		     n->facts->before[i].value);
	end_chain(n);
}

static void element(struct nft_text *n, const char *map, const char *key, const char *verdict)
{
	line(n, "add element inet " PLAN_NFT_HOST " %s { %s : %s_%s }", map, key, verdict,
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
	const char *port = arena_printf(n->arena, "%s . %u", proto_name(p->proto), p->door_port);

	if (!ip_is_none(&p->host)) {
		listen_element(n, p, &p->host, port);
		return;
	}
	if (!lan->n_listen)
		port_element(n, p, "", port);
	for (size_t i = 0; i < lan->n_listen; i++)
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

	begin(&n, a, g, f);
	host_frame(&n);
	line(&n, "table inet " PLAN_NFT_HOST " {");
	host_shared(&n);
	host_from(&n);
	host_short(&n);
	host_answer(&n);
	host_publish(&n);
	host_into(&n);
	host_lan(&n);
	host_leave(&n);
	host_before(&n);
	line(&n, "}");
	host_elements(&n);
	host_still(&n);
	return end(&n);
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

/*
 * Which door: the packet's mark (for strict rp_filter and for replies that the
 * gate itself makes) and, for what begins here, the connection's.
 */
static void gate_arrive(struct nft_text *n)
{
	char room[IP_TEXT_SIZE];

	chain(n, "arrive", "filter", "prerouting", "-150", "accept");
	line(n, "\t\tiifname \"lo\" accept");
	/*
	 * Most packets by far, and checked when they were new; `forward` asks for the mark.
	 * IPv6 of a room goes the long way: no rp_filter says whose address it uses.
	 */
	line(n, "\t\tiifname \"lan\" ct state established meta mark set 0x%x accept",
	     plan_door_mark(0));
	line(n,
	     "\t\tiifname \"room*\" meta nfproto ipv4 ct state established meta mark set ct mark and 0x%x accept",
	     PLAN_MARK_MASK);
	line(n, "\t\tct state invalid counter drop");
	line(n, "\t\ticmp type redirect counter drop");
	line(n, "\t\ticmpv6 type { nd-router-advert, nd-redirect } counter drop");
	/* A room says its own address. Of IPv4 strict rp_filter sees to that; IPv6 has none. */
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		const char *own = inside_text(n, AF_INET6, i, room);

		line(n,
		     "\t\tiifname \"%s\" ip6 saddr != %s ip6 saddr != fe80::/10 ip6 saddr != :: counter drop",
		     plan_room_link(n->arena, n->gate, i), own ? own : "::");
	}
	line(n, "\t\tiifname \"room*\" meta mark set ct mark and 0x%x", PLAN_MARK_MASK);
	/* Its own rule: what conntrack does not know (neighbour discovery) has no mark to read. */
	line(n, "\t\tiifname \"room*\" accept");
	line(n, "\t\tiifname \"lan\" goto arrive_lan");
	line(n, "\t\tip daddr %s counter drop", n->slot4);
	line(n, "\t\tip saddr %s counter drop", n->slot4);
	line(n, "\t\tip6 daddr %s counter drop", n->slot6);
	line(n, "\t\tip6 saddr %s counter drop", n->slot6);
	if (has_sandboxes(n->gate)) {
		line(n, "\t\tip daddr @inside4 counter drop");
		line(n, "\t\tip saddr @inside4 counter drop");
		line(n, "\t\tip6 daddr @inside6 counter drop");
		line(n, "\t\tip6 saddr @inside6 counter drop");
	}
	/* Only to the address of this very door: no router for peers, no weak host. */
	line(n, "\t\tfib daddr . iif type != local counter drop");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		line(n,
		     "\t\tiifname \"%s\" meta mark set 0x%x ct state new ct mark set ct mark and 0x%x or 0x%x accept",
		     door_link(n, i), plan_door_mark(i), ~PLAN_MARK_MASK, plan_door_mark(i));
	end_chain(n);
}

static const char *word_inside(struct nft_text *n, sa_family_t family, size_t room)
{
	char inside[IP_TEXT_SIZE];

	return arena_strdup(n->arena, inside_text(n, family, room, inside));
}

static const char *word_enter(struct nft_text *n, sa_family_t family, size_t room)
{
	char outside[IP_TEXT_SIZE];

	return arena_printf(n->arena, "%s : %s", room_text(n, family, room, outside),
			    word_inside(n, family, room));
}

static const char *word_leave(struct nft_text *n, sa_family_t family, size_t room)
{
	char outside[IP_TEXT_SIZE];

	return arena_printf(n->arena, "%s : %s", word_inside(n, family, room),
			    room_text(n, family, room, outside));
}

/* One element for each sandbox that speaks @family. */
static void sandbox_table(struct nft_text *n, const char *head, sa_family_t family,
			  const char *(*word)(struct nft_text *n, sa_family_t family, size_t room))
{
	const char *between = "\t\telements = { ";

	line(n, "\t%s", head);
	for (size_t i = 0; i < n->gate->n_rooms; i++) {
		char ip[IP_TEXT_SIZE];

		if (!n->gate->rooms[i].sandbox || !inside_text(n, family, i, ip))
			continue;
		text_addf(&n->out, "%s%s", between, word(n, family, i));
		between = ", ";
	}
	line(n, "%s\t}", *between == ',' ? " }\n" : "");
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

	line(n, "\tset neighbours { type ifname . ifname;");
	for (size_t i = 0; i < g->n_rooms; i++)
		for (size_t j = 0; j < g->n_rooms; j++) {
			if (!are_neighbours(g, i, j))
				continue;
			text_addf(&n->out, "%s\"%s\" . \"%s\"", between,
				  plan_room_link(n->arena, g, i), plan_room_link(n->arena, g, j));
			between = ", ";
		}
	line(n, "%s\t}", *between == ',' ? " }\n" : "");
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
		int v = family_digit(family);
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
	line(n, "\tchain arrive_lan {");
	line(n, "\t\tip daddr != %s counter drop", n->slot4);
	line(n, "\t\tip6 daddr != %s ip6 daddr != fe80::/10 ip6 daddr != ff02::/16 counter drop",
	     n->slot6);
	line(n, "\t\tmeta mark set 0x%x", plan_door_mark(0));
	line(n, "\t\tct state new ct mark set ct mark and 0x%x or 0x%x", ~PLAN_MARK_MASK,
	     plan_door_mark(0));
	end_chain(n);
}

static void gate_publish(struct nft_text *n)
{
	for (sa_family_t family = AF_INET;; family = AF_INET6) {
		ports(n, on_vpn,
		      arena_printf(
			      n->arena,
			      "map ports%d { type ifname . inet_proto . inet_service : %s . inet_service",
			      family_digit(family), family_type(family)),
		      family, vpn_element);
		ports(n, on_lan,
		      arena_printf(n->arena, "set lan%d { type %s . inet_proto . inet_service",
				   family_digit(family), family_type(family)),
		      family, lan_element);
		if (family == AF_INET6)
			break;
	}
	chain(n, "publish", "nat", "prerouting", "-100", "accept");
	if (has_sandboxes(n->gate)) {
		line(n, "\t\tiifname \"lan\" dnat ip to ip daddr map @enter4");
		line(n, "\t\tiifname \"lan\" dnat ip6 to ip6 daddr map @enter6");
	}
	line(n,
	     "\t\tiifname != { \"lan\", \"lo\" } dnat ip to iifname . meta l4proto . th dport map @ports4");
	line(n,
	     "\t\tiifname != { \"lan\", \"lo\" } dnat ip6 to iifname . meta l4proto . th dport map @ports6");
	end_chain(n);
	/* What a room starts through a tunnel says the tunnel's address. */
	chain(n, "leave", "nat", "postrouting", "100", "accept");
	if (has_sandboxes(n->gate)) {
		line(n, "\t\toifname \"lan\" snat ip to ip saddr map @leave4");
		line(n, "\t\toifname \"lan\" snat ip6 to ip6 saddr map @leave6");
	}
	line(n, "\t\toifname { \"lan\", \"lo\" } accept");
	line(n, "\t\toifname \"room*\" accept");
	line(n, "\t\tip saddr %s masquerade", n->slot4);
	line(n, "\t\tip6 saddr %s masquerade", n->slot6);
	if (has_sandboxes(n->gate)) {
		line(n, "\t\tip saddr @inside4 masquerade");
		line(n, "\t\tip6 saddr @inside6 masquerade");
	}
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

	line(n,
	     "\t\tiifname \"%s\" oifname \"room*\" ct mark and 0x%x == 0x%x ct state established,related accept",
	     link, PLAN_MARK_MASK, mark);
	line(n, "\t\tiifname \"room*\" oifname \"%s\" ct mark and 0x%x == 0x%x accept", link,
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
	line(n, "\tchain start {");
	line(n, "\t\ttcp flags & (fin | syn | rst | ack) != syn counter drop");
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

			line(n, "\t\tiifname \"%s\" oifname \"%s\" ct direction original accept",
			     from, to);
			line(n, "\t\tiifname \"%s\" oifname \"%s\" ct direction reply accept", to,
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
		line(n, "\t\tiifname . oifname @neighbours accept");
	for (size_t i = 1; i < n->gate->n_doors; i++)
		clamp(n, i);
	for (size_t i = 1; i < n->gate->n_doors; i++)
		accept_marked(n, i);
	line(n,
	     "\t\tiifname \"lan\" oifname \"room*\" ct state new ip daddr . meta l4proto . th dport @lan4 accept");
	line(n,
	     "\t\tiifname \"lan\" oifname \"room*\" ct state new ip6 daddr . meta l4proto . th dport @lan6 accept");
	line(n, "\t\tiifname != \"lan\" oifname \"room*\" ct state new ct status dnat accept");
	gate_rooms(n);
	line(n, "\t\tiifname \"room*\" ct mark and 0x%x == 0 jump start", PLAN_MARK_MASK);
	line(n, "\t\tiifname \"room*\" counter reject with icmpx admin-prohibited");
	line(n, "\t\tcounter drop");
	end_chain(n);
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
	/* The first line makes the second succeed when there is no table yet. */
	line(&n, "table inet sallyport-%s", g->name);
	line(&n, "delete table inet sallyport-%s", g->name);
	line(&n, "table inet sallyport-%s {", g->name);
	gate_sandboxes(&n);
	gate_arrive_lan(&n);
	gate_arrive(&n);
	gate_publish(&n);
	gate_forward(&n);
	gate_local(&n);
	line(&n, "}");
	return end(&n);
}
