/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_XFRM_H
#define MODEL_XFRM_H

#include "model/ip.h"

/* Which SA a policy wants; xfrm_user_tmpl of linux/xfrm.h. */
struct xfrm_template {
	struct ip src, dst; /* its ends */
	uint8_t proto; /* IPPROTO_ESP, ... */
	uint8_t mode; /* XFRM_MODE_TUNNEL, ... */
	bool optional; /* also without it */
	uint32_t spi, reqid; /* 0: any; in host byte order */
};

/*
 * One policy of the kernel's IPsec (xfrm), as far as it says whose packets it
 * takes.  Those of sockets (IP_XFRM_POLICY) are none of these.
 */
struct xfrm_policy {
	sa_family_t family;
	uint8_t dir; /* XFRM_POLICY_IN, _OUT or _FWD */
	bool block; /* drops what it takes; else it lets pass, by its templates */
	uint8_t n_templates; /* 0: as it is, unencrypted */
	uint8_t proto; /* 0: any */
	uint16_t sport, sport_mask; /* of ICMP the type */
	bool has_dport; /* it selects by that, too */
	int link; /* index, 0: any */
	uint32_t priority; /* the lowest is asked first; of equal ones the oldest */
	uint32_t index; /* names it as long as it is there */
	uint32_t mark, mark_mask;
	uint32_t if_id; /* of an xfrm interface; 0: none */
	struct prefix src, dst;
	struct xfrm_template template; /* the first */
};

#endif
