/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The input as an engine's answer, in pieces whose size its first byte says;
 * what is in it as a container, a list, an event, an error
 * and the state of an OCI runtime.
 */
#include "wire/engine.h"
#include "wire/http.h"
#include "wire/oci.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_body(const char *text, size_t size)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct engine_container c;
	struct engine_listed *list;
	struct engine_event event;
	struct oci_state oci;
	const char *like;
	struct err e;
	size_t n;

	if (engine_read_container(&a, text, size, &c, &e) == 0 && (!*c.id || c.pid < 0))
		abort();
	if (engine_read_list(&a, text, size, &list, &n, &e) == 0)
		for (size_t i = 0; i < n; i++)
			if (!list[i].id || !list[i].name || !list[i].network_mode)
				abort();
	if (engine_read_event(&a, text, size, &event, &e) == 0 && (!event.type || !event.name))
		abort();
	if (engine_write_like(&a, text, size, "new", &like, &e) == 0 && !*like)
		abort();
	if (oci_read_state(&a, text, size, &oci, &e) == 0 && (oci.pid <= 0 || !oci.id))
		abort();
	(void)engine_read_message(&a, text, size);
	(void)engine_read_id(&a, text, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_reader http CLEANUP_HTTP = { 0 };
	struct text body CLEANUP_TEXT = { 0 };
	size_t step = size ? data[0] + 1U : 1;
	struct err e;

	for (size_t at = 1; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;
		char *piece = malloc(n);
		int r;

		if (!piece)
			return 0;
		memcpy(piece, data + at, n);
		r = http_feed(&http, piece, n, &body, &e);
		free(piece);
		if (r < 0)
			return 0;
	}
	if (body.len > HTTP_BODY_MAX)
		abort();
	if (http_end(&http, &e) == 0)
		read_body(text_str(&body), body.len);
	else
		read_body((const char *)data, size);
	return 0;
}
