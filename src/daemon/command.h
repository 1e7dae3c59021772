/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_COMMAND_H
#define DAEMON_COMMAND_H

#include "sys/loop.h"
#include "sys/proc.h"

/*
 * The command that `run` and `guard` stand around, which must not notice: it has
 * their terminal and their signals, and they end with its status.
 */
struct command {
	struct loop *loop;
	pid_t pid; /* 0: does not run */
	int pidfd;
	int status; /* for exit(3), once it has ended or could not start */
	int tty; /* of front_stand(), -1: none whose shell could get it back */
	bool had_tty; /* when it stopped it was in the foreground, in a group of its own */
	struct loop_source signals, exited;
	void (*over)(void *ctx); /* it has ended; may be NULL */
	void *ctx;
};

#define COMMAND_NONE ((struct command){ .pidfd = -1, .tty = -1, .signals.fd = -1, .exited.fd = -1 })

/*
 * Blocks what a terminal or a supervisor sends; from now on it is passed on to
 * the command, or ends @loop while there is none.  The loop must outlive @c.
 */
int command_signals(struct command *c, struct loop *loop, struct err *e) MUST_USE;

/* Starts it with this process's own input and output; @spec says the rest.  Failures are
 * those of proc_spawn(), and -ECANCELED if somebody has wanted an end since
 * command_signals(); c->status is then what a shell would exit with. */
int command_start(struct command *c, struct proc_spec spec, struct err *e) MUST_USE;

/* At SIGCHLD: if it has stopped, so does the job that its shell knows, but not this process. */
void command_look(struct command *c, const char *who);

#endif
