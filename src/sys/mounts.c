/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a process in a room sees of the file system: the host's, without the
 * doors by which a name could be asked past the tunnel.  Those are sockets
 * (nscd, systemd-resolved, avahi, D-Bus), nsswitch.conf (which names modules
 * that know more sockets) and resolv.conf.
 *
 * Everything is made of detached mounts (open_tree(2), move_mount(2)): sources
 * are taken first, so that they may lie in what is masked afterwards, and no
 * file stays behind anywhere.
 *
 * Proved by tests/kernel/test_mounts.c.
 */
#include "sys/mounts.h"

#include "base/text.h"
#include "sys/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define RESOLV_CONF   "/etc/resolv.conf"
#define NSSWITCH_CONF "/etc/nsswitch.conf"
#define HOSTS         "/etc/hosts"
#define WIREGUARD_DIR "/run/wireguard"
/* Where copies are written before they are taken; covered for a moment, here only. */
#define STAGE "/run"

/* How long a mount may take: as long as a slow disk needs. */
#define RENEW_LIMIT_MS 5000

/* Exit status of the child that puts a file back. */
enum renewal { RENEWAL_NONE, RENEWAL_DONE, RENEWAL_FAILED };

/* What our mounts are called in /proc/PID/mounts, by which we know them again. */
#define SOURCE "sallyport"

static const char *const masks[] = {
	"/run/nscd",
	"/run/systemd/resolve",
	"/run/avahi-daemon",
	"/run/dbus",
	"/run/resolvconf",
	/* The same where /var/run is no link to /run. */
	"/var/run/nscd",
	"/var/run/avahi-daemon",
	"/var/run/dbus",
};

/* Detached mounts, each to be put in its place; -1: nothing for it. */
struct sources {
	int resolv_conf;
	int nsswitch;
	int hosts;
	int private_dir;
};

static void sources_close(struct sources *s)
{
	fd_close(&s->resolv_conf);
	fd_close(&s->nsswitch);
	fd_close(&s->hosts);
	fd_close(&s->private_dir);
}

/*
 * Private: a copy taken on the host would be a peer of the host's own mount,
 * and what is mounted over it in a room would be mounted on the host as well.
 */
static int take(const char *path, int *ret, struct err *e)
{
	struct mount_attr alone = { .propagation = MS_PRIVATE };
	int fd CLEANUP_FD = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH, &alone, sizeof(alone)) < 0)
		return err_errno(e, errno, "bind %s", path);
	*ret = fd_take(&fd);
	return 0;
}

static int read_file(const char *path, struct text *ret, struct err *e)
{
	int fd CLEANUP_FD = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	char buf[4096];
	ssize_t len;

	if (fd < 0)
		return err_errno(e, errno, "read %s", path);
	while ((len = read(fd, buf, sizeof(buf))) > 0)
		text_add_len(ret, buf, (size_t)len);
	return len < 0 ? err_errno(e, errno, "read %s", path) : 0;
}

static bool is_hosts_line(const char *line)
{
	line += strspn(line, " \t");
	if (!str_starts(line, "hosts"))
		return false;
	line += strlen("hosts");
	return line[strspn(line, " \t")] == ':';
}

/* @have with the hosts line replaced: files and DNS, no daemon of the host. */
static void tame_nsswitch(const struct text *have, struct text *ret)
{
	const char *line = text_str(have);

	while (*line) {
		size_t len = strcspn(line, "\n");

		if (!is_hosts_line(line)) {
			text_add_len(ret, line, len);
			text_add(ret, "\n");
		}
		line += len + (line[len] == '\n');
	}
	text_add(ret, "hosts: files dns\n");
}

/* @content as a file below STAGE, taken. */
static int take_copy(const char *path, const char *content, int *ret, struct err *e)
{
	int fd CLEANUP_FD = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	size_t len = strlen(content);

	/* The umask is the caller's; resolvers of any user read these. */
	if (fd < 0 || fchmod(fd, 0644) < 0 || write(fd, content, len) != (ssize_t)len)
		return err_errno(e, errno, "copy to %s", path);
	return take(path, ret, e);
}

static int take_copies(const struct proc_spec *s, const struct text *resolv,
		       const struct text *nsswitch, struct sources *src, struct err *e)
{
	int r = 0;

	if (mount(SOURCE, STAGE, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		  "mode=0755,size=1m,nr_inodes=16") < 0)
		return err_errno(e, errno, "mount tmpfs");
	if (nsswitch->len)
		r = take_copy(STAGE "/nsswitch.conf", text_str(nsswitch), &src->nsswitch, e);
	/* What a VPN client writes to resolv.conf must stay with it. */
	if (r == 0 && s->client)
		r = take_copy(STAGE "/resolv.conf", text_str(resolv), &src->resolv_conf, e);
	/* What was taken of it lives on. */
	if (umount2(STAGE, MNT_DETACH) < 0)
		return err_errno(e, errno, "unmount tmpfs");
	return r;
}

static int take_sources(const struct proc_spec *s, struct sources *src, struct err *e)
{
	struct text have CLEANUP_TEXT = { 0 };
	struct text nsswitch CLEANUP_TEXT = { 0 };
	struct text resolv CLEANUP_TEXT = { 0 };
	int r = 0;

	/* Without the file libc's own default is the same. */
	if (read_file(NSSWITCH_CONF, &have, e) == 0)
		tame_nsswitch(&have, &nsswitch);
	if (s->client) {
		r = read_file(s->resolv_conf ? s->resolv_conf : RESOLV_CONF, &resolv, e);
		if (r < 0 && s->resolv_conf)
			return r;
		r = 0;
	} else if (s->resolv_conf) {
		/* The file itself: the room follows when it is written again. */
		r = take(s->resolv_conf, &src->resolv_conf, e);
	}
	if (r == 0 && s->hosts_file)
		r = take(s->hosts_file, &src->hosts, e);
	if (r == 0 && s->private_dir)
		r = take(s->private_dir, &src->private_dir, e);
	return r < 0 ? r : take_copies(s, &resolv, &nsswitch, src, e);
}

static int mask_all(struct err *e)
{
	for (size_t i = 0; i < ARRAY_LEN(masks); i++) {
		struct stat st;

		if (stat(masks[i], &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (mount(SOURCE, masks[i], "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
			  "mode=0555,size=4k,nr_inodes=1") < 0)
			return err_errno(e, errno, "mask %s", masks[i]);
	}
	return 0;
}

/*
 * Over the name itself, not over what it points to: resolv.conf may be a link
 * to a file that is missing, or that we have just masked.
 */
static int place(int fd, const char *path, struct err *e)
{
	if (fd < 0)
		return 0;
	if (move_mount(fd, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH) == 0)
		return 0;
	/* A kernel that does not mount over links. */
	if (errno == EINVAL || errno == ELOOP) {
		if (move_mount(fd, "", AT_FDCWD, path,
			       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_SYMLINKS) == 0)
			return 0;
	}
	return err_errno(e, errno, "bind over %s", path);
}

/* A mount needs something to stand on; an empty file says the same as none. */
static int place_file(int fd, const char *path, struct err *e)
{
	struct stat st;
	int made;

	if (fd >= 0 && lstat(path, &st) < 0 && errno == ENOENT) {
		made = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (made < 0 && errno != EEXIST)
			return err_errno(e, errno, "make %s", path);
		fd_close(&made);
	}
	return place(fd, path, e);
}

static int place_all(struct sources *src, struct err *e)
{
	int r;

	if (src->private_dir >= 0 && mkdir(WIREGUARD_DIR, 0700) < 0 && errno != EEXIST)
		return err_errno(e, errno, "make %s", WIREGUARD_DIR);
	r = place(src->private_dir, WIREGUARD_DIR, e);
	if (r == 0)
		r = place_file(src->nsswitch, NSSWITCH_CONF, e);
	if (r == 0)
		r = place_file(src->hosts, HOSTS, e);
	if (r == 0)
		r = place_file(src->resolv_conf, RESOLV_CONF, e);
	return r;
}

int mounts_enter(const struct proc_spec *s, struct err *e)
{
	struct sources src __attribute__((cleanup(sources_close))) = { -1, -1, -1, -1 };
	int r;

	if (unshare(CLONE_NEWNS) < 0)
		return err_errno(e, errno, "mount namespace");
	/* Slave: unmounts of the host arrive here, nothing of ours leaves. */
	if (mount("none", "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return err_errno(e, errno, "mount namespace");
	r = take_sources(s, &src, e);
	if (r == 0)
		r = mask_all(e);
	return r < 0 ? r : place_all(&src, e);
}

/* Who still has the stage is about to cover its resolv.conf by itself. */
static bool is_ours(pid_t pid)
{
	char path[64];
	struct text mounts CLEANUP_TEXT = { 0 };
	struct err e;

	snprintf(path, sizeof(path), "/proc/%d/mounts", (int)pid);
	return read_file(path, &mounts, &e) == 0 && strstr(text_str(&mounts), "\n" SOURCE " ") &&
	       !strstr(text_str(&mounts), "\n" SOURCE " " STAGE " ");
}

static bool is_same_file(const char *a, const char *b)
{
	struct stat x, y;

	return lstat(a, &x) == 0 && lstat(b, &y) == 0 && x.st_dev == y.st_dev &&
	       x.st_ino == y.st_ino;
}

/*
 * In a child: setns(2) into a mount namespace is for good, and a file system that is
 * mounted there may answer nobody (NFS, FUSE).
 */
static enum renewal renew_in(pid_t pid, int mnt_fd, const char *from, const char *over)
{
	int file CLEANUP_FD = -1;
	char path[PATH_MAX];
	struct err ignored;

	snprintf(path, sizeof(path), "/proc/%d/root%s", (int)pid, over);
	if (is_same_file(path, from))
		return RENEWAL_NONE;
	return take(from, &file, &ignored) == 0 && setns(mnt_fd, CLONE_NEWNS) == 0 &&
			       place_file(file, over, &ignored) == 0
		       ? RENEWAL_DONE
		       : RENEWAL_FAILED;
}

int mounts_renew(pid_t pid, const char *file, const char *over, struct err *e)
{
	char path[64];
	int mnt CLEANUP_FD = -1;
	int status, r;
	pid_t child;

	if (!is_ours(pid))
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", (int)pid);
	mnt = open(path, O_RDONLY | O_CLOEXEC);
	if (mnt < 0)
		return 0; /* it has just ended */
	child = fork();
	if (child < 0)
		return err_errno(e, errno, "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(renew_in(pid, mnt, file, over));
	}
	r = proc_wait(child, RENEW_LIMIT_MS, &status, e);
	if (r < 0)
		return err_wrap(e, r, "put %s back for process %d", over, (int)pid);
	if (!WIFEXITED(status) || WEXITSTATUS(status) == RENEWAL_FAILED)
		return err_set(e, EIO, "put %s back for process %d", over, (int)pid);
	return WEXITSTATUS(status) == RENEWAL_DONE;
}
