/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/own_table.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

void own_table_free(struct own_table *t)
{
	free(t->text);
	free(t->listed);
	t->text = t->listed = NULL;
}

bool own_table_has(const struct own_table *t, const char *text)
{
	return t->text && str_eq(t->text, text);
}

void own_table_applied(struct own_table *t, const char *text)
{
	own_table_free(t);
	t->text = strdup(text);
}

static int list(const struct own_table *t, struct nft *nft, struct arena *a, const char **ret,
		struct err *e)
{
	return t->families ? nft_list_tables(nft, a, t->name, ret, e)
			   : nft_list_table(nft, a, t->name, ret, e);
}

int own_table_keep(struct own_table *t, struct nft *nft, const char *text, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *listed;
	int r = list(t, nft, &a, &listed, e);

	if (r < 0)
		return r;
	own_table_applied(t, text);
	t->listed = strdup(listed);
	return 0;
}

bool own_table_changed(struct own_table *t, struct nft *nft, struct nft_watch *w, struct arena *a,
		       const char **ret_what, struct err *ret_failed)
{
	char who[32] = "";
	bool foreign = true;
	const char *listed;
	struct err e;
	int r;

	*ret_failed = (struct err){ 0 };
	if (nft_watch_read(w, &foreign, who, &e) < 0)
		*ret_failed = e;
	if (!foreign || !t->listed)
		return false;
	r = list(t, nft, a, &listed, &e);
	if (r == 0 && str_eq(listed, t->listed))
		return false;
	free(t->text);
	t->text = NULL;
	*ret_what =
		arena_printf(a, "%s%s%s", r < 0 ? "deleted" : "changed", who[0] ? " by " : "", who);
	return true;
}
