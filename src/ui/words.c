/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ui/words.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <string.h>

const char *words_table(uint32_t table, char buf[TABLE_TEXT_SIZE])
{
	static const char *const names[] = { [RT_TABLE_DEFAULT - RT_TABLE_DEFAULT] = "default",
					     [RT_TABLE_MAIN - RT_TABLE_DEFAULT] = "main",
					     [RT_TABLE_LOCAL - RT_TABLE_DEFAULT] = "local" };

	if (table >= RT_TABLE_DEFAULT && table <= RT_TABLE_LOCAL)
		return names[table - RT_TABLE_DEFAULT];
	snprintf(buf, TABLE_TEXT_SIZE, "%u", table);
	return buf;
}

/* A host without its length. */
static const char *net_text(const struct prefix *p, char buf[PREFIX_TEXT_SIZE])
{
	prefix_text(p, buf);
	if (p->len == ip_bits(p->ip.family))
		*strchr(buf, '/') = 0;
	return buf;
}

void words_ip(struct text *t, const struct ip *ip)
{
	char buf[IP_TEXT_SIZE];

	text_add(t, ip_text(ip, buf));
}

void words_proto(struct text *t, uint8_t proto)
{
	static const struct {
		uint8_t proto;
		const char *name;
	} names[] = { { IPPROTO_TCP, "tcp" },
		      { IPPROTO_UDP, "udp" },
		      { IPPROTO_ICMP, "icmp" },
		      { IPPROTO_ICMPV6, "ipv6-icmp" } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].proto == proto) {
			text_add(t, names[i].name);
			return;
		}
	text_addf(t, "%u", proto);
}

/* --- rules ------------------------------------------------------------------- */

static void add_link(struct text *t, const char *key, const char *name, const struct snapshot *net)
{
	if (name[0])
		text_addf(t, " %s %s%s", key, name,
			  snapshot_link_by_name(net, name) ? "" : " [detached]");
}

static void add_ports(struct text *t, const char *key, bool has, const struct rule_range *ports,
		      uint16_t mask)
{
	if (!has)
		return;
	text_addf(t, " %s %u", key, ports->first);
	if (mask)
		text_addf(t, "/0x%x", mask);
	else if (ports->last != ports->first)
		text_addf(t, "-%u", ports->last);
}

static void add_addresses(struct text *t, const struct rule *r)
{
	char net[PREFIX_TEXT_SIZE];

	if (r->from.len)
		text_addf(t, "from %s", net_text(&r->from, net));
	else
		text_add(t, "from all");
	if (r->to.len)
		text_addf(t, " to %s", net_text(&r->to, net));
}

static void add_selectors(struct text *t, const struct rule *r, const struct snapshot *net)
{
	if (r->tos)
		text_addf(t, " tos 0x%02x", r->tos);
	if (r->has_mark && r->mark_mask == UINT32_MAX)
		text_addf(t, " fwmark 0x%x", r->mark);
	else if (r->has_mark)
		text_addf(t, " fwmark 0x%x/0x%x", r->mark, r->mark_mask);
	add_link(t, "iif", r->iif, net);
	add_link(t, "oif", r->oif, net);
	if (r->l3mdev)
		text_add(t, " lookup [l3mdev-table]");
	if (r->has_uid)
		text_addf(t, " uidrange %u-%u", r->uid.first, r->uid.last);
	if (r->ip_proto) {
		text_add(t, " ipproto ");
		words_proto(t, r->ip_proto);
	}
	add_ports(t, "sport", r->has_sport, &r->sport, r->sport_mask);
	add_ports(t, "dport", r->has_dport, &r->dport, r->dport_mask);
	if (r->tun_id)
		text_addf(t, " tun_id %llu", (unsigned long long)r->tun_id);
	if (r->has_dscp)
		text_addf(t, " dscp %u", r->dscp);
	if (r->flowlabel_mask)
		text_addf(t, " flowlabel 0x%x/0x%x", r->flowlabel, r->flowlabel_mask);
}

static void add_action(struct text *t, const struct rule *r)
{
	switch (r->action) {
	case FR_ACT_GOTO:
		text_addf(t, " goto %u", r->target);
		break;
	case FR_ACT_NOP:
		text_add(t, " nop");
		break;
	case FR_ACT_BLACKHOLE:
		text_add(t, " blackhole");
		break;
	case FR_ACT_UNREACHABLE:
		text_add(t, " unreachable");
		break;
	case FR_ACT_PROHIBIT:
		text_add(t, " prohibit");
		break;
	default:
		break;
	}
}

/* Numbers of linux/rtnetlink.h as /etc/iproute2/rt_protos names them. */
static void add_protocol(struct text *t, uint8_t protocol)
{
	static const struct {
		uint8_t protocol;
		const char *name;
	} names[] = { { RTPROT_REDIRECT, "redirect" },
		      { RTPROT_KERNEL, "kernel" },
		      { RTPROT_BOOT, "boot" },
		      { RTPROT_STATIC, "static" },
		      { RTPROT_RA, "ra" },
		      { RTPROT_ZEBRA, "zebra" },
		      { RTPROT_BIRD, "bird" },
		      { RTPROT_DHCP, "dhcp" },
		      { RTPROT_KEEPALIVED, "keepalived" },
		      { RTPROT_BABEL, "babel" } };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].protocol == protocol) {
			text_addf(t, " proto %s", names[i].name);
			return;
		}
	text_addf(t, " proto %u", protocol);
}

void words_rule(struct text *t, const struct rule *r, const struct snapshot *net)
{
	char table[TABLE_TEXT_SIZE];

	if (r->invert)
		text_add(t, "not ");
	add_addresses(t, r);
	add_selectors(t, r, net);
	if (r->table)
		text_addf(t, " lookup %s", words_table(r->table, table));
	if (r->suppress_len >= 0)
		text_addf(t, " suppress_prefixlength %d", r->suppress_len);
	if (r->suppress_group == 0) /* /etc/iproute2/group */
		text_add(t, " suppress_ifgroup default");
	else if (r->suppress_group > 0)
		text_addf(t, " suppress_ifgroup %d", r->suppress_group);
	add_action(t, r);
	if (r->protocol != RTPROT_UNSPEC && r->protocol != RTPROT_KERNEL &&
	    r->protocol != RTPROT_BOOT)
		add_protocol(t, r->protocol);
	if (r->unknown[0])
		text_addf(t, " [%s]", r->unknown);
}

/* --- routes -------------------------------------------------------------------- */

static void add_hop(struct text *t, const struct hop *h, const struct snapshot *net,
		    sa_family_t family)
{
	const struct link *l = snapshot_link_by_index(net, h->link);
	char ip[IP_TEXT_SIZE];

	if (!ip_is_none(&h->via))
		text_addf(t, " via %s%s",
			  h->via.family == family     ? ""
			  : h->via.family == AF_INET6 ? "inet6 "
						      : "inet ",
			  ip_text(&h->via, ip));
	if (l)
		text_addf(t, " dev %s", l->name);
}

static const char *type_word(uint8_t type)
{
	static const char *const words[] = {
		[RTN_LOCAL] = "local ",         [RTN_BROADCAST] = "broadcast ",
		[RTN_ANYCAST] = "anycast ",     [RTN_MULTICAST] = "multicast ",
		[RTN_BLACKHOLE] = "blackhole ", [RTN_UNREACHABLE] = "unreachable ",
		[RTN_PROHIBIT] = "prohibit ",   [RTN_THROW] = "throw "
	};

	return type < ARRAY_LEN(words) && words[type] ? words[type] : "";
}

void words_route(struct text *t, const struct route *r, const struct snapshot *net)
{
	char dst[PREFIX_TEXT_SIZE];

	text_addf(t, "%s%s", type_word(r->type), r->dst.len ? net_text(&r->dst, dst) : "default");
	if (r->src.len)
		text_addf(t, " from %s", net_text(&r->src, dst));
	if (r->tos)
		text_addf(t, " tos 0x%02x", r->tos);
	if (r->nexthop_id)
		text_addf(t, " nhid %u", r->nexthop_id);
	if (r->n_hops == 1)
		add_hop(t, &r->hops[0], net, r->family);
	if (r->metric)
		text_addf(t, " metric %u", r->metric);
	for (size_t i = 0; r->n_hops > 1 && i < r->n_hops; i++) {
		text_add(t, " nexthop");
		add_hop(t, &r->hops[i], net, r->family);
		text_addf(t, " weight %u", r->hops[i].weight);
	}
}

/* --- cures -------------------------------------------------------------------------- */

void words_cure(struct text *t, const struct cure *c, const char *enter, const char *router)
{
	const char *tool = c->family == AF_INET6 ? "ip -6" : "ip";
	char buf[PREFIX_TEXT_SIZE];

	if (c->onlink.ip.family)
		text_addf(t, "%s%s route add %s dev %s table %u\n", enter, tool,
			  prefix_text(&c->onlink, buf), c->link, c->table);
	if (!ip_is_none(&c->gateway))
		router = ip_text(&c->gateway, buf);
	if (router)
		text_addf(t, "%s%s route add default via %s dev %s table %u\n", enter, tool, router,
			  c->link, c->table);
	text_addf(t, "%s%s rule add priority 0", enter, tool);
	if (c->from.ip.family)
		text_addf(t, " from %s", net_text(&c->from, buf));
	if (c->to.ip.family)
		text_addf(t, " to %s", net_text(&c->to, buf));
	if (c->iif)
		text_addf(t, " iif %s", c->iif);
	text_addf(t, " lookup %u\n", c->table);
}
