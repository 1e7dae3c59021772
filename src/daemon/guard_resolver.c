/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A client that goes sets back what it changed; one that is killed does not.  Of
 * resolv.conf the text is enough.  systemd-resolved forgets what it was told about
 * a tunnel when that goes, but not what it was told about another link: it has to
 * be asked beforehand, for its own files are not for others to read.
 */
#include "daemon/guard_resolver.h"

#include "base/text.h"
#include "sys/files.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define MEMORY      "/run/sallyport/guard.names" /* no gate can have a dot in its name */

const char *const resolver_directories[] = {
	"/etc",
	"/run/systemd/resolve",
	"/run/systemd/resolve/netif",
	NULL,
};

static void take_files(struct arena *a, struct resolver_before *b)
{
	char target[PATH_MAX];
	ssize_t len = readlink(RESOLV_CONF, target, sizeof(target) - 1);
	struct err e;
	size_t size;

	if (len > 0)
		b->target = arena_strndup(a, target, (size_t)len);
	if (file_read(a, RESOLV_CONF, FILE_READ_MAX, &b->conf, &size, &e) < 0)
		b->conf = NULL;
	resolved_look(a, &b->resolved);
}

void resolver_take(struct arena *a, struct resolver_before *ret)
{
	struct err e;

	take_files(a, ret);
	/* Links of whose settings nothing is known are left alone. */
	if (resolved_ask(a, &ret->resolved, &e) < 0)
		memset(ret->resolved.said, 0, sizeof(ret->resolved.said));
}

static bool same_text(const char *a, const char *b)
{
	return a && b ? str_eq(a, b) : a == b;
}

static const char *servers_of(struct arena *a, const char *text)
{
	const char *s = text ? text : "", *found = "";

	for (; *s; s += strcspn(s, "\n"), s += *s == '\n') {
		const char *word = s + strlen("nameserver");

		if (!str_starts(s, "nameserver"))
			continue;
		word += strspn(word, " \t");
		found = arena_printf(a, "%s %.*s", found, (int)strcspn(word, " \t\n"), word);
	}
	return *found ? found + 1 : "none";
}

static bool conf_differs(const struct resolver_before *b, const struct resolver_before *now)
{
	/* What a link points to is its owner's affair; another content need not be the client's. */
	return !same_text(now->target, b->target) || (!b->target && !same_text(now->conf, b->conf));
}

/* " tun0": links about which the service was told something else than before; "" for none. */
static const char *links_that_differ(struct arena *a, const struct resolved *b,
				     const struct resolved *now)
{
	struct if_nameindex *all = if_nameindex();
	const char *names = "";

	for (size_t i = 0; all && all[i].if_index; i++)
		if (!same_text(resolved_kept(b, (int)all[i].if_index),
			       resolved_kept(now, (int)all[i].if_index)))
			names = arena_printf(a, "%s %s", names, all[i].if_name);
	if (all)
		if_freenameindex(all);
	return names;
}

bool resolver_differs(struct arena *a, const struct resolver_before *b, const char **ret_words)
{
	struct resolver_before now = { 0 };
	const char *links, *words = "";

	take_files(a, &now);
	if (conf_differs(b, &now))
		words = arena_printf(a, RESOLV_CONF " was changed, name servers: %s",
				     servers_of(a, now.conf));
	links = links_that_differ(a, &b->resolved, &now.resolved);
	if (*links || !same_text(b->resolved.uplinks, now.resolved.uplinks))
		words = arena_printf(a,
				     "%s%ssystemd-resolved was told of other name servers%s%s, "
				     "and asks: %s",
				     words, *words ? "; " : "", *links ? " for" : "", links,
				     servers_of(a, now.resolved.uplinks));
	*ret_words = words;
	return *words;
}

static int restore_conf(const struct resolver_before *b, struct err *e)
{
	if (b->target || !b->conf)
		if (unlink(RESOLV_CONF) < 0 && errno != ENOENT)
			return err_errno(e, errno, "remove " RESOLV_CONF);
	if (b->target) {
		if (symlink(b->target, RESOLV_CONF) < 0)
			return err_errno(e, errno, RESOLV_CONF);
		return 0;
	}
	return b->conf ? file_write(RESOLV_CONF, b->conf, e) : 0;
}

/* NetworkManager(8) says more when a lease changes; what was before may be wrong by now. */
static bool is_managed(int index)
{
	struct arena a CLEANUP_ARENA = { 0 };

	return access(arena_printf(&a, "/run/NetworkManager/devices/%d", index), F_OK) == 0;
}

/* What was said of a link that networkd configures is its own to say again. */
static int restore_link(const struct resolved *b, const struct resolved *now, int index, bool all,
			struct err *e)
{
	int r;

	if (resolved_agree(b, now, index) || (!all && is_managed(index)))
		return 0;
	r = resolved_forget(index, e);
	return r < 0 || !resolved_kept(b, index) ? r : resolved_tell(b, index, e);
}

static int restore_links(struct arena *a, const struct resolved *b, struct resolved *now, bool all,
			 struct err *e)
{
	struct if_nameindex *links;
	struct err later;
	int r;

	if (!b->said[RESOLVED_SETTINGS - 1] || !now->runs)
		return 0;
	r = resolved_ask(a, now, e);
	links = r == 0 ? if_nameindex() : NULL;
	for (size_t i = 0; links && links[i].if_index; i++) {
		int one = restore_link(b, now, (int)links[i].if_index, all, &later);

		if (one < 0 && r == 0)
			r = err_set(e, -one, "%s: %s", links[i].if_name, later.text);
	}
	if (links)
		if_freenameindex(links);
	return r;
}

/* --- what outlives a guard --------------------------------------------------------------- */

static json_t *encode(const struct resolver_before *b)
{
	json_t *links = json_array(), *said = json_array();

	for (size_t i = 0; i < b->resolved.n_links; i++)
		json_array_append_new(links,
				      json_pack("{siss}", "index", b->resolved.links[i].index,
						"kept", b->resolved.links[i].kept));
	for (size_t i = 0; i < RESOLVED_SETTINGS && b->resolved.said[i]; i++)
		json_array_append_new(said, json_string(b->resolved.said[i]));
	return json_pack("{ss?ss?soso}", "conf", b->conf, "target", b->target, "links", links,
			 "said", said);
}

static const char *decode_text(struct arena *a, const json_t *value)
{
	const char *s = json_string_value(value);

	return s ? arena_strdup(a, s) : NULL;
}

static void decode(struct arena *a, const json_t *from, struct resolver_before *ret)
{
	const json_t *item;
	size_t i;

	*ret = (struct resolver_before){ 0 };
	ret->conf = decode_text(a, json_object_get(from, "conf"));
	ret->target = decode_text(a, json_object_get(from, "target"));
	json_array_foreach(json_object_get(from, "links"), i, item)
	{
		struct resolved *r = &ret->resolved;
		const char *kept = decode_text(a, json_object_get(item, "kept"));

		if (kept)
			*arena_push(a, r->links, r->n_links, r->cap_links) = (struct resolved_link){
				.index = (int)json_integer_value(json_object_get(item, "index")),
				.kept = kept
			};
	}
	json_array_foreach(json_object_get(from, "said"), i, item) if (i < RESOLVED_SETTINGS)
		ret->resolved.said[i] = decode_text(a, item);
}

json_t *resolver_encode(const struct resolver_before *b)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct resolver_before now = { 0 };

	take_files(&a, &now);
	return json_pack("{soso}", "before", encode(b), "now", encode(&now));
}

bool resolver_decode(struct arena *a, const json_t *from, struct resolver_before *ret)
{
	struct resolver_before then, now = { 0 };

	decode(a, json_object_get(from, "before"), ret);
	decode(a, json_object_get(from, "now"), &then);
	take_files(a, &now);
	return from && !conf_differs(&then, &now) &&
	       !*links_that_differ(a, &then.resolved, &now.resolved);
}

int resolver_save(const struct resolver_before *b, struct err *e)
{
	json_t *root = resolver_encode(b);
	char *text = root ? json_dumps(root, 0) : NULL;
	int r;

	json_decref(root);
	if (!text) /* no UTF-8 */
		return err_set(e, EILSEQ, "cannot keep the name servers in " MEMORY);
	r = file_mkdirs("/run/sallyport", 0755, e);
	if (r == 0)
		r = file_write(MEMORY, text, e);
	free(text);
	return r;
}

bool resolver_recall(struct arena *a, struct resolver_before *ret)
{
	const char *text;
	struct err ignored;
	json_t *root;
	size_t size;
	bool same;

	if (file_read(a, MEMORY, FILE_READ_MAX, &text, &size, &ignored) < 0)
		return false;
	root = json_loads(text, 0, NULL);
	same = resolver_decode(a, root, ret);
	json_decref(root);
	if (!same)
		(void)unlink(MEMORY);
	return same;
}

int resolver_restore(const struct resolver_before *b, bool all, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct resolver_before now = { 0 };
	struct err later;
	int r = 0, links;

	take_files(&a, &now);
	if (conf_differs(b, &now))
		r = restore_conf(b, e);
	links = restore_links(&a, &b->resolved, &now.resolved, all, &later);
	(void)unlink(MEMORY);
	return links < 0 && r == 0 ? err_set(e, -links, "%s", later.text) : r;
}
