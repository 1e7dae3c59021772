/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/files.h"

#include "sys/fd.h"
#include "sys/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

int file_read(struct arena *a, const char *path, size_t max, const char **ret, size_t *ret_size,
	      struct err *e)
{
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct stat st;
	size_t len = 0;
	char *buf;

	if (fd < 0)
		return err_errno(e, errno, "%s", path);
	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, EINVAL, "%s: is not a regular file", path);
	if ((size_t)st.st_size > max)
		return err_set(e, EFBIG, "%s: is larger than %zu bytes", path, max);
	/* Files of /proc say size 0. */
	buf = arena_alloc(a, (st.st_size ? (size_t)st.st_size : max) + 1);
	while (len < (st.st_size ? (size_t)st.st_size : max)) {
		ssize_t n = read(fd, buf + len, (st.st_size ? (size_t)st.st_size : max) - len);

		if (n < 0)
			return err_errno(e, errno, "%s", path);
		if (n == 0)
			break;
		len += (size_t)n;
	}
	buf[len] = 0;
	*ret = buf;
	*ret_size = len;
	return 0;
}

static int wait_for_more(int fd, const struct stream_limits *l, int64_t until, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int64_t left;
	bool last;
	int n;

	do {
		left = until - clock_ms();
		last = left < l->silence_ms;
		n = left > 0 ? poll(&p, 1, last ? (int)left : l->silence_ms) : 0;
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_errno(e, errno, "poll");
	return n ? 0
		 : err_set(e, ETIMEDOUT, "%s %d s: save it in a file first, and give that file",
			   last ? "its end has not come in" : "nothing came for",
			   (last ? l->total_ms : l->silence_ms) / 1000);
}

static int too_large(const struct stream_limits *l, struct err *e)
{
	return err_set(e, EFBIG, "is larger than %zu MiB", l->size >> 20);
}

int file_read_stream(int fd, const struct stream_limits *l, struct text *t, struct err *e)
{
	int64_t until = clock_ms() + l->total_ms;
	char buf[65536];
	struct stat st;
	size_t len = 0;

	if (fstat(fd, &st) < 0)
		return err_errno(e, errno, "stat");
	if (S_ISREG(st.st_mode) && (size_t)st.st_size > l->size)
		return too_large(l, e);
	for (;;) {
		int r = S_ISREG(st.st_mode) ? 0 : wait_for_more(fd, l, until, e);
		ssize_t n;

		if (r < 0)
			return r;
		n = read(fd, buf, sizeof(buf));
		if (n < 0 && (errno == EINTR || errno == EAGAIN))
			continue;
		if (n < 0)
			return err_errno(e, errno, "read");
		if (n == 0)
			return 0;
		len += (size_t)n;
		if (len > l->size)
			return too_large(l, e);
		text_add_len(t, buf, (size_t)n);
	}
}

int file_write(const char *path, const char *text, struct err *e)
{
	const int flags = O_WRONLY | O_CLOEXEC | O_NOFOLLOW;
	int fd CLEANUP_FD = open(path, flags | O_CREAT | O_EXCL, 0644);
	bool made = fd >= 0;
	size_t len = strlen(text);

	if (fd < 0 && errno == EEXIST)
		fd = open(path, flags);
	/* The umask is the caller's; a room's services of any user read its resolv.conf. */
	if (fd < 0 || (made && fchmod(fd, 0644) < 0))
		return err_errno(e, errno, "%s", path);
	errno = ENOSPC; /* of a write that is cut short, which says nothing */
	if (write(fd, text, len) != (ssize_t)len || ftruncate(fd, (off_t)len) < 0)
		return err_errno(e, errno, "%s", path);
	return 0;
}

int file_replace(struct arena *a, const char *path, const char *text, struct err *e)
{
	const char *new = arena_printf(a, "%s.new", path);
	int r = file_write(new, text, e);

	if (r == 0 && rename(new, path) < 0)
		r = err_errno(e, errno, "%s", path);
	if (r < 0)
		(void)remove(new);
	return r;
}

const char *file_directory(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		return ".";
	return slash == path ? "/" : arena_strndup(a, path, (size_t)(slash - path));
}

int file_mkdirs(const char *path, mode_t mode, struct err *e)
{
	char part[4096];

	if (strlen(path) >= sizeof(part))
		return err_set(e, ENAMETOOLONG, "%s: too long", path);
	for (size_t i = 1; i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != 0)
			continue;
		memcpy(part, path, i);
		part[i] = 0;
		if (mkdir(part, mode) == 0 ? chmod(part, mode) < 0 : errno != EEXIST)
			return err_errno(e, errno, "mkdir %s", part);
	}
	return 0;
}

static void walk_close(FTS **f)
{
	if (*f)
		fts_close(*f);
}

/* Of what cannot go, the first is told; a directory of such a file is none. */
int file_remove_tree(const char *path, struct err *e)
{
	char *const roots[] = { (char *)path, NULL };
	FTS *walk __attribute__((cleanup(walk_close))) =
		fts_open(roots, FTS_PHYSICAL | FTS_XDEV | FTS_NOCHDIR, NULL);
	FTSENT *f;
	int r = 0;

	if (!walk)
		return err_errno(e, errno, "remove %s", path);
	while ((f = fts_read(walk)))
		if (f->fts_info != FTS_D && f->fts_info != FTS_NS && remove(f->fts_accpath) < 0 &&
		    errno != ENOENT && r == 0)
			r = err_errno(e, errno, "remove %s", f->fts_path);
	return r;
}

int file_memory(const char *name, const char *text, size_t size, int *ret_fd, struct err *e)
{
	int fd CLEANUP_FD = memfd_create(name, 0);

	if (fd < 0 || write(fd, text, size) != (ssize_t)size)
		return err_errno(e, errno, "memfd");
	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0)
		return err_errno(e, errno, "memfd");
	*ret_fd = fd_take(&fd);
	return 0;
}
