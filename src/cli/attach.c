/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/attach.h"
#include "daemon/engine_watch.h"
#include "sys/engine.h"
#include "sys/netns.h"
#include "ui/plan_text.h"
#include "wire/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct attach_options {
	bool watch;
	bool dry;
	const char *engine;
	struct attach_ask ask;
	struct door_server *servers;
	size_t n_servers, cap_servers;
	struct prefix *reach;
	size_t n_reach, cap_reach;
};

/* As docker(1) and podman(1) are told: unix:///path. NULL: it is none. */
static const char *socket_path(const char *where)
{
	if (where && str_starts(where, "unix://"))
		where += strlen("unix://");
	return where && *where == '/' ? where : NULL;
}

const char *cli_engine_path(const char *flag)
{
	const char *docker = getenv("DOCKER_HOST"), *podman = getenv("CONTAINER_HOST");

	return flag ? flag : socket_path(docker && *docker ? docker : podman);
}

int cli_engine(const char *word, const char **ret, struct err *e)
{
	const char *path = socket_path(word);

	if (!path)
		return err_set(e, EINVAL,
			       "--engine: \"%s\" is no socket's path: write it like "
			       "/run/docker.sock",
			       word);
	*ret = path;
	return 0;
}

static int add_server(struct arena *a, struct attach_options *o, const char *word, struct err *e)
{
	struct door_server server;
	int r = config_server(a, word, &server, e);

	if (r < 0)
		return err_wrap(e, r, "--server");
	*arena_push(a, o->servers, o->n_servers, o->cap_servers) = server;
	return 0;
}

static int add_reach(struct arena *a, struct attach_options *o, const char *word, struct err *e)
{
	struct prefix p;

	if (!prefix_parse(word, false, &p))
		return err_set(e, EINVAL,
			       "--reach: \"%s\" is no prefix: write it like 192.168.1.0/24", word);
	*arena_push(a, o->reach, o->n_reach, o->cap_reach) = p;
	return 0;
}

static int set_udp(struct attach_options *o, const char *word, struct err *e)
{
	if (!str_eq(word, "alias") && !str_eq(word, "learn"))
		return err_set(e, EINVAL, "--udp: \"%s\": write learn or alias", word);
	o->ask.alias = str_eq(word, "alias");
	return 0;
}

static int set_mss(struct attach_options *o, const char *word, struct err *e)
{
	int r = config_mss(word, &o->ask.mss, e);

	return r < 0 ? err_wrap(e, r, "--mss") : 0;
}

static const struct option options[] = {
	{ "watch", no_argument, NULL, 'w' },        { "dry-run", no_argument, NULL, 'n' },
	{ "server", required_argument, NULL, 's' }, { "reach", required_argument, NULL, 'r' },
	{ "udp", required_argument, NULL, 'u' },    { "mss", required_argument, NULL, 'm' },
	{ "engine", required_argument, NULL, 'e' }, { NULL, 0, NULL, 0 },
};

/* 1: an unknown flag, which getopt(3) has told. */
static int parse(struct arena *a, int argc, char **argv, struct attach_options *o, struct err *e)
{
	int c, r = 0;

	while (r == 0 && (c = cli_flag(&verb_attach, argc, argv)) != -1) {
		switch (c) {
		case 'w':
			o->watch = true;
			break;
		case 'n':
			o->dry = true;
			break;
		case 's':
			r = add_server(a, o, optarg, e);
			break;
		case 'r':
			r = add_reach(a, o, optarg, e);
			break;
		case 'u':
			r = set_udp(o, optarg, e);
			break;
		case 'm':
			r = set_mss(o, optarg, e);
			break;
		case 'e':
			r = cli_engine(optarg, &o->engine, e);
			break;
		default:
			return 1;
		}
	}
	o->ask.closed = o->n_servers > 0;
	o->ask.reach = o->reach;
	o->ask.n_reach = o->n_reach;
	return r;
}

/* What ip(8) can call the namespace, and in @t how it gets that name. */
static const char *name_for_ip(struct text *t, const struct attach_target *target)
{
	static const char dir[] = NETNS_DIR "/";

	if (target->path && str_starts(target->path, dir))
		return target->path + strlen(dir);
	if (target->pid)
		text_addf(t, "ip netns attach attached %d\n", target->pid);
	else
		text_addf(t,
			  "mkdir -p " NETNS_DIR "; touch %sattached; mount --bind %s %sattached\n",
			  dir, target->path, dir);
	return "attached";
}

static int print_plan(struct arena *a, const struct attach_target *t, const struct attach_ask *ask,
		      struct err *e)
{
	struct text out CLEANUP_TEXT = { 0 };
	struct want want;
	int r = attach_plan(a, t, ask, &want, e);

	if (r < 0)
		return r;
	want.netns = name_for_ip(&out, t);
	plan_text_guard(&out, &want);
	plan_text_routes(&out, &want);
	fputs(text_str(&out), stdout);
	return 0;
}

/* Root of a user's own containers cannot see the host's firewall. */
static int attach_live(const struct attach_target *t, const struct attach_options *o, struct err *e)
{
	bool is_host = netns_may_return();
	int r;

	if (o->watch) {
		if (is_host)
			attach_tell_firewall(t);
		return attach_watch(t, &o->ask, e);
	}
	r = attach(t, &o->ask, false, e);
	if (r == 0 && is_host)
		attach_tell_firewall(t);
	return r;
}

static int attach_verb(int argc, char **argv)
{
	struct attach_target t CLEANUP_TARGET = ATTACH_TARGET_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	struct attach_options o = { 0 };
	struct err e;
	int r = parse(&a, argc, argv, &o, &e);

	if (r < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	if (r > 0)
		return cli_wrong_flag(&verb_attach);
	if (optind + 1 != argc)
		return cli_usage(&verb_attach, "attach takes one container, process or namespace");
	if (!cli_is_root(&verb_attach))
		return 1;
	r = attach_target_find(&a, argv[optind], cli_engine_path(o.engine), &t, &e);
	if (r == 0)
		r = attach_resolve(&a, o.servers, o.n_servers, &o.ask, &e);
	if (r == 0 && o.dry)
		r = print_plan(&a, &t, &o.ask, &e);
	else if (r == 0)
		r = attach_live(&t, &o, &e);
	return r < 0 ? cli_fail(1, "%s", e.text) : 0;
}

const struct verb verb_attach = {
	.name = "attach",
	.flags = options,
	.shorts = "n",
	.usage = "attach [--watch] [--server SERVER]... [--reach PREFIX]... [--udp learn|alias] "
		 "[--mss BYTES] "
		 "[--engine SOCKET] [--dry-run] CONTAINER|PID|PATH",
	.words = "the right door for a container or namespace that exists",
	.run = attach_verb,
};

static const struct option detach_flags[] = { { "engine", required_argument, NULL, 'e' },
					      { NULL, 0, NULL, 0 } };

/* What the others ask for, detach takes away without. */
static int parse_detach(int argc, char **argv, const char **ret_engine, struct err *e)
{
	int c, r = 0;

	while (r == 0 && (c = cli_flag(&verb_detach, argc, argv)) != -1)
		r = c == 'e' ? cli_engine(optarg, ret_engine, e) : 1;
	return r;
}

static int detach_verb(int argc, char **argv)
{
	struct attach_target t CLEANUP_TARGET = ATTACH_TARGET_NONE;
	struct arena a CLEANUP_ARENA = { 0 };
	const char *engine = NULL;
	struct err e;
	int r = parse_detach(argc, argv, &engine, &e);

	if (r < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	if (r > 0)
		return cli_wrong_flag(&verb_detach);
	if (optind + 1 != argc)
		return cli_usage(&verb_detach, "detach takes one container, process or namespace");
	if (!cli_is_root(&verb_detach))
		return 1;
	r = attach_target_find(&a, argv[optind], cli_engine_path(engine), &t, &e);
	if (r == 0)
		r = detach(&t, &e);
	return r < 0 ? cli_fail(1, "%s", e.text) : 0;
}

const struct verb verb_detach = {
	.name = "detach",
	.flags = detach_flags,
	.usage = "detach [--engine SOCKET] CONTAINER|PID|PATH",
	.words = "takes away what attach did",
	.run = detach_verb,
};

/* --- watch ----------------------------------------------------------------------- */

struct watch_options {
	const char *engine;
	const char **attach;
	size_t n_attach, cap_attach;
	struct attach_options common;
};

static const struct option watch_flags[] = {
	{ "docker", no_argument, NULL, 'd' },       { "podman", no_argument, NULL, 'p' },
	{ "engine", required_argument, NULL, 'e' }, { "attach", required_argument, NULL, 'a' },
	{ "server", required_argument, NULL, 's' }, { "reach", required_argument, NULL, 'r' },
	{ "udp", required_argument, NULL, 'u' },    { NULL, 0, NULL, 0 },
};

static int parse_watch(struct arena *a, int argc, char **argv, struct watch_options *o,
		       struct err *e)
{
	int c, r = 0;

	while (r == 0 && (c = cli_flag(&verb_watch, argc, argv)) != -1) {
		switch (c) {
		case 'd':
			o->engine = ENGINE_DOCKER;
			break;
		case 'p':
			o->engine = ENGINE_PODMAN;
			break;
		case 'e':
			r = cli_engine(optarg, &o->engine, e);
			break;
		case 'a':
			*arena_push(a, o->attach, o->n_attach, o->cap_attach) = optarg;
			break;
		case 's':
			r = add_server(a, &o->common, optarg, e);
			break;
		case 'r':
			r = add_reach(a, &o->common, optarg, e);
			break;
		case 'u':
			r = set_udp(&o->common, optarg, e);
			break;
		default:
			return 1;
		}
	}
	return r;
}

static int watch_verb(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct watch_options o = { 0 };
	struct engine_watch_options w = { 0 };
	struct err e;
	int r = parse_watch(&a, argc, argv, &o, &e);

	if (r < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	if (r > 0)
		return cli_wrong_flag(&verb_watch);
	if (optind != argc)
		return cli_usage(&verb_watch, "watch takes no argument: --attach %s?",
				 argv[optind]);
	if (!cli_is_root(&verb_watch))
		return 1;
	if (o.n_attach && !netns_may_return())
		return cli_fail(1, "watch --attach needs root of the host, which may attach to "
				   "every user's containers: sudo sallyport watch --engine SOCKET");
	w.socket = cli_engine_path(o.engine);
	w.socket = w.socket ? w.socket : ENGINE_DOCKER;
	w.attach = o.attach;
	w.n_attach = o.n_attach;
	w.ask = o.common.ask;
	w.ask.closed = o.common.n_servers > 0;
	w.ask.reach = o.common.reach;
	w.ask.n_reach = o.common.n_reach;
	r = attach_resolve(&a, o.common.servers, o.common.n_servers, &w.ask, &e);
	if (r == 0)
		r = engine_watch(&w, &e);
	return r < 0 ? cli_fail(1, "%s", e.text) : 0;
}

const struct verb verb_watch = {
	.name = "watch",
	.flags = watch_flags,
	.usage = "watch [--docker|--podman|--engine SOCKET] [--attach CONTAINER]... "
		 "[--server SERVER]... [--reach PREFIX]... [--udp learn|alias]",
	.words = "keeps containers on the network of another one that restarts",
	.run = watch_verb,
};
