/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/guard.h"

#include <jansson.h>

static json_t *routes_json(const struct guard *g, const struct guard_door *d)
{
	json_t *list = json_array();

	for (size_t i = 0; i < g->memory.n_routes; i++) {
		const struct want_route *r = &g->memory.routes[i];
		char to[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];

		if (str_eq(r->link, d->name))
			json_array_append_new(
				list,
				json_pack("{s:s, s:s?}", "to",
					  r->dst.len ? prefix_text(&r->dst, to) : "default", "via",
					  ip_is_none(&r->via) ? NULL : ip_text(&r->via, via)));
	}
	return list;
}

static json_t *addresses_json(const struct snapshot *host, const struct guard_door *d)
{
	const struct link *l = snapshot_link_by_name(host, d->name);
	json_t *list = json_array();

	for (size_t i = 0; l && i < host->n_addresses; i++) {
		char ip[IP_TEXT_SIZE];

		if (host->addresses[i].link == l->index)
			json_array_append_new(list,
					      json_string(ip_text(&host->addresses[i].local, ip)));
	}
	return list;
}

static json_t *doors_json(struct guard *g)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	json_t *list = json_array();
	struct err e;

	if (rtnl_snapshot_tables(g->rtnl, &a, 0, 0, &host, &e) < 0)
		return list;
	for (size_t i = 0; i < g->memory.n_doors; i++) {
		const struct guard_door *d = &g->memory.doors[i];

		json_array_append_new(list, json_pack("{s:s, s:s, s:i, s:o, s:o}", "name", d->name,
						      "kind", d->tunnel ? "vpn" : "lan", "table",
						      d->number < GUARD_DOORS_MAX
							      ? (int)(GUARD_TABLE_DOOR + d->number)
							      : 0,
						      "addresses", addresses_json(&host, d),
						      "routes", routes_json(g, d)));
	}
	return list;
}

char *guard_status_json(struct guard *g)
{
	json_t *root = json_pack("{s:i, s:s, s:I, s:s?, s:i, s:o, s:I, s:o}", "schema", 1, "state",
				 "stands", "since", (json_int_t)g->since, "command",
				 g->command ? g->command[0] : NULL, "pid", (int)g->child.pid,
				 "doors", doors_json(g), "repairs_ever",
				 (json_int_t)g->repairs.ever, "repairs",
				 log_repairs_json(&g->repairs));
	char *text = json_dumps(root, JSON_INDENT(2));

	json_decref(root);
	return text;
}
