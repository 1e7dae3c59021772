/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FUZZ_MESSAGES_H
#define TESTS_FUZZ_MESSAGES_H

#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

/* Shows @see each netlink message of the input, which lies in memory of just its size. */
static inline void each_message(const uint8_t *data, size_t size,
				void (*see)(const struct nlmsghdr *nlh))
{
	char *copy = malloc(size ? size : 1);
	const struct nlmsghdr *nlh;
	int left = (int)size;

	if (!copy || size > 65536) {
		free(copy);
		return;
	}
	memcpy(copy, data, size);
	/* mnl_nlmsg_ok() of libmnl 1.0.4 lets lengths above INT_MAX pass; decoders may trust theirs. */
	for (nlh = (void *)copy; mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_len <= (uint32_t)left;
	     nlh = mnl_nlmsg_next(nlh, &left))
		see(nlh);
	free(copy);
}

#endif
