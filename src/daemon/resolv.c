/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A room's name servers: those its VPN offers; of the host's own, those that
 * the room may reach by the lan door.  Never one that would be asked past the
 * tunnel.  And the names of the rooms that it may reach, below what the host's
 * /etc/hosts says.  The files are rewritten in place, as they are bind-mounted
 * in the room.
 */
#include "daemon/supervisor.h"

#include "sys/files.h"
#include "sys/mounts.h"
#include "sys/netns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_MAX  ((size_t)65536)
#define HOSTS       "/etc/hosts"

/* With a dot, which no door's directory has in its name. */
const char *resolv_path(struct arena *a, const char *gate, const char *room)
{
	return arena_printf(a, RUN_DIR "/%s/resolv.%s", gate, room);
}

static const char *hosts_path(struct arena *a, const char *gate, const char *room)
{
	return arena_printf(a, RUN_DIR "/%s/hosts.%s", gate, room);
}

const char *resolv_hosts(struct arena *a, const char *gate, const char *room)
{
	const char *path = hosts_path(a, gate, room);

	return access(path, F_OK) == 0 ? path : NULL;
}

static bool may_reach(const struct room *room, const struct ip *ip)
{
	if (room->way == DEFAULT_LAN)
		return true;
	for (size_t i = 0; i < room->n_reach; i++)
		if (prefix_covers(&room->reach[i], ip))
			return true;
	return false;
}

size_t resolv_read(struct arena *a, const char *path, struct ip ret[RESOLV_SERVERS_MAX])
{
	const char *text, *line;
	size_t size, n = 0;
	struct err e;

	if (file_read(a, path, RESOLV_MAX, &text, &size, &e) < 0)
		return 0;
	for (line = text; line && *line; line = strchr(line, '\n')) {
		char word[IP_TEXT_SIZE];
		struct ip ip;

		line += *line == '\n';
		if (n < RESOLV_SERVERS_MAX && sscanf(line, "nameserver %45s", word) == 1 &&
		    ip_parse(word, &ip) && !ip_is_loopback(&ip))
			ret[n++] = ip;
	}
	return n;
}

size_t resolv_host_servers(struct arena *a, struct ip ret[RESOLV_SERVERS_MAX])
{
	size_t n = resolv_read(a, RESOLV_CONF, ret);

	/* systemd-resolved keeps the real ones here. */
	return n ? n : resolv_read(a, "/run/systemd/resolve/resolv.conf", ret);
}

/* @search: the domains of all of them, as of several such lines libc takes the last alone. */
static void add_door(struct text *t, struct text *search, const struct door_run *d)
{
	char ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < d->n_dns; i++)
		text_addf(t, "nameserver %s\n", ip_text(&d->dns[i], ip));
	text_add(search, text_str(&d->search));
}

static void room_text(struct supervisor *s, struct arena *a, const struct room *room,
		      struct text *t)
{
	struct text search CLEANUP_TEXT = { 0 };
	struct ip servers[RESOLV_SERVERS_MAX];
	size_t n = resolv_host_servers(a, servers);
	char ip[IP_TEXT_SIZE];

	text_addf(t, "# sallyport: gate %s\n", s->gate.name);
	if (room->way == DEFAULT_DOOR && room->way_door)
		add_door(t, &search, &s->doors[room->way_door]);
	else
		for (size_t i = 1; i < s->gate.n_doors; i++)
			add_door(t, &search, &s->doors[i]);
	if (search.len)
		text_addf(t, "search%s\n", text_str(&search));
	for (size_t i = 0; i < n; i++)
		if (may_reach(room, &servers[i]))
			text_addf(t, "nameserver %s\n", ip_text(&servers[i], ip));
}

/* Writes what differs only: inotify of a program in the room would tell of nothing. */
static int write_new(struct arena *a, const char *path, const struct text *t, struct err *e)
{
	const char *old;
	size_t size;
	struct err ignored;

	if (file_read(a, path, FILE_READ_MAX, &old, &size, &ignored) == 0 &&
	    str_eq(old, text_str(t)))
		return 0;
	return file_write(path, text_str(t), e);
}

/* A room that may reach no other one keeps the host's file. */
static int write_hosts(struct supervisor *s, struct arena *a, const struct room *room,
		       struct err *e)
{
	const char *path = hosts_path(a, s->gate.name, room->name);
	struct text t CLEANUP_TEXT = { 0 };
	const char *host = "";
	size_t size;
	struct err ignored;

	if (!room->n_reach_rooms)
		return unlink(path) < 0 && errno != ENOENT ? err_errno(e, errno, "remove %s", path)
							   : 0;
	if (file_read(a, HOSTS, FILE_READ_MAX / 2, &host, &size, &ignored) < 0)
		host = "127.0.0.1\tlocalhost\n::1\tlocalhost\n";
	text_addf(&t, "%s\n# sallyport: rooms of gate %s\n", host, s->gate.name);
	for (size_t i = 0; i < room->n_reach_rooms; i++) {
		size_t other = room->reach_rooms[i];
		const char *name = s->gate.rooms[other].name;
		struct ip ip4 = slot_room(&s->slot, AF_INET, other);
		struct ip ip6 = slot_room(&s->slot, AF_INET6, other);
		char ip[IP_TEXT_SIZE];

		if (!*name)
			name = s->gate.name;
		text_addf(&t, "%s\t%s\n", ip_text(&ip4, ip), name);
		if (s->ipv6)
			text_addf(&t, "%s\t%s\n", ip_text(&ip6, ip), name);
	}
	return write_new(a, path, &t, e);
}

int resolv_write(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int r = file_mkdirs(arena_printf(&a, RUN_DIR "/%s", s->gate.name), 0700, e);

	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++) {
		const struct room *room = &s->gate.rooms[i];
		struct text t CLEANUP_TEXT = { 0 };

		if (room->sandbox)
			continue; /* its engine's */
		room_text(s, &a, room, &t);
		r = write_new(&a, resolv_path(&a, s->gate.name, room->name), &t, e);
		if (r == 0)
			r = write_hosts(s, &a, room, e);
	}
	return r;
}

/* The mount namespace of a process; 0: it has just ended. */
static uint64_t mounts_of(int pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%d/ns/mnt", pid);
	return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* A service's processes share one, mostly. */
static bool is_seen(struct arena *a, uint64_t **seen, size_t *n, size_t *cap, uint64_t mounts)
{
	for (size_t i = 0; i < *n; i++)
		if ((*seen)[i] == mounts)
			return true;
	*arena_push(a, *seen, *n, *cap) = mounts;
	return false;
}

/* Where it fails is told; who is root in one place of a room may make it fail there. */
static int renew_file(struct supervisor *s, size_t room, const char *file, const char *over,
		      struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	size_t n = 0, n_seen = 0, cap_seen = 0, renewed = 0;
	uint64_t *seen = NULL;
	int *pids;
	int r = netns_pids(&a, s->rooms[room].fd, &pids, &n, e);

	for (size_t i = 0; i < n; i++) {
		uint64_t mounts = mounts_of(pids[i]);
		struct err later;
		int one;

		if (!mounts || is_seen(&a, &seen, &n_seen, &cap_seen, mounts))
			continue;
		one = mounts_renew(pids[i], file, over, &later);
		renewed += one > 0;
		if (one < 0 && r >= 0)
			r = err_set(e, -one, "%s", later.text);
	}
	if (renewed)
		sup_repaired(s, "%s: the host replaced its %s and uncovered it",
			     s->rooms[room].netns, strrchr(over, '/') + 1);
	return r < 0 ? r : 0;
}

static int renew_room(struct supervisor *s, size_t room, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *name = s->gate.rooms[room].name;
	const char *hosts = resolv_hosts(&a, s->gate.name, name);
	int r = renew_file(s, room, resolv_path(&a, s->gate.name, name), RESOLV_CONF, e);

	return r < 0 || !hosts ? r : renew_file(s, room, hosts, HOSTS, e);
}

int resolv_renew(struct supervisor *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		r = s->gate.rooms[i].sandbox ? 0 : renew_room(s, i, e);
	return r;
}
