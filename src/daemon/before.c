/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's sysctls as they were before us stand in its table, as comments of chain
 * `before_NAME`.  Whoever deletes that table takes them away, and so they stand in a
 * file as well, for the moment in which nobody is there to write the table anew.
 */
#include "daemon/supervisor.h"

#include "sys/files.h"
#include "sys/sysctl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
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

/* With a dot, which no door's directory has in its name. */
static const char *copy_path(struct arena *a, const char *gate)
{
	return arena_printf(a, RUN_DIR "/%s/before.sysctl", gate);
}

int before_keep(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text t CLEANUP_TEXT = { 0 };
	int r;

	if (s->n_before == s->n_before_kept)
		return 0;
	for (size_t i = 0; i < s->n_before; i++)
		text_addf(&t, "%s %s\n", s->before[i].path, s->before[i].value);
	r = file_write(copy_path(&a, s->gate.name), text_str(&t), e);
	if (r == 0)
		s->n_before_kept = s->n_before;
	return r;
}

static bool has_path(const struct plan_sysctl *items, size_t n, const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(items[i].path, path))
			return true;
	return false;
}

/* What the copy has besides.  A line without its end was being written. */
static void add_copy(struct arena *a, const char *gate, struct plan_sysctl **items, size_t *n)
{
	struct plan_sysctl *all = NULL;
	size_t n_all = 0, cap = 0, size;
	const char *text, *end;
	struct err ignored;

	if (file_read(a, copy_path(a, gate), FILE_READ_MAX, &text, &size, &ignored) < 0)
		return;
	for (size_t i = 0; i < *n; i++)
		*arena_push(a, all, n_all, cap) = (*items)[i];
	for (; (end = strchr(text, '\n')); text = end + 1) {
		size_t before = n_all;

		read_comment(a, arena_strndup(a, text, (size_t)(end - text)), &all, &n_all, &cap);
		if (n_all > before && has_path(all, before, all[before].path))
			n_all = before;
	}
	*items = all;
	*n = n_all;
}

int before_read(struct nft *n, struct arena *a, const char *gate, struct plan_sysctl **ret,
		size_t *ret_n, struct err *e)
{
	int r = before_read_chain(n, a, PLAN_NFT_HOST, arena_printf(a, "before_%s", gate), ret,
				  ret_n, e);

	if (r == 0)
		add_copy(a, gate, ret, ret_n);
	return r;
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

static void remember(struct supervisor *s, const char *path, const char *value)
{
	struct plan_sysctl *b;

	if (has_path(s->before, s->n_before, path))
		return;
	b = arena_push(&s->arena, s->before, s->n_before, s->cap_before);
	b->path = arena_strdup(&s->arena, path);
	b->value = arena_strdup(&s->arena, value);
}

/* What is known of @link's sysctls holds for @now, too, which it is called. */
static void remember_as(struct supervisor *s, struct arena *a, const char *link, const char *now)
{
	const char *part = arena_printf(a, "/conf/%s/", link);
	size_t n = s->n_before;

	for (size_t i = 0; i < n; i++) {
		const char *path = s->before[i].path, *at = strstr(path, part);

		if (at)
			remember(s,
				 arena_printf(a, "%.*s/conf/%s/%s", (int)(at - path), path, now,
					      at + strlen(part)),
				 s->before[i].value);
	}
}

/* As it was seen last; NULL: it is new.  Mostly in the same place of the list. */
static const struct before_link *known_link(const struct supervisor *s, int index, size_t place)
{
	if (place < s->n_before_links && s->before_links[place].index == index)
		return &s->before_links[place];
	for (size_t i = 0; i < s->n_before_links; i++)
		if (s->before_links[i].index == index)
			return &s->before_links[i];
	return NULL;
}

/*
 * udev(7) names an interface after it has come, and often after we have seen it: its
 * sysctls it keeps under the other name, and nobody shall take what we wrote for what
 * was there.  Nothing is forgotten under the first name, which another one may have next.
 */
void before_follow(struct supervisor *s, struct arena *a, const struct snapshot *host)
{
	struct before_link *now = malloc((host->n_links + 1) * sizeof(*now));

	if (!now)
		abort();
	for (size_t i = 0; i < host->n_links; i++) {
		const struct link *l = &host->links[i];
		const struct before_link *known = known_link(s, l->index, i);

		if (known && !plan_link_is_ours(l) && !str_eq(known->name, l->name))
			remember_as(s, a, known->name, l->name);
		now[i].index = l->index;
		snprintf(now[i].name, sizeof(now[i].name), "%s", l->name);
	}
	free(s->before_links);
	s->before_links = now;
	s->n_before_links = host->n_links;
}

void before_note(struct supervisor *s, struct arena *a, const struct want *w)
{
	bool change = false, all6 = false;
	const char *now;

	for (size_t i = 0; i < w->n_sysctls; i++)
		if (w->sysctls[i].restore &&
		    place_sysctl_differs(&s->host, a, &w->sysctls[i], &now)) {
			remember(s, w->sysctls[i].path, now);
			change = true;
			all6 |= str_eq(w->sysctls[i].path, PLAN_FORWARDING6_ALL);
		}
	for (size_t i = 0; change && i < w->n_sysctls; i++) {
		struct err e;

		/* Once that is written, a link's own is our doing. */
		if (!w->sysctls[i].restore || w->sysctls[i].value ||
		    (str_starts(w->sysctls[i].path, "ipv6/") && !all6))
			continue;
		if (sysctl_get_in(&s->host.sysctls, a, w->sysctls[i].path, &now, &e) == 0)
			remember(s, w->sysctls[i].path, now);
	}
}

int before_merge(struct supervisor *s, struct arena *a, struct err *e)
{
	struct plan_sysctl *found;
	size_t n;
	int r;

	if (s->before_known)
		return 0;
	r = before_read(s->host.nft, a, s->gate.name, &found, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		remember(s, found[i].path, found[i].value);
	s->before_known = true;
	return 0;
}

bool before_is_written(struct supervisor *s, struct arena *a, const struct want *w)
{
	const char *now;

	if (!s->host.nft_text || !str_eq(s->host.nft_text, w->nft))
		return true;
	for (size_t i = 0; i < w->n_sysctls; i++)
		if (w->sysctls[i].restore &&
		    place_sysctl_differs(&s->host, a, &w->sysctls[i], &now))
			return true;
	return false;
}
