/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is set otherwise while the guard stands.
 *
 * tcp_fwmark_accept: a connection's socket takes over the mark of its first
 * packet; fwmark_reflect: so does what the kernel answers by itself.
 *
 * rp_filter of LAN doors, where the host forwards to containers and it is strict:
 * after Docker has put the container's address in, the kernel asks which way the
 * container would answer the client.  Nothing of that question says that it
 * will be the reply of a connection: main answers "by the tunnel", and the
 * request is dropped.  A mark on the request would be heard (src_valid_mark), but
 * also send the request back out.  So doors to the LAN are loose meanwhile.
 * And of tunnels, on any host: a VPN's peer that asks for a LAN door's address is
 * one to whom what has that address would go by the LAN.
 *
 * What all that was is in the guard's nft table, set down before anything is
 * touched: it lives as long as the change, and in the same namespace.
 */
#include "daemon/guard.h"

#include "sys/sysctl.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RP_LOOSE 2u

/* Those that are on while the guard stands, whatever its doors are. */
static const struct {
	const char *what, *path;
} switches[] = {
	{ GUARD_ACCEPT, "ipv4/tcp_fwmark_accept" },
	{ GUARD_REFLECT4, "ipv4/fwmark_reflect" },
	{ GUARD_REFLECT6, "ipv6/fwmark_reflect" },
};

static bool is_switch(const char *what)
{
	return what[0] == '/';
}

static const char *path_of(struct arena *a, const char *what)
{
	for (size_t i = 0; i < ARRAY_LEN(switches); i++)
		if (str_eq(switches[i].what, what))
			return switches[i].path;
	return arena_printf(a, "ipv4/conf/%s/rp_filter", what);
}

/* What it is while the guard stands. */
static uint32_t value_of(const char *what)
{
	return is_switch(what) ? 1 : RP_LOOSE;
}

static bool read_number(struct arena *a, const char *path, uint32_t *ret)
{
	const char *text;
	struct err e;

	return sysctl_get(a, path, &text, &e) == 0 && str_to_u32(text, RP_LOOSE, ret);
}

static struct guard_sysctl *find(struct guard *g, const char *what)
{
	for (size_t i = 0; i < g->wish.n_sysctls; i++)
		if (str_eq(g->sysctls[i].what, what))
			return &g->sysctls[i];
	return NULL;
}

static void remember(struct guard *g, const char *what, uint32_t was)
{
	size_t n = g->wish.n_sysctls;
	struct guard_sysctl *s = find(g, what);

	if (!s) {
		g->sysctls = reallocarray(g->sysctls, n + 1, sizeof(*g->sysctls));
		if (!g->sysctls)
			abort();
		s = &g->sysctls[n];
		*s = (struct guard_sysctl){ 0 };
		snprintf(s->what, sizeof(s->what), "%s", what);
		g->wish.n_sysctls = n + 1;
	}
	s->was = was;
	g->wish.sysctls = g->sysctls;
}

/* What the kernel says that a guard has changed; none if there is no such table. */
static void list_remembered(struct nft *nft, struct guard *ret)
{
	json_t *root, *item, *pair;
	struct err e;
	size_t i, j;

	if (nft_list_root(nft, "map inet " GUARD_NFT " " GUARD_SYSCTLS, &root, &e) < 0)
		return;
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const json_t *map = json_object_get(item, "map");

		json_array_foreach(json_object_get(map, "elem"), j, pair)
		{
			const char *what = json_string_value(json_array_get(pair, 0));
			json_int_t was = json_integer_value(json_array_get(pair, 1));

			if (what && strlen(what) < sizeof(ret->sysctls->what) && was >= 0 &&
			    was <= RP_LOOSE)
				remember(ret, what, (uint32_t)was);
		}
	}
	json_decref(root);
}

static void forget_gone(struct guard *g, const struct snapshot *host)
{
	size_t n = 0;

	for (size_t i = 0; i < g->wish.n_sysctls; i++)
		if (is_switch(g->sysctls[i].what) ||
		    snapshot_link_by_name(host, g->sysctls[i].what))
			g->sysctls[n++] = g->sysctls[i];
	g->wish.n_sysctls = n;
}

static bool is_on(struct arena *a, const char *path)
{
	uint32_t value = 0;

	return read_number(a, path, &value) && value;
}

/* A gate forwards by its own links alone. */
static bool forwards(struct arena *a, const struct snapshot *host)
{
	if (is_on(a, "ipv4/ip_forward") || is_on(a, "ipv6/conf/all/forwarding"))
		return true;
	for (size_t i = 0; i < host->n_links; i++)
		if (is_on(a, arena_printf(a, "ipv4/conf/%s/forwarding", host->links[i].name)))
			return true;
	return false;
}

static void look_at_switches(struct guard *g, struct arena *a)
{
	for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
		uint32_t now;

		if (!find(g, switches[i].what) && read_number(a, switches[i].path, &now) && !now)
			remember(g, switches[i].what, 0);
	}
}

static void look_at_filters(struct guard *g, struct arena *a, const struct snapshot *host)
{
	bool through = is_on(a, "ipv4/ip_forward");
	uint32_t all = 0;

	(void)read_number(a, "ipv4/conf/all/rp_filter", &all);
	for (size_t i = 0; i < g->memory.n_doors; i++) {
		const struct guard_door *d = &g->memory.doors[i];
		uint32_t own;

		/* The kernel takes the higher of the two. */
		if ((d->tunnel || (through && guard_leads_on(&g->memory, host, d))) &&
		    read_number(a, path_of(a, d->name), &own) && (own > all ? own : all) == 1)
			remember(g, d->name, own);
	}
}

void guard_sysctls_look(struct guard *g, const struct snapshot *host)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *expires;
	struct err e;

	if (!g->settled && g->nft)
		list_remembered(g->nft, g);
	forget_gone(g, host);
	look_at_switches(g, &a);
	look_at_filters(g, &a, host);
	g->wish.forwards = forwards(&a, host);
	g->wish.ipsec = sysctl_get(&a, "core/xfrm_acq_expires", &expires, &e) == 0;
}

static const char *whom_it_silences(const struct guard *g, const char *link)
{
	for (size_t i = 0; i < g->memory.n_doors; i++)
		if (str_eq(g->memory.doors[i].name, link) && g->memory.doors[i].tunnel)
			return "peers who ask for an address of the LAN";
	return "published ports";
}

int guard_sysctls_set(struct guard *g, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < g->wish.n_sysctls; i++) {
		const struct guard_sysctl *s = &g->sysctls[i];
		bool changed = false;

		r = sysctl_set(path_of(&a, s->what), arena_printf(&a, "%u", value_of(s->what)),
			       &changed, e);
		if (r == -ENOENT) /* its link has just gone */
			r = 0;
		if (r == 0 && changed && !is_switch(s->what))
			guard_log("%s: rp_filter is strict, which would silence %s: "
				  "loose (2) while the guard stands, then %u again",
				  s->what, whom_it_silences(g, s->what), s->was);
		else if (r == 0 && changed && g->settled)
			guard_repaired(g, "net/%s was switched off", path_of(&a, s->what));
	}
	return r;
}

int guard_sysctls_restore(struct nft *nft, struct err *e)
{
	struct guard was = GUARD_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	int result = 0;

	list_remembered(nft, &was);
	for (size_t i = 0; i < was.wish.n_sysctls; i++) {
		const struct guard_sysctl *s = &was.sysctls[i];
		const char *path = path_of(&a, s->what);
		uint32_t now;
		int r;

		/* Whoever has set it to something else since has the last word. */
		if (!read_number(&a, path, &now) || now != value_of(s->what))
			continue;
		r = sysctl_set(path, arena_printf(&a, "%u", s->was), NULL, e);
		if (r < 0 && r != -ENOENT)
			result = r;
	}
	free(was.sysctls);
	return result;
}
