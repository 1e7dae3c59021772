/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_coder.h"

#include "model/ip.h"
#include "wire/nft_expr.h"

#include <linux/if_arp.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <string.h>

enum source { FROM_META, FROM_CT, FROM_ETHERNET, FROM_NETWORK, FROM_TRANSPORT, FROM_FIB };

/* What of a packet can be looked at, by nft's words for it. */
struct nft_field {
	const char *words[5];
	enum source source;
	uint32_t at; /* the key of meta or ct, the offset in the header, or flags of fib */
	enum nft_type type;
	uint8_t network, transport; /* the protocols that have it; 0: all */
	bool original; /* of ct: as the connection's first packet had it */
};

static const struct nft_field fields[] = {
	{ { "iifname" }, FROM_META, NFT_META_IIFNAME, NFT_TYPE_IFNAME },
	{ { "oifname" }, FROM_META, NFT_META_OIFNAME, NFT_TYPE_IFNAME },
	{ { "meta", "nfproto" }, FROM_META, NFT_META_NFPROTO, NFT_TYPE_NFPROTO },
	{ { "meta", "l4proto" }, FROM_META, NFT_META_L4PROTO, NFT_TYPE_PROTO },
	{ { "meta", "mark" }, FROM_META, NFT_META_MARK, NFT_TYPE_MARK },
	{ { "ether", "daddr" }, FROM_ETHERNET, 0, NFT_TYPE_MAC },
	{ { "ip", "saddr" }, FROM_NETWORK, 12, NFT_TYPE_IP, NFPROTO_IPV4 },
	{ { "ip", "daddr" }, FROM_NETWORK, 16, NFT_TYPE_IP, NFPROTO_IPV4 },
	{ { "ip6", "saddr" }, FROM_NETWORK, 8, NFT_TYPE_IP6, NFPROTO_IPV6 },
	{ { "ip6", "daddr" }, FROM_NETWORK, 24, NFT_TYPE_IP6, NFPROTO_IPV6 },
	{ { "th", "dport" }, FROM_TRANSPORT, 2, NFT_TYPE_PORT },
	{ { "icmp", "type" }, FROM_TRANSPORT, 0, NFT_TYPE_ICMP, NFPROTO_IPV4, IPPROTO_ICMP },
	{ { "icmpv6", "type" }, FROM_TRANSPORT, 0, NFT_TYPE_ICMP6, NFPROTO_IPV6, IPPROTO_ICMPV6 },
	{ { "tcp", "flags" }, FROM_TRANSPORT, 13, NFT_TYPE_TCP_FLAGS, 0, IPPROTO_TCP },
	{ { "ct", "state" }, FROM_CT, NFT_CT_STATE, NFT_TYPE_CT_STATE },
	{ { "ct", "status" }, FROM_CT, NFT_CT_STATUS, NFT_TYPE_CT_STATUS },
	{ { "ct", "mark" }, FROM_CT, NFT_CT_MARK, NFT_TYPE_MARK },
	{ { "ct", "direction" }, FROM_CT, NFT_CT_DIRECTION, NFT_TYPE_CT_DIR },
	{ { "ct", "original", "ip", "daddr" }, FROM_CT, NFT_CT_DST_IP, NFT_TYPE_IP, 0, 0, true },
	{ { "ct", "original", "ip6", "daddr" }, FROM_CT, NFT_CT_DST_IP6, NFT_TYPE_IP6, 0, 0, true },
	{ { "fib", "daddr", "type" }, FROM_FIB, NFTA_FIB_F_DADDR, NFT_TYPE_FIB_ADDR },
	{ { "fib", "daddr", ".", "iif", "type" },
	  FROM_FIB,
	  NFTA_FIB_F_DADDR | NFTA_FIB_F_IIF,
	  NFT_TYPE_FIB_ADDR },
};

const struct nft_field *nft_take_field(struct nft_words *w)
{
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		if (nft_take_all(w, fields[i].words, ARRAY_LEN(fields[i].words)))
			return &fields[i];
	return NULL;
}

/* --- what a packet is looked at for --------------------------------------------- */

static void require_byte(struct nft_rule *r, uint32_t key, uint8_t value, uint8_t *known)
{
	if (!value || *known == value)
		return;
	if (*known)
		nft_unknown(r->w); /* no packet is both */
	nft_expr_meta(&r->out, key, 0);
	nft_expr_compare(&r->out, false, &value, sizeof(value));
	*known = value;
}

void nft_require_transport(struct nft_rule *r, uint8_t proto)
{
	require_byte(r, NFT_META_L4PROTO, proto, &r->transport);
}

static void require_ethernet(struct nft_rule *r, const struct nft_field *f)
{
	static const uint16_t ethernet = ARPHRD_ETHER;

	if (f->source != FROM_ETHERNET || r->ethernet)
		return;
	nft_expr_meta(&r->out, NFT_META_IIFTYPE, 0);
	nft_expr_compare(&r->out, false, &ethernet, sizeof(ethernet));
	r->ethernet = true;
}

/* Must its protocol be asked for first? */
static bool needs(const struct nft_rule *r, const struct nft_field *f)
{
	return (f->source == FROM_ETHERNET && !r->ethernet) ||
	       (f->network && f->network != r->network) ||
	       (f->transport && f->transport != r->transport);
}

static void require(struct nft_rule *r, const struct nft_field *f)
{
	require_ethernet(r, f);
	require_byte(r, NFT_META_NFPROTO, f->network, &r->network);
	require_byte(r, NFT_META_L4PROTO, f->transport, &r->transport);
}

/* The first @size bytes of it. */
static void load(struct nft_rule *r, const struct nft_field *f, size_t size, unsigned int place)
{
	switch (f->source) {
	case FROM_META:
		nft_expr_meta(&r->out, f->at, place);
		return;
	case FROM_CT:
		nft_expr_ct(&r->out, f->at, f->original ? 0 : -1, place);
		return;
	case FROM_ETHERNET:
		nft_expr_payload(&r->out, NFT_PAYLOAD_LL_HEADER, f->at, (uint32_t)size, place);
		return;
	case FROM_NETWORK:
		nft_expr_payload(&r->out, NFT_PAYLOAD_NETWORK_HEADER, f->at, (uint32_t)size, place);
		return;
	case FROM_TRANSPORT:
		nft_expr_payload(&r->out, NFT_PAYLOAD_TRANSPORT_HEADER, f->at, (uint32_t)size,
				 place);
		return;
	case FROM_FIB:
		nft_expr_fib_type(&r->out, f->at);
		return;
	}
}

static void load_whole(struct nft_rule *r, const struct nft_field *f)
{
	require(r, f);
	load(r, f, nft_type_size(f->type), 0);
}

static void mask_bits(struct nft_rule *r, const struct nft_field *f,
		      const uint8_t mask[NFT_VALUE_SIZE])
{
	static const uint8_t none[NFT_VALUE_SIZE] = { 0 };

	nft_expr_bits(&r->out, mask, none, nft_type_size(f->type), 0);
}

static void mask_constant(struct nft_rule *r, const struct nft_field *f, unsigned int place)
{
	static const uint8_t none[NFT_VALUE_SIZE] = { 0 };
	uint8_t mask[NFT_VALUE_SIZE];

	if (nft_type_has_flags(f->type))
		nft_flags(r->w, f->type, mask);
	else
		nft_constant(r->w, f->type, mask);
	nft_expr_bits(&r->out, mask, none, nft_type_size(f->type), place);
}

/* "FIELD . (FIELD & MASK)": as many as there are, side by side. */
void nft_load_tuple(struct nft_rule *r, const struct nft_field *f, struct nft_tuple *ret)
{
	unsigned int place = 0;

	do {
		bool inside = ret->n && nft_take(r->w, "(");

		if (ret->n)
			f = nft_take_field(r->w);
		if (!f || f->source == FROM_FIB) {
			nft_unknown(r->w);
			return;
		}
		if (place && needs(r, f)) /* the question would be put where the first field is */
			nft_unknown(r->w);
		require(r, f);
		load(r, f, nft_type_size(f->type), place);
		if (inside) {
			nft_want(r->w, "&");
			mask_constant(r, f, place);
			nft_want(r->w, ")");
		}
		nft_tuple_add(r->c, ret, f->type);
		place += (unsigned int)(nft_type_size(f->type) + 3) / 4;
	} while (nft_take(r->w, ".") && place < 16);
}

/* "@NAME" */
const char *nft_take_set_name(struct nft_rule *r)
{
	const char *name = nft_name(r->w, r->c->arena);

	if (name[0] != '@')
		nft_unknown(r->w);
	return name[0] ? name + 1 : name;
}

/* "vmap @MAP", "@SET" or "{ ... }" */
static void look_up(struct nft_rule *r, const struct nft_tuple *key, bool unequal)
{
	if (nft_take(r->w, "vmap")) {
		nft_expr_lookup(&r->out, nft_take_set_name(r), 0, NFT_FOUND_VERDICT, false);
	} else if (nft_is(r->w, "{")) {
		struct nft_set set = { .key = *key };

		nft_set_anonymous(r->c, &set);
		nft_expr_lookup(&r->out, set.name, set.id, NFT_FOUND_NOTHING, unequal);
	} else {
		nft_expr_lookup(&r->out, nft_take_set_name(r), 0, NFT_FOUND_NOTHING, unequal);
	}
}

static bool is_lookup(const struct nft_words *w)
{
	return nft_is(w, "vmap") || nft_is(w, "{") || (w->kind == NFT_WORD && w->word[0] == '@');
}

static void set_bits(uint8_t *bytes, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		bytes[i / 8] |= (uint8_t)(0x80 >> i % 8);
}

/* Of a length in whole bytes: fewer bytes are compared.  Else bits are masked. */
static void match_prefix(struct nft_rule *r, const struct nft_field *f, bool unequal)
{
	sa_family_t family = f->type == NFT_TYPE_IP ? AF_INET : AF_INET6;
	uint8_t mask[NFT_VALUE_SIZE] = { 0 };
	size_t size = nft_type_size(f->type);
	struct prefix p;

	if (!prefix_parse(r->w->word, false, &p) || p.ip.family != family) {
		nft_unknown(r->w);
		return;
	}
	nft_next(r->w);
	if (p.len && p.len % 8 == 0 && f->source == FROM_NETWORK)
		size = p.len / 8;
	require(r, f);
	load(r, f, size, 0);
	if (!p.len || p.len % 8) {
		set_bits(mask, p.len);
		mask_bits(r, f, mask);
	}
	nft_expr_compare(&r->out, unequal, p.ip.byte, size);
}

/* "room*": as many bytes as stand before the star. */
static void match_names(struct nft_rule *r, const struct nft_field *f, bool unequal)
{
	size_t len = strlen(r->w->word) - 1;

	if (!len || len >= NFT_VALUE_SIZE || strcspn(r->w->word, "*") != len) {
		nft_unknown(r->w);
		return;
	}
	load_whole(r, f);
	nft_expr_compare(&r->out, unequal, r->w->word, len);
	nft_next(r->w);
}

/* "new", "established,related": any of these bits. */
static void match_any_bit(struct nft_rule *r, const struct nft_field *f)
{
	static const uint8_t none[NFT_VALUE_SIZE] = { 0 };
	uint8_t bits[NFT_VALUE_SIZE];

	nft_flags(r->w, f->type, bits);
	load_whole(r, f);
	mask_bits(r, f, bits);
	nft_expr_compare(&r->out, true, none, nft_type_size(f->type));
}

/* "syn / syn,rst": of these bits exactly those. */
static void match_bits_of(struct nft_rule *r, const struct nft_field *f)
{
	uint8_t bits[NFT_VALUE_SIZE], mask[NFT_VALUE_SIZE];

	nft_flags(r->w, f->type, bits);
	nft_want(r->w, "/");
	nft_flags(r->w, f->type, mask);
	load_whole(r, f);
	mask_bits(r, f, mask);
	nft_expr_compare(&r->out, false, bits, nft_type_size(f->type));
}

/* What a packet is asked for first need not be asked for again. */
static void note_protocol(struct nft_rule *r, const struct nft_field *f, bool unequal,
			  uint8_t value)
{
	if (unequal || f->source != FROM_META)
		return;
	if (f->type == NFT_TYPE_NFPROTO)
		r->network = value;
	if (f->type == NFT_TYPE_PROTO)
		r->transport = value;
}

static void match_value(struct nft_rule *r, const struct nft_field *f, bool unequal)
{
	bool address = f->type == NFT_TYPE_IP || f->type == NFT_TYPE_IP6;
	uint8_t value[NFT_VALUE_SIZE];

	if (address && strchr(r->w->word, '/')) {
		match_prefix(r, f, unequal);
		return;
	}
	if (f->type == NFT_TYPE_IFNAME && strchr(r->w->word, '*')) {
		match_names(r, f, unequal);
		return;
	}
	nft_constant(r->w, f->type, value);
	load_whole(r, f);
	nft_expr_compare(&r->out, unequal, value, nft_type_size(f->type));
	note_protocol(r, f, unequal, value[0]);
}

static bool take_unequal(struct nft_words *w)
{
	if (nft_take(w, "!="))
		return true;
	nft_take(w, "==");
	return false;
}

/* "and 0xffff0000 == 0x170d0000", "& 255.255.255.192 vmap @closed4" */
static void match_masked(struct nft_rule *r, const struct nft_field *f)
{
	const struct nft_tuple key = { .types = { f->type }, .n = 1 };
	uint8_t value[NFT_VALUE_SIZE];
	bool unequal;

	load_whole(r, f);
	mask_constant(r, f, 0);
	unequal = take_unequal(r->w);
	if (is_lookup(r->w)) {
		look_up(r, &key, unequal);
		return;
	}
	nft_constant(r->w, f->type, value);
	nft_expr_compare(&r->out, unequal, value, nft_type_size(f->type));
}

/* --- what is written into it ------------------------------------------------------ */

/* "ct mark and 0xffff or 0x170d0000": the bits of both are set by the second alone. */
static void compute(struct nft_rule *r, const struct nft_field *f)
{
	uint32_t keep, set = 0;

	if (f->type != NFT_TYPE_MARK)
		nft_unknown(r->w);
	load_whole(r, f);
	nft_want(r->w, "and");
	keep = nft_number(r->w, UINT32_MAX);
	if (nft_take(r->w, "or"))
		set = nft_number(r->w, UINT32_MAX);
	keep &= ~set;
	nft_expr_bits(&r->out, &keep, &set, sizeof(keep), 0);
}

static void assign(struct nft_rule *r, const struct nft_field *f)
{
	const struct nft_field *from = nft_take_field(r->w);
	uint8_t value[NFT_VALUE_SIZE];

	if (from) {
		compute(r, from);
	} else {
		nft_constant(r->w, f->type, value);
		if (f->source == FROM_NETWORK)
			require(r, f);
		nft_expr_value(&r->out, 0, value, nft_type_size(f->type));
	}
	if (f->type == NFT_TYPE_MARK && f->source == FROM_META)
		nft_expr_meta_set(&r->out, f->at);
	else if (f->type == NFT_TYPE_MARK && f->source == FROM_CT)
		nft_expr_ct_set(&r->out, f->at);
	else if (f->source == FROM_NETWORK && !from)
		nft_expr_payload_set(&r->out, f->at, (uint32_t)nft_type_size(f->type),
				     f->type == NFT_TYPE_IP ? AF_INET : AF_INET6);
	else
		nft_unknown(r->w);
}

void nft_match(struct nft_rule *r, const struct nft_field *f)
{
	struct nft_tuple key = { .types = { f->type }, .n = 1 };
	bool unequal;

	if (nft_take(r->w, "set")) {
		assign(r, f);
		return;
	}
	if (nft_take(r->w, "and") || nft_take(r->w, "&")) {
		match_masked(r, f);
		return;
	}
	if (nft_is(r->w, ".")) {
		key.n = 0;
		nft_load_tuple(r, f, &key);
		look_up(r, &key, take_unequal(r->w));
		return;
	}
	unequal = take_unequal(r->w);
	if (is_lookup(r->w)) {
		load_whole(r, f);
		look_up(r, &key, unequal);
	} else if (f->type == NFT_TYPE_TCP_FLAGS && !unequal) {
		match_bits_of(r, f);
	} else if (nft_type_has_flags(f->type) && !unequal) {
		match_any_bit(r, f);
	} else if (!nft_type_has_flags(f->type)) {
		match_value(r, f, unequal);
	} else {
		nft_unknown(r->w);
	}
}
