/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A rule `notrack` of the host's: what is not tracked is not translated either, so who
 * asks a published port comes to the host, where nobody listens: UDP falls silent, TCP is
 * refused.  Name servers do without tracking by such rules.  Nothing is changed, as the
 * other ports work: it is said, with the line that leaves our port out.
 *
 * Who asks is not known: a rule that may fit is taken to fit.
 */
#include "daemon/supervisor.h"

#include "wire/nft_judge.h"

/* Below it are ports of services, which no client asks from. */
#define CLIENT_PORTS 1024

struct packet {
	const char *proto; /* "udp" or "tcp" */
	uint8_t number;
	const char *in; /* the link; NULL: any */
	uint16_t sport[2], dport[2]; /* from, to */
};

static bool has_proto(const struct packet *p, const json_t *value)
{
	const json_t *set = json_object_get(value, "set"), *item;
	const char *word = json_string_value(value);
	size_t i;

	if (word)
		return str_eq(word, p->proto) || word[0] == '@';
	if (!set)
		return nft_holds(value, p->number, p->number) != NFT_NEVER;
	json_array_foreach(set, i, item) if (has_proto(p, item)) return true;
	return false;
}

static bool is_protocol(const char *meta, const char *protocol, const char *field)
{
	return str_eq(meta, "l4proto") || (str_eq(protocol, "ip") && str_eq(field, "protocol")) ||
	       (str_eq(protocol, "ip6") && str_eq(field, "nexthdr"));
}

/* May such a packet fit one "match"? */
static bool may_match(const struct packet *p, const json_t *match)
{
	const json_t *left = json_object_get(match, "left");
	const json_t *right = json_object_get(match, "right");
	const json_t *payload = json_object_get(left, "payload");
	const char *meta = nft_member(json_object_get(left, "meta"), "key");
	const char *protocol = nft_member(payload, "protocol");
	const char *field = nft_member(payload, "field");
	bool inverted = str_eq(nft_member(match, "op"), "!=");
	bool ours = str_eq(protocol, p->proto) || str_eq(protocol, "th");

	if (is_protocol(meta, protocol, field))
		return has_proto(p, right) != inverted;
	if (ours && str_eq(field, "dport") && !inverted)
		return nft_holds(right, p->dport[0], p->dport[1]) != NFT_NEVER;
	if (ours && str_eq(field, "sport") && !inverted)
		return nft_holds(right, p->sport[0], p->sport[1]) != NFT_NEVER;
	if (str_eq(meta, "iifname") && p->in)
		return nft_has_link(right, p->in) != inverted;
	if (str_eq(meta, "iifname") && !inverted && json_is_string(right))
		return !str_eq(json_string_value(right), "lo");
	return ours || !payload || str_eq(protocol, "ip") || str_eq(protocol, "ip6");
}

static enum nft_fits fits(const struct nft_judge *j, const json_t *match)
{
	return may_match(j->packet, match) ? NFT_ALWAYS : NFT_NEVER;
}

static bool is_untracked(struct nft_judge *j, const char *chain, const struct packet *p)
{
	j->packet = p;
	return nft_judge_chain(j, chain) == NFT_UNTRACKS;
}

/* For who asks, and for the room's answers. */
static const char *lines_to_add(struct arena *a, const struct nft_chain *c,
				const struct packet *asks)
{
	const char *tool = str_eq(c->family, "ip6") ? "ip6tables" : "iptables";

	if (str_eq(c->name, "PREROUTING") && !str_eq(c->family, "inet"))
		return arena_printf(a,
				    "  %s -t %s -I PREROUTING -p %s --dport %u -j ACCEPT\n"
				    "  %s -t %s -I PREROUTING -i sp-+ -j ACCEPT",
				    tool, c->table, asks->proto, asks->dport[0], tool, c->table);
	return arena_printf(a,
			    "  nft 'insert rule %s %s %s %s dport %u accept'\n"
			    "  nft 'insert rule %s %s %s iifname \"sp-*\" accept'",
			    c->family, c->table, c->name, asks->proto, asks->dport[0], c->family,
			    c->table, c->name);
}

static bool speaks(const struct publish *p, const char *family)
{
	return str_eq(family, "inet") || (str_eq(family, "ip") && publish_speaks(p, AF_INET)) ||
	       (str_eq(family, "ip6") && publish_speaks(p, AF_INET6));
}

static void look_at_port(struct supervisor *s, struct arena *a, const struct nft_chain *c,
			 const struct publish *p, struct nft_judge *j, struct text *ret)
{
	const char *proto = p->proto == IPPROTO_UDP ? "udp" : "tcp";
	const struct packet asks = { .proto = proto,
				     .number = p->proto,
				     .sport = { CLIENT_PORTS, UINT16_MAX },
				     .dport = { p->door_port, p->door_port } };
	const struct packet answers = { .proto = proto,
					.number = p->proto,
					.in = plan_host_link(a, &s->gate),
					.sport = { p->room_port, p->room_port },
					.dport = { CLIENT_PORTS, UINT16_MAX } };

	if (!is_untracked(j, c->name, &asks) && !is_untracked(j, c->name, &answers))
		return;
	text_addf(ret,
		  "who asks port %u/%s may get no answer: chain %s of table %s %s has a rule "
		  "notrack for it, and what is not tracked is not led to the room and back. Add "
		  "these lines:\n%s\n",
		  p->door_port, asks.proto, c->name, c->family, c->table,
		  lines_to_add(a, c, &asks));
}

static void look_at_chain(struct supervisor *s, struct arena *a, const struct nft_chain *c,
			  struct text *ret)
{
	struct nft_judge j = { .family = c->family,
			       .table = c->table,
			       .state = "new",
			       .tracking = true,
			       .match = fits };
	struct err ignored;
	json_t *root;

	if (nft_list_root(s->host.nft, arena_printf(a, "table %s %s", c->family, c->table), &root,
			  &ignored) < 0)
		return; /* it has just gone */
	j.rules = json_object_get(root, "nftables");
	(void)!nft_list_handles(s->host.nft, a, c->family, c->table, &j.text, &ignored);
	for (size_t i = 0; i < s->gate.n_publish; i++)
		if (s->gate.publish[i].door == 0 && speaks(&s->gate.publish[i], c->family))
			look_at_port(s, a, c, &s->gate.publish[i], &j, ret);
	json_decref(root);
}

void firewall_notrack(struct supervisor *s, const struct nft_chain *chains, size_t n)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text t CLEANUP_TEXT = { 0 };
	uint64_t h;

	for (size_t i = 0; i < n; i++)
		if (chains[i].raw && !str_starts(chains[i].table, "sallyport"))
			look_at_chain(s, &a, &chains[i], &t);
	h = t.len ? str_hash(text_str(&t), 1) : 0;
	if (t.len && h != s->notrack_hash)
		sup_log(s, "%.*s", (int)t.len - 1, text_str(&t));
	s->notrack_hash = h;
}
