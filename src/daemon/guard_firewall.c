/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A firewall that drops replies cannot be led past: an accept of ours does not
 * overrule another chain's drop.  Each base chain at the output hook is asked
 * about a reply that leaves by a door.  Which service it would come from is not
 * known, so a rule that may fit it is taken to fit: refused is only where no
 * rule at all could let replies out.
 */
#include "daemon/guard.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* nft allows 16 jumps, too (NFT_JUMP_STACK_SIZE). */
#define DEPTH_MAX 16

/* Below it are ports of services, which no client asks from. */
#define CLIENT_PORTS 1024

struct judge {
	const json_t *rules; /* of the whole ruleset */
	const char *family, *table;
	const char *door;
};

enum fits { NEVER, MAYBE, ALWAYS };
enum verdict { GOES_ON, RETURNS, ACCEPTS, DROPS };

static const char *member(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* Is @word @value, or one of it where it is a list or a set? */
static bool has_word(const json_t *value, const char *word)
{
	const json_t *set = json_object_get(value, "set"), *item;
	size_t i;

	if (json_is_string(value))
		return str_eq(json_string_value(value), word);
	json_array_foreach(set ? set : value, i, item) if (has_word(item, word)) return true;
	return false;
}

/* "eth*", too. */
static bool has_link(const json_t *value, const char *link)
{
	const json_t *set = json_object_get(value, "set"), *item;
	const char *name = json_string_value(value);
	size_t i, len = name ? strlen(name) : 0;

	if (len)
		return name[len - 1] == '*' ? strncmp(name, link, len - 1) == 0
					    : str_eq(name, link);
	json_array_foreach(set, i, item) if (has_link(item, link)) return true;
	return false;
}

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

static enum fits unless(bool is, bool inverted)
{
	return is != inverted ? ALWAYS : NEVER;
}

static bool is_icmp(const char *name)
{
	return str_eq(name, "icmp") || str_eq(name, "icmpv6") || str_eq(name, "ipv6-icmp");
}

static enum fits match_fits(const struct judge *j, const json_t *match)
{
	const json_t *left = json_object_get(match, "left");
	const json_t *right = json_object_get(match, "right");
	const json_t *payload = json_object_get(left, "payload");
	const char *meta = member(json_object_get(left, "meta"), "key");
	const char *ct = member(json_object_get(left, "ct"), "key");
	const char *field = member(payload, "field");
	bool inverted = str_eq(member(match, "op"), "!=");

	if (json_is_string(right) && json_string_value(right)[0] == '@')
		return MAYBE;
	if (str_eq(meta, "oifname") || str_eq(meta, "oif"))
		return unless(has_link(right, j->door), inverted);
	if (str_eq(ct, "state"))
		return unless(has_word(right, "established"), inverted);
	if (str_eq(ct, "direction"))
		return unless(has_word(right, "reply"), inverted);
	if (is_icmp(member(payload, "protocol")) ||
	    (str_eq(meta, "l4proto") && json_is_string(right) && is_icmp(json_string_value(right))))
		return inverted ? MAYBE : NEVER;
	if (str_eq(field, "dport") && !inverted)
		return has_clients_port(right) ? MAYBE : NEVER;
	return MAYBE;
}

/* All that a rule asks, before its verdict. */
static enum fits rule_fits(const struct judge *j, const json_t *expr)
{
	enum fits all = ALWAYS;
	json_t *item;
	size_t i;

	json_array_foreach(expr, i, item)
	{
		const json_t *match = json_object_get(item, "match");
		const json_t *xt = json_object_get(item, "xt");
		enum fits one = ALWAYS;

		if (match)
			one = match_fits(j, match);
		else if (json_object_get(item, "limit") || json_object_get(item, "quota") ||
			 str_eq(member(xt, "type"), "match"))
			one = MAYBE;
		all = one < all ? one : all;
	}
	return all;
}

static enum verdict chain_says(const struct judge *j, const char *chain, int depth);

static enum verdict statement_says(const struct judge *j, const json_t *s, int depth)
{
	const json_t *jump = json_object_get(s, "jump"), *to = json_object_get(s, "goto");
	const char *xt = member(json_object_get(s, "xt"), "name");
	enum verdict v;

	if (json_object_get(s, "accept") || json_object_get(s, "queue"))
		return ACCEPTS;
	if (json_object_get(s, "drop") || json_object_get(s, "reject") || str_eq(xt, "REJECT"))
		return DROPS;
	if (json_object_get(s, "return"))
		return RETURNS;
	if (!jump && !to)
		return GOES_ON;
	v = chain_says(j, member(jump ? jump : to, "target"), depth + 1);
	return v != RETURNS ? v : jump ? GOES_ON : RETURNS;
}

/* What a verdict map says of replies; GOES_ON if nothing is sure. */
static enum verdict vmap_says(const struct judge *j, const json_t *vmap, int depth)
{
	const json_t *key = json_object_get(vmap, "key"), *pair;
	const json_t *set = json_object_get(json_object_get(vmap, "data"), "set");
	bool states = str_eq(member(json_object_get(key, "ct"), "key"), "state");
	size_t i;

	if (!set) /* a named map */
		return ACCEPTS;
	json_array_foreach(set, i, pair)
	{
		enum verdict v;

		if (states && !has_word(json_array_get(pair, 0), "established"))
			continue;
		v = statement_says(j, json_array_get(pair, 1), depth);
		if (v == ACCEPTS || states)
			return v;
	}
	return GOES_ON;
}

static enum verdict rule_says(const struct judge *j, const json_t *rule, int depth)
{
	const json_t *expr = json_object_get(rule, "expr"), *item;
	enum fits fits = rule_fits(j, expr);
	enum verdict v = GOES_ON;
	size_t i;

	if (fits == NEVER)
		return GOES_ON;
	json_array_foreach(expr, i, item)
	{
		const json_t *vmap = json_object_get(item, "vmap");

		v = vmap ? vmap_says(j, vmap, depth) : statement_says(j, item, depth);
		if (v != GOES_ON)
			break;
	}
	return v == ACCEPTS || fits == ALWAYS ? v : GOES_ON;
}

static enum verdict chain_says(const struct judge *j, const char *chain, int depth)
{
	json_t *item;
	size_t i;

	if (depth > DEPTH_MAX)
		return ACCEPTS;
	json_array_foreach(j->rules, i, item)
	{
		const json_t *rule = json_object_get(item, "rule");
		enum verdict v;

		if (!rule || !str_eq(member(rule, "family"), j->family) ||
		    !str_eq(member(rule, "table"), j->table) ||
		    !str_eq(member(rule, "chain"), chain))
			continue;
		v = rule_says(j, rule, depth);
		if (v != GOES_ON)
			return v;
	}
	return RETURNS;
}

/* iptables does not touch a table again that nft has put rules into. */
static const char *line_to_add(struct arena *a, const json_t *chain)
{
	const char *family = member(chain, "family"), *table = member(chain, "table");

	if (str_eq(member(chain, "name"), "OUTPUT") && !str_eq(family, "inet"))
		return arena_printf(a,
				    "%s -t %s -I OUTPUT -m conntrack --ctstate "
				    "ESTABLISHED,RELATED -j ACCEPT",
				    str_eq(family, "ip6") ? "ip6tables" : "iptables", table);
	return arena_printf(a, "nft 'insert rule %s %s %s ct state established,related accept'",
			    family, table, member(chain, "name"));
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
	struct judge j = { rules, member(chain, "family"), member(chain, "table"), NULL };
	bool policy = str_eq(member(chain, "policy"), "drop");

	for (size_t i = 0; i < g->memory.n_doors; i++) {
		enum verdict v;

		j.door = g->memory.doors[i].name;
		if (!guard_leads_on(&g->memory, host, &g->memory.doors[i]) ||
		    !has_family(host, j.door, j.family))
			continue;
		v = chain_says(&j, member(chain, "name"), 0);
		if (v == DROPS || (v == RETURNS && policy))
			return err_set(e, EPERM,
				       "the host's firewall drops replies by %s: chain %s of table "
				       "%s %s %s. Add this line, then try again:\n  %s",
				       j.door, member(chain, "name"), j.family, j.table,
				       v == DROPS ? "has a rule that drops them"
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

		if (r == 0 && str_eq(member(chain, "hook"), "output") &&
		    !str_eq(member(chain, "type"), "nat"))
			r = check_chain(g, &a, &host, rules, chain, e);
	}
	json_decref(root);
	return r;
}
