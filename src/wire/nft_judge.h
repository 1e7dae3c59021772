/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_NFT_JUDGE_H
#define WIRE_NFT_JUDGE_H

#include "base/arena.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>

/*
 * What a chain of somebody else's does with a packet of which not all is known,
 * as libnftables-json(5) tells the chain.  A rule that may fit is taken to fit
 * where it accepts, and not to where it drops: dropped is only what no rule
 * could accept.
 */

enum nft_fits { NFT_NEVER, NFT_MAYBE, NFT_ALWAYS };
enum nft_says { NFT_GOES_ON, NFT_RETURNS, NFT_ACCEPTS, NFT_DROPS, NFT_UNTRACKS };

struct nft_judge {
	const json_t *rules; /* the array "nftables" of the whole ruleset */
	const char *family, *table; /* of the chain */
	const char *text; /* the table as nft --stateless --handle writes it; NULL: not known */
	const char *state; /* of the packet's connection, as ct(8) calls it: "new" */
	/* What only somebody's own words tell (a match of iptables', a map) is taken not to fit. */
	bool strict;
	/* A rule `notrack` that may fit ends the chain (NFT_UNTRACKS); else it is passed by. */
	bool tracking;
	/* Does the packet fit one "match"? */
	enum nft_fits (*match)(const struct nft_judge *j, const json_t *match);
	const void *packet; /* for @match */
};

/* NFT_RETURNS is left to the chain's policy. */
enum nft_says nft_judge_chain(const struct nft_judge *j, const char *chain);

/*
 * Gives @visit each base chain at one of @hooks (it ends with NULL) that filters
 * and is not ours, in @ruleset, as `nft --json list ruleset` prints it; with
 * @j about that chain.  Ends with the first other result than 0, which it returns.
 * -EPROTO if that is no JSON.
 */
int nft_judge_ruleset(const char *ruleset, const char *const *hooks, struct nft_judge *j,
		      int (*visit)(struct nft_judge *j, const json_t *chain, void *ctx,
				   struct err *e),
		      void *ctx, struct err *e) MUST_USE;

/*
 * How the base chain @chain drops the packet, in words: "has a rule that drops
 * WHAT", "has policy drop, and nothing lets on WHAT"; NULL if it does not.  In @a.
 */
const char *nft_judge_drop(struct arena *a, const struct nft_judge *j, const json_t *chain,
			   const char *what);

/* "" if it is no string or not there. */
const char *nft_member(const json_t *object, const char *key);
/* Is @value @word, or a list or set that has it? */
bool nft_has_word(const json_t *value, const char *word);
/* The same of a link, for which "eth*" stands, too. */
bool nft_has_link(const json_t *value, const char *link);
/* Is one of @low to @high @value, or in its range or set?  Of a named set that is not known. */
enum nft_fits nft_holds(const json_t *value, json_int_t low, json_int_t high);
enum nft_fits nft_fits_unless(bool is, bool inverted);

#endif
