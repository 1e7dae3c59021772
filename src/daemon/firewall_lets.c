/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A chain of the host's that drops what nothing accepts may have been opened for a gate
 * in its own words: by `ufw route allow`, by a zone of firewalld's (which lets published
 * ports through as they are), by a rule that knows the port.  What counts is whether the
 * packets of this gate get through.
 */
#include "daemon/supervisor.h"

#include "wire/nft_judge.h"

#include <jansson.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>

/* One that has to get through.  Who may ask is for the firewall's owner to say. */
struct packet {
	sa_family_t family;
	const char *in, *out; /* links; one of them NULL: any way of the host's */
	bool answer; /* of a connection that both sides have spoken in */
	bool published; /* its destination was rewritten */
	uint8_t proto; /* 0: any, and so for the port and @to */
	uint16_t port;
	struct ip to;
};

struct question {
	struct arena *arena;
	const json_t *rules; /* the chain's table, as nft --json lists it */
	const json_t *chain; /* in it */
	const char *family, *table;
	const char *text; /* the table in words; NULL: not known */
	const struct snapshot *host;
	const char **ways; /* by which clients come and the gate's VPN clients go */
	size_t n_ways, cap_ways;
};

static bool has_address(const json_t *right, const struct ip *ip)
{
	const json_t *prefix = json_object_get(right, "prefix");
	const char *text = prefix ? nft_member(prefix, "addr") : json_string_value(right);
	struct prefix p = { 0 };

	if (!text || !ip_parse(text, &p.ip) || p.ip.family != ip->family)
		return false;
	p.len = prefix ? (uint8_t)json_integer_value(json_object_get(prefix, "len"))
		       : (uint8_t)ip_bits(p.ip.family);
	return prefix_covers(&p, ip);
}

static enum nft_fits meta_fits(const struct packet *p, const char *key, const json_t *right,
			       bool inverted)
{
	if (str_eq(key, "iifname") || str_eq(key, "iif"))
		return nft_fits_unless(nft_has_link(right, p->in), inverted);
	if (str_eq(key, "oifname") || str_eq(key, "oif"))
		return nft_fits_unless(nft_has_link(right, p->out), inverted);
	if (str_eq(key, "nfproto"))
		return nft_fits_unless(nft_has_word(right, p->family == AF_INET ? "ipv4" : "ipv6"),
				       inverted);
	if (str_eq(key, "l4proto") && p->proto)
		return nft_fits_unless(nft_has_word(right, p->proto == IPPROTO_UDP ? "udp" : "tcp"),
				       inverted);
	return NFT_NEVER;
}

static enum nft_fits payload_fits(const struct packet *p, const json_t *payload,
				  const json_t *right, bool inverted)
{
	const char *of = nft_member(payload, "protocol"), *field = nft_member(payload, "field");
	bool ip = str_eq(of, p->family == AF_INET ? "ip" : "ip6");
	bool transport = str_eq(of, "th") || str_eq(of, p->proto == IPPROTO_UDP ? "udp" : "tcp");

	if (!p->proto || p->answer)
		return NFT_NEVER;
	if (ip && str_eq(field, "saddr"))
		return NFT_MAYBE;
	if (ip && str_eq(field, "daddr"))
		return nft_fits_unless(has_address(right, &p->to), inverted);
	if (transport && str_eq(field, "dport"))
		return nft_fits_unless(nft_holds(right, p->port, p->port) == NFT_ALWAYS, inverted);
	return NFT_NEVER;
}

static enum nft_fits match_fits(const struct nft_judge *j, const json_t *match)
{
	const struct packet *p = j->packet;
	const json_t *left = json_object_get(match, "left");
	const json_t *right = json_object_get(match, "right");
	const char *ct = nft_member(json_object_get(left, "ct"), "key");
	const json_t *payload = json_object_get(left, "payload");
	bool inverted = str_eq(nft_member(match, "op"), "!=");

	if (str_eq(ct, "state"))
		return nft_fits_unless(nft_has_word(right, j->state), inverted);
	if (str_eq(ct, "status"))
		return nft_fits_unless(p->published && nft_has_word(right, "dnat"), inverted);
	if (payload)
		return payload_fits(p, payload, right, inverted);
	return meta_fits(p, nft_member(json_object_get(left, "meta"), "key"), right, inverted);
}

/* --- one chain ------------------------------------------------------------------------------- */

static bool passes(struct question *q, const struct packet *p)
{
	const struct nft_judge j = { .rules = q->rules,
				     .family = q->family,
				     .table = q->table,
				     .text = q->text,
				     .state = p->answer ? "established" : "new",
				     .strict = true,
				     .match = match_fits,
				     .packet = p };

	return !nft_judge_drop(q->arena, &j, q->chain, "it");
}

static void add_way(struct question *q, int link)
{
	const struct link *l = snapshot_link_by_index(q->host, link);

	if (l && !plan_link_is_ours(l) && !(l->flags & IFF_LOOPBACK))
		*arena_push(q->arena, q->ways, q->n_ways, q->cap_ways) = l->name;
}

/*
 * Those with a default route, as containers' bridges have none; without one, all: it is
 * not said yet which it will be.
 */
static void find_ways(struct question *q)
{
	for (size_t i = 0; i < q->host->n_routes; i++) {
		const struct route *r = &q->host->routes[i];

		if (r->table != RT_TABLE_MAIN || r->type != RTN_UNICAST || r->dst.len)
			continue;
		for (size_t k = 0; k < r->n_hops; k++)
			add_way(q, r->hops[k].link);
	}
	for (size_t i = 0, none = !q->n_ways; none && i < q->host->n_links; i++)
		add_way(q, q->host->links[i].index);
}

/* Of several, by which the port is to be reached is for the firewall's owner to say. */
static bool passes_somewhere(struct question *q, struct packet p)
{
	const char **open = p.in ? &p.out : &p.in;

	for (size_t i = 0; i < q->n_ways; i++) {
		*open = q->ways[i];
		if (passes(q, &p))
			return true;
	}
	return false;
}

/* What is asked in by @link and answered, and what begins there and is answered. */
static bool lets_in(struct question *q, const struct packet *asked)
{
	const struct packet answer = {
		.family = asked->family, .in = asked->out, .answer = true, .published = true
	};

	return passes_somewhere(q, *asked) && passes_somewhere(q, answer);
}

static bool lets_out(struct question *q, sa_family_t family, const char *link)
{
	const struct packet first = { .family = family, .in = link };
	const struct packet answer = { .family = family, .out = link, .answer = true };

	return passes_somewhere(q, first) && passes_somewhere(q, answer);
}

/* --- all of a gate's ------------------------------------------------------------------------- */

/* Does anything of it begin connections by the lan door? */
static bool begins(const struct gate *g)
{
	for (size_t i = 0; i < g->n_rooms; i++)
		if (g->rooms[i].way == DEFAULT_LAN || g->rooms[i].n_reach)
			return true;
	return g->n_doors > 1;
}

static bool lets_port_in(const struct supervisor *s, struct question *q, sa_family_t family,
			 const struct publish *p)
{
	bool is_short = plan_publish_is_short(p);
	const struct packet asked = {
		.family = family,
		.out = is_short ? plan_short_link(q->arena, &s->slot, p->room)
				: plan_host_link(q->arena, &s->gate),
		.published = true,
		.proto = p->proto,
		.port = p->room_port,
		.to = is_short ? slot_short(&s->slot, family, p->room)
			       : plan_room_outside(&s->gate, &s->slot, family, p->room),
	};

	return lets_in(q, &asked);
}

static bool lets_family(const struct supervisor *s, struct question *q, sa_family_t family)
{
	if (begins(&s->gate) && !lets_out(q, family, plan_host_link(q->arena, &s->gate)))
		return false;
	for (size_t i = 0; i < s->gate.n_publish; i++) {
		const struct publish *p = &s->gate.publish[i];

		if (p->door == 0 && publish_speaks(p, family) && !lets_port_in(s, q, family, p))
			return false;
	}
	return true;
}

static bool lets_all(const struct supervisor *s, struct question *q)
{
	if (!str_eq(q->family, "ip6") && !lets_family(s, q, AF_INET))
		return false;
	/* A client on trial can do without IPv6. */
	return str_eq(q->family, "ip") || !s->ipv6 || s->trial || lets_family(s, q, AF_INET6);
}

static const json_t *find_chain(const json_t *rules, const char *name)
{
	json_t *item;
	size_t i;

	json_array_foreach(rules, i, item)
	{
		const json_t *chain = json_object_get(item, "chain");

		if (chain && str_eq(nft_member(chain, "name"), name))
			return chain;
	}
	return NULL;
}

int firewall_lets(const struct supervisor *s, const struct nft_chain *c, bool *ret, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct question q = { .arena = &a, .family = c->family, .table = c->table };
	struct snapshot host;
	struct err ignored;
	json_t *root;
	int r = nft_list_root(s->host.nft, arena_printf(&a, "table %s %s", c->family, c->table),
			      &root, e);

	if (r < 0)
		return r;
	/* Without it there are only more rules that nobody can judge. */
	if (nft_list_handles(s->host.nft, &a, c->family, c->table, &q.text, &ignored) < 0)
		q.text = NULL;
	q.rules = json_object_get(root, "nftables");
	q.chain = find_chain(q.rules, c->name);
	r = sup_look_at_host(s, &a, 0, 0, &host, e);
	if (r == 0) {
		q.host = &host;
		find_ways(&q);
		*ret = q.chain && lets_all(s, &q);
	}
	json_decref(root);
	return r;
}
