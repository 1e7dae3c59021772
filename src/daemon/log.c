/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void __attribute__((format(printf, 2, 0)))
say(const struct supervisor *s, const char *fmt, va_list ap)
{
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	fprintf(stderr, "sallyport: %s: %s\n", s->gate.name, text);
}

void sup_log(const struct supervisor *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(s, fmt, ap);
	va_end(ap);
}

void sup_repaired(struct supervisor *s, const char *fmt, ...)
{
	char text[1024];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	sup_log(s, "repaired: %s", text);
	if (!s->repairs)
		s->repairs = arena_alloc(&s->arena, sizeof(*s->repairs) * REPAIRS_KEPT);
	if (s->n_repairs == REPAIRS_KEPT) {
		free(s->repairs[0].what);
		memmove(s->repairs, s->repairs + 1, sizeof(*s->repairs) * (REPAIRS_KEPT - 1));
		s->n_repairs--;
	}
	s->repairs[s->n_repairs].when = clock_now();
	s->repairs[s->n_repairs++].what = strdup(text);
	s->n_repairs_ever++;
}
