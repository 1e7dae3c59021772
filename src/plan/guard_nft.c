/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard's nft table.  Its rules are flushed and written anew in one
 * transaction; the table is never deleted while the guard stands, for its sets
 * are what is known of UDP clients.
 *
 * A reply of a socket that is bound to no address is the hard case: the kernel
 * asks main for the way, main says the tunnel, and the reply has the tunnel's
 * address before any hook sees it.  So the host notes to which of its addresses
 * each UDP client spoke, and puts that one back before connection tracking
 * looks (a route hook: the kernel asks for the way once more).
 */
#include "plan/guard.h"

#include "base/text.h"

#define OURS     "and 0xff000000 == 0x27000000"
#define NOT_OURS "and 0xff000000 != 0x27000000"
/* Of a word: everybody else's half. */
#define REST 0x0000ffffu

struct nft {
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

static bool is_here(const struct address *x, sa_family_t family)
{
	return x->local.family == family && !ip_is_loopback(&x->local) &&
	       !(family == AF_INET6 && ip_is_link_local(&x->local));
}

/* The addresses at which the host can be reached. */
static void here4(struct nft *n)
{
	bool any = false;

	text_add(&n->t, "\tset here4 {\n\t\ttype ipv4_addr\n");
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (!is_here(x, AF_INET))
			continue;
		text_addf(&n->t, "%s%s", any ? ", " : "\t\telements = { ", ip_text(&x->local, ip));
		any = true;
	}
	text_addf(&n->t, "%s\t}\n", any ? " }\n" : "");
}

#define DYNAMIC "\t\tsize 65536\n\t\tflags dynamic,timeout\n\t\ttimeout 3m\n\t}\n"

/* spoken: client, its port, our port, our address.  last4: which address of ours it was last. */
static void udp_sets(struct nft *n)
{
	text_add(&n->t, "\tset spoken4 {\n"
			"\t\ttype ipv4_addr . inet_service . inet_service . ipv4_addr\n" DYNAMIC
			"\tmap last4 {\n"
			"\t\ttype ipv4_addr . inet_service . inet_service : ipv4_addr\n" DYNAMIC
			"\tset spoken6 {\n"
			"\t\ttype ipv6_addr . inet_service . inet_service . ipv6_addr\n" DYNAMIC);
}

/* Sets are named by their addresses: they outlive the order of addresses. */
static uint32_t id_of(const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return (uint32_t)str_hash(ip_text(ip, text), 0);
}

/*
 * Of IPv6 a set for each address of ours says to whom it spoke last:
 * libnftables 1.0.6 runs out of registers where a packet updates a map.
 */
static void udp_last6(struct nft *n)
{
	for (size_t i = 0; i < n->host->n_addresses; i++)
		if (is_here(&n->host->addresses[i], AF_INET6))
			text_addf(&n->t,
				  "\tset last6_%08x {\n"
				  "\t\ttype ipv6_addr . inet_service . inet_service\n" DYNAMIC,
				  id_of(&n->host->addresses[i].local));
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];

		if (!is_here(x, AF_INET6))
			continue;
		text_addf(&n->t, "\tchain learn6_%08x {\n", id_of(&x->local));
		for (size_t j = 0; j < n->host->n_addresses; j++)
			if (is_here(&n->host->addresses[j], AF_INET6))
				text_addf(
					&n->t,
					"\t\t%s @last6_%08x { ip6 saddr . udp sport . udp dport }\n",
					i == j ? "update" : "delete",
					id_of(&n->host->addresses[j].local));
		text_add(&n->t, "\t}\n");
	}
}

static void udp_learn(struct nft *n)
{
	bool any = false;

	udp_last6(n);
	text_add(
		&n->t,
		"\tchain learn {\n"
		"\t\ttype filter hook input priority 0; policy accept;\n"
		"\t\tmeta l4proto != udp return\n"
		"\t\tiifname \"lo\" return\n"
		"\t\tct direction reply return\n"
		"\t\tip daddr @here4 update @spoken4 { ip saddr . udp sport . udp dport . ip daddr }\n"
		"\t\tip daddr @here4 update @last4 { ip saddr . udp sport . udp dport : ip daddr } return\n"
		"\t\tip6 daddr fe80::/10 return\n"
		"\t\tfib daddr type local update @spoken6 { ip6 saddr . udp sport . udp dport . ip6 daddr }\n");
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (!is_here(x, AF_INET6))
			continue;
		text_addf(&n->t, "%s%s : goto learn6_%08x", any ? ", " : "\t\tip6 daddr vmap { ",
			  ip_text(&x->local, ip), id_of(&x->local));
		any = true;
	}
	text_add(&n->t, any ? " }\n\t}\n" : "\t}\n");
}

/* A socket that is bound to an address says the right one by itself. */
static void udp_answer(struct nft *n)
{
	text_add(&n->t, "\tchain answer {\n"
			"\t\ttype route hook output priority -310; policy accept;\n"
			"\t\tmeta l4proto != udp return\n"
			"\t\toifname \"lo\" return\n"
			"\t\tip daddr . udp dport . udp sport . ip saddr @spoken4 return\n"
			"\t\tip saddr set ip daddr . udp dport . udp sport map @last4\n"
			"\t\tip6 daddr . udp dport . udp sport . ip6 saddr @spoken6 return\n");
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (is_here(x, AF_INET6))
			text_addf(
				&n->t,
				"\t\tip6 daddr . udp dport . udp sport @last6_%08x ip6 saddr set %s return\n",
				id_of(&x->local), ip_text(&x->local, ip));
	}
	text_add(&n->t, "\t}\n");
}

/* What a connection's mark says, for a packet of it: chain KIND_NUMBER. */
static void by_mark(struct nft *n, const char *kind)
{
	bool any = false;

	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (!has_mark(d))
			continue;
		text_addf(&n->t, "%s0x%x : goto %s_%u",
			  any ? ", " : "\t\tct mark and 0xffff0000 vmap { ", door_mark(d), kind,
			  d->number);
		any = true;
	}
	text_add(&n->t, any ? " }\n" : "");
}

static void set_mark(struct nft *n, uint32_t mark)
{
	text_addf(&n->t, "meta mark set meta mark and 0x%08x or 0x%08x", REST, mark);
}

static void door_chains(struct nft *n)
{
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (!has_mark(d))
			continue;
		text_addf(&n->t, "\tchain back_%u {\n\t\t", d->number);
		set_mark(n, door_mark(d));
		text_addf(&n->t, "\n\t}\n\tchain out_%u {\n\t\toifname \"%s\" return\n\t\t",
			  d->number, d->name);
		set_mark(n, door_mark(d));
		text_add(&n->t, "\n\t}\n");
	}
}

/*
 * After those that mark packets themselves (mangle, -150: wg-quick gives every
 * UDP packet its connection's mark, which would send it back out), before
 * addresses are translated.  Marks of ours are for replies alone.
 */
static void arrive(struct nft *n)
{
	text_add(&n->t, "\tchain back {\n");
	by_mark(n, "back");
	/* Not known by any door: it is older than the guard. */
	text_add(&n->t, "\t\tct mark " OURS " return\n\t\tfib daddr type local return\n\t\t");
	set_mark(n, GUARD_MARK_BEFORE);
	text_add(&n->t, "\n\t}\n\tchain arrive {\n"
			"\t\ttype filter hook prerouting priority -149; policy accept;\n"
			"\t\tiifname \"lo\" return\n");
	text_addf(&n->t, "\t\tmeta mark " OURS " meta mark set meta mark and 0x%08x\n", REST);
	text_add(&n->t, "\t\tct direction reply goto back\n\t\tct mark " OURS " return\n");
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (has_mark(&n->m->doors[i]))
			text_addf(
				&n->t,
				"\t\tiifname \"%s\" ct mark set ct mark and 0x%08x or 0x%08x return\n",
				n->m->doors[i].name, REST, door_mark(&n->m->doors[i]));
	text_addf(&n->t, "\t\tct state new ct mark set ct mark and 0x%08x or 0x%08x\n\t}\n", REST,
		  GUARD_MARK_OTHER);
}

/*
 * Of the host's own packets only those need a hand that the kernel sends by
 * another door than they came in by.  While a trial has run out, all go the way
 * that they went before.
 */
static void leave(struct nft *n)
{
	text_add(&n->t, "\tset trial {\n\t\ttypeof meta nfproto\n\t\tflags timeout\n\t}\n"
			"\tchain leave {\n"
			"\t\ttype route hook output priority -140; policy accept;\n"
			"\t\toifname \"lo\" return\n");
	if (n->wish->trial) {
		text_add(&n->t, "\t\tmeta nfproto != @trial ");
		set_mark(n, GUARD_MARK_BEFORE);
		text_add(&n->t, " return\n");
	}
	text_add(&n->t, "\t\tct direction original return\n");
	by_mark(n, "out");
	text_add(&n->t, "\t}\n");
}

const char *guard_nft(struct arena *a, const struct guard_memory *m, const struct snapshot *host,
		      const struct guard_wish *wish)
{
	struct nft n = { .m = m, .host = host, .wish = wish };
	const char *text;

	text_add(&n.t, "table inet " GUARD_NFT " {\n"
		       "\tset here4 {\n\t\ttype ipv4_addr\n\t}\n"
		       "}\n"
		       "flush table inet " GUARD_NFT "\n"
		       "flush set inet " GUARD_NFT " here4\n"
		       "table inet " GUARD_NFT " {\n");
	here4(&n);
	udp_sets(&n);
	udp_learn(&n);
	udp_answer(&n);
	door_chains(&n);
	arrive(&n);
	leave(&n);
	text_add(&n.t, "}\n");
	text = arena_strdup(a, text_str(&n.t));
	text_free(&n.t);
	return text;
}
