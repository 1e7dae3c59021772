/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard's tables ip and ip6: what packets from and to the host itself meet.
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
 * asks for the way once more).
 *
 * No hook is passed by UDP alone, so TCP pays for these.  Two hooks with nothing in
 * them leave 0.984 of an unguarded host's round trips (6.1 us of CPU time for both
 * ends on one CPU): nftables has nothing cheaper.  These leave 0.979 (0.975, 0.979 and
 * 0.982 in three runs), and 0.964 of its connections; in one table inet that asks
 * `meta l4proto` it was 0.973 and 0.960.  So a data packet of TCP meets only what nft_do_chain()
 * (net/netfilter/nf_tables_core.c) does without a call: it loads a byte of a header,
 * masks and compares it.  `meta` is a call, each verdict is one, and in a table inet
 * the header's protocol cannot be asked without the version.  At input that are two
 * tests (not TCP; SYN), at output one.  In IPv6 the byte is the first next header:
 * what has extension headers is looked at more closely behind that.  A chain of type
 * filter is no cheaper than one of type route, nor is `meta l4proto` in a table ip
 * than in inet.
 *
 * What would cost TCP nothing (0.3 % measured, within the error) is BPF: a program at
 * sk_lookup, which sees datagrams and first packets only, to learn, and one at the
 * cgroups' sendmsg4, which sets the source before the first lookup, to answer.  It
 * cannot set a mark there, for clients whose door their address does not tell, and
 * needs a cgroup above all services: nft does both everywhere.  All that they could
 * do without is the hook at output.  For that the program would stand above the
 * services of all namespaces, those other clients would be answered by the wrong door
 * until there is a hook for them, and a socket with a port that is connected
 * afterwards would answer from the tunnel, for bpf_bind() refuses one with a port.
 */
#include "plan/guard_emit.h"

#include <string.h>

#define CLIENTS "\t\tsize 65536\n\t\tflags dynamic,timeout\n\t\ttimeout 3m\n"

/* One of the two tables. */
struct side {
	sa_family_t family;
	const char *word, *type;
	const char *proto, *icmp;
	const char *maybe_udp; /* all UDP, and what cannot be told from it by this header */
	const char *reflect; /* the sysctl */
	const char *asks, *answers; /* a client's address and port, and our port */
	const char *comes, *goes; /* those and our address, from ours on */
};

static const struct side sides[] = {
	{ AF_INET, "ip", "ipv4_addr", "ip protocol", "icmp", "ip protocol udp", GUARD_REFLECT4,
	  "ip saddr . udp sport . udp dport", "ip daddr . udp dport . udp sport",
	  "ip daddr . udp dport . ip saddr . udp sport",
	  "ip saddr . udp sport . ip daddr . udp dport" },
	{ AF_INET6, "ip6", "ipv6_addr", "ip6 nexthdr", "icmpv6", "ip6 nexthdr != tcp",
	  GUARD_REFLECT6, "ip6 saddr . udp sport . udp dport", "ip6 daddr . udp dport . udp sport",
	  "ip6 daddr . udp dport . ip6 saddr . udp sport",
	  "ip6 saddr . udp sport . ip6 daddr . udp dport" },
};

/* Of the host, in this table, and known beyond its link. */
static bool is_here(const struct side *s, const struct address *x)
{
	return x->local.family == s->family && !ip_is_loopback(&x->local) &&
	       !(s->family == AF_INET6 && ip_is_link_local(&x->local));
}

/* What belongs to loopback or to no door is nobody's. */
static bool is_owner(const struct guard_text *n, const struct guard_door *d,
		     const struct address *x)
{
	const struct link *l = snapshot_link_by_index(n->host, x->link);

	return l && str_eq(l->name, d->name);
}

/* May what comes in by @d leave elsewhere, if only its address is asked? */
static bool strays(const struct guard_text *n, const struct guard_door *d)
{
	return guard_has_mark(d) && (d->tunnel || guard_leads_on(n->m, n->host, d));
}

/* What belongs to an address is named by it: that outlives the order of addresses. */
static uint32_t id_of(const struct address *x)
{
	char text[IP_TEXT_SIZE];

	return (uint32_t)str_hash(ip_text(&x->local, text), 0);
}

/* --- UDP ------------------------------------------------------------------------------ */

/*
 * For each address of the host: the clients (address, port, port of ours) that
 * ever spoke to it, and those that did last.  Not a map from clients to
 * addresses: libnftables 1.0.6 dies of one that a packet updates, for IPv6.
 */
static void udp_sets(struct guard_text *n, const struct side *s, const struct address *x)
{
	static const char *const kinds[] = { "spoken", "last" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		text_addf(&n->t,
			  "\tset %s_%08x {\n\t\ttype %s . inet_service . inet_service\n" CLIENTS
			  "\t}\n",
			  kinds[i], id_of(x), s->type);
}

/*
 * Whom the host asked, and who came in by a door that our address does not tell
 * of: a VPN peer that asks for the LAN's address.
 */
static void udp_door_sets(struct guard_text *n, const struct side *s)
{
	text_addf(&n->t,
		  "\tset asked {\n\t\ttype %s . inet_service . inet_service\n" CLIENTS "\t}\n",
		  s->type);
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (strays(n, &n->m->doors[i]))
			text_addf(&n->t,
				  "\tset stray_%u {\n"
				  "\t\ttype %s . inet_service . %s . inet_service\n" CLIENTS
				  "\t}\n",
				  n->m->doors[i].number, s->type, s->type);
}

/*
 * Who speaks to one address spoke last to none of the others.  A rule for each in
 * each one's chain would be a square of them (half a minute of 250 addresses), so
 * they are the leaves of a tree: chain forget_A_B is for all from A to B, and an
 * address jumps to what stands beside its way down to it.
 */
struct addresses {
	const struct address **all;
	size_t n, cap;
};

static struct addresses addresses_here(const struct guard_text *n, const struct side *s)
{
	struct addresses ret = { 0 };

	for (size_t i = 0; i < n->host->n_addresses; i++)
		if (is_here(s, &n->host->addresses[i]))
			*arena_push(n->arena, ret.all, ret.n, ret.cap) = &n->host->addresses[i];
	return ret;
}

static const char *forget_chain(const struct guard_text *n, const struct addresses *x, size_t first,
				size_t end)
{
	return arena_printf(n->arena, "forget_%08x_%08x", id_of(x->all[first]),
			    id_of(x->all[end - 1]));
}

/* From @first on, before @end. */
static void udp_forget(struct guard_text *n, const struct side *s, const struct addresses *x,
		       size_t first, size_t end)
{
	if (end - first == 1)
		guard_rule(n, "delete @last_%08x { %s }", id_of(x->all[first]), s->asks);
	else
		guard_rule(n, "jump %s", forget_chain(n, x, first, end));
}

/* What somebody jumps to stands before. */
static void udp_forget_chains(struct guard_text *n, const struct side *s, const struct addresses *x,
			      size_t first, size_t end)
{
	size_t middle = first + (end - first) / 2;

	if (end - first < 2)
		return;
	udp_forget_chains(n, s, x, first, middle);
	udp_forget_chains(n, s, x, middle, end);
	if (end - first == x->n)
		return;
	guard_chain(n, forget_chain(n, x, first, end), "");
	udp_forget(n, s, x, first, middle);
	udp_forget(n, s, x, middle, end);
	guard_chain_end(n);
}

static void udp_forget_others(struct guard_text *n, const struct side *s, const struct addresses *x,
			      size_t at)
{
	for (size_t first = 0, end = x->n; end - first > 1;) {
		size_t middle = first + (end - first) / 2;

		if (at < middle) {
			udp_forget(n, s, x, middle, end);
			end = middle;
		} else {
			udp_forget(n, s, x, first, middle);
			first = middle;
		}
	}
}

static void udp_learn_address(struct guard_text *n, const struct side *s,
			      const struct addresses *all, size_t at)
{
	const struct address *x = all->all[at];

	guard_chain(n, arena_printf(n->arena, "learn_%08x", id_of(x)), "");
	guard_rule(n, "update @spoken_%08x { %s }", id_of(x), s->asks);
	guard_rule(n, "update @last_%08x { %s }", id_of(x), s->asks);
	udp_forget_others(n, s, all, at);
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (!strays(n, d))
			continue;
		/* Rules ask nothing of a tunnel's address: its mark must tell. */
		if (d->tunnel || !is_owner(n, d, x))
			guard_rule(n, "iifname \"%s\" update @stray_%u { %s }", d->name, d->number,
				   s->comes);
		guard_rule(n, "iifname != \"%s\" delete @stray_%u { %s }", d->name, d->number,
			   s->comes);
	}
	guard_chain_end(n);
}

/*
 * Whom the host asked first, from a port that the kernel chose, is no client:
 * else a neighbour on the LAN that speaks in a name server's name draws the next
 * question out of the tunnel.  A service's port is another matter: it may answer
 * a client for the first time that asked before there was this table.
 */
static void udp_learn(struct guard_text *n, const struct side *s)
{
	const char *chains = "";

	guard_chain(n, "learn", "");
	guard_rule(n, "%s @asked return", s->asks);
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (is_here(s, x))
			chains = guard_listed(n, chains,
					      arena_printf(n->arena, "%s : goto learn_%08x",
							   ip_text(&x->local, ip), id_of(x)));
	}
	if (*chains)
		guard_rule(n, "%s daddr vmap { %s }", s->word, chains);
	guard_chain_end(n);
}

/*
 * A tunnel without an address of its own lends the LAN's, and the reply would leave by
 * it with the right source: only another mark has the kernel ask for the way again.
 */
static void udp_not_by_tunnels(struct guard_text *n, const struct side *s)
{
	const char *tunnels = "", *ours = "";
	char ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < n->host->n_links; i++)
		if (guard_is_tunnel(&n->host->links[i]))
			tunnels = guard_listed(n, tunnels,
					       arena_printf(n->arena, "\"%s\"",
							    n->host->links[i].name));
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		const struct link *l = snapshot_link_by_index(n->host, x->link);

		if (l && !guard_is_tunnel(l) && is_here(s, x))
			ours = guard_listed(n, ours,
					    arena_strdup(n->arena, ip_text(&x->local, ip)));
	}
	if (*tunnels && *ours)
		guard_rule(n, "oifname { %s } %s saddr { %s } %s", tunnels, s->word, ours,
			   guard_marks(n, GUARD_MARK_REQUEST));
}

static void udp_by_door(struct guard_text *n, const struct side *s)
{
	guard_chain(n, "by_door", "");
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (strays(n, d))
			guard_rule(n, "%s @stray_%u %s return", s->goes, d->number,
				   guard_marks(n, guard_door_mark(d)));
	}
	udp_not_by_tunnels(n, s);
	guard_chain_end(n);
}

/* A socket that is bound to an address says the right one by itself. */
static void udp_answer(struct guard_text *n, const struct side *s)
{
	guard_chain(n, "answer_udp", "");
	guard_rule(n, "oifname \"lo\" return");
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (is_here(s, x))
			guard_rule(n, "%s saddr %s socket wildcard 0 %s @spoken_%08x goto by_door",
				   s->word, ip_text(&x->local, ip), s->answers, id_of(x));
	}
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (is_here(s, x))
			guard_rule(n, "%s @last_%08x %s saddr set %s goto by_door", s->answers,
				   id_of(x), s->word, ip_text(&x->local, ip));
	}
	guard_rule(n, "udp sport %u-%u update @asked { %s }",
		   n->wish->clients_last ? n->wish->clients_first : 32768,
		   n->wish->clients_last ? n->wish->clients_last : 60999, s->answers);
	guard_chain_end(n);
	guard_chain(n, "answer", "route hook output priority -310");
	guard_rule(n, "%s goto answer_udp", s->maybe_udp);
	guard_chain_end(n);
}

static void udp(struct guard_text *n, const struct side *s)
{
	struct addresses all = addresses_here(n, s);

	udp_door_sets(n, s);
	for (size_t i = 0; i < all.n; i++)
		udp_sets(n, s, all.all[i]);
	udp_forget_chains(n, s, &all, 0, all.n);
	for (size_t i = 0; i < all.n; i++)
		udp_learn_address(n, s, &all, i);
	udp_learn(n, s);
	udp_by_door(n, s);
	udp_answer(n, s);
}

/* --- what comes in ---------------------------------------------------------------------- */

/* Was it so before the guard that marks are taken over?  Then others' marks mean something. */
static bool had(const struct guard_text *n, const char *what)
{
	for (size_t i = 0; i < n->wish->n_sysctls; i++)
		if (str_eq(n->wish->sysctls[i].what, what))
			return false;
	return true;
}

/*
 * The mark of what came in, for whoever takes it over as sysctl @what says: the
 * whole of it, for others' marks have said what they had to say, and have no
 * business with a socket (a transparent proxy's would lead its replies to itself).
 */
static void from_door(struct guard_text *n, const char *what)
{
	const char *doors = "";

	if (had(n, what))
		guard_rule(n, "meta mark != 0 meta mark " GUARD_NOT_OURS " return");
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (guard_has_mark(d))
			doors = guard_listed(n, doors,
					     arena_printf(n->arena, "\"%s\" : 0x%x", d->name,
							  guard_door_mark(d)));
	}
	if (*doors)
		guard_rule(n, "meta mark set iifname map { %s } return", doors);
}

/* On loopback, which is no door, the mark is that of the socket at the other end. */
static void arrive_first(struct guard_text *n)
{
	guard_chain(n, "arrive_first", "");
	if (n->wish->ipsec)
		guard_rule(n, "meta ipsec exists return");
	from_door(n, GUARD_ACCEPT);
	guard_rule(n, "meta mark set 0");
	guard_chain_end(n);
}

/*
 * Tunnels of the kernel pass marks on to what was inside, so UDP is marked only when
 * no socket waits for it.
 */
static void arrive_other(struct guard_text *n, const struct side *s)
{
	guard_chain(n, "arrive_mark", "");
	from_door(n, s->reflect);
	guard_chain_end(n);
	guard_chain(n, "arrive_other", "");
	/* Behind extension headers. */
	if (s->family == AF_INET6)
		guard_rule(n, "meta l4proto tcp @th,104,8 & 0x17 == 0x02 goto arrive_first");
	if (n->wish->ipsec)
		guard_rule(n, "meta ipsec exists return");
	guard_rule(n, "iifname \"lo\" return");
	guard_rule(n, "meta l4proto udp socket wildcard <= 1 %s",
		   n->wish->udp ? "goto learn" : "return");
	guard_rule(n, "meta l4proto udp goto arrive_mark");
	guard_rule(n, "%s type echo-request goto arrive_mark", s->icmp);
	guard_chain_end(n);
}

/*
 * Last of all at the input hook: what the host's firewall drops tells nothing.
 * Policies of IPsec are asked about the mark once more behind this hook.
 */
static void arrive(struct guard_text *n, const struct side *s)
{
	arrive_first(n);
	arrive_other(n, s);
	guard_chain(n, "arrive", "filter hook input priority 2147483646");
	guard_rule(n, "%s != tcp goto arrive_other", s->proto);
	/* The flags, without asking for the protocol again: SYN, and not FIN, RST or ACK. */
	guard_rule(n, "@th,104,8 & 0x17 == 0x02 goto arrive_first");
	guard_chain_end(n);
}

void guard_hooks(struct guard_text *n, sa_family_t family)
{
	const struct side *s = &sides[family != AF_INET];

	if (n->wish->udp)
		udp(n, s);
	arrive(n, s);
}
