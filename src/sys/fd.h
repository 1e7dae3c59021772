/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_FD_H
#define SYS_FD_H

#include <unistd.h>

static inline void fd_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static inline int fd_take(int *fd)
{
	int moved = *fd;

	*fd = -1;
	return moved;
}

#define CLEANUP_FD __attribute__((cleanup(fd_close)))

/* int pair[2] CLEANUP_FD_PAIR = { -1, -1 }; */
static inline void fd_close_pair(int (*pair)[2])
{
	fd_close(&(*pair)[0]);
	fd_close(&(*pair)[1]);
}
#define CLEANUP_FD_PAIR __attribute__((cleanup(fd_close_pair)))

#endif
