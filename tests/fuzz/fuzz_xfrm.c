/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Every message of the input as a policy of IPsec, and what can be written of it once more. */
#include "messages.h"
#include "wire/xfrm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void once_more(const struct nlmsghdr *nlh)
{
	struct xfrm_message m;
	struct xfrm_policy p, again;

	if (xfrm_decode_policy(nlh, &p) != 1)
		return;
	xfrm_encode_delete(&m, &p);
	if (xfrm_decode_policy(xfrm_encode_add(&m, &p), &again) != 1 || again.dir != p.dir ||
	    again.mark != p.mark || !prefix_equal(&again.src, &p.src))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	each_message(data, size, once_more);
	return 0;
}
