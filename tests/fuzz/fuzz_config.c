/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "must.h"
#include "wire/config.h"

#include <stdlib.h>
#include <string.h>

/*
 * sallyport.conf, or flags when the first byte is "-": a line each, as
 * "p 80", "v office.ovpn", "r 10.0.0.0/8", "d vpn".
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_room(const struct gate *g, const struct room *room)
{
	must(room->way != DEFAULT_DOOR || (room->way_door > 0 && room->way_door < g->n_doors));
	must(room->way != DEFAULT_VPN || g->n_doors > 1);
	for (size_t i = 0; i < room->n_reach; i++)
		for (size_t j = 0; j < i; j++)
			must(!prefix_overlaps(&room->reach[i], &room->reach[j]));
}

static void check_gate(const struct gate *g)
{
	must(g->n_doors >= 1 && g->n_doors <= GATE_DOORS_MAX);
	must(g->n_rooms >= 1 && g->n_rooms <= GATE_ROOMS_MAX);
	must(g->doors[0].kind == DOOR_LAN);
	for (size_t i = 1; i < g->n_doors; i++) {
		const struct door *d = &g->doors[i];

		must(d->kind == DOOR_OPENVPN || d->kind == DOOR_COMMAND);
		must((d->kind == DOOR_OPENVPN) == !!d->vpn);
		must((d->kind == DOOR_COMMAND) == !!d->command);
		must(*d->name && strlen(d->name) <= DOOR_NAME_MAX && !strchr(d->name, '/'));
	}
	for (size_t i = 0; i < g->n_rooms; i++)
		check_room(g, &g->rooms[i]);
	for (size_t i = 0; i < g->n_publish; i++) {
		const struct publish *p = &g->publish[i];

		must(p->door_port && p->room_port);
		must(p->room < g->n_rooms && p->door < g->n_doors);
		for (size_t j = 0; j < i && i < 200; j++)
			must(g->publish[j].door != p->door || g->publish[j].proto != p->proto ||
			     g->publish[j].door_port != p->door_port);
	}
}

#define FLAGS_MAX 64

struct words {
	const char *items[FLAGS_MAX];
	size_t n;
};

static void push(struct words *w, const char *word)
{
	if (w->n < FLAGS_MAX)
		w->items[w->n++] = word;
}

static void one_command_line(struct arena *a, char *text)
{
	struct words publish = { 0 }, vpn = { 0 }, reach = { 0 };
	struct config_flags flags = { 0 };
	struct gate g;
	struct err e;
	char *save;

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (str_starts(line, "p "))
			push(&publish, line + 2);
		else if (str_starts(line, "v "))
			push(&vpn, line + 2);
		else if (str_starts(line, "r "))
			push(&reach, line + 2);
		else if (str_starts(line, "d "))
			flags.way = line + 2;
	}
	flags.publish = publish.items;
	flags.n_publish = publish.n;
	flags.vpn = vpn.items;
	flags.n_vpn = vpn.n;
	flags.reach = reach.items;
	flags.n_reach = reach.n;
	if (config_from_flags(a, "fuzz", &flags, &g, &e) == 0)
		check_gate(&g);
	else
		must(str_starts(e.text, "--"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena a = { 0 };
	enum door_kind kind;
	struct gate g;
	struct err e;

	if (size && *data == '-') {
		one_command_line(&a, arena_strndup(&a, (const char *)data + 1, size - 1));
		return 0;
	}
	if (config_read(&a, "fuzz", "/f", (const char *)data, size, &g, &e) == 0)
		check_gate(&g);
	else
		must_be_told_of("/f:", &e);
	if (config_vpn_kind("/f", (const char *)data, size, &kind, &e) < 0)
		must_be_told_of("/f:", &e);
	return 0;
}
