/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netdriver.h"

#include "daemon/netdriver_host.h"
#include "daemon/netdriver_serve.h"
#include "daemon/supervisor.h"
#include "sys/engine.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/netns.h"
#include "wire/http.h"
#include "wire/netdriver_ports.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/*
 * What Docker's protocol asks for, one function each.  A network is a file that
 * says which gate; an endpoint is a file in the directory of that gate's rooms,
 * which its supervisor reads.  Networks outlive the machine's restarts, as they
 * do in Docker; endpoints do not.
 */

#define ROOM_LEN  10 /* of an endpoint's ID: its room's name */
#define ROOMS_MS  20000
#define STATUS_MS 5000
#define ENGINE_MS 2000
#define FILE_MAX  ((size_t)1 << 16)

/* --- files -------------------------------------------------------------------------- */

/* In one step: whoever reads at any moment reads the old or the new. */
static int replace(struct arena *a, const char *path, const char *text, struct err *e)
{
	const char *slash = strrchr(path, '/');
	const char *fresh = arena_printf(a, "%.*s/.%s", (int)(slash - path), path, slash + 1);
	int r = file_mkdirs(arena_strndup(a, path, (size_t)(slash - path)), 0700, e);

	if (r == 0)
		r = file_write(fresh, text, e);
	if (r == 0 && rename(fresh, path) < 0)
		r = err_errno(e, errno, "%s", path);
	return r;
}

static const char *network_path(struct arena *a, const char *id)
{
	return arena_printf(a, "%s/networks/%s", netdriver_state(), id);
}

static int load_network(struct arena *a, const char *id, struct netdriver_network *ret,
			struct err *e)
{
	const char *path = network_path(a, id), *text;
	size_t size;
	int r = *id ? file_read(a, path, FILE_MAX, &text, &size, e) : -ENOENT;

	if (r == -ENOENT)
		return err_set(e, ENOENT,
			       "sallyport knows no network %.12s: make it anew with docker network "
			       "rm and docker network create",
			       id);
	return r < 0 ? r : netdriver_network_read(a, path, text, size, ret, e);
}

static const char *room_of(struct arena *a, const char *endpoint)
{
	return arena_strndup(a, endpoint, strnlen(endpoint, ROOM_LEN));
}

static const char *room_path(struct arena *a, const char *gate, const char *room)
{
	return arena_printf(a, "%s/%s", sandbox_directory(a, gate), room);
}

static int load_room(struct arena *a, const char *gate, const char *room, struct sandbox_file *ret,
		     struct err *e)
{
	const char *path = room_path(a, gate, room), *text;
	size_t size;
	int r = file_read(a, path, FILE_MAX, &text, &size, e);

	return r < 0 ? r : sandbox_read(a, path, text, size, ret, e);
}

static int save_room(struct arena *a, const char *gate, const struct sandbox_file *f, struct err *e)
{
	struct sandbox_file now = *f;

	now.written = clock_ms() / 1000;
	return replace(a, room_path(a, gate, f->room), sandbox_write(a, &now), e);
}

static void remove_room(struct arena *a, const char *gate, const char *room)
{
	(void)unlink(room_path(a, gate, room));
	/* Only when they are empty. */
	(void)rmdir(sandbox_directory(a, gate));
	(void)rmdir(sandbox_directory(a, ""));
	(void)rmdir(RUN_DIR);
}

static int no_dots(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

/* Names in @dir; their number, 0 also if there is none. */
static size_t list(struct arena *a, const char *dir, const char ***ret)
{
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, no_dots, NULL);

	*ret = arena_alloc(a, (size_t)(n > 0 ? n : 0) * sizeof(**ret) + 1);
	for (int i = 0; i < n; i++) {
		(*ret)[i] = arena_strdup(a, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return n > 0 ? (size_t)n : 0;
}

/* --- the gate's supervisor ------------------------------------------------------------ */

/* -EAGAIN: it may be about to start, so ask again. */
static int gate_down(struct arena *a, const char *gate, struct err *e)
{
	const char *conf = arena_printf(a, "/etc/sallyport/%s.conf", gate);

	if (access(conf, F_OK) < 0)
		return err_set(
			e, ENOENT,
			"there is no gate \"%s\": write %s (see sallyport.conf(5)) and start "
			"it with: systemctl start sallyport@%s",
			gate, conf, gate);
	return err_set(e, EAGAIN,
		       "gate \"%s\" is not up: start it with: systemctl start sallyport@%s (or: "
		       "sallyport up %s)",
		       gate, gate, gate);
}

/* The supervisor takes what the files say now; an error about @room is the answer. */
static int tell(struct arena *a, const char *gate, const char *room, struct err *e)
{
	const char *answer;
	int r = control_ask(a, gate, arena_printf(a, "rooms%s%s", *room ? " " : "", room), ROOMS_MS,
			    &answer, e);

	if (r == -ECONNREFUSED)
		return gate_down(a, gate, e);
	if (r == 0 && !str_eq(answer, "done"))
		r = err_set(e, EIO, "gate \"%s\": %s", gate,
			    *answer ? answer : "its supervisor ended");
	return r;
}

static void tell_again(struct arena *a, const char *gate)
{
	struct err e;

	if (tell(a, gate, "", &e) < 0)
		netdriver_say("%s", e.text);
}

static int ask_gate(struct arena *a, const char *gate, struct netdriver_gate *ret, struct err *e)
{
	const char *answer;
	int r = control_ask(a, gate, "status", STATUS_MS, &answer, e);

	if (r == -ECONNREFUSED)
		return gate_down(a, gate, e);
	return r < 0 ? r : netdriver_read_gate(a, answer, strlen(answer), ret, e);
}

/* --- networks ------------------------------------------------------------------------- */

static int create_network(struct arena *a, const struct netdriver_request *q, const char **ret,
			  struct err *e)
{
	struct netdriver_network n;
	struct netdriver_gate g;
	int r = netdriver_network(a, q, &n, e);

	if (r == 0)
		r = ask_gate(a, n.gate, &g, e);
	if (r == 0)
		r = netdriver_check_pool(&n, &g, e);
	if (r < 0 && r != -EAGAIN) /* a gate may be down while networks are made */
		return r;
	r = replace(a, network_path(a, q->network), netdriver_network_write(a, &n), e);
	if (r == 0)
		netdriver_say("network %.12s is behind gate \"%s\"", q->network, n.gate);
	*ret = "{}";
	return r;
}

static int delete_network(struct arena *a, const struct netdriver_request *q, const char **ret,
			  struct err *e)
{
	*ret = "{}";
	if (!*q->network)
		return err_set(e, EBADMSG, "no NetworkID");
	if (unlink(network_path(a, q->network)) < 0 && errno != ENOENT)
		return err_errno(e, errno, "%s", network_path(a, q->network));
	return 0;
}

/* --- endpoints ------------------------------------------------------------------------ */

/* Docker leaves the file for a while when the namespace is gone. */
/* What cannot be looked at just now is there. */
static bool has_namespace(const struct sandbox_file *f)
{
	int fd CLEANUP_FD = -1;
	struct err e;

	return f->sandbox.path && !netns_is_gone(netns_open_place(f->sandbox.path, &fd, &e));
}

static bool is_stale(const struct sandbox_file *f)
{
	return !has_namespace(f) && sandbox_is_left(f, clock_ms() / 1000);
}

/*
 * A free place in the gate's slot, from the end: the configuration's rooms have
 * the first ones.  Who has the address that Docker gives now has gone untold,
 * and so has who is without a container for long.
 */
static int find_place(struct arena *a, const char *gate, struct sandbox *s, struct err *e)
{
	bool taken[GATE_ROOMS_MAX] = { false };
	const char **names;
	size_t n = list(a, sandbox_directory(a, gate), &names);

	for (size_t i = 0; i < n; i++) {
		struct sandbox_file f;
		int r = load_room(a, gate, names[i], &f, e);

		if (sandbox_is_none(r))
			continue;
		if (r < 0)
			return r;
		if ((!ip_is_none(&s->address4) && ip_equal(&f.sandbox.address4, &s->address4)) ||
		    is_stale(&f))
			remove_room(a, gate, names[i]);
		else
			taken[f.sandbox.number] = true;
	}
	for (uint32_t i = GATE_ROOMS_MAX; i-- > 0;)
		if (!taken[i]) {
			s->number = i;
			return 0;
		}
	return err_set(e, ENOSPC, "gate \"%s\" has %d rooms and takes no more: make a second gate",
		       gate, GATE_ROOMS_MAX);
}

static void add_ports(struct arena *a, const struct sandbox_words *words, struct netdriver_gate *g)
{
	for (size_t i = 0; i < words->n; i++) {
		struct publish p;
		const char *door;
		struct err ignored;

		if (sandbox_publish(a, words->items[i], &p, &door, &ignored) == 0)
			*arena_push(a, g->ports, g->n_ports, g->cap_ports) = p;
	}
}

/* Ports of rooms whose container is about to start, behind those that @g says it has. */
static void add_promised(struct arena *a, struct netdriver_gate *g)
{
	const char **gates, **rooms;
	size_t n_gates = list(a, sandbox_directory(a, ""), &gates);

	for (size_t i = 0; i < n_gates; i++) {
		size_t n = list(a, sandbox_directory(a, gates[i]), &rooms);

		for (size_t j = 0; j < n; j++) {
			struct sandbox_file f;
			struct err ignored;

			if (load_room(a, gates[i], rooms[j], &f, &ignored) == 0)
				add_ports(a, &f.publish, g);
		}
	}
}

/* What the request says of ports, behind @ret. */
static int publish_ports(struct arena *a, const struct netdriver_network *n,
			 const struct netdriver_gate *gate, const struct netdriver_request *q,
			 struct sandbox_words *ret, struct err *e)
{
	struct netdriver_gate *taken = arena_new(a, struct netdriver_gate);
	struct netdriver_host h;
	int r;

	*taken = *gate;
	add_promised(a, taken);
	r = netdriver_host(a, taken, &h, e);
	if (r == 0)
		r = netdriver_ports(a, n, q, &h, ret, e);
	return r < 0 ? r : netdriver_words(a, n, q->publish, &h, ret, e);
}

/* Docker's; where it gives none, what a room of the gate's own would have there. */
static void set_addresses(const struct netdriver_gate *g, const struct netdriver_request *q,
			  struct sandbox *s)
{
	struct slot slot = { .net4 = g->net4, .net6 = g->net6 };

	s->gateway4 = slot_gate(&slot, AF_INET);
	if (ip_is_none(&s->address4))
		s->address4 = slot_room(&slot, AF_INET, s->number);
	s->address6 = q->address6;
	if (!g->net6.len)
		return;
	s->gateway6 = slot_gate(&slot, AF_INET6);
	if (ip_is_none(&s->address6))
		s->address6 = slot_room(&slot, AF_INET6, s->number);
}

static int create_endpoint(struct arena *a, const struct netdriver_request *q, const char **ret,
			   struct err *e)
{
	struct sandbox_file f = { .room = room_of(a, q->endpoint),
				  .endpoint = q->endpoint,
				  .sandbox.container = "",
				  .sandbox.address4 = q->address4,
				  .sandbox.network = q->network };
	struct netdriver_network n;
	struct netdriver_gate g;
	int r = load_network(a, q->network, &n, e);

	if (r == 0 && !*q->endpoint)
		r = err_set(e, EBADMSG, "no EndpointID");
	if (r == 0)
		r = ask_gate(a, n.gate, &g, e);
	if (r == 0)
		r = publish_ports(a, &n, &g, q, &f.publish, e);
	if (r == 0)
		r = find_place(a, n.gate, &f.sandbox, e);
	if (r < 0)
		return r;
	f.way = n.way;
	f.reach = n.reach;
	set_addresses(&g, q, &f.sandbox);
	*ret = netdriver_created(a, q, &f.sandbox);
	return save_room(a, n.gate, &f, e);
}

/* The endpoint's file, and which gate it is of. */
static int find_endpoint(struct arena *a, const struct netdriver_request *q,
			 struct netdriver_network *ret_network, struct sandbox_file *ret,
			 struct err *e)
{
	const char *room = room_of(a, q->endpoint);
	int r = load_network(a, q->network, ret_network, e);

	if (r < 0)
		return r;
	r = load_room(a, ret_network->gate, room, ret, e);
	if (r == 0 && !str_eq(ret->endpoint, q->endpoint))
		r = -ENOENT;
	if (r == -ENOENT)
		return err_set(e, ENOENT,
			       "sallyport knows no endpoint %s: start the container again", room);
	return r;
}

static int join(struct arena *a, const struct netdriver_request *q, const char **ret, struct err *e)
{
	struct netdriver_network n;
	struct sandbox_file f;
	struct gate g = { 0 };
	struct room room;
	int r = find_endpoint(a, q, &n, &f, e);

	if (r == 0 && q->sandbox[0] != '/')
		r = err_set(e, EBADMSG, "SandboxKey \"%.60s\" is no path", q->sandbox);
	if (r < 0)
		return r;
	f.sandbox.path = q->sandbox;
	r = save_room(a, n.gate, &f, e);
	if (r == 0)
		r = tell(a, n.gate, f.room, e);
	if (r < 0) {
		struct err ignored;

		f.sandbox.path = NULL;
		(void)!save_room(a, n.gate, &f, &ignored);
		(void)!tell(a, n.gate, "", &ignored);
		return r;
	}
	room.name = f.room;
	g.rooms = &room;
	*ret = netdriver_joined(a, &n, &f.sandbox, plan_sandbox_link(a, &g, 0));
	netdriver_look_up(n.gate, f.room);
	return 0;
}

/* Nobody of it is left: whatever is wrong, Docker is not kept from going on. */
static int leave(struct arena *a, const struct netdriver_request *q, const char **ret,
		 struct err *e)
{
	struct netdriver_network n;
	struct sandbox_file f;
	int r = find_endpoint(a, q, &n, &f, e);

	*ret = "{}";
	if (r < 0)
		return 0;
	f.sandbox.path = NULL;
	r = save_room(a, n.gate, &f, e);
	if (r == 0)
		tell_again(a, n.gate);
	return r;
}

static int delete_endpoint(struct arena *a, const struct netdriver_request *q, const char **ret,
			   struct err *e)
{
	struct netdriver_network n;
	struct sandbox_file f;

	*ret = "{}";
	if (find_endpoint(a, q, &n, &f, e) < 0)
		return 0;
	remove_room(a, n.gate, f.room);
	if (f.sandbox.path)
		tell_again(a, n.gate);
	return 0;
}

/* Docker may say the ports only now; what the endpoint began with stays. */
static int program(struct arena *a, const struct netdriver_request *q, const char **ret,
		   struct err *e)
{
	struct netdriver_network n;
	struct netdriver_gate g;
	struct sandbox_file f;
	int r = find_endpoint(a, q, &n, &f, e);

	*ret = "{}";
	if (r < 0 || !q->n_ports || f.publish.n)
		return r;
	r = ask_gate(a, n.gate, &g, e);
	if (r == 0)
		r = publish_ports(a, &n, &g, q, &f.publish, e);
	if (r == 0)
		r = save_room(a, n.gate, &f, e);
	return r < 0 ? r : tell(a, n.gate, f.room, e);
}

/* --- names and labels of containers ------------------------------------------------------ */

static int ask_engine(struct arena *a, const char *engine, const char *path,
		      struct engine_answer *ret, struct err *e)
{
	const struct engine_request q = { .path = path, .timeout_ms = ENGINE_MS };
	int r = engine_ask(a, engine, &q, ret, e);

	return r < 0 || ret->status == 200 ? r : err_set(e, EIO, "status %d", ret->status);
}

/*
 * An image has labels, too, and a container inherits them: who made the image
 * does not decide which ports of this host are open.
 */
static int users_label(struct arena *a, const char *engine, const struct netdriver_container *c,
		       const char **ret, struct err *e)
{
	struct engine_answer answer;
	const char *inherited = NULL;
	int r;

	*ret = NULL;
	if (!c->label)
		return 0;
	r = ask_engine(a, engine, arena_printf(a, "/images/%s/json", http_escape(a, c->image)),
		       &answer, e);
	if (r == 0)
		r = netdriver_image_label(a, answer.body, answer.size, &inherited, e);
	if (r == 0 && (!inherited || !str_eq(inherited, c->label)))
		*ret = c->label;
	else if (r == 0)
		netdriver_say("container \"%s\": the label " NETDRIVER_LABEL
			      " of its image does not count; say it of the container",
			      c->name);
	return r;
}

static int add_label(struct arena *a, const struct netdriver_network *n, const char *label,
		     struct sandbox_words *ret, struct err *e)
{
	static const struct netdriver_gate nothing_taken; /* it chooses no port */
	struct netdriver_host h;
	int r = netdriver_host(a, &nothing_taken, &h, e);

	return r < 0 ? r : netdriver_words(a, n, label, &h, ret, e);
}

int netdriver_complete(const char *engine, const char *gate, const char *room, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_container c;
	struct netdriver_network n;
	struct engine_answer answer;
	struct sandbox_file f, was;
	const char *label = NULL;
	int r = load_room(&a, gate, room, &f, e);

	if (r == 0 && is_stale(&f)) {
		remove_room(&a, gate, room);
		tell_again(&a, gate);
		return 0;
	}
	if (r < 0 || !f.sandbox.path || *f.sandbox.container)
		return 0;
	r = ask_engine(&a, engine, "/containers/json?all=1", &answer, e);
	if (r == 0 && !netdriver_find(&a, answer.body, answer.size, f.endpoint, &c))
		r = err_set(e, EAGAIN, "room \"%s\": Docker knows no container of it yet", room);
	if (r == 0)
		r = users_label(&a, engine, &c, &label, e);
	if (r < 0)
		return -EAGAIN;
	was = f;
	f.sandbox.container = was.sandbox.container = c.name;
	r = load_network(&a, f.sandbox.network, &n, e);
	if (r == 0 && label)
		r = add_label(&a, &n, label, &f.publish, e);
	if (r == 0)
		r = save_room(&a, gate, &f, e);
	if (r == 0)
		r = tell(&a, gate, room, e);
	if (r == 0)
		return 0;
	netdriver_say("container \"%s\": %s", c.name, e->text);
	/* As without the label. */
	r = save_room(&a, gate, &was, e);
	return r < 0 ? r : tell(&a, gate, room, e);
}

void netdriver_incomplete(void (*found)(const char *gate, const char *room))
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char **gates, **rooms;
	size_t n_gates = list(&a, sandbox_directory(&a, ""), &gates);

	for (size_t i = 0; i < n_gates; i++) {
		size_t n = list(&a, sandbox_directory(&a, gates[i]), &rooms);

		for (size_t j = 0; j < n; j++)
			found(gates[i], rooms[j]);
	}
}

/* --- requests ----------------------------------------------------------------------------- */

static int activate(struct arena *a, const struct netdriver_request *q, const char **ret,
		    struct err *e)
{
	(void)a;
	(void)q;
	(void)e;
	*ret = "{\"Implements\": [\"NetworkDriver\"]}";
	return 0;
}

static int capabilities(struct arena *a, const struct netdriver_request *q, const char **ret,
			struct err *e)
{
	(void)a;
	(void)q;
	(void)e;
	*ret = "{\"Scope\": \"local\", \"ConnectivityScope\": \"local\"}";
	return 0;
}

static int nothing(struct arena *a, const struct netdriver_request *q, const char **ret,
		   struct err *e)
{
	(void)a;
	(void)q;
	(void)e;
	*ret = "{}";
	return 0;
}

static int information(struct arena *a, const struct netdriver_request *q, const char **ret,
		       struct err *e)
{
	(void)a;
	(void)q;
	(void)e;
	*ret = "{\"Value\": {}}";
	return 0;
}

static const struct {
	const char *path;
	int (*run)(struct arena *a, const struct netdriver_request *q, const char **ret,
		   struct err *e);
} methods[] = {
	{ "/Plugin.Activate", activate },
	{ "/NetworkDriver.GetCapabilities", capabilities },
	{ "/NetworkDriver.CreateNetwork", create_network },
	{ "/NetworkDriver.DeleteNetwork", delete_network },
	{ "/NetworkDriver.CreateEndpoint", create_endpoint },
	{ "/NetworkDriver.EndpointOperInfo", information },
	{ "/NetworkDriver.DeleteEndpoint", delete_endpoint },
	{ "/NetworkDriver.Join", join },
	{ "/NetworkDriver.Leave", leave },
	{ "/NetworkDriver.ProgramExternalConnectivity", program },
	{ "/NetworkDriver.RevokeExternalConnectivity", nothing },
	{ "/NetworkDriver.DiscoverNew", nothing },
	{ "/NetworkDriver.DiscoverDelete", nothing },
};

int netdriver_answer(struct arena *a, const char *path, const char *body, size_t size,
		     int *ret_status, const char **ret, struct err *e)
{
	struct netdriver_request q = { 0 };
	int r = 0;

	*ret_status = 200;
	for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
		if (!str_eq(path, methods[i].path))
			continue;
		if (i > 1)
			r = netdriver_read(a, body, size, &q, e);
		return r < 0 ? r : methods[i].run(a, &q, ret, e);
	}
	*ret_status = 404;
	return err_set(e, ENOSYS, "sallyport does not know %s", path);
}
