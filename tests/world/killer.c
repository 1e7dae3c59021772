/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Preloaded into sallyport by test_crash_points.py: kills it, as the kernel
 * would, right before the Nth thing by which it changes the world.  What counts
 * is in KILLER_FILE, which the test shares: while it is 0 nothing happens; else
 * it is counted down, and at 0 we die, or get the signal number KILLER_SIGNAL.
 * Dumps change nothing and do not count.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static volatile int *left;
static pid_t owner;
static int sig = SIGKILL;

/* The one program, not the shell before it nor the VPN clients after it. */
static __attribute__((constructor)) void begin(void)
{
	const char *path = getenv("KILLER_FILE");
	int fd;

	if (!path || strcmp(program_invocation_short_name, "sallyport") != 0)
		return;
	unsetenv("LD_PRELOAD");
	if (getenv("KILLER_SIGNAL"))
		sig = atoi(getenv("KILLER_SIGNAL"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		abort();
	left = mmap(NULL, sizeof(*left), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (left == MAP_FAILED)
		abort();
	close(fd);
	owner = getpid();
}

static void point(void)
{
	if (!left || *left <= 0 || getpid() != owner)
		return;
	*left -= 1;
	if (*left == 0)
		kill(owner, sig);
}

/* A request of rtnetlink that changes something, or a batch of nftables. */
static bool changes(int fd, const void *data, size_t size)
{
	const struct nlmsghdr *nlh = data;
	int domain = 0, bus = 0;
	socklen_t len = sizeof(int);

	if (size < sizeof(*nlh) || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0 ||
	    domain != AF_NETLINK || getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &bus, &len) < 0)
		return false;
	if (bus == NETLINK_ROUTE)
		return nlh->nlmsg_type >= 16 && (nlh->nlmsg_type & 3) != 2;
	return bus == NETLINK_NETFILTER && nlh->nlmsg_type == 16 /* NFNL_MSG_BATCH_BEGIN */;
}

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to,
	       socklen_t len)
{
	if (changes(fd, data, size))
		point();
	return REAL(sendto)(fd, data, size, flags, to, len);
}

ssize_t sendmsg(int fd, const struct msghdr *msg, int flags)
{
	if (msg->msg_iovlen && changes(fd, msg->msg_iov[0].iov_base, msg->msg_iov[0].iov_len))
		point();
	return REAL(sendmsg)(fd, msg, flags);
}

/* Before it, and when the child has just been made. */
pid_t fork(void)
{
	pid_t pid;

	point();
	pid = REAL(fork)();
	if (pid > 0)
		point();
	return pid;
}

int mount(const char *source, const char *target, const char *type, unsigned long flags,
	  const void *data)
{
	point();
	return REAL(mount)(source, target, type, flags, data);
}

int umount2(const char *target, int flags)
{
	point();
	return REAL(umount2)(target, flags);
}

int unlink(const char *path)
{
	point();
	return REAL(unlink)(path);
}

int unlinkat(int dir, const char *path, int flags)
{
	point();
	return REAL(unlinkat)(dir, path, flags);
}

int rename(const char *from, const char *to)
{
	point();
	return REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode)
{
	point();
	return REAL(mkdir)(path, mode);
}

int rmdir(const char *path)
{
	point();
	return REAL(rmdir)(path);
}

static bool is_sysctl(int fd)
{
	char link[64], path[256];
	ssize_t len;

	if (fd < 3)
		return false;
	strcpy(link, "/proc/self/fd/");
	len = (ssize_t)strlen(link);
	for (int digit = 10000; digit; digit /= 10)
		if (fd >= digit || digit == 1)
			link[len++] = (char)('0' + fd / digit % 10);
	link[len] = 0;
	len = readlink(link, path, sizeof(path));
	return len > 9 && memcmp(path, "/proc/sys", 9) == 0;
}

ssize_t write(int fd, const void *data, size_t size)
{
	if (left && *left > 0 && is_sysctl(fd))
		point();
	return REAL(write)(fd, data, size);
}
