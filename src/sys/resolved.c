/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/resolved.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/proc.h"
#include "wire/resolvectl.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define DIRECTORY "/run/systemd/resolve"
#define LIMIT_MS  5000

/* The last one follows from the others until somebody sets it. */
static const char *const settings[RESOLVED_SETTINGS] = {
	"dns", "domain", "nta", "llmnr", "mdns", "dnsovertls", "dnssec", "default-route",
};

/* What is in its directory outlives it, and asking it would start it. */
static bool runs(void)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX,
				  .sun_path = DIRECTORY "/io.systemd.Resolve" };
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	return fd >= 0 && (connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0 || errno == EAGAIN);
}

static const char *read_kept(struct arena *a, const char *path)
{
	const char *text;
	struct err ignored;
	size_t size;

	return file_read(a, path, FILE_READ_MAX, &text, &size, &ignored) == 0 ? text : NULL;
}

void resolved_look(struct arena *a, struct resolved *ret)
{
	const struct dirent *entry;
	DIR *dir;

	*ret = (struct resolved){ 0 };
	ret->runs = runs();
	if (!ret->runs)
		return;
	ret->uplinks = read_kept(a, DIRECTORY "/resolv.conf");
	dir = opendir(DIRECTORY "/netif"); /* a file for each link that it was told about */
	while (dir && (entry = readdir(dir))) {
		uint32_t index;
		const char *kept;

		if (!str_to_u32(entry->d_name, INT32_MAX, &index))
			continue;
		kept = read_kept(a, arena_printf(a, DIRECTORY "/netif/%u", index));
		if (kept)
			*arena_push(a, ret->links, ret->n_links, ret->cap_links) =
				(struct resolved_link){ .index = (int)index, .kept = kept };
	}
	if (dir)
		closedir(dir);
}

const char *resolved_kept(const struct resolved *r, int index)
{
	for (size_t i = 0; i < r->n_links; i++)
		if (r->links[i].index == index)
			return r->links[i].kept;
	return NULL;
}

static int run(struct arena *a, const char *const *argv, const char **ret, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_NONE;
	int status;
	int r;

	spec.argv = argv;
	r = proc_run(&spec, NULL, LIMIT_MS, a, ret, &status, e);
	if (r == 0 && status)
		r = err_set(e, EIO, "%s", **ret ? *ret : "failed");
	return r < 0 ? err_wrap(e, r, "%s %s", argv[0], argv[1]) : 0;
}

static int ask(struct arena *a, const char *setting, const char **ret, struct err *e)
{
	const char *const argv[] = { "resolvectl", setting, NULL };

	return run(a, argv, ret, e);
}

int resolved_ask(struct arena *a, struct resolved *r, struct err *e)
{
	int done = 0;

	for (size_t i = 0; r->runs && done == 0 && i < RESOLVED_SETTINGS; i++)
		done = ask(a, settings[i], &r->said[i], e);
	return done;
}

/* NULL: it says nothing of it. */
static const char *words(struct arena *a, const struct resolved *r, size_t setting, int index)
{
	return r->said[setting] ? resolvectl_words(a, r->said[setting], index) : NULL;
}

bool resolved_agree(const struct resolved *a, const struct resolved *b, int index)
{
	struct arena arena CLEANUP_ARENA = { 0 };

	for (size_t i = 0; i < RESOLVED_SETTINGS; i++) {
		const char *x = words(&arena, a, i, index), *y = words(&arena, b, i, index);

		if (x && y ? !str_eq(x, y) : x != y)
			return false;
	}
	return true;
}

int resolved_forget(int index, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *const argv[] = { "resolvectl", "revert", arena_printf(&a, "%d", index), NULL };
	const char *said;

	return run(&a, argv, &said, e);
}

/* resolvectl dns 2 WORD... */
static int tell(struct arena *a, int index, const char *setting, const char *list, struct err *e)
{
	const char **argv = arena_alloc(a, (strlen(list) / 2 + 6) * sizeof(*argv));
	const char *said;
	size_t n = 0;

	argv[n++] = "resolvectl";
	argv[n++] = setting;
	argv[n++] = arena_printf(a, "%d", index);
	if (!*list)
		argv[n++] = "";
	for (const char *s = list; *s; s += *s == ' ') {
		size_t len = strcspn(s, " ");

		argv[n++] = arena_strndup(a, s, len);
		s += len;
	}
	return run(a, argv, &said, e);
}

int resolved_tell(const struct resolved *was, int index, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < RESOLVED_SETTINGS; i++) {
		const char *said, *old = words(&a, was, i, index), *now;

		if (!old)
			continue;
		r = ask(&a, settings[i], &said, e);
		now = r == 0 ? resolvectl_words(&a, said, index) : NULL;
		if (now && !str_eq(now, old))
			r = tell(&a, index, settings[i], old, e);
	}
	return r;
}
