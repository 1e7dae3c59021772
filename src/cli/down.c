/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "wire/config.h"

#include <errno.h>
#include <stdio.h>

/* The supervisor's own limits are shorter. */
#define DOWN_LIMIT_MS 30000

static int down(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	bool found = false;
	const char *answer;
	struct err e;
	int r;

	if (argc != 2)
		return cli_usage(&verb_down, "down takes one gate's name");
	if (config_check_name(argv[1], GATE_NAME_MAX, "gate name", &e) < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	if (!cli_may_make(&verb_down))
		return 1;
	r = control_ask(&a, argv[1], "down\n", DOWN_LIMIT_MS, &answer, &e);
	if (r == 0 && str_eq(answer, "done"))
		return 0;
	if (r == 0 && *answer)
		return cli_fail(1, "gate \"%s\": %s", argv[1], answer);
	if (r == -ETIMEDOUT)
		return cli_fail(1, "gate \"%s\": %s", argv[1], e.text);
	/* Nobody supervises it (any more): take away what is there. */
	r = teardown(argv[1], &found, &e);
	if (r < 0)
		return cli_fail(1, "gate \"%s\": %s", argv[1], e.text);
	if (!found)
		return cli_fail(1, "there is no gate \"%s\"; `sallyport status` lists them",
				argv[1]);
	return 0;
}

const struct verb verb_down = {
	.name = "down",
	.usage = "down GATE",
	.words = "takes a gate away; the host is left as it was",
	.run = down,
};
