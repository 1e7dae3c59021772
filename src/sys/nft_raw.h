/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_NFT_RAW_H
#define SYS_NFT_RAW_H

#include "base/arena.h"
#include "base/err.h"
#include "sys/nft.h"
#include "wire/nft_encode.h"

/* Port numbers of the sockets by which supervisors change nftables. No process has such a number. */
#define NFT_GATE_PORTS 0x5a110000U
#define NFT_GATE_MASK  0xffff0000U

/* For sys/nft.c alone, whose header has the same questions. @r is a NETLINK_NETFILTER socket. */
struct rtnl;

/* Begins a question of type @message about family inet's @table in @buf, which is large enough. */
struct nlmsghdr;
struct nlmsghdr *nft_raw_ask(char *buf, uint16_t message, const char *table);

/* 0, or -ENOENT if family inet has no such table or chain. */
int nft_raw_has_chain(struct rtnl *r, const char *table, const char *chain, struct err *e) MUST_USE;
int nft_raw_comments(struct rtnl *r, struct arena *a, const char *table, const char *chain,
		     const char *const **ret, size_t *ret_n, struct err *e) MUST_USE;

/* 0; *ret_any: an element stands in @set.  -ENOENT if there is no such set. */
int nft_raw_any_element(struct rtnl *r, const char *table, const char *set, bool *ret_any,
			struct err *e) MUST_USE;

/* The number of the namespace's last transaction (NFT_MSG_GETGEN); 0: it cannot be known. */
uint32_t nft_raw_generation(struct rtnl *r);

int nft_raw_chains(struct rtnl *r, struct arena *a, const char *but, struct nft_chain **ret,
		   size_t *ret_n, struct err *e) MUST_USE;

int nft_raw_remove_part(struct rtnl *r, const char *table, const char *owner,
			const char *const *chains, size_t n, struct err *e) MUST_USE;

/* The first attribute @type of those that @nest holds; NULL if it has none, or is NULL. */
struct nlattr;
const struct nlattr *nft_raw_inside(const struct nlattr *nest, uint16_t type);
/* Of an element of a set or map, in its message: its comment, the chain to which it leads; or NULL. */
const char *nft_raw_element_comment(const struct nlattr *element);
const char *nft_raw_element_chain(const struct nlattr *element);

/* Has the rule that @nlh tells of this comment? */
bool nft_raw_is_commented(const struct nlmsghdr *nlh, const char *comment);
int nft_raw_remove_commented(struct rtnl *r, const struct nft_chain *c, const char *comment,
			     struct err *e) MUST_USE;

/* One transaction, done whole when this returns 0; else the kernel is unchanged. */
int nft_raw_run(struct rtnl *r, const struct nft_batch *b, struct err *e) MUST_USE;

#endif
