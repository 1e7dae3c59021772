/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_judge.h"

#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* nft allows 16 jumps, too (NFT_JUMP_STACK_SIZE). */
#define DEPTH_MAX 16

const char *nft_member(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* Is @word @value, or one of it where it is a list or a set? */
bool nft_has_word(const json_t *value, const char *word)
{
	const json_t *set = json_object_get(value, "set"), *item;
	size_t i;

	if (json_is_string(value))
		return str_eq(json_string_value(value), word);
	json_array_foreach(set ? set : value, i, item) if (nft_has_word(item, word)) return true;
	return false;
}

/* "eth*", too. */
bool nft_has_link(const json_t *value, const char *link)
{
	const json_t *set = json_object_get(value, "set"), *item;
	const char *name = json_string_value(value);
	size_t i, len = name ? strlen(name) : 0;

	if (len)
		return name[len - 1] == '*' ? strncmp(name, link, len - 1) == 0
					    : str_eq(name, link);
	json_array_foreach(set, i, item) if (nft_has_link(item, link)) return true;
	return false;
}

enum nft_fits nft_holds(const json_t *value, json_int_t low, json_int_t high)
{
	const json_t *range = json_object_get(value, "range"), *item;
	const json_t *set = json_object_get(value, "set");
	enum nft_fits best = NFT_NEVER;
	json_int_t from = json_integer_value(range ? json_array_get(range, 0) : value);
	json_int_t to = range ? json_integer_value(json_array_get(range, 1)) : from;
	size_t i;

	if (range || json_is_integer(value))
		return from <= high && to >= low ? NFT_ALWAYS : NFT_NEVER;
	if (!set)
		return NFT_MAYBE;
	json_array_foreach(set, i, item)
	{
		enum nft_fits one = nft_holds(item, low, high);

		best = one > best ? one : best;
	}
	return best;
}

enum nft_fits nft_fits_unless(bool is, bool inverted)
{
	return is != inverted ? NFT_ALWAYS : NFT_NEVER;
}

/* Where the text of the rule with @handle begins, in the table of @j; NULL. */
static const char *text_of(const struct nft_judge *j, long long handle)
{
	char head[256], tail[64];
	const char *line, *at;

	snprintf(head, sizeof(head), "table %s %s {", j->family, j->table);
	snprintf(tail, sizeof(tail), " # handle %lld\n", handle);
	at = j->text ? strstr(j->text, head) : NULL;
	line = at ? strchr(at, '\n') : NULL;
	for (; line && !str_starts(line + 1, "table "); line = strchr(line + 1, '\n')) {
		const char *end = strstr(line + 1, tail);

		if (!end)
			return NULL;
		if (end < line + 1 + strcspn(line + 1, "\n"))
			return line + 1;
	}
	return NULL;
}

/* `-m conntrack --ctstate ...`, which nft(8) can say in its words and not in JSON. */
static enum nft_fits state_fits(const struct nft_judge *j, const json_t *rule)
{
	static const char key[] = "ct state ";
	const char *line = text_of(j, json_integer_value(json_object_get(rule, "handle")));
	const char *at = line ? strstr(line, key) : NULL;
	char words[128];

	if (!at || at > line + strcspn(line, "\n"))
		return j->strict ? NFT_NEVER : NFT_MAYBE;
	at += strlen(key);
	snprintf(words, sizeof(words), ",%.*s,", (int)strcspn(at, " \n"), at);
	if (words[1] == '!' || words[1] == '{')
		return j->strict ? NFT_NEVER : NFT_MAYBE;
	for (const char *w = words; *w; w++)
		if (*w == ',' && str_starts(w + 1, j->state) && w[1 + strlen(j->state)] == ',')
			return NFT_ALWAYS;
	return NFT_NEVER;
}

static enum nft_fits xt_fits(const struct nft_judge *j, const json_t *rule, const json_t *xt)
{
	if (!str_eq(nft_member(xt, "type"), "match") || str_eq(nft_member(xt, "name"), "comment"))
		return NFT_ALWAYS;
	if (str_eq(nft_member(xt, "name"), "conntrack"))
		return state_fits(j, rule);
	return j->strict ? NFT_NEVER : NFT_MAYBE;
}

/* All that a rule asks, before its verdict. */
static enum nft_fits rule_fits(const struct nft_judge *j, const json_t *rule)
{
	enum nft_fits all = NFT_ALWAYS;
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, item)
	{
		const json_t *match = json_object_get(item, "match");
		const json_t *xt = json_object_get(item, "xt");
		enum nft_fits one = NFT_ALWAYS;

		if (match)
			one = j->match(j, match);
		else if (xt)
			one = xt_fits(j, rule, xt);
		else if (json_object_get(item, "limit") || json_object_get(item, "quota"))
			one = NFT_MAYBE;
		all = one < all ? one : all;
	}
	return all;
}

static enum nft_says chain_says(const struct nft_judge *j, const char *chain, int depth);

static enum nft_says statement_says(const struct nft_judge *j, const json_t *s, int depth)
{
	const json_t *jump = json_object_get(s, "jump"), *to = json_object_get(s, "goto");
	const char *xt = nft_member(json_object_get(s, "xt"), "name");
	enum nft_says v;

	if (json_object_get(s, "accept") || json_object_get(s, "queue"))
		return NFT_ACCEPTS;
	if (json_object_get(s, "drop") || json_object_get(s, "reject") || str_eq(xt, "REJECT"))
		return NFT_DROPS;
	if (json_object_get(s, "return"))
		return NFT_RETURNS;
	if (!jump && !to)
		return NFT_GOES_ON;
	v = chain_says(j, nft_member(jump ? jump : to, "target"), depth + 1);
	return v != NFT_RETURNS ? v : jump ? NFT_GOES_ON : NFT_RETURNS;
}

/* What a verdict map says of replies; NFT_GOES_ON if nothing is sure. */
static enum nft_says vmap_says(const struct nft_judge *j, const json_t *vmap, int depth)
{
	const json_t *key = json_object_get(vmap, "key"), *pair;
	const json_t *set = json_object_get(json_object_get(vmap, "data"), "set");
	bool states = str_eq(nft_member(json_object_get(key, "ct"), "key"), "state");
	size_t i;

	if (j->strict && (!set || !states))
		return NFT_GOES_ON;
	if (!set) /* a named map */
		return NFT_ACCEPTS;
	json_array_foreach(set, i, pair)
	{
		enum nft_says v;

		if (states && !nft_has_word(json_array_get(pair, 0), j->state))
			continue;
		v = statement_says(j, json_array_get(pair, 1), depth);
		if (v == NFT_ACCEPTS || states)
			return v;
	}
	return NFT_GOES_ON;
}

/* `-j CT` of iptables has more to it than --notrack: nft(8) says it in its words alone. */
static bool untracks(const struct nft_judge *j, const json_t *rule, const json_t *statement)
{
	static const char words[] = " notrack # handle ";
	const char *line, *at;

	if (json_object_get(statement, "notrack"))
		return true;
	if (!json_object_get(statement, "xt"))
		return false;
	line = text_of(j, json_integer_value(json_object_get(rule, "handle")));
	at = line ? strstr(line, words) : NULL;
	return at && at < line + strcspn(line, "\n");
}

static enum nft_says rule_says(const struct nft_judge *j, const json_t *rule, int depth)
{
	const json_t *expr = json_object_get(rule, "expr"), *item;
	enum nft_fits fits = rule_fits(j, rule);
	enum nft_says v = NFT_GOES_ON;
	size_t i;

	if (fits == NFT_NEVER)
		return NFT_GOES_ON;
	json_array_foreach(expr, i, item)
	{
		const json_t *vmap = json_object_get(item, "vmap");

		if (j->tracking && untracks(j, rule, item))
			return NFT_UNTRACKS;
		v = vmap ? vmap_says(j, vmap, depth) : statement_says(j, item, depth);
		if (v != NFT_GOES_ON)
			break;
	}
	return v == NFT_ACCEPTS || v == NFT_UNTRACKS || fits == NFT_ALWAYS ? v : NFT_GOES_ON;
}

static enum nft_says chain_says(const struct nft_judge *j, const char *chain, int depth)
{
	json_t *item;
	size_t i;

	if (depth > DEPTH_MAX)
		return j->strict ? NFT_GOES_ON : NFT_ACCEPTS;
	json_array_foreach(j->rules, i, item)
	{
		const json_t *rule = json_object_get(item, "rule");
		enum nft_says v;

		if (!rule || !str_eq(nft_member(rule, "family"), j->family) ||
		    !str_eq(nft_member(rule, "table"), j->table) ||
		    !str_eq(nft_member(rule, "chain"), chain))
			continue;
		v = rule_says(j, rule, depth);
		if (v != NFT_GOES_ON)
			return v;
	}
	return NFT_RETURNS;
}

enum nft_says nft_judge_chain(const struct nft_judge *j, const char *chain)
{
	return chain_says(j, chain, 0);
}

static bool is_asked(const json_t *chain, const char *const *hooks)
{
	/* What translates addresses has no say; ours let everything by. */
	if (str_eq(nft_member(chain, "type"), "nat") ||
	    str_starts(nft_member(chain, "table"), "sallyport"))
		return false;
	for (size_t i = 0; hooks[i]; i++)
		if (str_eq(nft_member(chain, "hook"), hooks[i]))
			return true;
	return false;
}

int nft_judge_ruleset(const char *ruleset, const char *const *hooks, struct nft_judge *j,
		      int (*visit)(struct nft_judge *j, const json_t *chain, void *ctx,
				   struct err *e),
		      void *ctx, struct err *e)
{
	json_error_t why;
	json_t *root = json_loads(ruleset, 0, &why), *item;
	size_t i;
	int r = 0;

	if (!root)
		return err_set(e, EPROTO, "nft list ruleset: %s", why.text);
	j->rules = json_object_get(root, "nftables");
	json_array_foreach(j->rules, i, item)
	{
		const json_t *chain = json_object_get(item, "chain");

		if (!is_asked(chain, hooks))
			continue;
		j->family = nft_member(chain, "family");
		j->table = nft_member(chain, "table");
		r = visit(j, chain, ctx, e);
		if (r)
			break;
	}
	json_decref(root);
	return r;
}

const char *nft_judge_drop(struct arena *a, const struct nft_judge *j, const json_t *chain,
			   const char *what)
{
	enum nft_says says = nft_judge_chain(j, nft_member(chain, "name"));

	if (says == NFT_DROPS)
		return arena_printf(a, "has a rule that drops %s", what);
	if (says == NFT_RETURNS && str_eq(nft_member(chain, "policy"), "drop"))
		return arena_printf(a, "has policy drop, and nothing lets on %s", what);
	return NULL;
}
