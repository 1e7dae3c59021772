/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ui/status.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static const char *member(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

static long long number(const json_t *object, const char *key)
{
	return (long long)json_integer_value(json_object_get(object, key));
}

/* As many digits as six ints may have, as far as gcc can tell. */
#define WHEN_SIZE 80

/* Seconds since 1970 as UTC, "-" for 0. */
static const char *when_text(long long seconds, char buf[WHEN_SIZE])
{
	time_t t = (time_t)seconds;
	struct tm tm;

	if (!seconds || !gmtime_r(&t, &tm))
		return "-";
	/* Not strftime(3): it looks at TZ and the file that TZ names. */
	snprintf(buf, WHEN_SIZE, "%04d-%02d-%02d %02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	return buf;
}

static const char *size_text(long long bytes, char buf[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	double value = (double)bytes;
	size_t unit = 0;

	while (value >= 1024 && unit + 1 < ARRAY_LEN(units)) {
		value /= 1024;
		unit++;
	}
	snprintf(buf, 32, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
	return buf;
}

static void door_text(struct text *t, const json_t *door)
{
	char since[WHEN_SIZE], in[32], out[32];
	const json_t *list = json_object_get(door, "addresses");
	struct text where CLEANUP_TEXT = { 0 };
	json_t *ip;
	size_t i;

	json_array_foreach(list, i, ip)
		text_addf(&where, "%s%s", i ? " " : "", json_string_value(ip));
	text_addf(t, "  %-15s %-10s %-11s %-20s %10s in %10s out%s%s\n", member(door, "name"),
		  member(door, "kind"), member(door, "state"),
		  when_text(number(door, "since"), since), size_text(number(door, "bytes_in"), in),
		  size_text(number(door, "bytes_out"), out), where.len ? "  " : "",
		  text_str(&where));
}

static void port_text(struct text *t, const json_t *port)
{
	const char *container = member(port, "container");
	const char *room = *container ? container : member(port, "room");
	const char *address = member(port, "address");

	text_addf(t, "  %-15s %5lld/%s%s%s -> %s at %s port %lld\n", member(port, "door"),
		  number(port, "port"), member(port, "proto"), *address ? " of " : "", address,
		  *room ? room : "the room", member(port, "room_address"),
		  number(port, "room_port"));
}

static void list_text(struct text *t, const json_t *gate, const char *key, const char *title,
		      void (*one)(struct text *t, const json_t *item))
{
	const json_t *list = json_object_get(gate, key);
	json_t *item;
	size_t i;

	if (!json_array_size(list))
		return;
	text_addf(t, " %s\n", title);
	json_array_foreach(list, i, item) one(t, item);
}

static void repair_text(struct text *t, const json_t *repair)
{
	char when[WHEN_SIZE];

	text_addf(t, "  %s  %s\n", when_text(number(repair, "when"), when), member(repair, "what"));
}

void status_text(struct text *t, const json_t *gates)
{
	json_t *gate;
	size_t i;

	if (!json_array_size(gates))
		text_add(t, "no gate is up\n");
	json_array_foreach(gates, i, gate)
	{
		text_addf(t, "%sgate %s: %s", i ? "\n" : "", member(gate, "name"),
			  member(gate, "state"));
		if (number(gate, "supervisor_pid"))
			text_addf(t, " (supervisor %lld)", number(gate, "supervisor_pid"));
		text_addf(t, "%s%s\n", *member(gate, "hint") ? ": " : "", member(gate, "hint"));
		if (*member(gate, "trouble"))
			text_addf(t, " trouble\n  %s\n", member(gate, "trouble"));
		list_text(t, gate, "doors", "doors", door_text);
		list_text(t, gate, "ports", "published", port_text);
		list_text(t, gate, "repairs", "repairs", repair_text);
	}
}
