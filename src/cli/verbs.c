/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "base/text.h"
#include "sys/netns.h"
#include "sys/proc.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const struct verb *const verbs[] = {
	&verb_run,         &verb_up,     &verb_down,  &verb_exec,    &verb_status,   &verb_rehearse,
	&verb_attach,      &verb_detach, &verb_init,  &verb_health,  &verb_watch,    &verb_oci_hook,
	&verb_oci_runtime, &verb_driver, &verb_guard, &verb_explain, &verb_snapshot, &verb_complete,
};

const struct verb *const *cli_verbs(size_t *ret_n)
{
	*ret_n = ARRAY_LEN(verbs);
	return verbs;
}

int cli_flag(const struct verb *v, int argc, char **argv)
{
	return getopt_long(argc, argv, v->shorts ? v->shorts : "", v->flags, NULL);
}

static void __attribute__((format(printf, 1, 0))) say(const char *fmt, va_list ap)
{
	struct text said CLEANUP_TEXT = { 0 }, shown CLEANUP_TEXT = { 0 };

	text_addv(&said, fmt, ap);
	text_add_shown(&shown, text_str(&said));
	fprintf(stderr, "sallyport: %s\n", text_str(&shown));
}

int cli_fail(int status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return status;
}

int cli_usage(const struct verb *v, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(fmt, ap);
	va_end(ap);
	return cli_wrong_flag(v);
}

int cli_wrong_flag(const struct verb *v)
{
	fprintf(stderr, "usage: sallyport %s\n", v->usage);
	return EXIT_USAGE;
}

bool cli_is_root(const struct verb *v)
{
	if (geteuid() == 0)
		return true;
	cli_fail(1, "%s makes namespaces and routes, which needs root: try it with sudo", v->name);
	return false;
}

bool cli_may_make(const struct verb *v)
{
	const char *lacks;

	if (!cli_is_root(v))
		return false;
	lacks = !netns_may_return()     ? "CAP_SYS_ADMIN"
		: !proc_has_net_admin() ? "CAP_NET_ADMIN"
					: NULL;
	if (lacks)
		cli_fail(
			1,
			"%s makes namespaces and routes, which this root may not (it lacks %s here): "
			"try it as root of the host; in a container, try --privileged",
			v->name, lacks);
	return !lacks;
}
