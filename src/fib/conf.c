/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fib/conf.h"

#include <stdio.h>

static int one(const struct host *h, const char *family, const char *link, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/conf/%s/%s", family, link, name);
	return host_sysctl_int(h, path, 0);
}

static bool either(const struct host *h, const char *link, const char *name)
{
	return one(h, "ipv4", "all", name) || one(h, "ipv4", link, name);
}

bool fib_link_conf(const struct host *host, const char *link, sa_family_t family,
		   struct link_conf *ret)
{
	int all, own;

	if (!(host->parts & HOST_SYSCTLS))
		return false;
	*ret = (struct link_conf){ 0 };
	if (family == AF_INET6) {
		/* ip6_forward() asks "all", and since 6.17 force_forwarding of the link. */
		ret->forwarding = one(host, "ipv6", "all", "forwarding") > 0 ||
				  one(host, "ipv6", link, "force_forwarding") > 0;
		return true;
	}
	all = one(host, "ipv4", "all", "rp_filter");
	own = one(host, "ipv4", link, "rp_filter");
	ret->rp_filter = (uint8_t)(all > own ? all : own);
	ret->forwarding = one(host, "ipv4", link, "forwarding") > 0;
	ret->src_valid_mark = either(host, link, "src_valid_mark");
	ret->accept_local = either(host, link, "accept_local");
	ret->route_localnet = either(host, link, "route_localnet");
	ret->bc_forwarding = one(host, "ipv4", "all", "bc_forwarding") &&
			     one(host, "ipv4", link, "bc_forwarding");
	ret->no_redirects = !either(host, link, "send_redirects");
	return true;
}
