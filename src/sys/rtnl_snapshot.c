/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/rtnl.h"

#include "plan/slot.h"
#include "sys/rtnl_gates.h"
#include "sys/rtnl_sock.h"
#include "wire/rtnl_decode.h"

#include <errno.h>
#include <linux/rtnetlink.h>

#define TRIES 10

/* By so many links routes are asked for one by one: each time the kernel goes through all. */
#define BY_LINK_MAX 16

/* So many tables are asked for one by one. */
#define BY_TABLE_MAX 16

#define LOOPBACK 1 /* LOOPBACK_IFINDEX of the kernel, in each namespace */

/* Routes that a dump is to tell; 0: any.  Kernels before 5.0 tell all. */
struct asked {
	uint32_t table;
	int link;
	uint8_t type;
};

struct take {
	struct arena *arena;
	struct snapshot to;
	sa_family_t family; /* a kernel without IPv6 answers with IPv4's */
	bool some_tables;
	uint32_t table_first, table_last; /* and main */
	struct rtnl_links links; /* of a host with gates */
	struct asked asked;
};

static int take_link(const struct nlmsghdr *nlh, void *ctx)
{
	struct take *t = ctx;
	struct link link;
	int r = rtnl_decode_link(nlh, &link);

	if (r == 1 && !rtnl_is_others(&t->links, link.index))
		*arena_push(t->arena, t->to.links, t->to.n_links, t->to.cap_links) = link;
	return r < 0 ? r : 0;
}

/* All of IPv4 when it is all tables: who looks for a free range looks at both. */
static bool wants_address(const struct take *t, const struct address *x)
{
	return (x->local.family == AF_INET && !t->some_tables) ||
	       !rtnl_is_others(&t->links, x->link);
}

static int take_address(const struct nlmsghdr *nlh, void *ctx)
{
	struct take *t = ctx;
	struct address addr;
	int r = rtnl_decode_address(nlh, &addr);

	if (r == 1 && addr.local.family == t->family && wants_address(t, &addr))
		*arena_push(t->arena, t->to.addresses, t->to.n_addresses, t->to.cap_addresses) =
			addr;
	return r < 0 ? r : 0;
}

static bool wants_table(const struct take *t, uint32_t table)
{
	return !t->some_tables || table == RT_TABLE_MAIN ||
	       (table >= t->table_first && table <= t->table_last);
}

/*
 * Of several hops it is told with each link; it is the first one's that is near.  What
 * leads nowhere is no link's of IPv4, and the loopback's of IPv6.
 */
static bool is_by(const struct take *t, const struct route *r, int link)
{
	size_t i = 0;

	if (!r->n_hops)
		return r->family == AF_INET6 && link == LOOPBACK;
	while (i < r->n_hops && rtnl_is_others(&t->links, r->hops[i].link))
		i++;
	return i < r->n_hops && r->hops[i].link == link;
}

static bool is_asked_for(const struct take *t, const struct route *r)
{
	return r->family == t->family && (!t->asked.table || r->table == t->asked.table) &&
	       (!t->asked.link || is_by(t, r, t->asked.link)) &&
	       (!t->asked.type || (r->type == t->asked.type && !r->n_hops));
}

static int take_route(const struct nlmsghdr *nlh, void *ctx)
{
	struct take *t = ctx;
	struct route route;
	uint32_t table;
	int link = 0;
	int r = t->some_tables && t->links.n_others ? rtnl_decode_route_link(nlh, &link) : 0;

	if (r < 0)
		return r;
	if (rtnl_is_others(&t->links, link))
		return 0;
	r = rtnl_decode_route_table(nlh, &table);
	if (r < 0)
		return r;
	if (!wants_table(t, table))
		return 0;
	r = rtnl_decode_route(t->arena, nlh, &route);
	if (r == 1 && is_asked_for(t, &route))
		*arena_push(t->arena, t->to.routes, t->to.n_routes, t->to.cap_routes) = route;
	return r < 0 ? r : 0;
}

static int take_rule(const struct nlmsghdr *nlh, void *ctx)
{
	struct take *t = ctx;
	struct rule rule;
	int r = rtnl_decode_rule(nlh, &rule);

	if (r == 1 && rule.family == t->family)
		*arena_push(t->arena, t->to.rules, t->to.n_rules, t->to.cap_rules) = rule;
	return r < 0 ? r : 0;
}

/* One dump, again when the kernel was interrupted; what came before stands. */
static int dump_message(struct rtnl *r, struct take *t, struct nlmsghdr *nlh, rtnl_answer_fn fn,
			struct err *e)
{
	const struct snapshot before = t->to;
	int status = -EAGAIN;

	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		/* Arrays may have moved: only the counts go back. */
		t->to.n_links = before.n_links;
		t->to.n_addresses = before.n_addresses;
		t->to.n_routes = before.n_routes;
		t->to.n_rules = before.n_rules;
		status = rtnl_talk(r, nlh, 0, fn, t, e);
	}
	/* A kernel booted with ipv6.disable=1. */
	if (t->family == AF_INET6 && (status == -EAFNOSUPPORT || status == -EOPNOTSUPP))
		return 0;
	return status;
}

static int dump(struct rtnl *r, struct take *t, uint16_t type, rtnl_answer_fn fn, struct err *e)
{
	struct rtnl_message m;

	return dump_message(r, t, rtnl_encode_dump(&m, type, t->family), fn, e);
}

static int dump_routes(struct rtnl *r, struct take *t, struct asked asked, struct err *e)
{
	struct rtnl_message m;
	int status;

	t->asked = asked;
	status = dump_message(
		r, t, rtnl_encode_dump_routes(&m, t->family, asked.table, asked.link, asked.type),
		take_route, e);
	/* A table is made by its first route, and a link may have gone. */
	return status == -ENOENT || (asked.link && status == -ENODEV) ? 0 : status;
}

/*
 * On a host with many gates few links are near, and are asked for one by one.  One
 * that is gone by then is in no list.
 */
static bool one_by_one(const struct take *t)
{
	return t->links.n_others > t->links.n_near;
}

static int list_links(struct rtnl *r, struct take *t, struct err *e)
{
	struct rtnl_message m;
	int status = 0;

	if (!one_by_one(t))
		return dump(r, t, RTM_GETLINK, take_link, e);
	for (size_t i = 0; i < t->links.n_near && (status == 0 || status == -ENODEV); i++)
		status =
			rtnl_talk(r, rtnl_encode_link_at(&m, t->links.near[i]), 0, take_link, t, e);
	return status == -ENODEV ? 0 : status;
}

/* Of the other gates that are left out, who looks for a free range must know theirs. */
static void take_slots(struct take *t)
{
	for (size_t i = 0; i < t->links.n_slots; i++)
		*arena_push(t->arena, t->to.addresses, t->to.n_addresses, t->to.cap_addresses) =
			t->links.slots[i];
}

static int list_addresses(struct rtnl *r, struct take *t, struct err *e)
{
	struct rtnl_message m;
	int status = 0;

	if (!one_by_one(t))
		return dump(r, t, RTM_GETADDR, take_address, e);
	for (size_t i = 0; i < t->links.n_near && (status == 0 || status == -ENODEV); i++)
		status = dump_message(r, t,
				      rtnl_encode_dump_addresses(&m, t->family, t->links.near[i]),
				      take_address, e);
	if (t->family == AF_INET && !t->some_tables)
		take_slots(t);
	return status == -ENODEV ? 0 : status;
}

static const uint8_t nowhere[] = { RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW };

static bool is_far_from_most(const struct take *t)
{
	return one_by_one(t) && t->links.n_near <= BY_LINK_MAX;
}

/* Of the table that all gates share, what is near. */
static int list_near(struct rtnl *r, struct take *t, uint32_t table, struct err *e)
{
	int status = 0;

	if (!is_far_from_most(t))
		return dump_routes(r, t, (struct asked){ .table = table }, e);
	for (size_t i = 0; status == 0 && i < t->links.n_near; i++)
		status = dump_routes(r, t,
				     (struct asked){ .table = table, .link = t->links.near[i] }, e);
	for (size_t i = 0; status == 0 && t->family == AF_INET && i < sizeof(nowhere); i++)
		status = dump_routes(r, t, (struct asked){ .table = table, .type = nowhere[i] }, e);
	return status;
}

static bool has_table(const uint32_t *tables, size_t n, uint32_t table)
{
	for (size_t i = 0; i < n; i++)
		if (tables[i] == table)
			return true;
	return false;
}

/*
 * Where the host looks for ways, but for what all gates share; 0: too many, or a rule
 * has the link say where (VRF).
 */
static size_t find_tables(const struct take *t, uint32_t ret[BY_TABLE_MAX])
{
	size_t n = 0;

	ret[n++] = RT_TABLE_MAIN;
	ret[n++] = RT_TABLE_DEFAULT;
	for (size_t i = 0; i < t->to.n_rules; i++) {
		const struct rule *x = &t->to.rules[i];

		if (x->l3mdev)
			return 0;
		if (x->family != t->family || !x->table || x->table == RT_TABLE_LOCAL ||
		    x->table == SLOT_TABLE || has_table(ret, n, x->table))
			continue;
		if (n == BY_TABLE_MAX)
			return 0;
		ret[n++] = x->table;
	}
	return n;
}

/* Whole ranges may be local ones; of IPv6 nobody else has drawn the bits of the slots'. */
static int list_local(struct rtnl *r, struct take *t, struct err *e)
{
	int status = 0;

	for (size_t i = 0; status == 0 && i < t->links.n_near; i++)
		if (t->family == AF_INET || t->links.near[i] == LOOPBACK)
			status = dump_routes(r, t,
					     (struct asked){ .table = RT_TABLE_LOCAL,
							     .link = t->links.near[i] },
					     e);
	return status;
}

/* All tables, of a host where most routes are other gates': these are not even walked past. */
static int list_by_table(struct rtnl *r, struct take *t, struct err *e)
{
	uint32_t tables[BY_TABLE_MAX];
	size_t n = is_far_from_most(t) ? find_tables(t, tables) : 0;
	int status = 0;

	if (!n)
		return dump_routes(r, t, (struct asked){ 0 }, e);
	for (size_t i = 0; status == 0 && i < n; i++)
		status = dump_routes(r, t, (struct asked){ .table = tables[i] }, e);
	return status < 0 ? status : list_local(r, t, e);
}

static int list_routes(struct rtnl *r, struct take *t, struct err *e)
{
	const uint32_t first = t->table_first, last = t->table_last;
	int status;

	if (!t->some_tables)
		return list_by_table(r, t, e);
	if (first != last || !first)
		return dump_routes(r, t, (struct asked){ 0 }, e);
	status = dump_routes(r, t, (struct asked){ .table = RT_TABLE_MAIN }, e);
	return status < 0 ? status : list_near(r, t, first, e);
}

static int list_rules(struct rtnl *r, struct take *t, struct err *e)
{
	return dump(r, t, RTM_GETRULE, take_rule, e);
}

static const struct {
	sa_family_t family;
	int (*list)(struct rtnl *r, struct take *t, struct err *e);
	const char *what;
} lists[] = {
	{ AF_UNSPEC, list_links, "list links" },
	{ AF_INET, list_addresses, "list IPv4 addresses" },
	{ AF_INET6, list_addresses, "list IPv6 addresses" },
	{ AF_INET, list_rules, "list IPv4 rules" },
	{ AF_INET6, list_rules, "list IPv6 rules" },
	{ AF_INET, list_routes, "list IPv4 routes" },
	{ AF_INET6, list_routes, "list IPv6 routes" },
};

static int take_all(struct rtnl *r, struct take *t, struct snapshot *ret, struct err *e)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(*lists); i++) {
		int status;

		t->family = lists[i].family;
		status = lists[i].list(r, t, e);
		if (status < 0)
			return err_wrap(e, status, "%s", lists[i].what);
	}
	*ret = t->to;
	return 0;
}

int rtnl_snapshot(struct rtnl *r, struct arena *a, struct snapshot *ret, struct err *e)
{
	struct take t = { .arena = a };

	return take_all(r, &t, ret, e);
}

int rtnl_snapshot_tables(struct rtnl *r, struct arena *a, uint32_t table_first, uint32_t table_last,
			 struct snapshot *ret, struct err *e)
{
	struct take t = { .arena = a,
			  .some_tables = true,
			  .table_first = table_first,
			  .table_last = table_last };

	return take_all(r, &t, ret, e);
}

int rtnl_snapshot_near(struct rtnl *r, struct arena *a, const struct rtnl_own *own,
		       uint32_t table_first, uint32_t table_last, struct snapshot *ret,
		       struct err *e)
{
	struct take t = { .arena = a,
			  .some_tables = table_first != 0,
			  .table_first = table_first,
			  .table_last = table_last };
	int status = rtnl_find_links(r, a, own, &t.links, e);

	return status < 0 ? status : take_all(r, &t, ret, e);
}

struct nexthops {
	struct arena *a;
	struct nexthop_seen *items;
	size_t n, cap;
};

static int take_nexthop(const struct nlmsghdr *nlh, void *ctx)
{
	struct nexthops *all = ctx;
	struct nexthop_seen n;
	int r = rtnl_decode_nexthop(all->a, nlh, &n);

	if (r == 1)
		*arena_push(all->a, all->items, all->n, all->cap) = n;
	return r < 0 ? r : 0;
}

int rtnl_nexthops(struct rtnl *r, struct arena *a, struct nexthop_seen **ret, size_t *ret_n,
		  struct err *e)
{
	struct nexthops all = { .a = a };
	struct rtnl_message m;
	int status = -EAGAIN;

	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		all.n = 0;
		status = rtnl_talk(r, rtnl_encode_dump(&m, RTM_GETNEXTHOP, AF_UNSPEC), 0,
				   take_nexthop, &all, e);
	}
	if (status < 0 && status != -EOPNOTSUPP)
		return err_wrap(e, status, "list next-hop objects");
	*ret = all.items;
	*ret_n = all.n;
	return 0;
}
