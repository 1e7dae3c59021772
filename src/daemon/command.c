/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/command.h"

#include "base/text.h"
#include "sys/fd.h"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH };

/*
 * Ctrl-C at the terminal reaches the command by itself, as it is in the same
 * process group (si_code SI_KERNEL); what somebody sent to us is passed on.
 */
static void signal_came(struct loop_source *source, uint32_t events)
{
	struct command *c = source->ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGPIPE)
		return; /* of our own log, which nobody reads any more */
	if (c->pid > 0) {
		if (info.ssi_code != SI_KERNEL)
			kill(c->pid, (int)info.ssi_signo);
		return;
	}
	if (info.ssi_signo == SIGINT || info.ssi_signo == SIGTERM || info.ssi_signo == SIGHUP ||
	    info.ssi_signo == SIGQUIT)
		c->loop->stop = true;
}

int command_signals(struct command *c, struct loop *loop, struct err *e)
{
	sigset_t set;
	int fd, r;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	sigaddset(&set, SIGPIPE);
	r = signals_open(&set, &fd, e);
	c->loop = loop;
	c->signals = (struct loop_source){ .fd = -1, .ready = signal_came, .ctx = c };
	return r < 0 ? r : loop_add(loop, &c->signals, fd, e);
}

static void ended(struct loop_source *source, uint32_t events)
{
	struct command *c = source->ctx;
	int status = 0;

	(void)events;
	if (!proc_reap(c->pid, &status))
		return;
	c->pid = 0;
	c->status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	loop_remove(c->loop, &c->exited);
	fd_close(&c->pidfd);
	if (c->over)
		c->over(c->ctx);
}

int command_start(struct command *c, struct proc_spec spec, struct err *e)
{
	int r;

	spec.stdin_fd = 0;
	spec.stdout_fd = 1;
	spec.stderr_fd = 2;
	r = proc_spawn(&spec, &c->pid, &c->pidfd, e);
	if (r < 0) {
		c->pid = 0;
		c->status = r == -ENOENT ? 127 : r == -EACCES ? 126 : 1;
		return r;
	}
	c->exited = (struct loop_source){ .fd = -1, .ready = ended, .ctx = c };
	return loop_add(c->loop, &c->exited, c->pidfd, e);
}
