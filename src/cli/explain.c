/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/cli.h"

#include "daemon/attach.h"
#include "daemon/forwarded.h"
#include "daemon/observe.h"
#include "daemon/owner.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "ui/explain.h"
#include "wire/ip_words.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PARTS (HOST_ALL & ~(uint32_t)(HOST_DNS | HOST_NEXTHOPS))

struct explain_options {
	const char *gate;
	const char **snapshots;
	size_t n_snapshots, cap_snapshots;
	bool json;
	struct explain_query query;
};

/* A namespace that is looked into, and what was seen there. */
struct view {
	struct host host;
	int fd; /* -1: the caller's own, or none at all */
};

/* --- what was asked --------------------------------------------------------------- */

static const struct option options[] = {
	{ "gate", required_argument, NULL, 'g' },
	{ "snapshot", required_argument, NULL, 's' },
	{ "iif", required_argument, NULL, 'i' },
	{ "mark", required_argument, NULL, 'm' },
	{ "uid", required_argument, NULL, 'u' },
	{ "tos", required_argument, NULL, 't' },
	{ "client-port", required_argument, NULL, 'c' },
	{ "json", no_argument, NULL, 'j' },
	{ NULL, 0, NULL, 0 },
};

static int number(const char *flag, const char *s, uint32_t max, uint32_t *ret, struct err *e)
{
	uint32_t n;

	if (!ip_number(s, &n) || n > max)
		return err_set(e, EINVAL, "--%s: \"%s\" is no number from 0 to %u", flag, s, max);
	*ret = n;
	return 0;
}

static int read_flag(struct arena *a, int c, const char *s, struct explain_options *o,
		     struct err *e)
{
	struct explain_query *q = &o->query;
	uint32_t n = 0;
	int r = 0;

	if (c == 'g') {
		o->gate = s;
	} else if (c == 's') {
		*arena_push(a, o->snapshots, o->n_snapshots, o->cap_snapshots) = s;
	} else if (c == 'i') {
		q->iif = s;
	} else if (c == 'j') {
		o->json = true;
	} else if (c == 'm') {
		r = number("mark", s, UINT32_MAX, &q->mark, e);
		q->has_mark = true;
	} else if (c == 'u') {
		r = number("uid", s, UINT32_MAX - 1, &q->uid, e);
		q->has_uid = true;
	} else if (c == 't') {
		r = number("tos", s, UINT8_MAX, &n, e);
		q->tos = (uint8_t)n;
		q->has_tos = true;
	} else {
		r = number("client-port", s, UINT16_MAX, &n, e);
		q->client_port = (uint16_t)n;
	}
	return r;
}

static bool is_group(const struct ip *ip)
{
	return ip->family == AF_INET ? ip->byte[0] >= 224 : ip->byte[0] == 0xff;
}

static int read_address(const char *word, struct ip *ret, struct err *e)
{
	if (!ip_parse(word, ret))
		return err_set(e, EINVAL,
			       "\"%s\" is no address: write it like 172.16.9.20 or fd00::20", word);
	if (ip_is_any(ret) || is_group(ret))
		return err_set(e, EINVAL, "%s is no single host's address", word);
	return 0;
}

/* "fe80::20%eth0" says by which link, too. */
static int read_client(struct arena *a, const char *word, struct explain_query *q, struct err *e)
{
	const char *percent = strchr(word, '%');

	if (percent && !q->iif)
		q->iif = percent + 1;
	return read_address(percent ? arena_strndup(a, word, (size_t)(percent - word)) : word,
			    &q->client, e);
}

/* "172.16.5.10:22", "[fd00::10]:22", or either without a port. */
static int read_server(struct arena *a, const char *word, struct explain_query *q, struct err *e)
{
	const char *colon = strrchr(word, ':'), *address = word;
	struct ip plain;
	uint32_t port;

	if (*word == '[') {
		const char *end = strchr(word, ']');

		if (!end || (end[1] && end[1] != ':'))
			return err_set(e, EINVAL, "\"%s\": write it like [fd00::10]:22", word);
		address = arena_strndup(a, word + 1, (size_t)(end - word - 1));
		colon = end[1] ? end + 1 : NULL;
	} else if (ip_parse(word, &plain)) {
		colon = NULL;
	} else if (colon) {
		address = arena_strndup(a, word, (size_t)(colon - word));
	}
	if (colon && (!str_to_u32(colon + 1, UINT16_MAX, &port) || !port))
		return err_set(e, EINVAL, "\"%s\": \"%s\" is no port from 1 to 65535", word,
			       colon + 1);
	if (colon)
		q->port = (uint16_t)port;
	return read_address(address, &q->server, e);
}

static int read_proto(const char *word, struct explain_query *q, struct err *e)
{
	bool v6 = q->server.family == AF_INET6;

	if (!word)
		word = q->port ? "tcp" : "icmp";
	if (str_eq(word, "tcp"))
		q->proto = IPPROTO_TCP;
	else if (str_eq(word, "udp"))
		q->proto = IPPROTO_UDP;
	else if (str_eq(word, "icmp"))
		q->proto = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
	else
		return err_set(e, EINVAL, "\"%s\" is none of tcp, udp and icmp", word);
	if (q->proto != IPPROTO_TCP && q->proto != IPPROTO_UDP && q->port)
		return err_set(e, EINVAL, "icmp has no ports: leave out :%u", q->port);
	if ((q->proto == IPPROTO_TCP || q->proto == IPPROTO_UDP) && !q->port)
		return err_set(e, EINVAL, "%s needs a port: write it behind the server's address",
			       word);
	return 0;
}

static int read_words(struct arena *a, int argc, char **argv, struct explain_query *q,
		      struct err *e)
{
	int r = read_client(a, argv[0], q, e);

	if (r == 0)
		r = read_server(a, argv[1], q, e);
	if (r == 0 && q->client.family != q->server.family)
		r = err_set(e, EINVAL, "%s and %s are of different families", argv[0], argv[1]);
	if (r == 0)
		r = read_proto(argc > 2 ? argv[2] : NULL, q, e);
	return r;
}

/* --- where it is looked for ----------------------------------------------------------- */

static void close_views(struct view (*views)[EXPLAIN_PLACES_MAX])
{
	for (size_t i = 0; i < EXPLAIN_PLACES_MAX; i++)
		fd_close(&(*views)[i].fd);
}
#define CLEANUP_VIEWS __attribute__((cleanup(close_views)))

static int look_at(struct arena *a, struct view *v, const char *name, sa_family_t family,
		   struct explain_place *ret, struct err *e)
{
	const char *path = v->fd < 0 ? NULL : arena_printf(a, "/proc/self/fd/%d", v->fd);
	struct text said CLEANUP_TEXT = { 0 };
	int r = host_observe(a, path, PARTS, &v->host, &said, e);

	if (r < 0)
		return r;
	if (said.len)
		cli_fail(0, "%s", text_str(&said));
	explain_place_of(a, &v->host, family, ret);
	if (name && !(ret->gate && snapshot_link_by_name(ret->net, "lan")))
		ret->name = name;
	return 0;
}

/* What to call it, and what a person types to be there. */
static void name_place(struct arena *a, const char *word, const char **ret_name,
		       const char **ret_enter)
{
	struct err unused;
	uint32_t pid;
	int fd CLEANUP_FD = -1;

	if (strchr(word, '/')) {
		*ret_name = arena_printf(a, "namespace %s", word);
		*ret_enter = arena_printf(a, "nsenter --net=%s ", word);
	} else if (str_to_u32(word, INT32_MAX, &pid) && netns_open(word, &fd, &unused) < 0) {
		*ret_name = arena_printf(a, "process %s", word);
		*ret_enter = arena_printf(a, "nsenter -t %s -n ", word);
	} else {
		*ret_name = arena_printf(a, "namespace %s", word);
		*ret_enter = arena_printf(a, "nsenter --net=" NETNS_DIR "/%s ", word);
	}
}

static int open_container(struct arena *a, const char *word, struct view *v,
			  struct explain_place *p, struct err *e)
{
	struct attach_target t CLEANUP_TARGET = ATTACH_TARGET_NONE;
	int r = attach_target_find(a, word, NULL, &t, e);

	if (r == -ENOENT)
		return err_set(
			e, ENOENT,
			"there is no gate, namespace, process or container \"%s\"; `sallyport "
			"status`, `ip netns` and `docker ps` list them",
			word);
	if (r < 0)
		return r;
	p->name = t.label;
	p->enter = arena_printf(a, "nsenter -t %d -n ", t.pid);
	v->fd = fd_take(&t.fd);
	return 0;
}

static int open_place(struct arena *a, const char *word, struct view *v, struct explain_place *p,
		      struct err *e)
{
	int r = netns_open_place(word, &v->fd, e);

	name_place(a, word, &p->name, &p->enter);
	if (r == -ENOENT || r == -ESRCH)
		r = open_container(a, word, v, p, e);
	return r;
}

static int begin_live(struct arena *a, const struct explain_options *o, struct view *v,
		      struct explain_place *p, struct err *e)
{
	sa_family_t family = o->query.client.family;
	struct explain_place named = { .enter = "" };
	int r = 0;

	if (o->gate && !str_eq(o->gate, "host"))
		r = open_place(a, o->gate, v, &named, e);
	if (r == 0)
		r = look_at(a, v, named.name, family, p, e);
	if (r < 0)
		return r;
	p->enter = named.enter;
	if (!p->gate && named.name)
		p->attach = strchr(o->gate, '/') || *named.name != 'n'
				    ? o->gate
				    : arena_printf(a, NETNS_DIR "/%s", o->gate);
	/* A gate's published port is asked for on an address of the host: begin there. */
	if (!p->gate || snapshot_has_address(p->net, &o->query.server))
		return 0;
	fd_close(&v->fd);
	return look_at(a, v, NULL, family, p, e);
}

static int begin_snapshot(struct arena *a, const struct explain_options *o, struct view *v,
			  struct explain_place *p, struct err *e)
{
	int r = host_load(a, o->snapshots, o->n_snapshots, &v->host, e);

	if (r < 0)
		return r;
	explain_place_of(a, &v->host, o->query.client.family, p);
	if (!p->gate)
		p->name = arena_printf(a, "%s%s%s", o->snapshots[0], *v->host.name ? " of " : "",
				       v->host.name);
	return 0;
}

/* Where the request goes on to; 0 if that cannot be looked into. */
static int look_on(struct arena *a, struct explain_input *in, struct view *v,
		   const struct explain_report *report, struct err *e)
{
	struct explain_place *p = &in->places[in->n_places];
	sa_family_t family = in->query.client.family;
	char ip[IP_TEXT_SIZE];
	int pid, r;

	if (report->more) {
		r = netns_open(report->more, &v->fd, e);
		if (r == 0)
			r = look_at(a, v, report->more_name, family, p, e);
		return r < 0 ? err_wrap(e, r, "%s", report->more_name) : 1;
	}
	pid = owner_find(report->more_ip, &v->fd);
	if (!pid)
		return 0;
	r = look_at(a, v, arena_printf(a, "container %s", ip_text(report->more_ip, ip)), family, p,
		    e);
	p->enter = arena_printf(a, "nsenter -t %d -n ", pid);
	p->attach = arena_printf(a, "%d", pid);
	return r < 0 ? r : 1;
}

/* Looks into gate, room and container where the way leads there. */
static int follow(struct arena *a, struct explain_input *in, struct view *views,
		  struct explain_report *report, bool live, struct err *e)
{
	int r;

	explain(a, in, report);
	while (live && (report->more || report->more_ip) && in->n_places < EXPLAIN_PLACES_MAX) {
		r = look_on(a, in, &views[in->n_places], report, e);
		if (r <= 0)
			return r;
		in->n_places++;
		explain(a, in, report);
	}
	return 0;
}

/* What a firewall here does to a request that goes on from here; NULL: nothing. */
static const char *firewall_says(struct arena *a, const struct explain_input *in,
				 const struct explain_report *report)
{
	const struct explain_leg *leg = &report->legs[0];
	struct forwarded f = { .client = in->query.client };
	const char *words = NULL;
	struct err e;

	if (!report->n_legs || leg->reply || !leg->in || !leg->out || geteuid() != 0)
		return NULL;
	f.to = leg->flow.dst;
	f.rewritten = !ip_equal(&f.to, &in->query.server);
	f.in = leg->in->name;
	f.out = leg->out->name;
	return forwarded_check(a, &f, &words, &e) == 0 ? words : NULL;
}

static int check_iif(const struct explain_input *in, struct err *e)
{
	const struct snapshot *net = in->places[0].net;
	struct text t CLEANUP_TEXT = { 0 };

	if (!in->query.iif || snapshot_link_by_name(net, in->query.iif))
		return 0;
	for (size_t i = 0; i < net->n_links && i < 20; i++)
		text_addf(&t, " %s", net->links[i].name);
	return err_set(e, EINVAL, "there is no interface \"%s\" in %s; it has%s", in->query.iif,
		       in->places[0].name, text_str(&t));
}

/* --- the verb ------------------------------------------------------------------------------ */

static void print_report(const struct explain_report *report, const char *firewall, bool json)
{
	struct text t CLEANUP_TEXT = { 0 };
	json_t *root;
	char *text;

	if (!json) {
		explain_text(&t, report);
		if (firewall)
			text_addf(&t, "\nThe request does not get there: %s\n", firewall);
		fputs(text_str(&t), stdout);
		return;
	}
	root = explain_json(report);
	if (firewall)
		json_object_set_new(root, "firewall", json_string(firewall));
	text = json_dumps(root, JSON_INDENT(2));
	puts(text);
	free(text);
	json_decref(root);
}

static int answer(struct arena *a, const struct explain_options *o, struct err *e)
{
	struct view views[EXPLAIN_PLACES_MAX] CLEANUP_VIEWS = { { .fd = -1 },
								{ .fd = -1 },
								{ .fd = -1 } };
	struct explain_input in = { .query = o->query, .n_places = 1 };
	struct explain_report report;
	const char *firewall = NULL;
	int r;

	if (o->n_snapshots)
		r = begin_snapshot(a, o, &views[0], &in.places[0], e);
	else
		r = begin_live(a, o, &views[0], &in.places[0], e);
	if (r == 0)
		r = check_iif(&in, e);
	if (r == 0)
		r = follow(a, &in, views, &report, !o->n_snapshots, e);
	if (r < 0)
		return r;
	if (!o->n_snapshots && !o->gate)
		firewall = firewall_says(a, &in, &report);
	print_report(&report, firewall, o->json);
	return report.verdict == EXPLAIN_SAME_DOOR && !firewall ? 0 : 1;
}

static int run(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct explain_options o = { 0 };
	struct err e;
	int c, r;

	while ((c = cli_flag(&verb_explain, argc, argv)) != -1) {
		if (c == '?')
			return cli_wrong_flag(&verb_explain);
		if (read_flag(&a, c, optarg, &o, &e) < 0)
			return cli_fail(EXIT_USAGE, "%s", e.text);
	}
	if (argc - optind < 2 || argc - optind > 3)
		return cli_usage(&verb_explain, "explain takes a client's and a server's address");
	if (o.gate && o.n_snapshots)
		return cli_usage(&verb_explain,
				 "a snapshot is of one namespace: no --gate with it");
	if (read_words(&a, argc - optind, argv + optind, &o.query, &e) < 0)
		return cli_fail(EXIT_USAGE, "%s", e.text);
	r = answer(&a, &o, &e);
	return r < 0 ? cli_fail(r == -EINVAL ? EXIT_USAGE : 1, "%s", e.text) : r;
}

const struct verb verb_explain = {
	.name = "explain",
	.flags = options,
	.usage =
		"explain [--gate GATE|PID|CONTAINER|PATH | --snapshot FILE] [--iif INTERFACE] "
		"[--mark MARK] [--uid UID] [--tos TOS] [--client-port PORT] [--json] CLIENT SERVER[:PORT] [tcp|udp|icmp]",
	.words = "which way a request comes in and its reply goes out, and why",
	.run = run,
};
