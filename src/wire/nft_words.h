/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NFT_WORDS_H
#define WIRE_NFT_WORDS_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * nft's language word by word, and its constants.  For the files of nft_encode()
 * alone.  The first thing that is not known sets @unknown; from then on there is
 * only the end.
 */
enum nft_word_kind {
	NFT_END,
	NFT_LINE, /* the end of a line */
	NFT_WORD, /* or one of { } ( ) , ; */
	NFT_STRING, /* "...", here without the quotation marks */
};

#define NFT_WORD_SIZE 256

struct nft_words {
	enum nft_word_kind kind; /* of the word that comes next */
	char word[NFT_WORD_SIZE];
	const char *start, *rest;
	bool unknown;
};

void nft_words_begin(struct nft_words *w, const char *text);
void nft_unknown(struct nft_words *w);
void nft_next(struct nft_words *w);

bool nft_at_end(const struct nft_words *w); /* of the line */
bool nft_is(const struct nft_words *w, const char *word);
/* Goes past @word if that is next. */
bool nft_take(struct nft_words *w, const char *word);
/* Goes past @words, at most @n or up to NULL, if all of them are next. */
bool nft_take_all(struct nft_words *w, const char *const *words, size_t n);
void nft_want(struct nft_words *w, const char *word);
void nft_want_line(struct nft_words *w);
void nft_skip_lines(struct nft_words *w);
/* The next word or string, which is gone past; "" if there is none. */
const char *nft_name(struct nft_words *w, struct arena *a);
const char *nft_string(struct nft_words *w, struct arena *a);
/* In base 10, or 16 after 0x. */
uint32_t nft_number(struct nft_words *w, uint32_t max);

/* What a constant may be.  The numbers are nft's own: they are kept with sets in the kernel. */
enum nft_type {
	NFT_TYPE_NONE = 0,
	NFT_TYPE_NFPROTO = 2,
	NFT_TYPE_IP = 7,
	NFT_TYPE_IP6 = 8,
	NFT_TYPE_MAC = 9,
	NFT_TYPE_PROTO = 12,
	NFT_TYPE_PORT = 13,
	NFT_TYPE_ICMP = 14,
	NFT_TYPE_MARK = 19,
	NFT_TYPE_CT_STATE = 26,
	NFT_TYPE_CT_DIR = 27,
	NFT_TYPE_CT_STATUS = 28,
	NFT_TYPE_ICMP6 = 29,
	NFT_TYPE_TCP_FLAGS = 33,
	NFT_TYPE_FIB_ADDR = 38,
	NFT_TYPE_IFNAME = 41,
};

#define NFT_VALUE_SIZE 16

/* Bytes of a constant of @type. */
size_t nft_type_size(enum nft_type type);
/* "ipv4_addr" and the like, as a set's declaration names it. */
enum nft_type nft_type_named(const char *name);
/* A constant in the kernel's order of bytes, padded with zeros. */
void nft_constant(struct nft_words *w, enum nft_type type, uint8_t ret[NFT_VALUE_SIZE]);
/* "syn", "syn,rst", "(fin | syn)": bits of @type, likewise. */
void nft_flags(struct nft_words *w, enum nft_type type, uint8_t ret[NFT_VALUE_SIZE]);
/* Are values of @type sets of bits? */
bool nft_type_has_flags(enum nft_type type);

#endif
