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

/*
 * Of both families at once: the kernel walks the whole table, empty or not, for each
 * question (nf_conntrack_buckets; a millisecond or two).
 * @n: of what @fn collects in @ctx; back to what it was when the kernel begins anew.
 */
static int dump(struct rtnl *rt, rtnl_answer_fn fn, void *ctx, size_t *n, struct err *e)
{
	struct ctnetlink_message m;
	size_t start = *n;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < TRIES; i++) {
		*n = start;
		r = rtnl_talk(rt, ctnetlink_encode_dump(&m, AF_UNSPEC), NLM_F_DUMP, fn, ctx, e);
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
	r = dump(&rt, take, &l, &l.n, e);
	mnl_socket_close(rt.sock);
	if (r < 0)
		return r;
	*ret = l.items;
	*ret_n = l.n;
	return 0;
}

/* Requests that forget; one dump ends before another request begins. */
struct forgotten {
	struct arena *a;
	const struct conntrack_lost *lost;
	struct ctnetlink_message *items;
	size_t n, cap;
};

static bool is_covered(const struct prefix *list, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (prefix_covers(&list[i], ip))
			return true;
	return false;
}

static bool is_among(const struct ip *list, size_t n, const struct ip *ip)
{
	for (size_t i = 0; i < n; i++)
		if (ip_equal(&list[i], ip))
			return true;
	return false;
}

/* Who is answered by another address than was asked is led there. */
static bool is_led(const struct ctnetlink_flow *f)
{
	return !ip_equal(&f->asked, &f->from);
}

static bool is_led_astray(const struct ctnetlink_flow *f, const struct conntrack_lost *lost)
{
	if (f->proto != IPPROTO_UDP || !is_led(f) || !is_covered(lost->led, lost->n_led, &f->from))
		return false;
	for (size_t i = 0; i < lost->n_ways; i++) {
		const struct conntrack_way *w = &lost->ways[i];

		if (ip_equal(&w->to, &f->from) && (!w->port || w->port == f->asked_port) &&
		    (ip_is_none(&w->asked) || ip_equal(&w->asked, &f->asked)))
			return false;
	}
	return true;
}

static bool is_lost(const struct ctnetlink_flow *f, const struct conntrack_lost *lost)
{
	bool here = !is_led(f) && is_among(lost->own, lost->n_own, &f->asked);

	if (is_covered(lost->from, lost->n_from, &f->from) || is_led_astray(f, lost))
		return true;
	for (size_t i = 0; i < lost->n_udp; i++)
		if ((!f->answered || here) && f->proto == IPPROTO_UDP &&
		    f->asked_port == lost->udp[i])
			return true;
	return false;
}

static int take_forgotten(const struct nlmsghdr *nlh, void *ctx)
{
	struct forgotten *f = ctx;
	struct ctnetlink_message m;
	struct ctnetlink_flow flow;
	int r = ctnetlink_decode_any(nlh, &flow);

	if (r != 1 || !is_lost(&flow, f->lost))
		return r < 0 ? r : 0;
	if (!ctnetlink_encode_delete(&m, nlh))
		return -EBADMSG;
	*arena_push(f->a, f->items, f->n, f->cap) = m;
	return 0;
}

int conntrack_forget(int netns_fd, const struct conntrack_lost *lost, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct forgotten f = { .a = &a, .lost = lost };
	struct rtnl rt = { 0 };
	int r = netlink_open(netns_fd, NETLINK_NETFILTER, &rt.sock, e);

	if (r < 0)
		return r;
	r = dump(&rt, take_forgotten, &f, &f.n, e);
	for (size_t i = 0; r == 0 && i < f.n; i++) {
		r = rtnl_talk(&rt, (struct nlmsghdr *)f.items[i].bytes, 0, NULL, NULL, e);
		if (r == -ENOENT) /* it has ended by itself */
			r = 0;
	}
	mnl_socket_close(rt.sock);
	return err_wrap(e, r, "forget connections");
}
