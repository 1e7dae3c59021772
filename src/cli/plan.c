/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "ui/plan_text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

/* Beside the plan, which has them: they may come later. */
static void tell_absent(struct supervisor *s, const struct snapshot *host)
{
	const struct ip *absent;
	size_t n = listen_absent(&s->arena, &s->gate, host, &absent);
	char text[IP_TEXT_SIZE];

	for (size_t i = 0; i < n; i++)
		cli_fail(0, LISTEN_ABSENT, ip_text(&absent[i], text));
}

/* The interfaces and routes of this host as it is, without a supervisor's handles. */
static int look_at_host(struct supervisor *s, struct snapshot *ret, struct err *e)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	int r = rtnl_open(-1, &rtnl, e);

	return r < 0 ? r : rtnl_snapshot(rtnl, &s->arena, ret, e);
}

int cli_print_plan(struct supervisor *s, struct err *e)
{
	struct arena *a = &s->arena;
	struct text t CLEANUP_TEXT = { 0 };
	struct snapshot host = { 0 };
	struct want *wants;
	size_t n = 0;
	const char *link = plan_host_link(a, &s->gate);
	int r = look_at_host(s, &host, e);

	if (r < 0)
		return r;
	if (!slot_find(&host, link, &s->slot) &&
	    !slot_choose(s->gate.name, link, &host, NULL, &s->slot))
		return err_set(e, EADDRINUSE, "no free address range for the gate's links");
	s->ipv6 = true;
	for (size_t i = 1; i < s->gate.n_doors; i++)
		snprintf(s->doors[i].interface, sizeof(s->doors[i].interface), "%s",
			 s->gate.doors[i].name);
	plan_text_namespaces(&t, &s->gate, a);
	wants = arena_alloc(a, sizeof(*wants) * (s->gate.n_rooms + 2));
	sup_want(s, a, &(struct place){ .kind = PLACE_GATE }, &host, &wants[n++]);
	sup_want(s, a, &(struct place){ .kind = PLACE_HOST }, &host, &wants[n]);
	before_note(s, a, &wants[n]);
	sup_want(s, a, &(struct place){ .kind = PLACE_HOST }, &host, &wants[n++]);
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		sup_want(s, a, &(struct place){ .kind = PLACE_ROOM, .room = i }, &host,
			 &wants[n++]);
	/* In gate and rooms first: an interface has what "default" says when it comes. */
	for (size_t i = 0; i < n; i++)
		if (i != 1)
			plan_text_guard(&t, &wants[i]);
	plan_text_links(&t, &wants[1]);
	for (size_t i = 0; i < n; i++)
		if (i != 1)
			plan_text_links(&t, &wants[i]);
	for (size_t i = 0; i < n; i++)
		plan_text_routes(&t, &wants[i]);
	plan_text_guard(&t, &wants[1]);
	tell_absent(s, &host);
	fputs(text_str(&t), stdout);
	return 0;
}
