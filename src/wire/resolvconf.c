/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/resolvconf.h"

#include "base/text.h"

#include <stdio.h>
#include <string.h>

#define HEAD "# sallyport: name servers that are asked by the tunnel\n"
#define WAS  "# was: "

void resolvconf_add_server(struct resolvconf_names *n, const struct ip *server)
{
	for (size_t i = 0; i < n->n_servers; i++)
		if (ip_equal(&n->servers[i], server))
			return;
	if (n->n_servers < ARRAY_LEN(n->servers))
		n->servers[n->n_servers++] = *server;
}

void resolvconf_add_search(struct resolvconf_names *n, const char *domain)
{
	size_t len = strspn(domain, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				    "0123456789.-_");
	size_t used = strlen(n->search);

	if (len && !domain[len] && used + len + 2 <= sizeof(n->search))
		snprintf(n->search + used, sizeof(n->search) - used, " %s", domain);
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

/* Of words that end with a comma or a quotation mark. */
bool resolvconf_add_push(struct resolvconf_names *n, const char *line)
{
	static const char head[] = "PUSH: Received control message: 'PUSH_REPLY,";
	const char *at = strstr(line, head);

	if (!at)
		return false;
	for (at += strlen(head); *at; at += strcspn(at, ",'"), at += *at != 0) {
		char option[256];
		size_t len = strcspn(at, ",'");

		if (len < sizeof(option)) {
			memcpy(option, at, len);
			option[len] = 0;
			resolvconf_add_option(n, option);
		}
	}
	return true;
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
	static const char key[] = "nameserver", blank[] = " \t\r";

	*ret = (struct resolvconf_names){ 0 };
	for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line != 0) {
		const char *value = line + strlen(key);

		if (!str_starts(line, key) || !strspn(value, blank))
			continue;
		value += strspn(value, blank);
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
