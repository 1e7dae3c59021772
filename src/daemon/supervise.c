/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The life of one supervisor: check everything, change nothing; then lock, make
 * (or take over) the namespaces, reconcile, let the VPN clients start; then
 * wait for what happens; at the end take everything away.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "sys/files.h"
#include "sys/memory.h"
#include "sys/netns.h"
#include "sys/notify.h"
#include "sys/proc.h"
#include "sys/sysctl.h"
#include "wire/config.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* So long after something was done it is looked at what must be watched now, in ms. */
#define REST_MS 1000
/* Where nobody tells of sysctls and of iptables-legacy they are looked at this often, in ms. */
#define SWEEP_MS 30000
/* systemd(1) takes away who is not ready in 90 s, and with it the door that answers; in ms. */
#define READY_MS 60000
/* VPN clients may take this long to say goodbye, in ms. */
#define FAREWELL_MS 3000

/* --- before anything is changed --------------------------------------------- */

/* The program without which a door of this kind never opens, and Debian's package of it. */
static int check_program(const struct door *d, struct err *e)
{
	const char *program = d->kind == DOOR_OPENVPN ? "openvpn" : "wg";
	const char *package = d->kind == DOOR_OPENVPN ? "openvpn" : "wireguard-tools";

	if (d->kind == DOOR_COMMAND || proc_is_installed(program))
		return 0;
	return err_set(e, ENOENT, "door \"%s\": %s is not installed (try: apt-get install %s)",
		       d->name, program, package);
}

static int check_tools(struct supervisor *s, struct err *e)
{
	for (size_t i = 1; i < s->gate.n_doors; i++) {
		const struct door *d = &s->gate.doors[i];

		if (check_program(d, e) < 0)
			return -ENOENT;
		if (access("/dev/net/tun", R_OK | W_OK) < 0 && d->kind != DOOR_WIREGUARD)
			return err_errno(e, errno,
					 "door \"%s\": /dev/net/tun, which VPN clients need (try: "
					 "modprobe tun)",
					 d->name);
	}
	return 0;
}

static int find_kind(struct supervisor *s, struct door *d, struct err *e)
{
	const char *text;
	size_t size;
	int r;

	if (!d->vpn)
		return 0;
	r = file_read(&s->arena, d->vpn, FILE_READ_MAX, &text, &size, e);
	if (r < 0)
		return err_wrap(e, r, "%s: door \"%s\"", d->vpn_at, d->name);
	writable_warn(s, d->vpn);
	return config_vpn_kind(d->vpn, text, size, &d->kind, e);
}

static void warn_of(struct supervisor *s, const struct door_run *d)
{
	for (size_t i = 0; d->door->kind == DOOR_OPENVPN && i < d->ovpn.n_warnings; i++)
		sup_log(s, "%s", d->ovpn.warnings[i]);
	for (size_t i = 0; d->door->kind == DOOR_WIREGUARD && i < d->wg.n_warnings; i++)
		sup_log(s, "%s", d->wg.warnings[i]);
}

static int prepare_door(struct supervisor *s, size_t index, struct err *e)
{
	struct door_run *d = &s->doors[index];
	int r;

	*d = (struct door_run){ .sup = s,
				.index = index,
				.door = &s->gate.doors[index],
				.pidfd = -1,
				.exited.fd = -1,
				.output.fd = -1,
				.resolved.fd = -1,
				.management.fd = -1 };
	if (index == 0)
		return 0;
	r = find_kind(s, &s->gate.doors[index], e);
	if (r < 0)
		return r;
	d->dir = arena_printf(&s->arena, RUN_DIR "/%s/%s", s->gate.name, d->door->name);
	r = door_ops_of(d->door)->load(d, e);
	if (r == 0)
		warn_of(s, d);
	return r;
}

int supervisor_prepare(struct supervisor *s, struct err *e)
{
	int r = 0;

	s->doors = arena_alloc(&s->arena, sizeof(*s->doors) * s->gate.n_doors);
	s->rooms = arena_alloc(&s->arena, sizeof(*s->rooms) * GATE_ROOMS_MAX);
	s->sandboxes = (struct sandboxes){ .own_rooms = s->gate.rooms,
					   .n_own_rooms = s->gate.n_rooms,
					   .own_publish = s->gate.publish,
					   .n_own_publish = s->gate.n_publish };
	s->host = place_none(s, PLACE_HOST, 0, NULL);
	s->inner = place_none(s, PLACE_GATE, 0, NULL);
	for (size_t i = 0; i < GATE_ROOMS_MAX; i++)
		s->rooms[i] = place_none(s, PLACE_ROOM, i, NULL);
	s->lock = -1;
	s->control.fd = s->children.fd = s->files.source.fd = s->files.lock = -1;
	s->child = COMMAND_NONE;
	s->down_client = -1;
	for (size_t i = 0; r == 0 && i < s->gate.n_doors; i++)
		r = prepare_door(s, i, e);
	return r;
}

/* --- start ---------------------------------------------------------------------- */

/* A link called sp-NAME that is not ours would be taken for ours. */
static int check_link(const struct snapshot *host, const char *name, struct err *e)
{
	const struct link *l = snapshot_link_by_name(host, name);

	if (l && !plan_link_is_ours(l))
		return err_set(e, EEXIST,
			       "link %s exists and is not sallyport's: choose another name for the "
			       "gate",
			       name);
	return 0;
}

static int choose_slot(struct supervisor *s, const struct snapshot *host, struct err *e)
{
	const char *link = plan_host_link(&s->arena, &s->gate);

	if (slot_find(host, link, &s->slot) ||
	    slot_choose(s->gate.name, link, host, NULL, &s->slot))
		return 0;
	return err_set(e, EADDRINUSE,
		       "no free address range for the gate's links: the host's "
		       "routes cover 198.18.0.0/15 and all the others");
}

static int check_links(struct supervisor *s, const struct snapshot *host, struct err *e)
{
	int r = check_link(host, plan_host_link(&s->arena, &s->gate), e);

	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		if (plan_room_is_short(&s->gate, i))
			r = check_link(host, plan_short_link(&s->arena, &s->slot, i), e);
	return r;
}

static int open_places(struct supervisor *s, struct err *e)
{
	struct arena *a = &s->arena;
	int r = place_open(&s->inner, s, PLACE_GATE, 0, plan_gate_netns(a, &s->gate), e);

	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		r = place_open(&s->rooms[i], s, PLACE_ROOM, i, plan_room_netns(a, &s->gate, i), e);
	return r;
}

static void close_places(struct supervisor *s)
{
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		place_close(&s->rooms[i]);
	place_close(&s->inner);
	place_close(&s->host);
}

/* Nobody heard what became of a gate without its supervisor. */
static void look_at_locals(struct supervisor *s)
{
	s->host.locals_due = s->inner.locals_due = !s->inner.made;
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		s->rooms[i].locals_due = !s->inner.made;
}

/* What a new gate is made of is heard of when it is made: reconcile() sees to that. */
static int watch_places(struct supervisor *s, struct err *e)
{
	int r;

	if (s->inner.made)
		return 0;
	r = place_watch_nft(&s->host, e);
	if (r == 0)
		r = place_watch_nft(&s->inner, e);
	if (r == 0)
		r = place_watch(&s->host, e);
	if (r == 0)
		r = place_watch(&s->inner, e);
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		r = place_watch(&s->rooms[i], e);
	return r;
}

/* None of the host's links can be this gate's. */
static bool is_new(struct supervisor *s, struct arena *a)
{
	return access(arena_printf(a, RUN_DIR "/%s", s->gate.name), F_OK) < 0 &&
	       access(arena_printf(a, NETNS_DIR "/%s", plan_gate_netns(a, &s->gate)), F_OK) < 0;
}

static int check_host(struct supervisor *s, struct arena *a, struct snapshot *host, struct err *e)
{
	const char *value;
	struct err ignored;
	int r = place_open(&s->host, s, PLACE_HOST, 0, NULL, e);

	s->ipv6 = sysctl_get_in(&s->host.sysctls, a, "ipv6/conf/all/forwarding", &value,
				&ignored) == 0;
	s->slot.number = SLOT_COUNT;
	s->slot_unknown = !is_new(s, a);
	if (r == 0)
		r = sup_look_at_host(s, a, 0, 0, host, e);
	if (r == 0)
		r = choose_slot(s, host, e);
	if (r == 0)
		r = check_links(s, host, e);
	if (r == 0)
		r = ports_hold(s, host, s->gate.publish, s->gate.n_publish, &s->held, e);
	if (r == 0)
		r = firewall_open(s, e);
	if (r == 0) {
		strict_warn(s, a, host);
		listen_warn(s, host);
	}
	return r;
}

static int make_dirs(struct supervisor *s, struct err *e)
{
	int r = file_mkdirs(arena_printf(&s->arena, RUN_DIR "/%s", s->gate.name), 0700, e);

	for (size_t i = 1; r == 0 && i < s->gate.n_doors; i++)
		r = file_mkdirs(s->doors[i].dir, 0700, e);
	return r;
}

/* Tells the log, and who has asked for it. */
static int clear(struct supervisor *s, struct err *e)
{
	struct text left CLEANUP_TEXT = { 0 };
	bool found;
	int r = teardown(s->gate.name, &found, &left, e);
	char *line, *rest = left.buf;

	if (left.len && s->down_client >= 0) {
		control_send(s->down_client, text_str(&left));
		control_send(s->down_client, "\n");
	}
	while ((line = strsep(&rest, "\n")))
		sup_log(s, "%s", line);
	if (r < 0)
		sup_log(s, "%s", e->text);
	return r;
}

static int build(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	int lock CLEANUP_FD = -1;
	int r = host_lock(&lock, e);

	if (r == 0)
		r = check_host(s, &a, &host, e);
	if (r < 0)
		return r;
	/* From here on there is something to take away again. */
	r = make_dirs(s, e);
	if (r == 0)
		r = resolv_write(s, e); /* before there is a room that `exec` could enter */
	if (r == 0)
		r = open_places(s, e);
	look_at_locals(s);
	if (r == 0)
		r = leftovers_end(s, e);
	if (r == 0)
		r = watch_places(s, e);
	if (r == 0)
		r = sandboxes_load(s, NULL, e);
	/* What is left of a gate of this name goes away on the way: then it is looked at anew. */
	if (s->inner.made && s->gate.n_rooms == s->sandboxes.n_own_rooms &&
	    !snapshot_link_by_name(&host, plan_host_link(&a, &s->gate)))
		s->seen = &host;
	if (r == 0)
		r = reconcile(s, e);
	s->seen = NULL;
	if (r < 0) {
		struct err ignored;

		fd_close(&lock);
		close_places(s); /* there may have been too few descriptors */
		(void)!clear(s, &ignored);
	}
	return r;
}

/* --- while it stands -------------------------------------------------------------- */

static void say_ready(struct supervisor *s)
{
	for (size_t i = 1; i < s->gate.n_doors; i++)
		if (!door_answers(&s->doors[i]))
			return;
	if (s->ready_said)
		return;
	s->ready_said = true;
	loop_disarm(&s->loop, &s->ready);
	sup_log(s, "every door answers");
	notify_send(getenv("NOTIFY_SOCKET"), "READY=1\nSTATUS=every door answers");
}

/* Not every door, and it may be long: the service manager has to let the others live. */
static void say_ready_late(struct loop_timer *t)
{
	struct supervisor *s = t->ctx;
	struct text doors CLEANUP_TEXT = { 0 }, state CLEANUP_TEXT = { 0 };

	for (size_t i = 1; i < s->gate.n_doors; i++)
		if (!door_answers(&s->doors[i]))
			text_addf(&doors, "%s%s", doors.len ? ", " : "", s->gate.doors[i].name);
	sup_log(s, "goes on without these doors, and tries them again: %s", text_str(&doors));
	text_addf(&state, "READY=1\nSTATUS=waits for these doors: %s", text_str(&doors));
	notify_send(getenv("NOTIFY_SOCKET"), text_str(&state));
}

/* After something was done files may be heard: that is tried soon. */
static bool is_far(const struct supervisor *s)
{
	return !s->rested && s->rest.at_ms > clock_ms() + REST_MS;
}

static void idle(void *ctx)
{
	struct supervisor *s = ctx;

	if (s->dirty && (!s->rest.at_ms || is_far(s)))
		loop_arm(&s->loop, &s->rest, REST_MS);
	reconcile_if_dirty(s);
	say_ready(s);
	if (s->rested)
		memory_give_back();
	s->rested = false;
}

/* Are they heard by now? */
static bool try_files(struct supervisor *s)
{
	struct err e;

	if (files_watch_open(s, &e) < 0)
		sup_log(s, "%s", e.text);
	return s->files.source.fd >= 0;
}

/*
 * Nothing has to be done by the clock, unless what changes cannot be heard.  What a start
 * has made in its gate it has looked at itself; on the host it is looked at now.
 */
static void rest(struct loop_timer *t)
{
	struct supervisor *s = t->ctx;
	bool deaf = s->files.source.fd < 0;
	bool due = (deaf && try_files(s)) || clock_ms() >= s->sweep_ms;
	struct err e;
	bool new, hears;

	if (deaf && due && resolv_renew(s, &e) < 0)
		sup_log(s, "%s", e.text);
	hears = files_watch_sysctls(s, &new, &e) == 0;
	if (new || (!hears && due) || s->host_later)
		reconcile_soon(s);
	s->rested = true;
	if (due)
		s->sweep_ms = clock_ms() + SWEEP_MS;
	if (!hears)
		loop_arm(&s->loop, t, s->sweep_ms - clock_ms());
}

/* Who starts what goes into the background by itself wonders where it is. */
static void tell_of_others(struct supervisor *s)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct err ignored;
	size_t n = 0;
	int *pids;

	if (netns_pids(&a, s->rooms[0].fd, &pids, &n, &ignored) == 0 && n)
		sup_log(s,
			"%s has ended, and with it ends what else runs in the room (%zu "
			"processes): a service has to stay in the foreground",
			s->command[0], n);
}

static void command_over(void *ctx)
{
	struct supervisor *s = ctx;

	if (s->child.status == 0)
		tell_of_others(s);
	s->exit_status = s->child.status;
	s->loop.stop = true;
}

static int start_command(struct supervisor *s, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_NONE;
	int r;

	if (!s->command)
		return 0;
	spec.argv = s->command;
	spec.netns_fd = s->rooms[0].fd;
	spec.own_mounts = true;
	spec.resolv_conf = resolv_path(&s->arena, s->gate.name, s->gate.rooms[0].name);
	spec.drop_user = s->drop_user;
	spec.uid = s->uid;
	spec.gid = s->gid;
	spec.user = s->user;
	s->child.over = command_over;
	s->child.ctx = s;
	r = command_start(&s->child, spec, e);
	s->exit_status = s->child.status;
	return r;
}

/* --- the end ------------------------------------------------------------------------ */

static bool any_client(const struct supervisor *s)
{
	for (size_t i = 1; i < s->gate.n_doors; i++)
		if (s->doors[i].pid > 0)
			return true;
	return false;
}

static void farewell_over(struct loop_timer *t)
{
	struct supervisor *s = t->ctx;

	for (size_t i = 1; i < s->gate.n_doors; i++)
		door_stop(&s->doors[i], true);
	s->loop.stop = true;
}

static void stop_when_alone(void *ctx)
{
	struct supervisor *s = ctx;

	if (!any_client(s))
		s->loop.stop = true;
}

/* VPN clients may tell their servers that they go; the gate stays closed meanwhile. */
static void stop_doors(struct supervisor *s)
{
	struct loop_timer limit = { .fire = farewell_over, .ctx = s };
	struct err e;

	for (size_t i = 1; i < s->gate.n_doors; i++)
		door_stop(&s->doors[i], false);
	s->loop.stop = false;
	s->loop.idle = stop_when_alone;
	s->loop.idle_ctx = s;
	loop_arm(&s->loop, &limit, FAREWELL_MS);
	if (loop_run(&s->loop, &e) < 0)
		sup_log(s, "%s", e.text);
	loop_disarm(&s->loop, &limit);
}

static int take_away(struct supervisor *s, struct err *e)
{
	int r;

	s->ending = true;
	stop_doors(s);
	sandboxes_close(s);
	close_places(s);
	r = clear(s, e);
	ports_release(&s->held);
	if (s->down_client >= 0) {
		control_send(s->down_client, r < 0 ? e->text : "done");
		fd_close(&s->down_client);
	}
	return r;
}

static int run_loop(struct supervisor *s, struct err *e)
{
	int r = files_watch_open(s, e);

	if (r == 0)
		r = doors_watch(s, e);

	if (r == 0)
		r = start_command(s, e);
	if (r < 0)
		return r;
	for (size_t i = 1; i < s->gate.n_doors; i++)
		door_start(&s->doors[i]);
	s->rest = (struct loop_timer){ .fire = rest, .ctx = s };
	loop_arm(&s->loop, &s->rest, REST_MS);
	s->sweep_ms = clock_ms() + SWEEP_MS;
	s->ready = (struct loop_timer){ .fire = say_ready_late, .ctx = s };
	if (getenv("NOTIFY_SOCKET"))
		loop_arm(&s->loop, &s->ready, READY_MS);
	s->loop.idle = idle;
	say_ready(s); /* the links' carrier is told of about now, and that can wait */
	return loop_run(&s->loop, e);
}

int supervise(struct supervisor *s, struct err *e)
{
	struct err later;
	int r = check_tools(s, e);

	s->since = clock_now();
	s->doors[0].since = s->since;
	if (r == 0)
		r = loop_open(&s->loop, e);
	s->loop.idle_ctx = s;
	if (r == 0)
		r = control_listen(s, e);
	if (r == 0)
		r = command_signals(&s->child, &s->loop, e);
	if (r == 0)
		r = build(s, e);
	if (r < 0)
		return r;
	sup_log(s, "the lan door answers");
	r = run_loop(s, e);
	notify_send(getenv("NOTIFY_SOCKET"), "STOPPING=1");
	if (s->child.pid > 0)
		kill(s->child.pid, SIGTERM);
	if (take_away(s, &later) < 0 && r == 0)
		return err_set(e, EIO, "%s", later.text);
	return r;
}
