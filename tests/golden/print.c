/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prints what the pure rings make of a file, for test_golden.py:
 *
 *	golden-print nft-host|nft-gate FILE.conf	nft text of one gate
 *	golden-print status FILE.json			the table of `sallyport status`
 *	golden-print explain CLIENT SERVER PORT PROTO FILE.json...
 *							what explain says of these places
 *
 * What the supervisor would have observed is made up here, always the same.
 */
#include "base/text.h"
#include "plan/plan.h"
#include "ui/explain.h"
#include "ui/status.h"
#include "wire/config.h"
#include "wire/host_json.h"

#include <linux/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int die(const char *words)
{
	fprintf(stderr, "golden-print: %s\n", words);
	return 1;
}

static const char *read_file(struct arena *a, const char *path, size_t *ret_size)
{
	char *text = arena_alloc(a, 65536);
	FILE *f = fopen(path, "re");

	if (!f)
		return NULL;
	*ret_size = fread(text, 1, 65535, f);
	fclose(f);
	return text;
}

static int read_door(struct arena *a, struct door *d, struct plan_door *facts)
{
	struct plan_server *servers = arena_alloc(a, sizeof(*servers) * d->n_servers);
	struct wg_conf *wg = arena_new(a, struct wg_conf);
	const char *text;
	struct err e;
	size_t size;

	facts->interface = d->interface ? d->interface : d->name;
	facts->mtu = 1400;
	facts->servers = servers;
	facts->n_servers = d->n_servers;
	for (size_t i = 0; i < d->n_servers; i++) {
		servers[i].port = d->servers[i].port;
		servers[i].proto = d->servers[i].proto;
		if (!ip_parse(d->servers[i].host, &servers[i].ip)) /* what a name resolves to */
			ip_parse("192.0.2.77", &servers[i].ip);
	}
	if (!d->vpn)
		return 0;
	text = read_file(a, d->vpn, &size);
	if (!text || config_vpn_kind(d->vpn, text, size, &d->kind, &e) < 0)
		return die(text ? e.text : d->vpn);
	if (d->kind != DOOR_WIREGUARD)
		return 0;
	if (wgconf_read(a, d->vpn, text, size, wg, &e) < 0)
		return die(e.text);
	facts->wg = wg;
	return 0;
}

static int print_nft(struct arena *a, bool host, const char *path)
{
	static const struct plan_sysctl before[] = {
		{ "ipv4/ip_forward", "0" },
		{ "ipv4/conf/eth0/forwarding", "0" },
	};
	struct plan_facts facts = {
		.slot = slot_of(4), .ipv6 = true, .before = before, .n_before = ARRAY_LEN(before)
	};
	struct gate gate;
	const char *text;
	struct err e;
	size_t size;

	text = read_file(a, path, &size);
	if (!text || config_read(a, "office", path, text, size, &gate, &e) < 0)
		return die(text ? e.text : path);
	facts.doors = arena_alloc(a, sizeof(*facts.doors) * gate.n_doors);
	for (size_t i = 1; i < gate.n_doors; i++)
		if (read_door(a, &gate.doors[i], &facts.doors[i]))
			return 1;
	fputs(host ? plan_nft_host(a, &gate, &facts) : plan_nft_gate(a, &gate, &facts), stdout);
	return 0;
}

static int print_status(const char *path)
{
	struct text t CLEANUP_TEXT = { 0 };
	json_error_t problem;
	json_t *root = json_load_file(path, 0, &problem);

	if (!root)
		return die(problem.text);
	status_text(&t, json_object_get(root, "gates"));
	fputs(text_str(&t), stdout);
	json_decref(root);
	return 0;
}

static int read_place(struct arena *a, const char *path, sa_family_t family,
		      struct explain_place *ret)
{
	struct host *h = arena_new(a, struct host);
	const char *text;
	struct json_in j;
	struct err e;
	size_t size;

	text = read_file(a, path, &size);
	if (!text)
		return die(path);
	json_in_start(&j, a, path, text, size, &e);
	if (!host_json_read(&j, h))
		return die(e.text);
	explain_place_of(a, h, family, ret);
	return 0;
}

static int print_explain(struct arena *a, int argc, char **argv)
{
	struct explain_input in = { .query.proto = str_eq(argv[3], "udp") ? IPPROTO_UDP
									  : IPPROTO_TCP };
	struct text t CLEANUP_TEXT = { 0 };
	struct explain_report report;
	uint32_t port;

	if (!ip_parse(argv[0], &in.query.client) || !ip_parse(argv[1], &in.query.server) ||
	    !str_to_u32(argv[2], UINT16_MAX, &port))
		return die("wrong address or port");
	in.query.port = (uint16_t)port;
	for (int i = 4; i < argc && in.n_places < EXPLAIN_PLACES_MAX; i++)
		if (read_place(a, argv[i], in.query.client.family, &in.places[in.n_places++]))
			return 1;
	explain(a, &in, &report);
	explain_text(&t, &report);
	fputs(text_str(&t), stdout);
	return report.verdict != EXPLAIN_SAME_DOOR;
}

int main(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };

	if (argc == 3 && str_eq(argv[1], "status"))
		return print_status(argv[2]);
	if (argc == 3 && (str_eq(argv[1], "nft-host") || str_eq(argv[1], "nft-gate")))
		return print_nft(&a, str_eq(argv[1], "nft-host"), argv[2]);
	if (argc > 6 && str_eq(argv[1], "explain"))
		return print_explain(&a, argc - 2, argv + 2);
	return die("nft-host, nft-gate or status, and a file");
}
