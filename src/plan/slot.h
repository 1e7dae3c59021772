/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef PLAN_SLOT_H
#define PLAN_SLOT_H

#include "model/snapshot.h"

#include <stdbool.h>

/*
 * A slot is the address range of one gate's links: a /26 of IPv4 and a ULA /64.
 * Its number chooses both.
 */
#define SLOT_COUNT 4100u
#define SLOT_TABLE 5900u /* on the host, of all slots; up to + SLOT_COUNT nobody else's */

/*
 * The host's ends of a gate's links have indices that tell the slot, so that nobody has
 * to ask whose they are.  The kernel itself counts from 1 and does not come that far.
 * The low bits, by which it sorts links, differ from gate to gate.
 */
#define SLOT_INDEX      0x53000000u
#define SLOT_INDEX_MASK 0xfff00000u
#define SLOT_INDEX_SLOT 0x00001fffu
#define SLOT_INDEX_LINK 13 /* bits from there on: 0 for the gate's own link, short ones from 1 */

struct slot {
	uint32_t number;
	struct prefix net4;
	struct prefix net6;
};

/* @number < SLOT_COUNT. */
struct slot slot_of(uint32_t number);

/* The range in which the slot lies with many others: one rule on the host speaks of all of them. */
struct prefix slot_pool(const struct slot *s, sa_family_t family);
/* Is this one of those ranges, exactly? */
bool slot_is_pool(const struct prefix *p);

/* The index of the gate's own link (@link 0), or of a short one (from 1, at most 127). */
int slot_index(const struct slot *s, size_t link);
/* Has a link with this index a slot?  *@ret_main: is it a gate's own? */
bool slot_of_index(int index, uint32_t *ret_number, bool *ret_main);

struct ip slot_host(const struct slot *s, sa_family_t family);
/*
 * The host's end of a link, fe80::SLOT:1.  The kernel keeps equal addresses, and the routes
 * to them, in one list: on a host with two hundred gates each would be walked past.
 */
struct ip slot_link_local(const struct slot *s);
struct ip slot_gate(const struct slot *s, sa_family_t family);
struct ip slot_room(const struct slot *s, sa_family_t family, size_t room);
/* The room's other address: what comes by its short link is sent there. */
struct ip slot_short(const struct slot *s, sa_family_t family, size_t room);

/*
 * Does anything on these links, addresses or routes use a part of the slot?
 * Routes to everything do not count, nor do the gate's link @own ("sp-NAME") and its rooms' short ones.
 */
bool slot_taken(const struct slot *s, const struct snapshot *net, const char *own);

/*
 * A slot for @name that neither the host nor (may be NULL) the gate's VPN doors
 * use; the same name gets the same slot when it can.  False if all are taken.
 * @own: the gate's link on the host.
 */
bool slot_choose(const char *name, const char *own, const struct snapshot *host,
		 const struct snapshot *gate, struct slot *ret);

/*
 * Did a VPN in the gate give itself an address of the slot?  Its routes over
 * the slot are harmless (rule `to SLOT`), its addresses are not: the local table
 * comes before every rule.
 */
bool slot_clashes(const struct slot *s, const struct snapshot *gate);

/* The slot whose host address stands on link @own, if any. */
bool slot_find(const struct snapshot *host, const char *own, struct slot *ret);

#endif
