/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_INIT_WG_H
#define DAEMON_INIT_WG_H

#include "model/wgconf.h"
#include "sys/rtnl.h"

/* What wg-quick(8) does with a device that is there, in this namespace and without resolv.conf. */

#define INIT_WG_LINK "wg0"

/* @known, @turn: as wgconf_endpoints().  @rtnl is of this namespace. */
int init_wg_configure(struct rtnl *rtnl, const struct wg_conf *conf, const char *known,
		      unsigned int turn, struct err *e) MUST_USE;
/* Does the other side?  As wgconf_answers(). */
bool init_wg_answers(const struct wg_conf *conf, struct wg_heard *h);

#endif
