/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/want_add.h"

#include <linux/rtnetlink.h>

struct prefix want_everything(sa_family_t family)
{
	return (struct prefix){ .ip.family = family };
}

struct want_link *want_add_link(struct arena *a, struct want *w, const char *name)
{
	struct want_link *l = arena_push(a, w->links, w->n_links, w->cap_links);

	l->name = name;
	l->up = true;
	return l;
}

struct want_address *want_add_address(struct arena *a, struct want *w, const char *link,
				      struct ip ip, uint8_t scope)
{
	struct want_address *x = arena_push(a, w->addresses, w->n_addresses, w->cap_addresses);

	*x = (struct want_address){ .link = link, .local = ip, .scope = scope };
	/* Of a network the kernel makes an address for any router of it, where it forwards. */
	x->len = (uint8_t)ip_bits(ip.family);
	return x;
}

struct want_route *want_add_route(struct arena *a, struct want *w, uint32_t table,
				  struct prefix dst, const char *link, struct ip via)
{
	struct want_route *r = arena_push(a, w->routes, w->n_routes, w->cap_routes);

	*r = (struct want_route){ .family = dst.ip.family,
				  .type = RTN_UNICAST,
				  .table = table,
				  .dst = dst,
				  .link = link,
				  .via = via };
	r->metric = r->family == AF_INET6 ? WANT_METRIC6 : 0;
	r->onlink = !ip_is_none(&via) && r->family == AF_INET;
	r->scope = r->family == AF_INET && ip_is_none(&via) ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
	return r;
}

void want_add_floor(struct arena *a, struct want *w, uint32_t table, sa_family_t family)
{
	struct want_route *r = arena_push(a, w->routes, w->n_routes, w->cap_routes);

	*r = (struct want_route){ .family = family,
				  .type = RTN_UNREACHABLE,
				  .table = table,
				  .dst = want_everything(family),
				  .metric = WANT_FLOOR };
}

struct want_rule *want_add_rule(struct arena *a, struct want *w, sa_family_t family, uint32_t table)
{
	struct want_rule *r = arena_push(a, w->rules, w->n_rules, w->cap_rules);

	*r = (struct want_rule){ .family = family, .table = table, .suppress_len = -1 };
	return r;
}

struct want_sysctl *want_add_sysctl(struct arena *a, struct want *w, const char *path,
				    const char *value)
{
	struct want_sysctl *s = arena_push(a, w->sysctls, w->n_sysctls, w->cap_sysctls);

	*s = (struct want_sysctl){ .path = path, .value = value };
	return s;
}
