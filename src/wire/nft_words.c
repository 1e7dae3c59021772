/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_words.h"

#include "base/text.h"
#include "model/ip.h"

#include <arpa/inet.h>
#include <linux/if.h>
#include <linux/netfilter.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#define BLANKS " \t"
#define SIGNS  "{}(),;"

void nft_unknown(struct nft_words *w)
{
	w->unknown = true;
	w->kind = NFT_END;
	w->word[0] = 0;
	w->start = w->rest = "";
}

/* @len bytes at @s are the next word; what follows them, @more bytes on, is looked at later. */
static void set_word(struct nft_words *w, enum nft_word_kind kind, const char *s, size_t len,
		     size_t more)
{
	if (len >= sizeof(w->word)) {
		nft_unknown(w);
		return;
	}
	w->kind = kind;
	memcpy(w->word, s, len);
	w->word[len] = 0;
	w->rest = s + len + more;
}

void nft_next(struct nft_words *w)
{
	const char *s = w->rest + strspn(w->rest, BLANKS);
	size_t len;

	w->start = s;
	if (!*s) {
		set_word(w, NFT_END, s, 0, 0);
	} else if (*s == '\n') {
		set_word(w, NFT_LINE, s, 0, 1);
	} else if (*s == '"') {
		len = strcspn(s + 1, "\"\n\\");
		if (s[1 + len] == '"')
			set_word(w, NFT_STRING, s + 1, len, 1);
		else
			nft_unknown(w);
	} else {
		len = strchr(SIGNS, *s) ? 1 : strcspn(s, BLANKS SIGNS "\n\"");
		set_word(w, NFT_WORD, s, len, 0);
	}
}

void nft_words_begin(struct nft_words *w, const char *text)
{
	*w = (struct nft_words){ .rest = text };
	nft_next(w);
}

/* To @start, which was that of a word. */
static void go_back(struct nft_words *w, const char *start)
{
	if (w->unknown)
		return;
	w->rest = start;
	nft_next(w);
}

bool nft_at_end(const struct nft_words *w)
{
	return w->kind == NFT_LINE || w->kind == NFT_END;
}

bool nft_is(const struct nft_words *w, const char *word)
{
	/* Of a row of words nearly all differ in the first letter. */
	return w->kind == NFT_WORD && w->word[0] == word[0] && str_eq(w->word, word);
}

bool nft_take(struct nft_words *w, const char *word)
{
	bool is = nft_is(w, word);

	if (is)
		nft_next(w);
	return is;
}

bool nft_take_all(struct nft_words *w, const char *const *words, size_t n)
{
	const char *start = w->start;

	for (size_t i = 0; i < n && words[i]; i++)
		if (!nft_take(w, words[i])) {
			if (i)
				go_back(w, start);
			return false;
		}
	return true;
}

void nft_want(struct nft_words *w, const char *word)
{
	if (!nft_take(w, word))
		nft_unknown(w);
}

void nft_want_line(struct nft_words *w)
{
	if (w->kind == NFT_LINE)
		nft_next(w);
	else if (w->kind != NFT_END)
		nft_unknown(w);
}

void nft_skip_lines(struct nft_words *w)
{
	while (w->kind == NFT_LINE)
		nft_next(w);
}

static const char *take_kind(struct nft_words *w, struct arena *a, enum nft_word_kind kind)
{
	const char *word = arena_strdup(a, w->word);

	if (w->kind == kind && (kind == NFT_STRING || !strchr(SIGNS, w->word[0]))) {
		nft_next(w);
		return word;
	}
	nft_unknown(w);
	return "";
}

const char *nft_name(struct nft_words *w, struct arena *a)
{
	return take_kind(w, a, NFT_WORD);
}

const char *nft_string(struct nft_words *w, struct arena *a)
{
	return take_kind(w, a, NFT_STRING);
}

uint32_t nft_number(struct nft_words *w, uint32_t max)
{
	bool hex = str_starts(w->word, "0x");
	const char *digits = w->word + (hex ? 2 : 0);
	size_t len = strspn(digits, hex ? "0123456789abcdef" : "0123456789");
	/* nft reads a number that begins with 0 in base 8, or not at all. */
	bool octal = !hex && len > 1 && digits[0] == '0';
	unsigned long long n = strtoull(digits, NULL, hex ? 16 : 10);

	if (w->kind != NFT_WORD || !len || len > 10 || digits[len] || octal || n > max) {
		nft_unknown(w);
		return 0;
	}
	nft_next(w);
	return (uint32_t)n;
}

static const struct type {
	enum nft_type type;
	uint8_t size;
	bool flags;
	const char *name; /* NULL: of no set of ours */
} types[] = {
	{ NFT_TYPE_NFPROTO, 1, false, NULL },        { NFT_TYPE_IP, 4, false, "ipv4_addr" },
	{ NFT_TYPE_IP6, 16, false, "ipv6_addr" },    { NFT_TYPE_PROTO, 1, false, "inet_proto" },
	{ NFT_TYPE_PORT, 2, false, "inet_service" }, { NFT_TYPE_ICMP, 1, false, NULL },
	{ NFT_TYPE_MARK, 4, false, NULL },           { NFT_TYPE_CT_STATE, 4, true, NULL },
	{ NFT_TYPE_CT_DIR, 1, false, NULL },         { NFT_TYPE_CT_STATUS, 4, true, NULL },
	{ NFT_TYPE_ICMP6, 1, false, NULL },          { NFT_TYPE_TCP_FLAGS, 1, true, NULL },
	{ NFT_TYPE_FIB_ADDR, 4, false, NULL },       { NFT_TYPE_IFNAME, IFNAMSIZ, false, "ifname" },
	{ NFT_TYPE_MAC, 6, false, "ether_addr" },
};

static const struct type *find_type(enum nft_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return &types[i];
	return NULL;
}

size_t nft_type_size(enum nft_type type)
{
	const struct type *t = find_type(type);

	return t ? t->size : 0;
}

bool nft_type_has_flags(enum nft_type type)
{
	const struct type *t = find_type(type);

	return t && t->flags;
}

enum nft_type nft_type_named(const char *name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].name && str_eq(types[i].name, name))
			return types[i].type;
	return NFT_TYPE_NONE;
}

/* nft's words for numbers, as `nft describe` lists them. */
static const struct symbol {
	enum nft_type type;
	const char *word;
	uint32_t number;
} symbols[] = {
	{ NFT_TYPE_NFPROTO, "ipv4", NFPROTO_IPV4 },
	{ NFT_TYPE_NFPROTO, "ipv6", NFPROTO_IPV6 },
	{ NFT_TYPE_PROTO, "icmp", IPPROTO_ICMP },
	{ NFT_TYPE_PROTO, "tcp", IPPROTO_TCP },
	{ NFT_TYPE_PROTO, "udp", IPPROTO_UDP },
	{ NFT_TYPE_PROTO, "icmpv6", IPPROTO_ICMPV6 },
	{ NFT_TYPE_ICMP, "redirect", 5 },
	{ NFT_TYPE_ICMP6, "nd-router-advert", 134 },
	{ NFT_TYPE_ICMP6, "nd-neighbor-solicit", 135 },
	{ NFT_TYPE_ICMP6, "nd-neighbor-advert", 136 },
	{ NFT_TYPE_ICMP6, "nd-redirect", 137 },
	{ NFT_TYPE_CT_STATE, "invalid", 1 << 0 },
	{ NFT_TYPE_CT_STATE, "established", 1 << 1 },
	{ NFT_TYPE_CT_STATE, "related", 1 << 2 },
	{ NFT_TYPE_CT_STATE, "new", 1 << 3 },
	{ NFT_TYPE_CT_DIR, "original", 0 },
	{ NFT_TYPE_CT_DIR, "reply", 1 },
	{ NFT_TYPE_CT_STATUS, "dnat", 1 << 5 },
	{ NFT_TYPE_TCP_FLAGS, "fin", 0x01 },
	{ NFT_TYPE_TCP_FLAGS, "syn", 0x02 },
	{ NFT_TYPE_TCP_FLAGS, "rst", 0x04 },
	{ NFT_TYPE_TCP_FLAGS, "ack", 0x10 },
	{ NFT_TYPE_FIB_ADDR, "local", RTN_LOCAL },
};

static uint32_t symbol(struct nft_words *w, enum nft_type type)
{
	for (size_t i = 0; i < ARRAY_LEN(symbols); i++)
		if (symbols[i].type == type && nft_take(w, symbols[i].word))
			return symbols[i].number;
	nft_unknown(w);
	return 0;
}

static void address(struct nft_words *w, sa_family_t family, uint8_t *ret)
{
	struct ip ip;

	if (w->kind != NFT_WORD || !ip_parse(w->word, &ip) || ip.family != family) {
		nft_unknown(w);
		return;
	}
	memcpy(ret, ip.byte, ip_bits(family) / 8);
	nft_next(w);
}

static void mac_address(struct nft_words *w, uint8_t *ret)
{
	if (w->kind != NFT_WORD || !str_to_mac(w->word, ret)) {
		nft_unknown(w);
		return;
	}
	nft_next(w);
}

/* A name in whole: one that ends in * is for its caller to see to. */
static void interface(struct nft_words *w, uint8_t *ret)
{
	size_t len = strlen(w->word);

	if (w->kind != NFT_STRING || !len || len >= IFNAMSIZ || strchr(w->word, '*')) {
		nft_unknown(w);
		return;
	}
	memcpy(ret, w->word, len);
	nft_next(w);
}

static void put_number(enum nft_type type, uint32_t n, uint8_t *ret)
{
	uint8_t byte = (uint8_t)n;

	if (nft_type_size(type) == sizeof(byte))
		memcpy(ret, &byte, sizeof(byte));
	else
		memcpy(ret, &n, sizeof(n));
}

void nft_constant(struct nft_words *w, enum nft_type type, uint8_t ret[NFT_VALUE_SIZE])
{
	uint16_t port;

	memset(ret, 0, NFT_VALUE_SIZE);
	switch (type) {
	case NFT_TYPE_IP:
		address(w, AF_INET, ret);
		return;
	case NFT_TYPE_IP6:
		address(w, AF_INET6, ret);
		return;
	case NFT_TYPE_MAC:
		mac_address(w, ret);
		return;
	case NFT_TYPE_IFNAME:
		interface(w, ret);
		return;
	case NFT_TYPE_PORT:
		port = htons((uint16_t)nft_number(w, UINT16_MAX));
		memcpy(ret, &port, sizeof(port));
		return;
	case NFT_TYPE_MARK:
		put_number(type, nft_number(w, UINT32_MAX), ret);
		return;
	case NFT_TYPE_NFPROTO:
	case NFT_TYPE_PROTO:
	case NFT_TYPE_ICMP:
	case NFT_TYPE_CT_STATE:
	case NFT_TYPE_CT_DIR:
	case NFT_TYPE_CT_STATUS:
	case NFT_TYPE_ICMP6:
	case NFT_TYPE_TCP_FLAGS:
	case NFT_TYPE_FIB_ADDR:
		put_number(type, symbol(w, type), ret);
		return;
	case NFT_TYPE_NONE:
		break;
	}
	nft_unknown(w);
}

void nft_flags(struct nft_words *w, enum nft_type type, uint8_t ret[NFT_VALUE_SIZE])
{
	bool inside = nft_take(w, "(");
	uint32_t bits = symbol(w, type);

	while (nft_take(w, inside ? "|" : ","))
		bits |= symbol(w, type);
	if (inside)
		nft_want(w, ")");
	memset(ret, 0, NFT_VALUE_SIZE);
	put_number(type, bits, ret);
}
