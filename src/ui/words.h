/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UI_WORDS_H
#define UI_WORDS_H

#include "base/text.h"
#include "model/snapshot.h"
#include "plan/cure.h"

/* Kernel objects in the words in which ip(8) shows them and takes them. */

#define TABLE_TEXT_SIZE 16

/* "main", "local", "default" or the number. */
const char *words_table(uint32_t table, char buf[TABLE_TEXT_SIZE]);
/* "from all lookup main", without the priority. */
void words_rule(struct text *t, const struct rule *r, const struct snapshot *net);
/* "172.16.0.0/12 via 172.20.0.1 dev tun0 metric 50", without the table. */
void words_route(struct text *t, const struct route *r, const struct snapshot *net);
void words_ip(struct text *t, const struct ip *ip);
/* "tcp", "udp", "icmp" or the number. */
void words_proto(struct text *t, uint8_t proto);
/*
 * The commands that make it, a line each; @enter stands before each "ip", and
 * @router (NULL for none) where the cure has no gateway.
 */
void words_cure(struct text *t, const struct cure *c, const char *enter, const char *router);

#endif
