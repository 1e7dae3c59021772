/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_RTNL_H
#define SYS_RTNL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"
#include "model/host.h"
#include "plan/diff.h"

/*
 * rtnetlink(7) of one namespace, by libmnl.  The socket is opened inside the
 * namespace and stays bound to it, wherever the thread goes later.  Extended
 * acks are on and quoted in errors; every receive has a time limit (5 s).
 */
struct rtnl;

/* @netns_fd: the namespace; -1 for the caller's own. */
int rtnl_open(int netns_fd, struct rtnl **ret, struct err *e) MUST_USE;
void rtnl_close(struct rtnl **r);
#define CLEANUP_RTNL __attribute__((cleanup(rtnl_close)))

/*
 * Everything in the namespace.  Dumps that the kernel interrupts
 * (NLM_F_DUMP_INTR) are taken again, at most 10 times.
 */
int rtnl_snapshot(struct rtnl *r, struct arena *a, struct snapshot *ret, struct err *e) MUST_USE;
/* The same without the routes that no policy of ours looks at: only tables first..last and main. */
int rtnl_snapshot_tables(struct rtnl *r, struct arena *a, uint32_t table_first, uint32_t table_last,
			 struct snapshot *ret, struct err *e) MUST_USE;

/*
 * A host as one of its gates needs it, whatever number of others there is: without
 * their links, and without the addresses and routes on these.  Tables as above; with
 * 0 all in which the host looks for ways, and then each other gate's slot has at
 * least its host address (slot_host()), so that one can be found that is nobody's.
 */
struct rtnl_own {
	const char *link; /* of the gate: "sp-NAME" */
	/*
	 * Where its links may be called otherwise, and nobody knows which slot they had, all
	 * links are asked for their names.
	 */
	bool slot_unknown;
	uint32_t slot; /* SLOT_COUNT: it has none yet */
};
int rtnl_snapshot_near(struct rtnl *r, struct arena *a, const struct rtnl_own *own,
		       uint32_t table_first, uint32_t table_last, struct snapshot *ret,
		       struct err *e) MUST_USE;

/* Next-hop objects, in order of their ids; none if the kernel has no such thing. */
int rtnl_nexthops(struct rtnl *r, struct arena *a, struct nexthop_seen **ret, size_t *ret_n,
		  struct err *e) MUST_USE;

/*
 * Carries out @diff in order.  @want: for protocol number and place.
 * @peer_netns(@ctx, place, room) gives the fd of the namespace where the other
 * end of a veth goes.  Things already so (EEXIST) or already gone (ESRCH,
 * ENOENT, ENODEV, EADDRNOTAVAIL on deletion) are no errors; an optional route
 * whose link is away is skipped.  Stops at the first failure.
 */
typedef int (*rtnl_netns_fn)(void *ctx, enum want_place place, size_t room);
int rtnl_apply(struct rtnl *r, const struct want *want, const struct diff *diff,
	       rtnl_netns_fn peer_netns, void *ctx, struct err *e) MUST_USE;

/* 0 also if it is not there. */
int rtnl_link_delete(struct rtnl *r, const char *name, struct err *e) MUST_USE;
/*
 * Creates a link of @kind ("wireguard") here, or straight in the namespace
 * @netns_fd (-1: none) as a link of this one: -EOPNOTSUPP if the kernel has no
 * such kind.
 */
int rtnl_link_add_kind(struct rtnl *r, const char *name, const char *kind, int netns_fd,
		       struct err *e) MUST_USE;
/* Out of its bridge, if it is in one, and with ARP. */
int rtnl_link_free(struct rtnl *r, const char *name, struct err *e) MUST_USE;
int rtnl_link_set(struct rtnl *r, const char *name, bool up, uint32_t mtu /* 0: keep */,
		  const char *alias /* NULL: keep */, bool plain /* want_link */,
		  struct err *e) MUST_USE;
/* Single objects, for what VPN doors bring (wireguard). */
int rtnl_address_add(struct rtnl *r, const struct want_address *w, struct err *e) MUST_USE;
int rtnl_route_add(struct rtnl *r, const struct want_route *w, uint8_t protocol,
		   struct err *e) MUST_USE;

/*
 * Takes the network back to @before, but for links, and for routes and rules of
 * the tables first..last and the local one: addresses, routes and rules that
 * came since go, those that went come back, links that were up are set up.
 * What an address or route has beyond its model (broadcast, congestion window)
 * comes back as the kernel's default.  Goes on after a failure; the first is
 * told.  *ret_steps: what had to be done.
 */
int rtnl_restore(struct rtnl *r, const struct snapshot *before, uint32_t table_first,
		 uint32_t table_last, size_t *ret_steps, struct err *e) MUST_USE;

/*
 * Puts back what links lack of @had, which is as rtnl_snapshot() told it and may be a part:
 * they are called as they were, and are up, as long packets as IPv6 needs pass them, and
 * their addresses and routes are there again.  What came since stays; links that are gone
 * are gone.  @now: all as it is.  What was done is appended to @words, for people.
 */
int rtnl_put_back(struct rtnl *r, const struct snapshot *had, const struct snapshot *now,
		  struct text *words, struct err *e) MUST_USE;

/*
 * Of the addresses on @now's links, which are up: the routes of the table `local` that the
 * kernel made with them and somebody took away.  @now has that table.  What was done is
 * appended to @words.
 */
int rtnl_locals_put_back(struct rtnl *r, const struct snapshot *now, struct text *words,
			 struct err *e) MUST_USE;

/* Counters of one link: -ENODEV if there is none. */
struct rtnl_counters {
	uint64_t packets_in, packets_out, bytes_in, bytes_out;
};
int rtnl_counters(struct rtnl *r, const char *link, struct rtnl_counters *ret,
		  struct err *e) MUST_USE;

/*
 * A second socket that hears of changes: links, addresses, routes, rules of
 * both families.  Readable when something happened.  rtnl_watch_read() drains
 * it and says in @ret what was touched; on overflow (ENOBUFS) lost is true:
 * take a snapshot.  Receive buffer by SO_RCVBUFFORCE.
 */
struct rtnl_watch;
#define RTNL_TAKERS_MAX 4
struct rtnl_news {
	bool links, addresses, routes, rules;
	bool lost;
	/* Something was deleted, or a rule was added: what a repair must look at at once. */
	bool deletions;
	/* Who deleted a rule or a route of the tables of rtnl_watch_blame(), "" if not known. */
	char who[16];
	/* Ports of netlink(7) that addresses and routes were taken away by; the kernel's own not. */
	uint32_t takers[RTNL_TAKERS_MAX];
	size_t n_takers;
	bool locals; /* a route of the table `local` was taken away */
};
int rtnl_watch_open(int netns_fd, struct rtnl_watch **ret, struct err *e) MUST_USE;
/* The same of addresses and routes alone. */
int rtnl_watch_open_addresses(int netns_fd, struct rtnl_watch **ret, struct err *e) MUST_USE;
/*
 * On a host with other gates: of what stands on their links (sp-*) nothing is
 * heard, nor that routes came.  @links are this gate's (at most
 * RTNL_WATCH_OWN_MAX, the first is sp-NAME), @slot its number, @others the
 * indices of links that are no gate's.  Call it again when they may be others.
 * True if it made a difference: what happened before may have been missed, so
 * look again.
 */
#define RTNL_WATCH_OWN_MAX 64
bool rtnl_watch_own(struct rtnl_watch *w, uint32_t slot, const char *const *links, size_t n,
		    const int *others, size_t n_others);
/*
 * From now on rtnl_watch_read() tells who deleted rules and routes of the tables
 * first..last.  netlink(7) numbers a program's first socket by its process: the
 * name is that of a process that lives and has the number, which is probably the
 * one.  The caller itself is not told of.
 */
void rtnl_watch_blame(struct rtnl_watch *w, uint32_t table_first, uint32_t table_last);
int rtnl_watch_fd(const struct rtnl_watch *w);
int rtnl_watch_read(struct rtnl_watch *w, struct rtnl_news *ret, struct err *e) MUST_USE;
void rtnl_watch_close(struct rtnl_watch **w);

#endif
