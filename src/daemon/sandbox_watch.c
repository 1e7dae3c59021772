/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What changes in an engine's sandbox.  Links and rules are not listened to: what
 * happens to the sandbox's link is told of its other end, in the gate.
 */
#include "daemon/supervisor.h"

#include <stdlib.h>

struct sandbox_watch {
	struct supervisor *sup;
	struct rtnl_watch *rtnl;
	struct loop_source source;
	bool changed;
};

/* In a moment: an engine that takes something away mostly puts something in its place. */
static void sandbox_changed(struct loop_source *source, uint32_t events)
{
	struct sandbox_watch *w = source->ctx;
	struct rtnl_news ignored;
	struct err e;

	(void)events;
	if (rtnl_watch_read(w->rtnl, &ignored, &e) < 0)
		sup_log(w->sup, "%s", e.text);
	w->changed = true;
	reconcile_later(w->sup);
}

int sandbox_watch_open(struct supervisor *s, int netns_fd, struct sandbox_watch **ret,
		       struct err *e)
{
	struct sandbox_watch *w;
	int r;

	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->sup = s;
	w->source = (struct loop_source){ .ready = sandbox_changed, .ctx = w, .fd = -1 };
	w->changed = true;
	r = rtnl_watch_open_addresses(netns_fd, &w->rtnl, e);
	if (r == 0)
		r = loop_add(&s->loop, &w->source, rtnl_watch_fd(w->rtnl), e);
	if (r < 0)
		sandbox_watch_close(&w);
	else
		*ret = w;
	return r;
}

bool sandbox_watch_take(struct sandbox_watch *w)
{
	bool changed = w->changed;

	w->changed = false;
	return changed;
}

void sandbox_watch_close(struct sandbox_watch **w)
{
	if (*w) {
		loop_remove(&(*w)->sup->loop, &(*w)->source);
		rtnl_watch_close(&(*w)->rtnl);
		free(*w);
	}
	*w = NULL;
}
