/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a person can type against what a VPN would break. */
#include "ui/rehearse.h"

#include <string.h>

struct cures {
	const struct rehearse_title *title;
	const struct clash_report *r;
	void (*each)(const struct rehearse_cure *cure, void *ctx);
	void *ctx;
};

static const char *ip_command(sa_family_t family)
{
	return family == AF_INET6 ? "ip -6" : "ip";
}

static void tell(const struct cures *c, struct rehearse_cure *cure)
{
	c->each(cure, c->ctx);
	text_free(&cure->what);
	text_free(&cure->commands);
}

static const char *file_of(const struct cures *c)
{
	return c->title->file ? c->title->file : "VPN-FILE";
}

/* The VPN never meets the host's routes there. */
static void in_a_gate(const struct cures *c)
{
	struct rehearse_cure cure = { 0 };

	text_add(&cure.what, "Run the VPN in a gate: it never meets the routes of this host, and "
			     "the service answers on both sides");
	text_addf(&cure.commands, "sallyport run -p 80 --vpn %s -- COMMAND\n", file_of(c));
	tell(c, &cure);
}

static bool cuts_who_came_in(const struct clash_report *r)
{
	for (size_t i = 0; i < r->n_connections; i++)
		if (r->connections[i].fate == CLASH_CUT)
			return true;
	for (size_t i = 0; i < r->n_listeners; i++)
		if (r->listeners[i].cut[0] || r->listeners[i].cut[1])
			return true;
	return false;
}

/* Sessions, ports and containers keep their way, and so does the VPN its routes. */
static void under_guard(const struct cures *c)
{
	struct rehearse_cure cure = { 0 };

	text_add(&cure.what, "Start the VPN client under guard: it runs on this very host, and "
			     "whoever came in stays in, to containers too");
	if (!c->title->file)
		text_add(&cure.commands, "sallyport guard -- VPN-COMMAND\n");
	else if (c->r->push->tie == PUSH_IN_FRONT)
		text_addf(&cure.commands, "sallyport guard -- openvpn --config %s\n",
			  c->title->file);
	else
		text_addf(&cure.commands, "sallyport guard -- wg-quick up %s\n", c->title->file);
	tell(c, &cure);
}

static void keep_door(const struct cures *c, const struct clash_door *d)
{
	const char *tool = ip_command(d->ip.family);
	struct rehearse_cure cure = { 0 };
	char ip[IP_TEXT_SIZE], net[PREFIX_TEXT_SIZE];

	text_addf(&cure.what,
		  "Before the VPN connects: what is sent from %s goes on leaving by %s (TCP; a UDP "
		  "service must be bound to that address)",
		  ip_text(&d->ip, ip), d->link);
	if (d->onlink.ip.family)
		text_addf(&cure.commands, "%s route add %s dev %s table %u\n", tool,
			  prefix_text(&d->onlink, net), d->link, d->table);
	if (!ip_is_none(&d->gateway)) {
		char via[IP_TEXT_SIZE];

		text_addf(&cure.commands, "%s route add default via %s dev %s table %u\n", tool,
			  ip_text(&d->gateway, via), d->link, d->table);
	}
	text_addf(&cure.commands, "%s rule add priority 0 from %s lookup %u\n", tool,
		  ip_text(&d->ip, ip), d->table);
	tell(c, &cure);
}

/* A destination that must stay where it is, whatever routes the VPN brings. */
static void keep_destination(const struct cures *c, const struct prefix *to, const char *what,
			     const char *link, const struct ip *via)
{
	const char *tool = ip_command(to->ip.family);
	struct rehearse_cure cure = { 0 };
	char net[PREFIX_TEXT_SIZE], gateway[IP_TEXT_SIZE];

	prefix_text(to, net);
	if (to->len == ip_bits(to->ip.family))
		*strchr(net, '/') = 0;
	text_addf(&cure.what, "Before the VPN connects: %s %s stays on %s", what, net, link);
	text_addf(&cure.commands, "%s route add %s", tool, net);
	if (!ip_is_none(via))
		text_addf(&cure.commands, " via %s", ip_text(via, gateway));
	text_addf(&cure.commands, " dev %s table %u\n", link, c->r->table);
	text_addf(&cure.commands, "%s rule add priority 0 to %s lookup %u\n", tool, net,
		  c->r->table);
	tell(c, &cure);
}

static bool is_cut(const struct clash_network *n)
{
	return n->relation == CLASH_SWALLOWED || n->relation == CLASH_PARTLY;
}

/* What keeps the network keeps everybody in it. */
static bool is_in_a_cut_network(const struct clash_report *r, const struct ip *ip)
{
	for (size_t i = 0; i < r->n_networks; i++)
		if (is_cut(&r->networks[i]) && prefix_covers(&r->networks[i].route->dst, ip))
			return true;
	return false;
}

static void for_outs(const struct cures *c)
{
	for (size_t i = 0; i < c->r->n_outs; i++) {
		const struct clash_out *o = &c->r->outs[i];
		const struct link *l = snapshot_link_by_index(c->r->host, o->before.link);
		struct prefix to = prefix_host(&o->ip);

		if (o->fate == CLASH_CUT && l && o->before.verdict == FIB_UNICAST &&
		    !is_in_a_cut_network(c->r, &o->ip))
			keep_destination(c, &to, rehearse_out_word(o->kind), l->name,
					 &o->before.via);
	}
}

static void for_networks(const struct cures *c)
{
	for (size_t i = 0; i < c->r->n_networks; i++) {
		const struct clash_network *n = &c->r->networks[i];

		if (is_cut(n))
			keep_destination(c, &n->route->dst, "network", n->link,
					 &n->route->hops[0].via);
	}
}

static bool engine_is_hit(const struct clash_report *r, const char *engine)
{
	for (size_t i = 0; i < r->n_pools; i++)
		if (r->pools[i].taken && str_eq(r->pools[i].pool->engine, engine))
			return true;
	for (size_t i = 0; i < r->n_networks; i++)
		if (r->networks[i].engine && str_eq(r->networks[i].engine, engine))
			return true;
	return false;
}

static void for_pools(const struct cures *c)
{
	struct rehearse_cure cure = { 0 };
	char net[PREFIX_TEXT_SIZE];

	if (!c->r->free_pool.ip.family)
		return;
	prefix_text(&c->r->free_pool, net);
	if (engine_is_hit(c->r, "Docker")) {
		text_addf(&cure.what,
			  "Docker: new networks from %s, which nobody uses: in "
			  "/etc/docker/daemon.json, then make the networks anew",
			  net);
		text_addf(&cure.commands,
			  "{ \"default-address-pools\": [ { \"base\": \"%s\", \"size\": 24 } ] }\n",
			  net);
		tell(c, &cure);
	}
	if (engine_is_hit(c->r, "Podman")) {
		cure = (struct rehearse_cure){ 0 };
		text_addf(
			&cure.what,
			"Podman: new networks from %s, which nobody uses: in section [network] of "
			"/etc/containers/containers.conf",
			net);
		text_addf(&cure.commands,
			  "default_subnet_pools = [ { \"base\" = \"%s\", \"size\" = 24 } ]\n", net);
		tell(c, &cure);
	}
}

static void for_bypass(const struct cures *c)
{
	struct rehearse_cure cure = { 0 };

	if (!c->r->bypass6)
		return;
	text_add(&cure.what, "If nothing may go past the VPN: no IPv6 but to the links of this "
			     "host, as long as the VPN is up");
	text_add(&cure.commands, "ip -6 route add unreachable default metric 1\n");
	tell(c, &cure);
}

void rehearse_cures(const struct rehearse_title *title, const struct clash_report *r,
		    void (*each)(const struct rehearse_cure *cure, void *ctx), void *ctx)
{
	const struct cures c = { .title = title, .r = r, .each = each, .ctx = ctx };

	if (cuts_who_came_in(r))
		under_guard(&c);
	for (size_t i = 0; i < r->n_doors; i++)
		keep_door(&c, &r->doors[i]);
	for_outs(&c);
	for_networks(&c);
	if (r->cut)
		in_a_gate(&c);
	for_pools(&c);
	for_bypass(&c);
}
