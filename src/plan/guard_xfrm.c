/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/guard_xfrm.h"

#include "base/text.h"

#include <linux/xfrm.h>
#include <netinet/in.h>

/* Router and neighbour solicitations and advertisements (RFC 4861, section 4). */
static const uint8_t discovery[] = { 133, 134, 135, 136 };

#define MARKED 6u

static struct xfrm_policy marked(size_t i)
{
	static const uint8_t dirs[] = { XFRM_POLICY_OUT, XFRM_POLICY_IN, XFRM_POLICY_FWD };
	sa_family_t family = i < 3 ? AF_INET : AF_INET6;
	struct prefix any = { .ip.family = family };

	return (struct xfrm_policy){ .family = family,
				     .dir = dirs[i % 3],
				     .mark = GUARD_MARKS,
				     .mark_mask = GUARD_MARKS_MASK,
				     .src = any,
				     .dst = any };
}

/* Its mask makes it ours: the kernel gives these packets no mark. */
static struct xfrm_policy neighbours(size_t i)
{
	struct prefix any = { .ip.family = AF_INET6 };

	return (struct xfrm_policy){ .family = AF_INET6,
				     .dir = i % 2 ? XFRM_POLICY_IN : XFRM_POLICY_OUT,
				     .proto = IPPROTO_ICMPV6,
				     .sport = discovery[i / 2],
				     .sport_mask = UINT16_MAX,
				     .mark_mask = GUARD_MARKS_MASK,
				     .src = any,
				     .dst = any };
}

struct xfrm_policy guard_xfrm_policy(size_t i)
{
	return i < MARKED ? marked(i) : neighbours(i - MARKED);
}

bool guard_xfrm_is(const struct xfrm_policy *p, const struct xfrm_policy *like)
{
	return p->family == like->family && p->dir == like->dir && p->block == like->block &&
	       p->n_templates == like->n_templates && p->proto == like->proto &&
	       p->sport == like->sport && p->sport_mask == like->sport_mask &&
	       p->has_dport == like->has_dport && p->link == like->link &&
	       p->priority == like->priority && p->mark == like->mark &&
	       p->mark_mask == like->mark_mask && p->if_id == like->if_id &&
	       prefix_equal(&p->src, &like->src) && prefix_equal(&p->dst, &like->dst);
}

bool guard_xfrm_is_ours(const struct xfrm_policy *p)
{
	for (size_t i = 0; i < GUARD_XFRM_OURS; i++) {
		struct xfrm_policy ours = guard_xfrm_policy(i);

		if (guard_xfrm_is(p, &ours))
			return true;
	}
	return false;
}

bool guard_xfrm_is_ahead(const struct xfrm_policy *list, size_t n, const struct xfrm_policy *p)
{
	size_t i = (size_t)(p - list) + 1;

	if (p->priority || p->if_id || (!p->n_templates && !p->block) || guard_xfrm_is_ours(p))
		return false;
	for (; i < n; i++) /* the older ones */
		if (list[i].mark == GUARD_MARKS && guard_xfrm_is_ours(&list[i]) &&
		    list[i].family == p->family && list[i].dir == p->dir)
			return false;
	return true;
}

const char *guard_xfrm_text(struct arena *a, const struct xfrm_policy *p)
{
	static const char *const dirs[] = {
		[XFRM_POLICY_IN] = "in", [XFRM_POLICY_OUT] = "out", [XFRM_POLICY_FWD] = "fwd"
	};
	char src[PREFIX_TEXT_SIZE], dst[PREFIX_TEXT_SIZE];

	const char *proto = p->proto == IPPROTO_ICMPV6 && p->sport_mask
				    ? arena_printf(a, " proto ipv6-icmp type %u", p->sport)
			    : p->proto ? arena_printf(a, " proto %u", p->proto)
				       : "";

	return arena_printf(a, "src %s dst %s%s dir %s", prefix_text(&p->src, src),
			    prefix_text(&p->dst, dst), proto, dirs[p->dir]);
}

/* The LAN door that has address @x; NULL. */
static const struct guard_door *door_of(const struct guard_memory *m, const struct snapshot *host,
					const struct address *x)
{
	const struct link *l = snapshot_link_by_index(host, x->link);

	for (size_t i = 0; l && i < m->n_doors; i++)
		if (!m->doors[i].tunnel && str_eq(m->doors[i].name, l->name))
			return &m->doors[i];
	return NULL;
}

bool guard_xfrm_blocks(const struct guard_memory *m, const struct snapshot *host,
		       const struct xfrm_policy *p)
{
	if (!p->block || p->dir != XFRM_POLICY_OUT || p->mark_mask || p->if_id)
		return false;
	for (size_t i = 0; i < host->n_addresses; i++)
		if (door_of(m, host, &host->addresses[i]) &&
		    prefix_covers(&p->src, &host->addresses[i].local))
			return true;
	return false;
}

const char *guard_xfrm_takes(const struct guard_memory *m, const struct snapshot *host,
			     const struct xfrm_policy *p)
{
	bool out = p->dir == XFRM_POLICY_OUT;

	if (p->dir == XFRM_POLICY_FWD || p->proto || p->link || p->mark_mask || p->if_id)
		return NULL;
	for (size_t i = 0; i < host->n_addresses; i++) {
		const struct address *x = &host->addresses[i];
		const struct guard_door *d = door_of(m, host, x);
		struct prefix net = prefix_of(&x->local, x->len);

		if (d && guard_leads_on(m, host, d) && net.len < ip_bits(x->local.family) &&
		    prefix_covers(out ? &p->src : &p->dst, &x->local) &&
		    prefix_contains(out ? &p->dst : &p->src, &net))
			return d->name;
	}
	return NULL;
}

static const char *proto_text(uint8_t proto)
{
	return proto == IPPROTO_AH ? "ah" : proto == IPPROTO_COMP ? "comp" : "esp";
}

static const char *mode_text(uint8_t mode)
{
	static const char *const modes[] = {
		[XFRM_MODE_TRANSPORT] = "transport",
		[XFRM_MODE_TUNNEL] = "tunnel",
		[XFRM_MODE_ROUTEOPTIMIZATION] = "ro",
		[XFRM_MODE_IN_TRIGGER] = "in_trigger",
		[XFRM_MODE_BEET] = "beet",
	};

	return mode < ARRAY_LEN(modes) ? modes[mode] : "tunnel";
}

const char *guard_xfrm_cure(struct arena *a, const struct xfrm_policy *p)
{
	const struct xfrm_template *t = &p->template;
	char src[IP_TEXT_SIZE], dst[IP_TEXT_SIZE];

	if (p->block)
		return arena_printf(a, "ip xfrm policy delete %s", guard_xfrm_text(a, p));
	if (p->n_templates != 1)
		return NULL;
	return arena_printf(a,
			    "ip xfrm policy update %s priority 1 tmpl src %s dst %s proto %s%s "
			    "reqid %u mode %s%s",
			    guard_xfrm_text(a, p), ip_text(&t->src, src), ip_text(&t->dst, dst),
			    proto_text(t->proto),
			    t->spi ? arena_printf(a, " spi 0x%08x", t->spi) : "", t->reqid,
			    mode_text(t->mode), t->optional ? " level use" : "");
}
