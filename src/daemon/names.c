/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

/* A resolver that has not answered by then never will, in seconds. */
#define NAMES_LIMIT 20

static void print_addresses(int fd, const char *name)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct addrinfo *list = NULL;

	if (getaddrinfo(name, NULL, &hints, &list) != 0)
		return;
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		char ip[IP_TEXT_SIZE];

		if (getnameinfo(i->ai_addr, i->ai_addrlen, ip, sizeof(ip), NULL, 0,
				NI_NUMERICHOST) == 0)
			dprintf(fd, "%s %s\n", ip, name);
	}
	freeaddrinfo(list);
}

int names_resolve(const char *const *names, size_t n, pid_t *ret_pid, int *ret_fd, struct err *e)
{
	int out[2] CLEANUP_FD_PAIR = { -1, -1 };
	pid_t pid;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	pid = fork();
	if (pid < 0)
		return err_errno(e, errno, "fork");
	if (pid == 0) {
		sigset_t none;

		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		alarm(NAMES_LIMIT);
		for (size_t i = 0; i < n; i++)
			print_addresses(out[1], names[i]);
		_exit(0);
	}
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	*ret_pid = pid;
	*ret_fd = fd_take(&out[0]);
	return 0;
}
