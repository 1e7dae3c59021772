/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_NFT_EMIT_H
#define PLAN_NFT_EMIT_H

#include "base/text.h"
#include "plan/plan.h"

/*
 * What the writers of a gate's nft texts share (nft_frame.c, nft_host.c and
 * nft_gate.c); others see plan_nft_host() and plan_nft_gate() of plan.h.  Each text
 * replaces all of its table in one transaction.  Interfaces are matched by name: a
 * tunnel may come and go, and rules for it stand before it is there.
 */

/* ICMPv6 without which a link does not work at all. */
#define NEIGHBOUR "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert }"

struct nft_text {
	struct arena *arena;
	const struct gate *gate;
	const struct plan_facts *facts;
	struct text out;
	char slot4[PREFIX_TEXT_SIZE], slot6[PREFIX_TEXT_SIZE];
	char host4[IP_TEXT_SIZE], gate4[IP_TEXT_SIZE], gate6[IP_TEXT_SIZE];
	const char *link; /* sp-NAME */
};

void emit_begin(struct nft_text *n, struct arena *a, const struct gate *g,
		const struct plan_facts *f);
/* The text, a string of the arena; @n is empty then. */
const char *emit_end(struct nft_text *n);

/* One line. */
void emit(struct nft_text *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void emit_end_chain(struct nft_text *n);

/* Words of rules.  A room is named as the host knows it. */
const char *emit_room(struct nft_text *n, sa_family_t family, size_t room, char buf[IP_TEXT_SIZE]);
const char *emit_proto(uint8_t proto);
int emit_family_digit(sa_family_t family);

/*
 * plan/nft_frame.c: the part of the host's table that is the same for all gates.  In
 * this order: frame_open() makes it before the table's block is opened, frame_chains()
 * and frame_answer() write chains of that block, frame_still() and frame_bridges()
 * follow it.
 */
void frame_open(struct nft_text *n);
void frame_chains(struct nft_text *n);
void frame_answer(struct nft_text *n);
void frame_still(struct nft_text *n);
void frame_bridges(struct nft_text *n);

#endif
