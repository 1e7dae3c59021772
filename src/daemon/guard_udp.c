/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Is there a UDP service that is bound to no address?  Only for such a one the
 * guard has chains at all, which cost every packet of the host.  The kernel tells
 * nobody of new sockets; what it can tell is that a datagram came for a port that
 * no client has.
 */
#include "daemon/guard.h"

#include "sys/fd.h"
#include "sys/sock_diag.h"
#include "sys/sysctl.h"
#include "sys/udp_alarm.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <unistd.h>

/* After an alarm for a service that is bound to an address: it may be a busy one. */
#define DEAF_MS 1000

/* The ports that the kernel gives to whoever asks for any: behind them are clients. */
static void look_at_ports(struct guard *g, struct arena *a)
{
	const char *text;
	struct err e;

	if (sysctl_get(a, "ipv4/ip_local_port_range", &text, &e) < 0 ||
	    sscanf(text, "%hu %hu", &g->wish.clients_first, &g->wish.clients_last) != 2)
		g->wish.clients_first = g->wish.clients_last = 0;
}

void guard_udp_look(struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct socket_seen *all;
	struct err e;
	size_t n;

	look_at_ports(g, &a);
	/* Once there was one, its clients are remembered as long as the guard stands. */
	if (g->wish.udp)
		return;
	/* Who cannot know takes it that there is one. */
	g->wish.udp = sock_diag_list_of(&a, IPPROTO_UDP, &all, &n, &e) < 0;
	for (size_t i = 0; !g->wish.udp && i < n; i++)
		g->wish.udp = all[i].state == SOCKET_LISTENS && ip_is_any(&all[i].local) &&
			      (all[i].local_port < g->wish.clients_first ||
			       all[i].local_port > g->wish.clients_last);
}

static void rang(struct loop_source *source, uint32_t events)
{
	struct guard *g = source->ctx;

	(void)events;
	guard_udp_close(g);
	guard_udp_look(g);
	if (g->wish.udp)
		g->dirty = true;
	else
		loop_arm(&g->loop, &g->udp_again, DEAF_MS);
}

static void hears_again(struct loop_timer *t)
{
	guard_udp_watch(t->ctx);
}

void guard_udp_watch(struct guard *g)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	struct err e;

	g->udp_again = (struct loop_timer){ .fire = hears_again, .ctx = g };
	for (size_t i = 0; !g->wish.udp && i < ARRAY_LEN(families); i++) {
		int fd = -1;
		int r = udp_alarm_open(families[i], g->wish.clients_first, g->wish.clients_last,
				       &fd, &e);

		if (r == -EAFNOSUPPORT)
			continue;
		g->udp_alarms[i] = (struct loop_source){ .fd = -1, .ready = rang, .ctx = g };
		if (r == 0)
			r = loop_add(&g->loop, &g->udp_alarms[i], fd, &e);
		/* Without it the chains are there from the beginning. */
		if (r < 0) {
			fd_close(&fd);
			g->wish.udp = g->dirty = true;
		}
	}
}

void guard_udp_close(struct guard *g)
{
	for (size_t i = 0; i < ARRAY_LEN(g->udp_alarms); i++) {
		int fd = g->udp_alarms[i].fd;

		loop_remove(&g->loop, &g->udp_alarms[i]);
		if (fd >= 0)
			close(fd);
	}
	loop_disarm(&g->loop, &g->udp_again);
}
