/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every message of the input as a policy of IPsec, and what can be written of it once more. */
#include "wire/xfrm.h"

#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void once_more(struct xfrm_policy *p)
{
	struct xfrm_message m;
	struct xfrm_policy again;

	xfrm_encode_delete(&m, p);
	if (xfrm_decode_policy(xfrm_encode_add(&m, p), &again) != 1 || again.dir != p->dir ||
	    again.mark != p->mark || !prefix_equal(&again.src, &p->src))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	const struct nlmsghdr *nlh;
	struct xfrm_policy p;
	int left = (int)size;

	if (!copy || size > 65536) {
		free(copy);
		return 0;
	}
	memcpy(copy, data, size);
	for (nlh = (void *)copy; mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_len <= (uint32_t)left;
	     nlh = mnl_nlmsg_next(nlh, &left))
		if (xfrm_decode_policy(nlh, &p) == 1)
			once_more(&p);
	free(copy);
	return 0;
}
