/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input as a request to the network driver, in pieces whose size its first
 * byte says; what is in it as a request of Docker's, and as the files and lists
 * that the driver and a supervisor read.  What was read is written and read again.
 */
#include "base/text.h"
#include "wire/http.h"
#include "wire/netdriver_ports.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_sandbox(const char *text, size_t size)
{
	static struct door doors[] = { { .name = "lan" }, { .name = "office" } };
	const struct gate g = { .name = "office", .doors = doors, .n_doors = 2 };
	struct arena a CLEANUP_ARENA = { 0 };
	struct sandbox_file f, again;
	struct publish *ports;
	const char *written;
	struct room room;
	struct err e;
	size_t n;

	if (sandbox_read(&a, "file", text, size, &f, &e) < 0)
		return;
	written = sandbox_write(&a, &f);
	if (sandbox_read(&a, "file", written, strlen(written), &again, &e) < 0 ||
	    !str_eq(written, sandbox_write(&a, &again)))
		abort();
	if (sandbox_room(&a, &g, &f, &room, &ports, &n, &e) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		if (ports[i].door >= g.n_doors || !ports[i].door_port || !ports[i].by_gate)
			abort();
}

static void as_network(struct arena *a, const struct netdriver_network *n)
{
	const char *text = netdriver_network_write(a, n);
	struct netdriver_network again;
	struct err e;

	if (netdriver_network_read(a, "file", text, strlen(text), &again, &e) < 0 ||
	    !str_eq(text, netdriver_network_write(a, &again)))
		abort();
}

static bool has_address(void *ctx, const struct ip *ip)
{
	(void)ctx;
	return ip->byte[3] & 1;
}

static bool is_free(void *ctx, uint8_t proto, const struct ip *host, uint16_t port)
{
	(void)ctx;
	return ((port ^ proto) & 1) == (host->byte[0] & 1);
}

static void as_request(const char *text, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct sandbox_words words = { 0 };
	struct sandbox s = { .container = "", .network = "" };
	const struct netdriver_host h = { has_address, is_free, NULL };
	struct netdriver_request q;
	struct netdriver_network n;
	struct err e;

	if (netdriver_read(&a, text, size, &q, &e) < 0 || netdriver_network(&a, &q, &n, &e) < 0)
		return;
	as_network(&a, &n);
	s.address4 = q.address4;
	s.gateway4 = q.address4;
	(void)!netdriver_ports(&a, &n, &q, &h, &words, &e);
	(void)!netdriver_words(&a, &n, q.publish, &h, &words, &e);
	for (size_t i = 0; i < words.n; i++) {
		struct publish p;
		const char *door;

		if (sandbox_publish(&a, words.items[i], &p, &door, &e) < 0 || !p.door_port)
			abort(); /* what is written must be read */
	}
	if (!*netdriver_created(&a, &q, &s) || !*netdriver_joined(&a, &n, &s, "link"))
		abort();
}

static void as_the_rest(const char *text, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_container c;
	struct netdriver_gate g;
	struct netdriver_network n;
	const char *label;
	struct err e;

	if (netdriver_network_read(&a, "file", text, size, &n, &e) == 0)
		as_network(&a, &n);
	if (netdriver_find(&a, text, size, "e", &c) && (!c.name || !c.image))
		abort();
	(void)!netdriver_image_label(&a, text, size, &label, &e);
	if (netdriver_read_gate(&a, text, size, &g, &e) == 0 && !g.net4.len)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_reader http CLEANUP_HTTP = { .is_request = true };
	struct text body CLEANUP_TEXT = { 0 };
	size_t step = size ? data[0] + 1U : 1;
	int r = 0;
	struct err e;

	for (size_t at = 1; r == 0 && at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		char *piece = malloc(n);

		if (!piece)
			return 0;
		memcpy(piece, data + at, n);
		r = http_feed(&http, piece, n, &body, &e);
		free(piece);
	}
	if (r == 0 && http.part == HTTP_DONE) {
		if (http.path[0] != '/' || !http.method[0])
			abort();
		as_request(text_str(&body), body.len);
	}
	as_request((const char *)data, size);
	as_sandbox((const char *)data, size);
	as_the_rest((const char *)data, size);
	return 0;
}
