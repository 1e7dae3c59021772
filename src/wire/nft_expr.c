/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_expr.h"

#include "wire/nft_message.h"

#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <sys/socket.h>

/* Where the header of IPv4 has its checksum. */
#define IPV4_CHECKSUM 10

struct expr {
	size_t element, data;
};

static struct expr begin(struct text *t, const char *name)
{
	struct expr x = { .element = nft_nest_begin(t, NFTA_LIST_ELEM) };

	nft_put_text(t, NFTA_EXPR_NAME, name);
	x.data = nft_nest_begin(t, NFTA_EXPR_DATA);
	return x;
}

static void end(struct text *t, struct expr x)
{
	/* No expression comes near what an attribute can hold. */
	(void)nft_nest_end(t, x.data);
	(void)nft_nest_end(t, x.element);
}

/* Four words have a number of their own, which nft takes where it can. */
static uint32_t number_of(unsigned int place)
{
	return place % 4 == 0 ? NFT_REG_1 + place / 4 : NFT_REG32_00 + place;
}

void nft_expr_meta(struct text *t, uint32_t key, unsigned int place)
{
	struct expr x = begin(t, "meta");

	nft_put_u32(t, NFTA_META_KEY, key);
	nft_put_u32(t, NFTA_META_DREG, number_of(place));
	end(t, x);
}

void nft_expr_meta_set(struct text *t, uint32_t key)
{
	struct expr x = begin(t, "meta");

	nft_put_u32(t, NFTA_META_KEY, key);
	nft_put_u32(t, NFTA_META_SREG, NFT_REG_1);
	end(t, x);
}

void nft_expr_ct(struct text *t, uint32_t key, int direction, unsigned int place)
{
	struct expr x = begin(t, "ct");

	nft_put_u32(t, NFTA_CT_KEY, key);
	nft_put_u32(t, NFTA_CT_DREG, number_of(place));
	if (direction >= 0)
		nft_put_u8(t, NFTA_CT_DIRECTION, (uint8_t)direction);
	end(t, x);
}

void nft_expr_ct_set(struct text *t, uint32_t key)
{
	struct expr x = begin(t, "ct");

	nft_put_u32(t, NFTA_CT_KEY, key);
	nft_put_u32(t, NFTA_CT_SREG, NFT_REG_1);
	end(t, x);
}

void nft_expr_payload(struct text *t, uint32_t base, uint32_t offset, uint32_t size,
		      unsigned int place)
{
	struct expr x = begin(t, "payload");

	nft_put_u32(t, NFTA_PAYLOAD_DREG, number_of(place));
	nft_put_u32(t, NFTA_PAYLOAD_BASE, base);
	nft_put_u32(t, NFTA_PAYLOAD_OFFSET, offset);
	nft_put_u32(t, NFTA_PAYLOAD_LEN, size);
	end(t, x);
}

void nft_expr_payload_set(struct text *t, uint32_t offset, uint32_t size, int family)
{
	struct expr x = begin(t, "payload");

	nft_put_u32(t, NFTA_PAYLOAD_SREG, NFT_REG_1);
	nft_put_u32(t, NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
	nft_put_u32(t, NFTA_PAYLOAD_OFFSET, offset);
	nft_put_u32(t, NFTA_PAYLOAD_LEN, size);
	if (family == AF_INET) {
		nft_put_u32(t, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
		nft_put_u32(t, NFTA_PAYLOAD_CSUM_OFFSET, IPV4_CHECKSUM);
	}
	nft_put_u32(t, NFTA_PAYLOAD_CSUM_FLAGS, NFT_PAYLOAD_L4CSUM_PSEUDOHDR);
	end(t, x);
}

void nft_expr_fib_type(struct text *t, uint32_t flags)
{
	struct expr x = begin(t, "fib");

	nft_put_u32(t, NFTA_FIB_FLAGS, flags);
	nft_put_u32(t, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
	nft_put_u32(t, NFTA_FIB_DREG, NFT_REG_1);
	end(t, x);
}

void nft_expr_compare(struct text *t, bool unequal, const void *value, size_t size)
{
	struct expr x = begin(t, "cmp");

	nft_put_u32(t, NFTA_CMP_SREG, NFT_REG_1);
	nft_put_u32(t, NFTA_CMP_OP, unequal ? NFT_CMP_NEQ : NFT_CMP_EQ);
	nft_put_value(t, NFTA_CMP_DATA, value, size);
	end(t, x);
}

void nft_expr_bits(struct text *t, const void *mask, const void *flip, size_t size,
		   unsigned int place)
{
	struct expr x = begin(t, "bitwise");

	nft_put_u32(t, NFTA_BITWISE_SREG, number_of(place));
	nft_put_u32(t, NFTA_BITWISE_DREG, number_of(place));
	nft_put_u32(t, NFTA_BITWISE_LEN, (uint32_t)size);
	nft_put_value(t, NFTA_BITWISE_MASK, mask, size);
	nft_put_value(t, NFTA_BITWISE_XOR, flip, size);
	end(t, x);
}

void nft_expr_value(struct text *t, unsigned int place, const void *value, size_t size)
{
	struct expr x = begin(t, "immediate");

	nft_put_u32(t, NFTA_IMMEDIATE_DREG, number_of(place));
	nft_put_value(t, NFTA_IMMEDIATE_DATA, value, size);
	end(t, x);
}

void nft_expr_verdict(struct text *t, int code, const char *chain)
{
	struct expr x = begin(t, "immediate");

	nft_put_u32(t, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	nft_put_verdict(t, NFTA_IMMEDIATE_DATA, code, chain);
	end(t, x);
}

void nft_expr_lookup(struct text *t, const char *set, uint32_t id, enum nft_found found,
		     bool unequal)
{
	struct expr x = begin(t, "lookup");

	nft_put_u32(t, NFTA_LOOKUP_SREG, NFT_REG_1);
	if (found != NFT_FOUND_NOTHING)
		nft_put_u32(t, NFTA_LOOKUP_DREG,
			    found == NFT_FOUND_VERDICT ? NFT_REG_VERDICT : NFT_REG_1);
	nft_put_text(t, NFTA_LOOKUP_SET, set);
	if (id)
		nft_put_u32(t, NFTA_LOOKUP_SET_ID, id);
	if (unequal)
		nft_put_u32(t, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	end(t, x);
}

void nft_expr_counter(struct text *t)
{
	end(t, begin(t, "counter"));
}

void nft_expr_reject(struct text *t, uint32_t type, uint8_t code)
{
	struct expr x = begin(t, "reject");

	nft_put_u32(t, NFTA_REJECT_TYPE, type);
	nft_put_u8(t, NFTA_REJECT_ICMP_CODE, code);
	end(t, x);
}

void nft_expr_nat(struct text *t, uint32_t type, uint32_t family, unsigned int port)
{
	struct expr x = begin(t, "nat");

	nft_put_u32(t, NFTA_NAT_TYPE, type);
	nft_put_u32(t, NFTA_NAT_FAMILY, family);
	nft_put_u32(t, NFTA_NAT_REG_ADDR_MIN, NFT_REG_1);
	if (port)
		nft_put_u32(t, NFTA_NAT_REG_PROTO_MIN, number_of(port));
	end(t, x);
}

void nft_expr_masquerade(struct text *t, bool ports)
{
	struct expr x = begin(t, "masq");

	if (ports) {
		nft_put_u32(t, NFTA_MASQ_FLAGS, NF_NAT_RANGE_PROTO_SPECIFIED);
		nft_put_u32(t, NFTA_MASQ_REG_PROTO_MIN, NFT_REG_1);
		nft_put_u32(t, NFTA_MASQ_REG_PROTO_MAX, NFT_REG_2);
	}
	end(t, x);
}

void nft_expr_tcp_option(struct text *t, uint8_t option, uint32_t offset, uint32_t size)
{
	struct expr x = begin(t, "exthdr");

	nft_put_u32(t, NFTA_EXTHDR_SREG, NFT_REG_1);
	nft_put_u8(t, NFTA_EXTHDR_TYPE, option);
	nft_put_u32(t, NFTA_EXTHDR_OFFSET, offset);
	nft_put_u32(t, NFTA_EXTHDR_LEN, size);
	nft_put_u32(t, NFTA_EXTHDR_OP, NFT_EXTHDR_OP_TCPOPT);
	end(t, x);
}
