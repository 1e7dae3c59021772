/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules among others of the same priority.
 *
 * The kernel appends a rule behind all of its priority, and deletes the first
 * in the list that has what the request names; what the request leaves out may
 * be anything.  A request to delete "iif room lookup 5901" deletes "to
 * 192.0.2.0/24 iif room lookup 5901" if that stands before it.  So deletion
 * looks at the list first.  When a narrower rule stands in the way, it and all
 * that follows are appended once more and deleted in front, one by one: after
 * the round the order is the same, without the rule that had to go, and at no
 * moment was any other rule missing.
 *
 * Proved by tests/kernel/test_rules.c.
 */
#include "sys/rtnl_sock.h"

#include "base/arena.h"
#include "base/text.h"
#include "wire/rtnl_decode.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct listed {
	struct rule rule;
	const struct nlmsghdr *message; /* the kernel's, for what struct rule cannot hold */
};

struct list {
	struct arena *arena;
	sa_family_t family;
	uint32_t priority;
	struct listed *rules;
	size_t n, cap;
};

static int take(const struct nlmsghdr *nlh, void *ctx)
{
	struct list *l = ctx;
	struct listed *item;
	struct rule rule;
	int r = rtnl_decode_rule(nlh, &rule);

	if (r < 1)
		return r;
	if (rule.family != l->family || rule.priority != l->priority)
		return 0;
	item = arena_push(l->arena, l->rules, l->n, l->cap);
	item->rule = rule;
	item->message = memcpy(arena_alloc(l->arena, nlh->nlmsg_len), nlh, nlh->nlmsg_len);
	return 0;
}

static int list_like(struct rtnl *r, struct list *l, struct err *e)
{
	struct rtnl_message m;
	int status = 0;

	for (int i = 0; i < 10; i++) {
		l->n = 0;
		status = rtnl_talk(r, rtnl_encode_dump(&m, RTM_GETRULE, l->family), 0, take, l, e);
		if (status != -EAGAIN)
			break;
	}
	return status < 0 ? err_wrap(e, status, "list rules") : 0;
}

static bool range_equal(const struct rule_range *a, const struct rule_range *b)
{
	return a->first == b->first && a->last == b->last;
}

static bool takes_number(uint64_t asked, uint64_t have)
{
	return !asked || asked == have;
}

static bool takes_name(const char *asked, const char *have)
{
	return !asked[0] || str_eq(asked, have);
}

static bool takes_range(bool asks, const struct rule_range *asked, const struct rule_range *have)
{
	return !asks || range_equal(asked, have);
}

static bool takes_prefix(const struct prefix *asked, const struct prefix *have)
{
	return !asked->len || prefix_equal(asked, have);
}

/* Would a request to delete @asked take @have?  As rule_find() in net/core/fib_rules.c. */
static bool request_takes(const struct rule *asked, const struct rule *have)
{
	return takes_number(asked->action, have->action) &&
	       takes_number(asked->table, have->table) && asked->priority == have->priority &&
	       takes_name(asked->iif, have->iif) && takes_name(asked->oif, have->oif) &&
	       takes_number(asked->mark, have->mark) &&
	       takes_number(asked->mark_mask, have->mark_mask) &&
	       (asked->suppress_group == -1 || asked->suppress_group == have->suppress_group) &&
	       (asked->suppress_len == -1 || asked->suppress_len == have->suppress_len) &&
	       takes_number(asked->tun_id, have->tun_id) &&
	       takes_number(asked->l3mdev, have->l3mdev) &&
	       takes_range(asked->has_uid, &asked->uid, &have->uid) &&
	       takes_number(asked->ip_proto, have->ip_proto) &&
	       takes_number(asked->protocol, have->protocol) &&
	       takes_range(asked->has_sport, &asked->sport, &have->sport) &&
	       takes_range(asked->has_dport, &asked->dport, &have->dport) &&
	       takes_prefix(&asked->from, &have->from) && takes_prefix(&asked->to, &have->to) &&
	       takes_number(asked->tos, have->tos) &&
	       takes_number(asked->sport_mask, have->sport_mask) &&
	       takes_number(asked->dport_mask, have->dport_mask) &&
	       (!asked->has_dscp || (have->has_dscp && asked->dscp == have->dscp &&
				     asked->dscp_mask == have->dscp_mask)) &&
	       takes_number(asked->flowlabel_mask, have->flowlabel_mask) &&
	       (!asked->flowlabel_mask || asked->flowlabel == have->flowlabel);
}

static size_t first_taken(const struct list *l, const struct rule *asked)
{
	size_t i = 0;

	while (i < l->n && !request_takes(asked, &l->rules[i].rule))
		i++;
	return i;
}

static size_t first_equal(const struct list *l, const struct rule *rule)
{
	size_t i = 0;

	while (i < l->n && !snapshot_same_rule(rule, &l->rules[i].rule))
		i++;
	return i;
}

/*
 * The least index from which on no request to delete one of the rules takes
 * one that stands before: from there the round may start.
 */
static size_t round_start(const struct list *l, size_t from)
{
	for (size_t i = from; i < l->n; i++) {
		size_t taken = first_taken(l, &l->rules[i].rule);

		if (taken < from)
			return round_start(l, taken);
	}
	return from;
}

static int send_listed(struct rtnl *r, uint16_t type, const struct listed *item, struct err *e)
{
	struct rtnl_message m;
	struct nlmsghdr *nlh = rtnl_encode_listed_rule(&m, type, item->message);

	if (!nlh)
		return err_set(e, EMSGSIZE, "rule with too many attributes");
	return rtnl_talk(r, nlh, type == RTM_NEWRULE ? NLM_F_CREATE : 0, NULL, NULL, e);
}

/* Each rule from @from on goes behind the last, @gone goes away; the order stays. */
static int go_round(struct rtnl *r, const struct list *l, size_t from, size_t gone, struct err *e)
{
	for (size_t i = from; i < l->n; i++) {
		int status = 0;

		if (i != gone)
			status = send_listed(r, RTM_NEWRULE, &l->rules[i], e);
		if (status == 0)
			status = send_listed(r, RTM_DELRULE, &l->rules[i], e);
		if (status < 0)
			return status;
	}
	return 0;
}

static int delete_listed(struct rtnl *r, const struct list *l, size_t at, struct err *e)
{
	if (first_taken(l, &l->rules[at].rule) == at)
		return send_listed(r, RTM_DELRULE, &l->rules[at], e);
	return go_round(r, l, round_start(l, at), at, e);
}

int rtnl_rule_append(struct rtnl *r, const struct rule *rule, struct err *e)
{
	struct rtnl_message m;

	/* Not NLM_F_EXCL: a second one of the same kind is wanted before the first goes. */
	return rtnl_talk(r, rtnl_encode_rule(&m, RTM_NEWRULE, rule), NLM_F_CREATE, NULL, NULL, e);
}

int rtnl_rule_delete(struct rtnl *r, const struct rule *rule, struct err *e)
{
	struct arena arena CLEANUP_ARENA = { 0 };
	struct list l = { .arena = &arena, .family = rule->family, .priority = rule->priority };
	int status = list_like(r, &l, e);
	size_t at;

	if (status < 0)
		return status;
	at = first_equal(&l, rule);
	if (at == l.n)
		return err_errno(e, ESRCH, "rule");
	return delete_listed(r, &l, at, e);
}

int rtnl_rule_move(struct rtnl *r, const struct rule *rule, struct err *e)
{
	struct arena arena CLEANUP_ARENA = { 0 };
	struct list l = { .arena = &arena, .family = rule->family, .priority = rule->priority };
	int status = list_like(r, &l, e);
	struct listed *again;
	size_t at;

	if (status < 0)
		return status;
	at = first_equal(&l, rule);
	if (at == l.n)
		return err_errno(e, ESRCH, "rule");
	/* Everything else stands behind `local`; without it the host talks to nobody. */
	if (l.rules[at].rule.table == RT_TABLE_LOCAL && first_taken(&l, &l.rules[at].rule) == 0)
		return 0;
	status = send_listed(r, RTM_NEWRULE, &l.rules[at], e);
	if (status < 0)
		return status;
	again = arena_push(&arena, l.rules, l.n, l.cap);
	*again = l.rules[at];
	return delete_listed(r, &l, at, e);
}
