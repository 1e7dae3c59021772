/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions to nftables that libnftables(3) answers only after it has listed
 * everything in the namespace: with two hundred gates, a thousand sets.  And
 * transactions that are encoded already.
 */
#include "sys/nft_raw.h"

#include "base/text.h"
#include "sys/rtnl_sock.h"
#include "wire/nft_message.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4.h>
#include <string.h>
#include <sys/socket.h>

/* A list is asked for again when somebody changes something meanwhile. */
#define TRIES 10

static struct nlmsghdr *begin(char *buf, uint16_t message, uint8_t family)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(buf);
	struct nfgenmsg *head;

	nlh->nlmsg_type = (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | message);
	nlh->nlmsg_flags = NLM_F_REQUEST;
	head = mnl_nlmsg_put_extra_header(nlh, sizeof(*head));
	head->nfgen_family = family;
	return nlh;
}

struct nlmsghdr *nft_raw_ask(char *buf, uint16_t message, const char *table)
{
	struct nlmsghdr *nlh = begin(buf, message, NFPROTO_INET);

	mnl_attr_put_strz(nlh, 1, table); /* NFTA_*_TABLE */
	return nlh;
}

int nft_raw_has_chain(struct rtnl *r, const char *table, const char *chain, struct err *e)
{
	_Alignas(8) char buf[1024];
	struct nlmsghdr *nlh = nft_raw_ask(buf, NFT_MSG_GETCHAIN, table);

	mnl_attr_put_strz(nlh, NFTA_CHAIN_NAME, chain);
	return rtnl_talk(r, nlh, 0, NULL, NULL, e);
}

struct comments {
	struct arena *arena;
	const char **texts;
	size_t n, cap;
};

/* In the user data @a of a rule or an element: with its zero, or NULL. */
static const char *comment_in(const struct nlattr *a)
{
	const uint8_t *data = a ? mnl_attr_get_payload(a) : NULL;
	size_t size = a ? mnl_attr_get_payload_len(a) : 0;

	while (size >= 2 && size - 2 >= data[1]) {
		size_t len = data[1];

		if (data[0] == NFT_UDATA_COMMENT && memchr(data + 2, 0, len))
			return (const char *)data + 2;
		data += 2 + len;
		size -= 2 + len;
	}
	return NULL;
}

const struct nlattr *nft_raw_inside(const struct nlattr *nest, uint16_t type)
{
	const struct nlattr *a;

	if (nest)
		mnl_attr_for_each_nested(a, nest) if (mnl_attr_get_type(a) == type) return a;
	return NULL;
}

const char *nft_raw_element_comment(const struct nlattr *element)
{
	return comment_in(nft_raw_inside(element, NFTA_SET_ELEM_USERDATA));
}

const char *nft_raw_element_chain(const struct nlattr *element)
{
	const struct nlattr *data = nft_raw_inside(element, NFTA_SET_ELEM_DATA);
	const struct nlattr *chain =
		nft_raw_inside(nft_raw_inside(data, NFTA_DATA_VERDICT), NFTA_VERDICT_CHAIN);

	if (!chain || mnl_attr_validate(chain, MNL_TYPE_NUL_STRING) < 0)
		return NULL;
	return mnl_attr_get_str(chain);
}

static int take_rule(const struct nlmsghdr *nlh, void *ctx)
{
	struct comments *c = ctx;
	const struct nlattr *a;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		const char *comment = mnl_attr_get_type(a) == NFTA_RULE_USERDATA ? comment_in(a)
										 : NULL;

		if (comment)
			*arena_push(c->arena, c->texts, c->n, c->cap) =
				arena_strdup(c->arena, comment);
	}
	return 0;
}

bool nft_raw_is_commented(const struct nlmsghdr *nlh, const char *comment)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct comments c = { .arena = &a };

	return take_rule(nlh, &c) == 0 && c.n == 1 && str_eq(c.texts[0], comment);
}

int nft_raw_comments(struct rtnl *r, struct arena *a, const char *table, const char *chain,
		     const char *const **ret, size_t *ret_n, struct err *e)
{
	struct comments c = { .arena = a };
	int status = nft_raw_has_chain(r, table, chain, e);

	if (status < 0)
		return status;
	status = -EAGAIN;
	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		_Alignas(8) char buf[1024];
		struct nlmsghdr *nlh = nft_raw_ask(buf, NFT_MSG_GETRULE, table);

		c.n = 0;
		mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, chain);
		status = rtnl_talk(r, nlh, NLM_F_DUMP, take_rule, &c, e);
	}
	if (status < 0)
		return status;
	*ret = c.texts;
	*ret_n = c.n;
	return 0;
}

static int take_elements(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nlattr *a;
	bool *any = ctx;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_SET_ELEM_LIST_ELEMENTS)
			*any = *any || mnl_attr_get_payload_len(a);
	}
	return 0;
}

int nft_raw_any_element(struct rtnl *r, const char *table, const char *set, bool *ret_any,
			struct err *e)
{
	_Alignas(8) char buf[1024];
	struct nlmsghdr *nlh = nft_raw_ask(buf, NFT_MSG_GETSETELEM, table);
	bool any = false;
	int status;

	mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	status = rtnl_talk(r, nlh, NLM_F_DUMP, take_elements, &any, e);
	if (status == 0)
		*ret_any = any;
	return status;
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

static const struct nlattr *hook_part(const struct nlattr *hook, uint16_t part)
{
	const struct nlattr *a;

	if (hook)
		mnl_attr_for_each_nested(a, hook) if (mnl_attr_get_type(a) == part) return a;
	return NULL;
}

static int take_chain(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(nlh);
	const struct nlattr *found[NFTA_CHAIN_MAX + 1] = { NULL }, *a;
	struct chains *c = ctx;
	const struct nlattr *hook;
	const char *table;
	struct nft_chain *x;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*head)))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(*head))
	{
		if (mnl_attr_get_type(a) <= NFTA_CHAIN_MAX)
			found[mnl_attr_get_type(a)] = a;
	}
	hook = found[NFTA_CHAIN_HOOK];
	table = text_of(found[NFTA_CHAIN_TABLE]);
	if (head->nfgen_family == NFPROTO_INET && str_eq(table, c->but))
		return 0;
	x = arena_push(c->arena, c->items, c->n, c->cap);
	*x = (struct nft_chain){ .family = family_name(head->nfgen_family),
				 .table = arena_strdup(c->arena, table),
				 .name = arena_strdup(c->arena, text_of(found[NFTA_CHAIN_NAME])) };
	x->forward = number_of(hook_part(hook, NFTA_HOOK_HOOKNUM)) == NF_INET_FORWARD;
	x->raw = hook && number_of(hook_part(hook, NFTA_HOOK_HOOKNUM)) == NF_INET_PRE_ROUTING &&
		 (int32_t)number_of(hook_part(hook, NFTA_HOOK_PRIORITY)) < NF_IP_PRI_CONNTRACK;
	x->drops = x->forward && number_of(found[NFTA_CHAIN_POLICY]) == NF_DROP;
	x->nat = str_eq(text_of(found[NFTA_CHAIN_TYPE]), "nat");
	return 0;
}

int nft_raw_chains(struct rtnl *r, struct arena *a, const char *but, struct nft_chain **ret,
		   size_t *ret_n, struct err *e)
{
	struct chains c = { .arena = a, .but = but };
	int status = -EAGAIN;

	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		_Alignas(8) char buf[1024];
		struct nlmsghdr *nlh = begin(buf, NFT_MSG_GETCHAIN, NFPROTO_UNSPEC);

		c.n = 0;
		status = rtnl_talk(r, nlh, NLM_F_DUMP, take_chain, &c, e);
	}
	*ret = c.items;
	*ret_n = c.n;
	return status < 0 ? err_wrap(e, status, "list nftables chains") : 0;
}

static int take_generation(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nlattr *a;
	uint32_t *ret = ctx;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return 0;
	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == NFTA_GEN_ID)
			*ret = number_of(a);
	}
	return 0;
}

uint32_t nft_raw_generation(struct rtnl *r)
{
	_Alignas(8) char buf[256];
	struct nlmsghdr *nlh = begin(buf, NFT_MSG_GETGEN, NFPROTO_UNSPEC);
	uint32_t generation = 0;
	struct err e;

	return rtnl_talk(r, nlh, 0, take_generation, &generation, &e) == 0 ? generation : 0;
}

struct numbers {
	uint32_t first, last;
};

/* The last but the end of the batch is acknowledged; kernels before 6.10 do not that end. */
static struct numbers number(struct rtnl *r, const struct nft_batch *b)
{
	struct numbers n = { .first = r->seq + 1 };
	struct nlmsghdr *nlh, *last = NULL;
	int left = (int)b->size;

	for (nlh = (void *)b->bytes; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		nlh->nlmsg_seq = ++r->seq;
		if (nlh->nlmsg_type != NFNL_MSG_BATCH_END)
			last = nlh;
	}
	if (last) {
		last->nlmsg_flags |= NLM_F_ACK;
		n.last = last->nlmsg_seq;
	}
	return n;
}

static int send_batch(struct rtnl *r, const struct nft_batch *b, struct err *e)
{
	int fd = mnl_socket_get_fd(r->sock);
	int size = (int)b->size * 2;

	if (mnl_socket_sendto(r->sock, b->bytes, b->size) >= 0)
		return 0;
	/* A thousand ports at once: as nft does it. */
	if (errno == EMSGSIZE &&
	    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) == 0 &&
	    mnl_socket_sendto(r->sock, b->bytes, b->size) >= 0)
		return 0;
	return err_errno(e, errno, "send to nftables");
}

static int hear_errors(const char *buf, int size, struct numbers n, bool *acknowledged)
{
	const struct nlmsghdr *nlh;
	int status = 0;

	for (nlh = (const void *)buf; mnl_nlmsg_ok(nlh, size); nlh = mnl_nlmsg_next(nlh, &size)) {
		const struct nlmsgerr *x = mnl_nlmsg_get_payload(nlh);

		if (nlh->nlmsg_type != NLMSG_ERROR || nlh->nlmsg_seq < n.first ||
		    nlh->nlmsg_seq > n.last || mnl_nlmsg_get_payload_len(nlh) < sizeof(*x))
			continue;
		if (x->error && status == 0)
			status = x->error;
		if (nlh->nlmsg_seq == n.last)
			*acknowledged = true;
	}
	return status;
}

/* What the kernel has to say is there when sending is over: the sender did its work. */
int nft_raw_run(struct rtnl *r, const struct nft_batch *b, struct err *e)
{
	struct numbers n = number(r, b);
	bool acknowledged = false;
	_Alignas(8) char buf[32768];
	int status = send_batch(r, b, e);
	ssize_t size;

	if (status < 0)
		return status;
	while ((size = recv(mnl_socket_get_fd(r->sock), buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
		int heard = hear_errors(buf, (int)size, n, &acknowledged);

		status = status ? status : heard;
	}
	if (status < 0)
		return err_errno(e, -status, "nftables");
	return acknowledged ? 0 : err_set(e, EIO, "nftables: no answer");
}
