/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/rewriters.h"

#include "base/text.h"
#include "plan/plan.h"
#include "sys/files.h"
#include "sys/netns.h"

#include <jansson.h>
#include <string.h>

#define NAMES_MAX 4096

static const char *member(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static json_t *list(struct nft *n, const char *what)
{
	json_t *root = NULL;
	struct err e;

	return nft_list_root(n, what, &root, &e) < 0 ? NULL : root;
}

/* What iptables(8) translated stands there as "xt", which nft does not spell out. */
static bool rewrites(const json_t *rule)
{
	json_t *expr;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, expr)
	{
		if (json_object_get(expr, "dnat") || json_object_get(expr, "redirect") ||
		    json_object_get(expr, "tproxy") || json_object_get(expr, "xt"))
			return true;
	}
	return false;
}

static bool table_rewrites(struct nft *n, const char *table)
{
	json_t *root = list(n, table), *item;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const json_t *rule = json_object_get(item, "rule");

		if (rule && rewrites(rule))
			found = true;
	}
	json_decref(root);
	return found;
}

static bool may_rewrite(const json_t *chain)
{
	return str_eq(member(chain, "type"), "nat") &&
	       str_eq(member(chain, "hook"), "prerouting") &&
	       !str_starts(member(chain, "table"), PLAN_NFT_HOST);
}

static void add(struct text *t, const char *words)
{
	if (!strstr(text_str(t), words))
		text_addf(t, "%s%s", t->len ? ", " : "", words);
}

static void find_tables(struct nft *n, struct arena *a, struct text *t)
{
	json_t *root = list(n, "chains"), *item;
	size_t i;

	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const json_t *chain = json_object_get(item, "chain");
		const char *table = arena_printf(a, "table %s %s", member(chain, "family"),
						 member(chain, "table"));

		if (chain && may_rewrite(chain) && table_rewrites(n, table))
			add(t, table);
	}
	json_decref(root);
}

/* The modules of the old iptables(8) that are at work in this namespace. */
static void find_old_iptables(struct arena *a, int netns_fd, struct text *t)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	const char *names;
	size_t size;
	struct err e;

	if (netns_fd >= 0 && netns_enter(netns_fd, &visit, &e) < 0)
		return;
	if (file_read(a, "/proc/thread-self/net/ip_tables_names", NAMES_MAX, &names, &size, &e) ==
		    0 &&
	    strstr(names, "nat"))
		add(t, "iptables-legacy");
}

const char *rewriters_find(struct nft *n, struct arena *a, int netns_fd)
{
	struct text t CLEANUP_TEXT = { 0 };

	find_tables(n, a, &t);
	find_old_iptables(a, netns_fd, &t);
	return arena_strdup(a, text_str(&t));
}
