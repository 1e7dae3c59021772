/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Docker's protocol for network drivers, and the rooms that come of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "plan/plan.h"
#include "wire/http.h"
#include "wire/netdriver_ports.h"

#include <errno.h>
#include <string.h>

#define ID "5c1e5c1e5c1e5c1e"

/* --- HTTP ------------------------------------------------------------------------- */

static const struct {
	const char *text;
	const char *method, *path, *body;
} requests[] = {
	{ "POST /Plugin.Activate HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", "POST",
	  "/Plugin.Activate", "{}" },
	{ "GET / HTTP/1.0\n\n", "GET", "/", "" },
	{ "POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{\"\r\n3\r\n\":1\r\n0\r\n\r\n",
	  "POST", "/a", "{\"\":1" },
	{ "POST /a HTTP/1.1\r\nContent-Length: 0\r\n\r\nmore", "POST", "/a", "" },
};

static void requests_are_read_in_pieces_of_any_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(requests); i++)
		for (size_t step = 1; step < 90; step++) {
			struct http_reader http CLEANUP_HTTP = { .is_request = true };
			const char *text = requests[i].text;
			struct text body CLEANUP_TEXT = { 0 };
			size_t size = strlen(text);
			struct err e;

			for (size_t at = 0; at < size; at += step)
				assert_int_equal(http_feed(&http, text + at,
							   size - at < step ? size - at : step,
							   &body, &e),
						 0);
			assert_int_equal(http.part, HTTP_DONE);
			assert_string_equal(http.method, requests[i].method);
			assert_string_equal(http.path, requests[i].path);
			assert_string_equal(text_str(&body), requests[i].body);
		}
}

static void what_is_no_request_is_an_error(void **state)
{
	static const char *const bad[] = {
		"\n",
		"POST\n",
		"POST /\n",
		"POST / HTTP/2\n",
		"POST / HTTP/1.x\n",
		"POST / HTTP/1.1 \n",
		"post / HTTP/1.1\n",
		"POST x HTTP/1.1\n",
		"HTTP/1.1 200 OK\n",
		"POSTPOSTPOSTPOSTPOST / HTTP/1.1\n",
		"POST / HTTP/1.1\nno colon\n",
		"POST / HTTP/1.1\nContent-Length: x\n",
		"POST / HTTP/1.1\nContent-Length: 1\nContent-Length: 2\n",
		"POST / HTTP/1.1\nTransfer-Encoding: gzip\n",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct http_reader http CLEANUP_HTTP = { .is_request = true };
		struct text body CLEANUP_TEXT = { 0 };
		struct err e;

		assert_true(http_feed(&http, bad[i], strlen(bad[i]), &body, &e) < 0);
		assert_non_null(strstr(e.text, "request"));
	}
}

/* --- requests ------------------------------------------------------------------------- */

static void read_request(struct arena *a, const char *text, struct netdriver_request *ret)
{
	struct err e;

	assert_int_equal(netdriver_read(a, text, strlen(text), ret, &e), 0);
}

static void a_network_says_which_gate(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_network n, again;
	struct netdriver_request q;
	const char *text;
	struct err e;

	(void)state;
	read_request(
		&a,
		"{\"NetworkID\":\"" ID "\",\"Options\":{\"com.docker.network.generic\":"
		"{\"gate\":\"office\",\"doors\":\"lan,office\",\"reach\":\"10.0.0.0/8 fd00::/8\","
		"\"default\":\"none\"}},\"IPv4Data\":[{\"Pool\":\"172.18.0.0/16\"}]}",
		&q);
	assert_int_equal(netdriver_network(&a, &q, &n, &e), 0);
	text = netdriver_network_write(&a, &n);
	assert_int_equal(netdriver_network_read(&a, "file", text, strlen(text), &again, &e), 0);
	assert_string_equal(again.gate, "office");
	assert_string_equal(again.way, "none");
	assert_int_equal(again.doors.n, 2);
	assert_string_equal(again.doors.items[1], "office");
	assert_string_equal(again.reach.items[0], "10.0.0.0/8");
	assert_int_equal(again.pool4.len, 16);
	assert_int_equal(again.pool6.len, 0);
}

static void bad_requests_name_what_is_wrong(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "", "not a JSON object" },
		{ "[]", "not a JSON object" },
		{ "{\"NetworkID\":\"../x\"}", "NetworkID \"../x\" is no ID" },
		{ "{\"EndpointID\":\"a/b\"}", "EndpointID \"a/b\" is no ID" },
		{ "{\"IPv4Data\":[{\"Pool\":\"x\"}]}", "IPv4Data: \"x\" is no pool" },
		{ "{\"IPv4Data\":[{\"Pool\":\"fd00::/8\"}]}", "is no pool" },
		{ "{\"Interface\":{\"Address\":\"fd00::1\"}}",
		  "Address \"fd00::1\" is no address" },
		{ "{\"Options\":{\"com.docker.network.portmap\":[{\"Port\":-1}]}}", "is no port" },
		{ "{\"Options\":{\"com.docker.network.portmap\":[{\"Port\":1,\"HostPort\":65536}]}}",
		  "is no port" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct netdriver_request q;
		struct err e;

		assert_true(netdriver_read(&a, bad[i].text, strlen(bad[i].text), &q, &e) < 0);
		assert_non_null(strstr(e.text, bad[i].words));
	}
}

static bool has_address(void *ctx, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	(void)ctx;
	return strstr("192.0.2.1 2001:db8::1 127.0.0.1", ip_text(ip, text)) != NULL;
}

/* Odd ones. */
static bool is_free(void *ctx, uint8_t proto, const struct ip *host, uint16_t port)
{
	(void)ctx;
	(void)proto;
	(void)host;
	return port & 1;
}

static const struct netdriver_host the_host = { has_address, is_free, NULL };

static void ports_go_to_the_networks_doors(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_network n = { .gate = "office" };
	struct sandbox_words words = { 0 };
	struct netdriver_request q;
	struct err e;

	(void)state;
	sandbox_word(&a, &n.doors, "lan");
	sandbox_word(&a, &n.doors, "office");
	read_request(&a,
		     "{\"Options\":{\"com.docker.network.portmap\":[{\"Proto\":17,\"Port\":53,"
		     "\"HostIP\":\"0.0.0.0\",\"HostPort\":5353}]}}",
		     &q);
	assert_int_equal(netdriver_ports(&a, &n, &q, &the_host, &words, &e), 0);
	assert_int_equal(netdriver_words(&a, &n, "80 81@all", &the_host, &words, &e), 0);
	assert_int_equal(words.n, 5);
	assert_string_equal(words.items[0], "0.0.0.0:5353:53/udp@lan");
	assert_string_equal(words.items[1], "0.0.0.0:5353:53/udp@office");
	assert_string_equal(words.items[2], "80@lan");
	assert_string_equal(words.items[4], "81@all");
	assert_true(netdriver_words(&a, &n, "80@", &the_host, &words, &e) < 0);
	assert_true(netdriver_words(&a, &n, "0", &the_host, &words, &e) < 0);
}

#define PORTMAP(items)          "{\"Options\":{\"com.docker.network.portmap\":[" items "]}}"
#define PORT(proto, port, rest) "{\"Proto\":" #proto ",\"Port\":" #port rest "}"

static void a_port_is_chosen_where_none_or_several_are_asked_for(void **state)
{
	static const char *const want[] = {
		"0.0.0.0:49153:80/tcp@lan",   "[::]:49153:80/tcp@lan",
		"49155:81/tcp@lan",           "8001:80/udp@lan",
		"192.0.2.1:90:80/tcp@lan",    "[2001:db8::1]:91:80/tcp@lan",
		"127.0.0.1:49157:80/tcp@lan",
	};
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_network n = { .gate = "office" };
	struct sandbox_words words = { 0 };
	struct netdriver_request q;
	struct err e;

	(void)state;
	sandbox_word(&a, &n.doors, "lan");
	read_request(
		&a,
		PORTMAP(PORT(6, 80, ",\"HostIP\":\"0.0.0.0\"") "," PORT(6, 80, ",\"HostIP\":\"::\"") "," PORT(6, 81, "") "," PORT(17, 80, ",\"HostPort\":8000,\"HostPortEnd\":8010") "," PORT(
			6, 80,
			",\"HostPort\":90,\"HostPortEnd\":90,\"HostIP\":\"192.0.2.1\"") "," PORT(6,
												 80,
												 ",\"HostPort\":91,\"HostIP\":\"2001:db8::1\"") "," PORT(6,
																			 80,
																			 ",\"HostIP\":\"127.0.0.1\"")),
		&q);
	assert_int_equal(netdriver_ports(&a, &n, &q, &the_host, &words, &e), 0);
	assert_int_equal(words.n, ARRAY_LEN(want));
	for (size_t i = 0; i < words.n; i++)
		assert_string_equal(words.items[i], want[i]);
}

static void addresses_that_cannot_be_published_on_are_named(void **state)
{
	static const struct {
		const char *doors, *portmap, *words;
	} bad[] = {
		{ "lan", PORTMAP(PORT(6, 80, ",\"HostPort\":80,\"HostIP\":\"192.0.2.9\"")),
		  "-p 192.0.2.9:80:80: 192.0.2.9 is no address of this host" },
		{ "all", PORTMAP(PORT(6, 80, ",\"HostPort\":80,\"HostIP\":\"fe80::1\"")),
		  "what is sent to fe80::1 is never passed on" },
		{ "lan", PORTMAP(PORT(6, 80, ",\"HostPort\":80,\"HostIP\":\"::1\"")),
		  "what is sent to ::1 is never passed on" },
		{ "office", PORTMAP(PORT(6, 80, ",\"HostPort\":80,\"HostIP\":\"192.0.2.1\"")),
		  "192.0.2.1 is the lan door's" },
		{ "lan",
		  PORTMAP(PORT(6, 80, ",\"HostPort\":8002,\"HostPortEnd\":8002") "," PORT(
			  6, 80,
			  ",\"HostPort\":8001,\"HostPortEnd\":8002") "," PORT(6, 81,
									      ",\"HostPort\":8001,\"HostPortEnd\":8002")),
		  "-p 8001-8002:81/tcp: none of these ports is free" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct netdriver_network n = { .gate = "office" };
		struct sandbox_words words = { 0 };
		struct netdriver_request q;
		struct err e;

		sandbox_word(&a, &n.doors, bad[i].doors);
		read_request(&a, bad[i].portmap, &q);
		assert_true(netdriver_ports(&a, &n, &q, &the_host, &words, &e) < 0);
		if (!strstr(e.text, bad[i].words))
			fail_msg("%s: %s", bad[i].words, e.text);
	}
}

/* More precise than what Docker makes of the pool, and together all of it. */
static void replies_into_dockers_pool_go_to_the_gate(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_network n = { 0 };
	struct sandbox s = { 0 };
	const char *text;

	(void)state;
	assert_true(prefix_parse("172.18.0.0/15", false, &n.pool4));
	assert_true(ip_parse("198.18.11.2", &s.gateway4));
	text = netdriver_joined(&a, &n, &s, "sp-x.d");
	assert_non_null(strstr(text, "\"198.18.11.2/32\""));
	assert_non_null(strstr(text, "\"172.18.0.0/16\""));
	assert_non_null(strstr(text, "\"172.19.0.0/16\""));
	assert_null(strstr(text, "GatewayIPv6"));
}

static void a_pool_with_the_vpns_own_address_is_refused(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_network n = { .gate = "office" };
	struct netdriver_gate g;
	const char *status =
		"{\"links4\":\"198.18.11.0/26\",\"doors\":[{\"name\":\"lan\",\"addresses\":"
		"[\"172.18.0.9\"]},{\"name\":\"office\",\"addresses\":[\"172.20.0.10\"]}]}";
	struct err e;

	(void)state;
	assert_int_equal(netdriver_read_gate(&a, status, strlen(status), &g, &e), 0);
	assert_true(prefix_parse("172.18.0.0/16", false, &n.pool4));
	assert_int_equal(netdriver_check_pool(&n, &g, &e), 0);
	assert_true(prefix_parse("172.20.0.0/16", false, &n.pool4));
	assert_int_equal(netdriver_check_pool(&n, &g, &e), -EADDRINUSE);
	assert_non_null(strstr(e.text, "--ipam-driver null"));
}

/* --- rooms ---------------------------------------------------------------------------- */

static struct door doors[] = { { .name = "lan" }, { .name = "office", .kind = DOOR_OPENVPN } };

#define ROOM(number, room, address, publish)                                                       \
	"{\"version\":1,\"number\":" number ",\"room\":\"" room "\",\"endpoint\":\"e\","           \
	"\"network\":\"n\",\"sandbox\":\"/x\",\"address4\":\"" address "\","                       \
	"\"gateway4\":\"198.18.0.2\",\"publish\":[" publish "]}"

static int take(struct arena *a, struct gate *g, const char *text, struct err *e)
{
	struct sandbox_file *f = arena_new(a, struct sandbox_file);
	struct publish *ports;
	struct room room;
	size_t n;
	int r = sandbox_read(a, "file", text, strlen(text), f, e);

	if (r == 0)
		r = sandbox_room(a, g, f, &room, &ports, &n, e);
	if (r < 0)
		return r;
	*arena_push(a, g->rooms, g->n_rooms, g->cap_rooms) = room;
	for (size_t i = 0; i < n; i++)
		*arena_push(a, g->publish, g->n_publish, g->cap_publish) = ports[i];
	return 0;
}

static void rooms_are_taken_and_refused_with_reasons(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{ ROOM("29", "a", "172.18.0.2", "\"80@lan\",\"80@lan\",\"53/udp@all\""), NULL },
		{ ROOM("28", "b", "172.18.0.3", "\"80@office\",\"81:80\""), NULL },
		{ ROOM("27", "b", "172.18.0.4", ""), "has a room \"b\" already" },
		{ ROOM("28", "c", "172.18.0.4", ""), "has place 28 already" },
		{ ROOM("27", "c", "172.18.0.3", ""), "has its address already" },
		{ ROOM("27", "c", "172.18.0.4", "\"81@all\""),
		  "81/tcp of door \"lan\" is published" },
		{ ROOM("27", "c", "172.18.0.4", "\"82:1\",\"82:2\""), "published twice" },
		{ ROOM("27", "c", "172.18.0.4", "\"82@nodoor\""), "it has lan, office" },
		{ ROOM("27", "c", "172.18.0.4", "\"192.0.2.1:81@all\""), "are the lan door's" },
		{ ROOM("27", "c", "172.18.0.4", "\"192.0.2.1:81\""), "81/tcp of door \"lan\"" },
		{ ROOM("27", "c", "172.18.0.4", "\"192.0.2:81\""), "begins with no address" },
		{ ROOM("27", "c", "172.18.0.4", "\"[192.0.2.1]:81\""), "begins with no address" },
		{ ROOM("27", "c", "172.18.0.4", "\"[2001:db8::1]81\""), "begins with no address" },
		{ ROOM("30", "c", "172.18.0.4", ""), "number is none" },
		{ ROOM("-1", "c", "172.18.0.4", ""), "number is none" },
		{ ROOM("27", "c/d", "172.18.0.4", ""), "room name \"c/d\"" },
		{ ROOM("27", "c", "fd00::1", ""), "is no IPv4 address" },
		{ "{\"version\":2}", "version" },
		{ "{", "file:1" },
	};
	struct arena a CLEANUP_ARENA = { 0 };
	struct gate g = { .name = "g", .doors = doors, .n_doors = 2 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = { 0 };
		int r = take(&a, &g, cases[i].text, &e);

		assert_int_equal(r == 0, cases[i].words == NULL);
		if (cases[i].words && !strstr(e.text, cases[i].words))
			fail_msg("%s: %s", cases[i].words, e.text);
	}
	assert_int_equal(g.n_rooms, 2);
	assert_int_equal(g.n_publish, 5);
}

static void a_room_whose_container_does_not_come_is_left(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct sandbox_file f = { .room = "a",
				  .endpoint = "e",
				  .sandbox.container = "",
				  .sandbox.network = "n",
				  .written = 1000 };
	const char *text = sandbox_write(&a, &f);
	struct sandbox_file again;
	struct err e;

	(void)state;
	assert_int_equal(sandbox_read(&a, "file", text, strlen(text), &again, &e), 0);
	assert_false(sandbox_is_left(&again, 1000));
	assert_false(sandbox_is_left(&again, 1060));
	assert_true(sandbox_is_left(&again, 1061));
	again.sandbox.container = "web"; /* it came, and has gone */
	assert_true(sandbox_is_left(&again, 1000));
}

static const struct want_rule *rule_to(const struct want *w, const struct ip *ip)
{
	for (size_t i = 0; i < w->n_rules; i++)
		if (ip_equal(&w->rules[i].to.ip, ip) && w->rules[i].to.len == ip_bits(ip->family))
			return &w->rules[i];
	return NULL;
}

static void a_gate_translates_and_the_host_need_not_know(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct plan_door facts[2] = { 0 };
	struct plan_sandbox seen = { .on_host = true };
	struct plan_facts f = { .slot = slot_of(0), .doors = facts, .sandboxes = &seen };
	struct gate g = { .name = "g", .doors = doors, .n_doors = 2 };
	struct snapshot host = { 0 };
	struct want w;
	struct ip own;
	struct err e;

	(void)state;
	assert_int_equal(take(&a, &g, ROOM("29", "a", "172.18.0.2", "\"80@all\""), &e), 0);
	assert_true(ip_parse("172.18.0.2", &own));
	plan_gate(&a, &g, &f, &w);
	assert_int_equal(rule_to(&w, &own)->table, PLAN_TABLE_ROOMS);
	assert_ptr_equal(rule_to(&w, &own), &w.rules[1]); /* right behind the slot's */
	assert_non_null(strstr(w.nft, "198.18.0.32 : 172.18.0.2"));
	assert_non_null(strstr(w.nft, "\"office\" . tcp . 80 : 172.18.0.2 . 80"));
	f.host = &host;
	plan_host(&a, &g, &f, &w);
	assert_null(strstr(w.nft, "172.18.0.2"));
	assert_non_null(strstr(w.nft, "tcp . 80 comment \"g\" : 198.18.0.32 . 80"));
	assert_string_equal(w.links[w.n_links - 1].name, "sp-a.d");
	/* What Docker has furnished is left alone; what we made is furnished. */
	seen = (struct plan_sandbox){ .link = "eth0" };
	plan_room(&a, &g, &f, 0, &w);
	assert_int_equal(w.n_links + w.n_addresses + w.n_routes + w.n_sysctls, 0);
	seen.lost4 = (struct plan_lost){ .address = true, .route = true };
	plan_room(&a, &g, &f, 0, &w);
	assert_int_equal(w.n_links, 0); /* then nothing else of the link's is touched */
	assert_int_equal(w.n_addresses, 1);
	assert_true(ip_equal(&w.addresses[0].local, &own));
	assert_int_equal(w.n_routes, 2);
	assert_int_equal(w.routes[1].metric, 4096);
	seen.lost4 = (struct plan_lost){ .mended = true };
	plan_room(&a, &g, &f, 0, &w);
	assert_int_equal(w.n_addresses, 0);
	assert_int_equal(w.n_routes, 1);
	seen.lost4 = (struct plan_lost){ 0 };
	seen.ours = true;
	plan_room(&a, &g, &f, 0, &w);
	assert_true(ip_equal(&w.addresses[0].local, &own));
	assert_int_equal(w.n_routes, 2);
	seen.default4 = true;
	plan_room(&a, &g, &f, 0, &w);
	assert_int_equal(w.n_routes, 1);
}

static void a_port_may_be_one_address_of_the_hosts_alone(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct plan_door facts[2] = { 0 };
	struct plan_sandbox seen[2] = { 0 };
	struct snapshot host = { 0 };
	struct plan_facts f = {
		.slot = slot_of(0), .doors = facts, .sandboxes = seen, .host = &host
	};
	struct ip listen;
	struct door narrow[] = { { .name = "lan", .listen = &listen, .n_listen = 1 } };
	struct gate g = { .name = "g", .doors = narrow, .n_doors = 1 };
	struct want w;
	struct err e;

	(void)state;
	assert_true(ip_parse("192.0.2.7", &listen));
	assert_true(take(&a, &g, ROOM("29", "a", "172.18.0.2", "\"192.0.2.1:80\""), &e) < 0);
	assert_non_null(strstr(e.text, "listens on 192.0.2.7 only"));
	narrow[0].n_listen = 0;
	assert_int_equal(take(&a, &g, ROOM("29", "a", "172.18.0.2", "\"192.0.2.1:80\""), &e), 0);
	assert_int_equal(take(&a, &g,
			      ROOM("28", "b", "172.18.0.3",
				   "\"192.0.2.2:80\",\"[2001:db8::2]:80/udp\",\"81\""),
			      &e),
			 0);
	plan_host(&a, &g, &f, &w);
	assert_non_null(strstr(w.nft, "192.0.2.1 . tcp . 80 comment \"g\" : 198.18.0.32 . 80"));
	assert_non_null(strstr(w.nft, "192.0.2.2 . tcp . 80 comment \"g\" : 198.18.0.31 . 80"));
	assert_non_null(strstr(w.nft, "2001:db8::2 . udp . 80 comment \"g\" : "));
	assert_non_null(strstr(w.nft, " ports4_at {\n\t192.0.2.1 . tcp . 80 comment \"g\","));
	assert_non_null(strstr(w.nft, " ports6_at {\n\t2001:db8::2 . udp . 80 comment \"g\"\n"));
	assert_non_null(strstr(w.nft, " ports4 {\n\ttcp . 81 comment \"g\"\n}"));
	assert_null(strstr(w.nft, "\ttcp . 80 "));
}

static void a_container_is_found_by_its_endpoint(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct netdriver_container c = { 0 };
	const char *list = "[{\"Names\":[\"/other\"]},{\"Names\":[\"/web\"],\"ImageID\":\"i\","
			   "\"Labels\":{\"sallyport.publish\":\"80\"},\"NetworkSettings\":"
			   "{\"Networks\":{\"n\":{\"EndpointID\":\"e\"}}}}]";

	(void)state;
	assert_false(netdriver_find(&a, list, strlen(list), "f", &c));
	assert_true(netdriver_find(&a, list, strlen(list), "e", &c));
	assert_string_equal(c.name, "web");
	assert_string_equal(c.label, "80");
	assert_false(netdriver_find(&a, "x", 1, "e", &c));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(requests_are_read_in_pieces_of_any_size),
		cmocka_unit_test(what_is_no_request_is_an_error),
		cmocka_unit_test(a_network_says_which_gate),
		cmocka_unit_test(bad_requests_name_what_is_wrong),
		cmocka_unit_test(ports_go_to_the_networks_doors),
		cmocka_unit_test(a_port_is_chosen_where_none_or_several_are_asked_for),
		cmocka_unit_test(addresses_that_cannot_be_published_on_are_named),
		cmocka_unit_test(replies_into_dockers_pool_go_to_the_gate),
		cmocka_unit_test(a_pool_with_the_vpns_own_address_is_refused),
		cmocka_unit_test(rooms_are_taken_and_refused_with_reasons),
		cmocka_unit_test(a_room_whose_container_does_not_come_is_left),
		cmocka_unit_test(a_gate_translates_and_the_host_need_not_know),
		cmocka_unit_test(a_port_may_be_one_address_of_the_hosts_alone),
		cmocka_unit_test(a_container_is_found_by_its_endpoint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
