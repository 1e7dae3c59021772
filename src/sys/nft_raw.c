/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions to nftables that libnftables(3) answers only after it has listed
 * everything in the namespace: with two hundred gates, a thousand sets.
 */
#include "sys/nft_raw.h"

#include "base/text.h"
#include "sys/rtnl_sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

/* Of a rule's user data, as libnftnl writes it (udata.h): type, length, text with its zero. */
#define UDATA_COMMENT 0

/* A list is asked for again when somebody changes something meanwhile. */
#define TRIES 10

static struct nlmsghdr *ask(char *buf, uint16_t message, const char *table)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *head;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message);
	nlh->nlmsg_flags = NLM_F_REQUEST;
	head = mnl_nlmsg_put_extra_header(nlh, sizeof(*head));
	head->nfgen_family = NFPROTO_INET;
	mnl_attr_put_strz(nlh, 1, table); /* NFTA_CHAIN_TABLE, NFTA_RULE_TABLE */
	return nlh;
}

int nft_raw_has_chain(struct rtnl *r, const char *table, const char *chain, struct err *e)
{
	_Alignas(8) char buf[1024];
	struct nlmsghdr *nlh = ask(buf, NFT_MSG_GETCHAIN, table);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, chain);
	return rtnl_talk(r, nlh, 0, NULL, NULL, e);
}

struct comments {
	struct arena *arena;
	const char **texts;
	size_t n, cap;
};

static void read_user_data(struct comments *c, const uint8_t *data, size_t size)
{
	while (size >= 2 && size - 2 >= data[1]) {
		size_t len = data[1];

		if (data[0] == UDATA_COMMENT && len)
			*arena_push(c->arena, c->texts, c->n, c->cap) =
				arena_strndup(c->arena, (const char *)data + 2,
					      strnlen((const char *)data + 2, len));
		data += 2 + len;
		size -= 2 + len;
	}
}

static int take_rule(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nlattr *a;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_RULE_USERDATA)
			read_user_data(ctx, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	}
	return 0;
}

int nft_raw_comments(struct rtnl *r, struct arena *a, const char *table, const char *chain,
		     const char *const **ret, size_t *ret_n, struct err *e)
{
	struct comments c = { .arena = a };
	_Alignas(8) char buf[1024];
	struct nlmsghdr *nlh;
	int status = nft_raw_has_chain(r, table, chain, e);

	if (status < 0)
		return status;
	nlh = ask(buf, NFT_MSG_GETRULE, table);
	mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
	status = rtnl_talk(r, nlh, NLM_F_DUMP, take_rule, &c, e);
	if (status < 0)
		return status;
	*ret = c.texts;
	*ret_n = c.n;
	return 0;
}

struct chains {
	struct arena *arena;
	const char *but;
	struct nft_chain *items;
	size_t n, cap;
};

static const char *family_name(uint8_t family)
{
	switch (family) {
	case NFPROTO_INET:
		return "inet";
	case NFPROTO_IPV4:
		return "ip";
	case NFPROTO_IPV6:
		return "ip6";
	case NFPROTO_BRIDGE:
		return "bridge";
	case NFPROTO_ARP:
		return "arp";
	case NFPROTO_NETDEV:
		return "netdev";
	default:
		return "?";
	}
}

static uint32_t number_of(const struct nlattr *a)
{
	return a && mnl_attr_validate(a, MNL_TYPE_U32) == 0 ? ntohl(mnl_attr_get_u32(a))
							    : UINT32_MAX;
}

static const char *text_of(const struct nlattr *a)
{
	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(a) : "";
}

static const struct nlattr *hook_number(const struct nlattr *hook)
{
	const struct nlattr *a;

	if (hook)
		mnl_attr_for_each_nested(a, hook) if (mnl_attr_get_type(a) ==
						      NFTA_HOOK_HOOKNUM) return a;
	return NULL;
}

static int take_chain(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *found[NFTA_CHAIN_MAX + 1] = { NULL }, *a;
	struct chains *c = ctx;
	const char *table;
	struct nft_chain *x;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*head)))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(*head))
	{
		if (mnl_attr_get_type(a) <= NFTA_CHAIN_MAX)
			found[mnl_attr_get_type(a)] = a;
	}
	table = text_of(found[NFTA_CHAIN_TABLE]);
	if (head->nfgen_family == NFPROTO_INET && str_eq(table, c->but))
		return 0;
	x = arena_push(c->arena, c->items, c->n, c->cap);
	*x = (struct nft_chain){ .family = family_name(head->nfgen_family),
				 .table = arena_strdup(c->arena, table),
				 .name = arena_strdup(c->arena, text_of(found[NFTA_CHAIN_NAME])) };
	x->forward = number_of(hook_number(found[NFTA_CHAIN_HOOK])) == NF_INET_FORWARD;
	x->drops = x->forward && number_of(found[NFTA_CHAIN_POLICY]) == NF_DROP;
	return 0;
}

int nft_raw_chains(struct rtnl *r, struct arena *a, const char *but, struct nft_chain **ret,
		   size_t *ret_n, struct err *e)
{
	struct chains c = { .arena = a, .but = but };
	int status = -EAGAIN;

	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		_Alignas(8) char buf[1024];
		struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
		struct nfgenmsg *head;

		c.n = 0;
		nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN);
		nlh->nlmsg_flags = NLM_F_REQUEST;
		head = mnl_nlmsg_put_extra_header(nlh, sizeof(*head));
		head->nfgen_family = NFPROTO_UNSPEC;
		status = rtnl_talk(r, nlh, NLM_F_DUMP, take_chain, &c, e);
	}
	*ret = c.items;
	*ret_n = c.n;
	return status < 0 ? err_wrap(e, status, "list nftables chains") : 0;
}
