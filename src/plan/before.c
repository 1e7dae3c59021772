/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/before.h"

#include "base/text.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

const char *before_line(struct arena *a, const char **text)
{
	const char *line = *text, *end = strchr(line, '\n');

	if (!end)
		return NULL;
	*text = end + 1;
	return arena_strndup(a, line, (size_t)(end - line));
}

/* As the kernel lets a link be called: dev_valid_name(). */
static bool is_link_name(const char *name, size_t len)
{
	if (!len || len >= LINK_NAME_SIZE || (name[0] == '.' && strspn(name, ".") >= len))
		return false;
	for (size_t i = 0; i < len; i++)
		if (strchr("/: \t\n\v\f\r", name[i]))
			return false;
	return true;
}

static bool is_path(const char *path)
{
	const char *link, *key;

	if (str_eq(path, "ipv4/ip_forward"))
		return true;
	if (!str_starts(path, "ipv4/conf/") && !str_starts(path, "ipv6/conf/"))
		return false;
	link = path + strlen("ipv4/conf/");
	key = strchr(link, '/');
	return key && is_link_name(link, (size_t)(key - link)) && key[1] &&
	       !key[1 + strspn(key + 1, "abcdefghijklmnopqrstuvwxyz0123456789_")];
}

bool before_sysctl(struct arena *a, const char *line, struct plan_sysctl *ret)
{
	const char *blank = strchr(line, ' ');
	struct plan_sysctl s;
	uint32_t number;

	if (!blank)
		return false;
	s.path = arena_strndup(a, line, (size_t)(blank - line));
	s.value = arena_strdup(a, blank + 1);
	if (!is_path(s.path) || !str_to_u32(s.value + (s.value[0] == '-'), INT_MAX, &number))
		return false;
	*ret = s;
	return true;
}

bool before_link(const char *line, unsigned int *ret_index, char ret_name[LINK_NAME_SIZE])
{
	const char *blank = strchr(line, ' ');
	char digits[sizeof("2147483647")];
	uint32_t index;

	if (!blank || (size_t)(blank - line) >= sizeof(digits) ||
	    !is_link_name(blank + 1, strlen(blank + 1)))
		return false;
	snprintf(digits, sizeof(digits), "%.*s", (int)(blank - line), line);
	if (!str_to_u32(digits, INT_MAX, &index) || !index)
		return false;
	*ret_index = index;
	snprintf(ret_name, LINK_NAME_SIZE, "%s", blank + 1);
	return true;
}
