/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whatever plan/nft_host.c and nft_gate.c write, the kernel has the same of our
 * messages and of nft's: everything that nft lists afterwards, its bytecode included.
 */
#include "lab.h"

#include "../unit/random_gate.h"
#include "sys/nft_raw.h"
#include "sys/rtnl_sock.h"
#include "wire/nft_encode.h"

#include <ctype.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>

/* --- gates with everything that a plan knows ---------------------------------- */

static void listen_on(struct arena *a, struct dice *d, struct door *lan)
{
	for (uint32_t n = roll_below(d, 3); n > 0; n--)
		*arena_push(a, lan->listen, lan->n_listen, lan->cap_listen) =
			random_ip(d, random_family(d));
}

static void reach_rooms(struct arena *a, struct dice *d, struct gate *g, size_t room)
{
	struct room *r = &g->rooms[room];

	for (size_t i = 0; i < g->n_rooms; i++)
		if (i != room && one_in(d, 3))
			*arena_push(a, r->reach_rooms, r->n_reach_rooms, r->cap_reach_rooms) = i;
}

static void make_sandbox(struct arena *a, struct dice *d, struct random_gate *g, size_t room)
{
	struct sandbox *s = arena_new(a, struct sandbox);

	s->network = one_in(d, 2) ? "one" : "two";
	s->number = (uint32_t)room;
	s->address4 = random_ip(d, AF_INET);
	if (one_in(d, 2))
		s->address6 = random_ip(d, AF_INET6);
	g->gate.rooms[room].sandbox = s;
	for (size_t i = 0; i < g->gate.n_publish; i++) {
		struct publish *p = &g->gate.publish[i];

		if (p->room != room)
			continue;
		p->by_gate = true;
		if (p->door == 0 && one_in(d, 2))
			p->host = random_ip(d, random_family(d));
	}
}

static void servers(struct arena *a, struct dice *d, struct random_gate *g, size_t door)
{
	static const uint8_t protos[] = { 0, IPPROTO_TCP, IPPROTO_UDP };
	struct plan_server *s = arena_alloc(a, 3 * sizeof(*s));
	struct plan_door *facts = &g->facts.doors[door];

	facts->servers = s;
	facts->n_servers = g->gate.doors[door].n_servers = roll_below(d, 4);
	for (size_t i = 0; i < facts->n_servers; i++)
		s[i] = (struct plan_server){ .ip = random_ip(d, random_family(d)),
					     .port = one_in(d, 2) ? (uint16_t)roll(d) : 0,
					     .proto = protos[roll_below(d, 3)] };
}

/* A host with rules by its own addresses (plan/asked.c). */
static struct snapshot *host_of_its_own(struct arena *a, struct dice *d)
{
	struct snapshot *s = arena_new(a, struct snapshot);
	struct link *l = arena_push(a, s->links, s->n_links, s->cap_links);

	l->index = 7;
	snprintf(l->name, sizeof(l->name), "eth0");
	for (int i = 0; i < 3; i++) {
		struct address *x = arena_push(a, s->addresses, s->n_addresses, s->cap_addresses);
		struct rule *r = arena_push(a, s->rules, s->n_rules, s->cap_rules);

		*x = (struct address){ .link = 7, .local = random_ip(d, random_family(d)) };
		x->local.byte[0] = x->local.family == AF_INET ? 9 : 0x20;
		*r = (struct rule){ .family = x->local.family,
				    .from = prefix_host(&x->local),
				    .action = FR_ACT_TO_TBL,
				    .table = 100 };
	}
	return s;
}

/* One with a bridge and a port of it (frame_bridges()). */
static struct snapshot *host_with_bridge(struct arena *a)
{
	struct snapshot *s = arena_new(a, struct snapshot);

	for (int i = 7; i <= 8; i++) {
		struct link *l = arena_push(a, s->links, s->n_links, s->cap_links);

		*l = (struct link){ .index = i, .has_mac = true, .mac = { 2, 0, 0, 0, 0xab, 1 } };
		l->mac[5] = (uint8_t)i;
		snprintf(l->name, sizeof(l->name), "br%d", i);
		if (i == 7)
			snprintf(l->kind, sizeof(l->kind), "bridge");
		else
			l->master = 7;
	}
	return s;
}

/* One with two routers (plan/sides.c). */
static struct snapshot *host_with_sides(struct arena *a)
{
	struct snapshot *s = arena_new(a, struct snapshot);

	for (int i = 1; i <= 2; i++) {
		struct link *l = arena_push(a, s->links, s->n_links, s->cap_links);
		struct route *r = arena_push(a, s->routes, s->n_routes, s->cap_routes);
		struct hop *h = arena_new(a, struct hop);

		*l = (struct link){ .index = i, .flags = IFF_UP };
		snprintf(l->name, sizeof(l->name), "eth%d", i);
		*h = (struct hop){ .link = i, .weight = 1 };
		assert_true(ip_parse("192.0.2.1", &h->via));
		*r = (struct route){ .family = AF_INET,
				     .type = RTN_UNICAST,
				     .table = RT_TABLE_MAIN,
				     .dst.ip.family = AF_INET,
				     .hops = h,
				     .n_hops = 1 };
	}
	return s;
}

static struct random_gate any_gate(struct arena *a, struct dice *d)
{
	static const struct plan_sysctl before[] = {
		{ "ipv4/ip_forward", "0" },           { "ipv4/conf/eth0/forwarding", "0" },
		{ "ipv6/conf/all/forwarding", "0" },  { "ipv4/conf/eth1.5/forwarding", "0" },
		{ "ipv6/conf/eth0/forwarding", "0" }, { "ipv6/conf/eth1.5/accept_ra", "1" },
	};
	struct slot slot = slot_of(1 + roll_below(d, 900));
	struct random_gate g = random_gate(a, d, &slot, true, NULL);

	g.facts.host = one_in(d, 4)   ? host_of_its_own(a, d)
		       : one_in(d, 3) ? host_with_sides(a)
		       : one_in(d, 2) ? host_with_bridge(a)
				      : NULL;
	g.facts.before = before;
	g.facts.n_before = roll_below(d, 1 + ARRAY_LEN(before));
	g.facts.forwards4 = one_in(d, 3);
	listen_on(a, d, &g.gate.doors[0]);
	for (size_t i = 0; i < g.gate.n_rooms; i++) {
		reach_rooms(a, d, &g.gate, i);
		if (one_in(d, 4))
			make_sandbox(a, d, &g, i);
	}
	for (size_t i = 1; i < g.gate.n_doors; i++) {
		g.gate.doors[i].mss = one_in(d, 3) ? 1200 + roll_below(d, 200) : 0;
		servers(a, d, &g, i);
	}
	return g;
}

/* --- the kernel's answer --------------------------------------------------------- */

static void new_network(void)
{
	assert_int_equal(unshare(CLONE_NEWNET), 0);
}

/* Handles count what was made, and nft makes some things twice. */
static void forget_handles(char *text)
{
	bool handles = false;
	char *to = text;

	for (const char *c = text; *c; c++) {
		if (c == text || c[-1] == '\n')
			handles = str_starts(c, "inet ");
		if (!handles || !isdigit((unsigned char)*c))
			*to++ = *c;
	}
	*to = 0;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* What lies between @from and @to, parted by @parts, in order. */
static void sort_items(char *from, char *to, const char *parts)
{
	struct arena a CLEANUP_ARENA = { 0 };
	char *copy = arena_strndup(&a, from, (size_t)(to - from)), *rest = NULL;
	char **items = NULL;
	size_t n = 0, cap = 0;

	for (char *x = strtok_r(copy, parts, &rest); x; x = strtok_r(NULL, parts, &rest)) {
		x += strspn(x, " \t\n");
		x[strcspn(x, "\n")] = 0;
		*arena_push(&a, items, n, cap) = x;
	}
	qsort(items, n, sizeof(*items), by_text);
	memset(from, ' ', (size_t)(to - from));
	for (size_t i = 0; i < n; i++) {
		memcpy(from, items[i], strlen(items[i]));
		from += strlen(items[i]) + 1;
	}
}

/* Each set has a hash of its own, and is listed in that order. */
static void sort_elements(char *text)
{
	char *end;

	for (char *c = strstr(text, "\n\telement "); c; c = strstr(end, "\n\telement ")) {
		for (end = c + 1; str_starts(end, "\telement "); end += strcspn(end, "\n") + 1)
			;
		sort_items(c + 1, end - 1, "\n");
	}
	for (char *c = strstr(text, "{ "); c; c = strstr(end, "{ ")) {
		end = c + 1 + strcspn(c + 1, "{}");
		if (*end == '}')
			sort_items(c + 1, end, ",");
	}
}

#define TEXT_MAX (8 * 1024 * 1024)

static char *everything(struct arena *a)
{
	FILE *p = popen("nft --debug=netlink list ruleset 2>&1", "r");
	char *text = arena_alloc(a, TEXT_MAX);
	size_t size;

	assert_non_null(p);
	size = fread(text, 1, TEXT_MAX - 1, p);
	assert_int_equal(pclose(p), 0);
	assert_true(size < TEXT_MAX - 1);
	forget_handles(text);
	sort_elements(text);
	return text;
}

static void load_ours(const char *text)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl r = { 0 };
	struct nft_batch b;
	struct err e;

	assert_ok(netlink_open(-1, NETLINK_NETFILTER, &r.sock, &e));
	if (!nft_encode(&a, text, &b))
		fail_msg("not known:\n%s", text);
	if (nft_raw_run(&r, &b, &e) < 0)
		fail_msg("%s:\n%s", e.text, text);
	mnl_socket_close(r.sock);
}

static void load_nfts(const char *text)
{
	FILE *p = popen("nft -f -", "w");

	assert_non_null(p);
	fputs(text, p);
	assert_int_equal(pclose(p), 0);
}

static void assert_same(const char *text)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *ours, *nfts;

	new_network();
	load_ours(text);
	load_ours(text);
	ours = everything(&a);
	assert_non_null(strstr(ours, "sallyport"));
	new_network();
	load_nfts(text);
	load_nfts(text);
	nfts = everything(&a);
	if (strcmp(ours, nfts) == 0)
		return;
	for (; *ours == *nfts; ours++, nfts++)
		;
	fail_msg("ours goes on\n%.300s\nand nft's\n%.300s\nof\n%s", ours, nfts, text);
}

static void the_kernel_has_the_same_of_us_and_of_nft(void **state)
{
	(void)state;
	for (unsigned int i = 1; i <= rounds(15); i++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct dice d = dice_of(i);
		struct random_gate g = any_gate(&a, &d);

		assert_same(plan_nft_host(&a, &g.gate, &g.facts));
		assert_same(plan_nft_gate(&a, &g.gate, &g.facts));
	}
}

static void thousands_of_ports_are_one_transaction(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct dice d = dice_of(1);
	struct slot slot = slot_of(4);
	struct random_gate g = random_gate(&a, &d, &slot, true, NULL);

	(void)state;
	for (uint16_t i = 1; i <= 4000; i++)
		*arena_push(&a, g.gate.publish, g.gate.n_publish, g.gate.cap_publish) =
			(struct publish){ .door_port = (uint16_t)(20000 + i),
					  .room_port = i,
					  .proto = IPPROTO_TCP,
					  .door = i % 2 };
	g.gate.n_doors = 2;
	assert_same(plan_nft_host(&a, &g.gate, &g.facts));
	assert_same(plan_nft_gate(&a, &g.gate, &g.facts));
}

/* Several gates in the host's table, each beside what the others have there. */
static void gates_share_a_table_as_they_do_with_nft(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *texts[3], *ours;

	(void)state;
	for (unsigned int i = 0; i < 3; i++) {
		struct dice d = dice_of(100 + i);
		struct random_gate g = any_gate(&a, &d);

		g.facts.slot = slot_of(10 + i);
		g.gate.name = arena_printf(&a, "gate%u", i);
		g.gate.n_publish = 0;
		texts[i] = plan_nft_host(&a, &g.gate, &g.facts);
	}
	new_network();
	for (unsigned int i = 0; i < 3; i++)
		load_ours(texts[i]);
	load_ours(texts[0]);
	ours = everything(&a);
	new_network();
	for (unsigned int i = 0; i < 3; i++)
		load_nfts(texts[i]);
	load_nfts(texts[0]);
	assert_string_equal(ours, everything(&a));
}

static void what_the_kernel_refuses_is_not_done(void **state)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct rtnl r = { 0 };
	struct nft_batch b;
	struct err e;

	(void)state;
	new_network();
	load_ours("table inet t {\n\tmap m { type inet_service : verdict; }\n\tchain a {\n\t}\n"
		  "\tchain b {\n\t}\n}\n");
	load_ours("add map inet t m { type inet_service : verdict; }\n"
		  "add element inet t m { 80 : goto a }\n");
	assert_ok(netlink_open(-1, NETLINK_NETFILTER, &r.sock, &e));
	assert_true(nft_encode(&a,
			       "add map inet t m { type inet_service : verdict; }\n"
			       "add chain inet t c\n"
			       "add element inet t m { 80 : goto b }\n",
			       &b));
	assert_int_equal(nft_raw_run(&r, &b, &e), -EEXIST);
	assert_null(strstr(everything(&a), "chain c"));
	/* When all is sent and only the whole is wrong: nobody may jump in a circle. */
	assert_true(nft_encode(&a,
			       "table inet t {\n\tchain d {\n\t\tgoto e\n\t}\n"
			       "\tchain e {\n\t\tgoto d\n\t}\n"
			       "\tchain input {\n"
			       "\t\ttype filter hook input priority 0; policy accept;\n"
			       "\t\tgoto d\n\t}\n}\n",
			       &b));
	assert_true(nft_raw_run(&r, &b, &e) < 0);
	assert_null(strstr(everything(&a), "chain d"));
	/* And the socket is as good as before. */
	assert_true(nft_encode(&a, "add chain inet t f\n", &b));
	assert_ok(nft_raw_run(&r, &b, &e));
	assert_non_null(strstr(everything(&a), "chain f"));
	mnl_socket_close(r.sock);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_kernel_has_the_same_of_us_and_of_nft, lab_enter),
		cmocka_unit_test_setup(thousands_of_ports_are_one_transaction, lab_enter),
		cmocka_unit_test_setup(gates_share_a_table_as_they_do_with_nft, lab_enter),
		cmocka_unit_test_setup(what_the_kernel_refuses_is_not_done, lab_enter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
