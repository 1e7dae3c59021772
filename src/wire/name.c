/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/config.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

static bool is_name_byte(unsigned char c)
{
	return c < 0x80 && (isalnum(c) || c == '-' || c == '_');
}

/* Names become parts of interface names, paths under /run/netns and nft words. */
int config_check_name(const char *name, size_t max, const char *what, struct err *e)
{
	const char *bad = name;

	while (*bad && is_name_byte((unsigned char)*bad))
		bad++;
	if (!*name)
		return err_set(e, EINVAL, "%s is missing; use letters, digits, \"-\" and \"_\"",
			       what);
	if (*bad && isprint((unsigned char)*bad))
		return err_set(e, EINVAL,
			       "%s \"%.40s\" has a \"%c\"; use letters, digits, \"-\" and \"_\"",
			       what, name, *bad);
	if (*bad)
		return err_set(e, EINVAL,
			       "%s \"%.40s\" has more than letters, digits, \"-\" "
			       "and \"_\"; use only these",
			       what, name);
	if (*name == '-' || *name == '_')
		return err_set(e, EINVAL,
			       "%s \"%.40s\" begins with \"%c\"; begin with a letter or a digit",
			       what, name, *name);
	if (strlen(name) > max)
		return err_set(e, EINVAL, "%s \"%.40s\" has %zu characters; use at most %zu", what,
			       name, strlen(name), max);
	return 0;
}

bool config_is_host(const char *name)
{
	if (!*name || *name == '-')
		return false;
	for (; *name; name++)
		if (!is_name_byte((unsigned char)*name) && *name != '.')
			return false;
	return true;
}
