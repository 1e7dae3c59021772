/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ip_json_reader.h"

#include "wire/ip_words.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <string.h>

struct ip_via {
	const char *family, *host;
};

struct ip_hop {
	const char *gateway, *dev;
	struct ip_via via;
	uint32_t weight;
	const char **flags;
	size_t n_flags;
};

struct ip_metrics {
	uint32_t mtu;
};

struct ip_route {
	const char *type, *dst, *from, *table, *protocol, *scope, *prefsrc, *tos, *pref;
	struct ip_hop hop;
	uint32_t metric, nexthop;
	struct ip_metrics *metrics;
	size_t n_metrics;
	struct ip_hop *hops;
	size_t n_hops;
};

static const struct field via_fields[] = {
	{ "family", FIELD_STRING, FIELD_AT(ip_via, family) },
	{ "host", FIELD_STRING, FIELD_AT(ip_via, host) },
};
static const struct record via_record = { sizeof(struct ip_via), via_fields, ARRAY_LEN(via_fields),
					  .other = ip_pass_over };

static const struct field hop_fields[] = {
	{ "gateway", FIELD_STRING, FIELD_AT(ip_hop, gateway) },
	{ "via", FIELD_OBJECT, FIELD_AT(ip_hop, via), FIELD_OF(via_record) },
	{ "dev", FIELD_STRING, FIELD_AT(ip_hop, dev) },
	{ "weight", FIELD_NUMBER, FIELD_AT(ip_hop, weight) },
	{ "flags", FIELD_LIST, FIELD_LISTED(ip_hop, flags, n_flags), FIELD_OF(ip_string_record) },
};
static const struct record hop_record = { sizeof(struct ip_hop), hop_fields, ARRAY_LEN(hop_fields),
					  .other = ip_pass_over };

static const struct field metrics_fields[] = { { "mtu", FIELD_NUMBER, FIELD_AT(ip_metrics, mtu) } };
static const struct record metrics_record = { sizeof(struct ip_metrics), metrics_fields,
					      ARRAY_LEN(metrics_fields), .other = ip_pass_over };

static const struct field route_fields[] = {
	{ "type", FIELD_WORD, FIELD_AT(ip_route, type) },
	{ "dst", FIELD_STRING, true, FIELD_AT(ip_route, dst) },
	{ "from", FIELD_STRING, FIELD_AT(ip_route, from) },
	{ "gateway", FIELD_STRING, FIELD_AT(ip_route, hop.gateway) },
	{ "via", FIELD_OBJECT, FIELD_AT(ip_route, hop.via), FIELD_OF(via_record) },
	{ "dev", FIELD_STRING, FIELD_AT(ip_route, hop.dev) },
	{ "flags", FIELD_LIST, FIELD_LISTED(ip_route, hop.flags, hop.n_flags),
	  FIELD_OF(ip_string_record) },
	{ "table", FIELD_WORD, FIELD_AT(ip_route, table) },
	{ "protocol", FIELD_WORD, FIELD_AT(ip_route, protocol) },
	{ "scope", FIELD_WORD, FIELD_AT(ip_route, scope) },
	{ "prefsrc", FIELD_STRING, FIELD_AT(ip_route, prefsrc) },
	{ "tos", FIELD_WORD, FIELD_AT(ip_route, tos) },
	{ "pref", FIELD_WORD, FIELD_AT(ip_route, pref) },
	{ "metric", FIELD_NUMBER, FIELD_AT(ip_route, metric) },
	{ "nhid", FIELD_NUMBER, FIELD_AT(ip_route, nexthop) },
	{ "metrics", FIELD_LIST, FIELD_LISTED(ip_route, metrics, n_metrics),
	  FIELD_OF(metrics_record) },
	{ "nexthops", FIELD_LIST, FIELD_LISTED(ip_route, hops, n_hops), FIELD_OF(hop_record) },
};
static const struct record route_record = { sizeof(struct ip_route), route_fields,
					    ARRAY_LEN(route_fields), .other = ip_pass_over };

static bool take_hop(struct ip_reader *r, const struct ip_hop *from, struct hop *ret)
{
	struct json_in *j = r->j;
	const char *via = *from->gateway ? from->gateway : from->via.host ? from->via.host : "";
	const struct link *l;
	uint32_t flag;

	*ret = (struct hop){ .weight = from->weight ? from->weight : 1 };
	if (*via && !ip_read_ip(j, via, &ret->via))
		return false;
	if (*from->dev) {
		l = ip_link_called(r, from->dev);
		if (!l)
			return json_in_fail(j, "link \"%s\" is not in what `ip addr` printed",
					    json_in_quote(j, from->dev));
		ret->link = l->index;
	}
	for (size_t i = 0; i < from->n_flags; i++)
		if (ip_word(&ip_hop_flags, from->flags[i], &flag))
			ret->flags |= (uint8_t)flag;
	return true;
}

static bool take_hops(struct ip_reader *r, const struct ip_route *from, struct route *ret)
{
	size_t n = from->n_hops;
	bool alone = !n && (*from->hop.dev || *from->hop.gateway || from->hop.via.host);

	/* As the kernel tells refusals (rtnl_decode.h). */
	if (ret->type == RTN_UNREACHABLE || ret->type == RTN_PROHIBIT ||
	    ret->type == RTN_BLACKHOLE || ret->type == RTN_THROW)
		return true;
	ret->n_hops = alone ? 1 : n;
	ret->hops = ret->n_hops ? arena_alloc(r->a, ret->n_hops * sizeof(*ret->hops)) : NULL;
	if (alone)
		return take_hop(r, &from->hop, &ret->hops[0]);
	for (size_t i = 0; i < n; i++)
		if (!take_hop(r, &from->hops[i], &ret->hops[i]))
			return false;
	return true;
}

/* The family of what is written as an address; 0 of "default" and the like. */
static sa_family_t family_of(const char *word)
{
	return strchr(word, ':') ? AF_INET6 : strchr(word, '.') ? AF_INET : 0;
}

static sa_family_t route_family(const struct ip_route *r)
{
	if (family_of(r->dst))
		return family_of(r->dst);
	if (*r->pref || family_of(r->from) == AF_INET6 || family_of(r->prefsrc) == AF_INET6)
		return AF_INET6;
	return AF_INET;
}

static bool read_prefix(struct json_in *j, const char *word, sa_family_t family, struct prefix *ret)
{
	if (str_eq(word, "default") || str_eq(word, "all")) {
		*ret = (struct prefix){ .ip.family = family };
		return true;
	}
	if (!prefix_parse(word, false, ret))
		return json_in_fail(j, "\"%s\" is no prefix", json_in_quote(j, word));
	return ret->ip.family == family || json_in_fail(j, "addresses of both families in one");
}

struct route_words {
	uint32_t type, table, protocol, scope, tos, pref;
};

static bool read_words(struct json_in *j, const struct ip_route *from, struct route_words *w)
{
	*w = (struct route_words){ .type = RTN_UNICAST,
				   .table = RT_TABLE_MAIN,
				   .protocol = RTPROT_BOOT };
	if ((*from->type && !ip_read_number(j, &ip_types, "type", from->type, &w->type)) ||
	    (*from->table && !ip_read_number(j, &ip_tables, "table", from->table, &w->table)) ||
	    (*from->scope && !ip_read_number(j, &ip_scopes, "scope", from->scope, &w->scope)) ||
	    (*from->tos && !ip_read_number(j, &ip_tos, "tos", from->tos, &w->tos)) ||
	    (*from->pref && !ip_read_number(j, &ip_prefs, "pref", from->pref, &w->pref)))
		return false;
	/* Who made it decides nothing; a name of that host alone is not worth an error. */
	if (*from->protocol && !ip_word(&ip_protocols, from->protocol, &w->protocol))
		w->protocol = RTPROT_UNSPEC;
	return (w->type <= UINT8_MAX && w->scope <= UINT8_MAX && w->tos <= UINT8_MAX &&
		w->pref <= UINT8_MAX && w->protocol <= UINT8_MAX) ||
	       json_in_fail(j, "a number too large for type, scope, tos, pref or protocol");
}

static bool take_route(struct ip_reader *r, const void *item)
{
	const struct ip_route *from = item;
	struct snapshot *net = &r->h->net;
	struct route route = { .family = route_family(from),
			       .metric = from->metric,
			       .nexthop_id = from->nexthop,
			       .mtu = from->n_metrics ? from->metrics[0].mtu : 0 };
	struct route_words w;
	uint32_t flag;

	if (!read_prefix(r->j, from->dst, route.family, &route.dst) ||
	    (*from->from && !read_prefix(r->j, from->from, route.family, &route.src)) ||
	    (*from->prefsrc && !ip_read_ip(r->j, from->prefsrc, &route.prefsrc)) ||
	    !read_words(r->j, from, &w))
		return false;
	if (route.prefsrc.family && route.prefsrc.family != route.family)
		return json_in_fail(r->j, "addresses of both families in one");
	if (!route.src.len)
		route.src = (struct prefix){ 0 };
	route.type = (uint8_t)w.type;
	route.table = w.table;
	route.protocol = (uint8_t)w.protocol;
	route.scope = (uint8_t)w.scope;
	route.tos = (uint8_t)w.tos;
	route.pref = (uint8_t)w.pref;
	for (size_t i = 0; i < from->hop.n_flags; i++)
		if (ip_word(&ip_route_flags, from->hop.flags[i], &flag))
			route.flags |= flag;
	if (!take_hops(r, from, &route))
		return false;
	for (size_t i = 0; i < route.n_hops; i++)
		if (route.family == AF_INET6 && route.hops[i].via.family == AF_INET)
			return json_in_fail(r->j, "an IPv6 route by an IPv4 gateway");
	*arena_push(r->a, net->routes, net->n_routes, net->cap_routes) = route;
	return true;
}

const struct ip_kind ip_routes = { &route_record, take_route };

static bool same_route(const struct route *a, const struct route *b)
{
	return a->table == b->table && a->type == b->type && a->metric == b->metric &&
	       a->tos == b->tos && prefix_equal(&a->dst, &b->dst) &&
	       prefix_equal(&a->src, &b->src) && snapshot_same_hops(a, b);
}

static size_t next_of(const struct snapshot *net, size_t at, sa_family_t family)
{
	while (at < net->n_routes && net->routes[at].family != family)
		at++;
	return at;
}

/* Are the routes of @family in the two lists the same, one by one? */
static bool same_routes(const struct snapshot *x, const struct snapshot *y, sa_family_t family)
{
	size_t i = 0, j = 0;

	for (;; i++, j++) {
		i = next_of(x, i, family);
		j = next_of(y, j, family);
		if (i == x->n_routes || j == y->n_routes)
			return i == x->n_routes && j == y->n_routes;
		if (!same_route(&x->routes[i], &y->routes[j]))
			return false;
	}
}

/*
 * `ip route show table all` prints both families, so with `ip -6 route` behind
 * it one comes twice.  The second one goes, if it is the same.
 */
static bool merge_routes(struct ip_reader *r, const struct snapshot *before)
{
	struct snapshot *net = &r->h->net;
	struct snapshot fresh = { .routes = net->routes + before->n_routes,
				  .n_routes = net->n_routes - before->n_routes };
	bool had[2] = { r->has_routes[0], r->has_routes[1] };

	for (int v6 = 0; v6 < 2; v6++) {
		sa_family_t family = v6 ? AF_INET6 : AF_INET;

		if (next_of(&fresh, 0, family) == fresh.n_routes)
			continue;
		r->has_routes[v6] = true;
		if (had[v6] && !same_routes(before, &fresh, family))
			return json_in_fail(r->j,
					    "the IPv%d routes in this list are others than those "
					    "in front of it: take them once, with "
					    "`ip -j route show table all`",
					    v6 ? 6 : 4);
	}
	net->n_routes = before->n_routes;
	for (size_t i = 0; i < fresh.n_routes; i++)
		if (!had[fresh.routes[i].family == AF_INET6])
			net->routes[net->n_routes++] = fresh.routes[i];
	return true;
}

bool ip_read_routes(struct ip_reader *r)
{
	const struct snapshot before = r->h->net;

	return ip_read_items(r, &ip_routes) && merge_routes(r, &before);
}

int ip_check_tables(struct ip_reader *r, const char *file, struct err *e)
{
	const struct snapshot *net = &r->h->net;

	for (int v6 = 0; v6 < 2; v6++) {
		sa_family_t family = v6 ? AF_INET6 : AF_INET;
		bool up = false, local = false;

		for (size_t i = 0; i < net->n_addresses; i++) {
			const struct link *l = snapshot_link_by_index(net, net->addresses[i].link);

			up |= net->addresses[i].local.family == family && l && l->flags & IFF_UP &&
			      !(net->addresses[i].flags & IFA_F_TENTATIVE);
		}
		for (size_t i = 0; i < net->n_routes; i++)
			local |= net->routes[i].family == family &&
				 net->routes[i].type == RTN_LOCAL;
		if (r->has_routes[v6] && up && !local)
			return err_set(e, EINVAL,
				       "%s: the IPv%d routes are not all: no table \"local\" is "
				       "among them; take them with `ip -j route show table all`",
				       file, v6 ? 6 : 4);
		if (r->has_routes[v6])
			r->h->parts |= v6 ? HOST_ROUTES6 : HOST_ROUTES4;
	}
	return 0;
}
