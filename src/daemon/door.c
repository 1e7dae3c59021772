/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What all VPN doors share: the client as a supervised child (its start, its
 * output line by line, its end), names resolved outside before it starts, and
 * the interface it brings.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "sys/files.h"
#include "sys/netns.h"
#include "sys/proc.h"
#include "sys/sysctl.h"
#include "wire/config.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* How often a door that has no news of its own is looked at, in ms. */
#define LOOK_CONNECTING_MS 200
#define LOOK_UP_MS         5000
#define SLEPT_MS           2000 /* a timer that is later than that: the machine slept, or we */

#define LINE_MAX_SIZE 4096

/* As resolv.conf(5) limits a search list. */
#define SEARCH_MAX 256

#define HOSTS_HEAD "127.0.0.1 localhost\n::1 localhost\n"

const struct door_ops *door_ops_of(const struct door *d)
{
	switch (d->kind) {
	case DOOR_OPENVPN:
		return &door_openvpn;
	case DOOR_WIREGUARD:
		return &door_wireguard;
	case DOOR_COMMAND:
		return &door_command;
	case DOOR_LAN:
		break;
	}
	return NULL;
}

const char *door_state_word(const struct door_run *d)
{
	if (d->index == 0)
		return "up";
	switch (d->client.state) {
	case CLIENT_IDLE:
		return "down";
	case CLIENT_CONNECTING:
		return "connecting";
	case CLIENT_UP:
		return "up";
	case CLIENT_STOPPED:
		return "stopped";
	case CLIENT_KILLED:
		return "stopping";
	case CLIENT_WAITING:
		return "waiting";
	}
	return "";
}

void door_forget_dns(struct door_run *d)
{
	free(d->dns);
	d->dns = NULL;
	d->n_dns = 0;
	text_clear(&d->search);
}

/* A server's word goes into a file: only what a domain name is made of. */
void door_note_search(struct door_run *d, const char *domain)
{
	size_t len = strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-_");

	if (len && !domain[len] && d->search.len + len < SEARCH_MAX)
		text_addf(&d->search, " %s", domain);
}

void door_note_dns(struct door_run *d, const struct ip *dns, size_t n)
{
	struct ip *all = realloc(d->dns, (d->n_dns + n) * sizeof(*all));

	if (!all)
		abort();
	d->dns = all;
	for (size_t i = 0; i < n; i++) {
		bool known = false;

		for (size_t j = 0; j < d->n_dns; j++)
			known |= ip_equal(&d->dns[j], &dns[i]);
		if (!known)
			d->dns[d->n_dns++] = dns[i];
	}
}

/* --- the client's output ------------------------------------------------- */

/* openvpn reads a copy, whose lines have the same numbers; a person knows the file. */
static void call_by_file(struct text *t, const struct door *door, const char *text)
{
	static const char copy[] = " in /proc/self/fd/";
	const char *at = door->kind == DOOR_OPENVPN ? strstr(text, copy) : NULL;
	const char *behind = at ? at + strlen(copy) : NULL;

	if (behind && behind[strspn(behind, "0123456789")] == ':') {
		text_add_len(t, text, (size_t)(at - text));
		text_addf(t, " in %s", door->vpn);
		text = behind + strspn(behind, "0123456789");
	}
	text_add(t, text);
}

static void pass_line(struct door_run *d, const char *text)
{
	struct text t CLEANUP_TEXT = { 0 };

	/* openvpn notes each of our own questions. */
	if (!*text || str_starts(text, "MANAGEMENT: CMD ") || ovpnconf_is_of_ours(text))
		return;
	if (door_ops_of(d->door)->heard)
		door_ops_of(d->door)->heard(d, text);
	call_by_file(&t, d->door, text);
	sup_log(d->sup, "%s: %s", d->door->name, text_str(&t));
}

static void pass_lines(struct door_run *d)
{
	char *start = d->line.buf;
	char *nl;

	while (start && (nl = strchr(start, '\n'))) {
		*nl = 0;
		pass_line(d, start);
		start = nl + 1;
	}
	if (start && strlen(start) < LINE_MAX_SIZE) {
		struct text rest = { 0 };

		text_add(&rest, start);
		text_free(&d->line);
		d->line = rest;
	} else if (start) {
		pass_line(d, start);
		text_clear(&d->line);
	}
}

static void output_ready(struct loop_source *source, uint32_t events)
{
	struct door_run *d = source->ctx;
	char buf[4096];
	ssize_t n = read(source->fd, buf, sizeof(buf));
	int fd = source->fd;

	(void)events;
	if (n > 0) {
		for (ssize_t i = 0; i < n; i++)
			if (!buf[i] || buf[i] == '\r')
				buf[i] = ' ';
		text_add_len(&d->line, buf, (size_t)n);
		pass_lines(d);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	loop_remove(&d->sup->loop, source);
	fd_close(&fd);
}

void door_hear(struct door_run *d)
{
	int waiting = 0;

	while (d->output.fd >= 0 && ioctl(d->output.fd, FIONREAD, &waiting) == 0 && waiting > 0)
		output_ready(&d->output, 0);
}

static void close_source(struct supervisor *s, struct loop_source *source)
{
	int fd = source->fd;

	if (fd < 0)
		return;
	loop_remove(&s->loop, source);
	fd_close(&fd);
}

/* --- start and end --------------------------------------------------------- */

static void forget_client(struct door_run *d)
{
	close_source(d->sup, &d->exited);
	close_source(d->sup, &d->management);
	loop_disarm(&d->sup->loop, &d->management_timer);
	d->pid = 0;
	d->pidfd = -1;
	d->wg_configured = false;
	door_had_forget(d);
}

static const char *end_words(struct arena *a, int status)
{
	if (WIFSIGNALED(status))
		return arena_printf(a, "was killed by signal %d", WTERMSIG(status));
	return arena_printf(a, "ended with status %d", WEXITSTATUS(status));
}

static void client_exited(struct loop_source *source, uint32_t events)
{
	struct door_run *d = source->ctx;
	int status = 0;

	(void)events;
	if (!proc_reap(d->pid, &status))
		return;
	if (d->output.fd >= 0)
		output_ready(&d->output, 0);
	sup_log(d->sup, "%s: client %s", d->door->name, end_words(&d->arena, status));
	/* What the client left behind in its process group goes with it. */
	kill(-d->pid, SIGKILL);
	forget_client(d);
	door_event(d, CLIENT_EV_ENDED);
}

static const char *hosts_path(struct door_run *d)
{
	return arena_printf(&d->arena, "%s/hosts", d->dir);
}

/* In place: a client that runs looks there again when it connects anew. */
static int write_hosts(struct door_run *d, struct err *e)
{
	struct text t CLEANUP_TEXT = { 0 };

	text_addf(&t, HOSTS_HEAD "%s", text_str(&d->names));
	return file_write(hosts_path(d), text_str(&t), e);
}

int door_spawn(struct door_run *d, const char *const *argv, int pass_fd, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_NONE;
	int out[2] CLEANUP_FD_PAIR = { -1, -1 };
	int r;

	if (pipe2(out, O_CLOEXEC) < 0)
		return err_errno(e, errno, "pipe");
	spec.argv = argv;
	spec.netns_fd = d->sup->inner.fd;
	spec.own_mounts = true;
	spec.client = true;
	if (d->names.len) {
		r = write_hosts(d, e);
		if (r < 0)
			return r;
		spec.hosts_file = hosts_path(d);
	}
	if (d->door->kind == DOOR_WIREGUARD)
		spec.private_dir = d->dir;
	spec.resolv_conf = d->resolv_conf;
	spec.stdout_fd = spec.stderr_fd = out[1];
	spec.pass_fd = pass_fd;
	spec.own_group = true;
	r = proc_spawn(&spec, &d->pid, &d->pidfd, e);
	if (r < 0) {
		d->pid = 0;
		return r;
	}
	close_source(d->sup, &d->output);
	text_clear(&d->line);
	(void)fcntl(out[0], F_SETFL, O_NONBLOCK);
	d->output = (struct loop_source){ .ready = output_ready, .ctx = d };
	r = loop_add(&d->sup->loop, &d->output, fd_take(&out[0]), e);
	d->exited = (struct loop_source){ .ready = client_exited, .ctx = d };
	return r < 0 ? r : loop_add(&d->sup->loop, &d->exited, d->pidfd, e);
}

static void start_client(struct door_run *d)
{
	struct err e;

	if (door_ops_of(d->door)->start(d, &e) < 0) {
		sup_log(d->sup, "%s: %s", d->door->name, e.text);
		door_event(d, CLIENT_EV_FAILED);
		return;
	}
	door_event(d, CLIENT_EV_STARTED);
}

static void end_resolver(struct door_run *d)
{
	close_source(d->sup, &d->resolved);
	if (!d->resolver)
		return;
	kill(d->resolver, SIGKILL);
	waitpid(d->resolver, NULL, 0);
	d->resolver = 0;
}

static void take_names(struct door_run *d)
{
	bool kept = names_take(&d->names, text_str(&d->heard)) > 0;

	text_clear(&d->heard);
	if (kept && !d->names_kept)
		sup_log(d->sup,
			"%s: a name of the VPN server could not be resolved on the host; the "
			"addresses stay that it had before",
			d->door->name);
	d->names_kept = kept;
}

/* One of them, as a person knows it. */
static const char *any_name(struct door_run *d)
{
	const char **names = NULL;
	size_t n = door_ops_of(d->door)->names(d, &names);
	const char *called = n ? strchr(names[0], ' ') : NULL;

	return called ? called + 1 : n ? names[0] : "";
}

/* A device of the kernel's has no process. */
static bool has_started(const struct door_run *d)
{
	return d->pid > 0 || d->wg_configured;
}

static void names_known(struct door_run *d)
{
	struct err e;

	if (has_started(d)) {
		if (d->pid > 0 && d->names.len && write_hosts(d, &e) < 0)
			sup_log(d->sup, "%s: %s", d->door->name, e.text);
		if (door_ops_of(d->door)->named)
			door_ops_of(d->door)->named(d);
		return;
	}
	if (d->client.state != CLIENT_CONNECTING)
		return;
	if (!d->names.len) {
		sup_log(d->sup,
			"%s: the VPN server's name %s could not be resolved on the host; look "
			"whether getent ahosts knows it there",
			d->door->name, any_name(d));
		door_event(d, CLIENT_EV_FAILED);
		return;
	}
	start_client(d);
}

/* Lines "address name" from the child; its end of file is its end. */
static void names_ready(struct loop_source *source, uint32_t events)
{
	struct door_run *d = source->ctx;
	char buf[4096];
	ssize_t n = read(source->fd, buf, sizeof(buf));

	(void)events;
	if (n > 0 && d->heard.len < 65536) {
		text_add_len(&d->heard, buf, (size_t)n);
		return;
	}
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	end_resolver(d);
	take_names(d);
	names_known(d);
}

static int ask(struct door_run *d, const char *const *names, size_t n, struct err *e)
{
	int fd, r;

	end_resolver(d);
	text_clear(&d->heard);
	d->resolved = (struct loop_source){ .fd = -1, .ready = names_ready, .ctx = d };
	r = names_resolve(names, n, NULL, &d->resolver, &fd, e);
	return r < 0 ? r : loop_add(&d->sup->loop, &d->resolved, fd, e);
}

void door_ask_names(struct door_run *d)
{
	const char **names = NULL;
	size_t n = d->resolved.fd < 0 ? door_ops_of(d->door)->names(d, &names) : 0;
	struct err e;

	if (n && ask(d, names, n, &e) < 0)
		sup_log(d->sup, "%s: %s", d->door->name, e.text);
}

static void begin(struct door_run *d)
{
	const char **names = NULL;
	size_t n;
	struct err e;

	sup_log(d->sup, "%s: connecting", d->door->name);
	if (file_mkdirs(d->dir, 0700, &e) < 0) /* somebody may have tidied up there */
		sup_log(d->sup, "%s: %s", d->door->name, e.text);
	end_resolver(d);
	arena_free(&d->arena);
	/* What it was read into; the plan looks there, also when it cannot be read again. */
	d->wg = (struct wg_conf){ 0 };
	d->wg_silence = (struct wg_silence){ 0 };
	d->wg_configured = d->names_kept = false;
	d->ovpn = (struct ovpn_conf){ 0 };
	d->servers = NULL;
	d->n_servers = d->cap_servers = 0;
	if (door_ops_of(d->door)->load(d, &e) < 0) {
		sup_log(d->sup, "%s: %s", d->door->name, e.text);
		door_event(d, CLIENT_EV_FAILED);
		return;
	}
	n = door_ops_of(d->door)->names(d, &names);
	if (!n) {
		text_clear(&d->names);
		start_client(d);
		return;
	}
	if (ask(d, names, n, &e) < 0) {
		sup_log(d->sup, "%s: %s", d->door->name, e.text);
		door_event(d, CLIENT_EV_FAILED);
	}
}

static void signal_client(struct door_run *d, int sig)
{
	if (d->pid > 0)
		kill(-d->pid, sig);
}

void door_look_soon(struct door_run *d)
{
	int64_t in = d->client.state == CLIENT_UP ? LOOK_UP_MS : LOOK_CONNECTING_MS;
	int64_t now = clock_ms();
	int64_t lost = door_had_deadline(d);

	if (d->client.state == CLIENT_IDLE)
		return;
	if (lost && lost - now < in)
		in = lost > now ? lost - now : 0;
	if (d->client.deadline && d->client.deadline - now < in)
		in = d->client.deadline - now;
	if (d->client.state == CLIENT_WAITING || d->client.state == CLIENT_KILLED)
		in = d->client.deadline - now;
	d->look_due = now + in;
	loop_arm(&d->sup->loop, &d->timer, in);
}

/* A machine that slept, or a supervisor that was stopped: nobody has asked the client. */
static bool we_slept(const struct door_run *d)
{
	return clock_ms() > d->look_due + SLEPT_MS;
}

static bool is_over(struct door_run *d)
{
	if (!d->client.deadline || clock_ms() < d->client.deadline)
		return false;
	if (d->client.state == CLIENT_UP && we_slept(d))
		door_event(d, CLIENT_EV_ALIVE);
	else if (d->client.state == CLIENT_UP && d->pid > 0 && proc_is_running(d->pid))
		door_event(d, CLIENT_EV_BUSY);
	return d->client.deadline && clock_ms() >= d->client.deadline;
}

/* Its interface was taken apart. */
static void begin_again(struct door_run *d)
{
	sup_log(d->sup, "%s: somebody took %s apart; the client is ended and started again",
		d->door->name, d->interface[0] ? d->interface : "its interface");
	door_event(d, d->pid > 0 ? CLIENT_EV_BROKEN : CLIENT_EV_FAILED);
}

static void timer_fired(struct loop_timer *t)
{
	struct door_run *d = t->ctx;

	if (is_over(d)) {
		if (d->client.state == CLIENT_CONNECTING || d->client.state == CLIENT_UP ||
		    d->client.state == CLIENT_STOPPED)
			sup_log(d->sup, "%s: the client hangs; it is ended and started again",
				d->door->name);
		door_event(d, CLIENT_EV_TIME);
		return;
	}
	if (door_had_deadline(d) && clock_ms() >= door_had_deadline(d)) {
		begin_again(d);
		return;
	}
	/* Before its start there is nothing to look at. */
	if ((d->client.state == CLIENT_CONNECTING || d->client.state == CLIENT_UP) &&
	    (d->resolved.fd < 0 || has_started(d)))
		door_ops_of(d->door)->look(d);
	door_look_soon(d);
}

static void note_state(struct door_run *d, enum client_state before)
{
	bool up = d->client.state == CLIENT_UP;

	if ((before == CLIENT_UP) == up)
		return;
	d->since = up ? clock_now() : 0;
	d->had.due |= up;
	if (d->client.state != CLIENT_IDLE) /* else it was told to end */
		sup_log(d->sup,
			up ? "%s: answers"
			   : "%s: does not answer; what came in by the other "
			     "doors is not touched",
			d->door->name);
	reconcile_soon(d->sup);
}

void door_event(struct door_run *d, enum client_event event)
{
	enum client_state before = d->client.state;
	enum client_action action = client_step(&d->client, event, clock_ms());

	note_state(d, before);
	door_look_soon(d);
	switch (action) {
	case CLIENT_DO_NOTHING:
		break;
	case CLIENT_DO_START:
		begin(d);
		break;
	case CLIENT_DO_TERM:
		signal_client(d, SIGTERM);
		signal_client(d, SIGCONT);
		/* A device of the kernel's has no process whose end would be heard. */
		if (d->pid <= 0 && d->client.state == CLIENT_KILLED)
			door_event(d, CLIENT_EV_ENDED);
		break;
	case CLIENT_DO_KILL:
		signal_client(d, SIGKILL);
		break;
	}
}

bool door_answers(const struct door_run *d)
{
	const struct door_ops *ops = door_ops_of(d->door);

	if (d->client.state != CLIENT_UP)
		return false;
	return ops->has_interface ? ops->has_interface(d) : d->interface[0] != 0;
}

/* --- stopped by a signal ------------------------------------------------------- */

static void look_whether_stopped(struct door_run *d)
{
	siginfo_t info = { 0 };

	if (d->pid <= 0 ||
	    waitid(P_PID, (id_t)d->pid, &info, WSTOPPED | WCONTINUED | WNOHANG) < 0 || !info.si_pid)
		return;
	if (info.si_code == CLD_STOPPED) {
		sup_log(d->sup, "%s: the client was stopped by signal %d", d->door->name,
			info.si_status);
		door_event(d, CLIENT_EV_STOPPED);
	} else if (d->client.state == CLIENT_STOPPED) {
		sup_log(d->sup, "%s: the client goes on", d->door->name);
		d->went_on = true;
		door_event(d, CLIENT_EV_CONTINUED);
	}
}

/* SIGCHLD, which several may share.  Of ends the pidfds tell. */
static void child_changed(struct loop_source *source, uint32_t events)
{
	struct supervisor *s = source->ctx;
	struct signalfd_siginfo ignored;

	(void)events;
	while (read(source->fd, &ignored, sizeof(ignored)) > 0)
		;
	for (size_t i = 1; i < s->gate.n_doors; i++)
		look_whether_stopped(&s->doors[i]);
	command_look(&s->child, s->gate.name);
}

int doors_watch(struct supervisor *s, struct err *e)
{
	int fd CLEANUP_FD = -1;
	sigset_t set;
	int r;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	r = signals_open(&set, &fd, e);
	s->children = (struct loop_source){ .fd = -1, .ready = child_changed, .ctx = s };
	return r < 0 ? r : loop_add(&s->loop, &s->children, fd_take(&fd), e);
}

/* --- start and end ------------------------------------------------------------- */

void door_start(struct door_run *d)
{
	d->timer.fire = timer_fired;
	d->timer.ctx = d;
	door_event(d, CLIENT_EV_START);
}

void door_stop(struct door_run *d, bool hard)
{
	if (hard) {
		signal_client(d, SIGKILL);
		return;
	}
	if (door_ops_of(d->door)->stop)
		door_ops_of(d->door)->stop(d);
	door_event(d, CLIENT_EV_STOP);
	loop_disarm(&d->sup->loop, &d->timer);
}

/* --- the interface ----------------------------------------------------------- */

static bool is_ours(const char *name)
{
	return str_eq(name, "lo") || str_eq(name, "lan") || str_starts(name, "room");
}

static bool belongs_to_another(const struct door_run *d, const char *name)
{
	for (size_t i = 1; i < d->sup->gate.n_doors; i++) {
		const struct door_run *x = &d->sup->doors[i];

		if (x != d && (str_eq(x->door->name, name) ||
			       (x->door->interface && str_eq(x->door->interface, name)) ||
			       str_eq(x->interface, name)))
			return true;
	}
	return false;
}

/* Tunnels of the kernel that stand in every namespace, down and unused (fb_tunnels_only_for_init_net). */
static bool is_fallback(const struct link *l)
{
	return !(l->flags & IFF_UP);
}

static const struct link *find_link(const struct door_run *d, const struct snapshot *gate)
{
	if (d->door->kind != DOOR_COMMAND)
		return snapshot_link_by_name(gate, d->door->name);
	if (d->door->interface)
		return snapshot_link_by_name(gate, d->door->interface);
	for (size_t i = 0; i < gate->n_links; i++) {
		const struct link *l = &gate->links[i];

		if (!is_ours(l->name) && !is_fallback(l) && !belongs_to_another(d, l->name))
			return l;
	}
	return NULL;
}

int doors_clear(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot gate = { 0 };
	int r = rtnl_snapshot_tables(s->inner.rtnl, &a, 0, 0, &gate, e);

	for (size_t i = 0; r == 0 && i < gate.n_links; i++)
		if (!is_ours(gate.links[i].name) && !is_fallback(&gate.links[i]) &&
		    !plan_link_is_of(&gate.links[i], s->gate.name))
			r = rtnl_link_delete(s->inner.rtnl, gate.links[i].name, e);
	return r;
}

static void note_addresses(struct door_run *d, const struct snapshot *gate, int index)
{
	text_clear(&d->addresses);
	d->n_ips = 0;
	for (size_t i = 0; i < gate->n_addresses; i++) {
		const struct address *x = &gate->addresses[i];
		char ip[IP_TEXT_SIZE];

		if (x->link != index || ip_is_link_local(&x->local))
			continue;
		text_addf(&d->addresses, "%s%s", d->addresses.len ? " " : "",
			  ip_text(&x->local, ip));
		if (d->n_ips < ARRAY_LEN(d->ips))
			d->ips[d->n_ips++] = x->local;
	}
}

/* Of the gate's interface @name. */
static bool is_ipv6_off(struct door_run *d, const char *name)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	struct place *gate = &d->sup->inner;
	const char *path = arena_printf(&a, "ipv6/conf/%s/disable_ipv6", name);
	const char *now;
	struct err e;

	return netns_enter(gate->fd, &visit, &e) == 0 &&
	       sysctl_get_in(&gate->sysctls, &a, path, &now, &e) == 0 && str_eq(now, "1");
}

/* Below IPV6_LEAST_MTU the kernel has no IPv6 on it. WireGuard's size is ours to set. */
static bool carries_no_ipv6(struct door_run *d, const struct link *l)
{
	uint32_t mtu = d->door->kind != DOOR_WIREGUARD ? l->mtu : d->wg.mtu;

	if (!d->sup->ipv6)
		return false;
	return (mtu && mtu < IPV6_LEAST_MTU) || is_ipv6_off(d, l->name);
}

bool door_observe(struct door_run *d, const struct snapshot *gate)
{
	const struct link *l = find_link(d, gate);
	/* WireGuard's link is ours to set up: it counts before it is up. */
	bool there = l && ((l->flags & IFF_UP) || d->door->kind == DOOR_WIREGUARD);
	const char *name = there ? l->name : "";
	uint32_t mtu = there ? l->mtu : 0;
	bool no_ipv6 = there && carries_no_ipv6(d, l);
	bool changed = !str_eq(name, d->interface) || mtu != d->mtu || no_ipv6 != d->no_ipv6;

	note_addresses(d, gate, there ? l->index : -1);
	memcpy(d->interface, there ? l->name : (char[LINK_NAME_SIZE]){ 0 }, LINK_NAME_SIZE);
	d->mtu = mtu;
	d->no_ipv6 = no_ipv6;
	return changed;
}
