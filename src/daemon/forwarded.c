/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Podman's rules let a container out, and into it what belongs to a connection;
 * for the first packet they count on a chain whose policy is to accept.  Docker
 * beside it sets that of FORWARD to drop, and lets only its own in: a port that
 * podman publishes is then answered by nobody, with a VPN or without.
 */
#include "daemon/forwarded.h"

#include "base/text.h"
#include "sys/nft.h"
#include "wire/nft_judge.h"

#include <errno.h>
#include <string.h>

#define DOCKER_USER "DOCKER-USER"

static enum nft_fits address_fits(const struct ip *ip, const json_t *right, bool inverted)
{
	const json_t *prefix = json_object_get(right, "prefix");
	const char *address = prefix ? nft_member(prefix, "addr") : json_string_value(right);
	struct prefix p = { .len = prefix ? (uint8_t)json_integer_value(
						    json_object_get(prefix, "len"))
					  : (ip->family == AF_INET ? 32 : 128) };

	if (!address || !ip_parse(address, &p.ip))
		return NFT_MAYBE;
	return nft_fits_unless(p.ip.family == ip->family && prefix_covers(&p, ip), inverted);
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
	if (str_eq(meta, "iifname"))
		return nft_fits_unless(nft_has_link(right, f->in), inverted);
	if (str_eq(meta, "oifname"))
		return nft_fits_unless(nft_has_link(right, f->out), inverted);
	if (str_eq(nft_member(json_object_get(left, "ct"), "key"), "state"))
		return nft_fits_unless(nft_has_word(right, j->state), inverted);
	if (str_eq(field, "daddr"))
		return address_fits(&f->to, right, inverted);
	if (str_eq(field, "saddr"))
		return address_fits(&f->client, right, inverted);
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

/*
 * Lets on what was published, and no more.  iptables does not touch a table again
 * that nft has put rules into.
 */
static const char *line_to_add(struct arena *a, const struct nft_judge *j, const char *chain)
{
	const struct forwarded *f = j->packet;
	bool old = has_docker_user(j);
	char ip[IP_TEXT_SIZE];

	ip_text(&f->to, ip);
	if (!str_eq(j->family, "inet") && (old || str_eq(chain, "FORWARD")))
		return arena_printf(a, "%s -I %s %s%s -j ACCEPT",
				    f->to.family == AF_INET ? "iptables" : "ip6tables",
				    old ? DOCKER_USER : chain, f->rewritten ? "-o " : "-d ",
				    f->rewritten ? arena_printf(a, "%s -m conntrack --ctstate DNAT",
								f->out)
						 : ip);
	return arena_printf(a, "nft 'insert rule %s %s %s oifname %s %s accept'", j->family,
			    j->table, chain, f->out,
			    f->rewritten
				    ? "ct status dnat"
				    : arena_printf(a, "%s daddr %s",
						   f->to.family == AF_INET ? "ip" : "ip6", ip));
}

/* What of it drops the request, in words; NULL: nothing. */
static const char *chain_drops(struct arena *a, struct nft *nft, const struct forwarded *f,
			       const json_t *rules, const json_t *chain)
{
	struct nft_judge j = { .rules = rules,
			       .family = nft_member(chain, "family"),
			       .table = nft_member(chain, "table"),
			       .state = "new",
			       .match = match_fits,
			       .packet = f };
	const char *name = nft_member(chain, "name");
	enum nft_says says;
	struct err ignored;
	char ip[IP_TEXT_SIZE];

	if (!str_eq(j.family, "inet") && !str_eq(j.family, f->to.family == AF_INET ? "ip" : "ip6"))
		return NULL;
	(void)!nft_list_handles(nft, a, j.family, j.table, &j.text, &ignored);
	says = nft_judge_chain(&j, name);
	if (says != NFT_DROPS &&
	    (says != NFT_RETURNS || !str_eq(nft_member(chain, "policy"), "drop")))
		return NULL;
	return arena_printf(a, "chain %s of table %s %s %s %s. Type:\n  %s", name, j.family,
			    j.table,
			    says == NFT_DROPS ? "has a rule that drops what goes on to"
					      : "has policy drop, and nothing lets on to",
			    ip_text(&f->to, ip), line_to_add(a, &j, name));
}

int forwarded_check(struct arena *a, const struct forwarded *f, const char **ret, struct err *e)
{
	struct nft *nft CLEANUP_NFT = NULL;
	const char *text, *words = NULL;
	json_t *root, *rules, *item;
	json_error_t why;
	size_t i;
	int r = nft_open(-1, &nft, e);

	if (r == 0)
		r = nft_list_json(nft, a, "ruleset", &text, e);
	if (r < 0)
		return r;
	root = json_loads(text, 0, &why);
	if (!root)
		return err_set(e, EPROTO, "nft list ruleset: %s", why.text);
	rules = json_object_get(root, "nftables");
	json_array_foreach(rules, i, item)
	{
		const json_t *chain = json_object_get(item, "chain");

		if (!words && str_eq(nft_member(chain, "hook"), "forward") &&
		    !str_starts(nft_member(chain, "table"), "sallyport"))
			words = chain_drops(a, nft, f, rules, chain);
	}
	json_decref(root);
	*ret = words;
	return 0;
}
