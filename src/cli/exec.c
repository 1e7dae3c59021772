/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/proc.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/*
 * Under a unit with mounts of its own (PrivateTmp= and the like) a gate's names are seen
 * in those only: its supervisor's.
 */
static int open_by_keeper(struct arena *a, const char *gate, const char *netns, int *ret_fd)
{
	pid_t pid = control_keeper(gate);
	struct err ignored;

	if (!pid)
		return -ENOENT;
	return netns_open_place(arena_printf(a, "/proc/%d/root" NETNS_DIR "/%s", (int)pid, netns),
				ret_fd, &ignored);
}

static int open_room(struct arena *a, const char *word, int *ret_fd, struct proc_spec *ret_spec,
		     struct err *e)
{
	const char *dot = strchr(word, '.');
	const char *gate = dot ? arena_strndup(a, word, (size_t)(dot - word)) : word;
	int r;

	if (strchr(word, '/') || !*gate || (dot && str_eq(dot, ".gate")))
		return err_set(e, EINVAL, "\"%s\" is no room: write GATE or GATE.ROOM", word);
	ret_spec->resolv_conf = resolv_path(a, gate, dot ? dot + 1 : "");
	ret_spec->hosts_file = resolv_hosts(a, gate, dot ? dot + 1 : "");
	r = netns_open(word, ret_fd, e);
	if (r == -ENOENT && open_by_keeper(a, gate, word, ret_fd) == 0)
		return 0;
	if (r == -ENOENT)
		return err_set(e, ENOENT, "there is no room %s/%s; `sallyport status` lists gates",
			       NETNS_DIR, word);
	return r;
}

static int exec_verb(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	int fd CLEANUP_FD = -1;
	const char *room;
	struct err e;
	int r;

	if (argc < 3)
		return cli_usage(&verb_exec, "exec takes a gate's name and a command");
	room = argv[1];
	argv += str_eq(argv[2], "--") ? 3 : 2;
	if (!*argv)
		return cli_usage(&verb_exec, "exec needs a command, after --");
	if (!cli_is_root(&verb_exec))
		return 1;
	r = open_room(&a, room, &fd, &spec, &e);
	if (r < 0)
		return cli_fail(r == -EINVAL ? EXIT_USAGE : 1, "%s", e.text);
	spec.argv = (const char *const *)argv;
	spec.netns_fd = fd;
	spec.own_mounts = true;
	spec.stdin_fd = 0;
	spec.stdout_fd = 1;
	spec.stderr_fd = 2;
	r = proc_exec(&spec, &e);
	return cli_fail(r == -ENOENT ? 127 : r == -EACCES ? 126 : 1, "%s", e.text);
}

const struct verb verb_exec = {
	.name = "exec",
	.usage = "exec GATE[.ROOM] -- COMMAND",
	.words = "a command inside a room",
	.run = exec_verb,
};
