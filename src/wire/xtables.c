/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/xtables.h"

#include "base/text.h"

#include <errno.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/netfilter/xt_state.h>
#include <linux/netfilter/xt_tcpudp.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <string.h>

/* The kernel's own tables have no loops; these end what is none of its own. */
#define DEPTH_MAX 32
#define STEPS_MAX (1 << 20)

#define VERDICT_ACCEPT (-NF_ACCEPT - 1)
#define VERDICT_DROP   (-NF_DROP - 1)
#define VERDICT_RETURN XT_RETURN

/* Below it are ports of services, which no client asks from. */
#define CLIENT_PORTS 1024

enum target { TARGET_ACCEPT, TARGET_DROP, TARGET_RETURN, TARGET_JUMP, TARGET_OTHER };

enum fit { FIT_NEVER, FIT_MAYBE, FIT_ALWAYS };

struct entry {
	uint32_t next; /* offset */
	bool plain; /* its head asks for nothing but interfaces and protocol */
	uint16_t proto; /* 0: any */
	bool in_inverted, out_inverted;
	char in[IFNAMSIZ], out[IFNAMSIZ];
	uint8_t in_mask[IFNAMSIZ], out_mask[IFNAMSIZ];
	uint32_t matches, end; /* offsets of the modules' part, and behind it */
	enum target target;
	bool rejects;
	bool is_goto;
	uint32_t jump; /* offset */
};

struct walk {
	const struct xtables_table *table;
	const struct xtables_packet *packet;
	uint32_t policy; /* offset */
	int steps;
	int depth;
};

static bool is_zero(const void *bytes, size_t size)
{
	const uint8_t *b = bytes;

	for (size_t i = 0; i < size; i++)
		if (b[i])
			return false;
	return true;
}

#define COPY_INTERFACES(ret, head)                                                                 \
	do {                                                                                       \
		memcpy((ret)->in, (head).iniface, IFNAMSIZ);                                       \
		memcpy((ret)->out, (head).outiface, IFNAMSIZ);                                     \
		memcpy((ret)->in_mask, (head).iniface_mask, IFNAMSIZ);                             \
		memcpy((ret)->out_mask, (head).outiface_mask, IFNAMSIZ);                           \
	} while (0)

/* What both families have in common of a rule's head; the head's size, 0 if it is cut off. */
static size_t read_head(const struct xtables_table *t, uint32_t at, uint16_t *ret_target,
			uint16_t *ret_next, struct entry *ret)
{
	const uint8_t *from = (const uint8_t *)t->entries + at;
	struct ipt_entry v4;
	struct ip6t_entry v6;
	size_t size = t->family == AF_INET ? sizeof(v4) : sizeof(v6);

	if (at > t->size || t->size - at < size)
		return 0;
	if (t->family == AF_INET) {
		memcpy(&v4, from, sizeof(v4));
		COPY_INTERFACES(ret, v4.ip);
		ret->plain = is_zero(&v4.ip.smsk, sizeof(v4.ip.smsk)) &&
			     is_zero(&v4.ip.dmsk, sizeof(v4.ip.dmsk)) &&
			     !(v4.ip.flags & ~IPT_F_GOTO) &&
			     !(v4.ip.invflags & ~(IPT_INV_VIA_IN | IPT_INV_VIA_OUT));
		ret->proto = v4.ip.proto;
		ret->in_inverted = v4.ip.invflags & IPT_INV_VIA_IN;
		ret->out_inverted = v4.ip.invflags & IPT_INV_VIA_OUT;
		ret->is_goto = v4.ip.flags & IPT_F_GOTO;
		*ret_target = v4.target_offset;
		*ret_next = v4.next_offset;
	} else {
		memcpy(&v6, from, sizeof(v6));
		COPY_INTERFACES(ret, v6.ipv6);
		ret->plain = is_zero(&v6.ipv6.smsk, sizeof(v6.ipv6.smsk)) &&
			     is_zero(&v6.ipv6.dmsk, sizeof(v6.ipv6.dmsk)) &&
			     !(v6.ipv6.flags & ~(IP6T_F_GOTO | IP6T_F_PROTO)) &&
			     !(v6.ipv6.invflags & ~(IP6T_INV_VIA_IN | IP6T_INV_VIA_OUT));
		ret->proto = v6.ipv6.flags & IP6T_F_PROTO ? v6.ipv6.proto : 0;
		ret->in_inverted = v6.ipv6.invflags & IP6T_INV_VIA_IN;
		ret->out_inverted = v6.ipv6.invflags & IP6T_INV_VIA_OUT;
		ret->is_goto = v6.ipv6.flags & IP6T_F_GOTO;
		*ret_target = v6.target_offset;
		*ret_next = v6.next_offset;
	}
	return size;
}

static void read_verdict(int verdict, struct entry *ret)
{
	ret->target = verdict == VERDICT_ACCEPT   ? TARGET_ACCEPT
		      : verdict == VERDICT_DROP   ? TARGET_DROP
		      : verdict == VERDICT_RETURN ? TARGET_RETURN
		      : verdict >= 0              ? TARGET_JUMP
						  : TARGET_OTHER;
	if (verdict >= 0)
		ret->jump = (uint32_t)verdict;
}

static int read_entry(const struct xtables_table *t, uint32_t at, struct entry *ret)
{
	uint16_t target_at, next;
	struct xt_standard_target target = { 0 };
	size_t head, size;

	*ret = (struct entry){ 0 };
	head = read_head(t, at, &target_at, &next, ret);
	if (!head || target_at < head || next < target_at + sizeof(target.target) ||
	    next > t->size - at)
		return -EBADMSG;
	size = (size_t)(next - target_at);
	if (size > sizeof(target))
		size = sizeof(target);
	memcpy(&target, (const uint8_t *)t->entries + at + target_at, size);
	target.target.u.user.name[sizeof(target.target.u.user.name) - 1] = 0;
	ret->next = at + next;
	ret->matches = at + (uint32_t)head;
	ret->end = at + target_at;
	ret->target = TARGET_OTHER;
	ret->rejects = str_eq(target.target.u.user.name, "REJECT");
	if (!*target.target.u.user.name && size == sizeof(target))
		read_verdict(target.verdict, ret);
	return 0;
}

/* --- does a rule fit? -------------------------------------------------------------- */

static enum fit fits_unless(bool is, bool inverted)
{
	return is != inverted ? FIT_ALWAYS : FIT_NEVER;
}

/* Does the rule's interface fit @link, which may be unknown? */
static enum fit link_fits(const char name[IFNAMSIZ], const uint8_t mask[IFNAMSIZ], bool inverted,
			  const char *link)
{
	char padded[IFNAMSIZ] = { 0 };
	bool is = true;

	if (is_zero(mask, IFNAMSIZ))
		return FIT_ALWAYS;
	if (!link)
		return FIT_MAYBE;
	memcpy(padded, link, strnlen(link, IFNAMSIZ - 1));
	for (int i = 0; i < IFNAMSIZ; i++)
		is = is && !((name[i] ^ padded[i]) & mask[i]);
	return fits_unless(is, inverted);
}

/* -m conntrack; the revisions since 2 begin in the same way, an older one nobody makes. */
static enum fit conntrack_fits(const struct xtables_packet *p, uint8_t revision, const void *data,
			       size_t size)
{
	struct xt_conntrack_mtinfo2 m;
	enum fit state = FIT_ALWAYS;

	if (revision < 2 || size < sizeof(m) || !p->state)
		return FIT_MAYBE;
	memcpy(&m, data, sizeof(m));
	if (m.match_flags & XT_CONNTRACK_STATE)
		state = fits_unless(m.state_mask & p->state, m.invert_flags & XT_CONNTRACK_STATE);
	m.match_flags &= (uint16_t) ~(XT_CONNTRACK_STATE | XT_CONNTRACK_STATE_ALIAS);
	return state != FIT_NEVER && m.match_flags ? FIT_MAYBE : state;
}

static enum fit state_fits(const struct xtables_packet *p, const void *data, size_t size)
{
	struct xt_state_info m;

	if (size < sizeof(m) || !p->state)
		return FIT_MAYBE;
	memcpy(&m, data, sizeof(m));
	return fits_unless(m.statemask & p->state, false);
}

/* -p tcp and -p udp: a client is answered where it asked from. */
static enum fit ports_fit(const struct xtables_packet *p, bool tcp, const void *data, size_t size)
{
	struct xt_tcp t;
	struct xt_udp u;
	uint16_t last;
	bool inverted;

	if (!p->answers || size < (tcp ? sizeof(t) : sizeof(u)))
		return FIT_MAYBE;
	if (tcp) {
		memcpy(&t, data, sizeof(t));
		last = t.dpts[1];
		inverted = t.invflags & XT_TCP_INV_DSTPT;
	} else {
		memcpy(&u, data, sizeof(u));
		last = u.dpts[1];
		inverted = u.invflags & XT_UDP_INV_DSTPT;
	}
	return last < CLIENT_PORTS && !inverted ? FIT_NEVER : FIT_MAYBE;
}

static enum fit match_fits(const struct xtables_packet *p, const struct xt_entry_match *m,
			   const void *data, size_t size)
{
	const char *name = m->u.user.name;

	if (str_eq(name, "comment"))
		return FIT_ALWAYS;
	if (str_eq(name, "conntrack"))
		return conntrack_fits(p, m->u.user.revision, data, size);
	if (str_eq(name, "state"))
		return state_fits(p, data, size);
	if (str_eq(name, "tcp") || str_eq(name, "udp"))
		return ports_fit(p, str_eq(name, "tcp"), data, size);
	return FIT_MAYBE;
}

static enum fit head_fits(const struct xtables_packet *p, const struct entry *x)
{
	enum fit in = link_fits(x->in, x->in_mask, x->in_inverted, p->in);
	enum fit out = link_fits(x->out, x->out_mask, x->out_inverted, p->out);
	enum fit all = in < out ? in : out;

	if (p->answers && (x->proto == IPPROTO_ICMP || x->proto == IPPROTO_ICMPV6))
		return FIT_NEVER;
	return all != FIT_NEVER && (!x->plain || x->proto) ? FIT_MAYBE : all;
}

/* All that the rule asks; -EBADMSG. */
static int rule_fits(struct walk *w, const struct entry *x, enum fit *ret)
{
	enum fit all = head_fits(w->packet, x);
	uint32_t at = x->matches;

	while (at < x->end) {
		const uint8_t *from = (const uint8_t *)w->table->entries + at;
		struct xt_entry_match m;
		enum fit one;

		if (x->end - at < sizeof(m) || ++w->steps > STEPS_MAX)
			return -EBADMSG;
		memcpy(&m, from, sizeof(m));
		if (m.u.match_size < sizeof(m) || m.u.match_size > x->end - at)
			return -EBADMSG;
		m.u.user.name[sizeof(m.u.user.name) - 1] = 0;
		one = match_fits(w->packet, &m, from + sizeof(m), m.u.match_size - sizeof(m));
		all = one < all ? one : all;
		at += m.u.match_size;
	}
	*ret = all;
	return 0;
}

/* --- what a chain does ------------------------------------------------------------- */

enum outcome { GOES_ON, ACCEPTED, DROPPED };

static int walk_chain(struct walk *w, uint32_t at, enum outcome *ret);

/* Whoever is gone to does not come back to here, but to who called. */
static int walk_jump(struct walk *w, const struct entry *x, enum outcome *ret)
{
	int r;

	if (++w->depth > DEPTH_MAX)
		return -EBADMSG;
	r = walk_chain(w, x->jump, ret);
	w->depth--;
	return r;
}

/* What one rule does with packets that fit it; *ret_back ends its chain. */
static int walk_rule(struct walk *w, const struct entry *x, enum fit fit, enum outcome *ret,
		     bool *ret_back)
{
	bool sure = fit == FIT_ALWAYS;
	int r = 0;

	*ret = GOES_ON;
	*ret_back = false;
	if (fit == FIT_NEVER || (!sure && !w->packet->answers))
		return 0;
	if (x->target == TARGET_JUMP)
		r = walk_jump(w, x, ret);
	else if (x->target == TARGET_ACCEPT)
		*ret = ACCEPTED;
	else if (x->target == TARGET_DROP || x->rejects)
		*ret = DROPPED;
	if (*ret == DROPPED && !sure)
		*ret = GOES_ON;
	*ret_back = sure &&
		    (x->target == TARGET_RETURN || (x->target == TARGET_JUMP && x->is_goto));
	return r;
}

static int walk_chain(struct walk *w, uint32_t at, enum outcome *ret)
{
	for (;;) {
		struct entry x;
		enum fit fit;
		bool back;
		int r = read_entry(w->table, at, &x);

		if (r < 0 || ++w->steps > STEPS_MAX)
			return -EBADMSG;
		*ret = GOES_ON;
		if (!w->depth && at == w->policy)
			return 0;
		at = x.next;
		r = rule_fits(w, &x, &fit);
		if (r == 0)
			r = walk_rule(w, &x, fit, ret, &back);
		if (r < 0 || *ret != GOES_ON || back)
			return r;
	}
}

int xtables_way(const struct xtables_table *t, unsigned hook, const struct xtables_packet *p,
		enum xtables_way *ret)
{
	struct walk w = { .table = t, .packet = p, .policy = t->policy[hook] };
	enum outcome outcome;
	struct entry policy;
	int r = read_entry(t, w.policy, &policy);

	if (r == 0)
		r = walk_chain(&w, t->first[hook], &outcome);
	if (r < 0)
		return r;
	*ret = outcome == DROPPED                                   ? XTABLES_RULE
	       : outcome == GOES_ON && policy.target == TARGET_DROP ? XTABLES_POLICY
								    : XTABLES_PASSES;
	return 0;
}
