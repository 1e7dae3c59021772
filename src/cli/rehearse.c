/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/learn.h"
#include "daemon/observe.h"
#include "fib/conf.h"
#include "ui/rehearse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIMIT_S       60
#define LIMIT_MAX_S   3600
#define INTERRUPTED   130
#define SNAPSHOTS_MAX 16
#define METRIC6_ROUTE 1024 /* what ip-route(8) gives an IPv6 route */

/* What the verdicts need of a host. */
#define WANTED                                                                                     \
	(HOST_LINKS | HOST_ROUTES4 | HOST_ROUTES6 | HOST_RULES4 | HOST_RULES6 | HOST_SOCKETS |     \
	 HOST_SYSCTLS | HOST_CONTAINERS | HOST_DNS | HOST_FLOWS)

struct rehearse_options {
	const char *snapshots[SNAPSHOTS_MAX];
	size_t n_snapshots;
	struct push routes;
	const char *file;
	bool json;
	uint32_t limit_s;
};

static const struct option options[] = {
	{ "routes", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	{ "timeout", required_argument, NULL, 't' },
	{ "from-snapshot", required_argument, NULL, 's' },
	{ NULL, 0, NULL, 0 },
};

/* "172.16.0.0/12,fd00:16::/32"; blanks will do as well as commas. */
static int read_routes(struct arena *a, const char *words, struct push *push, struct err *e)
{
	static const char between[] = ", \t\n";

	for (words += strspn(words, between); *words; words += strspn(words, between)) {
		size_t n = strcspn(words, between);
		const char *word = arena_strndup(a, words, n);
		struct prefix p;

		words += n;
		if (!prefix_parse(word, true, &p))
			return err_set(
				e, EINVAL,
				"--routes: \"%s\" is no prefix: write it like 172.16.0.0/12 or "
				"fd00:16::/32",
				word);
		*arena_push(a, push->routes, push->n_routes, push->cap_routes) =
			(struct push_route){ .dst = p,
					     .metric = p.ip.family == AF_INET6 ? METRIC6_ROUTE
									       : 0 };
	}
	if (!push->n_routes)
		return err_set(e, EINVAL, "--routes: names no prefix");
	return 0;
}

static int read_flag(struct arena *a, int c, const char *s, struct rehearse_options *o,
		     struct err *e)
{
	if (c == 'r')
		return read_routes(a, s, &o->routes, e);
	if (c == 'j') {
		o->json = true;
	} else if (c == 't') {
		if (!str_to_u32(s, LIMIT_MAX_S, &o->limit_s) || !o->limit_s)
			return err_set(e, EINVAL, "--timeout: \"%s\": write seconds from 1 to %d",
				       s, LIMIT_MAX_S);
	} else if (o->n_snapshots < SNAPSHOTS_MAX) {
		o->snapshots[o->n_snapshots++] = s;
	} else {
		return err_set(e, EINVAL, "--from-snapshot %s is one too many; give at most %d", s,
			       SNAPSHOTS_MAX);
	}
	return 0;
}

/* Not 0: the exit status, and it was told why. */
static int parse(struct arena *a, int argc, char **argv, struct rehearse_options *ret)
{
	struct err e;
	int c;

	ret->limit_s = LIMIT_S;
	ret->routes = (struct push){ .link = "tun0", .tie = PUSH_IN_FRONT };
	while ((c = cli_flag(&verb_rehearse, argc, argv)) != -1) {
		if (c == '?')
			return cli_wrong_flag(&verb_rehearse);
		if (read_flag(a, c, optarg, ret, &e) < 0)
			return cli_fail(EXIT_USAGE, "%s", e.text);
	}
	ret->file = optind < argc ? argv[optind] : NULL;
	if (argc - optind > 1 || !ret->file == !ret->routes.n_routes)
		return cli_usage(&verb_rehearse, "rehearse takes one VPN file, or --routes");
	return 0;
}

/* --- the host ---------------------------------------------------------------------- */

static const struct link_conf *confs_of(struct arena *a, const struct host *h)
{
	struct link_conf *confs = arena_alloc(a, (h->net.n_links + 1) * sizeof(*confs));

	for (size_t i = 0; i < h->net.n_links; i++)
		if (!fib_link_conf(h, h->net.links[i].name, AF_INET, &confs[i]))
			return NULL;
	return confs;
}

static int look_at_host(struct arena *a, const struct rehearse_options *o, struct host *ret,
			struct err *e)
{
	struct text said CLEANUP_TEXT = { 0 };
	int r;

	if (o->n_snapshots)
		r = host_load(a, o->snapshots, o->n_snapshots, ret, e);
	else
		r = host_observe(a, NULL, WANTED, ret, &said, e);
	if (r == 0)
		host_missing(&said, o->n_snapshots ? o->snapshots[0] : "without root this host",
			     ret, WANTED);
	if (r == 0 && said.len)
		cli_fail(0, "%s", text_str(&said));
	return r;
}

static int learn(struct arena *a, const struct rehearse_options *o, const struct snapshot *host,
		 struct learned *ret, struct err *e)
{
	if (!o->file) {
		ret->push = o->routes;
		return 0;
	}
	return learn_push(a, o->file, host, (int)o->limit_s, ret, e);
}

/* --- the verb ----------------------------------------------------------------------- */

static void print_report(const struct rehearse_title *title, const struct clash_report *report,
			 bool json)
{
	struct text t CLEANUP_TEXT = { 0 };
	json_t *root;
	char *text;

	if (!json) {
		rehearse_text(&t, title, report);
		fputs(text_str(&t), stdout);
		return;
	}
	root = rehearse_json(title, report);
	text = json_dumps(root, JSON_INDENT(2));
	puts(text);
	free(text);
	json_decref(root);
}

static int rehearse(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rehearse_options o = { 0 };
	struct rehearse_title title = { 0 };
	struct clash_report report;
	struct clash_input in;
	struct host host = { 0 };
	struct learned learned = { 0 };
	struct err e;
	int r;

	r = parse(&a, argc, argv, &o);
	if (r)
		return r;
	if (o.file && !cli_may_make(&verb_rehearse))
		return 1;
	r = look_at_host(&a, &o, &host, &e);
	if (r == 0)
		r = learn(&a, &o, &host.net, &learned, &e);
	if (r < 0)
		return cli_fail(r == -EINVAL  ? EXIT_USAGE
				: r == -EINTR ? INTERRUPTED
					      : 1,
				"%s", e.text);
	in = clash_input_of(&host);
	in.confs = confs_of(&a, &host);
	in.push = &learned.push;
	clash_find(&a, &in, &report);
	title.file = o.file;
	title.learned = learned.how;
	title.partly = (host.parts & WANTED) != WANTED;
	print_report(&title, &report, o.json);
	return report.cut;
}

const struct verb verb_rehearse = {
	.name = "rehearse",
	.flags = options,
	.usage = "rehearse [--json] [--timeout SECONDS] [--from-snapshot FILE]... FILE | "
		 "--routes PREFIX,...",
	.words = "what a VPN would break on this host, before it does",
	.run = rehearse,
};
