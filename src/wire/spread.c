/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/draft.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Which door answers which port.  Everything here works on the words sorted by
 * port, so that a thousand published ports cost no more than their reading.
 */

static int compare_ports(const struct publish *a, const struct publish *b)
{
	if (a->proto != b->proto)
		return a->proto < b->proto ? -1 : 1;
	return (int)a->door_port - (int)b->door_port;
}

/* By port; those of the same port as they were written. */
static int compare_words(const void *x, const void *y)
{
	const struct draft_word *a = *(const struct draft_word *const *)x;
	const struct draft_word *b = *(const struct draft_word *const *)y;
	int order = compare_ports(&a->publish, &b->publish);

	return order ? order : a < b ? -1 : a > b;
}

static const struct draft_word **sorted(const struct draft *d, const struct draft_word *words,
					size_t n)
{
	const struct draft_word **s = arena_alloc(d->a, (n + 1) * sizeof(*s));

	for (size_t i = 0; i < n; i++)
		s[i] = &words[i];
	if (n)
		qsort(s, n, sizeof(*s), compare_words);
	return s;
}

static const char *proto_text(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "udp" : "tcp";
}

static int err_twice(const struct draft *d, const struct draft_word *first,
		     const struct draft_word *second, struct err *e)
{
	const char *room = d->gate.rooms[first->publish.room].name;
	const struct publish *p = &second->publish;
	char where[PLACE_SIZE];

	place_text(&first->at, where);
	if (first->publish.room == p->room)
		err_set(e, EINVAL, "%u/%s is published already by %s; take one out", p->door_port,
			proto_text(p->proto), where);
	else
		err_set(e, EINVAL,
			"%u/%s is published already by [room%s%s] in %s; give this "
			"room another door port, such as %u:%u%s",
			p->door_port, proto_text(p->proto), *room ? " " : "", room, where,
			p->door_port < 57536 ? p->door_port + 8000 : p->door_port - 8000,
			p->room_port, p->proto == IPPROTO_UDP ? "/udp" : "");
	return place_wrap(&second->at, -EINVAL, e);
}

/* The first word, as written, that repeats another. */
static int check_words(const struct draft *d, const struct draft_word *const *s, size_t n,
		       struct err *e)
{
	const struct draft_word *first = NULL, *second = NULL;

	for (size_t i = 1; i < n; i++) {
		if (compare_ports(&s[i - 1]->publish, &s[i]->publish) != 0)
			continue;
		if (second && second < s[i])
			continue;
		first = s[i - 1];
		second = s[i];
	}
	return second ? err_twice(d, first, second, e) : 0;
}

static const struct draft_word *find_word(const struct draft_word *const *s, size_t n,
					  const struct publish *p)
{
	size_t from = 0, to = n;

	while (from < to) {
		size_t middle = (from + to) / 2;
		int order = compare_ports(p, &s[middle]->publish);

		if (order == 0)
			return s[middle];
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
}

static int err_unpublished(const struct draft_word *const *s, size_t n, const struct draft_word *w,
			   struct err *e)
{
	struct publish other = w->publish;

	other.proto = other.proto == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;
	if (find_word(s, n, &other))
		err_set(e, EINVAL, "no room publishes %u/%s; write %u/%s, which one does",
			w->publish.door_port, proto_text(w->publish.proto), other.door_port,
			proto_text(other.proto));
	else
		err_set(e, EINVAL,
			"no room publishes %u/%s; add it to publish of a [room] or "
			"take it out here",
			w->publish.door_port, proto_text(w->publish.proto));
	return place_wrap(&w->at, -EINVAL, e);
}

static int err_narrow_twice(const struct draft_word *first, const struct draft_word *second,
			    struct err *e)
{
	char where[PLACE_SIZE];

	err_set(e, EINVAL, "%u/%s stands in %s already; take one out", second->publish.door_port,
		proto_text(second->publish.proto), place_text(&first->at, where));
	return place_wrap(&second->at, -EINVAL, e);
}

static void answer(struct draft *d, const struct publish *p, size_t door)
{
	struct gate *g = &d->gate;
	struct publish *q = arena_push(d->a, g->publish, g->n_publish, g->cap_publish);

	*q = *p;
	q->door = door;
}

/* What the door says in the room's words; @s are the rooms' words by port. */
static int narrow_door(struct draft *d, size_t door, const struct draft_word *const *s,
		       struct err *e)
{
	/* For each of the rooms' words the one of this door that asked for it. */
	const struct draft_word **asked = arena_alloc(d->a, (d->n_words + 1) * sizeof(*asked));

	for (size_t i = 0; i < d->n_narrow; i++) {
		const struct draft_word *mine = &d->narrow[i], *w;

		if (mine->publish.door != door)
			continue;
		w = find_word(s, d->n_words, &mine->publish);
		if (!w)
			return err_unpublished(s, d->n_words, mine, e);
		if (asked[w - d->words])
			return err_narrow_twice(asked[w - d->words], mine, e);
		asked[w - d->words] = mine;
		answer(d, &w->publish, door);
	}
	return 0;
}

int draft_spread_ports(struct draft *d, struct err *e)
{
	const struct draft_word **s = sorted(d, d->words, d->n_words);
	int r = check_words(d, s, d->n_words, e);

	for (size_t door = 0; r == 0 && door < d->gate.n_doors; door++) {
		if (d->is_narrow[door]) {
			r = narrow_door(d, door, s, e);
			continue;
		}
		for (size_t i = 0; i < d->n_words; i++)
			answer(d, &d->words[i].publish, door);
	}
	return r;
}
