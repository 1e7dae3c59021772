/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every decoder of wire/rtnl_decode.h over every message of the input, and one round more. */
#include "base/arena.h"
#include "messages.h"
#include "wire/rtnl_decode.h"
#include "wire/rtnl_encode.h"

#include <linux/rtnetlink.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_all(const struct nlmsghdr *nlh)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl_message m;
	struct nexthop_seen nexthop;
	struct link_stats stats;
	struct address address;
	struct nlmsghdr *again;
	struct route route;
	struct link link;
	struct rule rule;
	uint32_t table;
	char text[64];
	int index;

	rtnl_decode_error(nlh, text, sizeof(text));
	rtnl_decode_stats(nlh, &stats);
	rtnl_decode_route_table(nlh, &table);
	rtnl_decode_route_link(nlh, &index);
	rtnl_decode_settings(nlh, &index);
	rtnl_decode_link(nlh, &link);
	rtnl_decode_nexthop(&a, nlh, &nexthop);
	/* What was read can be written, and what was written can be read. */
	if (rtnl_decode_address(nlh, &address) == 1 &&
	    rtnl_decode_address(rtnl_encode_address(&m, RTM_NEWADDR, &address), &address) != 1)
		abort();
	if (rtnl_decode_rule(nlh, &rule) == 1 &&
	    rtnl_decode_rule(rtnl_encode_rule(&m, RTM_NEWRULE, &rule), &rule) != 1)
		abort();
	if (rtnl_decode_route(&a, nlh, &route) == 1) {
		again = rtnl_encode_route(&m, RTM_NEWROUTE, &route);
		if (again && rtnl_decode_route(&a, again, &route) != 1)
			abort();
	}
	rtnl_encode_listed_rule(&m, RTM_DELRULE, nlh);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	each_message(data, size, decode_all);
	return 0;
}
