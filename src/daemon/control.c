/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The supervisor's socket: abstract, so it belongs to the host's namespace and
 * is gone with the process; being bound is also the lock that there is one
 * supervisor of a gate.  One line in ("status", "down", "rooms"), text out.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

/* Who connects must say its line by then, in ms. */
#define REQUEST_LIMIT_MS 1000
/* Who does not read is waited for so long, in ms. */
#define SEND_LIMIT_MS 1000
/* A supervisor that has the name is asked whether it ends, in ms. */
#define STATUS_LIMIT_MS 5000
/* The end of a gate takes no longer: its clients' farewell, its processes' end, others' locks. */
#define END_LIMIT_MS 30000

static socklen_t address_of(const char *gate, struct sockaddr_un *ret)
{
	*ret = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(ret->sun_path + 1, sizeof(ret->sun_path) - 1, "sallyport/%s", gate);
	return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(ret->sun_path + 1));
}

static bool readable_within(int fd, int ms)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, ms) > 0;
}

static bool is_allowed(int fd)
{
	struct ucred c;
	socklen_t len = sizeof(c);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) == 0 &&
	       (c.uid == 0 || c.uid == geteuid());
}

/* Of connect(2), too: it waits for a place in the listener's queue (unix(7)). */
static void limit_sending(int fd, int ms)
{
	const struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
}

void control_send(int fd, const char *text)
{
	size_t left = strlen(text);

	limit_sending(fd, SEND_LIMIT_MS);
	while (left) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		left -= (size_t)n;
	}
}

int control_accept(struct loop *l, struct loop_source *listener, const char *who,
		   char line[CONTROL_LINE_SIZE])
{
	int fd CLEANUP_FD = loop_accept(l, listener, 0);
	ssize_t n;

	if (fd < 0 && fd != -EAGAIN)
		log_say(who, "who asks has to wait: %s", strerror(-fd));

	if (fd < 0 || !is_allowed(fd) || !readable_within(fd, REQUEST_LIMIT_MS))
		return -1;
	n = recv(fd, line, CONTROL_LINE_SIZE - 1, MSG_DONTWAIT);
	line[n > 0 ? n : 0] = 0;
	line[strcspn(line, "\n")] = 0;
	return fd_take(&fd);
}

/* " ROOM", or "" if the caller asks for no certain one. */
static const char *load_rooms(struct supervisor *s, const char *room, struct err *e)
{
	int r = sandboxes_load(s, *room == ' ' ? room + 1 : NULL, e);

	reconcile_soon(s);
	if (r == 0)
		r = reconcile(s, e);
	return r < 0 ? e->text : "done";
}

static void control_ready(struct loop_source *source, uint32_t events)
{
	struct supervisor *s = source->ctx;
	char line[CONTROL_LINE_SIZE];
	int fd CLEANUP_FD = control_accept(&s->loop, source, s->gate.name, line);
	struct err e;

	(void)events;
	if (fd < 0)
		return;
	if (str_eq(line, "status")) {
		char *json = status_json(s);

		control_send(fd, json);
		free(json);
	} else if (str_starts(line, "rooms")) {
		control_send(fd, load_rooms(source->ctx, line + strlen("rooms"), &e));
	} else if (str_eq(line, "down") && s->down_client < 0) {
		s->down_client = fd_take(&fd); /* answered when all is away */
		s->loop.stop = true;
	}
}

/*
 * The children of a supervisor that was killed hold its socket until their
 * execve: a name that is in use may be free a moment later.
 */
static int bind_patiently(int fd, const struct sockaddr_un *me, socklen_t len)
{
	const struct timespec pause = { .tv_nsec = 10 * 1000 * 1000 };

	for (int tries = 0; bind(fd, (const struct sockaddr *)me, len) < 0; tries++) {
		if (errno != EADDRINUSE || tries == 50)
			return -errno;
		nanosleep(&pause, NULL);
	}
	return 0;
}

int control_hold(const char *name, int *ret_fd, struct err *e)
{
	struct sockaddr_un me;
	socklen_t len = address_of(name, &me);
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "socket");
	r = bind_patiently(fd, &me, len);
	if (r < 0)
		return err_errno(e, -r, "bind");
	*ret_fd = fd_take(&fd);
	return 0;
}

int control_bind(const char *name, int *ret_fd, struct err *e)
{
	int fd CLEANUP_FD = -1;
	int r = control_hold(name, &fd, e);

	if (r < 0)
		return r;
	if (listen(fd, 8) < 0)
		return err_errno(e, errno, "listen");
	*ret_fd = fd_take(&fd);
	return 0;
}

/* Whoever has the gate's name ends it, or has ended: a supervisor, or `down` of what one left. */
static bool is_ending(const char *gate)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *answer;
	struct err ignored;
	json_t *status;
	bool ending;
	int r = control_ask(&a, gate, "status\n", STATUS_LIMIT_MS, &answer, &ignored);

	if (r < 0 || !*answer)
		return r == 0 || r == -ECONNREFUSED;
	status = json_loads(answer, 0, NULL);
	ending = str_eq(json_string_value(json_object_get(status, "state")) ?: "", "ending");
	json_decref(status);
	return ending;
}

/* `up` may come when `down` has been called and is not over. */
static int bind_after_end(const char *gate, int *ret_fd, struct err *e)
{
	int64_t until = clock_ms() + END_LIMIT_MS;
	int r;

	do
		r = control_bind(gate, ret_fd, e);
	while (r == -EADDRINUSE && clock_ms() < until && is_ending(gate));
	return r;
}

int control_listen(struct supervisor *s, struct err *e)
{
	int fd = s->lock;
	int r = fd < 0 ? bind_after_end(s->gate.name, &fd, e) : 0;

	s->lock = -1;
	if (r == -EADDRINUSE)
		return err_set(e, EADDRINUSE,
			       "is up already; take it down first: sallyport down %s",
			       s->gate.name);
	if (r < 0)
		return r;
	s->control = (struct loop_source){ .ready = control_ready, .ctx = s };
	return loop_add(&s->loop, &s->control, fd, e);
}

/* Whoever listens on the socket; so many are waiting for it that nobody is told who it is. */
static int hangs(int fd, const char *gate, int timeout_ms, struct err *e)
{
	struct ucred c = { 0 };
	socklen_t len = sizeof(c);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &len) < 0 || c.pid <= 0)
		return err_set(
			e, ETIMEDOUT,
			"the supervisor of gate %s does not answer within %d s, nor the others "
			"who ask it; if it hangs: kill -9 it (ss -lxp src @sallyport/%s names "
			"its process), then try again",
			gate, timeout_ms / 1000, gate);
	return err_set(e, ETIMEDOUT,
		       "the supervisor of gate %s (process %d) does not answer within %d s; if it "
		       "hangs: kill -9 %d, then try again",
		       gate, (int)c.pid, timeout_ms / 1000, (int)c.pid);
}

int control_ask(struct arena *a, const char *gate, const char *request, int timeout_ms,
		const char **ret_answer, struct err *e)
{
	struct sockaddr_un to;
	socklen_t len = address_of(gate, &to);
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct text answer CLEANUP_TEXT = { 0 };
	int64_t until = clock_ms() + timeout_ms;

	if (fd < 0)
		return err_errno(e, errno, "socket");
	limit_sending(fd, timeout_ms);
	if (connect(fd, (struct sockaddr *)&to, len) < 0)
		return errno == EAGAIN
			       ? hangs(fd, gate, timeout_ms, e)
			       : err_errno(e, errno, "no supervisor of gate %s answers", gate);
	control_send(fd, request);
	for (;;) {
		int64_t left = until - clock_ms();
		char buf[4096];
		ssize_t n;

		if (left <= 0 || !readable_within(fd, (int)left))
			return hangs(fd, gate, timeout_ms, e);
		n = recv(fd, buf, sizeof(buf), 0);
		if (n < 0 && errno != ECONNRESET)
			return err_errno(e, errno, "recv");
		if (n <= 0)
			break;
		text_add_len(&answer, buf, (size_t)n);
	}
	*ret_answer = arena_strdup(a, text_str(&answer));
	return 0;
}

pid_t control_keeper(const char *gate)
{
	struct sockaddr_un to;
	socklen_t len = address_of(gate, &to), size = sizeof(struct ucred);
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct ucred c = { 0 };

	if (fd < 0)
		return 0;
	limit_sending(fd, SEND_LIMIT_MS);
	/* Anybody may bind that name. */
	if (connect(fd, (struct sockaddr *)&to, len) < 0 ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &size) < 0 || c.uid != 0)
		return 0;
	return c.pid;
}
