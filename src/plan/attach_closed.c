/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kill switch where no connections are tracked: what an answer is, each protocol
 * tells in its own way (attach_nft.c says how).
 */
#include "plan/attach_emit.h"

/*
 * Protocols by their numbers, as an image may have no /etc/protocols.  Those with
 * ports are UDP, DCCP, SCTP and UDP-Lite; of TCP a segment tells whether it begins.
 */
#define PORTED     "{ 17, 33, 132, 136 }"
#define PORTED_TCP "{ 6, 17, 33, 132, 136 }"
#define RARE       "{ 33, 132, 136 }"
#define OTHER      "!= { 1, 6, 17, 33, 58, 132, 136 }"

/* UDP's are noted in `asks`. */
void attach_other_callers(struct attach_text *n)
{
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++) {
		const struct attach_family *f = &attach_families[i];

		attach_line(n,
			    "\t\tiifname %s meta l4proto " RARE " update @callers%c { %s } accept",
			    n->lan, f->digit, f->caller);
		attach_line(n,
			    "\t\tiifname %s meta l4proto " OTHER
			    " update @passed%c { %s saddr . %s daddr . meta l4proto } accept",
			    n->lan, f->digit, f->ip, f->ip);
	}
}

/* May a connection stand in `own`, or come there? */
static bool begins_tcp(const struct attach_text *n)
{
	for (size_t i = 0; i < n->ask->n_servers; i++)
		if (n->ask->servers[i].proto != IPPROTO_UDP)
			return true;
	return n->ask->n_reach || !n->ask->began_none;
}

static void answered_by_its_door(struct attach_text *n, const struct seen_door *d,
				 const struct ip *ip)
{
	const struct attach_family *f = &attach_families[ip->family == AF_INET6];
	const char *but = "";
	char text[IP_TEXT_SIZE];

	if (begins_tcp(n))
		but = arena_printf(n->arena, " %s != @own%c", f->own, f->digit);
	attach_line(n, "\t\toifname \"%s\" %s saddr %s tcp flags & (syn | ack) != syn%s accept",
		    d->link->name, f->ip, ip_text(ip, text), but);
}

static void begun_by_its_door(struct attach_text *n, const struct seen_door *d, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	attach_line(n, "\t\toifname \"%s\" %s saddr %s goto begins", d->link->name,
		    attach_ip_word(ip), ip_text(ip, text));
}

/*
 * An error about what came to this very address.  One about a packet that was only
 * passing through may speak of what came by the tunnel.
 */
static void errs_by_its_door(struct attach_text *n, const struct seen_door *d, const struct ip *ip)
{
	bool v4 = ip->family == AF_INET;
	char text[IP_TEXT_SIZE];

	(void)d;
	text_addf(
		&n->out, "\t\t%s saddr %s %s @th,%d,%d 0x", attach_ip_word(ip), ip_text(ip, text),
		v4 ? "icmp type { destination-unreachable, time-exceeded, parameter-problem }"
		   : "icmpv6 type { destination-unreachable, packet-too-big, time-exceeded, parameter-problem }",
		v4 ? 192 : 256, v4 ? 32 : 128);
	for (size_t i = 0; i < ip_bits(ip->family) / 8; i++)
		text_addf(&n->out, "%02x", ip->byte[i]);
	attach_line(n, " accept");
}

/* @to may be begun by a LAN door; a connection that was stays known as such. */
static void may_begin(struct attach_text *n, const struct attach_family *f, const char *to,
		      const char *port)
{
	attach_line(n, "\t\t%s meta l4proto tcp%s update @own%c { %s } accept", to, port, f->digit,
		    f->own);
}

static void may_begin_server(struct attach_text *n, const struct plan_server *s)
{
	const char *to = attach_to_server(n, s), *port = attach_server_port(n, s);

	if (s->proto != IPPROTO_UDP)
		may_begin(n, &attach_families[s->ip.family == AF_INET6], to, port);
	if (s->proto != IPPROTO_TCP)
		attach_line(n, "\t\t%s meta l4proto udp%s accept", to, port);
}

static void may_begin_reach(struct attach_text *n, const struct prefix *p)
{
	const struct attach_family *f = &attach_families[p->ip.family == AF_INET6];
	char text[PREFIX_TEXT_SIZE];
	const char *to = arena_printf(n->arena, "%s daddr %s", f->ip, prefix_text(p, text));

	may_begin(n, f, to, "");
	attach_line(n, "\t\t%s meta l4proto != tcp accept", to);
}

/* From an address of a LAN door by that door, and no segment of a connection that came in. */
void attach_begins(struct attach_text *n)
{
	attach_line(n, "\tchain begins {");
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++) {
		const struct attach_family *f = &attach_families[i];

		attach_line(n, "\t\tmeta l4proto " PORTED " %s @callers%c accept", f->called,
			    f->digit);
		attach_line(n,
			    "\t\tmeta l4proto " OTHER
			    " %s daddr . %s saddr . meta l4proto @passed%c accept",
			    f->ip, f->ip, f->digit);
	}
	attach_line(n, "\t\ticmp type { echo-reply, timestamp-reply } accept");
	attach_line(n, "\t\ticmpv6 type echo-reply accept");
	attach_line(n, "\t\t" NEIGHBOURS);
	attach_each_address(n, n->doors->lan, n->doors->n_lan, errs_by_its_door);
	for (size_t i = 0; i < n->ask->n_servers; i++)
		may_begin_server(n, &n->ask->servers[i]);
	for (size_t i = 0; i < n->ask->n_reach; i++)
		may_begin_reach(n, &n->ask->reach[i]);
	attach_line(n, "\t\tcounter drop");
	attach_line(n, "\t}");
}

/* Answers to who asked through this namespace. */
static void passed(struct attach_text *n)
{
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++) {
		const struct attach_family *f = &attach_families[i];

		attach_line(n, "\t\t%s @callers%c accept", f->called, f->digit);
		attach_line(
			n,
			"\t\ticmp%s type echo-reply %s daddr . %s saddr . meta l4proto @passed%c accept",
			f->family == AF_INET ? "" : "v6", f->ip, f->ip, f->digit);
		attach_line(n,
			    "\t\tmeta l4proto " OTHER
			    " %s daddr . %s saddr . meta l4proto @passed%c accept",
			    f->ip, f->ip, f->digit);
	}
}

/* As `through`, but for whole conversations, and pings. */
void attach_through_closed(struct attach_text *n)
{
	attach_line(n, "\tchain through {");
	attach_line(n, "\t\ttype filter hook forward priority 0; policy accept;");
	for (size_t i = 0; i < ARRAY_LEN(attach_families); i++) {
		const struct attach_family *f = &attach_families[i];

		attach_line(n, "\t\tiifname %s oifname != %s %s @callers%c counter drop", n->lan,
			    n->lan, f->called, f->digit);
		attach_line(n,
			    "\t\tiifname %s meta l4proto " PORTED_TCP
			    " update @callers%c { %s } accept",
			    n->lan, f->digit, f->caller);
		attach_line(
			n,
			"\t\tiifname %s update @passed%c { %s saddr . %s daddr . meta l4proto } accept",
			n->lan, f->digit, f->ip, f->ip);
	}
	attach_line(n, "\t\toifname != %s accept", n->lan);
	attach_line(n, "\t\ttcp flags & (fin | syn | rst | ack) == syn counter drop");
	passed(n);
	attach_line(n, "\t\tcounter drop");
	attach_line(n, "\t}");
}

/*
 * By a LAN door goes only what has an address of that very door, and answers to who
 * asked through this namespace.  Nothing here depends on whether a tunnel is there.
 */
void attach_leave_closed(struct attach_text *n)
{
	attach_line(n, "\tchain leave {");
	attach_line(n, "\t\ttype filter hook postrouting priority 0; policy accept;");
	attach_each_address(n, n->doors->lan, n->doors->n_lan, answered_by_its_door);
	attach_each_address(n, n->doors->lan, n->doors->n_lan, begun_by_its_door);
	attach_line(n, "\t\toifname \"lo\" accept");
	attach_own_sources(n);
	attach_line(n, "\t\toifname != %s accept", n->lan);
	/* A neighbour's question at a link-local address, of which each link has its own. */
	attach_line(
		n,
		"\t\tip6 saddr fe80::/10 ip6 daddr fe80::/10 tcp flags & (syn | ack) != syn ip6 daddr . tcp dport . tcp sport != @own6 accept");
	attach_line(n, "\t\tip6 saddr fe80::/10 ip6 daddr fe80::/10 goto begins");
	attach_line(n, "\t\t" NEIGHBOURS);
	attach_each_address(n, n->doors->tunnels, n->doors->n_tunnels, attach_tunnels_stays_in);
	attach_line(n, "\t\tfib saddr type local counter drop");
	passed(n);
	attach_line(n, "\t\tcounter drop");
	attach_line(n, "\t}");
}

/* Does a socket listen where @s was taken? */
static bool came_in(const struct socket_seen *s, const struct socket_seen *all, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (all[i].state == SOCKET_LISTENS && all[i].local_port == s->local_port &&
		    (ip_is_any(&all[i].local) || ip_equal(&all[i].local, &s->local)))
			return true;
	return false;
}

static bool is_lan(const struct seen_doors *doors, const struct snapshot *s, const struct ip *ip)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		for (size_t k = 0; k < doors->n_lan; k++)
			if (ip_equal(&s->addresses[i].local, ip) &&
			    door_is_asked_at(&doors->lan[k], &s->addresses[i]))
				return true;
	return false;
}

const char *plan_nft_attach_older(struct arena *a, const struct snapshot *s,
				  const struct seen_doors *doors, const struct socket_seen *all,
				  size_t n)
{
	struct text out CLEANUP_TEXT = { 0 };

	for (size_t i = 0; i < n; i++) {
		const struct socket_seen *x = &all[i];
		char peer[IP_TEXT_SIZE];

		if (x->proto == IPPROTO_TCP && x->state == SOCKET_CONNECTED &&
		    is_lan(doors, s, &x->local) && !came_in(x, all, n))
			text_addf(&out,
				  "add element inet " PLAN_ATTACH_NFT " own%c { %s . %u . %u }\n",
				  x->peer.family == AF_INET ? '4' : '6', ip_text(&x->peer, peer),
				  x->peer_port, x->local_port);
	}
	return arena_strdup(a, text_str(&out));
}
