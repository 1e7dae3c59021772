/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_SOCKET_H
#define MODEL_SOCKET_H

#include "model/ip.h"

#define PROCESS_NAME_SIZE 16

/*
 * A socket of one namespace as sock_diag(7) tells it.  An IPv4 address in
 * IPv6's clothes (::ffff:192.0.2.1) stands here as what it is.
 */
enum socket_state { SOCKET_CONNECTED, SOCKET_LISTENS };

struct socket_seen {
	uint8_t proto; /* IPPROTO_TCP or IPPROTO_UDP */
	enum socket_state state;
	struct ip local; /* :: and 0.0.0.0 listen on every address */
	struct ip peer; /* none of one that listens */
	uint16_t local_port; /* host order */
	uint16_t peer_port;
	bool only_ipv6; /* one that listens on :: does not take IPv4 */
	int link; /* index it is bound to, 0 for none */
	uint32_t mark;
	uint32_t uid;
	uint8_t tos;
	uint32_t inode;
	int pid; /* one of its owners, 0 if not known */
	char process[PROCESS_NAME_SIZE]; /* that one's name, "" if not known */
	bool mine; /* an ancestor of the caller holds it */
};

#endif
