/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_encode.h"

#include "wire/nft_coder.h"
#include "wire/nft_message.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

/* "inet NAME": of no other family is a table of ours. */
static void take_table(struct nft_coder *c)
{
	nft_want(&c->words, "inet");
	c->table = nft_name(&c->words, c->arena);
}

static void forget(struct nft_coder *c)
{
	c->n_chains = c->n_sets = 0;
}

/* --- tables --------------------------------------------------------------------- */

static void put_table(struct nft_coder *c, uint16_t type, uint16_t flags)
{
	struct text *out = &c->parts[NFT_CHAINS];
	size_t at = nft_message_begin(out, type, flags);

	nft_put_text(out, NFTA_TABLE_NAME, c->table);
	nft_message_end(out, at);
}

static void delete_table(struct nft_coder *c)
{
	take_table(c);
	put_table(c, NFT_MSG_DELTABLE, 0);
	forget(c);
}

/* --- chains --------------------------------------------------------------------- */

struct choice {
	const char *word;
	uint32_t number;
};

static const struct choice hooks[] = {
	{ "prerouting", NF_INET_PRE_ROUTING },   { "input", NF_INET_LOCAL_IN },
	{ "forward", NF_INET_FORWARD },          { "output", NF_INET_LOCAL_OUT },
	{ "postrouting", NF_INET_POST_ROUTING },
};
static const struct choice policies[] = { { "accept", NF_ACCEPT }, { "drop", NF_DROP } };

static uint32_t choose(struct nft_words *w, const struct choice *choices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (nft_take(w, choices[i].word))
			return choices[i].number;
	nft_unknown(w);
	return 0;
}

static int32_t priority(struct nft_words *w)
{
	const char *digits = w->word + (w->word[0] == '-');
	uint32_t n = 0;

	if (w->kind != NFT_WORD || !str_to_u32(digits, INT32_MAX, &n)) {
		nft_unknown(w);
		return 0;
	}
	nft_next(w);
	return digits == w->word ? (int32_t)n : -(int32_t)n;
}

/* "type filter hook input priority 0; policy drop;" */
static void put_base(struct nft_coder *c, struct text *out)
{
	struct nft_words *w = &c->words;
	const char *type = nft_name(w, c->arena);
	size_t hook;

	nft_want(w, "hook");
	hook = nft_nest_begin(out, NFTA_CHAIN_HOOK);
	nft_put_u32(out, NFTA_HOOK_HOOKNUM, choose(w, hooks, ARRAY_LEN(hooks)));
	nft_want(w, "priority");
	nft_put_u32(out, NFTA_HOOK_PRIORITY, (uint32_t)priority(w));
	(void)nft_nest_end(out, hook);
	nft_want(w, ";");
	nft_want(w, "policy");
	nft_put_u32(out, NFTA_CHAIN_POLICY, choose(w, policies, ARRAY_LEN(policies)));
	nft_want(w, ";");
	nft_put_text(out, NFTA_CHAIN_TYPE, type);
}

static bool has_chain(const struct nft_coder *c, const char *name)
{
	for (size_t i = 0; i < c->n_chains; i++)
		if (str_eq(c->chains[i], name))
			return true;
	return false;
}

/* One that was added before need not be added again without anything new. */
static void put_chain(struct nft_coder *c, const char *name)
{
	struct text *out = &c->parts[NFT_CHAINS];
	bool base = nft_take(&c->words, "type");
	size_t at;

	if (!base && has_chain(c, name))
		return;
	at = nft_message_begin(out, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
	nft_put_text(out, NFTA_CHAIN_TABLE, c->table);
	nft_put_text(out, NFTA_CHAIN_NAME, name);
	if (base)
		put_base(c, out);
	nft_message_end(out, at);
	*arena_push(c->arena, c->chains, c->n_chains, c->cap_chains) = name;
}

static void flush_chain(struct nft_coder *c)
{
	struct text *out = &c->parts[NFT_CHAINS];
	size_t at = nft_message_begin(out, NFT_MSG_DELRULE, 0);

	take_table(c);
	nft_put_text(out, NFTA_RULE_TABLE, c->table);
	nft_put_text(out, NFTA_RULE_CHAIN, nft_name(&c->words, c->arena));
	nft_message_end(out, at);
}

/* --- blocks --------------------------------------------------------------------- */

static void chain_block(struct nft_coder *c)
{
	struct nft_words *w = &c->words;
	const char *name = nft_name(w, c->arena);

	nft_want(w, "{");
	nft_skip_lines(w);
	put_chain(c, name);
	nft_skip_lines(w);
	while (w->kind != NFT_END && !nft_take(w, "}")) {
		nft_code_rule(c, name);
		nft_skip_lines(w);
	}
}

static void set_block(struct nft_coder *c)
{
	const char *name = nft_name(&c->words, c->arena);

	nft_want(&c->words, "{");
	nft_skip_lines(&c->words);
	nft_set_declare(c, name);
}

static void table_block(struct nft_coder *c)
{
	struct nft_words *w = &c->words;

	nft_skip_lines(w);
	while (w->kind != NFT_END && !nft_take(w, "}")) {
		if (nft_take(w, "chain"))
			chain_block(c);
		else if (nft_take(w, "set") || nft_take(w, "map"))
			set_block(c);
		else
			nft_unknown(w);
		nft_want_line(w);
		nft_skip_lines(w);
	}
}

static void table(struct nft_coder *c)
{
	take_table(c);
	put_table(c, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	if (nft_take(&c->words, "{"))
		table_block(c);
}

/* --- commands ------------------------------------------------------------------- */

static void add_chain(struct nft_coder *c)
{
	const char *name;

	take_table(c);
	name = nft_name(&c->words, c->arena);
	if (!nft_take(&c->words, "{")) {
		put_chain(c, name);
		return;
	}
	put_chain(c, name);
	nft_want(&c->words, "}");
}

static void add_set(struct nft_coder *c)
{
	take_table(c);
	set_block(c);
}

static void add_element(struct nft_coder *c)
{
	const struct nft_set *set;

	take_table(c);
	set = nft_set_find(c, nft_name(&c->words, c->arena));
	if (set)
		nft_set_fill(c, &c->parts[NFT_RULES], set);
	else
		nft_unknown(&c->words);
}

/* A deletion that names no element is of all. */
static void flush_set(struct nft_coder *c)
{
	struct text *out = &c->parts[NFT_RULES];
	size_t at = nft_message_begin(out, NFT_MSG_DELSETELEM, 0);

	take_table(c);
	nft_put_text(out, NFTA_SET_ELEM_LIST_TABLE, c->table);
	nft_put_text(out, NFTA_SET_ELEM_LIST_SET, nft_name(&c->words, c->arena));
	nft_message_end(out, at);
}

static const struct command {
	const char *words[3];
	void (*code)(struct nft_coder *c);
} commands_known[] = {
	{ { "table" }, table },
	{ { "add", "table" }, table },
	{ { "delete", "table" }, delete_table },
	{ { "add", "chain" }, add_chain },
	{ { "flush", "chain" }, flush_chain },
	{ { "add", "map" }, add_set },
	{ { "add", "set" }, add_set },
	{ { "add", "element" }, add_element },
	{ { "flush", "set" }, flush_set },
};

static void command(struct nft_coder *c)
{
	for (size_t i = 0; i < ARRAY_LEN(commands_known); i++)
		if (nft_take_all(&c->words, commands_known[i].words,
				 ARRAY_LEN(commands_known[i].words))) {
			commands_known[i].code(c);
			nft_want_line(&c->words);
			return;
		}
	nft_unknown(&c->words);
}

static void move_parts(struct nft_coder *c, struct text *to)
{
	for (size_t i = 0; i < NFT_PARTS; i++) {
		text_add_len(to, text_str(&c->parts[i]), c->parts[i].len);
		text_clear(&c->parts[i]);
	}
}

bool nft_encode(struct arena *a, const char *commands, struct nft_batch *ret)
{
	struct nft_coder c = { .arena = a, .table = "" };
	struct text all CLEANUP_TEXT = { 0 };

	nft_words_begin(&c.words, commands);
	nft_message_bound(&all, NFNL_MSG_BATCH_BEGIN);
	nft_skip_lines(&c.words);
	while (c.words.kind != NFT_END) {
		command(&c);
		move_parts(&c, &all);
		nft_skip_lines(&c.words);
	}
	nft_message_bound(&all, NFNL_MSG_BATCH_END);
	for (size_t i = 0; i < NFT_PARTS; i++)
		text_free(&c.parts[i]);
	if (c.words.unknown)
		return false;
	ret->bytes = arena_alloc(a, all.len);
	memcpy(ret->bytes, text_str(&all), all.len);
	ret->size = all.len;
	return true;
}
