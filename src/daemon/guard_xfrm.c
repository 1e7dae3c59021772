/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies of IPsec that would take the doors' replies: plan/guard_xfrm.h tells
 * how they are passed by.  Every packet of a host that has a policy is compared
 * with it, so ours stand only where others do, or where an IKE daemon runs that
 * will make some: before the first of them, so that no packet is lost to it.
 */
#include "daemon/guard.h"

#include "plan/guard_xfrm.h"
#include "sys/xfrm.h"

#include <errno.h>
#include <linux/xfrm.h>
#include <stdlib.h>
#include <string.h>

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
		guard_log(g,
			  "xfrm policies that no guard can pass by may take replies: %s; give "
			  "them another priority or action (ip xfrm policy update)",
			  all);
	free(g->xfrm_told);
	g->xfrm_told = strdup(all);
}

int guard_xfrm_look(struct guard *g, struct arena *a, const struct snapshot *host, struct err *e)
{
	struct xfrm_policy *list;
	bool spoken;
	size_t n;
	int r;

	g->wish.xfrm = false;
	if (!xfrm_is_there(g->xfrm ? xfrm_watch_port(g->xfrm) : 0, &spoken))
		return 0;
	r = watch_policies(g, e);
	if (r == 0)
		r = xfrm_list(a, &list, &n, e);
	/* A plan alone may be asked for by anybody. */
	if (r == -EPERM && !g->nft)
		return 0;
	if (r < 0)
		return r;
	g->wish.xfrm = spoken;
	for (size_t i = 0; i < n; i++)
		g->wish.xfrm = g->wish.xfrm || !guard_xfrm_is_ours(&list[i]);
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
		guard_log(g, "IPsec is at work here: its policies are passed by for replies of "
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
	free(g->xfrm_told);
	g->xfrm_told = NULL;
}
