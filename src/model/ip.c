/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/ip.h"

#include "base/text.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

static size_t ip_size(sa_family_t family)
{
	return ip_bits(family) / 8;
}

unsigned int ip_bits(sa_family_t family)
{
	return family == AF_INET ? 32 : family == AF_INET6 ? 128 : 0;
}

int ip_compare(const struct ip *a, const struct ip *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->byte, b->byte, ip_size(a->family));
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
	return ip_compare(a, b) == 0;
}

bool ip_is_none(const struct ip *ip)
{
	return ip->family == 0;
}

bool ip_is_any(const struct ip *ip)
{
	static const uint8_t zero[16];

	return memcmp(ip->byte, zero, ip_size(ip->family)) == 0;
}

bool ip_is_loopback(const struct ip *ip)
{
	static const uint8_t one[16] = { [15] = 1 };

	if (ip->family == AF_INET)
		return ip->byte[0] == 127;
	return ip->family == AF_INET6 && memcmp(ip->byte, one, 16) == 0;
}

bool ip_is_link_local(const struct ip *ip)
{
	if (ip->family == AF_INET)
		return ip->byte[0] == 169 && ip->byte[1] == 254;
	return ip->family == AF_INET6 && ip->byte[0] == 0xfe && (ip->byte[1] & 0xc0) == 0x80;
}

struct ip ip_plus(const struct ip *ip, uint32_t n)
{
	struct ip sum = *ip;
	uint64_t carry = n;

	for (size_t i = ip_size(ip->family); i-- > 0 && carry;) {
		carry += sum.byte[i];
		sum.byte[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return sum;
}

bool ip_parse(const char *s, struct ip *ret)
{
	struct ip ip = { .family = strchr(s, ':') ? AF_INET6 : AF_INET };

	if (inet_pton(ip.family, s, ip.byte) != 1)
		return false;
	*ret = ip;
	return true;
}

const char *ip_text(const struct ip *ip, char buf[IP_TEXT_SIZE])
{
	if (ip_is_none(ip) || !inet_ntop(ip->family, ip->byte, buf, IP_TEXT_SIZE))
		snprintf(buf, IP_TEXT_SIZE, "none");
	return buf;
}

struct ip ip_from_bytes(sa_family_t family, const void *bytes)
{
	struct ip ip = { .family = family };

	memcpy(ip.byte, bytes, ip_size(family));
	return ip;
}

struct prefix prefix_of(const struct ip *ip, unsigned int len)
{
	struct prefix p = { .ip = *ip, .len = (uint8_t)len };

	for (unsigned int i = 0; i < ip_size(ip->family); i++) {
		unsigned int keep = len > i * 8 ? len - i * 8 : 0;

		if (keep < 8)
			p.ip.byte[i] &= (uint8_t)(0xff00 >> keep);
	}
	return p;
}

struct prefix prefix_host(const struct ip *ip)
{
	return (struct prefix){ .ip = *ip, .len = (uint8_t)ip_bits(ip->family) };
}

bool prefix_covers(const struct prefix *p, const struct ip *ip)
{
	unsigned int whole = p->len / 8;
	unsigned int rest = p->len % 8;

	if (p->ip.family != ip->family || memcmp(p->ip.byte, ip->byte, whole) != 0)
		return false;
	return !rest || ((p->ip.byte[whole] ^ ip->byte[whole]) >> (8 - rest)) == 0;
}

bool prefix_contains(const struct prefix *outer, const struct prefix *inner)
{
	return outer->len <= inner->len && prefix_covers(outer, &inner->ip);
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
	return prefix_contains(a, b) || prefix_contains(b, a);
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int order = ip_compare(&a->ip, &b->ip);

	return order ? order : (int)a->len - (int)b->len;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return prefix_compare(a, b) == 0;
}

bool prefix_parse(const char *s, bool lax, struct prefix *ret)
{
	const char *slash = strchr(s, '/');
	char head[IP_TEXT_SIZE];
	struct prefix p;
	struct ip ip;
	uint32_t len;

	if (!slash) {
		if (!ip_parse(s, &ip))
			return false;
		*ret = prefix_host(&ip);
		return true;
	}
	if ((size_t)(slash - s) >= sizeof(head))
		return false;
	memcpy(head, s, (size_t)(slash - s));
	head[slash - s] = 0;
	if (!ip_parse(head, &ip) || !str_to_u32(slash + 1, ip_bits(ip.family), &len))
		return false;
	p = prefix_of(&ip, len);
	if (!lax && !ip_equal(&p.ip, &ip))
		return false;
	*ret = p;
	return true;
}

const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT_SIZE])
{
	char ip[IP_TEXT_SIZE];

	snprintf(buf, PREFIX_TEXT_SIZE, "%s/%u", ip_text(&p->ip, ip), p->len);
	return buf;
}
