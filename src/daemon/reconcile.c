/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot -> want -> diff -> apply, for host, gate and rooms.  Used for the
 * first start, after `kill -9`, when a tunnel comes and goes, and for repair:
 * what differs decides, not what we think has happened.
 *
 * The order closes before it opens: first the gate's sysctls and its nft table
 * (the kill switch), then links, addresses, routes and rules, the host's way in
 * last.
 */
#include "daemon/supervisor.h"

#include "plan/diff.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/sysctl.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Links made in one round get their addresses in the next; one more sees that nothing is left. */
#define ROUNDS 6

#define LAZY_MS  50
#define RETRY_MS 1000

static int netns_of(void *ctx, enum want_place place, size_t room)
{
	struct supervisor *s = ctx;

	switch (place) {
	case PLACE_HOST:
		return s->host.fd;
	case PLACE_GATE:
		return s->inner.fd;
	case PLACE_ROOM:
		return s->rooms[room].fd;
	}
	return -1;
}

static const char *place_name(const struct place *p)
{
	return p->netns ? p->netns : "host";
}

static const struct plan_sysctl *find_before(const struct supervisor *s, const char *path)
{
	for (size_t i = 0; i < s->n_before; i++)
		if (str_eq(s->before[i].path, path))
			return &s->before[i];
	return NULL;
}

static void remember(struct supervisor *s, const char *path, const char *value)
{
	struct plan_sysctl *b;

	if (find_before(s, path))
		return;
	b = arena_push(&s->arena, s->before, s->n_before, s->cap_before);
	b->path = arena_strdup(&s->arena, path);
	b->value = arena_strdup(&s->arena, value);
}

/* Would @x change something now?  Reads its value into @ret_now. */
static bool sysctl_differs(struct place *p, struct arena *a, const struct want_sysctl *x,
			   const char **ret_now)
{
	struct err e;

	if (sysctl_get_in(&p->sysctls, a, x->path, ret_now, &e) < 0)
		return false; /* a kernel without it, or an interface that has just gone */
	if (!x->value || str_eq(*ret_now, x->value))
		return false;
	return !x->only_if || str_eq(*ret_now, x->only_if);
}

void sup_remember(struct supervisor *s, struct arena *a, const struct want *w)
{
	bool change = false, all6 = false;
	const char *now;

	for (size_t i = 0; i < w->n_sysctls; i++)
		if (w->sysctls[i].restore && sysctl_differs(&s->host, a, &w->sysctls[i], &now)) {
			remember(s, w->sysctls[i].path, now);
			change = true;
			all6 |= str_eq(w->sysctls[i].path, PLAN_FORWARDING6_ALL);
		}
	for (size_t i = 0; change && i < w->n_sysctls; i++) {
		struct err e;

		/* Once that is written, a link's own is our doing. */
		if (!w->sysctls[i].restore || w->sysctls[i].value ||
		    (str_starts(w->sysctls[i].path, "ipv6/") && !all6))
			continue;
		if (sysctl_get_in(&s->host.sysctls, a, w->sysctls[i].path, &now, &e) == 0)
			remember(s, w->sysctls[i].path, now);
	}
}

/* Will the host's switch be written that other gates look at as well (router.c)? */
static bool needs_lock(struct place *p, struct arena *a, const struct want *w)
{
	const char *now;

	for (size_t i = 0; p->sup->settled && i < w->n_sysctls; i++)
		if (w->sysctls[i].restore && str_eq(w->sysctls[i].path, PLAN_FORWARDING6_ALL))
			return sysctl_differs(p, a, &w->sysctls[i], &now);
	return false;
}

static int apply_sysctls(struct place *p, struct arena *a, const struct want *w, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	int lock CLEANUP_FD = -1;
	const char *was;
	int r;

	if (p->netns)
		r = netns_enter(p->fd, &visit, e);
	else
		r = needs_lock(p, a, w) ? host_lock(&lock, e) : 0;
	if (r < 0)
		return r;
	for (size_t i = 0; i < w->n_sysctls; i++) {
		const struct want_sysctl *x = &w->sysctls[i];

		if (!x->value)
			continue;
		r = sysctl_change_in(&p->sysctls, a, x->path, x->value, x->only_if, &was, e);
		if (r < 0 && r != -ENOENT)
			return r;
		if (was && p->had_sysctls && !x->restore)
			sup_repaired(p->sup, "%s: sysctl %s was %s", place_name(p), x->path, was);
	}
	return 0;
}

/*
 * The host's table is every gate's.  What stands in it for this one, from
 * before a `kill -9` or for an older slot, is taken out in the same transaction,
 * and so is what an older version left for nobody.  It has to be listed for that, so
 * only when there is something, or somebody in our way.
 */
static int with_stale(struct place *p, struct arena *a, const char *text, const char **ret,
		      struct err *e)
{
	const struct gate *g = &p->sup->gate;
	const struct publish *port;
	const char *listed, *other;
	int r = nft_list_table(p->nft, a, PLAN_NFT_HOST, &listed, e);

	*ret = text;
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	other = plan_nft_conflict(a, listed, g, &port);
	if (other)
		return err_set(
			e, EADDRINUSE,
			"port %u/%s is gate \"%s\"'s: publish another one, or take that gate "
			"away with: sallyport down %s",
			port->door_port, port->proto == IPPROTO_UDP ? "udp" : "tcp", other, other);
	*ret = arena_printf(a, "%s%s", plan_nft_stale(a, listed, g->name), text);
	return 0;
}

static bool has_part(struct place *p, struct arena *a)
{
	return nft_has_chain(p->nft, PLAN_NFT_HOST,
			     arena_printf(a, "before_%s", p->sup->gate.name)) ||
	       nft_has_chain(p->nft, PLAN_NFT_HOST, PLAN_NFT_OLDER);
}

static int run_nft(struct place *p, struct arena *a, const char *text, struct err *e)
{
	int r;

	if (p->kind != PLACE_HOST)
		return nft_run(p->nft, text, e);
	if (!has_part(p, a)) {
		r = nft_run(p->nft, text, e);
		if (r != -EEXIST) /* a port of ours leads to another gate */
			return r;
	}
	r = with_stale(p, a, text, &text, e);
	return r < 0 ? r : nft_run(p->nft, text, e);
}

static int apply_nft(struct place *p, struct arena *a, const struct want *w, struct err *e)
{
	int r;

	if (!w->nft || (p->nft_text && str_eq(p->nft_text, w->nft)))
		return 0;
	r = run_nft(p, a, w->nft, e);
	if (r < 0)
		return err_wrap(e, r, "nft table inet %s of %s", place_nft_table(p, a),
				place_name(p));
	free(p->nft_text);
	p->nft_text = strdup(w->nft);
	return 0;
}

static int take_snapshot(struct place *p, struct arena *a, const struct want *w,
			 struct snapshot *ret, struct err *e)
{
	if (p->kind == PLACE_HOST)
		return rtnl_snapshot_near(p->rtnl, a, plan_host_link(a, &p->sup->gate),
					  w->table_first, w->table_last, ret, e);
	return rtnl_snapshot_tables(p->rtnl, a, w->table_first, w->table_last, ret, e);
}

/*
 * Told to the log only when somebody else did it: not at the first start, and
 * not when a door has just come or gone and the plan follows.  What follows
 * from one deletion (a renewed list of rules) is one repair.
 */
static void report(struct place *p, struct arena *a, const struct diff *d)
{
	struct supervisor *s = p->sup;

	if (!s->settled || s->facts_changed || s->sandboxes.changed ||
	    (p->kind == PLACE_HOST && s->sides_changed))
		return;
	for (size_t i = 0; i < d->n_ops; i++) {
		if (d->ops[i].kind == OP_RULE_DEL)
			continue;
		sup_repaired(s, "%s: %s", place_name(p), diff_op_text(a, &d->ops[i]));
		if (d->ops[i].kind == OP_RULE_ADD || d->ops[i].kind == OP_RULE_MOVE) {
			while (i + 1 < d->n_ops && (d->ops[i + 1].kind == OP_RULE_ADD ||
						    d->ops[i + 1].kind == OP_RULE_MOVE ||
						    d->ops[i + 1].kind == OP_RULE_DEL))
				i++;
		}
	}
}

static bool has_rules(const struct diff *d)
{
	for (size_t i = 0; i < d->n_ops; i++)
		if (d->ops[i].kind == OP_RULE_ADD || d->ops[i].kind == OP_RULE_DEL ||
		    d->ops[i].kind == OP_RULE_MOVE)
			return true;
	return false;
}

static bool is_wanted(const struct want *w, const char *link)
{
	for (size_t i = 0; i < w->n_links; i++)
		if (str_eq(w->links[i].name, link))
			return true;
	return false;
}

/* On the host, others' links are their own affair. */
static void keep_wanted_links(struct snapshot *s, const struct want *w)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_links; i++)
		if (is_wanted(w, s->links[i].name))
			s->links[n++] = s->links[i];
	s->n_links = n;
}

/*
 * The kernel's routes of our addresses, if it said that such were taken away: also when an
 * address went, or a link was set down, which concerns nobody any more.
 */
static int put_back_locals(struct place *p, struct arena *a, const struct want *w,
			   size_t *ret_steps, struct err *e)
{
	const struct want local = { .table_first = RT_TABLE_LOCAL, .table_last = RT_TABLE_LOCAL };
	struct text words CLEANUP_TEXT = { 0 };
	struct snapshot now;
	int r;

	if (!p->locals_due)
		return 0;
	p->locals_due = false;
	r = take_snapshot(p, a, &local, &now, e);
	if (r < 0)
		return r;
	if (p->kind == PLACE_HOST)
		keep_wanted_links(&now, w);
	r = rtnl_locals_put_back(p->rtnl, &now, &words, e);
	if (words.len) {
		*ret_steps += 1; /* routes may have gone with an address */
		sup_repaired(p->sup, "%s: %s was missing", place_name(p), text_str(&words));
	}
	return r;
}

/* From @have, the place as it was a moment ago; taken when nothing is in it. */
static int apply_place(struct place *p, struct arena *a, const struct want *w, struct snapshot have,
		       size_t *ret_steps, struct err *e)
{
	struct diff diff = { 0 };
	int lock CLEANUP_FD = -1;
	int r = have.n_links ? 0 : take_snapshot(p, a, w, &have, e);

	if (r < 0)
		return err_wrap(e, r, "%s", place_name(p));
	diff_make(a, &have, w, &diff);
	if (p->kind == PLACE_HOST && p->sup->settled && has_rules(&diff)) {
		/* They are every gate's: one at a time, by what is there then. */
		r = host_lock(&lock, e);
		if (r == 0)
			r = take_snapshot(p, a, w, &have, e);
		if (r < 0)
			return r;
		diff_make(a, &have, w, &diff);
	}
	report(p, a, &diff);
	*ret_steps += diff.n_ops;
	/* A source is only taken from what is known to be local. */
	r = put_back_locals(p, a, w, ret_steps, e);
	if (r == 0)
		r = rtnl_apply(p->rtnl, w, &diff, netns_of, p->sup, e);
	return r < 0 ? err_wrap(e, r, "%s", place_name(p)) : 0;
}

static void hash_facts(uint64_t *h, const struct door_run *d)
{
	char text[64];

	snprintf(text, sizeof(text), "%s/%u", d->interface, d->mtu);
	*h = str_hash(text, *h);
	*h = str_hash(text_str(&d->addresses), *h);
}

static int snapshot_gate(struct supervisor *s, struct arena *a, struct snapshot *ret, struct err *e)
{
	return rtnl_snapshot_tables(s->inner.rtnl, a, PLAN_TABLE_ROOMS, PLAN_TABLE_LAST, ret, e);
}

/* A room's link under another name: its address of the slot would look like a VPN's. */
static bool is_renamed(const struct supervisor *s, struct arena *a, const struct link *l)
{
	bool known = str_eq(l->name, "lo") || str_eq(l->name, "lan");

	for (size_t i = 0; !known && i < s->gate.n_rooms; i++)
		known = str_eq(l->name, plan_room_link(a, &s->gate, i));
	return !known && plan_link_is_of(l, s->gate.name);
}

/*
 * An end whose other end is not where it belongs comes from a gate or a room
 * that was taken apart: the kernel will remove it, at a time of its own.
 */
static int drop_stale_links(struct supervisor *s, struct arena *a, struct snapshot *gate,
			    struct err *e)
{
	struct rtnl_counters ignored;
	struct err away;
	bool dropped = false;
	int r = 0;

	if (!snapshot_link_by_name(gate, "lan"))
		r = rtnl_link_delete(s->host.rtnl, plan_host_link(a, &s->gate), e);
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		if (!s->gate.rooms[i].sandbox &&
		    snapshot_link_by_name(gate, plan_room_link(a, &s->gate, i)) &&
		    rtnl_counters(s->rooms[i].rtnl, "eth0", &ignored, &away) == -ENODEV) {
			r = rtnl_link_delete(s->inner.rtnl, plan_room_link(a, &s->gate, i), e);
			dropped = true;
		}
	for (size_t i = 0; r == 0 && i < gate->n_links; i++)
		if (is_renamed(s, a, &gate->links[i])) {
			r = rtnl_link_delete(s->inner.rtnl, gate->links[i].name, e);
			dropped = true;
		}
	return r < 0 || !dropped ? r : snapshot_gate(s, a, gate, e);
}

static size_t find_claims_all(const struct supervisor *s, const struct snapshot *gate)
{
	for (size_t i = 0; i < gate->n_routes; i++) {
		const struct route *r = &gate->routes[i];
		const struct link *l = r->n_hops ? snapshot_link_by_index(gate, r->hops[0].link)
						 : NULL;

		if (r->dst.len || r->table != RT_TABLE_MAIN || r->type != RTN_UNICAST || !l)
			continue;
		for (size_t d = 1; d < s->gate.n_doors; d++)
			if (str_eq(l->name, s->doors[d].interface))
				return d;
	}
	return 0;
}

static int put_back_doors(struct supervisor *s, struct arena *a, struct snapshot *gate,
			  struct err *e)
{
	bool did = false, any = false;

	for (size_t i = 1; i < s->gate.n_doors; i++)
		any |= s->doors[i].had.index != 0;
	if (any) /* who took away what is missing in @gate */
		place_hear(&s->inner);
	for (size_t i = 1; i < s->gate.n_doors; i++)
		did |= door_had_look(&s->doors[i], gate);
	return did ? snapshot_gate(s, a, gate, e) : 0;
}

/*
 * What the plan needs to know of the gate as it is: which doors have an
 * interface.  A VPN that gave itself an address of our slot makes us move.
 */
static int observe(struct supervisor *s, struct arena *a, struct snapshot *gate, struct err *e)
{
	struct snapshot host = { 0 };
	uint64_t h = s->slot.number;
	int r;

	r = snapshot_gate(s, a, gate, e);
	if (r == 0)
		r = drop_stale_links(s, a, gate, e);
	if (r == 0)
		r = put_back_doors(s, a, gate, e);
	if (r == 0)
		r = sandboxes_look(s, a, gate, e);
	if (r < 0)
		return r;
	for (size_t i = 1; i < s->gate.n_doors; i++) {
		if (door_observe(&s->doors[i], gate))
			s->dirty = true; /* status and readiness follow */
		door_had_note(&s->doors[i], gate);
		hash_facts(&h, &s->doors[i]);
	}
	s->claims_all = find_claims_all(s, gate);
	if (slot_clashes(&s->slot, gate)) {
		r = rtnl_snapshot(s->host.rtnl, a, &host, e);
		if (r < 0)
			return r;
		if (!slot_choose(s->gate.name, plan_host_link(a, &s->gate), &host, gate, &s->slot))
			return err_set(e, EADDRINUSE, "no free range for the gate's links");
		sup_log(s, "a VPN took an address of our links: they move to %u.%u.%u.%u/26",
			s->slot.net4.ip.byte[0], s->slot.net4.ip.byte[1], s->slot.net4.ip.byte[2],
			s->slot.net4.ip.byte[3]);
		h = str_hash("moved", h + s->slot.number);
	}
	s->facts_changed = h != s->facts_hash;
	s->facts_hash = h;
	return 0;
}

static struct plan_facts facts_of(struct supervisor *s, struct arena *a,
				  const struct snapshot *host)
{
	struct plan_facts f = { .slot = s->slot,
				.ipv6 = s->ipv6,
				.host = host,
				.before = s->before,
				.n_before = s->n_before };

	f.doors = arena_alloc(a, sizeof(*f.doors) * s->gate.n_doors);
	for (size_t i = 1; i < s->gate.n_doors; i++) {
		struct door_run *d = &s->doors[i];

		f.doors[i].interface = d->interface[0] ? d->interface : NULL;
		f.doors[i].mtu = d->mtu;
		f.doors[i].addresses = d->ips;
		f.doors[i].n_addresses = d->n_ips;
		f.doors[i].servers = d->servers;
		f.doors[i].n_servers = d->n_servers;
		if (d->door->kind == DOOR_WIREGUARD)
			f.doors[i].wg = &d->wg;
	}
	f.claims_all = s->claims_all;
	f.sandboxes = arena_alloc(a, sizeof(*f.sandboxes) * (s->gate.n_rooms + 1));
	for (size_t i = s->sandboxes.n_own_rooms; i < s->gate.n_rooms; i++)
		f.sandboxes[i] = s->rooms[i].sandbox;
	return f;
}

static bool is_one(struct supervisor *s, struct arena *a, const char *path)
{
	const char *now;
	struct err e;

	return sysctl_get_in(&s->host.sysctls, a, path, &now, &e) == 0 && str_eq(now, "1");
}

/* A link that is there has its own switch, which it got from `default` when it was made. */
static bool host_refuses_ipv6(struct supervisor *s, struct arena *a)
{
	bool off =
		is_one(s, a, "ipv6/conf/default/disable_ipv6") ||
		is_one(s, a,
		       arena_printf(a, "ipv6/conf/%s/disable_ipv6", plan_host_link(a, &s->gate)));

	for (size_t i = 0; !off && i < s->gate.n_rooms; i++)
		off = plan_room_is_short(&s->gate, i) &&
		      is_one(s, a,
			     arena_printf(a, "ipv6/conf/%s/disable_ipv6",
					  plan_short_link(a, &s->slot, i)));
	return off;
}

void sup_want(struct supervisor *s, struct arena *a, const struct place *p,
	      const struct snapshot *host, struct want *ret)
{
	struct plan_facts f = facts_of(s, a, host);

	switch (p->kind) {
	case PLACE_HOST:
		f.forwards4 = is_one(s, a, "ipv4/ip_forward");
		f.host_no_ipv6 = s->ipv6 && host_refuses_ipv6(s, a);
		plan_host(a, &s->gate, &f, ret);
		break;
	case PLACE_GATE:
		plan_gate(a, &s->gate, &f, ret);
		break;
	case PLACE_ROOM:
		plan_room(a, &s->gate, &f, p->room, ret);
		break;
	}
}

/* What stands in chain `before_NAME`: ours from before a `kill -9`, or another gate's legacy. */
static int merge_before(struct supervisor *s, struct arena *a, struct err *e)
{
	struct plan_sysctl *found;
	size_t n;
	int r;

	if (s->before_known)
		return 0;
	r = before_read(s->host.nft, a, s->gate.name, &found, &n, e);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++)
		remember(s, found[i].path, found[i].value);
	s->before_known = true;
	return 0;
}

/* Would this plan change chain `before_NAME`? */
static bool writes_before(struct supervisor *s, struct arena *a, const struct want *w)
{
	const char *now;

	if (!s->host.nft_text || !str_eq(s->host.nft_text, w->nft))
		return true;
	for (size_t i = 0; i < w->n_sysctls; i++)
		if (w->sysctls[i].restore && sysctl_differs(&s->host, a, &w->sysctls[i], &now))
			return true;
	return false;
}

/* A sandbox's link that its engine has not taken yet. */
static bool waits_for_engine(const struct supervisor *s, struct arena *a, const char *link)
{
	for (size_t i = s->sandboxes.n_own_rooms; i < s->gate.n_rooms; i++)
		if (str_eq(plan_sandbox_link(a, &s->gate, i), link))
			return true;
	return false;
}

/*
 * Short links of another slot or of rooms that have none any more, and those
 * whose other end is in a room that was taken apart.
 */
static int drop_short_links(struct supervisor *s, struct arena *a, struct snapshot *host,
			    const struct want *w, struct err *e)
{
	struct rtnl_counters ignored;
	struct err away;
	bool dropped = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < host->n_links; i++) {
		if (!plan_link_is_of(&host->links[i], s->gate.name) ||
		    is_wanted(w, host->links[i].name) ||
		    waits_for_engine(s, a, host->links[i].name))
			continue;
		r = rtnl_link_delete(s->host.rtnl, host->links[i].name, e);
		dropped = true;
	}
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++)
		if (plan_room_is_short(&s->gate, i) &&
		    snapshot_link_by_name(host, plan_short_link(a, &s->slot, i)) &&
		    rtnl_counters(s->rooms[i].rtnl, PLAN_SHORT_END, &ignored, &away) == -ENODEV) {
			r = rtnl_link_delete(s->host.rtnl, plan_short_link(a, &s->slot, i), e);
			dropped = true;
		}
	return r < 0 || !dropped ? r : take_snapshot(&s->host, a, w, host, e);
}

/* Whose changes on the host concern us; true if we know only now. */
static bool watch_host(struct supervisor *s, struct arena *a, const struct snapshot *host)
{
	const char *own[1 + GATE_ROOMS_MAX] = { plan_host_link(a, &s->gate) };
	size_t n_own = 1, n_others = 0, cap_others = 0;
	int *others = NULL;

	if (!s->host.watch)
		return false;
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		if (plan_room_is_short(&s->gate, i))
			own[n_own++] = plan_short_link(a, &s->slot, i);
	for (size_t i = 0; i < host->n_links; i++)
		if (!str_starts(host->links[i].name, "sp-"))
			*arena_push(a, others, n_others, cap_others) = host->links[i].index;
	return rtnl_watch_own(s->host.watch, s->slot.number, own, n_own, others, n_others);
}

/* Another way out of the host is nobody's damage. */
static void note_sides(struct supervisor *s, const struct want *w)
{
	char text[PREFIX_TEXT_SIZE + IP_TEXT_SIZE + LINK_NAME_SIZE + 32];
	char dst[PREFIX_TEXT_SIZE], via[IP_TEXT_SIZE];
	uint64_t h = 1;

	for (size_t i = 0; i < w->n_routes; i++) {
		const struct want_route *r = &w->routes[i];

		if (!plan_is_side_table(r->table))
			continue;
		snprintf(text, sizeof(text), "%s %s %s %u", prefix_text(&r->dst, dst),
			 ip_text(&r->via, via), r->link, r->metric);
		h = str_hash(text, h);
	}
	s->sides_changed = h != s->sides_hash;
	s->sides_hash = h;
}

/* The host's plan, with the old sysctls noted in it before they are changed. */
static int want_host(struct supervisor *s, struct arena *a, struct want *ret, struct snapshot *host,
		     struct err *e)
{
	bool adopted = false;
	size_t n_before;
	int r;

	if (s->seen) {
		*host = *s->seen;
		s->seen = NULL;
		s->host_later = true;
	} else {
		r = rtnl_snapshot_near(s->host.rtnl, a, plan_host_link(a, &s->gate), SLOT_TABLE,
				       SLOT_TABLE, host, e);
		if (r < 0)
			return r;
	}
	n_before = s->n_before;
	sup_want(s, a, &s->host, host, ret);
	/* Another gate may have left something there. */
	if (writes_before(s, a, ret))
		s->before_known = false;
	r = merge_before(s, a, e);
	if (r == 0)
		r = router_look(s, a, &adopted, e);
	if (r < 0)
		return r;
	sup_remember(s, a, ret);
	r = before_keep(s, e);
	if (r < 0)
		return r;
	if (s->n_before != n_before || adopted)
		sup_want(s, a, &s->host, host, ret);
	note_sides(s, ret);
	if (ret->table_last != ret->table_first) /* more tables than were looked at */
		r = take_snapshot(&s->host, a, ret, host, e);
	return r < 0 ? r : drop_short_links(s, a, host, ret, e);
}

static int host_round(struct supervisor *s, struct arena *a, size_t *ret_steps, struct err *e)
{
	struct snapshot host = { 0 };
	struct want want = { 0 };
	int r = want_host(s, a, &want, &host, e);

	if (r == 0)
		r = apply_nft(&s->host, a, &want, e);
	if (r == 0)
		r = apply_place(&s->host, a, &want, host, ret_steps, e);
	if (r == 0 && !s->host.watch)
		r = place_watch(&s->host, e);
	if (r == 0 && watch_host(s, a, &host))
		*ret_steps += 1;
	if (r == 0)
		r = apply_sysctls(&s->host, a, &want, e);
	router_note(s, a);
	return r;
}

/*
 * Of a new gate the host's part is made in the first round, from nothing, and the
 * others are for the other ends of its links.  To look at the host again costs the more,
 * the more gates there are: that is done when this one answers already.
 */
static bool is_without_host(const struct supervisor *s, int round)
{
	return round > 0 && s->host_later && !s->settled;
}

/*
 * Gate's and rooms' sysctls are of all links and those to come: the first round is enough
 * for them, and they come before any link.  The gate makes the rooms' ends as well.
 * Whoever is root in a room can make it fail there; that is told, and the others
 * are put right all the same.
 */
static int one_round(struct supervisor *s, int round, size_t *ret_steps, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const struct snapshot none = { 0 };
	struct snapshot gate = { 0 };
	struct want want = { 0 };
	bool first = round == 0;
	struct err why;
	int r, of_room, rooms = 0;

	r = observe(s, &a, &gate, e);
	if (r < 0)
		return r;
	for (size_t i = 0; first && r == 0 && i < s->gate.n_rooms; i++) {
		if (s->gate.rooms[i].sandbox)
			continue; /* its links are made later */
		sup_want(s, &a, &s->rooms[i], &none, &want);
		r = apply_sysctls(&s->rooms[i], &a, &want, e);
	}
	sup_want(s, &a, &s->inner, &none, &want);
	if (r == 0 && first)
		r = apply_sysctls(&s->inner, &a, &want, e);
	if (r == 0)
		r = apply_nft(&s->inner, &a, &want, e);
	if (r == 0)
		r = apply_place(&s->inner, &a, &want, gate, ret_steps, e);
	for (size_t i = 0; r == 0 && i < s->gate.n_rooms; i++) {
		if (s->gate.rooms[i].sandbox && !s->rooms[i].sandbox.ours &&
		    !plan_sandbox_lacks(&s->rooms[i].sandbox))
			continue; /* the engine's */
		sup_want(s, &a, &s->rooms[i], &none, &want);
		of_room = s->gate.rooms[i].sandbox ? apply_sysctls(&s->rooms[i], &a, &want, &why)
						   : 0;
		if (of_room == 0)
			of_room = apply_place(&s->rooms[i], &a, &want, none, ret_steps, &why);
		if (of_room < 0) {
			rooms = of_room;
			*e = why;
		}
	}
	if (r == 0 && !is_without_host(s, round))
		r = host_round(s, &a, ret_steps, e);
	return r < 0 ? r : rooms;
}

static int keep_names(struct supervisor *s, struct err *e)
{
	int r = netns_keep(s->inner.netns, s->inner.fd, e);

	if (r > 0)
		sup_repaired(s, "the name %s/%s was gone", NETNS_DIR, s->inner.netns);
	for (size_t i = 0; r >= 0 && i < s->sandboxes.n_own_rooms; i++) {
		r = netns_keep(s->rooms[i].netns, s->rooms[i].fd, e);
		if (r > 0)
			sup_repaired(s, "the name %s/%s was gone", NETNS_DIR, s->rooms[i].netns);
	}
	return r < 0 ? r : 0;
}

static void settle(struct supervisor *s)
{
	s->settled = true;
	s->host.had_sysctls = s->inner.had_sysctls = true;
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		s->rooms[i].had_sysctls = true;
}

static void forget_news(struct place *p)
{
	struct rtnl_news ignored;
	struct err e;

	if (p->watch && rtnl_watch_read(p->watch, &ignored, &e) < 0)
		reconcile_soon(p->sup);
}

/*
 * What we are about to look at in whole need not be told of: a start would look once
 * more.  Nor would anybody hear what the first round of a new gate does to its links.
 */
static int hear_from_now_on(struct supervisor *s, struct err *e)
{
	int r = 0;

	forget_news(&s->host);
	forget_news(&s->inner);
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		forget_news(&s->rooms[i]);
	if (!s->inner.watch)
		r = place_watch(&s->inner, e);
	for (size_t i = 0; r == 0 && i < s->sandboxes.n_own_rooms; i++)
		if (!s->rooms[i].watch)
			r = place_watch(&s->rooms[i], e);
	return r;
}

int reconcile(struct supervisor *s, struct err *e)
{
	size_t steps = 1;
	int r = keep_names(s, e);

	for (int i = 0; r == 0 && steps && i < ROUNDS; i++) {
		if (i > 0 && !s->settled)
			r = hear_from_now_on(s, e);
		steps = 0;
		if (r == 0)
			r = one_round(s, i, &steps, e);
	}
	if (r == 0)
		r = firewall_open(s, e);
	if (r == 0)
		r = flows_follow(s, e);
	if (r < 0)
		return r;
	if (!s->settled)
		s->host_later = true; /* and flows_follow() */
	settle(s);
	if (s->host_later)
		reconcile_later(s);
	s->host_later = s->sandboxes.changed = false;
	return resolv_write(s, e);
}

static void lazy_fired(struct loop_timer *t)
{
	reconcile_soon(t->ctx);
}

static void arm_lazy(struct supervisor *s, int64_t in_ms)
{
	s->lazy.fire = lazy_fired;
	s->lazy.ctx = s;
	loop_arm(&s->loop, &s->lazy, in_ms);
}

void reconcile_if_dirty(struct supervisor *s)
{
	struct err e;

	if (!s->dirty)
		return;
	s->dirty = false;
	loop_disarm(&s->loop, &s->lazy); /* here it is */
	if (reconcile(s, &e) == 0) {
		if (s->last_error)
			sup_log(s, "in order again");
		free(s->last_error);
		s->last_error = NULL;
		return;
	}
	if (!s->last_error || !str_eq(s->last_error, e.text)) {
		sup_log(s, "%s; trying again every second", e.text);
		free(s->last_error);
		s->last_error = strdup(e.text);
	}
	arm_lazy(s, RETRY_MS);
}

void reconcile_soon(struct supervisor *s)
{
	s->dirty = true;
}

void reconcile_later(struct supervisor *s)
{
	if (!s->lazy.at_ms)
		arm_lazy(s, LAZY_MS);
}
