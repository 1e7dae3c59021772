/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user calls a namespace: the path of its file, the number of a process
 * that lives in it, the name or ID of a container.  Numbers are used again and
 * containers restart: a process is held by a pidfd before anything is asked of
 * it, and then it must be the container's still.
 */
#include "daemon/attach.h"

#include "daemon/supervisor.h"
#include "sys/engine.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/loop.h"
#include "sys/netns.h"
#include "wire/engine.h"
#include "wire/http.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ENGINE_LIMIT_MS 10000
#define NAMES_LIMIT_MS  20000

void attach_target_close(struct attach_target *t)
{
	fd_close(&t->fd);
	fd_close(&t->pidfd);
}

static bool is_alive(int pidfd)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };

	return poll(&p, 1, 0) == 0;
}

/* -ESRCH if there is none. */
static int open_process(struct arena *a, int pid, struct attach_target *t, struct err *e)
{
	int pidfd CLEANUP_FD = (int)syscall(SYS_pidfd_open, pid, 0);
	int fd CLEANUP_FD = -1;
	int r;

	if (pidfd < 0)
		return err_errno(e, errno == EINVAL ? ESRCH : errno, "process %d", pid);
	r = netns_open_place(arena_printf(a, "/proc/%d/ns/net", pid), &fd, e);
	if (r == -ENOENT || !is_alive(pidfd))
		return err_errno(e, ESRCH, "process %d", pid);
	if (r < 0)
		return r;
	t->fd = fd_take(&fd);
	t->pidfd = fd_take(&pidfd);
	t->pid = pid;
	return 0;
}

/* --- containers ---------------------------------------------------------------------- */

/* -ENOENT if the engine knows no such container. */
static int inspect(struct arena *a, const char *socket, const char *word,
		   struct engine_container *ret, struct err *e)
{
	struct engine_answer answer;
	const char *words;
	const struct engine_request q = {
		.path = arena_printf(a, "/containers/%s/json", http_escape(a, word)),
		.timeout_ms = ENGINE_LIMIT_MS,
	};
	int r = engine_ask(a, socket, &q, &answer, e);

	if (r < 0)
		return r;
	if (answer.status == 200) {
		r = engine_read_container(a, answer.body, answer.size, ret, e);
		return r < 0 ? err_wrap(e, r, "%s", socket) : 0;
	}
	words = engine_read_message(a, answer.body, answer.size);
	return err_set(e, answer.status == 404 ? ENOENT : EIO, "%s: %s", socket,
		       words ? words : arena_printf(a, "answers with status %d", answer.status));
}

static int check_container(const struct engine_container *c, struct err *e)
{
	if (!c->running || !c->pid)
		return err_set(e, ESRCH, "container \"%s\" is not running; start it first",
			       c->name);
	if (str_eq(c->network_mode, "host"))
		return err_set(e, EINVAL,
			       "container \"%s\" uses the host's own network (--network host), "
			       "where attach does nothing; give it a network of its own, or see: "
			       "sallyport guard",
			       c->name);
	return 0;
}

/* Do the control groups of process @pid say so?  No answer if they do not show it. */
static bool is_in_container(struct arena *a, int pid, const char *id)
{
	const char *text;
	struct err e;
	size_t size;

	return *id &&
	       file_read(a, arena_printf(a, "/proc/%d/cgroup", pid), FILE_READ_MAX, &text, &size,
			 &e) == 0 &&
	       strstr(text, id);
}

/* While the pidfd holds its number: is the process the container's that the engine meant? */
static int check_process(struct arena *a, const char *socket, const struct engine_container *c,
			 const struct attach_target *t, struct err *e)
{
	struct engine_container again;
	int r;

	/* Asking once more takes as long as all the rest of attaching. */
	if (is_in_container(a, c->pid, c->id) && is_alive(t->pidfd))
		return 0;
	r = inspect(a, socket, c->id, &again, e);
	if (r == 0 && (!again.running || again.pid != c->pid))
		r = err_set(e, EAGAIN, "container \"%s\" ended or restarted just now; try again",
			    c->name);
	return r;
}

static int open_container(struct arena *a, const char *socket, const char *word,
			  struct attach_target *t, struct err *e)
{
	struct engine_container c;
	int r = inspect(a, socket, word, &c, e);

	if (r == 0)
		r = check_container(&c, e);
	if (r < 0)
		return r;
	r = open_process(a, c.pid, t, e);
	if (r < 0)
		return err_wrap(e, r, "container \"%s\"", c.name);
	/* If it is the same now, the number meant it all the time. */
	r = check_process(a, socket, &c, t, e);
	if (r < 0) {
		attach_target_close(t);
		return r;
	}
	t->label = arena_printf(a, "container \"%s\"", c.name);
	t->gateways = c.gateways;
	t->n_gateways = c.n_gateways;
	return 0;
}

static bool no_engine(int r)
{
	return r == -ENOENT || r == -ECONNREFUSED;
}

static int find_container(struct arena *a, const char *word, const char *engine,
			  struct attach_target *t, struct err *e)
{
	const char *const sockets[] = { engine ? engine : ENGINE_DOCKER,
					engine ? NULL : ENGINE_PODMAN };
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(sockets) && sockets[i]; i++) {
		struct stat st;
		int r;

		if (!engine && stat(sockets[i], &st) < 0)
			continue;
		r = open_container(a, sockets[i], word, t, e);
		if (r == -EACCES)
			return err_set(e, EACCES,
				       "%s: Permission denied: its owner and its group may ask for "
				       "\"%s\" (ls -l shows them); for the number of a process of "
				       "the container nobody needs to be asked",
				       sockets[i], word);
		if (!no_engine(r) || engine)
			return r;
		any = any || r == -ENOENT;
	}
	if (any)
		return err_set(
			e, ENOENT,
			"there is no container \"%s\"; `docker ps` and `podman ps` list them",
			word);
	return err_set(
		e, ENOENT,
		"\"%s\" is no process and no path, and no container engine answers at " ENGINE_DOCKER
		" or " ENGINE_PODMAN " (--engine SOCKET names another)",
		word);
}

int attach_target_find(struct arena *a, const char *word, const char *engine,
		       struct attach_target *ret, struct err *e)
{
	struct attach_target t CLEANUP_TARGET = ATTACH_TARGET_NONE;
	uint32_t pid;
	int r = -ESRCH;

	if (strchr(word, '/')) {
		t.label = t.path = arena_strdup(a, word);
		r = netns_open_place(word, &t.fd, e);
	} else {
		t.label = arena_printf(a, "process %s", word);
		if (str_to_u32(word, INT32_MAX, &pid) && pid)
			r = open_process(a, (int)pid, &t, e);
		if (r == -ESRCH)
			r = find_container(a, word, engine, &t, e);
	}
	if (r < 0)
		return r;
	*ret = t;
	t = ATTACH_TARGET_NONE;
	return 0;
}

/* --- servers --------------------------------------------------------------------------- */

static void add_server(struct arena *a, struct attach_ask *ask, const struct ip *ip,
		       const struct door_server *s)
{
	struct plan_server *items = arena_alloc(a, sizeof(*items) * (ask->n_servers + 1));

	if (ask->n_servers)
		memcpy(items, ask->servers, sizeof(*items) * ask->n_servers);
	items[ask->n_servers++] =
		(struct plan_server){ .ip = *ip, .port = s->port, .proto = s->proto };
	ask->servers = items;
}

/* "192.0.2.1 vpn.example.net" */
static void take_name(struct arena *a, char *line, const struct door_server *servers, size_t n,
		      struct attach_ask *ask)
{
	char *name = strchr(line, ' ');
	struct ip ip;

	if (!name)
		return;
	*name++ = 0;
	for (size_t i = 0; ip_parse(line, &ip) && i < n; i++)
		if (str_eq(servers[i].host, name))
			add_server(a, ask, &ip, &servers[i]);
}

void attach_add_servers(struct arena *a, const struct door_server *servers, size_t n,
			const char *names, struct attach_ask *ret)
{
	char *text = arena_strdup(a, names), *rest;
	struct ip ip;

	for (size_t i = 0; i < n; i++)
		if (ip_parse(servers[i].host, &ip))
			add_server(a, ret, &ip, &servers[i]);
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		take_name(a, line, servers, n, ret);
}

static int resolve(struct arena *a, const char *const *names, size_t n, char **ret, struct err *e)
{
	struct text t CLEANUP_TEXT = { 0 };
	int64_t until = clock_ms() + NAMES_LIMIT_MS;
	int fd CLEANUP_FD = -1;
	pid_t pid;
	int r = names_resolve(names, n, NULL, &pid, &fd, e);

	while (r == 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - clock_ms();
		char buf[1024];
		ssize_t got;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			break;
		got = read(fd, buf, sizeof(buf));
		if (got <= 0)
			break;
		text_add_len(&t, buf, (size_t)got);
	}
	if (r < 0)
		return r;
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	*ret = arena_strdup(a, text_str(&t));
	return 0;
}

int attach_resolve(struct arena *a, const struct door_server *servers, size_t n,
		   struct attach_ask *ret, struct err *e)
{
	const char **names = arena_alloc(a, sizeof(*names) * (n + 1));
	size_t n_names = 0;
	char *text = arena_strdup(a, "");
	struct ip ip;
	int r = 0;

	for (size_t i = 0; i < n; i++)
		if (!ip_parse(servers[i].host, &ip))
			names[n_names++] = servers[i].host;
	if (n_names)
		r = resolve(a, names, n_names, &text, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n_names; i++)
		if (!strstr(text, arena_printf(a, " %s\n", names[i])))
			return err_set(e, ENOENT,
				       "--server %s: no address is known for this name; write the "
				       "address itself",
				       names[i]);
	attach_add_servers(a, servers, n, text, ret);
	return 0;
}
