/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/xtables.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/files.h"

#include <errno.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <stdio.h>
#include <string.h>

#define NAMES_MAX ((size_t)4096)
#define TRIES     8 /* somebody may change it between the question for its size and the one for it */

/* Both families have the same two options and structures. */
static const struct family {
	sa_family_t family;
	int level;
	const char *names;
	const char *tool;
} families[] = {
	{ AF_INET, IPPROTO_IP, "/proc/thread-self/net/ip_tables_names", "iptables-legacy" },
	{ AF_INET6, IPPROTO_IPV6, "/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy" },
};

/* A kernel without these tables has no such file. */
static bool is_there(struct arena *a, const struct family *f, const char *name)
{
	const char *names, *line = arena_printf(a, "\n%s\n", name);
	size_t size;
	struct err ignored;

	return file_read(a, f->names, NAMES_MAX, &names, &size, &ignored) == 0 &&
	       (str_starts(names, line + 1) || strstr(names, line));
}

bool xtables_translates(struct arena *a)
{
	for (size_t i = 0; i < ARRAY_LEN(families); i++)
		if (is_there(a, &families[i], "nat"))
			return true;
	return false;
}

static int read_table(struct arena *a, int fd, const struct family *f, const char *name,
		      struct xtables_table *ret)
{
	struct ipt_getinfo info = { 0 };
	socklen_t size = sizeof(info);
	struct ipt_get_entries *all;

	snprintf(info.name, sizeof(info.name), "%s", name);
	if (getsockopt(fd, f->level, IPT_SO_GET_INFO, &info, &size) < 0)
		return -errno;
	size = (socklen_t)(sizeof(*all) + info.size);
	all = arena_alloc(a, size);
	memcpy(all->name, info.name, sizeof(info.name));
	all->size = info.size;
	if (getsockopt(fd, f->level, IPT_SO_GET_ENTRIES, all, &size) < 0)
		return -errno;
	*ret = (struct xtables_table){ .family = f->family,
				       .entries = all->entrytable,
				       .size = info.size };
	memcpy(ret->first, info.hook_entry, sizeof(ret->first));
	memcpy(ret->policy, info.underflow, sizeof(ret->policy));
	return 1;
}

const char *xtables_tool(sa_family_t family)
{
	return families[family == AF_INET6].tool;
}

int xtables_read(struct arena *a, sa_family_t family, const char *name, struct xtables_table *ret,
		 struct err *e)
{
	const struct family *f = &families[family == AF_INET6];
	int fd CLEANUP_FD = -1;
	int r = -EAGAIN;

	if (!is_there(a, f, name))
		return 0;
	fd = socket(family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
	if (fd < 0)
		return err_errno(e, errno, "socket for %s", f->tool);
	for (int i = 0; r == -EAGAIN && i < TRIES; i++)
		r = read_table(a, fd, f, name, ret);
	return r < 0 ? err_errno(e, -r, "read table %s of %s", name, f->tool) : r;
}
