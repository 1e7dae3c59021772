/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_NFT_H
#define SYS_NFT_H

#include "base/arena.h"
#include "base/err.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * nftables of one namespace, by libnftables(3).  The context binds its netlink
 * socket in the namespace where it is made.
 */
struct nft;

int nft_open(int netns_fd, struct nft **ret, struct err *e) MUST_USE;
/* For a supervisor, which changes its own part alone: see nft_watch_without_gates(). */
int nft_open_as_gate(int netns_fd, struct nft **ret, struct err *e) MUST_USE;
void nft_close(struct nft **n);
/*
 * Did nobody but @n, of nft_open_as_gate(), make a transaction in the namespace since it
 * was opened?  False as well where that cannot be known, or after nft_remove_*().
 */
bool nft_is_alone(struct nft *n);
#define CLEANUP_NFT __attribute__((cleanup(nft_close)))

/* Runs @commands as one transaction; on failure the kernel is unchanged and @e quotes nft. */
int nft_run(struct nft *n, const char *commands, struct err *e) MUST_USE;

/*
 * Deletes @chains of family inet's @table, which may lead to each other, and all
 * elements of its sets and maps that lead to one of them or have @owner as their
 * comment, in one transaction: 1 if there was anything, else 0.
 */
int nft_remove_part(struct nft *n, const char *table, const char *owner, const char *const *chains,
		    size_t n_chains, struct err *e) MUST_USE;

struct nft_chain;
/* Deletes the rules of @c, of whatever family, that have @comment; there may be none. */
int nft_remove_commented(struct nft *n, const struct nft_chain *c, const char *comment,
			 struct err *e) MUST_USE;

/* `list table inet NAME` as text, without handles and with counters zeroed or left out
 * (stateless output); -ENOENT if there is none.  Arena string. */
int nft_list_table(struct nft *n, struct arena *a, const char *name, const char **ret,
		   struct err *e) MUST_USE;
/* Those of tables inet, ip and ip6 of that name, one behind the other; -ENOENT if one is missing. */
int nft_list_tables(struct nft *n, struct arena *a, const char *name, const char **ret,
		    struct err *e) MUST_USE;
/* `-j list ruleset`-like JSON text of @what, e.g. "chains", "table inet x", "counters table inet x". */
int nft_list_json(struct nft *n, struct arena *a, const char *what, const char **ret,
		  struct err *e) MUST_USE;
/* The same, read: the caller's to json_decref(). */
int nft_list_root(struct nft *n, const char *what, json_t **ret, struct err *e) MUST_USE;

/* `nft --stateless --handle list table FAMILY TABLE`: in words what the JSON of a match
 * of iptables' does not tell. */
int nft_list_handles(struct nft *n, struct arena *a, const char *family, const char *table,
		     const char **ret, struct err *e) MUST_USE;

/*
 * Asked of the kernel itself: what they cost does not grow with what others have
 * in the namespace.  Has family inet the chain?  The comments of the rules of one
 * (arena strings); -ENOENT if there is none.
 */
struct nft_chain {
	const char *family; /* "inet", "ip", "ip6", "bridge", "arp", "netdev" */
	const char *table;
	const char *name;
	bool forward; /* a base chain at the forward hook */
	bool raw; /* a base chain at the prerouting hook before connections are tracked */
	bool drops; /* by its policy */
	bool nat; /* a base chain that translates addresses, or may */
};
/* All but those of table inet @but. */
int nft_chains(struct nft *n, struct arena *a, const char *but, struct nft_chain **ret,
	       size_t *ret_n, struct err *e) MUST_USE;
bool nft_has_chain(struct nft *n, const char *table, const char *chain);
/* No element stands in @set of family inet; false as well if that cannot be known. */
bool nft_set_is_empty(struct nft *n, const char *table, const char *set);
int nft_comments(struct nft *n, struct arena *a, const char *table, const char *chain,
		 const char *const **ret, size_t *ret_n, struct err *e) MUST_USE;

/*
 * Hears of changes (NFNLGRP_NFTABLES).  nft_watch_read() drains; @ret_foreign is
 * true if a transaction was not made by this process (NFTA_GEN_PROC_PID) or
 * news was lost.  Of several, @ret_who names one that is not called as this
 * process, if there is one; "" when news was lost or one of that name deleted a
 * table.
 */
struct nft_watch;
int nft_watch_open(int netns_fd, struct nft_watch **ret, struct err *e) MUST_USE;
int nft_watch_fd(const struct nft_watch *w);
int nft_watch_read(struct nft_watch *w, bool *ret_foreign,
		   char ret_who[32] /* process name or "" */, struct err *e) MUST_USE;
/* Nothing is heard any more of what was done by nft_open_as_gate(), nor does it wake anybody. */
void nft_watch_without_gates(struct nft_watch *w);
/*
 * Was something of @table of family inet among what nft_watch_read() told of since
 * the last question?  Chains that another gate has for itself alone
 * (plan_nft_chain_gate()) do not count, nor elements that lead to them or have its name as their
 * comment.  True as well when news was lost.
 */
void nft_watch_own(struct nft_watch *w, const char *table, const char *gate);
bool nft_watch_touched(struct nft_watch *w);
void nft_watch_close(struct nft_watch **w);

#endif
