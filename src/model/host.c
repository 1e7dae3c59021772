/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/host.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int by_path(const void *key, const void *item)
{
	return strcmp(key, ((const struct sysctl_seen *)item)->path);
}

static const char *value_of(const struct host *h, const char *path)
{
	const struct sysctl_seen *found = NULL;

	if (h->n_sysctls)
		found = bsearch(path, h->sysctls, h->n_sysctls, sizeof(*found), by_path);
	return found ? found->value : NULL;
}

int host_sysctl_int(const struct host *h, const char *path, int absent)
{
	const char *value = value_of(h, path);
	uint32_t n;

	if (!value)
		return absent;
	if (*value == '-')
		return str_to_u32(value + 1, INT32_MAX, &n) ? -(int)n : absent;
	return str_to_u32(value, INT32_MAX, &n) ? (int)n : absent;
}

const char *host_part_name(enum host_part part)
{
	switch (part) {
	case HOST_LINKS:
		return "links and addresses";
	case HOST_LINK_KINDS:
		return "kinds of links";
	case HOST_ROUTES4:
		return "IPv4 routes";
	case HOST_ROUTES6:
		return "IPv6 routes";
	case HOST_RULES4:
		return "IPv4 rules";
	case HOST_RULES6:
		return "IPv6 rules";
	case HOST_NEXTHOPS:
		return "next-hop objects";
	case HOST_SYSCTLS:
		return "sysctls";
	case HOST_SOCKETS:
		return "sockets";
	case HOST_CONTAINERS:
		return "published ports";
	case HOST_DNS:
		return "name servers";
	case HOST_FLOWS:
		return "forwarded connections";
	case HOST_NFT:
		return "sallyport's own nft table";
	case HOST_ALL:
		break;
	}
	return "";
}

static void bar(struct rule *r, const struct host *h, sa_family_t family, enum host_part rules,
		enum host_part routes)
{
	*r = (struct rule){ .family = family, .suppress_len = -1, .suppress_group = -1 };
	snprintf(r->unknown, sizeof(r->unknown), "%s",
		 host_part_name(h->parts & rules ? routes : rules));
}

void host_bar_unknown(struct arena *a, struct host *h)
{
	struct rule *rules = arena_alloc(a, (h->net.n_rules + 2) * sizeof(*rules));
	const uint32_t whole4 = HOST_ROUTES4 | HOST_RULES4, whole6 = HOST_ROUTES6 | HOST_RULES6;
	size_t n = 0;

	if ((h->parts & whole4) != whole4)
		bar(&rules[n++], h, AF_INET, HOST_RULES4, HOST_ROUTES4);
	if ((h->parts & whole6) != whole6)
		bar(&rules[n++], h, AF_INET6, HOST_RULES6, HOST_ROUTES6);
	if (!n)
		return;
	if (h->net.n_rules)
		memcpy(rules + n, h->net.rules, h->net.n_rules * sizeof(*rules));
	h->net.rules = rules;
	h->net.n_rules = h->net.cap_rules = h->net.n_rules + n;
}
