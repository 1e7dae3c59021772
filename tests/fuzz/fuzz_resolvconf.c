/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input as a container's resolv.conf and as a line of openvpn's log.  What
 * is written of them reads the same again, and what was there before comes back.
 */
#include "base/text.h"
#include "must.h"
#include "wire/resolvconf.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *text = arena_strndup(&a, (const char *)data, size);
	const char *before = resolvconf_before(&a, text), *ours;
	struct resolvconf_names n = { 0 }, again;

	resolvconf_read_docker(text, &n);
	resolvconf_add_push(&n, text);
	ours = resolvconf_write(&a, before, &n);
	resolvconf_read(ours, &again);
	must(again.n_servers == n.n_servers);
	for (size_t i = 0; i < n.n_servers; i++)
		must(ip_equal(&again.servers[i], &n.servers[i]));
	must(str_eq(resolvconf_write(&a, resolvconf_before(&a, ours), &n), ours));
	return 0;
}
