/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TESTS_UNIT_EXPLAIN_SCENE_H
#define TESTS_UNIT_EXPLAIN_SCENE_H

#include "net.h"
#include "plan/explain.h"

/* A LAN host with a VPN's route over the LAN; 172.16.0.0/12 as everywhere. */
struct scene {
	struct net n;
	struct link_conf confs[8];
	struct socket_seen sockets[4];
	struct explain_input in;
	struct explain_report report;
};

static inline void one_place(struct scene *s)
{
	s->in.n_places = 1;
	s->in.places[0] = (struct explain_place){ .name = "this host",
						  .enter = "",
						  .net = &s->n.s,
						  .confs = s->confs,
						  .sockets = s->sockets,
						  .sockets_known = true,
						  .nft_known = true };
	for (size_t i = 0; i < ARRAY_LEN(s->confs); i++)
		s->confs[i].forwarding = true;
}

/* 192.168.1.5 on eth0, 10.8.0.2 on tun0; see net.h. */
static inline void scene(struct scene *s)
{
	*s = (struct scene){ .n = host() };
	strcpy(s->n.s.links[2].kind, "tun");
	one_place(s);
}

static inline void listens(struct scene *s, uint8_t proto, const char *local, uint16_t port)
{
	s->sockets[s->in.places[0].n_sockets++] = (struct socket_seen){
		.proto = proto, .state = SOCKET_LISTENS, .local = ip(local), .local_port = port
	};
}

static inline void scene_free(struct scene *s)
{
	net_free(&s->n);
}
#define CLEANUP_SCENE __attribute__((cleanup(scene_free)))

static inline enum explain_verdict ask(struct scene *s, const char *client, const char *server,
				       uint16_t port, uint8_t proto)
{
	s->in.query.client = ip(client);
	s->in.query.server = ip(server);
	s->in.query.port = port;
	s->in.query.proto = proto;
	explain(&s->n.a, &s->in, &s->report);
	return s->report.verdict;
}

static inline enum explain_verdict ask_tcp(struct scene *s, const char *client)
{
	return ask(s, client, "192.168.1.5", 22, IPPROTO_TCP);
}

static inline const char *out_link(const struct scene *s)
{
	const struct explain_leg *leg = explain_last_reply(&s->report);

	return leg && leg->out ? leg->out->name : "";
}

static inline struct rule *our_rule(struct net *n, uint32_t table, uint8_t protocol, size_t at)
{
	struct rule *r;

	rule_add(n, AF_INET, 0, table);
	memmove(&n->s.rules[at + 1], &n->s.rules[at], (n->s.n_rules - 1 - at) * sizeof(*r));
	r = &n->s.rules[at];
	*r = (struct rule){ .family = AF_INET,
			    .table = table,
			    .action = FR_ACT_TO_TBL,
			    .protocol = protocol,
			    .suppress_len = -1,
			    .suppress_group = -1 };
	return r;
}

#endif
