/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * clash PUSHED NETWORKS CONNECTIONS: seconds that the comparison takes, and
 * what it found, on one line.
 */
#include "plan/clash.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define PORT 22

static struct ip v4(uint32_t n)
{
	return (struct ip){ .family = AF_INET,
			    .byte = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
				      (uint8_t)n } };
}

static void add_rule(struct arena *a, struct snapshot *net, uint32_t priority, uint32_t table)
{
	*arena_push(a, net->rules, net->n_rules, net->cap_rules) =
		(struct rule){ .family = AF_INET,
			       .action = FR_ACT_TO_TBL,
			       .priority = priority,
			       .table = table,
			       .suppress_len = -1,
			       .suppress_group = -1 };
}

static void add_route(struct arena *a, struct snapshot *net, uint32_t table, uint8_t type,
		      struct prefix dst, int link, struct ip via)
{
	struct route *r = arena_push(a, net->routes, net->n_routes, net->cap_routes);

	*r = (struct route){ .family = AF_INET, .type = type, .table = table, .dst = dst };
	r->n_hops = 1;
	r->hops = arena_new(a, struct hop);
	r->hops[0] = (struct hop){ .link = link, .via = via, .weight = 1 };
}

/* Networks 10.a.b.0/24, each with a link and an address of its own, as bridges have. */
static void add_network(struct arena *a, struct snapshot *net, uint32_t i)
{
	struct ip first = v4(10u << 24 | i << 8), local = ip_plus(&first, 1);
	struct link *l = arena_push(a, net->links, net->n_links, net->cap_links);
	struct address *x = arena_push(a, net->addresses, net->n_addresses, net->cap_addresses);

	l->index = (int)i + 2;
	snprintf(l->name, sizeof(l->name), "net%u", i);
	l->flags = IFF_UP | IFF_LOWER_UP | IFF_RUNNING;
	*x = (struct address){ .link = l->index, .local = local, .len = 24 };
	add_route(a, net, RT_TABLE_LOCAL, RTN_LOCAL, prefix_host(&local), l->index,
		  (struct ip){ 0 });
	add_route(a, net, RT_TABLE_MAIN, RTN_UNICAST, prefix_of(&first, 24), l->index,
		  (struct ip){ 0 });
}

static void make_host(struct arena *a, struct snapshot *net, uint32_t networks)
{
	struct link *lo = arena_push(a, net->links, net->n_links, net->cap_links);
	struct ip none = v4(0);

	*lo = (struct link){ .index = LINK_LOOPBACK, .name = "lo" };
	lo->flags = IFF_UP | IFF_LOOPBACK | IFF_LOWER_UP | IFF_RUNNING;
	for (uint32_t i = 0; i < networks; i++)
		add_network(a, net, i);
	add_route(a, net, RT_TABLE_MAIN, RTN_UNICAST, prefix_of(&none, 0), 2, v4(10u << 24 | 254));
	add_rule(a, net, 0, RT_TABLE_LOCAL);
	add_rule(a, net, 32766, RT_TABLE_MAIN);
}

int main(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	uint32_t size[3] = { 10000, 1000, 10000 };
	struct snapshot host = { 0 };
	struct push push = { .link = "tun0", .tie = PUSH_IN_FRONT };
	struct clash_input in = { .host = &host, .push = &push };
	struct clash_report report;
	struct socket_seen *sockets;
	struct timespec begin, end;
	size_t cut = 0;

	for (int i = 1; i < argc && i < 4; i++)
		size[i - 1] = (uint32_t)strtoul(argv[i], NULL, 10);
	make_host(&a, &host, size[1]);
	/* Half of them inside the networks, half beside. */
	for (uint32_t i = 0; i < size[0]; i++) {
		struct ip ip = v4(i % 2 ? 10u << 24 | i << 6 : 172u << 24 | 16u << 16 | i << 7);

		*arena_push(&a, push.routes, push.n_routes, push.cap_routes) =
			(struct push_route){ .dst = prefix_of(&ip, 26) };
	}
	sockets = arena_alloc(&a, sizeof(*sockets) * (size[2] + 1));
	for (uint32_t i = 0; i < size[2]; i++)
		sockets[i] = (struct socket_seen){ .proto = IPPROTO_TCP,
						   .state = SOCKET_CONNECTED,
						   .local = host.addresses[i % size[1]].local,
						   .peer = v4(10u << 24 | (i * 2654435761u) >> 8),
						   .local_port = PORT,
						   .peer_port = (uint16_t)(1024 + i) };
	sockets[size[2]] = (struct socket_seen){
		.proto = IPPROTO_TCP, .state = SOCKET_LISTENS, .local = v4(0), .local_port = PORT
	};
	in.sockets = sockets;
	in.n_sockets = size[2] + 1;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	clash_find(&a, &in, &report);
	clock_gettime(CLOCK_MONOTONIC, &end);
	for (size_t i = 0; i < report.n_connections; i++)
		cut += report.connections[i].fate == CLASH_CUT;
	printf("%.4f s for %u pushed routes, %u networks, %u connections: %zu cut, %zu networks "
	       "hit\n",
	       (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9,
	       size[0], size[1], size[2], cut, report.n_networks);
	return 0;
}
