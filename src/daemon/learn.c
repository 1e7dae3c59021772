/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A VPN on trial.  A child supervises a throw-away gate with this one door, as
 * `run` would; when the door is up, the routes and addresses that the client
 * has installed are read from the gate's namespace, and the child takes all of
 * it away.  So what is learned is what the real client did, not what we believe
 * of its protocol.
 */
#include "daemon/learn.h"

#include "daemon/supervisor.h"
#include "plan/push.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "wire/config.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ASK_EVERY_MS 100
#define ASK_LIMIT_MS 2000
#define NAMES_MS     10000
/* The child's own limits for its goodbyes are shorter. */
#define END_LIMIT_MS 20000
#define SAID_MAX     65536
#define ENDS_MAX     3 /* a second try may find what the first one missed */

/* --- the child ------------------------------------------------------------------ */

struct trial {
	struct arena *a;
	const char *name; /* of the gate */
	const char *file;
	pid_t pid;
	int output;
	int signals;
	struct text said; /* by the client and its supervisor */
	struct ovpn_conf *ovpn;
};

static void __attribute__((noreturn)) be_supervisor(struct supervisor *s, int output, pid_t parent)
{
	sigset_t none;
	struct err e;
	int r;

	/* Ctrl-C is for the parent, which then ends us. */
	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	unsetenv("NOTIFY_SOCKET");
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	r = supervise(s, &e);
	if (r < 0)
		sup_log(s, "%s", e.text);
	_exit(r < 0);
}

static int start(struct trial *t, struct supervisor *s, struct err *e)
{
	int out[2] CLEANUP_FD_PAIR = { -1, -1 };
	pid_t parent = getpid();

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	t->pid = fork();
	if (t->pid < 0)
		return err_errno(e, errno, "fork");
	if (t->pid == 0)
		be_supervisor(s, out[1], parent);
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	t->output = fd_take(&out[0]);
	return 0;
}

/* Up to @ms; 1: a signal came, 2: the child has closed its output, so it has ended. */
static int listen_to(struct trial *t, int ms)
{
	struct pollfd fds[] = { { .fd = t->output, .events = POLLIN },
				{ .fd = t->signals, .events = POLLIN } };
	char buf[4096];
	ssize_t n;

	if (poll(fds, 2, ms) <= 0)
		return 0;
	/* Taken, or it would end us as soon as it is let through again. */
	if (fds[1].revents && read(t->signals, buf, sizeof(buf)) > 0)
		return 1;
	n = read(t->output, buf, sizeof(buf));
	if (n == 0)
		return 2;
	if (n > 0 && t->said.len < SAID_MAX)
		text_add_len(&t->said, buf, (size_t)n);
	return 0;
}

static int end(struct trial *t, struct err *e)
{
	int64_t until = clock_ms() + END_LIMIT_MS;
	bool killed = false;
	int status;

	kill(t->pid, SIGTERM);
	while (waitpid(t->pid, &status, WNOHANG) == 0) {
		if (clock_ms() > until && !killed) {
			kill(t->pid, SIGKILL);
			killed = true;
		}
		/* A second Ctrl-C must not leave the gate behind: signals wait. */
		if (listen_to(t, 50))
			poll(NULL, 0, 20);
	}
	if (killed) {
		struct text left CLEANUP_TEXT = { 0 };
		struct err ignored;
		bool found;

		return teardown(t->name, &found, &left, &ignored) < 0
			       ? err_set(e, EIO, "gate %s: %s", t->name,
					 left.len ? left.buf : ignored.text)
			       : 0;
	}
	return 0;
}

/* --- what it has learned ----------------------------------------------------------- */

/* The interface of the VPN door once it is up and has an address. */
static const char *interface_of(struct trial *t)
{
	const char *answer, *found = NULL;
	json_t *root, *door;
	struct err e;

	if (control_ask(t->a, t->name, "status\n", ASK_LIMIT_MS, &answer, &e) < 0)
		return NULL;
	root = json_loads(answer, 0, NULL);
	door = json_array_get(json_object_get(root, "doors"), 1);
	if (json_is_string(json_object_get(door, "state")) &&
	    str_eq(json_string_value(json_object_get(door, "state")), "up") &&
	    json_array_size(json_object_get(door, "addresses")))
		found = arena_strdup(t->a, json_string_value(json_object_get(door, "interface")));
	json_decref(root);
	return found && *found ? found : NULL;
}

/* "Peer Connection Initiated with [AF_INET]198.51.100.2:1194" */
static void note_server(struct trial *t, struct push *push)
{
	static const char words[] = "Peer Connection Initiated with [AF_INET";
	const char *at = strstr(text_str(&t->said), words);
	char ip[IP_TEXT_SIZE + 2] = "";
	struct ip server;
	char *colon;

	if (at && (at = strchr(at, ']'))) {
		size_t n = strcspn(at + 1, "\n (");

		memcpy(ip, at + 1, n < sizeof(ip) ? n : sizeof(ip) - 1);
		colon = strrchr(ip, ':');
		if (colon)
			*colon = 0;
	}
	if (ip_parse(ip, &server)) {
		*arena_push(t->a, push->servers, push->n_servers, push->cap_servers) = server;
		return;
	}
	for (size_t i = 0; i < t->ovpn->n_remotes; i++)
		if (ip_parse(t->ovpn->remotes[i].host, &server))
			*arena_push(t->a, push->servers, push->n_servers, push->cap_servers) =
				server;
}

static int read_gate(struct trial *t, const char *tunnel, struct push *ret, struct err *e)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct snapshot *gate = arena_new(t->a, struct snapshot);
	int fd CLEANUP_FD = -1;
	int r = netns_open(arena_printf(t->a, "%s.gate", t->name), &fd, e);

	if (r == 0)
		r = rtnl_open(fd, &rtnl, e);
	if (r == 0)
		r = rtnl_snapshot(rtnl, t->a, gate, e);
	if (r < 0)
		return r;
	push_from_gate(t->a, gate, tunnel, PLAN_PROTOCOL, ret);
	ret->dns = arena_alloc(t->a, sizeof(*ret->dns) * RESOLV_SERVERS_MAX);
	ret->n_dns = ret->cap_dns = resolv_read(t->a, resolv_path(t->a, t->name, ""), ret->dns);
	note_server(t, ret);
	return 0;
}

/* A file that it does not take, or a server that refuses it: waiting mends neither. */
static int ends(const struct trial *t)
{
	int n = 0;

	for (const char *s = text_str(&t->said); (s = strstr(s, "client ended with ")); s++)
		n++;
	return n;
}

/* Twice up: what comes with the news of it has settled by the second time. */
static int wait_up(struct trial *t, int limit_s, const char **ret_tunnel, struct err *e)
{
	int64_t until = clock_ms() + limit_s * 1000;
	int64_t next = 0;
	int ups = 0;

	while (clock_ms() < until) {
		int what = listen_to(t, ASK_EVERY_MS);

		if (ends(t) >= ENDS_MAX)
			return err_set(
				e, EIO,
				"%s: the VPN client ended %d times without a connection; its "
				"own words above say why",
				t->file, ENDS_MAX);

		if (what == 1)
			return err_set(e, EINTR, "interrupted");
		if (what == 2)
			return err_set(e, EIO, "%s: the VPN client could not be started", t->file);
		if (clock_ms() < next)
			continue;
		next = clock_ms() + ASK_EVERY_MS;
		*ret_tunnel = interface_of(t);
		ups = *ret_tunnel ? ups + 1 : 0;
		if (ups == 2)
			return 0;
	}
	return err_set(e, ETIMEDOUT, "%s: not connected within %d s", t->file, limit_s);
}

static int try_out(struct trial *t, struct supervisor *s, int limit_s, struct push *ret,
		   struct err *e)
{
	struct err later;
	const char *tunnel = NULL;
	sigset_t set, old;
	int signals CLEANUP_FD = -1;
	int output CLEANUP_FD = -1;
	int r, ended;

	if (sigprocmask(SIG_SETMASK, NULL, &old) < 0)
		return err_errno(e, errno, "sigprocmask");
	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	r = signals_open(&set, &signals, e);
	if (r < 0)
		return r;
	t->signals = signals;
	r = start(t, s, e);
	if (r < 0)
		return r;
	output = t->output;
	r = wait_up(t, limit_s, &tunnel, e);
	if (r == 0)
		r = read_gate(t, tunnel, ret, e);
	ended = end(t, &later);
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (r == 0 && ended < 0)
		return err_set(e, EIO, "%s", later.text);
	return r;
}

/* --- WireGuard --------------------------------------------------------------------- */

/* Endpoints that are names, as the host resolves them now; what fails is left out. */
static int resolve_endpoints(struct arena *a, const struct wg_conf *wg, struct push *push,
			     struct err *e)
{
	int64_t until = clock_ms() + NAMES_MS;
	struct text said CLEANUP_TEXT = { 0 };
	char word[IP_TEXT_SIZE], buf[4096];
	int fd CLEANUP_FD = -1;
	const char **names;
	size_t n = wgconf_names(a, wg, &names);
	struct pollfd p;
	ssize_t got;
	struct ip ip;
	pid_t pid;
	int r;

	if (!n)
		return 0;
	r = names_resolve(names, n, NULL, &pid, &fd, e);
	if (r < 0)
		return r;
	p = (struct pollfd){ .fd = fd, .events = POLLIN };
	while (clock_ms() < until && poll(&p, 1, 200) >= 0) {
		got = read(fd, buf, sizeof(buf));
		if (got == 0)
			break;
		if (got > 0)
			text_add_len(&said, buf, (size_t)got);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (const char *line = text_str(&said); line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%45s", word) == 1 && ip_parse(word, &ip))
			*arena_push(a, push->servers, push->n_servers, push->cap_servers) = ip;
	}
	return 0;
}

static const char *name_of(struct arena *a, const char *file)
{
	const char *slash = strrchr(file, '/');
	const char *base = slash ? slash + 1 : file;
	size_t len = strcspn(base, ".");

	return arena_strndup(a, base, len < LINK_NAME_SIZE ? len : LINK_NAME_SIZE - 1);
}

int learn_push(struct arena *a, const char *file, const struct snapshot *host, int limit_s,
	       struct learned *ret, struct err *e)
{
	const char *name = arena_printf(a, "rh%d", (int)getpid());
	struct config_flags flags = { .vpn = &file, .n_vpn = 1 };
	struct supervisor *s = arena_new(a, struct supervisor);
	struct trial t = { .a = a, .name = name, .file = file, .output = -1 };
	struct learned learned = { 0 };
	struct push *push = &learned.push;
	struct door_run *d;
	int r = config_from_flags(&s->arena, name, &flags, &s->gate, e);

	s->trial = true;
	if (r == 0)
		r = supervisor_prepare(s, e);
	if (r < 0)
		return r;
	d = &s->doors[1];
	if (d->door->kind == DOOR_WIREGUARD) {
		push_from_wg(a, &d->wg, push);
		push->link = name_of(a, file);
		r = resolve_endpoints(a, &d->wg, push, e);
		learned.how = "AllowedIPs of the file";
	} else {
		t.ovpn = &d->ovpn;
		r = try_out(&t, s, limit_s, push, e);
		push->link = push_tun_name(a, host);
		learned.how = "as told by the server";
	}
	if (r == 0)
		*ret = learned;
	else
		fputs(text_str(&t.said), stderr);
	text_free(&t.said);
	return r;
}
