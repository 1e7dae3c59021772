/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_ATTACH_EMIT_H
#define PLAN_ATTACH_EMIT_H

#include "base/text.h"
#include "plan/attach.h"

/*
 * What the writers of attach's nft table share (attach_nft.c, attach_closed.c and
 * attach_tracked.c); others see plan_nft_attach() of attach.h.
 */

#define NEIGHBOURS                                                                                 \
	"icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert, mld2-listener-report } accept"

struct attach_text {
	struct arena *arena;
	struct text out;
	const struct snapshot *net;
	const struct seen_doors *doors;
	const struct attach_ask *ask;
	const char *lan; /* { "eth0", "eth1" } */
};

struct attach_family {
	sa_family_t family;
	char digit;
	const char *ip, *type;
	const char *asker, *answered; /* a client's address and port, and our port */
	const char *caller, *called; /* both ends of a conversation that a LAN door's end began */
	const char *own; /* a connection that began here: the other end, and our port */
};
extern const struct attach_family attach_families[2];

/* One line. */
void attach_line(struct attach_text *n, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* For each address of @doors, in the order of the doors: @rule(n, door, address). */
void attach_each_address(struct attach_text *n, const struct seen_door *doors, size_t n_doors,
			 void (*rule)(struct attach_text *n, const struct seen_door *d,
				      const struct ip *ip));
/* Words of rules. */
const char *attach_ip_word(const struct ip *ip);
const char *attach_to_server(struct attach_text *n, const struct plan_server *s);
const char *attach_server_port(struct attach_text *n, const struct plan_server *s);
/* Rules. */
void attach_weak_host(struct attach_text *n);
void attach_forged_routes(struct attach_text *n);
void attach_own_sources(struct attach_text *n);
void attach_tunnels_stays_in(struct attach_text *n, const struct seen_door *d, const struct ip *ip);

/* attach_closed.c: the kill switch by address */
void attach_other_callers(struct attach_text *n);
void attach_begins(struct attach_text *n);
void attach_through_closed(struct attach_text *n);
void attach_leave_closed(struct attach_text *n);

/* attach_tracked.c: by connection */
void attach_learn(struct attach_text *n);
void attach_arrive(struct attach_text *n);
void attach_leave_by_mark(struct attach_text *n);
void attach_aliases(struct attach_text *n);

#endif
