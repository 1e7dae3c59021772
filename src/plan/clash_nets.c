/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole networks.  All prefixes that any route or rule knows, before or after,
 * cut the addresses into pieces in each of which every lookup gives the same:
 * what a prefix covers less the longer ones in it.  One address of each piece
 * that the push touches is asked for, so the cost is that of sorting.
 */
#include "plan/clash.h"

#include "base/text.h"

#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

/* Nobody's clients are told from the Internet's by a shorter one. */
#define WIDE4 8
#define WIDE6 16
/* Who shares this much with an address of the host is on its side. */
#define NEAR4 16
#define NEAR6 32

const char *clash_engine_of(const char *link)
{
	static const char hex[] = "0123456789abcdef";

	if (str_starts(link, "docker") ||
	    (str_starts(link, "br-") && strspn(link + 3, hex) == 12 && !link[15]))
		return "Docker";
	if (str_starts(link, "podman") || str_starts(link, "cni-podman"))
		return "Podman";
	return NULL;
}

static bool stands(enum push_outcome outcome)
{
	return outcome == PUSH_STANDS || outcome == PUSH_WINS;
}

static void add_bounds(struct clash_work *w, const struct snapshot *net)
{
	for (size_t i = 0; i < net->n_routes; i++)
		prefixes_add(w->a, &w->bounds, &net->routes[i].dst);
	for (size_t i = 0; i < net->n_rules; i++)
		if (net->rules[i].to.ip.family)
			prefixes_add(w->a, &w->bounds, &net->rules[i].to);
}

/* Addresses that no client has; a lookup of one says nothing about a route around it. */
static const char *const nobodys[] = { "0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/3",
				       "::/16",     "fe80::/10",   "ff00::/8" };

static void add_nobodys(struct clash_work *w)
{
	for (size_t i = 0; i < ARRAY_LEN(nobodys); i++) {
		struct prefix p;

		if (!prefix_parse(nobodys[i], false, &p))
			abort();
		prefixes_add(w->a, &w->bounds, &p);
		prefixes_add(w->a, &w->nobodys, &p);
	}
}

static bool is_nobodys(const struct clash_work *w, const struct prefix *p)
{
	for (size_t i = 0; i < w->nobodys.n; i++)
		if (prefix_contains(&w->nobodys.items[i], p))
			return true;
	return false;
}

static void add_neighbours(struct clash_work *w)
{
	const struct snapshot *net = w->in->host;

	for (size_t i = 0; i < net->n_addresses; i++) {
		const struct ip *ip = &net->addresses[i].local;
		struct prefix around = prefix_of(ip, ip->family == AF_INET ? NEAR4 : NEAR6);

		if (!ip_is_loopback(ip) && !ip_is_link_local(ip))
			prefixes_add(w->a, &w->neighbours, &around);
	}
	prefixes_sort(&w->neighbours);
}

void clash_find_bounds(struct clash_work *w)
{
	const struct push *push = w->in->push;

	add_nobodys(w);
	add_neighbours(w);
	add_bounds(w, w->in->host);
	add_bounds(w, w->out->after);
	prefixes_sort(&w->bounds);
	w->parents = prefixes_parents(w->a, &w->bounds);
	w->own = prefixes_own_addresses(w->a, &w->bounds, w->parents);
	for (size_t i = 0; i < push->n_routes; i++)
		if (stands(w->out->results[i])) {
			prefixes_add(w->a, &w->touched, &push->routes[i].dst);
			if (push->routes[i].way != PUSH_AROUND)
				prefixes_add(w->a, &w->by_tunnel, &push->routes[i].dst);
		}
	prefixes_sort(&w->by_tunnel);
	prefixes_sort(&w->touched);
	prefixes_merge(&w->touched);
}

/* --- whose clients are not answered any more ----------------------------------- */

/* Where answers are sent from. */
struct sender {
	struct ip ip;
	bool unbound; /* a UDP socket on every address: the route is looked for without a source */
	int iif; /* of a container */
	int oif; /* the link that the socket is bound to, 0 for none */
	uint8_t proto;
	uint16_t port;
};

static bool speaks_of_port(const struct rule *r, const struct sender *from)
{
	if (r->ip_proto && r->ip_proto != from->proto)
		return false;
	if (!r->has_sport)
		return true;
	if (r->sport_mask)
		return (from->port & r->sport_mask) == (r->sport.first & r->sport_mask);
	return from->port >= r->sport.first && from->port <= r->sport.last;
}

/* Senders are told apart by rules alone. */
static uint64_t signature(const struct clash_work *w, const struct sender *from)
{
	const struct snapshot *net = w->out->after;
	const struct link *l = from->iif ? snapshot_link_by_index(net, from->iif) : NULL;
	uint64_t h = str_hash(from->ip.family == AF_INET ? "4" : "6", 0);

	for (size_t i = 0; i < net->n_rules; i++) {
		const struct rule *r = &net->rules[i];
		bool fits = !r->from.ip.family ||
			    (!from->unbound && prefix_covers(&r->from, &from->ip));
		bool in = !*r->iif || str_eq(r->iif, l ? l->name : "lo");

		h = h * 31 + fits * 4u + in * 2u + speaks_of_port(r, from);
	}
	return h * 31 + (from->iif != 0) + 2 * (uint64_t)from->oif;
}

static bool is_wide(const struct prefix *p)
{
	return p->len < (p->ip.family == AF_INET ? WIDE4 : WIDE6);
}

/* Clients there are to be expected: the host's own networks, or the whole world. */
static bool is_near(const struct clash_work *w, const struct prefix *p,
		    const struct fib_result *before)
{
	return is_wide(p) || (before->pick.route && before->pick.route->dst.len) ||
	       prefixes_overlap(&w->neighbours, p);
}

/* What is known of a piece, and so of the pieces in it that say nothing themselves. */
enum piece { PIECE_OUTSIDE, PIECE_NEAR, PIECE_FAR, PIECE_KEPT };

static bool is_lost(enum piece p)
{
	return p == PIECE_NEAR || p == PIECE_FAR;
}

static bool is_stopped(const struct clash_work *w, const struct clash_loss *loss,
		       const struct sender *from, const struct ip *client, int link)
{
	struct flow request = { .dst = loss->from,
				.src = *client,
				.iif = link,
				.proto = from->proto,
				.dport = from->port };
	struct fib_result back;

	return clash_is_stopped(w, &request, from->iif, &back);
}

/* PIECE_OUTSIDE: nobody there is answered now, or can be. */
static enum piece ask_piece(struct clash_work *w, const struct clash_loss *loss,
			    const struct sender *from, size_t at, struct fib_result *ret_before)
{
	struct flow flow = {
		.iif = from->iif, .oif = from->oif, .proto = from->proto, .sport = from->port
	};
	const struct prefix *p = &w->bounds.items[at];
	struct fib_result after;
	enum clash_fate fate;

	if (ip_is_none(&w->own[at]) || is_nobodys(w, p))
		return PIECE_OUTSIDE;
	flow.dst = w->own[at];
	if (!loss->unbound)
		flow.src = loss->from;
	fate = clash_compare(w, &flow, ret_before, &after);
	if (ret_before->verdict != FIB_UNICAST)
		return PIECE_OUTSIDE;
	if (fate != CLASH_CUT && !is_stopped(w, loss, from, &w->own[at], ret_before->link))
		return PIECE_KEPT;
	return is_near(w, p, ret_before) ? PIECE_NEAR : PIECE_FAR;
}

/* Only what differs from the piece around it is told. */
static enum piece note_piece(struct clash_work *w, struct clash_loss *loss, const struct prefix *p,
			     enum piece piece, enum piece around)
{
	if (piece == PIECE_OUTSIDE || piece == around)
		return around;
	if (piece == PIECE_KEPT) {
		if (around == PIECE_OUTSIDE)
			return around;
		prefixes_add(w->a, &loss->but, p);
	} else if (around == PIECE_KEPT) {
		prefixes_add(w->a, &loss->again, p);
	} else if (piece == PIECE_NEAR) {
		prefixes_add(w->a, &loss->near, p);
	} else if (!is_lost(around)) {
		prefixes_add(w->a, &loss->far, p);
	} else {
		return around;
	}
	return piece;
}

/* Pieces come in order, so the one around another is known before it. */
static void find_pieces(struct clash_work *w, struct clash_loss *loss, const struct sender *from)
{
	enum piece *known = arena_alloc(w->a, (w->bounds.n + 1) * sizeof(*known));

	for (size_t i = 0; i < w->touched.n; i++) {
		size_t first, n = prefixes_inside(&w->bounds, &w->touched.items[i], &first);

		if (w->touched.items[i].ip.family != loss->family)
			continue;
		for (size_t at = first; at < first + n; at++) {
			const struct prefix *p = &w->bounds.items[at];
			enum piece around = w->parents[at] < w->bounds.n && w->parents[at] >= first
						    ? known[w->parents[at]]
						    : PIECE_OUTSIDE;
			struct fib_result before = { 0 };
			enum piece piece = ask_piece(w, loss, from, at, &before);

			known[at] = note_piece(w, loss, p, piece, around);
			if (piece == PIECE_NEAR && !loss->iif)
				clash_door_of(w, &loss->from, &before);
		}
	}
	prefixes_merge(&loss->near);
	prefixes_merge(&loss->far);
	prefixes_merge(&loss->again);
}

static bool is_network(const struct route *r)
{
	return r->table == RT_TABLE_MAIN && r->type == RTN_UNICAST && r->dst.len && r->n_hops &&
	       r->hops[0].link != LINK_LOOPBACK && !ip_is_link_local(&r->dst.ip) &&
	       r->dst.ip.byte[0] != 0xff;
}

struct classes {
	uint64_t *signatures;
	size_t n, cap;
};

static size_t loss_of(struct clash_work *w, struct classes *c, const struct sender *from)
{
	uint64_t s = signature(w, from);
	struct clash_report *out = w->out;
	struct clash_loss *loss;

	for (size_t i = 0; i < c->n; i++)
		if (c->signatures[i] == s)
			return i;
	*arena_push(w->a, c->signatures, c->n, c->cap) = s;
	loss = arena_push(w->a, out->losses, out->n_losses, out->cap_losses);
	loss->family = from->ip.family;
	loss->from = from->ip;
	loss->unbound = from->unbound;
	loss->iif = from->iif;
	find_pieces(w, loss, from);
	return out->n_losses - 1;
}

/* The address that a client of the host meets: of the way out, else any. */
static struct ip outer_address(const struct clash_work *w, sa_family_t family)
{
	const struct snapshot *net = w->in->host;
	const struct route *r = push_default_route(net, family);
	struct ip any = { 0 };

	for (size_t i = 0; i < net->n_addresses; i++) {
		const struct address *x = &net->addresses[i];
		const struct link *l = snapshot_link_by_index(net, x->link);

		if (x->local.family != family || ip_is_loopback(&x->local) ||
		    ip_is_link_local(&x->local) || (l && clash_engine_of(l->name)))
			continue;
		if (r && r->hops[0].link == x->link)
			return x->local;
		if (ip_is_none(&any))
			any = x->local;
	}
	return any;
}

static void judge_family(struct clash_work *w, struct classes *c, struct clash_listener *l,
			 const struct sender *from)
{
	bool v6 = from->ip.family == AF_INET6;

	if (ip_is_none(&from->ip) || ip_is_loopback(&from->ip))
		return;
	l->loss[v6] = loss_of(w, c, from);
	l->cut[v6] = w->out->losses[l->loss[v6]].near.n > 0;
	w->out->cut |= l->cut[v6];
}

/* Nobody's requests reach a container whose own network goes into the tunnel. */
static bool is_out_of_reach(const struct clash_work *w, const struct ip *inside)
{
	struct ip client = outer_address(w, inside->family);
	struct fib_result before, after;
	const struct route *r = push_default_route(w->in->host, inside->family);
	int iif = r && r->n_hops ? r->hops[0].link : LINK_LOOPBACK;

	return clash_compare_inward(w, iif, &client, inside, &before, &after) == CLASH_CUT;
}

static void lose_everybody(struct clash_work *w, struct classes *c, struct clash_listener *l,
			   const struct sender *from)
{
	struct clash_report *out = w->out;
	bool v6 = from->ip.family == AF_INET6;
	struct clash_loss *loss;
	struct prefix all = { .ip.family = from->ip.family };
	uint64_t own = ~(uint64_t)c->n;

	/* A class of its own: no other sender has this signature. */
	*arena_push(w->a, c->signatures, c->n, c->cap) = own;
	loss = arena_push(w->a, out->losses, out->n_losses, out->cap_losses);
	loss->family = from->ip.family;
	loss->from = from->ip;
	loss->iif = from->iif;
	prefixes_add(w->a, &loss->near, &all);
	l->loss[v6] = out->n_losses - 1;
	l->cut[v6] = out->cut = true;
}

static struct clash_listener *add_listener(struct clash_work *w)
{
	struct clash_report *out = w->out;
	struct clash_listener *l =
		arena_push(w->a, out->listeners, out->n_listeners, out->cap_listeners);

	l->loss[0] = l->loss[1] = SIZE_MAX;
	return l;
}

/* Does the socket take packets of @family? */
static bool listens_to(const struct socket_seen *s, sa_family_t family)
{
	if (!ip_is_any(&s->local) || s->local.family == AF_INET)
		return s->local.family == family;
	return family == AF_INET6 || !s->only_ipv6;
}

/*
 * A published port is rewritten before any socket is looked for: the one that
 * dockerd, conmon or docker-proxy holds on it, so that nobody else takes it,
 * hears nothing.
 */
static bool is_published(const struct clash_work *w, const struct socket_seen *s,
			 sa_family_t family)
{
	for (size_t i = 0; i < w->in->n_publish; i++) {
		const struct container_port *p = &w->in->publish[i];

		if (p->proto == s->proto && p->port == s->local_port &&
		    p->inside.family == family &&
		    (ip_is_any(&p->host) || ip_equal(&p->host, &s->local)))
			return true;
	}
	return false;
}

static void judge_listener(struct clash_work *w, struct classes *c, const struct socket_seen *s)
{
	struct clash_listener *l = NULL;

	if (ip_is_loopback(&s->local) || ip_is_link_local(&s->local))
		return;
	for (int v6 = 0; v6 < 2; v6++) {
		sa_family_t family = v6 ? AF_INET6 : AF_INET;
		struct sender from = {
			.ip = s->local, .oif = s->link, .proto = s->proto, .port = s->local_port
		};

		if (!listens_to(s, family) || is_published(w, s, family))
			continue;
		if (ip_is_any(&s->local)) {
			from.ip = outer_address(w, family);
			from.unbound = s->proto == IPPROTO_UDP;
		}
		if (!l) {
			l = add_listener(w);
			l->socket = s;
		}
		judge_family(w, c, l, &from);
	}
}

int clash_link_towards(const struct clash_work *w, const struct ip *ip)
{
	struct flow flow = { .dst = *ip };
	struct fib_result r;

	fib_lookup(w->before, &flow, &r, NULL);
	return r.verdict == FIB_UNICAST ? r.link : 0;
}

static int compare_listeners(const void *pa, const void *pb)
{
	const struct clash_listener *a = pa, *b = pb;
	const struct socket_seen *x = a->socket, *y = b->socket;

	if (!x != !y)
		return !x - !y;
	if (!x)
		return a->publish < b->publish ? -1 : a->publish > b->publish;
	if (x->proto != y->proto)
		return (int)x->proto - (int)y->proto;
	if (x->local_port != y->local_port)
		return (int)x->local_port - (int)y->local_port;
	return ip_compare(&x->local, &y->local);
}

void clash_find_losses(struct clash_work *w)
{
	struct classes c = { 0 };
	struct clash_report *out = w->out;

	for (size_t i = 0; i < w->in->n_sockets; i++)
		if (w->in->sockets[i].state == SOCKET_LISTENS)
			judge_listener(w, &c, &w->in->sockets[i]);
	for (size_t i = 0; i < w->in->n_publish; i++) {
		const struct container_port *p = &w->in->publish[i];
		struct clash_listener *l = add_listener(w);
		struct sender from = { .ip = p->inside,
				       .iif = clash_link_towards(w, &p->inside),
				       .proto = p->proto,
				       .port = p->inside_port };

		l->publish = p;
		if (from.iif && is_out_of_reach(w, &p->inside))
			lose_everybody(w, &c, l, &from);
		else if (from.iif)
			judge_family(w, &c, l, &from);
	}
	for (size_t i = 0; i < out->n_listeners; i++)
		for (int v6 = 0; v6 < 2; v6++)
			if (out->listeners[i].loss[v6] == SIZE_MAX)
				out->listeners[i].loss[v6] = out->n_losses;
	if (out->n_listeners)
		qsort(out->listeners, out->n_listeners, sizeof(*out->listeners), compare_listeners);
}

/* --- networks ---------------------------------------------------------------------- */

/* The pieces that a route of the host has now, and what becomes of them. */
struct pieces {
	bool any, moves, stays;
	struct prefix by; /* the first that moves */
};

static struct pieces pieces_of(const struct clash_work *w, const size_t *parents,
			       const struct route *r)
{
	size_t first, n = prefixes_inside(&w->bounds, &r->dst, &first);
	struct pieces ret = { 0 };

	for (size_t i = first; i < first + n; i++) {
		struct flow flow = { .dst = w->own[i] };
		struct fib_result before, after;
		size_t by;

		if (ip_is_none(&w->own[i]))
			continue;
		fib_lookup(w->before, &flow, &before, NULL);
		if (before.pick.route != r)
			continue;
		ret.any = true;
		clash_compare(w, &flow, &before, &after);
		if (after.link != w->out->tunnel || after.error) {
			ret.stays = true;
			continue;
		}
		by = prefixes_cover(&w->by_tunnel, parents, &w->bounds.items[i]);
		if (!ret.moves && by < w->by_tunnel.n)
			ret.by = w->by_tunnel.items[by];
		ret.moves = true;
	}
	return ret;
}

static bool is_tie(const struct clash_work *w, const struct prefix *net)
{
	const struct push *push = w->in->push;

	for (size_t i = 0; i < push->n_routes; i++)
		if (push->routes[i].way != PUSH_AROUND && !stands(w->out->results[i]) &&
		    prefix_equal(&push->routes[i].dst, net))
			return true;
	return false;
}

/* True if the push does anything to it; fills in relation and by. */
static bool relate(const struct clash_work *w, const size_t *parents, const struct route *r,
		   struct clash_network *ret)
{
	struct pieces pieces = pieces_of(w, parents, r);
	size_t at;

	if (!pieces.any)
		return false;
	ret->by = pieces.moves ? pieces.by : r->dst;
	if (pieces.moves) {
		ret->relation = pieces.stays ? CLASH_PARTLY : CLASH_SWALLOWED;
		return true;
	}
	if (is_tie(w, &r->dst)) {
		ret->relation = CLASH_TIE;
		return true;
	}
	at = prefixes_cover(&w->by_tunnel, parents, &r->dst);
	if (at == w->by_tunnel.n || is_wide(&w->by_tunnel.items[at]))
		return false;
	ret->by = w->by_tunnel.items[at];
	ret->relation = CLASH_HIDES;
	return true;
}

void clash_find_networks(struct clash_work *w)
{
	const struct snapshot *net = w->in->host;
	size_t *parents = prefixes_parents(w->a, &w->by_tunnel);

	for (size_t i = 0; i < net->n_routes; i++) {
		const struct route *r = &net->routes[i];
		const struct link *l;
		struct clash_network found = { .route = r };

		if (!is_network(r) || !relate(w, parents, r, &found))
			continue;
		l = snapshot_link_by_index(net, r->hops[0].link);
		found.link = l ? l->name : "";
		found.engine = clash_engine_of(found.link);
		w->out->cut |= found.relation == CLASH_PARTLY || found.relation == CLASH_SWALLOWED;
		*arena_push(w->a, w->out->networks, w->out->n_networks, w->out->cap_networks) =
			found;
	}
}

/* --- pools ------------------------------------------------------------------------- */

static bool is_taken(const struct clash_work *w, const struct prefix *p, struct prefix *ret_by)
{
	size_t first;

	for (unsigned int len = p->len + 1; len-- > 2;) {
		struct prefix outer = prefix_of(&p->ip, len);

		if (prefixes_find(&w->by_tunnel, &outer) < w->by_tunnel.n) {
			*ret_by = outer;
			return true;
		}
	}
	if (!prefixes_inside(&w->by_tunnel, p, &first))
		return false;
	*ret_by = w->by_tunnel.items[first];
	return true;
}

static bool is_free(const struct clash_work *w, const struct prefix *p)
{
	struct prefix by;

	if (is_taken(w, p, &by))
		return false;
	for (size_t i = 0; i < w->in->host->n_routes; i++)
		if (w->in->host->routes[i].dst.len > 1 &&
		    prefix_overlaps(&w->in->host->routes[i].dst, p))
			return false;
	for (size_t i = 0; i < w->in->n_pools; i++)
		if (prefix_overlaps(&w->in->pools[i].base, p))
			return false;
	return true;
}

/* From the middle of 10.0.0.0/8 on, where fewest networks are, then the other private ranges. */
static bool find_free(const struct clash_work *w, struct prefix *ret)
{
	for (unsigned int i = 0; i < 256 + 16; i++) {
		struct ip ip = { .family = AF_INET };
		struct prefix p;

		ip.byte[0] = i < 256 ? 10 : 172;
		ip.byte[1] = (uint8_t)(i < 256 ? (i + 201) % 256 : 16 + (i - 256));
		p = prefix_of(&ip, 16);
		if (is_free(w, &p)) {
			*ret = p;
			return true;
		}
	}
	return false;
}

void clash_find_pools(struct clash_work *w)
{
	struct clash_report *out = w->out;
	bool any = false;

	for (size_t i = 0; i < w->in->n_pools; i++) {
		struct clash_pool_fate *f =
			arena_push(w->a, out->pools, out->n_pools, out->cap_pools);

		f->pool = &w->in->pools[i];
		f->taken = is_taken(w, &f->pool->base, &f->by);
		any |= f->taken;
	}
	for (size_t i = 0; i < out->n_networks; i++)
		any |= out->networks[i].engine != NULL;
	if (any && !find_free(w, &out->free_pool))
		out->free_pool = (struct prefix){ 0 };
}
