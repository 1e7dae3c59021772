/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "base/text.h"
#include "wire/near.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int help(FILE *out)
{
	size_t n;
	const struct verb *const *verbs = cli_verbs(&n);

	fputs("sallyport: whoever comes in by a door is answered by that door\n\n", out);
	for (size_t i = 0; i < n; i++)
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
	struct arena a CLEANUP_ARENA = { 0 };
	size_t n;
	const struct verb *const *verbs = cli_verbs(&n);
	const char **names = arena_alloc(&a, n * sizeof(*names));
	const char *near;

	for (size_t i = 0; i < n; i++)
		names[i] = verbs[i]->name;
	near = near_name(word, names, n);
	return cli_fail(EXIT_USAGE, "no such command: %s%s%s%s; `sallyport --help` lists them",
			word, near ? " (did you mean " : "", near ? near : "", near ? "?)" : "");
}

static const struct verb *find_verb(const char *name)
{
	size_t n;
	const struct verb *const *verbs = cli_verbs(&n);

	for (size_t i = 0; i < n; i++)
		if (str_eq(name, verbs[i]->name))
			return verbs[i];
	return NULL;
}

static int run_verb(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";
	bool is_help = str_eq(name, "help");
	const struct verb *v = find_verb(is_help && argc == 3 ? argv[2] : name);

	if (v && argc == 3 && (is_help || asks_for_help(argv[2])))
		return help_verb(v);
	if (is_help && argc == 3 && !asks_for_help(argv[2]))
		return unknown_verb(argv[2]);
	if (is_help || asks_for_help(name))
		return help(stdout);
	if (str_eq(name, "--version") || str_eq(name, "version"))
		return printf("sallyport %s\n", SALLYPORT_VERSION) < 0;
	if (v) {
		argv[1] = (char[]){ "sallyport" }; /* getopt(3) begins its messages with that */
		return v->run(argc - 1, argv + 1);
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
