/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A container that joined another's network keeps that namespace, and nothing
 * but loopback works in it, when the other one is restarted.  An engine restarts
 * it into the new namespace, if it is asked; and when the other one was made
 * anew, has another ID and is no longer found by the old one, the container has
 * to be made anew, too.
 *
 * Events only say that it is time to look: what stands then decides.  The one
 * thing that is remembered is what containers that are gone were called.
 */
#include "daemon/engine_watch.h"

#include "daemon/attach.h"
#include "daemon/supervisor.h"
#include "sys/engine.h"
#include "sys/fd.h"
#include "sys/notify.h"
#include "wire/engine.h"
#include "wire/http.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define ASK_MS     10000
#define ACT_MS     60000 /* restarting waits for a container to end */
#define LOOK_MS    300 /* several things happen at once */
#define AGAIN_MS   2000
#define RETRY_MS   1000
#define STANDS_MS  5000 /* an engine that hangs up sooner than that does not answer yet */
#define SWEEP_MS   10000 /* podman loses events that come while it begins to listen */
#define KNOWN_MAX  4096
#define EVENTS     "/events?filters=%7B%22type%22%3A%5B%22container%22%5D%7D"
#define SHORT_ID   12
#define STOP_WAITS 10 /* seconds until the engine kills */

struct known {
	char *id;
	char *name; /* when it was seen first: compose renames before it removes */
	char *service;
	char *network_mode;
	int attached; /* the process whose namespace was attached to last, 0: none */
	char *said; /* what cannot be put right, as it was told last; NULL: nothing */
};

struct engine_watcher {
	const struct engine_watch_options *o;
	struct loop loop;
	struct loop_source signals, events;
	struct loop_timer look, retry, stands;
	struct http_reader http;
	struct text body;
	struct known *known;
	size_t n_known;
	size_t n_containers; /* when it was begun to listen to */
	bool told; /* that the engine does not answer */
	bool stopped; /* that it does not tell of events any more */
	bool silent; /* that it is asked in vain, while it tells of events all the same */
	bool again; /* something could not be put right yet */
};

/* --- what containers were called -------------------------------------------------------- */

static struct known *find_known(struct engine_watcher *w, const char *id)
{
	for (size_t i = 0; i < w->n_known; i++)
		if (str_eq(w->known[i].id, id))
			return &w->known[i];
	return NULL;
}

static void forget_first(struct engine_watcher *w)
{
	free(w->known[0].id);
	free(w->known[0].name);
	free(w->known[0].service);
	free(w->known[0].network_mode);
	free(w->known[0].said);
	memmove(w->known, w->known + 1, sizeof(*w->known) * --w->n_known);
}

static void remember(struct engine_watcher *w, const struct engine_listed *c)
{
	if (!*c->id || !*c->name || find_known(w, c->id))
		return;
	if (w->n_known == KNOWN_MAX)
		forget_first(w);
	w->known = realloc(w->known, sizeof(*w->known) * (w->n_known + 1));
	if (!w->known)
		abort();
	w->known[w->n_known++] = (struct known){ .id = strdup(c->id),
						 .name = strdup(c->name),
						 .service = strdup(c->service),
						 .network_mode = strdup(c->network_mode) };
}

/* What goes wrong with a container is tried again for as long as it stands, and told once. */
static void tell_once(struct engine_watcher *w, const char *id, const char *text)
{
	struct known *k = find_known(w, id);

	if (k && k->said && str_eq(k->said, text))
		return;
	log_say(NULL, "%s", text);
	if (!k)
		return;
	free(k->said);
	k->said = strdup(text);
}

static void went_well(struct engine_watcher *w, const char *id)
{
	struct known *k = find_known(w, id);

	if (!k)
		return;
	free(k->said);
	k->said = NULL;
}

/* --- asking and telling the engine --------------------------------------------------------- */

static int ask(struct engine_watcher *w, struct arena *a, const struct engine_request *q,
	       struct engine_answer *ret, struct err *e)
{
	int r = engine_ask(a, w->o->socket, q, ret, e);
	const char *words;

	if (r < 0 || ret->status / 100 == 2 || ret->status == 304)
		return r;
	words = engine_read_message(a, ret->body, ret->size);
	return err_set(e, EIO, "%s",
		       words ? words : arena_printf(a, "answered with status %d", ret->status));
}

static int tell(struct engine_watcher *w, struct arena *a, const char *method, const char *id,
		const char *what, struct err *e)
{
	const struct engine_request q = {
		.method = method,
		.path = arena_printf(a, "/containers/%s%s", http_escape(a, id), what),
		.timeout_ms = ACT_MS,
	};
	struct engine_answer ignored;

	return ask(w, a, &q, &ignored, e);
}

static int inspect(struct engine_watcher *w, struct arena *a, const char *id,
		   struct engine_answer *ret_raw, struct engine_container *ret, struct err *e)
{
	const struct engine_request q = {
		.path = arena_printf(a, "/containers/%s/json", http_escape(a, id)),
		.timeout_ms = ASK_MS,
	};
	int r = ask(w, a, &q, ret_raw, e);

	return r < 0 ? r : engine_read_container(a, ret_raw->body, ret_raw->size, ret, e);
}

/* --- putting right ---------------------------------------------------------------------------- */

static int restart(struct engine_watcher *w, struct arena *a, const struct engine_listed *c,
		   struct err *e)
{
	return tell(w, a, "POST", c->id, arena_printf(a, "/restart?t=%d", STOP_WAITS), e);
}

static int create_like(struct engine_watcher *w, struct arena *a, const struct engine_listed *c,
		       const struct engine_answer *raw, const struct engine_listed *joins,
		       struct err *e)
{
	struct engine_request q = {
		.method = "POST",
		.path = arena_printf(a, "/containers/create?name=%s", http_escape(a, c->name)),
		.timeout_ms = ACT_MS,
	};
	struct engine_answer answer;
	const char *id;
	int r = engine_write_like(a, raw->body, raw->size, joins->id, &q.body, e);

	if (r == 0)
		r = ask(w, a, &q, &answer, e);
	if (r < 0)
		return r;
	id = engine_read_id(a, answer.body, answer.size);
	if (!id)
		return err_set(e, EBADMSG, "the engine does not say what it made");
	r = tell(w, a, "POST", id, "/start", e);
	if (r < 0) {
		struct err ignored;

		(void)!tell(w, a, "DELETE", id, "?force=1", &ignored);
	}
	return r;
}

/* Its name is needed for the new one; whatever fails, the old one has it again. */
static int make_anew(struct engine_watcher *w, struct arena *a, const struct engine_listed *c,
		     const struct engine_listed *joins, struct err *e)
{
	const char *aside = arena_printf(a, "%s-%.*s", c->name, SHORT_ID, c->id);
	struct engine_container old;
	struct engine_answer raw;
	struct err ignored;
	int r = inspect(w, a, c->id, &raw, &old, e);

	if (r == 0)
		r = tell(w, a, "POST", c->id, arena_printf(a, "/stop?t=%d", STOP_WAITS), e);
	if (r == 0)
		r = tell(w, a, "POST", c->id,
			 arena_printf(a, "/rename?name=%s", http_escape(a, aside)), e);
	if (r < 0)
		return r;
	r = create_like(w, a, c, &raw, joins, e);
	if (r == 0)
		return tell(w, a, "DELETE", c->id, "", e);
	(void)!tell(w, a, "POST", c->id,
		    arena_printf(a, "/rename?name=%s", http_escape(a, c->name)), &ignored);
	return r;
}

struct all {
	struct engine_listed *items;
	size_t n;
};

static bool is_running(const struct engine_listed *c)
{
	return str_eq(c->state, "running");
}

static const struct engine_listed *by_reference(const struct all *all, const char *reference)
{
	for (size_t i = 0; i < all->n; i++)
		if (str_eq(all->items[i].id, reference) || str_eq(all->items[i].name, reference))
			return &all->items[i];
	return NULL;
}

/* Who took the place of a container that is gone. */
static const struct engine_listed *successor(struct engine_watcher *w, const struct all *all,
					     const char *id)
{
	const struct known *old = find_known(w, id);

	for (size_t i = 0; old && i < all->n; i++) {
		const struct engine_listed *c = &all->items[i];

		if (is_running(c) && (str_eq(c->name, old->name) ||
				      (*old->service && str_eq(c->service, old->service))))
			return c;
	}
	return NULL;
}

static bool same_network(int pid_a, int pid_b)
{
	char path[64];
	struct stat a, b;

	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid_a);
	if (stat(path, &a) < 0)
		return true; /* it has ended: another event will tell */
	snprintf(path, sizeof(path), "/proc/%d/ns/net", pid_b);
	return stat(path, &b) < 0 || a.st_ino == b.st_ino;
}

static void put_right(struct engine_watcher *w, const struct engine_listed *c,
		      const struct engine_listed *joins, bool anew)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct err e;
	int r = anew ? make_anew(w, &a, c, joins, &e) : restart(w, &a, c, &e);

	w->again = w->again || r < 0;
	if (r < 0) {
		tell_once(w, c->id,
			  arena_printf(&a,
				       "container \"%s\" is cut off from the network of \"%s\": %s",
				       c->name, joins->name, e.text));
		return;
	}
	went_well(w, c->id);
	log_say(NULL, "container \"%s\" was cut off from the network of \"%s\": %s", c->name,
		joins->name, anew ? "made anew" : "restarted");
}

static void look_at(struct engine_watcher *w, const struct all *all, const struct engine_listed *c)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *reference = engine_joined(c->network_mode);
	struct engine_container mine, theirs;
	const struct engine_listed *joins;
	struct engine_answer raw;
	struct err e;

	if (!reference || !is_running(c))
		return;
	joins = by_reference(all, reference);
	if (!joins) {
		joins = successor(w, all, reference);
		if (joins)
			put_right(w, c, joins, true);
		return;
	}
	if (!is_running(joins) || inspect(w, &a, c->id, &raw, &mine, &e) < 0 ||
	    inspect(w, &a, joins->id, &raw, &theirs, &e) < 0)
		return;
	if (mine.pid && theirs.pid && !same_network(mine.pid, theirs.pid))
		put_right(w, c, joins, false);
}

/* Each process of it once: it may have been attached to by hand since. */
static void attach_again(struct engine_watcher *w, const char *id)
{
	struct attach_target t CLEANUP_TARGET = ATTACH_TARGET_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	struct known *k = find_known(w, id);
	struct err e;
	int r = attach_target_find(&a, id, w->o->socket, &t, &e);

	if (r == 0 && k && k->attached == t.pid)
		return;
	if (r == 0)
		r = attach(&t, &w->o->ask, false, &e);
	if (r < 0) {
		tell_once(w, id, e.text);
		return;
	}
	went_well(w, id);
	if (k)
		k->attached = t.pid;
}

static void attach_all(struct engine_watcher *w, const struct all *all, const char *only)
{
	for (size_t i = 0; i < w->o->n_attach; i++) {
		const struct engine_listed *c = by_reference(all, w->o->attach[i]);

		if (c && is_running(c) && (!only || str_eq(only, c->id)))
			attach_again(w, c->id);
	}
}

/* podman's list says nothing of it, and it never changes. */
static void find_mode(struct engine_watcher *w, struct arena *a, struct engine_listed *c)
{
	const struct known *k = find_known(w, c->id);
	struct engine_container seen;
	struct engine_answer raw;
	struct err e;

	if (!*c->network_mode && k)
		c->network_mode = arena_strdup(a, k->network_mode);
	else if (!*c->network_mode && *c->id && inspect(w, a, c->id, &raw, &seen, &e) == 0)
		c->network_mode = seen.network_mode;
}

static int list(struct engine_watcher *w, struct arena *a, struct all *ret, struct err *e)
{
	struct engine_answer answer;
	const struct engine_request q = { .path = "/containers/json?all=1", .timeout_ms = ASK_MS };
	int r = ask(w, a, &q, &answer, e);

	if (r == 0)
		r = engine_read_list(a, answer.body, answer.size, &ret->items, &ret->n, e);
	for (size_t i = 0; r == 0 && i < ret->n; i++) {
		find_mode(w, a, &ret->items[i]);
		remember(w, &ret->items[i]);
	}
	return r;
}

static void look(struct loop_timer *t)
{
	struct engine_watcher *w = t->ctx;
	struct arena a CLEANUP_ARENA = { 0 };
	struct all all = { 0 };
	struct err e;

	w->again = false;
	if (list(w, &a, &all, &e) < 0) {
		if (!w->silent)
			log_say(NULL, "%s; asking again until it answers", e.text);
		w->silent = true;
		loop_arm(&w->loop, &w->look, SWEEP_MS);
		return;
	}
	if (w->silent)
		log_say(NULL, "%s answers again", w->o->socket);
	w->silent = false;
	attach_all(w, &all, NULL);
	for (size_t i = 0; i < all.n; i++)
		look_at(w, &all, &all.items[i]);
	loop_arm(&w->loop, &w->look, w->again ? AGAIN_MS : SWEEP_MS);
}

/* --- events -------------------------------------------------------------------------------------- */

static void event(struct engine_watcher *w, const char *text, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct all all = { 0 };
	struct engine_event ev;
	struct err e;

	if (!size || engine_read_event(&a, text, size, &ev, &e) < 0)
		return;
	if (!str_eq(ev.action, "start") && !str_eq(ev.action, "create") &&
	    !str_eq(ev.action, "unpause"))
		return;
	/* Before anything else: from its start on it must answer by the right door. */
	if (list(w, &a, &all, &e) == 0 && str_eq(ev.action, "start"))
		attach_all(w, &all, ev.id);
	loop_arm(&w->loop, &w->look, LOOK_MS);
}

/* One object a line. */
static void take_events(struct engine_watcher *w)
{
	char *nl;

	while (w->body.len && (nl = memchr(w->body.buf, '\n', w->body.len))) {
		size_t used = (size_t)(nl - w->body.buf) + 1;

		event(w, w->body.buf, used - 1);
		memmove(w->body.buf, w->body.buf + used, w->body.len - used + 1);
		w->body.len -= used;
	}
}

static void hang_up(struct engine_watcher *w)
{
	int fd = w->events.fd;

	loop_remove(&w->loop, &w->events);
	fd_close(&fd);
	http_reader_free(&w->http);
	w->http = (struct http_reader){ 0 };
	text_clear(&w->body);
	loop_disarm(&w->loop, &w->look);
	loop_disarm(&w->loop, &w->stands);
	loop_arm(&w->loop, &w->retry, RETRY_MS);
}

static void events_ready(struct loop_source *source, uint32_t events)
{
	struct engine_watcher *w = source->ctx;
	char buf[16384];
	ssize_t n = recv(source->fd, buf, sizeof(buf), 0);
	struct err e;

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 || http_feed(&w->http, buf, (size_t)n, &w->body, &e) < 0 ||
	    w->http.status / 100 > 2 || w->http.part == HTTP_DONE) {
		if (!w->stopped)
			log_say(NULL, "%s stopped telling of events; trying again until it does",
				w->o->socket);
		w->stopped = true;
		hang_up(w);
		return;
	}
	take_events(w);
}

static void stands(struct loop_timer *t)
{
	struct engine_watcher *w = t->ctx;

	log_say(NULL, "%s is listened to: %zu containers", w->o->socket, w->n_containers);
	w->told = w->stopped = false;
}

/* Listening begins before the first look, so that nothing is missed. */
static int listen_to(struct engine_watcher *w, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct all all = { 0 };
	int fd = -1;
	int r = engine_open(w->o->socket, EVENTS, ASK_MS, &fd, e);

	if (r == 0)
		r = loop_add(&w->loop, &w->events, fd, e);
	if (r == 0)
		r = list(w, &a, &all, e);
	if (r < 0)
		return r;
	attach_all(w, &all, NULL);
	w->n_containers = all.n;
	/* One that hangs up each time is told of once, and so is its return. */
	if (w->stopped)
		loop_arm(&w->loop, &w->stands, STANDS_MS);
	else
		stands(&w->stands);
	loop_arm(&w->loop, &w->look, 1);
	return 0;
}

static void retry(struct loop_timer *t)
{
	struct engine_watcher *w = t->ctx;
	struct err e;

	if (listen_to(w, &e) == 0)
		return;
	if (!w->told)
		log_say(NULL, "%s; trying again until it answers", e.text);
	w->told = true;
	hang_up(w);
}

static void watcher_close(struct engine_watcher *w)
{
	while (w->n_known)
		forget_first(w);
	free(w->known);
	fd_close(&w->events.fd);
	fd_close(&w->signals.fd);
	http_reader_free(&w->http);
	text_free(&w->body);
	loop_close(&w->loop);
}

int engine_watch(const struct engine_watch_options *o, struct err *e)
{
	struct engine_watcher w __attribute__((
		cleanup(watcher_close))) = { .o = o, .loop.epoll = -1, .signals.fd = -1 };
	int r = loop_open(&w.loop, e);

	w.events = (struct loop_source){ .fd = -1, .ready = events_ready, .ctx = &w };
	w.look = (struct loop_timer){ .fire = look, .ctx = &w };
	w.retry = (struct loop_timer){ .fire = retry, .ctx = &w };
	w.stands = (struct loop_timer){ .fire = stands, .ctx = &w };
	if (r == 0)
		r = loop_end_by_signals(&w.loop, &w.signals, e);
	if (r < 0)
		return r;
	retry(&w.retry);
	notify_send(getenv("NOTIFY_SOCKET"), "READY=1");
	return loop_run(&w.loop, e);
}
