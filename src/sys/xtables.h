/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_XTABLES_H
#define SYS_XTABLES_H

#include "base/arena.h"
#include "base/err.h"
#include "wire/xtables.h"

#include <stdbool.h>

/*
 * Table @name of the old iptables(8) in this network namespace, which nftables
 * does not show: 1, or 0 if there is none.  Nobody is told when it changes.
 * Asking for one that is not there would make the kernel set it up, so
 * /proc/net/ip_tables_names is asked first.  The entries live in the arena.
 */
int xtables_read(struct arena *a, sa_family_t family, const char *name, struct xtables_table *ret,
		 struct err *e) MUST_USE;
/* Is there a table `nat` of the old iptables(8) or ip6tables(8)? */
bool xtables_translates(struct arena *a);

/* "iptables-legacy" */
const char *xtables_tool(sa_family_t family);

#endif
