/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "must.h"
#include "wire/config.h"

#include <string.h>

/* What is read is written for `wg setconf` and must read the same again. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same_or_none(const char *a, const char *b)
{
	return a && b ? str_eq(a, b) : a == b;
}

static void check_peer(const struct wg_peer *a, const struct wg_peer *b)
{
	must(str_eq(a->public_key, b->public_key));
	must(same_or_none(a->preshared_key, b->preshared_key));
	must(same_or_none(a->endpoint_host, b->endpoint_host));
	must(a->endpoint_port == b->endpoint_port);
	must(a->keepalive == b->keepalive);
	must(a->n_allowed == b->n_allowed);
	for (size_t i = 0; i < a->n_allowed; i++)
		must(prefix_equal(&a->allowed[i], &b->allowed[i]));
}

static void check_again(struct arena *a, const struct wg_conf *conf)
{
	static const char start[] = "[Interface]\n";
	const char **endpoints = arena_alloc(a, (conf->n_peers + 1) * sizeof(*endpoints));
	struct wg_conf again;
	const char *text;
	struct err e;

	for (size_t i = 0; i < conf->n_peers; i++)
		endpoints[i] = conf->peers[i].endpoint_host;
	text = wgconf_setconf(a, conf, endpoints, 1);
	must(str_starts(text, start));
	text = arena_printf(a, "%sAddress = 10.0.0.1\n%s", start, text + strlen(start));
	/* A prefix a line makes it longer than what it was read from. */
	if (strlen(text) > (size_t)1024 * 1024)
		return;
	must(wgconf_read(a, "again", text, strlen(text), &again, &e) == 0);
	must(str_eq(again.private_key, conf->private_key));
	must(again.listen_port == conf->listen_port);
	must(again.n_peers == conf->n_peers);
	for (size_t i = 0; i < conf->n_peers; i++)
		check_peer(&conf->peers[i], &again.peers[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena a = { 0 };
	struct wg_conf conf;
	struct err e;

	if (wgconf_read(&a, "f", (const char *)data, size, &conf, &e) < 0) {
		must_be_told_of("f:", &e);
		return 0;
	}
	must(conf.private_key && conf.n_addresses);
	check_again(&a, &conf);
	return 0;
}
