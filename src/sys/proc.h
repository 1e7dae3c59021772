/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_PROC_H
#define SYS_PROC_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <sys/types.h>

/*
 * Child processes in other namespaces.  Two ways in:
 *  - room: exec and run.  New mount namespace with the room's resolv.conf and
 *    nsswitch, and nothing of the host's resolvers: /run/nscd,
 *    /run/systemd/resolve, /run/avahi-daemon, /run/dbus masked, so that no name
 *    can be asked past the tunnel.
 *  - client: VPN clients.  The same, plus /etc/hosts with the servers' names
 *    resolved outside, a private /run/wireguard, and masks over what scripts
 *    would use to change the host's resolver (/run/resolvconf, resolv.conf
 *    itself: writes of the client stay in its own copy).
 */
struct proc_spec {
	const char *const *argv;
	const char *const *env; /* "NAME=value" added to the caller's; NULL for none */
	int netns_fd; /* -1: stay */
	bool own_mounts; /* new mount namespace with the masks */
	/*
	 * Path of the file to bind over /etc/resolv.conf: the file itself, so that
	 * a room follows when it is rewritten in place; for a client a copy of it,
	 * or of the host's when NULL.
	 */
	const char *resolv_conf;
	bool client; /* the second way in */
	const char *hosts_file; /* to bind over /etc/hosts, written again in place; NULL: none */
	const char *private_dir; /* bind this directory over /run/wireguard, NULL: none */
	int stdin_fd; /* -1: /dev/null; else dup2'ed; 0,1,2 inherit */
	int stdout_fd;
	int stderr_fd;
	int pass_fd; /* -1, or an fd that stays open in the child under its number */
	const char *cwd; /* NULL: stay */
	bool drop_user; /* to @uid @gid with the groups of @user */
	uid_t uid;
	gid_t gid;
	const char *user; /* also sets HOME, USER, LOGNAME */
	bool own_group; /* setpgid(0, 0): VPN clients; not `run`'s command */
};

#define PROC_SPEC_NONE                                                                             \
	((struct proc_spec){                                                                       \
		.netns_fd = -1, .stdin_fd = -1, .stdout_fd = -1, .stderr_fd = -1, .pass_fd = -1 })

/*
 * Starts it; @ret_pidfd is O_CLOEXEC and readable when it ends.  Failure up to
 * and including execve(2) is reported here: -ENOENT and -EACCES of execve are
 * distinguishable by the return value (for exit codes 127 and 126); nothing
 * else fails with these two.
 */
int proc_spawn(const struct proc_spec *s, pid_t *ret_pid, int *ret_pidfd, struct err *e) MUST_USE;
/* The same in this very process (for `exec`): returns only on failure. */
int proc_exec(const struct proc_spec *s, struct err *e) MUST_USE;

/* Runs to the end with a time limit (ms), output (stdout+stderr) collected up to 64 KiB;
 * killed when late: -ETIMEDOUT.  @ret_status is the exit status as of waitpid. */
int proc_run(const struct proc_spec *s, const char *input, int timeout_ms, struct arena *a,
	     const char **ret_output, int *ret_status, struct err *e) MUST_USE;

/*
 * Waits for the end of a child of ours for at most @timeout_ms, then kills it: -ETIMEDOUT.
 * @ret_status is the exit status as of waitpid.
 */
int proc_wait(pid_t pid, int timeout_ms, int *ret_status, struct err *e) MUST_USE;

/* Would a VPN client of this name (without a slash) be found? */
bool proc_is_installed(const char *program);

/* Has this process CAP_NET_ADMIN, by proc_pid_status(5)?  True if that cannot be read. */
bool proc_has_net_admin(void);

/* Does it run just now, or wait for a CPU (state R of proc(5))? */
bool proc_is_running(pid_t pid);

/* The name of process @pid as comm of proc(5) has it; "" if there is none. */
void proc_name(pid_t pid, char *ret, size_t size);

/* Whoever started this process had it ignore @sig, as nohup(1) does. */
bool proc_ignores(int sig);

/* Reaps @pid if it ended: true and its wait status. */
bool proc_reap(pid_t pid, int *ret_status);

#endif
