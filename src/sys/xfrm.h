/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_XFRM_H
#define SYS_XFRM_H

#include "base/arena.h"
#include "base/err.h"
#include "model/xfrm.h"

/*
 * Policies of the kernel's IPsec in the caller's network namespace, by
 * NETLINK_XFRM (ip-xfrm(8), net/xfrm/xfrm_user.c).
 */

/*
 * Can anybody here have policies?  A kernel that has not loaded xfrm_user is not
 * made to: false.  *@ret_spoken tells whether somebody other than the socket
 * @own_port (0: none is) speaks with it, as an IKE daemon does for as long as it runs.
 */
bool xfrm_is_there(uint32_t own_port, bool *ret_spoken);

/* In the kernel's order, the oldest last; none where it has none. */
int xfrm_list(struct arena *a, struct xfrm_policy **ret, size_t *ret_n, struct err *e) MUST_USE;

/* No error if it is there. */
int xfrm_add(const struct xfrm_policy *p, struct err *e) MUST_USE;
/* No error if it is gone. */
int xfrm_delete(const struct xfrm_policy *p, struct err *e) MUST_USE;

struct mnl_socket;
/* A socket that is readable after every change of a policy. */
int xfrm_watch_open(struct mnl_socket **ret, struct err *e) MUST_USE;
int xfrm_watch_fd(const struct mnl_socket *s);
uint32_t xfrm_watch_port(const struct mnl_socket *s);
/* Empties it: what has changed is listed anew. */
void xfrm_watch_read(struct mnl_socket *s);
void xfrm_watch_close(struct mnl_socket **s);

#endif
