/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The input as what `sallyport snapshot` wrote. */
#include "judge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	char *copy = malloc(size ? size : 1);
	struct json_in j;
	struct host h;
	struct err e;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	json_in_start(&j, &a, "f", copy, size, &e);
	if (host_json_read(&j, &h))
		judge(&a, &h);
	free(copy);
	return 0;
}
