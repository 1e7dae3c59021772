/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/netns.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/rtnl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#define SELF      "/proc/thread-self/ns/net"
#define PATH_SIZE 300

/* ip(8) makes its files with 0: so ours is told from one of somebody else. */
#define NAME_MODE 0400

int netns_open_self(int *ret_fd, struct err *e)
{
	int fd = open(SELF, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return err_errno(e, errno, "own network namespace");
	*ret_fd = fd;
	return 0;
}

static int path_of(const char *name, char buf[PATH_SIZE], struct err *e)
{
	if (!name[0] || strchr(name, '/') || name[0] == '.' || strlen(name) > NAME_MAX)
		return err_set(e, EINVAL, "namespace \"%s\": not a name", name);
	snprintf(buf, PATH_SIZE, NETNS_DIR "/%s", name);
	return 0;
}

static bool is_namespace(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == NSFS_MAGIC;
}

int netns_open(const char *name, int *ret_fd, struct err *e)
{
	int fd CLEANUP_FD = -1;
	char path[PATH_SIZE];
	int r;

	r = path_of(name, path, e);
	if (r < 0)
		return r;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return err_errno(e, errno, "namespace \"%s\"", name);
	/* An empty file is what is left when its maker died before the mount. */
	if (!is_namespace(fd))
		return err_errno(e, ENOENT, "namespace \"%s\"", name);
	*ret_fd = fd_take(&fd);
	return 0;
}

static int open_path(const char *path, const char *place, int *ret_fd, struct err *e)
{
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return err_errno(e, errno, "namespace \"%s\"", place);
	if (!is_namespace(fd) || ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET)
		return err_set(e, EINVAL, "namespace \"%s\": is no network namespace", place);
	*ret_fd = fd_take(&fd);
	return 0;
}

int netns_open_place(const char *place, int *ret_fd, struct err *e)
{
	char path[PATH_SIZE];
	uint32_t pid;

	if (strchr(place, '/'))
		return open_path(place, place, ret_fd, e);
	if (strlen(place) <= NAME_MAX - sizeof(".gate")) {
		snprintf(path, sizeof(path), "%s.gate", place);
		if (netns_open(path, ret_fd, e) == 0 || netns_open(place, ret_fd, e) == 0)
			return 0;
	}
	if (!str_to_u32(place, INT32_MAX, &pid))
		return err_set(e, ENOENT,
			       "\"%s\" is no gate, no namespace in " NETNS_DIR
			       " and no process; `sallyport status` and `ip netns` list them",
			       place);
	snprintf(path, sizeof(path), "/proc/%u/ns/net", pid);
	if (open_path(path, place, ret_fd, e) == 0)
		return 0;
	return err_set(e, ESRCH, "there is no process %u, nor a gate or namespace of that name",
		       pid);
}

bool netns_is_gone(int r)
{
	/* EINVAL: the file alone is left, over which it was mounted. */
	return r == -ENOENT || r == -ENOTDIR || r == -ESRCH || r == -EINVAL;
}

bool netns_same(int fd_a, int fd_b)
{
	struct stat a, b;

	return fstat(fd_a, &a) == 0 && fstat(fd_b, &b) == 0 && a.st_dev == b.st_dev &&
	       a.st_ino == b.st_ino;
}

int netns_enter(int fd, struct netns_visit *v, struct err *e)
{
	int home CLEANUP_FD = -1;
	int r;

	if (v->home >= 0)
		return err_set(e, EALREADY, "already in another namespace");
	r = netns_open_self(&home, e);
	if (r < 0)
		return r;
	if (setns(home, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "come back from another namespace");
	if (setns(fd, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "enter namespace");
	v->home = fd_take(&home);
	return 0;
}

bool netns_may_return(void)
{
	int home CLEANUP_FD = open(SELF, O_RDONLY | O_CLOEXEC);

	return home >= 0 && setns(home, CLONE_NEWNET) == 0;
}

int netns_move(int fd, struct err *e)
{
	return setns(fd, CLONE_NEWNET) < 0 ? err_errno(e, errno, "enter namespace") : 0;
}

void netns_leave(struct netns_visit *v)
{
	int keep = errno;

	if (v->home < 0)
		return;
	if (setns(v->home, CLONE_NEWNET) < 0)
		abort();
	fd_close(&v->home);
	errno = keep;
}

/*
 * As ip-netns(8): a shared mount, so that a namespace made in one mount
 * namespace is seen, and goes away, in all of them.
 */
static int make_directory(struct err *e)
{
	int r = file_mkdirs(NETNS_DIR, 0755, e);

	if (r < 0)
		return r;
	if (mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) == 0)
		return 0;
	/* Not yet a mount of its own. */
	if (errno != EINVAL)
		return err_errno(e, errno, "share %s", NETNS_DIR);
	if (mount(NETNS_DIR, NETNS_DIR, "none", MS_BIND | MS_REC, NULL) < 0)
		return err_errno(e, errno, "bind %s", NETNS_DIR);
	if (mount("", NETNS_DIR, "none", MS_SHARED | MS_REC, NULL) < 0)
		return err_errno(e, errno, "share %s", NETNS_DIR);
	return 0;
}

static int claim_name(const char *name, const char *path, struct err *e)
{
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_CREAT | O_EXCL, NAME_MODE);

	if (fd >= 0)
		return 0;
	if (errno != EEXIST)
		return err_errno(e, errno, "make %s", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd >= 0 && !is_namespace(fd))
		return 0;
	return err_errno(e, EEXIST, "namespace \"%s\"", name);
}

/* In the new namespace: what makes it ours and alive, then its name. */
static int furnish(const char *path, const char *alias, struct err *e)
{
	struct rtnl *rt CLEANUP_RTNL = NULL;
	int r;

	r = rtnl_open(-1, &rt, e);
	if (r < 0)
		return r;
	r = rtnl_link_set(rt, "lo", true, 0, alias, false, e);
	if (r < 0)
		return r;
	if (mount(SELF, path, "none", MS_BIND, NULL) < 0)
		return err_errno(e, errno, "bind %s", path);
	return 0;
}

static int create_at(const char *path, const char *alias, int *ret_fd, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int home CLEANUP_FD = -1;
	int fd CLEANUP_FD = -1;
	int r;

	r = netns_open_self(&home, e);
	if (r < 0)
		return r;
	if (unshare(CLONE_NEWNET) < 0)
		return err_errno(e, errno, "make a network namespace");
	visit.home = fd_take(&home);
	r = netns_open_self(&fd, e);
	if (r < 0)
		return r;
	r = furnish(path, alias, e);
	if (r < 0)
		return r;
	*ret_fd = fd_take(&fd);
	return 0;
}

int netns_create(const char *name, const char *alias, int *ret_fd, struct err *e)
{
	char path[PATH_SIZE];
	int r;

	r = path_of(name, path, e);
	if (r < 0)
		return r;
	r = make_directory(e);
	if (r < 0)
		return r;
	r = claim_name(name, path, e);
	if (r < 0)
		return r;
	r = create_at(path, alias, ret_fd, e);
	if (r < 0) {
		unlink(path);
		return err_wrap(e, r, "namespace \"%s\"", name);
	}
	return 0;
}

int netns_keep(const char *name, int fd, struct err *e)
{
	char path[PATH_SIZE], source[64];
	int have CLEANUP_FD = -1;
	int r;

	r = netns_open(name, &have, e);
	if (r == 0)
		return netns_same(have, fd) ? 0 : err_errno(e, EEXIST, "namespace \"%s\"", name);
	if (r != -ENOENT)
		return r;
	r = path_of(name, path, e);
	if (r == 0)
		r = make_directory(e);
	if (r == 0)
		r = claim_name(name, path, e);
	if (r < 0)
		return r;
	snprintf(source, sizeof(source), "/proc/self/fd/%d", fd);
	if (mount(source, path, "none", MS_BIND, NULL) < 0) {
		r = err_errno(e, errno, "bind %s", path);
		unlink(path);
		return r;
	}
	return 1;
}

/*
 * A name is a file with the namespace mounted over it, and what is mounted lives on when
 * the name goes.  A copy of the directory's mount alone shows the file below.
 */
int netns_watch(const char *name, int inotify_fd, int *ret_wd, struct err *e)
{
	int tree CLEANUP_FD = -1, file CLEANUP_FD = -1;
	char path[PATH_SIZE];
	int wd, r = path_of(name, path, e);

	if (r < 0)
		return r;
	tree = open_tree(AT_FDCWD, NETNS_DIR, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	if (tree >= 0)
		file = openat(tree, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (file < 0)
		return err_errno(e, errno, "watch %s", path);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	wd = inotify_add_watch(inotify_fd, path, IN_ATTRIB | IN_MOVE_SELF);
	if (wd < 0)
		return err_errno(e, errno, "inotify " NETNS_DIR "/%s", name);
	*ret_wd = wd;
	return 0;
}

int netns_delete(const char *name, struct err *e)
{
	char path[PATH_SIZE];
	int r;

	r = path_of(name, path, e);
	if (r < 0)
		return r;
	/* EINVAL: nothing is mounted there. */
	if (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		return err_errno(e, errno, "unmount namespace \"%s\"", name);
	if (unlink(path) < 0 && errno != ENOENT)
		return err_errno(e, errno, "delete namespace \"%s\"", name);
	return 0;
}

bool netns_is_leftover(const char *name)
{
	char path[PATH_SIZE];
	struct stat st;
	struct err e;

	return path_of(name, path, &e) == 0 && lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
	       (st.st_mode & 07777) == NAME_MODE && st.st_size == 0 && st.st_uid == geteuid();
}

static void dir_close(DIR **d)
{
	if (*d)
		closedir(*d);
}

int netns_list(struct arena *a, const char ***ret_names, size_t *ret_n, struct err *e)
{
	DIR *dir __attribute__((cleanup(dir_close))) = opendir(NETNS_DIR);
	const char **names = NULL;
	size_t n = 0, cap = 0;
	struct dirent *d;

	if (!dir && errno != ENOENT)
		return err_errno(e, errno, "list %s", NETNS_DIR);
	while (dir && (d = readdir(dir)))
		if (d->d_name[0] != '.')
			*arena_push(a, names, n, cap) = arena_strdup(a, d->d_name);
	*ret_names = names;
	*ret_n = n;
	return 0;
}

/* A process that ended or that is not ours to look at lives nowhere. */
static bool process_lives_in(int proc_fd, const char *pid, const struct stat *ns)
{
	char path[PATH_SIZE];
	struct stat st;

	snprintf(path, sizeof(path), "%s/ns/net", pid);
	return fstatat(proc_fd, path, &st, 0) == 0 && st.st_dev == ns->st_dev &&
	       st.st_ino == ns->st_ino;
}

void netns_signal(int fd, int pid, int sig)
{
	int pidfd CLEANUP_FD = pidfd_open(pid, 0);
	char proc[PATH_SIZE];
	struct stat ns;

	snprintf(proc, sizeof(proc), "/proc/%d", pid);
	if (pidfd >= 0 && fstat(fd, &ns) == 0 && process_lives_in(AT_FDCWD, proc, &ns))
		(void)pidfd_send_signal(pidfd, sig, NULL, 0);
}

int netns_pids(struct arena *a, int fd, int **ret_pids, size_t *ret_n, struct err *e)
{
	DIR *dir __attribute__((cleanup(dir_close))) = opendir("/proc");
	size_t n = 0, cap = 0;
	int *pids = NULL;
	struct dirent *d;
	struct stat ns;

	if (!dir)
		return err_errno(e, errno, "list /proc");
	if (fstat(fd, &ns) < 0)
		return err_errno(e, errno, "namespace");
	while ((d = readdir(dir))) {
		uint32_t pid;

		if (!str_to_u32(d->d_name, INT32_MAX, &pid) || (pid_t)pid == getpid())
			continue;
		if (process_lives_in(dirfd(dir), d->d_name, &ns))
			*arena_push(a, pids, n, cap) = (int)pid;
	}
	*ret_pids = pids;
	*ret_n = n;
	return 0;
}
