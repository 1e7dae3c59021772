/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/front.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "wire/config.h"

#include <ctype.h>
#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct words {
	const char **items;
	size_t n, cap;
};

struct run_options {
	const char *name;
	struct words publish, vpn, reach;
	const char *way;
	bool user;
	const char *user_name;
	bool dry;
};

static const struct option options[] = {
	{ "name", required_argument, NULL, 'N' },    { "publish", required_argument, NULL, 'p' },
	{ "vpn", required_argument, NULL, 'v' },     { "reach", required_argument, NULL, 'r' },
	{ "default", required_argument, NULL, 'd' }, { "user", optional_argument, NULL, 'u' },
	{ "dry-run", no_argument, NULL, 'n' },       { NULL, 0, NULL, 0 },
};

static void add(struct arena *a, struct words *w, const char *word)
{
	*arena_push(a, w->items, w->n, w->cap) = word;
}

/* The leading "+" stops at the command: its flags are its own. */
static bool parse(struct arena *a, int argc, char **argv, struct run_options *ret)
{
	int c;

	while ((c = cli_flag(&verb_run, argc, argv)) != -1) {
		switch (c) {
		case 'N':
			ret->name = optarg;
			break;
		case 'p':
			add(a, &ret->publish, optarg);
			break;
		case 'v':
			add(a, &ret->vpn, optarg);
			break;
		case 'r':
			add(a, &ret->reach, optarg);
			break;
		case 'd':
			ret->way = optarg;
			break;
		case 'u':
			ret->user = true;
			ret->user_name = optarg;
			break;
		case 'n':
			ret->dry = true;
			break;
		default:
			return false;
		}
	}
	return true;
}

/* --user alone: who called sudo(8), as SUDO_UID says. */
static int find_user(struct supervisor *s, const char *name, struct err *e)
{
	const char *sudo = getenv("SUDO_UID");
	struct passwd *p;
	uint32_t uid;

	if (name)
		p = getpwnam(name);
	else if (sudo && str_to_u32(sudo, UINT32_MAX - 1, &uid))
		p = getpwuid(uid);
	else
		return err_set(e, EINVAL, "--user: who? Not called by sudo; write --user=NAME");
	if (!p)
		return err_set(e, EINVAL, "--user: there is no user %s", name ? name : sudo);
	s->drop_user = true;
	s->uid = p->pw_uid;
	s->gid = p->pw_gid;
	s->user = arena_strdup(&s->arena, p->pw_name);
	return 0;
}

static bool is_free(struct arena *a, const char *name)
{
	int room CLEANUP_FD = -1, gate CLEANUP_FD = -1;
	struct err e;

	return netns_open(name, &room, &e) == -ENOENT &&
	       netns_open(arena_printf(a, "%s.gate", name), &gate, &e) == -ENOENT;
}

/*
 * No namespace of this name, nor a supervisor that is about to make one: of two
 * that start at the same time only one gets its socket.
 */
static bool take_name(struct arena *a, const char *name, int *ret_lock)
{
	struct err e;

	return is_free(a, name) && control_bind(name, ret_lock, &e) == 0;
}

/*
 * Called as its command, with a number when that is taken: nginx, nginx2, ...
 * @ret_lock: the socket of that name; -1 if it was not asked for.
 */
static const char *name_from(struct arena *a, const char *command, bool dry, int *ret_lock)
{
	const char *slash = strrchr(command, '/');
	char base[GATE_NAME_MAX - 2] = "";
	size_t len = 0;
	const char *name = base;

	for (const char *c = slash ? slash + 1 : command; *c && len < sizeof(base) - 1; c++)
		if (isalnum((unsigned char)*c) || (len && strchr("-_", *c)))
			base[len++] = *c;
	if (!len)
		snprintf(base, sizeof(base), "run");
	for (int i = 2; i < 1000 && !(dry ? is_free(a, name) : take_name(a, name, ret_lock)); i++)
		name = arena_printf(a, "%s%d", base, i);
	return arena_strdup(a, name);
}

static int load(struct supervisor *s, const struct run_options *o, const char *command,
		struct err *e)
{
	int lock CLEANUP_FD = -1;
	const char *name = o->name ? o->name
				   : name_from(&s->arena, command ? command : "run", o->dry, &lock);
	struct config_flags flags = {
		.publish = o->publish.items,
		.n_publish = o->publish.n,
		.vpn = o->vpn.items,
		.n_vpn = o->vpn.n,
		.reach = o->reach.items,
		.n_reach = o->reach.n,
		.way = o->way,
	};
	int r = config_check_name(name, GATE_NAME_MAX, "--name", e);

	if (r == 0)
		r = config_from_flags(&s->arena, name, &flags, &s->gate, e);
	if (r == 0 && o->user)
		r = find_user(s, o->user_name, e);
	if (r == 0)
		r = supervisor_prepare(s, e);
	if (r == 0)
		s->lock = fd_take(&lock);
	return r;
}

static int run(int argc, char **argv)
{
	struct run_options o = { 0 };
	struct supervisor s = { 0 };
	int tty = -1, status;
	struct err e;
	int r;

	if (!parse(&s.arena, argc, argv, &o))
		return cli_wrong_flag(&verb_run);
	if (optind == argc && !o.dry)
		return cli_usage(&verb_run, "run needs a command, after --");
	if (!o.dry && !cli_may_make(&verb_run))
		return 1;
	if (!o.dry && front_stand(&tty, &status))
		return status;
	r = load(&s, &o, argv[optind], &e);
	s.child.tty = tty;
	if (r < 0)
		return cli_fail(r == -EINVAL ? EXIT_USAGE : 1, "%s", e.text);
	s.command = (const char *const *)argv + optind;
	r = o.dry ? cli_print_plan(&s, &e) : supervise(&s, &e);
	if (r < 0)
		return cli_fail(s.exit_status ? s.exit_status : 1, "%s", e.text);
	return s.exit_status;
}

const struct verb verb_run = {
	.name = "run",
	.flags = options,
	.shorts = "+p:n",
	.usage = "run [-p PORT]... [--vpn FILE]... [--name NAME] [--user[=USER]] "
		 "[--default WAY] [--reach PREFIX]... [--dry-run] -- COMMAND",
	.words = "a gate and a room for as long as COMMAND runs",
	.run = run,
};
