/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

/*
 * Memory that is freed all at once.  Values (addresses, snapshots, plans) live
 * in an arena and own nothing.  Out of memory aborts: what protects the user
 * is kernel state and survives us.
 */
struct arena {
	struct arena_block *head;
};

/* @size bytes, zeroed, aligned for any type; valid until arena_free(). */
void *arena_alloc(struct arena *a, size_t size);
char *arena_strdup(struct arena *a, const char *s);
char *arena_strndup(struct arena *a, const char *s, size_t size);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Frees everything; the arena is empty and may be used again. */
void arena_free(struct arena *a);

#define arena_new(a, type) ((type *)arena_alloc((a), sizeof(type)))
#define CLEANUP_ARENA      __attribute__((cleanup(arena_free)))

/*
 * Makes room for one more element at the end of an array in the arena and
 * returns it, zeroed.  @items, @n, @cap are lvalues that belong together.
 */
#define arena_push(a, items, n, cap)                                                               \
	(((n) == (cap) ? (void)((items) = arena_grow((a), (items), (n), &(cap), sizeof(*(items)))) \
		       : (void)0),                                                                 \
	 &(items)[(n)++])

void *arena_grow(struct arena *a, const void *items, size_t n, size_t *cap, size_t size);

#endif
