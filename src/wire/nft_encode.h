/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NFT_ENCODE_H
#define WIRE_NFT_ENCODE_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Commands in the language of nft(8) as the messages by which the kernel takes
 * them (linux/netfilter/nf_tables.h), one transaction.  libnftables(3) needs two
 * milliseconds of a start for each table, most of it before it speaks to the kernel.
 *
 * What plan/nft_host.c and plan/nft_gate.c write is known here, and no more: false
 * for any other command, which is then libnftables' to take or to refuse.
 */
struct nft_batch {
	char *bytes; /* in the arena; sequence numbers are the sender's */
	size_t size;
};
bool nft_encode(struct arena *a, const char *commands, struct nft_batch *ret);

#endif
