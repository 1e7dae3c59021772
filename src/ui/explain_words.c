/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each thing that explain has to say, as one phrase. */
#include "ui/explain.h"

#include "plan/known.h"
#include "ui/words.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <string.h>

static const struct explain_place *place_of(const struct explain_report *r,
					    const struct explain_leg *leg)
{
	return &r->in->places[leg->place];
}

static void add_ip(struct text *t, const struct ip *ip)
{
	char buf[IP_TEXT_SIZE];

	text_add(t, ip_text(ip, buf));
}

static void add_port(struct text *t, uint16_t port, uint8_t proto)
{
	text_addf(t, "port %u/%s", port, proto == IPPROTO_UDP ? "udp" : "tcp");
}

/* --- words for JSON, the same in the text ------------------------------------ */

const char *explain_verdict_word(enum explain_verdict verdict)
{
	switch (verdict) {
	case EXPLAIN_SAME_DOOR:
		return "same door";
	case EXPLAIN_OTHER_DOOR:
		return "other door";
	case EXPLAIN_OTHER_SOURCE:
		return "other source";
	case EXPLAIN_STAYS_HERE:
		return "stays here";
	case EXPLAIN_NO_REPLY:
		return "no reply";
	case EXPLAIN_REQUEST_DROPPED:
		return "request dropped";
	case EXPLAIN_UNSURE:
		return "unsure";
	}
	return "";
}

const char *explain_why_word(enum fib_why why)
{
	switch (why) {
	case FIB_WHY_NOT_SELECTED:
		return "not selected";
	case FIB_WHY_JUMPS:
		return "jumps";
	case FIB_WHY_NO_TARGET:
		return "no target";
	case FIB_WHY_NOTHING:
		return "nothing";
	case FIB_WHY_REFUSES:
		return "refuses";
	case FIB_WHY_NO_MATCH:
		return "no route";
	case FIB_WHY_THROWN:
		return "thrown";
	case FIB_WHY_SUPPRESSED_LEN:
	case FIB_WHY_SUPPRESSED_GROUP:
		return "suppressed";
	case FIB_WHY_OTHER_SOURCE:
		return "other source";
	case FIB_WHY_CHOSEN:
		return "decides";
	case FIB_WHY_CANNOT_MODEL:
		return "cannot model";
	}
	return "";
}

const char *explain_rp_word(enum fib_rp rp)
{
	switch (rp) {
	case FIB_RP_PASSES:
		return "passes";
	case FIB_RP_NOT_ASKED:
		return "not asked";
	case FIB_RP_SOURCE_BAD:
		return "bad source";
	case FIB_RP_OTHER_LINK:
		return "dropped, way back by another link";
	case FIB_RP_NO_WAY_BACK:
		return "dropped, no way back";
	case FIB_RP_CANNOT_MODEL:
		return "cannot model";
	}
	return "";
}

const char *explain_meets_word(enum explain_meets meets)
{
	switch (meets) {
	case EXPLAIN_MEETS_UNKNOWN:
		return "unknown";
	case EXPLAIN_MEETS_NOBODY:
		return "nobody";
	case EXPLAIN_MEETS_KERNEL:
		return "kernel";
	case EXPLAIN_MEETS_SOCKET:
		return "socket";
	case EXPLAIN_MEETS_OTHER:
		return "passed on";
	case EXPLAIN_MEETS_NOTHING:
		return "nothing";
	}
	return "";
}

/* --- the request --------------------------------------------------------------- */

void explain_door(struct text *t, const struct explain_report *r)
{
	const struct explain_query *q = &r->in->query;

	switch (r->how) {
	case EXPLAIN_DOOR_UNKNOWN:
		add_ip(t, &q->server);
		text_add(t, " stands on no single interface here, and no route tells where ");
		add_ip(t, &q->client);
		text_add(t, " is: say with --iif by which interface the request comes in");
		break;
	case EXPLAIN_DOOR_GIVEN:
		text_addf(t, "comes in by %s, as --iif says", r->door->name);
		break;
	case EXPLAIN_DOOR_ADDRESS:
		text_addf(t, "comes in by %s, where ", r->door->name);
		add_ip(t, &q->server);
		text_add(t, " stands");
		break;
	case EXPLAIN_DOOR_SELF:
		text_addf(t, "is made here and stays here: it goes by %s", r->door->name);
		break;
	case EXPLAIN_DOOR_ROUTE:
		text_addf(t, "is expected by %s, which leads to ", r->door->name);
		add_ip(t, &q->client);
		text_add(t, " as far as no VPN has a say (--iif says otherwise)");
		break;
	}
}

static void meets_socket(struct text *t, const struct socket_seen *s)
{
	text_addf(t, "meets %s", s->process[0] ? s->process : "a program that is not known");
	if (s->pid)
		text_addf(t, " (pid %d)", s->pid);
	text_add(t, ", which has ");
	add_port(t, s->local_port, s->proto);
	if (ip_is_any(&s->local)) {
		text_add(t, " of every address");
	} else {
		text_add(t, " of ");
		add_ip(t, &s->local);
	}
}

void explain_meets(struct text *t, const struct explain_report *r)
{
	const struct explain_leg *reply = explain_last_reply(r);
	const struct explain_leg *last = &r->legs[0];

	for (size_t i = 0; i < r->n_legs && !r->legs[i].reply; i++)
		last = &r->legs[i];
	switch (r->meets) {
	case EXPLAIN_MEETS_UNKNOWN:
		text_add(t, "is for this machine itself; who has ");
		add_port(t, last->flow.dport, last->flow.proto);
		text_add(t, " is not known");
		break;
	case EXPLAIN_MEETS_NOBODY:
		text_add(t, "meets nobody: no program has ");
		add_port(t, last->flow.dport, last->flow.proto);
		text_addf(t, "; the kernel answers \"%s\"",
			  last->flow.proto == IPPROTO_UDP ? "port unreachable"
							  : "connection refused");
		break;
	case EXPLAIN_MEETS_KERNEL:
		text_add(t, "is answered by the kernel");
		break;
	case EXPLAIN_MEETS_SOCKET:
		meets_socket(t, r->socket);
		break;
	case EXPLAIN_MEETS_OTHER:
		text_addf(t, "is passed on by %s, behind which nothing is looked at",
			  last->out->name);
		break;
	case EXPLAIN_MEETS_NOTHING:
		text_add(t, reply ? "goes no further" : "gets no further");
		break;
	}
}

/* --- one rule ------------------------------------------------------------------- */

static const char *link_name(const struct explain_place *p, int index, const char *none)
{
	const struct link *l = index ? snapshot_link_by_index(p->net, index) : NULL;

	return l ? l->name : none;
}

static void add_source(struct text *t, const struct flow *f)
{
	if (ip_is_none(&f->src)) {
		text_add(t, "it has no source yet");
	} else {
		text_add(t, "it comes from ");
		add_ip(t, &f->src);
	}
}

static void add_number(struct text *t, const char *what, uint32_t n)
{
	if (n)
		text_addf(t, "its %s is %u", what, n);
	else
		text_addf(t, "its %s is not known", what);
}

static void not_selected(struct text *t, const struct explain_place *p, const struct flow *f,
			 enum rule_selector selector)
{
	switch (selector) {
	case RULE_IIF:
		if (f->iif)
			text_addf(t, "it came in by %s", link_name(p, f->iif, "?"));
		else
			text_add(t, "it is made here");
		break;
	case RULE_OIF:
		text_addf(t, "it is bound to %s", link_name(p, f->oif, "no interface"));
		break;
	case RULE_MARK:
		text_addf(t, "its mark is 0x%x", f->mark);
		break;
	case RULE_UID:
		text_addf(t, "it belongs to uid %u", f->iif ? 0 : f->uid);
		break;
	case RULE_FROM:
		add_source(t, f);
		break;
	case RULE_TO:
		text_add(t, "it goes to ");
		add_ip(t, &f->dst);
		break;
	case RULE_TOS:
	case RULE_DSCP:
		text_addf(t, "its tos is 0x%02x", f->tos);
		break;
	case RULE_PROTO:
		text_add(t, "it is ");
		words_proto(t, f->proto);
		break;
	case RULE_SPORT:
		add_number(t, "source port", f->sport);
		break;
	case RULE_DPORT:
		add_number(t, "destination port", f->dport);
		break;
	case RULE_TUN_ID:
	case RULE_L3MDEV:
	case RULE_FLOWLABEL:
	case RULE_UNKNOWN:
		text_addf(t, "its %s is another", rule_selector_name(selector));
		break;
	case RULE_SELECTORS:
		text_add(t, "it is just what the rule excepts");
		break;
	}
}

void explain_step(struct text *t, const struct explain_report *r, const struct explain_leg *leg,
		  const struct fib_step *step)
{
	const struct explain_place *p = place_of(r, leg);
	const struct flow *f = &leg->flow;
	struct text route CLEANUP_TEXT = { 0 };

	if (step->route)
		words_route(&route, step->route, p->net);
	switch (step->why) {
	case FIB_WHY_NOT_SELECTED:
		text_add(t, "not for this packet: ");
		not_selected(t, p, f, step->selector);
		break;
	case FIB_WHY_JUMPS:
		text_addf(t, "goes on at rule %u", step->rule->target);
		break;
	case FIB_WHY_NO_TARGET:
		text_add(t, "passed over: there is no rule of that number");
		break;
	case FIB_WHY_NOTHING:
		text_add(t, "does nothing");
		break;
	case FIB_WHY_REFUSES:
		text_add(t, "decides: the rule itself refuses");
		break;
	case FIB_WHY_NO_MATCH:
		text_add(t, "no route there to ");
		add_ip(t, &f->dst);
		break;
	case FIB_WHY_THROWN:
		text_addf(t, "passed over: %s", text_str(&route));
		break;
	case FIB_WHY_SUPPRESSED_LEN:
		text_addf(t, "passed over: %s, too short for suppress_prefixlength",
			  text_str(&route));
		break;
	case FIB_WHY_SUPPRESSED_GROUP:
		text_addf(t, "passed over: %s, by an interface of that group", text_str(&route));
		break;
	case FIB_WHY_OTHER_SOURCE:
		text_addf(t, "passed over: %s would send from another address", text_str(&route));
		break;
	case FIB_WHY_CHOSEN:
		text_addf(t, "decides: %s", text_str(&route));
		break;
	case FIB_WHY_CANNOT_MODEL:
		text_addf(t, "cannot be told: %s",
			  leg->result.why_not ? leg->result.why_not : "not in the model");
		break;
	}
}

/* --- ways ------------------------------------------------------------------------ */

static void add_result(struct text *t, const struct explain_place *p, const struct fib_result *r)
{
	if (r->verdict == FIB_CANNOT_MODEL) {
		text_addf(t, "goes where cannot be told: %s", r->why_not ? r->why_not : "");
	} else if (r->verdict == FIB_LOCAL) {
		text_add(t, "stays here");
	} else if (r->verdict == FIB_REFUSED) {
		text_addf(t, "goes nowhere: %s", r->why_not);
	} else if (r->error) {
		text_addf(t, "goes nowhere: %s", fib_verdict_name(r->verdict));
	} else {
		text_addf(t, "leaves by %s", link_name(p, r->link, "?"));
		if (!ip_is_none(&r->via)) {
			text_add(t, " via ");
			add_ip(t, &r->via);
		}
	}
}

void explain_way(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct fib_result *result = &leg->result;

	add_result(t, place_of(r, leg), result);
	if (leg->arrives || result->error || ip_is_none(&result->src))
		return;
	text_add(t, ", from ");
	add_ip(t, &result->src);
	if (ip_is_none(&leg->flow.src))
		text_addf(t, ", which the kernel chose%s",
			  result->src_unsure ? " or may choose otherwise" : "");
}

/* --- the verdict -------------------------------------------------------------------- */

static const struct link *out_link(const struct explain_report *r, const struct explain_leg *leg)
{
	return leg->out ? leg->out
			: snapshot_link_by_index(place_of(r, leg)->net, leg->result.link);
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
		add_ip(t, &r->in->query.client);
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
		text_addf(t, "In %s the reply", place_of(r, leg)->name);
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
		add_ip(t, &leg->result.via);
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
		add_ip(t, &r->in->query.client);
		text_add(t, " will never see it.");
	} else {
		text_add(t, ". Whether ");
		add_ip(t, &r->in->query.client);
		text_addf(t, " ever sees it is up to the network behind %s.", l ? l->name : "it");
	}
}

static void other_source(struct text *t, const struct explain_report *r,
			 const struct explain_leg *leg)
{
	add_subject(t, r, leg);
	text_addf(t, " leaves by %s, where the request came in, but from ",
		  r->legs[leg->place].in->name);
	add_ip(t, &leg->result.src);
	text_add(t, " and not from ");
	add_ip(t, &r->legs[leg->place].flow.dst);
	text_add(t, ": the program has the port on every address, and the kernel chose. ");
	add_ip(t, &r->in->query.client);
	text_add(t, " will not take it for an answer.");
}

static void stays_here(struct text *t, const struct explain_report *r,
		       const struct explain_leg *leg)
{
	const struct snapshot *net = place_of(r, leg)->net;

	add_subject(t, r, leg);
	text_add(t, " never leaves: ");
	add_ip(t, &leg->flow.dst);
	text_add(t, " is an address of this machine itself");
	for (size_t i = 0; i < net->n_addresses; i++)
		if (ip_equal(&net->addresses[i].local, &leg->flow.dst)) {
			text_addf(t, ", on %s",
				  link_name(place_of(r, leg), net->addresses[i].link, "lo"));
			break;
		}
	text_add(t, ".");
}

static void no_reply(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct route *won = leg->result.pick.route;
	struct text route CLEANUP_TEXT = { 0 };

	if (leg->place)
		text_addf(t, "In %s no reply leaves", place_of(r, leg)->name);
	else
		text_add(t, "No reply leaves");
	if (leg->result.why_not) {
		text_addf(t, ": %s.", leg->result.why_not);
		return;
	}
	if (won) {
		words_route(&route, won, place_of(r, leg)->net);
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
	add_ip(t, &leg->flow.src);
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
		text_addf(t, "In %s the request", place_of(r, leg)->name);
	else
		text_add(t, "The request");
	text_addf(t, " gets nowhere: %s",
		  leg->result.why_not ? leg->result.why_not
				      : fib_verdict_name(leg->result.verdict));
	if (!leg->place && !snapshot_has_address(place_of(r, leg)->net, &r->in->query.server)) {
		text_add(t, ", and ");
		add_ip(t, &r->in->query.server);
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

/* --- what else there is to say --------------------------------------------------------- */

void explain_if(struct text *t, const struct explain_report *r, const struct explain_if *x)
{
	const struct explain_leg *reply = explain_last_reply(r);
	const char *between = "";

	if (!x->rule)
		text_add(t, "if the program itself says from which address (IP_PKTINFO)");
	else
		text_add(t, "if ");
	if (x->mark) {
		text_addf(t, "%sits mark were 0x%x (--mark)", between, x->flow.mark);
		between = " and ";
	}
	if (x->uid) {
		text_addf(t, "%sits socket belonged to uid %u (--uid)", between, x->flow.uid);
		between = " and ";
	}
	if (x->client_port) {
		text_addf(t, "%sthe client's port were %u (--client-port)", between, x->flow.dport);
		between = " and ";
	}
	if (x->tos)
		text_addf(t, "%sits tos were 0x%02x (--tos)", between, x->flow.tos);
	text_add(t, ", it ");
	add_result(t, place_of(r, reply), &x->result);
	if (x->rule) {
		text_addf(t, " (rule %u", x->rule->priority);
		if (known_rule_maker(x->rule))
			text_addf(t, ", as %s makes them", known_rule_maker(x->rule));
		text_add(t, ")");
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

void explain_notes(const struct explain_report *r, void (*each)(const char *note, void *ctx),
		   void *ctx)
{
	const struct explain_place *p = &r->in->places[0];
	struct text t CLEANUP_TEXT = { 0 };

	if (!p->confs && r->in->query.client.family == AF_INET && r->n_legs && r->legs[0].arrives)
		each("rp_filter is not known here; a strict one may drop the request", ctx);
	if (!p->nft_known)
		each("the firewall is not known here; a port that it publishes is not seen", ctx);
	if (p->dnat && !r->published && !r->container && !r->shown) {
		text_addf(&t, "%s rewrites destinations as well, and that is not looked at",
			  p->dnat);
		each(text_str(&t), ctx);
		text_clear(&t);
	}
	if (r->more) {
		text_addf(&t, "what %s does with it is not known here", r->more_name);
		each(text_str(&t), ctx);
		text_clear(&t);
	}
	if (r->more_ip)
		each("what stands behind that address is not looked at", ctx);
	if (r->meets == EXPLAIN_MEETS_UNKNOWN && r->in->query.proto == IPPROTO_UDP)
		each("whether the service is bound to one address is not known; taken is that it "
		     "is not",
		     ctx);
}

void explain_cure(struct text *what, struct text *commands, const struct explain_report *r,
		  const struct explain_cure *c)
{
	const struct explain_place *p = &r->in->places[c->place];
	char ip[IP_TEXT_SIZE];

	switch (c->kind) {
	case EXPLAIN_CURE_ROUTER:
		text_addf(what,
			  "No route here says by which router %s is reached by %s; put its address "
			  "for ROUTER",
			  ip_text(&r->in->query.client, ip), c->cure.link);
		words_cure(commands, &c->cure, p->enter, "ROUTER");
		break;
	case EXPLAIN_CURE_RULE:
		if (c->cure.from.ip.family)
			text_addf(what, "What is sent from %s leaves by %s, whatever a VPN brings",
				  ip_text(&c->cure.from.ip, ip), c->cure.link);
		else
			text_addf(what, "What is sent to %s%s%s leaves by %s",
				  ip_text(&c->cure.to.ip, ip),
				  c->cure.iif ? " and comes in by " : "",
				  c->cure.iif ? c->cure.iif : "", c->cure.link);
		words_cure(commands, &c->cure, p->enter, NULL);
		break;
	case EXPLAIN_CURE_LOOSE:
		text_addf(what,
			  "Let %s take what has a way back by any interface, as the reply itself "
			  "goes right",
			  r->door->name);
		text_addf(commands, "%ssysctl -w net/ipv4/conf/%s/rp_filter=2\n", p->enter,
			  r->door->name);
		break;
	case EXPLAIN_CURE_GUARD:
		text_add(what, "Start the VPN client under guard: it runs on this very host, and "
			       "whoever came in stays in");
		text_add(commands, "sallyport guard -- VPN-COMMAND\n");
		break;
	case EXPLAIN_CURE_ATTACH:
		text_addf(what,
			  "Put %s right from outside: whoever comes in by a door is answered by "
			  "that door, whatever its VPN brings",
			  p->name);
		text_addf(commands, "sallyport attach %s\n", p->attach);
		break;
	case EXPLAIN_CURE_GATE:
		text_add(what, "Run the VPN in a gate: it never meets the routes of this host, "
			       "and the service answers on both sides");
		text_addf(commands, "sallyport run -p %u%s --vpn VPN-FILE -- COMMAND\n",
			  r->in->query.port ? r->in->query.port : 80,
			  r->in->query.proto == IPPROTO_UDP ? "/udp" : "");
		break;
	case EXPLAIN_CURE_REPAIR:
		text_addf(what,
			  "Gate %s is not as sallyport keeps it: see whether it runs, and start "
			  "it again if not",
			  p->gate);
		text_addf(commands, "sallyport status %s\nsallyport up %s\n", p->gate, p->gate);
		break;
	}
}
