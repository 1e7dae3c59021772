/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A door made by a VPN client of any make: a command that runs in the gate and
 * brings an interface.  Nothing is known of it but that, and its end.
 */
#include "daemon/supervisor.h"

#include <stdlib.h>

/* Vendors' clients ask people and servers; they may take their time. */
#define CONNECT_LIMIT_MS 180000

static int load(struct door_run *d, struct err *e)
{
	(void)e;
	d->client.connect_limit = CONNECT_LIMIT_MS;
	return 0;
}

static size_t names(struct door_run *d, const char ***ret)
{
	(void)d;
	*ret = NULL;
	return 0; /* the client asks the host's name servers by the lan door itself */
}

static int start(struct door_run *d, struct err *e)
{
	const char *const argv[] = { "/bin/sh", "-c", d->door->command, NULL };

	return door_spawn(d, argv, -1, e);
}

static bool has_interface(const struct door_run *d)
{
	return d->interface[0] && d->addresses.len;
}

static void look(struct door_run *d)
{
	door_event(d, has_interface(d) ? CLIENT_EV_CONNECTED : CLIENT_EV_LOST);
}

static void stop(struct door_run *d)
{
	door_forget_dns(d);
}

static bool answers(const struct door_run *d)
{
	return d->client.state == CLIENT_UP && has_interface(d);
}

const struct door_ops door_command = {
	.load = load, .names = names, .start = start, .look = look, .stop = stop, .answers = answers,
};
