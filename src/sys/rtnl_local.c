/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's own routes of addresses.  It makes them with an address and never looks at
 * them again: `ip route flush table all` takes them, and from then on nobody is answered
 * who asks for the address, by ARP not either.  Of IPv4 they can be set as the kernel
 * does (fib_add_ifaddr()); of IPv6 it keeps hold of the one it made, so the address is
 * taken away and given once more.
 */
#include "sys/rtnl.h"

#include "plan/prefixes.h"
#include "sys/rtnl_sock.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#define METRIC_MULTICAST 256u /* IP6_RT_PRIO_ADDRCONF */

struct locals {
	struct rtnl *rt;
	const struct snapshot *now;
	struct text *words;
	struct err *e;
};

static bool has_local(const struct snapshot *s, uint8_t type, const struct prefix *dst, int link)
{
	for (size_t i = 0; i < s->n_routes; i++) {
		const struct route *r = &s->routes[i];

		if (r->table == RT_TABLE_LOCAL && r->type == type && prefix_equal(&r->dst, dst) &&
		    r->n_hops == 1 && r->hops[0].link == link)
			return true;
	}
	return false;
}

static void tell(struct locals *x, const struct prefix *dst, int link)
{
	const struct link *l = snapshot_link_by_index(x->now, link);
	char text[PREFIX_TEXT_SIZE];

	text_addf(x->words, "%slocal route %s on %s", x->words->len ? ", " : "",
		  prefix_text(dst, text), l ? l->name : "");
}

static int add_route(struct locals *x, uint8_t type, struct prefix dst, int link,
		     const struct ip *from, uint32_t metric)
{
	struct hop hop = { .link = link, .weight = 1 };
	struct route r = { .family = dst.ip.family,
			   .type = type,
			   .scope = type == RTN_LOCAL ? RT_SCOPE_HOST : RT_SCOPE_LINK,
			   .protocol = RTPROT_KERNEL,
			   .table = RT_TABLE_LOCAL,
			   .metric = metric,
			   .dst = dst,
			   .hops = &hop,
			   .n_hops = 1 };
	struct rtnl_message m;
	int status;

	if (from)
		r.prefsrc = *from;
	if (has_local(x->now, type, &dst, link))
		return 0;
	status = rtnl_talk(x->rt, rtnl_encode_route(&m, RTM_NEWROUTE, &r), NLM_F_CREATE, NULL, NULL,
			   x->e);
	if (status < 0 && status != -EEXIST)
		return status;
	tell(x, &dst, link);
	return 0;
}

/* As fib_add_ifaddr(): the address, and the last of its network for everybody in it. */
static int give_back4(struct locals *x, const struct address *a, bool loopback)
{
	const struct prefix net = prefix_of(&a->local, a->len);
	struct ip last = prefix_last(&net);
	int r = add_route(x, RTN_LOCAL, prefix_host(&a->local), a->link, &a->local, 0);

	if (r == 0 && loopback)
		r = add_route(x, RTN_LOCAL, net, a->link, &a->local, 0);
	if (r == 0 && a->len < 31 && ip_is_none(&a->peer))
		r = add_route(x, RTN_BROADCAST, prefix_host(&last), a->link, &a->local, 0);
	return r;
}

static int give_back6(struct locals *x, const struct address *a)
{
	struct prefix host = prefix_host(&a->local);
	struct rtnl_message m;
	int r;

	/* While the kernel asks whether somebody else has it there is no route yet. */
	if ((a->flags & IFA_F_TENTATIVE) || has_local(x->now, RTN_LOCAL, &host, a->link))
		return 0;
	r = rtnl_talk(x->rt, rtnl_encode_address(&m, RTM_DELADDR, a), 0, NULL, NULL, x->e);
	if (r == 0 || r == -EADDRNOTAVAIL)
		r = rtnl_talk(x->rt, rtnl_encode_address(&m, RTM_NEWADDR, a),
			      NLM_F_CREATE | NLM_F_EXCL, NULL, NULL, x->e);
	if (r < 0 && r != -EEXIST)
		return r;
	tell(x, &host, a->link);
	return 0;
}

/* By which questions for the hardware address come in. */
static int give_back_multicast(struct locals *x, int link)
{
	const struct prefix all = { .ip = { .family = AF_INET6, .byte = { 0xff } }, .len = 8 };

	return add_route(x, RTN_MULTICAST, all, link, NULL, METRIC_MULTICAST);
}

static int give_back(struct locals *x, const struct address *a, const struct link *l)
{
	bool loopback = l->flags & IFF_LOOPBACK;
	int r;

	if (a->local.family == AF_INET)
		return give_back4(x, a, loopback);
	r = give_back6(x, a);
	return r < 0 || loopback ? r : give_back_multicast(x, a->link);
}

int rtnl_locals_put_back(struct rtnl *r, const struct snapshot *now, struct text *words,
			 struct err *e)
{
	struct locals x = { .rt = r, .now = now, .words = words, .e = e };
	int status = 0;

	for (size_t i = 0; status == 0 && i < now->n_addresses; i++) {
		const struct address *a = &now->addresses[i];
		const struct link *l = snapshot_link_by_index(now, a->link);

		if (!l || !(l->flags & IFF_UP))
			continue;
		status = give_back(&x, a, l);
		if (status == -ENODEV || status == -EADDRNOTAVAIL) /* it has just gone */
			status = 0;
	}
	return err_wrap(e, status, "local routes");
}
