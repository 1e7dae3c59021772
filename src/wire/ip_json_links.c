/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ip_json_reader.h"

#include "wire/ip_words.h"

#include <errno.h>
#include <linux/if.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>

struct ip_address {
	const char *family, *local, *address, *scope, *unknown_flags;
	uint32_t len, metric;
	uint32_t flags; /* IFA_F_* that have a key of their own */
	bool dynamic;
};

struct ip_link {
	int index;
	int link_index;
	const char *name, *alias, *link, *master, *group, *type, *mac;
	const char **flags;
	size_t n_flags;
	uint32_t mtu;
	struct {
		const char *kind;
	} info;
	bool detailed, has_addresses;
	struct ip_address *addresses;
	size_t n_addresses;
};

static void note_flag(void *item, const char *key)
{
	struct ip_address *a = item;
	uint32_t flag;

	if (ip_word(&ip_address_flags, key, &flag))
		a->flags |= flag;
}

static const struct field address_fields[] = {
	{ "family", FIELD_STRING, FIELD_AT(ip_address, family) },
	{ "local", FIELD_STRING, FIELD_AT(ip_address, local) },
	{ "address", FIELD_STRING, FIELD_AT(ip_address, address) },
	{ "prefixlen", FIELD_NUMBER, FIELD_AT(ip_address, len) },
	{ "metric", FIELD_NUMBER, FIELD_AT(ip_address, metric) },
	{ "scope", FIELD_WORD, FIELD_AT(ip_address, scope) },
	{ "dynamic", FIELD_BOOL, FIELD_AT(ip_address, dynamic) },
	{ "ifa_flags", FIELD_WORD, FIELD_AT(ip_address, unknown_flags) },
};
static const struct record address_record = { sizeof(struct ip_address), address_fields,
					      ARRAY_LEN(address_fields), .other = note_flag };

static const struct field info_fields[] = { { "info_kind", FIELD_STRING,
					      .size = sizeof(const char *) } };
static const struct record info_record = { sizeof(const char *), info_fields,
					   ARRAY_LEN(info_fields), .other = ip_pass_over };

static const struct field link_fields[] = {
	{ "ifindex", FIELD_INT, FIELD_AT(ip_link, index) },
	{ "ifname", FIELD_STRING, FIELD_AT(ip_link, name) },
	{ "flags", FIELD_LIST, FIELD_LISTED(ip_link, flags, n_flags), FIELD_OF(ip_string_record) },
	{ "mtu", FIELD_NUMBER, FIELD_AT(ip_link, mtu) },
	{ "group", FIELD_WORD, FIELD_AT(ip_link, group) },
	{ "link", FIELD_STRING, FIELD_AT(ip_link, link) },
	{ "link_index", FIELD_INT, FIELD_AT(ip_link, link_index) },
	{ "master", FIELD_STRING, FIELD_AT(ip_link, master) },
	{ "link_type", FIELD_STRING, FIELD_AT(ip_link, type) },
	{ "address", FIELD_STRING, FIELD_AT(ip_link, mac) },
	{ "ifalias", FIELD_STRING, FIELD_AT(ip_link, alias) },
	{ "linkinfo", FIELD_OBJECT, FIELD_AT(ip_link, info), FIELD_OF(info_record) },
	{ "promiscuity", FIELD_NULL, FIELD_AT(ip_link, detailed) },
	{ "addr_info", FIELD_LIST, FIELD_LISTED(ip_link, addresses, n_addresses),
	  FIELD_HAS(ip_link, has_addresses), FIELD_OF(address_record) },
};
static const struct record link_record = { sizeof(struct ip_link), link_fields,
					   ARRAY_LEN(link_fields), .other = ip_pass_over };

static bool read_flags(struct json_in *j, const struct ip_link *from, struct link *l)
{
	bool carrier = true;
	uint32_t flag;

	for (size_t i = 0; i < from->n_flags; i++) {
		if (str_eq(from->flags[i], "NO-CARRIER"))
			carrier = false;
		else if (str_eq(from->flags[i], "M-DOWN"))
			continue;
		else if (!ip_read_number(j, &ip_link_flags, "flag", from->flags[i], &flag))
			return false;
		else
			l->flags |= flag;
	}
	/* ip(8) says NO-CARRIER instead of showing IFF_RUNNING. */
	if (l->flags & IFF_UP && carrier)
		l->flags |= IFF_RUNNING;
	return true;
}

static bool take_address(struct ip_reader *r, const struct ip_address *from, int link)
{
	struct json_in *j = r->j;
	struct address a = { .link = link, .metric = from->metric, .flags = from->flags };
	uint32_t scope = RT_SCOPE_UNIVERSE, more;

	if (!str_eq(from->family, "inet") && !str_eq(from->family, "inet6"))
		return true;
	if (!ip_parse(from->local, &a.local))
		return json_in_fail(j, "\"%s\" is no address", json_in_quote(j, from->local));
	if (*from->address && !ip_parse(from->address, &a.peer))
		return json_in_fail(j, "\"%s\" is no address", json_in_quote(j, from->address));
	if (a.peer.family && a.peer.family != a.local.family)
		return json_in_fail(j, "the peer's address is of the other family");
	if (from->len > ip_bits(a.local.family))
		return json_in_fail(j, "a prefix longer than the address");
	if (*from->scope && !ip_read_number(j, &ip_scopes, "scope", from->scope, &scope))
		return false;
	if (*from->unknown_flags && ip_number(from->unknown_flags, &more))
		a.flags |= more;
	if (!from->dynamic)
		a.flags |= IFA_F_PERMANENT;
	a.len = (uint8_t)from->len;
	a.scope = (uint8_t)scope;
	*arena_push(r->a, r->h->net.addresses, r->h->net.n_addresses, r->h->net.cap_addresses) = a;
	return true;
}

static bool take_link(struct ip_reader *r, const void *item)
{
	const struct ip_link *from = item;
	struct json_in *j = r->j;
	struct link l = { .index = from->index, .mtu = from->mtu, .peer = from->link_index };

	if (l.index < 1 || !*from->name)
		return json_in_fail(j, "a link without index or name");
	if (!from->has_addresses)
		return json_in_fail(j,
				    "link \"%s\" has no \"addr_info\": take `ip -d -j addr`, "
				    "`ip link` shows no addresses",
				    json_in_quote(j, from->name));
	if (!ip_copy_name(j, "link", from->name, l.name, sizeof(l.name)) ||
	    !ip_copy_name(j, "alias", from->alias, l.alias, sizeof(l.alias)) ||
	    !ip_copy_name(j, "kind", from->info.kind ? from->info.kind : "", l.kind,
			  sizeof(l.kind)) ||
	    !read_flags(j, from, &l) ||
	    (*from->group && !ip_read_number(j, &ip_groups, "group", from->group, &l.group)))
		return false;
	/* `ip -N` has numbers for types, too: ARPHRD_ETHER. */
	l.has_mac = (str_eq(from->type, "ether") || str_eq(from->type, "[1]")) &&
		    str_to_mac(from->mac, l.mac);
	if (!from->detailed)
		r->h->parts &= ~(uint32_t)HOST_LINK_KINDS;
	*arena_push(r->a, r->h->net.links, r->h->net.n_links, r->h->net.cap_links) = l;
	*arena_push(r->a, r->names, r->n_names, r->cap_names) =
		(struct ip_names){ arena_strdup(r->a, from->link),
				   arena_strdup(r->a, from->master) };
	for (size_t i = 0; i < from->n_addresses; i++)
		if (!take_address(r, &from->addresses[i], l.index))
			return false;
	return true;
}

const struct ip_kind ip_links = { &link_record, take_link };

static int by_name(const void *pa, const void *pb)
{
	const struct link *a = *(struct link *const *)pa, *b = *(struct link *const *)pb;

	return strcmp(a->name, b->name);
}

static int name_order(const void *key, const void *item)
{
	return strcmp(key, (*(struct link *const *)item)->name);
}

const struct link *ip_link_called(const struct ip_reader *r, const char *name)
{
	const struct link **found = NULL;

	if (r->h->net.n_links)
		found = bsearch(name, r->by_name, r->h->net.n_links, sizeof(*found), name_order);
	return found ? *found : NULL;
}

/* ip(8) lists addresses by link, the kernel by family first; the order decides about sources. */
static void order_addresses(struct ip_reader *r)
{
	struct snapshot *net = &r->h->net;
	struct address *ordered = arena_alloc(r->a, (net->n_addresses + 1) * sizeof(*ordered));
	size_t n = 0;

	for (int v6 = 0; v6 < 2; v6++)
		for (size_t i = 0; i < net->n_addresses; i++)
			if ((net->addresses[i].local.family == AF_INET6) == v6)
				ordered[n++] = net->addresses[i];
	net->addresses = ordered;
	net->cap_addresses = n;
}

int ip_settle_links(struct ip_reader *r, const char *file, struct err *e)
{
	struct snapshot *net = &r->h->net;
	const char *twins = snapshot_twin_links(r->a, net);

	if (twins)
		return err_set(e, EINVAL, "%s: %s", file, twins);
	r->by_name = arena_alloc(r->a, (net->n_links + 1) * sizeof(*r->by_name));
	for (size_t i = 0; i < net->n_links; i++)
		r->by_name[i] = &net->links[i];
	if (net->n_links)
		qsort(r->by_name, net->n_links, sizeof(*r->by_name), by_name);
	for (size_t i = 0; i < net->n_links; i++) {
		const struct link *peer = ip_link_called(r, r->names[i].peer);
		const struct link *master = ip_link_called(r, r->names[i].master);

		net->links[i].peer = peer ? peer->index : net->links[i].peer;
		net->links[i].master = master ? master->index : 0;
	}
	order_addresses(r);
	return 0;
}
