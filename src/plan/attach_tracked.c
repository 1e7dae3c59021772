/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Of attach's table, what asks connection tracking. */
#include "plan/attach_emit.h"

/* Connections that came or went by a tunnel. */
#define MARK_TUNNEL (plan_door_mark(DOORS_LAN_MAX))

void attach_learn(struct attach_text *n)
{
	attach_line(n, "\tchain learn {");
	attach_line(n, "\t\ttype filter hook prerouting priority -310; policy accept;");
	attach_line(n, "\t\tmeta l4proto != udp accept");
	attach_line(n, "\t\tiifname \"lo\" accept");
	if (n->ask->alias) /* learn_old, when it is known who has an alias */
		attach_line(n, "\t\tiifname %s accept", n->lan);
	attach_line(n, "\t\tfib daddr type local goto asks");
	attach_line(n, "\t}");
}

/* What arrives tells whose connection it is. */
void attach_arrive(struct attach_text *n)
{
	attach_line(n, "\tchain arrive {");
	attach_line(n, "\t\ttype filter hook prerouting priority -150; policy accept;");
	attach_line(n, "\t\tiifname \"lo\" accept");
	/* Most packets by far, looked at when they were new. */
	attach_line(n, "\t\tct state established ct mark and 0x%x != 0 accept", PLAN_MARK_MASK);
	attach_weak_host(n);
	/* Errors about nothing that we sent (forged "fragmentation needed"), and forged routes. */
	attach_line(n, "\t\tmeta l4proto { icmp, icmpv6 } ct state invalid counter drop");
	attach_forged_routes(n);
	for (size_t i = 0; i < n->doors->n_lan; i++)
		attach_line(
			n,
			"\t\tiifname \"%s\" ct direction original ct mark and 0x%x == 0 ct mark set ct mark and 0x%x or 0x%x accept",
			n->doors->lan[i].link->name, PLAN_MARK_MASK, ~PLAN_MARK_MASK,
			plan_door_mark(n->doors->lan[i].number));
	attach_line(
		n,
		"\t\tiifname != %s ct direction original ct mark and 0x%x == 0 ct mark set ct mark and 0x%x or 0x%x",
		n->lan, PLAN_MARK_MASK, ~PLAN_MARK_MASK, MARK_TUNNEL);
	attach_line(n, "\t}");
}

static const char *protocols(const struct plan_server *s)
{
	return s->proto == IPPROTO_TCP ? "tcp" : s->proto == IPPROTO_UDP ? "udp" : "{ tcp, udp }";
}

static void server(struct attach_text *n, const struct plan_server *s)
{
	attach_line(n, "\t\toifname %s %s meta l4proto %s%s accept", n->lan, attach_to_server(n, s),
		    protocols(s), attach_server_port(n, s));
}

/* What the namespace itself may begin by a lan door. */
static void closed(struct attach_text *n)
{
	attach_line(n, "\t\t" NEIGHBOURS);
	for (size_t i = 0; i < n->ask->n_servers; i++)
		server(n, &n->ask->servers[i]);
	for (size_t i = 0; i < n->ask->n_reach; i++) {
		char to[PREFIX_TEXT_SIZE];

		attach_line(n, "\t\toifname %s ip%s daddr %s accept", n->lan,
			    n->ask->reach[i].ip.family == AF_INET ? "" : "6",
			    prefix_text(&n->ask->reach[i], to));
	}
	attach_line(n, "\t\toifname %s counter drop", n->lan);
}

/*
 * In postrouting, for a packet that `answer` gave another source shows its old
 * interface in output.  What came or went by a tunnel once never goes by a lan
 * door: not when the tunnel loses its route, and not forwarded either.
 */
void attach_leave_by_mark(struct attach_text *n)
{
	const struct seen_doors *d = n->doors;

	attach_line(n, "\tchain leave {");
	attach_line(n, "\t\ttype filter hook postrouting priority 0; policy accept;");
	attach_line(n, "\t\toifname \"lo\" accept");
	for (size_t i = 0; i < d->n_lan; i++)
		attach_line(n, "\t\toifname \"%s\" ct mark and 0x%x == 0x%x accept",
			    d->lan[i].link->name, PLAN_MARK_MASK, plan_door_mark(d->lan[i].number));
	attach_line(n, "\t\toifname %s ct mark and 0x%x == 0x%x counter drop", n->lan,
		    PLAN_MARK_MASK, MARK_TUNNEL);
	text_addf(&n->out, "\t\tct direction reply ct mark and 0x%x == {", PLAN_MARK_MASK);
	for (size_t i = 0; i < d->n_lan; i++)
		text_addf(&n->out, "%s 0x%x", i ? "," : "", plan_door_mark(d->lan[i].number));
	attach_line(n, " } counter drop");
	attach_own_sources(n);
	attach_line(
		n,
		"\t\toifname != %s ct mark and 0x%x == 0 ct mark set ct mark and 0x%x or 0x%x accept",
		n->lan, PLAN_MARK_MASK, ~PLAN_MARK_MASK, MARK_TUNNEL);
	if (n->ask->closed)
		closed(n);
	attach_line(n, "\t}");
}

static void alias_rule(struct attach_text *n, const struct seen_door *d, const struct ip *x)
{
	static const char *const from[] = { "10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10",
					    "192.168.0.0/16", "169.254.0.0/16" };
	char ip[IP_TEXT_SIZE], to[PREFIX_TEXT_SIZE];
	struct prefix nets[6];

	if (!attach_alias_nets(n->doors, n->net, d, x, nets))
		return;
	if (x->family == AF_INET6) {
		attach_line(
			n, "\t\tiifname \"%s\" ip6 daddr %s meta l4proto udp snat ip6 prefix to %s",
			d->link->name, ip_text(x, ip), prefix_text(&nets[0], to));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(from); i++)
		attach_line(
			n,
			"\t\tiifname \"%s\" ip daddr %s ip saddr %s meta l4proto udp snat ip prefix to %s",
			d->link->name, ip_text(x, ip), from[i], prefix_text(&nets[i], to));
	attach_line(
		n,
		"\t\tiifname \"%s\" ip daddr %s meta l4proto udp snat ip to %u.0.0.1-%u.255.255.254",
		d->link->name, ip_text(x, ip), nets[5].ip.byte[0], nets[5].ip.byte[0]);
}

/* A conversation that is older than the aliases goes on without one. */
static void learn_old(struct attach_text *n)
{
	attach_line(n, "\tchain learn_old {");
	attach_line(n, "\t\ttype filter hook input priority 200; policy accept;");
	attach_line(n, "\t\tiifname %s meta l4proto udp ct status & snat == 0 goto asks", n->lan);
	attach_line(n, "\t}");
}

void attach_aliases(struct attach_text *n)
{
	learn_old(n);
	attach_line(n, "\tchain alias {");
	attach_line(n, "\t\ttype nat hook input priority 100; policy accept;");
	for (size_t i = 0; i < n->doors->n_lan; i++)
		for (size_t k = 0; k < n->net->n_addresses; k++)
			if (door_has_address(&n->doors->lan[i], &n->net->addresses[k]))
				alias_rule(n, &n->doors->lan[i], &n->net->addresses[k].local);
	attach_line(n, "\t}");
}
