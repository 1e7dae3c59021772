/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/snapshot.h"

#include <string.h>

const struct link *snapshot_link_by_index(const struct snapshot *s, int index)
{
	for (size_t i = 0; i < s->n_links; i++)
		if (s->links[i].index == index)
			return &s->links[i];
	return NULL;
}

const struct link *snapshot_link_by_name(const struct snapshot *s, const char *name)
{
	for (size_t i = 0; i < s->n_links; i++)
		if (strcmp(s->links[i].name, name) == 0)
			return &s->links[i];
	return NULL;
}

bool snapshot_has_address(const struct snapshot *s, const struct ip *ip)
{
	for (size_t i = 0; i < s->n_addresses; i++)
		if (ip_equal(&s->addresses[i].local, ip))
			return true;
	return false;
}
