/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NFT_EXPR_H
#define WIRE_NFT_EXPR_H

#include "base/text.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The kernel's expressions, of which a rule consists.  A place is one of the
 * registers' sixteen words; what is loaded there begins at it.
 */
void nft_expr_meta(struct text *t, uint32_t key, unsigned int place);
void nft_expr_meta_set(struct text *t, uint32_t key);
/* @direction is of the connection (IP_CT_DIR_*), -1 where it has none. */
void nft_expr_ct(struct text *t, uint32_t key, int direction, unsigned int place);
void nft_expr_ct_set(struct text *t, uint32_t key);
void nft_expr_payload(struct text *t, uint32_t base, uint32_t offset, uint32_t size,
		      unsigned int place);
/* Of the network header, with the checksum of IPv4 (@family AF_INET) and of what is inside. */
void nft_expr_payload_set(struct text *t, uint32_t offset, uint32_t size, int family);
void nft_expr_fib_type(struct text *t, uint32_t flags);

/* With what was loaded at place 0. */
void nft_expr_compare(struct text *t, bool unequal, const void *value, size_t size);
/* (what was loaded at @place & @mask) ^ @flip */
void nft_expr_bits(struct text *t, const void *mask, const void *flip, size_t size,
		   unsigned int place);

void nft_expr_value(struct text *t, unsigned int place, const void *value, size_t size);
void nft_expr_verdict(struct text *t, int code, const char *chain);

/* What is found goes to @found: nowhere, the verdict, or place 0. */
enum nft_found { NFT_FOUND_NOTHING, NFT_FOUND_VERDICT, NFT_FOUND_VALUE };
void nft_expr_lookup(struct text *t, const char *set, uint32_t id, enum nft_found found,
		     bool unequal);

void nft_expr_counter(struct text *t);
void nft_expr_reject(struct text *t, uint32_t type, uint8_t code);
/* To the address at place 0 and, unless it is 0, the port at place @port. */
void nft_expr_nat(struct text *t, uint32_t type, uint32_t family, unsigned int port);
/* @ports: to those from place 0 to that at place 4. */
void nft_expr_masquerade(struct text *t, bool ports);
/* Writes @size bytes from place 0 into a TCP option. */
void nft_expr_tcp_option(struct text *t, uint8_t option, uint32_t offset, uint32_t size);

#endif
