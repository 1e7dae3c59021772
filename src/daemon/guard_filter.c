/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Strict rp_filter where the host forwards to containers.
 *
 * After Docker has put the container's address in, the kernel asks which way
 * the container would answer the client.  Nothing of that question says that it
 * will be the reply of a connection: main answers "by the tunnel", and the
 * request is dropped.  A mark on the request would be heard
 * (src_valid_mark), but also send the request back out.  So doors to the LAN
 * are loose while the guard stands.
 *
 * What they were is in the guard's nft table, set down before the filter is
 * touched: it lives as long as the change, and in the same namespace.
 */
#include "daemon/guard.h"

#include "sys/sysctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOSE 2u

static const char *path_of(struct arena *a, const char *link)
{
	return arena_printf(a, "ipv4/conf/%s/rp_filter", link);
}

static bool read_number(struct arena *a, const char *path, uint32_t *ret)
{
	const char *text;
	struct err e;

	return sysctl_get(a, path, &text, &e) == 0 && str_to_u32(text, LOOSE, ret);
}

static struct guard_filter *find(struct guard *g, const char *link)
{
	for (size_t i = 0; i < g->wish.n_filters; i++)
		if (str_eq(g->filters[i].link, link))
			return &g->filters[i];
	return NULL;
}

static void remember(struct guard *g, const char *link, uint32_t was)
{
	size_t n = g->wish.n_filters;
	struct guard_filter *f = find(g, link);

	if (!f) {
		g->filters = reallocarray(g->filters, n + 1, sizeof(*g->filters));
		if (!g->filters)
			abort();
		f = &g->filters[n];
		*f = (struct guard_filter){ 0 };
		snprintf(f->link, sizeof(f->link), "%s", link);
		g->wish.n_filters = n + 1;
	}
	f->was = was;
	g->wish.filters = g->filters;
}

/* What the kernel says that a guard has changed; none if there is no such table. */
static void list_remembered(struct nft *nft, struct guard *ret)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *text;
	json_t *root, *item, *pair;
	struct err e;
	size_t i, j;

	if (nft_list_json(nft, &a, "map inet " GUARD_NFT " " GUARD_FILTERS, &text, &e) < 0)
		return;
	root = json_loads(text, 0, NULL);
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const json_t *map = json_object_get(item, "map");

		json_array_foreach(json_object_get(map, "elem"), j, pair)
		{
			const char *link = json_string_value(json_array_get(pair, 0));
			json_int_t was = json_integer_value(json_array_get(pair, 1));

			if (link && strlen(link) < sizeof(ret->filters->link) && was >= 0 &&
			    was <= LOOSE)
				remember(ret, link, (uint32_t)was);
		}
	}
	json_decref(root);
}

static void forget_gone(struct guard *g, const struct snapshot *host)
{
	size_t n = 0;

	for (size_t i = 0; i < g->wish.n_filters; i++)
		if (snapshot_link_by_name(host, g->filters[i].link))
			g->filters[n++] = g->filters[i];
	g->wish.n_filters = n;
}

void guard_filters_look(struct guard *g, const struct snapshot *host)
{
	struct arena a CLEANUP_ARENA = { 0 };
	uint32_t forward = 0, all = 0;

	if (!g->settled && g->nft)
		list_remembered(g->nft, g);
	forget_gone(g, host);
	if (!read_number(&a, "ipv4/ip_forward", &forward) || !forward)
		return;
	(void)read_number(&a, "ipv4/conf/all/rp_filter", &all);
	for (size_t i = 0; i < g->memory.n_doors; i++) {
		const struct guard_door *d = &g->memory.doors[i];
		uint32_t own;

		/* The kernel takes the higher of the two. */
		if (guard_leads_on(&g->memory, host, d) &&
		    read_number(&a, path_of(&a, d->name), &own) && (own > all ? own : all) == 1)
			remember(g, d->name, own);
	}
}

int guard_filters_set(struct guard *g, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->wish.n_filters; i++) {
		const struct guard_filter *f = &g->filters[i];
		bool changed = false;

		r = sysctl_set(path_of(&a, f->link), "2", &changed, e);
		if (r == -ENOENT) /* its link has just gone */
			r = 0;
		if (r == 0 && changed)
			guard_log(g,
				  "%s: rp_filter is strict, which would silence published ports: "
				  "loose (2) while the guard stands, then %u again",
				  f->link, f->was);
	}
	return r;
}

int guard_filters_restore(struct nft *nft, struct err *e)
{
	struct guard was = GUARD_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	int result = 0;

	list_remembered(nft, &was);
	for (size_t i = 0; i < was.wish.n_filters; i++) {
		const char *path = path_of(&a, was.filters[i].link);
		uint32_t now;
		int r;

		/* Whoever has set it to something else since has the last word. */
		if (!read_number(&a, path, &now) || now != LOOSE)
			continue;
		r = sysctl_set(path, arena_printf(&a, "%u", was.filters[i].was), NULL, e);
		if (r < 0 && r != -ENOENT)
			result = r;
	}
	free(was.filters);
	return result;
}
