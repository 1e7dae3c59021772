/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/rtnl.h"

#include "base/text.h"
#include "sys/rtnl_sock.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

struct restore {
	struct rtnl *rt;
	const struct snapshot *before;
	struct snapshot now;
	uint32_t table_first, table_last;
	size_t steps;
	int status; /* of the first failure */
	struct text *words; /* what came back; NULL: nobody asks */
	struct err *e;
};

/* Gone already, or back already, is well done. */
static void did(struct restore *x, int status, const struct err *e, const char *what)
{
	x->steps++;
	if (status == 0 && x->words)
		text_addf(x->words, "%s%s", x->words->len ? ", " : "", what);
	if (status == 0 || status == -EEXIST || status == -ESRCH || status == -ENOENT ||
	    status == -EADDRNOTAVAIL || status == -ENODEV || x->status < 0)
		return;
	x->status = err_set(x->e, -status, "%s: %s", what, e->text);
}

static bool is_spared(const struct restore *x, uint32_t table)
{
	return table == RT_TABLE_LOCAL || (table >= x->table_first && table <= x->table_last);
}

static bool link_stays(const struct restore *x, int index)
{
	return snapshot_link_by_index(x->before, index) && snapshot_link_by_index(&x->now, index);
}

/* --- links and addresses ---------------------------------------------------------- */

static void links(struct restore *x)
{
	for (size_t i = 0; i < x->before->n_links; i++) {
		const struct link *l = &x->before->links[i];
		const struct link *now = snapshot_link_by_index(&x->now, l->index);
		struct err e;

		if (now && (l->flags & IFF_UP) && !(now->flags & IFF_UP))
			did(x, rtnl_link_set(x->rt, now->name, true, 0, NULL, false, &e), &e,
			    now->name);
	}
}

static bool has_address(const struct snapshot *s, const struct address *a)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (s->addresses[i].link == a->link && s->addresses[i].len == a->len &&
		    ip_equal(&s->addresses[i].local, &a->local))
			return true;
	return false;
}

static void addresses(struct restore *x, const struct snapshot *from, const struct snapshot *to,
		      uint16_t type)
{
	for (size_t i = 0; i < from->n_addresses; i++) {
		const struct address *a = &from->addresses[i];
		struct rtnl_message m;
		char text[IP_TEXT_SIZE];
		struct err e;

		if (!link_stays(x, a->link) || has_address(to, a) || ip_is_link_local(&a->local))
			continue;
		did(x,
		    rtnl_talk(x->rt, rtnl_encode_address(&m, type, a),
			      type == RTM_NEWADDR ? NLM_F_CREATE : 0, NULL, NULL, &e),
		    &e, ip_text(&a->local, text));
	}
}

/* --- routes ------------------------------------------------------------------------ */

static bool has_route(const struct snapshot *s, const struct route *r)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *x = &s->routes[i];

		if (x->family == r->family && x->table == r->table && x->metric == r->metric &&
		    x->type == r->type && x->tos == r->tos && x->scope == r->scope &&
		    x->protocol == r->protocol && prefix_equal(&x->dst, &r->dst) &&
		    prefix_equal(&x->src, &r->src) && ip_equal(&x->prefsrc, &r->prefsrc) &&
		    snapshot_same_hops(x, r))
			return true;
	}
	return false;
}

/* Its links are there, and it is not one that the kernel gives out and takes away itself. */
static bool is_settable(const struct restore *x, const struct route *r)
{
	for (size_t i = 0; i < r->n_hops; i++)
		if (r->hops[i].link && !link_stays(x, r->hops[i].link))
			return false;
	return !(r->flags & RTM_F_CLONED) && !is_spared(x, r->table) && r->type != RTN_MULTICAST &&
	       r->type != RTN_ANYCAST && r->type != RTN_LOCAL;
}

static void routes(struct restore *x, const struct snapshot *from, const struct snapshot *to,
		   uint16_t type, bool gateways)
{
	for (size_t i = 0; i < from->n_routes; i++) {
		const struct route *r = &from->routes[i];
		bool gateway = r->n_hops && !ip_is_none(&r->hops[0].via);
		struct nlmsghdr *nlh;
		struct rtnl_message m;
		char text[PREFIX_TEXT_SIZE];
		struct err e;

		/* A gateway has to be reachable: those go first and come back last. */
		if (gateway != gateways || !is_settable(x, r) || has_route(to, r))
			continue;
		nlh = rtnl_encode_route(&m, type, r);
		if (nlh)
			did(x,
			    rtnl_talk(x->rt, nlh, type == RTM_NEWROUTE ? NLM_F_CREATE : 0, NULL,
				      NULL, &e),
			    &e, prefix_text(&r->dst, text));
	}
}

/* --- rules -------------------------------------------------------------------------- */

static bool has_rule(const struct snapshot *s, const struct rule *r)
{
	for (size_t i = 0; i < s->n_rules; i++)
		if (snapshot_same_rule(&s->rules[i], r))
			return true;
	return false;
}

static void rules(struct restore *x)
{
	struct err e;

	for (size_t i = 0; i < x->before->n_rules; i++) {
		const struct rule *r = &x->before->rules[i];

		if (!is_spared(x, r->table) && !has_rule(&x->now, r))
			did(x, rtnl_rule_append(x->rt, r, &e), &e, "rule");
	}
	for (size_t i = 0; i < x->now.n_rules; i++) {
		const struct rule *r = &x->now.rules[i];

		if (!is_spared(x, r->table) && !has_rule(x->before, r))
			did(x, rtnl_rule_delete(x->rt, r, &e), &e, "rule");
	}
}

int rtnl_restore(struct rtnl *r, const struct snapshot *before, uint32_t table_first,
		 uint32_t table_last, size_t *ret_steps, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct restore x = { .rt = r,
			     .before = before,
			     .table_first = table_first,
			     .table_last = table_last,
			     .e = e };
	int status = rtnl_snapshot(r, &a, &x.now, e);

	if (status < 0)
		return status;
	rules(&x);
	links(&x);
	addresses(&x, before, &x.now, RTM_NEWADDR);
	routes(&x, &x.now, before, RTM_DELROUTE, true);
	routes(&x, &x.now, before, RTM_DELROUTE, false);
	addresses(&x, &x.now, before, RTM_DELADDR);
	/* What came with an address or went with one: seen anew. */
	status = rtnl_snapshot(r, &a, &x.now, e);
	if (status < 0)
		return status;
	routes(&x, before, &x.now, RTM_NEWROUTE, false);
	routes(&x, before, &x.now, RTM_NEWROUTE, true);
	*ret_steps = x.steps;
	return x.status;
}

/* --- a link in somebody's hands ------------------------------------------------------ */

/* Kernels before 6.2 rename no link that is up. */
static int rename_link(struct rtnl *rt, const struct link *l, struct err *e)
{
	struct rtnl_message m;
	int r = rtnl_talk(rt, rtnl_encode_link_rename(&m, l->index, l->name), 0, NULL, NULL, e);

	if (r == -EBUSY) {
		r = rtnl_talk(rt, rtnl_encode_link_up(&m, l->index, false), 0, NULL, NULL, e);
		if (r == 0)
			r = rtnl_talk(rt, rtnl_encode_link_rename(&m, l->index, l->name), 0, NULL,
				      NULL, e);
	}
	return r == -EEXIST ? err_set(e, EADDRINUSE, "another link is called so") : r;
}

static void dress(struct restore *x, const struct link *l, const struct link *now)
{
	bool small = now->mtu < IPV6_LEAST_MTU && l->mtu >= IPV6_LEAST_MTU;
	bool up = l->flags & IFF_UP;
	struct err e;

	if (!str_eq(now->name, l->name))
		did(x, rename_link(x->rt, l, &e), &e, "the name");
	if (small || (up && !(now->flags & IFF_UP)))
		did(x, rtnl_link_set(x->rt, l->name, up, small ? l->mtu : 0, NULL, false, &e), &e,
		    small ? "the mtu" : "the state up");
}

int rtnl_put_back(struct rtnl *r, const struct snapshot *had, const struct snapshot *now,
		  struct text *words, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct restore x = {
		.rt = r, .before = had, .now = *now, .table_first = 1, .words = words, .e = e
	};
	int status;

	for (size_t i = 0; i < had->n_links; i++) {
		const struct link *l = snapshot_link_by_index(now, had->links[i].index);

		if (l)
			dress(&x, &had->links[i], l);
	}
	if (x.status == 0 && x.steps) { /* addresses may have gone with it, or come */
		status = rtnl_snapshot_tables(r, &a, 0, 0, &x.now, e);
		if (status < 0)
			return status;
	}
	addresses(&x, had, &x.now, RTM_NEWADDR);
	if (x.status == 0 && x.steps) {
		status = rtnl_snapshot_tables(r, &a, 0, 0, &x.now, e);
		if (status < 0)
			return status;
	}
	routes(&x, had, &x.now, RTM_NEWROUTE, false);
	routes(&x, had, &x.now, RTM_NEWROUTE, true);
	return x.status;
}
