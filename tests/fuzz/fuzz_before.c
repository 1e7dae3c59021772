/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input as each of the records of what was before us.  Of what is taken nothing leads
 * out of the network's sysctls, and written again it is the same.
 */
#include "base/text.h"
#include "must.h"
#include "plan/before.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void judge_sysctl(struct arena *a, const char *line)
{
	struct plan_sysctl s, again;

	if (!before_sysctl(a, line, &s))
		return;
	must(str_starts(s.path, "ipv4/") || str_starts(s.path, "ipv6/"));
	must(!strstr(s.path, "/../") && !strstr(s.path, "//") && !strpbrk(s.path, " \n"));
	must(*s.value && !s.value[strspn(s.value, "-0123456789")]);
	line = arena_printf(a, "%s %s", s.path, s.value);
	must(before_sysctl(a, line, &again));
	must(str_eq(again.path, s.path) && str_eq(again.value, s.value));
}

static void judge_link(struct arena *a, const char *line)
{
	char name[LINK_NAME_SIZE], name_again[LINK_NAME_SIZE];
	unsigned int index, index_again;

	if (!before_link(line, &index, name))
		return;
	must(index && *name && strlen(name) < sizeof(name) && !strpbrk(name, "/ \n"));
	must(before_link(arena_printf(a, "%u %s", index, name), &index_again, name_again));
	must(index_again == index && str_eq(name_again, name));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *text = arena_strndup(&a, (const char *)data, size), *line;

	while ((line = before_line(&a, &text))) {
		must(!strchr(line, '\n'));
		judge_sysctl(&a, line);
		judge_link(&a, line);
	}
	must(!strchr(text, '\n'));
	return 0;
}
