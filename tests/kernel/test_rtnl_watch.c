/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which changes of the network a watch hears, and which do not even wake it. */
#include "lab.h"

#include "base/text.h"
#include "plan/slot.h"
#include "sys/rtnl.h"

#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

static struct rtnl_news read_news(struct rtnl_watch *w)
{
	struct pollfd p = { .fd = rtnl_watch_fd(w), .events = POLLIN };
	struct rtnl_news news;
	struct err e;

	assert_int_equal(poll(&p, 1, 60000), 1);
	assert_ok(rtnl_watch_read(w, &news, &e));
	return news;
}

static void the_watch_tells_what_was_touched(void **state)
{
	struct rtnl_watch *w = NULL;
	struct rtnl_news n;
	struct err e;

	(void)state;
	lab_run("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up");
	assert_ok(rtnl_watch_open(-1, &w, &e));
	assert_ok(rtnl_watch_read(w, &n, &e));
	assert_false(n.links || n.rules || n.routes || n.addresses || n.lost || n.deletions);
	lab_run("ip rule add pref 0 lookup 5901");
	n = read_news(w);
	/* A link's carrier may be told of late. */
	assert_true(n.rules && n.deletions && !n.lost);
	lab_run("ip route add 10.0.0.0/8 dev d0");
	n = read_news(w);
	assert_true(n.routes && !n.deletions && !n.rules);
	lab_run("ip route del 10.0.0.0/8");
	n = read_news(w);
	assert_true(n.routes && n.deletions);
	lab_run("ip addr add 192.0.2.1/24 dev d0");
	n = read_news(w);
	assert_true(n.addresses && !n.deletions);
	lab_run("echo 1 >/proc/sys/net/ipv4/ip_forward");
	n = read_news(w);
	assert_true(n.links && !n.deletions && !n.lost);
	lab_run("echo 1 >/proc/sys/net/ipv6/conf/all/forwarding");
	n = read_news(w);
	assert_true(n.links && !n.lost);
	lab_run("echo 2 >/proc/sys/net/ipv4/conf/d0/rp_filter");
	n = read_news(w);
	assert_true(n.links && !n.deletions && !n.lost);
	/* IPv4 says nothing of the routes that go with it. */
	lab_run("ip link set d0 down");
	n = read_news(w);
	assert_true(n.links && n.deletions);
	rtnl_watch_close(&w);
	assert_null(w);
}

static bool is_readable(const struct rtnl_watch *w)
{
	struct pollfd p = { .fd = rtnl_watch_fd(w), .events = POLLIN };

	return poll(&p, 1, 0) == 1;
}

static struct rtnl_news news_of(struct rtnl_watch *w, const char *command)
{
	struct rtnl_news ignored;
	struct err e;

	assert_ok(rtnl_watch_read(w, &ignored, &e));
	lab_run(command);
	return read_news(w);
}

/* IPv6 tells of an address when it has done with duplicates, in its own time. */
static struct rtnl_news address_news_of(struct rtnl_watch *w, const char *command)
{
	struct rtnl_news n = news_of(w, command);

	while (!n.addresses)
		n = read_news(w);
	return n;
}

/* Everything that another gate's start and end changes on the host does not even wake us. */
static void of_another_gates_link_nothing_is_heard(void **state)
{
	static const char *const own[] = { "sp-mine", "sp-1.0" };
	struct rtnl_watch *w = NULL;
	struct rtnl_news ignored;
	struct err e;

	(void)state;
	assert_ok(rtnl_watch_open(-1, &w, &e));
	assert_true(rtnl_watch_own(w, 1, own, 2, NULL, 0));
	lab_run("ip link add sp-other type veth peer name sp-2.0 && ip link set sp-other up && "
		"echo 1 >/proc/sys/net/ipv4/conf/sp-other/forwarding && ip link set sp-2.0 up && "
		"ip addr add 198.18.0.129/32 dev sp-other noprefixroute && "
		"ip addr add fe80::1/64 dev sp-other && ip -6 route add fd5a::/64 dev sp-other && "
		"ip route add 198.18.0.128/26 dev sp-other table 5900");
	assert_false(is_readable(w));
	/* Names that begin as ours do. */
	lab_run("ip link add sp-mine2 type veth peer name sp-11.0 && ip link set sp-mine2 up && "
		"ip addr add 198.18.0.193/32 dev sp-mine2");
	assert_false(is_readable(w));
	/* Nor that routes come, by whatever link. */
	lab_run("ip link set lo up");
	assert_true(rtnl_watch_read(w, &ignored, &e) == 0);
	lab_run("ip route add 10.9.0.0/16 dev lo && ip route add unreachable 10.10.0.0/16");
	assert_false(is_readable(w));
	lab_run("ip -6 addr flush dev sp-2.0; ip route del 198.18.0.128/26 dev sp-other table 5900; "
		"ip addr del 198.18.0.129/32 dev sp-other; ip link del sp-other");
	assert_false(is_readable(w));
	rtnl_watch_close(&w);
}

static const char *add_link(struct arena *a, uint32_t slot, size_t link)
{
	struct slot s = slot_of(slot);

	return arena_printf(a, "ip link add sp-%u.%zu index %d type veth peer name peer%u", slot,
			    link, slot_index(&s, link), slot);
}

/* However it is called. */
static void a_link_that_tells_its_slot_is_heard_of_by_its_gate_alone(void **state)
{
	static const char *const own[] = { "sp-mine" };
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl_watch *w = NULL;
	struct rtnl_news n;
	struct err e;

	(void)state;
	assert_ok(rtnl_watch_open(-1, &w, &e));
	assert_true(rtnl_watch_own(w, 1, own, 1, NULL, 0));
	n = news_of(w, add_link(&a, 2, 2)); /* its other end is nobody's */
	assert_true(n.links);
	lab_run("ip link set sp-2.2 name eth9 && ip addr add 192.0.2.1/32 dev eth9 && "
		"ip addr del 192.0.2.1/32 dev eth9 && ip link set eth9 alias new");
	assert_false(is_readable(w));
	n = news_of(w, add_link(&a, 1, 1));
	assert_true(n.links);
	n = news_of(w, "ip link set sp-1.1 name eth10");
	assert_true(n.links);
	n = news_of(w, "ip addr add 192.0.2.2/32 dev eth10");
	assert_true(n.addresses);
	rtnl_watch_close(&w);
}

/* Whatever the filter takes away, it must not be this. */
static void of_ones_own_links_and_of_the_hosts_everything_is_heard(void **state)
{
	static const char *const own[] = { "sp-mine", "sp-1.0" };
	struct rtnl_watch *w = NULL;
	struct rtnl_news n;
	struct err e;
	int eth;

	(void)state;
	lab_run("ip link add eth7 type veth peer name sp-other && ip link set sp-other up");
	eth = (int)if_nametoindex("eth7");
	assert_ok(rtnl_watch_open(-1, &w, &e));
	assert_true(rtnl_watch_own(w, 1, own, 2, &eth, 1));
	assert_false(rtnl_watch_own(w, 1, own, 2, &eth, 1));
	n = news_of(w, "ip link add sp-mine type veth peer name sp-1.0");
	assert_true(n.links);
	n = news_of(w, "ip addr add 198.18.0.65/32 dev sp-mine noprefixroute");
	assert_true(n.addresses);
	assert_true(rtnl_watch_own(w, 1, own, 2, &eth, 1));
	n = news_of(w, "ip link set sp-mine up && ip link set sp-1.0 up");
	assert_true(n.links);
	n = news_of(w, "ip link set sp-1.0 mtu 1400");
	assert_true(n.links);
	address_news_of(w, "ip addr add fe80::1/64 dev sp-mine nodad");
	n = news_of(w, "ip -6 addr del fe80::1/64 dev sp-mine");
	assert_true(n.addresses && n.deletions);
	n = news_of(w, "ip addr add 198.18.0.66/32 dev sp-1.0");
	assert_true(n.addresses);
	lab_run("ip route add 198.18.0.64/26 dev sp-mine table 5900 && "
		"ip -6 route add fd5a::/64 dev sp-1.0 table 5900");
	n = news_of(w, "ip route del 198.18.0.64/26 table 5900");
	assert_true(n.deletions);
	n = news_of(w, "ip -6 route del fd5a::/64 table 5900");
	assert_true(n.deletions);
	n = news_of(w, "echo 1 >/proc/sys/net/ipv4/conf/sp-mine/forwarding");
	assert_true(n.links);
	n = news_of(w, "echo 1 >/proc/sys/net/ipv4/conf/eth7/forwarding");
	assert_true(n.links);
	n = news_of(w, "echo 1 >/proc/sys/net/ipv4/ip_forward");
	assert_true(n.links);
	n = news_of(w, "ip rule add pref 0 to 198.18.0.0/15 lookup 5900");
	assert_true(n.rules && n.deletions);
	n = news_of(w, "ip rule del pref 0 to 198.18.0.0/15 lookup 5900");
	assert_true(n.rules && n.deletions);
	n = news_of(w, "ip link set eth7 up && ip addr add 192.0.2.1/24 dev eth7");
	assert_true(n.links && n.addresses);
	n = news_of(w, "ip link add new0 type veth peer name new1");
	assert_true(n.links);
	/* A link that the filter does not know yet. */
	n = news_of(w, "ip addr add 192.0.2.9/32 dev new0");
	assert_true(n.addresses);
	n = news_of(w, "ip addr add 192.0.2.10/32 dev new0 label new0:1");
	assert_true(n.addresses);
	/* Those that come may be told of late, with others'; those that go are told of at once. */
	address_news_of(w, "ip -6 addr add 2001:db8::1/64 dev new0 nodad");
	n = news_of(w, "ip -6 addr del 2001:db8::1/64 dev new0");
	assert_true(n.addresses && n.deletions);
	n = news_of(w, "ip link set new0 name newer0");
	assert_true(n.links);
	/* On a link that it knows, IPv6's own addresses too. */
	address_news_of(w, "ip -6 addr add fe80::7/64 dev eth7 nodad");
	n = news_of(w, "ip -6 addr del fe80::7/64 dev eth7");
	assert_true(n.addresses && n.deletions);
	/* Routes that lead by no link. */
	lab_run("ip route add unreachable 198.18.0.64/26 table 5900");
	n = news_of(w, "ip route del unreachable 198.18.0.64/26 table 5900");
	assert_true(n.deletions);
	n = news_of(w, "echo 0 >/proc/sys/net/ipv4/conf/default/forwarding");
	assert_true(n.links);
	n = news_of(w, "ip link del sp-mine");
	assert_true(n.links && n.deletions);
	rtnl_watch_close(&w);
}

/* net.core.optmem_max bounds a filter: 20 KiB until Linux 6.7, too little for hundreds of links. */
static bool long_filters_fit(void)
{
	long bytes = 0;
	FILE *f = fopen("/proc/sys/net/core/optmem_max", "re");

	if (f && fscanf(f, "%ld", &bytes) != 1)
		bytes = 0;
	if (f)
		fclose(f);
	return bytes >= 131072;
}

/* A host of many containers: a block of comparisons is not as long as a jump. */
static void many_links_of_the_host_are_heard(void **state)
{
	static const char *const own[] = { "sp-mine" };
	int others[450];
	bool filtered;
	struct rtnl_watch *w = NULL;
	struct rtnl_news n;
	struct err e;

	(void)state;
	lab_run("ip link add eth7 type veth peer name sp-other");
	assert_ok(rtnl_watch_open(-1, &w, &e));
	for (size_t at = 0; at < ARRAY_LEN(others); at += 149) {
		for (size_t i = 0; i < ARRAY_LEN(others); i++)
			others[i] = 100000 + (int)i;
		others[at] = (int)if_nametoindex("eth7");
		filtered = rtnl_watch_own(w, 1, own, 1, others, ARRAY_LEN(others));
		assert_true(filtered || !long_filters_fit());
		n = news_of(w, "echo 0 >/proc/sys/net/ipv4/conf/eth7/forwarding; "
			       "echo 1 >/proc/sys/net/ipv4/conf/eth7/forwarding");
		assert_true(n.links);
		lab_run("echo 0 >/proc/sys/net/ipv4/conf/sp-other/forwarding; "
			"echo 1 >/proc/sys/net/ipv4/conf/sp-other/forwarding");
		assert_int_equal(is_readable(w), !filtered);
		if (!filtered)
			(void)read_news(w);
	}
	rtnl_watch_close(&w);
}

/* More links than a filter may know: then all is heard, and sorted out here. */
static void without_a_filter_other_gates_are_told_apart_all_the_same(void **state)
{
	static const char *const own[] = { "sp-mine" };
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl_watch *w = NULL;
	int others[600];
	struct rtnl_news n;
	struct err e;
	int index;

	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		others[i] = 100000 + (int)i;
	assert_ok(rtnl_watch_open(-1, &w, &e));
	assert_false(rtnl_watch_own(w, 1, own, 1, others, ARRAY_LEN(others)));
	n = news_of(w, "ip link add sp-other type veth peer name sp-2.0");
	assert_false(n.links || n.deletions);
	index = (int)if_nametoindex("sp-other");
	n = news_of(w, "ip addr add 198.18.0.129/32 dev sp-other noprefixroute");
	assert_false(n.addresses);
	n = news_of(w, "ip link del sp-other");
	assert_false(n.links || n.deletions || n.addresses);
	/* A number that is used again is no longer theirs. */
	n = news_of(w,
		    arena_printf(&a, "ip link add eth9 index %d type veth peer name eth10", index));
	assert_true(n.links);
	n = news_of(w, "ip addr add 192.0.2.9/32 dev eth9");
	assert_true(n.addresses);
	rtnl_watch_close(&w);
}

/* The filter before it knew fewer links, and would keep back what the new one's are told. */
static void a_filter_that_the_kernel_refuses_keeps_nothing_back(void **state)
{
	static const char *const own[] = { "sp-mine" };
	struct rtnl_watch *w = NULL;
	struct rtnl_news n;
	struct err e;
	int eth7;

	(void)state;
	lab_run("ip link add eth7 type veth peer name sp-other");
	eth7 = (int)if_nametoindex("eth7");
	assert_ok(rtnl_watch_open(-1, &w, &e));
	assert_true(rtnl_watch_own(w, 1, own, 1, NULL, 0));
	if (system("echo 256 2>/dev/null >/proc/sys/net/core/optmem_max") != 0)
		skip(); /* older kernels have one for all namespaces */
	assert_false(rtnl_watch_own(w, 1, own, 1, &eth7, 1));
	n = news_of(w, "echo 0 >/proc/sys/net/ipv4/conf/eth7/forwarding; "
		       "echo 1 >/proc/sys/net/ipv4/conf/eth7/forwarding");
	assert_true(n.links);
	rtnl_watch_close(&w);
}

static void a_watch_that_overflows_says_so_and_goes_on(void **state)
{
	const int small = 4096;
	struct rtnl_watch *w = NULL;
	struct rtnl_news n;
	struct err e;

	(void)state;
	lab_run("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up");
	assert_ok(rtnl_watch_open(-1, &w, &e));
	assert_int_equal(setsockopt(rtnl_watch_fd(w), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)),
			 0);
	lab_run("seq 1 2000 | awk '{print \"route add 10.\" int($1/250) \".\" $1%250 \".0/24 dev d0\"}' "
		"| ip -batch -");
	n = read_news(w);
	assert_true(n.lost && n.links && n.addresses && n.routes && n.rules && n.deletions);
	lab_run("ip rule add pref 0 lookup 5901");
	n = read_news(w);
	assert_true(n.rules && !n.lost);
	rtnl_watch_close(&w);
}

static void ten_thousand_routes_overflow_nothing(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl *rt CLEANUP_RTNL = NULL;
	struct rtnl_watch *w = NULL;
	struct snapshot have;
	struct rtnl_news n;
	struct err e;

	(void)state;
	lab_run("ip link add d0 type veth peer name d1 && ip link set d1 up && ip link set d0 up");
	assert_ok(rtnl_watch_open(-1, &w, &e));
	lab_run("seq 1 10000 | awk '{print \"route add 10.\" int($1/250) \".\" $1%250 \".0/24 dev d0\"}' "
		"| ip -batch -");
	n = read_news(w);
	assert_true(n.routes && !n.lost);
	assert_ok(rtnl_open(-1, &rt, &e));
	assert_ok(rtnl_snapshot(rt, &a, &have, &e));
	assert_true(have.n_routes >= 10000);
	rtnl_watch_close(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(of_another_gates_link_nothing_is_heard, lab_enter),
		cmocka_unit_test_setup(a_link_that_tells_its_slot_is_heard_of_by_its_gate_alone,
				       lab_enter),
		cmocka_unit_test_setup(of_ones_own_links_and_of_the_hosts_everything_is_heard,
				       lab_enter),
		cmocka_unit_test_setup(many_links_of_the_host_are_heard, lab_enter),
		cmocka_unit_test_setup(without_a_filter_other_gates_are_told_apart_all_the_same,
				       lab_enter),
		cmocka_unit_test_setup(a_filter_that_the_kernel_refuses_keeps_nothing_back,
				       lab_enter),
		cmocka_unit_test_setup(the_watch_tells_what_was_touched, lab_enter),
		cmocka_unit_test_setup(a_watch_that_overflows_says_so_and_goes_on, lab_enter),
		cmocka_unit_test_setup(ten_thousand_routes_overflow_nothing, lab_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
