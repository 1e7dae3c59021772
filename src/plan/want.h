/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_WANT_H
#define PLAN_WANT_H

#include "base/arena.h"
#include "model/snapshot.h"
#include "plan/slot.h"

/*
 * What one namespace must hold.  Links are named, not numbered: indices change
 * when a tunnel comes back, names do not.
 */

enum want_place { PLACE_HOST, PLACE_GATE, PLACE_ROOM };

struct want_link {
	const char *name;
	const char *alias; /* NULL: do not touch */
	const char *peer_name; /* of a veth to create; NULL: the link exists or comes by itself */
	enum want_place peer_place;
	size_t peer_room; /* index, of PLACE_ROOM */
	const char *peer_netns; /* its name, for people */
	uint32_t mtu; /* 0: do not touch */
	bool up;
	bool plain; /* without an IPv6 address of the kernel's making, if it is new */
	const uint8_t *mac; /* of a veth to create, 6 bytes; NULL: the kernel's choice */
	int index; /* likewise; 0, and if it is taken: the kernel's choice */
	bool optional; /* a VPN door's: comes and goes with its client */
};

struct want_address {
	const char *link;
	struct ip local;
	uint8_t len;
	uint8_t scope;
	bool optional;
};

struct want_route {
	sa_family_t family;
	uint8_t type; /* RTN_UNICAST, RTN_UNREACHABLE or RTN_LOCAL */
	uint8_t scope;
	uint32_t table;
	uint32_t metric;
	struct prefix dst;
	const char *link; /* NULL for unreachable */
	struct ip via; /* none when on-link */
	struct ip prefsrc; /* none for any */
	uint32_t mtu; /* bytes, when it is made; 0: the link's */
	bool onlink;
	/* The link comes and goes with a VPN client: skip while it is away. */
	bool optional;
};

/*
 * Rules of priority 0 stand in the order of the array, behind `local` and in
 * front of everybody else's.  Those of another priority (main and default of a
 * namespace that is ours) need only be there.
 */
struct want_rule {
	sa_family_t family;
	uint32_t priority;
	uint32_t table;
	struct prefix from; /* family 0: any */
	struct prefix to;
	const char *iif; /* NULL: any */
	uint32_t mark, mark_mask;
	int suppress_len; /* -1: none */
	bool find_saddr; /* IPv6: asked also before there is a source, which must then fit @from */
};

struct want_sysctl {
	const char *path; /* below /proc/sys/net/ */
	const char *value; /* NULL: only remembered, a write to another one changes it too */
	const char *only_if; /* set it only when it has this value; NULL: always */
	bool of_link; /* a new link has it by itself, from `default`: not for a first start */
	bool restore; /* host: remember the old value and put it back at the end */
};

struct want {
	enum want_place place;
	size_t room; /* of PLACE_ROOM */
	const char *netns; /* name below /run/netns, NULL for the host */
	bool guard; /* host: before these rules stand only gates' */
	uint8_t protocol; /* of our rules and routes: 222, RTPROT_KERNEL on the host */
	uint32_t table_first; /* everything in these tables is ours */
	uint32_t table_last;
	bool shared; /* these tables are other gates' too: ours is what leads into @slot */
	struct slot slot;
	struct want_link *links;
	size_t n_links, cap_links;
	struct want_address *addresses;
	size_t n_addresses, cap_addresses;
	struct want_route *routes;
	size_t n_routes, cap_routes;
	struct want_rule *rules;
	size_t n_rules, cap_rules;
	struct want_sysctl *sysctls;
	size_t n_sysctls, cap_sysctls;
	const char *nft; /* text for the nft table of the place; NULL for none */
};

#endif
