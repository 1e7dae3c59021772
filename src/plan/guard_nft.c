/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard's nft table.  Its rules are flushed and written anew in one
 * transaction; the table is never deleted while the guard stands, for its sets
 * are what is known of UDP clients.
 *
 * Tracking connections costs every packet of the host more than all the rest, and
 * every hook that a packet passes costs it something: here is no more than this
 * host needs.
 *
 * TCP: the mark of a connection's first packet becomes its socket's (sysctl
 * tcp_fwmark_accept), and the rules lead all that the socket says by that mark.
 * What the kernel itself answers (pings, errors) has the mark of what it
 * answers (fwmark_reflect).
 *
 * UDP: a reply of a socket that is bound to no address is the hard case: the
 * kernel asks main for the way, main says the tunnel, and the reply has the
 * tunnel's address before any hook sees it.  So the host notes to which of its
 * addresses each UDP client spoke, and by which door where the address does not
 * tell, and puts that back before anybody else looks (a route hook: the kernel
 * asks for the way once more).  No hook is passed by UDP alone, so TCP pays for
 * these.  Of the 6.1 us of CPU time that a round trip costs both its ends on one
 * CPU, two hooks with nothing in them take 1.3 to 2.3 %, what TCP meets in them the
 * rest of 3 %: as few expressions as can be, and none that ends in a verdict (that
 * is a call more).  A chain of type filter is no cheaper, a table of each family by
 * 10 ns a hook, tests of the version and the protocol in the header's bytes are
 * dearer.  What would cost TCP nothing (0.3 % measured, within the error) is BPF: a
 * program at sk_lookup, which sees datagrams and first packets only, to learn, and
 * one at the cgroups' sendmsg4, which sets the source before the first lookup, to
 * answer.  It cannot set a mark there, for clients whose door their address does not
 * tell, and needs a cgroup above all services: nft does both everywhere.  All that
 * they could do without is the hook at output.  Without it round trips are 0.977 to
 * 0.986 of an unguarded host's (with it 0.958 to 0.963), and connections 0.972
 * (0.959): the rest is TCP's own.  For these two points the program would stand above
 * the services of all namespaces, those other clients would be answered by the wrong
 * door until there is a hook for them, and a socket with a port that is connected
 * afterwards would answer from the tunnel, for bpf_bind() refuses one with a port.
 *
 * Forwarded: whoever publishes ports of containers translates addresses, and
 * tracks connections for that.  A connection's mark tells the door.
 */
#include "plan/guard.h"

#include "base/text.h"

#include <stdarg.h>
#include <string.h>

#define OURS     "and 0xff000000 == 0x27000000"
#define NOT_OURS "and 0xff000000 != 0x27000000"
/* Of a word: everybody else's half. */
#define REST 0x0000ffffu

#define CLIENTS "\t\tsize 65536\n\t\tflags dynamic,timeout\n\t\ttimeout 3m\n"

struct nft {
	struct arena *arena; /* for words of rules */
	const struct guard_memory *m;
	const struct snapshot *host;
	const struct guard_wish *wish;
	struct text t;
};

static uint32_t door_mark(const struct guard_door *d)
{
	return (GUARD_TABLE_DOOR + d->number) << 16;
}

static bool has_mark(const struct guard_door *d)
{
	return d->number < GUARD_DOORS_MAX;
}

static bool is_here(const struct address *x)
{
	return !ip_is_loopback(&x->local) &&
	       !(x->local.family == AF_INET6 && ip_is_link_local(&x->local));
}

/* What belongs to loopback or to no door is nobody's. */
static bool is_owner(const struct nft *n, const struct guard_door *d, const struct address *x)
{
	const struct link *l = snapshot_link_by_index(n->host, x->link);

	return l && str_eq(l->name, d->name);
}

/* May what comes in by @d leave elsewhere, if only its address is asked? */
static bool strays(const struct nft *n, const struct guard_door *d)
{
	return has_mark(d) && (d->tunnel || guard_leads_on(n->m, n->host, d));
}

/* One line inside of a chain. */
static void rule(struct nft *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void rule(struct nft *n, const char *fmt, ...)
{
	va_list ap;

	text_add(&n->t, "\t\t");
	va_start(ap, fmt);
	text_addv(&n->t, fmt, ap);
	va_end(ap);
	text_add(&n->t, "\n");
}

/* @hook "": others lead to it. */
static void begin(struct nft *n, const char *chain, const char *hook)
{
	text_addf(&n->t, "\tchain %s {\n", chain);
	if (*hook)
		text_addf(&n->t, "\t\ttype %s; policy accept;\n", hook);
}

static void end(struct nft *n)
{
	text_add(&n->t, "\t}\n");
}

/* Statements that change our part of a packet's or a connection's mark. */
static const char *marks(const struct nft *n, uint32_t mark)
{
	return arena_printf(n->arena, "meta mark set meta mark and 0x%08x or 0x%08x", REST, mark);
}

static const char *notes(const struct nft *n, uint32_t mark)
{
	return arena_printf(n->arena, "ct mark set ct mark and 0x%08x or 0x%08x", REST, mark);
}

/* "A, B" */
static const char *listed(const struct nft *n, const char *list, const char *item)
{
	return *list ? arena_printf(n->arena, "%s, %s", list, item) : item;
}

static const char *ip_word(const struct address *x)
{
	return x->local.family == AF_INET ? "ip" : "ip6";
}

static const char *type_of(const struct address *x)
{
	return x->local.family == AF_INET ? "ipv4_addr" : "ipv6_addr";
}

/* What belongs to an address is named by it: that outlives the order of addresses. */
static uint32_t id_of(const struct address *x)
{
	char text[IP_TEXT_SIZE];

	return (uint32_t)str_hash(ip_text(&x->local, text), 0);
}

/*
 * For each address of the host: the clients (address, port, port of ours) that
 * ever spoke to it, and those that did last.  Not a map from clients to
 * addresses: libnftables 1.0.6 dies of one that a packet updates, for IPv6.
 */
static void udp_sets(struct nft *n, const struct address *x)
{
	static const char *const kinds[] = { "spoken", "last" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		text_addf(&n->t,
			  "\tset %s_%08x {\n\t\ttype %s . inet_service . inet_service\n" CLIENTS
			  "\t}\n",
			  kinds[i], id_of(x), type_of(x));
}

static const struct udp_family {
	sa_family_t family;
	char digit;
	const char *type;
	const char *asks, *answers; /* a client's address and port, and our port */
	const char *comes, *goes; /* those and our address, from ours on */
} udp_families[] = {
	{ AF_INET, '4', "ipv4_addr", "ip saddr . udp sport . udp dport",
	  "ip daddr . udp dport . udp sport", "ip daddr . udp dport . ip saddr . udp sport",
	  "ip saddr . udp sport . ip daddr . udp dport" },
	{ AF_INET6, '6', "ipv6_addr", "ip6 saddr . udp sport . udp dport",
	  "ip6 daddr . udp dport . udp sport", "ip6 daddr . udp dport . ip6 saddr . udp sport",
	  "ip6 saddr . udp sport . ip6 daddr . udp dport" },
};

/*
 * Whom the host asked, and who came in by a door that our address does not tell
 * of: a VPN peer that asks for the LAN's address.
 */
static void udp_door_sets(struct nft *n, const struct udp_family *f)
{
	text_addf(&n->t,
		  "\tset asked%c {\n\t\ttype %s . inet_service . inet_service\n" CLIENTS "\t}\n",
		  f->digit, f->type);
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (strays(n, &n->m->doors[i]))
			text_addf(&n->t,
				  "\tset stray%c_%u {\n"
				  "\t\ttype %s . inet_service . %s . inet_service\n" CLIENTS
				  "\t}\n",
				  f->digit, n->m->doors[i].number, f->type, f->type);
}

static void udp_learn_address(struct nft *n, const struct address *x)
{
	const struct udp_family *f = &udp_families[x->local.family != AF_INET];

	begin(n, arena_printf(n->arena, "learn_%08x", id_of(x)), "");
	rule(n, "update @spoken_%08x { %s }", id_of(x), f->asks);
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *y = &n->host->addresses[i];

		if (is_here(y) && y->local.family == x->local.family)
			rule(n, "%s @last_%08x { %s }", x == y ? "update" : "delete", id_of(y),
			     f->asks);
	}
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (!strays(n, d))
			continue;
		/* Rules ask nothing of a tunnel's address: its mark must tell. */
		if (d->tunnel || !is_owner(n, d, x))
			rule(n, "iifname \"%s\" update @stray%c_%u { %s }", d->name, f->digit,
			     d->number, f->comes);
		rule(n, "iifname != \"%s\" delete @stray%c_%u { %s }", d->name, f->digit, d->number,
		     f->comes);
	}
	end(n);
}

/*
 * Whom the host asked first, from a port that the kernel chose, is no client:
 * else a neighbour on the LAN that speaks in a name server's name draws the next
 * question out of the tunnel.  A service's port is another matter: it may answer
 * a client for the first time that asked before there was this table.
 */
static void udp_learn(struct nft *n)
{
	begin(n, "learn", "");
	for (size_t f = 0; f < ARRAY_LEN(udp_families); f++) {
		const char *chains = "", *word = "";

		rule(n, "%s @asked%c return", udp_families[f].asks, udp_families[f].digit);
		for (size_t i = 0; i < n->host->n_addresses; i++) {
			const struct address *x = &n->host->addresses[i];
			char ip[IP_TEXT_SIZE];

			if (!is_here(x) || x->local.family != udp_families[f].family)
				continue;
			word = ip_word(x);
			chains = listed(n, chains,
					arena_printf(n->arena, "%s : goto learn_%08x",
						     ip_text(&x->local, ip), id_of(x)));
		}
		if (*chains)
			rule(n, "%s daddr vmap { %s }", word, chains);
	}
	end(n);
}

static void udp_by_door(struct nft *n)
{
	begin(n, "by_door", "");
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		for (size_t f = 0; strays(n, d) && f < ARRAY_LEN(udp_families); f++)
			rule(n, "%s @stray%c_%u %s return", udp_families[f].goes,
			     udp_families[f].digit, d->number, marks(n, door_mark(d)));
	}
	end(n);
}

/* A socket that is bound to an address says the right one by itself. */
static void udp_answer(struct nft *n)
{
	begin(n, "answer_udp", "");
	rule(n, "oifname \"lo\" return");
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		const struct udp_family *f = &udp_families[x->local.family != AF_INET];
		char ip[IP_TEXT_SIZE];

		if (is_here(x))
			rule(n, "%s saddr %s socket wildcard 0 %s @spoken_%08x goto by_door",
			     ip_word(x), ip_text(&x->local, ip), f->answers, id_of(x));
	}
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		const struct udp_family *f = &udp_families[x->local.family != AF_INET];
		char ip[IP_TEXT_SIZE];

		if (is_here(x))
			rule(n, "%s @last_%08x %s saddr set %s goto by_door", f->answers, id_of(x),
			     ip_word(x), ip_text(&x->local, ip));
	}
	for (size_t f = 0; f < ARRAY_LEN(udp_families); f++)
		rule(n, "udp sport %u-%u update @asked%c { %s }",
		     n->wish->clients_last ? n->wish->clients_first : 32768,
		     n->wish->clients_last ? n->wish->clients_last : 60999, udp_families[f].digit,
		     udp_families[f].answers);
	end(n);
	begin(n, "answer", "route hook output priority -310");
	rule(n, "meta l4proto udp goto answer_udp");
	end(n);
}

static void udp(struct nft *n)
{
	for (size_t f = 0; f < ARRAY_LEN(udp_families); f++)
		udp_door_sets(n, &udp_families[f]);
	for (size_t i = 0; i < n->host->n_addresses; i++)
		if (is_here(&n->host->addresses[i]))
			udp_sets(n, &n->host->addresses[i]);
	for (size_t i = 0; i < n->host->n_addresses; i++)
		if (is_here(&n->host->addresses[i]))
			udp_learn_address(n, &n->host->addresses[i]);
	udp_learn(n);
	udp_by_door(n);
	udp_answer(n);
}

/* Was it so before the guard that marks are taken over?  Then others' marks mean something. */
static bool had(const struct nft *n, const char *what)
{
	for (size_t i = 0; i < n->wish->n_sysctls; i++)
		if (str_eq(n->wish->sysctls[i].what, what))
			return false;
	return true;
}

/*
 * The mark of what came in, for whoever takes it over: the whole of it, for
 * others' marks have said what they had to say, and have no business with a
 * socket (a transparent proxy's would lead its replies to itself).
 */
static void from_door(struct nft *n)
{
	const char *doors = "";

	begin(n, "from_door", "");
	if (had(n, GUARD_ACCEPT))
		rule(n, "meta l4proto tcp meta mark != 0 meta mark " NOT_OURS " return");
	if (had(n, GUARD_REFLECT4))
		rule(n, "meta l4proto != tcp meta mark != 0 meta mark " NOT_OURS " return");
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (has_mark(d))
			doors = listed(n, doors,
				       arena_printf(n->arena, "\"%s\" : 0x%x", d->name,
						    door_mark(d)));
	}
	if (*doors)
		rule(n, "meta mark set iifname map { %s } return", doors);
	rule(n, "meta l4proto tcp meta mark set 0");
	end(n);
}

/*
 * Last of all at the input hook: what the host's firewall drops tells nothing.
 * Policies of IPsec are asked about the mark once more behind this hook.  On
 * loopback the mark is that of the socket at the other end.  Tunnels of the
 * kernel pass marks on to what was inside, so UDP is marked only when no socket
 * waits for it.
 */
static void arrive(struct nft *n)
{
	begin(n, "arrive_first", "");
	if (n->wish->ipsec)
		rule(n, "meta ipsec exists return");
	rule(n, "iifname \"lo\" meta mark set 0 return");
	rule(n, "goto from_door");
	end(n);
	begin(n, "arrive_other", "");
	if (n->wish->ipsec)
		rule(n, "meta ipsec exists return");
	rule(n, "iifname \"lo\" return");
	rule(n, "meta l4proto udp socket wildcard <= 1 %s", n->wish->udp ? "goto learn" : "return");
	rule(n, "meta l4proto udp goto from_door");
	rule(n, "icmp type echo-request goto from_door");
	rule(n, "icmpv6 type echo-request goto from_door");
	end(n);
	begin(n, "arrive", "filter hook input priority 2147483646");
	rule(n, "meta l4proto != tcp goto arrive_other");
	/* The flags, without asking for the protocol again: SYN, and not FIN, RST or ACK. */
	rule(n, "@th,104,8 & 0x17 == 0x02 goto arrive_first");
	end(n);
}

/* What a connection's mark says, for a packet of it: chain KIND_NUMBER. */
static void by_mark(struct nft *n, const char *kind)
{
	const char *doors = "";

	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (has_mark(d))
			doors = listed(n, doors,
				       arena_printf(n->arena, "0x%x : goto %s_%u", door_mark(d),
						    kind, d->number));
	}
	if (*doors)
		rule(n, "ct mark and 0xffff0000 vmap { %s }", doors);
}

static void back_chains(struct nft *n)
{
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (!has_mark(d))
			continue;
		begin(n, arena_printf(n->arena, "back_%u", d->number), "");
		rule(n, "%s", marks(n, door_mark(d)));
		end(n);
	}
}

/* The names of those that no VPN made, "" if there are none. */
static const char *lan_doors(const struct nft *n)
{
	const char *doors = "";

	for (size_t i = 0; i < n->m->n_doors; i++)
		if (!n->m->doors[i].tunnel)
			doors = listed(n, doors,
				       arena_printf(n->arena, "\"%s\"", n->m->doors[i].name));
	return doors;
}

/*
 * What comes in unencrypted, by a LAN door, for a TCP connection that was met in its
 * middle, on its way out, is older than the guard: should policies of IPsec come, they
 * are passed by for it (xfrm()).
 */
static void in_its_middle(struct nft *n)
{
	const char *doors = lan_doors(n);

	if (*doors)
		rule(n,
		     "ct mark " NOT_OURS " ct direction reply tcp flags & syn == 0 "
		     "meta ipsec missing iifname { %s } fib daddr type local %s",
		     doors, notes(n, GUARD_MARK_BEFORE));
}

/*
 * After those that mark packets themselves (mangle, -150: wg-quick gives every
 * UDP packet its connection's mark, which would send it back out), before
 * addresses are translated.  Marks of ours are for replies alone.
 */
static void back(struct nft *n)
{
	back_chains(n);
	begin(n, "back", "filter hook prerouting priority -149");
	/* Nearly every packet ends here. */
	rule(n, "ct direction original meta mark " NOT_OURS " return");
	rule(n, "iifname \"lo\" return");
	rule(n, "meta mark " OURS " meta mark set meta mark and 0x%08x", REST);
	rule(n, "ct direction original return");
	by_mark(n, "back");
	/* Not known by any door: it is older than the guard, or the host began it. */
	if (n->wish->ipsec)
		in_its_middle(n);
	rule(n, "ct mark " OURS " return");
	rule(n, "fib daddr type local %s return", notes(n, GUARD_MARK_OTHER));
	rule(n, "%s", marks(n, GUARD_MARK_BEFORE));
	end(n);
}

static void through(struct nft *n)
{
	begin(n, "through", "filter hook forward priority -150");
	rule(n, "ct mark " OURS " return");
	rule(n, "ct direction reply return");
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (has_mark(&n->m->doors[i]))
			rule(n, "iifname \"%s\" %s return", n->m->doors[i].name,
			     notes(n, door_mark(&n->m->doors[i])));
	rule(n, "ct state new %s", notes(n, GUARD_MARK_OTHER));
	end(n);
}

/* While a trial has run out, all go the way that they went before. */
static void trial(struct nft *n)
{
	text_add(&n->t, "\tset trial {\n\t\ttypeof meta nfproto\n\t\tflags timeout\n\t}\n");
	if (!n->wish->trial)
		return;
	begin(n, "leave", "route hook output priority -140");
	rule(n, "oifname != \"lo\" meta nfproto != @trial %s", marks(n, GUARD_MARK_BEFORE));
	end(n);
}

/* A packet of a connection that came in by @d, unless it goes there as it is. */
static void xfrm_door(struct nft *n, const struct guard_door *d)
{
	begin(n, arena_printf(n->arena, "pass_%u", d->number), "");
	rule(n, "oifname \"%s\" rt ipsec missing return", d->name);
	rule(n, "%s", marks(n, door_mark(d)));
	end(n);
}

/*
 * What comes decrypted belongs to no door, whatever mark its envelope had; what
 * comes as it is, and belongs to a connection that did, gets a mark that no rule
 * looks for.
 */
static void xfrm_arrive(struct nft *n)
{
	begin(n, "arrive_xfrm", "filter hook prerouting priority -148");
	rule(n, "iifname \"lo\" return");
	rule(n, "meta ipsec exists meta mark " OURS " meta mark set meta mark and 0x%08x", REST);
	rule(n, "meta ipsec exists ct direction original %s", notes(n, GUARD_MARK_OTHER));
	rule(n, "meta ipsec exists return");
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (has_mark(&n->m->doors[i]))
			rule(n, "ct mark " NOT_OURS " ct direction original iifname \"%s\" %s",
			     n->m->doors[i].name, notes(n, door_mark(&n->m->doors[i])));
	in_its_middle(n);
	rule(n, "ct mark " NOT_OURS " return");
	rule(n, "ct mark and 0x%08x == 0x%08x return", GUARD_MARK_MASK, GUARD_MARK_OTHER);
	rule(n, "meta mark " OURS " return");
	rule(n, "%s", marks(n, GUARD_MARK_REQUEST));
	end(n);
}

/* What --lan names stays out of IPsec as it stays out of tunnels, and is answered so. */
static void xfrm_lan(struct nft *n)
{
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < n->wish->n_lan; i++)
		rule(n, "ct direction original %s daddr %s fib daddr type != local %s",
		     n->wish->lan[i].ip.family == AF_INET ? "ip" : "ip6",
		     prefix_text(&n->wish->lan[i], text), notes(n, GUARD_MARK_BEFORE));
}

/*
 * A TCP connection that is met in its middle is older than this chain: it goes
 * on as it went, by a LAN door.
 */
static void xfrm_older(struct nft *n)
{
	const char *doors = lan_doors(n);

	if (*doors)
		rule(n,
		     "ct mark " NOT_OURS " tcp flags & syn == 0 rt ipsec missing oifname { %s } %s",
		     doors, notes(n, GUARD_MARK_BEFORE));
}

/*
 * One that was silent since before there were policies: its first packet already
 * has a route of theirs, and only its ends tell that it went unencrypted.
 */
static void xfrm_plain_set(struct nft *n, const struct udp_family *f)
{
	const char *ends = "";

	for (size_t i = 0; i < n->wish->n_plain; i++) {
		const struct socket_seen *s = &n->wish->plain[i];
		char peer[IP_TEXT_SIZE], local[IP_TEXT_SIZE];

		if (s->local.family != f->family)
			continue;
		text_addf(&n->t, "%s%s . %u . %s . %u",
			  *ends ? ", "
				: arena_printf(n->arena,
					       "\tset plain%c {\n\t\ttype %s . "
					       "inet_service . %s . inet_service\n"
					       "\t\telements = { ",
					       f->digit, f->type, f->type),
			  ip_text(&s->peer, peer), s->peer_port, ip_text(&s->local, local),
			  s->local_port);
		ends = " }\n\t}\n";
	}
	text_add(&n->t, ends);
}

static bool has_plain(const struct nft *n, sa_family_t family)
{
	for (size_t i = 0; i < n->wish->n_plain; i++)
		if (n->wish->plain[i].local.family == family)
			return true;
	return false;
}

static void xfrm_plain(struct nft *n)
{
	if (has_plain(n, AF_INET))
		rule(n,
		     "ct mark " NOT_OURS " ip daddr . tcp dport . ip saddr . tcp sport @plain4 %s",
		     notes(n, GUARD_MARK_BEFORE));
	if (has_plain(n, AF_INET6))
		rule(n,
		     "ct mark " NOT_OURS
		     " ip6 daddr . tcp dport . ip6 saddr . tcp sport @plain6 %s",
		     notes(n, GUARD_MARK_BEFORE));
}

/* Packets of sockets that took a mark over are let pass by that, at the first lookup. */
static void xfrm_leave(struct nft *n)
{
	begin(n, "leave_xfrm", "route hook output priority -139");
	rule(n, "meta mark " OURS " return");
	xfrm_lan(n);
	xfrm_older(n);
	xfrm_plain(n);
	rule(n, "ct mark and 0x%08x == 0x%08x %s return", GUARD_MARK_MASK, GUARD_MARK_BEFORE,
	     marks(n, GUARD_MARK_BEFORE));
	rule(n, "ct mark " NOT_OURS " tcp flags & (syn | ack) == syn %s",
	     notes(n, GUARD_MARK_OTHER));
	by_mark(n, "pass");
	end(n);
}

/*
 * Around policies of IPsec (plan/guard_xfrm.h): only by tracking connections is it
 * known which packets belong to one that came in unencrypted.
 */
static void xfrm(struct nft *n)
{
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (has_mark(&n->m->doors[i]))
			xfrm_door(n, &n->m->doors[i]);
	for (size_t f = 0; f < ARRAY_LEN(udp_families); f++)
		xfrm_plain_set(n, &udp_families[f]);
	xfrm_arrive(n);
	xfrm_leave(n);
}

/* Emptied first: a link of the same name may have come back with another value. */
static void sysctls(struct nft *n)
{
	if (!n->wish->n_sysctls)
		return;
	text_add(&n->t, "\tmap " GUARD_SYSCTLS " {\n\t\ttype ifname : mark\n\t}\n}\n"
			"flush map inet " GUARD_NFT " " GUARD_SYSCTLS "\n"
			"table inet " GUARD_NFT " {\n"
			"\tmap " GUARD_SYSCTLS " {\n\t\ttype ifname : mark\n\t\telements = { ");
	for (size_t i = 0; i < n->wish->n_sysctls; i++)
		text_addf(&n->t, "%s\"%s\" : %u", i ? ", " : "", n->wish->sysctls[i].what,
			  n->wish->sysctls[i].was);
	text_add(&n->t, " }\n\t}\n");
}

/* Among LAN doors an address leads as it did before there was a guard. */
static bool has_tunnel(const struct nft *n)
{
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (n->m->doors[i].tunnel)
			return true;
	return false;
}

const char *guard_nft(struct arena *a, const struct guard_memory *m, const struct snapshot *host,
		      const struct guard_wish *wish)
{
	struct nft n = { .arena = a, .m = m, .host = host, .wish = wish };
	const char *text;

	text_add(&n.t, "table inet " GUARD_NFT " {\n}\n"
		       "flush table inet " GUARD_NFT "\n"
		       "table inet " GUARD_NFT " {\n");
	sysctls(&n);
	if (wish->udp)
		udp(&n);
	if (wish->udp || wish->xfrm || has_tunnel(&n)) {
		from_door(&n);
		arrive(&n);
	}
	if (wish->forwards) {
		back(&n);
		through(&n);
	}
	trial(&n);
	if (wish->xfrm)
		xfrm(&n);
	text_add(&n.t, "}\n");
	text = arena_strdup(a, text_str(&n.t));
	text_free(&n.t);
	return text;
}

const char *guard_nft_trial(struct arena *a, int64_t ms)
{
	const struct guard_wish wish = { .trial = true };
	struct nft n = { .arena = a, .wish = &wish };
	const char *text;

	text_add(&n.t, "table inet " GUARD_TRIAL_NFT " {\n}\n"
		       "flush table inet " GUARD_TRIAL_NFT "\n"
		       "table inet " GUARD_TRIAL_NFT " {\n");
	trial(&n);
	text_addf(&n.t,
		  "}\nflush set inet " GUARD_TRIAL_NFT " trial\n"
		  "add element inet " GUARD_TRIAL_NFT
		  " trial { ipv4 timeout %lldms, ipv6 timeout %lldms }\n",
		  (long long)ms, (long long)ms);
	text = arena_strdup(a, text_str(&n.t));
	text_free(&n.t);
	return text;
}

/* "\tchain NAME {" or "\tset NAME {" at the start of a line: the whole line, or NULL. */
static const char *block_head(struct arena *a, const char *line, const char *kind)
{
	const char *head = arena_printf(a, "\t%s ", kind);

	return str_starts(line, head) ? arena_strndup(a, line, strcspn(line, "\n")) : NULL;
}

const char *guard_nft_stale(struct arena *a, const char *text, const char *listed)
{
	static const char *const kinds[] = { "chain", "set", "map" };
	const char *commands = "";

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (const char *s = listed; *s; s += strcspn(s, "\n"), s += *s == '\n') {
			const char *head = block_head(a, s, kinds[k]);
			const char *name = head ? head + strlen(kinds[k]) + 2 : NULL;

			if (!head || strstr(text, arena_printf(a, "%s\n", head)))
				continue;
			commands = arena_printf(a, "%sdelete %s inet " GUARD_NFT " %.*s\n",
						commands, kinds[k], (int)strcspn(name, " "), name);
		}
	return commands;
}
