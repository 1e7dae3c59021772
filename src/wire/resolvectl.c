/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/resolvectl.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BLANKS " \t\r\n"

/* Where the setting of a link begins, behind "Link 2 (eth0):"; NULL: there is none. */
static const char *find_link(const char *text, int index)
{
	char head[32];

	snprintf(head, sizeof(head), "Link %d (", index);
	for (; *text; text += strcspn(text, "\n"), text += *text == '\n') {
		/* A name may have a colon, but no blank and no bracket. */
		const char *end = str_starts(text, head) ? strstr(text, "):") : NULL;

		if (end && !memchr(text, '\n', (size_t)(end - text)))
			return end + 2;
	}
	return NULL;
}

const char *resolvectl_words(struct arena *a, const char *text, int index)
{
	const char *s = find_link(text, index), *end;
	struct text t CLEANUP_TEXT = { 0 };

	if (!s)
		return NULL;
	for (end = s + strcspn(s, "\n"); end[0] == '\n' && (end[1] == ' ' || end[1] == '\t');)
		end += 1 + strcspn(end + 1, "\n");
	for (s += strspn(s, BLANKS); s < end; s += strspn(s, BLANKS)) {
		size_t len = strcspn(s, BLANKS);

		text_add(&t, *text_str(&t) ? " " : "");
		text_add_len(&t, s, len);
		s += len;
	}
	return arena_strdup(a, text_str(&t));
}
