/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Answers of a container engine's socket: HTTP, and what is in it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "wire/engine.h"
#include "wire/http.h"

#include <errno.h>
#include <string.h>

/* Feeds @text in pieces of @step bytes; the body, or NULL and the error. */
static const char *read_all(struct arena *a, const char *text, size_t size, size_t step,
			    int *ret_status, struct err *e)
{
	struct http_reader http CLEANUP_HTTP = { 0 };
	struct text body CLEANUP_TEXT = { 0 };

	for (size_t at = 0; at < size; at += step) {
		size_t n = size - at < step ? size - at : step;

		if (http_feed(&http, text + at, n, &body, e) < 0)
			return NULL;
	}
	if (http_end(&http, e) < 0)
		return NULL;
	*ret_status = http.status;
	return arena_strdup(a, text_str(&body));
}

static const struct good {
	const char *text;
	int status;
	const char *body;
} goods[] = {
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello" },
	{ "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more", 200, "hello" },
	{ "HTTP/1.0 404 Not Found\r\n\r\nto the end", 404, "to the end" },
	{ "HTTP/1.1 200 OK\nContent-Length: 2\n\n{}", 200, "{}" },
	{ "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n",
	  200, "abc0123456789" },
	{ "HTTP/1.1 204 No Content\r\n\r\n", 204, "" },
	{ "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "" },
	{ "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\nContent-Length: 1\r\n\r\nx", 201,
	  "x" },
};

static void answers_are_read_in_pieces_of_any_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(goods); i++)
		for (size_t step = 1; step < 40; step++) {
			struct arena a CLEANUP_ARENA = { 0 };
			struct err e = { 0 };
			int status = 0;
			const char *body = read_all(&a, goods[i].text, strlen(goods[i].text), step,
						    &status, &e);

			assert_non_null(body);
			assert_string_equal(body, goods[i].body);
			assert_int_equal(status, goods[i].status);
		}
}

static void every_answer_that_is_cut_off_is_an_error(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(goods); i++)
		for (size_t size = 0; goods[i].text[size + 1]; size++) {
			struct arena a CLEANUP_ARENA = { 0 };
			struct err e = { 0 };
			int status = 0;
			const char *body = read_all(&a, goods[i].text, size, 7, &status, &e);

			/* Only what lasts to the end of the connection may end anywhere. */
			if (body && !strstr(goods[i].text, "more") &&
			    !strstr(goods[i].text, "to the end"))
				fail_msg("%.*s", (int)size, goods[i].text);
		}
}

static void what_is_not_http_is_an_error(void **state)
{
	static const char *const bad[] = {
		"hello\r\n\r\n",
		"HTTP/2 200 OK\r\n\r\n",
		"HTTP/1.1 2x0 OK\r\n\r\n",
		"HTTP/1.1 2000 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nno header\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct err e = { 0 };
		int status;

		assert_null(read_all(&a, bad[i], strlen(bad[i]), 5, &status, &e));
		assert_true(e.text[0]);
	}
}

static void a_head_or_body_without_end_is_an_error(void **state)
{
	struct http_reader http CLEANUP_HTTP = { 0 };
	struct text body CLEANUP_TEXT = { 0 };
	char block[4096];
	struct err e;
	int r = 0;

	(void)state;
	memset(block, 'x', sizeof(block));
	for (int i = 0; i < 100 && r == 0; i++)
		r = http_feed(&http, block, sizeof(block), &body, &e);
	assert_int_equal(r, -EFBIG);
	http_reader_free(&http);
	http = (struct http_reader){ .part = HTTP_BODY };
	r = 0;
	for (int i = 0; i < 10000 && r == 0; i++)
		r = http_feed(&http, block, sizeof(block), &body, &e);
	assert_int_equal(r, -EFBIG);
}

static void names_are_escaped(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };

	(void)state;
	assert_string_equal(http_escape(&a, "web-1_a.b~"), "web-1_a.b~");
	assert_string_equal(http_escape(&a, "a/b c?d#e%\r\n\xc3"), "a%2Fb%20c%3Fd%23e%25%0D%0A%C3");
}

static void a_container_is_what_the_engine_says(void **state)
{
	static const char text[] =
		"{\"Id\":\"abc\",\"Name\":\"/web\",\"State\":{\"Running\":true,\"Pid\":42},"
		"\"HostConfig\":{\"NetworkMode\":\"container:def\"},\"NetworkSettings\":{"
		"\"Gateway\":\"\",\"Networks\":{\"one\":{\"Gateway\":\"172.18.0.1\","
		"\"IPv6Gateway\":\"fd00::1\"},\"two\":{\"Gateway\":7}}}}";
	struct arena a CLEANUP_ARENA = { 0 };
	struct engine_container c;
	struct err e;

	(void)state;
	assert_int_equal(engine_read_container(&a, text, sizeof(text) - 1, &c, &e), 0);
	assert_string_equal(c.id, "abc");
	assert_string_equal(c.name, "web");
	assert_true(c.running);
	assert_int_equal(c.pid, 42);
	assert_string_equal(engine_joined(c.network_mode), "def");
	assert_int_equal(c.n_gateways, 2);
	assert_int_equal(c.gateways[1].family, AF_INET6);
}

static void what_is_no_container_is_an_error(void **state)
{
	static const char *const bad[] = { "", "[]", "{", "{}", "{\"Id\":7}", "nul" };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct engine_container c;
		struct err e;

		assert_int_equal(engine_read_container(&a, bad[i], strlen(bad[i]), &c, &e),
				 -EBADMSG);
	}
}

static void a_pid_out_of_range_is_none(void **state)
{
	static const char text[] =
		"{\"Id\":\"a\",\"State\":{\"Running\":true,\"Pid\":99999999999}}";
	struct arena a CLEANUP_ARENA = { 0 };
	struct engine_container c;
	struct err e;

	(void)state;
	assert_int_equal(engine_read_container(&a, text, sizeof(text) - 1, &c, &e), 0);
	assert_int_equal(c.pid, 0);
	assert_null(engine_joined(c.network_mode));
}

static void lists_and_events_are_read(void **state)
{
	static const char list[] = "[{\"Id\":\"a\",\"Names\":[\"/one\"],\"State\":\"running\","
				   "\"HostConfig\":{\"NetworkMode\":\"host\"}},{}]";
	static const char event[] = "{\"Type\":\"container\",\"Action\":\"start\",\"Actor\":"
				    "{\"ID\":\"a\",\"Attributes\":{\"name\":\"one\"}}}";
	struct arena a CLEANUP_ARENA = { 0 };
	struct engine_listed *listed;
	struct engine_event ev;
	struct err e;
	size_t n;

	(void)state;
	assert_int_equal(engine_read_list(&a, list, sizeof(list) - 1, &listed, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(listed[0].name, "one");
	assert_string_equal(listed[0].network_mode, "host");
	assert_string_equal(listed[1].id, "");
	assert_int_equal(engine_read_event(&a, event, sizeof(event) - 1, &ev, &e), 0);
	assert_string_equal(ev.action, "start");
	assert_string_equal(ev.name, "one");
	assert_string_equal(engine_read_message(&a, "{\"message\":\"no\"}", 16), "no");
	assert_null(engine_read_message(&a, "no", 2));
}

static void another_one_joins_another_network_and_keeps_the_rest(void **state)
{
	static const char text[] =
		"{\"Config\":{\"Hostname\":\"abc\",\"ExposedPorts\":{\"80/tcp\":{}},\"Cmd\":[\"x\"]},"
		"\"HostConfig\":{\"NetworkMode\":\"container:old\",\"Binds\":[\"/a:/named:ro\"]},"
		"\"Mounts\":[{\"Type\":\"volume\",\"Name\":\"f00\",\"Destination\":\"/data\"},"
		"{\"Type\":\"volume\",\"Name\":\"named\",\"Destination\":\"/named\"},"
		"{\"Type\":\"bind\",\"Destination\":\"/b\"}]}";
	struct arena a CLEANUP_ARENA = { 0 };
	const char *body;
	struct err e;

	(void)state;
	assert_int_equal(engine_write_like(&a, text, sizeof(text) - 1, "new", &body, &e), 0);
	assert_non_null(strstr(body, "\"NetworkMode\":\"container:new\""));
	assert_non_null(strstr(body, "\"Binds\":[\"/a:/named:ro\",\"f00:/data\"]"));
	assert_non_null(strstr(body, "\"Hostname\":\"\""));
	assert_non_null(strstr(body, "\"Cmd\":[\"x\"]"));
	assert_null(strstr(body, "ExposedPorts"));
	assert_int_equal(engine_write_like(&a, "{}", 2, "new", &body, &e), -EBADMSG);
	assert_string_equal(engine_read_id(&a, "{\"Id\":\"a\"}", 10), "a");
	assert_null(engine_read_id(&a, "[]", 2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(answers_are_read_in_pieces_of_any_size),
		cmocka_unit_test(every_answer_that_is_cut_off_is_an_error),
		cmocka_unit_test(what_is_not_http_is_an_error),
		cmocka_unit_test(a_head_or_body_without_end_is_an_error),
		cmocka_unit_test(names_are_escaped),
		cmocka_unit_test(a_container_is_what_the_engine_says),
		cmocka_unit_test(what_is_no_container_is_an_error),
		cmocka_unit_test(a_pid_out_of_range_is_none),
		cmocka_unit_test(lists_and_events_are_read),
		cmocka_unit_test(another_one_joins_another_network_and_keeps_the_rest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
