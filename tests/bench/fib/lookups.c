/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The lookup's speed beside the kernel's own, on the same table in the same
 * run, and how it grows with the table.
 *
 *	lookups [PREFIXES]	up to so many, 1000000 unless given; each family
 *
 * The table is made of random prefixes with the lengths that the global table
 * has (mostly /24 and /48), loaded into a private namespace over rtnetlink,
 * and listed from there for the model.
 */
#include "differential/kernel.h"
#include "fib/lookup.h"
#include "fib/table.h"

#include <sched.h>
#include <time.h>

#define LOOKUPS  2000000
#define ASKED    200000
#define ROUND    500
#define FLOWS    65536
#define SMALLEST 1000

static struct kernel kernel;
static struct dice dice = { 7 };

/* Our own time on the CPU, the kernel's answers included: others do not count. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct ip some_ip(sa_family_t family)
{
	struct ip ip = { .family = family };

	for (size_t i = 0; i < ip_bits(family) / 8; i++)
		ip.byte[i] = (uint8_t)dice_word(&dice);
	if (family == AF_INET)
		ip.byte[0] = (uint8_t)(1 + dice_below(&dice, 126 - 1));
	else
		ip.byte[0] = 0x20 | (ip.byte[0] & 0xf);
	return ip;
}

static unsigned int some_len(sa_family_t family)
{
	static const uint8_t four[] = { 12, 16, 18, 19, 20, 21, 22, 22, 23, 23,
					24, 24, 24, 24, 24, 24, 24, 24, 24, 28 };
	static const uint8_t six[] = { 29, 32, 32, 32, 36, 40, 44, 44, 46, 47,
				       48, 48, 48, 48, 48, 48, 48, 48, 48, 64 };

	return family == AF_INET ? DICE_PICK(&dice, four) : DICE_PICK(&dice, six);
}

static struct route some_route(sa_family_t family, struct hop *hop)
{
	struct ip ip = some_ip(family);

	return (struct route){ .family = family,
			       .type = RTN_UNICAST,
			       .scope = family == AF_INET ? RT_SCOPE_LINK : 0,
			       .protocol = RTPROT_STATIC,
			       .table = RT_TABLE_MAIN,
			       .metric = family == AF_INET6 ? 1024 : 0,
			       .dst = prefix_of(&ip, some_len(family)),
			       .hops = hop,
			       .n_hops = 1 };
}

/* Some of them meet: the kernel has fewer then. */
static void load_kernel(sa_family_t family, int link, size_t n)
{
	struct hop hop = { .link = link, .weight = 1 };
	struct rtnl_message m;

	for (size_t done = 0; done < n; done += ROUND) {
		for (size_t i = 0; i < ROUND; i++) {
			struct route r = some_route(family, &hop);

			kernel_queue(&kernel, rtnl_encode_route(&m, RTM_NEWROUTE, &r),
				     NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK);
		}
		kernel_flush(&kernel, kernel_ignore, NULL);
	}
}

static int make_link(void)
{
	struct rtnl_message m;
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot s;

	kernel_queue(&kernel,
		     rtnl_encode_veth_add(&m, &(struct veth){ .name = "a",
							      .peer_name = "b",
							      .peer_netns_fd = -1 }),
		     NLM_F_CREATE | NLM_F_ACK);
	kernel_flush(&kernel, kernel_ignore, NULL);
	s = kernel_snapshot(&kernel, &a);
	for (size_t i = 0; i < s.n_links; i++)
		kernel_queue(&kernel, rtnl_encode_link_up(&m, s.links[i].index, true), NLM_F_ACK);
	kernel_flush(&kernel, kernel_ignore, NULL);
	return snapshot_link_by_name(&s, "a")->index;
}

/* Nine of ten inside some prefix of the table, wherever that is. */
static void some_flows(const struct snapshot *s, sa_family_t family, struct flow *flows)
{
	for (size_t i = 0; i < FLOWS; i++) {
		struct ip ip = some_ip(family);
		const struct route *r = &s->routes[dice_below(&dice, (uint32_t)s->n_routes)];

		flows[i] = (struct flow){ .dst = ip };
		if (r->family != family || dice_percent(&dice, 10))
			continue;
		for (unsigned int bit = 0; bit < r->dst.len; bit++) {
			uint8_t mask = (uint8_t)(0x80 >> bit % 8);

			flows[i].dst.byte[bit / 8] &= (uint8_t)~mask;
			flows[i].dst.byte[bit / 8] |= r->dst.ip.byte[bit / 8] & mask;
		}
	}
}

static double model_rate(const struct fib *fib, const struct flow *flows, size_t *ret_hits)
{
	struct fib_result r;
	double began = now();

	*ret_hits = 0;
	for (size_t i = 0; i < LOOKUPS; i++) {
		fib_lookup(fib, &flows[i % FLOWS], &r, NULL);
		*ret_hits += r.verdict == FIB_UNICAST;
	}
	return LOOKUPS / (now() - began);
}

static void count_answer(void *ctx, size_t i, const struct nlmsghdr *nlh)
{
	(void)i;
	*(size_t *)ctx += nlh->nlmsg_type == RTM_NEWROUTE;
}

static double kernel_rate(const struct flow *flows, size_t *ret_hits)
{
	struct rtnl_message m;
	double began = now();

	*ret_hits = 0;
	for (size_t done = 0; done < ASKED; done += ROUND) {
		for (size_t i = 0; i < ROUND; i++)
			kernel_queue(&kernel, kernel_question(&m, &flows[(done + i) % FLOWS], true),
				     0);
		kernel_flush(&kernel, count_answer, ret_hits);
	}
	return ASKED / (now() - began);
}

static size_t count_family(const struct snapshot *s, sa_family_t family)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n_routes; i++)
		n += s->routes[i].family == family;
	return n;
}

static double steps(const struct snapshot *s, sa_family_t family, const struct flow *flows,
		    unsigned int *ret_most)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const struct fib_table *t = fib_tables_find(fib_tables_new(&a, s), family, RT_TABLE_MAIN);
	uint64_t sum = 0;

	*ret_most = 0;
	for (size_t i = 0; i < FLOWS; i++) {
		unsigned int n = fib_table_steps(t, &flows[i].dst);

		sum += n;
		*ret_most = n > *ret_most ? n : *ret_most;
	}
	return (double)sum / FLOWS;
}

/* The same table in both: as many routes as the kernel has of it now. */
static void measure(sa_family_t family)
{
	static struct flow flows[FLOWS];
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot s = kernel_snapshot(&kernel, &a);
	double began = now(), built, model, asked;
	const struct fib *fib = fib_new(&a, &s);
	size_t hits, kernel_hits;
	unsigned int most;
	double mean;

	built = now() - began;
	some_flows(&s, family, flows);
	model = model_rate(fib, flows, &hits);
	asked = kernel_rate(flows, &kernel_hits);
	mean = steps(&s, family, flows, &most);
	printf("%s %8zu routes: %.1f steps a lookup, at most %u; %.0f ns, %5.2f M/s (%2.0f %% found); RTM_GETROUTE %5.0f "
	       "ns, %.2f M/s (%2.0f %%); ratio %4.1f; loads in %.2f s, %.2f s a million\n",
	       family == AF_INET ? "IPv4" : "IPv6", count_family(&s, family), mean, most,
	       1e9 / model, model / 1e6, 100.0 * (double)hits / LOOKUPS, 1e9 / asked, asked / 1e6,
	       100.0 * (double)kernel_hits / ASKED, model / asked, built,
	       built * 1e6 / (double)s.n_routes);
	fflush(stdout);
}

static void grow(sa_family_t family, int link, size_t most)
{
	size_t n = 0;

	for (size_t size = SMALLEST; size <= most; size *= 10) {
		load_kernel(family, link, size - n);
		n = size;
		measure(family);
	}
}

int main(int argc, char **argv)
{
	static const sa_family_t families[] = { AF_INET, AF_INET6 };
	size_t most = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;

	for (size_t i = 0; i < ARRAY_LEN(families); i++) {
		if (unshare(CLONE_NEWNET) < 0) {
			perror("a namespace for the measurement (needs root)");
			return 1;
		}
		kernel_open(&kernel);
		grow(families[i], make_link(), most);
		kernel_close(&kernel);
	}
	return 0;
}
