/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Each thing that explain has to say, as one phrase. */
#include "ui/explain.h"

#include "plan/known.h"
#include "ui/words.h"

const struct explain_place *explain_place(const struct explain_report *r,
					  const struct explain_leg *leg)
{
	return &r->in->places[leg->place];
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
		words_ip(t, &q->server);
		text_add(t, " stands on no single interface here, and no route tells where ");
		words_ip(t, &q->client);
		text_add(t, " is: say with --iif by which interface the request comes in");
		break;
	case EXPLAIN_DOOR_GIVEN:
		text_addf(t, "comes in by %s, as --iif says", r->door->name);
		break;
	case EXPLAIN_DOOR_ADDRESS:
		text_addf(t, "comes in by %s, where ", r->door->name);
		words_ip(t, &q->server);
		text_add(t, " stands");
		break;
	case EXPLAIN_DOOR_SELF:
		text_addf(t, "is made here and stays here: it goes by %s", r->door->name);
		break;
	case EXPLAIN_DOOR_ROUTE:
		text_addf(t, "is expected by %s, which leads to ", r->door->name);
		words_ip(t, &q->client);
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
		words_ip(t, &s->local);
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

const char *explain_link_name(const struct explain_place *p, int index, const char *none)
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
		words_ip(t, &f->src);
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
			text_addf(t, "it came in by %s", explain_link_name(p, f->iif, "?"));
		else
			text_add(t, "it is made here");
		break;
	case RULE_OIF:
		text_addf(t, "it is bound to %s", explain_link_name(p, f->oif, "no interface"));
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
		words_ip(t, &f->dst);
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
	const struct explain_place *p = explain_place(r, leg);
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
		words_ip(t, &f->dst);
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
		text_addf(t, "leaves by %s", explain_link_name(p, r->link, "?"));
		if (!ip_is_none(&r->via)) {
			text_add(t, " via ");
			words_ip(t, &r->via);
		}
	}
}

void explain_way(struct text *t, const struct explain_report *r, const struct explain_leg *leg)
{
	const struct fib_result *result = &leg->result;

	add_result(t, explain_place(r, leg), result);
	if (leg->arrives || result->error || ip_is_none(&result->src))
		return;
	text_add(t, ", from ");
	words_ip(t, &result->src);
	if (ip_is_none(&leg->flow.src))
		text_addf(t, ", which the kernel chose%s",
			  result->src_unsure ? " or may choose otherwise" : "");
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
	add_result(t, explain_place(r, reply), &x->result);
	if (x->rule) {
		text_addf(t, " (rule %u", x->rule->priority);
		if (known_rule_maker(x->rule))
			text_addf(t, ", as %s makes them", known_rule_maker(x->rule));
		text_add(t, ")");
	}
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
