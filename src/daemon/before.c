/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include <errno.h>
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
	return before_read_chain(n, a, PLAN_NFT_HOST, arena_printf(a, "before_%s", gate), ret,
				 ret_n, e);
}

int before_read_chain(struct nft *n, struct arena *a, const char *table, const char *chain,
		      struct plan_sysctl **ret, size_t *ret_n, struct err *e)
{
	struct plan_sysctl *items = NULL;
	size_t count = 0, cap = 0, n_texts = 0;
	const char *const *texts;
	int r;

	*ret = NULL;
	*ret_n = 0;
	r = nft_comments(n, a, table, chain, &texts, &n_texts, e);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_texts; i++)
		read_comment(a, texts[i], &items, &count, &cap);
	*ret = items;
	*ret_n = count;
	return 0;
}
