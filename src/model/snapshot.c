/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/snapshot.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

const struct link *snapshot_link_by_index(const struct snapshot *s, int index)
{
	for (size_t i = 0; i < s->n_links; i++)
		if (s->links[i].index == index)
			return &s->links[i];
	return NULL;
}

const struct link *snapshot_link_by_name(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->n_links; i++)
		if (strcmp(s->links[i].name, name) == 0)
			return &s->links[i];
	return NULL;
}

const struct link *snapshot_vrf_of(const struct snapshot *s, int index)
{
	const struct link *l = snapshot_link_by_index(s, index);

	if (l && l->master && !str_eq(l->kind, "vrf"))
		l = snapshot_link_by_index(s, l->master);
	return l && str_eq(l->kind, "vrf") ? l : NULL;
}

struct prefix snapshot_address_net(const struct address *x)
{
	return prefix_of(x->peer.family ? &x->peer : &x->local, x->len);
}

bool snapshot_has_address(const struct snapshot *s, const struct ip *ip)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (ip_equal(&s->addresses[i].local, ip))
			return true;
	return false;
}

bool snapshot_same_hops(const struct route *a, const struct route *b)
{
	if (a->n_hops != b->n_hops)
		return false;
	for (size_t i = 0; i < a->n_hops; i++)
		if (a->hops[i].link != b->hops[i].link ||
		    !ip_equal(&a->hops[i].via, &b->hops[i].via))
			return false;
	return true;
}

static bool range_equal(const struct rule_range *a, const struct rule_range *b)
{
	return a->first == b->first && a->last == b->last;
}

bool snapshot_same_rule(const struct rule *a, const struct rule *b)
{
	return a->family == b->family && a->priority == b->priority && a->action == b->action &&
	       a->protocol == b->protocol && a->tos == b->tos && a->ip_proto == b->ip_proto &&
	       a->invert == b->invert && a->find_saddr == b->find_saddr && a->l3mdev == b->l3mdev &&
	       a->table == b->table && a->target == b->target && a->has_mark == b->has_mark &&
	       a->mark == b->mark && a->mark_mask == b->mark_mask &&
	       a->suppress_len == b->suppress_len && a->suppress_group == b->suppress_group &&
	       a->has_uid == b->has_uid && range_equal(&a->uid, &b->uid) &&
	       a->has_sport == b->has_sport && range_equal(&a->sport, &b->sport) &&
	       a->has_dport == b->has_dport && range_equal(&a->dport, &b->dport) &&
	       a->sport_mask == b->sport_mask && a->dport_mask == b->dport_mask &&
	       a->has_dscp == b->has_dscp && a->dscp == b->dscp && a->dscp_mask == b->dscp_mask &&
	       a->flowlabel == b->flowlabel && a->flowlabel_mask == b->flowlabel_mask &&
	       a->tun_id == b->tun_id && prefix_equal(&a->from, &b->from) &&
	       prefix_equal(&a->to, &b->to) && str_eq(a->iif, b->iif) && str_eq(a->oif, b->oif) &&
	       str_eq(a->unknown, b->unknown);
}

static int by_index(const void *pa, const void *pb)
{
	const struct link *a = *(struct link *const *)pa, *b = *(struct link *const *)pb;

	return a->index < b->index ? -1 : a->index > b->index;
}

static int by_name(const void *pa, const void *pb)
{
	const struct link *a = *(struct link *const *)pa, *b = *(struct link *const *)pb;

	return strcmp(a->name, b->name);
}

static bool has_twins(const struct link **links, size_t n,
		      int (*compare)(const void *pa, const void *pb))
{
	if (n)
		qsort(links, n, sizeof(*links), compare);
	for (size_t i = 1; i < n; i++)
		if (compare(&links[i - 1], &links[i]) == 0)
			return true;
	return false;
}

const char *snapshot_twin_links(struct arena *a, const struct snapshot *s)
{
	const struct link **links = arena_alloc(a, (s->n_links + 1) * sizeof(*links));

	for (size_t i = 0; i < s->n_links; i++)
		links[i] = &s->links[i];
	if (has_twins(links, s->n_links, by_index))
		return "two links have the same index";
	return has_twins(links, s->n_links, by_name) ? "two links have the same name" : NULL;
}
