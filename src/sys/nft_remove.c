/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One owner's chains and elements are taken out of a table that others have a part
 * in, without libnftables(3): that reads all of it into words first, what the
 * others have, too.  Keys go back to the kernel as it told them.
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
#include <string.h>

/* An attribute ends at 64 KB, and a list of elements is one. */
#define LIST_MAX 32768

/* A list is asked for again when somebody changes something meanwhile. */
#define TRIES 10

struct removal {
	struct arena *arena;
	const char *table;
	const char *owner;
	const char *const *chains;
	size_t n_chains;
	const char **sets; /* and maps */
	size_t n_sets, cap_sets;
	const char *set; /* that is being listed */
	struct text out;
	struct text keys; /* of @set, as a list of elements */
	bool found;
};

static bool is_named(const struct removal *x, const char *chain)
{
	for (size_t i = 0; i < x->n_chains; i++)
		if (str_eq(x->chains[i], chain))
			return true;
	return false;
}

/* By its comment, or by the chain to which it leads. */
static bool is_owners(const struct removal *x, const struct nlattr *element)
{
	const char *comment = nft_raw_element_comment(element);
	const char *chain = nft_raw_element_chain(element);

	return (comment && str_eq(comment, x->owner)) || (chain && is_named(x, chain));
}

static const struct nlattr *attribute(const struct nlmsghdr *nlh, uint16_t type)
{
	const struct nlattr *a;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg)))
		return NULL;
	mnl_attr_for_each(a, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(a) == type)
			return a;
	}
	return NULL;
}

static const char *text_of(const struct nlattr *a)
{
	return a && mnl_attr_validate(a, MNL_TYPE_NUL_STRING) == 0 ? mnl_attr_get_str(a) : "";
}

/* Those without a name are their rules'. */
static int take_set(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nlattr *flags = attribute(nlh, NFTA_SET_FLAGS);
	struct removal *x = ctx;

	if (!flags || mnl_attr_validate(flags, MNL_TYPE_U32) < 0 ||
	    !(ntohl(mnl_attr_get_u32(flags)) & NFT_SET_ANONYMOUS))
		*arena_push(x->arena, x->sets, x->n_sets, x->cap_sets) =
			arena_strdup(x->arena, text_of(attribute(nlh, NFTA_SET_NAME)));
	return 0;
}

static void flush_keys(struct removal *x)
{
	size_t message, list;

	if (!x->keys.len)
		return;
	message = nft_message_begin(&x->out, NFT_MSG_DELSETELEM, 0);
	nft_put_text(&x->out, NFTA_SET_ELEM_LIST_TABLE, x->table);
	nft_put_text(&x->out, NFTA_SET_ELEM_LIST_SET, x->set);
	list = nft_nest_begin(&x->out, NFTA_SET_ELEM_LIST_ELEMENTS);
	text_add_len(&x->out, text_str(&x->keys), x->keys.len);
	(void)nft_nest_end(&x->out, list); /* LIST_MAX */
	nft_message_end(&x->out, message);
	text_clear(&x->keys);
}

static void take_element(struct removal *x, const struct nlattr *element)
{
	const struct nlattr *key =
		nft_raw_inside(nft_raw_inside(element, NFTA_SET_ELEM_KEY), NFTA_DATA_VALUE);
	size_t at;

	if (!key || !is_owners(x, element))
		return;
	x->found = true;
	at = nft_nest_begin(&x->keys, NFTA_LIST_ELEM);
	nft_put_value(&x->keys, NFTA_SET_ELEM_KEY, mnl_attr_get_payload(key),
		      mnl_attr_get_payload_len(key));
	(void)nft_nest_end(&x->keys, at); /* a key is short */
	if (x->keys.len > LIST_MAX)
		flush_keys(x);
}

static int take_elements(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nlattr *list = attribute(nlh, NFTA_SET_ELEM_LIST_ELEMENTS), *a;

	if (!list)
		return 0;
	mnl_attr_for_each_nested(a, list)
	{
		take_element(ctx, a);
	}
	return 0;
}

/* @set: NULL for a question that names the table alone. */
static int list(struct rtnl *r, struct removal *x, uint16_t message, const char *set,
		rtnl_answer_fn fn, struct err *e)
{
	_Alignas(8) char buf[1024];
	struct nlmsghdr *nlh = nft_raw_ask(buf, message, x->table);

	if (set)
		mnl_attr_put_strz(nlh, NFTA_SET_ELEM_LIST_SET, set);
	return rtnl_talk(r, nlh, NLM_F_DUMP, fn, x, e);
}

static int remove_elements(struct rtnl *r, struct removal *x, struct err *e)
{
	int status = list(r, x, NFT_MSG_GETSET, NULL, take_set, e);

	for (size_t i = 0; status == 0 && i < x->n_sets; i++) {
		x->set = x->sets[i];
		status = list(r, x, NFT_MSG_GETSETELEM, x->set, take_elements, e);
		flush_keys(x);
	}
	return status;
}

/* Two rounds: one of them may lead to another. */
static void remove_chains(struct removal *x)
{
	static const struct {
		uint16_t message, table, chain;
	} rounds[] = {
		{ NFT_MSG_DELRULE, NFTA_RULE_TABLE, NFTA_RULE_CHAIN },
		{ NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME },
	};

	for (size_t i = 0; i < ARRAY_LEN(rounds); i++)
		for (size_t j = 0; j < x->n_chains; j++) {
			size_t at = nft_message_begin(&x->out, rounds[i].message, 0);

			nft_put_text(&x->out, rounds[i].table, x->table);
			nft_put_text(&x->out, rounds[i].chain, x->chains[j]);
			nft_message_end(&x->out, at);
		}
}

static int encode(struct rtnl *r, struct removal *x, struct err *e)
{
	int status = -EAGAIN;

	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		text_clear(&x->out);
		text_clear(&x->keys);
		x->n_sets = 0;
		nft_message_bound(&x->out, NFNL_MSG_BATCH_BEGIN);
		status = remove_elements(r, x, e);
	}
	if (status < 0)
		return err_wrap(e, status, "list nftables table %s", x->table);
	remove_chains(x);
	nft_message_bound(&x->out, NFNL_MSG_BATCH_END);
	return 0;
}

int nft_raw_remove_part(struct rtnl *r, const char *table, const char *owner,
			const char *const *chains, size_t n, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct removal x = { .arena = &a,
			     .table = table,
			     .owner = owner,
			     .chains = chains,
			     .n_chains = n,
			     .found = n > 0 };
	int status = encode(r, &x, e);

	if (status == 0 && x.found) {
		const struct nft_batch batch = { .bytes = x.out.buf, .size = x.out.len };

		status = nft_raw_run(r, &batch, e);
	}
	text_free(&x.out);
	text_free(&x.keys);
	return status < 0 ? status : x.found;
}

/* --- rules of ours in a chain of somebody else's ----------------------------------------------- */

struct commented {
	const struct nft_chain *chain;
	const char *comment;
	uint8_t family;
	size_t n;
	struct text out;
};

static uint8_t family_number(const char *name)
{
	if (str_eq(name, "ip"))
		return NFPROTO_IPV4;
	return str_eq(name, "ip6") ? NFPROTO_IPV6 : NFPROTO_INET;
}

static int take_commented(const struct nlmsghdr *nlh, void *ctx)
{
	const struct nlattr *handle = attribute(nlh, NFTA_RULE_HANDLE);
	struct commented *x = ctx;
	size_t at;

	if (!handle || !nft_raw_is_commented(nlh, x->comment))
		return 0;
	at = nft_message_begin_of(&x->out, x->family, NFT_MSG_DELRULE, 0);
	nft_put_text(&x->out, NFTA_RULE_TABLE, x->chain->table);
	nft_put_text(&x->out, NFTA_RULE_CHAIN, x->chain->name);
	nft_put(&x->out, NFTA_RULE_HANDLE, mnl_attr_get_payload(handle),
		mnl_attr_get_payload_len(handle));
	nft_message_end(&x->out, at);
	x->n++;
	return 0;
}

static int find_commented(struct rtnl *r, struct commented *x, struct err *e)
{
	int status = -EAGAIN;

	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		_Alignas(8) char buf[1024];
		struct nlmsghdr *nlh = nft_raw_ask(buf, NFT_MSG_GETRULE, x->chain->table);

		((struct nfgenmsg *)mnl_nlmsg_get_payload(nlh))->nfgen_family = x->family;
		mnl_attr_put_strz(nlh, NFTA_RULE_CHAIN, x->chain->name);
		x->n = 0;
		text_clear(&x->out);
		nft_message_bound(&x->out, NFNL_MSG_BATCH_BEGIN);
		status = rtnl_talk(r, nlh, NLM_F_DUMP, take_commented, x, e);
	}
	nft_message_bound(&x->out, NFNL_MSG_BATCH_END);
	return err_wrap(e, status, "list chain %s of table %s", x->chain->name, x->chain->table);
}

int nft_raw_remove_commented(struct rtnl *r, const struct nft_chain *c, const char *comment,
			     struct err *e)
{
	struct commented x = { .chain = c, .comment = comment, .family = family_number(c->family) };
	int status = find_commented(r, &x, e);

	if (status == 0 && x.n) {
		const struct nft_batch batch = { .bytes = x.out.buf, .size = x.out.len };

		status = nft_raw_run(r, &batch, e);
	}
	text_free(&x.out);
	return status;
}
