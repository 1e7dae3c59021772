/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input as what ip(8) prints with -j. */
#include "judge.h"

#include "wire/ip_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	char *copy = malloc(size ? size : 1);
	struct ip_text text = { "f", copy, size };
	struct host h;
	struct err e;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	if (ip_json_read(&a, &text, 1, &h, &e) == 0)
		judge(&a, &h);
	free(copy);
	return 0;
}
