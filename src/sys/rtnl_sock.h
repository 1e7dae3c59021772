/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_RTNL_SOCK_H
#define SYS_RTNL_SOCK_H

#include "base/err.h"
#include "wire/rtnl_encode.h"

#include <libmnl/libmnl.h>

/* What the files of netlink share; nobody else includes this. */

#define RTNL_TIMEOUT_S 5

struct rtnl {
	struct mnl_socket *sock;
	uint32_t seq;
};

/* A NETLINK_ROUTE or other netlink socket of the namespace @netns_fd (-1: the caller's own). */
int netlink_open(int netns_fd, int bus, struct mnl_socket **ret, struct err *e) MUST_USE;
/*
 * The same with a port out of the 65536 from @ports on, if one is free: whoever
 * hears of what was done by this socket sees it in nlmsg_pid.
 */
int netlink_open_at(int netns_fd, int bus, uint32_t ports, struct mnl_socket **ret,
		    struct err *e) MUST_USE;

/*
 * The same as a socket to listen on: non-blocking, a member of @groups (up to 32), with
 * room for much news.  @what is heard, for an error: "the network".
 */
int netlink_listen(int netns_fd, int bus, const int *groups, size_t n, const char *what,
		   struct mnl_socket **ret, struct err *e) MUST_USE;

/*
 * Shows @fn each message that has come, up to a limit, so that a flood cannot
 * keep the loop here: the socket stays readable.  *ret_lost: there were more,
 * which the kernel threw away.
 */
typedef void (*netlink_news_fn)(const struct nlmsghdr *nlh, void *ctx);
int netlink_news(struct mnl_socket *sock, const char *what, netlink_news_fn fn, void *ctx,
		 bool *ret_lost, struct err *e) MUST_USE;

/*
 * Sends @nlh and gives each answer to @fn (may be NULL), which returns 0 or
 * -errno to fail.  Ends with the acknowledgement or the end of the dump; every
 * answer is waited for RTNL_TIMEOUT_S.  -EAGAIN: the kernel interrupted a dump
 * (NLM_F_DUMP_INTR), what came is to be thrown away.
 */
typedef int (*rtnl_answer_fn)(const struct nlmsghdr *nlh, void *ctx);
int rtnl_talk(struct rtnl *r, struct nlmsghdr *nlh, uint16_t flags, rtnl_answer_fn fn, void *ctx,
	      struct err *e) MUST_USE;

/* -ENODEV if there is no link of that name. */
int rtnl_link_index(struct rtnl *r, const char *name, int *ret, struct err *e) MUST_USE;

/* Appends @rule behind all of its priority, as the kernel lists it. */
int rtnl_rule_append(struct rtnl *r, const struct rule *rule, struct err *e) MUST_USE;
/* Deletes the first rule that is equal to @rule and no other; -ESRCH if there is none. */
int rtnl_rule_delete(struct rtnl *r, const struct rule *rule, struct err *e) MUST_USE;
/* The first rule equal to @rule goes behind all of its priority. */
int rtnl_rule_move(struct rtnl *r, const struct rule *rule, struct err *e) MUST_USE;

#endif
