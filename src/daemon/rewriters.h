/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_REWRITERS_H
#define DAEMON_REWRITERS_H

#include "base/arena.h"
#include "sys/nft.h"

/*
 * Who else changes destinations before the routes are asked: nat chains of
 * others at the prerouting hook that have such a rule, and the old iptables.
 * In words, "" for nobody.  @netns_fd: the namespace of @n, -1 for the caller's.
 */
const char *rewriters_find(struct nft *n, struct arena *a, int netns_fd);

#endif
