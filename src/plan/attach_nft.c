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
#include "plan/attach_emit.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* "to_" and an address in hexadecimal digits */
#define SET_NAME_SIZE 40

/* The kernel's tracking forgets an idle connection after as long. */
#define OWN "flags dynamic,timeout; timeout 5d; size 65536"

#define CLIENTS "flags dynamic,timeout; timeout 3m; size 65536"

const struct attach_family attach_families[2] = {
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

void attach_line(struct attach_text *n, const char *fmt, ...)
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
static bool tracks(const struct attach_text *n)
{
	return n->ask->alias || n->ask->translated || n->doors->n_elsewhere;
}

static bool closed_by_address(const struct attach_text *n)
{
	return n->ask->closed && !tracks(n);
}

static bool is_asked(const struct attach_text *n, const struct address *x, sa_family_t family)
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

static void client_sets(struct attach_text *n, const struct attach_family *f)
{
	char name[SET_NAME_SIZE];

	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			attach_line(n,
				    "\tset %s { type %s . inet_service . inet_service; " CLIENTS
				    "; }",
				    set_name(&n->net->addresses[i].local, name), f->type);
	attach_line(n, "\tset began%c { type %s . inet_service . inet_service; " CLIENTS "; }",
		    f->digit, f->type);
}

/* From all sets but that of @but (NULL: from all), for a client stands in one at a time. */
static void forget(struct attach_text *n, const struct attach_family *f, const struct ip *but)
{
	char name[SET_NAME_SIZE];

	for (size_t i = 0; i < n->net->n_addresses; i++) {
		const struct address *x = &n->net->addresses[i];

		if (is_asked(n, x, f->family) && !(but && ip_equal(&x->local, but)))
			attach_line(n, "\t\tdelete @%s { %s }", set_name(&x->local, name),
				    f->asker);
	}
}

static void asks(struct attach_text *n, const struct attach_family *f, const struct ip *ip)
{
	char name[SET_NAME_SIZE];

	set_name(ip, name);
	attach_line(n, "\tchain asks_%s {", name);
	/* In this order, so that at no moment the client stands nowhere. */
	attach_line(n, "\t\tupdate @%s { %s }", name, f->asker);
	forget(n, f, ip);
	attach_line(n, "\t\t%s @%s accept", f->asker, name);
	/* The set is full: an answer by the wrong door would be worse than none. */
	attach_line(n, "\t\tcounter drop");
	attach_line(n, "\t}");
}

static void learn_family(struct attach_text *n, const struct attach_family *f)
{
	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			asks(n, f, &n->net->addresses[i].local);
	/* At an address that came since: it is a tunnel's, and main knows it. */
	attach_line(n, "\tchain asks_elsewhere%c {", f->digit);
	forget(n, f, NULL);
	attach_line(n, "\t}");
}

static void ask_rules(struct attach_text *n, const struct attach_family *f)
{
	char name[SET_NAME_SIZE], ip[IP_TEXT_SIZE];

	attach_line(n, "\t\t%s @began%c accept", f->asker, f->digit);
	if (closed_by_address(n))
		attach_line(n, "\t\tiifname %s update @callers%c { %s }", n->lan, f->digit,
			    f->caller);
	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			attach_line(n, "\t\t%s daddr %s socket wildcard 1 goto asks_%s", f->ip,
				    ip_text(&n->net->addresses[i].local, ip),
				    set_name(&n->net->addresses[i].local, name));
	attach_line(n, "\t\tmeta nfproto ipv%c socket wildcard 1 goto asks_elsewhere%c", f->digit,
		    f->digit);
}

static void answer_rules(struct attach_text *n, const struct attach_family *f)
{
	char name[SET_NAME_SIZE], ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < n->net->n_addresses; i++)
		if (is_asked(n, &n->net->addresses[i], f->family))
			attach_line(n, "\t\t%s @%s %s saddr set %s accept", f->answered,
				    set_name(&n->net->addresses[i].local, name), f->ip,
				    ip_text(&n->net->addresses[i].local, ip));
	if (closed_by_address(n)) /* a service with such a port, bound to its address */
		attach_line(n, "\t\t%s @callers%c accept", f->called, f->digit);
	attach_line(n, "\t\toifname != \"lo\" udp sport 32768-60999 update @began%c { %s }",
		    f->digit, f->answered);
}

/*
 * Before conntrack, which must see the answer as an answer.  Only what a socket
 * bound to the wildcard gets is of interest; and nobody can take over what the
 * namespace itself began from a port that the kernel chose.
 */
static void ask_chains(struct attach_text *n)
{
	learn_family(n, &attach_families[0]);
	learn_family(n, &attach_families[1]);
	attach_line(n, "\tchain asks {");
	ask_rules(n, &attach_families[0]);
	ask_rules(n, &attach_families[1]);
	attach_line(n, "\t}");
}

static void answer(struct attach_text *n)
{
	attach_line(n, "\tchain answer {");
	attach_line(n, "\t\ttype route hook output priority -310; policy accept;");
	attach_line(n, "\t\tmeta l4proto != udp accept");
	answer_rules(n, &attach_families[0]);
	answer_rules(n, &attach_families[1]);
	attach_line(n, "\t}");
}

static void elsewhere(struct attach_text *n, int v, const char *tail)
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
		attach_line(n, " } %s", tail);
	else
		attach_line(n, "\t\tmeta nfproto ipv%d %s", v, tail);
}

void attach_forged_routes(struct attach_text *n)
{
	attach_line(n, "\t\ticmp type redirect counter drop");
	attach_line(n, "\t\ticmpv6 type nd-redirect counter drop");
	for (size_t i = 0; i < n->doors->n_lan; i++)
		if (!n->doors->lan[i].by_ra)
			attach_line(n,
				    "\t\tiifname \"%s\" icmpv6 type nd-router-advert counter drop",
				    n->doors->lan[i].link->name);
}

/*
 * Each address is reached by its own interface only: a neighbour on the LAN
 * finds out the tunnel's, CVE-2019-14899; a VPN peer has the LAN answered.
 */
void attach_weak_host(struct attach_text *n)
{
	static const char weak[] =
		"fib daddr type local fib daddr . iif type != local counter drop";

	elsewhere(n, 4, weak);
	elsewhere(n, 6, weak);
	/*
	 * What a tunnel would have passed on in the name of somebody on the LAN: the
	 * kernel complains to whom it is said to be from before any forward hook.
	 */
	attach_line(
		n,
		"\t\tiifname != %s fib daddr type != { local, broadcast, multicast, anycast } fib saddr . iif oif missing counter drop",
		n->lan);
}

const char *attach_to_server(struct attach_text *n, const struct plan_server *s)
{
	char ip[IP_TEXT_SIZE];

	if (ip_is_any(&s->ip))
		return s->ip.family == AF_INET ? "meta nfproto ipv4" : "meta nfproto ipv6";
	return arena_printf(n->arena, "ip%s daddr %s", s->ip.family == AF_INET ? "" : "6",
			    ip_text(&s->ip, ip));
}

const char *attach_server_port(struct attach_text *n, const struct plan_server *s)
{
	return s->port ? arena_printf(n->arena, " th dport %u", s->port) : "";
}

void attach_own_sources(struct attach_text *n)
{
	for (size_t i = 0; i < n->net->n_addresses; i++) {
		const struct address *x = &n->net->addresses[i];
		char ip[IP_TEXT_SIZE];

		for (size_t d = 0; d < n->doors->n_lan; d++)
			if (door_is_asked_at(&n->doors->lan[d], x))
				attach_line(n, "\t\toifname != \"%s\" ip%s saddr %s counter drop",
					    n->doors->lan[d].link->name,
					    x->local.family == AF_INET ? "" : "6",
					    ip_text(&x->local, ip));
	}
}

/* For each address of @doors, in the order of the doors: @rule(n, door, address). */
void attach_each_address(struct attach_text *n, const struct seen_door *doors, size_t n_doors,
			 void (*rule)(struct attach_text *n, const struct seen_door *d,
				      const struct ip *ip))
{
	for (size_t i = 0; i < n_doors; i++)
		for (size_t k = 0; k < n->net->n_addresses; k++)
			if (door_is_asked_at(&doors[i], &n->net->addresses[k]))
				rule(n, &doors[i], &n->net->addresses[k].local);
}

const char *attach_ip_word(const struct ip *ip)
{
	return ip->family == AF_INET ? "ip" : "ip6";
}

static void asked_by_its_door(struct attach_text *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	attach_line(n, "\t\tiifname \"%s\" %s daddr %s meta l4proto tcp accept", d->link->name,
		    attach_ip_word(ip), ip_text(ip, text));
}

static void said_by_its_door(struct attach_text *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	attach_line(n, "\t\toifname \"%s\" %s saddr %s accept", d->link->name, attach_ip_word(ip),
		    ip_text(ip, text));
}

void attach_tunnels_stays_in(struct attach_text *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	(void)d;
	attach_line(n, "\t\toifname %s %s saddr %s counter drop", n->lan, attach_ip_word(ip),
		    ip_text(ip, text));
}

/* Behind the eight bytes of an error stands our packet: its source, as a number. */
static void quotes(struct attach_text *n, const char *by, const struct ip *ip)
{
	size_t size = ip_bits(ip->family) / 8;

	text_addf(&n->out, "\t\tmeta nfproto ipv%c %s @th,%d,%zu 0x",
		  ip->family == AF_INET ? '4' : '6', by, ip->family == AF_INET ? 160 : 128,
		  size * 8);
	for (size_t i = 0; i < size; i++)
		text_addf(&n->out, "%02x", ip->byte[i]);
	attach_line(n, " counter drop");
}

static void quoted_by_its_door(struct attach_text *n, const struct seen_door *d,
			       const struct ip *ip)
{
	char by[64];

	snprintf(by, sizeof(by), "iifname != \"%s\"", d->link->name);
	quotes(n, by, ip);
}

/* The tunnel itself may have come again under another name. */
static void quoted_by_no_lan(struct attach_text *n, const struct seen_door *d, const struct ip *ip)
{
	(void)d;
	quotes(n, arena_printf(n->arena, "iifname %s", n->lan), ip);
}

/*
 * An error ("fragmentation needed") comes by the door of the packet that it is
 * about.  None is so long that it would have to come in pieces, of which the
 * first shows nothing.
 */
static void errors(struct attach_text *n)
{
	attach_line(n, "\tchain errors {");
	attach_line(n, "\t\tip frag-off & 0x3fff != 0 counter drop");
	attach_line(n, "\t\texthdr frag exists counter drop");
	attach_each_address(n, n->doors->lan, n->doors->n_lan, quoted_by_its_door);
	attach_each_address(n, n->doors->tunnels, n->doors->n_tunnels, quoted_by_no_lan);
	attach_line(n, "\t}");
}

/* All that can be told of what comes in, in one hook. */
static void enter(struct attach_text *n)
{
	attach_line(n, "\tchain enter {");
	attach_line(n, "\t\ttype filter hook prerouting priority -310; policy accept;");
	/* Nearly every packet ends here. */
	attach_each_address(n, n->doors->lan, n->doors->n_lan, asked_by_its_door);
	attach_each_address(n, n->doors->tunnels, n->doors->n_tunnels, asked_by_its_door);
	attach_line(n, "\t\tiifname \"lo\" accept");
	attach_weak_host(n);
	attach_line(
		n,
		"\t\ticmp type { destination-unreachable, source-quench, time-exceeded, parameter-problem } goto errors");
	attach_line(
		n,
		"\t\ticmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem } goto errors");
	attach_forged_routes(n);
	if (closed_by_address(n))
		attach_other_callers(n);
	attach_line(n, "\t\tmeta l4proto != udp accept");
	/* The rest of a datagram in pieces, which shows no port. */
	attach_line(n, "\t\tip frag-off & 0x1fff != 0 accept");
	attach_line(n, "\t\tfrag frag-off != 0 accept");
	attach_line(n, "\t\tfib daddr type local goto asks");
	attach_line(n, "\t}");
}

/*
 * Whom clients of the LAN doors asked through this namespace, and which of our
 * addresses tunnels have that were not there when this was written.
 */
static void open_sets(struct attach_text *n)
{
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++) {
		const struct attach_family *f = &attach_families[i];

		attach_line(n, "\tset passed%c { type %s . %s . inet_proto; " CLIENTS "; }",
			    f->digit, f->type, f->type);
		if (!n->ask->closed) {
			attach_line(
				n,
				"\tset tunnels%c { type %s; flags dynamic,timeout; timeout 1d; size 1024; }",
				f->digit, f->type);
			continue;
		}
		attach_line(
			n,
			"\tset callers%c { type %s . inet_service . %s . inet_service . inet_proto; " CLIENTS
			"; }",
			f->digit, f->type, f->type);
		attach_line(n, "\tset own%c { type %s . inet_service . inet_service; " OWN "; }",
			    f->digit, f->type);
	}
}

/* The namespace is no router for who is behind a tunnel, but for answers to who asked by a door. */
static void through(struct attach_text *n)
{
	attach_line(n, "\tchain through {");
	attach_line(n, "\t\ttype filter hook forward priority 0; policy accept;");
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++) {
		const struct attach_family *f = &attach_families[i];

		attach_line(
			n,
			"\t\tiifname %s oifname != %s %s daddr . %s saddr . meta l4proto @passed%c counter drop",
			n->lan, n->lan, f->ip, f->ip, f->digit);
		attach_line(
			n,
			"\t\tiifname %s update @passed%c { %s saddr . %s daddr . meta l4proto } accept",
			n->lan, f->digit, f->ip, f->ip);
	}
	attach_line(n, "\t\toifname != %s accept", n->lan);
	attach_line(n, "\t\ttcp flags & (fin | syn | rst | ack) == syn counter drop");
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++)
		attach_line(n, "\t\t%s daddr . %s saddr . meta l4proto @passed%c accept",
			    attach_families[i].ip, attach_families[i].ip, attach_families[i].digit);
	attach_line(n, "\t\tcounter drop");
	attach_line(n, "\t}");
}

/*
 * In postrouting, for a packet that `answer` gave another source shows its old
 * interface in output.  What has a tunnel's address never goes by a lan door:
 * not when the tunnel loses its route, and not when it is gone with its address,
 * which IPv6 does not mind.
 */
static void leave_by_address(struct attach_text *n)
{
	attach_line(n, "\tchain leave {");
	attach_line(n, "\t\ttype filter hook postrouting priority 0; policy accept;");
	attach_each_address(n, n->doors->lan, n->doors->n_lan, said_by_its_door);
	attach_line(n, "\t\toifname \"lo\" accept");
	attach_own_sources(n);
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++)
		attach_line(
			n,
			"\t\toifname != %s fib saddr type local update @tunnels%c { %s saddr } accept",
			n->lan, attach_families[i].digit, attach_families[i].ip);
	attach_each_address(n, n->doors->tunnels, n->doors->n_tunnels, attach_tunnels_stays_in);
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++)
		attach_line(n, "\t\toifname %s %s saddr @tunnels%c counter drop", n->lan,
			    attach_families[i].ip, attach_families[i].digit);
	attach_line(
		n, "\t\toifname %s fib saddr type local fib saddr . oif type != local counter drop",
		n->lan);
	attach_line(n, "\t}");
}

/* Both ends are told: what comes in says how large ours may be, what goes out theirs. */
static void narrow(struct attach_text *n)
{
	static const char *const ways[][3] = { { "narrow_in", "prerouting", "iifname" },
					       { "narrow_out", "postrouting", "oifname" } };

	for (size_t i = 0; i < ARRAY_LEN(ways); i++) {
		attach_line(n, "\tchain %s {", ways[i][0]);
		attach_line(n, "\t\ttype filter hook %s priority -312; policy accept;", ways[i][1]);
		attach_line(n, "\t\t%s != %s tcp flags syn / syn,rst tcp option maxseg size set %u",
			    ways[i][2], n->lan, n->ask->mss);
		attach_line(n, "\t}");
	}
}

/* No packet comes here: the chain keeps what sysctls were before us, for `detach`. */
static void before(struct attach_text *n)
{
	attach_line(n, "\tchain before {");
	for (size_t i = 0; i < n->ask->n_before; i++)
		attach_line(n, "\t\tcontinue comment \"%s %s\"", n->ask->before[i].path,
			    n->ask->before[i].value);
	attach_line(n, "\t}");
}

const char *plan_nft_attach(struct arena *a, const struct snapshot *s,
			    const struct seen_doors *doors, const struct attach_ask *ask)
{
	struct attach_text n = {
		.arena = a, .net = s, .doors = doors, .ask = ask, .lan = lan_names(a, doors)
	};
	const char *text;

	attach_line(&n, "add table inet " PLAN_ATTACH_NFT);
	attach_line(&n, "flush table inet " PLAN_ATTACH_NFT);
	attach_line(&n, "table inet " PLAN_ATTACH_NFT " {");
	client_sets(&n, &attach_families[0]);
	client_sets(&n, &attach_families[1]);
	if (!tracks(&n))
		open_sets(&n);
	before(&n);
	ask_chains(&n);
	answer(&n);
	if (tracks(&n)) {
		attach_learn(&n);
		attach_arrive(&n);
		attach_leave_by_mark(&n);
	} else {
		errors(&n);
		enter(&n);
		if (ask->closed) {
			attach_begins(&n);
			attach_through_closed(&n);
			attach_leave_closed(&n);
		} else {
			through(&n);
			leave_by_address(&n);
		}
	}
	if (ask->alias)
		attach_aliases(&n);
	if (ask->mss)
		narrow(&n);
	attach_line(&n, "}");
	text = arena_strdup(a, text_str(&n.out));
	text_free(&n.out);
	return text;
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
