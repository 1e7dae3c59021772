/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/complete.h"

#include "base/text.h"
#include "sys/engine.h"
#include "sys/netns.h"
#include "wire/engine.h"

#include <ctype.h>
#include <dirent.h>
#include <net/if.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

/* Somebody waits with a finger on the key. */
#define ENGINE_LIMIT_MS 500
#define CONFIG_DIR      "/etc/sallyport"

/* @s without @end; NULL if it does not end so. */
static const char *without(struct arena *a, const char *s, const char *end)
{
	size_t len = strlen(s), end_len = strlen(end);

	if (len <= end_len || !str_eq(s + len - end_len, end))
		return NULL;
	return arena_strndup(a, s, len - end_len);
}

static void add_files(struct complete_answer *out, const struct complete_words *words)
{
	(void)words;
	out->files = true;
}

/* --- gates and rooms ------------------------------------------------------------------ */

/* The names of namespaces; none if that cannot be read. */
static size_t list_names(struct arena *a, const char ***ret)
{
	struct err ignored;
	size_t n;

	return netns_list(a, ret, &n, &ignored) == 0 ? n : 0;
}

static void add_gates(struct complete_answer *out, const struct complete_words *words)
{
	const char **names;
	size_t n = list_names(out->a, &names);

	(void)words;
	for (size_t i = 0; i < n; i++) {
		const char *gate = without(out->a, names[i], ".gate");

		if (gate)
			complete_add(out, gate, NULL);
	}
}

/* Is it GATE or GATE.ROOM of a gate that stands? */
static bool is_room(struct arena *a, const char *name, const char **names, size_t n)
{
	const char *gate = arena_printf(a, "%.*s.gate", (int)strcspn(name, "."), name);
	bool stands = false;

	for (size_t i = 0; i < n; i++)
		stands |= str_eq(names[i], gate);
	return stands && !str_eq(name, gate);
}

static void add_rooms(struct complete_answer *out, const struct complete_words *words)
{
	const char **names;
	size_t n = list_names(out->a, &names);

	(void)words;
	for (size_t i = 0; i < n; i++)
		if (is_room(out->a, names[i], names, n))
			complete_add(out, names[i], NULL);
}

/* Gates that have a configuration, whether they are up or not. */
static void add_configured(struct complete_answer *out, const struct complete_words *words)
{
	DIR *dir;

	if (!str_eq(words->verb, "up"))
		return;
	dir = opendir(CONFIG_DIR);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		const char *name = without(out->a, d->d_name, ".conf");

		if (name)
			complete_add(out, name, NULL);
	}
	if (dir)
		closedir(dir);
}

/* What --default takes: a VPN door is called as its file. */
static void add_ways(struct complete_answer *out, const struct complete_words *words)
{
	complete_add(out, "vpn", NULL);
	complete_add(out, "lan", NULL);
	complete_add(out, "none", NULL);
	for (size_t i = 0; i < words->n_vpn; i++) {
		const char *slash = strrchr(words->vpn[i], '/');
		const char *base = slash ? slash + 1 : words->vpn[i];
		const char *dot = strrchr(base, '.');

		complete_add(out,
			     dot && dot != base ? arena_strndup(out->a, base, (size_t)(dot - base))
						: base,
			     NULL);
	}
}

/* --- the host ---------------------------------------------------------------------------- */

static void add_links(struct complete_answer *out, const struct complete_words *words)
{
	struct if_nameindex *links = if_nameindex();

	(void)words;
	for (struct if_nameindex *l = links; l && l->if_index; l++)
		complete_add(out, l->if_name, NULL);
	if (links)
		if_freenameindex(links);
}

static void add_users(struct complete_answer *out, const struct complete_words *words)
{
	(void)words;
	setpwent();
	for (struct passwd *p; (p = getpwent());)
		complete_add(out, p->pw_name, NULL);
	endpwent();
}

/* --- container engines ---------------------------------------------------------------- */

static void add_sockets(struct complete_answer *out, const struct complete_words *words)
{
	(void)words;
	if (access(ENGINE_DOCKER, F_OK) == 0)
		complete_add(out, ENGINE_DOCKER, "Docker");
	if (access(ENGINE_PODMAN, F_OK) == 0)
		complete_add(out, ENGINE_PODMAN, "Podman");
	out->files = true;
}

/* Those that run; none of an engine that we may not ask, or that is slow. */
static void add_containers_of(struct complete_answer *out, const char *socket)
{
	const struct engine_request q = { .path = "/containers/json",
					  .timeout_ms = ENGINE_LIMIT_MS };
	struct engine_listed *listed;
	struct engine_answer got;
	struct err ignored;
	size_t n;

	if (access(socket, W_OK) < 0 || engine_ask(out->a, socket, &q, &got, &ignored) < 0 ||
	    got.status != 200 ||
	    engine_read_list(out->a, got.body, got.size, &listed, &n, &ignored) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		complete_add(out, listed[i].name, NULL);
}

static void add_containers(struct complete_answer *out, const struct complete_words *words)
{
	const char *engine = cli_engine_path(words->engine);

	if (engine) {
		add_containers_of(out, engine);
		return;
	}
	add_containers_of(out, ENGINE_DOCKER);
	add_containers_of(out, ENGINE_PODMAN);
}

/* --- sorts of values ------------------------------------------------------------------ */

typedef void complete_fn(struct complete_answer *out, const struct complete_words *words);

/* NULL: a word of the user's own, of which there is no list. */
static const struct {
	const char *word;
	complete_fn *add;
} sorts[] = {
	{ "ADDRESS", NULL },
	{ "ARGUMENT", NULL },
	{ "BYTES", NULL },
	{ "CLIENT", NULL },
	{ "COMMAND", NULL },
	{ "CONTAINER", add_containers },
	{ "DIRECTORY", add_files },
	{ "FILE", add_files },
	{ "GATE", add_gates },
	{ "GATE[.ROOM]", add_rooms },
	{ "INTERFACE", add_links },
	{ "MARK", NULL },
	{ "NAME", add_configured },
	{ "PATH", add_files },
	{ "PID", NULL },
	{ "PORT", NULL },
	{ "PREFIX", NULL },
	{ "RUNC", add_files },
	{ "SECONDS", NULL },
	{ "SERVER", NULL },
	{ "SERVER[:PORT]", NULL },
	{ "SOCKET", add_sockets },
	{ "TOS", NULL },
	{ "UID", NULL },
	{ "USER", add_users },
	{ "WAY", add_ways },
	{ "WORD", NULL },
};

/* ARRAY_LEN(sorts): none of that name. */
static size_t find_sort(const char *word, size_t len)
{
	size_t i = 0;

	while (i < ARRAY_LEN(sorts) &&
	       !(strlen(sorts[i].word) == len && strncmp(sorts[i].word, word, len) == 0))
		i++;
	return i;
}

/* "learn|alias": the value itself. */
static bool is_literal(const char *word)
{
	return islower((unsigned char)*word);
}

void complete_value(struct complete_answer *out, const struct complete_words *words,
		    const char *word)
{
	for (size_t len; word && *word; word += len + (word[len] == '|')) {
		size_t i;

		len = strcspn(word, "|");
		i = find_sort(word, len);
		if (is_literal(word))
			complete_add(out, arena_strndup(out->a, word, len), NULL);
		else if (i < ARRAY_LEN(sorts) && sorts[i].add)
			sorts[i].add(out, words);
	}
}

bool complete_knows(const char *word)
{
	for (size_t len; *word; word += len + (word[len] == '|')) {
		len = strcspn(word, "|");
		if (!is_literal(word) && find_sort(word, len) == ARRAY_LEN(sorts))
			return false;
	}
	return true;
}
