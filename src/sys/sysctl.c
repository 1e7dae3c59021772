/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/sysctl.h"

#include "base/text.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#define VALUE_SIZE 4096

static int open_at(const char *path, int flags, struct err *e)
{
	char whole[300];
	int fd;

	if (path[0] == '/' || strstr(path, "..") || strlen(path) > 256)
		return err_set(e, EINVAL, "sysctl %s: not a path below /proc/sys/net", path);
	snprintf(whole, sizeof(whole), "/proc/sys/net/%s", path);
	fd = open(whole, flags | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "sysctl %s", whole) : fd;
}

static int read_value(const char *path, char buf[VALUE_SIZE], struct err *e)
{
	int fd CLEANUP_FD = open_at(path, O_RDONLY, e);
	ssize_t len;

	if (fd < 0)
		return fd;
	len = read(fd, buf, VALUE_SIZE - 1);
	if (len < 0)
		return err_errno(e, errno, "sysctl net/%s", path);
	while (len > 0 && strchr(" \t\n", buf[len - 1]))
		len--;
	buf[len] = 0;
	return 0;
}

int sysctl_get(struct arena *a, const char *path, const char **ret, struct err *e)
{
	char buf[VALUE_SIZE];
	int r = read_value(path, buf, e);

	if (r < 0)
		return r;
	*ret = arena_strdup(a, buf);
	return 0;
}

/* Words only: the kernel puts tabs between what was written with spaces. */
static bool values_equal(const char *a, const char *b)
{
	for (;;) {
		size_t len = strcspn(a, " \t\n");

		if (len != strcspn(b, " \t\n") || memcmp(a, b, len) != 0)
			return false;
		a += len + strspn(a + len, " \t\n");
		b += len + strspn(b + len, " \t\n");
		if (!*a || !*b)
			return *a == *b;
	}
}

int sysctl_set(const char *path, const char *value, bool *ret_changed, struct err *e)
{
	char buf[VALUE_SIZE];
	int fd CLEANUP_FD = -1;
	bool changed;
	int r;

	r = read_value(path, buf, e);
	if (r < 0)
		return r;
	changed = !values_equal(buf, value);
	if (changed) {
		fd = open_at(path, O_WRONLY, e);
		if (fd < 0)
			return fd;
		if (write(fd, value, strlen(value)) < 0)
			return err_errno(e, errno, "set sysctl net/%s to \"%s\"", path, value);
	}
	if (ret_changed)
		*ret_changed = changed;
	return 0;
}
