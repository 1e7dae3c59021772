/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A firewall that drops replies cannot be led past: an accept of ours does not
 * overrule another chain's drop.  Each chain that a reply passes on its way out by
 * a door is asked about it, of nftables and of the old iptables(8).  Which service
 * it would come from is not known, so a rule that may fit it is taken to fit:
 * refused is only where no rule at all could let replies out.
 */
#include "daemon/guard.h"

#include "sys/xtables.h"
#include "wire/nft_judge.h"

#include <errno.h>
#include <linux/netfilter_ipv4.h>
#include <string.h>

/* Below it are ports of services, which no client asks from. */
#define CLIENT_PORTS 1024

/* Could a client have asked from a port of these? */
static bool has_clients_port(const json_t *value)
{
	const json_t *set = json_object_get(value, "set"), *item;
	const json_t *range = json_object_get(value, "range");
	size_t i;

	if (json_is_integer(value))
		return json_integer_value(value) >= CLIENT_PORTS;
	if (range)
		return json_integer_value(json_array_get(range, 1)) >= CLIENT_PORTS;
	json_array_foreach(set, i, item) if (has_clients_port(item)) return true;
	return !json_is_object(value); /* a named set */
}

static bool is_icmp(const char *name)
{
	return str_eq(name, "icmp") || str_eq(name, "icmpv6") || str_eq(name, "ipv6-icmp");
}

static enum nft_fits match_fits(const struct nft_judge *j, const json_t *match)
{
	const json_t *left = json_object_get(match, "left");
	const json_t *right = json_object_get(match, "right");
	const json_t *payload = json_object_get(left, "payload");
	const char *meta = nft_member(json_object_get(left, "meta"), "key");
	const char *ct = nft_member(json_object_get(left, "ct"), "key");
	const char *field = nft_member(payload, "field");
	bool inverted = str_eq(nft_member(match, "op"), "!=");

	if (json_is_string(right) && json_string_value(right)[0] == '@')
		return NFT_MAYBE;
	if (str_eq(meta, "oifname") || str_eq(meta, "oif"))
		return nft_fits_unless(nft_has_link(right, j->packet), inverted);
	if (str_eq(ct, "state"))
		return nft_fits_unless(nft_has_word(right, j->state), inverted);
	if (str_eq(ct, "direction"))
		return nft_fits_unless(nft_has_word(right, "reply"), inverted);
	if (is_icmp(nft_member(payload, "protocol")) ||
	    (str_eq(meta, "l4proto") && json_is_string(right) && is_icmp(json_string_value(right))))
		return inverted ? NFT_MAYBE : NFT_NEVER;
	if (str_eq(field, "dport") && !inverted)
		return has_clients_port(right) ? NFT_MAYBE : NFT_NEVER;
	return NFT_MAYBE;
}

/* Before connections are tracked nobody knows that it is a reply. */
static bool is_tracked(const json_t *chain)
{
	return !str_eq(nft_member(chain, "hook"), "output") ||
	       json_integer_value(json_object_get(chain, "prio")) > NF_IP_PRI_CONNTRACK;
}

static const char *iptables_line(struct arena *a, const char *tool, const char *table,
				 const char *chain, const char *door, bool tracked)
{
	return arena_printf(a, "%s -t %s -I %s %s -j ACCEPT", tool, table, chain,
			    tracked ? "-m conntrack --ctstate ESTABLISHED,RELATED"
				    : arena_printf(a, "-o %s", door));
}

/* iptables does not touch a table again that nft has put rules into. */
static const char *line_to_add(struct arena *a, const struct nft_judge *j, const json_t *chain)
{
	const char *name = nft_member(chain, "name"), *door = j->packet;
	bool iptables = str_eq(name, "OUTPUT") || str_eq(name, "POSTROUTING");

	if (iptables && !str_eq(j->family, "inet"))
		return iptables_line(a, str_eq(j->family, "ip6") ? "ip6tables" : "iptables",
				     j->table, name, door, is_tracked(chain));
	return arena_printf(a, "nft 'insert rule %s %s %s %s accept'", j->family, j->table, name,
			    is_tracked(chain) ? "ct state established,related"
					      : arena_printf(a, "oifname \"%s\"", door));
}

static bool has_family(const struct snapshot *host, const char *door, const char *family)
{
	const struct link *l = snapshot_link_by_name(host, door);

	for (size_t i = 0; l && i < host->n_addresses; i++) {
		const struct ip *ip = &host->addresses[i].local;

		if (host->addresses[i].link == l->index &&
		    !(ip->family == AF_INET6 && ip_is_link_local(ip)) &&
		    (str_eq(family, "inet") ||
		     str_eq(family, ip->family == AF_INET ? "ip" : "ip6")))
			return true;
	}
	return false;
}

struct check {
	struct guard *guard;
	struct arena *arena;
	const struct snapshot *host;
};

/* May replies of this family have to leave by it? */
static bool is_asked(const struct check *c, const struct guard_door *d, const char *family)
{
	return guard_leads_on(&c->guard->memory, c->host, d) &&
	       has_family(c->host, d->name, family);
}

static int check_chain(struct nft_judge *j, const json_t *chain, void *ctx, struct err *e)
{
	const struct check *c = ctx;
	const struct guard_memory *m = &c->guard->memory;

	j->state = is_tracked(chain) ? "established" : "invalid";
	for (size_t i = 0; i < m->n_doors; i++) {
		const char *how;

		j->packet = m->doors[i].name;
		if (!is_asked(c, &m->doors[i], j->family))
			continue;
		how = nft_judge_drop(c->arena, j, chain, "replies");
		if (how)
			return err_set(e, EPERM,
				       "the host's firewall drops replies by %s: chain %s of table "
				       "%s %s %s. Add this line, then try again:\n  %s",
				       m->doors[i].name, nft_member(chain, "name"), j->family,
				       j->table, how, line_to_add(c->arena, j, chain));
	}
	return 0;
}

/* --- the old iptables(8) -------------------------------------------------------------- */

/* In both families the same; its table `nat` lets no rule drop anything. */
static const struct {
	const char *table, *chain;
	unsigned hook;
	bool tracked;
} olds[] = {
	{ "raw", "OUTPUT", NF_INET_LOCAL_OUT, false },
	{ "mangle", "OUTPUT", NF_INET_LOCAL_OUT, true },
	{ "filter", "OUTPUT", NF_INET_LOCAL_OUT, true },
	{ "security", "OUTPUT", NF_INET_LOCAL_OUT, true },
	{ "mangle", "POSTROUTING", NF_INET_POST_ROUTING, true },
};

static int check_old(const struct check *c, sa_family_t family, size_t old,
		     const struct xtables_table *t, struct err *e)
{
	const struct guard_memory *m = &c->guard->memory;

	for (size_t i = 0; i < m->n_doors; i++) {
		const char *door = m->doors[i].name, *tool = xtables_tool(family);
		const struct xtables_packet reply = {
			.out = door,
			.answers = true,
			.state = olds[old].tracked ? XTABLES_ESTABLISHED : XTABLES_INVALID,
		};
		enum xtables_way way;

		if (!is_asked(c, &m->doors[i], family == AF_INET ? "ip" : "ip6"))
			continue;
		if (xtables_way(t, olds[old].hook, &reply, &way) < 0)
			return err_set(e, EBADMSG, "cannot understand table %s of %s",
				       olds[old].table, tool);
		if (way != XTABLES_PASSES)
			return err_set(e, EPERM,
				       "the host's firewall drops replies by %s: chain %s of table "
				       "%s of %s %s. Add this line, then try again:\n  %s",
				       door, olds[old].chain, olds[old].table, tool,
				       way == XTABLES_POLICY
					       ? "has policy DROP, and nothing lets on replies"
					       : "has a rule that drops replies",
				       iptables_line(c->arena, tool, olds[old].table,
						     olds[old].chain, door, olds[old].tracked));
	}
	return 0;
}

static int check_olds(const struct check *c, struct err *e)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };

	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (size_t i = 0; i < ARRAY_LEN(olds); i++) {
			struct xtables_table t;
			int r = xtables_read(c->arena, families[f], olds[i].table, &t, e);

			if (r > 0)
				r = check_old(c, families[f], i, &t, e);
			if (r < 0)
				return r;
		}
	return 0;
}

int guard_firewall_check(struct guard *g, struct err *e)
{
	static const char *const hooks[] = { "output", "postrouting", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	struct check c = { .guard = g, .arena = &a, .host = &host };
	struct nft_judge j = { .match = match_fits };
	const char *text;
	int r = guard_look(g, &a, &host, e);

	if (r == 0)
		r = nft_list_json(g->nft, &a, "ruleset", &text, e);
	if (r == 0)
		r = nft_judge_ruleset(text, hooks, &j, check_chain, &c, e);
	return r < 0 ? r : check_olds(&c, e);
}
