/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Random networks are made in the kernel, and what ip(8) prints of them must
 * mean what the kernel itself tells over netlink, in all that ip(8) shows.
 */
#include "lab.h"

#include "differential/kernel.h"
#include "fib/lookup.h"
#include "sys/rtnl.h"
#include "wire/host_json.h"
#include "wire/ip_json.h"

#define PAIRS   3
#define WORLDS  60
#define WAIT_MS 60000

static struct kernel kernel;
static struct ground ground;
static struct plan plan;

/* Each of these must be read alike; the third says nothing of kinds. */
static const char *const manners[] = {
	"ip -d -j addr; ip -j route show table all; ip -j rule; ip -j -6 rule",
	"ip -j -6 rule; ip -d -j rule; ip -d -j route show table all; ip -d -j addr",
	"ip -j addr; ip -j -4 route show table all; ip -j -6 route show table all;"
	"ip -j rule; ip -d -j -6 rule",
	"ip -N -j rule; ip -N -d -j addr; ip -N -d -j route show table all; ip -N -j -6 rule;"
	"ip -j -6 route show table all",
};

static void __attribute__((format(printf, 1, 2))) run(const char *format, ...)
{
	char command[512];
	va_list ap;

	va_start(ap, format);
	vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

static void make_ground(struct dice *d, struct arena *a)
{
	if (unshare(CLONE_NEWNET) < 0)
		abort();
	kernel_open(&kernel);
	run("for f in addr_gen_mode=1 accept_dad=0 accept_ra=0; do"
	    " echo ${f#*=} > /proc/sys/net/ipv6/conf/default/${f%%=*}; done; ip link set lo up");
	for (int i = 0; i < PAIRS; i++)
		run("ip link add a%d type veth peer name b%d; ip link set a%d group %u alias 'a \"%d\"';"
		    "ip link set a%d %s; ip link set b%d %s",
		    i, i, i, dice_below(d, 3), i, i, dice_percent(d, 85) ? "up" : "down", i,
		    dice_percent(d, 85) ? "up" : "down");
	memset(&ground, 0, sizeof(ground));
	ground.base = kernel_snapshot(&kernel, a);
}

static struct host listed(struct arena *a)
{
	struct host h = { .parts = HOST_ALL };
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct err e;

	assert_ok(rtnl_open(-1, &rtnl, &e));
	assert_ok(rtnl_snapshot(rtnl, a, &h.net, &e));
	return h;
}

static struct text printed(const char *command)
{
	struct text t = { 0 };
	FILE *f = popen(command, "re");
	char buf[4096];
	size_t n;

	assert_non_null(f);
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		text_add_len(&t, buf, n);
	assert_int_equal(pclose(f), 0);
	return t;
}

/* --- in what ip(8) shows ---------------------------------------------------------- */

#define SHOWN_FLAGS                                                                                \
	(FIB_RULE_INVERT | FIB_RULE_UNRESOLVED | FIB_RULE_IIF_DETACHED | FIB_RULE_OIF_DETACHED)

static void show_rule(struct rule *r)
{
	/* Who made it is shown with -d only, and then 0 and "kernel" alike. */
	r->protocol = 0;
	r->flags &= SHOWN_FLAGS;
	r->find_saddr = false;
	if (r->action != FR_ACT_TO_TBL)
		r->table = 0;
	/* Shown along with a table only, which "l3mdev" has none of. */
	if (!r->table)
		r->suppress_len = r->suppress_group = -1;
	/* Newer than Debian 12's iproute2. */
	r->has_dscp = false;
	r->dscp = r->dscp_mask = 0;
	r->flowlabel = r->flowlabel_mask = 0;
	r->sport_mask = r->dport_mask = 0;
	r->unknown[0] = 0;
}

static void show(struct host *h, bool kinds)
{
	for (size_t i = 0; i < h->net.n_rules; i++)
		show_rule(&h->net.rules[i]);
	for (size_t i = 0; i < h->net.n_links; i++) {
		if (kinds)
			continue;
		h->net.links[i].kind[0] = 0;
		h->net.links[i].alias[0] = 0;
	}
	h->parts = HOST_ALL;
}

static const char *as_text(struct arena *a, const struct host *h)
{
	struct text t CLEANUP_TEXT = { 0 };

	host_json_write(&t, h);
	return arena_strndup(a, text_str(&t), t.len);
}

static void assert_same_lines(const char *x, const char *y)
{
	while (*x || *y) {
		size_t n = strcspn(x, "\n"), m = strcspn(y, "\n");

		if (n != m || strncmp(x, y, n) != 0)
			fail_msg("netlink tells\n%.*s\nand ip means\n%.*s\n", (int)n, x, (int)m, y);
		x += n + (x[n] != 0);
		y += m + (y[m] != 0);
	}
}

/* True if the kernel was the same before and after, so that there was something to compare. */
static bool compare(const char *manner)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct host before = listed(&a), after, read;
	struct text t CLEANUP_TEXT = printed(manner);
	struct ip_text text = { "ip", text_str(&t), t.len };
	bool kinds;
	struct err e;

	after = listed(&a);
	if (!str_eq(as_text(&a, &before), as_text(&a, &after)))
		return false;
	if (ip_json_read(&a, &text, 1, &read, &e) < 0)
		fail_msg("%s\nof %s", e.text, manner);
	kinds = (read.parts & HOST_LINK_KINDS) != 0;
	assert_int_equal(kinds, manner != manners[2]);
	assert_int_equal(read.parts & ~(uint32_t)HOST_LINK_KINDS,
			 HOST_LINKS | HOST_ROUTES4 | HOST_ROUTES6 | HOST_RULES4 | HOST_RULES6);
	show(&after, kinds);
	show(&read, kinds);
	assert_same_lines(as_text(&a, &after), as_text(&a, &read));
	return true;
}

/* Is there anything in the rules by which the two lists can be told apart? */
static bool rules_tell(const struct snapshot *net)
{
	bool has_default[2] = { false, false };

	for (size_t i = 0; i < net->n_rules; i++) {
		const struct rule *r = &net->rules[i];

		if (r->from.ip.family || r->to.ip.family)
			return true;
		has_default[r->family == AF_INET6] |= r->priority == 32767;
	}
	return has_default[0] && !has_default[1];
}

static void what_ip_prints_means_what_netlink_tells(void **state)
{
	struct dice d = { .state = 20261122 };
	int worlds = getenv("SALLYPORT_LONG") ? 20 * WORLDS : WORLDS;

	(void)state;
	for (int i = 0; i < worlds; i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		size_t manner = (size_t)i % ARRAY_LEN(manners);
		struct host h;
		int tries = 0;

		make_ground(&d, &a);
		world_plan(&d, &ground.base, i % 10 == 0, &plan);
		kernel_build(&kernel, &ground, &plan, &a);
		/* Then the first list is IPv4's, and must be. */
		h = listed(&a);
		if (!rules_tell(&h.net))
			manner = 0;
		/* IPv6 settles by itself, a little later. */
		while (!compare(manners[manner])) {
			assert_true(tries++ < WAIT_MS / 10);
			usleep(10000);
		}
		kernel_close(&kernel);
	}
}

/* A table of a million lines would need more than the words of one line at a time. */
static void a_snapshot_of_the_kernel_comes_back_as_it_was(void **state)
{
	struct dice d = { .state = 4 };

	(void)state;
	for (int i = 0; i < 10; i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct json_in j;
		struct host h, back;
		const char *text;
		struct err e;

		make_ground(&d, &a);
		world_plan(&d, &ground.base, false, &plan);
		kernel_build(&kernel, &ground, &plan, &a);
		h = listed(&a);
		text = as_text(&a, &h);
		json_in_start(&j, &a, "host.json", text, strlen(text), &e);
		if (!host_json_read(&j, &back))
			fail_msg("%s", e.text);
		assert_same_lines(text, as_text(&a, &back));
		kernel_close(&kernel);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_ip_prints_means_what_netlink_tells),
		cmocka_unit_test(a_snapshot_of_the_kernel_comes_back_as_it_was),
	};

	return cmocka_run_group_tests(tests, lab_enter, NULL);
}
