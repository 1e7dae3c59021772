/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What attach makes right in a container is of no use to whom a firewall of the
 * host keeps from it.  Podman's ports beside Docker are such a case (see
 * daemon/forwarded.h), and so is every namespace behind a chain whose policy is
 * to drop.  It is told and not changed: the firewall is the host's.
 */
#include "daemon/attach.h"

#include "daemon/forwarded.h"
#include "daemon/observe.h"
#include "fib/lookup.h"
#include "plan/doors.h"
#include "sys/rtnl.h"

#include <stdio.h>

struct look {
	struct arena arena;
	const struct attach_target *target;
	struct snapshot host;
	struct fib *fib;
	struct forwarding firewalls;
	struct host published; /* its ports only, when they are asked for */
	bool has_published;
};

static int look_at(struct look *x, int netns_fd, struct snapshot *ret)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct err ignored;
	int r = rtnl_open(netns_fd, &rtnl, &ignored);

	return r < 0 ? r : rtnl_snapshot(rtnl, &x->arena, ret, &ignored);
}

/* By which link clients come, whoever they are: that of the default route. */
static const struct link *way_in(const struct look *x, sa_family_t family, struct ip *ret_client)
{
	static const struct ip any4 = { .family = AF_INET, .byte = { 192, 0, 2, 1 } };
	static const struct ip any6 = { .family = AF_INET6, .byte = { 0x20, 1, 0xd, 0xb8 } };
	struct flow flow = { .dst = family == AF_INET ? any4 : any6 };
	struct fib_result r;

	fib_lookup(x->fib, &flow, &r, NULL);
	if (r.verdict != FIB_UNICAST)
		return NULL;
	*ret_client = ip_is_none(&r.via) ? flow.dst : r.via;
	return snapshot_link_by_index(&x->host, r.link);
}

static const struct link *way_on(const struct look *x, const struct ip *to, const struct ip *client,
				 const struct link *in)
{
	const struct flow flow = { .dst = *to, .src = *client, .iif = in->index };
	struct fib_result r;

	fib_walk(x->fib, &flow, &r, NULL);
	return r.verdict == FIB_UNICAST ? snapshot_link_by_index(&x->host, r.link) : NULL;
}

/* "80/tcp, 80/udp" of those that lead to @to; "" if none does. */
static const char *ports_to(struct look *x, const struct ip *to)
{
	const char *list = "";
	struct err ignored;

	if (!x->has_published && host_observe(&x->arena, NULL, HOST_LINKS | HOST_CONTAINERS,
					      &x->published, NULL, &ignored) < 0)
		return "";
	x->has_published = true;
	for (size_t i = 0; i < x->published.n_ports; i++) {
		const struct container_port *p = &x->published.ports[i];

		if (ip_equal(&p->inside, to))
			list = arena_printf(&x->arena, "%s%s%u/%s", list, *list ? ", " : "",
					    p->port, p->proto == IPPROTO_UDP ? "udp" : "tcp");
	}
	return list;
}

static const char *dropped(struct look *x, const struct forwarded *f)
{
	const char *words;
	struct err ignored;

	return forwarding_check(&x->firewalls, f, &words, &ignored) == 0 ? words : NULL;
}

/*
 * A container is reached by what its engine publishes, and nobody expects more;
 * a namespace without an engine by its own address, too.
 */
static void tell_way(struct look *x, const struct forwarded *f)
{
	struct forwarded asked = *f;
	const char *words, *ports;

	asked.rewritten = true;
	words = dropped(x, &asked);
	if (!words)
		return;
	ports = ports_to(x, &f->to);
	if (*ports) {
		fprintf(stderr, "sallyport: %s: its port %s is cut off by a firewall: %s\n",
			x->target->label, ports, words);
		return;
	}
	words = x->target->path ? dropped(x, f) : NULL;
	if (words)
		fprintf(stderr,
			"sallyport: %s: from beyond this host it is cut off by a firewall: %s\n",
			x->target->label, words);
}

static void tell_address(struct look *x, const struct ip *to)
{
	struct forwarded f = { .to = *to, .fib = x->fib };
	const struct link *in = way_in(x, to->family, &f.client);
	const struct link *on = in ? way_on(x, to, &f.client, in) : NULL;

	if (!on || on == in)
		return;
	f.in = in->name;
	f.in_index = in->index;
	f.out = on->name;
	tell_way(x, &f);
	f.back = true;
	tell_way(x, &f);
}

static void tell_doors(struct look *x, const struct snapshot *inside)
{
	struct seen_doors doors;

	doors_find(&x->arena, inside, x->target->gateways, x->target->n_gateways, &doors);
	for (size_t i = 0; i < doors.n_lan; i++)
		for (size_t k = 0; k < inside->n_addresses; k++)
			if (door_has_address(&doors.lan[i], &inside->addresses[k]))
				tell_address(x, &inside->addresses[k].local);
}

void attach_tell_firewall(const struct attach_target *t)
{
	struct look x = { .target = t };
	struct snapshot inside = { 0 };
	struct err ignored;

	if (look_at(&x, t->fd, &inside) == 0 && look_at(&x, -1, &x.host) == 0 &&
	    forwarding_open(&x.arena, &x.firewalls, &ignored) == 0) {
		x.fib = fib_new(&x.arena, &x.host);
		tell_doors(&x, &inside);
	}
	forwarding_close(&x.firewalls);
	arena_free(&x.arena);
}
