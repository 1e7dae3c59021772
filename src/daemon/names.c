/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "wire/resolvconf.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <resolv.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <unistd.h>

/* A resolver that has not answered by then never will, in seconds. */
#define NAMES_LIMIT 20

static bool is_in(const char *lines, const char *name, size_t len)
{
	for (const char *at = lines; (at = strchr(at, ' '));) {
		at++;
		if (strncmp(at, name, len) == 0 && at[len] == '\n')
			return true;
	}
	return false;
}

size_t names_take(struct text *names, const char *heard)
{
	struct text all = { 0 };
	size_t kept = 0;

	text_add(&all, heard);
	for (const char *line = text_str(names), *end; (end = strchr(line, '\n')); line = end + 1) {
		const char *name = memchr(line, ' ', (size_t)(end - line));

		if (!name || is_in(heard, name + 1, (size_t)(end - name) - 1))
			continue;
		text_add_len(&all, line, (size_t)(end - line) + 1);
		kept++;
	}
	text_free(names);
	*names = all;
	return kept;
}

/* "asked called": as Amazon's VPN has it, where the name alone may not be known. */
const char *names_below(struct arena *a, const char *name)
{
	uint8_t label[6] = { 0 };

	(void)!getrandom(label, sizeof(label), GRND_NONBLOCK);
	return arena_printf(a, "%02x%02x%02x%02x%02x%02x.%s %s", label[0], label[1], label[2],
			    label[3], label[4], label[5], name, name);
}

static void print_addresses(int fd, const char *name)
{
	char asked[NI_MAXHOST] = "";
	size_t len = strcspn(name, " ");
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM };
	struct addrinfo *list = NULL;

	if (len >= sizeof(asked))
		return;
	memcpy(asked, name, len);
	if (getaddrinfo(asked, NULL, &hints, &list) != 0)
		return;
	name += name[len] ? len + 1 : 0;
	for (const struct addrinfo *i = list; i; i = i->ai_next) {
		char ip[IP_TEXT_SIZE];

		if (getnameinfo(i->ai_addr, i->ai_addrlen, ip, sizeof(ip), NULL, 0,
				NI_NUMERICHOST) == 0)
			dprintf(fd, "%s %s\n", ip, name);
	}
	freeaddrinfo(list);
}

/* As glibc's res_init(3) notes servers; IPv6 ones where it looks if the family is 0. */
static void note_server(int i, const struct ip *server)
{
	static struct sockaddr_in6 six[MAXNS];
	struct sockaddr_in *four = &_res.nsaddr_list[i];

	*four = (struct sockaddr_in){ 0 };
	_res._u._ext.nsaddrs[i] = NULL;
	if (server->family == AF_INET) {
		four->sin_family = AF_INET;
		four->sin_port = htons(NAMESERVER_PORT);
		memcpy(&four->sin_addr, server->byte, 4);
	} else {
		six[i] = (struct sockaddr_in6){ .sin6_family = AF_INET6,
						.sin6_port = htons(NAMESERVER_PORT) };
		memcpy(&six[i].sin6_addr, server->byte, 16);
		_res._u._ext.nsaddrs[i] = &six[i];
	}
}

static void ask_by(const struct resolvconf_names *by)
{
	if (!by || !by->n_servers || res_init() < 0)
		return;
	_res.nscount = 0;
	for (size_t i = 0; i < by->n_servers && i < MAXNS; i++)
		note_server(_res.nscount++, &by->servers[i]);
	_res.options |= RES_NORELOAD;
}

int names_resolve(const char *const *names, size_t n, const struct resolvconf_names *by,
		  pid_t *ret_pid, int *ret_fd, struct err *e)
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
		ask_by(by);
		for (size_t i = 0; i < n; i++)
			print_addresses(out[1], names[i]);
		_exit(0);
	}
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	*ret_pid = pid;
	*ret_fd = fd_take(&out[0]);
	return 0;
}
