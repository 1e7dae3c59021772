/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all gates share of the host's nft table: a base chain for each of them would
 * have every packet of the host pass as many chains as there are gates.  The
 * base chains look up once, by interface, address or port, which gate's chain
 * has to see a packet.  What is a gate's own (plan/nft_host.c) is a chain called
 * KIND_NAME or an element that leads to one; of its links' names there is a set
 * besides.
 */
#include "plan/nft_emit.h"

#include <string.h>

static const char *const shared_maps[] = {
	"from { type ifname : verdict; }",
	"closed4 { type ipv4_addr : verdict; }",
	"closed6 { type ipv6_addr : verdict; }",
	"ports { type inet_proto . inet_service : verdict; }",
	"listen4 { type ipv4_addr . inet_proto . inet_service : verdict; }",
	"listen6 { type ipv6_addr . inet_proto . inet_service : verdict; }",
	"stray { type inet_proto . inet_service : verdict; }",
	"stray4 { type ipv4_addr . inet_proto . inet_service : verdict; }",
	"stray6 { type ipv6_addr . inet_proto . inet_service : verdict; }",
	"into { type ifname : verdict; }",
	"lan { type ifname : verdict; }",
	"host { type ifname : verdict; }",
	"enter { type ifname : verdict; }",
	"leave4 { type ipv4_addr : verdict; }",
	"leave6 { type ipv6_addr : verdict; }",
};

/* Three bytes are compared sooner than a name is looked up, and most packets are not ours. */
#define BY_OURS "iifname \"sp-*\" iifname"

/* Slots are all of one size. */
#define SLOT4_OF(addr) "ip " addr " & 255.255.255.192"
#define SLOT6_OF(addr) "ip6 " addr " & ffff:ffff:ffff:ffff::"

static const struct shared_chain {
	const char *name;
	const char *base;
	const char *rules;
} shared_chains[] = {
	/*
	 * Before anything else: 127.0.0.0/8 comes from nowhere but lo (a crafted
	 * frame reaches ports bound to loopback otherwise, route_localnet or not),
	 * nobody addresses a slot from outside (unpublished ports of a room), and a
	 * gate says nobody else's address.
	 */
	{ "outside", "filter hook prerouting priority -300",
	  "\t\tiifname \"lo\" accept\n"
	  "\t\tip daddr 127.0.0.0/8 counter drop\n"
	  "\t\t" BY_OURS " vmap @from\n"
	  "\t\t" SLOT4_OF("daddr") " vmap @closed4\n"
				   "\t\t" SLOT6_OF("daddr") " vmap @closed6\n" },
	{ "publish", "nat hook prerouting priority -100",
	  "\t\tip daddr . meta l4proto . th dport vmap @listen4\n"
	  "\t\tip6 daddr . meta l4proto . th dport vmap @listen6\n"
	  "\t\tfib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @ports\n"
	  "\t\tfib daddr type local ip6 daddr != ::1 meta l4proto . th dport vmap @ports\n" },
	/* The host itself is a client too; its own 127.0.0.1 needs another source. */
	{ "self", "nat hook output priority -100",
	  "\t\toifname \"lo\" ip daddr . meta l4proto . th dport vmap @listen4\n"
	  "\t\toifname \"lo\" ip6 daddr . meta l4proto . th dport vmap @listen6\n"
	  "\t\toifname \"lo\" fib daddr type local ip daddr != 127.0.0.0/8 meta l4proto . th dport vmap @ports\n"
	  "\t\toifname \"lo\" fib daddr type local ip6 daddr != ::1 meta l4proto . th dport vmap @ports\n"
	  "\t\tip daddr 127.0.0.1 meta l4proto . th dport vmap @ports\n" },
	/*
	 * Most packets by far belong to what pleased all of it when it was new.
	 * What goes from one gate to another has to please both.
	 */
	{ "forward", "filter hook forward priority 0",
	  "\t\tct state established accept\n"
	  "\t\toifname vmap @into\n"
	  "\t\tiifname vmap @lan\n"
	  "\t\toifname != \"sp-*\" meta nfproto ipv4 iifname @still4 counter drop\n"
	  "\t\tmeta nfproto ipv6 iifname @still6 oifname @still6 counter drop\n" },
	/*
	 * A segment outside of its window is invalid to conntrack and not translated: the
	 * host, where nobody listens on that port, would reset a conversation of the room's.
	 */
	{ "input", "filter hook input priority 0",
	  "\t\t" BY_OURS " vmap @host\n"
	  "\t\tct state invalid meta l4proto . th dport vmap @stray\n"
	  "\t\tct state invalid ip daddr . meta l4proto . th dport vmap @stray4\n"
	  "\t\tct state invalid ip6 daddr . meta l4proto . th dport vmap @stray6\n" },
	{ "leave", "nat hook postrouting priority 100",
	  "\t\toifname vmap @enter\n"
	  "\t\t" SLOT4_OF("saddr") " vmap @leave4\n"
				   "\t\t" SLOT6_OF("saddr") " vmap @leave6\n" },
};

static const char *const own_chains[] = { "from", "short", "closed", "publish", "into",
					  "lan",  "host",  "enter",  "leave",   "before" };

const char *plan_nft_chain_gate(const char *chain)
{
	for (size_t i = 0; i < ARRAY_LEN(own_chains); i++) {
		size_t len = strlen(own_chains[i]);

		if (strncmp(chain, own_chains[i], len) == 0 && chain[len] == '_')
			return chain + len + 1;
	}
	return NULL;
}

/*
 * Conntrack puts the asked address into a reply when its way is chosen already.
 * Here that is done before, for addresses that rules of the host's look at: then
 * these choose.  Where there are none, there is no such chain either.
 */
#define ANSWER "answer"

static bool has_answers(struct nft_text *n)
{
	size_t n_sides;

	plan_sides(n->arena, n->facts->host, &n_sides);
	return n_sides || plan_has_own_ways(n->facts->host);
}

/* Replies get the mark that their connection has from the interface where it came in. */
static void answer_sides(struct nft_text *n)
{
	size_t n_sides;
	const struct link *const *sides = plan_sides(n->arena, n->facts->host, &n_sides);

	for (size_t i = 0; i < n_sides; i++)
		emit(n,
		     "\t\tiifname \"sp-*\" ct direction reply ct mark and 0x%x == 0x%x meta mark set meta mark and 0x%x or 0x%x",
		     PLAN_MARK_MASK, plan_side_mark(sides[i]), ~PLAN_MARK_MASK,
		     plan_side_mark(sides[i]));
}

void frame_answer(struct nft_text *n)
{
	const struct snapshot *host = n->facts->host;

	if (!has_answers(n))
		return;
	emit(n, "\tchain " ANSWER " {");
	answer_sides(n);
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct ip *own = &host->addresses[i].local;
		const char *v = own->family == AF_INET ? "ip" : "ip6";
		char ip[IP_TEXT_SIZE];

		if (plan_has_own_way(host, &host->addresses[i]))
			emit(n,
			     "\t\tiifname \"sp-*\" ct direction reply ct original %s daddr %s %s saddr set %s",
			     v, ip_text(own, ip), v, ip);
	}
	emit_end_chain(n);
}

/* The interface of "ipvN/conf/INTERFACE/forwarding"; NULL: another sysctl, or not of one. */
static const char *forwarding_of(struct arena *a, const char *path, int v)
{
	const char *head = v == 4 ? "ipv4/conf/" : "ipv6/conf/";
	const char *name = path + strlen(head);
	const char *end = str_starts(path, head) ? strchr(name, '/') : NULL;
	const char *link = end && str_eq(end, "/forwarding")
				   ? arena_strndup(a, name, (size_t)(end - name))
				   : NULL;

	return link && !str_eq(link, "all") && !str_eq(link, "default") ? link : NULL;
}

bool plan_was(const struct plan_facts *f, const char *path, const char *value)
{
	for (size_t i = 0; i < f->n_before; i++)
		if (str_eq(f->before[i].path, path))
			return str_eq(f->before[i].value, value);
	return false;
}

/*
 * We switch forwarding on so that a gate is reached, and for the kernel that makes
 * the host a router for whoever is near it.  The sets name the interfaces where it
 * was off: by them nothing goes on but to a gate.  IPv6 has but one switch for all,
 * so what appears later (containers' bridges) is not held back there.  They are all
 * gates' and end with the table: who comes second finds it switched on.
 */
void frame_still(struct nft_text *n)
{
	const struct plan_facts *f = n->facts;
	bool off6 = plan_was(f, PLAN_FORWARDING6_ALL, "0");

	for (size_t i = 0; i < f->n_before; i++) {
		const char *link4 = forwarding_of(n->arena, f->before[i].path, 4);
		const char *link6 = forwarding_of(n->arena, f->before[i].path, 6);

		if (!str_eq(f->before[i].value, "0"))
			continue;
		if (link4 && !f->forwards4)
			emit(n, "add element inet " PLAN_NFT_HOST " still4 { \"%s\" }", link4);
		if (link6 && off6)
			emit(n, "add element inet " PLAN_NFT_HOST " still6 { \"%s\" }", link6);
	}
}

/* Every command does no harm where it was done before, and makes what is missing. */
void frame_open(struct nft_text *n)
{
	emit(n, "add table inet " PLAN_NFT_HOST);
	for (size_t i = 0; i < ARRAY_LEN(shared_maps); i++)
		emit(n, "add map inet " PLAN_NFT_HOST " %s", shared_maps[i]);
	emit(n, "add set inet " PLAN_NFT_HOST " still4 { type ifname; }");
	emit(n, "add set inet " PLAN_NFT_HOST " still6 { type ifname; }");
	if (n->facts->forwards4) /* somebody wants it to be a router */
		emit(n, "flush set inet " PLAN_NFT_HOST " still4");
	if (plan_was(n->facts, PLAN_FORWARDING6_ALL, "1"))
		emit(n, "flush set inet " PLAN_NFT_HOST " still6");
	for (size_t i = 0; i < ARRAY_LEN(shared_chains); i++) {
		const struct shared_chain *c = &shared_chains[i];

		emit(n, "add chain inet " PLAN_NFT_HOST " %s { type %s; policy accept; }", c->name,
		     c->base);
		emit(n, "flush chain inet " PLAN_NFT_HOST " %s", c->name);
	}
	if (has_answers(n)) {
		emit(n, "add chain inet " PLAN_NFT_HOST " " ANSWER
			" { type filter hook prerouting priority -150; policy accept; }");
		emit(n, "flush chain inet " PLAN_NFT_HOST " " ANSWER);
	}
	for (size_t i = 0; i < ARRAY_LEN(own_chains); i++) {
		emit(n, "add chain inet " PLAN_NFT_HOST " %s_%s", own_chains[i], n->gate->name);
		emit(n, "flush chain inet " PLAN_NFT_HOST " %s_%s", own_chains[i], n->gate->name);
	}
}

void frame_chains(struct nft_text *n)
{
	for (size_t i = 0; i < ARRAY_LEN(shared_chains); i++)
		emit(n, "\tchain %s {\n%s\t}", shared_chains[i].name, shared_chains[i].rules);
}
