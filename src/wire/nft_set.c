/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_coder.h"

#include "wire/nft_message.h"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <string.h>

/* As enum nft_registers has them in four bytes each, of which there are sixteen. */
#define WORD_SIZE 4
#define WORDS_MAX 16
#define TYPE_BITS 6
#define NAME_SET  "__set%d"
#define NAME_MAP  "__map%d"
/* An attribute cannot be longer than 65535; the elements of a thousand ports would be. */
#define CHUNK_SIZE 32768

/* nft's own notes on a set (libnftnl, udata.h), by which it lists the values. */
enum {
	UDATA_KEY_ORDER = 0,
	UDATA_DATA_ORDER = 1,
	UDATA_KEY_TYPEOF = 3,
	UDATA_DATA_TYPEOF = 4,
	UDATA_DATA_INTERVAL = 6,
};
enum { ORDER_NONE, ORDER_HOST, ORDER_NETWORK };

void nft_tuple_add(struct nft_coder *c, struct nft_tuple *t, enum nft_type type)
{
	if (type == NFT_TYPE_NONE || t->n == ARRAY_LEN(t->types)) {
		nft_unknown(&c->words);
		return;
	}
	t->types[t->n++] = type;
}

static size_t whole_words(size_t size)
{
	return (size + WORD_SIZE - 1) / WORD_SIZE * WORD_SIZE;
}

/* In registers and in elements, where each field begins at a word of its own. */
static size_t tuple_size(const struct nft_tuple *t)
{
	size_t size = 0;

	for (size_t i = 0; i < t->n; i++)
		size += whole_words(nft_type_size(t->types[i]));
	return t->n == 1 ? nft_type_size(t->types[0]) : size;
}

static uint32_t tuple_type(const struct nft_tuple *t)
{
	uint32_t type = 0;

	for (size_t i = 0; i < t->n; i++)
		type = type << TYPE_BITS | t->types[i];
	return type;
}

static uint32_t tuple_order(const struct nft_tuple *t)
{
	if (t->n != 1)
		return ORDER_NONE;
	switch (t->types[0]) {
	case NFT_TYPE_NFPROTO:
	case NFT_TYPE_PROTO:
	case NFT_TYPE_MARK:
	case NFT_TYPE_CT_STATE:
	case NFT_TYPE_CT_DIR:
	case NFT_TYPE_CT_STATUS:
	case NFT_TYPE_FIB_ADDR:
	case NFT_TYPE_IFNAME:
		return ORDER_HOST;
	case NFT_TYPE_NONE:
	case NFT_TYPE_IP:
	case NFT_TYPE_IP6:
	case NFT_TYPE_MAC:
	case NFT_TYPE_PORT:
	case NFT_TYPE_ICMP:
	case NFT_TYPE_ICMP6:
	case NFT_TYPE_TCP_FLAGS:
		break;
	}
	return ORDER_NETWORK;
}

const struct nft_set *nft_set_find(const struct nft_coder *c, const char *name)
{
	for (size_t i = 0; i < c->n_sets; i++)
		if (str_eq(c->sets[i].name, name))
			return &c->sets[i];
	return NULL;
}

static bool is_map(const struct nft_set *s)
{
	return s->verdicts || s->data.n;
}

/* --- declarations ----------------------------------------------------------- */

static void note_number(struct text *notes, char kind, uint32_t n)
{
	const char head[] = { kind, sizeof(n) };

	text_add_len(notes, head, sizeof(head));
	text_add_len(notes, (const char *)&n, sizeof(n));
}

/* Of a concatenation nft says that it is one, and no more. */
static void note_concatenation(struct text *notes, char kind)
{
	const char head[] = { kind, 8 };
	static const char none[] = { 1, 0 };

	text_add_len(notes, head, sizeof(head));
	note_number(notes, 0, 13);
	text_add_len(notes, none, sizeof(none));
}

static void put_notes(struct text *out, const struct nft_set *s, bool anonymous)
{
	struct text notes CLEANUP_TEXT = { 0 };

	note_number(&notes, UDATA_KEY_ORDER, tuple_order(&s->key));
	if (is_map(s))
		note_number(&notes, UDATA_DATA_ORDER, s->data.n ? tuple_order(&s->data) : 0);
	if (!anonymous && s->key.n > 1)
		note_concatenation(&notes, UDATA_KEY_TYPEOF);
	if (!anonymous && s->data.n > 1)
		note_concatenation(&notes, UDATA_DATA_TYPEOF);
	if (is_map(s))
		note_number(&notes, UDATA_DATA_INTERVAL, 0);
	nft_put(out, NFTA_SET_USERDATA, text_str(&notes), notes.len);
}

/* @size is the number of elements of one without a name, else 0. */
static void put_declaration(struct nft_coder *c, struct text *out, struct nft_set *s, uint32_t size)
{
	size_t at = nft_message_begin(out, NFT_MSG_NEWSET, NLM_F_CREATE);

	s->id = ++c->set_ids;
	nft_put_text(out, NFTA_SET_TABLE, c->table);
	nft_put_text(out, NFTA_SET_NAME, s->name);
	nft_put_u32(out, NFTA_SET_FLAGS,
		    (is_map(s) ? NFT_SET_MAP : 0) |
			    (size ? NFT_SET_ANONYMOUS | NFT_SET_CONSTANT : 0));
	nft_put_u32(out, NFTA_SET_KEY_TYPE, tuple_type(&s->key));
	nft_put_u32(out, NFTA_SET_KEY_LEN, (uint32_t)tuple_size(&s->key));
	if (is_map(s)) {
		nft_put_u32(out, NFTA_SET_DATA_TYPE,
			    s->verdicts ? NFT_DATA_VERDICT : tuple_type(&s->data));
		nft_put_u32(out, NFTA_SET_DATA_LEN, (uint32_t)tuple_size(&s->data));
	}
	nft_put_u32(out, NFTA_SET_ID, s->id);
	if (size) {
		size_t desc = nft_nest_begin(out, NFTA_SET_DESC);

		nft_put_u32(out, NFTA_SET_DESC_SIZE, size);
		(void)nft_nest_end(out, desc);
	}
	put_notes(out, s, size);
	nft_message_end(out, at);
}

static void read_types(struct nft_coder *c, struct nft_tuple *t)
{
	do
		nft_tuple_add(c, t, nft_type_named(nft_name(&c->words, c->arena)));
	while (nft_take(&c->words, "."));
}

void nft_set_declare(struct nft_coder *c, const char *name)
{
	struct nft_set *s = arena_push(c->arena, c->sets, c->n_sets, c->cap_sets);
	struct nft_words *w = &c->words;

	s->name = name;
	nft_want(w, "type");
	read_types(c, &s->key);
	if (nft_take(w, ":")) {
		s->verdicts = nft_take(w, "verdict");
		if (!s->verdicts)
			read_types(c, &s->data);
	}
	if (tuple_size(&s->key) > WORDS_MAX * WORD_SIZE)
		nft_unknown(w);
	put_declaration(c, &c->parts[NFT_SETS], s, 0);
	nft_take(w, ";");
	nft_skip_lines(w);
	if (nft_take(w, "elements")) {
		nft_want(w, "=");
		nft_set_fill(c, &c->parts[NFT_SETS], s);
		nft_skip_lines(w);
	}
	nft_want(w, "}");
}

/* --- elements --------------------------------------------------------------- */

static void put_tuple(struct nft_coder *c, struct text *out, uint16_t type,
		      const struct nft_tuple *t)
{
	uint8_t bytes[WORDS_MAX * WORD_SIZE + NFT_VALUE_SIZE] = { 0 };
	size_t at = 0;

	for (size_t i = 0; i < t->n && at < WORDS_MAX * WORD_SIZE; i++) {
		if (i)
			nft_want(&c->words, ".");
		nft_constant(&c->words, t->types[i], bytes + at);
		at += whole_words(nft_type_size(t->types[i]));
	}
	nft_put_value(out, type, bytes, tuple_size(t));
}

bool nft_verdict(struct nft_coder *c, int *ret_code, const char **ret_chain)
{
	static const struct {
		const char *word;
		int code;
		bool chain;
	} verdicts[] = { { "accept", NF_ACCEPT, false },      { "drop", NF_DROP, false },
			 { "continue", NFT_CONTINUE, false }, { "return", NFT_RETURN, false },
			 { "jump", NFT_JUMP, true },          { "goto", NFT_GOTO, true } };

	for (size_t i = 0; i < ARRAY_LEN(verdicts); i++)
		if (nft_take(&c->words, verdicts[i].word)) {
			*ret_code = verdicts[i].code;
			*ret_chain = verdicts[i].chain ? nft_name(&c->words, c->arena) : NULL;
			return true;
		}
	return false;
}

static void put_element(struct nft_coder *c, struct text *out, const struct nft_set *s)
{
	size_t at = nft_nest_begin(out, NFTA_LIST_ELEM);
	const char *chain, *comment = NULL;
	int code;

	put_tuple(c, out, NFTA_SET_ELEM_KEY, &s->key);
	if (nft_take(&c->words, "comment"))
		comment = nft_string(&c->words, c->arena);
	if (is_map(s))
		nft_want(&c->words, ":");
	if (s->data.n)
		put_tuple(c, out, NFTA_SET_ELEM_DATA, &s->data);
	else if (s->verdicts && nft_verdict(c, &code, &chain))
		nft_put_verdict(out, NFTA_SET_ELEM_DATA, code, chain);
	else if (s->verdicts)
		nft_unknown(&c->words);
	if (comment && !nft_put_comment(out, NFTA_SET_ELEM_USERDATA, comment))
		nft_unknown(&c->words);
	(void)nft_nest_end(out, at);
}

/* As many as fit into one message; true if there are more.  Their number is added to @n. */
static bool put_some(struct nft_coder *c, struct text *out, const struct nft_set *s, uint32_t *n)
{
	size_t at = nft_message_begin(out, NFT_MSG_NEWSETELEM, NLM_F_CREATE);
	struct nft_words *w = &c->words;
	bool more = true;
	size_t list;

	nft_put_text(out, NFTA_SET_ELEM_LIST_TABLE, c->table);
	nft_put_text(out, NFTA_SET_ELEM_LIST_SET, s->name);
	if (s->id)
		nft_put_u32(out, NFTA_SET_ELEM_LIST_SET_ID, s->id);
	list = nft_nest_begin(out, NFTA_SET_ELEM_LIST_ELEMENTS);
	while (more && out->len - list < CHUNK_SIZE) {
		nft_skip_lines(w);
		put_element(c, out, s);
		nft_skip_lines(w);
		more = nft_take(w, ",");
		(*n)++;
	}
	(void)nft_nest_end(out, list);
	nft_message_end(out, at);
	return more;
}

static uint32_t put_elements(struct nft_coder *c, struct text *out, const struct nft_set *s)
{
	uint32_t n = 0;

	nft_want(&c->words, "{");
	while (put_some(c, out, s, &n))
		;
	nft_want(&c->words, "}");
	return n;
}

void nft_set_fill(struct nft_coder *c, struct text *out, const struct nft_set *set)
{
	(void)put_elements(c, out, set);
}

/* The kernel is told their number first. */
void nft_set_anonymous(struct nft_coder *c, struct nft_set *set)
{
	struct text elements CLEANUP_TEXT = { 0 };
	uint32_t n;

	set->name = is_map(set) ? NAME_MAP : NAME_SET;
	set->id = c->set_ids + 1;
	n = put_elements(c, &elements, set);
	put_declaration(c, &c->parts[NFT_RULES], set, n);
	text_add_len(&c->parts[NFT_RULES], text_str(&elements), elements.len);
}
