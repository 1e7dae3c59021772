/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/notify.h"

#include "sys/fd.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

void notify_send(const char *socket_path, const char *state)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	size_t len = socket_path ? strlen(socket_path) : 0;
	int fd CLEANUP_FD = -1;

	if (!len || len >= sizeof(to.sun_path))
		return;
	memcpy(to.sun_path, socket_path, len);
	if (to.sun_path[0] == '@')
		to.sun_path[0] = 0;
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0)
		(void)sendto(fd, state, strlen(state), MSG_NOSIGNAL | MSG_DONTWAIT,
			     (struct sockaddr *)&to,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len));
}
