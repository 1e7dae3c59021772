/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#include "base/arena.h"
#include "base/err.h"
#include "daemon/supervisor.h"

#include <getopt.h>

/*
 * One verb a file.  argv[0] is the verb; the result is the exit status:
 * 0 done, 1 failed, 2 wrong usage; run and exec pass on the command's.
 */
#define EXIT_USAGE 2

struct verb {
	const char *name;
	/*
	 * Behind "sallyport ".  Completion reads it: a word in capitals is a sort of value
	 * that cli/complete_values.c knows, one in small letters the value itself.
	 */
	const char *usage;
	const char *words; /* what it does, for `sallyport help` */
	int (*run)(int argc, char **argv);
	const struct option *flags; /* NULL: it has none */
	const char *shorts; /* as getopt(3) takes them; NULL for none */
};

/* Every verb there is, in the order of `sallyport help`. */
const struct verb *const *cli_verbs(size_t *ret_n);

/*
 * The next flag of @v, as getopt_long(3) returns it.  Nobody else calls that: so there is
 * no flag that completion does not find.
 */
int cli_flag(const struct verb *v, int argc, char **argv);

extern const struct verb verb_run, verb_up, verb_down, verb_exec, verb_status, verb_rehearse;
extern const struct verb verb_snapshot, verb_guard, verb_explain;
extern const struct verb verb_attach, verb_detach, verb_init, verb_health, verb_watch,
	verb_oci_hook, verb_oci_runtime, verb_driver, verb_complete;

/* "sallyport: ..." on stderr; returns @status. */
int cli_fail(int status, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The same with the verb's usage behind it; returns EXIT_USAGE. */
int cli_usage(const struct verb *v, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The usage alone: getopt(3) has said which flag it is. */
int cli_wrong_flag(const struct verb *v);

/* Says what @v needs root for if the caller is not. */
bool cli_is_root(const struct verb *v);
/* And not one that is confined, as in a container or in a user namespace. */
bool cli_may_make(const struct verb *v);

/* cli/attach.c: what --engine says, without the unix:// that it may begin with. */
int cli_engine(const char *word, const char **ret, struct err *e) MUST_USE;

/* @flag, the path that --engine said, or what DOCKER_HOST or CONTAINER_HOST says; NULL: none. */
const char *cli_engine_path(const char *flag);

/* cli/plan.c: --dry-run. Prints the plan as ip and nft commands. */
int cli_print_plan(struct supervisor *s, struct err *e) MUST_USE;

#endif
