/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "wire/config.h"
#include "wire/draft.h"

#include <errno.h>
#include <string.h>

static struct place flag_place(const char *flag, const char *value)
{
	return (struct place){ .flag = flag, .value = value };
}

/* office for /etc/openvpn/client/office.ovpn */
static char *door_name(struct arena *a, const char *path)
{
	const char *slash = strrchr(path, '/');
	char *name = arena_strdup(a, slash ? slash + 1 : path);
	char *dot = strrchr(name, '.');

	if (dot && dot != name)
		*dot = 0;
	return name;
}

static int add_vpn(struct draft *d, const char *path, struct err *e)
{
	struct place at = flag_place("--vpn", path);
	const char *name = door_name(d->a, path);
	struct gate *g = &d->gate;
	int index;

	for (size_t i = 1; i < g->n_doors; i++)
		if (str_eq(g->doors[i].name, name))
			return place_wrap(&at,
					  err_set(e, EINVAL,
						  "a door is called \"%.40s\" "
						  "already, after %.80s; rename one of the "
						  "files",
						  name, g->doors[i].vpn),
					  e);
	index = draft_add_vpn_door(d, name, &at, e);
	if (index < 0) {
		struct err why = *e;

		return err_set(e, EINVAL,
			       "%s (a door is called after its file: rename that, or "
			       "write a configuration file)",
			       why.text);
	}
	g->doors[index].kind = DOOR_OPENVPN;
	g->doors[index].vpn = arena_strdup(d->a, path);
	g->doors[index].vpn_at = at.flag;
	return 0;
}

/* As "$PORTS" is where that is empty: what was meant would be missing. */
static int check_value(const struct place *at, struct err *e)
{
	if (at->value[strspn(at->value, " \t,")])
		return 0;
	return err_set(e, EINVAL, "%s has no value; write one, or leave it out", at->flag);
}

static int read_flags(struct draft *d, const struct config_flags *flags, struct err *e)
{
	struct place at = flag_place("room", "");
	int r = draft_add_room(d, "", &at, e);

	for (size_t i = 0; r >= 0 && i < flags->n_vpn; i++)
		r = add_vpn(d, flags->vpn[i], e);
	for (size_t i = 0; r >= 0 && i < flags->n_publish; i++) {
		at = flag_place("--publish", flags->publish[i]);
		r = check_value(&at, e);
		if (r == 0)
			r = draft_room_publish(d, 0, flags->publish[i], &at, e);
	}
	for (size_t i = 0; r >= 0 && i < flags->n_reach; i++) {
		at = flag_place("--reach", flags->reach[i]);
		r = check_value(&at, e);
		if (r == 0)
			r = draft_room_reach(d, 0, flags->reach[i], &at, e);
	}
	if (r < 0 || !flags->way)
		return r;
	at = flag_place("--default", flags->way);
	return draft_room_default(d, 0, flags->way, &at, e);
}

int config_from_flags(struct arena *a, const char *name, const struct config_flags *flags,
		      struct gate *ret, struct err *e)
{
	struct draft d;
	int r = config_check_name(name, GATE_NAME_MAX, "gate name", e);

	if (r < 0)
		return err_wrap(e, r, "--name %.40s", name);
	draft_start(&d, a, name, "command line");
	r = read_flags(&d, flags, e);
	if (r < 0)
		return r;
	d.gate.ends_with_command = true;
	return draft_finish(&d, ret, e);
}
