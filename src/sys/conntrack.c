/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/conntrack.h"

#include "sys/rtnl_sock.h"
#include "wire/ctnetlink.h"

#include <errno.h>

#define TRIES 10

struct list {
	struct arena *a;
	struct flow_seen *items;
	size_t n, cap;
};

static int take(const struct nlmsghdr *nlh, void *ctx)
{
	struct list *l = ctx;
	struct flow_seen f;
	int r = ctnetlink_decode(nlh, &f);

	if (r == 1)
		*arena_push(l->a, l->items, l->n, l->cap) = f;
	return r < 0 ? r : 0;
}

static int dump(struct rtnl *rt, struct list *l, sa_family_t family, struct err *e)
{
	struct ctnetlink_message m;
	size_t start = l->n;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < TRIES; i++) {
		l->n = start;
		r = rtnl_talk(rt, ctnetlink_encode_dump(&m, family), NLM_F_DUMP, take, l, e);
	}
	/* A kernel without conntrack, or without the module. */
	return r == -EOPNOTSUPP || r == -ENOENT || r == -EINVAL
		       ? 0
		       : err_wrap(e, r, "list connections");
}

int conntrack_list(struct arena *a, int netns_fd, struct flow_seen **ret, size_t *ret_n,
		   struct err *e)
{
	struct list l = { .a = a };
	struct rtnl rt = { 0 };
	int r = netlink_open(netns_fd, NETLINK_NETFILTER, &rt.sock, e);

	if (r < 0)
		return r;
	r = dump(&rt, &l, AF_INET, e);
	if (r == 0)
		r = dump(&rt, &l, AF_INET6, e);
	mnl_socket_close(rt.sock);
	if (r < 0)
		return r;
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}
