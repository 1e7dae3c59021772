/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The driver's socket: one request a connection, one thing at a time, as Docker
 * asks it.  Who is slow, silent or says garbage has a time limit and is in
 * nobody's way.
 */
#include "daemon/netdriver_serve.h"

#include "base/text.h"
#include "daemon/log.h"
#include "daemon/netdriver.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/loop.h"
#include "sys/notify.h"
#include "wire/http.h"
#include "wire/netdriver.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define REQUEST_MS   5000 /* from the connection to the end of the request */
#define AGAIN_MS     200
#define PATIENCE_MS  10000 /* how long a gate may take to come up, as at a machine's start */
#define BODY_MAX     ((size_t)1 << 20)
#define CALLERS_MAX  64
#define LOOK_UP_MS   100
#define LOOK_UPS_MAX 300 /* tries; the pauses grow to some 2 s */
#define FIRST_FD     3 /* sd_listen_fds(3) */

struct caller {
	struct server *server;
	struct loop_source source;
	struct loop_timer timer;
	int fd;
	struct http_reader http;
	struct text body;
	int64_t give_up; /* in clock_ms(); 0 while the request is not complete */
	struct caller *next;
};

struct look_up {
	char *gate;
	char *room;
	struct loop_timer timer;
	int tries;
	struct look_up *next;
};

static struct server {
	const struct netdriver_options *o;
	struct loop loop;
	struct loop_source listener, signals;
	struct caller *callers;
	size_t n_callers;
	struct look_up *look_ups;
	bool bound; /* the socket is ours to take away */
} server;

void netdriver_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_say_v("driver", fmt, ap);
	va_end(ap);
}

const char *netdriver_state(void)
{
	return server.o->state;
}

/* --- callers ---------------------------------------------------------------------------- */

static void hang_up(struct caller *c)
{
	struct caller **p = &c->server->callers;

	while (*p != c)
		p = &(*p)->next;
	*p = c->next;
	c->server->n_callers--;
	loop_remove(&c->server->loop, &c->source);
	loop_disarm(&c->server->loop, &c->timer);
	http_reader_free(&c->http);
	text_free(&c->body);
	fd_close(&c->fd);
	free(c);
}

/* It fits into the socket's buffer, or the caller does not read. */
static void answer(struct caller *c, int status, const char *body)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *text = http_answer(&a, status, body);

	(void)!send(c->fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT);
	hang_up(c);
}

/* Who is hung up on with something unread sees an error in the place of the answer. */
static void read_away(int fd)
{
	char buf[16384];

	for (int i = 0; i < 64 && recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0; i++)
		;
}

static void refuse(struct caller *c, int status, const char *why)
{
	struct arena a CLEANUP_ARENA = { 0 };

	netdriver_say("%s", why);
	read_away(c->fd);
	answer(c, status, netdriver_failed(&a, why));
}

static void handle(struct caller *c)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *body = "{}";
	int status = 200;
	struct err e;
	int r = netdriver_answer(&a, c->http.path, text_str(&c->body), c->body.len, &status, &body,
				 &e);

	if (r == -EAGAIN && clock_ms() < c->give_up) {
		loop_arm(&c->server->loop, &c->timer, AGAIN_MS);
		return;
	}
	if (r < 0)
		refuse(c, status, e.text);
	else
		answer(c, status, body);
}

static void time_is_up(struct loop_timer *t)
{
	struct caller *c = t->ctx;

	if (c->give_up)
		handle(c);
	else
		refuse(c, 408, "the request did not come in time");
}

static void caller_ready(struct loop_source *source, uint32_t events)
{
	struct caller *c = source->ctx;
	char buf[16384];
	ssize_t n = recv(c->fd, buf, sizeof(buf), MSG_DONTWAIT);
	struct err e;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up(c);
		return;
	}
	if (http_feed(&c->http, buf, (size_t)n, &c->body, &e) < 0) {
		refuse(c, 400, e.text);
		return;
	}
	if (c->body.len > BODY_MAX) {
		refuse(c, 413, "the request is too large");
		return;
	}
	if (c->http.part != HTTP_DONE)
		return;
	loop_remove(&c->server->loop, &c->source);
	c->give_up = clock_ms() + PATIENCE_MS;
	handle(c);
}

static bool is_root(int fd)
{
	struct ucred u;
	socklen_t len = sizeof(u);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &u, &len) == 0 &&
	       (u.uid == 0 || u.uid == geteuid());
}

static void called(struct loop_source *source, uint32_t events)
{
	struct server *s = source->ctx;
	int fd CLEANUP_FD = loop_accept(&s->loop, source, SOCK_NONBLOCK);
	struct caller *c;
	struct err e;

	(void)events;
	if (fd < 0 && fd != -EAGAIN)
		netdriver_say("the engine has to wait: %s", strerror(-fd));
	if (fd < 0 || !is_root(fd) || s->n_callers == CALLERS_MAX)
		return;
	c = calloc(1, sizeof(*c));
	if (!c)
		abort();
	c->server = s;
	c->http.is_request = true;
	c->source = (struct loop_source){ .ready = caller_ready, .ctx = c };
	c->timer = (struct loop_timer){ .fire = time_is_up, .ctx = c };
	c->next = s->callers;
	s->callers = c;
	s->n_callers++;
	c->fd = fd_take(&fd);
	if (loop_add(&s->loop, &c->source, c->fd, &e) < 0) {
		hang_up(c);
		return;
	}
	loop_arm(&s->loop, &c->timer, REQUEST_MS);
}

/* --- what the engine knows a moment later --------------------------------------------------- */

static void forget(struct look_up *l)
{
	struct look_up **p = &server.look_ups;

	while (*p != l)
		p = &(*p)->next;
	*p = l->next;
	loop_disarm(&server.loop, &l->timer);
	free(l->gate);
	free(l->room);
	free(l);
}

static void look_up(struct loop_timer *t)
{
	struct look_up *l = t->ctx;
	struct err e;
	int r = netdriver_complete(server.o->engine, l->gate, l->room, &e);

	if (r == -EAGAIN && ++l->tries < LOOK_UPS_MAX) {
		loop_arm(&server.loop, t, LOOK_UP_MS * (l->tries < 20 ? l->tries : 20));
		return;
	}
	if (r < 0)
		netdriver_say("room \"%s\": %s", l->room, e.text);
	forget(l);
}

void netdriver_look_up(const char *gate, const char *room)
{
	struct look_up *l = calloc(1, sizeof(*l));

	if (!l)
		abort();
	*l = (struct look_up){ .gate = strdup(gate),
			       .room = strdup(room),
			       .timer = { .fire = look_up, .ctx = l },
			       .next = server.look_ups };
	server.look_ups = l;
	loop_arm(&server.loop, &l->timer, LOOK_UP_MS);
}

/* --- the socket ------------------------------------------------------------------------------- */

/* systemd(1)'s, by sd_listen_fds(3): it stays when we go. */
static int inherited(void)
{
	const char *pid = getenv("LISTEN_PID"), *n = getenv("LISTEN_FDS");
	char own[16];

	snprintf(own, sizeof(own), "%d", (int)getpid());
	return pid && n && str_eq(pid, own) && str_eq(n, "1") ? FIRST_FD : -1;
}

/* A socket's file that nobody listens on any more is in the way; somebody else's is not ours. */
static int make_way(const struct sockaddr_un *at, struct err *e)
{
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct stat st;

	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (lstat(at->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "%s", at->sun_path);
	if (!S_ISSOCK(st.st_mode))
		return err_set(e, EEXIST,
			       "%s is there and no socket: take it away, or say another "
			       "--socket",
			       at->sun_path);
	if (connect(fd, (const struct sockaddr *)at, sizeof(*at)) == 0 || errno == EAGAIN)
		return err_set(e, EADDRINUSE, "%s: a driver listens there already", at->sun_path);
	return unlink(at->sun_path) < 0 ? err_errno(e, errno, "%s", at->sun_path) : 0;
}

static int listen_at(const char *path, int *ret_fd, struct err *e)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	struct arena a CLEANUP_ARENA = { 0 };
	mode_t old;
	int r;

	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (strlen(path) >= sizeof(at.sun_path))
		return err_set(e, EINVAL, "--socket %.120s...: longer than %zu bytes", path,
			       sizeof(at.sun_path) - 1);
	snprintf(at.sun_path, sizeof(at.sun_path), "%s", path);
	r = file_mkdirs(file_directory(&a, path), 0755, e);
	if (r == 0)
		r = make_way(&at, e);
	if (r < 0)
		return r;
	old = umask(0177);
	r = bind(fd, (const struct sockaddr *)&at, sizeof(at));
	umask(old);
	if (r < 0 || listen(fd, CALLERS_MAX) < 0)
		return err_errno(e, errno, "%s", path);
	server.bound = true;
	*ret_fd = fd_take(&fd);
	return 0;
}

static int open_socket(struct err *e)
{
	int fd = inherited();
	int r = fd >= 0 ? 0 : listen_at(server.o->socket, &fd, e);

	return r < 0 ? r : loop_add(&server.loop, &server.listener, fd, e);
}

static void close_all(void)
{
	while (server.callers)
		hang_up(server.callers);
	while (server.look_ups)
		forget(server.look_ups);
	fd_close(&server.listener.fd);
	fd_close(&server.signals.fd);
	if (server.bound)
		(void)unlink(server.o->socket);
	loop_close(&server.loop);
}

int netdriver(const struct netdriver_options *o, struct err *e)
{
	int r;

	server = (struct server){ .o = o };
	server.listener = (struct loop_source){ .fd = -1, .ready = called, .ctx = &server };
	server.signals.fd = -1;
	r = loop_open(&server.loop, e);
	if (r == 0)
		r = loop_end_by_signals(&server.loop, &server.signals, e);
	if (r == 0)
		r = open_socket(e);
	if (r == 0) {
		netdriver_incomplete(netdriver_look_up);
		netdriver_say("listens");
		notify_send(getenv("NOTIFY_SOCKET"), "READY=1");
		r = loop_run(&server.loop, e);
	}
	close_all();
	return r;
}
