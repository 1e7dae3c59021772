/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_message.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <string.h>

static size_t begin(struct text *t, uint16_t type, uint16_t flags, uint8_t family, uint16_t id)
{
	const struct nlmsghdr head = { .nlmsg_type = type,
				       .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) };
	const struct nfgenmsg generic = { .nfgen_family = family,
					  .version = NFNETLINK_V0,
					  .res_id = htons(id) };
	size_t at = t->len;

	text_add_len(t, (const char *)&head, sizeof(head));
	text_add_len(t, (const char *)&generic, sizeof(generic));
	return at;
}

size_t nft_message_begin_of(struct text *t, uint8_t family, uint16_t type, uint16_t flags)
{
	return begin(t, (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | type), flags, family, 0);
}

size_t nft_message_begin(struct text *t, uint16_t type, uint16_t flags)
{
	return nft_message_begin_of(t, NFPROTO_INET, type, flags);
}

void nft_message_end(struct text *t, size_t at)
{
	uint32_t size = (uint32_t)(t->len - at);

	memcpy(t->buf + at + offsetof(struct nlmsghdr, nlmsg_len), &size, sizeof(size));
}

void nft_message_bound(struct text *t, uint16_t type)
{
	nft_message_end(t, begin(t, type, 0, NFPROTO_UNSPEC, NFNL_SUBSYS_NFTABLES));
}

/* The head of an attribute with @size bytes inside. */
static void put_head(struct text *t, uint16_t type, size_t size)
{
	const struct nlattr head = { .nla_len = (uint16_t)(sizeof(head) + size), .nla_type = type };

	text_add_len(t, (const char *)&head, sizeof(head));
}

size_t nft_nest_begin(struct text *t, uint16_t type)
{
	size_t at = t->len;

	put_head(t, type | NLA_F_NESTED, 0);
	return at;
}

bool nft_nest_end(struct text *t, size_t at)
{
	uint16_t size = (uint16_t)(t->len - at);

	memcpy(t->buf + at + offsetof(struct nlattr, nla_len), &size, sizeof(size));
	return t->len - at <= UINT16_MAX;
}

void nft_put(struct text *t, uint16_t type, const void *data, size_t size)
{
	static const char zeros[NLMSG_ALIGNTO] = { 0 };

	put_head(t, type, size);
	text_add_len(t, data, size);
	if (NLMSG_ALIGN(size) != size)
		text_add_len(t, zeros, NLMSG_ALIGN(size) - size);
}

void nft_put_text(struct text *t, uint16_t type, const char *s)
{
	nft_put(t, type, s, strlen(s) + 1);
}

void nft_put_u8(struct text *t, uint16_t type, uint8_t n)
{
	nft_put(t, type, &n, sizeof(n));
}

void nft_put_u32(struct text *t, uint16_t type, uint32_t n)
{
	uint32_t big = htonl(n);

	nft_put(t, type, &big, sizeof(big));
}

void nft_put_value(struct text *t, uint16_t type, const void *data, size_t size)
{
	size_t at = nft_nest_begin(t, type);

	nft_put(t, NFTA_DATA_VALUE, data, size);
	(void)nft_nest_end(t, at); /* a value is short */
}

void nft_put_verdict(struct text *t, uint16_t type, int code, const char *chain)
{
	size_t at = nft_nest_begin(t, type);
	size_t verdict = nft_nest_begin(t, NFTA_DATA_VERDICT);

	nft_put_u32(t, NFTA_VERDICT_CODE, (uint32_t)code);
	if (chain)
		nft_put_text(t, NFTA_VERDICT_CHAIN, chain);
	(void)nft_nest_end(t, verdict);
	(void)nft_nest_end(t, at);
}

bool nft_put_comment(struct text *t, uint16_t type, const char *comment)
{
	enum { SIZE_MAX_WITH_ZERO = 128 };
	char bytes[2 + SIZE_MAX_WITH_ZERO];
	size_t size = strlen(comment) + 1;

	if (size > SIZE_MAX_WITH_ZERO)
		return false;
	bytes[0] = NFT_UDATA_COMMENT;
	bytes[1] = (char)size;
	memcpy(bytes + 2, comment, size);
	nft_put(t, type, bytes, 2 + size);
	return true;
}
