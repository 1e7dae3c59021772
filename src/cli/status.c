/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "sys/fd.h"
#include "sys/netns.h"
#include "ui/status.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ASK_LIMIT_MS 5000
#define WATCH_S      1

/* Its supervisor may have taken it away while it was asked. */
static bool is_gone(struct arena *a, const char *gate)
{
	const char *netns = arena_printf(a, "%s.gate", gate);
	int fd CLEANUP_FD = -1;
	struct err e;

	return netns_open(netns, &fd, &e) == -ENOENT && !netns_is_leftover(netns);
}

/* What its supervisor says, or that there is none; NULL: nor a gate any more. */
static json_t *ask(struct arena *a, const char *gate)
{
	const char *answer = "";
	json_t *root = NULL;
	struct err e;
	int r;

	r = control_ask(a, gate, "status\n", ASK_LIMIT_MS, &answer, &e);
	if (r == 0)
		root = json_loads(answer, 0, NULL);
	if (root)
		return root;
	if (r == -ETIMEDOUT)
		return json_pack("{s:s, s:s, s:s}", "name", gate, "state", "not answering", "hint",
				 e.text);
	if (is_gone(a, gate))
		return NULL;
	return json_pack("{s:s, s:s, s:s}", "name", gate, "state", "unsupervised", "hint",
			 "its doors stand as they were; sallyport up takes it over, sallyport "
			 "down takes it away");
}

static const char *gate_of(struct arena *a, const char *netns)
{
	size_t len = strlen(netns);

	if (len <= 5 || !str_eq(netns + len - 5, ".gate"))
		return NULL;
	return arena_strndup(a, netns, len - 5);
}

/* All gates, or the one called @only. */
static int collect(struct arena *a, const char *only, json_t *gates, struct err *e)
{
	const char **names;
	size_t n = 0;
	int r = netns_list(a, &names, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++) {
		const char *gate = gate_of(a, names[i]);

		if (gate && (!only || str_eq(gate, only)))
			(void)json_array_append_new(gates, ask(a, gate)); /* not NULL */
	}
	return r;
}

static int print_once(const char *only, bool json)
{
	struct arena a CLEANUP_ARENA = { 0 };
	json_t *gates = json_array();
	struct text t CLEANUP_TEXT = { 0 };
	struct err e;
	int r = collect(&a, only, gates, &e);

	if (r < 0) {
		json_decref(gates);
		return cli_fail(1, "%s", e.text);
	}
	r = only && !json_array_size(gates);
	if (json) {
		json_t *root = json_pack("{s:i, s:O}", "schema", 1, "gates", gates);
		char *text = json_dumps(root, JSON_INDENT(2));

		puts(text);
		free(text);
		json_decref(root);
	} else {
		status_text(&t, gates);
		fputs(text_str(&t), stdout);
	}
	json_decref(gates);
	return r ? cli_fail(1, "there is no gate \"%s\"", only) : 0;
}

static const struct option options[] = { { "json", no_argument, NULL, 'j' },
					 { "watch", no_argument, NULL, 'w' },
					 { NULL, 0, NULL, 0 } };

static int status(int argc, char **argv)
{
	bool json = false, watch = false;
	int c, r;

	while ((c = cli_flag(&verb_status, argc, argv)) != -1) {
		if (c == 'j')
			json = true;
		else if (c == 'w')
			watch = true;
		else
			return cli_wrong_flag(&verb_status);
	}
	if (argc > optind + 1)
		return cli_usage(&verb_status, "status takes one gate's name at most");
	if (!cli_is_root(&verb_status))
		return 1;
	do {
		if (watch && isatty(STDOUT_FILENO))
			fputs("\033[H\033[2J", stdout);
		r = print_once(optind < argc ? argv[optind] : NULL, json);
		fflush(stdout);
	} while (watch && r == 0 && sleep(WATCH_S) == 0);
	return r;
}

const struct verb verb_status = {
	.name = "status",
	.flags = options,
	.usage = "status [--json] [--watch] [GATE]",
	.words = "doors, tunnels, ports, counters and repairs",
	.run = status,
};
