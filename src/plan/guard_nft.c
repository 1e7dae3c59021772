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

#include <string.h>

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

static bool is_here(const struct address *x)
{
	return !ip_is_loopback(&x->local) &&
	       !(x->local.family == AF_INET6 && ip_is_link_local(&x->local));
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
			  "\tset %s_%08x {\n\t\ttype %s . inet_service . inet_service\n"
			  "\t\tsize 65536\n\t\tflags dynamic,timeout\n\t\ttimeout 3m\n\t}\n",
			  kinds[i], id_of(x), type_of(x));
}

static void udp_learn_address(struct nft *n, const struct address *x)
{
	const char *ip = ip_word(x);

	text_addf(&n->t,
		  "\tchain learn_%08x {\n"
		  "\t\tupdate @spoken_%08x { %s saddr . udp sport . udp dport }\n",
		  id_of(x), id_of(x), ip);
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *y = &n->host->addresses[i];

		if (is_here(y) && y->local.family == x->local.family)
			text_addf(&n->t, "\t\t%s @last_%08x { %s saddr . udp sport . udp dport }\n",
				  x == y ? "update" : "delete", id_of(y), ip);
	}
	text_add(&n->t, "\t}\n");
}

static void udp_learn(struct nft *n)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	text_add(&n->t, "\tchain learn {\n"
			"\t\ttype filter hook input priority 0; policy accept;\n"
			"\t\tmeta l4proto != udp return\n"
			"\t\tiifname \"lo\" return\n"
			"\t\tct direction reply return\n");
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		bool any = false;

		for (size_t i = 0; i < n->host->n_addresses; i++) {
			const struct address *x = &n->host->addresses[i];
			char ip[IP_TEXT_SIZE];

			if (!is_here(x) || x->local.family != families[f])
				continue;
			if (!any)
				text_addf(&n->t, "\t\t%s daddr vmap { ", ip_word(x));
			text_addf(&n->t, "%s%s : goto learn_%08x", any ? ", " : "",
				  ip_text(&x->local, ip), id_of(x));
			any = true;
		}
		text_add(&n->t, any ? " }\n" : "");
	}
	text_add(&n->t, "\t}\n");
}

/* A socket that is bound to an address says the right one by itself. */
static void udp_answer(struct nft *n)
{
	text_add(&n->t, "\tchain answer {\n"
			"\t\ttype route hook output priority -310; policy accept;\n"
			"\t\tmeta l4proto != udp return\n"
			"\t\toifname \"lo\" return\n");
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (is_here(x))
			text_addf(
				&n->t,
				"\t\t%s saddr %s %s daddr . udp dport . udp sport @spoken_%08x return\n",
				ip_word(x), ip_text(&x->local, ip), ip_word(x), id_of(x));
	}
	for (size_t i = 0; i < n->host->n_addresses; i++) {
		const struct address *x = &n->host->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (is_here(x))
			text_addf(
				&n->t,
				"\t\t%s daddr . udp dport . udp sport @last_%08x %s saddr set %s return\n",
				ip_word(x), id_of(x), ip_word(x), ip_text(&x->local, ip));
	}
	text_add(&n->t, "\t}\n");
}

static void udp(struct nft *n)
{
	for (size_t i = 0; i < n->host->n_addresses; i++)
		if (is_here(&n->host->addresses[i]))
			udp_sets(n, &n->host->addresses[i]);
	for (size_t i = 0; i < n->host->n_addresses; i++)
		if (is_here(&n->host->addresses[i]))
			udp_learn_address(n, &n->host->addresses[i]);
	udp_learn(n);
	udp_answer(n);
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
			/* Nearly every packet ends here. */
			"\t\tct direction original ct mark " OURS " meta mark " NOT_OURS " return\n"
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
			"\t\ttype route hook output priority -140; policy accept;\n");
	if (n->wish->trial) {
		text_add(&n->t, "\t\toifname != \"lo\" meta nfproto != @trial ");
		set_mark(n, GUARD_MARK_BEFORE);
		text_add(&n->t, " return\n");
	}
	by_mark(n, "out");
	/* What the host starts is not older than the guard either. */
	text_addf(&n->t,
		  "\t\tct state new ct mark " NOT_OURS
		  " ct mark set ct mark and 0x%08x or 0x%08x\n\t}\n",
		  REST, GUARD_MARK_OTHER);
}

/* Emptied first: a link of the same name may have come back with another value. */
static void filters(struct nft *n)
{
	if (!n->wish->n_filters)
		return;
	text_add(&n->t, "\tmap " GUARD_FILTERS " {\n\t\ttype ifname : mark\n\t}\n}\n"
			"flush map inet " GUARD_NFT " " GUARD_FILTERS "\n"
			"table inet " GUARD_NFT " {\n"
			"\tmap " GUARD_FILTERS " {\n\t\ttype ifname : mark\n\t\telements = { ");
	for (size_t i = 0; i < n->wish->n_filters; i++)
		text_addf(&n->t, "%s\"%s\" : %u", i ? ", " : "", n->wish->filters[i].link,
			  n->wish->filters[i].was);
	text_add(&n->t, " }\n\t}\n");
}

const char *guard_nft(struct arena *a, const struct guard_memory *m, const struct snapshot *host,
		      const struct guard_wish *wish)
{
	struct nft n = { .m = m, .host = host, .wish = wish };
	const char *text;

	text_add(&n.t, "table inet " GUARD_NFT " {\n}\n"
		       "flush table inet " GUARD_NFT "\n"
		       "table inet " GUARD_NFT " {\n");
	filters(&n);
	udp(&n);
	door_chains(&n);
	arrive(&n);
	leave(&n);
	text_add(&n.t, "}\n");
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
