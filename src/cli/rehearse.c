/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/learn.h"
#include "sys/files.h"
#include "sys/sock_diag.h"
#include "ui/rehearse.h"
#include "wire/containers.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCKER_CONF   "/etc/docker/daemon.json"
#define LIMIT_S       60
#define LIMIT_MAX_S   3600
#define CMDLINE_MAX   ((size_t)65536)
#define INTERRUPTED   130
#define METRIC6_ROUTE 1024 /* what ip-route(8) gives an IPv6 route */

struct rehearse_options {
	const char *routes;
	const char *file;
	bool json;
	uint32_t limit_s;
};

static const struct option options[] = {
	{ "routes", required_argument, NULL, 'r' },
	{ "json", no_argument, NULL, 'j' },
	{ "timeout", required_argument, NULL, 't' },
	{ NULL, 0, NULL, 0 },
};

static bool parse(int argc, char **argv, struct rehearse_options *ret)
{
	int c;

	ret->limit_s = LIMIT_S;
	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'r')
			ret->routes = optarg;
		else if (c == 'j')
			ret->json = true;
		else if (c != 't' || !str_to_u32(optarg, LIMIT_MAX_S, &ret->limit_s) ||
			 !ret->limit_s)
			return false;
	}
	if (optind < argc)
		ret->file = argv[optind++];
	return optind == argc;
}

/* "172.16.0.0/12,fd00:16::/32"; blanks will do as well as commas. */
static int read_routes(struct arena *a, const char *words, struct push *ret, struct err *e)
{
	static const char between[] = ", \t\n";
	struct push push = { .link = "tun0", .tie = PUSH_IN_FRONT };

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
		*arena_push(a, push.routes, push.n_routes, push.cap_routes) = (struct push_route){
			.dst = p, .metric = p.ip.family == AF_INET6 ? METRIC6_ROUTE : 0
		};
	}
	if (!push.n_routes)
		return err_set(e, EINVAL, "--routes: names no prefix");
	*ret = push;
	return 0;
}

/* --- this host as it is now ------------------------------------------------------ */

static bool has_engine(const struct snapshot *host, const char *engine)
{
	for (size_t i = 0; i < host->n_links; i++) {
		const char *of = clash_engine_of(host->links[i].name);

		if (of && str_eq(of, engine))
			return true;
	}
	return false;
}

/* What an engine is set to matters only where it is in use; a file that is wrong is told. */
static void find_pools(struct arena *a, struct clash_input *in)
{
	struct container_pool *docker = NULL, *podman = NULL, *all;
	size_t n_docker = 0, n_podman = 0, size = 0;
	const char *text = NULL;
	struct err e;
	int r = file_read(a, DOCKER_CONF, FILE_READ_MAX, &text, &size, &e);

	if (r == 0 || has_engine(in->host, "Docker"))
		r = containers_docker_pools(a, DOCKER_CONF, r == 0 ? text : NULL, size, &docker,
					    &n_docker, &e);
	if (r < 0 && r != -ENOENT)
		cli_fail(0, "%s", e.text);
	if (has_engine(in->host, "Podman"))
		containers_podman_pools(a, &podman, &n_podman);
	all = arena_alloc(a, sizeof(*all) * (n_docker + n_podman + 1));
	if (n_docker)
		memcpy(all, docker, n_docker * sizeof(*all));
	if (n_podman)
		memcpy(all + n_docker, podman, n_podman * sizeof(*all));
	in->pools = all;
	in->n_pools = n_docker + n_podman;
}

/* docker-proxy's sockets stand for the containers behind them. */
static void find_published(struct arena *a, struct clash_input *in, struct socket_seen *sockets)
{
	struct container_port *ports = NULL;
	size_t n = 0, cap = 0, kept = 0, size;
	const char *cmdline;
	struct err e;

	for (size_t i = 0; i < in->n_sockets; i++) {
		struct container_port p;

		if (str_eq(sockets[i].process, "docker-proxy") &&
		    file_read(a, arena_printf(a, "/proc/%d/cmdline", sockets[i].pid), CMDLINE_MAX,
			      &cmdline, &size, &e) == 0 &&
		    containers_proxy(cmdline, size, &p)) {
			if (sockets[i].state == SOCKET_LISTENS)
				*arena_push(a, ports, n, cap) = p;
			continue;
		}
		sockets[kept++] = sockets[i];
	}
	in->sockets = sockets;
	in->n_sockets = kept;
	in->publish = ports;
	in->n_publish = n;
}

/* "172.16.9.20 51022 172.16.5.10 22"; sudo(8) takes it away, then the process tree must do. */
static void find_session(struct clash_input *in)
{
	const char *words = getenv("SSH_CONNECTION");
	char peer[IP_TEXT_SIZE], *percent;
	unsigned int port;

	if (!words || sscanf(words, "%45s %u", peer, &port) != 2 || port > UINT16_MAX)
		return;
	percent = strchr(peer, '%');
	if (percent)
		*percent = 0;
	if (ip_parse(peer, &in->ssh_peer))
		in->ssh_peer_port = (uint16_t)port;
}

static int look_at_host(struct arena *a, struct snapshot *host, struct clash_input *in,
			struct err *e)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct socket_seen *sockets;
	struct ip *dns = arena_alloc(a, sizeof(*dns) * RESOLV_SERVERS_MAX);
	int r = rtnl_open(-1, &rtnl, e);

	if (r == 0)
		r = rtnl_snapshot(rtnl, a, host, e);
	if (r == 0)
		r = sock_diag_list(a, -1, &sockets, &in->n_sockets, e);
	if (r < 0)
		return r;
	in->host = host;
	in->dns = dns;
	in->n_dns = resolv_host_servers(a, dns);
	find_published(a, in, sockets);
	find_pools(a, in);
	find_session(in);
	return 0;
}

static int learn(struct arena *a, const struct rehearse_options *o, const struct snapshot *host,
		 struct push *ret, const char **ret_how, struct err *e)
{
	struct text said CLEANUP_TEXT = { 0 };
	int r;

	if (o->routes)
		return read_routes(a, o->routes, ret, e);
	r = learn_push(a, o->file, host, (int)o->limit_s, ret, ret_how, &said, e);
	if (r < 0)
		fputs(text_str(&said), stderr);
	return r;
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
	struct clash_input in = { 0 };
	struct snapshot host = { 0 };
	struct push push = { 0 };
	struct err e;
	int r;

	if (!parse(argc, argv, &o))
		return cli_usage(&verb_rehearse, "wrong flag or argument");
	if (!o.file == !o.routes)
		return cli_usage(&verb_rehearse, "rehearse takes a VPN file or --routes");
	if (o.file && !cli_is_root(&verb_rehearse))
		return 1;
	r = look_at_host(&a, &host, &in, &e);
	if (r == 0)
		r = learn(&a, &o, &host, &push, &title.learned, &e);
	if (r < 0)
		return cli_fail(r == -EINVAL  ? EXIT_USAGE
				: r == -EINTR ? INTERRUPTED
					      : 1,
				"%s", e.text);
	in.push = &push;
	clash_find(&a, &in, &report);
	title.file = o.file;
	print_report(&title, &report, o.json);
	return report.cut;
}

const struct verb verb_rehearse = {
	.name = "rehearse",
	.usage = "rehearse [--json] [--timeout SECONDS] FILE | --routes PREFIX,...",
	.words = "what a VPN would break on this host, before it does",
	.run = rehearse,
};
