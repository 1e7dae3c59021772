/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ui/explain.h"

#include "plan/known.h"
#include "ui/words.h"

#include <string.h>

static json_t *ip_json(const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return ip_is_none(ip) ? json_null() : json_string(ip_text(ip, text));
}

static json_t *link_json(const struct link *l)
{
	return l ? json_string(l->name) : json_null();
}

static json_t *number_or_null(bool known, uint32_t n)
{
	return known ? json_integer(n) : json_null();
}

static json_t *proto_json(uint8_t proto)
{
	struct text t CLEANUP_TEXT = { 0 };

	words_proto(&t, proto);
	return json_string(text_str(&t));
}

static json_t *route_json(const struct route *route, const struct snapshot *net)
{
	struct text t CLEANUP_TEXT = { 0 };

	if (!route)
		return json_null();
	words_route(&t, route, net);
	return json_string(text_str(&t));
}

static json_t *rule_json(const struct rule *rule, const struct snapshot *net)
{
	struct text t CLEANUP_TEXT = { 0 };

	words_rule(&t, rule, net);
	return json_string(text_str(&t));
}

static json_t *query_json(const struct explain_query *q)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:s?, s:o, s:o, s:o}", "client",
			 ip_json(&q->client), "client_port",
			 number_or_null(q->client_port, q->client_port), "server",
			 ip_json(&q->server), "port", number_or_null(q->port, q->port), "proto",
			 proto_json(q->proto), "iif", q->iif, "mark",
			 number_or_null(q->has_mark, q->mark), "uid",
			 number_or_null(q->has_uid, q->uid), "tos",
			 number_or_null(q->has_tos, q->tos));
}

static const char *how_word(enum explain_door how)
{
	static const char *const words[] = {
		[EXPLAIN_DOOR_UNKNOWN] = "unknown", [EXPLAIN_DOOR_GIVEN] = "given",
		[EXPLAIN_DOOR_ADDRESS] = "address", [EXPLAIN_DOOR_SELF] = "self",
		[EXPLAIN_DOOR_ROUTE] = "route",
	};

	return words[how];
}

static json_t *rps_json(const struct explain_report *r)
{
	json_t *list = json_array();

	for (size_t i = 0; i < r->n_rps; i++)
		json_array_append_new(list, json_pack("{s:o, s:i, s:s, s:o}", "interface",
						      link_json(r->rps[i].link), "rp_filter",
						      r->rps[i].filter, "verdict",
						      explain_rp_word(r->rps[i].verdict),
						      "way_back", link_json(r->rps[i].back)));
	return list;
}

static json_t *step_json(const struct explain_report *r, const struct explain_leg *leg,
			 const struct fib_step *step)
{
	const struct snapshot *net = r->in->places[leg->place].net;
	struct text words CLEANUP_TEXT = { 0 };
	char table[TABLE_TEXT_SIZE];

	explain_step(&words, r, leg, step);
	return json_pack(
		"{s:I, s:o, s:s, s:s, s:s, s:s?, s:o, s:s?}", "priority",
		(json_int_t)step->rule->priority, "rule", rule_json(step->rule, net), "table",
		words_table(step->rule->table, table), "outcome", explain_why_word(step->why),
		"why", text_str(&words), "selector",
		step->why == FIB_WHY_NOT_SELECTED ? rule_selector_name(step->selector) : NULL,
		"route", route_json(step->route, net), "maker", known_rule_maker(step->rule));
}

static json_t *leg_json(const struct explain_report *r, const struct explain_leg *leg)
{
	const struct explain_place *p = &r->in->places[leg->place];
	const struct fib_result *result = &leg->result;
	json_t *steps = json_array();
	json_t *root;

	for (size_t i = 0; i < leg->trace.n; i++)
		json_array_append_new(steps, step_json(r, leg, &leg->trace.steps[i]));
	root = json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:I, s:I, s:b}", "direction",
			 leg->reply ? "reply" : "request", "place", p->name, "in",
			 link_json(leg->arrives ? leg->in : NULL), "out", link_json(leg->out),
			 "from", ip_json(&leg->flow.src), "to", ip_json(&leg->flow.dst), "mark",
			 (json_int_t)leg->flow.mark, "uid", (json_int_t)leg->flow.uid, "guarded",
			 leg->guarded);
	json_object_update_new(
		root,
		json_pack("{s:s, s:s?, s:s, s:o, s:o, s:I, s:o, s:o}", "verdict",
			  fib_verdict_name(result->verdict), "why_not", result->why_not,
			  "rp_filter", explain_rp_word(leg->rp), "gateway", ip_json(&result->via),
			  "source", ip_json(&result->src), "table", (json_int_t)result->table,
			  "route", route_json(result->pick.route, p->net), "rules", steps));
	return root;
}

static json_t *meets_json(const struct explain_report *r)
{
	struct text words CLEANUP_TEXT = { 0 };
	json_t *root;

	explain_meets(&words, r);
	root = json_pack("{s:s, s:s}", "kind", explain_meets_word(r->meets), "words",
			 text_str(&words));
	if (r->socket)
		json_object_update_new(root, json_pack("{s:s, s:i, s:I, s:o}", "process",
						       r->socket->process, "pid", r->socket->pid,
						       "uid", (json_int_t)r->socket->uid, "address",
						       ip_json(&r->socket->local)));
	if (r->published)
		json_object_set_new(root, "published",
				    json_pack("{s:s?, s:o, s:i}", "gate", r->publish.gate, "room",
					      ip_json(&r->publish.room), "room_port",
					      r->publish.port));
	if (r->container)
		json_object_set_new(root, "container",
				    json_pack("{s:o, s:i}", "address",
					      ip_json(&r->container->inside), "port",
					      r->container->inside_port));
	if (r->shown)
		json_object_set_new(root, "live_connection",
				    json_pack("{s:o, s:o, s:i}", "client",
					      ip_json(&r->shown->client), "sent_on_to",
					      ip_json(&r->shown->inside), "port",
					      r->shown->inside_port));
	return root;
}

static json_t *if_json(const struct explain_report *r, const struct explain_if *x)
{
	struct text words CLEANUP_TEXT = { 0 };
	const struct snapshot *net = r->in->places[explain_last_reply(r)->place].net;

	explain_if(&words, r, x);
	return json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "words", text_str(&words),
			 "same_door", x->same_door, "rule",
			 x->rule ? rule_json(x->rule, net) : json_null(), "mark",
			 number_or_null(x->mark, x->flow.mark), "uid",
			 number_or_null(x->uid, x->flow.uid), "tos",
			 number_or_null(x->tos, x->flow.tos), "client_port",
			 number_or_null(x->client_port, x->flow.dport), "out",
			 link_json(snapshot_link_by_index(net, x->result.link)));
}

static json_t *lines_json(const char *line)
{
	json_t *list = json_array();

	while (*line) {
		size_t n = strcspn(line, "\n");

		json_array_append_new(list, json_stringn(line, n));
		line += n + (line[n] == '\n');
	}
	return list;
}

static json_t *cure_json(const struct explain_report *r, const struct explain_cure *c)
{
	struct text what CLEANUP_TEXT = { 0 }, commands CLEANUP_TEXT = { 0 };

	explain_cure(&what, &commands, r, c);
	return json_pack("{s:s, s:o}", "what", text_str(&what), "commands",
			 lines_json(text_str(&commands)));
}

static void add_note(const char *note, void *ctx)
{
	json_array_append_new(ctx, json_string(note));
}

static json_t *verdict_json(const struct explain_report *r)
{
	struct text words CLEANUP_TEXT = { 0 };

	explain_sentence(&words, r);
	return json_pack("{s:b, s:s, s:s}", "same_door", r->verdict == EXPLAIN_SAME_DOOR, "kind",
			 explain_verdict_word(r->verdict), "words", text_str(&words));
}

json_t *explain_json(const struct explain_report *r)
{
	json_t *legs = json_array(), *ifs = json_array(), *cures = json_array();
	json_t *notes = json_array();
	struct text before CLEANUP_TEXT = { 0 };

	for (size_t i = 0; i < r->n_legs; i++)
		json_array_append_new(legs, leg_json(r, &r->legs[i]));
	for (size_t i = 0; i < r->n_ifs; i++)
		json_array_append_new(ifs, if_json(r, &r->ifs[i]));
	for (size_t i = 0; i < r->n_cures; i++)
		json_array_append_new(cures, cure_json(r, &r->cures[i]));
	explain_before_ours(&before, r);
	explain_notes(r, add_note, notes);
	return json_pack("{s:i, s:s, s:o, s:{s:o, s:s}, s:o, s:o, s:o, s:o, s:o, s:o, s:s?, s:o}",
			 "schema", EXPLAIN_SCHEMA, "place", r->in->places[0].name, "query",
			 query_json(&r->in->query), "door", "interface", link_json(r->door), "how",
			 how_word(r->how), "rp_filter", rps_json(r), "legs", legs, "meets",
			 r->n_legs ? meets_json(r) : json_null(), "verdict", verdict_json(r),
			 "depends_on", ifs, "notes", notes, "before_ours",
			 before.len ? text_str(&before) : NULL, "cures", cures);
}
