/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_HTTP_H
#define WIRE_HTTP_H

#include "base/arena.h"
#include "base/err.h"
#include "base/text.h"

#include <stdint.h>

/*
 * HTTP/1.1 (RFC 9112) as a client of a container engine speaks it, and as the
 * engine speaks to a plugin of its: one request, one answer, of a given length,
 * in chunks, or (an answer) until the connection ends.  What comes is not
 * trusted: heads and bodies have a greatest size.
 */

#define HTTP_HEAD_MAX ((size_t)64 * 1024)
#define HTTP_BODY_MAX ((size_t)16 * 1024 * 1024)

#define HTTP_METHOD_SIZE 16
#define HTTP_PATH_SIZE   256

enum http_part {
	HTTP_STATUS,
	HTTP_HEADERS,
	HTTP_BODY,
	HTTP_CHUNK,
	HTTP_CHUNK_END,
	HTTP_TRAILER,
	HTTP_DONE
};

/* Zero before the first byte; http_reader_free() at the end. */
struct http_reader {
	enum http_part part;
	bool is_request; /* set by who reads requests; otherwise it is an answer */
	int status; /* 200, 404, ... once the status line was read */
	char method[HTTP_METHOD_SIZE]; /* "POST", of a request */
	char path[HTTP_PATH_SIZE]; /* "/Plugin.Activate", of a request */
	bool chunked;
	bool sized; /* otherwise the end of the connection is the end of the body */
	uint64_t left; /* bytes of the body, or of the chunk */
	size_t head_size;
	struct text line;
};

/*
 * Takes @size bytes as they came; what is body goes behind @body, from where the
 * caller may take it away at any time.  -EBADMSG if it is not HTTP, -EFBIG.
 */
int http_feed(struct http_reader *r, const char *bytes, size_t size, struct text *body,
	      struct err *e) MUST_USE;
/* The connection ended: -EBADMSG if more was announced. */
int http_end(struct http_reader *r, struct err *e) MUST_USE;
void http_reader_free(struct http_reader *r);
#define CLEANUP_HTTP __attribute__((cleanup(http_reader_free)))

/*
 * The request; @path begins with a slash and has no blanks (http_escape()).
 * @body: JSON, NULL for none.
 */
const char *http_request(struct arena *a, const char *method, const char *path, const char *body);
/* The whole answer, of JSON; the connection ends behind it. */
const char *http_answer(struct arena *a, int status, const char *body);
/* One part of a path or query: everything but letters, digits and "-._~" as %XX. */
const char *http_escape(struct arena *a, const char *s);

#endif
