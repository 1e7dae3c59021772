/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/attach.h"
#include "daemon/init.h"
#include "wire/config.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <unistd.h>

#define HEALTH_LIMIT_MS 10000

struct init_servers {
	struct door_server *items;
	size_t n, cap;
};

static const struct option options[] = { { "server", required_argument, NULL, 's' },
					 { NULL, 0, NULL, 0 } };

static int parse(struct arena *a, int argc, char **argv, struct init_servers *ret, struct err *e)
{
	int c, r = 0;

	while (r == 0 && (c = cli_flag(&verb_init, argc, argv)) != -1) {
		struct door_server server;

		if (c != 's')
			return 1;
		r = config_server(a, optarg, &server, e);
		if (r == 0)
			*arena_push(a, ret->items, ret->n, ret->cap) = server;
	}
	return r < 0 ? err_wrap(e, r, "--server") : 0;
}

static int init_verb(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct init_servers servers = { 0 };
	struct init_options o = { 0 };
	struct vpnenv env;
	struct err e;
	int r = parse(&a, argc, argv, &servers, &e);

	if (r > 0)
		return cli_wrong_flag(&verb_init);
	if (r == 0)
		r = vpnenv_read(&a, (const char *const *)environ, &env, &e);
	if (r < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	o.env = &env;
	o.command = optind < argc ? (const char *const *)argv + optind : NULL;
	o.servers = servers.items;
	o.n_servers = servers.n;
	r = init_run(&o, &e);
	return r < 0 ? cli_fail(r == -EINVAL ? EXIT_USAGE : 1, "%s", e.text) : 0;
}

const struct verb verb_init = {
	.name = "init",
	.flags = options,
	.shorts = "+",
	.usage = "init [--server SERVER]... [-- COMMAND]",
	.words = "the first process of a VPN container whose network others share",
	.run = init_verb,
};

/* One word for each door of a gate, from its supervisor's status. */
static int print_gate(const char *gate, const char *json)
{
	json_t *root = json_loads(json, 0, NULL), *door;
	bool well = root != NULL;
	size_t i;

	json_array_foreach(json_object_get(json_array_get(json_object_get(root, "gates"), 0),
					   "doors"),
			   i, door)
	{
		const char *name = json_string_value(json_object_get(door, "name"));
		const char *state = json_string_value(json_object_get(door, "state"));

		if (state && str_eq(state, "up"))
			continue;
		printf("gate \"%s\": door \"%s\" is %s\n", gate, name ? name : "",
		       state ? state : "not known");
		well = false;
	}
	json_decref(root);
	if (well)
		puts("ok");
	return !well;
}

static int health_verb(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *answer;
	struct err e;

	if (argc > 2)
		return cli_usage(&verb_health, "health takes one gate's name, or none");
	if (argc == 2) {
		if (config_check_name(argv[1], GATE_NAME_MAX, "gate name", &e) < 0)
			return cli_fail(EXIT_USAGE, "%s", e.text);
		if (control_ask(&a, argv[1], "status\n", HEALTH_LIMIT_MS, &answer, &e) < 0)
			return cli_fail(1, "%s", e.text);
		return print_gate(argv[1], answer);
	}
	if (control_ask(&a, ATTACH_INIT, "health\n", HEALTH_LIMIT_MS, &answer, &e) < 0)
		return cli_fail(1, "no sallyport init runs in this network (%s)", e.text);
	fputs(answer, stdout);
	return !str_eq(answer, "ok\n");
}

const struct verb verb_health = {
	.name = "health",
	.usage = "health [GATE]",
	.words = "whether every door answers, for healthchecks",
	.run = health_verb,
};
