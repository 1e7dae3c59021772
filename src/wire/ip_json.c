/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ip(8) names links, not their indices, and shows neither the family of a rule
 * nor that of a default route.  So the texts are read twice, links first, and
 *
 *  - a route is IPv6 if an address in it is, or if it has a "pref", which the
 *    kernel gives every IPv6 route (rt6_fill_node()) and no other;
 *  - a list of rules is of the family of the addresses in it, and the other
 *    list then of the other family.  Without an address the one that has rule
 *    32767, which only IPv4 is born with, is IPv4's; and of two that tell
 *    nothing the first, as the manual asks for them.
 *
 * What is absent has the value for which ip(8) leaves it out (iproute.c,
 * iprule.c, ipaddress.c of iproute2).
 */
#include "wire/ip_json.h"

#include "wire/ip_words.h"
#include "wire/record.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Items between two clearings of what was read on the way. */
#define ITEMS_A_TIME 1024

#define PRIORITY_DEFAULT 32767

enum kind { NOTHING, LINKS, ROUTES, RULES };

struct rules {
	struct rule *items;
	size_t n, cap;
	sa_family_t family; /* 0: not known yet */
	bool has_default; /* the rule of IPv4 that IPv6 is born without */
	size_t at; /* where the list begins in its text */
	const struct ip_text *text;
};

/* Of one link; "" for none. */
struct names {
	const char *peer, *master;
};

struct reader {
	struct arena *a;
	struct arena brief; /* for one item */
	struct json_in *j;
	struct host *h;
	struct names *names; /* one for each link */
	size_t n_names, cap_names;
	const struct link **by_name; /* all links, in order of name */
	struct rules rules[2];
	size_t n_rules;
	bool has_routes[2]; /* IPv4, IPv6 */
};

static void pass_over(void *item, const char *key)
{
	(void)item;
	(void)key;
}

static const struct field string_fields[] = { { NULL, FIELD_STRING,
						.size = sizeof(const char *) } };
static const struct record string_record = { sizeof(const char *), string_fields,
					     ARRAY_LEN(string_fields) };

/* A word that must mean a number; @what it is, for the message. */
static bool number_of(struct json_in *j, const struct ip_words *words, const char *what,
		      const char *word, uint32_t *ret)
{
	if (ip_word(words, word, ret))
		return true;
	return json_in_fail(j,
			    "%s \"%s\" is a name that only that host knows; `ip -N` prints numbers",
			    what, json_in_quote(j, word));
}

/* --- links and addresses --------------------------------------------------------- */

struct ip_address {
	const char *family, *local, *address, *scope, *unknown_flags;
	uint32_t len, metric;
	uint32_t flags; /* IFA_F_* that have a key of their own */
	bool dynamic;
};

struct ip_link {
	int index;
	int link_index;
	const char *name, *alias, *link, *master, *group, *type, *mac;
	const char **flags;
	size_t n_flags;
	uint32_t mtu;
	struct {
		const char *kind;
	} info;
	bool detailed, has_addresses;
	struct ip_address *addresses;
	size_t n_addresses;
};

static void note_flag(void *item, const char *key)
{
	struct ip_address *a = item;
	uint32_t flag;

	if (ip_word(&ip_address_flags, key, &flag))
		a->flags |= flag;
}

static const struct field address_fields[] = {
	{ "family", FIELD_STRING, FIELD_AT(ip_address, family) },
	{ "local", FIELD_STRING, FIELD_AT(ip_address, local) },
	{ "address", FIELD_STRING, FIELD_AT(ip_address, address) },
	{ "prefixlen", FIELD_NUMBER, FIELD_AT(ip_address, len) },
	{ "metric", FIELD_NUMBER, FIELD_AT(ip_address, metric) },
	{ "scope", FIELD_WORD, FIELD_AT(ip_address, scope) },
	{ "dynamic", FIELD_BOOL, FIELD_AT(ip_address, dynamic) },
	{ "ifa_flags", FIELD_WORD, FIELD_AT(ip_address, unknown_flags) },
};
static const struct record address_record = { sizeof(struct ip_address), address_fields,
					      ARRAY_LEN(address_fields), .other = note_flag };

static const struct field info_fields[] = { { "info_kind", FIELD_STRING,
					      .size = sizeof(const char *) } };
static const struct record info_record = { sizeof(const char *), info_fields,
					   ARRAY_LEN(info_fields), .other = pass_over };

static const struct field link_fields[] = {
	{ "ifindex", FIELD_INT, FIELD_AT(ip_link, index) },
	{ "ifname", FIELD_STRING, FIELD_AT(ip_link, name) },
	{ "flags", FIELD_LIST, FIELD_LISTED(ip_link, flags, n_flags), FIELD_OF(string_record) },
	{ "mtu", FIELD_NUMBER, FIELD_AT(ip_link, mtu) },
	{ "group", FIELD_WORD, FIELD_AT(ip_link, group) },
	{ "link", FIELD_STRING, FIELD_AT(ip_link, link) },
	{ "link_index", FIELD_INT, FIELD_AT(ip_link, link_index) },
	{ "master", FIELD_STRING, FIELD_AT(ip_link, master) },
	{ "link_type", FIELD_STRING, FIELD_AT(ip_link, type) },
	{ "address", FIELD_STRING, FIELD_AT(ip_link, mac) },
	{ "ifalias", FIELD_STRING, FIELD_AT(ip_link, alias) },
	{ "linkinfo", FIELD_OBJECT, FIELD_AT(ip_link, info), FIELD_OF(info_record) },
	{ "promiscuity", FIELD_NULL, FIELD_AT(ip_link, detailed) },
	{ "addr_info", FIELD_LIST, FIELD_LISTED(ip_link, addresses, n_addresses),
	  FIELD_HAS(ip_link, has_addresses), FIELD_OF(address_record) },
};
static const struct record link_record = { sizeof(struct ip_link), link_fields,
					   ARRAY_LEN(link_fields), .other = pass_over };

static bool copy_name(struct json_in *j, const char *what, const char *from, char *to, size_t size)
{
	if (strlen(from) >= size)
		return json_in_fail(j, "%s \"%s\" is longer than %zu bytes", what,
				    json_in_quote(j, from), size - 1);
	strcpy(to, from);
	return true;
}

static bool read_flags(struct json_in *j, const struct ip_link *from, struct link *l)
{
	bool carrier = true;
	uint32_t flag;

	for (size_t i = 0; i < from->n_flags; i++) {
		if (str_eq(from->flags[i], "NO-CARRIER"))
			carrier = false;
		else if (str_eq(from->flags[i], "M-DOWN"))
			continue;
		else if (!number_of(j, &ip_link_flags, "flag", from->flags[i], &flag))
			return false;
		else
			l->flags |= flag;
	}
	/* ip(8) says NO-CARRIER instead of showing IFF_RUNNING. */
	if (l->flags & IFF_UP && carrier)
		l->flags |= IFF_RUNNING;
	return true;
}

static bool mac_of(const char *s, uint8_t ret[6])
{
	for (int i = 0; i < 6; i++, s += 3) {
		static const char digits[] = "0123456789abcdef";
		const char *high = *s ? strchr(digits, s[0]) : NULL;
		const char *low = high && s[1] ? strchr(digits, s[1]) : NULL;

		if (!low || s[2] != (i < 5 ? ':' : 0))
			return false;
		ret[i] = (uint8_t)((high - digits) << 4 | (low - digits));
	}
	return true;
}

static bool take_address(struct reader *r, const struct ip_address *from, int link)
{
	struct json_in *j = r->j;
	struct address a = { .link = link, .metric = from->metric, .flags = from->flags };
	uint32_t scope = RT_SCOPE_UNIVERSE, more;

	if (!str_eq(from->family, "inet") && !str_eq(from->family, "inet6"))
		return true;
	if (!ip_parse(from->local, &a.local))
		return json_in_fail(j, "\"%s\" is no address", json_in_quote(j, from->local));
	if (*from->address && !ip_parse(from->address, &a.peer))
		return json_in_fail(j, "\"%s\" is no address", json_in_quote(j, from->address));
	if (a.peer.family && a.peer.family != a.local.family)
		return json_in_fail(j, "the peer's address is of the other family");
	if (from->len > ip_bits(a.local.family))
		return json_in_fail(j, "a prefix longer than the address");
	if (*from->scope && !number_of(j, &ip_scopes, "scope", from->scope, &scope))
		return false;
	if (*from->unknown_flags && ip_number(from->unknown_flags, &more))
		a.flags |= more;
	if (!from->dynamic)
		a.flags |= IFA_F_PERMANENT;
	a.len = (uint8_t)from->len;
	a.scope = (uint8_t)scope;
	*arena_push(r->a, r->h->net.addresses, r->h->net.n_addresses, r->h->net.cap_addresses) = a;
	return true;
}

static bool take_link(struct reader *r, const struct ip_link *from)
{
	struct json_in *j = r->j;
	struct link l = { .index = from->index, .mtu = from->mtu, .peer = from->link_index };

	if (l.index < 1 || !*from->name)
		return json_in_fail(j, "a link without index or name");
	if (!from->has_addresses)
		return json_in_fail(j,
				    "link \"%s\" has no \"addr_info\": take `ip -d -j addr`, "
				    "`ip link` shows no addresses",
				    json_in_quote(j, from->name));
	if (!copy_name(j, "link", from->name, l.name, sizeof(l.name)) ||
	    !copy_name(j, "alias", from->alias, l.alias, sizeof(l.alias)) ||
	    !copy_name(j, "kind", from->info.kind ? from->info.kind : "", l.kind, sizeof(l.kind)) ||
	    !read_flags(j, from, &l) ||
	    (*from->group && !number_of(j, &ip_groups, "group", from->group, &l.group)))
		return false;
	/* `ip -N` has numbers for types, too: ARPHRD_ETHER. */
	l.has_mac = (str_eq(from->type, "ether") || str_eq(from->type, "[1]")) &&
		    mac_of(from->mac, l.mac);
	if (!from->detailed)
		r->h->parts &= ~(uint32_t)HOST_LINK_KINDS;
	*arena_push(r->a, r->h->net.links, r->h->net.n_links, r->h->net.cap_links) = l;
	*arena_push(r->a, r->names, r->n_names, r->cap_names) =
		(struct names){ arena_strdup(r->a, from->link), arena_strdup(r->a, from->master) };
	for (size_t i = 0; i < from->n_addresses; i++)
		if (!take_address(r, &from->addresses[i], l.index))
			return false;
	return true;
}

/* --- links by name ------------------------------------------------------------------------ */

static int by_name(const void *pa, const void *pb)
{
	const struct link *a = *(struct link *const *)pa, *b = *(struct link *const *)pb;

	return strcmp(a->name, b->name);
}

static int name_order(const void *key, const void *item)
{
	return strcmp(key, (*(struct link *const *)item)->name);
}

static const struct link *link_called(const struct reader *r, const char *name)
{
	const struct link **found = NULL;

	if (r->h->net.n_links)
		found = bsearch(name, r->by_name, r->h->net.n_links, sizeof(*found), name_order);
	return found ? *found : NULL;
}

/* ip(8) lists addresses by link, the kernel by family first; the order decides about sources. */
static void order_addresses(struct reader *r)
{
	struct snapshot *net = &r->h->net;
	struct address *ordered = arena_alloc(r->a, (net->n_addresses + 1) * sizeof(*ordered));
	size_t n = 0;

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < net->n_addresses; i++)
			if ((net->addresses[i].local.family == AF_INET6) == v6)
				ordered[n++] = net->addresses[i];
	net->addresses = ordered;
	net->cap_addresses = n;
}

/* Peers and masters are named, and may be named before they come. */
static int settle_links(struct reader *r, const char *file, struct err *e)
{
	struct snapshot *net = &r->h->net;
	const char *twins = snapshot_twin_links(r->a, net);

	if (twins)
		return err_set(e, EINVAL, "%s: %s", file, twins);
	r->by_name = arena_alloc(r->a, (net->n_links + 1) * sizeof(*r->by_name));
	for (size_t i = 0; i < net->n_links; i++)
		r->by_name[i] = &net->links[i];
	if (net->n_links)
		qsort(r->by_name, net->n_links, sizeof(*r->by_name), by_name);
	for (size_t i = 0; i < net->n_links; i++) {
		const struct link *peer = link_called(r, r->names[i].peer);
		const struct link *master = link_called(r, r->names[i].master);

		net->links[i].peer = peer ? peer->index : net->links[i].peer;
		net->links[i].master = master ? master->index : 0;
	}
	order_addresses(r);
	return 0;
}

/* --- routes ------------------------------------------------------------------------- */

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
					  .other = pass_over };

static const struct field hop_fields[] = {
	{ "gateway", FIELD_STRING, FIELD_AT(ip_hop, gateway) },
	{ "via", FIELD_OBJECT, FIELD_AT(ip_hop, via), FIELD_OF(via_record) },
	{ "dev", FIELD_STRING, FIELD_AT(ip_hop, dev) },
	{ "weight", FIELD_NUMBER, FIELD_AT(ip_hop, weight) },
	{ "flags", FIELD_LIST, FIELD_LISTED(ip_hop, flags, n_flags), FIELD_OF(string_record) },
};
static const struct record hop_record = { sizeof(struct ip_hop), hop_fields, ARRAY_LEN(hop_fields),
					  .other = pass_over };

static const struct field metrics_fields[] = { { "mtu", FIELD_NUMBER, FIELD_AT(ip_metrics, mtu) } };
static const struct record metrics_record = { sizeof(struct ip_metrics), metrics_fields,
					      ARRAY_LEN(metrics_fields), .other = pass_over };

static const struct field route_fields[] = {
	{ "type", FIELD_WORD, FIELD_AT(ip_route, type) },
	{ "dst", FIELD_STRING, true, FIELD_AT(ip_route, dst) },
	{ "from", FIELD_STRING, FIELD_AT(ip_route, from) },
	{ "gateway", FIELD_STRING, FIELD_AT(ip_route, hop.gateway) },
	{ "via", FIELD_OBJECT, FIELD_AT(ip_route, hop.via), FIELD_OF(via_record) },
	{ "dev", FIELD_STRING, FIELD_AT(ip_route, hop.dev) },
	{ "flags", FIELD_LIST, FIELD_LISTED(ip_route, hop.flags, hop.n_flags),
	  FIELD_OF(string_record) },
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
					    ARRAY_LEN(route_fields), .other = pass_over };

static bool read_ip(struct json_in *j, const char *word, struct ip *ret)
{
	return ip_parse(word, ret) ||
	       json_in_fail(j, "\"%s\" is no address", json_in_quote(j, word));
}

static bool take_hop(struct reader *r, const struct ip_hop *from, struct hop *ret)
{
	struct json_in *j = r->j;
	const char *via = *from->gateway ? from->gateway : from->via.host ? from->via.host : "";
	const struct link *l;
	uint32_t flag;

	*ret = (struct hop){ .weight = from->weight ? from->weight : 1 };
	if (*via && !read_ip(j, via, &ret->via))
		return false;
	if (*from->dev) {
		l = link_called(r, from->dev);
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

static bool take_hops(struct reader *r, const struct ip_route *from, struct route *ret)
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
	if ((*from->type && !number_of(j, &ip_types, "type", from->type, &w->type)) ||
	    (*from->table && !number_of(j, &ip_tables, "table", from->table, &w->table)) ||
	    (*from->scope && !number_of(j, &ip_scopes, "scope", from->scope, &w->scope)) ||
	    (*from->tos && !number_of(j, &ip_tos, "tos", from->tos, &w->tos)) ||
	    (*from->pref && !number_of(j, &ip_prefs, "pref", from->pref, &w->pref)))
		return false;
	/* Who made it decides nothing; a name of that host alone is not worth an error. */
	if (*from->protocol && !ip_word(&ip_protocols, from->protocol, &w->protocol))
		w->protocol = RTPROT_UNSPEC;
	return (w->type <= UINT8_MAX && w->scope <= UINT8_MAX && w->tos <= UINT8_MAX &&
		w->pref <= UINT8_MAX && w->protocol <= UINT8_MAX) ||
	       json_in_fail(j, "a number too large for type, scope, tos, pref or protocol");
}

static bool take_route(struct reader *r, const struct ip_route *from)
{
	struct snapshot *net = &r->h->net;
	struct route route = { .family = route_family(from),
			       .metric = from->metric,
			       .nexthop_id = from->nexthop,
			       .mtu = from->n_metrics ? from->metrics[0].mtu : 0 };
	struct route_words w;
	uint32_t flag;

	if (!read_prefix(r->j, from->dst, route.family, &route.dst) ||
	    (*from->from && !read_prefix(r->j, from->from, route.family, &route.src)) ||
	    (*from->prefsrc && !read_ip(r->j, from->prefsrc, &route.prefsrc)) ||
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

static bool same_route(const struct route *a, const struct route *b)
{
	if (a->table != b->table || a->type != b->type || a->metric != b->metric ||
	    a->tos != b->tos || a->n_hops != b->n_hops || !prefix_equal(&a->dst, &b->dst) ||
	    !prefix_equal(&a->src, &b->src))
		return false;
	for (size_t i = 0; i < a->n_hops; i++)
		if (a->hops[i].link != b->hops[i].link ||
		    !ip_equal(&a->hops[i].via, &b->hops[i].via))
			return false;
	return true;
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
static bool merge_routes(struct reader *r, const struct snapshot *before)
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

/* --- rules ----------------------------------------------------------------------------- */

struct ip_rule {
	uint32_t priority, srclen, dstlen, uid_start, uid_end, sport_start, sport_end, dport_start,
		dport_end, goto_;
	uint64_t tun_id;
	const char *src, *dst, *tos, *dscp, *mark, *mask, *iif, *oif, *ipproto, *sport, *dport,
		*table, *suppress_len, *suppress_group, *target, *action, *protocol, *flow;
	bool invert, l3mdev, nop, iif_detached, oif_detached, unresolved, has_srclen, has_dstlen,
		has_uid, has_sport, has_dport;
	char unknown[64];
};

static void note_unknown(void *item, const char *key)
{
	struct ip_rule *r = item;
	size_t len = strlen(r->unknown);

	snprintf(r->unknown + len, sizeof(r->unknown) - len, "%s%.20s", len ? ", " : "", key);
	/* It stands in messages. */
	for (char *c = r->unknown; *c; c++)
		if (*c < ' ' || *c > '~')
			*c = '?';
}

static const struct field rule_fields[] = {
	{ "priority", FIELD_NUMBER, true, FIELD_AT(ip_rule, priority) },
	{ "not", FIELD_NULL, FIELD_AT(ip_rule, invert) },
	{ "src", FIELD_STRING, FIELD_AT(ip_rule, src) },
	{ "srclen", FIELD_NUMBER, FIELD_AT(ip_rule, srclen), FIELD_HAS(ip_rule, has_srclen) },
	{ "dst", FIELD_STRING, FIELD_AT(ip_rule, dst) },
	{ "dstlen", FIELD_NUMBER, FIELD_AT(ip_rule, dstlen), FIELD_HAS(ip_rule, has_dstlen) },
	{ "tos", FIELD_WORD, FIELD_AT(ip_rule, tos) },
	{ "dscp", FIELD_WORD, FIELD_AT(ip_rule, dscp) },
	{ "fwmark", FIELD_WORD, FIELD_AT(ip_rule, mark) },
	{ "fwmask", FIELD_WORD, FIELD_AT(ip_rule, mask) },
	{ "iif", FIELD_STRING, FIELD_AT(ip_rule, iif) },
	{ "iif_detached", FIELD_NULL, FIELD_AT(ip_rule, iif_detached) },
	{ "oif", FIELD_STRING, FIELD_AT(ip_rule, oif) },
	{ "oif_detached", FIELD_NULL, FIELD_AT(ip_rule, oif_detached) },
	{ "l3mdev", FIELD_NULL, FIELD_AT(ip_rule, l3mdev) },
	{ "uid_start", FIELD_NUMBER, FIELD_AT(ip_rule, uid_start), FIELD_HAS(ip_rule, has_uid) },
	{ "uid_end", FIELD_NUMBER, FIELD_AT(ip_rule, uid_end), FIELD_HAS(ip_rule, has_uid) },
	{ "ipproto", FIELD_WORD, FIELD_AT(ip_rule, ipproto) },
	{ "sport", FIELD_WORD, FIELD_AT(ip_rule, sport) },
	{ "sport_start", FIELD_NUMBER, FIELD_AT(ip_rule, sport_start),
	  FIELD_HAS(ip_rule, has_sport), .max = UINT16_MAX },
	{ "sport_end", FIELD_NUMBER, FIELD_AT(ip_rule, sport_end), FIELD_HAS(ip_rule, has_sport),
	  .max = UINT16_MAX },
	{ "dport", FIELD_WORD, FIELD_AT(ip_rule, dport) },
	{ "dport_start", FIELD_NUMBER, FIELD_AT(ip_rule, dport_start),
	  FIELD_HAS(ip_rule, has_dport), .max = UINT16_MAX },
	{ "dport_end", FIELD_NUMBER, FIELD_AT(ip_rule, dport_end), FIELD_HAS(ip_rule, has_dport),
	  .max = UINT16_MAX },
	{ "tun_id", FIELD_NUMBER, FIELD_AT(ip_rule, tun_id) },
	{ "table", FIELD_WORD, FIELD_AT(ip_rule, table) },
	{ "suppress_prefixlen", FIELD_WORD, FIELD_AT(ip_rule, suppress_len) },
	{ "suppress_ifgroup", FIELD_WORD, FIELD_AT(ip_rule, suppress_group) },
	{ "flow_from", FIELD_WORD, FIELD_AT(ip_rule, flow) },
	{ "flow_to", FIELD_WORD, FIELD_AT(ip_rule, flow) },
	{ "goto", FIELD_WORD, FIELD_AT(ip_rule, target) },
	{ "unresolved", FIELD_NULL, FIELD_AT(ip_rule, unresolved) },
	{ "nop", FIELD_NULL, FIELD_AT(ip_rule, nop) },
	{ "action", FIELD_WORD, FIELD_AT(ip_rule, action) },
	{ "protocol", FIELD_WORD, FIELD_AT(ip_rule, protocol) },
};
static const struct record rule_record = { sizeof(struct ip_rule), rule_fields,
					   ARRAY_LEN(rule_fields), .other = note_unknown };

/* "from" and "to": an address, and its length beside it if it is not whole. */
static bool read_match(struct json_in *j, const char *word, bool has_len, uint32_t len,
		       struct prefix *ret)
{
	if (!*word || str_eq(word, "all"))
		return true;
	if (!read_ip(j, word, &ret->ip))
		return false;
	if (has_len && len > ip_bits(ret->ip.family))
		return json_in_fail(j, "a prefix longer than the address");
	ret->len = (uint8_t)(has_len ? len : ip_bits(ret->ip.family));
	/* Of any address the kernel keeps none (rtnl_decode.c). */
	if (!ret->len)
		*ret = (struct prefix){ 0 };
	return true;
}

static bool read_port(struct json_in *j, const char *word, struct rule_range *range, bool *has)
{
	uint32_t port;

	if (!*word)
		return true;
	if (!ip_number(word, &port) || port > UINT16_MAX)
		return json_in_fail(j, "\"%s\" is no port", json_in_quote(j, word));
	*range = (struct rule_range){ port, port };
	*has = true;
	return true;
}

static bool read_mark(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	if (!*from->mark && !*from->mask)
		return true;
	r->mark_mask = UINT32_MAX;
	if ((*from->mark && !ip_number(from->mark, &r->mark)) ||
	    (*from->mask && !ip_number(from->mask, &r->mark_mask)))
		return json_in_fail(j, "fwmark or fwmask is no number");
	r->has_mark = r->mark || r->mark_mask;
	return true;
}

static bool read_action(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	uint32_t n;

	r->action = FR_ACT_TO_TBL;
	if (from->nop) {
		r->action = FR_ACT_NOP;
	} else if (*from->target) {
		r->action = FR_ACT_GOTO;
		if (!str_eq(from->target, "none") && !ip_number(from->target, &r->target))
			return json_in_fail(j, "goto \"%s\" is no number",
					    json_in_quote(j, from->target));
	} else if (*from->action) {
		if (!number_of(j, &ip_types, "action", from->action, &n))
			return false;
		r->action = (uint8_t)(n > UINT8_MAX ? UINT8_MAX : n);
	} else if (*from->table) {
		return number_of(j, &ip_tables, "table", from->table, &r->table);
	}
	return true;
}

static bool read_selectors(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	uint32_t tos = 0, proto = 0, dscp = 0;

	if ((*from->tos && !number_of(j, &ip_tos, "tos", from->tos, &tos)) ||
	    (*from->dscp && !number_of(j, &ip_dscps, "dscp", from->dscp, &dscp)) ||
	    (*from->ipproto && !number_of(j, &ip_protos, "ipproto", from->ipproto, &proto)))
		return false;
	if (tos > UINT8_MAX || proto > UINT8_MAX || dscp > 63)
		return json_in_fail(j, "a number too large for tos, dscp or ipproto");
	r->tos = (uint8_t)tos;
	r->ip_proto = (uint8_t)proto;
	r->dscp = (uint8_t)dscp;
	r->has_dscp = *from->dscp != 0;
	r->l3mdev = from->l3mdev;
	r->tun_id = from->tun_id;
	r->has_uid = from->has_uid;
	r->uid = (struct rule_range){ from->uid_start, from->uid_end };
	r->has_sport = from->has_sport;
	r->sport = (struct rule_range){ from->sport_start, from->sport_end };
	r->has_dport = from->has_dport;
	r->dport = (struct rule_range){ from->dport_start, from->dport_end };
	return read_match(j, from->src, from->has_srclen, from->srclen, &r->from) &&
	       read_match(j, from->dst, from->has_dstlen, from->dstlen, &r->to) &&
	       read_port(j, from->sport, &r->sport, &r->has_sport) &&
	       read_port(j, from->dport, &r->dport, &r->has_dport) && read_mark(j, from, r) &&
	       copy_name(j, "iif", from->iif, r->iif, sizeof(r->iif)) &&
	       copy_name(j, "oif", from->oif, r->oif, sizeof(r->oif));
}

static bool read_suppress(struct json_in *j, const struct ip_rule *from, struct rule *r)
{
	uint32_t n;

	r->suppress_len = r->suppress_group = -1;
	if (*from->suppress_len) {
		if (!ip_number(from->suppress_len, &n) || n > 128)
			return json_in_fail(j, "suppress_prefixlen is from 0 to 128");
		r->suppress_len = (int)n;
	}
	if (*from->suppress_group) {
		if (!number_of(j, &ip_groups, "group", from->suppress_group, &n))
			return false;
		r->suppress_group = (int)n;
	}
	return true;
}

static bool take_rule(struct reader *r, const struct ip_rule *from)
{
	struct rules *list = &r->rules[r->n_rules - 1];
	struct rule rule = { .priority = from->priority, .invert = from->invert };
	uint32_t protocol = RTPROT_UNSPEC;
	sa_family_t family;

	if (!read_selectors(r->j, from, &rule) || !read_action(r->j, from, &rule) ||
	    !read_suppress(r->j, from, &rule))
		return false;
	if (list->n && rule.priority < list->items[list->n - 1].priority)
		return json_in_fail(r->j, "stands behind a rule of a higher priority number");
	if (rule.action == FR_ACT_GOTO && *from->target && rule.target &&
	    rule.target <= rule.priority)
		return json_in_fail(r->j, "the kernel has no goto backwards");
	if (*from->protocol && ip_word(&ip_protocols, from->protocol, &protocol))
		rule.protocol = (uint8_t)protocol;
	rule.flags = (from->invert ? FIB_RULE_INVERT : 0U) |
		     (from->iif_detached ? FIB_RULE_IIF_DETACHED : 0U) |
		     (from->oif_detached ? FIB_RULE_OIF_DETACHED : 0U) |
		     (from->unresolved ? FIB_RULE_UNRESOLVED : 0U);
	memcpy(rule.unknown, from->unknown, sizeof(rule.unknown));
	if (*from->flow)
		snprintf(rule.unknown, sizeof(rule.unknown), "realms");
	if (rule.l3mdev && !(r->h->parts & HOST_LINK_KINDS))
		snprintf(rule.unknown, sizeof(rule.unknown), "l3mdev without `ip -d addr`");
	family = rule.from.ip.family ? rule.from.ip.family : rule.to.ip.family;
	if ((rule.from.ip.family && rule.to.ip.family &&
	     rule.from.ip.family != rule.to.ip.family) ||
	    (family && list->family && family != list->family))
		return json_in_fail(r->j, "rules of both families in one list");
	if (family)
		list->family = family;
	*arena_push(r->a, list->items, list->n, list->cap) = rule;
	return true;
}

/* --- lists ------------------------------------------------------------------------------- */

/* What a list is about, by the first object that is not empty. */
static enum kind kind_of(const struct json_in *begin)
{
	struct json_in j = *begin;
	enum kind kind = NOTHING;
	struct err ignored;
	const char *key;

	j.e = &ignored;
	if (!json_in_list(&j))
		return NOTHING;
	while (kind == NOTHING && json_in_item(&j)) {
		if (!json_in_object(&j))
			return NOTHING;
		while (json_in_key(&j, &key)) {
			if (str_eq(key, "ifname") || str_eq(key, "ifindex"))
				kind = LINKS;
			else if (str_eq(key, "priority"))
				kind = RULES;
			else if (str_eq(key, "dst"))
				kind = kind == NOTHING ? ROUTES : kind;
			if (!json_in_skip(&j))
				return NOTHING;
		}
	}
	return kind;
}

union item {
	struct ip_link link;
	struct ip_route route;
	struct ip_rule rule;
};

static bool take(struct reader *r, enum kind kind, const union item *item)
{
	switch (kind) {
	case LINKS:
		return take_link(r, &item->link);
	case ROUTES:
		return take_route(r, &item->route);
	case RULES:
		return take_rule(r, &item->rule);
	case NOTHING:
		break;
	}
	return false;
}

/* An object without anything in it: `ip -4 addr` prints one for a link that is not shown. */
static bool is_empty(const struct json_in *at)
{
	struct json_in j = *at;
	const char *key;
	struct err ignored;

	j.e = &ignored;
	return json_in_object(&j) && !json_in_key(&j, &key) && !j.failed;
}

static bool read_items(struct reader *r, enum kind kind, const struct record *record)
{
	struct json_in *j = r->j;
	struct arena *home = j->a;
	bool good = true;

	if (!json_in_list(j))
		return false;
	for (size_t i = 1; good && json_in_item(j); i++) {
		union item item;

		memset(&item, 0, sizeof(item));
		if (is_empty(j)) {
			good = json_in_skip(j);
			continue;
		}
		/* Words are looked at once: their memory comes back every so often. */
		if (i % ITEMS_A_TIME == 0) {
			arena_free(&r->brief);
			j->word = NULL;
			j->word_len = j->word_cap = 0;
		}
		j->a = &r->brief;
		good = record_read(j, record, &item) && take(r, kind, &item);
	}
	j->a = home;
	j->word = NULL;
	j->word_len = j->word_cap = 0;
	arena_free(&r->brief);
	return good && !j->failed;
}

static bool read_routes(struct reader *r)
{
	const struct snapshot before = r->h->net;

	return read_items(r, ROUTES, &route_record) && merge_routes(r, &before);
}

static bool read_rules(struct reader *r, const struct ip_text *text)
{
	struct rules *list = &r->rules[r->n_rules];

	if (r->n_rules == ARRAY_LEN(r->rules))
		return json_in_fail(r->j, "more lists of rules than families");
	*list = (struct rules){ .text = text, .at = r->j->at };
	r->n_rules++;
	if (!read_items(r, RULES, &rule_record))
		return false;
	for (size_t i = 0; i < list->n; i++)
		list->has_default |= list->items[i].table == RT_TABLE_DEFAULT &&
				     list->items[i].priority == PRIORITY_DEFAULT;
	return true;
}

static bool read_list(struct reader *r, const struct ip_text *text, bool links)
{
	enum kind kind = kind_of(r->j);

	if (kind == LINKS && links) {
		if (r->h->parts & HOST_LINKS)
			return json_in_fail(r->j, "a second list of links");
		r->h->parts |= HOST_LINKS | HOST_LINK_KINDS;
		return read_items(r, LINKS, &link_record);
	}
	if (kind == ROUTES && !links)
		return read_routes(r);
	if (kind == RULES && !links)
		return read_rules(r, text);
	r->j->value_at = r->j->at;
	if (json_in_next(r->j) != JSON_IN_LIST)
		return json_in_fail(r->j, "neither a snapshot of sallyport nor what "
					  "`ip -j addr`, `ip -j route` or `ip -j rule` prints");
	/* Of the other round; with an empty one nothing is said. */
	if (kind == NOTHING && links) {
		struct json_in j = *r->j;
		struct err ignored;

		j.e = &ignored;
		if (json_in_list(&j) && json_in_item(&j) && !is_empty(&j) && !j.failed)
			return json_in_skip(r->j) &&
			       json_in_fail(r->j, "is not what `ip -j addr`, `ip -j route` or "
						  "`ip -j rule` prints");
	}
	return json_in_skip(r->j);
}

static bool read_texts(struct reader *r, const struct ip_text *texts, size_t n, bool links,
		       struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct json_in j;

		r->j = &j;
		json_in_start(&j, r->a, texts[i].file, texts[i].text, texts[i].size, e);
		while (json_in_next(&j) != JSON_IN_END)
			if (!read_list(r, &texts[i], links))
				return false;
	}
	return true;
}

/* --- the whole ------------------------------------------------------------------------------ */

static int fail_rules(const struct reader *r, const struct rules *list, struct err *e,
		      const char *words)
{
	struct json_in j;

	json_in_start(&j, r->a, list->text->file, list->text->text, list->text->size, e);
	j.value_at = list->at;
	json_in_fail(&j, "%s", words);
	return -EINVAL;
}

static sa_family_t other_than(sa_family_t family)
{
	return family == AF_INET ? AF_INET6 : AF_INET;
}

/* As the head of this file tells. */
static int tell_families(struct reader *r, struct err *e)
{
	struct rules *x = &r->rules[0], *y = &r->rules[1];

	if (r->n_rules == 1 && !x->family) {
		if (!x->has_default)
			return fail_rules(r, x, e,
					  "nothing tells whether these rules are IPv4's or "
					  "IPv6's: give the output of both `ip -j rule` and "
					  "`ip -j -6 rule`");
		x->family = AF_INET;
	}
	if (r->n_rules < 2)
		return 0;
	if (!x->family && y->family)
		x->family = other_than(y->family);
	if (!x->family)
		x->family = y->has_default && !x->has_default ? AF_INET6 : AF_INET;
	if (!y->family)
		y->family = other_than(x->family);
	return x->family == y->family ? fail_rules(r, y, e, "a second list of rules of one family")
				      : 0;
}

static int settle_families(struct reader *r, struct err *e)
{
	const struct rules *of[2] = { NULL, NULL };
	int status = tell_families(r, e);

	if (status < 0)
		return status;
	for (size_t i = 0; i < r->n_rules; i++)
		of[r->rules[i].family == AF_INET6] = &r->rules[i];
	for (int v6 = 0; v6 < 2; v6++) {
		struct snapshot *net = &r->h->net;

		for (size_t i = 0; of[v6] && i < of[v6]->n; i++) {
			struct rule *rule =
				arena_push(r->a, net->rules, net->n_rules, net->cap_rules);

			*rule = of[v6]->items[i];
			rule->family = v6 ? AF_INET6 : AF_INET;
			/* ip(8) cannot make, nor show, the flag that ours have. */
			if (v6 && rule->protocol == IP_PROTOCOL_OURS && rule->from.ip.family &&
			    !*rule->unknown)
				snprintf(rule->unknown, sizeof(rule->unknown), "find_saddr");
		}
		if (of[v6])
			r->h->parts |= v6 ? HOST_RULES6 : HOST_RULES4;
	}
	return 0;
}

/* An address that is up has a local route, so without any this is one table only. */
static int check_tables(struct reader *r, const char *file, struct err *e)
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

int ip_json_read(struct arena *a, const struct ip_text *texts, size_t n, struct host *ret,
		 struct err *e)
{
	struct host h = { .name = "",
			  .place = "",
			  .kernel = "",
			  .version = "",
			  .taken = "",
			  .nft = "",
			  .dnat = "" };
	struct reader r = { .a = a, .h = &h };
	bool good = read_texts(&r, texts, n, true, e);
	int status;

	if (good && !(h.parts & HOST_LINKS))
		return err_set(e, EINVAL,
			       "%s: there are no links in it: give the output of `ip -d -j addr`, "
			       "`ip -j route show table all`, `ip -j rule` and `ip -j -6 rule`",
			       texts[0].file);
	if (good && settle_links(&r, texts[0].file, e) < 0)
		return -EINVAL;
	good = good && read_texts(&r, texts, n, false, e);
	arena_free(&r.brief);
	if (!good)
		return -EINVAL;
	status = settle_families(&r, e);
	if (status == 0)
		status = check_tables(&r, texts[0].file, e);
	if (status < 0)
		return status;
	*ret = h;
	return 0;
}
