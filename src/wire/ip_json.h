/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_IP_JSON_H
#define WIRE_IP_JSON_H

#include "base/err.h"
#include "model/host.h"

/*
 * What ip(8) prints with -j, of a host where nothing of ours is:
 *
 *	ip -d -j addr
 *	ip -j route show table all
 *	ip -j rule; ip -j -6 rule
 *
 * in any order, with -d or without, one behind the other in one text or in
 * several.  What that does not tell is not guessed: the host's parts say what
 * is there, and rules whose selectors ip(8) shows by keys that are not known
 * here carry their names in rule->unknown.
 */
struct ip_text {
	const char *file; /* for messages */
	const char *text;
	size_t size;
};

/* -EINVAL with file, line and column if it is something else. */
int ip_json_read(struct arena *a, const struct ip_text *texts, size_t n, struct host *ret,
		 struct err *e) MUST_USE;

#endif
