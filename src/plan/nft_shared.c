/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads what `nft list table` says of the host's table, which all gates share.
 * A chain is a gate's by its name, an element by its comment, or, of a gate of an older
 * version, by the chain to which it leads.
 */
#include "plan/plan.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define BLANKS " \t\n"

struct element {
	const char *map;
	const char *key;
	const char *gate; /* whose it is; "" if nobody says */
};

struct listing {
	struct element *elements;
	size_t n_elements, cap_elements;
	const char **chains, **maps; /* maps: and sets */
	size_t n_chains, cap_chains, n_maps, cap_maps;
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

/* KEY, KEY comment "GATE", KEY comment "GATE" : VALUE, KEY : goto CHAIN */
static void read_element(struct arena *a, struct listing *l, const char *map, const char *s,
			 size_t len)
{
	static const char word_comment[] = " comment \"";
	struct element *e = arena_push(a, l->elements, l->n_elements, l->cap_elements);
	const char *word = trimmed(a, s, len);
	const char *comment = strstr(word, word_comment);
	const char *colon = strstr(word, " : ");
	const char *verdict = colon ? strchr(colon + 3, ' ') : NULL;
	const char *end = comment ? comment : colon;

	e->map = map;
	e->key = end ? arena_strndup(a, word, (size_t)(end - word)) : word;
	e->gate = verdict ? plan_nft_chain_gate(verdict + 1) : NULL;
	if (comment) {
		comment += strlen(word_comment);
		e->gate = arena_strndup(a, comment, strcspn(comment, "\""));
	}
	if (!e->gate)
		e->gate = "";
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
		if (strncmp(head, "chain ", 6) == 0) {
			*arena_push(a, ret->chains, ret->n_chains, ret->cap_chains) = name;
		} else {
			*arena_push(a, ret->maps, ret->n_maps, ret->cap_maps) = name;
			read_elements(a, ret, name, block);
		}
		s = end;
	}
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
		if (str_eq(l->elements[i].gate, gate))
			text_addf(t, "delete element inet " PLAN_NFT_HOST " %s { %s }\n",
				  l->elements[i].map, l->elements[i].key);
}

static const char *const older_chains[] = { PLAN_NFT_OLDER, "publish", "self",
					    "forward",      "input",   "leave" };
static const char *const older_maps[] = { "from",    "closed4", "closed6", "ports",  "listen4",
					  "listen6", "stray",   "stray4",  "stray6", "into",
					  "lan",     "host",    "enter",   "leave4", "leave6" };

static bool is_among(const char *name, const char *const *names, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (str_eq(names[i], name))
			return true;
	return false;
}

static bool has_older_gate_but(const struct listing *l, const char *gate)
{
	for (size_t i = 0; i < l->n_chains; i++)
		if (plan_nft_chain_is_older(l->chains[i]) &&
		    !str_eq(plan_nft_chain_gate(l->chains[i]), gate))
			return true;
	return false;
}

/* Two rounds: one of them may lead to another. */
static void delete_older(struct text *t, const struct listing *l, const char *gate)
{
	static const char *const rounds[] = { "flush", "delete" };
	bool all = !has_older_gate_but(l, gate);

	for (size_t round = 0; round < ARRAY_LEN(rounds); round++)
		for (size_t i = 0; i < l->n_chains; i++) {
			const char *chain = l->chains[i];
			bool own = plan_nft_chain_is_older(chain) &&
				   str_eq(plan_nft_chain_gate(chain), gate);

			if (own || (all && is_among(chain, older_chains, ARRAY_LEN(older_chains))))
				text_addf(t, "%s chain inet " PLAN_NFT_HOST " %s\n", rounds[round],
					  chain);
		}
	for (size_t i = 0; all && i < l->n_maps; i++)
		if (is_among(l->maps[i], older_maps, ARRAY_LEN(older_maps)))
			text_addf(t, "delete map inet " PLAN_NFT_HOST " %s\n", l->maps[i]);
}

const char *plan_nft_stale(struct arena *a, const char *listed, const char *gate)
{
	struct text t = { 0 };
	struct listing l;

	read_listing(a, listed, &l);
	delete_elements(&t, &l, gate);
	delete_older(&t, &l, gate);
	return finish(a, &t);
}

/* "192.0.2.1 . 6 . 80" */
static bool is_port_of(const struct ip *host, const struct element *e, const struct publish *p)
{
	char key[IP_TEXT_SIZE + 32], ip[IP_TEXT_SIZE];

	snprintf(key, sizeof(key), "%s . %u . %u", ip_text(host, ip), p->proto, p->door_port);
	return str_eq(e->key, key);
}

static bool is_of_all_addresses(const struct element *e, const struct publish *p)
{
	if (str_eq(e->map, "rooms4"))
		return publish_speaks(p, AF_INET);
	if (str_eq(e->map, "rooms6"))
		return publish_speaks(p, AF_INET6);
	return str_eq(e->map, "ports"); /* an older gate's */
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
		return is_of_all_addresses(e, p) && str_eq(e->key, key);
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
		const char *owner = l.elements[i].gate;

		if (!*owner || str_eq(owner, g->name))
			continue;
		for (size_t j = 0; j < g->n_publish; j++)
			if (is_port(g, &l.elements[i], &g->publish[j])) {
				*ret = &g->publish[j];
				return owner;
			}
	}
	return NULL;
}
