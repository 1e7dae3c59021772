/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UNIT_SAME_H
#define TESTS_UNIT_SAME_H

/*
 * Are two values of the model the same?  Asked member by member: what lies between
 * members is nobody's, and need not come back.  Lists and strings that they point to
 * are the test's own affair.
 */

#include "model/host.h"

#include <stddef.h>
#include <string.h>

struct member {
	const char *name;
	size_t at, size;
};

#define MEMBER(type, what)                                                                         \
	{                                                                                          \
#what, offsetof(struct type, what), sizeof(((struct type *)NULL)->what)            \
	}
#define PREFIX_MEMBERS(type, what)                                                                 \
	MEMBER(type, what.ip.family), MEMBER(type, what.ip.byte), MEMBER(type, what.len)
#define RANGE_MEMBERS(type, what) MEMBER(type, what.first), MEMBER(type, what.last)

static const struct member link_members[] = {
	MEMBER(link, index), MEMBER(link, name),    MEMBER(link, alias), MEMBER(link, kind),
	MEMBER(link, flags), MEMBER(link, mtu),     MEMBER(link, group), MEMBER(link, master),
	MEMBER(link, peer),  MEMBER(link, has_mac), MEMBER(link, mac),
};

static const struct member address_members[] = {
	MEMBER(address, link),   MEMBER(address, local), MEMBER(address, peer),
	MEMBER(address, len),    MEMBER(address, scope), MEMBER(address, flags),
	MEMBER(address, metric),
};

static const struct member hop_members[] = {
	MEMBER(hop, link),
	MEMBER(hop, via),
	MEMBER(hop, flags),
	MEMBER(hop, weight),
};

static const struct member route_members[] = {
	MEMBER(route, family),      MEMBER(route, type),    MEMBER(route, scope),
	MEMBER(route, protocol),    MEMBER(route, tos),     MEMBER(route, pref),
	MEMBER(route, table),       MEMBER(route, metric),  MEMBER(route, nexthop_id),
	MEMBER(route, mtu),         MEMBER(route, flags),   PREFIX_MEMBERS(route, dst),
	PREFIX_MEMBERS(route, src), MEMBER(route, prefsrc),
};

static const struct member rule_members[] = {
	MEMBER(rule, family),
	MEMBER(rule, priority),
	MEMBER(rule, action),
	MEMBER(rule, protocol),
	MEMBER(rule, tos),
	MEMBER(rule, ip_proto),
	MEMBER(rule, invert),
	MEMBER(rule, find_saddr),
	MEMBER(rule, l3mdev),
	MEMBER(rule, flags),
	MEMBER(rule, table),
	MEMBER(rule, target),
	MEMBER(rule, mark),
	MEMBER(rule, mark_mask),
	MEMBER(rule, has_mark),
	MEMBER(rule, suppress_len),
	MEMBER(rule, suppress_group),
	MEMBER(rule, has_uid),
	RANGE_MEMBERS(rule, uid),
	MEMBER(rule, has_sport),
	MEMBER(rule, has_dport),
	RANGE_MEMBERS(rule, sport),
	RANGE_MEMBERS(rule, dport),
	MEMBER(rule, sport_mask),
	MEMBER(rule, dport_mask),
	MEMBER(rule, has_dscp),
	MEMBER(rule, dscp),
	MEMBER(rule, dscp_mask),
	MEMBER(rule, flowlabel),
	MEMBER(rule, flowlabel_mask),
	MEMBER(rule, tun_id),
	PREFIX_MEMBERS(rule, from),
	PREFIX_MEMBERS(rule, to),
	MEMBER(rule, iif),
	MEMBER(rule, oif),
	MEMBER(rule, unknown),
};

static inline void assert_same_members(const void *x, const void *y, const struct member *members,
				       size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (memcmp((const char *)x + members[i].at, (const char *)y + members[i].at,
			   members[i].size) != 0)
			fail_msg("%s differs", members[i].name);
}
#define ASSERT_SAME(x, y, members) assert_same_members(x, y, members, ARRAY_LEN(members))

#define ASSERT_SAME_LIST(x, y, items, n, members)                                                  \
	do {                                                                                       \
		assert_int_equal((x)->n, (y)->n);                                                  \
		for (size_t i_ = 0; i_ < (x)->n; i_++)                                             \
			ASSERT_SAME(&(x)->items[i_], &(y)->items[i_], members);                    \
	} while (0)

#endif
