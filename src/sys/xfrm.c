/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/xfrm.h"

#include "base/text.h"
#include "sys/files.h"
#include "sys/rtnl_sock.h"
#include "wire/xfrm.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/xfrm.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define TRIES     10
#define READS_MAX 4096
#define SOCKETS   "/proc/thread-self/net/netlink"

bool xfrm_is_there(uint32_t own_port, bool *ret_spoken)
{
	struct arena a CLEANUP_ARENA = { 0 };
	unsigned int bus, port;
	bool there = false;
	const char *text;
	struct err e;
	size_t size;

	*ret_spoken = false;
	if (file_read(&a, SOCKETS, FILE_READ_MAX, &text, &size, &e) < 0)
		return false;
	/* The kernel's own socket has port 0. */
	for (const char *s = text; *s; s += strcspn(s, "\n"), s += *s == '\n')
		if (sscanf(s, "%*x %u %u", &bus, &port) == 2 && bus == NETLINK_XFRM) {
			there = true;
			*ret_spoken = *ret_spoken || (port && port != own_port);
		}
	return there;
}

static int open_xfrm(struct rtnl *ret, struct err *e)
{
	*ret = (struct rtnl){ 0 };
	return netlink_open(-1, NETLINK_XFRM, &ret->sock, e);
}

struct list {
	struct arena *a;
	struct xfrm_policy *items;
	size_t n, cap;
};

static int take(const struct nlmsghdr *nlh, void *ctx)
{
	struct list *l = ctx;
	struct xfrm_policy p;
	int r = xfrm_decode_policy(nlh, &p);

	if (r == 1)
		*arena_push(l->a, l->items, l->n, l->cap) = p;
	return r < 0 ? r : 0;
}

/* A dump that the kernel interrupts is taken again from its start. */
static int dump(rtnl_answer_fn fn, struct list *l, struct err *e)
{
	struct xfrm_message m;
	struct rtnl rt;
	int r = open_xfrm(&rt, e);

	if (r < 0)
		return r;
	r = -EAGAIN;
	for (int i = 0; r == -EAGAIN && i < TRIES; i++) {
		l->n = 0;
		r = rtnl_talk(&rt, xfrm_encode_dump(&m), NLM_F_DUMP, fn, l, e);
	}
	mnl_socket_close(rt.sock);
	return r < 0 ? err_wrap(e, r, "list xfrm policies") : 0;
}

int xfrm_list(struct arena *a, struct xfrm_policy **ret, size_t *ret_n, struct err *e)
{
	struct list l = { .a = a };
	bool spoken;
	int r;

	if (!xfrm_is_there(0, &spoken)) {
		*ret = NULL;
		*ret_n = 0;
		return 0;
	}
	r = dump(take, &l, e);
	if (r < 0)
		return r;
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}

static int ask(struct nlmsghdr *nlh, int fine, const char *what, struct err *e)
{
	struct rtnl rt;
	int r = open_xfrm(&rt, e);

	if (r < 0)
		return r;
	r = rtnl_talk(&rt, nlh, 0, NULL, NULL, e);
	mnl_socket_close(rt.sock);
	if (r == fine)
		return 0;
	return r < 0 ? err_wrap(e, r, "%s xfrm policy", what) : 0;
}

int xfrm_add(const struct xfrm_policy *p, struct err *e)
{
	struct xfrm_message m;

	return ask(xfrm_encode_add(&m, p), -EEXIST, "add", e);
}

int xfrm_delete(const struct xfrm_policy *p, struct err *e)
{
	struct xfrm_message m;

	return ask(xfrm_encode_delete(&m, p), -ENOENT, "delete", e);
}

/* --- changes ------------------------------------------------------------------ */

int xfrm_watch_open(struct mnl_socket **ret, struct err *e)
{
	static const int groups[] = { XFRMNLGRP_POLICY };

	return netlink_listen(-1, NETLINK_XFRM, groups, 1, "xfrm policies", ret, e);
}

int xfrm_watch_fd(const struct mnl_socket *s)
{
	return mnl_socket_get_fd(s);
}

uint32_t xfrm_watch_port(const struct mnl_socket *s)
{
	return mnl_socket_get_portid(s);
}

void xfrm_watch_read(struct mnl_socket *s)
{
	char buf[8192];

	/* ENOBUFS, too: news was lost, and here no more is wanted than that there was some. */
	for (int i = 0; i < READS_MAX; i++)
		if (recv(mnl_socket_get_fd(s), buf, sizeof(buf), 0) < 0 && errno != EINTR &&
		    errno != ENOBUFS)
			return;
}

void xfrm_watch_close(struct mnl_socket **s)
{
	if (*s)
		mnl_socket_close(*s);
	*s = NULL;
}
