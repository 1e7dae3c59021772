/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/proc.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

/* From fork to execve: mounts, name services and a slow disk. */
#define START_LIMIT_MS 15000
#define OUTPUT_MAX     (64 * 1024)
#define PIPE_SIZE      (64 * 1024) /* pipe(7) */
#define ADMIN_PATH     "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define GROUPS_MAX     1024

struct identity {
	const char *home;
	gid_t groups[GROUPS_MAX];
	int n_groups;
};

/* While the host's name services can still be asked. */
static int identity_look_up(const struct proc_spec *s, struct arena *a, struct identity *ret,
			    struct err *e)
{
	const struct passwd *pw = s->user ? getpwnam(s->user) : getpwuid(s->uid);

	ret->home = arena_strdup(a, pw && pw->pw_dir ? pw->pw_dir : "/");
	if (!s->user)
		return 0;
	ret->n_groups = GROUPS_MAX;
	if (getgrouplist(s->user, s->gid, ret->groups, &ret->n_groups) < 0)
		return err_set(e, E2BIG, "user \"%s\": too many groups", s->user);
	return 0;
}

static int drop_user(const struct proc_spec *s, const struct identity *id, struct err *e)
{
	if (setgroups((size_t)id->n_groups, id->groups) < 0 ||
	    setresgid(s->gid, s->gid, s->gid) < 0 || setresuid(s->uid, s->uid, s->uid) < 0)
		return err_errno(e, errno, "become user %u", (unsigned int)s->uid);
	return 0;
}

static size_t name_len(const char *variable)
{
	return strcspn(variable, "=");
}

static void env_set(struct arena *a, const char ***env, size_t *n, size_t *cap, const char *var)
{
	size_t len = name_len(var);

	for (size_t i = 0; i < *n; i++) {
		if (name_len((*env)[i]) == len && strncmp((*env)[i], var, len) == 0) {
			(*env)[i] = var;
			return;
		}
	}
	*arena_push(a, *env, *n, *cap) = var;
}

static char **make_env(const struct proc_spec *s, struct arena *a, const struct identity *id)
{
	const char **env = NULL;
	size_t n = 0, cap = 0;

	/*
	 * Only the supervisor speaks to the service manager: openvpn would tell
	 * it READY=1 by itself, and block once nobody reads.
	 */
	for (char **v = environ; v && *v; v++)
		if (strncmp(*v, "NOTIFY_SOCKET=", 14) != 0)
			*arena_push(a, env, n, cap) = *v;
	if (s->drop_user)
		env_set(a, &env, &n, &cap, arena_printf(a, "HOME=%s", id->home));
	if (s->drop_user && s->user) {
		env_set(a, &env, &n, &cap, arena_printf(a, "USER=%s", s->user));
		env_set(a, &env, &n, &cap, arena_printf(a, "LOGNAME=%s", s->user));
	}
	for (const char *const *v = s->env; v && *v; v++)
		env_set(a, &env, &n, &cap, *v);
	*arena_push(a, env, n, cap) = NULL;
	return (char **)env;
}

/* Above 0, 1, 2 first: the three may be given crosswise. */
static int lift(int fd, int flags)
{
	int null CLEANUP_FD = -1;

	if (fd < 0)
		fd = null = open("/dev/null", flags | O_CLOEXEC);
	return fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 10);
}

static int set_stdio(const struct proc_spec *s, struct err *e)
{
	int in CLEANUP_FD = lift(s->stdin_fd, O_RDONLY);
	int out CLEANUP_FD = lift(s->stdout_fd, O_WRONLY);
	int err CLEANUP_FD = lift(s->stderr_fd, O_WRONLY);

	if (in < 0 || out < 0 || err < 0 || dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
		return err_errno(e, errno, "standard input and output");
	if (s->pass_fd >= 0 && fcntl(s->pass_fd, F_SETFD, 0) < 0)
		return err_errno(e, errno, "descriptor %d", s->pass_fd);
	return 0;
}

static int prepare(const struct proc_spec *s, struct arena *a, struct identity *id, struct err *e)
{
	int r = s->drop_user ? identity_look_up(s, a, id, e) : 0;

	if (r == 0)
		r = set_stdio(s, e);
	if (r < 0)
		return r;
	if (s->netns_fd >= 0 && setns(s->netns_fd, CLONE_NEWNET) < 0)
		return err_errno(e, errno, "enter namespace");
	if (s->own_mounts)
		r = mounts_enter(s, e);
	if (r == 0 && s->drop_user)
		r = drop_user(s, id, e);
	if (r == 0 && s->cwd && chdir(s->cwd) < 0)
		r = err_errno(e, errno, "directory %s", s->cwd);
	return r;
}

/*
 * VPN clients and their scripts are administrators' programs: cron(8), su(1) and an
 * empty environment have no directory of theirs in PATH.
 */
static const char *clients_path(struct arena *a)
{
	const char *own = getenv("PATH");

	return arena_printf(a, "%s%s" ADMIN_PATH, own ? own : "", own && *own ? ":" : "");
}

bool proc_is_installed(const char *program)
{
	struct arena a CLEANUP_ARENA = { 0 };
	bool found = false;

	for (const char *at = clients_path(&a); *at && !found;) {
		size_t len = strcspn(at, ":");
		const char *path = arena_printf(&a, "%.*s/%s", (int)len, at, program);

		found = len && access(path, X_OK) == 0;
		at += len + (at[len] == ':');
	}
	return found;
}

static int become(const struct proc_spec *s, bool forked, struct err *e)
{
	struct arena arena CLEANUP_ARENA = { 0 };
	struct identity id = { 0 };
	sigset_t none;
	int r = prepare(s, &arena, &id, e);

	/* These two say that there is no such command, and only that. */
	if (r == -ENOENT || r == -EACCES)
		return -EIO;
	if (r < 0)
		return r;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (forked)
		prctl(PR_SET_PDEATHSIG, 0);
	if (s->client && setenv("PATH", clients_path(&arena), 1) < 0)
		return err_errno(e, errno, "PATH");
	execvpe(s->argv[0], (char *const *)s->argv, make_env(s, &arena, &id));
	return err_errno(e, errno, "%s", s->argv[0]);
}

int proc_exec(const struct proc_spec *s, struct err *e)
{
	return become(s, false, e);
}

/* What a child that could not start tells. */
struct failure {
	int status;
	struct err err;
};

bool proc_ignores(int sig)
{
	struct sigaction now;

	return sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

/* What the parent ignores or handles is nothing to its children, but for nohup(1). */
static void reset_signals(void)
{
	for (int sig = 1; sig < NSIG; sig++)
		if (sig != SIGHUP || !proc_ignores(sig))
			signal(sig, SIG_DFL);
}

/*
 * Until it is what it shall be: a supervisor that takes over finds processes by
 * their namespace, and would not find one that has yet to enter it.
 */
static void die_with_parent(pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
}

static _Noreturn void child(const struct proc_spec *s, pid_t parent, int report)
{
	struct failure f = { 0 };
	/* Out of the way of 0, 1, 2, should the parent have had none. */
	int fd = fcntl(report, F_DUPFD_CLOEXEC, 10);

	die_with_parent(parent);
	reset_signals();
	if (s->own_group)
		setpgid(0, 0);
	f.status = become(s, true, &f.err);
	if (write(fd, &f, sizeof(f)) < 0)
		_exit(126);
	_exit(127);
}

static void kill_and_reap(pid_t pid, int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	kill(pid, SIGKILL);
	/* It may be stuck in the kernel: then it stays a zombie of ours for later. */
	if (pidfd < 0 || poll(&p, 1, 2000) == 1)
		waitpid(pid, NULL, pidfd < 0 ? 0 : WNOHANG);
}

/* 0 when execve(2) has closed the pipe, else what went wrong. */
static int hear_start(int fd, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };
	struct failure f;
	ssize_t got;
	int n;

	do
		n = poll(&p, 1, START_LIMIT_MS);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return err_set(e, ETIMEDOUT, "did not start in %d s", START_LIMIT_MS / 1000);
	do
		got = read(fd, &f, sizeof(f));
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return 0;
	/* Less than PIPE_BUF: whole or not at all. */
	if (got != (ssize_t)sizeof(f))
		return err_set(e, EIO, "ended before it started");
	*e = f.err;
	return f.status;
}

int proc_spawn(const struct proc_spec *s, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	int pidfd CLEANUP_FD = -1;
	int hear CLEANUP_FD = -1;
	int report CLEANUP_FD = -1;
	int ends[2];
	pid_t parent = getpid();
	pid_t pid;
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	hear = ends[0];
	report = ends[1];
	pid = fork();
	if (pid < 0)
		return err_errno(e, errno, "fork");
	if (pid == 0)
		child(s, parent, report);
	fd_close(&report);
	pidfd = pidfd_open(pid, 0);
	r = pidfd < 0 ? err_errno(e, errno, "pidfd") : hear_start(hear, e);
	if (r < 0) {
		kill_and_reap(pid, pidfd);
		return r;
	}
	*ret_pid = pid;
	*ret_pidfd = fd_take(&pidfd);
	return 0;
}

void proc_name(pid_t pid, char *ret, size_t size)
{
	char path[64];
	FILE *f;

	ret[0] = 0;
	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return;
	if (fgets(ret, (int)size, f))
		ret[strcspn(ret, "\n")] = 0;
	fclose(f);
}

bool proc_has_net_admin(void)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *text, *line;
	unsigned long long caps = 0;
	struct err e;
	size_t size;

	if (file_read(&a, "/proc/self/status", FILE_READ_MAX, &text, &size, &e) < 0)
		return true; /* what comes next will tell */
	line = strstr(text, "\nCapEff:");
	return !line || sscanf(line, "\nCapEff: %llx", &caps) != 1 || (caps >> CAP_NET_ADMIN & 1);
}

bool proc_is_running(pid_t pid)
{
	char path[64], text[128] = "";
	const char *end;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	(void)!fgets(text, sizeof(text), f);
	fclose(f);
	end = strrchr(text, ')'); /* the name may have one, too */
	return end && str_starts(end, ") R");
}

bool proc_reap(pid_t pid, int *ret_status)
{
	int status;
	pid_t got;

	do
		got = waitpid(pid, &status, WNOHANG);
	while (got < 0 && errno == EINTR);
	if (got == 0)
		return false;
	/* Somebody else reaped it: ended, nobody knows how. */
	*ret_status = got == pid ? status : W_EXITCODE(255, 0);
	return true;
}

static int64_t now_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* A file, not a pipe: a child that does not read cannot make us wait or kill us by SIGPIPE. */
static int input_file(const char *input, int *ret, struct err *e)
{
	int fd CLEANUP_FD = memfd_create("sallyport-input", MFD_CLOEXEC);
	size_t len = strlen(input);

	if (fd < 0 || write(fd, input, len) != (ssize_t)len || lseek(fd, 0, SEEK_SET) < 0)
		return err_errno(e, errno, "input");
	*ret = fd_take(&fd);
	return 0;
}

/*
 * Takes what is there, and no more than a pipe holds: somebody may write as fast as we
 * read.  False at the end.  What is beyond OUTPUT_MAX is thrown away.
 */
static bool drain(int fd, struct text *t)
{
	char buf[4096];
	ssize_t got;

	for (size_t all = 0; all < PIPE_SIZE; all += (size_t)got) {
		size_t room = OUTPUT_MAX - t->len;

		got = read(fd, buf, sizeof(buf));
		if (got <= 0)
			return got < 0 && (errno == EAGAIN || errno == EINTR);
		text_add_len(t, buf, (size_t)got < room ? (size_t)got : room);
	}
	return true;
}

/* Until the process ends; what its own children do with the output is not waited for. */
static int collect(int pidfd, int output, int timeout_ms, struct text *t, struct err *e)
{
	struct pollfd p[2] = { { .fd = pidfd, .events = POLLIN },
			       { .fd = output, .events = POLLIN } };
	int64_t end = now_ms() + timeout_ms;

	while (!p[0].revents) {
		int64_t left = end - now_ms();
		int n = left > 0 ? poll(p, 2, (int)left) : 0;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "poll");
		if (n == 0)
			return err_set(e, ETIMEDOUT, "did not end in %d ms", timeout_ms);
		if (p[1].revents && !drain(output, t))
			p[1].fd = -1;
	}
	drain(output, t);
	return 0;
}

int proc_wait(pid_t pid, int timeout_ms, int *ret_status, struct err *e)
{
	int pidfd CLEANUP_FD = pidfd_open(pid, 0);
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int64_t end = now_ms() + timeout_ms;
	int n = 0;

	for (int64_t left; pidfd >= 0 && !n && (left = end - now_ms()) > 0;) {
		n = poll(&p, 1, (int)left);
		if (n < 0 && errno == EINTR)
			n = 0;
	}
	if (n == 1 && proc_reap(pid, ret_status))
		return 0;
	kill_and_reap(pid, pidfd);
	return err_set(e, ETIMEDOUT, "did not end in %d ms", timeout_ms);
}

int proc_run(const struct proc_spec *s, const char *input, int timeout_ms, struct arena *a,
	     const char **ret_output, int *ret_status, struct err *e)
{
	struct proc_spec spec = *s;
	struct text output CLEANUP_TEXT = { 0 };
	int in CLEANUP_FD = -1;
	int hear CLEANUP_FD = -1;
	int say CLEANUP_FD = -1;
	int pidfd CLEANUP_FD = -1;
	int ends[2];
	pid_t pid;
	int r = 0;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	hear = ends[0];
	say = ends[1];
	if (fcntl(hear, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(e, errno, "pipe");
	if (input)
		r = input_file(input, &in, e);
	if (r < 0)
		return r;
	spec.stdin_fd = input ? in : s->stdin_fd;
	spec.stdout_fd = spec.stderr_fd = say;
	/* So that its own children end with it when it is late. */
	spec.own_group = true;
	r = proc_spawn(&spec, &pid, &pidfd, e);
	if (r < 0)
		return r;
	fd_close(&say);
	r = collect(pidfd, hear, timeout_ms, &output, e);
	if (r < 0) {
		kill(-pid, SIGKILL);
		kill_and_reap(pid, pidfd);
		return err_wrap(e, r, "%s", s->argv[0]);
	}
	proc_reap(pid, ret_status);
	*ret_output = arena_strndup(a, text_str(&output), output.len);
	return 0;
}
