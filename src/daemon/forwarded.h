/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_FORWARDED_H
#define DAEMON_FORWARDED_H

#include "base/arena.h"
#include "base/err.h"
#include "fib/lookup.h"
#include "model/ip.h"

/* A request that the caller's namespace passes on to a container, or what comes back. */
struct forwarded {
	struct ip client, to; /* @to: where its destination was rewritten, after that */
	bool rewritten; /* it was: the port is a published one */
	bool back; /* the answer, from @to by @out and on by @in */
	const char *in, *out; /* links */
	const struct fib *fib; /* if not NULL, @client stands for all who come by @in */
	int in_index;
};

/* The firewalls of the caller's namespace as they are when they are read, for several questions. */
struct forwarding {
	struct arena *arena;
	struct nft *nft;
	const char *ruleset; /* JSON */
	struct forwarding_table *tables; /* those that were looked at, as text */
	size_t n_tables, cap_tables;
};
/* Errors of nft(8).  @a must outlive it, and what it says lies there. */
int forwarding_open(struct arena *a, struct forwarding *ret, struct err *e) MUST_USE;
void forwarding_close(struct forwarding *x);
#define CLEANUP_FORWARDING __attribute__((cleanup(forwarding_close)))

/*
 * Does a firewall drop it?  In *@ret which chain does, and the line to add; NULL if
 * none does as far as its rules can be read.
 */
int forwarding_check(struct forwarding *x, const struct forwarded *f, const char **ret,
		     struct err *e) MUST_USE;
/* The same for a single question. */
int forwarded_check(struct arena *a, const struct forwarded *f, const char **ret,
		    struct err *e) MUST_USE;

#endif
