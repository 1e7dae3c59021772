/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/containers.h"

#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct pools {
	struct container_pool *items;
	size_t n, cap;
};

static bool add_pool(struct arena *a, struct pools *pools, const char *engine, const char *base,
		     json_int_t len)
{
	struct container_pool p = { .engine = engine };

	if (!base || !prefix_parse(base, true, &p.base) || len < p.base.len ||
	    len > ip_bits(p.base.ip.family))
		return false;
	p.len = (uint8_t)len;
	*arena_push(a, pools->items, pools->n, pools->cap) = p;
	return true;
}

static void add_defaults(struct arena *a, struct pools *pools, const char *engine,
			 const char *const *bases, const uint8_t *lens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!add_pool(a, pools, engine, bases[i], lens[i]))
			abort();
}

static void docker_defaults(struct arena *a, struct pools *pools)
{
	static const char *const bases[] = { "172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16",
					     "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14",
					     "192.168.0.0/16" };
	static const uint8_t lens[] = { 16, 16, 16, 16, 16, 16, 20 };

	add_defaults(a, pools, "Docker", bases, lens, ARRAY_LEN(bases));
}

int containers_docker_pools(struct arena *a, const char *file, const char *text, size_t size,
			    struct container_pool **ret, size_t *ret_n, struct err *e)
{
	struct pools pools = { 0 };
	json_error_t where;
	json_t *root, *list, *item;
	size_t i;
	int r = 0;

	root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &where) : json_object();
	if (!root)
		return err_set(e, EINVAL, "%s:%d:%d: %s", file, where.line, where.column,
			       where.text);
	list = json_object_get(root, "default-address-pools");
	json_array_foreach(list, i, item)
	{
		const char *base = json_string_value(json_object_get(item, "base"));

		if (r == 0 && !add_pool(a, &pools, "Docker", base,
					json_integer_value(json_object_get(item, "size"))))
			r = err_set(e, EINVAL, "%s: default-address-pools: number %zu is no pool",
				    file, i + 1);
	}
	json_decref(root);
	if (r < 0)
		return r;
	if (!pools.n)
		docker_defaults(a, &pools);
	*ret = pools.items;
	*ret_n = pools.n;
	return 0;
}

void containers_podman_pools(struct arena *a, struct container_pool **ret, size_t *ret_n)
{
	static const char *const bases[] = { "10.89.0.0/16", "10.90.0.0/15", "10.92.0.0/14",
					     "10.96.0.0/11", "10.128.0.0/9" };
	static const uint8_t lens[] = { 24, 24, 24, 24, 24 };
	struct pools pools = { 0 };

	add_defaults(a, &pools, "Podman", bases, lens, ARRAY_LEN(bases));
	*ret = pools.items;
	*ret_n = pools.n;
}

/* --- docker-proxy ------------------------------------------------------------- */

/* The argument behind @flag, "" if there is none. */
static const char *argument(const char *cmdline, size_t size, const char *flag)
{
	size_t at = 0;

	while (at < size) {
		const char *word = cmdline + at;

		at += strlen(word) + 1;
		if (str_eq(word, flag) && at < size)
			return cmdline + at;
	}
	return "";
}

static bool port_of(const char *word, uint16_t *ret)
{
	uint32_t n;

	if (!str_to_u32(word, UINT16_MAX, &n) || !n)
		return false;
	*ret = (uint16_t)n;
	return true;
}

bool containers_proxy(const char *cmdline, size_t size, struct container_port *ret)
{
	struct container_port p = { 0 };
	const char *proto, *slash;

	/* Every word ends in a zero, the last one too. */
	if (!size || cmdline[size - 1])
		return false;
	slash = strrchr(cmdline, '/');
	if (!str_eq(slash ? slash + 1 : cmdline, "docker-proxy"))
		return false;
	proto = argument(cmdline, size, "-proto");
	p.proto = str_eq(proto, "tcp") ? IPPROTO_TCP : str_eq(proto, "udp") ? IPPROTO_UDP : 0;
	if (!p.proto || !ip_parse(argument(cmdline, size, "-host-ip"), &p.host) ||
	    !ip_parse(argument(cmdline, size, "-container-ip"), &p.inside) ||
	    !port_of(argument(cmdline, size, "-host-port"), &p.port) ||
	    !port_of(argument(cmdline, size, "-container-port"), &p.inside_port))
		return false;
	*ret = p;
	return true;
}
