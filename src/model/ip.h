/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef MODEL_IP_H
#define MODEL_IP_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

/* An address of either family; family 0 means none.  IPv4 uses byte[0..3]. */
struct ip {
	sa_family_t family;
	uint8_t byte[16];
};

/* Bits of @ip beyond @len are zero where a prefix is meant (see prefix_of). */
struct prefix {
	struct ip ip;
	uint8_t len;
};

/* Bytes that a link of IPv6 carries at least (RFC 8200, 5); with less the kernel has none on it. */
#define IPV6_LEAST_MTU 1280u

#define IP_TEXT_SIZE     46
#define PREFIX_TEXT_SIZE 50

/* 32 or 128. */
unsigned int ip_bits(sa_family_t family);
bool ip_equal(const struct ip *a, const struct ip *b);
/* Order by family, then by value: <0, 0, >0. */
int ip_compare(const struct ip *a, const struct ip *b);
bool ip_is_none(const struct ip *ip);
/* 0.0.0.0 or :: */
bool ip_is_any(const struct ip *ip);
bool ip_is_loopback(const struct ip *ip);
bool ip_is_link_local(const struct ip *ip);
/* @ip + @n, carrying; wraps silently at the end of the family. */
struct ip ip_plus(const struct ip *ip, uint32_t n);
/* Parses a literal address; false if it is none. */
bool ip_parse(const char *s, struct ip *ret);
const char *ip_text(const struct ip *ip, char buf[IP_TEXT_SIZE]);
struct ip ip_from_bytes(sa_family_t family, const void *bytes);

/* @ip with the bits beyond @len cleared. */
struct prefix prefix_of(const struct ip *ip, unsigned int len);
struct prefix prefix_host(const struct ip *ip);
bool prefix_covers(const struct prefix *p, const struct ip *ip);
bool prefix_contains(const struct prefix *outer, const struct prefix *inner);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);
bool prefix_equal(const struct prefix *a, const struct prefix *b);
int prefix_compare(const struct prefix *a, const struct prefix *b);
/* "a/len", or an address alone as /32 or /128; host bits must be zero unless @lax. */
bool prefix_parse(const char *s, bool lax, struct prefix *ret);
const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT_SIZE]);

#endif
