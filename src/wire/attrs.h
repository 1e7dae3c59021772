/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_ATTRS_H
#define WIRE_ATTRS_H

#include "model/ip.h"

#include <linux/netlink.h>
#include <stddef.h>

#define ATTRS_MAX 128

/*
 * The attributes of one message or nest by their type.  Readers remember the
 * first attribute of a wrong size in @bad, so that it is asked for once.
 */
struct attrs {
	const struct nlattr *at[ATTRS_MAX];
	bool bad;
};

void attrs_parse(struct attrs *t, const void *bytes, size_t size);
/* Those behind a header of @header bytes; false if the message is cut off. */
bool attrs_of_message(struct attrs *t, const struct nlmsghdr *nlh, size_t header);

/* At least @size bytes, NULL if the attribute is not there. */
const void *attrs_bytes(struct attrs *t, int type, size_t size);
uint8_t attrs_u8(struct attrs *t, int type, uint8_t absent);
uint16_t attrs_u16(struct attrs *t, int type); /* 0 if absent */
uint32_t attrs_u32(struct attrs *t, int type, uint32_t absent);
uint64_t attrs_be64(struct attrs *t, int type); /* 0 if absent */
struct ip attrs_ip(struct attrs *t, int type, sa_family_t family);
/* Cut to what fits; the kernel's names do. */
void attrs_text(struct attrs *t, int type, char *ret, size_t size);
/* The attributes inside; what is wrong with them is wrong with @t. */
void attrs_nest(struct attrs *t, int type, struct attrs *ret);

#endif
