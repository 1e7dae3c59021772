/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/resolvconf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAD "# sallyport: name servers that are asked by the tunnel\n"
#define WAS  "# was: "

#define PUSHED    "PUSH: Received control message: 'PUSH_REPLY,"
#define CONTINUES ",push-continuation 2'"
#define FILTERED  "Pushed option removed by filter: '"

#define BLANK " \t\r"

/* "dns server N" has N from -128 to 127; rank 0 is all other servers'. */
#define NUMBER_LEAST   (-128)
#define NUMBER_MOST    127
#define RANK_OF_NUMBER (-1 - NUMBER_MOST)

static void add_ranked(struct resolvconf_names *n, const struct ip *server, int rank)
{
	size_t at = n->n_servers;

	for (size_t i = 0; i < n->n_servers; i++)
		if (ip_equal(&n->servers[i], server))
			return;
	if (n->n_servers == ARRAY_LEN(n->servers))
		return;
	for (; at && n->rank[at - 1] > rank; at--) {
		n->servers[at] = n->servers[at - 1];
		n->rank[at] = n->rank[at - 1];
	}
	n->servers[at] = *server;
	n->rank[at] = rank;
	n->n_servers++;
}

void resolvconf_add_server(struct resolvconf_names *n, const struct ip *server)
{
	if (!n->n_servers || !n->rank[0])
		add_ranked(n, server, 0);
}

static void add_numbered(struct resolvconf_names *n, const struct ip *server, int number)
{
	while (n->n_servers && !n->rank[n->n_servers - 1])
		n->n_servers--;
	add_ranked(n, server, number + RANK_OF_NUMBER);
}

void resolvconf_add_search(struct resolvconf_names *n, const char *domain)
{
	size_t len = strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-_");
	size_t used = strlen(n->search);

	if (len && !domain[len] && used + len + 2 <= sizeof(n->search))
		snprintf(n->search + used, sizeof(n->search) - used, " %s", domain);
}

/* The next word of @at, cut to what @word holds; false: there is none. */
static bool next_word(const char **at, char *word, size_t size)
{
	size_t len;

	*at += strspn(*at, BLANK);
	len = strcspn(*at, BLANK);
	snprintf(word, size, "%.*s", (int)len, *at);
	*at += len;
	return len > 0;
}

/* "10.8.0.1", "10.8.0.1:53", "fd00::1" or "[fd00::1]:53". resolv.conf(5) knows no other port. */
static bool parse_server(char *word, struct ip *ret)
{
	char *address = word + (*word == '[');
	char *port = *word == '[' ? strchr(word, ']') : strchr(word, ':');

	if (ip_parse(word, ret))
		return true;
	if (!port)
		return false;
	if (*port == ']')
		*port++ = 0;
	if (!str_eq(port, ":53"))
		return false;
	*port = 0;
	return ip_parse(address, ret);
}

/* What stands behind "dns ". */
static void add_dns(struct resolvconf_names *n, const char *at)
{
	char word[256], *end;
	struct ip ip;
	long number;

	if (!next_word(&at, word, sizeof(word)))
		return;
	if (str_eq(word, "search-domains"))
		while (next_word(&at, word, sizeof(word)))
			resolvconf_add_search(n, word);
	if (!str_eq(word, "server") || !next_word(&at, word, sizeof(word)))
		return;
	number = strtol(word, &end, 10);
	if (*end || number < NUMBER_LEAST || number > NUMBER_MOST)
		return;
	if (next_word(&at, word, sizeof(word)) && str_eq(word, "address"))
		while (next_word(&at, word, sizeof(word)))
			if (parse_server(word, &ip))
				add_numbered(n, &ip, (int)number);
}

void resolvconf_add_option(struct resolvconf_names *n, const char *option)
{
	static const struct {
		const char *head;
		bool is_server;
	} kinds[] = { { "dhcp-option DNS ", true },
		      { "dhcp-option DNS6 ", true },
		      { "dhcp-option DOMAIN ", false },
		      { "dhcp-option DOMAIN-SEARCH ", false } };
	struct ip ip;

	if (str_starts(option, "dns "))
		add_dns(n, option + strlen("dns "));
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		const char *value = option + strlen(kinds[i].head);

		if (!str_starts(option, kinds[i].head))
			continue;
		if (!kinds[i].is_server)
			resolvconf_add_search(n, value);
		else if (ip_parse(value, &ip))
			resolvconf_add_server(n, &ip);
	}
}

static void filter(char *pushed, const char *line)
{
	const char *option = strstr(line, FILTERED);
	size_t len = option ? strcspn(option += strlen(FILTERED), "'") : 0;

	for (char *at = len ? strchr(pushed, ',') : NULL; at; at = strchr(at + 1, ','))
		if (strncmp(at + 1, option, len) == 0 && strchr(",'", at[1 + len]))
			memset(at + 1, ',', len);
}

static bool goes_on(const struct text *pushed)
{
	size_t len = strlen(CONTINUES);

	return pushed->len > len && str_eq(pushed->buf + pushed->len - len, CONTINUES);
}

/* What is too long for one message comes in several, and each but the last says so. */
void resolvconf_hear(struct text *pushed, const char *line)
{
	if (!strstr(line, PUSHED)) {
		if (pushed->len)
			filter(pushed->buf, line);
		return;
	}
	if (!goes_on(pushed))
		text_clear(pushed);
	text_add(pushed, line);
}

/* Of words that end with a comma or a quotation mark. */
void resolvconf_add_push(struct resolvconf_names *n, const char *pushed)
{
	const char *at = strstr(pushed, PUSHED);

	if (!at)
		return;
	for (at += strlen(PUSHED); *at; at += strcspn(at, ",'"), at += *at != 0) {
		char option[256];
		size_t len = strcspn(at, ",'");

		if (len < sizeof(option)) {
			memcpy(option, at, len);
			option[len] = 0;
			resolvconf_add_option(n, option);
		}
	}
}

static void add_word(struct resolvconf_names *n, const char *from, size_t len)
{
	char word[IP_TEXT_SIZE];
	struct ip ip;

	if (len >= sizeof(word))
		return;
	memcpy(word, from, len);
	word[len] = 0;
	if (ip_parse(word, &ip))
		resolvconf_add_server(n, &ip);
}

void resolvconf_read(const char *text, struct resolvconf_names *ret)
{
	static const char key[] = "nameserver";

	*ret = (struct resolvconf_names){ 0 };
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line != 0) {
		const char *value = line + strlen(key);

		if (!str_starts(line, key) || !strspn(value, BLANK))
			continue;
		value += strspn(value, BLANK);
		add_word(ret, value, strcspn(value, " \t\r\n"));
	}
}

void resolvconf_read_docker(const char *text, struct resolvconf_names *ret)
{
	static const char head[] = "# ExtServers: [", ends[] = " ]\n";
	const char *at = strstr(text, head);

	*ret = (struct resolvconf_names){ 0 };
	for (at = at ? at + strlen(head) : ""; *at && *at != ']' && *at != '\n';) {
		size_t len = strcspn(at, ends);

		add_word(ret, at, len);
		at += len;
		at += *at == ' ';
	}
}

const char *resolvconf_before(struct arena *a, const char *text)
{
	struct text out CLEANUP_TEXT = { 0 };

	if (!str_starts(text, HEAD))
		return arena_strdup(a, text);
	for (const char *line = text; *line;) {
		size_t len = strcspn(line, "\n");

		if (str_starts(line, WAS)) {
			text_add_len(&out, line + strlen(WAS), len - strlen(WAS));
			text_add(&out, "\n");
		}
		line += len + (line[len] != 0);
	}
	return arena_strdup(a, text_str(&out));
}

const char *resolvconf_write(struct arena *a, const char *before, const struct resolvconf_names *n)
{
	struct text out CLEANUP_TEXT = { 0 };
	char ip[IP_TEXT_SIZE];

	text_add(&out, HEAD);
	for (const char *line = before; *line;) {
		size_t len = strcspn(line, "\n");

		text_addf(&out, WAS "%.*s\n", (int)len, line);
		line += len + (line[len] != 0);
	}
	for (size_t i = 0; i < n->n_servers; i++)
		text_addf(&out, "nameserver %s\n", ip_text(&n->servers[i], ip));
	if (n->search[0])
		text_addf(&out, "search%s\n", n->search);
	return arena_strdup(a, text_str(&out));
}
