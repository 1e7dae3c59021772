/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ip_json_reader.h"

#include "wire/ip_words.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

#define PRIORITY_DEFAULT 32767

struct ip_rule {
	uint32_t priority, srclen, dstlen, uid_start, uid_end, sport_start, sport_end, dport_start,
		dport_end, goto_;
	uint64_t tun_id;
	const char *src, *dst, *tos, *dscp, *mark, *mask, *iif, *oif, *ipproto, *sport, *dport,
		*table, *suppress_len, *suppress_group, *target, *action, *protocol, *flow;
	bool invert, l3mdev, nop, iif_detached, oif_detached, unresolved, has_srclen, has_dstlen,
		has_uid, has_sport, has_dport;
	char unknown[64];
};

static void note_unknown(void *item, const char *key)
{
	struct ip_rule *r = item;
	size_t len = strlen(r->unknown);

	snprintf(r->unknown + len, sizeof(r->unknown) - len, "%s%.20s", len ? ", " : "", key);
	/* It stands in messages. */
	for (char *c = r->unknown; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static const struct field rule_fields[] = {
	{ "priority", FIELD_NUMBER, true, FIELD_AT(ip_rule, priority) },
	{ "not", FIELD_NULL, FIELD_AT(ip_rule, invert) },
	{ "src", FIELD_STRING, FIELD_AT(ip_rule, src) },
	{ "srclen", FIELD_NUMBER, FIELD_AT(ip_rule, srclen), FIELD_HAS(ip_rule, has_srclen) },
	{ "dst", FIELD_STRING, FIELD_AT(ip_rule, dst) },
	{ "dstlen", FIELD_NUMBER, FIELD_AT(ip_rule, dstlen), FIELD_HAS(ip_rule, has_dstlen) },
	{ "tos", FIELD_WORD, FIELD_AT(ip_rule, tos) },
	{ "dscp", FIELD_WORD, FIELD_AT(ip_rule, dscp) },
	{ "fwmark", FIELD_WORD, FIELD_AT(ip_rule, mark) },
	{ "fwmask", FIELD_WORD, FIELD_AT(ip_rule, mask) },
	{ "iif", FIELD_STRING, FIELD_AT(ip_rule, iif) },
	{ "iif_detached", FIELD_NULL, FIELD_AT(ip_rule, iif_detached) },
	{ "oif", FIELD_STRING, FIELD_AT(ip_rule, oif) },
	{ "oif_detached", FIELD_NULL, FIELD_AT(ip_rule, oif_detached) },
	{ "l3mdev", FIELD_NULL, FIELD_AT(ip_rule, l3mdev) },
	{ "uid_start", FIELD_NUMBER, FIELD_AT(ip_rule, uid_start), FIELD_HAS(ip_rule, has_uid) },
	{ "uid_end", FIELD_NUMBER, FIELD_AT(ip_rule, uid_end), FIELD_HAS(ip_rule, has_uid) },
	{ "ipproto", FIELD_WORD, FIELD_AT(ip_rule, ipproto) },
	{ "sport", FIELD_WORD, FIELD_AT(ip_rule, sport) },
	{ "sport_start", FIELD_NUMBER, FIELD_AT(ip_rule, sport_start),
	  FIELD_HAS(ip_rule, has_sport), .max = UINT16_MAX },
	{ "sport_end", FIELD_NUMBER, FIELD_AT(ip_rule, sport_end), FIELD_HAS(ip_rule, has_sport),
	  .max = UINT16_MAX },
	{ "dport", FIELD_WORD, FIELD_AT(ip_rule, dport) },
	{ "dport_start", FIELD_NUMBER, FIELD_AT(ip_rule, dport_start),
	  FIELD_HAS(ip_rule, has_dport), .max = UINT16_MAX },
	{ "dport_end", FIELD_NUMBER, FIELD_AT(ip_rule, dport_end), FIELD_HAS(ip_rule, has_dport),
	  .max = UINT16_MAX },
	{ "tun_id", FIELD_NUMBER, FIELD_AT(ip_rule, tun_id) },
	{ "table", FIELD_WORD, FIELD_AT(ip_rule, table) },
	{ "suppress_prefixlen", FIELD_WORD, FIELD_AT(ip_rule, suppress_len) },
	{ "suppress_ifgroup", FIELD_WORD, FIELD_AT(ip_rule, suppress_group) },
	{ "flow_from", FIELD_WORD, FIELD_AT(ip_rule, flow) },
	{ "flow_to", FIELD_WORD, FIELD_AT(ip_rule, flow) },
	{ "goto", FIELD_WORD, FIELD_AT(ip_rule, target) },
	{ "unresolved", FIELD_NULL, FIELD_AT(ip_rule, unresolved) },
	{ "nop", FIELD_NULL, FIELD_AT(ip_rule, nop) },
	{ "action", FIELD_WORD, FIELD_AT(ip_rule, action) },
	{ "protocol", FIELD_WORD, FIELD_AT(ip_rule, protocol) },
};
static const struct record rule_record = { sizeof(struct ip_rule), rule_fields,
					   ARRAY_LEN(rule_fields), .other = note_unknown };

/* "from" and "to": an address, and its length beside it if it is not whole. */
static bool read_match(struct json_in *j, const char *word, bool has_len, uint32_t len,
		       struct prefix *ret)
{
	if (!*word || str_eq(word, "all"))
		return true;
	if (!ip_read_ip(j, word, &ret->ip))
		return false;
	if (has_len && len > ip_bits(ret->ip.family))
		return json_in_fail(j, "a prefix longer than the address");
	ret->len = (uint8_t)(has_len ? len : ip_bits(ret->ip.family));
	/* Of any address the kernel keeps none (rtnl_decode.c). */
	if (!ret->len)
		*ret = (struct prefix){ 0 };
	return true;
}

static bool read_port(struct json_in *j, const char *word, struct rule_range *range, bool *has)
{
	uint32_t port;

	if (!*word)
		return true;
	if (!ip_number(word, &port) || port > UINT16_MAX)
		return json_in_fail(j, "\"%s\" is no port", json_in_quote(j, word));
	*range = (struct rule_range){ port, port };
	*has = true;
	return true;
}

static bool read_mark(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	if (!*from->mark && !*from->mask)
		return true;
	r->mark_mask = UINT32_MAX;
	if ((*from->mark && !ip_number(from->mark, &r->mark)) ||
	    (*from->mask && !ip_number(from->mask, &r->mark_mask)))
		return json_in_fail(j, "fwmark or fwmask is no number");
	r->has_mark = r->mark || r->mark_mask;
	return true;
}

static bool read_action(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	uint32_t n;

	r->action = FR_ACT_TO_TBL;
	if (from->nop) {
		r->action = FR_ACT_NOP;
	} else if (*from->target) {
		r->action = FR_ACT_GOTO;
		if (!str_eq(from->target, "none") && !ip_number(from->target, &r->target))
			return json_in_fail(j, "goto \"%s\" is no number",
					    json_in_quote(j, from->target));
	} else if (*from->action) {
		if (!ip_read_number(j, &ip_types, "action", from->action, &n))
			return false;
		r->action = (uint8_t)(n > UINT8_MAX ? UINT8_MAX : n);
	} else if (*from->table) {
		return ip_read_number(j, &ip_tables, "table", from->table, &r->table);
	}
	return true;
}

static bool read_selectors(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	uint32_t tos = 0, proto = 0, dscp = 0;

	if ((*from->tos && !ip_read_number(j, &ip_tos, "tos", from->tos, &tos)) ||
	    (*from->dscp && !ip_read_number(j, &ip_dscps, "dscp", from->dscp, &dscp)) ||
	    (*from->ipproto && !ip_read_number(j, &ip_protos, "ipproto", from->ipproto, &proto)))
		return false;
	if (tos > UINT8_MAX || proto > UINT8_MAX || dscp > 63)
		return json_in_fail(j, "a number too large for tos, dscp or ipproto");
	r->tos = (uint8_t)tos;
	r->ip_proto = (uint8_t)proto;
	r->dscp = (uint8_t)dscp;
	r->has_dscp = *from->dscp != 0;
	r->l3mdev = from->l3mdev;
	r->tun_id = from->tun_id;
	r->has_uid = from->has_uid;
	r->uid = (struct rule_range){ from->uid_start, from->uid_end };
	r->has_sport = from->has_sport;
	r->sport = (struct rule_range){ from->sport_start, from->sport_end };
	r->has_dport = from->has_dport;
	r->dport = (struct rule_range){ from->dport_start, from->dport_end };
	return read_match(j, from->src, from->has_srclen, from->srclen, &r->from) &&
	       read_match(j, from->dst, from->has_dstlen, from->dstlen, &r->to) &&
	       read_port(j, from->sport, &r->sport, &r->has_sport) &&
	       read_port(j, from->dport, &r->dport, &r->has_dport) && read_mark(j, from, r) &&
	       ip_copy_name(j, "iif", from->iif, r->iif, sizeof(r->iif)) &&
	       ip_copy_name(j, "oif", from->oif, r->oif, sizeof(r->oif));
}

static bool read_suppress(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	uint32_t n;

	r->suppress_len = r->suppress_group = -1;
	if (*from->suppress_len) {
		if (!ip_number(from->suppress_len, &n) || n > 128)
			return json_in_fail(j, "suppress_prefixlen is from 0 to 128");
		r->suppress_len = (int)n;
	}
	if (*from->suppress_group) {
		if (!ip_read_number(j, &ip_groups, "group", from->suppress_group, &n))
			return false;
		r->suppress_group = (int)n;
	}
	return true;
}

static bool take_rule(struct ip_reader *r, const void *item)
{
	const struct ip_rule *from = item;
	struct ip_rules *list = &r->rules[r->n_rules - 1];
	struct rule rule = { .priority = from->priority, .invert = from->invert };
	uint32_t protocol = RTPROT_UNSPEC;
	sa_family_t family;

	if (!read_selectors(r->j, from, &rule) || !read_action(r->j, from, &rule) ||
	    !read_suppress(r->j, from, &rule))
		return false;
	if (list->n && rule.priority < list->items[list->n - 1].priority)
		return json_in_fail(r->j, "stands behind a rule of a higher priority number");
	if (rule.action == FR_ACT_GOTO && *from->target && rule.target &&
	    rule.target <= rule.priority)
		return json_in_fail(r->j, "the kernel has no goto backwards");
	if (*from->protocol && ip_word(&ip_protocols, from->protocol, &protocol))
		rule.protocol = (uint8_t)protocol;
	rule.flags = (from->invert ? FIB_RULE_INVERT : 0U) |
		     (from->iif_detached ? FIB_RULE_IIF_DETACHED : 0U) |
		     (from->oif_detached ? FIB_RULE_OIF_DETACHED : 0U) |
		     (from->unresolved ? FIB_RULE_UNRESOLVED : 0U);
	memcpy(rule.unknown, from->unknown, sizeof(rule.unknown));
	if (*from->flow)
		snprintf(rule.unknown, sizeof(rule.unknown), "realms");
	if (rule.l3mdev && !(r->h->parts & HOST_LINK_KINDS))
		snprintf(rule.unknown, sizeof(rule.unknown), "l3mdev without `ip -d addr`");
	family = rule.from.ip.family ? rule.from.ip.family : rule.to.ip.family;
	if ((rule.from.ip.family && rule.to.ip.family &&
	     rule.from.ip.family != rule.to.ip.family) ||
	    (family && list->family && family != list->family))
		return json_in_fail(r->j, "rules of both families in one list");
	if (family)
		list->family = family;
	*arena_push(r->a, list->items, list->n, list->cap) = rule;
	return true;
}

const struct ip_kind ip_rules = { &rule_record, take_rule };

bool ip_read_rules(struct ip_reader *r, const struct ip_text *text)
{
	struct ip_rules *list = &r->rules[r->n_rules];

	if (r->n_rules == ARRAY_LEN(r->rules))
		return json_in_fail(r->j, "more lists of rules than families");
	*list = (struct ip_rules){ .text = text, .at = r->j->at };
	r->n_rules++;
	if (!ip_read_items(r, &ip_rules))
		return false;
	for (size_t i = 0; i < list->n; i++)
		list->has_default |= list->items[i].table == RT_TABLE_DEFAULT &&
				     list->items[i].priority == PRIORITY_DEFAULT;
	return true;
}

static int fail_rules(const struct ip_reader *r, const struct ip_rules *list, struct err *e,
		      const char *words)
{
	struct json_in j;

	json_in_start(&j, r->a, list->text->file, list->text->text, list->text->size, e);
	j.value_at = list->at;
	json_in_fail(&j, "%s", words);
	return -EINVAL;
}

static sa_family_t other_than(sa_family_t family)
{
	return family == AF_INET ? AF_INET6 : AF_INET;
}

/* As the head of this file tells. */
static int tell_families(struct ip_reader *r, struct err *e)
{
	struct ip_rules *x = &r->rules[0], *y = &r->rules[1];

	if (r->n_rules == 1 && !x->family) {
		if (!x->has_default)
			return fail_rules(r, x, e,
					  "nothing tells whether these rules are IPv4's or "
					  "IPv6's: give the output of both `ip -j rule` and "
					  "`ip -j -6 rule`");
		x->family = AF_INET;
	}
	if (r->n_rules < 2)
		return 0;
	if (!x->family && y->family)
		x->family = other_than(y->family);
	if (!x->family)
		x->family = y->has_default && !x->has_default ? AF_INET6 : AF_INET;
	if (!y->family)
		y->family = other_than(x->family);
	return x->family == y->family ? fail_rules(r, y, e, "a second list of rules of one family")
				      : 0;
}

int ip_settle_families(struct ip_reader *r, struct err *e)
{
	const struct ip_rules *of[2] = { NULL, NULL };
	int status = tell_families(r, e);

	if (status < 0)
		return status;
	for (size_t i = 0; i < r->n_rules; i++)
		of[r->rules[i].family == AF_INET6] = &r->rules[i];
	for (int v6 = 0; v6 < 2; v6++) {
		struct snapshot *net = &r->h->net;

		for (size_t i = 0; of[v6] && i < of[v6]->n; i++) {
			struct rule *rule =
				arena_push(r->a, net->rules, net->n_rules, net->cap_rules);

			*rule = of[v6]->items[i];
			rule->family = v6 ? AF_INET6 : AF_INET;
			/* ip(8) cannot make, nor show, the flag that ours have. */
			if (v6 && rule->protocol == IP_PROTOCOL_OURS && rule->from.ip.family &&
			    !*rule->unknown)
				snprintf(rule->unknown, sizeof(rule->unknown), "find_saddr");
		}
		if (of[v6])
			r->h->parts |= v6 ? HOST_RULES6 : HOST_RULES4;
	}
	return 0;
}
