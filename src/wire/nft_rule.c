/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/nft_coder.h"

#include "wire/nft_expr.h"
#include "wire/nft_message.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netlink.h>
#include <string.h>

#define TCP_OPTION_MSS 2
/* The place of the last port to masquerade to, as nft_expr_masquerade() has it. */
#define LAST_PORT_PLACE 4

/* --- what becomes of it --------------------------------------------------------------- */

static void nat_to_map(struct nft_rule *r, const struct nft_field *f, enum nft_type address,
		       bool *ret_port)
{
	struct nft_set set = { .data = { .types = { address, NFT_TYPE_PORT }, .n = 2 } };
	const struct nft_set *named;

	nft_load_tuple(r, f, &set.key);
	nft_want(r->w, "map");
	if (nft_is(r->w, "{")) {
		nft_set_anonymous(r->c, &set);
		*ret_port = true;
		nft_expr_lookup(&r->out, set.name, set.id, NFT_FOUND_VALUE, false);
		return;
	}
	named = nft_set_find(r->c, nft_take_set_name(r));
	if (!named || !named->data.n || named->data.types[0] != address) {
		nft_unknown(r->w);
		return;
	}
	*ret_port = named->data.n > 1;
	nft_expr_lookup(&r->out, named->name, 0, NFT_FOUND_VALUE, false);
}

/* "ip to ADDRESS", "ip6 to FIELD . FIELD map @MAP" */
static void nat(struct nft_rule *r, uint32_t type)
{
	bool is4 = nft_take(r->w, "ip");
	enum nft_type address = is4 ? NFT_TYPE_IP : NFT_TYPE_IP6;
	uint8_t value[NFT_VALUE_SIZE];
	const struct nft_field *f;
	bool port = false;

	if (!is4)
		nft_want(r->w, "ip6");
	nft_want(r->w, "to");
	f = nft_take_field(r->w);
	if (f) {
		nat_to_map(r, f, address, &port);
	} else {
		nft_constant(r->w, address, value);
		nft_expr_value(&r->out, 0, value, nft_type_size(address));
	}
	nft_expr_nat(&r->out, type, is4 ? NFPROTO_IPV4 : NFPROTO_IPV6,
		     port ? (unsigned int)nft_type_size(address) / 4 : 0);
}

static void snat(struct nft_rule *r)
{
	nat(r, NFT_NAT_SNAT);
}

static void dnat(struct nft_rule *r)
{
	nat(r, NFT_NAT_DNAT);
}

/* ":61001-65535" is one word. */
static void put_ports(struct nft_rule *r, const char *range)
{
	const char *dash = strchr(range, '-');
	const char *ends[2] = {
		dash ? arena_strndup(r->c->arena, range + 1, (size_t)(dash - range) - 1) : "",
		dash ? dash + 1 : ""
	};

	for (unsigned int i = 0; i < 2; i++) {
		uint32_t port;
		uint16_t big;

		if (range[0] != ':' || !str_to_u32(ends[i], UINT16_MAX, &port)) {
			nft_unknown(r->w);
			return;
		}
		big = htons((uint16_t)port);
		nft_expr_value(&r->out, i * LAST_PORT_PLACE, &big, sizeof(big));
	}
}

static void masquerade(struct nft_rule *r)
{
	bool ports = nft_take(r->w, "to");

	if (ports)
		put_ports(r, nft_name(r->w, r->c->arena));
	nft_expr_masquerade(&r->out, ports);
}

static void counter(struct nft_rule *r)
{
	nft_expr_counter(&r->out);
}

static void reject(struct nft_rule *r)
{
	if (!nft_take(r->w, "with")) {
		nft_expr_reject(&r->out, NFT_REJECT_ICMPX_UNREACH, NFT_REJECT_ICMPX_PORT_UNREACH);
		return;
	}
	if (nft_take(r->w, "icmpx")) {
		nft_want(r->w, "admin-prohibited");
		nft_expr_reject(&r->out, NFT_REJECT_ICMPX_UNREACH,
				NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
		return;
	}
	nft_want(r->w, "tcp");
	nft_want(r->w, "reset");
	nft_require_transport(r, IPPROTO_TCP);
	nft_expr_reject(&r->out, NFT_REJECT_TCP_RST, 0);
}

/* "tcp option maxseg size set 1360" */
static void tcp(struct nft_rule *r)
{
	static const char *const words[] = { "option", "maxseg", "size", "set" };
	uint8_t size[NFT_VALUE_SIZE];

	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		nft_want(r->w, words[i]);
	nft_constant(r->w, NFT_TYPE_PORT, size); /* a number of 16 bits as well */
	nft_require_transport(r, IPPROTO_TCP);
	nft_expr_value(&r->out, 0, size, sizeof(uint16_t));
	nft_expr_tcp_option(&r->out, TCP_OPTION_MSS, 2, sizeof(uint16_t));
}

static void comment(struct nft_rule *r)
{
	r->comment = nft_string(r->w, r->c->arena);
}

static const struct statement {
	const char *word;
	void (*code)(struct nft_rule *r);
} statements[] = {
	{ "counter", counter },       { "dnat", dnat }, { "snat", snat },
	{ "masquerade", masquerade }, { "tcp", tcp },   { "reject", reject },
	{ "comment", comment },
};

static void statement(struct nft_rule *r)
{
	const struct nft_field *f = nft_take_field(r->w);
	const char *chain;
	int code;

	if (f) {
		nft_match(r, f);
		return;
	}
	if (nft_verdict(r->c, &code, &chain)) {
		nft_expr_verdict(&r->out, code, chain);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(statements); i++)
		if (nft_take(r->w, statements[i].word)) {
			statements[i].code(r);
			return;
		}
	nft_unknown(r->w);
}

static void put_rule(struct nft_rule *r, const char *chain)
{
	struct text *out = &r->c->parts[NFT_RULES];
	size_t at = nft_message_begin(out, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	size_t list;

	nft_put_text(out, NFTA_RULE_TABLE, r->c->table);
	nft_put_text(out, NFTA_RULE_CHAIN, chain);
	list = nft_nest_begin(out, NFTA_RULE_EXPRESSIONS);
	text_add_len(out, text_str(&r->out), r->out.len);
	if (!nft_nest_end(out, list))
		nft_unknown(r->w);
	if (r->comment && !nft_put_comment(out, NFTA_RULE_USERDATA, r->comment))
		nft_unknown(r->w);
	nft_message_end(out, at);
}

void nft_code_rule(struct nft_coder *c, const char *chain)
{
	struct nft_rule r = { .c = c, .w = &c->words };

	while (!nft_at_end(r.w))
		statement(&r);
	if (!r.w->unknown)
		put_rule(&r, chain);
	text_free(&r.out);
	nft_want_line(r.w);
}
