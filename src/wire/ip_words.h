/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_IP_WORDS_H
#define WIRE_IP_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * The names that ip(8) prints for numbers, as they are in the kernel and in the
 * files that iproute2 brings along (/etc/iproute2); what an administrator has
 * added to those is known on that machine only.
 */
struct ip_words {
	const struct ip_name {
		uint32_t number;
		const char *name;
	} * names;
	size_t n;
	const char *prefix; /* may stand before a number: "ipproto-"; NULL: nothing may */
};

extern const struct ip_words ip_types, ip_scopes, ip_tables, ip_protocols, ip_tos, ip_dscps,
	ip_prefs, ip_groups, ip_protos, ip_link_flags, ip_address_flags, ip_hop_flags,
	ip_route_flags;

#define IP_PROTOCOL_OURS 222 /* dist/rt_protos.d/sallyport.conf */

/* A name, or a number (decimal, or hexadecimal behind 0x). */
bool ip_word(const struct ip_words *words, const char *word, uint32_t *ret);
bool ip_number(const char *word, uint32_t *ret);

#endif
