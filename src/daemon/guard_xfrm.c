/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies of IPsec that would take the doors' replies: plan/guard_xfrm.h tells
 * how they are passed by.  Every packet of a host that has a policy is compared
 * with it, so ours stand only where others do, or where an IKE daemon runs that
 * will make some: before the first of them, so that no packet is lost to it.
 */
#include "daemon/guard.h"

#include "plan/guard_xfrm.h"
#include "sys/sock_diag.h"
#include "sys/xfrm.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

/* More of them is no host that somebody works on. */
#define PLAIN_MAX 4096

static void policies_changed(struct loop_source *source, uint32_t events)
{
	struct guard *g = source->ctx;

	(void)events;
	xfrm_watch_read(g->xfrm);
	g->dirty = true;
}

static int watch_policies(struct guard *g, struct err *e)
{
	int r;

	if (g->xfrm || !g->watch) /* only a guard that stands listens */
		return 0;
	r = xfrm_watch_open(&g->xfrm, e);
	if (r < 0)
		return r;
	g->xfrm_source = (struct loop_source){ .fd = -1, .ready = policies_changed, .ctx = g };
	return loop_add(&g->loop, &g->xfrm_source, xfrm_watch_fd(g->xfrm), e);
}

/* Can no policy of ours let pass what it takes? */
static bool is_rival(const struct guard *g, const struct snapshot *host,
		     const struct xfrm_policy *list, size_t n, const struct xfrm_policy *p)
{
	return guard_xfrm_is_ahead(list, n, p) || guard_xfrm_blocks(&g->memory, host, p);
}

int guard_xfrm_check(struct guard *g, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	struct xfrm_policy *list;
	size_t n;
	int r = guard_look(g, &a, &host, e);

	if (r == 0)
		r = xfrm_list(&a, &list, &n, e);
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct xfrm_policy *p = &list[i];
		const char *door = is_rival(g, &host, list, n, p)
					   ? guard_xfrm_takes(&g->memory, &host, p)
					   : NULL;
		const char *cure = door ? guard_xfrm_cure(&a, p) : NULL;

		if (door)
			r = err_set(e, EPERM,
				    "an xfrm policy takes what comes in by %s, or its replies, and "
				    "no guard can pass it by: %s (%s). %s, then try again%s%s",
				    door, guard_xfrm_text(&a, p),
				    p->block ? "action block"
					     : "priority 0, and of equal ones the oldest is asked",
				    p->block ? "Take it away" : "Give it another priority",
				    cure ? ":\n  " : "", cure ? cure : "");
	}
	return r;
}

/* What cannot be passed by is told, once; guard_xfrm_check() refuses what takes all. */
static void tell_rivals(struct guard *g, struct arena *a, const struct snapshot *host,
			const struct xfrm_policy *list, size_t n)
{
	const char *all = "";

	for (size_t i = 0; i < n; i++) {
		if (is_rival(g, host, list, n, &list[i]) &&
		    (g->settled || !guard_xfrm_takes(&g->memory, host, &list[i])))
			all = arena_printf(a, "%s%s%s (%s)", all, *all ? ", " : "",
					   guard_xfrm_text(a, &list[i]),
					   list[i].block
						   ? "action block"
						   : "priority 0, and older than the guard's");
	}
	if (*all && (!g->xfrm_told || !str_eq(g->xfrm_told, all)))
		guard_log("xfrm policies that no guard can pass by may take replies: %s; give "
			  "them another priority or action (ip xfrm policy update)",
			  all);
	free(g->xfrm_told);
	g->xfrm_told = strdup(all);
}

/* A socket that no packet tells of before it says something itself: a quiet session's. */
static void look_at_plain(struct guard *g, const struct snapshot *host)
{
	struct socket_seen *all;
	struct err e;
	size_t n;

	if (sock_diag_list_of(&g->plain_arena, IPPROTO_TCP, &all, &n, &e) < 0)
		return;
	g->wish.plain = all;
	g->wish.n_plain = guard_plain_keep(host, g->wish.older, g->wish.n_older, all, n, PLAIN_MAX);
}

static void forget_plain(struct guard *g)
{
	arena_free(&g->plain_arena);
	g->plain_arena = (struct arena){ 0 };
	g->wish.plain = NULL;
	g->wish.n_plain = 0;
}

/* Who was connected while there was no policy is so unencrypted. */
static void follow_plain(struct guard *g, const struct snapshot *host, bool none)
{
	if (!g->wish.xfrm)
		forget_plain(g);
	else if (!g->wish.plain && (none || g->xfrm_none))
		look_at_plain(g, host);
	g->xfrm_none = none;
}

int guard_xfrm_look(struct guard *g, struct arena *a, const struct snapshot *host, struct err *e)
{
	struct xfrm_policy *list;
	bool spoken, none = true;
	size_t n;
	int r;

	g->wish.xfrm = false;
	if (!xfrm_is_there(g->xfrm ? xfrm_watch_port(g->xfrm) : 0, &spoken)) {
		follow_plain(g, host, true);
		return 0;
	}
	r = watch_policies(g, e);
	if (r == 0)
		r = xfrm_list(a, &list, &n, e);
	/* A plan alone may be asked for by anybody. */
	if (r == -EPERM && !g->nft)
		return 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		none = none && guard_xfrm_is_ours(&list[i]);
	g->wish.xfrm = spoken || !none;
	follow_plain(g, host, none);
	tell_rivals(g, a, host, list, n);
	return 0;
}

static bool stands(const struct xfrm_policy *list, size_t n, const struct xfrm_policy *want)
{
	for (size_t i = 0; i < n; i++)
		if (guard_xfrm_is(&list[i], want))
			return true;
	return false;
}

static int add_missing(struct guard *g, const struct xfrm_policy *list, size_t n, struct err *e)
{
	size_t missing = 0;

	for (size_t i = 0; i < GUARD_XFRM_OURS; i++) {
		struct xfrm_policy want = guard_xfrm_policy(i);
		int r;

		if (stands(list, n, &want))
			continue;
		r = xfrm_add(&want, e);
		if (r < 0 && r != -EAFNOSUPPORT) /* a kernel without IPv6 */
			return r;
		missing++;
	}
	if (missing && g->xfrm_stands)
		guard_repaired(g, "%zu xfrm policies of the guard were missing", missing);
	else if (missing && g->settled)
		guard_log("IPsec is at work here: its policies are passed by for replies of "
			  "the doors");
	g->xfrm_stands = true;
	return 0;
}

static int delete_ours(const struct xfrm_policy *list, size_t n, bool *ret_found, struct err *e)
{
	int r = 0;

	*ret_found = false;
	for (size_t i = 0; r == 0 && i < n; i++)
		if (guard_xfrm_is_ours(&list[i])) {
			*ret_found = true;
			r = xfrm_delete(&list[i], e);
		}
	return r;
}

int guard_xfrm_set(struct guard *g, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct xfrm_policy *list;
	bool found;
	size_t n;
	int r = xfrm_list(&a, &list, &n, e);

	if (r < 0)
		return r;
	if (!g->wish.xfrm) {
		g->xfrm_stands = false;
		return delete_ours(list, n, &found, e);
	}
	return add_missing(g, list, n, e);
}

int guard_xfrm_remove(bool *ret_found, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct xfrm_policy *list;
	size_t n;
	int r = xfrm_list(&a, &list, &n, e);

	return r < 0 ? r : delete_ours(list, n, ret_found, e);
}

void guard_xfrm_close(struct guard *g)
{
	loop_remove(&g->loop, &g->xfrm_source);
	xfrm_watch_close(&g->xfrm);
	forget_plain(g);
	free(g->xfrm_told);
	g->xfrm_told = NULL;
}
