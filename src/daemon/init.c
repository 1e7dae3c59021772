/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The first process of a container whose network services of other containers
 * share.  What `attach` does from outside is done from inside, with the kill
 * switch, and one VPN client is kept running beside it.  The namespace is this
 * container's as long as it runs, so services do not notice when the client
 * ends or is started again.
 *
 * A container has no right to enter or make namespaces: the client runs in
 * this one, names are resolved here, and the guard lets the questions for them
 * out only while they are asked.
 */
#include "daemon/init.h"

#include "daemon/attach_watch.h"
#include "daemon/init_client.h"
#include "daemon/init_names.h"
#include "daemon/init_vpn.h"
#include "daemon/init_wg.h"
#include "daemon/supervisor.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/proc.h"
#include "wire/config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/wait.h>

#define WG_LOOK_MS 2000
#define WG_WAIT_MS 100
#define END_MS     3000
#define DNS_PORT   53
#define HOSTS      "/etc/hosts"
#define HOSTS_OURS " # sallyport\n"

struct init {
	struct arena arena;
	const struct init_options *o;
	struct attach_watch watch;
	struct attach_target target;
	struct attach_ask ask; /* without servers */
	struct arena asked; /* of the servers that the watch was told last */
	struct init_vpn vpn;
	struct text names; /* "address name" lines */
	struct init_names dns;
	struct text pushed; /* the line of openvpn's log that says so */
	struct client client;
	struct loop_timer deadline, look;
	struct loop_source signals, resolved;
	pid_t resolver;
	struct text answer; /* of the resolver, as far as it was read */
	struct init_client process;
	bool wg_configured;
	struct wg_heard wg_heard;
	bool stopping;
};

/* --- what it needs --------------------------------------------------------------------- */

static int check_rights(enum door_kind kind, struct err *e)
{
	int fd CLEANUP_FD = -1;

	if (!proc_has_net_admin())
		return err_set(e, EPERM,
			       "the container lacks NET_ADMIN: docker run --cap-add NET_ADMIN "
			       "(compose: cap_add: [NET_ADMIN])");
	if (kind == DOOR_COMMAND)
		return 0;
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, errno,
			       "the container has no /dev/net/tun (%s): docker run --device "
			       "/dev/net/tun (compose: devices: [/dev/net/tun])",
			       strerror(errno));
	return 0;
}

/* --- the guard ---------------------------------------------------------------------------- */

/*
 * The name servers before us.  An engine's own, on loopback, asks in its turn
 * whom it likes, from this namespace or from the host's.
 */
static void allow_asking(const struct init *s, struct arena *a, struct attach_ask *ask)
{
	struct resolvconf_names before;
	bool any = false;

	init_names_before(&s->dns, &before);
	for (size_t i = 0; i < before.n_servers; i++) {
		char ip[IP_TEXT_SIZE];
		const struct door_server x = { .host = ip_text(&before.servers[i], ip),
					       .port = DNS_PORT };

		any = any || ip_is_loopback(&before.servers[i]);
		attach_add_servers(a, &x, 1, "", ask);
	}
	for (int i = 0; any && i < 2; i++) {
		const struct door_server x = { .host = i ? "::" : "0.0.0.0", .port = DNS_PORT };

		attach_add_servers(a, &x, 1, "", ask);
	}
}

/* At once. @asking: names are being resolved, so the name servers are let out to. */
static void set_guard(struct init *s, bool asking)
{
	struct attach_ask ask = s->ask;
	struct arena now = { 0 };

	attach_add_servers(&now, s->vpn.servers, s->vpn.n_servers, text_str(&s->names), &ask);
	if (asking)
		allow_asking(s, &now, &ask);
	attach_watch_ask(&s->watch, &ask);
	arena_free(&s->asked);
	s->asked = now;
	s->watch.loop.idle(s->watch.loop.idle_ctx);
}

/* --- the VPN's name servers ------------------------------------------------------------------ */

/* What the user's own file says; what a server pushes comes after it. */
static void begin_dns(struct init *s)
{
	struct arena a CLEANUP_ARENA = { 0 };

	s->dns.vpn = (struct resolvconf_names){ 0 };
	if (s->vpn.kind == DOOR_WIREGUARD) {
		for (size_t i = 0; i < s->vpn.wg.n_dns; i++)
			resolvconf_add_server(&s->dns.vpn, &s->vpn.wg.dns[i]);
		for (size_t i = 0; i < s->vpn.wg.n_search; i++)
			resolvconf_add_search(&s->dns.vpn, s->vpn.wg.search[i]);
		return;
	}
	for (const char *line = s->vpn.text; s->vpn.kind == DOOR_OPENVPN && *line;) {
		size_t len = strcspn(line, "\r\n");

		resolvconf_add_option(&s->dns.vpn, arena_strndup(&a, line, len));
		line += len + (line[len] != 0);
	}
}

/* A command's own script writes the file. */
static void apply_dns(struct init *s)
{
	if (s->pushed.len) {
		begin_dns(s);
		resolvconf_add_push(&s->dns.vpn, text_str(&s->pushed));
	}
	if (s->vpn.kind != DOOR_COMMAND && !init_names_apply(&s->dns))
		log_say(NULL,
			"the VPN offers no name servers, and the engine's own would ask past the tunnel: "
			"names are not resolved; SALLYPORT_DNS=ADDRESS names servers that the tunnel "
			"leads to, SALLYPORT_DNS=keep leaves the engine's");
}

/* --- the client ---------------------------------------------------------------------------- */

static void client_event(struct init *s, enum client_event event);

/* openvpn(8) asks for names itself: it finds them where every program looks first. */
static void write_hosts(struct init *s)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct text out CLEANUP_TEXT = { 0 };
	const char *old, *line;
	struct err e;
	size_t size;

	if (!s->names.len || file_read(&a, HOSTS, FILE_READ_MAX, &old, &size, &e) < 0)
		return;
	for (line = old; *line; line += strcspn(line, "\n") + (line[strcspn(line, "\n")] != 0)) {
		const char *text = arena_strndup(&a, line, strcspn(line, "\n"));

		if (!strstr(arena_printf(&a, "%s\n", text), HOSTS_OURS))
			text_addf(&out, "%s\n", text);
	}
	for (line = text_str(&s->names); *line; line += strcspn(line, "\n") + 1)
		text_addf(&out, "%.*s" HOSTS_OURS, (int)strcspn(line, "\n"), line);
	if (file_write(HOSTS, text_str(&out), &e) < 0)
		log_say(NULL,
			"%s; the client has to resolve names itself, and can with Docker's own name "
			"server only",
			e.text);
}

static void begin(struct init *s)
{
	struct err e;

	if (s->vpn.kind == DOOR_WIREGUARD) {
		s->wg_configured = false;
		loop_arm(&s->watch.loop, &s->look, WG_WAIT_MS);
	}
	if (init_client_start(&s->process, s->watch.x.rtnl, &s->vpn, s->o->command, &e) < 0) {
		log_say(NULL, "%s: %s", s->vpn.file, e.text);
		client_event(s, CLIENT_EV_FAILED);
	}
}

static void names_known(struct loop_source *source, uint32_t events)
{
	struct init *s = source->ctx;
	int fd CLEANUP_FD = source->fd;
	char buf[4096];
	ssize_t n;

	(void)events;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		text_add_len(&s->answer, buf, (size_t)n);
	if (n < 0 && errno == EAGAIN) {
		(void)fd_take(&fd);
		return;
	}
	loop_remove(&s->watch.loop, source);
	s->resolver = 0;
	if (s->answer.len) { /* else what was known before is better than nothing */
		text_clear(&s->names);
		text_add(&s->names, text_str(&s->answer));
		text_clear(&s->answer);
		write_hosts(s);
	}
	set_guard(s, false);
	begin(s);
}

/* Names first, as the guard must know whom to let through. */
static void start(struct init *s)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char **names = arena_alloc(&a, sizeof(*names) * (s->vpn.n_servers + 1));
	struct resolvconf_names by;
	size_t n = 0;
	struct ip ip;
	struct err e;
	int fd;

	for (size_t i = 0; i < s->vpn.n_servers; i++) {
		const char *host = s->vpn.servers[i].host;

		if (!ip_parse(host, &ip))
			names[n++] = s->vpn.ovpn.random_hostname ? names_below(&a, host) : host;
	}
	if (!n) {
		begin(s);
		return;
	}
	set_guard(s, true);
	text_clear(&s->answer);
	init_names_before(&s->dns, &by);
	if (names_resolve(names, n, &by, &s->resolver, &fd, &e) < 0 ||
	    loop_add(&s->watch.loop, &s->resolved, fd, &e) < 0) {
		log_say(NULL, "%s", e.text);
		client_event(s, CLIENT_EV_FAILED);
	}
}

static void client_event(struct init *s, enum client_event event)
{
	enum client_state before = s->client.state;
	enum client_action action = client_step(&s->client, event, clock_ms());

	if (s->client.state != before && s->client.state == CLIENT_UP)
		log_say(NULL, "the VPN answers");
	else if (s->client.state != before && before == CLIENT_UP && !s->stopping)
		log_say(NULL, "the VPN does not answer");
	if (s->client.deadline)
		loop_arm(&s->watch.loop, &s->deadline,
			 s->client.deadline > clock_ms() ? s->client.deadline - clock_ms() : 1);
	else
		loop_disarm(&s->watch.loop, &s->deadline);
	switch (action) {
	case CLIENT_DO_START:
		start(s);
		break;
	case CLIENT_DO_TERM:
	case CLIENT_DO_KILL:
		init_client_signal(&s->process, action == CLIENT_DO_TERM ? SIGTERM : SIGKILL);
		break;
	case CLIENT_DO_NOTHING:
		break;
	}
}

static void deadline(struct loop_timer *t)
{
	client_event(t->ctx, CLIENT_EV_TIME);
}

static void heard(void *ctx, const char *line)
{
	struct init *s = ctx;
	struct text t CLEANUP_TEXT = { 0 };

	if (ovpnconf_is_of_ours(line))
		return;
	text_add_shown(&t, line);
	fprintf(stderr, "vpn: %s\n", text_str(&t));
	if (s->vpn.kind == DOOR_OPENVPN)
		resolvconf_hear(&s->pushed, line);
	if (s->vpn.kind == DOOR_OPENVPN && strstr(line, "Initialization Sequence Completed")) {
		apply_dns(s);
		client_event(s, CLIENT_EV_CONNECTED);
	} else if (s->vpn.kind == DOOR_OPENVPN && strstr(line, "process restarting"))
		client_event(s, CLIENT_EV_LOST);
}

/* --- WireGuard --------------------------------------------------------------------------- */

static int configure(struct init *s, struct err *e)
{
	int r = init_wg_configure(s->watch.x.rtnl, &s->vpn.wg, text_str(&s->names),
				  s->client.failures, e);

	s->wg_configured = r == 0;
	s->wg_heard = (struct wg_heard){ 0 };
	if (r == 0)
		apply_dns(s);
	return r;
}

static void look(struct loop_timer *t)
{
	struct init *s = t->ctx;
	struct rtnl_counters counters;
	struct err e;

	if (s->stopping || s->client.state == CLIENT_WAITING || s->client.state == CLIENT_IDLE)
		return;
	if (!s->wg_configured && rtnl_counters(s->watch.x.rtnl, INIT_WG_LINK, &counters, &e) == 0 &&
	    configure(s, &e) < 0)
		log_say(NULL, "%s: %s", s->vpn.file, e.text);
	if (s->wg_configured)
		client_event(s, init_wg_answers(&s->vpn.wg, &s->wg_heard) ? CLIENT_EV_CONNECTED
									  : CLIENT_EV_LOST);
	loop_arm(&s->watch.loop, &s->look, s->wg_configured ? WG_LOOK_MS : WG_WAIT_MS);
}

/* --- signals and children ---------------------------------------------------------------- */

static void reap(struct init *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != s->process.pid)
			continue;
		/* What it left behind in its process group goes with it. */
		init_client_ended(&s->process);
		if (s->stopping)
			s->watch.loop.stop = true;
		else
			client_event(s, CLIENT_EV_ENDED);
	}
}

static void too_late(struct loop_timer *t)
{
	struct init *s = t->ctx;

	init_client_signal(&s->process, SIGKILL);
	s->watch.loop.stop = true;
}

/* The client ends first; what stands stays closed until the namespace goes. */
static void stop(struct init *s)
{
	if (s->stopping)
		return;
	s->stopping = true;
	client_event(s, CLIENT_EV_STOP);
	s->deadline.fire = too_late;
	if (s->process.pid)
		loop_arm(&s->watch.loop, &s->deadline, END_MS);
	else
		s->watch.loop.stop = true;
}

static void signalled(struct loop_source *source, uint32_t events)
{
	struct init *s = source->ctx;
	struct signalfd_siginfo info;

	(void)events;
	if (read(source->fd, &info, sizeof(info)) != sizeof(info))
		return;
	switch (info.ssi_signo) {
	case SIGCHLD:
		reap(s);
		break;
	case SIGTERM:
	case SIGINT:
	case SIGQUIT:
		stop(s);
		break;
	default:
		if (s->process.pid)
			kill(s->process.pid, (int)info.ssi_signo);
	}
}

static int open_signals(struct init *s, struct err *e)
{
	static const int numbers[] = { SIGCHLD, SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGUSR2 };
	sigset_t set;
	int fd, r;

	sigemptyset(&set);
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		sigaddset(&set, numbers[i]);
	r = signals_open(&set, &fd, e);
	return r < 0 ? r : loop_add(&s->watch.loop, &s->signals, fd, e);
}

/* --- health -------------------------------------------------------------------------------- */

static bool tunnel_is_up(struct init *s, struct seen_doors *doors)
{
	return doors->n_tunnels && (s->vpn.kind == DOOR_COMMAND || s->client.state == CLIENT_UP);
}

static void check_lan(struct text *t, const struct seen_doors *doors)
{
	bool way = false;

	for (size_t i = 0; i < doors->n_lan; i++) {
		const struct seen_door *d = &doors->lan[i];

		way = way || !ip_is_none(&d->gateway[0]) || !ip_is_none(&d->gateway[1]);
		if (!(d->link->flags & IFF_LOWER_UP))
			text_addf(t, "door %s has no carrier\n", d->link->name);
	}
	if (!doors->n_lan)
		text_add(t, "there is no door to the LAN\n");
	else if (!way)
		text_add(t, "no door to the LAN has a gateway\n");
}

static void health(struct init *s, struct text *t)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot net = { 0 };
	struct seen_doors doors;
	struct err e;

	if (rtnl_snapshot(s->watch.x.rtnl, &a, &net, &e) < 0) {
		text_addf(t, "%s\n", e.text);
		return;
	}
	doors_find(&a, &net, NULL, 0, &doors);
	check_lan(t, &doors);
	if (!s->watch.in_order)
		text_add(t, "the rules are not in order\n");
	if (!tunnel_is_up(s, &doors))
		text_addf(t, "the VPN (%s) does not answer\n", s->vpn.file);
}

static void request(void *ctx, const char *line, int fd)
{
	struct text t CLEANUP_TEXT = { 0 };

	if (!str_eq(line, "health"))
		return;
	health(ctx, &t);
	control_send(fd, t.len ? text_str(&t) : "ok\n");
}

/* --- all of it ------------------------------------------------------------------------------ */

static void close_all(struct init *s)
{
	init_names_close(&s->dns);
	attach_watch_close(&s->watch);
	init_client_close(&s->process);
	text_free(&s->names);
	text_free(&s->answer);
	text_free(&s->pushed);
	arena_free(&s->asked);
	arena_free(&s->arena);
}

static void prepare(struct init *s, const struct init_options *o)
{
	s->o = o;
	s->target = (struct attach_target){ .label = "lan", .fd = -1, .pidfd = -1, .own = true };
	s->ask = (struct attach_ask){ .closed = true,
				      .alias = o->env->alias,
				      .mss = o->env->mss,
				      .reach = o->env->reach,
				      .n_reach = o->env->n_reach };
	s->dns = (struct init_names){ .arena = &s->arena, .chosen = o->env->names };
	s->process.loop = &s->watch.loop;
	s->process.heard = heard;
	s->process.ctx = s;
	s->watch.signals_are_mine = true;
	s->watch.request = request;
	s->watch.request_ctx = s;
	s->deadline = (struct loop_timer){ .fire = deadline, .ctx = s };
	s->look = (struct loop_timer){ .fire = look, .ctx = s };
	s->signals = (struct loop_source){ .fd = -1, .ready = signalled, .ctx = s };
	s->resolved = (struct loop_source){ .fd = -1, .ready = names_known, .ctx = s };
	for (size_t i = 0; i < o->env->n_notes; i++)
		log_say(NULL, "%s", o->env->notes[i]);
}

/* A command without servers named may go where it likes: then there is nothing to close. */
static void choose_guard(struct init *s)
{
	if (s->vpn.kind == DOOR_COMMAND && !s->vpn.n_servers) {
		s->ask.closed = false;
		log_say(NULL,
			"no --server is named: what the containers begin may leave by the LAN");
	}
}

int init_run(const struct init_options *o, struct err *e)
{
	struct init s __attribute__((cleanup(close_all))) = { .watch = ATTACH_WATCH_NONE,
							      .process = INIT_CLIENT_NONE };
	struct attach_ask ask;
	int r;

	prepare(&s, o);
	r = init_vpn_load(&s.arena, o, &s.vpn, e);
	if (r == 0)
		r = check_rights(s.vpn.kind, e);
	if (r < 0)
		return r;
	choose_guard(&s);
	ask = s.ask;
	attach_add_servers(&s.arena, s.vpn.servers, s.vpn.n_servers, "", &ask);
	r = attach_watch_open(&s.watch, &s.target, &ask, e);
	if (r == 0)
		r = open_signals(&s, e);
	if (r < 0)
		return r;
	begin_dns(&s);
	init_names_open(&s.dns, s.ask.closed && !o->env->keep_names);
	client_event(&s, CLIENT_EV_START);
	r = loop_run(&s.watch.loop, e);
	reap(&s);
	return r;
}
