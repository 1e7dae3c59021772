/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads single lines out of a listing: a block is "\tKIND NAME {\n", lines that
 * are indented more, and "\t}\n".  What stands there is what plan/nft_host.c
 * and nft_gate.c wrote, as sys/nft.h lists it: numbers for everything that has one.
 */
#include "plan/nft_find.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* The lines of block @head ("chain arrive"), "" if there is none. */
static const char *block(struct arena *a, const char *listed, const char *head)
{
	const char *start = strstr(listed, arena_printf(a, "\n\t%s {\n", head));
	const char *end = start ? strstr(start, "\n\t}") : NULL;

	return end ? arena_strndup(a, start + 1, (size_t)(end - start)) : "";
}

/* What follows @key in @text, an element's; NULL if it is not there. */
static const char *behind_key(const char *text, const char *key)
{
	const char *at = text;

	/* A key ends where it ends, but it may be the end of a longer one. */
	do {
		at = strstr(at == text ? at : at + 1, key);
		if (!at)
			return NULL;
	} while (at != text && !strchr(" \t,{", at[-1]));
	return at + strlen(key);
}

/* "198.18.1.3 . 80" */
static bool read_room(struct arena *a, const char *ip, struct nft_published *ret)
{
	size_t len = strcspn(ip, " ");
	uint32_t port;

	if (!ip_parse(arena_strndup(a, ip, len), &ret->room) || !str_starts(ip + len, " . "))
		return false;
	ip += len + 3;
	if (!str_to_u32(arena_strndup(a, ip, strspn(ip, "0123456789")), UINT16_MAX, &port))
		return false;
	ret->port = (uint16_t)port;
	return true;
}

static bool find_element(struct arena *a, const char *text, const char *key,
			 struct nft_published *ret)
{
	const char *at = behind_key(text, arena_printf(a, "%s : ", key));

	return at && read_room(a, at, ret);
}

/* KEY comment "GATE" : ADDRESS . PORT */
static bool find_of_gate(struct arena *a, const char *text, const char *key,
			 struct nft_published *ret)
{
	const char *at = behind_key(text, arena_printf(a, "%s comment \"", key));
	size_t len = at ? strcspn(at, "\"") : 0;

	if (!at || !str_starts(at + len, "\" : ") || !read_room(a, at + len + 4, ret))
		return false;
	ret->gate = arena_strndup(a, at, len);
	return true;
}

/* Whose chain a packet is sent to by map @map, by the element @key. */
static const char *find_gate(struct arena *a, const char *listed, const char *map, const char *key)
{
	static const char verdict[] = " : goto publish_";
	const char *text = block(a, listed, map);
	const char *at = strstr(text, arena_printf(a, " %s%s", key, verdict));

	if (!at)
		at = strstr(text, arena_printf(a, "\t%s%s", key, verdict));
	if (!at)
		return NULL;
	at = strstr(at, verdict) + strlen(verdict);
	return arena_strndup(a, at, strcspn(at, " ,\n}"));
}

/* In the line of @text, a chain, that translates to @head's map. */
static bool find_in_map(struct arena *a, const char *text, const char *head, const char *key,
			struct nft_published *ret)
{
	const char *line = strstr(text, head);

	return line && find_element(a, arena_strndup(a, line, strcspn(line, "\n")), key, ret);
}

/* Of a gate of an older version, whose ports lead to a chain of its own (plan/nft_frame.c). */
static bool find_older(struct arena *a, const char *listed, bool v6, const char *of_one,
		       const char *service, struct nft_published *ret)
{
	struct nft_published found = { 0 };
	const char *text;

	found.gate = find_gate(a, listed, v6 ? "map listen6" : "map listen4", of_one);
	if (!found.gate)
		found.gate = find_gate(a, listed, "map ports", service);
	if (!found.gate)
		return false;
	text = block(a, listed, arena_printf(a, "chain publish_%s", found.gate));
	if (!find_in_map(a, text, v6 ? "dnat ip6 to ip6 daddr" : "dnat ip to ip daddr", of_one,
			 &found) &&
	    !find_in_map(a, text, v6 ? "dnat ip6 to meta" : "dnat ip to meta", service, &found))
		return false;
	*ret = found;
	return true;
}

bool nft_find_on_host(struct arena *a, const char *listed, const struct ip *to, uint8_t proto,
		      uint16_t port, struct nft_published *ret)
{
	bool v6 = to->family == AF_INET6;
	const char *service = arena_printf(a, "%u . %u", proto, port);
	char ip[IP_TEXT_SIZE];
	const char *of_one = arena_printf(a, "%s . %s", ip_text(to, ip), service);
	struct nft_published found = { 0 };

	if (!find_of_gate(a, block(a, listed, v6 ? "map rooms6_at" : "map rooms4_at"), of_one,
			  &found) &&
	    !find_of_gate(a, block(a, listed, v6 ? "map rooms6" : "map rooms4"), service, &found))
		return find_older(a, listed, v6, of_one, service, ret);
	*ret = found;
	return true;
}

/* Behind @word in @text, which is an element or begins one; NULL if it is not there. */
static const char *behind(const char *text, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = strstr(text, word); at; at = strstr(at + 1, word))
		if (at != text && strchr(" \t{,", at[-1]) && strchr(" ,\n}", at[len]))
			return at + len;
	return NULL;
}

bool nft_find_sandbox(struct arena *a, const char *listed, const struct ip *ip)
{
	const char *head = ip->family == AF_INET6 ? "set inside6" : "set inside4";
	char text[IP_TEXT_SIZE];

	return behind(block(a, listed, head), ip_text(ip, text)) != NULL;
}

bool nft_find_enter(struct arena *a, const char *listed, const struct ip *ip, struct ip *ret)
{
	const char *head = ip->family == AF_INET6 ? "map enter6" : "map enter4";
	char text[IP_TEXT_SIZE];
	const char *at = behind(block(a, listed, head), ip_text(ip, text));

	if (!at || !str_starts(at, " : "))
		return false;
	at += 3;
	return ip_parse(arena_strndup(a, at, strcspn(at, " ,\n}")), ret);
}

bool nft_find_in_gate(struct arena *a, const char *listed, const char *link, sa_family_t family,
		      uint8_t proto, uint16_t port, struct nft_published *ret)
{
	const char *text = block(a, listed, family == AF_INET6 ? "map ports6" : "map ports4");
	struct nft_published found = { 0 };

	if (!find_element(a, text, arena_printf(a, "\"%s\" . %u . %u", link, proto, port), &found))
		return false;
	*ret = found;
	return true;
}

static bool mark_in(const char *line, uint32_t *ret)
{
	static const char words[] = "meta mark set 0x";
	const char *end = strchrnul(line, '\n');
	const char *at = strstr(line, words);

	if (!at || at > end)
		return false;
	*ret = (uint32_t)strtoul(at + strlen(words), NULL, 16);
	return true;
}

uint32_t nft_find_mark(struct arena *a, const char *listed, const char *link)
{
	const char *text = block(a, listed, "chain arrive");
	const char *match = arena_printf(a, "\tiifname \"%s\" ", link);
	const char *go = arena_printf(a, "%sgoto ", match);
	uint32_t mark = 0;

	for (const char *at = strstr(text, match); at; at = strstr(at + 1, match)) {
		if (mark_in(at, &mark))
			return mark;
		if (!str_starts(at, go))
			continue;
		at += strlen(go);
		text = block(a, listed,
			     arena_printf(a, "chain %s", arena_strndup(a, at, strcspn(at, " \n"))));
		at = strstr(text, "\tmeta mark set ");
		return at && mark_in(at, &mark) ? mark : 0;
	}
	return 0;
}

bool nft_find_restores(struct arena *a, const char *listed)
{
	static const char words[] = "meta mark set ct mark ";
	static const char match[] = "\tiifname \"room*\" ";
	const char *text = block(a, listed, "chain arrive");

	for (const char *at = strstr(text, match); at; at = strstr(at + 1, match)) {
		const char *set = strstr(at, words);

		if (set && set < strchrnul(at, '\n'))
			return true;
	}
	return false;
}
