/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_GATE_H
#define MODEL_GATE_H

#include "model/ip.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * What the user asked for: one gate with its doors, rooms and ports.  Made by
 * wire/config.c from a file or by cli/run.c from flags; nothing in it was
 * learned from the running system.
 */

#define GATE_NAME_MAX  12 /* so that "sp-NAME" is an interface name */
#define DOOR_NAME_MAX  15
#define ROOM_NAME_MAX  10 /* so that "room-X" is one */
#define GATE_ROOMS_MAX 30 /* two addresses of a slot each */
#define GATE_DOORS_MAX 32

enum door_kind { DOOR_LAN, DOOR_OPENVPN, DOOR_WIREGUARD, DOOR_COMMAND };

/* Where a command's VPN client connects to, as the user says. */
struct door_server {
	const char *host; /* name or literal address */
	uint16_t port; /* 0: any */
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP, 0: either */
};

struct publish {
	uint16_t door_port;
	uint16_t room_port;
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	size_t room; /* index in gate.rooms */
	size_t door; /* index in gate.doors */
	/* On the lan door, this address of the host alone; 0.0.0.0 or ::: every one of that
	   family, on any door; none: every one. */
	struct ip host;
	uint32_t line; /* of the configuration file, 0 for a flag */
	bool by_gate; /* never past it by a short link: its room is a sandbox */
};

struct door {
	const char *name; /* "lan" or the VPN's */
	enum door_kind kind;
	const char *vpn; /* path of the VPN's file; NULL for lan and command */
	const char *vpn_at; /* where that is said: "file:line:column" or "--vpn" */
	const char *command; /* for /bin/sh -c; NULL unless DOOR_COMMAND */
	const char *interface; /* of a command door, NULL: whatever link appears */
	struct door_server *servers; /* of a command door */
	size_t n_servers, cap_servers;
	uint32_t mss; /* TCP segment size to clamp to, 0: from the interface's MTU */
	struct ip *listen; /* lan: only these addresses of the host */
	size_t n_listen, cap_listen;
	uint32_t line;
};

enum room_default { DEFAULT_VPN, DEFAULT_LAN, DEFAULT_NONE, DEFAULT_DOOR };

/*
 * A namespace that a container engine made, as a room.  Its link is ours; what
 * stands on that in the namespace the engine has set up, with addresses that it
 * gave.  To the host and the lan door the room has its address of the slot: the
 * gate translates.
 */
struct sandbox {
	const char *path; /* of the namespace; there is none before the container starts */
	const char *container; /* its name; "" while that is not known */
	const char *network; /* rooms of one network reach each other */
	uint32_t number; /* its place in the slot, where our own rooms have their index */
	struct ip address4, address6; /* in the room; none: not spoken there */
	struct ip gateway4, gateway6; /* ours, at the gate's end of its link */
};

struct room {
	const char *name; /* "" for the unnamed room */
	const struct sandbox *sandbox; /* NULL: the namespace is ours */
	enum room_default way;
	size_t way_door; /* index in gate.doors, of DEFAULT_DOOR */
	struct prefix *reach;
	size_t n_reach, cap_reach;
	size_t *reach_rooms; /* indexes in gate.rooms, never its own */
	size_t n_reach_rooms, cap_reach_rooms;
	uint32_t line;
};

struct gate {
	const char *name;
	const char *file; /* for messages; "command line" for flags */
	bool ends_with_command; /* made by `run`: the rooms' processes end with it */
	struct door *doors; /* [0] is always the lan door */
	size_t n_doors, cap_doors;
	struct room *rooms;
	size_t n_rooms, cap_rooms;
	struct publish *publish; /* per door; already narrowed, no duplicates */
	size_t n_publish, cap_publish;
};

/* Whether @p answers by IPv4 (AF_INET) or IPv6 (AF_INET6). */
bool publish_speaks(const struct publish *p, sa_family_t family);
/* Whether one packet could ask both. */
bool publish_overlaps(const struct publish *p, const struct publish *q);

#endif
