/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all gates share of the host's nft table: its chains.  What is a gate's own
 * (plan/nft_host.c) are elements of its sets and maps, which say so in a comment.  So
 * a packet passes as many chains beside two hundred gates as beside one; and the
 * kernel, which follows all verdicts of a table when a rule or a verdict is added
 * (nft_table_validate()), has nothing to follow to them.
 *
 * A gate's chains are called KIND_NAME: one that no packet comes to, and one where
 * its rooms may reach networks.  Until the gates were elements each had ten, to which
 * elements of maps led; what such a gate left behind is known by those.
 */
#include "plan/nft_emit.h"

#include <string.h>

static const char *const shared_sets[] = {
	/* Gates' links, short links, and both. */
	"set gates { type ifname; }",
	"set shorts { type ifname; }",
	"set links { type ifname; }",
	/* The slot that lies behind a link, the room's address that lies behind a short one. */
	"set near4 { type ifname . ipv4_addr; }",
	"set near6 { type ifname . ipv6_addr; }",
	"set short4 { type ifname . ipv4_addr; }",
	"set short6 { type ifname . ipv6_addr; }",
	"set slots4 { type ipv4_addr; }",
	"set slots6 { type ipv6_addr; }",
	/* Ports of all addresses of the host, and of one; where they lead. */
	"set ports4 { type inet_proto . inet_service; }",
	"set ports6 { type inet_proto . inet_service; }",
	"set ports4_at { type ipv4_addr . inet_proto . inet_service; }",
	"set ports6_at { type ipv6_addr . inet_proto . inet_service; }",
	"map rooms4 { type inet_proto . inet_service : ipv4_addr . inet_service; }",
	"map rooms6 { type inet_proto . inet_service : ipv6_addr . inet_service; }",
	"map rooms4_at { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }",
	"map rooms6_at { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }",
	/* By which link they lead nowhere: it is that of their own gate. */
	"set own { type ifname . inet_proto . inet_service; }",
	"set own4 { type ifname . ipv4_addr . inet_proto . inet_service; }",
	"set own6 { type ifname . ipv6_addr . inet_proto . inet_service; }",
	/* Who may begin connections to anywhere, and by which link others may to somewhere. */
	"set begin4 { type ipv4_addr; }",
	"set begin6 { type ipv6_addr; }",
	"map reach { type ifname : verdict; }",
	/* The host's address towards a gate. */
	"map host4 { type ifname : ipv4_addr; }",
	/* Interfaces that were no router's (frame_still()). */
	"set still4 { type ifname; }",
	"set still6 { type ifname; }",
	/* Bridges as ways in and out, and their own hardware addresses (frame_bridges()). */
	"set bridges { type ifname . ifname; }",
	"set bridge_macs { type ether_addr; }",
};

/* Three bytes are compared sooner than a name is looked up, and most packets are not ours. */
#define BY_OURS "iifname \"sp-*\" "

/* Slots are all of one size. */
#define SLOT4_OF(addr) "ip " addr " & 255.255.255.192"
#define SLOT6_OF(addr) "ip6 " addr " & ffff:ffff:ffff:ffff::"

/* Outside the ports that the kernel gives out by itself (32768-60999). */
#define PRIVATE_PORTS "61001-65535"

#define PORT "meta l4proto . th dport"

static const struct shared_chain {
	const char *name;
	const char *base; /* NULL: one that others lead to */
	const char *rules;
} shared_chains[] = {
	/*
	 * Before anything else: 127.0.0.0/8 comes from nowhere but lo (a crafted
	 * frame reaches ports bound to loopback otherwise, route_localnet or not),
	 * nobody addresses a slot from outside (unpublished ports of a room), and a
	 * gate says nobody else's address.
	 */
	{ "arrive", "filter hook prerouting priority -300",
	  "\t\tiifname \"lo\" accept\n"
	  "\t\tip daddr 127.0.0.0/8 counter drop\n"
	  "\t\t" BY_OURS "jump says\n"
	  "\t\t" SLOT4_OF("daddr") " @slots4 iifname . (" SLOT4_OF(
		  "daddr") ") != @near4 counter drop\n"
			   "\t\t" SLOT6_OF("daddr") " @slots6 iifname . (" SLOT6_OF(
				   "daddr") ") != @near6 counter drop\n" },
	/*
	 * By a short link comes TCP, from the address that the room has there, and the
	 * host's state of connections knows all of it.  An ICMP error by it could speak
	 * of any other connection of the host; the gate is not there to look.
	 */
	{ "says", NULL,
	  "\t\tmeta nfproto ipv4 meta l4proto tcp iifname . ip saddr @short4 accept\n"
	  "\t\tmeta nfproto ipv4 iifname . (" SLOT4_OF(
		  "saddr") ") @near4 return\n"
			   "\t\tmeta nfproto ipv6 meta l4proto tcp iifname . ip6 saddr @short6 accept\n"
			   "\t\ticmpv6 type { nd-router-advert, nd-redirect } iifname @gates counter drop\n"
			   "\t\tmeta nfproto ipv6 iifname . (" SLOT6_OF(
				   "saddr") ") @near6 return\n"
					    "\t\tip6 saddr fe80::/10 iifname @gates return\n"
					    "\t\tip6 saddr :: iifname @gates return\n"
					    "\t\t" NEIGHBOUR " iifname @shorts accept\n"
					    "\t\tiifname @links counter drop\n" },
	{ "lead", "nat hook prerouting priority -100",
	  "\t\tip daddr . " PORT " @ports4_at goto to_room_at\n"
	  "\t\tip6 daddr . " PORT " @ports6_at goto to_room_at\n"
	  "\t\tfib daddr type local ip daddr != 127.0.0.0/8 " PORT " @ports4 goto to_room\n"
	  "\t\tfib daddr type local ip6 daddr != ::1 " PORT " @ports6 goto to_room\n" },
	/* The host itself is a client too; its own 127.0.0.1 needs another source. */
	{ "lead_self", "nat hook output priority -100",
	  "\t\toifname \"lo\" ip daddr . " PORT " @ports4_at goto to_room_at\n"
	  "\t\toifname \"lo\" ip6 daddr . " PORT " @ports6_at goto to_room_at\n"
	  "\t\toifname \"lo\" fib daddr type local ip daddr != 127.0.0.0/8 " PORT
	  " @ports4 goto to_room\n"
	  "\t\toifname \"lo\" fib daddr type local ip6 daddr != ::1 " PORT " @ports6 goto to_room\n"
	  "\t\tip daddr 127.0.0.1 " PORT " @ports4 goto to_room\n" },
	/*
	 * Most packets by far belong to what pleased all of it when it was new.
	 * What goes from one gate to another has to please both.
	 */
	{ "pass", "filter hook forward priority 0",
	  "\t\tct state established accept\n"
	  "\t\toifname @links jump towards\n"
	  "\t\tiifname @links goto begin\n"
	  "\t\tiifname . oifname @bridges ether daddr != @bridge_macs accept\n"
	  "\t\toifname != \"sp-*\" meta nfproto ipv4 iifname @still4 counter drop\n"
	  "\t\tmeta nfproto ipv6 iifname @still6 oifname @still6 counter drop\n" },
	/* Towards a gate or a room: only what a published port has sent there. */
	{ "towards", NULL,
	  "\t\tct status dnat return\n"
	  "\t\tct state related return\n"
	  "\t\tcounter drop\n" },
	/* From a gate or a room, to the network or the host itself. */
	{ "begin", NULL,
	  "\t\tct state established,related accept\n"
	  "\t\tct state invalid counter drop\n"
	  "\t\tip saddr @begin4 accept\n"
	  "\t\tip6 saddr @begin6 accept\n"
	  "\t\tiifname vmap @reach\n"
	  "\t\tcounter drop\n" },
	/*
	 * A segment outside of its window is invalid to conntrack and not translated: the
	 * host, where nobody listens on that port, would reset a conversation of the room's.
	 */
	{ "receive", "filter hook input priority 0",
	  "\t\t" BY_OURS "iifname @links goto ask\n"
	  "\t\tct state invalid meta l4proto tcp meta nfproto ipv4 " PORT " @ports4 counter drop\n"
	  "\t\tct state invalid meta l4proto tcp meta nfproto ipv6 " PORT " @ports6 counter drop\n"
	  "\t\tct state invalid meta l4proto tcp ip daddr . " PORT " @ports4_at counter drop\n"
	  "\t\tct state invalid meta l4proto tcp ip6 daddr . " PORT " @ports6_at counter drop\n" },
	{ "ask", NULL,
	  "\t\t" NEIGHBOUR " accept\n"
	  "\t\tgoto begin\n" },
	{ "depart", "nat hook postrouting priority 100",
	  "\t\tip saddr 127.0.0.0/8 snat ip to oifname map @host4\n"
	  "\t\t" SLOT4_OF("saddr") " @slots4 goto as_host\n"
				   "\t\t" SLOT6_OF("saddr") " @slots6 goto as_host\n" },
	/*
	 * What leaves for the network gets the host's address, and a port that no
	 * service of the host can have: otherwise a room could take a port of the
	 * host's for its peer (Port Shadow, CVE-2021-3773).
	 */
	{ "as_host", NULL,
	  "\t\tmeta l4proto { tcp, udp } masquerade to :" PRIVATE_PORTS "\n"
	  "\t\tmasquerade\n" },
};

/* Written for each host by frame_lead(). */
static const char *const lead_chains[] = { "to_room", "to_room_at" };

/* The last two are of today. */
static const char *const own_chains[] = { "from", "short", "closed", "publish", "into", "lan",
					  "host", "enter", "leave",  "before",  "reach" };
#define N_OLDER_CHAINS 9

/* Behind "KIND_"; NULL if it is none of the first @n kinds. */
static const char *behind_kind(const char *chain, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(own_chains[i]);

		if (strncmp(chain, own_chains[i], len) == 0 && chain[len] == '_')
			return chain + len + 1;
	}
	return NULL;
}

const char *plan_nft_chain_gate(const char *chain)
{
	return behind_kind(chain, ARRAY_LEN(own_chains));
}

bool plan_nft_chain_is_older(const char *chain)
{
	return behind_kind(chain, N_OLDER_CHAINS) != NULL;
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

/* NULL: this one is neither a bridge nor a port of one. */
static const struct link *bridge_of(const struct snapshot *host, const struct link *l)
{
	const struct link *master = l->master ? snapshot_link_by_index(host, l->master) : l;

	return master && str_eq(master->kind, "bridge") ? master : NULL;
}

/*
 * Where bridges call netfilter (br_netfilter, which Docker loads), what goes from one
 * port to another passes the forward hook, in and out by the bridge: virtual machines
 * that are neighbours on the LAN, which the host routes for as little as a switch
 * does.  What it does route was sent to an address of its own: the bridge's or the
 * port's where it came in, and so these are known.
 */
void frame_bridges(struct nft_text *n)
{
	const struct snapshot *host = n->facts->host;

	for (size_t i = 0; host && i < host->n_links; i++) {
		const struct link *l = &host->links[i];
		const struct link *bridge = bridge_of(host, l);

		if (bridge == l)
			emit(n, "add element inet " PLAN_NFT_HOST " bridges { \"%s\" . \"%s\" }",
			     l->name, l->name);
		if (!bridge || !l->has_mac)
			continue;
		text_add(&n->out, "add element inet " PLAN_NFT_HOST " bridge_macs { ");
		text_add_mac(&n->out, l->mac);
		emit(n, " }");
	}
}

/* What leads by one of several ways keeps to it: see plan/sides.c. */
static void lead_sides(struct nft_text *n)
{
	size_t n_sides;
	const struct link *const *sides = plan_sides(n->arena, n->facts->host, &n_sides);

	for (size_t i = 0; i < n_sides; i++)
		emit(n, "\t\tiifname \"%s\" ct mark set ct mark and 0x%x or 0x%x", sides[i]->name,
		     ~PLAN_MARK_MASK, plan_side_mark(sides[i]));
}

/* Ports of all addresses of the host, and of one. */
static void frame_lead(struct nft_text *n)
{
	emit(n, "\tchain to_room {");
	emit(n, "\t\t" BY_OURS "iifname . " PORT " @own return");
	lead_sides(n);
	emit(n, "\t\tmeta nfproto ipv4 dnat ip to " PORT " map @rooms4");
	emit(n, "\t\tmeta nfproto ipv6 dnat ip6 to " PORT " map @rooms6");
	emit_end_chain(n);
	emit(n, "\tchain to_room_at {");
	emit(n, "\t\t" BY_OURS "meta nfproto ipv4 iifname . ip daddr . " PORT " @own4 return");
	emit(n, "\t\t" BY_OURS "meta nfproto ipv6 iifname . ip6 daddr . " PORT " @own6 return");
	lead_sides(n);
	emit(n, "\t\tdnat ip to ip daddr . " PORT " map @rooms4_at");
	emit(n, "\t\tdnat ip6 to ip6 daddr . " PORT " map @rooms6_at");
	emit_end_chain(n);
}

static void open_chain(struct nft_text *n, const char *name, const char *base)
{
	emit(n, "add chain inet " PLAN_NFT_HOST " %s%s%s%s", name, base ? " { type " : "",
	     base ? base : "", base ? "; policy accept; }" : "");
	emit(n, "flush chain inet " PLAN_NFT_HOST " %s", name);
}

/* Every command does no harm where it was done before, and makes what is missing. */
void frame_open(struct nft_text *n)
{
	emit(n, "add table inet " PLAN_NFT_HOST);
	for (size_t i = 0; i < ARRAY_LEN(shared_sets); i++) {
		const char *name = strchr(shared_sets[i], ' ');

		emit(n, "add %.*s inet " PLAN_NFT_HOST "%s", (int)(name - shared_sets[i]),
		     shared_sets[i], name);
	}
	if (n->facts->forwards4) /* somebody wants it to be a router */
		emit(n, "flush set inet " PLAN_NFT_HOST " still4");
	if (plan_was(n->facts, PLAN_FORWARDING6_ALL, "1"))
		emit(n, "flush set inet " PLAN_NFT_HOST " still6");
	emit(n, "flush set inet " PLAN_NFT_HOST " bridges");
	emit(n, "flush set inet " PLAN_NFT_HOST " bridge_macs");
	for (size_t i = 0; i < ARRAY_LEN(shared_chains); i++)
		open_chain(n, shared_chains[i].name, shared_chains[i].base);
	for (size_t i = 0; i < ARRAY_LEN(lead_chains); i++)
		open_chain(n, lead_chains[i], NULL);
	if (has_answers(n))
		open_chain(n, ANSWER, "filter hook prerouting priority -150");
}

void frame_chains(struct nft_text *n)
{
	for (size_t i = 0; i < ARRAY_LEN(shared_chains); i++)
		emit(n, "\tchain %s {\n%s\t}", shared_chains[i].name, shared_chains[i].rules);
	frame_lead(n);
}
