/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_NFT_FIND_H
#define PLAN_NFT_FIND_H

#include "base/arena.h"
#include "model/ip.h"

/*
 * What the listing (`nft list table`) of one of our tables does with one
 * packet: where it is sent, and what mark it gets.  A table that somebody
 * changed is read as it is.
 */
struct nft_published {
	const char *gate; /* whose port it is; NULL in a gate's own table */
	struct ip room;
	uint16_t port; /* of the room */
};

/* The host's table: a packet to @to, which is one of the host's addresses. */
bool nft_find_on_host(struct arena *a, const char *listed, const struct ip *to, uint8_t proto,
		      uint16_t port, struct nft_published *ret);
/* A gate's table: a packet that comes in by VPN door's interface @link. */
bool nft_find_in_gate(struct arena *a, const char *listed, const char *link, sa_family_t family,
		      uint8_t proto, uint16_t port, struct nft_published *ret);
/* A gate's table: the mark of what comes in by @link; 0: it gets none. */
uint32_t nft_find_mark(struct arena *a, const char *listed, const char *link);
/* A gate's table: do packets of rooms get the mark of their connection? */
bool nft_find_restores(struct arena *a, const char *listed);

/* A gate's table: is @ip, as the gate knows it, a container's that is a room? */
bool nft_find_sandbox(struct arena *a, const char *listed, const struct ip *ip);
/* A gate's table: the same of @ip as the lan door knows it; *@ret is how the gate does. */
bool nft_find_enter(struct arena *a, const char *listed, const struct ip *ip, struct ip *ret);

#endif
