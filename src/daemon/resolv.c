/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A room's name servers: those its VPN offers; of the host's own, those that
 * the room may reach by the lan door.  Never one that would be asked past the
 * tunnel.  The file is rewritten in place, as it is bind-mounted in the room.
 */
#include "daemon/supervisor.h"

#include "sys/files.h"
#include "sys/mounts.h"
#include "sys/netns.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_MAX  ((size_t)65536)

const char *resolv_path(struct arena *a, const char *gate, const char *room)
{
	return arena_printf(a, RUN_DIR "/%s/resolv%s%s", gate, *room ? "." : "", room);
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

static void add_door(struct text *t, const struct door_run *d)
{
	char ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < d->n_dns; i++)
		text_addf(t, "nameserver %s\n", ip_text(&d->dns[i], ip));
	if (d->search.len)
		text_addf(t, "search%s\n", text_str(&d->search));
}

static void room_text(struct supervisor *s, struct arena *a, const struct room *room,
		      struct text *t)
{
	struct ip servers[RESOLV_SERVERS_MAX];
	size_t n = resolv_host_servers(a, servers);
	char ip[IP_TEXT_SIZE];

	text_addf(t, "# sallyport: gate %s\n", s->gate.name);
	if (room->way == DEFAULT_DOOR && room->way_door)
		add_door(t, &s->doors[room->way_door]);
	else
		for (size_t i = 1; i < s->gate.n_doors; i++)
			add_door(t, &s->doors[i]);
	for (size_t i = 0; i < n; i++)
		if (may_reach(room, &servers[i]))
			text_addf(t, "nameserver %s\n", ip_text(&servers[i], ip));
}

int resolv_write(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int r = file_mkdirs(arena_printf(&a, RUN_DIR "/%s", s->gate.name), 0700, e);

	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++) {
		const char *path = resolv_path(&a, s->gate.name, s->gate.rooms[i].name);
		struct text t CLEANUP_TEXT = { 0 };
		const char *old;
		size_t size;
		struct err ignored;

		room_text(s, &a, &s->gate.rooms[i], &t);
		if (file_read(&a, path, RESOLV_MAX, &old, &size, &ignored) == 0 &&
		    str_eq(old, text_str(&t)))
			continue;
		r = file_write(path, text_str(&t), e);
	}
	return r;
}

static int renew_room(struct supervisor *s, size_t room, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *path = resolv_path(&a, s->gate.name, s->gate.rooms[room].name);
	size_t n = 0, renewed = 0;
	int *pids;
	int r = netns_pids(&a, s->rooms[room].fd, &pids, &n, e);

	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = mounts_renew(pids[i], path, e);
		renewed += r > 0;
	}
	if (renewed)
		sup_repaired(s, "%s: the host replaced its resolv.conf and uncovered it",
			     s->rooms[room].netns);
	return r < 0 ? r : 0;
}

int resolv_renew(struct supervisor *s, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		r = renew_room(s, i, e);
	return r;
}
