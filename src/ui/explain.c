/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ui/explain.h"

#include "plan/known.h"
#include "ui/words.h"

#include <string.h>

/* Of a run of rules that are not for the packet so many are shown; --json has them all. */
#define RUN_SHOWN 4
#define RUN_MAX   8
/* Other interfaces of which rp_filter is told. */
#define RPS_MAX 8

static void add_endpoint(struct text *t, const struct ip *ip)
{
	char buf[IP_TEXT_SIZE];

	text_add(t, ip_text(ip, buf));
}

static void add_title(struct text *t, const struct explain_report *r)
{
	const struct explain_query *q = &r->in->query;

	add_endpoint(t, &q->client);
	text_add(t, " asks ");
	add_endpoint(t, &q->server);
	text_add(t, ", ");
	if (q->port)
		text_addf(t, "port %u/", q->port);
	words_proto(t, q->proto);
	text_addf(t, " (%s)\n", r->in->places[0].name);
}

/* --- the request ---------------------------------------------------------------- */

static const char *filter_word(uint8_t filter)
{
	return filter == 0 ? "off" : filter == 1 ? "strict" : "loose";
}

static void add_rp(struct text *t, const struct explain_rp *rp)
{
	text_addf(t, "rp_filter of %s is %s: %s", rp->link->name, filter_word(rp->filter),
		  explain_rp_word(rp->verdict));
	if (rp->verdict == FIB_RP_OTHER_LINK && rp->back)
		text_addf(t, ", %s", rp->back->name);
}

static void add_rps(struct text *t, const struct explain_report *r)
{
	size_t shown = 0;

	for (size_t i = 0; i < r->n_rps; i++)
		if (r->rps[i].link == r->door) {
			text_add(t, "  ");
			add_rp(t, &r->rps[i]);
			text_add(t, "\n");
		}
	for (size_t i = 0; i < r->n_rps && shown < RPS_MAX; i++) {
		if (r->rps[i].link == r->door)
			continue;
		text_add(t, shown++ ? "; " : "  if it came in by another: ");
		add_rp(t, &r->rps[i]);
	}
	if (shown)
		text_add(t, r->n_rps > RPS_MAX + 1 ? "; ...\n" : "\n");
}

/* How a published port is sent on, and by which rule. */
static void add_passing(struct text *t, const struct explain_report *r,
			const struct explain_leg *leg)
{
	const struct explain_query *q = &r->in->query;

	if (leg->place == 0 && r->published)
		text_addf(t, "  port %u is published by sallyport%s%s: it goes on to ", q->port,
			  r->publish.gate ? ", gate " : "", r->publish.gate ? r->publish.gate : "");
	else if (leg->place == 0 && r->container)
		text_addf(t, "  port %u is published for a container: it goes on to ", q->port);
	else
		text_addf(t, "  (%s) it goes on to ", r->in->places[leg->place].name);
	add_endpoint(t, &leg->flow.dst);
	if (leg->flow.dport)
		text_addf(t, " port %u", leg->flow.dport);
	if (leg->flow.mark)
		text_addf(t, " with mark 0x%x", leg->flow.mark);
	text_addf(t, " by %s", leg->out->name);
	if (leg->result.rule)
		text_addf(t, " (rule %u)", leg->result.rule->priority);
	text_add(t, "\n");
}

static void add_request(struct text *t, const struct explain_report *r)
{
	text_add(t, "\nthe request\n  ");
	explain_door(t, r);
	text_add(t, "\n");
	if (!r->n_legs)
		return;
	add_rps(t, r);
	if (r->shown) {
		text_addf(t, "  a live connection shows that port %u is sent on to ",
			  r->in->query.port);
		add_endpoint(t, &r->shown->inside);
		text_addf(t, " port %u\n", r->shown->inside_port);
	}
	for (size_t i = 0; i < r->n_legs && !r->legs[i].reply; i++)
		if (r->legs[i].out)
			add_passing(t, r, &r->legs[i]);
	text_add(t, "  ");
	explain_meets(t, r);
	text_add(t, "\n");
}

/* --- the reply ---------------------------------------------------------------------- */

static void add_step(struct text *t, const struct explain_report *r, const struct explain_leg *leg,
		     const struct fib_step *step)
{
	const char *maker = known_rule_maker(step->rule);

	text_addf(t, "  rule %u: ", step->rule->priority);
	words_rule(t, step->rule, r->in->places[leg->place].net);
	text_add(t, "\n      ");
	explain_step(t, r, leg, step);
	if (maker && str_eq(maker, "sallyport"))
		text_add(t, " (sallyport's own rule)");
	else if (maker)
		text_addf(t, " (%s makes such rules)", maker);
	text_add(t, "\n");
}

/* Length of the run of rules from @from on that are not for the packet. */
static size_t run_of(const struct fib_trace *trace, size_t from)
{
	size_t n = 0;

	while (from + n < trace->n && trace->steps[from + n].why == FIB_WHY_NOT_SELECTED)
		n++;
	return n;
}

static void add_steps(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct fib_trace *trace = &leg->trace;

	for (size_t i = 0; i < trace->n;) {
		size_t run = run_of(trace, i);
		size_t shown = run > RUN_MAX ? RUN_SHOWN : run ? run : 1;

		for (size_t j = 0; j < shown; j++)
			add_step(t, r, leg, &trace->steps[i + j]);
		if (shown < run)
			text_addf(t, "  ... and %zu more rules that are not for this packet\n",
				  run - shown);
		i += run ? run : 1;
	}
}

static void add_reply(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct explain_place *p = &r->in->places[leg->place];

	text_addf(t, "\nthe reply (%s)", p->name);
	if (!ip_is_none(&leg->flow.src)) {
		text_add(t, ", from ");
		add_endpoint(t, &leg->flow.src);
	}
	text_add(t, " to ");
	add_endpoint(t, &leg->flow.dst);
	if (leg->in && leg->arrives)
		text_addf(t, ", which comes by %s", leg->in->name);
	if (leg->flow.mark)
		text_addf(t, " with mark 0x%x", leg->flow.mark);
	if (leg->guarded)
		text_addf(t, ", which sallyport's %s gives it",
			  leg->flow.mark ? "guard" : "attach");
	if (r->verdict == EXPLAIN_REQUEST_DROPPED)
		text_add(t, ", if the request were let in");
	text_add(t, "\n");
	add_steps(t, r, leg);
	text_add(t, "  ");
	explain_way(t, r, leg);
	text_add(t, "\n");
}

/* --- behind the verdict ---------------------------------------------------------------- */

struct notes {
	struct text *t;
	size_t n;
};

static void begin_notes(struct notes *n)
{
	if (!n->n++)
		text_add(n->t, "\nto keep in mind\n");
}

static void add_note(const char *note, void *ctx)
{
	struct notes *n = ctx;

	begin_notes(n);
	text_addf(n->t, "* %s\n", note);
}

static void add_notes(struct text *t, const struct explain_report *r)
{
	struct notes n = { .t = t };
	struct text note CLEANUP_TEXT = { 0 };

	explain_before_ours(&note, r);
	if (note.len)
		add_note(text_str(&note), &n);
	explain_notes(r, add_note, &n);
	for (size_t i = 0; i < r->n_ifs; i++) {
		text_clear(&note);
		explain_if(&note, r, &r->ifs[i]);
		add_note(text_str(&note), &n);
	}
}

static void add_cures(struct text *t, const struct explain_report *r)
{
	for (size_t i = 0; i < r->n_cures; i++) {
		struct text what CLEANUP_TEXT = { 0 }, commands CLEANUP_TEXT = { 0 };
		const char *line;

		explain_cure(&what, &commands, r, &r->cures[i]);
		text_addf(t, "%s* %s:\n", i ? "" : "\nwhat would change it\n", text_str(&what));
		for (line = text_str(&commands); *line;) {
			size_t n = strcspn(line, "\n");

			text_addf(t, "      %.*s\n", (int)n, line);
			line += n + (line[n] == '\n');
		}
	}
}

void explain_text(struct text *t, const struct explain_report *r)
{
	add_title(t, r);
	add_request(t, r);
	for (size_t i = 0; i < r->n_legs; i++)
		if (r->legs[i].reply)
			add_reply(t, r, &r->legs[i]);
	text_add(t, "\n");
	explain_sentence(t, r);
	text_add(t, "\n");
	add_notes(t, r);
	add_cures(t, r);
}
