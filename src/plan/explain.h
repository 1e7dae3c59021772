/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_EXPLAIN_H
#define PLAN_EXPLAIN_H

#include "fib/arrive.h"
#include "model/host.h"
#include "plan/cure.h"
#include "plan/nft_find.h"

/*
 * Which way a request comes in and its reply goes out, and why.  Each leg of
 * the way is one lookup (fib/lookup.h) in one namespace, with the steps that
 * the lookup itself wrote down.
 */

struct explain_query {
	struct ip client;
	struct ip server;
	uint16_t port; /* of the server, 0: none was named */
	uint16_t client_port; /* 0: not known */
	uint8_t proto; /* IPPROTO_TCP, _UDP, _ICMP or _ICMPV6 */
	const char *iif; /* the request comes in by this link; NULL: foretell it */
	bool has_mark, has_uid, has_tos;
	uint32_t mark; /* of the reply and, where no gate of ours sets one, the request */
	uint32_t uid; /* of the replying socket */
	uint8_t tos; /* the whole byte */
};

/* One namespace as it is. */
struct explain_place {
	const char *name; /* for people: "this host", "gate office", "container web" */
	const char *enter; /* what to type before "ip": "", "nsenter ... " */
	const char *attach; /* what `sallyport attach` knows it by; NULL: not for it */
	const char *gate; /* name of the gate of ours that it is part of, NULL */
	const struct snapshot *net;
	const struct link_conf *confs; /* one per net->links, for one family; NULL: not known */
	const struct socket_seen *sockets;
	size_t n_sockets;
	bool sockets_known;
	const struct container_port *ports;
	size_t n_ports;
	const struct flow_seen *flows; /* live connections whose destination is rewritten */
	size_t n_flows;
	bool nft_known; /* the two that follow */
	const char *nft; /* our table as nft(8) lists it; NULL: there is none */
	const char *dnat; /* who else rewrites destinations here, in words; NULL: nobody */
};

/* @h must live as long as what is made of it; what it does not tell is left out. */
void explain_place_of(struct arena *a, const struct host *h, sa_family_t family,
		      struct explain_place *ret);

#define EXPLAIN_PLACES_MAX 3 /* host, gate, room */
#define EXPLAIN_LEGS_MAX   (2 * EXPLAIN_PLACES_MAX)

struct explain_input {
	struct explain_query query;
	struct explain_place places[EXPLAIN_PLACES_MAX]; /* the first is where it was asked */
	size_t n_places;
};

/* Why the request is expected by this link. */
enum explain_door {
	EXPLAIN_DOOR_UNKNOWN,
	EXPLAIN_DOOR_GIVEN,
	EXPLAIN_DOOR_ADDRESS, /* the server's address stands there */
	EXPLAIN_DOOR_SELF, /* the client is this namespace itself: lo */
	EXPLAIN_DOOR_ROUTE, /* the client is reached there as far as no VPN has a say */
};

struct explain_leg {
	size_t place;
	bool reply;
	const struct link *in; /* NULL: made here */
	const struct link *out; /* NULL: it ends here, or nowhere */
	struct flow flow; /* what was looked up */
	bool arrives; /* by fib_arrive(), not fib_lookup() */
	bool guarded; /* the guard marks it by the door of its request */
	struct fib_result result;
	struct fib_trace trace;
	enum fib_rp rp; /* of one that arrives */
};

/* The reverse path of the request if it came in by @link. */
struct explain_rp {
	const struct link *link;
	uint8_t filter; /* 0 off, 1 strict, 2 loose */
	enum fib_rp verdict;
	const struct link *back; /* by which the way to the client leads, NULL for none */
};

enum explain_meets {
	EXPLAIN_MEETS_UNKNOWN, /* sockets are not known */
	EXPLAIN_MEETS_NOBODY, /* nobody has the port: the kernel itself says so */
	EXPLAIN_MEETS_KERNEL, /* ICMP is answered by the kernel */
	EXPLAIN_MEETS_SOCKET,
	EXPLAIN_MEETS_OTHER, /* passed on to a namespace or network that is not looked into */
	EXPLAIN_MEETS_NOTHING, /* it never gets so far */
};

enum explain_verdict {
	EXPLAIN_SAME_DOOR,
	EXPLAIN_OTHER_DOOR, /* by another link than the request */
	EXPLAIN_OTHER_SOURCE, /* by the door, but from an address that nobody asked */
	EXPLAIN_STAYS_HERE, /* the client's address is one of our own */
	EXPLAIN_NO_REPLY, /* no way to the client, or a way that refuses */
	EXPLAIN_REQUEST_DROPPED,
	EXPLAIN_UNSURE, /* cannot be modelled; or the kernel takes one of several ways */
};

/* Why the route that decided did, and not the one by the door. */
enum explain_why {
	EXPLAIN_WHY_NONE, /* nothing to say */
	EXPLAIN_WHY_ONLY, /* no route to the client leads by the door at all */
	EXPLAIN_WHY_LONGER, /* its prefix is longer than that of @wanted */
	EXPLAIN_WHY_METRIC, /* the same prefix with a lower metric */
	EXPLAIN_WHY_FIRST, /* the same in all; the kernel asks it first */
	EXPLAIN_WHY_DEAD, /* @wanted would be better, but its link is down */
	EXPLAIN_WHY_RULE, /* its rule is asked before the one that leads to @wanted */
	EXPLAIN_WHY_REFUSES, /* the rule itself refuses */
};

/* What would be otherwise if something were that is not known. */
struct explain_if {
	const struct rule *rule; /* that asks for it; NULL: the program sets the source itself */
	struct flow flow; /* with what the rule asks for, or without */
	bool mark, uid, tos, client_port; /* what is not known */
	struct fib_result result;
	bool same_door;
};
#define EXPLAIN_IFS_MAX 16

enum explain_cure_kind {
	EXPLAIN_CURE_RULE, /* @cure */
	EXPLAIN_CURE_ROUTER, /* @cure, but nobody here knows the router behind the door */
	EXPLAIN_CURE_LOOSE, /* rp_filter of the door */
	EXPLAIN_CURE_GUARD, /* the VPN under `guard` */
	EXPLAIN_CURE_ATTACH, /* `attach` for a namespace of somebody else's */
	EXPLAIN_CURE_GATE, /* the VPN in a gate of its own */
	EXPLAIN_CURE_REPAIR, /* a gate of ours that is not as it must be */
};

struct explain_cure {
	enum explain_cure_kind kind;
	size_t place;
	struct cure cure;
};
#define EXPLAIN_CURES_MAX 4

struct explain_report {
	const struct explain_input *in;
	enum explain_door how;
	const struct link *door; /* in places[0]; NULL: not known */
	struct explain_leg legs[EXPLAIN_LEGS_MAX];
	size_t n_legs;
	struct explain_rp *rps; /* of the request in places[0], each link that is up; IPv4 */
	size_t n_rps, cap_rps;
	bool published; /* @publish was met on the way */
	struct nft_published publish;
	const struct container_port *container;
	const struct flow_seen *shown; /* a live connection that is sent on from there, NULL */
	enum explain_meets meets;
	const struct socket_seen *socket;
	enum explain_verdict verdict;
	size_t decisive; /* the leg that decided */
	enum explain_why why;
	const struct route *wanted; /* would lead by the door of that leg's namespace */
	const struct link *wanted_door; /* that door */
	const struct rule *before_ours; /* somebody else's that is asked before ours, NULL */
	size_t before_ours_place;
	struct explain_if ifs[EXPLAIN_IFS_MAX];
	size_t n_ifs;
	struct explain_cure cures[EXPLAIN_CURES_MAX];
	size_t n_cures;
	/* Look into this namespace of /run/netns as well, and ask again; NULL: that is all. */
	const char *more;
	const char *more_name; /* of it, for people */
	const char *more_gate;
	const struct ip *more_ip; /* likewise: the namespace that has this address, if one here has */
};

/* Everything in @in must live as long as @a. */
void explain(struct arena *a, const struct explain_input *in, struct explain_report *ret);

/* The leg on which the reply leaves places[0], or goes wrong before; NULL: there is none. */
const struct explain_leg *explain_last_reply(const struct explain_report *r);

/* plan/explain_why.c, for explain(). */
struct explain_work {
	struct arena *a;
	const struct explain_input *in;
	struct explain_report *out;
	const struct fib *fibs[EXPLAIN_PLACES_MAX];
};
void explain_judge(struct explain_work *w);
/* Does @result go by @door (NULL: stay here), by whichever hop the kernel takes? */
enum explain_verdict explain_goes_by(const struct explain_work *w, const struct fib_result *result,
				     const struct link *door);
/* What is known of link @index in place @place. */
struct link_conf explain_conf(const struct explain_place *p, int index);

#endif
