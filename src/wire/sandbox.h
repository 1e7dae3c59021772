/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_SANDBOX_H
#define WIRE_SANDBOX_H

#include "base/arena.h"
#include "base/err.h"
#include "model/gate.h"

/*
 * The file by which a container engine's driver tells a gate's supervisor of a
 * room in a sandbox: JSON, one room a file.  What it says of doors only the
 * gate knows to be right: sandbox_room() checks it.
 */
struct sandbox_words {
	const char **items;
	size_t n, cap;
};

struct sandbox_file {
	const char *room; /* its name in the gate */
	const char *endpoint; /* the engine's name for it */
	struct sandbox sandbox; /* without a path until the engine says one */
	const char *way; /* `default`; NULL: not given */
	struct sandbox_words reach;
	struct sandbox_words publish; /* as sandbox_publish() reads them; "@all" means every door */
	int64_t written; /* seconds since the machine booted (CLOCK_BOOTTIME) */
};

/* Arena strings; errors name @file. */
int sandbox_read(struct arena *a, const char *file, const char *text, size_t size,
		 struct sandbox_file *ret, struct err *e) MUST_USE;
const char *sandbox_write(struct arena *a, const struct sandbox_file *f);

/*
 * Of a room without a namespace: is nobody going to come any more?  Its container
 * was there and has gone, or has not come for a minute at @now, seconds as
 * @f->written.  Not the file's own time: that is of a clock which is set when a
 * machine has just booted and its containers start.
 */
bool sandbox_is_left(const struct sandbox_file *f, int64_t now);

/* The room and its ports, to be the next of gate @g.  The values point into @f and @a. */
int sandbox_room(struct arena *a, const struct gate *g, const struct sandbox_file *f,
		 struct room *ret, struct publish **ret_ports, size_t *ret_n,
		 struct err *e) MUST_USE;

/*
 * Splits "192.0.2.1:80:8080/tcp@lan" into an address of the host, what
 * config_publish() reads, and the door; "" if it names none.
 */
int sandbox_publish(struct arena *a, const char *word, struct publish *ret, const char **ret_door,
		    struct err *e) MUST_USE;
/* At the end of @list; the copy is in @a. */
void sandbox_word(struct arena *a, struct sandbox_words *list, const char *word);
/* All words of @value, which blanks or commas divide. */
void sandbox_words_split(struct arena *a, const char *value, struct sandbox_words *list);

#endif
