/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "sys/fd.h"
#include "wire/config.h"

#include <errno.h>
#include <string.h>

/* The supervisor's own limits are shorter. */
#define DOWN_LIMIT_MS 30000

static int read_failure(const char *answer, struct text *left, struct err *e)
{
	const char *last = strrchr(answer, '\n');

	if (last)
		text_add_len(left, answer, (size_t)(last - answer));
	return err_set(e, EIO, "%s", last ? last + 1 : answer);
}

/*
 * Has the supervisor end it.  If there is none (any more), @ret_name keeps one from
 * beginning: what it makes would be taken away with what is left.  @ret_found: there was one.
 * @left: what it could not take away, a line each; then the last line is @e.
 */
static int end_supervised(const char *gate, int *ret_name, bool *ret_found, struct text *left,
			  struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int64_t until = clock_ms() + DOWN_LIMIT_MS;
	const char *answer;
	int r;

	do {
		r = control_ask(&a, gate, "down\n", DOWN_LIMIT_MS, &answer, e);
		*ret_found |= r == 0;
		if (r == 0 && str_eq(answer, "done"))
			return 0;
		if (r == 0 && *answer)
			return read_failure(answer, left, e);
		if (r == -ETIMEDOUT)
			return r;
		r = control_hold(gate, ret_name, e);
	} while (r == -EADDRINUSE && clock_ms() < until);
	if (r == -EADDRINUSE)
		return err_set(e, EADDRINUSE,
			       "its supervisor does not end (ss -lxp src @sallyport/%s names "
			       "its process)",
			       gate);
	return r;
}

static int fail(const char *gate, const struct text *left, const struct err *e)
{
	char *line, *rest = left->buf;

	while ((line = strsep(&rest, "\n")))
		(void)cli_fail(1, "gate \"%s\": %s", gate, line);
	return cli_fail(1, "gate \"%s\": %s", gate, e->text);
}

static int down(int argc, char **argv)
{
	struct text left CLEANUP_TEXT = { 0 };
	int name CLEANUP_FD = -1;
	bool had = false, found = false;
	struct err e;
	int r;

	if (argc != 2)
		return cli_usage(&verb_down, "down takes one gate's name");
	if (config_check_name(argv[1], GATE_NAME_MAX, "gate name", &e) < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	if (!cli_may_make(&verb_down))
		return 1;
	r = end_supervised(argv[1], &name, &had, &left, &e);
	if (r == 0 && name >= 0)
		r = teardown(argv[1], &found, &left, &e);
	if (r < 0)
		return fail(argv[1], &left, &e);
	if (!had && !found)
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
