/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/near.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define WORD_MAX 32

static bool same(char a, char b)
{
	return tolower((unsigned char)a) == tolower((unsigned char)b);
}

static unsigned int least(unsigned int a, unsigned int b)
{
	return a < b ? a : b;
}

/*
 * How many letters must be changed, added, dropped or swapped with their
 * neighbour (optimal string alignment); case does not count.
 */
static unsigned int distance(const char *a, const char *b)
{
	unsigned int d[WORD_MAX + 1][WORD_MAX + 1];
	size_t m = strlen(a), n = strlen(b);

	if (m > WORD_MAX || n > WORD_MAX)
		return WORD_MAX;
	for (size_t i = 0; i <= m; i++)
		d[i][0] = (unsigned int)i;
	for (size_t j = 0; j <= n; j++)
		d[0][j] = (unsigned int)j;
	for (size_t i = 1; i <= m; i++) {
		for (size_t j = 1; j <= n; j++) {
			unsigned int change = same(a[i - 1], b[j - 1]) ? 0 : 1;

			d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
					d[i - 1][j - 1] + change);
			if (i > 1 && j > 1 && same(a[i - 1], b[j - 2]) && same(a[i - 2], b[j - 1]))
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[m][n];
}

const char *near_name(const char *word, const char *const *names, size_t n)
{
	unsigned int best = WORD_MAX;
	const char *ret = NULL;

	for (size_t i = 0; i < n; i++) {
		unsigned int d = distance(word, names[i]);

		if (d < best && d <= strlen(names[i]) / 3) {
			best = d;
			ret = names[i];
		}
	}
	return ret;
}

void near_teach(char *buf, size_t size, const char *who, const char *word, const char *const *names,
		size_t n)
{
	const char *close = near_name(word, names, n);
	size_t used = 0;

	buf[0] = 0;
	if (close)
		snprintf(buf, size, "did you mean \"%s\"? ", close);
	used = strlen(buf);
	snprintf(buf + used, size - used, "%s knows ", who);
	for (size_t i = 0; i < n; i++) {
		used = strlen(buf);
		snprintf(buf + used, size - used, "%s%s", i ? ", " : "", names[i]);
	}
}
