/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/known.h"

#include "base/text.h"
#include "plan/plan.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <string.h>

#define ANY      UINT32_MAX
#define OURS_END 10100u /* the table behind the last one of a guard */

enum shape {
	ANY_SHAPE,
	NOT_OWN_MARK, /* "not fwmark N lookup N": all but the tunnel's own packets */
	MAIN_BUT_DEFAULT, /* "lookup main suppress_prefixlength 0" and nothing else */
};

/*
 * The facts, each from the source named.  The first row that fits counts, so
 * the narrow ones come first.  ANY in @last: only the first number counts.
 */
static const struct known {
	const char *name;
	uint32_t first, last; /* priorities; both 0: any */
	uint32_t table, table_last; /* 0: any */
	uint32_t mask; /* of the mark, 0: any */
	uint8_t protocol; /* 0: any */
	enum shape shape;
} rules[] = {
	/*
	 * tailscale: wgengine/router/router_linux.go, baseIPRules: 5200 (1300 where mwan3
	 * is) plus 10, 30, 50 and 70; table 52.
	 */
	{ .name = "Tailscale", .first = 5210, .last = 5270, .mask = 0xff0000 },
	{ .name = "Tailscale", .first = 1310, .last = 1370, .mask = 0xff0000 },
	{ .name = "Tailscale", .table = 52 },
	/* gluetun: internal/routing/{local,outbound,inbound}.go, internal/wireguard: 98 to 101. */
	{ .name = "gluetun", .first = 98, .last = ANY, .table = RT_TABLE_MAIN },
	{ .name = "gluetun", .first = 99, .last = ANY, .table = 199 },
	{ .name = "gluetun", .first = 100, .last = ANY, .table = 200 },
	{ .name = "gluetun", .first = 101, .last = ANY, .table = 51820, .shape = NOT_OWN_MARK },
	/*
	 * NetworkManager: src/core/devices/nm-device-wireguard.c: two rules below 31766,
	 * the table is the mark, 51820 plus less than 500.
	 */
	{ .name = "NetworkManager",
	  .first = 30768,
	  .last = 31767,
	  .table = 51820,
	  .table_last = 52319,
	  .shape = NOT_OWN_MARK },
	{ .name = "NetworkManager", .first = 30768, .last = 31767, .shape = MAIN_BUT_DEFAULT },
	/* NetworkManager: src/nm-cloud-setup/main.c, _nmc_mangle_connection(): plus 0 to 99. */
	{ .name = "nm-cloud-setup",
	  .first = 30200,
	  .last = 30299,
	  .table = 30200,
	  .table_last = 30299 },
	{ .name = "nm-cloud-setup",
	  .first = 30400,
	  .last = 30499,
	  .table = 30400,
	  .table_last = 30499 },
	{ .name = "nm-cloud-setup", .first = 30350, .last = ANY, .shape = MAIN_BUT_DEFAULT },
	/* Mullvad: talpid-types/src/lib.rs (later talpid-core): TUNNEL_FW_MARK, "mole". */
	{ .name = "Mullvad", .table = 0x6d6f6c65 },
	/* netbird: client/internal/routemanager/systemops/systemops_linux.go: 105 and 110. */
	{ .name = "NetBird", .table = 0x1bd0 },
	{ .name = "NetBird", .first = 105, .last = ANY, .shape = MAIN_BUT_DEFAULT },
	/* wireguard-tools: src/wg-quick/linux.bash, add_default(): no priority of its own. */
	{ .name = "wg-quick", .shape = NOT_OWN_MARK },
	{ .name = "wg-quick", .shape = MAIN_BUT_DEFAULT },
	/* strongSwan: charon.routing_table and routing_table_prio, 220 unless set otherwise. */
	{ .name = "strongSwan", .first = 220, .last = ANY, .table = 220 },
	/* cilium: pkg/datapath/linux/linux_defaults: priorities, tables and marks. */
	{ .name = "Cilium", .first = 1, .last = ANY, .table = 200, .table_last = 201 },
	{ .name = "Cilium", .first = 9, .last = 10, .table = 2004, .table_last = 2005 },
	{ .name = "Cilium", .first = 1, .last = 20, .mask = 0x0f00 },
	{ .name = "Cilium", .first = 20, .last = ANY, .protocol = RTPROT_KERNEL },
	{ .name = "Cilium", .first = 100, .last = ANY, .table = RT_TABLE_LOCAL },
	{ .name = "Cilium", .first = 110, .last = 111, .protocol = RTPROT_KERNEL },
	{ .name = "Cilium", .first = 109, .last = ANY, .mask = 0x80 },
	{ .name = "Cilium", .first = 112, .last = ANY, .table = 202 },
	/* mwan3: /lib/mwan3/mwan3.sh: interface's number plus 1000, 2000, 3000; mask 0x3f00. */
	{ .name = "mwan3", .first = 2001, .last = 2254, .mask = 0x3f00 },
	{ .name = "mwan3", .first = 3001, .last = 3254, .mask = 0x3f00 },
	{ .name = "mwan3", .first = 1001, .last = 1250, .table = 1, .table_last = 250 },
	/* The kernel for VRFs: net/core/fib_rules.c by drivers/net/vrf.c, 1000. */
	{ .name = "the kernel (VRF)", .first = 1000, .last = ANY, .protocol = RTPROT_KERNEL },
	/* Routing daemons by their numbers of linux/rtnetlink.h. */
	{ .name = "FRR or Quagga", .protocol = RTPROT_ZEBRA },
	{ .name = "BIRD", .protocol = RTPROT_BIRD },
	{ .name = "keepalived", .protocol = RTPROT_KEEPALIVED },
	/* systemd: src/network/networkd-routing-policy-rule.c: RTPROT_STATIC. */
	{ .name = "systemd-networkd", .protocol = RTPROT_STATIC },
};

static bool selects_nothing(const struct rule *r)
{
	return !r->from.len && !r->to.len && !r->iif[0] && !r->oif[0] && !r->has_mark &&
	       !r->invert && !r->ip_proto && !r->has_uid && !r->tos && !r->l3mdev &&
	       !r->has_sport && !r->has_dport && !r->has_dscp;
}

static bool has_shape(const struct rule *r, enum shape shape)
{
	switch (shape) {
	case ANY_SHAPE:
		return true;
	case NOT_OWN_MARK:
		return r->invert && r->has_mark && r->mark == r->table &&
		       r->mark_mask == UINT32_MAX;
	case MAIN_BUT_DEFAULT:
		return r->table == RT_TABLE_MAIN && r->suppress_len == 0 && selects_nothing(r);
	}
	return false;
}

static bool fits(const struct known *k, const struct rule *r)
{
	uint32_t last = k->last == ANY ? k->first : k->last;
	uint32_t table_last = k->table_last ? k->table_last : k->table;

	if (k->first && (r->priority < k->first || r->priority > last))
		return false;
	if (k->table && (r->table < k->table || r->table > table_last))
		return false;
	if (k->mask && (!r->has_mark || r->mark_mask != k->mask))
		return false;
	if (k->protocol && r->protocol != k->protocol)
		return false;
	return has_shape(r, k->shape);
}

const char *known_rule_maker(const struct rule *r)
{
	if (known_rule_is_kernels(r))
		return NULL;
	if (known_rule_is_ours(r))
		return "sallyport";
	for (size_t i = 0; i < ARRAY_LEN(rules); i++)
		if (fits(&rules[i], r))
			return rules[i].name;
	return NULL;
}

bool known_rule_is_kernels(const struct rule *r)
{
	static const struct {
		uint32_t priority, table;
	} own[] = { { 0, RT_TABLE_LOCAL }, { 32766, RT_TABLE_MAIN }, { 32767, RT_TABLE_DEFAULT } };

	for (size_t i = 0; i < ARRAY_LEN(own); i++)
		if (r->priority == own[i].priority && r->table == own[i].table)
			return r->action == FR_ACT_TO_TBL && selects_nothing(r) &&
			       r->suppress_len == -1 && r->suppress_group == -1;
	return false;
}

bool known_rule_is_ours(const struct rule *r)
{
	return r->protocol == PLAN_PROTOCOL ||
	       (r->priority == 0 && r->protocol == RTPROT_KERNEL &&
		((r->table >= SLOT_TABLE && r->table < OURS_END) || slot_is_pool(&r->from)));
}

bool known_is_tunnel(const struct link *l)
{
	static const char *const kinds[] = { "tun",  "wireguard", "ppp",    "ipip", "gre",
					     "sit",  "vti",       "vti6",   "xfrm", "ip6tnl",
					     "l2tp", "ip6gre",    "gretap", "ovpn" };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (str_eq(l->kind, kinds[i]))
			return true;
	/* A file of ip(8) need not tell the kind. */
	return !l->kind[0] && (l->flags & IFF_POINTOPOINT);
}
