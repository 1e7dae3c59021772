/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "base/text.h"
#include "sys/netns.h"
#include "sys/proc.h"
#include "wire/near.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct verb *const verbs[] = {
	&verb_run,         &verb_up,     &verb_down,  &verb_exec,    &verb_status,   &verb_rehearse,
	&verb_attach,      &verb_detach, &verb_init,  &verb_health,  &verb_watch,    &verb_oci_hook,
	&verb_oci_runtime, &verb_driver, &verb_guard, &verb_explain, &verb_snapshot,
};

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

static int help(FILE *out)
{
	fputs("sallyport: whoever comes in by a door is answered by that door\n\n", out);
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		fprintf(out, "  sallyport %s\n      %s\n", verbs[i]->usage, verbs[i]->words);
	fputs("\nsallyport(8) and sallyport.conf(5) tell the rest.\n", out);
	return 0;
}

/* A daemon without 0, 1 or 2 would open a socket there and print into it. */
static void open_standard_fds(void)
{
	for (int fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd)
			_exit(1);
}

static int help_verb(const struct verb *v)
{
	printf("usage: sallyport %s\n%s; sallyport(8) tells the rest\n", v->usage, v->words);
	return 0;
}

static bool asks_for_help(const char *word)
{
	return str_eq(word, "--help") || str_eq(word, "-h");
}

/* Half of the data and exit status 0 would be believed. */
static int check_stdout(int status)
{
	bool failed = ferror(stdout);

	if (fflush(stdout) == 0 && !failed)
		return status;
	return cli_fail(status ? status : 1, "standard output could not be written%s%s",
			failed ? "" : ": ", failed ? "" : strerror(errno));
}

static int unknown_verb(const char *word)
{
	const char *names[ARRAY_LEN(verbs)];
	const char *near;

	for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
		names[i] = verbs[i]->name;
	near = near_name(word, names, ARRAY_LEN(names));
	return cli_fail(EXIT_USAGE, "no such command: %s%s%s%s; `sallyport --help` lists them",
			word, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static int run_verb(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < ARRAY_LEN(verbs) && argc == 3; i++)
		if ((str_eq(name, verbs[i]->name) && asks_for_help(argv[2])) ||
		    (str_eq(name, "help") && str_eq(argv[2], verbs[i]->name)))
			return help_verb(verbs[i]);
	if (str_eq(name, "help") && argc == 3 && !asks_for_help(argv[2]))
		return unknown_verb(argv[2]);
	if (str_eq(name, "help") || asks_for_help(name))
		return help(stdout);
	if (str_eq(name, "--version") || str_eq(name, "version"))
		return printf("sallyport %s\n", SALLYPORT_VERSION) < 0;
	for (size_t i = 0; i < ARRAY_LEN(verbs); i++) {
		if (!str_eq(name, verbs[i]->name))
			continue;
		argv[1] = (char[]){ "sallyport" }; /* getopt(3) begins its messages with that */
		return verbs[i]->run(argc - 1, argv + 1);
	}
	if (*name)
		return unknown_verb(name);
	help(stderr);
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	open_standard_fds();
	return check_stdout(run_verb(argc, argv));
}
