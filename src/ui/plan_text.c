/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A plan as ip(8), sysctl(8) and nft(8) commands.  Each line is complete in
 * itself; links come before what refers to them.
 */
#include "ui/plan_text.h"

#include <linux/rtnetlink.h>
#include <string.h>

void plan_text_namespaces(struct text *t, const struct gate *g, struct arena *a)
{
	text_addf(t, "# gate %s\nip netns add %s\n", g->name, plan_gate_netns(a, g));
	for (size_t i = 0; i < g->n_rooms; i++)
		text_addf(t, "ip netns add %s\n", plan_room_netns(a, g, i));
}

/* What cannot be typed before a VPN client runs is a comment. */
static void when_there(struct text *t, bool optional)
{
	if (optional)
		text_add(t, "# once the tunnel is there: ");
}

/* "ip -n NAME" or "ip" */
static void ip_command(struct text *t, const struct want *w, sa_family_t family)
{
	text_add(t, "ip");
	if (w->netns)
		text_addf(t, " -n %s", w->netns);
	if (family == AF_INET6)
		text_add(t, " -6");
}

static void shell_in(struct text *t, const struct want *w)
{
	if (w->netns)
		text_addf(t, "ip netns exec %s ", w->netns);
}

static void sysctl_lines(struct text *t, const struct want *w)
{
	for (size_t i = 0; i < w->n_sysctls; i++) {
		const struct want_sysctl *s = &w->sysctls[i];
		const char *quote = strpbrk(s->value ? s->value : "", " \t") ? "'" : "";

		if (!s->value || s->of_link)
			continue;
		shell_in(t, w);
		text_addf(t, "sysctl -w net/%s=%s%s%s%s\n", s->path, quote, s->value, quote,
			  s->only_if ? " # only where it is 1" : "");
	}
}

static void link_line(struct text *t, const struct want *w, const struct want_link *l)
{
	if (l->peer_name) {
		ip_command(t, w, 0);
		text_addf(t, " link add %s", l->name);
		if (l->index)
			text_addf(t, " index %d", l->index);
		if (l->mac) {
			text_add(t, " address ");
			text_add_mac(t, l->mac);
		}
		text_addf(t, " type veth peer name %s netns %s\n", l->peer_name, l->peer_netns);
	}
	if (l->plain) {
		ip_command(t, w, 0);
		text_addf(t, " link set %s addrgenmode none\n", l->name);
	}
	when_there(t, l->optional);
	ip_command(t, w, 0);
	text_addf(t, " link set %s", l->name);
	if (l->alias)
		text_addf(t, " alias \"%s\"", l->alias);
	if (l->mtu)
		text_addf(t, " mtu %u", l->mtu);
	text_add(t, " up\n");
}

static void address_line(struct text *t, const struct want *w, const struct want_address *a)
{
	char ip[IP_TEXT_SIZE];

	when_there(t, a->optional);
	ip_command(t, w, a->local.family);
	text_addf(t, " address add %s/%u dev %s%s noprefixroute%s\n", ip_text(&a->local, ip),
		  a->len, a->link, a->scope == RT_SCOPE_LINK ? " scope link" : "",
		  a->local.family == AF_INET6 ? " nodad" : "");
}

static void route_line(struct text *t, const struct want *w, const struct want_route *r)
{
	char to[PREFIX_TEXT_SIZE], ip[IP_TEXT_SIZE];

	when_there(t, r->optional);
	ip_command(t, w, r->family);
	text_addf(t, " route add %s%s",
		  r->type == RTN_UNREACHABLE ? "unreachable "
		  : r->type == RTN_LOCAL     ? "local "
					     : "",
		  r->dst.len ? prefix_text(&r->dst, to) : "default");
	if (!ip_is_none(&r->via))
		text_addf(t, " via %s", ip_text(&r->via, ip));
	if (r->link)
		text_addf(t, " dev %s", r->link);
	if (r->onlink)
		text_add(t, " onlink");
	if (!ip_is_none(&r->prefsrc))
		text_addf(t, " src %s", ip_text(&r->prefsrc, ip));
	if (r->mtu)
		text_addf(t, " mtu %u", r->mtu);
	if (r->table != RT_TABLE_MAIN)
		text_addf(t, " table %u", r->table);
	if (r->metric)
		text_addf(t, " metric %u", r->metric);
	text_addf(t, " proto %u\n", w->protocol);
}

static void rule_line(struct text *t, const struct want *w, const struct want_rule *r)
{
	char p[PREFIX_TEXT_SIZE];

	ip_command(t, w, r->family);
	text_addf(t, " rule add priority %u", r->priority);
	if (r->from.ip.family)
		text_addf(t, " from %s", prefix_text(&r->from, p));
	if (r->to.ip.family)
		text_addf(t, " to %s", prefix_text(&r->to, p));
	if (r->iif)
		text_addf(t, " iif %s", r->iif);
	if (r->mark_mask)
		text_addf(t, " fwmark 0x%x/0x%x", r->mark, r->mark_mask);
	text_addf(t, " lookup %u", r->table);
	if (r->suppress_len >= 0)
		text_addf(t, " suppress_prefixlength %d", r->suppress_len);
	text_addf(t, " protocol %u%s\n", w->protocol,
		  r->find_saddr ? " # with FIB_RULE_FIND_SADDR, for which ip(8) has no word" : "");
}

/* The first lines of the text empty an older table: nothing for a person to type. */
static void nft_lines(struct text *t, const struct want *w)
{
	if (!w->nft)
		return;
	shell_in(t, w);
	text_addf(t, "nft -f - <<'END'\n%sEND\n", w->nft);
}

static void title(struct text *t, const struct want *w)
{
	text_addf(t, "\n# %s\n", w->netns ? w->netns : "the host");
}

void plan_text_guard(struct text *t, const struct want *w)
{
	title(t, w);
	sysctl_lines(t, w);
	nft_lines(t, w);
}

void plan_text_links(struct text *t, const struct want *w)
{
	title(t, w);
	for (size_t i = 0; i < w->n_links; i++)
		link_line(t, w, &w->links[i]);
}

void plan_text_routes(struct text *t, const struct want *w)
{
	title(t, w);
	for (size_t i = 0; i < w->n_addresses; i++)
		address_line(t, w, &w->addresses[i]);
	for (size_t i = 0; i < w->n_routes; i++)
		route_line(t, w, &w->routes[i]);
	for (size_t i = 0; i < w->n_rules; i++)
		if (w->rules[i].priority == 0)
			rule_line(t, w, &w->rules[i]);
}
