/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Explanations on whatever `sallyport snapshot` may say: one to three documents,
 * of host, gate and room, with our nft tables in them.
 */
#include "base/text.h"
#include "ui/explain.h"
#include "wire/host_json.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void ask(struct arena *a, struct explain_input *in, const struct ip *server, uint16_t port,
		uint8_t proto)
{
	struct text t CLEANUP_TEXT = { 0 };
	struct explain_report report;

	in->query.server = *server;
	in->query.client = ip_plus(server, 777);
	in->query.port = port;
	in->query.proto = proto;
	explain(a, in, &report);
	explain_text(&t, &report);
	json_decref(explain_json(&report));
}

static void ask_all(struct arena *a, struct explain_input *in, const struct host *hosts)
{
	static const struct ip elsewhere = { AF_INET, { 192, 0, 2, 1 } };

	ask(a, in, &elsewhere, 80, IPPROTO_TCP);
	for (size_t i = 0; i < hosts[0].net.n_addresses && i < 4; i++) {
		const struct ip *ip = &hosts[0].net.addresses[i].local;

		if (ip_is_none(ip))
			continue;
		for (size_t p = 0; p < in->n_places; p++)
			explain_place_of(a, &hosts[p], ip->family, &in->places[p]);
		ask(a, in, ip, 80, IPPROTO_TCP);
		ask(a, in, ip, 53, IPPROTO_UDP);
		ask(a, in, ip, 0, ip->family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP);
	}
	if (hosts[0].net.n_links)
		in->query.iif = hosts[0].net.links[hosts[0].net.n_links - 1].name;
	ask(a, in, &elsewhere, 80, IPPROTO_TCP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct host hosts[EXPLAIN_PLACES_MAX];
	struct explain_input in = { 0 };
	char *copy = malloc(size + 1);
	struct json_in j;
	struct err e;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	json_in_start(&j, &a, "f", copy, size, &e);
	while (in.n_places < EXPLAIN_PLACES_MAX && json_in_next(&j) == JSON_IN_OBJECT &&
	       host_json_read(&j, &hosts[in.n_places])) {
		struct host *h = &hosts[in.n_places];

		host_bar_unknown(&a, h);
		explain_place_of(&a, h, AF_INET, &in.places[in.n_places++]);
	}
	if (in.n_places)
		ask_all(&a, &in, hosts);
	free(copy);
	return 0;
}
