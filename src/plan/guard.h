/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_GUARD_H
#define PLAN_GUARD_H

#include "model/socket.h"
#include "plan/diff.h"
#include "plan/want.h"

/*
 * What guards a bare host while a VPN client runs on it.
 *
 * Every interface with an address is a door.  What came in by a door is answered
 * by that door, and what has one of the LAN doors' addresses for a source never
 * leaves by a tunnel.  plan/guard_hooks.c tells how the door is known.  All that is asked of
 * the host is how its doors' networks were reached, which is remembered: a VPN
 * client may take the default route out of main, and a link that flaps loses
 * its routes in all tables.
 *
 * What has no source yet and belongs to no connection goes as the VPN client
 * wants it.
 */

#define GUARD_TABLE_NEAR 10000u /* what the LAN doors reach, but for defaults */
#define GUARD_TABLE_FAR  10001u /* their defaults, and a floor under them */
#define GUARD_TABLE_DOOR 10002u /* + number of the door */
#define GUARD_DOORS_MAX  96u
#define GUARD_TABLE_LAST 10099u
/* Tables inet, ip and ip6 have that name; what is for both families is in the first. */
#define GUARD_NFT        "sallyport-guard"
#define GUARD_NFT_TABLES 3
/* table inet of a trial beside a guard that stands, made and taken away by the trial */
#define GUARD_TRIAL_NFT "sallyport-guard-trial"
#define GUARD_SYSCTLS   "sysctls" /* its map: what was changed, and from which value */

#define GUARD_MARK_MASK 0xffff0000u
/* All of these have the first byte in common. */
#define GUARD_MARKS      0x27000000u
#define GUARD_MARKS_MASK 0xff000000u
/* Connections older than the guard, and everything while a trial has run out. */
#define GUARD_MARK_BEFORE (GUARD_TABLE_FAR << 16)
/* Came in by an interface that is no door yet. */
#define GUARD_MARK_OTHER (GUARD_TABLE_LAST << 16)
/* Of a request, to pass by IPsec's policies: no rule looks for it. */
#define GUARD_MARK_REQUEST 0x27ff0000u

struct guard_door {
	const char *name; /* of the link */
	int index; /* likewise */
	uint32_t number; /* of table and mark; GUARD_DOORS_MAX: has none */
	bool tunnel; /* a VPN's: it comes and goes, and nothing is remembered of it */
};

/* What is known of the host.  Lives in an arena; zero is a host not looked at yet. */
struct guard_memory {
	struct guard_door *doors; /* in order of their names */
	size_t n_doors, cap_doors;
	/* By which the LAN doors reach what they reach; table is not used, metric is main's. */
	struct want_route *routes;
	size_t n_routes, cap_routes;
};

/* A link that a VPN client makes, by its kind or flags. */
bool guard_is_tunnel(const struct link *l);

/*
 * What is known after @host was seen, where @old was known before.  Routes by a
 * door that was known are taken over only from those who configure doors
 * (kernel, router advertisements, DHCP), or when the door has no gateway left:
 * a VPN client may put routes on doors, too.  The result is in @a and points
 * nowhere else.
 */
void guard_learn(struct arena *a, const struct guard_memory *old, const struct snapshot *host,
		 struct guard_memory *ret);

/* Does a door lead to others than this host's own guests (containers, virtual machines)? */
bool guard_leads_on(const struct guard_memory *m, const struct snapshot *host,
		    const struct guard_door *d);

/* Something that is set otherwise while the guard stands. */
struct guard_sysctl {
	char what[16]; /* a link, for its rp_filter, or one of the words below */
	uint32_t was; /* 0 or 1 */
};

/* No link can have such a name.  ip-sysctl(7) has tcp_fwmark_accept and fwmark_reflect. */
#define GUARD_ACCEPT   "/accept"
#define GUARD_REFLECT4 "/reflect4"
#define GUARD_REFLECT6 "/reflect6"

/* The two ends of a connection that was there before, and the tunnel that leads it. */
struct guard_older {
	struct ip local, peer;
	char door[16]; /* IFNAMSIZ */
};

struct guard_wish {
	const struct prefix *lan; /* new connections to these stay on the LAN doors */
	size_t n_lan;
	const struct guard_sysctl *sysctls; /* to be remembered */
	size_t n_sysctls;
	bool forwards; /* the host does, for containers */
	bool udp; /* a service is bound to no address */
	uint16_t clients_first,
		clients_last; /* UDP ports that the kernel chooses; 0: Linux's own */
	bool ipsec; /* the kernel knows of it */
	const struct guard_older *older;
	size_t n_older;
	bool xfrm; /* policies of IPsec are passed by (plan/guard_xfrm.h) */
	const struct socket_seen *plain; /* TCP by LAN doors, older than the policies */
	size_t n_plain;
	bool trial; /* output goes the way it was before unless set `trial` says otherwise */
};

/* What the host must hold.  Pointers into @a, @m and @host. */
void guard_plan(struct arena *a, const struct guard_memory *m, const struct snapshot *host,
		const struct guard_wish *wish, struct want *ret);

/*
 * plan/guard_older.c: the connections among @sockets that @host, which no guard's
 * rules have changed yet, leads from a LAN address into a tunnel.  In @a.
 */
void guard_older_find(struct arena *a, const struct snapshot *host,
		      const struct socket_seen *sockets, size_t n, struct guard_older **ret,
		      size_t *ret_n);
/* Those that still live, at the beginning of @older; returns how many. */
size_t guard_older_keep(struct guard_older *older, size_t n, const struct socket_seen *sockets,
			size_t n_sockets);
/*
 * Of @sockets the connections that go by a LAN door without a mark to say so, but for
 * the older ones that a tunnel leads: at the beginning; returns how many, at most @max.
 */
size_t guard_plain_keep(const struct snapshot *host, const struct guard_older *older,
			size_t n_older, struct socket_seen *sockets, size_t n, size_t max);

/* plan/guard_last.c: the routes and rules of @w, all of it in @a. */
void guard_plan_copy(struct arena *a, const struct want *w, struct want *ret);
/*
 * What plan @last had made on @host and somebody or the kernel has taken away since,
 * where plan @now wants it, too: the steps that put it back.  Points into all four.
 */
void guard_plan_lost(struct arena *a, const struct snapshot *host, const struct want *last,
		     const struct want *now, struct diff *ret);

/* plan/guard_nft.c: the families of tables GUARD_NFT, as nft(8) calls them. */
extern const char *const guard_nft_families[GUARD_NFT_TABLES];
/* The text of these tables; replaces their rules, keeps their sets. */
const char *guard_nft(struct arena *a, const struct guard_memory *m, const struct snapshot *host,
		      const struct guard_wish *wish);

/* The text of table GUARD_TRIAL_NFT: in @ms from now all output goes as it went before. */
const char *guard_nft_trial(struct arena *a, int64_t ms);

/* Commands that delete what the listing of the tables has and @text has not; "" for nothing. */
const char *guard_nft_stale(struct arena *a, const char *text, const char *listed);

#endif
