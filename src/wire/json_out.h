/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_JSON_OUT_H
#define WIRE_JSON_OUT_H

#include "base/text.h"

/*
 * @s as a JSON string in ASCII.  A byte that is no UTF-8, as names of the kernel
 * may have, becomes a lone low surrogate, from which json_in.c makes it again.
 */
void json_out_string(struct text *t, const char *s);

/* Bytes of the UTF-8 character at @s, of which @left bytes are there; 0 if it is none. */
size_t json_utf8_size(const char *s, size_t left);

#endif
