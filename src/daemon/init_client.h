/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_INIT_CLIENT_H
#define DAEMON_INIT_CLIENT_H

#include "daemon/init_vpn.h"
#include "sys/loop.h"
#include "sys/rtnl.h"

#include <sys/types.h>

/* The VPN client of a container, as a process; when it runs is for others to say. */
struct init_client {
	struct loop *loop;
	void (*heard)(void *ctx, const char *line); /* each line that it says */
	void *ctx;
	pid_t pid; /* 0: there is none, or the kernel is the client */
	int pidfd;
	struct loop_source output;
	struct text line;
};

#define INIT_CLIENT_NONE ((struct init_client){ .pidfd = -1, .output.fd = -1 })

/*
 * @command runs where @vpn has no file.  Of WireGuard this makes the device, by @rtnl or
 * by a process, and init_wg_configure() is to follow when it is there.
 */
int init_client_start(struct init_client *c, struct rtnl *rtnl, const struct init_vpn *vpn,
		      const char *const *command, struct err *e) MUST_USE;
/* With all that it has started. */
void init_client_signal(const struct init_client *c, int sig);
/* After it was reaped. */
void init_client_ended(struct init_client *c);
void init_client_close(struct init_client *c);

#endif
