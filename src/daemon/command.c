/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/command.h"

#include "base/text.h"
#include "daemon/log.h"
#include "sys/fd.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

static const int forwarded[] = { SIGHUP,  SIGINT,  SIGQUIT,  SIGTERM,
				 SIGUSR1, SIGUSR2, SIGWINCH, SIGCONT };
static const int ending[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };

/*
 * Ctrl-C at the terminal reaches the command by itself if it is in our process group
 * (si_code SI_KERNEL), which timeout(1) and setsid(1) leave.  That a terminal hangs up is
 * told to the leader of its session alone (tty_signal_session_leader() in
 * drivers/tty/tty_jobctrl.c): us, where ssh(1) or a new window was given our command line.
 */
static bool has_it_already(const struct command *c, const struct signalfd_siginfo *info)
{
	if (info->ssi_code != SI_KERNEL || getpgid(c->pid) != getpgrp())
		return false;
	return info->ssi_signo != SIGHUP || getsid(0) != getpid();
}

/* `fg` or `bg` of the shell: who had its terminal has it again, if that has come to us. */
static void go_on(const struct command *c)
{
	pid_t own = getpgrp(), group = getpgid(c->pid);

	if (group <= 0 || group == own) {
		kill(c->pid, SIGCONT);
		return;
	}
	if (c->had_tty && tcgetpgrp(c->tty) == own)
		(void)tcsetpgrp(c->tty, group);
	kill(-group, SIGCONT);
}

static void signal_came(struct loop_source *source, uint32_t events)
{
	struct command *c = source->ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	if (info.ssi_signo == SIGPIPE)
		return; /* of our own log, which nobody reads any more */
	if (c->pid > 0 && info.ssi_signo == SIGCONT && c->tty >= 0) {
		go_on(c);
		return;
	}
	if (c->pid > 0) {
		if (!has_it_already(c, &info))
			kill(c->pid, (int)info.ssi_signo);
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(ending); i++)
		if ((int)info.ssi_signo == ending[i])
			c->loop->stop = true;
}

int command_signals(struct command *c, struct loop *loop, struct err *e)
{
	sigset_t set;
	int fd, r;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(forwarded); i++)
		sigaddset(&set, forwarded[i]);
	/* Of `stty tostop`: what the log says must not stop us, nor a shell in our foreground. */
	signal(SIGTTOU, SIG_IGN);
	/* Blocked, it would not be ignored any more (sig_ignored() in kernel/signal.c). */
	if (proc_ignores(SIGHUP))
		sigdelset(&set, SIGHUP);
	sigaddset(&set, SIGPIPE);
	r = signals_open(&set, &fd, e);
	c->loop = loop;
	c->signals = (struct loop_source){ .fd = -1, .ready = signal_came, .ctx = c };
	return r < 0 ? r : loop_add(loop, &c->signals, fd, e);
}

/* Only a shell that waits for our group can (POSIX: the group is not orphaned): we try it. */
static bool job_can_stop(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return true;
	if (pid == 0) {
		signal(SIGTSTP, SIG_DFL);
		raise(SIGTSTP);
		_exit(0);
	}
	(void)waitpid(pid, &status, WUNTRACED);
	if (!WIFSTOPPED(status))
		return false;
	kill(pid, SIGKILL);
	(void)waitpid(pid, &status, 0);
	return true;
}

/* It asks for the terminal that our group was given, as timeout(1)'s command does: passed on. */
static bool gets_terminal(const struct command *c, pid_t group, int sig)
{
	if ((sig != SIGTTIN && sig != SIGTTOU) || group == getpgrp() ||
	    tcgetpgrp(c->tty) != getpgrp() || tcsetpgrp(c->tty, group) < 0)
		return false;
	kill(-group, SIGCONT);
	return true;
}

void command_look(struct command *c, const char *who)
{
	siginfo_t info = { 0 };
	pid_t group;

	if (c->pid <= 0 || c->tty < 0 ||
	    waitid(P_PID, (id_t)c->pid, &info, WSTOPPED | WNOHANG) < 0 || !info.si_pid)
		return;
	group = getpgid(c->pid);
	if (group <= 0 || gets_terminal(c, group, info.si_status))
		return;
	c->had_tty = group != getpgrp() && tcgetpgrp(c->tty) == group;
	if (job_can_stop())
		kill(0, SIGTSTP); /* which we ignore */
	else
		log_say(who,
			"the command (process %d) was stopped by SIG%s, and there is no shell that "
			"could have the terminal (try, in another one: kill -CONT %d)",
			(int)c->pid, sigabbrev_np(info.si_status), (int)c->pid);
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

/* A signal by which somebody wants an end, and that has not been read yet; or 0. */
static int told_to_end(void)
{
	sigset_t pending;

	for (size_t i = 0; sigpending(&pending) == 0 && i < ARRAY_LEN(ending); i++)
		if (sigismember(&pending, ending[i]))
			return ending[i];
	return 0;
}

int command_start(struct command *c, struct proc_spec spec, struct err *e)
{
	int r, sig = told_to_end();

	/* Who pressed Ctrl-C before there was a command cannot mean it to go on. */
	if (sig) {
		c->status = 128 + sig;
		return err_set(e, ECANCELED, "ended by SIG%s before %s was started",
			       sigabbrev_np(sig), spec.argv[0]);
	}
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
