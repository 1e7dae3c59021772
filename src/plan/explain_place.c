/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What explain has to know of a namespace, out of what was observed. */
#include "plan/explain.h"

#include "base/text.h"
#include "fib/conf.h"

#include <string.h>

static const struct link_conf *confs_of(struct arena *a, const struct host *h, sa_family_t family)
{
	struct link_conf *confs = arena_alloc(a, (h->net.n_links + 1) * sizeof(*confs));

	for (size_t i = 0; i < h->net.n_links; i++)
		if (!fib_link_conf(h, h->net.links[i].name, family, &confs[i]))
			return NULL;
	return confs;
}

/* Loopback of gates and rooms says whose they are. */
static const char *gate_of(struct arena *a, const struct host *h)
{
	static const char ours[] = "sallyport ";
	const struct link *lo = snapshot_link_by_index(&h->net, LINK_LOOPBACK);
	const char *name;

	if (!lo || !str_starts(lo->alias, ours))
		return NULL;
	name = lo->alias + strlen(ours);
	return arena_strndup(a, name, strcspn(name, " "));
}

static const char *name_of(struct arena *a, const struct host *h, const char *gate)
{
	if (gate && snapshot_link_by_name(&h->net, "lan"))
		return arena_printf(a, "gate %s", gate);
	if (gate)
		return arena_printf(a, "room %s", h->place);
	return *h->place ? arena_printf(a, "namespace %s", h->place) : "this host";
}

void explain_place_of(struct arena *a, const struct host *h, sa_family_t family,
		      struct explain_place *ret)
{
	const char *gate = gate_of(a, h);

	*ret = (struct explain_place){
		.name = name_of(a, h, gate),
		.enter = "",
		.gate = gate,
		.net = &h->net,
		.confs = confs_of(a, h, family),
		.sockets = h->sockets,
		.n_sockets = h->n_sockets,
		.sockets_known = h->parts & HOST_SOCKETS,
		.ports = h->ports,
		.n_ports = h->n_ports,
		.flows = h->flows,
		.n_flows = h->n_flows,
		.nft_known = h->parts & HOST_NFT,
		.nft = *h->nft ? h->nft : NULL,
		.dnat = *h->dnat ? h->dnat : NULL,
	};
}
