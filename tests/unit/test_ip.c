/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Prefix arithmetic against numbers: here an address is an integer of 128 bits
 * and a prefix the first and the last address of a range.
 */
#include "random.h"

#include "base/text.h"
#include "model/ip.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define PREFIXES 500

typedef unsigned __int128 number;

struct range {
	number first;
	number last;
};

static const sa_family_t families[] = { AF_INET, AF_INET6 };

static number number_of(const struct ip *ip)
{
	number n = 0;

	for (unsigned int i = 0; i < ip_bits(ip->family) / 8; i++)
		n = n * 256 + ip->byte[i];
	return n;
}

static struct ip ip_of(sa_family_t family, number n)
{
	struct ip ip = { .family = family };

	for (unsigned int i = ip_bits(family) / 8; i-- > 0; n /= 256)
		ip.byte[i] = (uint8_t)(n % 256);
	return ip;
}

/* How many addresses beside the first; a shift by all 128 bits has no meaning in C. */
static number rest_of(sa_family_t family, unsigned int len)
{
	unsigned int host = ip_bits(family) - len;

	return host == 0 ? 0 : ~(number)0 >> (128 - host);
}

static struct range range_of(const struct prefix *p)
{
	number rest = rest_of(p->ip.family, p->len);
	number ip = number_of(&p->ip);

	return (struct range){ .first = ip & ~rest, .last = ip | rest };
}

static struct ip random_ip(struct dice *d, sa_family_t family)
{
	number n = 0;

	for (int i = 0; i < 4; i++)
		n = n << 32 | roll(d);
	/* Neighbours of few, or nothing ever overlaps. */
	if (!one_in(d, 4))
		n = (number)roll_below(d, 3) << (ip_bits(family) - 9) |
		    (n & rest_of(family, 1 + roll_below(d, ip_bits(family))));
	return ip_of(family, n);
}

static struct prefix random_prefix(struct dice *d, sa_family_t family)
{
	struct ip ip = random_ip(d, family);

	return prefix_of(&ip, roll_below(d, ip_bits(family) + 1));
}

static int sign(int n)
{
	return (n > 0) - (n < 0);
}

static int order_of(number a, number b)
{
	return (a > b) - (a < b);
}

static void check_pair(const struct prefix *a, const struct prefix *b)
{
	struct range ra = range_of(a), rb = range_of(b);
	int order = order_of(number_of(&a->ip), number_of(&b->ip));
	int by_len = (a->len > b->len) - (a->len < b->len);

	assert_int_equal(prefix_covers(a, &b->ip),
			 ra.first <= number_of(&b->ip) && number_of(&b->ip) <= ra.last);
	assert_int_equal(prefix_contains(a, b), ra.first <= rb.first && rb.last <= ra.last);
	assert_int_equal(prefix_overlaps(a, b), ra.first <= rb.last && rb.first <= ra.last);
	assert_int_equal(prefix_equal(a, b), ra.first == rb.first && ra.last == rb.last);
	assert_int_equal(sign(ip_compare(&a->ip, &b->ip)), order);
	assert_int_equal(sign(prefix_compare(a, b)), order ? order : by_len);
}

static void prefixes_relate_as_their_ranges_do(void **state)
{
	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(families); f++) {
		struct dice d = dice_of(f + 1);
		struct prefix p[PREFIXES];
		size_t overlaps = 0;

		for (size_t i = 0; i < PREFIXES; i++)
			p[i] = random_prefix(&d, families[f]);
		for (size_t i = 0; i < PREFIXES; i++)
			for (size_t j = 0; j < PREFIXES; j++) {
				check_pair(&p[i], &p[j]);
				overlaps += prefix_overlaps(&p[i], &p[j]);
			}
		/* The dice made cases of both sorts. */
		assert_in_range(overlaps, PREFIXES * PREFIXES / 50, PREFIXES * PREFIXES * 3 / 4);
	}
}

static void families_never_meet(void **state)
{
	struct dice d = dice_of(3);

	(void)state;
	for (int i = 0; i < 1000; i++) {
		struct prefix a = random_prefix(&d, AF_INET);
		struct prefix b = random_prefix(&d, AF_INET6);

		/* Equal bytes and lengths are different prefixes all the same. */
		memcpy(b.ip.byte, a.ip.byte, 4);
		b.len = a.len;
		assert_false(prefix_overlaps(&a, &b));
		assert_false(prefix_overlaps(&b, &a));
		assert_false(prefix_covers(&a, &b.ip));
		assert_false(prefix_equal(&a, &b));
		assert_true(prefix_compare(&a, &b) * prefix_compare(&b, &a) < 0);
	}
}

static void a_prefix_begins_with_its_first_address(void **state)
{
	struct dice d = dice_of(4);

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (unsigned int len = 0; len <= ip_bits(families[f]); len++)
			for (int i = 0; i < 50; i++) {
				struct ip ip = random_ip(&d, families[f]);
				struct prefix p = prefix_of(&ip, len);
				number rest = rest_of(families[f], len);

				assert_true(number_of(&p.ip) == (number_of(&ip) & ~rest));
				assert_int_equal(p.len, len);
				assert_int_equal(p.ip.family, families[f]);
				assert_true(prefix_covers(&p, &ip));
			}
}

static void adding_carries_and_wraps(void **state)
{
	struct dice d = dice_of(5);

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (int i = 0; i < 10000; i++) {
			struct ip ip = random_ip(&d, families[f]);
			uint32_t n = roll(&d) >> roll_below(&d, 32);
			struct ip sum, wanted;

			if (one_in(&d, 4)) /* at the end of the family */
				ip = ip_of(families[f], ~(number)0 - roll_below(&d, 9));
			sum = ip_plus(&ip, n);
			wanted = ip_of(families[f], number_of(&ip) + n);
			assert_true(ip_equal(&sum, &wanted));
		}
}

/* As inet_pton(3) and a decimal number would have it. */
static void text_and_value_go_back_and_forth(void **state)
{
	struct dice d = dice_of(6);

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (int i = 0; i < 5000; i++) {
			struct prefix p = random_prefix(&d, families[f]), again;
			char buf[PREFIX_TEXT_SIZE], alone[IP_TEXT_SIZE];
			uint8_t bytes[16];
			struct ip ip;

			assert_true(prefix_parse(prefix_text(&p, buf), false, &again));
			assert_true(prefix_equal(&p, &again));
			assert_true(ip_parse(ip_text(&p.ip, alone), &ip));
			assert_true(ip_equal(&p.ip, &ip));
			assert_int_equal(inet_pton(families[f], alone, bytes), 1);
			assert_memory_equal(bytes, p.ip.byte, ip_bits(families[f]) / 8);
			assert_int_equal(strtoul(strchr(buf, '/') + 1, NULL, 10), p.len);
		}
}

static void host_bits_are_refused_unless_they_may_be(void **state)
{
	struct dice d = dice_of(7);

	(void)state;
	for (size_t f = 0; f < ARRAY_LEN(families); f++)
		for (int i = 0; i < 5000; i++) {
			struct ip ip = random_ip(&d, families[f]);
			unsigned int len = roll_below(&d, ip_bits(families[f]) + 1);
			number host = number_of(&ip) & rest_of(families[f], len);
			char buf[PREFIX_TEXT_SIZE + 8], alone[IP_TEXT_SIZE];
			struct prefix p, wanted = prefix_of(&ip, len);

			snprintf(buf, sizeof(buf), "%s/%u", ip_text(&ip, alone), len);
			assert_int_equal(prefix_parse(buf, false, &p), host == 0);
			assert_true(prefix_parse(buf, true, &p));
			assert_true(prefix_equal(&p, &wanted));
		}
}

static void what_is_no_prefix_is_refused(void **state)
{
	static const char *const bad[] = {
		"",
		"/",
		"/8",
		"10",
		"10.0",
		"10.0.0",
		"10.0.0.0/",
		"10.0.0.0/33",
		"10.0.0.0/-1",
		"10.0.0.0/ 8",
		"10.0.0.0/8 ",
		" 10.0.0.0/8",
		"10.0.0.0/8/8",
		"10.0.0.0/0x8",
		"10.0.0.0/4294967304",
		"10.0.0.256",
		"010.0.0.0.0",
		"::/129",
		":::/0",
		"::1%lo",
		"fe80::1%1/64",
		"1:2:3:4:5:6:7:8:9/64",
		"default",
		"any",
		"10.0.0.0/255.0.0.0",
		"0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000/8",
	};
	struct prefix p = { .len = 77 };

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_false(prefix_parse(bad[i], false, &p));
		assert_false(prefix_parse(bad[i], true, &p));
		assert_int_equal(p.len, 77);
	}
}

/* RFC 1122, 3.2.1.3; RFC 3927; RFC 4291, 2.4. */
static void special_addresses_are_known(void **state)
{
	static const struct {
		const char *ip;
		bool any, loopback, link_local;
	} rows[] = {
		{ "0.0.0.0", true, false, false },
		{ "0.0.0.1", false, false, false },
		{ "127.0.0.1", false, true, false },
		{ "127.255.255.255", false, true, false },
		{ "126.255.255.255", false, false, false },
		{ "128.0.0.0", false, false, false },
		{ "169.254.0.0", false, false, true },
		{ "169.254.255.255", false, false, true },
		{ "169.253.255.255", false, false, false },
		{ "169.255.0.0", false, false, false },
		{ "::", true, false, false },
		{ "::1", false, true, false },
		{ "::2", false, false, false },
		{ "7f00::", false, false, false },
		{ "fe80::1", false, false, true },
		{ "febf::1", false, false, true },
		{ "fec0::1", false, false, false },
		{ "fe7f:ffff::", false, false, false },
		{ "::ffff:127.0.0.1", false, false, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct ip ip;

		assert_true(ip_parse(rows[i].ip, &ip));
		assert_false(ip_is_none(&ip));
		assert_int_equal(ip_is_any(&ip), rows[i].any);
		assert_int_equal(ip_is_loopback(&ip), rows[i].loopback);
		assert_int_equal(ip_is_link_local(&ip), rows[i].link_local);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(prefixes_relate_as_their_ranges_do),
		cmocka_unit_test(families_never_meet),
		cmocka_unit_test(a_prefix_begins_with_its_first_address),
		cmocka_unit_test(adding_carries_and_wraps),
		cmocka_unit_test(text_and_value_go_back_and_forth),
		cmocka_unit_test(host_bits_are_refused_unless_they_may_be),
		cmocka_unit_test(what_is_no_prefix_is_refused),
		cmocka_unit_test(special_addresses_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
