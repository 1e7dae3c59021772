/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_GUARD_UNDO_H
#define DAEMON_GUARD_UNDO_H

#include "base/arena.h"
#include "base/err.h"
#include "daemon/guard_resolver.h"
#include "model/snapshot.h"
#include "model/xfrm.h"
#include "sys/nft.h"
#include "sys/rtnl.h"

#define GUARD_WHO "guard" /* to daemon/log.h */

/*
 * The host as it was before the command, in an arena: its network, the names of
 * all that its nft ruleset holds, and its name servers.
 */
struct host_before {
	struct snapshot net;
	const char **nft; /* one for each table, chain (with its policy) and rule (by handle) */
	size_t n_nft, cap_nft;
	struct xfrm_policy *policies; /* of IPsec */
	size_t n_policies;
	struct resolver_before resolver; /* not of host_before_take() */
	const char *const *command;
	const char *token; /* "SALLYPORT_GUARD=..." in the environment of the command */
};

int host_before_take(struct arena *a, struct rtnl *rtnl, struct nft *nft, struct host_before *ret,
		     struct err *e) MUST_USE;

/* A policy of IPsec that sends packets into a tunnel and was not there; NULL: none. */
const char *before_left_policy(struct arena *a, const struct host_before *b);

/*
 * What undoes a command that hands its work to others ("wg-quick up x": wg-quick
 * down x); NULL if none is known.  In @a, ends with NULL.
 */
const char *const *undo_command(struct arena *a, const char *const *command);

/* Runs that, with a time limit; false if none is known. */
bool undo_run_command(const struct host_before *b);

/*
 * Of a command that has handed its work to others and ended: does that go on?
 * Who can be asked about it (systemctl) is, and of a client that nobody knows its
 * processes in the background are looked for; else @ret_knows is false.
 */
bool undo_still_runs(const struct host_before *b, bool *ret_knows);

/* The name, in @now, of a tunnel that has come since; NULL: none. */
const char *undo_left_tunnel(const struct host_before *b, const struct snapshot *now);

/* Ends every process that has the token: SIGTERM, then SIGKILL; false if there is none. */
bool undo_processes(const struct host_before *b);

/* The command's processes, its tunnels, and all that differs.  Goes on after a failure. */
int undo_all(const struct host_before *b, struct err *e) MUST_USE;

#endif
