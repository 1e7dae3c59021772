/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * At a terminal `run` is two processes.  A shell takes its terminal back when the process that
 * it has started stops, and so that one has to stop with the command: by Ctrl-Z, by a shell's
 * `suspend`, by reading in the background.  It only stands in front.  The supervisor is its
 * child, which no terminal stops: VPN clients are started again and repairs made meanwhile.
 * Whatever is sent to the one in front is passed on, and its end is the supervisor's.
 */
#include "daemon/front.h"

#include "daemon/command.h"
#include "sys/fd.h"
#include "sys/loop.h"
#include "sys/proc.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static void supervisor_ended(struct loop_source *source, uint32_t events)
{
	struct command *c = source->ctx;

	(void)events;
	c->loop->stop = true;
}

/* Until the supervisor ends; without a loop that only means that no signal is passed on. */
static int wait_for(pid_t supervisor)
{
	struct command c = COMMAND_NONE;
	struct loop loop = { .epoll = -1 };
	int fd CLEANUP_FD = pidfd_open(supervisor, 0);
	int status = 0;
	struct err ignored;
	int r = loop_open(&loop, &ignored);

	if (r == 0)
		r = command_signals(&c, &loop, &ignored);
	c.pid = supervisor;
	c.exited = (struct loop_source){ .fd = -1, .ready = supervisor_ended, .ctx = &c };
	if (r == 0)
		r = loop_add(&loop, &c.exited, fd, &ignored);
	if (r == 0)
		(void)!loop_run(&loop, &ignored);
	waitpid(supervisor, &status, 0);
	return status;
}

/* A shell says so of what was killed. */
static int end_likewise(int status)
{
	sigset_t all;

	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	sigfillset(&all);
	signal(WTERMSIG(status), SIG_DFL);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	raise(WTERMSIG(status));
	return 128 + WTERMSIG(status);
}

bool front_stand(int *ret_tty, int *ret_status)
{
	bool at_terminal = isatty(0) || isatty(1) || isatty(2);
	int tty CLEANUP_FD = at_terminal ? open("/dev/tty", O_RDWR | O_CLOEXEC) : -1;
	pid_t front = getpid(), pid;

	*ret_tty = -1;
	pid = tty >= 0 ? fork() : -1;
	if (pid < 0)
		return false;
	if (pid > 0) {
		*ret_status = end_likewise(wait_for(pid));
		return true;
	}
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != front)
		_exit(1);
	signal(SIGTSTP, SIG_IGN);
	signal(SIGTTIN, SIG_IGN);
	*ret_tty = fd_take(&tty);
	return false;
}
