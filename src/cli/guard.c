/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "cli/guard_install.h"
#include "daemon/guard.h"
#include "plan/guard_xfrm.h"
#include "sys/proc.h"
#include "ui/plan_text.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ASK_LIMIT_MS 5000
#define OFF_LIMIT_MS 30000

struct guard_options {
	enum { STAND, STATUS, OFF, YES, INSTALL, NETWORKD } what;
	bool several; /* of these */
	uint32_t confirm; /* seconds, 0: not asked for */
	struct ip probe;
	bool json;
	bool dry;
	struct prefix *lan;
	size_t n_lan, cap_lan;
};

static const struct option options[] = {
	{ "status", no_argument, NULL, 's' },
	{ "json", no_argument, NULL, 'j' },
	{ "off", no_argument, NULL, 'o' },
	{ "lan", required_argument, NULL, 'l' },
	{ "install", no_argument, NULL, 'i' },
	{ "networkd", no_argument, NULL, 'd' },
	{ "yes", no_argument, NULL, 'y' },
	{ "confirm", required_argument, NULL, 'c' },
	{ "probe", required_argument, NULL, 'p' },
	{ "dry-run", no_argument, NULL, 'n' },
	{ NULL, 0, NULL, 0 },
};

static void set_what(struct guard_options *o, int what)
{
	o->several = o->what != STAND && (int)o->what != what;
	o->what = what;
}

/* What was said together belongs together. */
static int check(const struct guard_options *o, bool command)
{
	bool stands = o->n_lan || o->confirm || !ip_is_none(&o->probe) || o->dry;

	if (o->several)
		return cli_usage(&verb_guard, "--status, --off, --yes, --install and --networkd "
					      "are commands of their own: write one of them");
	if (o->what != STAND && command)
		return cli_usage(&verb_guard, "only a guard that stands takes a command");
	if (o->what != STAND && stands)
		return cli_usage(&verb_guard, "--confirm, --probe, --lan and --dry-run are for "
					      "a guard that stands");
	if (o->json && o->what != STATUS)
		return cli_usage(&verb_guard, "--json goes with --status");
	if (o->confirm && !command)
		return cli_usage(&verb_guard, "--confirm needs a command, after --");
	if (!ip_is_none(&o->probe) && !o->confirm)
		return cli_usage(&verb_guard, "--probe proves what --confirm SECONDS asks for");
	return 0;
}

/* The leading "+" stops at the command: its flags are its own. -1: says why by itself. */
static int parse(struct arena *a, int argc, char **argv, struct guard_options *ret)
{
	int c;

	while ((c = cli_flag(&verb_guard, argc, argv)) != -1) {
		switch (c) {
		case 's':
			set_what(ret, STATUS);
			break;
		case 'j':
			ret->json = true;
			break;
		case 'o':
			set_what(ret, OFF);
			break;
		case 'l':
			if (!prefix_parse(optarg, false,
					  arena_push(a, ret->lan, ret->n_lan, ret->cap_lan)))
				return cli_usage(
					&verb_guard,
					"--lan: \"%s\" is no prefix: write it like 192.168.1.0/24",
					optarg);
			break;
		case 'i':
			set_what(ret, INSTALL);
			break;
		case 'd':
			set_what(ret, NETWORKD);
			break;
		case 'y':
			set_what(ret, YES);
			break;
		case 'c':
			if (!str_to_u32(optarg, 86400, &ret->confirm) || ret->confirm < 5)
				return cli_usage(&verb_guard,
						 "--confirm: \"%s\": write seconds from 5 to 86400",
						 optarg);
			break;
		case 'p':
			if (!ip_parse(optarg, &ret->probe))
				return cli_usage(
					&verb_guard,
					"--probe: \"%s\" is no address: write it like 172.16.5.1",
					optarg);
			break;
		case 'n':
			ret->dry = true;
			break;
		default:
			return cli_wrong_flag(&verb_guard);
		}
	}
	return check(ret, optind < argc);
}

static void print_door(const json_t *d)
{
	const json_t *x;
	size_t i;

	printf("%-15s %-3s ", json_string_value(json_object_get(d, "name")),
	       json_string_value(json_object_get(d, "kind")));
	json_array_foreach(json_object_get(d, "addresses"), i, x)
		printf(" %s", json_string_value(x));
	json_array_foreach(json_object_get(d, "routes"), i, x)
	{
		const char *via = json_string_value(json_object_get(x, "via"));

		if (via && i < 4)
			printf("%s %s via %s", i ? "," : ";",
			       json_string_value(json_object_get(x, "to")), via);
	}
	printf("\n");
}

static void print_status(const json_t *root)
{
	const json_t *x;
	size_t i;

	json_array_foreach(json_object_get(root, "doors"), i, x) print_door(x);
	json_array_foreach(json_object_get(root, "repairs"), i, x)
		printf("repaired: %s\n", json_string_value(json_object_get(x, "what")));
}

static void print_proofs(const json_t *t)
{
	const char *proof = json_string_value(json_object_get(t, "proof"));
	bool person = json_is_true(json_object_get(t, "yes"));

	printf(", kept by %s%s%s", proof, *proof && person ? ", or by " : "",
	       person ? "a person (sallyport guard --yes)" : "");
}

/* "openvpn --config x (process 42, from 192.0.2.7), since 15:04:05: " and how it stands. */
static void print_trial(const json_t *t)
{
	const char *from = json_string_value(json_object_get(t, "from"));
	const char *state = json_string_value(json_object_get(t, "state"));
	time_t since = (time_t)json_integer_value(json_object_get(t, "since"));
	json_int_t left = json_integer_value(json_object_get(t, "seconds_left"));
	const json_t *x;
	char when[32];
	size_t i;

	strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S", localtime(&since));
	printf("trial: %s (process %d%s%s), since %s: ",
	       json_string_value(json_object_get(t, "command")),
	       (int)json_integer_value(json_object_get(t, "pid")), *from ? ", from " : "", from,
	       when);
	if (str_eq(state, "runs"))
		printf("%lld s left", (long long)left);
	else if (str_eq(state, "waits"))
		printf("%lld s from the first change of the network on",
		       (long long)json_integer_value(json_object_get(t, "seconds")));
	else if (str_eq(state, "kept"))
		printf("kept");
	else if (str_eq(state, "undone"))
		printf("is taken back just now");
	else
		printf("its processes are dead; to take back what it changed: sallyport guard "
		       "--off");
	if (str_eq(state, "runs") || str_eq(state, "waits"))
		print_proofs(t);
	json_array_foreach(json_object_get(t, "lan"), i, x)
		printf("%s%s", i ? ", " : "; on the LAN: ", json_string_value(x));
	printf("\n");
}

static int print_json(const json_t *root)
{
	char *text = json_dumps(root, JSON_INDENT(2));
	int r = text ? puts(text) : -1;

	free(text);
	return r < 0;
}

static int show(const struct guard_options *o, const json_t *root, bool stands)
{
	const json_t *trial;
	size_t i;

	if (o->json)
		return print_json(root) || !stands;
	if (stands)
		print_status(root);
	json_array_foreach(json_object_get(root, "trials"), i, trial) print_trial(trial);
	fflush(stdout);
	return stands ? 0
		      : cli_fail(1, "no guard stands here; sallyport guard -- COMMAND makes one");
}

static int status(const struct guard_options *o)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *answer;
	json_t *root = NULL;
	struct err e;
	bool stands;
	int r = control_ask(&a, GUARD_NAME, "status\n", ASK_LIMIT_MS, &answer, &e);

	if (r == -ETIMEDOUT)
		return cli_fail(1, "guard: %s", e.text);
	if (r == 0) /* "": it goes just now */
		root = json_loads(answer, 0, NULL);
	stands = root;
	if (!root)
		root = json_pack("{s:i, s:s}", "schema", 1, "state", "none");
	json_object_set_new(root, "trials", journal_status());
	r = show(o, root, stands);
	json_decref(root);
	return r;
}

static int off(void)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct resolver_before names;
	bool found = false, trial;
	const char *answer;
	struct err e, later;
	int r = control_ask(&a, GUARD_TRIAL_NAME, "off\n", OFF_LIMIT_MS, &answer, &e);

	/* What is on trial goes while the guard still stands. */
	if (r == -ETIMEDOUT)
		return cli_fail(1, "guard: %s", e.text);
	if (r == 0 && *answer && !str_eq(answer, "done"))
		return cli_fail(1, "guard: %s", answer);
	trial = r == 0 && *answer;
	r = control_ask(&a, GUARD_NAME, "off\n", OFF_LIMIT_MS, &answer, &e);
	/* And what of it was killed. */
	if (guard_trials_settle(&trial, &later) < 0)
		return cli_fail(1, "guard: %s", later.text);
	if (r == 0 && str_eq(answer, "done"))
		return 0;
	if (r == 0 && *answer)
		return cli_fail(1, "guard: %s", answer);
	if (r == -ETIMEDOUT)
		return cli_fail(1, "guard: %s", e.text);
	/* Its process is gone: take away what it left. */
	r = guard_remove(&found, &e);
	if (r == 0 && resolver_recall(&a, &names)) {
		found = true;
		r = resolver_restore(&names, false, &e);
	}
	if (r < 0)
		return cli_fail(1, "guard: %s", e.text);
	return found || trial ? 0 : cli_fail(1, "no guard stands here");
}

static int yes(void)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *answer;
	struct err e;

	if (control_ask(&a, GUARD_TRIAL_NAME, "yes\n", ASK_LIMIT_MS, &answer, &e) < 0 &&
	    control_ask(&a, GUARD_NAME, "yes\n", ASK_LIMIT_MS, &answer, &e) < 0)
		return cli_fail(1, "no guard stands here");
	return str_eq(answer, "done") ? 0 : cli_fail(1, "guard: %s", answer);
}

static void print_policies(struct arena *a, struct text *t)
{
	for (size_t i = 0; i < GUARD_XFRM_OURS; i++) {
		struct xfrm_policy p = guard_xfrm_policy(i);

		text_addf(t, "ip xfrm policy add %s mark 0x%x mask 0x%x priority 0 action allow\n",
			  guard_xfrm_text(a, &p), p.mark, p.mark_mask);
	}
}

static int print_plan(struct guard *g, struct err *e)
{
	struct text t CLEANUP_TEXT = { 0 };
	struct want want;
	int r = rtnl_open(-1, &g->rtnl, e);

	if (r == 0)
		r = guard_want(g, &g->arena, &want, e);
	if (r < 0)
		return r;
	/* The links of all of them are there: nothing has to be waited for. */
	for (size_t i = 0; i < want.n_routes; i++)
		want.routes[i].optional = false;
	plan_text_guard(&t, &want);
	plan_text_routes(&t, &want);
	if (g->wish.xfrm)
		print_policies(&g->arena, &t);
	fputs(text_str(&t), stdout);
	return 0;
}

static int other(const struct guard_options *o)
{
	struct err e;
	int r = 0;

	switch (o->what) {
	case STATUS:
		return status(o);
	case OFF:
		return off();
	case YES:
		return yes();
	case INSTALL:
		r = guard_install_unit(&e);
		break;
	case NETWORKD:
		r = guard_install_networkd(&e);
		break;
	case STAND:
		break;
	}
	return r < 0 ? cli_fail(1, "guard: %s", e.text) : 0;
}

/* A guard stands already (sallyport-guard.service): the command needs no other. */
static int run_under(const struct guard *g)
{
	struct proc_spec spec = PROC_SPEC_NONE;
	struct err e;
	int r;

	spec.argv = g->command;
	spec.stdin_fd = 0;
	spec.stdout_fd = 1;
	spec.stderr_fd = 2;
	r = proc_exec(&spec, &e);
	return cli_fail(r == -ENOENT ? 127 : r == -EACCES ? 126 : 1, "guard: %s", e.text);
}

static int guard(int argc, char **argv)
{
	struct guard_options o = { 0 };
	struct guard g = GUARD_NONE;
	struct err e;
	int r = parse(&g.arena, argc, argv, &o);

	if (r)
		return r;
	if (!o.dry && !cli_is_root(&verb_guard))
		return 1;
	if (o.what != STAND)
		return other(&o);
	g.confirm_ms = (int64_t)o.confirm * 1000;
	g.probe = o.probe;
	g.wish.lan = o.lan;
	g.wish.n_lan = o.n_lan;
	g.command = optind < argc ? (const char *const *)argv + optind : NULL;
	r = o.dry ? print_plan(&g, &e) : guard_run(&g, &e);
	/* What it would not do is not promised. */
	if (r == -EADDRINUSE && g.command && !g.confirm_ms && !o.n_lan)
		return run_under(&g);
	if (r == -EADDRINUSE && g.command && g.confirm_ms)
		r = guard_run_beside(&g, &e);
	if (r < 0)
		return cli_fail(g.exit_status ? g.exit_status : 1, "guard: %s", e.text);
	return g.exit_status;
}

const struct verb verb_guard = {
	.name = "guard",
	.flags = options,
	.shorts = "+n",
	.usage = "guard [--confirm SECONDS [--probe ADDRESS]] [--lan PREFIX]... [--dry-run] "
		 "[-- COMMAND] | --yes | --off | --status [--json] | --install | --networkd",
	.words = "runs a VPN client on this very host, and whoever came in stays in",
	.run = guard,
};
