/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every message of the input as one of conntrack's. */
#include "messages.h"
#include "wire/ctnetlink.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct nlmsghdr *nlh)
{
	struct ctnetlink_message m;
	struct nlmsghdr *away = ctnetlink_encode_delete(&m, nlh);
	struct flow_seen f;
	struct ctnetlink_flow flow;

	if (away && away->nlmsg_len > sizeof(m.bytes))
		abort();
	if (ctnetlink_decode_any(nlh, &flow) == 1 && ip_is_none(&flow.from))
		abort();
	if (ctnetlink_decode(nlh, &f) == 1 &&
	    (f.client.family != f.inside.family || f.asked.family != f.back.family))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	each_message(data, size, check);
	return 0;
}
