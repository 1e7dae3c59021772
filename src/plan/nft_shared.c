/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads what `nft list table` says of the host's table, which all gates share.
 * A chain is a gate's by its name, an element by the chain to which it leads.
 */
#include "plan/plan.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BLANKS " \t\n"

struct element {
	const char *map;
	const char *key;
	const char *target; /* the chain */
};

struct listing {
	struct element *elements;
	size_t n_elements, cap_elements;
};

static const char *trimmed(struct arena *a, const char *s, size_t len)
{
	while (len && strchr(BLANKS, s[len - 1]))
		len--;
	while (len && strchr(BLANKS, *s)) {
		s++;
		len--;
	}
	return arena_strndup(a, s, len);
}

/* "KEY : goto CHAIN" */
static void read_element(struct arena *a, struct listing *l, const char *map, const char *s,
			 size_t len)
{
	struct element *e = arena_push(a, l->elements, l->n_elements, l->cap_elements);
	const char *word = trimmed(a, s, len);
	const char *colon = strstr(word, " : ");
	const char *verdict = colon ? strchr(colon + 3, ' ') : NULL;

	e->map = map;
	e->key = colon ? arena_strndup(a, word, (size_t)(colon - word)) : word;
	e->target = verdict ? verdict + 1 : "";
}

static void read_elements(struct arena *a, struct listing *l, const char *map, const char *block)
{
	const char *s = strstr(block, "elements = {");

	if (!s)
		return;
	s += strlen("elements = {");
	for (const char *end = strchr(s, '}'); end && s < end;) {
		size_t len = strcspn(s, ",}");

		read_element(a, l, map, s, len);
		s += len + 1;
	}
}

/* A block is "\tKIND NAME {\n", lines that are indented more, and "\t}\n". */
static void read_listing(struct arena *a, const char *listed, struct listing *ret)
{
	const char *s = listed;

	*ret = (struct listing){ 0 };
	while ((s = strstr(s, "\n\t"))) {
		const char *head = s + 2, *end = strstr(head, "\n\t}");
		size_t kind = strcspn(head, " \n");
		const char *name, *block;

		s = head;
		if (head[kind] != ' ' || *head == '\t' || !end)
			continue;
		name = arena_strndup(a, head + kind + 1, strcspn(head + kind + 1, " \n"));
		block = arena_strndup(a, head, (size_t)(end - head));
		if (strncmp(head, "chain ", 6) != 0)
			read_elements(a, ret, name, block);
		s = end;
	}
}

static bool is_gates_chain(const char *chain, const char *gate)
{
	const char *owner = plan_nft_chain_gate(chain);

	return owner && str_eq(owner, gate);
}

static const char *finish(struct arena *a, struct text *t)
{
	const char *ret = arena_strdup(a, t->len ? text_str(t) : "");

	text_free(t);
	return ret;
}

static void delete_elements(struct text *t, const struct listing *l, const char *gate)
{
	for (size_t i = 0; i < l->n_elements; i++)
		if (is_gates_chain(l->elements[i].target, gate))
			text_addf(t, "delete element inet " PLAN_NFT_HOST " %s { %s }\n",
				  l->elements[i].map, l->elements[i].key);
}

const char *plan_nft_stale(struct arena *a, const char *listed, const char *gate)
{
	struct text t = { 0 };
	struct listing l;

	read_listing(a, listed, &l);
	delete_elements(&t, &l, gate);
	return finish(a, &t);
}

/* "192.0.2.1 . 6 . 80" */
static bool is_port_of(const struct ip *host, const struct element *e, const struct publish *p)
{
	char key[IP_TEXT_SIZE + 32], ip[IP_TEXT_SIZE];

	snprintf(key, sizeof(key), "%s . %u . %u", ip_text(host, ip), p->proto, p->door_port);
	return str_eq(e->key, key);
}

/* "6 . 80", or with the address that is listened on */
static bool is_port(const struct gate *g, const struct element *e, const struct publish *p)
{
	const struct door *lan = &g->doors[0];
	char key[32];

	if (p->door != 0)
		return false;
	if (!ip_is_any(&p->host))
		return is_port_of(&p->host, e, p);
	snprintf(key, sizeof(key), "%u . %u", p->proto, p->door_port);
	if (!lan->n_listen)
		return str_eq(e->map, "ports") && str_eq(e->key, key);
	for (size_t i = 0; i < lan->n_listen; i++)
		if (is_port_of(&lan->listen[i], e, p))
			return true;
	return false;
}

const char *plan_nft_conflict(struct arena *a, const char *listed, const struct gate *g,
			      const struct publish **ret)
{
	struct listing l;

	read_listing(a, listed, &l);
	for (size_t i = 0; i < l.n_elements; i++) {
		const char *owner = plan_nft_chain_gate(l.elements[i].target);

		if (!owner || str_eq(owner, g->name))
			continue;
		for (size_t j = 0; j < g->n_publish; j++)
			if (is_port(g, &l.elements[i], &g->publish[j])) {
				*ret = &g->publish[j];
				return owner;
			}
	}
	return NULL;
}
