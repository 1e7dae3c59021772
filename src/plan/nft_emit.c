/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "plan/nft_emit.h"

#include <stdarg.h>

void emit(struct nft_text *n, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	text_addv(&n->out, fmt, ap);
	va_end(ap);
	text_add(&n->out, "\n");
}

void emit_begin(struct nft_text *n, struct arena *a, const struct gate *g,
		const struct plan_facts *f)
{
	const struct slot *s = &f->slot;
	struct ip host = slot_host(s, AF_INET);
	struct ip gate4 = slot_gate(s, AF_INET);
	struct ip gate6 = slot_gate(s, AF_INET6);

	*n = (struct nft_text){ .arena = a, .gate = g, .facts = f, .link = plan_host_link(a, g) };
	prefix_text(&s->net4, n->slot4);
	prefix_text(&s->net6, n->slot6);
	ip_text(&host, n->host4);
	ip_text(&gate4, n->gate4);
	ip_text(&gate6, n->gate6);
}

const char *emit_end(struct nft_text *n)
{
	char *text;

	text = arena_strdup(n->arena, text_str(&n->out));
	text_free(&n->out);
	return text;
}

void emit_end_chain(struct nft_text *n)
{
	emit(n, "\t}");
}

const char *emit_proto(uint8_t proto)
{
	return proto == IPPROTO_UDP ? "udp" : "tcp";
}

const char *emit_room(struct nft_text *n, sa_family_t family, size_t room, char buf[IP_TEXT_SIZE])
{
	struct ip ip = plan_room_outside(n->gate, &n->facts->slot, family, room);

	return ip_text(&ip, buf);
}

int emit_family_digit(sa_family_t family)
{
	return family == AF_INET ? 4 : 6;
}
