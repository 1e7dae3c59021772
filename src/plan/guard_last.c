/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * When the host has changed and its plan with it, what differs from the new plan
 * is mostly what the plan has more than the last one.  What somebody took away in
 * the same moment is found by the last one.
 */
#include "plan/guard.h"

#include "base/text.h"

static const char *copied(struct arena *a, const char *s)
{
	return s ? arena_strdup(a, s) : NULL;
}

void guard_plan_copy(struct arena *a, const struct want *w, struct want *ret)
{
	*ret = (struct want){ .place = w->place,
			      .guard = w->guard,
			      .protocol = w->protocol,
			      .table_first = w->table_first,
			      .table_last = w->table_last };
	for (size_t i = 0; i < w->n_routes; i++) {
		struct want_route *r = arena_push(a, ret->routes, ret->n_routes, ret->cap_routes);

		*r = w->routes[i];
		r->link = copied(a, r->link);
	}
	for (size_t i = 0; i < w->n_rules; i++) {
		struct want_rule *r = arena_push(a, ret->rules, ret->n_rules, ret->cap_rules);

		*r = w->rules[i];
		r->iif = copied(a, r->iif);
	}
}

static bool same_name(const char *a, const char *b)
{
	return a && b ? str_eq(a, b) : a == b;
}

static bool still_wanted(const struct want *w, const struct want_route *x)
{
	for (size_t i = 0; i < w->n_routes; i++) {
		const struct want_route *r = &w->routes[i];

		if (r->family == x->family && r->table == x->table && r->metric == x->metric &&
		    r->type == x->type && prefix_equal(&r->dst, &x->dst) &&
		    same_name(r->link, x->link) && ip_equal(&r->via, &x->via) &&
		    ip_equal(&r->prefsrc, &x->prefsrc))
			return true;
	}
	return false;
}

/* The kernel takes routes away with a link or an address; rules go by somebody's hand alone. */
void guard_plan_lost(struct arena *a, const struct snapshot *host, const struct want *last,
		     const struct want *now, struct diff *ret)
{
	struct diff all = { 0 };

	*ret = (struct diff){ 0 };
	diff_make(a, host, last, &all);
	for (size_t i = 0; i < all.n_ops; i++)
		if (all.ops[i].kind != OP_ROUTE_ADD || still_wanted(now, all.ops[i].want_route))
			*arena_push(a, ret->ops, ret->n_ops, ret->cap_ops) = all.ops[i];
}
