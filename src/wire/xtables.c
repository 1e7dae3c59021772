/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/xtables.h"

#include "base/text.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <stdbool.h>
#include <string.h>

/* The kernel's own tables have no loops; these end what is none of its own. */
#define DEPTH_MAX 32
#define STEPS_MAX (1 << 20)

#define VERDICT_ACCEPT (-NF_ACCEPT - 1)
#define VERDICT_DROP   (-NF_DROP - 1)
#define VERDICT_RETURN XT_RETURN

enum target { TARGET_ACCEPT, TARGET_DROP, TARGET_RETURN, TARGET_JUMP, TARGET_OTHER };

struct entry {
	uint32_t next; /* offset */
	bool plain; /* asks for nothing but interfaces */
	char in[IFNAMSIZ], out[IFNAMSIZ];
	uint8_t in_mask[IFNAMSIZ], out_mask[IFNAMSIZ];
	enum target target;
	bool rejects;
	bool is_goto;
	uint32_t jump; /* offset */
};

struct walk {
	const struct xtables_table *table;
	const char *in, *out;
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
			     is_zero(&v4.ip.dmsk, sizeof(v4.ip.dmsk)) && !v4.ip.proto &&
			     !(v4.ip.flags & ~IPT_F_GOTO) && !v4.ip.invflags;
		ret->is_goto = v4.ip.flags & IPT_F_GOTO;
		*ret_target = v4.target_offset;
		*ret_next = v4.next_offset;
	} else {
		memcpy(&v6, from, sizeof(v6));
		COPY_INTERFACES(ret, v6.ipv6);
		ret->plain = is_zero(&v6.ipv6.smsk, sizeof(v6.ipv6.smsk)) &&
			     is_zero(&v6.ipv6.dmsk, sizeof(v6.ipv6.dmsk)) &&
			     !(v6.ipv6.flags & ~IP6T_F_GOTO) && !v6.ipv6.invflags;
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
	ret->plain = ret->plain && target_at == head; /* no match of any module */
	ret->target = TARGET_OTHER;
	ret->rejects = str_eq(target.target.u.user.name, "REJECT");
	if (!*target.target.u.user.name && size == sizeof(target))
		read_verdict(target.verdict, ret);
	return 0;
}

/* Does the rule's interface fit @link, which may be unknown? */
static bool fits(const char name[IFNAMSIZ], const uint8_t mask[IFNAMSIZ], const char *link)
{
	char padded[IFNAMSIZ] = { 0 };

	if (is_zero(mask, IFNAMSIZ))
		return true;
	if (!link)
		return false;
	memcpy(padded, link, strnlen(link, IFNAMSIZ - 1));
	for (int i = 0; i < IFNAMSIZ; i++)
		if ((name[i] ^ padded[i]) & mask[i])
			return false;
	return true;
}

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

static int walk_chain(struct walk *w, uint32_t at, enum outcome *ret)
{
	for (;;) {
		struct entry x;
		int r = read_entry(w->table, at, &x);

		if (r < 0 || ++w->steps > STEPS_MAX)
			return -EBADMSG;
		*ret = GOES_ON;
		if (!w->depth && at == w->table->policy)
			return 0;
		at = x.next;
		if (!x.plain || !fits(x.in, x.in_mask, w->in) || !fits(x.out, x.out_mask, w->out))
			continue;
		if (x.target == TARGET_RETURN)
			return 0;
		if (x.target == TARGET_ACCEPT)
			*ret = ACCEPTED;
		else if (x.target == TARGET_DROP || x.rejects)
			*ret = DROPPED;
		else if (x.target == TARGET_JUMP)
			r = walk_jump(w, &x, ret);
		if (r < 0 || *ret != GOES_ON || (x.target == TARGET_JUMP && x.is_goto))
			return r;
	}
}

int xtables_forward(const struct xtables_table *t, const char *in, const char *out,
		    enum xtables_way *ret)
{
	struct walk w = { .table = t, .in = in, .out = out };
	enum outcome outcome;
	struct entry policy;
	int r = read_entry(t, t->policy, &policy);

	if (r == 0)
		r = walk_chain(&w, t->forward, &outcome);
	if (r < 0)
		return r;
	*ret = outcome == DROPPED                                   ? XTABLES_RULE
	       : outcome == GOES_ON && policy.target == TARGET_DROP ? XTABLES_POLICY
								    : XTABLES_PASSES;
	return 0;
}
