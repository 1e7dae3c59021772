/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/oci.h"

#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>

static const char *annotation(struct arena *a, json_t *root, const char *key)
{
	const char *s =
		json_string_value(json_object_get(json_object_get(root, "annotations"), key));

	return arena_strdup(a, s ? s : "");
}

int oci_read_state(struct arena *a, const char *text, size_t size, struct oci_state *ret,
		   struct err *e)
{
	json_error_t where;
	json_t *root = json_loadb(text, size, 0, &where);
	json_int_t pid = json_integer_value(json_object_get(root, "pid"));
	const char *id = json_string_value(json_object_get(root, "id"));

	if (!root)
		return err_set(e, EINVAL, "state of a container: line %d: %s", where.line,
			       where.text);
	if (!id || pid <= 0 || pid > INT_MAX) {
		json_decref(root);
		return err_set(e, EINVAL, "state of a container: it has no id or no pid");
	}
	*ret = (struct oci_state){ .id = arena_strdup(a, id),
				   .pid = (int)pid,
				   .attach = annotation(a, root, "sallyport.attach"),
				   .server = annotation(a, root, "sallyport.server"),
				   .reach = annotation(a, root, "sallyport.reach"),
				   .udp = annotation(a, root, "sallyport.udp") };
	json_decref(root);
	return 0;
}

/* runc's and crun's global options that have a value behind them. */
static bool takes_value(const char *word)
{
	static const char *const options[] = { "--root",      "--log",  "--log-format",
					       "--log-level", "--criu", "--cgroup-manager",
					       "--rootless" };

	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (str_eq(word, options[i]))
			return true;
	return false;
}

size_t oci_subcommand(const char *const *words, size_t n)
{
	size_t i = 0;

	while (i < n && words[i][0] == '-')
		i += takes_value(words[i]) ? 2 : 1;
	return i < n ? i : n;
}
