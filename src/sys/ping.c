/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/ping.h"

#include "sys/fd.h"
#include "sys/loop.h"

#include <linux/icmp.h>
#include <linux/icmpv6.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

/* Type, code, checksum, identifier, sequence number: the same in both families. */
struct echo {
	uint8_t type, code;
	uint16_t sum, id, seq;
};

static socklen_t address_of(const struct ip *ip, struct sockaddr_storage *ret)
{
	struct sockaddr_in *four = (void *)ret;
	struct sockaddr_in6 *six = (void *)ret;

	*ret = (struct sockaddr_storage){ .ss_family = ip->family };
	if (ip->family == AF_INET)
		memcpy(&four->sin_addr, ip->byte, 4);
	else
		memcpy(&six->sin6_addr, ip->byte, 16);
	return ip->family == AF_INET ? sizeof(*four) : sizeof(*six);
}

/* RFC 1071; ICMPv6's is the kernel's. */
static uint16_t sum_of(const struct echo *x)
{
	uint16_t words[4];
	uint32_t sum = 0;

	memcpy(words, x, sizeof(words));
	for (int i = 0; i < 4; i++)
		sum += words[i];
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t) ~(sum + (sum >> 16));
}

static bool is_answer(const char *buf, size_t size, sa_family_t family, const struct echo *asked)
{
	size_t head = family == AF_INET && size ? (size_t)(buf[0] & 15) * 4 : 0;
	struct echo got;

	if (size < head + sizeof(got))
		return false;
	memcpy(&got, buf + head, sizeof(got));
	return got.type == (family == AF_INET ? ICMP_ECHOREPLY : ICMPV6_ECHO_REPLY) &&
	       got.id == asked->id && got.seq == asked->seq;
}

static bool hear(int fd, sa_family_t family, const struct echo *asked, int64_t until)
{
	for (;;) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		int64_t left = until - clock_ms();
		char buf[1500];
		ssize_t n;

		if (left <= 0 || poll(&p, 1, (int)left) <= 0)
			return false;
		n = recv(fd, buf, sizeof(buf), MSG_DONTWAIT);
		if (n > 0 && is_answer(buf, (size_t)n, family, asked))
			return true;
	}
}

bool ping_source(const struct ip *to, struct ip *ret)
{
	int fd CLEANUP_FD = socket(to->family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_storage addr;
	socklen_t len = address_of(to, &addr);

	((struct sockaddr_in *)&addr)->sin_port = htons(9);
	if (fd < 0 || connect(fd, (void *)&addr, len) < 0)
		return false;
	len = sizeof(addr);
	if (getsockname(fd, (void *)&addr, &len) < 0)
		return false;
	*ret = to->family == AF_INET
		       ? ip_from_bytes(AF_INET, &((struct sockaddr_in *)&addr)->sin_addr)
		       : ip_from_bytes(AF_INET6, &((struct sockaddr_in6 *)&addr)->sin6_addr);
	return true;
}

bool ping(const struct ip *from, const struct ip *to, int timeout_ms)
{
	bool four = to->family == AF_INET;
	int fd CLEANUP_FD =
		socket(to->family, SOCK_RAW | SOCK_CLOEXEC, four ? IPPROTO_ICMP : IPPROTO_ICMPV6);
	struct echo x = { .type = four ? ICMP_ECHO : ICMPV6_ECHO_REQUEST,
			  .id = (uint16_t)getpid(),
			  .seq = (uint16_t)clock_ms() };
	struct sockaddr_storage addr;
	socklen_t len;

	if (fd < 0)
		return false;
	len = address_of(from, &addr);
	if (!ip_is_none(from) && bind(fd, (void *)&addr, len) < 0)
		return false;
	len = address_of(to, &addr);
	if (connect(fd, (void *)&addr, len) < 0)
		return false;
	if (four)
		x.sum = sum_of(&x);
	if (send(fd, &x, sizeof(x), MSG_NOSIGNAL) != sizeof(x))
		return false;
	return hear(fd, to->family, &x, clock_ms() + timeout_ms);
}
