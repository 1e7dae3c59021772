/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/netdriver.h"
#include "sys/engine.h"

#include <getopt.h>

static int driver(int argc, char **argv)
{
	static const struct option options[] = { { "socket", required_argument, NULL, 's' },
						 { "state", required_argument, NULL, 'd' },
						 { "engine", required_argument, NULL, 'e' },
						 { NULL, 0, NULL, 0 } };
	struct netdriver_options o = { .socket = NETDRIVER_SOCKET,
				       .state = NETDRIVER_STATE,
				       .engine = ENGINE_DOCKER };
	struct err e;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 's')
			o.socket = optarg;
		else if (c == 'd')
			o.state = optarg;
		else if (c == 'e')
			o.engine = optarg;
		else
			return cli_usage(&verb_driver, "wrong flag");
	}
	if (optind != argc)
		return cli_usage(&verb_driver, "driver takes no argument");
	if (!cli_is_root(&verb_driver))
		return 1;
	return netdriver(&o, &e) < 0 ? cli_fail(1, "driver: %s", e.text) : 0;
}

const struct verb verb_driver = {
	.name = "driver",
	.usage = "driver [--socket PATH] [--state DIRECTORY] [--engine SOCKET]",
	.words = "serves Docker's `network create -d sallyport`: containers as rooms of a gate",
	.run = driver,
};
