/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "sys/files.h"
#include "wire/config.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONFIG_DIR "/etc/sallyport"

/* NAME, or a path: what has a slash or ends in ".conf". The gate is called as the file. */
static const char *config_path(struct arena *a, const char *word)
{
	size_t len = strlen(word);

	if (strchr(word, '/') || (len > 5 && str_eq(word + len - 5, ".conf")))
		return word;
	return arena_printf(a, CONFIG_DIR "/%s.conf", word);
}

static const char *gate_name(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');
	const char *base = slash ? slash + 1 : path;
	size_t len = strlen(base);

	if (len > 5 && str_eq(base + len - 5, ".conf"))
		len -= 5;
	return arena_strndup(a, base, len);
}

static int load(struct supervisor *s, const char *word, struct err *e)
{
	const char *path = config_path(&s->arena, word);
	const char *name = gate_name(&s->arena, path);
	const char *text;
	size_t size;
	int r = config_check_name(name, GATE_NAME_MAX, "gate name", e);

	if (r < 0)
		return r;
	r = file_read(&s->arena, path, FILE_READ_MAX, &text, &size, e);
	if (r == -ENOENT)
		return err_set(e, ENOENT,
			       "%s: there is no such file; sallyport.conf(5) shows how to write it",
			       path);
	if (r == 0)
		r = config_read(&s->arena, name, path, text, size, &s->gate, e);
	if (r < 0)
		return r;
	writable_warn(s, path);
	return supervisor_prepare(s, e);
}

static const struct option options[] = { { "dry-run", no_argument, NULL, 'n' },
					 { NULL, 0, NULL, 0 } };

static int up(int argc, char **argv)
{
	struct supervisor s = { 0 };
	bool dry = false;
	struct err e;
	int c, r;

	while ((c = cli_flag(&verb_up, argc, argv)) != -1) {
		if (c != 'n')
			return cli_wrong_flag(&verb_up);
		dry = true;
	}
	if (optind + 1 != argc)
		return cli_usage(&verb_up, "up takes one gate's name or file");
	if (!dry && !cli_may_make(&verb_up))
		return 1;
	r = load(&s, argv[optind], &e);
	if (r < 0)
		return cli_fail(r == -EINVAL ? EXIT_USAGE : 1, "%s", e.text);
	r = dry ? cli_print_plan(&s, &e) : supervise(&s, &e);
	if (r < 0)
		return cli_fail(1, "gate \"%s\": %s", s.gate.name, e.text);
	return 0;
}

const struct verb verb_up = {
	.name = "up",
	.flags = options,
	.shorts = "n",
	.usage = "up [--dry-run] NAME|FILE",
	.words = "a gate from " CONFIG_DIR "/NAME.conf, in the foreground",
	.run = up,
};
