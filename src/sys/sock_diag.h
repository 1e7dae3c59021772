/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_SOCK_DIAG_H
#define SYS_SOCK_DIAG_H

#include "base/arena.h"
#include "base/err.h"
#include "model/socket.h"
#include "wire/sock_diag.h"

#include <stddef.h>

/*
 * The TCP and UDP sockets of a namespace that listen or are connected, both
 * families, with their owners as far as /proc tells.  @netns_fd -1: the
 * caller's own namespace.
 */
int sock_diag_list(struct arena *a, int netns_fd, struct socket_seen **ret, size_t *ret_n,
		   struct err *e) MUST_USE;

/* Those of one protocol in the caller's namespace, without their owners: /proc is not read. */
int sock_diag_list_of(struct arena *a, uint8_t proto, struct socket_seen **ret, size_t *ret_n,
		      struct err *e) MUST_USE;

/* The TCP ones of a namespace, and connections that are being opened or closed; as above. */
int sock_diag_list_tcp(struct arena *a, int netns_fd, struct socket_seen **ret, size_t *ret_n,
		       struct err *e) MUST_USE;

/* What connection @s has carried so far; -ENOENT if there is none (any more). */
int sock_diag_counts(const struct socket_seen *s, struct tcp_counts *ret, struct err *e) MUST_USE;

#endif
