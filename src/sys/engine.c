/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/engine.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/loop.h"
#include "wire/http.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static int wait_for(int fd, short events, int64_t until, const char *socket, struct err *e)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = until - clock_ms();
		int n = left > 0 ? poll(&p, 1, (int)left) : 0;

		if (n > 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_errno(e, errno, "%s", socket);
		return err_set(e, ETIMEDOUT, "%s does not answer in time", socket);
	}
}

static int connect_to(const char *socket_path, int64_t until, int *ret_fd, struct err *e)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int r;

	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (strlen(socket_path) >= sizeof(to.sun_path))
		return err_set(e, ENAMETOOLONG, "%s: too long for a socket", socket_path);
	snprintf(to.sun_path, sizeof(to.sun_path), "%s", socket_path);
	/* EAGAIN: its queue is full, and nothing tells when it no longer is. */
	while (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0) {
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_errno(e, errno, "%s", socket_path);
		if (clock_ms() >= until)
			return err_set(e, ETIMEDOUT, "%s does not answer in time", socket_path);
		r = poll(NULL, 0, 10);
		(void)r;
	}
	*ret_fd = fd_take(&fd);
	return 0;
}

static int send_request(int fd, const char *text, int64_t until, const char *socket, struct err *e)
{
	size_t left = strlen(text);

	while (left) {
		ssize_t n = send(fd, text, left, MSG_NOSIGNAL);
		int r;

		if (n >= 0) {
			text += n;
			left -= (size_t)n;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return err_errno(e, errno, "%s", socket);
		r = wait_for(fd, POLLOUT, until, socket, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int start(const char *socket, const char *request, int64_t until, int *ret_fd, struct err *e)
{
	int r = connect_to(socket, until, ret_fd, e);

	return r < 0 ? r : send_request(*ret_fd, request, until, socket, e);
}

static int read_answer(int fd, struct http_reader *http, struct text *body, int64_t until,
		       const char *socket, struct err *e)
{
	char buf[16384];
	int r;

	while (http->part != HTTP_DONE) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);

		if (n > 0) {
			r = http_feed(http, buf, (size_t)n, body, e);
			if (r < 0)
				return err_wrap(e, r, "%s", socket);
			continue;
		}
		if (n == 0) {
			r = http_end(http, e);
			return r < 0 ? err_wrap(e, r, "%s", socket) : 0;
		}
		if (errno != EAGAIN && errno != EINTR)
			return err_errno(e, errno, "%s", socket);
		r = wait_for(fd, POLLIN, until, socket, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int engine_ask(struct arena *a, const char *socket, const struct engine_request *q,
	       struct engine_answer *ret, struct err *e)
{
	const char *text = http_request(a, q->method ? q->method : "GET", q->path, q->body);
	struct http_reader http CLEANUP_HTTP = { 0 };
	struct text body CLEANUP_TEXT = { 0 };
	int64_t until = clock_ms() + q->timeout_ms;
	int fd CLEANUP_FD = -1;
	int r = start(socket, text, until, &fd, e);

	if (r == 0)
		r = read_answer(fd, &http, &body, until, socket, e);
	if (r < 0)
		return r;
	*ret = (struct engine_answer){ .status = http.status,
				       .body = arena_strndup(a, text_str(&body), body.len),
				       .size = body.len };
	return 0;
}

int engine_open(const char *socket, const char *path, int timeout_ms, int *ret_fd, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int fd CLEANUP_FD = -1;
	int r = start(socket, http_request(&a, "GET", path, NULL), clock_ms() + timeout_ms, &fd, e);

	if (r == 0)
		*ret_fd = fd_take(&fd);
	return r;
}
