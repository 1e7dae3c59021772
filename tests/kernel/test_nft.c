/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "lab.h"

#include "base/text.h"
#include "sys/fd.h"
#include "sys/netns.h"
#include "sys/nft.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

static const char table[] = "table inet sallyport-office {\n"
			    "\tchain forward {\n"
			    "\t\ttype filter hook forward priority filter; policy drop;\n"
			    "\t\tcounter comment \"seen\"\n"
			    "\t}\n"
			    "}\n";

/* Before the first of the others: once it is loaded it stays. */
static void without_libnftables_nothing_begins(void **state)
{
	struct nft *n CLEANUP_NFT = NULL;
	int fd CLEANUP_FD = -1;
	struct err e;

	(void)state;
	assert_ok(netns_create("office", "sallyport office", &fd, &e));
	assert_int_equal(mount("none", NFTABLES_LIBDIR, "tmpfs", 0, NULL), 0);
	assert_int_equal(nft_open(fd, &n, &e), -ENOENT);
	assert_non_null(strstr(e.text, "libnftables.so.1"));
	assert_int_equal(umount(NFTABLES_LIBDIR), 0);
	assert_ok(nft_open(fd, &n, &e));
}

static void a_table_is_listed_as_it_was_given(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *n CLEANUP_NFT = NULL;
	const char *text;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_int_equal(nft_list_table(n, &a, "sallyport-office", &text, &e), -ENOENT);
	assert_ok(nft_run(n, table, &e));
	assert_ok(nft_list_table(n, &a, "sallyport-office", &text, &e));
	assert_non_null(strstr(text, "counter comment \"seen\""));
	assert_null(strstr(text, "packets"));
	assert_null(strstr(text, "handle"));
	assert_ok(nft_list_json(n, &a, "table inet sallyport-office", &text, &e));
	assert_int_equal(text[0], '{');
	assert_non_null(strstr(text, "\"packets\": 0"));
	/* And text is text again. */
	assert_ok(nft_list_table(n, &a, "sallyport-office", &text, &e));
	assert_int_equal(text[0], 't');
}

static void a_transaction_is_done_whole_or_not_at_all(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *n CLEANUP_NFT = NULL;
	const char *before, *after;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_ok(nft_run(n, table, &e));
	assert_ok(nft_list_table(n, &a, "sallyport-office", &before, &e));
	/* The kernel finds out about the last line only when all is sent. */
	assert_int_equal(nft_run(n,
				 "flush table inet sallyport-office\n"
				 "add rule inet sallyport-office forward accept\n"
				 "delete element inet sallyport-office nothing { 1 }\n",
				 &e),
			 -ENOENT);
	assert_ok(nft_list_table(n, &a, "sallyport-office", &after, &e));
	assert_string_equal(before, after);
	assert_int_equal(nft_run(n, "add rule inet sallyport-office forward gibberish\n", &e),
			 -EINVAL);
	assert_non_null(strstr(e.text, "gibberish"));
	/* No word of the failure is left for the next. */
	assert_int_equal(nft_run(n, "delete table inet absent", &e), -ENOENT);
	assert_null(strstr(e.text, "gibberish"));
	assert_ok(nft_list_table(n, &a, "sallyport-office", &after, &e));
	assert_string_equal(before, after);
}

static void replacing_a_table_leaves_no_moment_without_it(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *n CLEANUP_NFT = NULL;
	const char *before, *after;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_ok(nft_run(n, table, &e));
	assert_ok(nft_list_table(n, &a, "sallyport-office", &before, &e));
	assert_ok(nft_run(n,
			  arena_printf(&a,
				       "table inet sallyport-office\n"
				       "delete table inet sallyport-office\n%s",
				       table),
			  &e));
	assert_ok(nft_list_table(n, &a, "sallyport-office", &after, &e));
	assert_string_equal(before, after);
}

static void the_context_stays_in_the_namespace_where_it_was_made(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *here CLEANUP_NFT = NULL;
	struct nft *there CLEANUP_NFT = NULL;
	int fd CLEANUP_FD = -1;
	const char *text;
	struct err e;

	(void)state;
	assert_ok(netns_create("office", "sallyport office", &fd, &e));
	assert_ok(nft_open(fd, &there, &e));
	assert_ok(nft_open(-1, &here, &e));
	assert_ok(nft_run(there, table, &e));
	assert_ok(nft_list_table(there, &a, "sallyport-office", &text, &e));
	assert_int_equal(nft_list_table(here, &a, "sallyport-office", &text, &e), -ENOENT);
}

/* A room's process with a socket of the host's nftables would be a way out. */
static void no_socket_of_libnftables_reaches_a_child(void **state)
{
	struct nft *n CLEANUP_NFT = NULL;
	char before[1024] = "", after[1024] = "";
	struct err e;
	FILE *p;

	(void)state;
	p = popen("ls -l /proc/self/fd | grep -c socket", "re");
	assert_non_null(fgets(before, sizeof(before), p));
	pclose(p);
	assert_ok(nft_open(-1, &n, &e));
	p = popen("ls -l /proc/self/fd | grep -c socket", "re");
	assert_non_null(fgets(after, sizeof(after), p));
	pclose(p);
	assert_string_equal(before, after);
}

static void wait_for(struct nft_watch *w)
{
	struct pollfd p = { .fd = nft_watch_fd(w), .events = POLLIN };

	assert_int_equal(poll(&p, 1, 60000), 1);
}

static void the_watch_tells_own_transactions_from_others(void **state)
{
	struct nft *n CLEANUP_NFT = NULL;
	struct nft_watch *w = NULL;
	bool foreign = true;
	char who[32];
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_ok(nft_watch_open(-1, &w, &e));
	assert_ok(nft_run(n, table, &e));
	wait_for(w);
	assert_ok(nft_watch_read(w, &foreign, who, &e));
	assert_false(foreign);
	assert_string_equal(who, "");
	assert_int_equal(system("nft flush ruleset"), 0);
	wait_for(w);
	assert_ok(nft_watch_read(w, &foreign, who, &e));
	assert_true(foreign);
	assert_string_equal(who, "nft");
	nft_watch_close(&w);
	assert_null(w);
}

static void a_set_is_empty_until_something_stands_in_it(void **state)
{
	struct nft *n CLEANUP_NFT = NULL;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_true(nft_set_is_empty(n, "t", "s"));
	assert_ok(nft_run(n, "table inet t {\n\tset s { type inet_service; }\n}\n", &e));
	assert_true(nft_set_is_empty(n, "t", "s"));
	assert_ok(nft_run(n, "add element inet t s { 80 }\n", &e));
	assert_false(nft_set_is_empty(n, "t", "s"));
}

/* Runs @command as somebody else does: did that touch ours? */
static bool touched_by(struct nft_watch *w, const char *command)
{
	bool foreign = false;
	char who[32];
	struct err e;

	assert_int_equal(system(command), 0);
	while (!foreign) {
		wait_for(w);
		assert_ok(nft_watch_read(w, &foreign, who, &e));
	}
	return nft_watch_touched(w);
}

static void a_foreign_transaction_touches_what_it_names(void **state)
{
	static const char shared[] = "table inet sallyport {\n"
				     "\tmap ports { type inet_service : verdict; }\n"
				     "\tset links { type ifname; }\n"
				     "\tmap names { type inet_service : ipv4_addr; }\n"
				     "\tchain forward { type filter hook forward priority 0; }\n"
				     "\tchain lan_a { counter; }\n"
				     "\tchain lan_b { counter; }\n"
				     "}\n";
	static const struct {
		const char *command;
		bool touched;
	} cases[] = {
		{ "nft add table ip other", false },
		{ "nft add chain ip other forward", false },
		{ "nft add table ip6 sallyport", false },
		{ "nft add rule inet sallyport lan_b accept", false },
		{ "nft flush chain inet sallyport lan_b", false },
		{ "nft add rule inet sallyport lan_a accept", true },
		{ "nft flush chain inet sallyport lan_a", true },
		{ "nft add rule inet sallyport forward accept", true },
		{ "nft 'add element inet sallyport ports { 2 : goto lan_b }'", false },
		{ "nft 'delete element inet sallyport ports { 2 }'", false },
		{ "nft 'add element inet sallyport ports { 1 : goto lan_a }'", true },
		{ "nft 'delete element inet sallyport ports { 1 }'", true },
		{ "nft 'add element inet sallyport links { \"sp-b\" comment \"b\" }'", false },
		{ "nft 'delete element inet sallyport links { \"sp-b\" }'", false },
		{ "nft 'add element inet sallyport links { \"sp-a\" comment \"a\" }'", true },
		{ "nft 'delete element inet sallyport links { \"sp-a\" }'", true },
		{ "nft 'add element inet sallyport links { \"eth0\" }'", true },
		{ "nft 'add element inet sallyport names { 1 comment \"b\" : 192.0.2.1 }'", false },
		{ "nft 'add element inet sallyport names { 2 comment \"a\" : 192.0.2.1 }'", true },
		{ "nft flush table inet sallyport", true },
		{ "nft delete table inet sallyport", true },
	};
	struct nft *n CLEANUP_NFT = NULL;
	struct nft_watch *w = NULL;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_ok(nft_watch_open(-1, &w, &e));
	nft_watch_own(w, "sallyport", "a");
	assert_ok(nft_run(n, shared, &e));
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		if (touched_by(w, cases[i].command) != cases[i].touched)
			fail_msg("%s", cases[i].command);
	nft_watch_close(&w);
}

static bool is_readable(struct nft_watch *w)
{
	struct pollfd p = { .fd = nft_watch_fd(w), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

/* Two hundred supervisors do not wake for each start of one. */
static void what_gates_do_to_their_own_parts_wakes_nobody(void **state)
{
	struct nft *one CLEANUP_NFT = NULL, *two CLEANUP_NFT = NULL, *other CLEANUP_NFT = NULL;
	struct nft_watch *w = NULL, *all = NULL;
	struct err e;

	(void)state;
	/* Of one process, and so of one number to begin with. */
	assert_ok(nft_open_as_gate(-1, &one, &e));
	assert_ok(nft_open_as_gate(-1, &two, &e));
	assert_ok(nft_open(-1, &other, &e));
	assert_ok(nft_watch_open(-1, &w, &e));
	assert_ok(nft_watch_open(-1, &all, &e));
	nft_watch_without_gates(w);
	assert_ok(nft_run(one, "add table inet sallyport\n", &e));
	assert_ok(nft_run(two, "add map inet sallyport from { type ifname : verdict; }\n", &e));
	assert_false(is_readable(w));
	assert_true(is_readable(all));
	assert_ok(nft_run(other, "add map inet sallyport lan { type ifname : verdict; }\n", &e));
	assert_true(is_readable(w));
	nft_watch_close(&w);
	nft_watch_close(&all);
}

/* By the number of transactions: who hears of changes only later has missed none. */
static void who_was_not_alone_knows_it(void **state)
{
	struct nft *gate CLEANUP_NFT = NULL, *other CLEANUP_NFT = NULL;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &other, &e));
	assert_false(nft_is_alone(other));
	assert_ok(nft_open_as_gate(-1, &gate, &e));
	assert_true(nft_is_alone(gate));
	assert_ok(nft_run(gate, "add table inet mine\n", &e));
	/* What only libnftables understands is one transaction as well. */
	assert_ok(nft_run(gate, "add table ip mine\nadd chain ip mine c\n", &e));
	assert_int_equal(nft_run(gate, "delete table inet none\n", &e), -ENOENT);
	assert_true(nft_is_alone(gate));
	assert_ok(nft_run(other, "delete table inet mine\n", &e));
	assert_false(nft_is_alone(gate));
	assert_ok(nft_run(gate, "add table inet mine\n", &e));
	assert_false(nft_is_alone(gate));
}

static void the_comments_of_one_chain_are_read(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *n CLEANUP_NFT = NULL;
	const char *const *texts;
	size_t count;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_int_equal(nft_comments(n, &a, "t", "before", &texts, &count, &e), -ENOENT);
	assert_false(nft_has_chain(n, "t", "before"));
	assert_ok(nft_run(n,
			  "table inet t {\n"
			  "\tchain before {\n"
			  "\t\tcontinue comment \"ipv4/ip_forward 0\"\n"
			  "\t\tcontinue\n"
			  "\t\tcontinue comment \"ipv4/ping_group_range 1\t0\"\n"
			  "\t}\n"
			  "\tchain other { continue comment \"not this\"; }\n"
			  "\tchain none { }\n"
			  "}\n",
			  &e));
	assert_true(nft_has_chain(n, "t", "before"));
	assert_false(nft_has_chain(n, "t", "beforehand"));
	assert_ok(nft_comments(n, &a, "t", "before", &texts, &count, &e));
	assert_int_equal(count, 2);
	assert_string_equal(texts[0], "ipv4/ip_forward 0");
	assert_string_equal(texts[1], "ipv4/ping_group_range 1\t0");
	assert_ok(nft_comments(n, &a, "t", "none", &texts, &count, &e));
	assert_int_equal(count, 0);
}

static void what_is_beside_our_table_does_not_matter(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *n CLEANUP_NFT = NULL;
	const char *text;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	/* Expressions that libnftables cannot show, if this machine has iptables-nft. */
	assert_int_equal(system("iptables-nft -t filter -A FORWARD -m statistic --mode nth "
				"--every 3 --packet 0 -j ACCEPT 2>/dev/null; true"),
			 0);
	assert_ok(nft_run(n,
			  "table ip foreign { set s { type ipv4_addr; flags interval; "
			  "elements = { 10.0.0.0/8, 192.168.0.0/16 }; }; }\n",
			  &e));
	assert_ok(nft_run(n, table, &e));
	assert_int_equal(system("nft delete table ip foreign"), 0);
	assert_ok(nft_run(n, "add rule inet sallyport-office forward accept\n", &e));
	assert_ok(nft_list_table(n, &a, "sallyport-office", &text, &e));
	assert_null(strstr(text, "foreign"));
	assert_null(strstr(text, "FORWARD"));
}

/* A table of gates "a" and "b"; without "a" if @with is false. */
static const char *of_two_gates(struct arena *a, bool with)
{
	struct text t = { 0 };
	const char *ret;

	text_add(&t, "table inet two { }\ndelete table inet two\ntable inet two {\n");
	if (with)
		text_add(&t, "chain from_a { }\nchain publish_a { jump from_a; }\n");
	text_addf(&t,
		  "chain publish_b { accept; }\n"
		  "set links { type ifname; elements = { \"sp-a\", %s\"sp-b\" comment \"b\" }; }\n"
		  "map rooms { type inet_service : ipv4_addr . inet_service; elements = {\n"
		  "%s80 comment \"b\" : 192.0.2.2 . 80 }; }\n",
		  with ? "\"sp-c\" comment \"a\"," : "",
		  with ? "79 comment \"a\" : 192.0.2.1 . 79,\n" : "");
	text_add(&t, "map from { type ifname : verdict; elements = {\n");
	text_addf(&t, "%s\"sp-b\" : goto publish_b }; }\n",
		  with ? "\"sp-a\" : jump from_a,\n" : "");
	text_add(&t, "map listen6 { type ipv6_addr . inet_proto . inet_service : verdict; "
		     "elements = {\n");
	/* More than one message of a dump and one attribute hold. */
	for (unsigned int i = 1; with && i <= 2000; i++)
		text_addf(&t, "fd00::1 . tcp . %u : goto publish_a,\n", i);
	text_add(&t, "fd00::1 . tcp . 3000 : goto publish_b, fd00::1 . tcp . 3001 : accept }; }\n"
		     "map empty { type ipv4_addr : verdict; }\n"
		     "map names { type inet_service : ipv4_addr; elements = { 1 : 192.0.2.1 }; }\n"
		     "chain base { type filter hook input priority 0; policy accept; "
		     "iifname vmap @from; }\n"
		     "}\n");
	ret = arena_strdup(a, text_str(&t));
	text_free(&t);
	return ret;
}

static void chains_go_with_what_leads_to_them_and_all_else_stays(void **state)
{
	static const char *const chains[] = { "from_a", "publish_a" };
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *n CLEANUP_NFT = NULL;
	const char *want, *text;
	struct err e;

	(void)state;
	assert_ok(nft_open(-1, &n, &e));
	assert_ok(nft_run(n, of_two_gates(&a, false), &e));
	assert_ok(nft_list_table(n, &a, "two", &want, &e));
	assert_ok(nft_run(n, of_two_gates(&a, true), &e));
	assert_ok(nft_list_table(n, &a, "two", &text, &e));
	assert_string_not_equal(text, want);
	assert_int_equal(nft_remove_part(n, "two", "a", chains, ARRAY_LEN(chains), &e), 1);
	assert_int_equal(nft_remove_part(n, "two", "a", NULL, 0, &e), 0);
	assert_ok(nft_list_table(n, &a, "two", &text, &e));
	assert_string_equal(text, want);
	/* Whoever still needs a chain keeps all of them. */
	assert_ok(nft_run(n, of_two_gates(&a, true), &e));
	assert_ok(nft_run(n, "add rule inet two base goto from_a\n", &e));
	assert_ok(nft_list_table(n, &a, "two", &want, &e));
	assert_int_equal(nft_remove_part(n, "two", "a", chains, ARRAY_LEN(chains), &e), -EBUSY);
	assert_ok(nft_list_table(n, &a, "two", &text, &e));
	assert_string_equal(text, want);
}

/* Docker's chain for others: of either family, among rules that others put there. */
static void rules_with_our_comment_go_from_anothers_chain(void **state)
{
	static const char *const families[] = { "ip", "ip6", "inet" };
	struct arena a CLEANUP_ARENA = { 0 };
	struct nft *n CLEANUP_NFT = NULL;
	struct err e;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		const struct nft_chain c = { .family = families[i], .table = "f", .name = "USER" };
		const char *words =
			arena_printf(&a,
				     "test 3 = $(nft list chain %s f USER | grep -c comment) && "
				     "test 1 = $(nft list chain %s f USER | grep -c a2) && "
				     "test 1 = $(nft list chain %s f OTHER | grep -c sallyport-a)",
				     families[i], families[i], families[i]);

		lab_run(arena_printf(
			&a,
			"f=%s; nft \"add table $f f; add chain $f f OTHER; add chain $f f USER;\"; "
			"u() { nft add rule $f f USER \"$@\"; }; "
			"nft add rule $f f OTHER accept comment '\"sallyport-a\"'; "
			"u iifname sp-a counter accept comment '\"sallyport-a\"'; "
			"u iifname x accept comment '\"mine\"'; "
			"u oifname sp-a counter accept comment '\"sallyport-a\"'; "
			"u iifname sp-a2 accept comment '\"sallyport-a2\"'; "
			"u return; u counter comment '\"sallyport\"'",
			families[i]));
		assert_ok(nft_open(-1, &n, &e));
		assert_ok(nft_remove_commented(n, &c, "sallyport-a", &e));
		lab_run(words);
		assert_ok(nft_remove_commented(n, &c, "sallyport-a", &e));
		lab_run(words);
		nft_close(&n);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_libnftables_nothing_begins, lab_enter),
		cmocka_unit_test_setup(a_table_is_listed_as_it_was_given, lab_enter),
		cmocka_unit_test_setup(a_transaction_is_done_whole_or_not_at_all, lab_enter),
		cmocka_unit_test_setup(replacing_a_table_leaves_no_moment_without_it, lab_enter),
		cmocka_unit_test_setup(the_context_stays_in_the_namespace_where_it_was_made,
				       lab_enter),
		cmocka_unit_test_setup(no_socket_of_libnftables_reaches_a_child, lab_enter),
		cmocka_unit_test_setup(the_watch_tells_own_transactions_from_others, lab_enter),
		cmocka_unit_test_setup(a_set_is_empty_until_something_stands_in_it, lab_enter),
		cmocka_unit_test_setup(a_foreign_transaction_touches_what_it_names, lab_enter),
		cmocka_unit_test_setup(what_gates_do_to_their_own_parts_wakes_nobody, lab_enter),
		cmocka_unit_test_setup(who_was_not_alone_knows_it, lab_enter),
		cmocka_unit_test_setup(the_comments_of_one_chain_are_read, lab_enter),
		cmocka_unit_test_setup(what_is_beside_our_table_does_not_matter, lab_enter),
		cmocka_unit_test_setup(chains_go_with_what_leads_to_them_and_all_else_stays,
				       lab_enter),
		cmocka_unit_test_setup(rules_with_our_comment_go_from_anothers_chain, lab_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
