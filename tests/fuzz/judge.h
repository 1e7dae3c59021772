/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FUZZ_JUDGE_H
#define TESTS_FUZZ_JUDGE_H

#include "base/text.h"
#include "plan/clash.h"
#include "wire/host_json.h"

#include <stdlib.h>
#include <string.h>

/* A host that a file tells of: asked for ways and foretold of, it must not bring anyone down. */

static inline void judge_flows(struct arena *a, const struct host *h)
{
	static const char *const places[] = { "10.0.0.1", "172.16.9.20", "2001:db8::9", "fe80::1" };
	const struct fib *fib = fib_new(a, &h->net);

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		struct fib_trace trace = { .arena = a };
		struct flow flow = { 0 };
		struct fib_result r;

		if (!ip_parse(places[i], &flow.dst))
			abort();
		fib_lookup(fib, &flow, &r, &trace);
		if (h->net.n_links)
			flow.iif = h->net.links[0].index;
		fib_lookup(fib, &flow, &r, &trace);
	}
}

static inline void judge_push(struct arena *a, const struct host *h)
{
	struct push_route routes[2] = { 0 };
	struct push push = { .link = "tun9", .routes = routes, .n_routes = 2 };
	struct clash_report report;
	struct clash_input in = clash_input_of(h);

	if (!prefix_parse("172.16.0.0/12", false, &routes[0].dst) ||
	    !prefix_parse("2000::/3", false, &routes[1].dst))
		abort();
	in.push = &push;
	clash_find(a, &in, &report);
}

/* What was read can be written, and read again to the letter. */
static inline void judge_writing(struct arena *a, const struct host *h)
{
	struct text t CLEANUP_TEXT = { 0 }, t2 CLEANUP_TEXT = { 0 };
	struct json_in j;
	struct host again;
	struct err e;

	host_json_write(&t, h);
	json_in_start(&j, a, "again", text_str(&t), t.len, &e);
	if (!host_json_read(&j, &again))
		abort();
	host_json_write(&t2, &again);
	if (!str_eq(text_str(&t), text_str(&t2)))
		abort();
}

static inline void judge(struct arena *a, struct host *h)
{
	judge_writing(a, h);
	host_bar_unknown(a, h);
	judge_flows(a, h);
	judge_push(a, h);
}

#endif
