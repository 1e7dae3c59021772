/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/rtnl_gates.h"

#include "base/text.h"
#include "plan/plan.h"
#include "plan/slot.h"
#include "sys/rtnl_sock.h"
#include "wire/rtnl_decode.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define TRIES 10

struct indices {
	struct arena *arena;
	int *items;
	size_t n, cap;
};

static int take_index(const struct nlmsghdr *nlh, void *ctx)
{
	struct indices *all = ctx;
	int index;
	int r = rtnl_decode_settings(nlh, &index);

	if (r == 1 && index > 0) /* below are those of all links and of links to come */
		*arena_push(all->arena, all->items, all->n, all->cap) = index;
	return r < 0 ? r : 0;
}

/* Every link has settings of IPv4, and they are the shortest list of links. */
static int list_indices(struct rtnl *r, struct indices *all, struct err *e)
{
	struct rtnl_message m;
	int status = -EAGAIN;

	for (int i = 0; status == -EAGAIN && i < TRIES; i++) {
		all->n = 0;
		status = rtnl_talk(r, rtnl_encode_dump(&m, RTM_GETNETCONF, AF_INET), 0, take_index,
				   all, e);
	}
	return status;
}

/* What is asked of a link. */
struct end {
	int index;
	char name[IFNAMSIZ];
	bool has_slot; /* a gate's link says in its hardware address which slot is its own */
	uint32_t slot;
};

static bool ask(struct rtnl *r, unsigned long what, struct ifreq *link)
{
	return ioctl(mnl_socket_get_fd(r->sock), what, link) == 0;
}

/* netdevice(7): false if it has just gone. */
static bool look_at(struct rtnl *r, int index, struct end *ret)
{
	struct ifreq x = { .ifr_ifindex = index };

	*ret = (struct end){ .index = index };
	if (!ask(r, SIOCGIFNAME, &x))
		return false;
	snprintf(ret->name, sizeof(ret->name), "%s", x.ifr_name);
	if (!str_starts(ret->name, "sp-"))
		return true;
	if (!ask(r, SIOCGIFHWADDR, &x))
		return false;
	ret->has_slot = x.ifr_hwaddr.sa_family == ARPHRD_ETHER &&
			plan_mac_slot((const uint8_t *)x.ifr_hwaddr.sa_data, &ret->slot) &&
			ret->slot < SLOT_COUNT;
	return true;
}

/* One bit for each slot that a hardware address can tell. */
struct slots {
	uint8_t bits[8192];
};

static bool has_slot(const struct slots *s, uint32_t slot)
{
	return s->bits[slot / 8] & 1U << slot % 8;
}

/*
 * What has the slot of a gate's own link, which has no dot in its name, is that
 * gate's.  A short link whose slot is nobody's may be left of any gate: it is
 * looked at in whole.
 */
static void find_slots(const struct end *ends, size_t n, const char *own, struct slots *ret)
{
	for (size_t i = 0; i < n; i++)
		if (ends[i].has_slot && !strchr(ends[i].name, '.'))
			ret->bits[ends[i].slot / 8] |= (uint8_t)(1U << ends[i].slot % 8);
	for (size_t i = 0; i < n; i++)
		if (ends[i].has_slot && str_eq(ends[i].name, own))
			ret->bits[ends[i].slot / 8] &= (uint8_t) ~(1U << ends[i].slot % 8);
}

static int by_number(const void *a, const void *b)
{
	const int *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

/* That of another gate's own link: a slot has but one. */
static void note_slot(struct arena *a, const struct end *x, struct rtnl_links *ret)
{
	struct slot s = slot_of(x->slot);

	if (!strchr(x->name, '.'))
		*arena_push(a, ret->slots, ret->n_slots, ret->cap_slots) =
			(struct address){ .link = x->index,
					  .local = slot_host(&s, AF_INET),
					  .len = 32,
					  .scope = RT_SCOPE_LINK };
}

static void sort_out(struct arena *a, const struct end *x, const struct slots *others,
		     struct rtnl_links *ret)
{
	if (!x->has_slot || !has_slot(others, x->slot)) {
		*arena_push(a, ret->near, ret->n_near, ret->cap_near) = x->index;
		return;
	}
	*arena_push(a, ret->others, ret->n_others, ret->cap_others) = x->index;
	note_slot(a, x, ret);
}

int rtnl_find_links(struct rtnl *r, struct arena *a, const char *own, struct rtnl_links *ret,
		    struct err *e)
{
	struct indices all = { .arena = a };
	struct slots others = { 0 };
	struct end *ends;
	size_t n = 0;
	int status = list_indices(r, &all, e);

	*ret = (struct rtnl_links){ 0 };
	if (status < 0)
		return err_wrap(e, status, "list settings of links");
	ends = arena_alloc(a, (all.n + 1) * sizeof(*ends));
	for (size_t i = 0; i < all.n; i++)
		n += look_at(r, all.items[i], &ends[n]);
	find_slots(ends, n, own, &others);
	for (size_t i = 0; i < n; i++)
		sort_out(a, &ends[i], &others, ret);
	if (ret->n_others)
		qsort(ret->others, ret->n_others, sizeof(*ret->others), by_number);
	return 0;
}

bool rtnl_is_others(const struct rtnl_links *l, int index)
{
	return l->n_others &&
	       bsearch(&index, l->others, l->n_others, sizeof(*l->others), by_number);
}
