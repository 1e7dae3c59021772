/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The nft table of a namespace that services share with a VPN client.  It is
 * never deleted to be written anew, only flushed: its sets remember who asked
 * whom.  Interfaces and addresses are those that stand now; whatever else
 * appears counts as a tunnel.
 *
 * There are two such tables.  Tracking connections costs every packet of the
 * namespace more than all the rest, so the usual one does without: which door a
 * packet belongs to is told by the address that it has here, each of which is
 * reached by its own interface only.  What an address does not tell needs the
 * connection's mark: aliases, and addresses that belong to no door.  Where somebody
 * translates addresses, tracking costs no more than it does already.
 *
 * The kill switch lets out answers by a LAN door, and nothing else.  What is an
 * answer each protocol tells in its own way: TCP begins with a SYN, so whatever
 * is none belongs to a connection that came in, or to one of the few that were
 * let out and stand in a set (`own`); of UDP who asked stands in a set (`callers`);
 * an echo reply says that it is one, and an error quotes what came to us.
 */
#include "plan/attach.h"

#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* "to_" and an address in hexadecimal digits */
#define SET_NAME_SIZE 40

#define CLIENTS "flags dynamic,timeout; timeout 3m; size 65536"

/* Connections that came or went by a tunnel. */
#define MARK_TUNNEL (plan_door_mark(DOORS_LAN_MAX))

static const struct family_words {
	sa_family_t family;
	char digit;
	const char *ip, *type;
	const char *asker, *answered; /* a client's address and port, and our port */
	const char *caller, *called; /* both ends of a conversation that a LAN door's end began */
	const char *own; /* a connection that began here: the other end, and our port */
} families[] = {
	{ AF_INET, '4', "ip", "ipv4_addr", "ip saddr . udp sport . udp dport",
	  "ip daddr . udp dport . udp sport",
	  "ip saddr . th sport . ip daddr . th dport . meta l4proto",
	  "ip daddr . th dport . ip saddr . th sport . meta l4proto",
	  "ip daddr . tcp dport . tcp sport" },
	{ AF_INET6, '6', "ip6", "ipv6_addr", "ip6 saddr . udp sport . udp dport",
	  "ip6 daddr . udp dport . udp sport",
	  "ip6 saddr . th sport . ip6 daddr . th dport . meta l4proto",
	  "ip6 daddr . th dport . ip6 saddr . th sport . meta l4proto",
	  "ip6 daddr . tcp dport . tcp sport" },
};

/* The kernel's tracking forgets an idle connection after as long. */
#define OWN "flags dynamic,timeout; timeout 5d; size 65536"

/*
 * Protocols by their numbers, as an image may have no /etc/protocols.  Those with
 * ports are UDP, DCCP, SCTP and UDP-Lite; of TCP a segment tells whether it begins.
 */
#define PORTED     "{ 17, 33, 132, 136 }"
#define PORTED_TCP "{ 6, 17, 33, 132, 136 }"
#define RARE       "{ 33, 132, 136 }"
#define OTHER      "!= { 1, 6, 17, 33, 58, 132, 136 }"

#define NEIGHBOURS                                                                                 \
	"icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept"

struct nft {
	struct arena *arena;
	struct text out;
	const struct snapshot *net;
	const struct seen_doors *doors;
	const struct attach_ask *ask;
	const char *lan; /* { "eth0", "eth1" } */
};

static void line(struct nft *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void line(struct nft *n, const char *fmt, ...)
{
	char buf[4096];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(buf, sizeof(buf), fmt, ap);
	va_end(ap);
	text_addf(&n->out, "%s\n", buf);
}

static const char *lan_names(struct arena *a, const struct seen_doors *doors)
{
	struct text t CLEANUP_TEXT = { 0 };

	for (size_t i = 0; i < doors->n_lan; i++)
		text_addf(&t, "%s\"%s\"", i ? ", " : "{ ", doors->lan[i].link->name);
	return arena_printf(a, "%s }", text_str(&t));
}

/* "to_ac110002": the clients that asked at this address last. */
static const char *set_name(const struct ip *ip, char buf[SET_NAME_SIZE])
{
	char *to = buf + snprintf(buf, SET_NAME_SIZE, "to_");

	for (unsigned int i = 0; i < ip_bits(ip->family) / 8; i++)
		to += snprintf(to, 3, "%02x", ip->byte[i]);
	return buf;
}

/* Is more to be told of a packet than its addresses tell? */
static bool tracks(const struct nft *n)
{
	return n->ask->alias || n->ask->translated || n->doors->n_elsewhere;
}

static bool closed_by_address(const struct nft *n)
{
	return n->ask->closed && !tracks(n);
}

static bool is_asked(const struct nft *n, const struct address *x, sa_family_t family)
{
	const struct seen_doors *doors = n->doors;

	if (x->local.family != family)
		return false;
	for (size_t i = 0; i < doors->n_lan; i++)
		if (door_is_asked_at(&doors->lan[i], x))
			return true;
	for (size_t i = 0; i < doors->n_tunnels; i++)
		if (door_has_address(&doors->tunnels[i], x))
			return true;
	return false;
}

static void client_sets(struct nft *n, const struct family_words *f)
{
	char name[SET_NAME_SIZE];

	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			line(n, "\tset %s { type %s . inet_service . inet_service; " CLIENTS "; }",
			     set_name(&n->net->addresses[i].local, name), f->type);
	line(n, "\tset began%c { type %s . inet_service . inet_service; " CLIENTS "; }", f->digit,
	     f->type);
}

/* From all sets but that of @but (NULL: from all), for a client stands in one at a time. */
static void forget(struct nft *n, const struct family_words *f, const struct ip *but)
{
	char name[SET_NAME_SIZE];

	for (size_t i = 0; i < n->net->n_addresses; i++) {
		const struct address *x = &n->net->addresses[i];

		if (is_asked(n, x, f->family) && !(but && ip_equal(&x->local, but)))
			line(n, "\t\tdelete @%s { %s }", set_name(&x->local, name), f->asker);
	}
}

static void asks(struct nft *n, const struct family_words *f, const struct ip *ip)
{
	char name[SET_NAME_SIZE];

	set_name(ip, name);
	line(n, "\tchain asks_%s {", name);
	/* In this order, so that at no moment the client stands nowhere. */
	line(n, "\t\tupdate @%s { %s }", name, f->asker);
	forget(n, f, ip);
	line(n, "\t\t%s @%s accept", f->asker, name);
	/* The set is full: an answer by the wrong door would be worse than none. */
	line(n, "\t\tcounter drop");
	line(n, "\t}");
}

static void learn_family(struct nft *n, const struct family_words *f)
{
	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			asks(n, f, &n->net->addresses[i].local);
	/* At an address that came since: it is a tunnel's, and main knows it. */
	line(n, "\tchain asks_elsewhere%c {", f->digit);
	forget(n, f, NULL);
	line(n, "\t}");
}

static void ask_rules(struct nft *n, const struct family_words *f)
{
	char name[SET_NAME_SIZE], ip[IP_TEXT_SIZE];

	line(n, "\t\t%s @began%c accept", f->asker, f->digit);
	if (closed_by_address(n))
		line(n, "\t\tiifname %s update @callers%c { %s }", n->lan, f->digit, f->caller);
	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			line(n, "\t\t%s daddr %s socket wildcard 1 goto asks_%s", f->ip,
			     ip_text(&n->net->addresses[i].local, ip),
			     set_name(&n->net->addresses[i].local, name));
	line(n, "\t\tmeta nfproto ipv%c socket wildcard 1 goto asks_elsewhere%c", f->digit,
	     f->digit);
}

static void answer_rules(struct nft *n, const struct family_words *f)
{
	char name[SET_NAME_SIZE], ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			line(n, "\t\t%s @%s %s saddr set %s accept", f->answered,
			     set_name(&n->net->addresses[i].local, name), f->ip,
			     ip_text(&n->net->addresses[i].local, ip));
	if (closed_by_address(n)) /* a service with such a port, bound to its address */
		line(n, "\t\t%s @callers%c accept", f->called, f->digit);
	line(n, "\t\toifname != \"lo\" udp sport 32768-60999 update @began%c { %s }", f->digit,
	     f->answered);
}

/*
 * Before conntrack, which must see the answer as an answer.  Only what a socket
 * bound to the wildcard gets is of interest; and nobody can take over what the
 * namespace itself began from a port that the kernel chose.
 */
static void ask_chains(struct nft *n)
{
	learn_family(n, &families[0]);
	learn_family(n, &families[1]);
	line(n, "\tchain asks {");
	ask_rules(n, &families[0]);
	ask_rules(n, &families[1]);
	line(n, "\t}");
}

static void answer(struct nft *n)
{
	line(n, "\tchain answer {");
	line(n, "\t\ttype route hook output priority -310; policy accept;");
	line(n, "\t\tmeta l4proto != udp accept");
	answer_rules(n, &families[0]);
	answer_rules(n, &families[1]);
	line(n, "\t}");
}

static void learn(struct nft *n)
{
	line(n, "\tchain learn {");
	line(n, "\t\ttype filter hook prerouting priority -310; policy accept;");
	line(n, "\t\tmeta l4proto != udp accept");
	line(n, "\t\tiifname \"lo\" accept");
	if (n->ask->alias) /* learn_old, when it is known who has an alias */
		line(n, "\t\tiifname %s accept", n->lan);
	line(n, "\t\tfib daddr type local goto asks");
	line(n, "\t}");
}

static void elsewhere(struct nft *n, int v, const char *tail)
{
	const struct seen_doors *d = n->doors;
	bool any = false;

	for (size_t i = 0; i < d->n_elsewhere; i++) {
		char ip[IP_TEXT_SIZE];

		if ((d->elsewhere[i].family == AF_INET) != (v == 4))
			continue;
		text_addf(&n->out, "%s%s",
			  any      ? ", "
			  : v == 4 ? "\t\tip daddr != { "
				   : "\t\tip6 daddr != { ",
			  ip_text(&d->elsewhere[i], ip));
		any = true;
	}
	if (any)
		line(n, " } %s", tail);
	else
		line(n, "\t\tmeta nfproto ipv%d %s", v, tail);
}

static void forged_routes(struct nft *n)
{
	line(n, "\t\ticmp type redirect counter drop");
	line(n, "\t\ticmpv6 type nd-redirect counter drop");
	for (size_t i = 0; i < n->doors->n_lan; i++)
		if (!n->doors->lan[i].by_ra)
			line(n, "\t\tiifname \"%s\" icmpv6 type nd-router-advert counter drop",
			     n->doors->lan[i].link->name);
}

/*
 * Each address is reached by its own interface only: a neighbour on the LAN
 * finds out the tunnel's, CVE-2019-14899; a VPN peer has the LAN answered.
 */
static void weak_host(struct nft *n)
{
	static const char weak[] =
		"fib daddr type local fib daddr . iif type != local counter drop";

	elsewhere(n, 4, weak);
	elsewhere(n, 6, weak);
	/*
	 * What a tunnel would have passed on in the name of somebody on the LAN: the
	 * kernel complains to whom it is said to be from before any forward hook.
	 */
	line(n,
	     "\t\tiifname != %s fib daddr type != { local, broadcast, multicast, anycast } fib saddr . iif oif missing counter drop",
	     n->lan);
}

/* --- by connection ------------------------------------------------------------------ */

/* What arrives tells whose connection it is. */
static void arrive(struct nft *n)
{
	line(n, "\tchain arrive {");
	line(n, "\t\ttype filter hook prerouting priority -150; policy accept;");
	line(n, "\t\tiifname \"lo\" accept");
	/* Most packets by far, looked at when they were new. */
	line(n, "\t\tct state established ct mark and 0x%x != 0 accept", PLAN_MARK_MASK);
	weak_host(n);
	/* Errors about nothing that we sent (forged "fragmentation needed"), and forged routes. */
	line(n, "\t\tmeta l4proto { icmp, icmpv6 } ct state invalid counter drop");
	forged_routes(n);
	for (size_t i = 0; i < n->doors->n_lan; i++)
		line(n,
		     "\t\tiifname \"%s\" ct direction original ct mark and 0x%x == 0 ct mark set ct mark and 0x%x or 0x%x accept",
		     n->doors->lan[i].link->name, PLAN_MARK_MASK, ~PLAN_MARK_MASK,
		     plan_door_mark(n->doors->lan[i].number));
	line(n,
	     "\t\tiifname != %s ct direction original ct mark and 0x%x == 0 ct mark set ct mark and 0x%x or 0x%x",
	     n->lan, PLAN_MARK_MASK, ~PLAN_MARK_MASK, MARK_TUNNEL);
	line(n, "\t}");
}

static const char *protocols(const struct plan_server *s)
{
	return s->proto == IPPROTO_TCP ? "tcp" : s->proto == IPPROTO_UDP ? "udp" : "{ tcp, udp }";
}

static const char *to_server(struct nft *n, const struct plan_server *s)
{
	char ip[IP_TEXT_SIZE];

	if (ip_is_any(&s->ip))
		return s->ip.family == AF_INET ? "meta nfproto ipv4" : "meta nfproto ipv6";
	return arena_printf(n->arena, "ip%s daddr %s", s->ip.family == AF_INET ? "" : "6",
			    ip_text(&s->ip, ip));
}

static const char *server_port(struct nft *n, const struct plan_server *s)
{
	return s->port ? arena_printf(n->arena, " th dport %u", s->port) : "";
}

static void server(struct nft *n, const struct plan_server *s)
{
	line(n, "\t\toifname %s %s meta l4proto %s%s accept", n->lan, to_server(n, s), protocols(s),
	     server_port(n, s));
}

/* What the namespace itself may begin by a lan door. */
static void closed(struct nft *n)
{
	line(n, "\t\t" NEIGHBOURS);
	for (size_t i = 0; i < n->ask->n_servers; i++)
		server(n, &n->ask->servers[i]);
	for (size_t i = 0; i < n->ask->n_reach; i++) {
		char to[PREFIX_TEXT_SIZE];

		line(n, "\t\toifname %s ip%s daddr %s accept", n->lan,
		     n->ask->reach[i].ip.family == AF_INET ? "" : "6",
		     prefix_text(&n->ask->reach[i], to));
	}
	line(n, "\t\toifname %s counter drop", n->lan);
}

static void own_sources(struct nft *n)
{
	for (size_t i = 0; i < n->net->n_addresses; i++) {
		const struct address *x = &n->net->addresses[i];
		char ip[IP_TEXT_SIZE];

		for (size_t d = 0; d < n->doors->n_lan; d++)
			if (door_is_asked_at(&n->doors->lan[d], x))
				line(n, "\t\toifname != \"%s\" ip%s saddr %s counter drop",
				     n->doors->lan[d].link->name,
				     x->local.family == AF_INET ? "" : "6", ip_text(&x->local, ip));
	}
}

/*
 * In postrouting, for a packet that `answer` gave another source shows its old
 * interface in output.  What came or went by a tunnel once never goes by a lan
 * door: not when the tunnel loses its route, and not forwarded either.
 */
static void leave(struct nft *n)
{
	const struct seen_doors *d = n->doors;

	line(n, "\tchain leave {");
	line(n, "\t\ttype filter hook postrouting priority 0; policy accept;");
	line(n, "\t\toifname \"lo\" accept");
	for (size_t i = 0; i < d->n_lan; i++)
		line(n, "\t\toifname \"%s\" ct mark and 0x%x == 0x%x accept", d->lan[i].link->name,
		     PLAN_MARK_MASK, plan_door_mark(d->lan[i].number));
	line(n, "\t\toifname %s ct mark and 0x%x == 0x%x counter drop", n->lan, PLAN_MARK_MASK,
	     MARK_TUNNEL);
	text_addf(&n->out, "\t\tct direction reply ct mark and 0x%x == {", PLAN_MARK_MASK);
	for (size_t i = 0; i < d->n_lan; i++)
		text_addf(&n->out, "%s 0x%x", i ? "," : "", plan_door_mark(d->lan[i].number));
	line(n, " } counter drop");
	own_sources(n);
	line(n,
	     "\t\toifname != %s ct mark and 0x%x == 0 ct mark set ct mark and 0x%x or 0x%x accept",
	     n->lan, PLAN_MARK_MASK, ~PLAN_MARK_MASK, MARK_TUNNEL);
	if (n->ask->closed)
		closed(n);
	line(n, "\t}");
}

/* --- by address -------------------------------------------------------------------- */

/* For each address of @doors, in the order of the doors: @rule(n, door, address). */
static void each_address(struct nft *n, const struct seen_door *doors, size_t n_doors,
			 void (*rule)(struct nft *n, const struct seen_door *d,
				      const struct ip *ip))
{
	for (size_t i = 0; i < n_doors; i++)
		for (size_t k = 0; k < n->net->n_addresses; k++)
			if (door_is_asked_at(&doors[i], &n->net->addresses[k]))
				rule(n, &doors[i], &n->net->addresses[k].local);
}

static const char *ip_word(const struct ip *ip)
{
	return ip->family == AF_INET ? "ip" : "ip6";
}

static void asked_by_its_door(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	line(n, "\t\tiifname \"%s\" %s daddr %s meta l4proto tcp accept", d->link->name,
	     ip_word(ip), ip_text(ip, text));
}

static void said_by_its_door(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	line(n, "\t\toifname \"%s\" %s saddr %s accept", d->link->name, ip_word(ip),
	     ip_text(ip, text));
}

static void tunnels_stays_in(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	(void)d;
	line(n, "\t\toifname %s %s saddr %s counter drop", n->lan, ip_word(ip), ip_text(ip, text));
}

/* Behind the eight bytes of an error stands our packet: its source, as a number. */
static void quotes(struct nft *n, const char *by, const struct ip *ip)
{
	size_t size = ip_bits(ip->family) / 8;

	text_addf(&n->out, "\t\tmeta nfproto ipv%c %s @th,%d,%zu 0x",
		  ip->family == AF_INET ? '4' : '6', by, ip->family == AF_INET ? 160 : 128,
		  size * 8);
	for (size_t i = 0; i < size; i++)
		text_addf(&n->out, "%02x", ip->byte[i]);
	line(n, " counter drop");
}

static void quoted_by_its_door(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	char by[64];

	snprintf(by, sizeof(by), "iifname != \"%s\"", d->link->name);
	quotes(n, by, ip);
}

/* The tunnel itself may have come again under another name. */
static void quoted_by_no_lan(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	(void)d;
	quotes(n, arena_printf(n->arena, "iifname %s", n->lan), ip);
}

/*
 * An error ("fragmentation needed") comes by the door of the packet that it is
 * about.  None is so long that it would have to come in pieces, of which the
 * first shows nothing.
 */
static void errors(struct nft *n)
{
	line(n, "\tchain errors {");
	line(n, "\t\tip frag-off & 0x3fff != 0 counter drop");
	line(n, "\t\texthdr frag exists counter drop");
	each_address(n, n->doors->lan, n->doors->n_lan, quoted_by_its_door);
	each_address(n, n->doors->tunnels, n->doors->n_tunnels, quoted_by_no_lan);
	line(n, "\t}");
}

/* UDP's are noted in `asks`. */
static void other_callers(struct nft *n)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct family_words *f = &families[i];

		line(n, "\t\tiifname %s meta l4proto " RARE " update @callers%c { %s } accept",
		     n->lan, f->digit, f->caller);
		line(n,
		     "\t\tiifname %s meta l4proto " OTHER
		     " update @passed%c { %s saddr . %s daddr . meta l4proto } accept",
		     n->lan, f->digit, f->ip, f->ip);
	}
}

/* All that can be told of what comes in, in one hook. */
static void enter(struct nft *n)
{
	line(n, "\tchain enter {");
	line(n, "\t\ttype filter hook prerouting priority -310; policy accept;");
	/* Nearly every packet ends here. */
	each_address(n, n->doors->lan, n->doors->n_lan, asked_by_its_door);
	each_address(n, n->doors->tunnels, n->doors->n_tunnels, asked_by_its_door);
	line(n, "\t\tiifname \"lo\" accept");
	weak_host(n);
	line(n,
	     "\t\ticmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem } goto errors");
	line(n,
	     "\t\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } goto errors");
	forged_routes(n);
	if (closed_by_address(n))
		other_callers(n);
	line(n, "\t\tmeta l4proto != udp accept");
	/* The rest of a datagram in pieces, which shows no port. */
	line(n, "\t\tip frag-off & 0x1fff != 0 accept");
	line(n, "\t\tfrag frag-off != 0 accept");
	line(n, "\t\tfib daddr type local goto asks");
	line(n, "\t}");
}

/*
 * Whom clients of the LAN doors asked through this namespace, and which of our
 * addresses tunnels have that were not there when this was written.
 */
static void open_sets(struct nft *n)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct family_words *f = &families[i];

		line(n, "\tset passed%c { type %s . %s . inet_proto; " CLIENTS "; }", f->digit,
		     f->type, f->type);
		if (!n->ask->closed) {
			line(n,
			     "\tset tunnels%c { type %s; flags dynamic,timeout; timeout 1d; size 1024; }",
			     f->digit, f->type);
			continue;
		}
		line(n,
		     "\tset callers%c { type %s . inet_service . %s . inet_service . inet_proto; " CLIENTS
		     "; }",
		     f->digit, f->type, f->type);
		line(n, "\tset own%c { type %s . inet_service . inet_service; " OWN "; }", f->digit,
		     f->type);
	}
}

/* The namespace is no router for who is behind a tunnel, but for answers to who asked by a door. */
static void through(struct nft *n)
{
	line(n, "\tchain through {");
	line(n, "\t\ttype filter hook forward priority 0; policy accept;");
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct family_words *f = &families[i];

		line(n,
		     "\t\tiifname %s oifname != %s %s daddr . %s saddr . meta l4proto @passed%c counter drop",
		     n->lan, n->lan, f->ip, f->ip, f->digit);
		line(n,
		     "\t\tiifname %s update @passed%c { %s saddr . %s daddr . meta l4proto } accept",
		     n->lan, f->digit, f->ip, f->ip);
	}
	line(n, "\t\toifname != %s accept", n->lan);
	line(n, "\t\ttcp flags & (fin | syn | rst | ack) == syn counter drop");
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		line(n, "\t\t%s daddr . %s saddr . meta l4proto @passed%c accept", families[i].ip,
		     families[i].ip, families[i].digit);
	line(n, "\t\tcounter drop");
	line(n, "\t}");
}

/*
 * In postrouting, for a packet that `answer` gave another source shows its old
 * interface in output.  What has a tunnel's address never goes by a lan door:
 * not when the tunnel loses its route, and not when it is gone with its address,
 * which IPv6 does not mind.
 */
static void leave_by_address(struct nft *n)
{
	line(n, "\tchain leave {");
	line(n, "\t\ttype filter hook postrouting priority 0; policy accept;");
	each_address(n, n->doors->lan, n->doors->n_lan, said_by_its_door);
	line(n, "\t\toifname \"lo\" accept");
	own_sources(n);
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		line(n,
		     "\t\toifname != %s fib saddr type local update @tunnels%c { %s saddr } accept",
		     n->lan, families[i].digit, families[i].ip);
	each_address(n, n->doors->tunnels, n->doors->n_tunnels, tunnels_stays_in);
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		line(n, "\t\toifname %s %s saddr @tunnels%c counter drop", n->lan, families[i].ip,
		     families[i].digit);
	line(n, "\t\toifname %s fib saddr type local fib saddr . oif type != local counter drop",
	     n->lan);
	line(n, "\t}");
}

/* --- by address, with the kill switch ------------------------------------------------- */

static void answered_by_its_door(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	const struct family_words *f = &families[ip->family == AF_INET6];
	char text[IP_TEXT_SIZE];

	line(n, "\t\toifname \"%s\" %s saddr %s tcp flags & (syn | ack) != syn %s != @own%c accept",
	     d->link->name, f->ip, ip_text(ip, text), f->own, f->digit);
}

static void begun_by_its_door(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	line(n, "\t\toifname \"%s\" %s saddr %s goto begins", d->link->name, ip_word(ip),
	     ip_text(ip, text));
}

/*
 * An error about what came to this very address.  One about a packet that was only
 * passing through may speak of what came by the tunnel.
 */
static void errs_by_its_door(struct nft *n, const struct seen_door *d, const struct ip *ip)
{
	bool v4 = ip->family == AF_INET;
	char text[IP_TEXT_SIZE];

	(void)d;
	text_addf(
		&n->out, "\t\t%s saddr %s %s @th,%d,%d 0x", ip_word(ip), ip_text(ip, text),
		v4 ? "icmp type { destination-unreachable, time-exceeded, parameter-problem }"
		   : "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }",
		v4 ? 192 : 256, v4 ? 32 : 128);
	for (size_t i = 0; i < ip_bits(ip->family) / 8; i++)
		text_addf(&n->out, "%02x", ip->byte[i]);
	line(n, " accept");
}

/* @to may be begun by a LAN door; a connection that was stays known as such. */
static void may_begin(struct nft *n, const struct family_words *f, const char *to, const char *port)
{
	line(n, "\t\t%s meta l4proto tcp%s update @own%c { %s } accept", to, port, f->digit,
	     f->own);
}

static void may_begin_server(struct nft *n, const struct plan_server *s)
{
	const char *to = to_server(n, s), *port = server_port(n, s);

	if (s->proto != IPPROTO_UDP)
		may_begin(n, &families[s->ip.family == AF_INET6], to, port);
	if (s->proto != IPPROTO_TCP)
		line(n, "\t\t%s meta l4proto udp%s accept", to, port);
}

static void may_begin_reach(struct nft *n, const struct prefix *p)
{
	const struct family_words *f = &families[p->ip.family == AF_INET6];
	char text[PREFIX_TEXT_SIZE];
	const char *to = arena_printf(n->arena, "%s daddr %s", f->ip, prefix_text(p, text));

	may_begin(n, f, to, "");
	line(n, "\t\t%s meta l4proto != tcp accept", to);
}

/* From an address of a LAN door by that door, and no segment of a connection that came in. */
static void begins(struct nft *n)
{
	line(n, "\tchain begins {");
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct family_words *f = &families[i];

		line(n, "\t\tmeta l4proto " PORTED " %s @callers%c accept", f->called, f->digit);
		line(n,
		     "\t\tmeta l4proto " OTHER
		     " %s daddr . %s saddr . meta l4proto @passed%c accept",
		     f->ip, f->ip, f->digit);
	}
	line(n, "\t\ticmp type { echo-reply, timestamp-reply } accept");
	line(n, "\t\ticmpv6 type echo-reply accept");
	line(n, "\t\t" NEIGHBOURS);
	each_address(n, n->doors->lan, n->doors->n_lan, errs_by_its_door);
	for (size_t i = 0; i < n->ask->n_servers; i++)
		may_begin_server(n, &n->ask->servers[i]);
	for (size_t i = 0; i < n->ask->n_reach; i++)
		may_begin_reach(n, &n->ask->reach[i]);
	line(n, "\t\tcounter drop");
	line(n, "\t}");
}

/* Answers to who asked through this namespace. */
static void passed(struct nft *n)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct family_words *f = &families[i];

		line(n, "\t\t%s @callers%c accept", f->called, f->digit);
		line(n,
		     "\t\ticmp%s type echo-reply %s daddr . %s saddr . meta l4proto @passed%c accept",
		     f->family == AF_INET ? "" : "v6", f->ip, f->ip, f->digit);
		line(n,
		     "\t\tmeta l4proto " OTHER
		     " %s daddr . %s saddr . meta l4proto @passed%c accept",
		     f->ip, f->ip, f->digit);
	}
}

/* As `through`, but for whole conversations, and pings. */
static void through_closed(struct nft *n)
{
	line(n, "\tchain through {");
	line(n, "\t\ttype filter hook forward priority 0; policy accept;");
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct family_words *f = &families[i];

		line(n, "\t\tiifname %s oifname != %s %s @callers%c counter drop", n->lan, n->lan,
		     f->called, f->digit);
		line(n,
		     "\t\tiifname %s meta l4proto " PORTED_TCP " update @callers%c { %s } accept",
		     n->lan, f->digit, f->caller);
		line(n,
		     "\t\tiifname %s update @passed%c { %s saddr . %s daddr . meta l4proto } accept",
		     n->lan, f->digit, f->ip, f->ip);
	}
	line(n, "\t\toifname != %s accept", n->lan);
	line(n, "\t\ttcp flags & (fin | syn | rst | ack) == syn counter drop");
	passed(n);
	line(n, "\t\tcounter drop");
	line(n, "\t}");
}

/*
 * By a LAN door goes only what has an address of that very door, and answers to who
 * asked through this namespace.  Nothing here depends on whether a tunnel is there.
 */
static void leave_closed(struct nft *n)
{
	line(n, "\tchain leave {");
	line(n, "\t\ttype filter hook postrouting priority 0; policy accept;");
	each_address(n, n->doors->lan, n->doors->n_lan, answered_by_its_door);
	each_address(n, n->doors->lan, n->doors->n_lan, begun_by_its_door);
	line(n, "\t\toifname \"lo\" accept");
	own_sources(n);
	line(n, "\t\toifname != %s accept", n->lan);
	/* A neighbour's question at a link-local address, of which each link has its own. */
	line(n,
	     "\t\tip6 saddr fe80::/10 ip6 daddr fe80::/10 tcp flags & (syn | ack) != syn ip6 daddr . tcp dport . tcp sport != @own6 accept");
	line(n, "\t\tip6 saddr fe80::/10 ip6 daddr fe80::/10 goto begins");
	line(n, "\t\t" NEIGHBOURS);
	each_address(n, n->doors->tunnels, n->doors->n_tunnels, tunnels_stays_in);
	line(n, "\t\tfib saddr type local counter drop");
	passed(n);
	line(n, "\t\tcounter drop");
	line(n, "\t}");
}

static void alias_rule(struct nft *n, const struct seen_door *d, const struct ip *x)
{
	static const char *const from[] = { "10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10",
					    "192.168.0.0/16", "169.254.0.0/16" };
	char ip[IP_TEXT_SIZE], to[PREFIX_TEXT_SIZE];
	struct prefix nets[6];

	if (!attach_alias_nets(n->doors, n->net, d, x, nets))
		return;
	if (x->family == AF_INET6) {
		line(n, "\t\tiifname \"%s\" ip6 daddr %s meta l4proto udp snat ip6 prefix to %s",
		     d->link->name, ip_text(x, ip), prefix_text(&nets[0], to));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		line(n,
		     "\t\tiifname \"%s\" ip daddr %s ip saddr %s meta l4proto udp snat ip prefix to %s",
		     d->link->name, ip_text(x, ip), from[i], prefix_text(&nets[i], to));
	line(n,
	     "\t\tiifname \"%s\" ip daddr %s meta l4proto udp snat ip to %u.0.0.1-%u.255.255.254",
	     d->link->name, ip_text(x, ip), nets[5].ip.byte[0], nets[5].ip.byte[0]);
}

/* A conversation that is older than the aliases goes on without one. */
static void learn_old(struct nft *n)
{
	line(n, "\tchain learn_old {");
	line(n, "\t\ttype filter hook input priority 200; policy accept;");
	line(n, "\t\tiifname %s meta l4proto udp ct status & snat == 0 goto asks", n->lan);
	line(n, "\t}");
}

static void aliases(struct nft *n)
{
	learn_old(n);
	line(n, "\tchain alias {");
	line(n, "\t\ttype nat hook input priority 100; policy accept;");
	for (size_t i = 0; i < n->doors->n_lan; i++)
		for (size_t k = 0; k < n->net->n_addresses; k++)
			if (door_has_address(&n->doors->lan[i], &n->net->addresses[k]))
				alias_rule(n, &n->doors->lan[i], &n->net->addresses[k].local);
	line(n, "\t}");
}

/* Both ends are told: what comes in says how large ours may be, what goes out theirs. */
static void narrow(struct nft *n)
{
	static const char *const ways[][3] = { { "narrow_in", "prerouting", "iifname" },
					       { "narrow_out", "postrouting", "oifname" } };

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		line(n, "\tchain %s {", ways[i][0]);
		line(n, "\t\ttype filter hook %s priority -312; policy accept;", ways[i][1]);
		line(n, "\t\t%s != %s tcp flags syn / syn,rst tcp option maxseg size set %u",
		     ways[i][2], n->lan, n->ask->mss);
		line(n, "\t}");
	}
}

/* No packet comes here: the chain keeps what sysctls were before us, for `detach`. */
static void before(struct nft *n)
{
	line(n, "\tchain before {");
	for (size_t i = 0; i < n->ask->n_before; i++)
		line(n, "\t\tcontinue comment \"%s %s\"", n->ask->before[i].path,
		     n->ask->before[i].value);
	line(n, "\t}");
}

const char *plan_nft_attach(struct arena *a, const struct snapshot *s,
			    const struct seen_doors *doors, const struct attach_ask *ask)
{
	struct nft n = {
		.arena = a, .net = s, .doors = doors, .ask = ask, .lan = lan_names(a, doors)
	};
	const char *text;

	line(&n, "add table inet " PLAN_ATTACH_NFT);
	line(&n, "flush table inet " PLAN_ATTACH_NFT);
	line(&n, "table inet " PLAN_ATTACH_NFT " {");
	client_sets(&n, &families[0]);
	client_sets(&n, &families[1]);
	if (!tracks(&n))
		open_sets(&n);
	before(&n);
	ask_chains(&n);
	answer(&n);
	if (tracks(&n)) {
		learn(&n);
		arrive(&n);
		leave(&n);
	} else {
		errors(&n);
		enter(&n);
		if (ask->closed) {
			begins(&n);
			through_closed(&n);
			leave_closed(&n);
		} else {
			through(&n);
			leave_by_address(&n);
		}
	}
	if (ask->alias)
		aliases(&n);
	if (ask->mss)
		narrow(&n);
	line(&n, "}");
	text = arena_strdup(a, text_str(&n.out));
	text_free(&n.out);
	return text;
}

/* Does a socket listen where @s was taken? */
static bool came_in(const struct socket_seen *s, const struct socket_seen *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].state == SOCKET_LISTENS && all[i].local_port == s->local_port &&
		    (ip_is_any(&all[i].local) || ip_equal(&all[i].local, &s->local)))
			return true;
	return false;
}

static bool is_lan(const struct seen_doors *doors, const struct snapshot *s, const struct ip *ip)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		for (size_t k = 0; k < doors->n_lan; k++)
			if (ip_equal(&s->addresses[i].local, ip) &&
			    door_is_asked_at(&doors->lan[k], &s->addresses[i]))
				return true;
	return false;
}

const char *plan_nft_attach_older(struct arena *a, const struct snapshot *s,
				  const struct seen_doors *doors, const struct socket_seen *all,
				  size_t n)
{
	struct text out CLEANUP_TEXT = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct socket_seen *x = &all[i];
		char peer[IP_TEXT_SIZE];

		if (x->proto == IPPROTO_TCP && x->state == SOCKET_CONNECTED &&
		    is_lan(doors, s, &x->local) && !came_in(x, all, n))
			text_addf(&out,
				  "add element inet " PLAN_ATTACH_NFT " own%c { %s . %u . %u }\n",
				  x->peer.family == AF_INET ? '4' : '6', ip_text(&x->peer, peer),
				  x->peer_port, x->local_port);
	}
	return arena_strdup(a, text_str(&out));
}

/* Is @name, @len bytes long, declared in @text behind @head? */
static bool declares(const char *text, const char *head, const char *name, size_t len)
{
	for (const char *at = strstr(text, head); at; at = strstr(at + 1, head))
		if (strncmp(at + strlen(head), name, len) == 0 && at[strlen(head) + len] == ' ')
			return true;
	return false;
}

const char *plan_nft_attach_stale(struct arena *a, const char *listed, const char *text)
{
	/* Chains first: they speak of sets. */
	static const char *const heads[] = { "\tchain ", "\tset " };
	struct text out CLEANUP_TEXT = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(heads); i++)
		for (const char *at = strstr(listed, heads[i]); at; at = strstr(at + 1, heads[i])) {
			const char *name = at + strlen(heads[i]);
			size_t len = strcspn(name, " ");

			if (!declares(text, heads[i], name, len))
				text_addf(&out, "delete %.*s inet " PLAN_ATTACH_NFT " %.*s\n",
					  (int)strlen(heads[i]) - 2, heads[i] + 1, (int)len, name);
		}
	return out.len ? arena_printf(a, "flush table inet " PLAN_ATTACH_NFT "\n%s", text_str(&out))
		       : "";
}
