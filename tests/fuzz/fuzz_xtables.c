/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * xtables_forward() over a table of the old iptables(8): a byte that is 4 or 6,
 * three of no meaning, the offsets of chain FORWARD and of its policy, and then
 * the entries.
 */
#include "wire/xtables.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct xtables_table t;
	enum xtables_way way;
	uint8_t *copy;

	if (size < 12 || size > 65536)
		return 0;
	t.family = data[0] == 6 ? AF_INET6 : AF_INET;
	memcpy(&t.forward, data + 4, sizeof(t.forward));
	memcpy(&t.policy, data + 8, sizeof(t.policy));
	t.size = size - 12;
	copy = malloc(t.size ? t.size : 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 12, t.size);
	t.entries = copy;
	if (xtables_forward(&t, "sp-web", NULL, &way) == 0 && way > XTABLES_RULE)
		abort();
	(void)xtables_forward(&t, NULL, "sp-web", &way);
	free(copy);
	return 0;
}
