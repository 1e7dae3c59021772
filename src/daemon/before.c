/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's sysctls as they were before us stand in its table, as comments of chain
 * `before_NAME`.  Whoever deletes that table takes them away, and so they stand in a
 * file as well, for the moment in which nobody is there to write the table anew.
 *
 * Another file says which links were called so, by their indices: who takes us away, or
 * over, finds those that somebody has renamed while no supervisor ran.
 */
#include "daemon/supervisor.h"

#include "plan/before.h"
#include "sys/files.h"
#include "sys/sysctl.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With a dot, which no door's directory has in its name. */
static const char *copy_path(struct arena *a, const char *gate)
{
	return arena_printf(a, RUN_DIR "/%s/before.sysctl", gate);
}

static const char *links_path(struct arena *a, const char *gate)
{
	return arena_printf(a, RUN_DIR "/%s/before.links", gate);
}

/* Where in @path the name @link begins, if it is about that one; NULL. */
static const char *find_link(const char *path, const char *link)
{
	const char *at = strstr(path, "/conf/");
	size_t len = strlen(link);

	at = at ? at + strlen("/conf/") : NULL;
	return at && strncmp(at, link, len) == 0 && at[len] == '/' ? at : NULL;
}

/* Before anything is written to them: "2 eth0", a line for each. */
static int keep_links(struct supervisor *s, struct arena *a, struct err *e)
{
	struct text t CLEANUP_TEXT = { 0 };
	uint64_t h;
	int r;

	for (size_t i = 0; i < s->n_before_links; i++)
		if (!str_starts(s->before_links[i].name, "sp-"))
			text_addf(&t, "%d %s\n", s->before_links[i].index, s->before_links[i].name);
	h = str_hash(text_str(&t), 1);
	if (h == s->before_links_hash || !s->n_before)
		return 0;
	r = file_replace(a, links_path(a, s->gate.name), text_str(&t), e);
	if (r == 0)
		s->before_links_hash = h;
	return r;
}

static int write_copy(struct arena *a, const char *gate, const struct plan_sysctl *items, size_t n,
		      struct err *e)
{
	struct text t CLEANUP_TEXT = { 0 };

	for (size_t i = 0; i < n; i++)
		text_addf(&t, "%s %s\n", items[i].path, items[i].value);
	return file_replace(a, copy_path(a, gate), text_str(&t), e);
}

int before_leave(struct arena *a, const char *gate, const struct plan_sysctl *items, size_t n,
		 struct err *e)
{
	int r = file_mkdirs(arena_printf(a, RUN_DIR "/%s", gate), 0700, e);

	return r < 0 ? r : write_copy(a, gate, items, n, e);
}

int before_keep(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	bool more = s->n_before != s->n_before_kept;
	int r = more || s->before_links_changed ? keep_links(s, &a, e) : 0;

	if (r < 0)
		return r;
	s->before_links_changed = false;
	if (!more)
		return 0;
	r = write_copy(&a, s->gate.name, s->before, s->n_before, e);
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

/* What the copy has besides. */
static void add_copy(struct arena *a, const char *gate, struct plan_sysctl **items, size_t *n)
{
	struct plan_sysctl *all = NULL;
	size_t n_all = 0, cap = 0, size;
	const char *text, *line;
	struct plan_sysctl one;
	struct err ignored;

	if (file_read(a, copy_path(a, gate), FILE_READ_MAX, &text, &size, &ignored) < 0)
		return;
	for (size_t i = 0; i < *n; i++)
		*arena_push(a, all, n_all, cap) = (*items)[i];
	while ((line = before_line(a, &text)))
		if (before_sysctl(a, line, &one) && !has_path(all, n_all, one.path))
			*arena_push(a, all, n_all, cap) = one;
	*items = all;
	*n = n_all;
}

struct renamed {
	char was[LINK_NAME_SIZE];
	char now[IF_NAMESIZE];
};

/* Those of the copy that are called otherwise now. */
static struct renamed *read_renamed(struct arena *a, const char *gate, size_t *ret_n)
{
	struct renamed *all = NULL, one;
	const char *text, *line;
	unsigned int index;
	size_t cap = 0, size;
	struct err ignored;

	*ret_n = 0;
	if (file_read(a, links_path(a, gate), FILE_READ_MAX, &text, &size, &ignored) < 0)
		return NULL;
	while ((line = before_line(a, &text)))
		if (before_link(line, &index, one.was) && if_indextoname(index, one.now) &&
		    !str_eq(one.was, one.now))
			*arena_push(a, all, *ret_n, cap) = one;
	return all;
}

/* Whose sysctl @path is, by the name that it had or (@now) has. */
static const struct renamed *find_renamed(const struct renamed *all, size_t n, const char *path,
					  bool now)
{
	for (size_t i = 0; i < n; i++)
		if (find_link(path, now ? all[i].now : all[i].was))
			return &all[i];
	return NULL;
}

/*
 * A sysctl goes with its link.  What was known by a name that another link has now is not
 * about that one.
 */
static void follow_links(struct arena *a, const char *gate, struct plan_sysctl *items, size_t *n)
{
	size_t n_renamed, kept = 0;
	const struct renamed *all = read_renamed(a, gate, &n_renamed), *r;

	for (size_t i = 0; i < *n; i++) {
		const char *path = items[i].path, *at;

		r = find_renamed(all, n_renamed, path, false);
		if (!r && find_renamed(all, n_renamed, path, true))
			continue;
		at = r ? find_link(path, r->was) : NULL;
		if (at)
			path = arena_printf(a, "%.*s%s%s", (int)(at - path), path, r->now,
					    at + strlen(r->was));
		items[kept++] = (struct plan_sysctl){ .path = path, .value = items[i].value };
	}
	*n = kept;
}

int before_read(struct nft *n, struct arena *a, const char *gate, struct plan_sysctl **ret,
		size_t *ret_n, struct err *e)
{
	int r = before_read_chain(n, a, PLAN_NFT_HOST, arena_printf(a, "before_%s", gate), ret,
				  ret_n, e);

	if (r < 0)
		return r;
	add_copy(a, gate, ret, ret_n);
	follow_links(a, gate, *ret, ret_n);
	return 0;
}

int before_read_chain(struct nft *n, struct arena *a, const char *table, const char *chain,
		      struct plan_sysctl **ret, size_t *ret_n, struct err *e)
{
	struct plan_sysctl *items = NULL, one;
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
		if (before_sysctl(a, texts[i], &one))
			*arena_push(a, items, count, cap) = one;
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

static void forget_link(struct supervisor *s, const char *link)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_before; i++)
		if (!find_link(s->before[i].path, link))
			s->before[n++] = s->before[i];
	s->n_before = n;
}

/*
 * What @was says of @link's sysctls holds for @now, which it is called.  What was known by
 * that name is about another one: they may have exchanged their names.
 */
static void remember_as(struct supervisor *s, struct arena *a, const struct plan_sysctl *was,
			size_t n, const char *link, const char *now)
{
	forget_link(s, now);
	for (size_t i = 0; i < n; i++) {
		const char *path = was[i].path, *at = find_link(path, link);

		if (at)
			remember(s,
				 arena_printf(a, "%.*s%s%s", (int)(at - path), path, now,
					      at + strlen(link)),
				 was[i].value);
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
bool before_follow(struct supervisor *s, struct arena *a, const struct snapshot *host)
{
	size_t n = s->n_before;
	struct plan_sysctl *was = arena_alloc(a, (n + 1) * sizeof(*was));
	struct before_link *now = malloc((host->n_links + 1) * sizeof(*now));
	bool renamed = false;

	if (!now)
		abort();
	for (size_t i = 0; i < n; i++)
		was[i] = s->before[i];
	s->before_links_changed |= host->n_links != s->n_before_links;
	for (size_t i = 0; i < host->n_links; i++) {
		const struct link *l = &host->links[i];
		const struct before_link *known = known_link(s, l->index, i);

		s->before_links_changed |= !known || !str_eq(known->name, l->name);
		if (known && !plan_link_is_ours(l) && !str_eq(known->name, l->name)) {
			remember_as(s, a, was, n, known->name, l->name);
			renamed = true;
		}
		now[i].index = l->index;
		snprintf(now[i].name, sizeof(now[i].name), "%s", l->name);
	}
	free(s->before_links);
	s->before_links = now;
	s->n_before_links = host->n_links;
	if (renamed)
		s->n_before_kept = 0;
	return renamed;
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
