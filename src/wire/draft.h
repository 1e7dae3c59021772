/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_DRAFT_H
#define WIRE_DRAFT_H

#include "base/arena.h"
#include "base/err.h"
#include "model/gate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A gate in the making: what sallyport.conf and the flags of `run` have in
 * common.  Values come one by one, each with the place it was written at;
 * draft_finish() checks what concerns several of them and yields the gate.
 */

struct place {
	const char *file;
	uint32_t line;
	uint32_t column;
	const char *flag; /* "--publish", NULL for a file */
	const char *value; /* of the flag */
};

/* Puts "file:line:column: " or "--flag value: " in front; returns @r. */
int place_wrap(const struct place *at, int r, struct err *e) MUST_USE;

/* As another error names it: "line 3" or "--publish 80". */
#define PLACE_SIZE 80
const char *place_text(const struct place *at, char buf[PLACE_SIZE]);

struct draft_word {
	struct publish publish;
	struct place at;
};

struct draft_way {
	const char *word; /* NULL: not given */
	struct place at;
};

/* A room that another one may reach, by name: it may stand further down in the file. */
struct draft_reach {
	size_t room;
	const char *word;
	struct place at;
};

struct draft {
	struct arena *a;
	struct gate gate;
	struct draft_word *words; /* of rooms */
	size_t n_words, cap_words;
	struct draft_word *narrow; /* of doors */
	size_t n_narrow, cap_narrow;
	bool is_narrow[GATE_DOORS_MAX]; /* the door has a publish of its own */
	struct draft_way way[GATE_ROOMS_MAX]; /* default of the rooms */
	struct draft_reach *reach; /* rooms, of rooms */
	size_t n_reach, cap_reach;
};

/* With the lan door, which is always there. */
void draft_start(struct draft *d, struct arena *a, const char *name, const char *file);

/* Index in gate.doors; -EINVAL. */
int draft_add_vpn_door(struct draft *d, const char *name, const struct place *at,
		       struct err *e) MUST_USE;
/* Index in gate.rooms; -EINVAL. */
int draft_add_room(struct draft *d, const char *name, const struct place *at,
		   struct err *e) MUST_USE;

/* @value is a list of words; @at is the place of its first byte. */
int draft_room_publish(struct draft *d, size_t room, const char *value, const struct place *at,
		       struct err *e) MUST_USE;
int draft_door_publish(struct draft *d, size_t door, const char *value, const struct place *at,
		       struct err *e) MUST_USE;
/* Prefixes, and from a file names of other rooms. */
int draft_room_reach(struct draft *d, size_t room, const char *value, const struct place *at,
		     struct err *e) MUST_USE;
int draft_door_listen(struct draft *d, size_t door, const char *value, const struct place *at,
		      struct err *e) MUST_USE;
int draft_door_server(struct draft *d, size_t door, const char *value, const struct place *at,
		      struct err *e) MUST_USE;
int draft_room_default(struct draft *d, size_t room, const char *value, const struct place *at,
		       struct err *e) MUST_USE;

/* The same for a room by itself: `default` (NULL: not given) and one word of `reach`. */
int room_set_way(const struct gate *g, const char *word, struct room *ret, struct err *e) MUST_USE;
int room_add_reach(struct arena *a, struct room *room, const char *word, struct err *e) MUST_USE;
/* Index in gate.doors, or -1. */
int gate_find_door(const struct gate *g, const char *name);

/* gate.publish from the words of rooms and doors; draft_finish() calls it. */
int draft_spread_ports(struct draft *d, struct err *e) MUST_USE;

int draft_finish(struct draft *d, struct gate *ret, struct err *e) MUST_USE;

#endif
