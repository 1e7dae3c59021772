/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NFT_MESSAGE_H
#define WIRE_NFT_MESSAGE_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Netlink messages and attributes as bytes in a struct text.  Numbers are in
 * network byte order, as nftables has them.  What is begun is ended with the place
 * that its beginning returned; false if it has become too long to say so.
 */

/* @type is NFT_MSG_*; of family inet. */
size_t nft_message_begin(struct text *t, uint16_t type, uint16_t flags);
/* The same of another one (NFPROTO_*). */
size_t nft_message_begin_of(struct text *t, uint8_t family, uint16_t type, uint16_t flags);
void nft_message_end(struct text *t, size_t at);
/* NFNL_MSG_BATCH_BEGIN or NFNL_MSG_BATCH_END */
void nft_message_bound(struct text *t, uint16_t type);

size_t nft_nest_begin(struct text *t, uint16_t type);
bool nft_nest_end(struct text *t, size_t at);

void nft_put(struct text *t, uint16_t type, const void *data, size_t size);
void nft_put_text(struct text *t, uint16_t type, const char *s);
void nft_put_u8(struct text *t, uint16_t type, uint8_t n);
void nft_put_u32(struct text *t, uint16_t type, uint32_t n);

/* NFTA_DATA_VALUE in a nest @type, and NFTA_DATA_VERDICT; @chain may be NULL. */
void nft_put_value(struct text *t, uint16_t type, const void *data, size_t size);
void nft_put_verdict(struct text *t, uint16_t type, int code, const char *chain);

/* Of user data, as libnftnl writes them (udata.h): type, length, text with its zero. */
#define NFT_UDATA_COMMENT 0
/* As the user data @type of a rule or an element; false if it is too long for nft. */
bool nft_put_comment(struct text *t, uint16_t type, const char *comment);

#endif
