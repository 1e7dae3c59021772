/* SPDX-License-Identifier: GPL-2.0-or-later */
/* test_config_refused.c has what is an error in a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "wire/config.h"

#include <string.h>

/* --- sallyport.conf: what is understood ----------------------------------- */

struct good {
	const char *name;
	const char *text;
	const char *gate; /* as describe() tells it */
};

static const char *const way_text[] = { "vpn", "lan", "none", "door" };
static const char *const kind_text[] = { "lan", "openvpn", "wireguard", "command" };

static void describe_door(struct text *t, const struct door *d)
{
	char buf[IP_TEXT_SIZE];

	text_addf(t, "door %s %s", d->name, kind_text[d->kind]);
	if (d->vpn)
		text_addf(t, " vpn=%s", d->vpn);
	if (d->command)
		text_addf(t, " command=%s", d->command);
	if (d->interface)
		text_addf(t, " interface=%s", d->interface);
	for (size_t i = 0; i < d->n_servers; i++)
		text_addf(t, " server=%s,%u,%u", d->servers[i].host, d->servers[i].port,
			  d->servers[i].proto);
	if (d->mss)
		text_addf(t, " mss=%u", d->mss);
	for (size_t i = 0; i < d->n_listen; i++)
		text_addf(t, " listen=%s", ip_text(&d->listen[i], buf));
	text_addf(t, " line=%u\n", d->line);
}

static void describe_room(struct text *t, const struct room *r, const struct gate *g)
{
	char buf[PREFIX_TEXT_SIZE];

	text_addf(t, "room %s default=%s", *r->name ? r->name : "-", way_text[r->way]);
	if (r->way == DEFAULT_DOOR)
		text_addf(t, ":%s", g->doors[r->way_door].name);
	for (size_t i = 0; i < r->n_reach; i++)
		text_addf(t, " reach=%s", prefix_text(&r->reach[i], buf));
	text_addf(t, " line=%u\n", r->line);
}

static void describe(struct text *t, const struct gate *g)
{
	for (size_t i = 0; i < g->n_doors; i++)
		describe_door(t, &g->doors[i]);
	for (size_t i = 0; i < g->n_rooms; i++)
		describe_room(t, &g->rooms[i], g);
	for (size_t i = 0; i < g->n_publish; i++) {
		const struct publish *p = &g->publish[i];
		const char *room = g->rooms[p->room].name;

		text_addf(t, "%s %u/%s -> %s:%u line=%u\n", g->doors[p->door].name, p->door_port,
			  p->proto == IPPROTO_UDP ? "udp" : "tcp", *room ? room : "-", p->room_port,
			  p->line);
	}
}

static const struct good good_config[] = {
	{ "a room alone is a gate with a lan door", "[room]",
	  "door lan lan line=0\n"
	  "room - default=none line=1\n" },
	{ "each door answers each port unless it says otherwise",
	  "[room]\n"
	  "publish = 80 443 53/udp 8080:80      # door-port[:room-port][/proto]\n"
	  "default = vpn                        ; where no VPN claims it\n"
	  "reach   = 172.16.5.0/24, fd00:5::/64\n"
	  "\n"
	  "[door lan]\n"
	  "publish = 80\n"
	  "listen  = 172.16.5.10 fd00:5::10\n"
	  "\n"
	  "[door office]\n"
	  "vpn = /etc/openvpn/client/office.ovpn\n"
	  "[door partner]\n"
	  "publish = 53/udp,8080\n"
	  "vpn = ../wg/partner.conf\n"
	  "mss = 1280\n",
	  "door lan lan listen=172.16.5.10 listen=fd00:5::10 line=6\n"
	  "door office openvpn vpn=/etc/openvpn/client/office.ovpn line=10\n"
	  "door partner openvpn vpn=/etc/sallyport/../wg/partner.conf mss=1280 line=12\n"
	  "room - default=vpn reach=172.16.5.0/24 reach=fd00:5::/64 line=1\n"
	  "lan 80/tcp -> -:80 line=2\n"
	  "office 80/tcp -> -:80 line=2\n"
	  "office 443/tcp -> -:443 line=2\n"
	  "office 53/udp -> -:53 line=2\n"
	  "office 8080/tcp -> -:80 line=2\n"
	  "partner 53/udp -> -:53 line=2\n"
	  "partner 8080/tcp -> -:80 line=2\n" },
	{ "several rooms share the doors",
	  "[room web]\npublish = 80 443\ndefault = lan\n"
	  "[room db]\npublish = 5432 80/udp\ndefault = none\n"
	  "[door lan]\npublish = 80/udp 443\n",
	  "door lan lan line=7\n"
	  "room web default=lan line=1\n"
	  "room db default=none line=4\n"
	  "lan 80/udp -> db:80 line=5\n"
	  "lan 443/tcp -> web:443 line=2\n" },
	{ "a port published twice on different door ports is fine",
	  "[room]\npublish = 80 8080:80 80/udp\n",
	  "door lan lan line=0\n"
	  "room - default=none line=1\n"
	  "lan 80/tcp -> -:80 line=2\n"
	  "lan 8080/tcp -> -:80 line=2\n"
	  "lan 80/udp -> -:80 line=2\n" },
	{ "the first and the last port are ports",
	  "[room]\npublish = 1 65535 1:65535/udp 65535:1/udp\n",
	  "door lan lan line=0\n"
	  "room - default=none line=1\n"
	  "lan 1/tcp -> -:1 line=2\n"
	  "lan 65535/tcp -> -:65535 line=2\n"
	  "lan 1/udp -> -:65535 line=2\n"
	  "lan 65535/udp -> -:1 line=2\n" },
	{ "publish = none answers nothing", "[room]\npublish = 80\n[door lan]\npublish = none\n",
	  "door lan lan line=3\n"
	  "room - default=none line=1\n" },
	{ "a door of any make has a command, an interface and servers",
	  "[door any]\n"
	  "command = vendor --name 'a # b' ; true # for the shell\n"
	  "interface = ppp0.1\n"
	  "server = vpn.example.com:443/tcp [2001:db8::1]:500/udp 2001:db8::2 192.0.2.1\n"
	  "[room]\n",
	  "door lan lan line=0\n"
	  "door any command command=vendor --name 'a # b' ; true # for the shell "
	  "interface=ppp0.1 server=vpn.example.com,443,6 server=2001:db8::1,500,17 "
	  "server=2001:db8::2,0,0 server=192.0.2.1,0,0 line=1\n"
	  "room - default=vpn line=5\n" },
	{ "default may name a door, before or after it stands in the file",
	  "[room a]\ndefault = two\n[door one]\nvpn = 1\n[door two]\nvpn = 2\n"
	  "[room b]\ndefault = one\n[room c]\ndefault=lan\n",
	  "door lan lan line=0\n"
	  "door one openvpn vpn=/etc/sallyport/1 line=3\n"
	  "door two openvpn vpn=/etc/sallyport/2 line=5\n"
	  "room a default=door:two line=1\n"
	  "room b default=door:one line=7\n"
	  "room c default=lan line=9\n" },
	{ "default = vpn is the door of that name if there is one",
	  "[room]\ndefault = vpn\n[door one]\nvpn = 1\n[door vpn]\nvpn = 2\n",
	  "door lan lan line=0\n"
	  "door one openvpn vpn=/etc/sallyport/1 line=3\n"
	  "door vpn openvpn vpn=/etc/sallyport/2 line=5\n"
	  "room - default=door:vpn line=1\n" },
	{ "default = vpn without a VPN door leads nowhere", "[room]\ndefault = vpn\n",
	  "door lan lan line=0\n"
	  "room - default=none line=1\n" },
	{ "names may be as long as an interface allows",
	  "[room abcdefghij]\n[door abcdefghijklmno]\nvpn = x y#z;.ovpn\nmss = 536\n",
	  "door lan lan line=0\n"
	  "door abcdefghijklmno openvpn vpn=/etc/sallyport/x y#z;.ovpn mss=536 line=2\n"
	  "room abcdefghij default=vpn line=1\n" },
	{ "files of other systems read the same",
	  "\xef\xbb\xbf[room]\r\n\tpublish=80\t443\r\n;x\r\n[ door  lan ]\r\n",
	  "door lan lan line=4\n"
	  "room - default=none line=1\n"
	  "lan 80/tcp -> -:80 line=2\n"
	  "lan 443/tcp -> -:443 line=2\n" },
};

static void understand(void **state)
{
	const struct good *good = *state;
	CLEANUP_ARENA struct arena a = { 0 };
	CLEANUP_TEXT struct text t = { 0 };
	struct err e = { "no error" };
	struct gate g;

	if (config_read(&a, "office", "/etc/sallyport/office.conf", good->text, strlen(good->text),
			&g, &e) < 0)
		fail_msg("%s", e.text);
	describe(&t, &g);
	assert_string_equal(text_str(&t), good->gate);
	assert_string_equal(g.name, "office");
	assert_string_equal(g.file, "/etc/sallyport/office.conf");
	assert_false(g.ends_with_command);
}

static void thirty_rooms_and_thirty_two_doors_are_a_gate(void **state)
{
	CLEANUP_ARENA struct arena a = { 0 };
	CLEANUP_TEXT struct text t = { 0 };
	struct err e;
	struct gate g;

	(void)state;
	for (int i = 1; i <= GATE_ROOMS_MAX; i++)
		text_addf(&t, "[room r%d]\npublish = %d\n", i, i);
	for (int i = 1; i < GATE_DOORS_MAX; i++)
		text_addf(&t, "[door d%d]\nvpn = x\n", i);
	assert_int_equal(config_read(&a, "office", "f", text_str(&t), t.len, &g, &e), 0);
	assert_int_equal(g.n_rooms, 30);
	assert_int_equal(g.n_doors, 32);
	assert_int_equal(g.n_publish, 30 * 32);
}

static void thirty_thousand_ports_can_be_published(void **state)
{
	CLEANUP_ARENA struct arena a = { 0 };
	CLEANUP_TEXT struct text t = { 0 };
	struct err e = { "" };
	struct gate g;

	(void)state;
	for (int i = 1; i <= 30 * 1000; i++) {
		if (i % 1000 == 1)
			text_addf(&t, "\n[room r%d]\npublish =", i);
		text_addf(&t, " %d", i);
	}
	assert_int_equal(config_read(&a, "office", "f", text_str(&t), t.len, &g, &e), 0);
	assert_int_equal(g.n_publish, 30000);
}

static void a_file_beside_the_working_directory_keeps_relative_paths(void **state)
{
	static const char text[] = "[room]\n[door a]\nvpn = a.ovpn\n";
	CLEANUP_ARENA struct arena a = { 0 };
	struct err e;
	struct gate g;

	(void)state;
	assert_int_equal(config_read(&a, "x", "x.conf", text, strlen(text), &g, &e), 0);
	assert_string_equal(g.doors[1].vpn, "a.ovpn");
	assert_int_equal(config_read(&a, "x", "/x.conf", text, strlen(text), &g, &e), 0);
	assert_string_equal(g.doors[1].vpn, "/a.ovpn");
}

/* --- names ---------------------------------------------------------------- */

static void gate_names_are_checked_before_the_file(void **state)
{
	static const struct {
		const char *name, *error;
	} rows[] = {
		{ "", "f: gate name is missing; use letters, digits, \"-\" and \"_\"" },
		{ "a/b", "f: gate name \"a/b\" has a \"/\"; use letters, digits, \"-\" and \"_\"" },
		{ "abcdefghijklm", "f: gate name \"abcdefghijklm\" has 13 characters; use at most "
				   "12" },
		{ "_a", "f: gate name \"_a\" begins with \"_\"; begin with a letter or a digit" },
	};
	CLEANUP_ARENA struct arena a = { 0 };
	struct gate g;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(config_read(&a, rows[i].name, "f", "[room]", 6, &g, &e), -22);
		assert_string_equal(e.text, rows[i].error);
	}
	assert_int_equal(config_read(&a, "abcdefghijkl", "f", "[room]", 6, &g, &e), 0);
}

/* --- flags ---------------------------------------------------------------- */

#define WORDS_MAX 4

struct flags_case {
	const char *name;
	const char *publish[WORDS_MAX];
	const char *vpn[WORDS_MAX];
	const char *reach[WORDS_MAX];
	const char *way;
	const char *gate; /* or */
	const char *error;
};

static size_t count(const char *const *words)
{
	size_t n = 0;

	while (n < WORDS_MAX && words[n])
		n++;
	return n;
}

static const struct flags_case flags_cases[] = {
	{ "flags make a gate with one room", .publish = { "80", "8080:80", "53/udp,5353/udp" },
	  .vpn = { "/etc/openvpn/client/office.ovpn", "wg0.conf" },
	  .reach = { "172.16.5.0/24", "fd00::/8" },
	  .gate = "door lan lan line=0\n"
		  "door office openvpn vpn=/etc/openvpn/client/office.ovpn line=0\n"
		  "door wg0 openvpn vpn=wg0.conf line=0\n"
		  "room - default=vpn reach=172.16.5.0/24 reach=fd00::/8 line=0\n"
		  "lan 80/tcp -> -:80 line=0\n"
		  "lan 8080/tcp -> -:80 line=0\n"
		  "lan 53/udp -> -:53 line=0\n"
		  "lan 5353/udp -> -:5353 line=0\n"
		  "office 80/tcp -> -:80 line=0\n"
		  "office 8080/tcp -> -:80 line=0\n"
		  "office 53/udp -> -:53 line=0\n"
		  "office 5353/udp -> -:5353 line=0\n"
		  "wg0 80/tcp -> -:80 line=0\n"
		  "wg0 8080/tcp -> -:80 line=0\n"
		  "wg0 53/udp -> -:53 line=0\n"
		  "wg0 5353/udp -> -:5353 line=0\n" },
	{ "no flags make a closed room", .gate = "door lan lan line=0\n"
						 "room - default=none line=0\n" },
	{ "--default may name a door", .vpn = { "a.ovpn", "b.ovpn" }, .way = "b",
	  .gate = "door lan lan line=0\n"
		  "door a openvpn vpn=a.ovpn line=0\n"
		  "door b openvpn vpn=b.ovpn line=0\n"
		  "room - default=door:b line=0\n" },
	{ "a bad --publish is named", .publish = { "80", "80x" },
	  .error = "--publish 80x: \"80x\" is not a port to publish; write "
		   "door-port[:room-port][/tcp or /udp], such as 80, 8080:80 or 53/udp" },
	{ "a port twice names both flags", .publish = { "80", "80:8080/tcp" },
	  .error = "--publish 80:8080/tcp: 80/tcp is published already by --publish 80; take one "
		   "out" },
	{ "a --vpn file whose name makes no door", .vpn = { "/x/us.free.ovpn" },
	  .error = "--vpn /x/us.free.ovpn: door name \"us.free\" has a \".\"; use letters, digits, "
		   "\"-\" and \"_\" (a door is called after its file: rename that, or write a "
		   "configuration file)" },
	{ "a --vpn file whose name is too long", .vpn = { "nl-ams-wg-socks5.conf" },
	  .error = "--vpn nl-ams-wg-socks5.conf: door name \"nl-ams-wg-socks5\" has 16 characters; "
		   "use at most 15 (a door is called after its file: rename that, or write a "
		   "configuration file)" },
	{ "a --vpn file called lan", .vpn = { "lan.ovpn" },
	  .error = "--vpn lan.ovpn: a VPN door cannot be called \"lan\": sallyport needs the name "
		   "itself; choose another (a door is called after its file: rename that, or write "
		   "a configuration file)" },
	{ "a --vpn that is a directory", .vpn = { "/etc/openvpn/" },
	  .error = "--vpn /etc/openvpn/: door name is missing; use letters, digits, \"-\" and "
		   "\"_\" (a door is called after its file: rename that, or write a configuration "
		   "file)" },
	{ "two --vpn files of one name", .vpn = { "/a/office.ovpn", "/b/office.conf" },
	  .error = "--vpn /b/office.conf: a door is called \"office\" already, after "
		   "/a/office.ovpn; rename one of the files" },
	{ "a bad --reach is named", .reach = { "10.0.0.1/8" },
	  .error = "--reach 10.0.0.1/8: prefix \"10.0.0.1/8\" has bits beyond its length; write "
		   "10.0.0.0/8" },
	{ "a bad --default is named", .way = "wan",
	  .error = "--default wan: no door is called \"wan\"; did you mean \"lan\"? default knows "
		   "vpn, none, lan" },
};

static void check_flags(void **state)
{
	const struct flags_case *c = *state;
	const struct config_flags flags = {
		.publish = c->publish,
		.n_publish = count(c->publish),
		.vpn = c->vpn,
		.n_vpn = count(c->vpn),
		.reach = c->reach,
		.n_reach = count(c->reach),
		.way = c->way,
	};
	CLEANUP_ARENA struct arena a = { 0 };
	CLEANUP_TEXT struct text t = { 0 };
	struct err e = { "" };
	struct gate g;
	int r = config_from_flags(&a, "run", &flags, &g, &e);

	if (c->error) {
		assert_int_equal(r, -22);
		assert_string_equal(e.text, c->error);
		return;
	}
	assert_string_equal(e.text, "");
	describe(&t, &g);
	assert_string_equal(text_str(&t), c->gate);
	assert_string_equal(g.file, "command line");
	assert_true(g.ends_with_command);
}

/* --- the kind of a VPN's file --------------------------------------------- */

static void the_kind_of_a_vpn_file_shows_in_its_content(void **state)
{
	static const struct {
		const char *text;
		enum door_kind kind;
	} rows[] = {
		{ "client\nremote vpn.example.com\n", DOOR_OPENVPN },
		{ "# [Interface]\n\tremote vpn.example.com\n", DOOR_OPENVPN },
		{ "<ca>\nx\n</ca>\n", DOOR_OPENVPN },
		{ "[Interface]\nPrivateKey = x\n", DOOR_WIREGUARD },
		{ "\xef\xbb\xbf  [interface] # home\r\n", DOOR_WIREGUARD },
		{ "[Peer]\n", DOOR_WIREGUARD },
		{ "remote\n[Interface]\n", DOOR_WIREGUARD },
	};
	enum door_kind kind;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		assert_int_equal(
			config_vpn_kind("f", rows[i].text, strlen(rows[i].text), &kind, &e), 0);
		assert_int_equal(kind, rows[i].kind);
	}
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(thirty_rooms_and_thirty_two_doors_are_a_gate),
		cmocka_unit_test(thirty_thousand_ports_can_be_published),
		cmocka_unit_test(a_file_beside_the_working_directory_keeps_relative_paths),
		cmocka_unit_test(gate_names_are_checked_before_the_file),
		cmocka_unit_test(the_kind_of_a_vpn_file_shows_in_its_content),
	};
	struct CMUnitTest tests[ARRAY_LEN(good_config) + ARRAY_LEN(flags_cases) + ARRAY_LEN(others)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(good_config); i++)
		tests[n++] = (struct CMUnitTest){ .name = good_config[i].name,
						  .test_func = understand,
						  .initial_state = (void *)&good_config[i] };
	for (size_t i = 0; i < ARRAY_LEN(flags_cases); i++)
		tests[n++] = (struct CMUnitTest){ .name = flags_cases[i].name,
						  .test_func = check_flags,
						  .initial_state = (void *)&flags_cases[i] };
	memcpy(tests + n, others, sizeof(others));
	return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
