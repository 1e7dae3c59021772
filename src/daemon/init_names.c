/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/init_names.h"

#include "base/text.h"
#include "sys/files.h"

#include <stdio.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_MAX  ((size_t)65536)

void init_names_before(const struct init_names *n, struct resolvconf_names *ret)
{
	resolvconf_read(n->before, ret);
}

static void add_all(struct resolvconf_names *to, const struct resolvconf_names *from)
{
	for (size_t i = 0; i < from->n_servers; i++)
		if (!ip_is_loopback(&from->servers[i]))
			resolvconf_add_server(to, &from->servers[i]);
}

/*
 * Those before us that are no engine's own are asked by the tunnel, or, closed
 * as it is, by nothing.
 */
static void choose(const struct init_names *n, struct resolvconf_names *ret)
{
	struct resolvconf_names before;

	*ret = n->chosen.n_servers ? n->chosen : n->vpn;
	if (n->chosen.n_servers)
		snprintf(ret->search, sizeof(ret->search), "%s", n->vpn.search);
	if (ret->n_servers)
		return;
	init_names_before(n, &before);
	add_all(ret, &before);
	resolvconf_read_docker(n->before, &before);
	add_all(ret, &before);
}

static void put(struct init_names *n, const char *text)
{
	struct err e;

	if (file_write(RESOLV_CONF, text, &e) == 0)
		return;
	n->off = true;
	fprintf(stderr,
		"sallyport: %s; names are asked where the engine says, and may be heard past the "
		"tunnel: docker run --dns ADDRESS names a server behind it\n",
		e.text);
}

void init_names_open(struct init_names *n, bool on)
{
	const char *text;
	size_t size;
	struct err e;

	n->off = !on;
	n->before = "";
	if (file_read(n->arena, RESOLV_CONF, RESOLV_MAX, &text, &size, &e) == 0)
		n->before = resolvconf_before(n->arena, text);
	if (on)
		(void)init_names_apply(n);
	else if (n->before[0] && !str_eq(n->before, text))
		put(n, n->before);
}

bool init_names_apply(struct init_names *n)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct resolvconf_names names;

	if (n->off)
		return true;
	choose(n, &names);
	put(n, resolvconf_write(&a, n->before, &names));
	return names.n_servers > 0;
}

void init_names_close(struct init_names *n)
{
	if (n->before && n->before[0] && !n->off)
		put(n, n->before);
}
