/* SPDX-License-Identifier: GPL-2.0-or-later */
/* sock_diag_decode() over every message of the input. */
#include "messages.h"
#include "wire/sock_diag.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct nlmsghdr *nlh)
{
	struct tcp_counts counts;
	struct socket_seen s;
	char text[IP_TEXT_SIZE];

	(void)sock_diag_decode_counts(nlh, &counts);
	if (sock_diag_decode(nlh, IPPROTO_TCP, &s) != 1)
		return;
	if ((s.local.family != AF_INET && s.local.family != AF_INET6) ||
	    (s.state == SOCKET_CONNECTED && s.peer.family != s.local.family))
		abort();
	ip_text(&s.local, text);
	ip_text(&s.peer, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	each_message(data, size, check);
	return 0;
}
