/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sock_diag_decode() over every message of the input. */
#include "wire/sock_diag.h"

#include <libmnl/libmnl.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct socket_seen *s)
{
	char text[IP_TEXT_SIZE];

	if ((s->local.family != AF_INET && s->local.family != AF_INET6) ||
	    (s->state == SOCKET_CONNECTED && s->peer.family != s->local.family))
		abort();
	ip_text(&s->local, text);
	ip_text(&s->peer, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *copy = malloc(size ? size : 1);
	const struct nlmsghdr *nlh;
	struct tcp_counts counts;
	struct socket_seen s;
	int left = (int)size;

	if (!copy || size > 65536) {
		free(copy);
		return 0;
	}
	memcpy(copy, data, size);
	/* mnl_nlmsg_ok() of libmnl 1.0.4 lets lengths above INT_MAX pass. */
	for (nlh = (void *)copy; mnl_nlmsg_ok(nlh, left) && nlh->nlmsg_len <= (uint32_t)left;
	     nlh = mnl_nlmsg_next(nlh, &left)) {
		(void)sock_diag_decode_counts(nlh, &counts);
		if (sock_diag_decode(nlh, IPPROTO_TCP, &s) == 1)
			check(&s);
	}
	free(copy);
	return 0;
}
