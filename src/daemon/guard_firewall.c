/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A firewall that drops replies cannot be led past: an accept of ours does not
 * overrule another chain's drop.  Each base chain at the output hook is asked
 * about a reply that leaves by a door.  Which service it would come from is not
 * known, so a rule that may fit it is taken to fit: refused is only where no
 * rule at all could let replies out.
 */
#include "daemon/guard.h"

#include "wire/nft_judge.h"

#include <errno.h>
#include <jansson.h>
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
		return nft_fits_unless(nft_has_word(right, "established"), inverted);
	if (str_eq(ct, "direction"))
		return nft_fits_unless(nft_has_word(right, "reply"), inverted);
	if (is_icmp(nft_member(payload, "protocol")) ||
	    (str_eq(meta, "l4proto") && json_is_string(right) && is_icmp(json_string_value(right))))
		return inverted ? NFT_MAYBE : NFT_NEVER;
	if (str_eq(field, "dport") && !inverted)
		return has_clients_port(right) ? NFT_MAYBE : NFT_NEVER;
	return NFT_MAYBE;
}

/* iptables does not touch a table again that nft has put rules into. */
static const char *line_to_add(struct arena *a, const json_t *chain)
{
	const char *family = nft_member(chain, "family"), *table = nft_member(chain, "table");

	if (str_eq(nft_member(chain, "name"), "OUTPUT") && !str_eq(family, "inet"))
		return arena_printf(a,
				    "%s -t %s -I OUTPUT -m conntrack --ctstate "
				    "ESTABLISHED,RELATED -j ACCEPT",
				    str_eq(family, "ip6") ? "ip6tables" : "iptables", table);
	return arena_printf(a, "nft 'insert rule %s %s %s ct state established,related accept'",
			    family, table, nft_member(chain, "name"));
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

static int check_chain(struct guard *g, struct arena *a, const struct snapshot *host,
		       const json_t *rules, const json_t *chain, struct err *e)
{
	struct nft_judge j = { .rules = rules,
			       .family = nft_member(chain, "family"),
			       .table = nft_member(chain, "table"),
			       .state = "established",
			       .match = match_fits };
	bool policy = str_eq(nft_member(chain, "policy"), "drop");

	for (size_t i = 0; i < g->memory.n_doors; i++) {
		enum nft_says v;

		j.packet = g->memory.doors[i].name;
		if (!guard_leads_on(&g->memory, host, &g->memory.doors[i]) ||
		    !has_family(host, j.packet, j.family))
			continue;
		v = nft_judge_chain(&j, nft_member(chain, "name"));
		if (v == NFT_DROPS || (v == NFT_RETURNS && policy))
			return err_set(e, EPERM,
				       "the host's firewall drops replies by %s: chain %s of table "
				       "%s %s %s. Add this line, then try again:\n  %s",
				       (const char *)j.packet, nft_member(chain, "name"), j.family,
				       j.table,
				       v == NFT_DROPS ? "has a rule that drops them"
						      : "has policy drop and nothing lets them out",
				       line_to_add(a, chain));
	}
	return 0;
}

int guard_firewall_check(struct guard *g, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	const char *text;
	json_t *root, *rules, *item;
	json_error_t why;
	size_t i;
	int r = guard_look(g, &a, &host, e);

	if (r == 0)
		r = nft_list_json(g->nft, &a, "ruleset", &text, e);
	if (r < 0)
		return r;
	root = json_loads(text, 0, &why);
	if (!root)
		return err_set(e, EPROTO, "nft list ruleset: %s", why.text);
	rules = json_object_get(root, "nftables");
	json_array_foreach(rules, i, item)
	{
		const json_t *chain = json_object_get(item, "chain");

		if (r == 0 && str_eq(nft_member(chain, "hook"), "output") &&
		    !str_eq(nft_member(chain, "type"), "nat"))
			r = check_chain(g, &a, &host, rules, chain, e);
	}
	json_decref(root);
	return r;
}
