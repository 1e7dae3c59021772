/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every message of the input as one of conntrack's. */
#include "wire/ctnetlink.h"

#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	const struct nlmsghdr *nlh;
	struct flow_seen f;
	int left = (int)size;

	if (!copy || size > 65536) {
		free(copy);
		return 0;
	}
	memcpy(copy, data, size);
	for (nlh = (void *)copy; mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_len <= (uint32_t)left;
	     nlh = mnl_nlmsg_next(nlh, &left))
		if (ctnetlink_decode(nlh, &f) == 1 &&
		    (f.client.family != f.inside.family || f.asked.family != f.back.family))
			abort();
	free(copy);
	return 0;
}
