/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/config.h"

#include "base/text.h"
#include "wire/lines.h"

#include <string.h>
#include <strings.h>

/* A word at the start of a line that tells the kind; whole sections match too. */
static const struct sign {
	const char *word;
	enum door_kind kind;
} signs[] = {
	{ "[interface]", DOOR_WIREGUARD }, { "[peer]", DOOR_WIREGUARD },
	{ "client", DOOR_OPENVPN },        { "tls-client", DOOR_OPENVPN },
	{ "remote", DOOR_OPENVPN },        { "dev", DOOR_OPENVPN },
	{ "dev-type", DOOR_OPENVPN },      { "pull", DOOR_OPENVPN },
	{ "server", DOOR_OPENVPN }, /* so that its reader can say what is wrong */
	{ "<connection>", DOOR_OPENVPN },  { "<ca>", DOOR_OPENVPN },
	{ "<cert>", DOOR_OPENVPN },
};

static const struct sign *find_sign(const struct line *line)
{
	size_t from = 0, len;

	while (from < line->len && (line->text[from] == ' ' || line->text[from] == '\t'))
		from++;
	for (len = 0; from + len < line->len; len++)
		if (strchr(" \t#;=", line->text[from + len]))
			break;
	for (size_t i = 0; i < ARRAY_LEN(signs); i++)
		if (strlen(signs[i].word) == len &&
		    strncasecmp(signs[i].word, line->text + from, len) == 0)
			return &signs[i];
	return NULL;
}

/* WireGuard wins wherever it stands: nothing else has [Interface]. */
int config_vpn_kind(const char *file, const char *text, size_t size, enum door_kind *ret,
		    struct err *e)
{
	const struct sign *found = NULL;
	struct line line;
	struct lines l;
	int r = lines_start(&l, file, text, size, e);

	if (r < 0)
		return r;
	while ((r = lines_next(&l, &line, e)) > 0) {
		const struct sign *sign = find_sign(&line);

		if (sign && (!found || sign->kind == DOOR_WIREGUARD))
			found = sign;
	}
	if (r < 0)
		return r;
	if (!found)
		return lines_err(&l, 1, 1, e,
				 "neither OpenVPN (a line \"remote HOST\") nor WireGuard (a "
				 "section [Interface]); for another VPN write command = in "
				 "sallyport.conf");
	*ret = found->kind;
	return 0;
}
