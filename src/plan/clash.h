/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_CLASH_H
#define PLAN_CLASH_H

#include "fib/arrive.h"
#include "model/host.h"
#include "plan/prefixes.h"
#include "plan/push.h"

/*
 * What a VPN would break on a host.  Every verdict is the difference between
 * two lookups (fib/lookup.h) of the same packet: on the host as it is, and on
 * the host with the push (plan/push.h).
 */

struct clash_input {
	const struct snapshot *host;
	const struct push *push;
	const struct link_conf *confs; /* of IPv4, one per host->links; NULL: not known */
	const struct socket_seen *sockets;
	size_t n_sockets;
	const struct flow_seen *flows; /* to containers */
	size_t n_flows;
	const struct container_port *publish;
	size_t n_publish;
	const struct container_pool *pools;
	size_t n_pools;
	const struct ip *dns; /* the host's name servers */
	size_t n_dns;
	/* SSH_CONNECTION: the user's own session; family 0: not known. */
	struct ip ssh_peer;
	uint16_t ssh_peer_port;
};

/* What @h says; push and confs are left to the caller. */
struct clash_input clash_input_of(const struct host *h);

enum clash_fate { CLASH_KEPT, CLASH_CUT, CLASH_UNSURE };

struct clash_connection {
	const struct socket_seen *socket;
	const struct flow_seen *flow; /* to a container; @socket is made up of it.  Else NULL */
	bool mine;
	bool ssh;
	enum clash_fate fate;
	/* What the client sends does not reach the container: @before and @after are its way. */
	bool inward;
	/* rp_filter would drop what the client sends; @after is the way back that it finds. */
	bool stopped;
	struct fib_result before, after;
	size_t door; /* index in doors, n_doors if none would help */
};

/*
 * Local addresses whose answers go the same ways, and the networks whose
 * clients they would not reach any more.
 */
struct clash_loss {
	sa_family_t family;
	struct ip from; /* one of them */
	bool unbound; /* UDP on every address: no rule "from" sees it */
	int iif; /* of answers that come from a container, else 0 */
	struct prefixes near; /* where clients must be expected */
	struct prefixes far; /* where nobody is known on this side */
	struct prefixes but; /* the host's networks in @near: answered as before */
	struct prefixes again; /* lost pieces inside @but */
};

struct clash_listener {
	const struct socket_seen *socket; /* or */
	const struct container_port *publish; /* NULL */
	bool cut[2]; /* IPv4, IPv6: clients of the loss's near networks */
	size_t loss[2]; /* index in losses, n_losses for none */
};

enum clash_relation {
	CLASH_HIDES, /* stays; the VPN's addresses inside cannot be reached */
	CLASH_TIE, /* the same prefix; the host's route wins */
	CLASH_PARTLY, /* parts of it go into the tunnel */
	CLASH_SWALLOWED, /* all of it does */
};

struct clash_network {
	const struct route *route;
	const char *link;
	const char *engine; /* whose network it is: "Docker", "Podman", NULL */
	enum clash_relation relation;
	struct prefix by; /* a pushed route that does it */
};

enum clash_out_kind { CLASH_OUT_DEFAULT, CLASH_OUT_GATEWAY, CLASH_OUT_DNS, CLASH_OUT_SERVER };

struct clash_out {
	enum clash_out_kind kind;
	struct ip ip;
	bool moves; /* into the tunnel */
	enum clash_fate fate;
	struct fib_result before, after;
};

struct clash_pool_fate {
	const struct container_pool *pool;
	bool taken;
	struct prefix by;
};

/* A way in that a rule for its address would keep open. */
struct clash_door {
	struct ip ip; /* the host's address */
	const char *link;
	struct ip gateway; /* none: everybody is on the link */
	struct prefix onlink; /* the connected network, family 0 for none */
	uint32_t table; /* one that is free */
};

struct clash_report {
	const struct push *push;
	const struct snapshot *host;
	struct snapshot *after;
	int tunnel; /* index of the link in @after */
	enum push_outcome *results; /* one for each of push->routes */
	struct clash_connection *connections; /* mine, SSH, then the rest; cut ones first */
	size_t n_connections, cap_connections;
	struct clash_loss *losses;
	size_t n_losses, cap_losses;
	struct clash_listener *listeners;
	size_t n_listeners, cap_listeners;
	struct clash_network *networks;
	size_t n_networks, cap_networks;
	struct clash_out *outs;
	size_t n_outs, cap_outs;
	struct clash_pool_fate *pools;
	size_t n_pools, cap_pools;
	struct prefix free_pool; /* family 0: none was needed or found */
	struct clash_door *doors;
	size_t n_doors, cap_doors;
	uint32_t table; /* a free one, for rules that keep a destination where it is */
	bool bypass6; /* IPv4 goes into the tunnel and IPv6 past it */
	bool cut; /* anything would be */
};

/* Everything in @in must live as long as @a. */
void clash_find(struct arena *a, const struct clash_input *in, struct clash_report *ret);

/* plan/clash_nets.c, for clash_find(). */
struct clash_work {
	struct arena *a;
	const struct clash_input *in;
	struct clash_report *out;
	const struct fib *before, *after;
	struct prefixes bounds; /* nothing changes between two of these */
	size_t *parents;
	struct ip *own; /* an address in each that is in none inside it */
	struct prefixes by_tunnel; /* pushed routes that stand */
	struct prefixes touched; /* addresses that any pushed route is about */
	struct prefixes nobodys; /* where no client can be */
	struct prefixes neighbours; /* around the host's own addresses */
};
void clash_find_bounds(struct clash_work *w);
void clash_find_losses(struct clash_work *w);
void clash_find_networks(struct clash_work *w);
void clash_find_pools(struct clash_work *w);

/* The same packet on both hosts. */
enum clash_fate clash_compare(const struct clash_work *w, const struct flow *flow,
			      struct fib_result *ret_before, struct fib_result *ret_after);
/* Index of the door of address @ip for answers that went as @before; made if needed. */
size_t clash_door_of(struct clash_work *w, const struct ip *ip, const struct fib_result *before);

/* What comes in by the link @iif for @inside, an address of a container. */
enum clash_fate clash_compare_inward(const struct clash_work *w, int iif, const struct ip *client,
				     const struct ip *inside, struct fib_result *ret_before,
				     struct fib_result *ret_after);
/*
 * Would rp_filter drop @request, which it lets in now?  @oif: the link it is
 * forwarded to, 0 if it ends here; @ret_back: the way back after the push.
 */
bool clash_is_stopped(const struct clash_work *w, const struct flow *request, int oif,
		      struct fib_result *ret_back);
/* Index of the link by which packets from @ip come in, 0 if it is no neighbour's. */
int clash_link_towards(const struct clash_work *w, const struct ip *ip);

/* "Docker", "Podman" or NULL, by the names that these give to bridges. */
const char *clash_engine_of(const char *link);

#endif
