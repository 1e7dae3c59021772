/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/rtnl.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/rtnl_sock.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define WORDS 256

struct apply {
	struct rtnl *rt;
	const struct want *want;
	rtnl_netns_fn peer_netns;
	void *ctx;
};

static const char *prefix_words(const struct prefix *p, char buf[PREFIX_TEXT_SIZE])
{
	return p->len ? prefix_text(p, buf) : "default";
}

static const char *route_words(char buf[WORDS], const struct prefix *dst, uint32_t table,
			       const char *link)
{
	char to[PREFIX_TEXT_SIZE];

	snprintf(buf, WORDS, "route %s%s%s table %u", prefix_words(dst, to), link ? " dev " : "",
		 link ? link : "", table);
	return buf;
}

static const char *rule_words(char buf[WORDS], const struct rule *r)
{
	char p[PREFIX_TEXT_SIZE];
	int len = snprintf(buf, WORDS, "%s rule", r->family == AF_INET ? "IPv4" : "IPv6");

	if (r->from.len)
		len += snprintf(buf + len, WORDS - (size_t)len, " from %s",
				prefix_text(&r->from, p));
	if (r->to.len)
		len += snprintf(buf + len, WORDS - (size_t)len, " to %s", prefix_text(&r->to, p));
	if (r->iif[0])
		len += snprintf(buf + len, WORDS - (size_t)len, " iif %s", r->iif);
	if (r->has_mark)
		len += snprintf(buf + len, WORDS - (size_t)len, " fwmark 0x%x/0x%x", r->mark,
				r->mark_mask);
	snprintf(buf + len, WORDS - (size_t)len, " lookup %u", r->table);
	return buf;
}

static bool is_gone(int status)
{
	return status == -ESRCH || status == -ENOENT || status == -ENODEV ||
	       status == -EADDRNOTAVAIL;
}

/*
 * The link of an optional route is away, or there and not yet ready to carry it, or its
 * IPv6 was switched off a moment ago (-EACCES of fib6_nh_init(), net/ipv6/route.c).
 */
static bool is_away(int status)
{
	return status == -ENODEV || status == -ENETDOWN || status == -ENETUNREACH ||
	       status == -EHOSTUNREACH || status == -EACCES;
}

static bool has_link(struct rtnl *r, const char *name)
{
	struct err ignored;
	int index;

	return rtnl_link_index(r, name, &index, &ignored) == 0;
}

static int add_veth(struct rtnl *r, struct veth *v, struct err *e)
{
	struct rtnl_message m;
	int status =
		rtnl_talk(r, rtnl_encode_veth_add(&m, v), NLM_F_CREATE | NLM_F_EXCL, NULL, NULL, e);

	/* A renamed one of ours may have the index. */
	if ((status != -EEXIST && status != -EBUSY) || !v->index || has_link(r, v->name))
		return status;
	v->index = 0;
	return add_veth(r, v, e);
}

/* Down: another step of the same plan gives it the rest (diff_links()). */
static int add_link(struct apply *ap, const struct want_link *w, struct err *e)
{
	struct veth v = { .name = w->name,
			  .index = w->index,
			  .mac = w->mac,
			  .mtu = w->mtu,
			  .peer_name = w->peer_name };
	int status;

	if (strlen(w->name) >= LINK_NAME_SIZE || strlen(w->peer_name) >= LINK_NAME_SIZE)
		return err_set(e, EINVAL, "add link \"%s\": name is too long", w->name);
	v.peer_netns_fd = ap->peer_netns(ap->ctx, w->peer_place, w->peer_room);
	if (v.peer_netns_fd < 0)
		return err_set(e, ENODEV, "add link \"%s\": no namespace for its other end",
			       w->name);
	status = add_veth(ap->rt, &v, e);
	/* Is there already, or only the other end's name is taken. */
	if (status == -EEXIST && !has_link(ap->rt, w->name))
		return err_set(e, EEXIST, "add link \"%s\": its other end \"%s\" exists", w->name,
			       w->peer_name);
	if (status < 0 && status != -EEXIST)
		return err_wrap(e, status, "add link \"%s\"", w->name);
	return 0;
}

int rtnl_address_add(struct rtnl *r, const struct want_address *w, struct err *e)
{
	/*
	 * No address of ours can be a duplicate, and routes are ours to set: the
	 * kernel's would stand in main, where the walk does not want them.
	 */
	struct address addr = { .local = w->local,
				.len = w->len,
				.scope = w->scope,
				.flags = IFA_F_NOPREFIXROUTE |
					 (w->local.family == AF_INET6 ? IFA_F_NODAD : 0U) };
	char text[IP_TEXT_SIZE];
	struct rtnl_message m;
	int status;

	status = rtnl_link_index(r, w->link, &addr.link, e);
	if (status == 0)
		status = rtnl_talk(r, rtnl_encode_address(&m, RTM_NEWADDR, &addr),
				   NLM_F_CREATE | NLM_F_EXCL, NULL, NULL, e);
	if (status == 0 || status == -EEXIST)
		return 0;
	return err_wrap(e, status, "add address %s/%u to \"%s\"", ip_text(&w->local, text), w->len,
			w->link);
}

static int delete_address(struct rtnl *r, const struct address *addr, struct err *e)
{
	char text[IP_TEXT_SIZE];
	struct rtnl_message m;
	int status;

	status = rtnl_talk(r, rtnl_encode_address(&m, RTM_DELADDR, addr), 0, NULL, NULL, e);
	if (status == 0 || is_gone(status))
		return 0;
	return err_wrap(e, status, "delete address %s/%u", ip_text(&addr->local, text), addr->len);
}

int rtnl_route_add(struct rtnl *r, const struct want_route *w, uint8_t protocol, struct err *e)
{
	struct hop hop = { .via = w->via, .weight = 1, .flags = w->onlink ? RTNH_F_ONLINK : 0 };
	struct route route = { .family = w->family,
			       .type = w->type,
			       .scope = w->scope,
			       .protocol = protocol,
			       .table = w->table,
			       .metric = w->metric,
			       .dst = w->dst,
			       .mtu = w->mtu,
			       .prefsrc = w->prefsrc,
			       .hops = &hop,
			       .n_hops = w->link ? 1 : 0 };
	struct rtnl_message m;
	char words[WORDS];
	int status = 0;

	if (w->link)
		status = rtnl_link_index(r, w->link, &hop.link, e);
	/*
	 * Not NLM_F_REPLACE: beside a route of the same metric the new one is put
	 * in front (IPv4) or next to it (IPv6), and the old one is deleted after.
	 */
	if (status == 0)
		status = rtnl_talk(r, rtnl_encode_route(&m, RTM_NEWROUTE, &route), NLM_F_CREATE,
				   NULL, NULL, e);
	if (status == 0 || status == -EEXIST || (w->optional && is_away(status)))
		return 0;
	return err_wrap(e, status, "add %s", route_words(words, &w->dst, w->table, w->link));
}

static int delete_route(struct rtnl *r, const struct route *route, struct err *e)
{
	struct nlmsghdr *nlh;
	struct rtnl_message m;
	char words[WORDS];
	int status;

	nlh = rtnl_encode_route(&m, RTM_DELROUTE, route);
	if (!nlh)
		status = err_set(e, EMSGSIZE, "too many next hops");
	else
		status = rtnl_talk(r, nlh, 0, NULL, NULL, e);
	if (status == 0 || is_gone(status))
		return 0;
	return err_wrap(e, status, "delete %s",
			route_words(words, &route->dst, route->table, NULL));
}

static int add_rule(struct apply *ap, const struct want_rule *w, struct err *e)
{
	struct rule rule = { .family = w->family,
			     .action = FR_ACT_TO_TBL,
			     /* `local` is the kernel's, whoever puts it back. */
			     .protocol = w->table == RT_TABLE_LOCAL || w->priority
						 ? RTPROT_KERNEL
						 : ap->want->protocol,
			     .priority = w->priority,
			     .table = w->table,
			     .from = w->from,
			     .to = w->to,
			     .mark = w->mark,
			     .mark_mask = w->mark_mask,
			     .has_mark = w->mark || w->mark_mask,
			     .suppress_len = w->suppress_len,
			     .find_saddr = w->find_saddr,
			     .suppress_group = -1 };
	char words[WORDS];
	int status;

	if (w->iif)
		snprintf(rule.iif, sizeof(rule.iif), "%s", w->iif);
	status = rtnl_rule_append(ap->rt, &rule, e);
	return status < 0 ? err_wrap(e, status, "add %s", rule_words(words, &rule)) : 0;
}

static int away_rule(struct rtnl *r, const struct rule *rule, bool again, struct err *e)
{
	char words[WORDS];
	int status = again ? rtnl_rule_move(r, rule, e) : rtnl_rule_delete(r, rule, e);

	if (status == 0 || is_gone(status))
		return 0;
	return err_wrap(e, status, "%s %s", again ? "move" : "delete", rule_words(words, rule));
}

static int apply_op(struct apply *ap, const struct op *op, struct err *e)
{
	switch (op->kind) {
	case OP_LINK_ADD:
		return add_link(ap, op->want_link, e);
	case OP_LINK_FREE:
		return rtnl_link_free(ap->rt, op->want_link->name, e);
	case OP_LINK_SET:
		return rtnl_link_set(ap->rt, op->want_link->name, op->want_link->up,
				     op->want_link->mtu, op->want_link->alias, op->want_link->plain,
				     e);
	case OP_ADDRESS_ADD:
		return rtnl_address_add(ap->rt, op->want_address, e);
	case OP_ADDRESS_DEL:
		return delete_address(ap->rt, op->address, e);
	case OP_ROUTE_ADD:
		return rtnl_route_add(ap->rt, op->want_route, ap->want->protocol, e);
	case OP_ROUTE_DEL:
		return delete_route(ap->rt, op->route, e);
	case OP_RULE_ADD:
		return add_rule(ap, op->want_rule, e);
	case OP_RULE_MOVE:
		return away_rule(ap->rt, op->rule, true, e);
	case OP_RULE_DEL:
		return away_rule(ap->rt, op->rule, false, e);
	}
	return err_set(e, EINVAL, "unknown step %d", (int)op->kind);
}

int rtnl_apply(struct rtnl *r, const struct want *want, const struct diff *diff,
	       rtnl_netns_fn peer_netns, void *ctx, struct err *e)
{
	struct apply ap = { .rt = r, .want = want, .peer_netns = peer_netns, .ctx = ctx };

	for (size_t i = 0; i < diff->n_ops; i++) {
		int status = apply_op(&ap, &diff->ops[i], e);

		if (status < 0)
			return status;
	}
	return 0;
}
