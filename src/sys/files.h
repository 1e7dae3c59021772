/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_FILES_H
#define SYS_FILES_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#include <sys/types.h>

#define FILE_READ_MAX ((size_t)1 << 20)

/*
 * The whole file, at most @max bytes (-EFBIG), zero-terminated after @ret_size
 * bytes.  Only regular files and what reads like one: a FIFO or device would
 * make us wait.
 */
int file_read(struct arena *a, const char *path, size_t max, const char **ret, size_t *ret_size,
	      struct err *e) MUST_USE;
struct stream_limits {
	size_t size;
	int silence_ms; /* nothing comes for so long */
	int total_ms; /* the end does not come, however often something does */
};

/*
 * All that comes from @fd until its end, added to @t: of a pipe, FIFO or terminal, too, and
 * of a regular file, which may take its time.  -EFBIG (a regular file is not begun then) or
 * -ETIMEDOUT, with what to do.
 */
int file_read_stream(int fd, const struct stream_limits *l, struct text *t, struct err *e) MUST_USE;
/*
 * Replaces the content in place: bind mounts of the file see it.  If it is missing it
 * is made with mode 0644, whatever the umask.
 */
int file_write(const char *path, const char *text, struct err *e) MUST_USE;
/* Another file of that name, which is there in whole or not at all. */
int file_replace(struct arena *a, const char *path, const char *text, struct err *e) MUST_USE;
/* A file that only who is given @ret_fd (O_CLOEXEC) can open, as /proc/self/fd/N. */
int file_memory(const char *name, const char *text, size_t size, int *ret_fd,
		struct err *e) MUST_USE;
/* Where the file of that path is, as a path; "." if it says no directory. */
const char *file_directory(struct arena *a, const char *path);
/* `mkdir -p`; those that are missing get @mode, whatever the umask.  No error if it is there. */
int file_mkdirs(const char *path, mode_t mode, struct err *e) MUST_USE;
/* `rm -r` of a small directory of ours: plain files, sockets and directories; no error if missing. */
int file_remove_tree(const char *path, struct err *e) MUST_USE;

#endif
