/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ui/rehearse.h"

#include <string.h>

static json_t *ip_json(const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return ip_is_none(ip) ? json_null() : json_string(ip_text(ip, text));
}

static json_t *prefix_json(const struct prefix *p)
{
	char text[PREFIX_TEXT_SIZE];

	return p->ip.family ? json_string(prefix_text(p, text)) : json_null();
}

static json_t *prefixes_json(const struct prefixes *set)
{
	json_t *list = json_array();

	for (size_t i = 0; i < set->n; i++)
		json_array_append_new(list, prefix_json(&set->items[i]));
	return list;
}

static json_t *text_json(const struct text *t)
{
	return json_string(text_str(t));
}

static json_t *way_json(const struct snapshot *net, const struct fib_result *way)
{
	const struct link *l = snapshot_link_by_index(net, way->link);
	const struct route *route = way->pick.route;

	return json_pack("{s:s, s:o, s:o, s:o, s:I}", "verdict", fib_verdict_name(way->verdict),
			 "interface", l ? json_string(l->name) : json_null(), "gateway",
			 ip_json(&way->via), "route",
			 route ? prefix_json(&route->dst) : json_null(), "table",
			 (json_int_t)way->table);
}

static json_t *route_json(const struct push_route *p, enum push_outcome outcome)
{
	static const char *const ways[] = { "tunnel", "connected", "around" };

	return json_pack("{s:o, s:I, s:s, s:s}", "prefix", prefix_json(&p->dst), "metric",
			 (json_int_t)p->metric, "way", ways[p->way], "outcome",
			 rehearse_outcome_word(outcome));
}

static json_t *connection_json(const struct clash_report *r, const struct clash_connection *c)
{
	struct text why CLEANUP_TEXT = { 0 };
	const struct socket_seen *s = c->socket;
	json_t *root;

	rehearse_why(&why, r, c);
	root = json_pack("{s:o, s:i, s:o, s:i, s:s, s:i, s:b, s:b, s:s, s:o, s:o, s:o, s:b}",
			 "peer", ip_json(&s->peer), "peer_port", s->peer_port, "local",
			 ip_json(&s->local), "local_port", s->local_port, "process", s->process,
			 "pid", s->pid, "mine", c->mine, "ssh", c->ssh, "fate",
			 rehearse_fate_word(c->fate), "why", text_json(&why), "before",
			 way_json(r->host, &c->before), "after", way_json(r->after, &c->after),
			 "curable", c->door < r->n_doors);
	if (c->flow) {
		json_object_set_new(root, "container", ip_json(&c->flow->inside));
		json_object_set_new(root, "container_port", json_integer(c->flow->inside_port));
	}
	return root;
}

static json_t *loss_json(const struct clash_loss *loss)
{
	return json_pack("{s:i, s:o, s:o, s:o, s:o}", "family", loss->family == AF_INET6 ? 6 : 4,
			 "networks", prefixes_json(&loss->near), "except",
			 prefixes_json(&loss->but), "in_except", prefixes_json(&loss->again),
			 "nobody_known", prefixes_json(&loss->far));
}

static json_t *listener_json(const struct clash_report *r, const struct clash_listener *l)
{
	json_t *lost = json_array();
	json_t *root;
	uint8_t proto = l->socket ? l->socket->proto : l->publish->proto;

	for (int v6 = 0; v6 < 2; v6++)
		if (l->loss[v6] < r->n_losses)
			json_array_append_new(lost, loss_json(&r->losses[l->loss[v6]]));
	root = json_pack("{s:s, s:i, s:o, s:b, s:o}", "proto", proto == IPPROTO_UDP ? "udp" : "tcp",
			 "port", l->socket ? l->socket->local_port : l->publish->port, "address",
			 ip_json(l->socket ? &l->socket->local : &l->publish->host), "cut",
			 l->cut[0] || l->cut[1], "lost", lost);
	if (l->socket) {
		json_object_set_new(root, "process", json_string(l->socket->process));
		json_object_set_new(root, "pid", json_integer(l->socket->pid));
	} else {
		json_object_set_new(root, "container", ip_json(&l->publish->inside));
		json_object_set_new(root, "container_port", json_integer(l->publish->inside_port));
	}
	return root;
}

static json_t *network_json(const struct clash_network *n)
{
	return json_pack("{s:o, s:s, s:s?, s:s, s:o}", "prefix", prefix_json(&n->route->dst),
			 "interface", n->link, "engine", n->engine, "relation",
			 rehearse_relation_word(n->relation), "by", prefix_json(&n->by));
}

static json_t *out_json(const struct clash_report *r, const struct clash_out *o)
{
	static const char *const kinds[] = { "default", "gateway", "dns", "server" };

	return json_pack("{s:s, s:i, s:o, s:b, s:s, s:o, s:o}", "kind", kinds[o->kind], "family",
			 o->ip.family == AF_INET6 ? 6 : 4, "address",
			 o->kind == CLASH_OUT_DEFAULT ? json_null() : ip_json(&o->ip), "moves",
			 o->moves, "fate", rehearse_fate_word(o->fate), "before",
			 way_json(r->host, &o->before), "after", way_json(r->after, &o->after));
}

static json_t *pool_json(const struct clash_pool_fate *f)
{
	return json_pack("{s:s, s:o, s:i, s:b, s:o}", "engine", f->pool->engine, "base",
			 prefix_json(&f->pool->base), "size", f->pool->len, "taken", f->taken, "by",
			 f->taken ? prefix_json(&f->by) : json_null());
}

static void add_cure(const struct rehearse_cure *cure, void *ctx)
{
	json_t *list = ctx, *commands = json_array();
	const char *line = text_str(&cure->commands);

	while (*line) {
		size_t n = strchrnul(line, '\n') - line;

		json_array_append_new(commands, json_stringn(line, n));
		line += n + (line[n] == '\n');
	}
	json_array_append_new(list, json_pack("{s:o, s:o}", "what", text_json(&cure->what),
					      "commands", commands));
}

static json_t *ips_json(const struct ip *ips, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, ip_json(&ips[i]));
	return list;
}

static json_t *push_json(const struct clash_report *r)
{
	const struct push *push = r->push;
	json_t *routes = json_array(), *addresses = json_array();

	for (size_t i = 0; i < push->n_routes; i++)
		json_array_append_new(routes, route_json(&push->routes[i], r->results[i]));
	for (size_t i = 0; i < push->n_addresses; i++) {
		struct prefix p = { .ip = push->addresses[i].ip, .len = push->addresses[i].len };

		json_array_append_new(addresses, prefix_json(&p));
	}
	return json_pack("{s:s, s:o, s:o, s:o, s:o}", "interface", push->link, "routes", routes,
			 "addresses", addresses, "dns", ips_json(push->dns, push->n_dns), "servers",
			 ips_json(push->servers, push->n_servers));
}

/* Adds list @key of @n items, each made by @make. */
#define ADD_LIST(root, key, n, make)                                                               \
	do {                                                                                       \
		json_t *list_ = json_array();                                                      \
		for (size_t i = 0; i < (n); i++)                                                   \
			json_array_append_new(list_, make);                                        \
		json_object_set_new(root, key, list_);                                             \
	} while (0)

json_t *rehearse_json(const struct rehearse_title *title, const struct clash_report *r)
{
	json_t *cures = json_array();
	json_t *root = json_pack("{s:i, s:s?, s:s?, s:b, s:b, s:o}", "schema", REHEARSE_SCHEMA,
				 "file", title->file, "learned", title->learned, "cut", r->cut,
				 "ipv6_goes_past", r->bypass6, "push", push_json(r));

	ADD_LIST(root, "connections", r->n_connections, connection_json(r, &r->connections[i]));
	ADD_LIST(root, "listeners", r->n_listeners, listener_json(r, &r->listeners[i]));
	ADD_LIST(root, "networks", r->n_networks, network_json(&r->networks[i]));
	ADD_LIST(root, "ways_out", r->n_outs, out_json(r, &r->outs[i]));
	ADD_LIST(root, "pools", r->n_pools, pool_json(&r->pools[i]));
	json_object_set_new(root, "free_pool", prefix_json(&r->free_pool));
	rehearse_cures(title, r, add_cure, cures);
	json_object_set_new(root, "cures", cures);
	return root;
}
