/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A service that costs next to nothing and a client that measures the way to
 * it.
 *
 *	load serve CPU PORT
 *	load conns|rr|blocks|fetch|send CPU ADDRESS PORT MILLISECONDS
 *
 * Both run on the CPU that they are given.  Given the same one, they and all
 * that the kernel does for their packets share it (a packet that crosses a
 * veth is received on the CPU that sent it), so that a slower way shows as a
 * smaller number and never as a second busy CPU.  What else would decide more
 * than the way does is kept out of it: who of the two is let run by the scheduler
 * (a container is in a group of its own), and how much is under way at a time.
 * Without a limit that settles by chance, from 0.4 to 30 megabytes, above all with
 * BBR; what does not fit the CPU's cache costs several times as much to copy, and
 * all ways to the service are then equally slow.
 *
 * The first byte of a connection says what it is for.  The client prints one
 * number: connections, round trips or bytes per second.  Of blocks one is asked for
 * when the last one is there: then the way's length counts as well as its width.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ONCE = '1', ECHO = 'e', BLOCK = 'b', SOURCE = '>', SINK = '<' };

#define MAX_FD     4096
#define BLOCK_SIZE 60000 /* bytes; one fits what may be under way */

static char block[1 << 17];

static int check(int ret, const char *what)
{
	if (ret >= 0)
		return ret;
	perror(what);
	exit(1);
}

/* A batch process takes its turn when the other one waits, and never before. */
static void stay_on(const char *cpu)
{
	struct sched_param none = { 0 };
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(strtoul(cpu, NULL, 10), &set);
	check(sched_setaffinity(0, sizeof(set), &set), "sched_setaffinity");
	check(sched_setscheduler(0, SCHED_BATCH, &none), "sched_setscheduler");
}

/* Whoever sends has this much under way; reno is there in every namespace. */
static void keep_little_under_way(int fd)
{
	int size = sizeof(block);

	check(setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "reno", 4), "TCP_CONGESTION");
	check(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), "SO_SNDBUF");
}

static void no_delay(int fd)
{
	int on = 1;

	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

/* The service ------------------------------------------------------------ */

struct server {
	int epoll;
	int listener;
	char use[MAX_FD]; /* of each connection; 0 until its first byte */
};

static void watch(struct server *s, int op, int fd, uint32_t events)
{
	struct epoll_event ev = { .events = events, .data.fd = fd };

	epoll_ctl(s->epoll, op, fd, &ev);
}

static void take(struct server *s)
{
	int fd = accept4(s->listener, NULL, NULL, SOCK_NONBLOCK);

	if (fd < 0)
		return;
	if (fd >= MAX_FD) {
		close(fd);
		return;
	}
	no_delay(fd);
	s->use[fd] = 0;
	watch(s, EPOLL_CTL_ADD, fd, EPOLLIN);
}

/* False when the connection is at its end. */
static bool give(struct server *s, int fd)
{
	ssize_t len;

	if (s->use[fd] == SOURCE) {
		len = send(fd, block, sizeof(block), MSG_NOSIGNAL);
		return len > 0 || errno == EAGAIN;
	}
	len = recv(fd, block, sizeof(block), 0);
	if (len <= 0)
		return len < 0 && errno == EAGAIN;
	if (!s->use[fd]) {
		s->use[fd] = block[0];
		if (block[0] == SOURCE || block[0] == BLOCK)
			keep_little_under_way(fd);
		if (block[0] == SOURCE) {
			watch(s, EPOLL_CTL_MOD, fd, EPOLLOUT);
			return true;
		}
	}
	if (s->use[fd] == SINK)
		return true;
	if (s->use[fd] == BLOCK)
		return send(fd, block, BLOCK_SIZE, MSG_NOSIGNAL) == BLOCK_SIZE;
	if (send(fd, block, (size_t)len, MSG_NOSIGNAL) < 0)
		return false;
	return s->use[fd] == ECHO;
}

static void __attribute__((noreturn)) serve(const char *cpu, const char *port)
{
	struct sockaddr_in6 any = {
		.sin6_family = AF_INET6,
		.sin6_port = htons((uint16_t)strtoul(port, NULL, 10)),
	};
	static struct server s;
	int on = 1;

	stay_on(cpu);
	s.epoll = check(epoll_create1(0), "epoll");
	s.listener = check(socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	setsockopt(s.listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	check(bind(s.listener, (struct sockaddr *)&any, sizeof(any)), "bind");
	check(listen(s.listener, 512), "listen");
	watch(&s, EPOLL_CTL_ADD, s.listener, EPOLLIN);
	puts("ready");
	fflush(stdout);
	for (;;) {
		struct epoll_event ev[64];
		int n = epoll_wait(s.epoll, ev, 64, -1);

		for (int i = 0; i < n; i++) {
			if (ev[i].data.fd == s.listener)
				take(&s);
			else if (!give(&s, ev[i].data.fd))
				close(ev[i].data.fd);
		}
	}
}

/* The client ------------------------------------------------------------- */

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int dial(const struct sockaddr_storage *to, socklen_t size)
{
	int fd = check(socket(to->ss_family, SOCK_STREAM, 0), "socket");

	no_delay(fd);
	check(connect(fd, (const struct sockaddr *)to, size), "connect");
	return fd;
}

static void say(int fd, char c)
{
	check((int)send(fd, &c, 1, MSG_NOSIGNAL), "send");
}

static size_t hear(int fd)
{
	return (size_t)check((int)recv(fd, block, sizeof(block), 0), "recv");
}

static size_t must_hear(int fd)
{
	size_t len = hear(fd);

	if (len)
		return len;
	fprintf(stderr, "the service hung up\n");
	exit(1);
}

/* The service closes first, so that no port of ours is held by TIME_WAIT. */
static double conns(const struct sockaddr_storage *to, socklen_t size, double end)
{
	double count = 0;

	for (; now() < end; count++) {
		int fd = dial(to, size);

		say(fd, ONCE);
		must_hear(fd);
		hear(fd);
		close(fd);
	}
	return count;
}

static double rr(int fd, double end)
{
	double count = 0;

	for (; now() < end; count++) {
		say(fd, ECHO);
		must_hear(fd);
	}
	return count;
}

static double blocks(int fd, double end)
{
	double bytes = 0;

	while (now() < end) {
		say(fd, BLOCK);
		for (size_t got = 0; got < BLOCK_SIZE;)
			got += must_hear(fd);
		bytes += BLOCK_SIZE;
	}
	return bytes;
}

static double fetch(int fd, double end)
{
	double bytes = 0;

	say(fd, SOURCE);
	while (now() < end)
		bytes += (double)hear(fd);
	return bytes;
}

static double send_all(int fd, double end)
{
	double bytes = 0;

	keep_little_under_way(fd);
	say(fd, SINK);
	while (now() < end)
		bytes += check((int)send(fd, block, sizeof(block), MSG_NOSIGNAL), "send");
	return bytes;
}

static socklen_t address(const char *addr, const char *port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;
	uint16_t n = htons((uint16_t)strtoul(port, NULL, 10));

	if (inet_pton(AF_INET, addr, &v4->sin_addr) == 1) {
		v4->sin_family = AF_INET;
		v4->sin_port = n;
		return sizeof(*v4);
	}
	if (inet_pton(AF_INET6, addr, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = n;
		return sizeof(*v6);
	}
	fprintf(stderr, "%s: not an address\n", addr);
	exit(2);
}

static int measure(char **argv)
{
	struct sockaddr_storage to = { 0 };
	socklen_t size = address(argv[3], argv[4], &to);
	double seconds = (double)strtoul(argv[5], NULL, 10) / 1000;
	double begin, count = 0;
	int fd = -1;

	stay_on(argv[2]);
	alarm((unsigned)seconds + 10);
	if (strcmp(argv[1], "conns") != 0)
		fd = dial(&to, size);
	begin = now();
	if (strcmp(argv[1], "conns") == 0)
		count = conns(&to, size, begin + seconds);
	else if (strcmp(argv[1], "rr") == 0)
		count = rr(fd, begin + seconds);
	else if (strcmp(argv[1], "blocks") == 0)
		count = blocks(fd, begin + seconds);
	else if (strcmp(argv[1], "fetch") == 0)
		count = fetch(fd, begin + seconds);
	else
		count = send_all(fd, begin + seconds);
	printf("%.1f\n", count / (now() - begin));
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 4 && strcmp(argv[1], "serve") == 0)
		serve(argv[2], argv[3]);
	if (argc == 6)
		return measure(argv);
	fprintf(stderr, "usage: load serve CPU PORT\n"
			"       load conns|rr|blocks|fetch|send CPU ADDRESS PORT MS\n");
	return 2;
}
