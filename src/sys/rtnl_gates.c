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

/* What is known of a link. */
struct end {
	int index;
	bool has_slot; /* a gate's link says in its index and its hardware address which one */
	uint32_t slot;
	bool main; /* a gate's own link, no short one */
	bool own; /* this gate's */
};

static bool ask(struct rtnl *r, unsigned long what, struct ifreq *link)
{
	return ioctl(mnl_socket_get_fd(r->sock), what, link) == 0;
}

/* netdevice(7): false if it has just gone. */
static bool ask_of(struct rtnl *r, struct end *x, const char *own)
{
	struct ifreq link = { .ifr_ifindex = x->index };

	if (!ask(r, SIOCGIFNAME, &link))
		return false;
	x->own = str_eq(link.ifr_name, own);
	x->main = !strchr(link.ifr_name, '.'); /* no gate's name has a dot */
	if (!str_starts(link.ifr_name, "sp-"))
		return true;
	if (!ask(r, SIOCGIFHWADDR, &link))
		return false;
	x->has_slot = link.ifr_hwaddr.sa_family == ARPHRD_ETHER &&
		      plan_mac_slot((const uint8_t *)link.ifr_hwaddr.sa_data, &x->slot) &&
		      x->slot < SLOT_COUNT;
	return true;
}

static bool look_at(struct rtnl *r, int index, const struct rtnl_own *own, struct end *ret)
{
	*ret = (struct end){ .index = index };
	if (own->slot_unknown || !slot_of_index(index, &ret->slot, &ret->main))
		return ask_of(r, ret, own->link);
	ret->has_slot = true;
	ret->own = ret->slot == own->slot;
	return true;
}

/* It may have been made for another slot than the gate has now. */
static void find_main(struct rtnl *r, const char *own, struct end *ends, size_t n)
{
	struct err ignored;
	int index;

	if (rtnl_link_index(r, own, &index, &ignored) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		ends[i].own |= ends[i].index == index;
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
 * What has the slot of a gate's own link is that gate's.  A short link whose slot is
 * nobody's may be left of any gate: it is looked at in whole.
 */
static void find_slots(const struct end *ends, size_t n, struct slots *ret)
{
	for (size_t i = 0; i < n; i++)
		if (ends[i].has_slot && ends[i].main)
			ret->bits[ends[i].slot / 8] |= (uint8_t)(1U << ends[i].slot % 8);
	for (size_t i = 0; i < n; i++)
		if (ends[i].has_slot && ends[i].own)
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

	if (x->main)
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

int rtnl_find_links(struct rtnl *r, struct arena *a, const struct rtnl_own *own,
		    struct rtnl_links *ret, struct err *e)
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
		n += look_at(r, all.items[i], own, &ends[n]);
	find_main(r, own->link, ends, n);
	find_slots(ends, n, &others);
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
