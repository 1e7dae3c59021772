/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attached before its first process runs: podman calls a hook for it, Docker a
 * runtime.  Both give the process that waits to become the container's first.
 */
#include "cli/cli.h"

#include "daemon/attach.h"
#include "sys/proc.h"
#include "wire/config.h"
#include "wire/oci.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STATE_MAX      ((size_t)1 << 20)
#define STATE_LIMIT_MS 10000
#define RUNTIME        "runc"

struct oci_ask {
	struct attach_ask ask;
	struct door_server *servers;
	size_t n_servers, cap_servers;
	struct prefix *reach;
	size_t n_reach, cap_reach;
	bool require;
	const char *runtime;
};

static int add_servers(struct arena *a, struct oci_ask *o, const char *words, struct err *e)
{
	static const char between[] = ", \t";

	for (words += strspn(words, between); *words; words += strspn(words, between)) {
		const char *word = arena_strndup(a, words, strcspn(words, between));
		struct door_server server;
		int r = config_server(a, word, &server, e);

		if (r < 0)
			return r;
		words += strlen(word);
		*arena_push(a, o->servers, o->n_servers, o->cap_servers) = server;
	}
	return 0;
}

static int add_reach(struct arena *a, struct oci_ask *o, const char *words, struct err *e)
{
	static const char between[] = ", \t";

	for (words += strspn(words, between); *words; words += strspn(words, between)) {
		const char *word = arena_strndup(a, words, strcspn(words, between));
		struct prefix p;

		words += strlen(word);
		if (!prefix_parse(word, true, &p))
			return err_set(e, EINVAL,
				       "\"%s\" is no prefix: write it like 192.168.1.0/24", word);
		*arena_push(a, o->reach, o->n_reach, o->cap_reach) = p;
	}
	return 0;
}

static int set_udp(struct oci_ask *o, const char *word, struct err *e)
{
	if (*word && !str_eq(word, "learn") && !str_eq(word, "alias"))
		return err_set(e, EINVAL, "\"%s\": write learn or alias", word);
	o->ask.alias = o->ask.alias || str_eq(word, "alias");
	return 0;
}

static int add_annotations(struct arena *a, struct oci_ask *o, const struct oci_state *s,
			   struct err *e)
{
	int r = add_servers(a, o, s->server, e);

	if (r < 0)
		return err_wrap(e, r, "sallyport.server");
	r = add_reach(a, o, s->reach, e);
	if (r < 0)
		return err_wrap(e, r, "sallyport.reach");
	r = set_udp(o, s->udp, e);
	return r < 0 ? err_wrap(e, r, "sallyport.udp") : 0;
}

static int attach_state(struct arena *a, struct oci_ask *o, const struct oci_state *s,
			struct err *e)
{
	struct attach_target t CLEANUP_TARGET = ATTACH_TARGET_NONE;
	int r = add_annotations(a, o, s, e);

	if (r == 0)
		r = attach_target_find(a, arena_printf(a, "%d", s->pid), NULL, &t, e);
	o->ask.closed = o->n_servers > 0;
	o->ask.reach = o->reach;
	o->ask.n_reach = o->n_reach;
	if (r == 0)
		r = attach_resolve(a, o->servers, o->n_servers, &o->ask, e);
	return r < 0 ? r : attach(&t, &o->ask, true, e);
}

/* Without being required to, a container rather runs as it would without us. */
static int result(const struct oci_ask *o, const char *id, int r, const struct err *e)
{
	if (r == 0)
		return 0;
	cli_fail(0, "container %s: %s%s", id, e->text,
		 o->require ? "" : "; it runs without (sallyport.attach=require forbids that)");
	return o->require;
}

/* --- the hook ------------------------------------------------------------------------ */

static int read_state(struct arena *a, struct oci_state *ret, struct err *e)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	struct text t CLEANUP_TEXT = { 0 };
	char buf[4096];
	ssize_t n = 1;

	while (n > 0 && t.len < STATE_MAX) {
		if (poll(&p, 1, STATE_LIMIT_MS) <= 0)
			return err_set(e, ETIMEDOUT, "nobody gives the state of a container");
		n = read(0, buf, sizeof(buf));
		if (n > 0)
			text_add_len(&t, buf, (size_t)n);
	}
	return oci_read_state(a, text_str(&t), t.len, ret, e);
}

static int hook_verb(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct oci_ask o = { 0 };
	struct oci_state s;
	struct err e;

	(void)argv;
	if (argc != 1)
		return cli_usage(&verb_oci_hook, "oci-hook reads the container's state");
	if (read_state(&a, &s, &e) < 0)
		return cli_fail(1, "%s", e.text);
	o.require = str_eq(s.attach, "require");
	return result(&o, s.id, attach_state(&a, &o, &s, &e), &e);
}

const struct verb verb_oci_hook = {
	.name = "oci-hook",
	.usage = "oci-hook < STATE",
	.words = "attaches to a container before its first process (podman's hooks.d)",
	.run = hook_verb,
};

/* --- the runtime ---------------------------------------------------------------------- */

/* Not the same as one that is not given: without servers there is no kill switch. */
static int check_value(const char *flag, const char *words, struct err *e)
{
	if (words[strspn(words, ", \t")])
		return 0;
	return err_set(e, EINVAL, "--%s has no value; write one, or leave it out", flag);
}

static int read_flag(struct arena *a, int c, const char *words, struct oci_ask *o, struct err *e)
{
	const char *flag = c == 's' ? "server" : c == 'r' ? "reach" : c == 'u' ? "udp" : "runtime";
	int r = check_value(flag, words, e);

	if (r < 0)
		return r;
	if (c == 's')
		r = add_servers(a, o, words, e);
	else if (c == 'r')
		r = add_reach(a, o, words, e);
	else if (c == 'u')
		r = set_udp(o, words, e);
	else
		o->runtime = words;
	return r < 0 ? err_wrap(e, r, "--%s", flag) : 0;
}

static const struct option options[] = {
	{ "require", no_argument, NULL, 'q' },      { "runtime", required_argument, NULL, 'x' },
	{ "server", required_argument, NULL, 's' }, { "reach", required_argument, NULL, 'r' },
	{ "udp", required_argument, NULL, 'u' },    { NULL, 0, NULL, 0 }
};

static int parse(struct arena *a, int argc, char **argv, struct oci_ask *o, struct err *e)
{
	int c, r = 0;

	while (r == 0 && (c = cli_flag(&verb_oci_runtime, argc, argv)) != -1) {
		if (c == 'q')
			o->require = true;
		else
			r = c == '?' ? 1 : read_flag(a, c, optarg, o, e);
	}
	return r;
}

/* `runc GLOBAL-OPTIONS state ID` */
static int ask_runtime(struct arena *a, const struct oci_ask *o, const char *const *words,
		       size_t command, const char *id, struct oci_state *ret, struct err *e)
{
	const char **argv = arena_alloc(a, sizeof(*argv) * (command + 4));
	struct proc_spec spec = PROC_SPEC_NONE;
	const char *output;
	int status = 0, r;

	argv[0] = o->runtime;
	memcpy(argv + 1, words, sizeof(*argv) * command);
	argv[command + 1] = "state";
	argv[command + 2] = id;
	spec.argv = argv;
	r = proc_run(&spec, NULL, STATE_LIMIT_MS, a, &output, &status, e);
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(e, EIO, "%s state: %s", o->runtime, output);
	return oci_read_state(a, output, strlen(output), ret, e);
}

static int runtime_verb(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct oci_ask o = { .runtime = RUNTIME };
	struct proc_spec spec = PROC_SPEC_NONE;
	const char *const *words;
	struct oci_state s;
	size_t n, command;
	struct err e;
	int r = parse(&a, argc, argv, &o, &e);

	if (r < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	if (r > 0)
		return cli_wrong_flag(&verb_oci_runtime);
	if (optind == argc)
		return cli_usage(&verb_oci_runtime, "oci-runtime takes the words for the runtime");
	words = (const char *const *)argv + optind;
	n = (size_t)(argc - optind);
	command = oci_subcommand(words, n);
	if (command + 1 < n && str_eq(words[command], "start")) {
		r = ask_runtime(&a, &o, words, command, words[n - 1], &s, &e);
		if (r == 0)
			r = attach_state(&a, &o, &s, &e);
		if (result(&o, words[n - 1], r, &e))
			return 1;
	}
	argv[optind - 1] = (char *)o.runtime;
	spec.argv = (const char *const *)argv + optind - 1;
	spec.stdin_fd = 0;
	spec.stdout_fd = 1;
	spec.stderr_fd = 2;
	r = proc_exec(&spec, &e);
	return cli_fail(r == -ENOENT ? 127 : 126, "%s", e.text);
}

const struct verb verb_oci_runtime = {
	.name = "oci-runtime",
	.flags = options,
	.shorts = "+",
	.usage = "oci-runtime [--require] [--server SERVER]... [--reach PREFIX]... "
		 "[--udp learn|alias] [--runtime RUNC] -- ARGUMENT...",
	.words = "the same as a runtime of Docker's",
	.run = runtime_verb,
};
