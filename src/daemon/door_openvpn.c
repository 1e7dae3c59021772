/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A door made by openvpn(8).  The user's file is passed on without the lines
 * that we set ourselves; servers' names come from a private /etc/hosts; the
 * transport socket carries our mark, so that it leaves by the lan door whatever
 * the server pushes.  State and pushed name servers are told by the management
 * interface (management-notes.txt), a unix socket in the door's own directory.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "sys/files.h"
#include "wire/config.h"
#include "wire/resolvconf.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define MANAGEMENT_TRY_MS 5
#define MANAGEMENT_TRIES  2000
/* openvpn answers its management interface at once even while connecting. */
#define SILENCE_LIMIT_MS 9000
/*
 * A server that says nothing for so long is given up for the next remote
 * (openvpn's own default is 120 s); the user's file overrides it.
 */
#define CONNECT_TIMEOUT "15"
/* When all of them were tried twice the client starts anew, with names resolved anew. */
#define CONNECT_LIMIT_MS 300000
/* Of those that openvpn passes on to scripts. */
#define OPTIONS_MAX 256

static int load(struct door_run *d, struct err *e)
{
	const char *text;
	size_t size;
	int r = file_read(&d->arena, d->door->vpn, FILE_READ_MAX, &text, &size, e);

	if (r < 0)
		return r;
	d->client.silence_limit = SILENCE_LIMIT_MS;
	d->client.connect_limit = CONNECT_LIMIT_MS;
	return ovpnconf_read(&d->arena, d->door->vpn, text, size, &d->ovpn, e);
}

static size_t names(struct door_run *d, const char ***ret)
{
	const char **list = arena_alloc(&d->arena, sizeof(*list) * (d->ovpn.n_remotes + 1));
	size_t n = 0;
	struct ip ip;

	for (size_t i = 0; i < d->ovpn.n_remotes; i++) {
		bool known = ip_parse(d->ovpn.remotes[i].host, &ip);

		for (size_t j = 0; j < n; j++)
			known |= str_eq(list[j], d->ovpn.remotes[i].host);
		if (!known)
			list[n++] = d->ovpn.remotes[i].host;
	}
	for (size_t i = 0; d->ovpn.random_hostname && i < n; i++)
		list[i] = names_below(&d->arena, list[i]);
	*ret = list;
	return n;
}

/* The configuration as a file that only the client can open; it may read it again on SIGHUP. */
static int config_fd(struct door_run *d, int *ret_fd, struct err *e)
{
	const char *text, *plain;
	size_t size, plain_size;
	int r = file_read(&d->arena, d->door->vpn, FILE_READ_MAX, &text, &size, e);

	if (r == 0)
		r = ovpnconf_rewrite(&d->arena, text, size, &plain, &plain_size) < 0
			    ? err_set(e, EINVAL, "%s: changed while it was read", d->door->vpn)
			    : 0;
	return r < 0 ? r : file_memory("sallyport-openvpn", plain, plain_size, ret_fd, e);
}

/* In the order of their numbers: the environment has them in another. */
static void read_environment(struct door_run *d, struct resolvconf_names *ret)
{
	struct arena a CLEANUP_ARENA = { 0 };

	for (unsigned int i = 1; i <= OPTIONS_MAX; i++) {
		const char *key = arena_printf(&a, "\nforeign_option_%u=", i);
		const char *at = strstr(text_str(&d->environment), key);

		if (!at)
			continue;
		at += strlen(key);
		resolvconf_add_option(ret, arena_strndup(&a, at, strcspn(at, "\n")));
	}
}

/*
 * openvpn 2.6 makes "dhcp-option" of what was pushed as "dns server"; 2.7 keeps that from
 * scripts and from us, and only its log tells.
 */
static void note_names(struct door_run *d)
{
	struct resolvconf_names names = { 0 };

	read_environment(d, &names);
	door_hear(d);
	if (!names.n_servers) {
		names = (struct resolvconf_names){ 0 };
		resolvconf_add_push(&names, text_str(&d->pushed));
	}
	door_forget_dns(d);
	door_note_dns(d, names.servers, names.n_servers);
	text_add(&d->search, names.search);
}

static void heard(struct door_run *d, const char *line)
{
	resolvconf_hear(&d->pushed, line);
}

/* >STATE:1700000000,CONNECTED,SUCCESS,172.20.0.10,198.51.100.2,1194,, */
static void note_state_line(struct door_run *d, const char *line)
{
	const char *state = strchr(line, ',');

	if (!state)
		return;
	state++;
	if (str_starts(state, "CONNECTED,"))
		door_event(d, CLIENT_EV_CONNECTED);
	else if (str_starts(state, "RECONNECTING,") || str_starts(state, "EXITING,"))
		door_event(d, CLIENT_EV_LOST);
	/* In a moment it looks for its server again, which may have moved. */
	if (str_starts(state, "RECONNECTING,"))
		door_ask_names(d);
}

static void management_line(struct door_run *d, char *line)
{
	door_event(d, CLIENT_EV_ALIVE);
	/* The answer to "state" is the same without a head. */
	if (str_starts(line, ">STATE:") || (*line >= '0' && *line <= '9'))
		note_state_line(d, line);
	else if (str_starts(line, ">UPDOWN:UP"))
		text_clear(&d->environment);
	else if (str_eq(line, ">UPDOWN:ENV,END"))
		note_names(d);
	else if (str_starts(line, ">UPDOWN:ENV,foreign_option_"))
		text_addf(&d->environment, "\n%s", line + strlen(">UPDOWN:ENV,"));
	else if (str_starts(line, ">PASSWORD:Verification Failed"))
		sup_log(d->sup, "%s: the server refuses the user name or password (auth-user-pass)",
			d->door->name);
	else if (str_starts(line, ">PASSWORD:Need"))
		sup_log(d->sup,
			"%s: openvpn asks for a password (%s): name a file with it in %s "
			"(auth-user-pass FILE or askpass FILE)",
			d->door->name, line + strlen(">PASSWORD:"), d->door->vpn);
}

static void management_ready(struct loop_source *source, uint32_t events)
{
	struct door_run *d = source->ctx;
	char buf[4096];
	ssize_t n = recv(source->fd, buf, sizeof(buf), MSG_DONTWAIT);
	char *line, *nl;
	int fd = source->fd;

	(void)events;
	if (n <= 0) {
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		loop_remove(&d->sup->loop, source);
		fd_close(&fd);
		return;
	}
	text_add_len(&d->management_line, buf, (size_t)n);
	while ((nl = memchr(d->management_line.buf, '\n', d->management_line.len))) {
		size_t used = (size_t)(nl - d->management_line.buf) + 1;

		line = d->management_line.buf;
		*nl = 0;
		if (nl > line && nl[-1] == '\r')
			nl[-1] = 0;
		management_line(d, line);
		memmove(line, line + used, d->management_line.len - used + 1);
		d->management_line.len -= used;
	}
	if (d->management_line.len > 65536)
		text_clear(&d->management_line);
}

static const char *management_path(struct door_run *d)
{
	return arena_printf(&d->arena, "%s/management", d->dir);
}

static int management_connect(struct door_run *d, struct err *e)
{
	/* The client waits (--management-hold) until we hear all that it says. */
	static const char greeting[] = "state on\nhold off\nhold release\n";
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	const char *path = management_path(d);
	int fd CLEANUP_FD = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_errno(e, errno, "socket");
	if (strlen(path) >= sizeof(to.sun_path))
		return err_set(e, ENAMETOOLONG, "%s: too long for a socket", path);
	memcpy(to.sun_path, path, strlen(path) + 1);
	if (connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		return err_errno(e, errno, "connect to openvpn's management interface");
	d->management = (struct loop_source){ .ready = management_ready, .ctx = d };
	text_clear(&d->management_line);
	(void)send(fd, greeting, strlen(greeting), MSG_NOSIGNAL);
	return loop_add(&d->sup->loop, &d->management, fd_take(&fd), e);
}

static void management_try(struct loop_timer *t)
{
	struct door_run *d = t->ctx;
	struct err e;

	if (!d->pid || management_connect(d, &e) == 0)
		return;
	if (++d->management_tries < MANAGEMENT_TRIES)
		loop_arm(&d->sup->loop, t, MANAGEMENT_TRY_MS);
	else
		sup_log(d->sup, "%s: %s", d->door->name, e.text);
}

static int start(struct door_run *d, struct err *e)
{
	struct arena *a = &d->arena;
	int conf CLEANUP_FD = -1;
	int r = config_fd(d, &conf, e);

	if (r < 0)
		return r;
	/* What stands before --config is a default that the user's file overrides. */
	const char *const argv[] = {
		"openvpn",
		"--verb",
		"3",
		"--suppress-timestamps",
		"--connect-retry",
		"1",
		"30",
		"--connect-timeout",
		CONNECT_TIMEOUT,
		"--cd",
		d->ovpn.cd ? d->ovpn.cd : file_directory(a, d->door->vpn),
		"--config",
		arena_printf(a, "/proc/self/fd/%d", conf),
		"--dev",
		d->door->name,
		"--dev-type",
		"tun",
		"--mark",
		arena_printf(a, "%u", PLAN_MARK_TRANSPORT),
		"--management",
		management_path(d),
		"unix",
		"--management-query-passwords",
		"--management-up-down",
		"--management-hold",
		/* 2.7 would tell the host's resolver, which knows nothing of the gate. */
		"--setenv",
		"opt",
		"dns-updown",
		"disable",
		NULL,
	};

	r = door_spawn(d, argv, conf, e);
	if (r < 0)
		return r;
	d->management_tries = 0;
	d->management_timer = (struct loop_timer){ .fire = management_try, .ctx = d };
	loop_arm(&d->sup->loop, &d->management_timer, MANAGEMENT_TRY_MS);
	return 0;
}

/* A client that is alive answers this; one that is stopped or stuck runs into its limit. */
static void look(struct door_run *d)
{
	if (d->management.fd >= 0 && d->client.state == CLIENT_CONNECTING && d->went_on)
		(void)send(d->management.fd, "state\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
	d->went_on = false;
	if (d->management.fd >= 0 && d->client.state == CLIENT_UP)
		(void)send(d->management.fd, "pid\n", 4, MSG_NOSIGNAL | MSG_DONTWAIT);
}

const struct door_ops door_openvpn = {
	.load = load,
	.names = names,
	.start = start,
	.look = look,
	.heard = heard,
};
