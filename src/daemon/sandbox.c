/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rooms whose namespaces a container engine makes.  The engine's driver leaves a
 * file for each and says so by the control socket; a supervisor that was not
 * there finds the files when it comes.
 *
 * A link is made on the host, and the engine moves its end into the namespace,
 * which it makes before it asks for the link (Docker since 28, and always for a
 * container that runs) or afterwards.  A gate that is taken away takes the link
 * with it: for a container that still runs it is made anew, by us and in its
 * namespace.
 */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "sys/files.h"
#include "sys/netns.h"
#include "wire/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX ((size_t)1 << 16)

/* Not below the gate's own directory, which goes when the gate goes. No gate's name has a dot. */
const char *sandbox_directory(struct arena *a, const char *gate)
{
	return arena_printf(a, RUN_DIR "/docker.rooms%s%s", *gate ? "/" : "", gate);
}

/* --- their files -------------------------------------------------------------------- */

struct room_file {
	const char *name, *path, *text;
	size_t size;
	int status; /* of reading it: 0, or @why */
	struct err why;
};

struct loading {
	struct supervisor *sup;
	struct room_file *files;
	size_t n_files;
	struct arena arena;
	struct gate gate; /* with the rooms so far */
	struct place rooms[GATE_ROOMS_MAX]; /* of those that are new, or were there */
	struct arena once; /* of the host, which is listed when the first port is held */
	struct snapshot host;
};

static const struct place *find_old(const struct supervisor *s, const char *room, size_t *ret)
{
	for (size_t i = s->sandboxes.n_own_rooms; i < s->gate.n_rooms; i++)
		if (str_eq(s->gate.rooms[i].name, room)) {
			*ret = i;
			return &s->rooms[i];
		}
	return NULL;
}

static bool same_ports(const struct supervisor *s, size_t old, const struct publish *ports,
		       size_t n)
{
	size_t same = 0, n_old = 0;

	for (size_t i = s->sandboxes.n_own_publish; i < s->gate.n_publish; i++) {
		const struct publish *p = &s->gate.publish[i];

		n_old += p->room == old;
		for (size_t j = 0; p->room == old && j < n; j++)
			same += p->door == ports[j].door && p->proto == ports[j].proto &&
				p->door_port == ports[j].door_port &&
				ip_equal(&p->host, &ports[j].host);
	}
	return same == n && n_old == n;
}

static int hold_ports(struct loading *l, const struct publish *ports, size_t n,
		      struct port_hold *ret, struct err *e)
{
	int r = l->host.n_links
			? 0
			: rtnl_snapshot_tables(l->sup->host.rtnl, &l->once, 0, 0, &l->host, e);

	*ret = (struct port_hold){ 0 };
	return r < 0 ? r : ports_hold(l->sup, &l->host, ports, n, ret, e);
}

/* Its ports are held before it is taken, and let go when it is not. */
static int take_room(struct loading *l, const struct room *room, const struct publish *ports,
		     size_t n, bool due, struct err *e)
{
	struct supervisor *s = l->sup;
	size_t index = l->gate.n_rooms, old;
	const struct place *was = find_old(s, room->name, &old);
	struct place *p = &l->rooms[index];
	int r;

	*p = was ? *was : place_none(s, PLACE_ROOM, index, room->sandbox->path);
	if (!was || !same_ports(s, old, ports, n)) {
		if (was)
			ports_release(&s->rooms[old].held);
		r = hold_ports(l, ports, n, &p->held, e);
		if (r < 0)
			return r;
	}
	if (was)
		s->rooms[old] = place_none(s, PLACE_ROOM, old, NULL);
	p->room = index;
	p->netns = room->sandbox->path;
	p->sandbox_due |= due && !was;
	*arena_push(&l->arena, l->gate.rooms, l->gate.n_rooms, l->gate.cap_rooms) = *room;
	for (size_t i = 0; i < n; i++)
		*arena_push(&l->arena, l->gate.publish, l->gate.n_publish, l->gate.cap_publish) =
			ports[i];
	return 0;
}

/* @due: its engine waits for it. */
static int load_file(struct loading *l, const struct room_file *file, bool due, struct err *e)
{
	struct sandbox_file *f = arena_new(&l->arena, struct sandbox_file);
	struct publish *ports;
	struct room room;
	size_t n;
	int r = sandbox_read(&l->arena, file->path, file->text, file->size, f, e);

	if (r < 0 || !f->sandbox.path) /* nothing is to be seen of it yet */
		return r;
	r = sandbox_room(&l->arena, &l->gate, f, &room, &ports, &n, e);
	return r < 0 ? r : take_room(l, &room, ports, n, due, e);
}

static int no_dots(const struct dirent *d)
{
	return d->d_name[0] != '.';
}

static bool is_in(const struct gate *g, size_t from, const char *room)
{
	for (size_t i = from; i < g->n_rooms; i++)
		if (str_eq(g->rooms[i].name, room))
			return true;
	return false;
}

/* Those that are there already or those that are not: who comes later takes no port from who has it. */
static int load_some(struct loading *l, bool known, const char *only, struct err *e)
{
	size_t own = l->sup->sandboxes.n_own_rooms;
	int ret = 0;

	for (size_t i = 0; i < l->n_files; i++) {
		const struct room_file *f = &l->files[i];
		bool meant = only && str_eq(f->name, only);
		struct err why = f->why;
		int r = f->status;

		if (is_in(&l->sup->gate, own, f->name) != known)
			continue;
		if (r == 0)
			r = load_file(l, f, meant, &why);
		if (r < 0 && meant)
			ret = err_set(e, -r, "%s", why.text);
		else if (r < 0 && r != -ENOENT)
			sup_log(l->sup, "room \"%s\": %s", f->name, why.text);
	}
	return ret;
}

bool sandbox_is_none(int r)
{
	/* Just deleted; nonsense or no file at all; far too large. */
	return r == -ENOENT || r == -EINVAL || r == -EFBIG;
}

static int read_files(struct loading *l, struct dirent **entries, int n, struct err *e)
{
	const char *dir = sandbox_directory(&l->arena, l->gate.name);

	l->files = arena_alloc(&l->arena, (size_t)n * sizeof(*l->files) + 1);
	for (int i = 0; i < n; i++) {
		struct room_file *f = &l->files[l->n_files++];

		f->name = arena_strdup(&l->arena, entries[i]->d_name);
		f->path = arena_printf(&l->arena, "%s/%s", dir, f->name);
		f->status = file_read(&l->arena, f->path, FILE_MAX, &f->text, &f->size, &f->why);
		if (f->status < 0 && !sandbox_is_none(f->status))
			return err_set(e, -f->status, "%s", f->why.text);
	}
	return 0;
}

/* All or none: a room whose file cannot be read just now is not gone. */
static int list_files(struct loading *l, struct err *e)
{
	const char *dir = sandbox_directory(&l->arena, l->gate.name);
	struct dirent **entries = NULL;
	int n = scandir(dir, &entries, no_dots, alphasort);
	int r;

	if (n < 0)
		return errno == ENOENT ? 0 : err_errno(e, errno, "list %s", dir);
	r = read_files(l, entries, n, e);
	for (int i = 0; i < n; i++)
		free(entries[i]);
	free(entries);
	return r;
}

static int load_files(struct loading *l, const char *only, struct err *e)
{
	int known = load_some(l, true, only, e);
	int fresh = load_some(l, false, only, e);

	return known < 0 ? known : fresh;
}

/* --- what is no longer there --------------------------------------------------------- */

static void close_room(struct place *p)
{
	ports_release(&p->held);
	place_close(p);
}

static void drop_room(struct supervisor *s, size_t index)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct err e;
	int r;

	close_room(&s->rooms[index]);
	r = rtnl_link_delete(s->inner.rtnl, plan_room_link(&a, &s->gate, index), &e);
	if (r == 0)
		r = rtnl_link_delete(s->host.rtnl, plan_sandbox_link(&a, &s->gate, index), &e);
	if (r < 0)
		sup_log(s, "%s", e.text);
	sup_log(s, "room \"%s\" is gone", s->gate.rooms[index].name);
}

static void take_over(struct loading *l)
{
	struct supervisor *s = l->sup;
	size_t own = s->sandboxes.n_own_rooms;

	for (size_t i = own; i < s->gate.n_rooms; i++)
		if (!is_in(&l->gate, own, s->gate.rooms[i].name))
			drop_room(s, i);
	for (size_t i = own; i < l->gate.n_rooms; i++) {
		if (!is_in(&s->gate, own, l->gate.rooms[i].name))
			sup_log(s, "room \"%s\" is new", l->gate.rooms[i].name);
		s->rooms[i] = l->rooms[i];
		if (s->rooms[i].sandbox.link)
			s->rooms[i].sandbox.link = s->rooms[i].sandbox_link;
	}
	s->gate = l->gate;
	arena_free(&s->sandboxes.arena);
	s->sandboxes.arena = l->arena;
	s->sandboxes.changed = true;
}

int sandboxes_load(struct supervisor *s, const char *only, struct err *e)
{
	struct loading l = { .sup = s, .gate = s->gate };
	const struct sandboxes *own = &s->sandboxes;
	int r = list_files(&l, e);

	if (r < 0) {
		arena_free(&l.arena);
		return r;
	}
	l.gate.rooms = own->own_rooms;
	l.gate.n_rooms = l.gate.cap_rooms = own->n_own_rooms;
	l.gate.publish = own->own_publish;
	l.gate.n_publish = l.gate.cap_publish = own->n_own_publish;
	r = load_files(&l, only, e);
	take_over(&l);
	arena_free(&l.once);
	return r;
}

void sandboxes_close(struct supervisor *s)
{
	for (size_t i = s->sandboxes.n_own_rooms; i < s->gate.n_rooms; i++)
		close_room(&s->rooms[i]);
	s->gate.rooms = s->sandboxes.own_rooms;
	s->gate.n_rooms = s->sandboxes.n_own_rooms;
	s->gate.publish = s->sandboxes.own_publish;
	s->gate.n_publish = s->sandboxes.n_own_publish;
	arena_free(&s->sandboxes.arena);
}

/* --- what they look like now --------------------------------------------------------- */

/* Opens the namespace that the path means now, and closes another one. */
static int look_for_netns(struct place *p, struct err *e)
{
	int fd CLEANUP_FD = -1;
	int r = netns_open_place(p->netns, &fd, e);

	if (r < 0 && !netns_is_gone(r))
		return r;
	if (p->fd >= 0 && fd >= 0 && netns_same(p->fd, fd))
		return 0;
	sandbox_watch_close(&p->sandbox_watch);
	rtnl_close(&p->rtnl);
	sysctl_dirs_close(&p->sysctls);
	fd_close(&p->fd);
	p->sandbox_peer = 0;
	if (fd < 0)
		return 0;
	r = rtnl_open(fd, &p->rtnl, e);
	if (r == 0)
		r = sandbox_watch_open(p->sup, fd, &p->sandbox_watch, e);
	if (r < 0)
		rtnl_close(&p->rtnl);
	else
		p->fd = fd_take(&fd);
	return r;
}

static const struct link *other_end(const struct snapshot *in, const struct link *link)
{
	const struct link *l = snapshot_link_by_index(in, link->peer);

	return l && l->peer == link->index && str_eq(l->kind, "veth") ? l : NULL;
}

/*
 * A gate that was taken away dies a little later, and with it its ends of links:
 * until then the other ends still hold their names and routes.
 */
static int drop_leftovers(struct place *p, struct arena *a, struct snapshot *in,
			  const struct snapshot *gate, struct err *e)
{
	const char *alias = plan_alias(a, &p->sup->gate);
	const char *again = plan_sandbox_alias(a, &p->sup->gate);
	bool any = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < in->n_links; i++) {
		const struct link *l = &in->links[i];

		bool ours = str_eq(l->alias, alias) || str_eq(l->alias, again);

		if (!ours || other_end(gate, l))
			continue;
		any = true;
		r = rtnl_link_delete(p->rtnl, l->name, e);
	}
	if (r < 0 || !any)
		return r;
	*in = (struct snapshot){ 0 };
	return rtnl_snapshot_tables(p->rtnl, a, 0, 0, in, e);
}

static void free_name(const struct snapshot *in, char ret[LINK_NAME_SIZE])
{
	for (unsigned int i = 0;; i++) {
		snprintf(ret, LINK_NAME_SIZE, "eth%u", i);
		if (!snapshot_link_by_name(in, ret))
			return;
	}
}

static bool is_default(const struct route *r, sa_family_t family)
{
	return r->family == family && !r->dst.len && r->table == RT_TABLE_MAIN &&
	       r->type == RTN_UNICAST && r->n_hops;
}

static bool has_default(const struct snapshot *in, sa_family_t family, int but)
{
	for (size_t i = 0; i < in->n_routes; i++)
		if (is_default(&in->routes[i], family) && in->routes[i].hops[0].link != but)
			return true;
	return false;
}

static bool has_address(const struct snapshot *in, int link, const struct ip *ip)
{
	for (size_t i = 0; i < in->n_addresses; i++)
		if (in->addresses[i].link == link && ip_equal(&in->addresses[i].local, ip))
			return true;
	return false;
}

/*
 * Of an engine's link, while it is furnished and ever after.  A default route by another
 * link is another network's, or a VPN client's in the container: then nobody misses this one.
 */
static struct plan_lost compare(const struct snapshot *in, int link, const struct ip *own,
				struct sandbox_had *had)
{
	bool by_own = false, by_other = false, mended = false;
	bool has = has_address(in, link, own);

	for (size_t i = 0; i < in->n_routes; i++) {
		const struct route *r = &in->routes[i];
		bool ours = r->protocol == PLAN_PROTOCOL && r->table == RT_TABLE_MAIN;

		mended |= ours && r->family == own->family;
		if (ours || !is_default(r, own->family))
			continue;
		by_own |= r->hops[0].link == link;
		by_other |= r->hops[0].link != link;
	}
	if (had->link != link)
		*had = (struct sandbox_had){ .link = link };
	had->address |= has;
	had->route = by_own || (had->route && !by_other);
	return (struct plan_lost){ .address = had->address && !has,
				   .route = had->route && !by_own,
				   .mended = mended };
}

static void look_for_losses(struct place *p, const struct snapshot *in, const struct link *end)
{
	const struct supervisor *s = p->sup;
	struct ip own4 = plan_room_inside(&s->gate, &s->slot, AF_INET, p->room);
	struct ip own6 = plan_room_inside(&s->gate, &s->slot, AF_INET6, p->room);

	if (!(end->flags & IFF_UP))
		return; /* nothing can be put on it */
	p->sandbox.lost4 = compare(in, end->index, &own4, &p->sandbox_had4);
	p->sandbox.lost6 = compare(in, end->index, &own6, &p->sandbox_had6);
}

/*
 * Whose link is it?  The one that the engine took has the alias it had on the
 * host.  While it is still there the namespace has no other end of it.
 */
static int look_inside(struct place *p, struct arena *a, const struct snapshot *gate,
		       const struct link *link, struct err *e)
{
	const char *alias = plan_alias(a, &p->sup->gate);
	const struct link *end = NULL;
	struct snapshot in = { 0 };
	int r = rtnl_snapshot_tables(p->rtnl, a, 0, 0, &in, e);

	if (r == 0 && !link)
		r = drop_leftovers(p, a, &in, gate, e);
	if (r < 0)
		return r;
	p->sandbox_peer = link ? link->peer : 0;
	if (link) {
		end = other_end(&in, link);
		if (!end) {
			p->sandbox_peer = 0; /* look again */
			return 0;
		}
		snprintf(p->sandbox_link, sizeof(p->sandbox_link), "%s", end->name);
	} else {
		free_name(&in, p->sandbox_link);
	}
	p->sandbox_due = false;
	p->sandbox.link = p->sandbox_link;
	p->sandbox.ours = !end || !str_eq(end->alias, alias);
	p->sandbox.default4 = has_default(&in, AF_INET, end ? end->index : 0);
	p->sandbox.default6 = has_default(&in, AF_INET6, end ? end->index : 0);
	if (end && !p->sandbox.ours)
		look_for_losses(p, &in, end);
	return 0;
}

static int look(struct supervisor *s, size_t index, struct arena *a, const struct snapshot *gate,
		struct err *e)
{
	const char *name = plan_room_link(a, &s->gate, index);
	const struct link *link = snapshot_link_by_name(gate, name);
	struct place *p = &s->rooms[index];
	int r = look_for_netns(p, e);
	bool changed = r == 0 && p->sandbox_watch && sandbox_watch_take(p->sandbox_watch);

	if (r < 0)
		return r;
	if (p->fd >= 0 && link && link->peer == p->sandbox_peer && !p->sandbox.ours && !changed)
		return 0; /* the engine's, as it was */
	p->sandbox = (struct plan_sandbox){ .on_host = !link && (p->fd < 0 || p->sandbox_due) };
	r = p->fd >= 0 && !p->sandbox.on_host ? look_inside(p, a, gate, link, e) : 0;
	if (r < 0)
		p->sandbox_peer = 0; /* look again */
	return r < 0 ? err_wrap(e, r, "room \"%s\"", s->gate.rooms[index].name) : 0;
}

int sandboxes_look(struct supervisor *s, struct arena *a, const struct snapshot *gate,
		   struct err *e)
{
	int r = 0;

	for (size_t i = s->sandboxes.n_own_rooms; r == 0 && i < s->gate.n_rooms; i++)
		r = look(s, i, a, gate, e);
	return r;
}
