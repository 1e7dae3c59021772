/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input as commands for nftables.  What is encoded of them is whole messages
 * of whole attributes, from the beginning of a batch to its end.
 */
#include "base/text.h"
#include "must.h"
#include "wire/nft_encode.h"

#include <libmnl/libmnl.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const void *bytes, size_t size)
{
	const struct nlattr *a;
	const char *at = bytes;

	for (a = bytes; mnl_attr_ok(a, (int)(size - (size_t)((const char *)a - at)));
	     a = mnl_attr_next(a))
		if (a->nla_type & NLA_F_NESTED)
			walk(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	must((const char *)a == at + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *text = arena_strndup(&a, (const char *)data, size);
	const struct nlmsghdr *nlh;
	struct nft_batch b;
	int left;

	if (!nft_encode(&a, text, &b))
		return 0;
	left = (int)b.size;
	nlh = (const void *)b.bytes;
	must(nlh->nlmsg_type == NFNL_MSG_BATCH_BEGIN);
	for (; mnl_nlmsg_ok(nlh, left); nlh = mnl_nlmsg_next(nlh, &left)) {
		size_t head = NLMSG_HDRLEN + sizeof(struct nfgenmsg);

		must(nlh->nlmsg_len >= head);
		walk((const char *)nlh + head, nlh->nlmsg_len - head);
		must((nlh->nlmsg_type == NFNL_MSG_BATCH_END) ==
		     (left == (int)NLMSG_ALIGN(nlh->nlmsg_len)));
	}
	must(left == 0);
	return 0;
}
