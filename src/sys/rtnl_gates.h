/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_RTNL_GATES_H
#define SYS_RTNL_GATES_H

#include "sys/rtnl.h"

/*
 * The links of a host by their indices.  Those of gates are told apart by these
 * (plan/slot.h), or by what costs next to nothing to ask for: their names and hardware
 * addresses.  RTM_GETLINK tells all of a link, and looks for the namespace of its other
 * end among all that the host knows.
 */
struct rtnl_links {
	int *near; /* this gate's, nobody's, or not to be told */
	size_t n_near, cap_near;
	int *others; /* other gates', sorted */
	size_t n_others, cap_others;
	struct address *slots; /* for each other gate's slot its host address, on the gate's link */
	size_t n_slots, cap_slots;
};

int rtnl_find_links(struct rtnl *r, struct arena *a, const struct rtnl_own *own,
		    struct rtnl_links *ret, struct err *e) MUST_USE;

bool rtnl_is_others(const struct rtnl_links *l, int index);

#endif
