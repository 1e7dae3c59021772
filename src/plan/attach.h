/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_ATTACH_H
#define PLAN_ATTACH_H

#include "model/socket.h"
#include "plan/doors.h"
#include "plan/plan.h"

/*
 * The plan for a namespace that somebody else made and services share with a
 * VPN client: whoever comes in by a door is answered by that door.
 *
 * A bound source tells the door (TCP, and what answers with the address it was
 * asked at): one rule for each address leads to the door's own table.  UDP
 * services bound to the wildcard do not say a source, and the kernel asks main,
 * which is the VPN's: what address a client asked is remembered by nftables,
 * which puts it into the answer before conntrack sees it.
 */

#define PLAN_ATTACH_NFT "sallyport-attach"

struct attach_ask {
	/*
	 * UDP clients of the lan doors are seen under an address of their own, one
	 * for each of the namespace's addresses, so that a service that connects its
	 * sockets, and one client on two doors at once, are told apart too.
	 */
	bool alias;
	/*
	 * The kill switch: out of the lan doors only what came in there, the VPN
	 * client's way to @servers (0.0.0.0 and ::, any), and what goes to @reach.
	 */
	bool closed;
	const struct plan_server *servers;
	size_t n_servers;
	const struct prefix *reach;
	size_t n_reach;
	/*
	 * Nothing that the namespace began by TCP stands in the sets `own`: what is no
	 * SYN need not be looked up there, which costs more than the rest of its way out.
	 */
	bool began_none;
	/*
	 * TCP segments by tunnels are no larger, 0: as each link's MTU says.  For a way
	 * that is narrower than its tunnel and does not tell.
	 */
	uint32_t mss;
	bool translated; /* somebody in the namespace translates addresses */
	const struct plan_sysctl *before; /* values before us */
	size_t n_before;
};

/* In alias mode no more than this many addresses of a family can be told apart. */
#define ATTACH_ALIASES_MAX 4

void plan_attach(struct arena *a, const struct snapshot *s, const struct seen_doors *doors,
		 const struct attach_ask *ask, struct want *ret);
/* Nothing of ours: what `detach` wants. */
void plan_attach_nothing(struct want *ret);

/* The aliases of the clients that ask door @d at its address @x; 0 if it has none. */
size_t attach_alias_nets(const struct seen_doors *doors, const struct snapshot *s,
			 const struct seen_door *d, const struct ip *x, struct prefix ret[6]);

/* plan/attach_nft.c */
const char *plan_nft_attach(struct arena *a, const struct snapshot *s,
			    const struct seen_doors *doors, const struct attach_ask *ask);
/* A chain that only the kill switch without tracking has. */
#define PLAN_ATTACH_BEGINS "begins"
/* Its sets of what the namespace began by TCP. */
#define PLAN_ATTACH_OWN4 "own4"
#define PLAN_ATTACH_OWN6 "own6"
/*
 * Commands that tell that kill switch of the TCP connections among @all that the
 * namespace began by a LAN door before it was there; or "".  Which they are is
 * told by their ports: where nothing listens, nothing came in.
 */
const char *plan_nft_attach_older(struct arena *a, const struct snapshot *s,
				  const struct seen_doors *doors, const struct socket_seen *all,
				  size_t n);
/* Commands that take out what the table has, as it is listed, and @text has not; or "". */
const char *plan_nft_attach_stale(struct arena *a, const char *listed, const char *text);

#endif
