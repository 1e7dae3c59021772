/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/attrs.h"

#include <libmnl/libmnl.h>
#include <string.h>

void attrs_parse(struct attrs *t, const void *bytes, size_t size)
{
	const char *p = bytes;

	*t = (struct attrs){ 0 };
	while (size >= NLA_HDRLEN) {
		const struct nlattr *a = (const void *)p;
		size_t step = NLA_ALIGN(a->nla_len);
		unsigned int type = a->nla_type & NLA_TYPE_MASK;

		if (a->nla_len < NLA_HDRLEN || a->nla_len > size)
			break;
		if (type < ATTRS_MAX)
			t->at[type] = a;
		step = step < size ? step : size;
		p += step;
		size -= step;
	}
	t->bad = size != 0;
}

bool attrs_of_message(struct attrs *t, const struct nlmsghdr *nlh, size_t header)
{
	size_t start = NLMSG_HDRLEN + NLMSG_ALIGN(header);

	if (nlh->nlmsg_len < start)
		return false;
	attrs_parse(t, (const char *)nlh + start, nlh->nlmsg_len - start);
	return !t->bad;
}

const void *attrs_bytes(struct attrs *t, int type, size_t size)
{
	const struct nlattr *a = t->at[type];

	if (!a)
		return NULL;
	if (mnl_attr_get_payload_len(a) < size) {
		t->bad = true;
		return NULL;
	}
	return mnl_attr_get_payload(a);
}

uint8_t attrs_u8(struct attrs *t, int type, uint8_t absent)
{
	const uint8_t *p = attrs_bytes(t, type, sizeof(*p));

	return p ? *p : absent;
}

uint32_t attrs_u32(struct attrs *t, int type, uint32_t absent)
{
	const void *p = attrs_bytes(t, type, sizeof(absent));

	if (p)
		memcpy(&absent, p, sizeof(absent));
	return absent;
}

uint16_t attrs_u16(struct attrs *t, int type)
{
	const void *p = attrs_bytes(t, type, sizeof(uint16_t));
	uint16_t n = 0;

	if (p)
		memcpy(&n, p, sizeof(n));
	return n;
}

uint64_t attrs_be64(struct attrs *t, int type)
{
	const uint8_t *p = attrs_bytes(t, type, 8);
	uint64_t n = 0;

	for (int i = 0; p && i < 8; i++)
		n = n << 8 | p[i];
	return n;
}

struct ip attrs_ip(struct attrs *t, int type, sa_family_t family)
{
	const void *p = attrs_bytes(t, type, ip_bits(family) / 8);

	return p ? ip_from_bytes(family, p) : (struct ip){ 0 };
}

void attrs_text(struct attrs *t, int type, char *ret, size_t size)
{
	const struct nlattr *a = t->at[type];
	size_t len;

	ret[0] = 0;
	if (!a)
		return;
	len = strnlen(mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	if (len >= size)
		len = size - 1;
	memcpy(ret, mnl_attr_get_payload(a), len);
	ret[len] = 0;
}

void attrs_nest(struct attrs *t, int type, struct attrs *ret)
{
	const struct nlattr *a = t->at[type];

	*ret = (struct attrs){ 0 };
	if (!a)
		return;
	attrs_parse(ret, mnl_attr_get_payload(a), mnl_attr_get_payload_len(a));
	t->bad |= ret->bad;
}
