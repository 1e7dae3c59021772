/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netdriver_host.h"

#include "daemon/supervisor.h"
#include "sys/fd.h"

struct asked {
	struct snapshot host;
	const struct netdriver_gate *taken;
};

/* Of 127.0.0.0/8 the host has every one; a gate's own ends of links are nobody's. */
static bool has_address(void *ctx, const struct ip *ip)
{
	const struct asked *x = ctx;

	if (ip_is_loopback(ip))
		return true;
	for (size_t i = 0; i < x->host.n_addresses; i++) {
		const struct address *own = &x->host.addresses[i];
		const struct link *l = snapshot_link_by_index(&x->host, own->link);

		if (ip_equal(&own->local, ip) && l && !plan_link_is_ours(l))
			return true;
	}
	return false;
}

static bool can_bind(const struct ip *ip, uint8_t proto, uint16_t port)
{
	int fd CLEANUP_FD = -1;

	return port_bind(ip, proto, port, &fd) == 0;
}

/* A socket bound to any of the host's addresses keeps others from the wildcard. */
static bool is_free(void *ctx, uint8_t proto, const struct ip *host, uint16_t port)
{
	static const struct ip any4 = { .family = AF_INET }, any6 = { .family = AF_INET6 };
	const struct netdriver_gate *taken = ((const struct asked *)ctx)->taken;

	for (size_t i = 0; i < taken->n_ports; i++)
		if (taken->ports[i].proto == proto && taken->ports[i].door_port == port)
			return false;
	if (!ip_is_none(host))
		return can_bind(host, proto, port);
	return can_bind(&any4, proto, port) && can_bind(&any6, proto, port);
}

int netdriver_host(struct arena *a, const struct netdriver_gate *taken, struct netdriver_host *ret,
		   struct err *e)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct asked *x = arena_new(a, struct asked);
	int r = rtnl_open(-1, &rtnl, e);

	if (r == 0)
		r = rtnl_snapshot_tables(rtnl, a, 0, 0, &x->host, e);
	if (r < 0)
		return r;
	x->taken = taken;
	*ret = (struct netdriver_host){ has_address, is_free, x };
	return 0;
}
