/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A rule `notrack` of the host's: what is not tracked is not translated either, so who
 * asks a published port comes to the host, where nobody listens: UDP falls silent, TCP is
 * refused.  Name servers do without tracking by such rules.  Nothing is changed, as the
 * other ports work: it is said, with the line that leaves our port out.
 *
 * Who asks is not known: a rule that may fit is taken to fit.
 */
#include "daemon/supervisor.h"

#include "wire/nft_judge.h"

#include <stdio.h>
#include <string.h>

/* nft allows 16 jumps, too (NFT_JUMP_STACK_SIZE). */
#define DEPTH_MAX 16
/* Below it are ports of services, which no client asks from. */
#define CLIENT_PORTS 1024

struct question {
	const json_t *rules; /* of the table */
	const char *text; /* of the table with handles; NULL: not known */
	const char *proto; /* "udp" or "tcp" */
	uint8_t number;
	const char *in; /* the link; NULL: any */
	uint16_t sport[2], dport[2]; /* from, to */
};

/* Is one of @low to @high in it?  Of a named set that is not known. */
static bool may_hold(const json_t *value, json_int_t low, json_int_t high)
{
	const json_t *set = json_object_get(value, "set"), *item;
	const json_t *range = json_object_get(value, "range");
	size_t i;

	if (json_is_integer(value))
		return json_integer_value(value) >= low && json_integer_value(value) <= high;
	if (range)
		return json_integer_value(json_array_get(range, 0)) <= high &&
		       json_integer_value(json_array_get(range, 1)) >= low;
	if (!set)
		return true;
	json_array_foreach(set, i, item) if (may_hold(item, low, high)) return true;
	return false;
}

static bool has_proto(const struct question *q, const json_t *value)
{
	const json_t *set = json_object_get(value, "set"), *item;
	const char *word = json_string_value(value);
	size_t i;

	if (word)
		return str_eq(word, q->proto) || word[0] == '@';
	if (!set)
		return may_hold(value, q->number, q->number);
	json_array_foreach(set, i, item) if (has_proto(q, item)) return true;
	return false;
}

static bool is_protocol(const char *meta, const char *protocol, const char *field)
{
	return str_eq(meta, "l4proto") || (str_eq(protocol, "ip") && str_eq(field, "protocol")) ||
	       (str_eq(protocol, "ip6") && str_eq(field, "nexthdr"));
}

/* May such a packet fit one "match"? */
static bool may_match(const struct question *q, const json_t *match)
{
	const json_t *left = json_object_get(match, "left");
	const json_t *right = json_object_get(match, "right");
	const json_t *payload = json_object_get(left, "payload");
	const char *meta = nft_member(json_object_get(left, "meta"), "key");
	const char *protocol = nft_member(payload, "protocol");
	const char *field = nft_member(payload, "field");
	bool inverted = str_eq(nft_member(match, "op"), "!=");
	bool ours = str_eq(protocol, q->proto) || str_eq(protocol, "th");

	if (is_protocol(meta, protocol, field))
		return has_proto(q, right) != inverted;
	if (ours && str_eq(field, "dport") && !inverted)
		return may_hold(right, q->dport[0], q->dport[1]);
	if (ours && str_eq(field, "sport") && !inverted)
		return may_hold(right, q->sport[0], q->sport[1]);
	if (str_eq(meta, "iifname") && q->in)
		return nft_has_link(right, q->in) != inverted;
	if (str_eq(meta, "iifname") && !inverted && json_is_string(right))
		return !str_eq(json_string_value(right), "lo");
	return ours || !payload || str_eq(protocol, "ip") || str_eq(protocol, "ip6");
}

static bool may_fit(const struct question *q, const json_t *rule)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, item)
	{
		const json_t *match = json_object_get(item, "match");

		if (match && !may_match(q, match))
			return false;
	}
	return true;
}

enum says { GOES_ON, RETURNS, ACCEPTS, UNTRACKED };

static enum says chain_says(const struct question *q, const char *chain, int depth);

/* `-j CT` of iptables, which has more to it than --notrack: nft(8) says it in its words alone. */
static bool is_untracking(const struct question *q, const json_t *rule)
{
	char tail[64];
	const char *end = q->text;

	snprintf(tail, sizeof(tail), " # handle %lld\n",
		 (long long)json_integer_value(json_object_get(rule, "handle")));
	while (end && (end = strstr(end, tail))) {
		if (end - q->text > 8 && strncmp(end - 8, " notrack", 8) == 0)
			return true;
		end += strlen(tail); /* a chain's, or another rule's */
	}
	return false;
}

static enum says rule_says(const struct question *q, const json_t *rule, int depth)
{
	enum says says = GOES_ON;
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, item)
	{
		const json_t *jump = json_object_get(item, "jump");
		const json_t *to = jump ? jump : json_object_get(item, "goto");

		if (json_object_get(item, "notrack"))
			return UNTRACKED;
		if (json_object_get(item, "xt") && is_untracking(q, rule))
			return UNTRACKED;
		if (json_object_get(item, "accept"))
			return ACCEPTS;
		if (json_object_get(item, "return"))
			return RETURNS;
		if (to)
			says = chain_says(q, nft_member(to, "target"), depth + 1);
		if (says == RETURNS && jump)
			says = GOES_ON;
		if (says != GOES_ON)
			return says;
	}
	return GOES_ON;
}

static enum says chain_says(const struct question *q, const char *chain, int depth)
{
	json_t *item;
	size_t i;

	if (depth > DEPTH_MAX)
		return GOES_ON;
	json_array_foreach(q->rules, i, item)
	{
		const json_t *rule = json_object_get(item, "rule");
		enum says says;

		if (!rule || !str_eq(nft_member(rule, "chain"), chain) || !may_fit(q, rule))
			continue;
		says = rule_says(q, rule, depth);
		if (says != GOES_ON)
			return says;
	}
	return GOES_ON;
}

/* For who asks, and for the room's answers. */
static const char *lines_to_add(struct arena *a, const struct nft_chain *c,
				const struct question *asks)
{
	const char *tool = str_eq(c->family, "ip6") ? "ip6tables" : "iptables";

	if (str_eq(c->name, "PREROUTING") && !str_eq(c->family, "inet"))
		return arena_printf(a,
				    "  %s -t %s -I PREROUTING -p %s --dport %u -j ACCEPT\n"
				    "  %s -t %s -I PREROUTING -i sp-+ -j ACCEPT",
				    tool, c->table, asks->proto, asks->dport[0], tool, c->table);
	return arena_printf(a,
			    "  nft 'insert rule %s %s %s %s dport %u accept'\n"
			    "  nft 'insert rule %s %s %s iifname \"sp-*\" accept'",
			    c->family, c->table, c->name, asks->proto, asks->dport[0], c->family,
			    c->table, c->name);
}

static bool speaks(const struct publish *p, const char *family)
{
	return str_eq(family, "inet") || (str_eq(family, "ip") && publish_speaks(p, AF_INET)) ||
	       (str_eq(family, "ip6") && publish_speaks(p, AF_INET6));
}

static void look_at_port(struct supervisor *s, struct arena *a, const struct nft_chain *c,
			 const struct publish *p, const struct question *table, struct text *ret)
{
	struct question asks = *table, answers;

	asks.number = p->proto;
	asks.proto = p->proto == IPPROTO_UDP ? "udp" : "tcp";
	asks.sport[0] = CLIENT_PORTS;
	asks.sport[1] = UINT16_MAX;
	asks.dport[0] = asks.dport[1] = p->door_port;
	answers = asks;
	answers.in = plan_host_link(a, &s->gate);
	answers.sport[0] = answers.sport[1] = p->room_port;
	answers.dport[0] = CLIENT_PORTS;
	answers.dport[1] = UINT16_MAX;
	if (chain_says(&asks, c->name, 0) != UNTRACKED &&
	    chain_says(&answers, c->name, 0) != UNTRACKED)
		return;
	text_addf(ret,
		  "who asks port %u/%s may get no answer: chain %s of table %s %s has a rule "
		  "notrack for it, and what is not tracked is not led to the room and back. Add "
		  "these lines:\n%s\n",
		  p->door_port, asks.proto, c->name, c->family, c->table,
		  lines_to_add(a, c, &asks));
}

static void look_at_chain(struct supervisor *s, struct arena *a, const struct nft_chain *c,
			  struct text *ret)
{
	struct question table = { 0 };
	struct err ignored;
	json_t *root;

	if (nft_list_root(s->host.nft, arena_printf(a, "table %s %s", c->family, c->table), &root,
			  &ignored) < 0)
		return; /* it has just gone */
	table.rules = json_object_get(root, "nftables");
	(void)!nft_list_handles(s->host.nft, a, c->family, c->table, &table.text, &ignored);
	for (size_t i = 0; i < s->gate.n_publish; i++)
		if (s->gate.publish[i].door == 0 && speaks(&s->gate.publish[i], c->family))
			look_at_port(s, a, c, &s->gate.publish[i], &table, ret);
	json_decref(root);
}

void firewall_notrack(struct supervisor *s, const struct nft_chain *chains, size_t n)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text t CLEANUP_TEXT = { 0 };
	uint64_t h;

	for (size_t i = 0; i < n; i++)
		if (chains[i].raw && !str_starts(chains[i].table, "sallyport"))
			look_at_chain(s, &a, &chains[i], &t);
	h = t.len ? str_hash(text_str(&t), 1) : 0;
	if (t.len && h != s->notrack_hash)
		sup_log(s, "%.*s", (int)t.len - 1, text_str(&t));
	s->notrack_hash = h;
}
