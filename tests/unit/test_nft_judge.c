/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a firewall's chain does with a packet of which not all is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants the four above first. */

#include <cmocka.h>

#include "base/text.h"
#include "wire/nft_judge.h"

#define RULE(chain, handle, expr)                                                                  \
	"{\"rule\":{\"family\":\"ip\",\"table\":\"filter\",\"chain\":\"" chain                     \
	"\",\"handle\":" handle ",\"expr\":[" expr "]}}"
#define OUT(link)                                                                                  \
	"{\"match\":{\"op\":\"==\",\"left\":{\"meta\":{\"key\":\"oifname\"}},\"right\":\"" link    \
	"\"}}"
#define CONNTRACK "{\"xt\":{\"type\":\"match\",\"name\":\"conntrack\"}}"
#define COMMENT   "{\"xt\":{\"type\":\"match\",\"name\":\"comment\"}}"
#define JUMP(to)  "{\"jump\":{\"target\":\"" to "\"}}"
#define ACCEPT    "{\"accept\":null}"
#define DROP      "{\"drop\":null}"
#define RETURN    "{\"return\":null}"

/* As nft(8) writes the table; the handle of a rule of another table is no matter. */
static const char text[] = "table ip nat { # handle 1\n"
			   "\t\tct state new counter accept # handle 7\n"
			   "}\n"
			   "table ip filter { # handle 2\n"
			   "\tchain FORWARD { # handle 3\n"
			   "\t\tct state related,established counter accept # handle 7\n"
			   "\t\tct status dnat counter accept # handle 8\n"
			   "\t\tct state new counter accept # handle 9\n"
			   "\t}\n"
			   "}\n";

static enum nft_fits fits(const struct nft_judge *j, const json_t *match)
{
	return nft_fits_unless(nft_has_link(json_object_get(match, "right"), j->packet), false);
}

static enum nft_says says_to(bool strict, const char *rules, const char *listed)
{
	struct text t CLEANUP_TEXT = { 0 };
	struct nft_judge j = { .family = "ip",
			       .table = "filter",
			       .state = "new",
			       .text = listed,
			       .strict = strict,
			       .match = fits,
			       .packet = "podman0" };
	enum nft_says v;
	json_t *root;

	text_addf(&t, "[%s]", rules);
	root = json_loads(text_str(&t), 0, NULL);
	assert_non_null(root);
	j.rules = root;
	v = nft_judge_chain(&j, "FORWARD");
	json_decref(root);
	return v;
}

static enum nft_says says(const char *rules, const char *listed)
{
	return says_to(false, rules, listed);
}

static void a_rule_that_may_fit_accepts_and_does_not_drop(void **state)
{
	(void)state;
	assert_int_equal(says(RULE("FORWARD", "7", CONNTRACK "," ACCEPT), NULL), NFT_ACCEPTS);
	assert_int_equal(says(RULE("FORWARD", "7", CONNTRACK "," DROP), NULL), NFT_RETURNS);
	assert_int_equal(says(RULE("FORWARD", "7", OUT("podman*") "," DROP), NULL), NFT_DROPS);
	assert_int_equal(says(RULE("FORWARD", "7", OUT("docker0") "," DROP), NULL), NFT_RETURNS);
}

static void what_iptables_asks_of_a_state_is_read_from_the_text(void **state)
{
	(void)state;
	assert_int_equal(says(RULE("FORWARD", "7", CONNTRACK "," ACCEPT), text), NFT_RETURNS);
	assert_int_equal(says(RULE("FORWARD", "8", CONNTRACK "," ACCEPT), text), NFT_ACCEPTS);
	assert_int_equal(says(RULE("FORWARD", "9", CONNTRACK "," DROP), text), NFT_DROPS);
	assert_int_equal(says(RULE("FORWARD", "10", CONNTRACK "," ACCEPT), text), NFT_ACCEPTS);
}

static void a_chain_that_is_jumped_to_decides_or_returns(void **state)
{
	(void)state;
	assert_int_equal(says(RULE("FORWARD", "1", COMMENT "," JUMP("USER")) "," RULE(
				      "USER", "2", RETURN) "," RULE("FORWARD", "3", DROP),
			      NULL),
			 NFT_DROPS);
	assert_int_equal(
		says(RULE("FORWARD", "1", JUMP("USER")) "," RULE(
			     "USER", "2", OUT("podman0") "," ACCEPT) "," RULE("FORWARD", "3", DROP),
		     NULL),
		NFT_ACCEPTS);
	assert_int_equal(says(RULE("FORWARD", "1", JUMP("FORWARD")), NULL), NFT_ACCEPTS);
}

static void who_is_strict_believes_what_can_be_read_alone(void **state)
{
	static const char by_map[] =
		RULE("FORWARD", "1",
		     "{\"vmap\":{\"key\":{\"meta\":{\"key\":\"iifname\"}},\"data\":\"@ways\"}}");

	(void)state;
	assert_int_equal(says_to(true, RULE("FORWARD", "7", CONNTRACK "," ACCEPT), NULL),
			 NFT_RETURNS);
	assert_int_equal(says_to(true, RULE("FORWARD", "9", CONNTRACK "," ACCEPT), text),
			 NFT_ACCEPTS);
	assert_int_equal(says_to(true, RULE("FORWARD", "7", COMMENT "," ACCEPT), NULL),
			 NFT_ACCEPTS);
	assert_int_equal(says_to(true, RULE("FORWARD", "1", JUMP("FORWARD")), NULL), NFT_RETURNS);
	assert_int_equal(says_to(false, by_map, NULL), NFT_ACCEPTS);
	assert_int_equal(says_to(true, by_map, NULL), NFT_RETURNS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_rule_that_may_fit_accepts_and_does_not_drop),
		cmocka_unit_test(what_iptables_asks_of_a_state_is_read_from_the_text),
		cmocka_unit_test(a_chain_that_is_jumped_to_decides_or_returns),
		cmocka_unit_test(who_is_strict_believes_what_can_be_read_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
