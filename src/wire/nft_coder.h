/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NFT_CODER_H
#define WIRE_NFT_CODER_H

#include "base/text.h"
#include "wire/nft_words.h"

/* What the files of nft_encode() share; nobody else includes this. */

/* Of a table in braces the kernel wants to hear in this order. */
enum nft_part { NFT_CHAINS, NFT_SETS, NFT_RULES, NFT_PARTS };

struct nft_coder {
	struct arena *arena;
	struct nft_words words;
	const char *table;
	struct text parts[NFT_PARTS];
	const char **chains; /* that have been added */
	size_t n_chains, cap_chains;
	struct nft_set *sets; /* likewise */
	size_t n_sets, cap_sets;
	uint32_t set_ids; /* given so far */
};

/* The fields that are looked up together, or what is found by them. */
struct nft_tuple {
	enum nft_type types[4];
	size_t n;
};

void nft_tuple_add(struct nft_coder *c, struct nft_tuple *t, enum nft_type type);

struct nft_set {
	const char *name;
	uint32_t id; /* in this batch */
	struct nft_tuple key, data; /* data: none if it is a set, or a map to verdicts */
	bool verdicts;
};

/* NULL if none of that name has been declared before. */
const struct nft_set *nft_set_find(const struct nft_coder *c, const char *name);
/* "type ifname : verdict" and what else stands between the braces, the second of them included. */
void nft_set_declare(struct nft_coder *c, const char *name);
/* "{ KEY, KEY : DATA }", into @set, which is declared. */
void nft_set_fill(struct nft_coder *c, struct text *out, const struct nft_set *set);
/* The same as a set without a name, which is declared by it.  @set gets its id. */
void nft_set_anonymous(struct nft_coder *c, struct nft_set *set);

/* "accept", "goto CHAIN" and the like; false if there is none. */
bool nft_verdict(struct nft_coder *c, int *ret_code, const char **ret_chain);

/* One line: a rule of @chain. */
void nft_code_rule(struct nft_coder *c, const char *chain);

struct nft_rule {
	struct nft_coder *c;
	struct nft_words *w;
	struct text out; /* its expressions */
	uint8_t network, transport; /* protocols that it has asked for */
	bool ethernet; /* likewise the sort of link */
	const char *comment;
};

/* wire/nft_match.c: what a rule looks at, "ip daddr" and the like; NULL if no such words are next. */
struct nft_field;
const struct nft_field *nft_take_field(struct nft_words *w);
/* Behind the words for @f: what it is compared with, looked up in, or set to. */
void nft_match(struct nft_rule *r, const struct nft_field *f);
/* "FIELD . FIELD" from @f on, which has been taken: as many as there are, side by side. */
void nft_load_tuple(struct nft_rule *r, const struct nft_field *f, struct nft_tuple *ret);
/* "@NAME" */
const char *nft_take_set_name(struct nft_rule *r);
/* Asks for @proto if that has not been done. */
void nft_require_transport(struct nft_rule *r, uint8_t proto);

#endif
