/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What resolvectl(1) prints. */
#include "wire/resolvectl.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a = { 0 };
	const char *words = resolvectl_words(&a, arena_strndup(&a, (const char *)data, size), 2);

	/* They are given back to it one by one. */
	if (words && (strpbrk(words, "\t\r\n") || strstr(words, "  ")))
		abort();
	arena_free(&a);
	return 0;
}
