/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/log.h"

#include "daemon/supervisor.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the first line waits for a reader that has fallen behind, in ms. */
#define READER_MS 200

/*
 * A pager, a terminal that was stopped with Ctrl-S, a logger that hangs: what they
 * do not take is lost, and not the repairs of the gate.  Of a pipe, what can be
 * written at all takes a line (PIPE_BUF).
 */
static bool is_read(void)
{
	static unsigned int lost;
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&p, 1, lost ? 0 : READER_MS) == 0) {
		lost++;
		return false;
	}
	if (lost)
		dprintf(STDERR_FILENO, "sallyport: %u lines were lost here: nobody read them\n",
			lost);
	lost = 0;
	return true;
}

void log_say_v(const char *who, const char *fmt, va_list ap)
{
	struct text shown CLEANUP_TEXT = { 0 };
	char text[2048];

	vsnprintf(text, sizeof(text), fmt, ap);
	text_add_shown(&shown, text);
	/* In one piece: others write there, too. */
	if (is_read())
		dprintf(STDERR_FILENO, "sallyport: %s%s%s\n", who ? who : "", who ? ": " : "",
			text_str(&shown));
}

void log_say(const char *who, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_say_v(who, fmt, ap);
	va_end(ap);
}

void log_repaired(struct repairs *r, const char *who, const char *fmt, va_list ap)
{
	char text[1024];

	vsnprintf(text, sizeof(text), fmt, ap);
	log_say(who, "repaired: %s", text);
	if (r->n == REPAIRS_KEPT) {
		free(r->last[0].what);
		memmove(r->last, r->last + 1, sizeof(*r->last) * --r->n);
	}
	r->last[r->n++] = (struct repair){ .when = clock_now(), .what = strdup(text) };
	r->ever++;
}

json_t *log_repairs_json(const struct repairs *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(list,
				      json_pack("{s:I, s:s}", "when", (json_int_t)r->last[i].when,
						"what", r->last[i].what));
	return list;
}

void sup_log(const struct supervisor *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_say_v(s->gate.name, fmt, ap);
	va_end(ap);
}

void sup_repaired(struct supervisor *s, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	log_repaired(&s->repairs, s->gate.name, fmt, ap);
	va_end(ap);
}
