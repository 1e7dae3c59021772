/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard's nft tables.  Their rules are flushed and written anew in one
 * transaction; the tables are never deleted while the guard stands, for their sets
 * are what is known of UDP clients.
 *
 * What the host itself says and hears is the business of tables ip and ip6
 * (plan/guard_hooks.c); table inet has what is for both families: what the guard
 * remembers, forwarded connections, the trial, and IPsec's policies.  Older versions
 * have all in that one; what is left of it goes when it is found (guard_nft_stale()).
 *
 * Tracking connections costs every packet of the host more than all the rest, and
 * every hook that a packet passes costs it something: here is no more than this
 * host needs.
 *
 * Forwarded: whoever publishes ports of containers translates addresses, and
 * tracks connections for that.  A connection's mark tells the door.
 */
#include "plan/guard_emit.h"
#include "plan/guard_learn.h"

#include <stdarg.h>
#include <string.h>

#define OURS "and 0xff000000 == 0x27000000"

const char *const guard_nft_families[GUARD_NFT_TABLES] = { "inet", "ip", "ip6" };

uint32_t guard_door_mark(const struct guard_door *d)
{
	return (GUARD_TABLE_DOOR + d->number) << 16;
}

bool guard_has_mark(const struct guard_door *d)
{
	return d->number < GUARD_DOORS_MAX;
}

void guard_rule(struct guard_text *n, const char *fmt, ...)
{
	va_list ap;

	text_add(&n->t, "\t\t");
	va_start(ap, fmt);
	text_addv(&n->t, fmt, ap);
	va_end(ap);
	text_add(&n->t, "\n");
}

void guard_chain(struct guard_text *n, const char *chain, const char *hook)
{
	text_addf(&n->t, "\tchain %s {\n", chain);
	if (*hook)
		text_addf(&n->t, "\t\ttype %s; policy accept;\n", hook);
}

void guard_chain_end(struct guard_text *n)
{
	text_add(&n->t, "\t}\n");
}

const char *guard_marks(const struct guard_text *n, uint32_t mark)
{
	return arena_printf(n->arena, "meta mark set meta mark and 0x%08x or 0x%08x", GUARD_REST,
			    mark);
}

/* The same of a connection's mark. */
static const char *notes(const struct guard_text *n, uint32_t mark)
{
	return arena_printf(n->arena, "ct mark set ct mark and 0x%08x or 0x%08x", GUARD_REST, mark);
}

const char *guard_listed(const struct guard_text *n, const char *list, const char *item)
{
	return *list ? arena_printf(n->arena, "%s, %s", list, item) : item;
}

/* What a connection's mark says, for a packet of it: chain KIND_NUMBER. */
static void by_mark(struct guard_text *n, const char *kind)
{
	const char *doors = "";

	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (guard_has_mark(d))
			doors = guard_listed(n, doors,
					     arena_printf(n->arena, "0x%x : goto %s_%u",
							  guard_door_mark(d), kind, d->number));
	}
	if (*doors)
		guard_rule(n, "ct mark and 0xffff0000 vmap { %s }", doors);
}

static void back_chains(struct guard_text *n)
{
	for (size_t i = 0; i < n->m->n_doors; i++) {
		const struct guard_door *d = &n->m->doors[i];

		if (!guard_has_mark(d))
			continue;
		guard_chain(n, arena_printf(n->arena, "back_%u", d->number), "");
		guard_rule(n, "%s", guard_marks(n, guard_door_mark(d)));
		guard_chain_end(n);
	}
}

/* The names of those that no VPN made, "" if there are none. */
static const char *lan_doors(const struct guard_text *n)
{
	const char *doors = "";

	for (size_t i = 0; i < n->m->n_doors; i++)
		if (!n->m->doors[i].tunnel)
			doors = guard_listed(n, doors,
					     arena_printf(n->arena, "\"%s\"", n->m->doors[i].name));
	return doors;
}

/*
 * What comes in unencrypted, by a LAN door, for a TCP connection that was met in its
 * middle, on its way out, is older than the guard: should policies of IPsec come, they
 * are passed by for it (xfrm()).
 */
static void in_its_middle(struct guard_text *n)
{
	const char *doors = lan_doors(n);

	if (*doors)
		guard_rule(n,
			   "ct mark " GUARD_NOT_OURS " ct direction reply tcp flags & syn == 0 "
			   "meta ipsec missing iifname { %s } fib daddr type local %s",
			   doors, notes(n, GUARD_MARK_BEFORE));
}

/*
 * After those that mark packets themselves (mangle, -150: wg-quick gives every
 * UDP packet its connection's mark, which would send it back out), before
 * addresses are translated.  Marks of ours are for replies alone.
 */
static void back(struct guard_text *n)
{
	back_chains(n);
	guard_chain(n, "back", "filter hook prerouting priority -149");
	/* Nearly every packet ends here. */
	guard_rule(n, "ct direction original meta mark " GUARD_NOT_OURS " return");
	guard_rule(n, "iifname \"lo\" return");
	guard_rule(n, "meta mark " OURS " meta mark set meta mark and 0x%08x", GUARD_REST);
	guard_rule(n, "ct direction original return");
	by_mark(n, "back");
	/* Not known by any door: it is older than the guard, or the host began it. */
	if (n->wish->ipsec)
		in_its_middle(n);
	guard_rule(n, "ct mark " OURS " return");
	guard_rule(n, "fib daddr type local %s return", notes(n, GUARD_MARK_OTHER));
	guard_rule(n, "%s", guard_marks(n, GUARD_MARK_BEFORE));
	guard_chain_end(n);
}

static void through(struct guard_text *n)
{
	guard_chain(n, "through", "filter hook forward priority -150");
	guard_rule(n, "ct mark " OURS " return");
	guard_rule(n, "ct direction reply return");
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (guard_has_mark(&n->m->doors[i]))
			guard_rule(n, "iifname \"%s\" %s return", n->m->doors[i].name,
				   notes(n, guard_door_mark(&n->m->doors[i])));
	guard_rule(n, "ct state new %s", notes(n, GUARD_MARK_OTHER));
	guard_chain_end(n);
}

/* While a trial has run out, all go the way that they went before. */
static void trial(struct guard_text *n)
{
	text_add(&n->t, "\tset trial {\n\t\ttypeof meta nfproto\n\t\tflags timeout\n\t}\n");
	if (!n->wish->trial)
		return;
	guard_chain(n, "leave", "route hook output priority -140");
	guard_rule(n, "oifname != \"lo\" meta nfproto != @trial %s",
		   guard_marks(n, GUARD_MARK_BEFORE));
	guard_chain_end(n);
}

/* A packet of a connection that came in by @d, unless it goes there as it is. */
static void xfrm_door(struct guard_text *n, const struct guard_door *d)
{
	guard_chain(n, arena_printf(n->arena, "pass_%u", d->number), "");
	guard_rule(n, "oifname \"%s\" rt ipsec missing return", d->name);
	guard_rule(n, "%s", guard_marks(n, guard_door_mark(d)));
	guard_chain_end(n);
}

/*
 * What comes decrypted belongs to no door, whatever mark its envelope had; what
 * comes as it is, and belongs to a connection that did, gets a mark that no rule
 * looks for.
 */
static void xfrm_arrive(struct guard_text *n)
{
	guard_chain(n, "arrive_xfrm", "filter hook prerouting priority -148");
	guard_rule(n, "iifname \"lo\" return");
	guard_rule(n, "meta ipsec exists meta mark " OURS " meta mark set meta mark and 0x%08x",
		   GUARD_REST);
	guard_rule(n, "meta ipsec exists ct direction original %s", notes(n, GUARD_MARK_OTHER));
	guard_rule(n, "meta ipsec exists return");
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (guard_has_mark(&n->m->doors[i]))
			guard_rule(n,
				   "ct mark " GUARD_NOT_OURS
				   " ct direction original iifname \"%s\" %s",
				   n->m->doors[i].name, notes(n, guard_door_mark(&n->m->doors[i])));
	in_its_middle(n);
	guard_rule(n, "ct mark " GUARD_NOT_OURS " return");
	guard_rule(n, "ct mark and 0x%08x == 0x%08x return", GUARD_MARK_MASK, GUARD_MARK_OTHER);
	guard_rule(n, "meta mark " OURS " return");
	guard_rule(n, "%s", guard_marks(n, GUARD_MARK_REQUEST));
	guard_chain_end(n);
}

/* What --lan names stays out of IPsec as it stays out of tunnels, and is answered so. */
static void xfrm_lan(struct guard_text *n)
{
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < n->wish->n_lan; i++)
		guard_rule(n, "ct direction original %s daddr %s fib daddr type != local %s",
			   n->wish->lan[i].ip.family == AF_INET ? "ip" : "ip6",
			   prefix_text(&n->wish->lan[i], text), notes(n, GUARD_MARK_BEFORE));
}

/*
 * A TCP connection that is met in its middle is older than this chain: it goes
 * on as it went, by a LAN door.
 */
static void xfrm_older(struct guard_text *n)
{
	const char *doors = lan_doors(n);

	if (*doors)
		guard_rule(n,
			   "ct mark " GUARD_NOT_OURS
			   " tcp flags & syn == 0 rt ipsec missing oifname { %s } %s",
			   doors, notes(n, GUARD_MARK_BEFORE));
}

/*
 * One that was silent since before there were policies: its first packet already
 * has a route of theirs, and only its ends tell that it went unencrypted.
 */
static void xfrm_plain_set(struct guard_text *n, sa_family_t family)
{
	const char *type = family == AF_INET ? "ipv4_addr" : "ipv6_addr", *ends = "";

	for (size_t i = 0; i < n->wish->n_plain; i++) {
		const struct socket_seen *s = &n->wish->plain[i];
		char peer[IP_TEXT_SIZE], local[IP_TEXT_SIZE];

		if (s->local.family != family)
			continue;
		text_addf(&n->t, "%s%s . %u . %s . %u",
			  *ends ? ", "
				: arena_printf(n->arena,
					       "\tset plain%c {\n\t\ttype %s . "
					       "inet_service . %s . inet_service\n"
					       "\t\telements = { ",
					       family == AF_INET ? '4' : '6', type, type),
			  ip_text(&s->peer, peer), s->peer_port, ip_text(&s->local, local),
			  s->local_port);
		ends = " }\n\t}\n";
	}
	text_add(&n->t, ends);
}

static bool has_plain(const struct guard_text *n, sa_family_t family)
{
	for (size_t i = 0; i < n->wish->n_plain; i++)
		if (n->wish->plain[i].local.family == family)
			return true;
	return false;
}

static void xfrm_plain(struct guard_text *n)
{
	if (has_plain(n, AF_INET))
		guard_rule(n,
			   "ct mark " GUARD_NOT_OURS
			   " ip daddr . tcp dport . ip saddr . tcp sport @plain4 %s",
			   notes(n, GUARD_MARK_BEFORE));
	if (has_plain(n, AF_INET6))
		guard_rule(n,
			   "ct mark " GUARD_NOT_OURS
			   " ip6 daddr . tcp dport . ip6 saddr . tcp sport @plain6 %s",
			   notes(n, GUARD_MARK_BEFORE));
}

/* Packets of sockets that took a mark over are let pass by that, at the first lookup. */
static void xfrm_leave(struct guard_text *n)
{
	guard_chain(n, "leave_xfrm", "route hook output priority -139");
	guard_rule(n, "meta mark " OURS " return");
	xfrm_lan(n);
	xfrm_older(n);
	xfrm_plain(n);
	guard_rule(n, "ct mark and 0x%08x == 0x%08x %s return", GUARD_MARK_MASK, GUARD_MARK_BEFORE,
		   guard_marks(n, GUARD_MARK_BEFORE));
	guard_rule(n, "ct mark " GUARD_NOT_OURS " tcp flags & (syn | ack) == syn %s",
		   notes(n, GUARD_MARK_OTHER));
	by_mark(n, "pass");
	guard_chain_end(n);
}

/*
 * Around policies of IPsec (plan/guard_xfrm.h): only by tracking connections is it
 * known which packets belong to one that came in unencrypted.
 */
static void xfrm(struct guard_text *n)
{
	for (size_t i = 0; i < n->m->n_doors; i++)
		if (guard_has_mark(&n->m->doors[i]))
			xfrm_door(n, &n->m->doors[i]);
	xfrm_plain_set(n, AF_INET);
	xfrm_plain_set(n, AF_INET6);
	xfrm_arrive(n);
	xfrm_leave(n);
}

/* Emptied first: a link of the same name may have come back with another value. */
static void sysctls(struct guard_text *n)
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

static void both_families(struct guard_text *n)
{
	text_add(&n->t, "table inet " GUARD_NFT " {\n");
	sysctls(n);
	if (n->wish->forwards) {
		back(n);
		through(n);
	}
	trial(n);
	if (n->wish->xfrm)
		xfrm(n);
	text_add(&n->t, "}\n");
}

static void one_family(struct guard_text *n, sa_family_t family)
{
	text_addf(&n->t, "table %s " GUARD_NFT " {\n", family == AF_INET ? "ip" : "ip6");
	if (n->wish->udp || n->wish->xfrm || guard_has_tunnel(n->m))
		guard_hooks(n, family);
	text_add(&n->t, "}\n");
}

const char *guard_nft(struct arena *a, const struct guard_memory *m, const struct snapshot *host,
		      const struct guard_wish *wish)
{
	struct guard_text n = { .arena = a, .m = m, .host = host, .wish = wish };
	const char *text;

	for (size_t i = 0; i < ARRAY_LEN(guard_nft_families); i++)
		text_addf(&n.t, "table %s " GUARD_NFT " {\n}\nflush table %s " GUARD_NFT "\n",
			  guard_nft_families[i], guard_nft_families[i]);
	both_families(&n);
	one_family(&n, AF_INET);
	one_family(&n, AF_INET6);
	text = arena_strdup(a, text_str(&n.t));
	text_free(&n.t);
	return text;
}

const char *guard_nft_trial(struct arena *a, int64_t ms)
{
	const struct guard_wish wish = { .trial = true };
	struct guard_text n = { .arena = a, .wish = &wish };
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

/* What @text has of one table. */
static const char *of_family(struct arena *a, const char *text, const char *family)
{
	const char *head = arena_printf(a, "table %s " GUARD_NFT " {\n", family), *found = "";

	for (const char *s = strstr(text, head); s; s = strstr(s + 1, head)) {
		const char *close = strstr(s, "\n}");

		found = arena_printf(a, "%s%.*s\n", found,
				     (int)(close ? (size_t)(close - s) : strlen(s)), s);
	}
	return found;
}

static const char *stale_of(struct arena *a, const char *family, const char *text,
			    const char *listed)
{
	static const char *const kinds[] = { "chain", "set", "map" };
	const char *commands = "";

	for (size_t k = 0; k < ARRAY_LEN(kinds); k++)
		for (const char *s = listed; *s; s += strcspn(s, "\n"), s += *s == '\n') {
			const char *head = block_head(a, s, kinds[k]);
			const char *name = head ? head + strlen(kinds[k]) + 2 : NULL;

			if (!head || strstr(text, arena_printf(a, "%s\n", head)))
				continue;
			commands = arena_printf(a, "%sdelete %s %s " GUARD_NFT " %.*s\n", commands,
						kinds[k], family, (int)strcspn(name, " "), name);
		}
	return commands;
}

const char *guard_nft_stale(struct arena *a, const char *text, const char *listed)
{
	const char *commands = "";

	for (size_t i = 0; i < ARRAY_LEN(guard_nft_families); i++)
		commands = arena_printf(a, "%s%s", commands,
					stale_of(a, guard_nft_families[i],
						 of_family(a, text, guard_nft_families[i]),
						 of_family(a, listed, guard_nft_families[i])));
	return commands;
}
