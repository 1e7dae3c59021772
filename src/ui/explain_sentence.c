/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The verdict of explain, with its reason, in a sentence or two. */
#include "ui/explain.h"

#include "plan/known.h"
#include "ui/words.h"

static const struct link *out_link(const struct explain_report *r, const struct explain_leg *leg)
{
	return leg->out ? leg->out
			: snapshot_link_by_index(explain_place(r, leg)->net, leg->result.link);
}

static void add_maker(struct text *t, const struct rule *rule)
{
	const char *maker = known_rule_maker(rule);

	if (maker)
		text_addf(t, " (as %s makes them)", maker);
}

/* "the VPN's route 172.16.0.0/12", "the default route by eth1" */
static void add_won(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct route *won = leg->result.pick.route;
	const struct link *l = out_link(r, leg);
	char net[PREFIX_TEXT_SIZE];

	text_add(t, l && known_is_tunnel(l) ? "the VPN's " : "the ");
	if (won->dst.len)
		text_addf(t, "route %s", prefix_text(&won->dst, net));
	else
		text_add(t, "default route");
	if (l && !known_is_tunnel(l))
		text_addf(t, " by %s", l->name);
}

static void add_wanted(struct text *t, const struct explain_report *r)
{
	char net[PREFIX_TEXT_SIZE];

	if (r->wanted->dst.len)
		text_addf(t, "the route %s by %s", prefix_text(&r->wanted->dst, net),
			  r->wanted_door->name);
	else
		text_add(t, "your default route");
}

/* The rule that passed over the wanted route because it is short, if one did. */
static const struct rule *passed_over(const struct explain_report *r, const struct explain_leg *leg)
{
	for (size_t i = 0; i < leg->trace.n; i++)
		if (leg->trace.steps[i].route == r->wanted &&
		    leg->trace.steps[i].why != FIB_WHY_CHOSEN)
			return leg->trace.steps[i].rule;
	return NULL;
}

static void why_rule(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct rule *over = passed_over(r, leg), *rule = leg->result.rule;
	char table[TABLE_TEXT_SIZE];

	if (!rule)
		return;
	if (over) {
		text_addf(t, "rule %u passes over ", over->priority);
		add_wanted(t, r);
		text_addf(t, ", and rule %u", rule->priority);
		add_maker(t, rule);
		text_addf(t, " sends what is left to table %s",
			  words_table(leg->result.table, table));
		return;
	}
	text_addf(t, "rule %u", rule->priority);
	add_maker(t, rule);
	text_addf(t, " asks table %s", words_table(leg->result.table, table));
	text_addf(t, " before %s is asked, where ", words_table(r->wanted->table, table));
	add_wanted(t, r);
	text_add(t, " stands");
}

static void add_why(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	switch (r->why) {
	case EXPLAIN_WHY_NONE:
		break;
	case EXPLAIN_WHY_ONLY:
		text_add(t, "no route to ");
		words_ip(t, &r->in->query.client);
		text_addf(t, " leads by %s", r->wanted_door->name);
		break;
	case EXPLAIN_WHY_LONGER:
		add_won(t, r, leg);
		text_add(t, " is more specific than ");
		add_wanted(t, r);
		break;
	case EXPLAIN_WHY_METRIC:
		add_won(t, r, leg);
		text_addf(t, " has metric %u, and ", leg->result.pick.route->metric);
		add_wanted(t, r);
		text_addf(t, " has %u: the lower one wins", r->wanted->metric);
		break;
	case EXPLAIN_WHY_FIRST:
		add_won(t, r, leg);
		text_add(t, " is like ");
		add_wanted(t, r);
		text_add(t, ", and stands in front of it");
		break;
	case EXPLAIN_WHY_DEAD:
		add_wanted(t, r);
		text_addf(t, " is dead, as %s is down or has no carrier", r->wanted_door->name);
		break;
	case EXPLAIN_WHY_RULE:
		why_rule(t, r, leg);
		break;
	case EXPLAIN_WHY_REFUSES:
		text_addf(t, "rule %u", leg->result.rule->priority);
		add_maker(t, leg->result.rule);
		text_add(t, " refuses it");
		break;
	}
}

static void add_reason(struct text *t, const struct explain_report *r,
		       const struct explain_leg *leg)
{
	struct text why CLEANUP_TEXT = { 0 };

	add_why(&why, r, leg);
	if (why.len)
		text_addf(t, ": %s", text_str(&why));
}

/* "In gate office the reply", "The reply" */
static void add_subject(struct text *t, const struct explain_report *r,
			const struct explain_leg *leg)
{
	if (leg->place)
		text_addf(t, "In %s the reply", explain_place(r, leg)->name);
	else
		text_add(t, "The reply");
}

static void same_door(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	if (r->how == EXPLAIN_DOOR_SELF) {
		text_add(t, "The reply stays on this machine, as the request does.");
		return;
	}
	text_addf(t, "The reply leaves by %s, where the request came in", r->door->name);
	if (!ip_is_none(&leg->result.via)) {
		text_add(t, ", via ");
		words_ip(t, &leg->result.via);
	}
	text_add(t, ".");
}

static void other_door(struct text *t, const struct explain_report *r,
		       const struct explain_leg *leg)
{
	const struct link *l = out_link(r, leg);
	const struct link *door = r->legs[leg->place].in;

	add_subject(t, r, leg);
	text_addf(t, " leaves by %s, not by %s where the request came in", l ? l->name : "?",
		  door->name);
	add_reason(t, r, leg);
	if (l && known_is_tunnel(l)) {
		text_add(t, ". ");
		words_ip(t, &r->in->query.client);
		text_add(t, " will never see it.");
	} else {
		text_add(t, ". Whether ");
		words_ip(t, &r->in->query.client);
		text_addf(t, " ever sees it is up to the network behind %s.", l ? l->name : "it");
	}
}

static void other_source(struct text *t, const struct explain_report *r,
			 const struct explain_leg *leg)
{
	add_subject(t, r, leg);
	text_addf(t, " leaves by %s, where the request came in, but from ",
		  r->legs[leg->place].in->name);
	words_ip(t, &leg->result.src);
	text_add(t, " and not from ");
	words_ip(t, &r->legs[leg->place].flow.dst);
	text_add(t, ": the program has the port on every address, and the kernel chose. ");
	words_ip(t, &r->in->query.client);
	text_add(t, " will not take it for an answer.");
}

static void stays_here(struct text *t, const struct explain_report *r,
		       const struct explain_leg *leg)
{
	const struct snapshot *net = explain_place(r, leg)->net;

	add_subject(t, r, leg);
	text_add(t, " never leaves: ");
	words_ip(t, &leg->flow.dst);
	text_add(t, " is an address of this machine itself");
	for (size_t i = 0; i < net->n_addresses; i++)
		if (ip_equal(&net->addresses[i].local, &leg->flow.dst)) {
			text_addf(t, ", on %s",
				  explain_link_name(explain_place(r, leg), net->addresses[i].link,
						    "lo"));
			break;
		}
	text_add(t, ".");
}

static void no_reply(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct route *won = leg->result.pick.route;
	struct text route CLEANUP_TEXT = { 0 };

	if (leg->place)
		text_addf(t, "In %s no reply leaves", explain_place(r, leg)->name);
	else
		text_add(t, "No reply leaves");
	if (leg->result.why_not) {
		text_addf(t, ": %s.", leg->result.why_not);
		return;
	}
	if (won) {
		words_route(&route, won, explain_place(r, leg)->net);
		text_addf(t, ": the route \"%s\" refuses it", text_str(&route));
		if (r->wanted && r->why != EXPLAIN_WHY_REFUSES) {
			text_add(t, "; ");
			add_why(t, r, leg);
		}
	} else {
		add_reason(t, r, leg);
	}
	text_add(t, ".");
}

static void dropped_by_rp(struct text *t, const struct explain_report *r,
			  const struct explain_leg *leg)
{
	const struct explain_leg *reply = explain_last_reply(r);
	const struct link *back = NULL;

	for (size_t i = 0; leg->place == 0 && i < r->n_rps; i++)
		if (r->rps[i].link == leg->in)
			back = r->rps[i].back;
	text_addf(t,
		  "The request is dropped where it comes in: rp_filter of %s wants the way back "
		  "to ",
		  leg->in->name);
	words_ip(t, &leg->flow.src);
	if (leg->rp == FIB_RP_NO_WAY_BACK || !back)
		text_addf(t, " to be %s, and there is none",
			  leg->rp == FIB_RP_NO_WAY_BACK ? "known" : "by the same interface");
	else
		text_addf(t, " to lead by %s too, and it leads by %s", leg->in->name, back->name);
	if (reply && reply->result.link && out_link(r, reply) != r->legs[reply->place].in)
		add_reason(t, r, reply);
	text_add(t, ".");
}

static void request_dropped(struct text *t, const struct explain_report *r,
			    const struct explain_leg *leg)
{
	if (leg->rp == FIB_RP_OTHER_LINK || leg->rp == FIB_RP_NO_WAY_BACK) {
		dropped_by_rp(t, r, leg);
		return;
	}
	if (leg->place)
		text_addf(t, "In %s the request", explain_place(r, leg)->name);
	else
		text_add(t, "The request");
	text_addf(t, " gets nowhere: %s",
		  leg->result.why_not ? leg->result.why_not
				      : fib_verdict_name(leg->result.verdict));
	if (!leg->place &&
	    !snapshot_has_address(explain_place(r, leg)->net, &r->in->query.server)) {
		text_add(t, ", and ");
		words_ip(t, &r->in->query.server);
		text_add(t, " is no address of its own");
	}
	text_add(t, ".");
}

static void unsure(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	struct text door CLEANUP_TEXT = { 0 };

	if (!r->door) {
		explain_door(&door, r);
		text_addf(t, "Cannot be told: %s.", text_str(&door));
	} else if (leg->result.why_not) {
		text_addf(t, "Cannot be told: %s.", leg->result.why_not);
	} else if (leg->result.src_unsure && ip_is_none(&leg->flow.src)) {
		text_add(t, "Cannot be told: from which address the reply comes hangs on earlier "
			    "packets.");
	} else {
		text_addf(t,
			  "Cannot be told: the kernel sends it by one of several equal ways, not "
			  "all of them by %s.",
			  r->legs[leg->place].in->name);
	}
}

void explain_sentence(struct text *t, const struct explain_report *r)
{
	const struct explain_leg *leg = &r->legs[r->decisive];

	switch (r->verdict) {
	case EXPLAIN_SAME_DOOR:
		same_door(t, r, leg);
		break;
	case EXPLAIN_OTHER_DOOR:
		other_door(t, r, leg);
		break;
	case EXPLAIN_OTHER_SOURCE:
		other_source(t, r, leg);
		break;
	case EXPLAIN_STAYS_HERE:
		stays_here(t, r, leg);
		break;
	case EXPLAIN_NO_REPLY:
		no_reply(t, r, leg);
		break;
	case EXPLAIN_REQUEST_DROPPED:
		request_dropped(t, r, leg);
		break;
	case EXPLAIN_UNSURE:
		unsure(t, r, leg);
		break;
	}
}

void explain_before_ours(struct text *t, const struct explain_report *r)
{
	const struct explain_place *p = &r->in->places[r->before_ours_place];

	if (!r->before_ours)
		return;
	text_addf(t, "in %s rule %u stands before sallyport's own: ", p->name,
		  r->before_ours->priority);
	words_rule(t, r->before_ours, p->net);
	add_maker(t, r->before_ours);
}
