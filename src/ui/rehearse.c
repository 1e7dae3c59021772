/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ui/rehearse.h"

#include <stdio.h>
#include <string.h>

/* More of one sort are counted, not listed; --json has them all. */
#define LIST_MAX 20

/* --- words ------------------------------------------------------------------- */

const char *rehearse_fate_word(enum clash_fate fate)
{
	switch (fate) {
	case CLASH_KEPT:
		return "kept";
	case CLASH_CUT:
		return "cut";
	case CLASH_UNSURE:
		return "unsure";
	}
	return "";
}

const char *rehearse_relation_word(enum clash_relation relation)
{
	switch (relation) {
	case CLASH_HIDES:
		return "hides";
	case CLASH_TIE:
		return "tie";
	case CLASH_PARTLY:
		return "partly";
	case CLASH_SWALLOWED:
		return "swallowed";
	}
	return "";
}

const char *rehearse_out_word(enum clash_out_kind kind)
{
	switch (kind) {
	case CLASH_OUT_DEFAULT:
		return "everything else";
	case CLASH_OUT_GATEWAY:
		return "default gateway";
	case CLASH_OUT_DNS:
		return "name server";
	case CLASH_OUT_SERVER:
		return "VPN server";
	}
	return "";
}

const char *rehearse_outcome_word(enum push_outcome outcome)
{
	switch (outcome) {
	case PUSH_STANDS:
		return "stands";
	case PUSH_WINS:
		return "wins";
	case PUSH_LOSES:
		return "loses";
	case PUSH_NOT_TAKEN:
		return "not taken";
	case PUSH_NO_GATEWAY:
		return "no gateway";
	}
	return "";
}

/* "eth0 via 172.16.5.1", or why there is no way. */
static void add_way(struct text *t, const struct snapshot *net, const struct fib_result *way)
{
	const struct link *l = snapshot_link_by_index(net, way->link);
	char via[IP_TEXT_SIZE];

	if (way->verdict == FIB_LOCAL) {
		text_add(t, "this host itself");
	} else if (way->error || !l) {
		text_addf(t, "no way (%s)", fib_verdict_name(way->verdict));
	} else {
		text_add(t, l->name);
		if (!ip_is_none(&way->via))
			text_addf(t, " via %s", ip_text(&way->via, via));
	}
}

static const char *route_text(const struct fib_result *way, char buf[PREFIX_TEXT_SIZE])
{
	if (!way->pick.route)
		return "no route";
	if (!way->pick.route->dst.len)
		return "the default route";
	return prefix_text(&way->pick.route->dst, buf);
}

void rehearse_why(struct text *t, const struct clash_report *r, const struct clash_connection *c)
{
	const char *what = c->inward ? "what the client sends" : "the answers";
	const struct fib_result *before = &c->before, *after = &c->after;
	enum clash_fate fate = c->fate;
	struct text old CLEANUP_TEXT = { 0 }, new CLEANUP_TEXT = { 0 };
	char route[PREFIX_TEXT_SIZE];
	const char *why;

	add_way(&old, r->host, before);
	add_way(&new, r->after, after);
	if (c->stopped) {
		text_addf(t, "rp_filter drops what the client sends: its way back would be by %s",
			  text_str(&new));
	} else if (fate == CLASH_UNSURE && !before->why_not && !after->why_not) {
		text_addf(t, "cannot be told: %s would leave by %s, not by %s", what,
			  text_str(&new), text_str(&old));
	} else if (fate == CLASH_UNSURE) {
		why = before->why_not ? before->why_not : after->why_not;
		text_addf(t, "cannot be told: %s", why ? why : "the way is not known");
	} else if (fate == CLASH_KEPT) {
		text_addf(t, "by %s, %s now", text_str(&new),
			  str_eq(text_str(&old), text_str(&new)) ? "as" : "the same link as");
	} else if (after->verdict == FIB_LOCAL) {
		text_add(t, "the VPN gives this host the other end's own address");
	} else if (after->link == r->tunnel && !after->error) {
		text_addf(t, "%s would go into the tunnel (%s), not by %s", what,
			  route_text(after, route), text_str(&old));
	} else {
		text_addf(t, "%s would leave by %s, not by %s", what, text_str(&new),
			  text_str(&old));
	}
}

/* --- lists that may be long ----------------------------------------------------- */

static void add_prefixes(struct text *t, const struct prefixes *set)
{
	char p[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < set->n && i < LIST_MAX; i++)
		text_addf(t, "%s%s", i ? ", " : "", prefix_text(&set->items[i], p));
	if (set->n > LIST_MAX)
		text_addf(t, " and %zu more", set->n - LIST_MAX);
}

static void add_more(struct text *t, size_t n, const char *what)
{
	if (n)
		text_addf(t, "  ... and %zu more%s\n", n, what);
}

/* --- parts of the table ----------------------------------------------------------- */

static void add_title(struct text *t, const struct rehearse_title *title,
		      const struct clash_report *r)
{
	const struct push *push = r->push;
	size_t n = 0;

	text_addf(t, "%s", title->file ? title->file : "These routes");
	text_addf(t, "%s%s%s: ", title->learned ? " (" : "", title->learned ? title->learned : "",
		  title->learned ? ")" : "");
	for (size_t i = 0; i < push->n_routes; i++) {
		const struct push_route *p = &push->routes[i];
		char dst[PREFIX_TEXT_SIZE];

		if (p->way == PUSH_AROUND)
			continue;
		if (n < LIST_MAX)
			text_addf(t, "%s%s", n ? ", " : "", prefix_text(&p->dst, dst));
		n++;
	}
	if (n > LIST_MAX)
		text_addf(t, " and %zu more", n - LIST_MAX);
	text_addf(t, "%s by the tunnel", n ? "" : "nothing");
	for (size_t i = 0; i < push->n_addresses; i++) {
		char ip[IP_TEXT_SIZE];

		text_addf(t, "%s%s", i ? ", " : "; address ", ip_text(&push->addresses[i].ip, ip));
	}
	for (size_t i = 0; i < push->n_dns; i++) {
		char ip[IP_TEXT_SIZE];

		text_addf(t, "%s%s", i ? ", " : "; name servers ", ip_text(&push->dns[i], ip));
	}
	text_add(t, "\n");
}

static const char *end_text(const struct ip *ip, uint16_t port, char buf[IP_TEXT_SIZE + 10])
{
	char text[IP_TEXT_SIZE];

	ip_text(ip, text);
	snprintf(buf, IP_TEXT_SIZE + 10, ip->family == AF_INET6 ? "[%s]:%u" : "%s:%u", text, port);
	return buf;
}

static void add_connection(struct text *t, const struct clash_report *r,
			   const struct clash_connection *c)
{
	static const char *const words[] = { "kept", "CUT", "?" };
	char from[IP_TEXT_SIZE + 10], to[IP_TEXT_SIZE + 10];
	const struct socket_seen *s = c->socket;

	text_addf(t, "  %-5s %s -> %s", words[c->fate], end_text(&s->peer, s->peer_port, from),
		  end_text(&s->local, s->local_port, to));
	if (c->flow)
		text_addf(t, " container %s",
			  end_text(&c->flow->inside, c->flow->inside_port, from));
	text_addf(t, "%s%s%s\n        ", *s->process ? " " : "", s->process,
		  c->mine ? ", your own session" : "");
	rehearse_why(t, r, c);
	text_add(t, "\n");
}

static void add_connections(struct text *t, const struct clash_report *r, bool ssh,
			    const char *title)
{
	size_t shown = 0, hidden = 0;

	for (size_t i = 0; i < r->n_connections; i++) {
		if (r->connections[i].ssh != ssh)
			continue;
		if (!shown)
			text_addf(t, "\n%s\n", title);
		if (shown < LIST_MAX) {
			add_connection(t, r, &r->connections[i]);
			shown++;
		} else {
			hidden++;
		}
	}
	add_more(t, hidden, "");
}

static void add_listener(struct text *t, const struct clash_listener *l)
{
	char at[IP_TEXT_SIZE + 10];

	if (l->socket) {
		const struct socket_seen *s = l->socket;

		text_addf(t, "  %5u/%s %s", s->local_port, s->proto == IPPROTO_UDP ? "udp" : "tcp",
			  s->process);
		if (!ip_is_any(&s->local))
			text_addf(t, " on %s", ip_text(&s->local, at));
	} else {
		text_addf(t, "  %5u/%s container %s", l->publish->port,
			  l->publish->proto == IPPROTO_UDP ? "udp" : "tcp",
			  end_text(&l->publish->inside, l->publish->inside_port, at));
	}
	text_add(t, "\n");
}

static bool same_port(const struct clash_listener *a, const struct clash_listener *b)
{
	return a->socket && b->socket && a->socket->proto == b->socket->proto &&
	       a->socket->local_port == b->socket->local_port && ip_is_any(&a->socket->local) &&
	       ip_is_any(&b->socket->local);
}

static bool same_set(const struct prefixes *a, const struct prefixes *b)
{
	for (size_t i = 0; i < a->n && i < b->n; i++)
		if (!prefix_equal(&a->items[i], &b->items[i]))
			return false;
	return a->n == b->n;
}

static bool same_loss(const struct clash_loss *a, const struct clash_loss *b)
{
	return a->family == b->family && same_set(&a->near, &b->near) &&
	       same_set(&a->but, &b->but) && same_set(&a->again, &b->again);
}

static void add_clients(struct text *t, const struct clash_loss *loss)
{
	if (loss->near.n == 1 && !loss->near.items[0].len && !loss->but.n) {
		text_addf(t, "\nno client of IPv%d would get an answer from\n",
			  loss->family == AF_INET6 ? 6 : 4);
		return;
	}
	text_add(t, "\nclients in ");
	add_prefixes(t, &loss->near);
	if (loss->but.n) {
		text_add(t, " (but not in ");
		add_prefixes(t, &loss->but);
		if (loss->again.n) {
			text_add(t, ", of which ");
			add_prefixes(t, &loss->again);
			text_add(t, " is lost as well");
		}
		text_add(t, ")");
	}
	text_add(t, " would get no answer from\n");
}

/* All ports that lose the same clients, told at the first of these losses. */
static void add_loss(struct text *t, const struct clash_report *r, size_t index)
{
	const struct clash_loss *loss = &r->losses[index];
	int v6 = loss->family == AF_INET6;
	const struct clash_listener *last = NULL;
	size_t shown = 0, hidden = 0;

	if (!loss->near.n)
		return;
	for (size_t i = 0; i < index; i++)
		if (same_loss(&r->losses[i], loss))
			return;
	add_clients(t, loss);
	for (size_t i = 0; i < r->n_listeners; i++) {
		const struct clash_listener *l = &r->listeners[i];

		if (l->loss[v6] == r->n_losses || (last && same_port(last, l)) ||
		    !same_loss(&r->losses[l->loss[v6]], loss))
			continue;
		last = l;
		if (shown++ < LIST_MAX)
			add_listener(t, l);
		else
			hidden++;
	}
	add_more(t, hidden, " ports");
}

static void add_far(struct text *t, const struct clash_report *r)
{
	for (size_t i = 0; i < r->n_losses; i++) {
		const struct clash_loss *loss = &r->losses[i];
		bool told = false;

		for (size_t j = 0; j < i; j++)
			told |= same_set(&r->losses[j].far, &loss->far);
		if (!loss->far.n || told)
			continue;
		text_add(t, "\nNobody on this side is known to have an address in ");
		add_prefixes(t, &loss->far);
		text_add(t, "; whoever has would get no answer either.\n");
	}
}

static void add_network(struct text *t, const struct clash_network *n)
{
	char net[PREFIX_TEXT_SIZE], by[PREFIX_TEXT_SIZE];

	text_addf(t, "  %s on %s%s%s%s: ", prefix_text(&n->route->dst, net), n->link,
		  n->engine ? " (" : "", n->engine ? n->engine : "", n->engine ? ")" : "");
	prefix_text(&n->by, by);
	switch (n->relation) {
	case CLASH_HIDES:
		text_addf(t, "stays; what the VPN has there (in its %s) cannot be reached\n", by);
		break;
	case CLASH_TIE:
		text_addf(t, "stays: a tie with the VPN's own %s, which this host's route wins\n",
			  by);
		break;
	case CLASH_PARTLY:
		text_addf(t, "CUT in part: the VPN's %s lies in it\n", by);
		break;
	case CLASH_SWALLOWED:
		text_addf(t, "CUT: all of it goes into the tunnel (%s)\n", by);
		break;
	}
}

static void add_networks(struct text *t, const struct clash_report *r)
{
	if (r->n_networks)
		text_add(t, "\nnetworks of this host\n");
	for (size_t i = 0; i < r->n_networks && i < LIST_MAX; i++)
		add_network(t, &r->networks[i]);
	add_more(t, r->n_networks > LIST_MAX ? r->n_networks - LIST_MAX : 0, "");
}

static void add_out(struct text *t, const struct clash_report *r, const struct clash_out *o)
{
	struct text old CLEANUP_TEXT = { 0 }, new CLEANUP_TEXT = { 0 };
	char ip[IP_TEXT_SIZE];

	add_way(&old, r->host, &o->before);
	add_way(&new, r->after, &o->after);
	if (o->kind == CLASH_OUT_DEFAULT)
		text_addf(t, "  %s of IPv%c", rehearse_out_word(o->kind),
			  o->ip.family == AF_INET6 ? '6' : '4');
	else
		text_addf(t, "  %s %s", rehearse_out_word(o->kind), ip_text(&o->ip, ip));
	if (o->fate == CLASH_UNSURE)
		text_add(t, ": cannot be told\n");
	else if (o->kind == CLASH_OUT_SERVER && o->fate == CLASH_CUT)
		text_addf(t,
			  ": CUT: the VPN would send its own packets into its tunnel, not by "
			  "%s\n",
			  text_str(&old));
	else if (o->fate == CLASH_CUT)
		text_addf(t, ": CUT: by %s, not by %s\n", o->moves ? "the tunnel" : text_str(&new),
			  text_str(&old));
	else if (o->moves)
		text_add(t, ": through the tunnel\n");
	else
		text_addf(t, ": by %s, as now\n", text_str(&old));
}

static void add_outs(struct text *t, const struct clash_report *r)
{
	if (r->n_outs)
		text_add(t, "\nways out\n");
	for (size_t i = 0; i < r->n_outs; i++)
		add_out(t, r, &r->outs[i]);
	if (r->bypass6)
		text_add(t, "  IPv6 goes past the VPN: it takes IPv4 alone\n");
}

static void add_ties(struct text *t, const struct clash_report *r)
{
	size_t refused = 0;
	char dst[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < r->push->n_routes; i++) {
		if (r->results[i] != PUSH_NOT_TAKEN)
			continue;
		if (!refused++)
			text_add(t, "\nwg-quick would give up (\"File exists\"), for this host has "
				    "routes to ");
		else
			text_add(t, ", ");
		text_add(t, prefix_text(&r->push->routes[i].dst, dst));
	}
	if (refused)
		text_add(t, ".\nThe rest of this page is about a client that goes on.\n");
}

static void add_pools(struct text *t, const struct clash_report *r)
{
	bool any = false;

	for (size_t i = 0; i < r->n_pools; i++) {
		const struct clash_pool_fate *f = &r->pools[i];
		char base[PREFIX_TEXT_SIZE], by[PREFIX_TEXT_SIZE];

		if (!f->taken)
			continue;
		if (!any)
			text_add(t, "\nwhere new container networks come from\n");
		any = true;
		text_addf(t, "  %s (%s): meets the VPN's %s\n", prefix_text(&f->pool->base, base),
			  f->pool->engine, prefix_text(&f->by, by));
	}
}

static void add_cure(const struct rehearse_cure *cure, void *ctx)
{
	const char *line = text_str(&cure->commands);
	struct text *t = ctx;

	text_addf(t, "* %s:\n", text_str(&cure->what));
	while (*line) {
		size_t n = strcspn(line, "\n");

		text_add(t, "      ");
		text_add_len(t, line, n);
		text_add(t, "\n");
		line += n + (line[n] == '\n');
	}
}

static size_t count_ports(const struct clash_report *r)
{
	const struct clash_listener *last = NULL;
	size_t n = 0;

	for (size_t i = 0; i < r->n_listeners; i++) {
		const struct clash_listener *l = &r->listeners[i];

		if ((!l->cut[0] && !l->cut[1]) || (last && same_port(last, l)))
			continue;
		last = l;
		n++;
	}
	return n;
}

static size_t count_networks(const struct clash_report *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_networks; i++)
		n += r->networks[i].relation == CLASH_PARTLY ||
		     r->networks[i].relation == CLASH_SWALLOWED;
	return n;
}

static bool cuts_out(const struct clash_report *r, enum clash_out_kind kind)
{
	for (size_t i = 0; i < r->n_outs; i++)
		if (r->outs[i].kind == kind && r->outs[i].fate == CLASH_CUT)
			return true;
	return false;
}

static void add_verdict(struct text *t, const struct rehearse_title *title,
			const struct clash_report *r)
{
	static const enum clash_out_kind outs[] = { CLASH_OUT_GATEWAY, CLASH_OUT_DNS,
						    CLASH_OUT_SERVER };
	size_t cut = 0, ports = count_ports(r), nets = count_networks(r);
	struct text parts CLEANUP_TEXT = { 0 };
	bool mine = false;

	for (size_t i = 0; i < r->n_connections; i++) {
		cut += r->connections[i].fate == CLASH_CUT;
		mine |= r->connections[i].mine && r->connections[i].fate == CLASH_CUT;
	}
	if (cut)
		text_addf(&parts, ", %zu of %zu connections%s", cut, r->n_connections,
			  mine ? " (your own session, too)" : "");
	if (ports)
		text_addf(&parts, ", clients of %zu %s", ports, ports == 1 ? "port" : "ports");
	if (nets)
		text_addf(&parts, ", %zu %s of this host", nets,
			  nets == 1 ? "network" : "networks");
	for (size_t i = 0; i < ARRAY_LEN(outs); i++)
		if (cuts_out(r, outs[i]))
			text_addf(&parts, ", the %s", rehearse_out_word(outs[i]));
	if (parts.len)
		text_addf(t, "\nConnecting would cut%s.\n", text_str(&parts) + 1);
	else
		text_addf(t, "\nNothing%s would be cut.\n",
			  title->partly ? " of what is told" : "");
}

void rehearse_text(struct text *t, const struct rehearse_title *title, const struct clash_report *r)
{
	struct text cures CLEANUP_TEXT = { 0 };

	add_title(t, title, r);
	add_ties(t, r);
	add_connections(t, r, true, "SSH sessions");
	add_connections(t, r, false, "other connections that came in");
	for (size_t i = 0; i < r->n_losses; i++)
		add_loss(t, r, i);
	add_far(t, r);
	add_networks(t, r);
	add_outs(t, r);
	add_pools(t, r);
	rehearse_cures(title, r, add_cure, &cures);
	if (cures.len)
		text_addf(t, "\nwhat would help\n%s", text_str(&cures));
	add_verdict(t, title, r);
}
