/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/sysctl.h"

#include "base/text.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#define VALUE_SIZE 4096

static int open_whole(const char *path, int flags, struct err *e)
{
	char whole[300];
	int fd;

	if (path[0] == '/' || strstr(path, "..") || strlen(path) > 256)
		return err_set(e, EINVAL, "sysctl %s: not a path below /proc/sys/net", path);
	snprintf(whole, sizeof(whole), "/proc/sys/net/%s", path);
	fd = open(whole, flags | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "sysctl %s", whole) : fd;
}

/* fsopen(2), fsmount(2): a file system of processes that nobody else sees; -1 if it may not be. */
static int mount_proc(void)
{
	int made CLEANUP_FD = fsopen("proc", FSOPEN_CLOEXEC);

	if (made < 0 || fsconfig(made, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return fsmount(made, FSMOUNT_CLOEXEC, 0);
}

/*
 * In /proc the directories of all namespaces have one name and one parent, so they
 * stand in one chain of the kernel's cache of names, and each way through it walks
 * past all of them.  In one of our own are only those that we have opened.  It is
 * there until the process ends.
 */
static int own_proc(void)
{
	static int fd = -2;

	if (fd == -2)
		fd = mount_proc();
	return fd;
}

static int open_dir(const char *name, struct err *e)
{
	char path[32];
	int proc = own_proc();
	int fd;

	if (proc < 0)
		return open_whole(name, O_PATH | O_DIRECTORY, e);
	snprintf(path, sizeof(path), "sys/net/%s", name);
	fd = openat(proc, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "sysctl net/%s", name) : fd;
}

void sysctl_dirs_close(struct sysctl_dirs *d)
{
	for (size_t i = 0; i < ARRAY_LEN(d->fd); i++)
		fd_close(&d->fd[i]);
}

static int open_at(struct sysctl_dirs *d, const char *path, int flags, struct err *e)
{
	static const char *const names[] = { "ipv4/", "ipv6/" };
	size_t i = str_starts(path, names[0]) ? 0 : 1;
	int fd;

	if (!d || !str_starts(path, names[i]) || strstr(path, ".."))
		return open_whole(path, flags, e);
	if (d->fd[i] < 0)
		d->fd[i] = open_dir(names[i], e);
	if (d->fd[i] < 0)
		return d->fd[i];
	fd = openat(d->fd[i], path + strlen(names[i]), flags | O_CLOEXEC);
	return fd < 0 ? err_errno(e, errno, "sysctl net/%s", path) : fd;
}

static int read_open(int fd, const char *path, char buf[VALUE_SIZE], struct err *e)
{
	ssize_t len = read(fd, buf, VALUE_SIZE - 1);

	if (len < 0)
		return err_errno(e, errno, "sysctl net/%s", path);
	while (len > 0 && strchr(" \t\n", buf[len - 1]))
		len--;
	buf[len] = 0;
	return 0;
}

static int read_value(struct sysctl_dirs *d, const char *path, char buf[VALUE_SIZE], struct err *e)
{
	int fd CLEANUP_FD = open_at(d, path, O_RDONLY, e);

	return fd < 0 ? fd : read_open(fd, path, buf, e);
}

int sysctl_set_in(struct sysctl_dirs *d, const char *path, const char *value, struct err *e)
{
	int fd CLEANUP_FD = open_at(d, path, O_WRONLY, e);

	if (fd < 0)
		return fd;
	if (write(fd, value, strlen(value)) < 0)
		return err_errno(e, errno, "set sysctl net/%s to \"%s\"", path, value);
	return 0;
}

int sysctl_get_in(struct sysctl_dirs *d, struct arena *a, const char *path, const char **ret,
		  struct err *e)
{
	char buf[VALUE_SIZE];
	int r = read_value(d, path, buf, e);

	if (r < 0)
		return r;
	*ret = arena_strdup(a, buf);
	return 0;
}

int sysctl_change_in(struct sysctl_dirs *d, struct arena *a, const char *path, const char *value,
		     const char *only_if, const char **ret_was, struct err *e)
{
	int both CLEANUP_FD = open_at(d, path, O_RDWR, e);
	char buf[VALUE_SIZE];
	int r;

	/* What is as it must be need not be writable. */
	r = both < 0 ? read_value(d, path, buf, e) : read_open(both, path, buf, e);
	*ret_was = NULL;
	if (r < 0 || str_eq(buf, value) || (only_if && !str_eq(buf, only_if)))
		return 0;
	if (both < 0)
		r = sysctl_set_in(d, path, value, e);
	/* From the beginning: these files take a value only there. */
	else if (lseek(both, 0, SEEK_SET) < 0 || write(both, value, strlen(value)) < 0)
		r = err_errno(e, errno, "set sysctl net/%s to \"%s\"", path, value);
	if (r == 0)
		*ret_was = arena_strdup(a, buf);
	return r;
}

int sysctl_get(struct arena *a, const char *path, const char **ret, struct err *e)
{
	return sysctl_get_in(NULL, a, path, ret, e);
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
	bool changed;
	int r;

	r = read_value(NULL, path, buf, e);
	if (r < 0)
		return r;
	changed = !values_equal(buf, value);
	if (changed)
		r = sysctl_set_in(NULL, path, value, e);
	if (r == 0 && ret_changed)
		*ret_changed = changed;
	return r;
}
