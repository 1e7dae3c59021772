/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/http.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <sys/types.h>

#define SIZE_MAX_BODY ((uint64_t)HTTP_BODY_MAX)

void http_reader_free(struct http_reader *r)
{
	text_free(&r->line);
}

static const char *kind(const struct http_reader *r)
{
	return r->is_request ? "request" : "answer";
}

static int garbage(const struct http_reader *r, struct err *e, const char *what)
{
	return err_set(e, EBADMSG, "not %s %s in HTTP: %s", r->is_request ? "a" : "an", kind(r),
		       what);
}

/* "POST /Plugin.Activate HTTP/1.1" */
static int request_line(struct http_reader *r, const char *line, struct err *e)
{
	size_t method = strspn(line, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
	const char *path = line + method + 1;
	size_t len;

	if (!method || method >= sizeof(r->method) || line[method] != ' ' || *path != '/')
		return garbage(r, e, "no request line");
	len = strcspn(path, " ");
	if (!str_starts(path + len, " HTTP/1.") || !isdigit((unsigned char)path[len + 8]) ||
	    path[len + 9])
		return garbage(r, e, "no request line");
	if (len >= sizeof(r->path))
		return err_set(e, EFBIG, "the path of the request is too long");
	memcpy(r->method, line, method);
	memcpy(r->path, path, len);
	r->method[method] = r->path[len] = 0;
	r->part = HTTP_HEADERS;
	return 0;
}

/* "HTTP/1.1 200 OK" */
static int status_line(struct http_reader *r, const char *line, struct err *e)
{
	if (strncmp(line, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)line[7]) ||
	    line[8] != ' ' || !isdigit((unsigned char)line[9]) ||
	    !isdigit((unsigned char)line[10]) || !isdigit((unsigned char)line[11]) ||
	    (line[12] && line[12] != ' '))
		return garbage(r, e, "no status line");
	r->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
	r->part = HTTP_HEADERS;
	return 0;
}

static int read_length(const struct http_reader *r, const char *value, uint64_t *ret, struct err *e)
{
	uint64_t n = 0;

	if (!*value)
		return garbage(r, e, "an empty Content-Length");
	for (; *value; value++) {
		if (!isdigit((unsigned char)*value) || n > SIZE_MAX_BODY)
			return garbage(r, e, "an impossible Content-Length");
		n = n * 10 + (uint64_t)(*value - '0');
	}
	*ret = n;
	return 0;
}

static int header_line(struct http_reader *r, const char *line, struct err *e)
{
	const char *value = strchr(line, ':');
	uint64_t length = 0;
	size_t name;
	int status;

	if (!value || value == line)
		return garbage(r, e, "a header without a name");
	name = (size_t)(value - line);
	value += 1 + strspn(value + 1, " \t");
	if (name == 17 && strncasecmp(line, "Transfer-Encoding", name) == 0) {
		if (strcasecmp(value, "chunked") != 0)
			return garbage(r, e, "an unknown Transfer-Encoding");
		r->chunked = true;
	}
	if (name != 14 || strncasecmp(line, "Content-Length", name) != 0)
		return 0;
	status = read_length(r, value, &length, e);
	if (status < 0)
		return status;
	if (r->sized && r->left != length)
		return garbage(r, e, "two lengths");
	r->sized = true;
	r->left = length;
	return 0;
}

static void head_ends(struct http_reader *r)
{
	if (r->status / 100 == 1) { /* an interim answer: the real one follows */
		*r = (struct http_reader){ .line = r->line, .head_size = r->head_size };
		return;
	}
	if (r->is_request && !r->sized && !r->chunked)
		r->part = HTTP_DONE; /* RFC 9112, 6.3: no length, no body */
	else if (r->status == 204 || r->status == 304 || (r->sized && !r->chunked && !r->left))
		r->part = HTTP_DONE;
	else
		r->part = r->chunked ? HTTP_CHUNK : HTTP_BODY;
}

/* "1a3f;extension" */
static int chunk_line(struct http_reader *r, const char *line, struct err *e)
{
	uint64_t n = 0;
	size_t i = 0;

	for (; isxdigit((unsigned char)line[i]); i++) {
		int c = tolower((unsigned char)line[i]);

		if (n > SIZE_MAX_BODY)
			return err_set(e, EFBIG, "a chunk of the %s is too large", kind(r));
		n = n * 16 + (uint64_t)(c <= '9' ? c - '0' : c - 'a' + 10);
	}
	if (!i || (line[i] && !strchr("; \t", line[i])))
		return garbage(r, e, "a chunk without a size");
	r->left = n;
	r->part = n ? HTTP_BODY : HTTP_TRAILER;
	return 0;
}

static int take_line(struct http_reader *r, struct err *e)
{
	const char *line = text_str(&r->line);

	switch (r->part) {
	case HTTP_STATUS:
		return r->is_request ? request_line(r, line, e) : status_line(r, line, e);
	case HTTP_HEADERS:
		if (*line)
			return header_line(r, line, e);
		head_ends(r);
		return 0;
	case HTTP_CHUNK:
		return chunk_line(r, line, e);
	case HTTP_CHUNK_END:
		if (*line)
			return garbage(r, e, "a chunk is longer than it says");
		r->part = HTTP_CHUNK;
		return 0;
	case HTTP_TRAILER:
		if (!*line)
			r->part = HTTP_DONE;
		return 0;
	case HTTP_BODY:
	case HTTP_DONE:
		break;
	}
	return 0;
}

/* Bytes up to the end of a line; how many were taken, or an error. */
static ssize_t feed_line(struct http_reader *r, const char *bytes, size_t size, struct err *e)
{
	const char *end = memchr(bytes, '\n', size);
	size_t n = end ? (size_t)(end - bytes) : size;
	int status;

	if (memchr(bytes, 0, n))
		return garbage(r, e, "a NUL in its head");
	r->head_size += n + 1;
	/* Of a stream the heads of chunks come for ever, but each is short. */
	if ((r->part < HTTP_BODY && r->head_size > HTTP_HEAD_MAX) ||
	    r->line.len + n > HTTP_HEAD_MAX)
		return err_set(e, EFBIG, "the head of the %s is too large", kind(r));
	text_add_len(&r->line, bytes, n);
	if (!end)
		return (ssize_t)n;
	if (r->line.len && r->line.buf[r->line.len - 1] == '\r')
		r->line.buf[--r->line.len] = 0;
	status = take_line(r, e);
	text_clear(&r->line);
	return status < 0 ? status : (ssize_t)n + 1;
}

static ssize_t feed_body(struct http_reader *r, const char *bytes, size_t size, struct text *body,
			 struct err *e)
{
	bool counted = r->chunked || r->sized;
	size_t n = counted && r->left < size ? (size_t)r->left : size;

	if (body->len + n > HTTP_BODY_MAX)
		return err_set(e, EFBIG, "the %s is too large", kind(r));
	text_add_len(body, bytes, n);
	if (!counted)
		return (ssize_t)n;
	r->left -= n;
	if (!r->left)
		r->part = r->chunked ? HTTP_CHUNK_END : HTTP_DONE;
	return (ssize_t)n;
}

int http_feed(struct http_reader *r, const char *bytes, size_t size, struct text *body,
	      struct err *e)
{
	while (size && r->part != HTTP_DONE) {
		ssize_t n = r->part == HTTP_BODY ? feed_body(r, bytes, size, body, e)
						 : feed_line(r, bytes, size, e);

		if (n < 0)
			return (int)n;
		bytes += n;
		size -= (size_t)n;
	}
	return 0;
}

int http_end(struct http_reader *r, struct err *e)
{
	if (r->part == HTTP_BODY && !r->chunked && !r->sized && !r->is_request)
		r->part = HTTP_DONE;
	return r->part == HTTP_DONE ? 0 : garbage(r, e, "it was cut off");
}

const char *http_request(struct arena *a, const char *method, const char *path, const char *body)
{
	const char *length = "";

	if (body)
		length = arena_printf(a,
				      "Content-Type: application/json\r\nContent-Length: %zu\r\n",
				      strlen(body));
	else if (str_eq(method, "POST"))
		length = "Content-Length: 0\r\n";
	return arena_printf(a,
			    "%s %s HTTP/1.1\r\n"
			    "Host: localhost\r\n"
			    "User-Agent: sallyport/" SALLYPORT_VERSION "\r\n"
			    "Accept: application/json\r\n"
			    "Connection: close\r\n"
			    "%s"
			    "\r\n%s",
			    method, path, length, body ? body : "");
}

const char *http_answer(struct arena *a, int status, const char *body)
{
	static const struct {
		int status;
		const char *words;
	} known[] = { { 200, "OK" },
		      { 400, "Bad Request" },
		      { 404, "Not Found" },
		      { 408, "Request Timeout" },
		      { 413, "Content Too Large" } };
	const char *words = "Internal Server Error";

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (known[i].status == status)
			words = known[i].words;
	return arena_printf(a,
			    "HTTP/1.1 %d %s\r\n"
			    "Content-Type: application/json\r\n"
			    "Content-Length: %zu\r\n"
			    "Connection: close\r\n"
			    "\r\n%s",
			    status, words, strlen(body), body);
}

const char *http_escape(struct arena *a, const char *s)
{
	static const char hex[] = "0123456789ABCDEF";
	char *out = arena_alloc(a, strlen(s) * 3 + 1);
	char *to = out;

	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (isalnum(c) || strchr("-._~", c)) {
			*to++ = (char)c;
			continue;
		}
		*to++ = '%';
		*to++ = hex[c >> 4];
		*to++ = hex[c & 15];
	}
	return out;
}
