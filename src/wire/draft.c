/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/draft.h"

#include "base/text.h"
#include "wire/config.h"
#include "wire/ini.h"
#include "wire/near.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int place_wrap(const struct place *at, int r, struct err *e)
{
	if (at->flag)
		return err_wrap(e, r, "%s %.80s", at->flag, at->value);
	return err_wrap(e, r, "%s:%u:%u", at->file, at->line, at->column);
}

const char *place_text(const struct place *at, char buf[PLACE_SIZE])
{
	if (at->flag)
		snprintf(buf, PLACE_SIZE, "%s %.60s", at->flag, at->value);
	else
		snprintf(buf, PLACE_SIZE, "line %u", at->line);
	return buf;
}

void draft_start(struct draft *d, struct arena *a, const char *name, const char *file)
{
	struct door *lan;

	*d = (struct draft){ .a = a };
	d->gate.name = arena_strdup(a, name);
	d->gate.file = arena_strdup(a, file);
	lan = arena_push(a, d->gate.doors, d->gate.n_doors, d->gate.cap_doors);
	lan->name = "lan";
	lan->kind = DOOR_LAN;
}

/* Doors are interfaces of the gate: these names are taken there or mean something. */
static int check_door_name(const char *name, struct err *e)
{
	static const char *const reserved[] = { "lo", "lan", "all", "default", "none", "eth0" };
	int r = config_check_name(name, DOOR_NAME_MAX, "door name", e);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (str_eq(name, reserved[i]))
			return err_set(e, EINVAL,
				       "a VPN door cannot be called \"%s\": sallyport "
				       "needs the name itself; choose another",
				       name);
	if (str_starts(name, "room"))
		return err_set(e, EINVAL,
			       "a door cannot be called \"%s\": names that begin with "
			       "\"room\" are the links to the rooms; choose another",
			       name);
	return 0;
}

int gate_find_door(const struct gate *g, const char *name)
{
	for (size_t i = 0; i < g->n_doors; i++)
		if (str_eq(g->doors[i].name, name))
			return (int)i;
	return -1;
}

int draft_add_vpn_door(struct draft *d, const char *name, const struct place *at, struct err *e)
{
	struct gate *g = &d->gate;
	struct door *door;
	int r = check_door_name(name, e);

	if (r < 0)
		return place_wrap(at, r, e);
	if (g->n_doors == GATE_DOORS_MAX)
		return place_wrap(at,
				  err_set(e, EINVAL,
					  "door \"%s\" is one too many; a gate has "
					  "at most %d doors with the lan door, make a second "
					  "gate",
					  name, GATE_DOORS_MAX),
				  e);
	door = arena_push(d->a, g->doors, g->n_doors, g->cap_doors);
	door->name = arena_strdup(d->a, name);
	door->line = at->line;
	return (int)g->n_doors - 1;
}

static int check_room_name(const char *name, struct err *e)
{
	int r = *name ? config_check_name(name, ROOM_NAME_MAX, "room name", e) : 0;

	if (r < 0)
		return r;
	if (str_eq(name, "gate"))
		return err_set(e, EINVAL,
			       "a room cannot be called \"gate\": its namespace would "
			       "have the gate's own name; choose another");
	return 0;
}

int draft_add_room(struct draft *d, const char *name, const struct place *at, struct err *e)
{
	struct gate *g = &d->gate;
	struct room *room;
	int r = check_room_name(name, e);

	if (r < 0)
		return place_wrap(at, r, e);
	if (g->n_rooms == GATE_ROOMS_MAX)
		return place_wrap(at,
				  err_set(e, EINVAL,
					  "room \"%s\" is one too many; a gate has "
					  "at most %d rooms, make a second gate",
					  name, GATE_ROOMS_MAX),
				  e);
	room = arena_push(d->a, g->rooms, g->n_rooms, g->cap_rooms);
	room->name = arena_strdup(d->a, name);
	room->line = at->line;
	return (int)g->n_rooms - 1;
}

/* Runs through a list and keeps the place of each word. */
struct list {
	struct arena *a;
	const char *value;
	const char *next;
	struct place start;
	struct place at; /* of the word read last */
};

static struct list list_start(const struct draft *d, const char *value, const struct place *at)
{
	return (struct list){ .a = d->a, .value = value, .next = value, .start = *at, .at = *at };
}

static const char *list_next(struct list *l)
{
	uint32_t offset;
	const char *word = ini_word(l->a, l->value, &l->next, &offset);

	if (word)
		l->at.column = l->start.column + offset;
	return word;
}

int draft_room_publish(struct draft *d, size_t room, const char *value, const struct place *at,
		       struct err *e)
{
	struct list l = list_start(d, value, at);
	const char *word;

	while ((word = list_next(&l))) {
		struct publish p;
		struct draft_word *w;
		int r = config_publish(word, &p, e);

		if (r < 0)
			return place_wrap(&l.at, r, e);
		p.room = room;
		p.line = l.at.line;
		w = arena_push(d->a, d->words, d->n_words, d->cap_words);
		*w = (struct draft_word){ .publish = p, .at = l.at };
	}
	return 0;
}

int draft_door_publish(struct draft *d, size_t door, const char *value, const struct place *at,
		       struct err *e)
{
	struct list l = list_start(d, value, at);
	const char *word;

	d->is_narrow[door] = true;
	if (str_eq(value, "none"))
		return 0;
	while ((word = list_next(&l))) {
		struct publish p;
		struct draft_word *w;
		int r = config_publish(word, &p, e);

		if (r == 0 && strchr(word, ':'))
			r = err_set(e, EINVAL,
				    "\"%.40s\" names a port of the room, which only "
				    "[room] can choose; write %u%s here",
				    word, p.door_port, p.proto == IPPROTO_UDP ? "/udp" : "");
		if (r < 0)
			return place_wrap(&l.at, r, e);
		p.door = door;
		p.line = l.at.line;
		w = arena_push(d->a, d->narrow, d->n_narrow, d->cap_narrow);
		*w = (struct draft_word){ .publish = p, .at = l.at };
	}
	return 0;
}

/* What a packet that is passed on never has as its destination. */
static const struct {
	const char *prefix, *what;
	bool reach, listen;
} stay_here[] = {
	{ "127.0.0.0/8", "a host's own loopback", true, false },
	{ "::1/128", "a host's own loopback", true, true },
	{ "224.0.0.0/4", "multicast, which is not passed on", true, true },
	{ "ff00::/8", "multicast, which is not passed on", true, true },
	{ "fe80::/10", "link-local, and never leaves its link", true, true },
	{ "::ffff:0:0/96", "IPv4 in a program's own notation", true, true },
};

static int check_goes_on(const struct prefix *p, const char *word, bool listen, struct err *e)
{
	struct prefix stays;

	for (size_t i = 0; i < ARRAY_LEN(stay_here); i++)
		if ((listen ? stay_here[i].listen : stay_here[i].reach) &&
		    prefix_parse(stay_here[i].prefix, false, &stays) && prefix_contains(&stays, p))
			return err_set(e, EINVAL, "%.60s is %s; take it out", word,
				       stay_here[i].what);
	return 0;
}

static int read_reach(const char *word, struct prefix *ret, struct err *e)
{
	char text[PREFIX_TEXT_SIZE];
	struct prefix lax;

	if (prefix_parse(word, false, ret))
		return 0;
	if (prefix_parse(word, true, &lax))
		return err_set(e, EINVAL, "prefix \"%.60s\" has bits beyond its length; write %s",
			       word, prefix_text(&lax, text));
	return err_set(e, EINVAL,
		       "\"%.60s\" is not a prefix; write ADDRESS/LENGTH, such as "
		       "172.16.5.0/24 or fd00:5::/64",
		       word);
}

/* nft refuses sets whose elements overlap. */
static int check_reach(const struct room *room, const struct prefix *p, struct err *e)
{
	char mine[PREFIX_TEXT_SIZE], other[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < room->n_reach; i++) {
		const struct prefix *q = &room->reach[i];
		bool inside = prefix_contains(q, p);

		if (!prefix_overlaps(p, q))
			continue;
		prefix_text(inside ? p : q, mine);
		prefix_text(inside ? q : p, other);
		if (prefix_equal(p, q))
			return err_set(e, EINVAL, "%s is given twice; take one out", mine);
		return err_set(e, EINVAL, "%s lies inside %s, which is given too; take %s out",
			       mine, other, mine);
	}
	return 0;
}

/* Names have none of what every prefix has. */
static bool is_room_name(const char *word)
{
	return !word[strcspn(word, ".:/")];
}

int room_add_reach(struct arena *a, struct room *room, const char *word, struct err *e)
{
	struct prefix p;
	int r = read_reach(word, &p, e);

	if (r == 0)
		r = check_goes_on(&p, word, false, e);
	if (r == 0)
		r = check_reach(room, &p, e);
	if (r == 0)
		*arena_push(a, room->reach, room->n_reach, room->cap_reach) = p;
	return r;
}

int draft_room_reach(struct draft *d, size_t index, const char *value, const struct place *at,
		     struct err *e)
{
	struct room *room = &d->gate.rooms[index];
	struct list l = list_start(d, value, at);
	const char *word;

	while ((word = list_next(&l))) {
		int r;

		if (!at->flag && is_room_name(word)) {
			*arena_push(d->a, d->reach, d->n_reach, d->cap_reach) =
				(struct draft_reach){ index, word, l.at };
			continue;
		}
		r = room_add_reach(d->a, room, word, e);
		if (r < 0)
			return place_wrap(&l.at, r, e);
	}
	return 0;
}

static int read_listen(const struct door *door, const char *word, struct ip *ret, struct err *e)
{
	struct ip ip;

	if (strchr(word, '/'))
		return err_set(e, EINVAL,
			       "\"%.60s\" is a prefix; write an address of this host, "
			       "without a length",
			       word);
	if (!ip_parse(word, &ip))
		return err_set(e, EINVAL,
			       "\"%.60s\" is not an address; write one of this host, "
			       "such as 172.16.5.10",
			       word);
	if (ip_is_any(&ip))
		return err_set(e, EINVAL,
			       "%s is every address, which is so without listen; "
			       "take it out",
			       word);
	for (size_t i = 0; i < door->n_listen; i++)
		if (ip_equal(&door->listen[i], &ip))
			return err_set(e, EINVAL, "%s is given twice; take one out", word);
	*ret = ip;
	return check_goes_on(&(struct prefix){ .ip = ip, .len = ip.family == AF_INET ? 32 : 128 },
			     word, true, e);
}

int draft_door_listen(struct draft *d, size_t index, const char *value, const struct place *at,
		      struct err *e)
{
	struct door *door = &d->gate.doors[index];
	struct list l = list_start(d, value, at);
	const char *word;

	while ((word = list_next(&l))) {
		struct ip ip;
		int r = read_listen(door, word, &ip, e);

		if (r < 0)
			return place_wrap(&l.at, r, e);
		*arena_push(d->a, door->listen, door->n_listen, door->cap_listen) = ip;
	}
	return 0;
}

#define SERVER_FORM "write HOST[:PORT][/tcp or /udp], such as vpn.example.com:443/tcp"

/* "host", "host:port", "[v6]:port", "v6"; cuts @text up. */
static bool split_host(char *text, char **ret_host, char **ret_port)
{
	struct ip ip;
	char *end;

	*ret_host = text;
	*ret_port = NULL;
	if (ip_parse(text, &ip))
		return true;
	if (*text == '[') {
		end = strchr(text, ']');
		if (!end || (end[1] && end[1] != ':'))
			return false;
		*end = 0;
		*ret_host = text + 1;
		*ret_port = end[1] ? end + 2 : NULL;
		return ip_parse(text + 1, &ip) && ip.family == AF_INET6;
	}
	end = strchr(text, ':');
	if (end) {
		*end = 0;
		*ret_port = end + 1;
	}
	return config_is_host(text);
}

int config_server(struct arena *a, const char *word, struct door_server *ret, struct err *e)
{
	struct door_server server = { 0 };
	char *text = arena_strdup(a, word);
	char *slash = strchr(text, '/');
	char *host, *port;
	uint32_t number;

	if (slash) {
		*slash = 0;
		if (!str_eq(slash + 1, "tcp") && !str_eq(slash + 1, "udp"))
			return err_set(e, EINVAL, "\"%.60s\" has no such protocol; " SERVER_FORM,
				       word);
		server.proto = slash[1] == 't' ? IPPROTO_TCP : IPPROTO_UDP;
	}
	if (!split_host(text, &host, &port))
		return err_set(e, EINVAL, "\"%.60s\" is not a server; " SERVER_FORM, word);
	if (port) {
		if (!str_to_u32(port, 65535, &number) || number == 0)
			return err_set(e, EINVAL,
				       "\"%.60s\" has no port from 1 to 65535; " SERVER_FORM, word);
		server.port = (uint16_t)number;
	}
	server.host = host;
	*ret = server;
	return 0;
}

int draft_door_server(struct draft *d, size_t index, const char *value, const struct place *at,
		      struct err *e)
{
	struct door *door = &d->gate.doors[index];
	struct list l = list_start(d, value, at);
	const char *word;

	while ((word = list_next(&l))) {
		struct door_server server;
		int r = config_server(d->a, word, &server, e);

		if (r < 0)
			return place_wrap(&l.at, r, e);
		*arena_push(d->a, door->servers, door->n_servers, door->cap_servers) = server;
	}
	return 0;
}

int draft_room_default(struct draft *d, size_t room, const char *value, const struct place *at,
		       struct err *e)
{
	if (value[strcspn(value, " \t,")])
		return place_wrap(at,
				  err_set(e, EINVAL,
					  "default is one word; write vpn, lan, "
					  "none or the name of a door"),
				  e);
	d->way[room] = (struct draft_way){ .word = value, .at = *at };
	return 0;
}

static int unknown_way(const struct gate *g, const char *word, struct err *e)
{
	const char *names[GATE_DOORS_MAX + 2] = { "vpn", "none" };
	char teach[400];

	for (size_t i = 0; i < g->n_doors; i++)
		names[i + 2] = g->doors[i].name;
	near_teach(teach, sizeof(teach), "default", word, names, g->n_doors + 2);
	return err_set(e, EINVAL, "no door is called \"%.40s\"; %s", word, teach);
}

/* A door called "vpn" is what `default = vpn` means, first or not. */
int room_set_way(const struct gate *g, const char *word, struct room *room, struct err *e)
{
	bool has_vpn = g->n_doors > 1;
	int door = word ? gate_find_door(g, word) : -1;

	if (door > 0) {
		room->way = DEFAULT_DOOR;
		room->way_door = (size_t)door;
	} else if (door == 0) {
		room->way = DEFAULT_LAN;
	} else if (!word || str_eq(word, "vpn")) {
		room->way = has_vpn ? DEFAULT_VPN : DEFAULT_NONE;
	} else if (str_eq(word, "none")) {
		room->way = DEFAULT_NONE;
	} else {
		return unknown_way(g, word, e);
	}
	return 0;
}

/* The room without a name is called like the gate. */
static int find_room(const struct gate *g, const char *name)
{
	int unnamed = -1;

	for (size_t i = 0; i < g->n_rooms; i++) {
		if (str_eq(g->rooms[i].name, name))
			return (int)i;
		if (!*g->rooms[i].name && str_eq(g->name, name))
			unnamed = (int)i;
	}
	return unnamed;
}

static int unknown_room(const struct draft *d, const struct draft_reach *reach, struct err *e)
{
	const char *names[GATE_ROOMS_MAX];
	char teach[400];
	size_t n = 0;

	for (size_t i = 0; i < d->gate.n_rooms; i++)
		if (i != reach->room)
			names[n++] = *d->gate.rooms[i].name ? d->gate.rooms[i].name : d->gate.name;
	if (!n)
		return err_set(e, EINVAL,
			       "\"%.60s\" is not a prefix, and there is no other room; write "
			       "ADDRESS/LENGTH, such as 172.16.5.0/24 or fd00:5::/64",
			       reach->word);
	near_teach(teach, sizeof(teach), "reach", reach->word, names, n);
	return err_set(e, EINVAL, "\"%.40s\" is neither a prefix nor a room; %s", reach->word,
		       teach);
}

static int resolve_reach(struct draft *d, const struct draft_reach *reach, struct err *e)
{
	struct room *room = &d->gate.rooms[reach->room];
	int other = find_room(&d->gate, reach->word);

	if (other < 0)
		return unknown_room(d, reach, e);
	if ((size_t)other == reach->room)
		return err_set(e, EINVAL, "a room reaches itself already; take \"%s\" out",
			       reach->word);
	for (size_t i = 0; i < room->n_reach_rooms; i++)
		if (room->reach_rooms[i] == (size_t)other)
			return err_set(e, EINVAL, "room \"%s\" is given twice; take one out",
				       reach->word);
	*arena_push(d->a, room->reach_rooms, room->n_reach_rooms, room->cap_reach_rooms) =
		(size_t)other;
	return 0;
}

int draft_finish(struct draft *d, struct gate *ret, struct err *e)
{
	for (size_t i = 0; i < d->gate.n_rooms; i++) {
		const struct draft_way *way = &d->way[i];
		int r = room_set_way(&d->gate, way->word, &d->gate.rooms[i], e);

		if (r < 0)
			return place_wrap(&way->at, r, e);
	}
	for (size_t i = 0; i < d->n_reach; i++) {
		int r = resolve_reach(d, &d->reach[i], e);

		if (r < 0)
			return place_wrap(&d->reach[i].at, r, e);
	}
	if (draft_spread_ports(d, e) < 0)
		return -EINVAL;
	*ret = d->gate;
	return 0;
}
