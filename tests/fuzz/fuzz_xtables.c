/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xtables_way() over a table of the old iptables(8): a byte that is 4 or 6,
 * three of no meaning, the offsets of chain FORWARD and of its policy, and then
 * the entries.
 */
#include "wire/xtables.h"

#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct xtables_packet packets[] = {
		{ .in = "sp-web" },
		{ .out = "sp-web" },
		{ .out = "eth0", .answers = true, .state = 2 },
	};
	struct xtables_table t = { 0 };
	enum xtables_way way;
	uint8_t *copy;

	if (size < 12 || size > 65536)
		return 0;
	t.family = data[0] == 6 ? AF_INET6 : AF_INET;
	memcpy(&t.first[NF_INET_FORWARD], data + 4, 4);
	memcpy(&t.policy[NF_INET_FORWARD], data + 8, 4);
	t.size = size - 12;
	copy = malloc(t.size ? t.size : 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 12, t.size);
	t.entries = copy;
	for (size_t i = 0; i < sizeof(packets) / sizeof(*packets); i++)
		if (xtables_way(&t, NF_INET_FORWARD, &packets[i], &way) == 0 && way > XTABLES_RULE)
			abort();
	free(copy);
	return 0;
}
