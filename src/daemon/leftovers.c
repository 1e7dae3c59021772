/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a supervisor of this gate left when it was killed, and what this one does not take
 * over: its VPN clients with their interfaces, since their doors are started anew, and
 * rooms and files of doors that the configuration does not name any more.
 */
#include "daemon/supervisor.h"

#include "sys/files.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

/* VPN clients may take this long to say goodbye, in ms. */
#define FAREWELL_MS 3000

static void dir_close(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* A directory is a door's; of files, each room has those of its name, and the rest is ours. */
static bool is_named(const struct supervisor *s, const struct dirent *d)
{
	const char *room = str_starts(d->d_name, "resolv.")  ? d->d_name + strlen("resolv.")
			   : str_starts(d->d_name, "hosts.") ? d->d_name + strlen("hosts.")
							     : NULL;
	bool named = d->d_type != DT_DIR && !room;

	for (size_t i = 0; d->d_type == DT_DIR && i < s->gate.n_doors; i++)
		named |= i && str_eq(s->gate.doors[i].name, d->d_name);
	for (size_t i = 0; room && i < s->gate.n_rooms; i++)
		named |= str_eq(s->gate.rooms[i].name, room);
	return named;
}

static int remove_files(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *path = arena_printf(&a, RUN_DIR "/%s", s->gate.name);
	DIR *dir __attribute__((cleanup(dir_close))) = opendir(path);
	struct dirent *d;
	int r = 0;

	if (!dir)
		return err_errno(e, errno, "%s", path);
	while (r == 0 && (d = readdir(dir)))
		if (!str_eq(d->d_name, ".") && !str_eq(d->d_name, "..") && !is_named(s, d))
			r = file_remove_tree(arena_printf(&a, "%s/%s", path, d->d_name), e);
	return r;
}

int leftovers_end(struct supervisor *s, struct err *e)
{
	int r;

	if (s->inner.made)
		return 0;
	r = end_processes(s->inner.fd, FAREWELL_MS, e);
	if (r == 0)
		r = doors_clear(s, e);
	if (r == 0)
		r = teardown_rooms(s, e);
	return r < 0 ? r : remove_files(s, e);
}
