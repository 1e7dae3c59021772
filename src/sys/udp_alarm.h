/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_UDP_ALARM_H
#define SYS_UDP_ALARM_H

#include "base/err.h"

#include <stdint.h>
#include <sys/socket.h>

/*
 * A socket that becomes readable when a datagram of @family comes to this host
 * from outside (not by loopback), to a port below @first or above @last.  raw(7)
 * gives it a copy of what is delivered here: nothing but UDP pays for it, and of
 * the copy one byte is kept.  -EAFNOSUPPORT where the kernel has no IPv6.
 */
int udp_alarm_open(sa_family_t family, uint16_t first, uint16_t last, int *ret_fd,
		   struct err *e) MUST_USE;
#endif
