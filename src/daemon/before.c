/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

/* "ipv4/conf/eth0/forwarding 0": the comment of one rule of chain `before_NAME`. */
static void read_comment(struct arena *a, const char *comment, struct plan_sysctl **items,
			 size_t *n, size_t *cap)
{
	const char *blank = strchr(comment, ' ');
	struct plan_sysctl *s;

	if (!blank)
		return;
	s = arena_push(a, *items, *n, *cap);
	s->path = arena_strndup(a, comment, (size_t)(blank - comment));
	s->value = arena_strdup(a, blank + 1);
}

int before_read(struct nft *n, struct arena *a, const char *gate, struct plan_sysctl **ret,
		size_t *ret_n, struct err *e)
{
	return before_read_chain(n, a, arena_printf(a, PLAN_NFT_HOST " before_%s", gate), ret,
				 ret_n, e);
}

int before_read_chain(struct nft *n, struct arena *a, const char *chain, struct plan_sysctl **ret,
		      size_t *ret_n, struct err *e)
{
	struct plan_sysctl *items = NULL;
	size_t count = 0, cap = 0, i;
	const char *json;
	json_t *root, *item;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = nft_list_json(n, a, arena_printf(a, "chain inet %s", chain), &json, e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	root = json_loads(json, 0, NULL);
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		json_t *rule = json_object_get(item, "rule");
		const char *comment = json_string_value(json_object_get(rule, "comment"));

		if (comment)
			read_comment(a, comment, &items, &count, &cap);
	}
	json_decref(root);
	*ret = items;
	*ret_n = count;
	return 0;
}
