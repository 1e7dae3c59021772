/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/owner.h"

#include "base/arena.h"
#include "base/text.h"
#include "sys/fd.h"
#include "sys/rtnl.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

struct seen {
	ino_t *namespaces;
	size_t n, cap;
};

/* True the first time. */
static bool is_new(struct arena *a, struct seen *seen, ino_t namespace)
{
	for (size_t i = 0; i < seen->n; i++)
		if (seen->namespaces[i] == namespace)
			return false;
	*arena_push(a, seen->namespaces, seen->n, seen->cap) = namespace;
	return true;
}

static bool has_address(int netns_fd, const struct ip *ip)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot net = { 0 };
	struct err e;

	return rtnl_open(netns_fd, &rtnl, &e) == 0 &&
	       rtnl_snapshot_tables(rtnl, &a, 0, 0, &net, &e) == 0 &&
	       snapshot_has_address(&net, ip);
}

/* The namespace of @pid if it has the address; -1. */
static int try_process(struct arena *a, struct seen *seen, const char *pid, const struct ip *ip)
{
	int fd CLEANUP_FD = open(arena_printf(a, "/proc/%s/ns/net", pid), O_RDONLY | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0 || !is_new(a, seen, st.st_ino) || !has_address(fd, ip))
		return -1;
	return fd_take(&fd);
}

int owner_find(const struct ip *ip, int *ret_fd)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct seen seen = { 0 };
	DIR *proc = opendir("/proc");
	struct dirent *entry;
	struct stat own;
	uint32_t pid;
	int fd = -1;

	if (!proc)
		return 0;
	if (stat("/proc/self/ns/net", &own) == 0)
		is_new(&a, &seen, own.st_ino);
	while (fd < 0 && (entry = readdir(proc)))
		if (str_to_u32(entry->d_name, INT32_MAX, &pid))
			fd = try_process(&a, &seen, entry->d_name, ip);
	closedir(proc);
	if (fd < 0)
		return 0;
	*ret_fd = fd;
	return (int)pid;
}
