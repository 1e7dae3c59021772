/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/sandbox.h"

#include "base/text.h"
#include "wire/config.h"
#include "wire/draft.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define VERSION 1

#define COMES_WITHIN_S 60

#define BLANKS " \t,"

void sandbox_word(struct arena *a, struct sandbox_words *list, const char *word)
{
	*arena_push(a, list->items, list->n, list->cap) = arena_strdup(a, word);
}

void sandbox_words_split(struct arena *a, const char *value, struct sandbox_words *list)
{
	while (*(value += strspn(value, BLANKS))) {
		size_t len = strcspn(value, BLANKS);

		sandbox_word(a, list, arena_strndup(a, value, len));
		value += len;
	}
}

static const char *string_of(struct arena *a, json_t *root, const char *key)
{
	const char *s = json_string_value(json_object_get(root, key));

	return s ? arena_strdup(a, s) : NULL;
}

/* Absent is none. */
static int address_of(json_t *root, const char *key, sa_family_t family, struct ip *ret,
		      struct err *e)
{
	const char *s = json_string_value(json_object_get(root, key));
	struct ip ip = { 0 };

	if (s && (!ip_parse(s, &ip) || ip.family != family))
		return err_set(e, EINVAL, "%s \"%.60s\" is no IPv%d address", key, s,
			       family == AF_INET ? 4 : 6);
	*ret = ip;
	return 0;
}

static int words_of(struct arena *a, json_t *root, const char *key, struct sandbox_words *ret,
		    struct err *e)
{
	json_t *list = json_object_get(root, key), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item))
			return err_set(e, EINVAL, "%s[%zu] is no string", key, i);
		sandbox_word(a, ret, json_string_value(item));
	}
	return 0;
}

static int read_addresses(json_t *root, struct sandbox *ret, struct err *e)
{
	int r = address_of(root, "address4", AF_INET, &ret->address4, e);

	if (r == 0)
		r = address_of(root, "address6", AF_INET6, &ret->address6, e);
	if (r == 0)
		r = address_of(root, "gateway4", AF_INET, &ret->gateway4, e);
	if (r == 0)
		r = address_of(root, "gateway6", AF_INET6, &ret->gateway6, e);
	return r;
}

static int read_root(struct arena *a, json_t *root, struct sandbox_file *ret, struct err *e)
{
	json_t *number = json_object_get(root, "number");
	struct sandbox_file f = { 0 };
	int r;

	if (json_integer_value(json_object_get(root, "version")) != VERSION)
		return err_set(e, EINVAL, "is not of version %d", VERSION);
	if (!json_is_integer(number) || json_integer_value(number) < 0 ||
	    json_integer_value(number) >= GATE_ROOMS_MAX)
		return err_set(e, EINVAL, "number is none from 0 to %d", GATE_ROOMS_MAX - 1);
	f.sandbox.number = (uint32_t)json_integer_value(number);
	f.room = string_of(a, root, "room");
	f.endpoint = string_of(a, root, "endpoint");
	f.sandbox.container = string_of(a, root, "container");
	f.sandbox.network = string_of(a, root, "network");
	f.sandbox.path = string_of(a, root, "sandbox");
	f.way = string_of(a, root, "default");
	f.written = json_integer_value(json_object_get(root, "written"));
	if (!f.room || !f.endpoint || !f.sandbox.network)
		return err_set(e, EINVAL, "room, endpoint or network is missing");
	if (f.sandbox.path && f.sandbox.path[0] != '/')
		return err_set(e, EINVAL, "sandbox \"%.60s\" is no path", f.sandbox.path);
	r = config_check_name(f.room, ROOM_NAME_MAX, "room name", e);
	if (r == 0)
		r = read_addresses(root, &f.sandbox, e);
	if (r == 0)
		r = words_of(a, root, "reach", &f.reach, e);
	if (r == 0)
		r = words_of(a, root, "publish", &f.publish, e);
	if (r < 0)
		return r;
	f.sandbox.container = f.sandbox.container ? f.sandbox.container : "";
	*ret = f;
	return 0;
}

int sandbox_read(struct arena *a, const char *file, const char *text, size_t size,
		 struct sandbox_file *ret, struct err *e)
{
	json_error_t where;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
	int r;

	if (!root)
		return err_set(e, EINVAL, "%s:%d:%d: %s", file, where.line, where.column,
			       where.text);
	r = read_root(a, root, ret, e);
	json_decref(root);
	return r < 0 ? err_wrap(e, r, "%s", file) : 0;
}

static void put_string(json_t *root, const char *key, const char *s)
{
	if (s)
		json_object_set_new(root, key, json_string(s));
}

static void put_address(json_t *root, const char *key, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	if (!ip_is_none(ip))
		put_string(root, key, ip_text(ip, text));
}

static void put_words(json_t *root, const char *key, const struct sandbox_words *words)
{
	json_t *list = json_array();

	for (size_t i = 0; i < words->n; i++)
		json_array_append_new(list, json_string(words->items[i]));
	json_object_set_new(root, key, list);
}

const char *sandbox_write(struct arena *a, const struct sandbox_file *f)
{
	json_t *root = json_pack("{s:i, s:i, s:I}", "version", VERSION, "number",
				 (int)f->sandbox.number, "written", (json_int_t)f->written);
	const char *ret;
	char *text;

	put_string(root, "room", f->room);
	put_string(root, "endpoint", f->endpoint);
	put_string(root, "container", f->sandbox.container);
	put_string(root, "network", f->sandbox.network);
	put_string(root, "sandbox", f->sandbox.path);
	put_string(root, "default", f->way);
	put_address(root, "address4", &f->sandbox.address4);
	put_address(root, "address6", &f->sandbox.address6);
	put_address(root, "gateway4", &f->sandbox.gateway4);
	put_address(root, "gateway6", &f->sandbox.gateway6);
	put_words(root, "reach", &f->reach);
	put_words(root, "publish", &f->publish);
	text = json_dumps(root, JSON_INDENT(1));
	json_decref(root);
	ret = arena_printf(a, "%s\n", text ? text : "{}");
	free(text);
	return ret;
}

bool sandbox_is_left(const struct sandbox_file *f, int64_t now)
{
	return *f->sandbox.container || now - f->written > COMES_WITHIN_S;
}

/* The end of the address at the beginning of @word, NULL if there is none. */
static const char *address_end(const char *word)
{
	const char *colon = strchr(word, ':');

	if (*word == '[')
		return strchr(word, ']');
	return colon && memchr(word, '.', (size_t)(colon - word)) ? colon : NULL;
}

/* "[fd00::1]:80" or "192.0.2.1:80". */
static int split_address(struct arena *a, const char *word, const char **ret_port, struct ip *ret,
			 struct err *e)
{
	const char *end = address_end(word);
	bool v6 = *word == '[';
	struct ip ip = { 0 };

	*ret_port = word;
	*ret = ip;
	if (!end)
		return 0;
	if (!ip_parse(arena_strndup(a, word + v6, (size_t)(end - word) - v6), &ip) ||
	    end[v6] != ':' || (ip.family == AF_INET6) != v6)
		return err_set(e, EINVAL,
			       "\"%.60s\" begins with no address; write 192.0.2.1:80 or "
			       "[2001:db8::1]:80",
			       word);
	*ret_port = end + v6 + 1;
	*ret = ip;
	return 0;
}

int sandbox_publish(struct arena *a, const char *word, struct publish *ret, const char **ret_door,
		    struct err *e)
{
	const char *at = strchr(word, '@');
	const char *port = at ? arena_strndup(a, word, (size_t)(at - word)) : word;
	struct publish p;
	struct ip host;
	int r = split_address(a, port, &port, &host, e);

	if (r == 0)
		r = config_publish(port, &p, e);
	if (r < 0)
		return r;
	if (at && !at[1])
		return err_set(e, EINVAL, "\"%.40s\" names no door; write %.*slan, or @all", word,
			       (int)(at + 1 - word), word);
	p.host = host;
	*ret = p;
	*ret_door = at ? arena_strdup(a, at + 1) : "";
	return 0;
}

static const char *doors_of(struct arena *a, const struct gate *g)
{
	const char *list = "";

	for (size_t i = 0; i < g->n_doors; i++)
		list = arena_printf(a, "%s%s%s", list, i ? ", " : "", g->doors[i].name);
	return list;
}

struct ports {
	struct publish *items;
	size_t n, cap;
};

/* The same twice is once: Docker says -p for each family. */
static void add_port(struct arena *a, struct ports *list, const struct publish *p)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct publish *q = &list->items[i];

		if (q->door == p->door && q->proto == p->proto && q->door_port == p->door_port &&
		    q->room_port == p->room_port && ip_equal(&q->host, &p->host))
			return;
	}
	*arena_push(a, list->items, list->n, list->cap) = *p;
}

/* The lan door has the host's addresses, or those of them on which it listens. */
static int check_host(struct arena *a, const struct gate *g, const char *word,
		      const struct publish *p, const char *door, struct err *e)
{
	const struct door *lan = &g->doors[0];
	const char *list = "";
	char ip[IP_TEXT_SIZE];

	if (ip_is_any(&p->host))
		return 0;
	if (*door && !str_eq(door, lan->name))
		return err_set(e, EINVAL,
			       "publish %.60s: addresses of the host are the lan door's; write "
			       "%.*s@lan, or no address",
			       word, (int)strcspn(word, "@"), word);
	for (size_t i = 0; i < lan->n_listen; i++) {
		if (ip_equal(&lan->listen[i], &p->host))
			return 0;
		list = arena_printf(a, "%s%s%s", list, i ? ", " : "", ip_text(&lan->listen[i], ip));
	}
	if (!lan->n_listen)
		return 0;
	return err_set(e, EADDRNOTAVAIL,
		       "publish %.60s: the lan door of gate \"%s\" listens on %s only; add the "
		       "address to `listen`, or publish on one of these",
		       word, g->name, list);
}

static int spread(struct arena *a, const struct gate *g, const char *word, size_t room,
		  struct ports *list, struct err *e)
{
	struct publish p = { 0 };
	const char *door;
	int r = sandbox_publish(a, word, &p, &door, e);
	int index = r == 0 ? gate_find_door(g, *door ? door : "lan") : 0;

	if (r == 0)
		r = check_host(a, g, word, &p, door, e);
	if (r < 0)
		return r;
	p.room = room;
	p.by_gate = true;
	for (size_t i = 0; str_eq(door, "all") && index < 0 && i < g->n_doors; i++) {
		p.door = i;
		add_port(a, list, &p);
	}
	if (index < 0 && !str_eq(door, "all"))
		return err_set(e, EINVAL,
			       "publish %.60s: gate \"%s\" has no door \"%.40s\"; it has %s", word,
			       g->name, door, doors_of(a, g));
	if (index >= 0) {
		p.door = (size_t)index;
		add_port(a, list, &p);
	}
	return 0;
}

/* What another room has, or this one twice with different ports of its own. */
static int check_free(const struct gate *g, const struct ports *list, struct err *e)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct publish *p = &list->items[i];
		const char *proto = p->proto == IPPROTO_UDP ? "udp" : "tcp";

		for (size_t j = 0; j < i; j++)
			if (publish_overlaps(p, &list->items[j]))
				return err_set(e, EINVAL, "%u/%s is published twice on door \"%s\"",
					       p->door_port, proto, g->doors[p->door].name);
		for (size_t j = 0; j < g->n_publish; j++)
			if (publish_overlaps(p, &g->publish[j]))
				return err_set(e, EADDRINUSE,
					       "%u/%s of door \"%s\" is published already by room "
					       "\"%s\" of gate \"%s\": publish another port",
					       p->door_port, proto, g->doors[p->door].name,
					       g->rooms[g->publish[j].room].name, g->name);
	}
	return 0;
}

static int check_place(const struct gate *g, const struct sandbox_file *f, struct err *e)
{
	size_t own = 0;

	for (size_t i = 0; i < g->n_rooms; i++) {
		const struct sandbox *x = g->rooms[i].sandbox;

		own += !x;
		if (str_eq(g->rooms[i].name, f->room))
			return err_set(e, EEXIST, "gate \"%s\" has a room \"%s\" already", g->name,
				       f->room);
		if (x && x->number == f->sandbox.number)
			return err_set(e, EEXIST, "room \"%s\" has place %u already",
				       g->rooms[i].name, x->number);
		if (x && ip_equal(&x->address4, &f->sandbox.address4) && !ip_is_none(&x->address4))
			return err_set(e, EADDRINUSE, "room \"%s\" has its address already",
				       g->rooms[i].name);
	}
	if (f->sandbox.number < own)
		return err_set(e, ENOSPC,
			       "gate \"%s\" has no place for one more: it takes %d rooms", g->name,
			       GATE_ROOMS_MAX);
	return 0;
}

int sandbox_room(struct arena *a, const struct gate *g, const struct sandbox_file *f,
		 struct room *ret, struct publish **ret_ports, size_t *ret_n, struct err *e)
{
	struct room room = { .name = f->room, .sandbox = &f->sandbox };
	struct ports ports = { 0 };
	int r = check_place(g, f, e);

	if (r == 0)
		r = room_set_way(g, f->way, &room, e);
	for (size_t i = 0; r == 0 && i < f->reach.n; i++)
		r = room_add_reach(a, &room, f->reach.items[i], e);
	for (size_t i = 0; r == 0 && i < f->publish.n; i++)
		r = spread(a, g, f->publish.items[i], g->n_rooms, &ports, e);
	if (r == 0)
		r = check_free(g, &ports, e);
	if (r < 0)
		return r;
	*ret = room;
	*ret_ports = ports.items;
	*ret_n = ports.n;
	return 0;
}
