/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_PING_H
#define SYS_PING_H

#include "base/err.h"
#include "model/ip.h"

#include <stdbool.h>

/*
 * Does @to answer an ICMP echo request within @timeout_ms?  @from (may be none)
 * is the source.  Errors are "no".
 */
bool ping(const struct ip *from, const struct ip *to, int timeout_ms);

/* The source that the kernel would choose now for @to; false if there is no way. */
bool ping_source(const struct ip *to, struct ip *ret);

#endif
