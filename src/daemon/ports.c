/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A published port is taken from the host: were a program of the host listening
 * there, its clients would silently get the room instead.  So each is bound
 * (never listened on) while the gate stands; who has it already is named.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "sys/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <unistd.h>

int port_bind(const struct ip *ip, uint8_t proto, uint16_t port, int *ret_fd)
{
	int type = proto == IPPROTO_UDP ? SOCK_DGRAM : SOCK_STREAM;
	int fd CLEANUP_FD = socket(ip->family, type | SOCK_CLOEXEC, 0);
	struct sockaddr_in a4 = { .sin_family = AF_INET, .sin_port = htons(port) };
	struct sockaddr_in6 a6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int r;

	if (fd < 0)
		return -errno;
	memcpy(&a4.sin_addr, ip->byte, 4);
	memcpy(&a6.sin6_addr, ip->byte, 16);
	if (ip->family == AF_INET)
		r = bind(fd, (struct sockaddr *)&a4, sizeof(a4));
	else
		r = bind(fd, (struct sockaddr *)&a6, sizeof(a6));
	if (r < 0)
		return -errno;
	*ret_fd = fd_take(&fd);
	return 0;
}

/* The inode of the socket that has the port, from /proc/net/tcp and the like; 0 if none. */
static unsigned long find_inode(struct arena *a, const char *table, uint16_t port)
{
	const char *text, *line;
	size_t size;
	struct err e;

	if (file_read(a, table, FILE_READ_MAX, &text, &size, &e) < 0)
		return 0;
	for (line = strchr(text, '\n'); line; line = strchr(line + 1, '\n')) {
		unsigned int local, state;
		unsigned long inode;

		/* sl local:port remote:port st queues timer retransmits uid timeout inode */
		if (sscanf(line + 1,
			   "%*d: %*32[0-9A-F]:%x %*32[0-9A-F]:%*x %x %*s %*s %*s %*u %*u %lu",
			   &local, &state, &inode) == 3 &&
		    local == port && inode && (state == 0x0a || state == 0x07))
			return inode;
	}
	return 0;
}

static bool process_has(struct arena *a, const char *pid, unsigned long inode)
{
	const char *dir = arena_printf(a, "/proc/%s/fd", pid);
	const char *want = arena_printf(a, "socket:[%lu]", inode);
	DIR *d = opendir(dir);
	struct dirent *f;
	bool found = false;

	while (d && !found && (f = readdir(d))) {
		char to[64] = "";

		if (readlink(arena_printf(a, "%s/%s", dir, f->d_name), to, sizeof(to) - 1) > 0)
			found = str_eq(to, want);
	}
	if (d)
		closedir(d);
	return found;
}

/* " (by nginx, pid 123)" or "".  TCP's are listed once they listen, which gates never do. */
static const char *holder(struct arena *a, uint8_t proto, uint16_t port)
{
	static const char *const tables[2][2] = { { "/proc/net/tcp", "/proc/net/tcp6" },
						  { "/proc/net/udp", "/proc/net/udp6" } };
	const char *const *t = tables[proto == IPPROTO_UDP];
	unsigned long inode = find_inode(a, t[0], port);
	const char *ret = "";
	struct dirent *p;
	DIR *d;

	if (!inode)
		inode = find_inode(a, t[1], port);
	if (!inode)
		return proto == IPPROTO_TCP ? " (by another gate? `sallyport status` tells)" : "";
	d = opendir("/proc");
	while (d && (p = readdir(d))) {
		const char *name;
		size_t size;
		struct err e;

		if (p->d_name[0] < '1' || p->d_name[0] > '9' || !process_has(a, p->d_name, inode))
			continue;
		if (file_read(a, arena_printf(a, "/proc/%s/comm", p->d_name), 256, &name, &size,
			      &e) < 0)
			continue;
		ret = arena_printf(a, " (by %.*s, pid %s)", (int)strcspn(name, "\n"), name,
				   p->d_name);
		break;
	}
	if (d)
		closedir(d);
	return ret;
}

/* Which of them has it stands in the table that all share; " (by gate "office")", or "". */
static const char *other_gate(const struct supervisor *s, struct arena *a, const struct publish *p)
{
	struct publish port = *p;
	struct gate one = s->gate;
	const struct publish *found;
	const char *listed, *name;
	struct err ignored;

	one.publish = &port;
	one.n_publish = 1;
	if (nft_list_table(s->host.nft, a, PLAN_NFT_HOST, &listed, &ignored) < 0)
		return "";
	name = plan_nft_conflict(a, listed, &one, &found);
	return name ? arena_printf(a, " (by gate \"%s\")", name) : "";
}

static int taken(const struct supervisor *s, const struct publish *p, const struct ip *ip,
		 struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *by = other_gate(s, &a, p);
	const char *proto = p->proto == IPPROTO_UDP ? "udp" : "tcp";
	char text[IP_TEXT_SIZE];

	return err_set(e, EADDRINUSE,
		       "port %u/%s of %s is in use on the host%s: publish another one "
		       "(%u:%u) or name the address the lan door listens on",
		       p->door_port, proto, ip_text(ip, text),
		       *by ? by : holder(&a, p->proto, p->door_port), p->door_port % 10000 + 8000,
		       p->room_port);
}

/* Of the file descriptors we may have, the last ones are for everything else. */
static bool may_keep(int fd)
{
	struct rlimit l;

	return getrlimit(RLIMIT_NOFILE, &l) == 0 && (rlim_t)fd + 256 < l.rlim_cur &&
	       fd + 256 < FD_SETSIZE;
}

static void push(struct port_hold *held, int fd)
{
	if (held->n == held->cap) {
		held->cap = held->cap ? held->cap * 2 : 8;
		held->fds = realloc(held->fds, held->cap * sizeof(*held->fds));
		if (!held->fds)
			abort();
	}
	held->fds[held->n++] = fd;
}

/*
 * libnftables waits with select(), which knows no descriptor from FD_SETSIZE on
 * and ends the process when it gets one: those numbers are for the ports.
 */
static void keep(struct port_hold *held, int fd)
{
	int high = fcntl(fd, F_DUPFD_CLOEXEC, FD_SETSIZE);

	if (high < 0 && may_keep(fd)) {
		push(held, fd);
		return;
	}
	close(fd);
	if (high >= 0)
		push(held, high);
}

static int hold(const struct supervisor *s, struct port_hold *held, const struct publish *p,
		const struct ip *ip, struct err *e)
{
	int fd = -1;
	int r = port_bind(ip, p->proto, p->door_port, &fd);

	if (r == -EADDRINUSE)
		return taken(s, p, ip, e);
	if (r < 0)
		return 0; /* not to be had for another reason: nobody else has it either */
	keep(held, fd);
	return 0;
}

/*
 * Our own ends of links are nobody's to listen on, and as many as there are gates:
 * those of others are not in the list of links.
 */
static bool is_gates(const struct snapshot *host, const struct address *x)
{
	const struct link *l = snapshot_link_by_index(host, x->link);

	return !l || plan_link_is_ours(l);
}

/* On which of the host's addresses: that of @p alone, or all of the lan door's. */
static int hold_all(const struct supervisor *s, const struct snapshot *host,
		    const struct publish *p, struct port_hold *held, struct err *e)
{
	int r = 0;

	if (!ip_is_any(&p->host))
		return hold(s, held, p, &p->host, e);
	for (size_t i = 0; r == 0 && i < host->n_addresses; i++)
		if (!is_gates(host, &host->addresses[i]) &&
		    publish_speaks(p, host->addresses[i].local.family) &&
		    listen_wants(&s->gate.doors[0], &host->addresses[i].local))
			r = hold(s, held, p, &host->addresses[i].local, e);
	return r;
}

int ports_hold(const struct supervisor *s, const struct snapshot *host, const struct publish *ports,
	       size_t n, struct port_hold *ret, struct err *e)
{
	struct port_hold held = { 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		if (ports[i].door == 0)
			r = hold_all(s, host, &ports[i], &held, e);
	if (r < 0)
		ports_release(&held);
	else
		*ret = held;
	return r;
}

void ports_release(struct port_hold *held)
{
	while (held->n)
		fd_close(&held->fds[--held->n]);
	free(held->fds);
	*held = (struct port_hold){ 0 };
}
