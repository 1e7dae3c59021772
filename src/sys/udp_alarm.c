/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/udp_alarm.h"

#include "base/text.h"
#include "sys/fd.h"

#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <unistd.h>

#define LOOPBACK 1 /* its index, in every namespace */

/* A few bytes are enough: once it is readable, more of it tells nothing. */
#define RECEIVE_BUFFER 4096

#define READS_MAX 64

/* The filter of IPv4 sees the packet from its IP header on, that of IPv6 from UDP's. */
static int attach(int fd, sa_family_t family, uint16_t first, uint16_t last)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_IFINDEX)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, LOOPBACK, 5, 0),
		family == AF_INET ? (struct sock_filter)BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0)
				  : (struct sock_filter)BPF_STMT(BPF_LDX | BPF_W | BPF_IMM, 0),
		BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
		BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, first, 0, 1),
		BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, last, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = { .len = ARRAY_LEN(code), .filter = code };

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program));
}

static void drain(int fd)
{
	char byte;

	for (int i = 0; i < READS_MAX && recv(fd, &byte, 1, MSG_DONTWAIT | MSG_TRUNC) >= 0; i++)
		;
}

int udp_alarm_open(sa_family_t family, uint16_t first, uint16_t last, int *ret_fd, struct err *e)
{
	int fd CLEANUP_FD = socket(family, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_UDP);
	const int size = RECEIVE_BUFFER;

	if (fd < 0 || attach(fd, family, first, last) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) < 0)
		return err_errno(e, errno, "a raw socket for UDP");
	/* What came before the filter did. */
	drain(fd);
	*ret_fd = fd_take(&fd);
	return 0;
}
