/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/netdriver.h"
#include "sys/engine.h"

#include <errno.h>

static int set_path(const char *flag, const char *word, const char **ret, struct err *e)
{
	if (*word != '/')
		return err_set(e, EINVAL, "--%s: \"%s\" is no path that begins with /", flag, word);
	*ret = word;
	return 0;
}

static const struct option options[] = { { "socket", required_argument, NULL, 's' },
					 { "state", required_argument, NULL, 'd' },
					 { "engine", required_argument, NULL, 'e' },
					 { NULL, 0, NULL, 0 } };

static int driver(int argc, char **argv)
{
	struct netdriver_options o = { .socket = NETDRIVER_SOCKET,
				       .state = NETDRIVER_STATE,
				       .engine = ENGINE_DOCKER };
	struct err e;
	int c, r = 0;

	while (r == 0 && (c = cli_flag(&verb_driver, argc, argv)) != -1) {
		if (c == 's')
			r = set_path("socket", optarg, &o.socket, &e);
		else if (c == 'd')
			r = set_path("state", optarg, &o.state, &e);
		else if (c == 'e')
			r = cli_engine(optarg, &o.engine, &e);
		else
			return cli_wrong_flag(&verb_driver);
	}
	if (r < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	if (optind != argc)
		return cli_usage(&verb_driver, "driver takes no argument");
	if (!cli_is_root(&verb_driver))
		return 1;
	return netdriver(&o, &e) < 0 ? cli_fail(1, "driver: %s", e.text) : 0;
}

const struct verb verb_driver = {
	.name = "driver",
	.flags = options,
	.usage = "driver [--socket PATH] [--state DIRECTORY] [--engine SOCKET]",
	.words = "serves Docker's `network create -d sallyport`: containers as rooms of a gate",
	.run = driver,
};
