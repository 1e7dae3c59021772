/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Podman's rules let a container out, and into it what belongs to a connection;
 * for the first packet they count on a chain whose policy is to accept.  Docker
 * beside it sets that of FORWARD to drop, and lets only its own in: a port that
 * podman publishes is then answered by nobody, with a VPN or without.
 *
 * Docker 28 drops in the raw table what comes from elsewhere for a container's own
 * address; what asks a published port has another address there.
 */
#include "daemon/forwarded.h"

#include "base/text.h"
#include "sys/nft.h"
#include "wire/nft_judge.h"

#include <string.h>

#define DOCKER_USER "DOCKER-USER"

static bool read_prefix(const json_t *right, struct prefix *ret)
{
	const json_t *prefix = json_object_get(right, "prefix");
	const char *address = prefix ? nft_member(prefix, "addr") : json_string_value(right);
	struct prefix p = { 0 };

	if (!address || !ip_parse(address, &p.ip))
		return false;
	p.len = prefix ? (uint8_t)json_integer_value(json_object_get(prefix, "len"))
		       : (uint8_t)ip_bits(p.ip.family);
	*ret = p;
	return true;
}

static enum nft_fits address_fits(const struct ip *ip, const json_t *right, bool inverted)
{
	struct prefix p;

	if (!read_prefix(right, &p))
		return NFT_MAYBE;
	return nft_fits_unless(prefix_covers(&p, ip), inverted);
}

/* Is it one of those for whom the client stands? */
static enum nft_fits client_fits(const struct forwarded *f, const json_t *right, bool inverted)
{
	struct fib_result r;
	struct prefix p;

	if (!f->fib || !read_prefix(right, &p) || prefix_covers(&p, &f->client))
		return address_fits(&f->client, right, inverted);
	fib_lookup(f->fib, &(struct flow){ .dst = p.ip }, &r, NULL);
	return r.verdict == FIB_UNICAST && r.link == f->in_index ? NFT_MAYBE
								 : nft_fits_unless(false, inverted);
}

/* The first packet of a connection, whose ports are not asked about. */
static enum nft_fits match_fits(const struct nft_judge *j, const json_t *match)
{
	const struct forwarded *f = j->packet;
	const json_t *left = json_object_get(match, "left");
	const json_t *right = json_object_get(match, "right");
	const char *meta = nft_member(json_object_get(left, "meta"), "key");
	const char *field = nft_member(json_object_get(left, "payload"), "field");
	bool inverted = str_eq(nft_member(match, "op"), "!=");

	if (json_is_string(right) && json_string_value(right)[0] == '@')
		return NFT_MAYBE;
	if (str_eq(meta, f->back ? "oifname" : "iifname"))
		return nft_fits_unless(nft_has_link(right, f->in), inverted);
	if (str_eq(meta, f->back ? "iifname" : "oifname"))
		return nft_fits_unless(nft_has_link(right, f->out), inverted);
	if (str_eq(nft_member(json_object_get(left, "ct"), "key"), "state"))
		return nft_fits_unless(nft_has_word(right, j->state), inverted);
	if (str_eq(field, f->back ? "saddr" : "daddr"))
		return address_fits(&f->to, right, inverted);
	if (str_eq(field, f->back ? "daddr" : "saddr"))
		return client_fits(f, right, inverted);
	return NFT_MAYBE;
}

static bool has_docker_user(const struct nft_judge *j)
{
	json_t *item;
	size_t i;

	json_array_foreach(j->rules, i, item)
	{
		const json_t *chain = json_object_get(item, "chain");

		if (str_eq(nft_member(chain, "name"), DOCKER_USER) &&
		    str_eq(nft_member(chain, "family"), j->family) &&
		    str_eq(nft_member(chain, "table"), j->table))
			return true;
	}
	return false;
}

/* For iptables(8), and for nft(8) as rule: what was published is let on, and no more. */
static const char *to_let_on(struct arena *a, const struct forwarded *f, bool iptables)
{
	const char *family = f->to.family == AF_INET ? "ip" : "ip6";
	char ip[IP_TEXT_SIZE];

	ip_text(&f->to, ip);
	if (iptables && f->back)
		return arena_printf(a, "-s %s -m conntrack --ctstate RELATED,ESTABLISHED", ip);
	if (iptables && f->rewritten)
		return arena_printf(a, "-o %s -m conntrack --ctstate DNAT", f->out);
	if (iptables)
		return arena_printf(a, "-d %s", ip);
	if (f->back)
		return arena_printf(a, "%s saddr %s ct state established,related", family, ip);
	if (f->rewritten)
		return arena_printf(a, "oifname %s ct status dnat", f->out);
	return arena_printf(a, "oifname %s %s daddr %s", f->out, family, ip);
}

/* In front of the routing, where nobody knows the way out yet. */
static const char *line_to_let_in(struct arena *a, const struct nft_judge *j, const char *chain)
{
	const struct forwarded *f = j->packet;
	bool v6 = f->to.family == AF_INET6;
	char ip[IP_TEXT_SIZE];

	ip_text(&f->to, ip);
	if (str_eq(j->family, "inet"))
		return arena_printf(a, "nft 'insert rule inet %s %s iifname %s %s daddr %s accept'",
				    j->table, chain, f->in, v6 ? "ip6" : "ip", ip);
	return arena_printf(a, "%s -t %s -I %s -i %s -d %s -j ACCEPT",
			    v6 ? "ip6tables" : "iptables", j->table, chain, f->in, ip);
}

/* iptables does not touch a table again that nft has put rules into. */
static const char *line_to_add(struct arena *a, const struct nft_judge *j, const char *chain)
{
	const struct forwarded *f = j->packet;
	bool old = has_docker_user(j);

	if (!str_eq(j->family, "inet") && (old || str_eq(chain, "FORWARD")))
		return arena_printf(a, "%s -I %s %s -j ACCEPT",
				    f->to.family == AF_INET ? "iptables" : "ip6tables",
				    old ? DOCKER_USER : chain, to_let_on(a, f, true));
	return arena_printf(a, "nft 'insert rule %s %s %s %s accept'", j->family, j->table, chain,
			    to_let_on(a, f, false));
}

/* --- all of a host's --------------------------------------------------------------- */

struct forwarding_table {
	const char *family, *name;
	const char *text; /* NULL: without it there are only more rules that nobody can judge */
};

/* Listed once, for all chains and questions. */
static const char *table_text(struct forwarding *x, const char *family, const char *name)
{
	struct forwarding_table *t;
	struct err ignored;

	for (size_t i = 0; i < x->n_tables; i++)
		if (str_eq(x->tables[i].family, family) && str_eq(x->tables[i].name, name))
			return x->tables[i].text;
	t = arena_push(x->arena, x->tables, x->n_tables, x->cap_tables);
	*t = (struct forwarding_table){ .family = arena_strdup(x->arena, family),
					.name = arena_strdup(x->arena, name) };
	if (nft_list_handles(x->nft, x->arena, family, name, &t->text, &ignored) < 0)
		t->text = NULL;
	return t->text;
}

struct search {
	struct forwarding *all;
	const char *words; /* of the chain that drops the request; NULL: none yet */
};

/* 1: it drops the request. */
static int judge(struct nft_judge *j, const json_t *chain, void *ctx, struct err *e)
{
	const struct forwarded *f = j->packet;
	struct search *s = ctx;
	struct arena *a = s->all->arena;
	const char *how;
	char ip[IP_TEXT_SIZE];

	(void)e;
	if (!str_eq(j->family, "inet") &&
	    !str_eq(j->family, f->to.family == AF_INET ? "ip" : "ip6"))
		return 0;
	j->text = table_text(s->all, j->family, j->table);
	how = nft_judge_drop(a, j, chain,
			     arena_printf(a, "what %s %s", f->back ? "comes from" : "goes to",
					  ip_text(&f->to, ip)));
	if (!how)
		return 0;
	s->words = arena_printf(a, "chain %s of table %s %s %s. Type:\n  %s",
				nft_member(chain, "name"), j->family, j->table, how,
				(str_eq(nft_member(chain, "hook"), "prerouting")
					 ? line_to_let_in
					 : line_to_add)(a, j, nft_member(chain, "name")));
	return 1;
}

int forwarding_open(struct arena *a, struct forwarding *ret, struct err *e)
{
	int r;

	*ret = (struct forwarding){ .arena = a };
	r = nft_open(-1, &ret->nft, e);
	return r < 0 ? r : nft_list_json(ret->nft, a, "ruleset", &ret->ruleset, e);
}

void forwarding_close(struct forwarding *x)
{
	nft_close(&x->nft);
}

int forwarding_check(struct forwarding *x, const struct forwarded *f, const char **ret,
		     struct err *e)
{
	static const char *const forward[] = { "forward", NULL };
	static const char *const both[] = { "prerouting", "forward", NULL };
	struct nft_judge j = { .state = f->back ? "established" : "new",
			       .match = match_fits,
			       .packet = f };
	struct search s = { .all = x };
	int r = nft_judge_ruleset(x->ruleset, f->back || f->rewritten ? forward : both, &j, judge,
				  &s, e);

	if (r >= 0)
		*ret = s.words;
	return r < 0 ? r : 0;
}

int forwarded_check(struct arena *a, const struct forwarded *f, const char **ret, struct err *e)
{
	struct forwarding x CLEANUP_FORWARDING = { 0 };
	int r = forwarding_open(a, &x, e);

	return r < 0 ? r : forwarding_check(&x, f, ret, e);
}
