/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef FIB_ARRIVE_H
#define FIB_ARRIVE_H

#include "fib/lookup.h"

/*
 * What the sysctls net.ipv4.conf.* say of the link a packet comes in by, "all"
 * and the link's own taken together as the kernel does.
 */
struct link_conf {
	uint8_t rp_filter; /* 0 off, 1 strict, 2 loose: the higher of the two */
	bool forwarding;
	bool src_valid_mark; /* either */
	bool accept_local; /* either */
	bool route_localnet; /* either */
	bool bc_forwarding; /* both */
	bool no_redirects; /* send_redirects off in both */
};

enum fib_rp {
	FIB_RP_PASSES,
	FIB_RP_NOT_ASKED, /* IPv6 has no rp_filter; so has a refusal before it */
	FIB_RP_SOURCE_BAD, /* the source is our own, or no single host's */
	FIB_RP_OTHER_LINK, /* the way back to the source is by another link */
	FIB_RP_NO_WAY_BACK,
	FIB_RP_CANNOT_MODEL,
};

/*
 * The reverse path of @flow, which came in by flow->iif and, if @oif is not 0,
 * is to be forwarded by that link.  @back and @trace (both may be NULL) tell
 * the lookup of the source.
 */
enum fib_rp fib_reverse_path(const struct fib *fib, const struct flow *flow, int oif,
			     const struct link_conf *conf, struct fib_result *back,
			     struct fib_trace *trace);

/*
 * The whole decision for a packet that comes in by flow->iif: what is refused
 * before any route, the walk, whether this machine forwards, the reverse path.
 * A refused packet has verdict FIB_REFUSED with error EINVAL (martian) or EXDEV
 * (rp_filter).
 */
void fib_arrive(const struct fib *fib, const struct flow *flow, const struct link_conf *conf,
		struct fib_result *ret, enum fib_rp *ret_rp, struct fib_trace *trace);

#endif
