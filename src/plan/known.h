/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_KNOWN_H
#define PLAN_KNOWN_H

#include "model/snapshot.h"

/*
 * Whose a rule most likely is, and what a link is.  The kernel does not say who
 * made them; programs are known by the numbers that they always use.
 */

/* "Tailscale", ...; NULL: nobody is known to make such a rule. */
const char *known_rule_maker(const struct rule *r);
/* One of those that every namespace has from the beginning. */
bool known_rule_is_kernels(const struct rule *r);
/* By its table, or by our protocol number. */
bool known_rule_is_ours(const struct rule *r);

/* Leads into a VPN: what is sent there comes out somewhere else. */
bool known_is_tunnel(const struct link *l);

#endif
