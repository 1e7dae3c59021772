/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "model/gate.h"
#include "model/wgconf.h"
#include "plan/slot.h"
#include "plan/want.h"

/*
 * From what the user asked for to what every namespace must hold.  Nothing
 * planned depends on which routes a VPN client installs; what is observed only
 * adds (a door's own table once its interface is there).
 */

#define PLAN_PROTOCOL    222u /* of rules and routes in gate and room */
#define PLAN_MARK_MASK   0xffff0000u
#define PLAN_TABLE_ROOMS 5900u /* in the gate: rooms and host end */
#define PLAN_TABLE_DOOR  5901u /* in the gate: + index of the door */
#define PLAN_TABLE_LAST  5999u

/* Mark of packets and connections that came in by door @door. */
uint32_t plan_door_mark(size_t door);
/* Mark that VPN clients put on their own sockets. */
#define PLAN_MARK_TRANSPORT (PLAN_TABLE_ROOMS << 16)

/* Where a command's client connects to: a door_server with its name resolved. */
struct plan_server {
	struct ip ip;
	uint16_t port; /* 0: any */
	uint8_t proto; /* 0: TCP and UDP */
};

struct plan_door {
	const char *interface; /* in the gate; NULL while there is none */
	uint32_t mtu; /* bytes, of the interface */
	bool no_ipv6; /* it carries none: too small for it, or switched off there */
	const struct ip *addresses; /* of the interface, but link-local ones */
	size_t n_addresses;
	/* WireGuard: addresses and routes are ours to install; NULL for other kinds. */
	const struct wg_conf *wg;
	/* Command doors: the only destinations of its transport; none given: any. */
	const struct plan_server *servers;
	size_t n_servers;
};

/* A sandbox as it was found. */
struct plan_sandbox {
	bool on_host; /* there is no link yet: make one that the engine can take */
	const char *link; /* in the namespace; NULL: there is no namespace */
	bool ours; /* the engine's link is gone: that one is ours to make and to furnish */
	bool default4, default6; /* another network's link has the default route */
	/* What somebody has removed of what the engine's link had. */
	struct plan_lost {
		bool address, route; /* the default one */
		bool mended; /* something was put back before, and stays */
	} lost4, lost6;
};
/* Is there anything to put back? */
bool plan_sandbox_lacks(const struct plan_sandbox *x);

struct plan_sysctl {
	const char *path;
	const char *value;
};

/* Sysctls: IPv6's forwarding of all, and loopback's, by which a write to that is noticed. */
#define PLAN_FORWARDING6_ALL "ipv6/conf/all/forwarding"
#define PLAN_FORWARDING6_LO  "ipv6/conf/lo/forwarding"

struct plan_facts {
	struct slot slot;
	bool ipv6; /* the kernel has it */
	bool host_no_ipv6; /* but the host does not want it on our links (disable_ipv6) */
	struct plan_door *doors; /* one per gate.doors; [0] unused */
	struct plan_sandbox *sandboxes; /* one per gate.rooms; NULL: as if none were there */
	/* Door whose client replaced main's default in the gate; 0: none did. */
	size_t claims_all;
	const struct snapshot *host; /* for the interfaces that must forward */
	bool host_arp_prefix; /* it answers ARP within an address's prefix only (arp_ignore 2) */
	bool forwards4; /* the host is a router by its own will (ip_forward) */
	const struct plan_sysctl *before; /* values the host had before us */
	size_t n_before;
};

/* Is @ip one of those that the VPN of @door gave the gate?  The lan door has none. */
bool plan_door_has(const struct plan_facts *f, size_t door, const struct ip *ip);

/* Was that the value of @path before us? */
bool plan_was(const struct plan_facts *f, const char *path, const char *value);

/* Names: "sp-NAME", "room" or "room-X", "NAME" or "NAME.X", "NAME.gate". Arena strings. */
const char *plan_host_link(struct arena *a, const struct gate *g);
/* "sp-SLOT.ROOM", both numbers: no gate's name has a dot. */
const char *plan_short_link(struct arena *a, const struct slot *s, size_t room);
const char *plan_room_link(struct arena *a, const struct gate *g, size_t room);
/* "sp-ROOM.d": a sandbox's end of its link until the engine takes it. */
const char *plan_sandbox_link(struct arena *a, const struct gate *g, size_t room);

const char *plan_room_netns(struct arena *a, const struct gate *g, size_t room);
const char *plan_gate_netns(struct arena *a, const struct gate *g);
const char *plan_alias(struct arena *a, const struct gate *g);
/* Of the link in a sandbox that we made because the one that the engine took is gone. */
const char *plan_sandbox_alias(struct arena *a, const struct gate *g);

/*
 * Is this the host's end of a gate, of any?  By the alias, or by the hardware
 * address that a link has from its first moment, before it can have an alias.
 */
bool plan_link_is_ours(const struct link *l);
/* Six bytes, the hardware address of the host's ends of a gate with @slot. */
const uint8_t *plan_host_mac(struct arena *a, const struct slot *slot);
/* Is it the hardware address of a host's end of a gate with slot number *@ret? */
bool plan_mac_slot(const uint8_t mac[6], uint32_t *ret);
/* Is it the gate's called @gate, by the alias? */
bool plan_link_is_of(const struct link *l, const char *gate);
/* The namespace of the room to which a short link leads; NULL if @l is none. */
const char *plan_short_netns(const struct link *l);

/* Where the host finds the room. */
struct ip plan_room_outside(const struct gate *g, const struct slot *s, sa_family_t family,
			    size_t room);
/* What the room itself has: the same but for a sandbox; none if it does not speak @family. */
struct ip plan_room_inside(const struct gate *g, const struct slot *s, sa_family_t family,
			   size_t room);

/*
 * Does the room have a short link?  It leads from the host straight to the room
 * and carries what TCP clients of the lan door say and are answered; nothing can
 * begin on it.  Such a room publishes TCP on the lan door.
 */
bool plan_room_is_short(const struct gate *g, size_t room);
/* Does @p lead by a short link? */
bool plan_publish_is_short(const struct publish *p);
#define PLAN_SHORT_END "lan0" /* the short link's name in the room */

void plan_host(struct arena *a, const struct gate *g, const struct plan_facts *f, struct want *ret);
void plan_gate(struct arena *a, const struct gate *g, const struct plan_facts *f, struct want *ret);
void plan_room(struct arena *a, const struct gate *g, const struct plan_facts *f, size_t room,
	       struct want *ret);

/*
 * plan/asked.c: do rules of the host's own choose the way of what says address @x,
 * one of the host's?  Then what rooms answer to who asked there has to go that way.
 */
bool plan_has_own_way(const struct snapshot *host, const struct address *x);
/* Of any address; false for no host. */
bool plan_has_own_ways(const struct snapshot *host);

/*
 * plan/sides.c: interfaces of the host from where replies of rooms are told apart by
 * the mark of their connection; none where main leaves no choice.  Arena.
 */
const struct link *const *plan_sides(struct arena *a, const struct snapshot *host, size_t *ret_n);
uint32_t plan_side_mark(const struct link *l);
bool plan_is_side_table(uint32_t table);
/* Their rules and tables. */
void plan_want_sides(struct arena *a, const struct snapshot *host, sa_family_t family,
		     struct want *w);

/* plan/nft_host.c, plan/nft_gate.c, and plan/nft_frame.c, which all gates share */
#define PLAN_NFT_HOST "sallyport" /* the table that all gates share on the host */
const char *plan_nft_host(struct arena *a, const struct gate *g, const struct plan_facts *f);
const char *plan_nft_gate(struct arena *a, const struct gate *g, const struct plan_facts *f);
/* Whose chain of the host's table is it?  NULL: no gate's. */
const char *plan_nft_chain_gate(const char *chain);
/*
 * Is it one of the kinds that gates had until they were elements of sets?  In such a
 * table stand maps and base chains that lead to them; this is one of the latter.
 */
bool plan_nft_chain_is_older(const char *chain);
#define PLAN_NFT_OLDER "outside"

/*
 * plan/nft_shared.c: what the listing of the host's table says of one gate.
 * Arena strings.
 */
/*
 * Commands that take the gate's elements out, so that others can take their place, and
 * of an older version what no other gate needs any more.
 */
const char *plan_nft_stale(struct arena *a, const char *listed, const char *gate);
/* The other gate that has a port of @g's; NULL if none has. */
const char *plan_nft_conflict(struct arena *a, const char *listed, const struct gate *g,
			      const struct publish **ret);

#endif
