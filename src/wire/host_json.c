/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Every member of struct host that the kernel told has a row in one of these
 * tables; tests/unit/test_host_json.c fills in each and looks for it again.
 */
#include "wire/host_json.h"

#include "wire/record.h"

#include <linux/fib_rules.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

#define PORT_MAX UINT16_MAX

static const struct field_name families[] = { { AF_INET, "inet" }, { AF_INET6, "inet6" } };

static const struct field_name scopes[] = {
	{ RT_SCOPE_UNIVERSE, "global" }, { RT_SCOPE_SITE, "site" },       { RT_SCOPE_LINK, "link" },
	{ RT_SCOPE_HOST, "host" },       { RT_SCOPE_NOWHERE, "nowhere" },
};

static const struct field_name types[] = {
	{ RTN_UNICAST, "unicast" },
	{ RTN_LOCAL, "local" },
	{ RTN_BROADCAST, "broadcast" },
	{ RTN_ANYCAST, "anycast" },
	{ RTN_MULTICAST, "multicast" },
	{ RTN_BLACKHOLE, "blackhole" },
	{ RTN_UNREACHABLE, "unreachable" },
	{ RTN_PROHIBIT, "prohibit" },
	{ RTN_THROW, "throw" },
};

static const struct field_name actions[] = {
	{ FR_ACT_TO_TBL, "lookup" },
	{ FR_ACT_GOTO, "goto" },
	{ FR_ACT_NOP, "nop" },
	{ FR_ACT_BLACKHOLE, "blackhole" },
	{ FR_ACT_UNREACHABLE, "unreachable" },
	{ FR_ACT_PROHIBIT, "prohibit" },
};

static const struct field_name protos[] = { { IPPROTO_TCP, "tcp" }, { IPPROTO_UDP, "udp" } };

static const struct field_name states[] = { { SOCKET_CONNECTED, "connected" },
					    { SOCKET_LISTENS, "listens" } };

static const struct field_name parts[] = {
	{ HOST_LINKS, "links" },       { HOST_LINK_KINDS, "link-kinds" },
	{ HOST_ROUTES4, "routes4" },   { HOST_ROUTES6, "routes6" },
	{ HOST_RULES4, "rules4" },     { HOST_RULES6, "rules6" },
	{ HOST_NEXTHOPS, "nexthops" }, { HOST_SYSCTLS, "sysctls" },
	{ HOST_SOCKETS, "sockets" },   { HOST_CONTAINERS, "containers" },
	{ HOST_DNS, "dns" },           { HOST_FLOWS, "flows" },
	{ HOST_NFT, "nft" },
};

/* --- links and addresses --------------------------------------------------------- */

static const char *finish_link(void *item)
{
	const struct link *l = item;

	if (l->index < 1)
		return "a link's index is from 1 on";
	return *l->name ? NULL : "a link without a name";
}

static const struct field link_fields[] = {
	{ "index", FIELD_INT, true, FIELD_AT(link, index) },
	{ "name", FIELD_CHARS, true, FIELD_AT(link, name) },
	{ "alias", FIELD_CHARS, FIELD_AT(link, alias) },
	{ "kind", FIELD_CHARS, FIELD_AT(link, kind) },
	{ "flags", FIELD_NUMBER, FIELD_AT(link, flags) },
	{ "mtu", FIELD_NUMBER, FIELD_AT(link, mtu) },
	{ "group", FIELD_NUMBER, FIELD_AT(link, group) },
	{ "master", FIELD_INT, FIELD_AT(link, master) },
	{ "peer", FIELD_INT, FIELD_AT(link, peer) },
	{ "mac", FIELD_MAC, FIELD_AT(link, mac), FIELD_HAS(link, has_mac) },
};
static const struct record link_record = { sizeof(struct link), link_fields, ARRAY_LEN(link_fields),
					   .finish = finish_link };

static bool other_family(const struct ip *ip, sa_family_t family)
{
	return ip->family && ip->family != family;
}

static const char *finish_address(void *item)
{
	const struct address *a = item;

	if (other_family(&a->peer, a->local.family))
		return "the peer's address is of the other family";
	return a->len > ip_bits(a->local.family) ? "a prefix longer than the address" : NULL;
}

static const struct field address_fields[] = {
	{ "link", FIELD_INT, true, FIELD_AT(address, link) },
	{ "local", FIELD_IP, true, FIELD_AT(address, local) },
	{ "len", FIELD_NUMBER, true, FIELD_AT(address, len) },
	{ "peer", FIELD_IP, FIELD_AT(address, peer) },
	{ "scope", FIELD_NAME, FIELD_AT(address, scope), FIELD_NAMES(scopes) },
	{ "flags", FIELD_NUMBER, FIELD_AT(address, flags) },
	{ "metric", FIELD_NUMBER, FIELD_AT(address, metric) },
};
static const struct record address_record = { sizeof(struct address), address_fields,
					      ARRAY_LEN(address_fields), .finish = finish_address };

/* --- routes -------------------------------------------------------------------------- */

static const struct field hop_fields[] = {
	{ "link", FIELD_INT, FIELD_AT(hop, link) },
	{ "via", FIELD_IP, FIELD_AT(hop, via) },
	{ "flags", FIELD_NUMBER, FIELD_AT(hop, flags) },
	{ "weight", FIELD_NUMBER, FIELD_AT(hop, weight) },
};

static void fresh_hop(void *item)
{
	((struct hop *)item)->weight = 1;
}

static const struct record hop_record = { sizeof(struct hop), hop_fields, ARRAY_LEN(hop_fields),
					  .fresh = fresh_hop };

static const char *finish_route(void *item)
{
	struct route *r = item;

	r->family = r->dst.ip.family;
	if (other_family(&r->src.ip, r->family))
		return "\"src\" is of the other family than \"dst\"";
	if (other_family(&r->prefsrc, r->family))
		return "\"prefsrc\" is of the other family than \"dst\"";
	for (size_t i = 0; r->family == AF_INET6 && i < r->n_hops; i++)
		if (other_family(&r->hops[i].via, r->family))
			return "an IPv6 route by an IPv4 gateway";
	return NULL;
}

static void fresh_route(void *item)
{
	((struct route *)item)->type = RTN_UNICAST;
}

static const struct field route_fields[] = {
	{ "dst", FIELD_PREFIX, true, FIELD_AT(route, dst) },
	{ "table", FIELD_NUMBER, true, FIELD_AT(route, table) },
	{ "type", FIELD_NAME, FIELD_AT(route, type), FIELD_NAMES(types) },
	{ "metric", FIELD_NUMBER, FIELD_AT(route, metric) },
	{ "hops", FIELD_LIST, FIELD_LISTED(route, hops, n_hops), FIELD_OF(hop_record) },
	{ "prefsrc", FIELD_IP, FIELD_AT(route, prefsrc) },
	{ "src", FIELD_PREFIX, FIELD_AT(route, src) },
	{ "scope", FIELD_NAME, FIELD_AT(route, scope), FIELD_NAMES(scopes) },
	{ "protocol", FIELD_NUMBER, FIELD_AT(route, protocol) },
	{ "tos", FIELD_NUMBER, FIELD_AT(route, tos) },
	{ "pref", FIELD_NUMBER, FIELD_AT(route, pref) },
	{ "nexthop", FIELD_NUMBER, FIELD_AT(route, nexthop_id) },
	{ "mtu", FIELD_NUMBER, FIELD_AT(route, mtu) },
	{ "flags", FIELD_NUMBER, FIELD_AT(route, flags) },
};
static const struct record route_record = { sizeof(struct route), route_fields,
					    ARRAY_LEN(route_fields), fresh_route, finish_route };

/* --- rules ------------------------------------------------------------------------------ */

static void fresh_rule(void *item)
{
	struct rule *r = item;

	r->action = FR_ACT_TO_TBL;
	r->suppress_len = -1;
	r->suppress_group = -1;
}

static const char *finish_rule(void *item)
{
	const struct rule *r = item;

	if (r->family != AF_INET && r->family != AF_INET6)
		return "a rule is of family \"inet\" or \"inet6\"";
	if (other_family(&r->from.ip, r->family) || other_family(&r->to.ip, r->family))
		return "\"from\" or \"to\" is of the other family";
	/* ip(8) may not tell the target: such a rule leads nowhere. */
	if (r->action == FR_ACT_GOTO && r->target && r->target <= r->priority)
		return "the kernel has no goto backwards";
	return NULL;
}

static const struct field rule_fields[] = {
	{ "family", FIELD_NAME, true, FIELD_AT(rule, family), FIELD_NAMES(families) },
	{ "priority", FIELD_NUMBER, true, FIELD_AT(rule, priority) },
	{ "action", FIELD_NAME, FIELD_AT(rule, action), FIELD_NAMES(actions) },
	{ "table", FIELD_NUMBER, FIELD_AT(rule, table) },
	{ "goto", FIELD_NUMBER, FIELD_AT(rule, target) },
	{ "not", FIELD_BOOL, FIELD_AT(rule, invert) },
	{ "from", FIELD_MATCH, FIELD_AT(rule, from) },
	{ "to", FIELD_MATCH, FIELD_AT(rule, to) },
	{ "iif", FIELD_CHARS, FIELD_AT(rule, iif) },
	{ "oif", FIELD_CHARS, FIELD_AT(rule, oif) },
	{ "mark", FIELD_NUMBER, FIELD_AT(rule, mark), FIELD_HAS(rule, has_mark) },
	{ "mark_mask", FIELD_NUMBER, FIELD_AT(rule, mark_mask) },
	{ "proto", FIELD_NUMBER, FIELD_AT(rule, ip_proto) },
	{ "sport", FIELD_RANGE, FIELD_AT(rule, sport), FIELD_HAS(rule, has_sport),
	  .max = PORT_MAX },
	{ "dport", FIELD_RANGE, FIELD_AT(rule, dport), FIELD_HAS(rule, has_dport),
	  .max = PORT_MAX },
	{ "sport_mask", FIELD_NUMBER, FIELD_AT(rule, sport_mask) },
	{ "dport_mask", FIELD_NUMBER, FIELD_AT(rule, dport_mask) },
	{ "uid", FIELD_RANGE, FIELD_AT(rule, uid), FIELD_HAS(rule, has_uid) },
	{ "tos", FIELD_NUMBER, FIELD_AT(rule, tos) },
	{ "dscp", FIELD_NUMBER, FIELD_AT(rule, dscp), FIELD_HAS(rule, has_dscp), .max = 63 },
	{ "dscp_mask", FIELD_NUMBER, FIELD_AT(rule, dscp_mask), .max = 63 },
	{ "flowlabel", FIELD_NUMBER, FIELD_AT(rule, flowlabel), .max = 0xfffff },
	{ "flowlabel_mask", FIELD_NUMBER, FIELD_AT(rule, flowlabel_mask), .max = 0xfffff },
	{ "tun_id", FIELD_NUMBER, FIELD_AT(rule, tun_id) },
	{ "l3mdev", FIELD_BOOL, FIELD_AT(rule, l3mdev) },
	{ "suppress_prefixlength", FIELD_INT, FIELD_AT(rule, suppress_len) },
	{ "suppress_ifgroup", FIELD_INT, FIELD_AT(rule, suppress_group) },
	{ "find_saddr", FIELD_BOOL, FIELD_AT(rule, find_saddr) },
	{ "protocol", FIELD_NUMBER, FIELD_AT(rule, protocol) },
	{ "flags", FIELD_NUMBER, FIELD_AT(rule, flags) },
	{ "unknown", FIELD_CHARS, FIELD_AT(rule, unknown) },
};
static const struct record rule_record = { sizeof(struct rule), rule_fields, ARRAY_LEN(rule_fields),
					   fresh_rule, finish_rule };

/* --- next-hop objects, sysctls ------------------------------------------------------------ */

static void fresh_member(void *item)
{
	((struct nexthop_member *)item)->weight = 1;
}

static const struct field member_fields[] = {
	{ "id", FIELD_NUMBER, true, FIELD_AT(nexthop_member, id) },
	{ "weight", FIELD_NUMBER, FIELD_AT(nexthop_member, weight) },
};
static const struct record member_record = { sizeof(struct nexthop_member), member_fields,
					     ARRAY_LEN(member_fields), .fresh = fresh_member };

static const struct field nexthop_fields[] = {
	{ "id", FIELD_NUMBER, true, FIELD_AT(nexthop_seen, id) },
	{ "family", FIELD_NAME, FIELD_AT(nexthop_seen, family), FIELD_NAMES(families) },
	{ "link", FIELD_INT, FIELD_AT(nexthop_seen, link) },
	{ "via", FIELD_IP, FIELD_AT(nexthop_seen, via) },
	{ "members", FIELD_LIST, FIELD_LISTED(nexthop_seen, members, n_members),
	  FIELD_OF(member_record) },
	{ "blackhole", FIELD_BOOL, FIELD_AT(nexthop_seen, blackhole) },
	{ "fdb", FIELD_BOOL, FIELD_AT(nexthop_seen, fdb) },
	{ "scope", FIELD_NAME, FIELD_AT(nexthop_seen, scope), FIELD_NAMES(scopes) },
	{ "protocol", FIELD_NUMBER, FIELD_AT(nexthop_seen, protocol) },
	{ "flags", FIELD_NUMBER, FIELD_AT(nexthop_seen, flags) },
};
static const struct record nexthop_record = { sizeof(struct nexthop_seen), nexthop_fields,
					      ARRAY_LEN(nexthop_fields) };

static const struct field sysctl_fields[] = {
	{ "path", FIELD_STRING, true, FIELD_AT(sysctl_seen, path) },
	{ "value", FIELD_STRING, true, FIELD_AT(sysctl_seen, value) },
};
static const struct record sysctl_record = { sizeof(struct sysctl_seen), sysctl_fields,
					     ARRAY_LEN(sysctl_fields) };

/* --- whom it serves ------------------------------------------------------------------------- */

static const char *finish_socket(void *item)
{
	const struct socket_seen *s = item;

	if (s->proto != IPPROTO_TCP && s->proto != IPPROTO_UDP)
		return "a socket is of protocol \"tcp\" or \"udp\"";
	if (s->state != SOCKET_LISTENS && s->state != SOCKET_CONNECTED)
		return "a socket is \"connected\" or \"listens\"";
	if (s->state == SOCKET_CONNECTED && s->peer.family != s->local.family)
		return "a connection needs a \"peer\" of the family of \"local\"";
	return NULL;
}

static const struct field socket_fields[] = {
	{ "proto", FIELD_NAME, true, FIELD_AT(socket_seen, proto), FIELD_NAMES(protos) },
	{ "state", FIELD_NAME, true, FIELD_AT(socket_seen, state), FIELD_NAMES(states) },
	{ "local", FIELD_IP, true, FIELD_AT(socket_seen, local) },
	{ "local_port", FIELD_NUMBER, true, FIELD_AT(socket_seen, local_port) },
	{ "peer", FIELD_IP, FIELD_AT(socket_seen, peer) },
	{ "peer_port", FIELD_NUMBER, FIELD_AT(socket_seen, peer_port) },
	{ "only_ipv6", FIELD_BOOL, FIELD_AT(socket_seen, only_ipv6) },
	{ "link", FIELD_INT, FIELD_AT(socket_seen, link) },
	{ "mark", FIELD_NUMBER, FIELD_AT(socket_seen, mark) },
	{ "uid", FIELD_NUMBER, FIELD_AT(socket_seen, uid) },
	{ "tos", FIELD_NUMBER, FIELD_AT(socket_seen, tos) },
	{ "inode", FIELD_NUMBER, FIELD_AT(socket_seen, inode) },
	{ "pid", FIELD_INT, FIELD_AT(socket_seen, pid) },
	{ "process", FIELD_CHARS, FIELD_AT(socket_seen, process) },
	{ "mine", FIELD_BOOL, FIELD_AT(socket_seen, mine) },
};
static const struct record socket_record = { sizeof(struct socket_seen), socket_fields,
					     ARRAY_LEN(socket_fields), .finish = finish_socket };

static const char *finish_port(void *item)
{
	const struct container_port *p = item;

	if (p->proto != IPPROTO_TCP && p->proto != IPPROTO_UDP)
		return "a published port is of protocol \"tcp\" or \"udp\"";
	return p->host.family != p->inside.family && !ip_is_any(&p->host)
		       ? "\"host\" and \"inside\" are of two families"
		       : NULL;
}

static const struct field port_fields[] = {
	{ "proto", FIELD_NAME, true, FIELD_AT(container_port, proto), FIELD_NAMES(protos) },
	{ "host", FIELD_IP, true, FIELD_AT(container_port, host) },
	{ "port", FIELD_NUMBER, true, FIELD_AT(container_port, port) },
	{ "inside", FIELD_IP, true, FIELD_AT(container_port, inside) },
	{ "inside_port", FIELD_NUMBER, true, FIELD_AT(container_port, inside_port) },
};
static const struct record port_record = { sizeof(struct container_port), port_fields,
					   ARRAY_LEN(port_fields), .finish = finish_port };

static const char *finish_pool(void *item)
{
	const struct container_pool *p = item;

	return p->len < p->base.len || p->len > ip_bits(p->base.ip.family)
		       ? "\"len\" is not from the length of \"base\" to that of an address"
		       : NULL;
}

static const struct field pool_fields[] = {
	{ "engine", FIELD_STRING, true, FIELD_AT(container_pool, engine) },
	{ "base", FIELD_PREFIX, true, FIELD_AT(container_pool, base) },
	{ "len", FIELD_NUMBER, true, FIELD_AT(container_pool, len) },
};
static const struct record pool_record = { sizeof(struct container_pool), pool_fields,
					   ARRAY_LEN(pool_fields), .finish = finish_pool };

static const struct field ip_fields[] = { { NULL, FIELD_IP, .size = sizeof(struct ip) } };
static const struct record ip_record = { sizeof(struct ip), ip_fields, ARRAY_LEN(ip_fields) };

static const char *finish_flow(void *item)
{
	const struct flow_seen *f = item;

	if (f->proto != IPPROTO_TCP && f->proto != IPPROTO_UDP)
		return "a connection is of protocol \"tcp\" or \"udp\"";
	if (f->client.family != f->asked.family || f->inside.family != f->back.family ||
	    f->client.family != f->inside.family)
		return "the addresses are of two families";
	return NULL;
}

static const struct field flow_fields[] = {
	{ "proto", FIELD_NAME, true, FIELD_AT(flow_seen, proto), FIELD_NAMES(protos) },
	{ "client", FIELD_IP, true, FIELD_AT(flow_seen, client) },
	{ "client_port", FIELD_NUMBER, FIELD_AT(flow_seen, client_port) },
	{ "asked", FIELD_IP, true, FIELD_AT(flow_seen, asked) },
	{ "asked_port", FIELD_NUMBER, FIELD_AT(flow_seen, asked_port) },
	{ "inside", FIELD_IP, true, FIELD_AT(flow_seen, inside) },
	{ "inside_port", FIELD_NUMBER, FIELD_AT(flow_seen, inside_port) },
	{ "back", FIELD_IP, true, FIELD_AT(flow_seen, back) },
	{ "back_port", FIELD_NUMBER, FIELD_AT(flow_seen, back_port) },
	{ "mark", FIELD_NUMBER, FIELD_AT(flow_seen, mark) },
};
static const struct record flow_record = { sizeof(struct flow_seen), flow_fields,
					   ARRAY_LEN(flow_fields), .finish = finish_flow };

/* --- the host --------------------------------------------------------------------------------- */

struct document {
	uint32_t schema;
	struct host host;
};

#define DOCUMENT_LIST(items, n, record)                                                            \
	FIELD_LIST, FIELD_LISTED(document, host.items, host.n), FIELD_OF(record)

static int by_path(const void *pa, const void *pb)
{
	const struct sysctl_seen *a = pa, *b = pb;

	return strcmp(a->path, b->path);
}

static bool check_links(struct json_in *j, const struct snapshot *net)
{
	const char *twins = snapshot_twin_links(j->a, net);

	return twins ? json_in_fail(j, "%s", twins) : true;
}

static bool check_rules(struct json_in *j, const struct snapshot *net)
{
	uint32_t last[2] = { 0, 0 };

	for (size_t i = 0; i < net->n_rules; i++) {
		const struct rule *r = &net->rules[i];
		uint32_t *before = &last[r->family == AF_INET6];

		if (r->priority < *before)
			return json_in_fail(j,
					    "rules[%zu] stands behind one of a higher priority "
					    "number",
					    i);
		*before = r->priority;
	}
	return true;
}

static const struct field document_fields[] = {
	{ "schema", FIELD_NUMBER, true, FIELD_AT(document, schema) },
	{ "host", FIELD_STRING, FIELD_AT(document, host.name) },
	{ "place", FIELD_STRING, FIELD_AT(document, host.place) },
	{ "kernel", FIELD_STRING, FIELD_AT(document, host.kernel) },
	{ "sallyport", FIELD_STRING, FIELD_AT(document, host.version) },
	{ "taken", FIELD_STRING, FIELD_AT(document, host.taken) },
	{ "parts", FIELD_BITS, true, FIELD_AT(document, host.parts), FIELD_NAMES(parts) },
	{ "links", DOCUMENT_LIST(net.links, net.n_links, link_record) },
	{ "addresses", DOCUMENT_LIST(net.addresses, net.n_addresses, address_record) },
	{ "rules", DOCUMENT_LIST(net.rules, net.n_rules, rule_record) },
	{ "routes", DOCUMENT_LIST(net.routes, net.n_routes, route_record) },
	{ "nexthops", DOCUMENT_LIST(nexthops, n_nexthops, nexthop_record) },
	{ "sysctls", DOCUMENT_LIST(sysctls, n_sysctls, sysctl_record) },
	{ "sockets", DOCUMENT_LIST(sockets, n_sockets, socket_record) },
	{ "ports", DOCUMENT_LIST(ports, n_ports, port_record) },
	{ "pools", DOCUMENT_LIST(pools, n_pools, pool_record) },
	{ "dns", DOCUMENT_LIST(dns, n_dns, ip_record) },
	{ "flows", DOCUMENT_LIST(flows, n_flows, flow_record) },
	{ "nft", FIELD_STRING, FIELD_AT(document, host.nft) },
	{ "dnat", FIELD_STRING, FIELD_AT(document, host.dnat) },
	{ "session", FIELD_IP, FIELD_AT(document, host.session_peer) },
	{ "session_port", FIELD_NUMBER, FIELD_AT(document, host.session_port) },
};
static const struct record document_record = { sizeof(struct document), document_fields,
					       ARRAY_LEN(document_fields) };

void host_json_write(struct text *t, const struct host *h)
{
	struct document d = { .schema = HOST_SCHEMA, .host = *h };

	record_write(t, &document_record, &d, true);
}

/* Before anything else, for in another schema everything may be otherwise. */
static bool check_schema(const struct json_in *begin)
{
	struct json_in j = *begin;
	const char *key;
	uint64_t schema;

	if (!json_in_object(&j))
		return false;
	while (json_in_key(&j, &key)) {
		if (!str_eq(key, "schema")) {
			json_in_skip(&j);
			continue;
		}
		if (!json_in_number(&j, 0, UINT32_MAX, &schema))
			return false;
		if (schema != HOST_SCHEMA)
			return json_in_fail(&j,
					    "%llu; this sallyport reads %d: use the one that "
					    "wrote the file, or a newer one",
					    (unsigned long long)schema, HOST_SCHEMA);
		return true;
	}
	return j.failed ? false
			: json_in_fail(&j, "has no \"schema\": this is no snapshot of sallyport");
}

bool host_json_read(struct json_in *j, struct host *ret)
{
	struct document *d = arena_new(j->a, struct document);

	if (!check_schema(j)) {
		j->failed = true;
		return false;
	}
	if (!record_read(j, &document_record, d) || !check_links(j, &d->host.net) ||
	    !check_rules(j, &d->host.net))
		return false;
	if (d->host.n_sysctls)
		qsort(d->host.sysctls, d->host.n_sysctls, sizeof(*d->host.sysctls), by_path);
	*ret = d->host;
	return true;
}
