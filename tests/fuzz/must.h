/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_FUZZ_MUST_H
#define TESTS_FUZZ_MUST_H

#include "base/err.h"
#include "base/text.h"

#include <stdlib.h>

static inline void must(bool is_so)
{
	if (!is_so)
		abort();
}

/* It names the file, and can be shown on any terminal. */
static inline void must_be_told_of(const char *file, const struct err *e)
{
	must(str_starts(e->text, file));
	for (const char *p = e->text; *p; p++)
		must(((unsigned char)*p >= ' ' && *p != 0x7f) || *p == '\t');
}

#endif
