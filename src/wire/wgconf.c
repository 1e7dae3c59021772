/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/config.h"

#include "base/text.h"
#include "wire/ini.h"
#include "wire/near.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* wg-quick(8) and what it passes to wg(8): a table of keys. */

#define KEYS_MAX 32

#define KEEPALIVE_S 25 /* as wg(8) recommends */
/* A session is renewed every 120 s; one older than this is dead (REJECT_AFTER_TIME). */
#define HANDSHAKE_LIMIT_MS 180000

enum section { NO_SECTION, INTERFACE, PEER };

struct reader {
	struct arena *a;
	const char *file;
	struct wg_conf conf;
	enum section section;
	uint32_t interface_line;
	const struct ini_entry *mtu; /* where it is given */
	uint32_t interface_column;
	uint32_t peer_column;
	uint32_t given[KEYS_MAX]; /* line of each key in this section */
	struct err *e;
};

struct key {
	const char *name;
	enum section section;
	bool repeats;
	int (*read)(struct reader *r, const struct ini_entry *entry);
	const char *ignored; /* why; read is NULL */
};

static int fail(struct reader *r, uint32_t line, uint32_t column)
{
	return err_wrap(r->e, -EINVAL, "%s:%u:%u", r->file, line, column);
}

static int fail_at(struct reader *r, const struct ini_entry *entry)
{
	return fail(r, entry->line, entry->column);
}

static int fail_at_value(struct reader *r, const struct ini_entry *entry, uint32_t offset)
{
	return fail(r, entry->line, entry->value_column + offset);
}

static struct wg_peer *this_peer(struct reader *r)
{
	return &r->conf.peers[r->conf.n_peers - 1];
}

/* 0 to 63, or -1 */
static int base64_digit(char c)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *p = c ? strchr(digits, c) : NULL;

	return p ? (int)(p - digits) : -1;
}

/* 32 bytes: 43 digits, the last of which carries four bits, and "=". */
static bool is_key(const char *s)
{
	if (strlen(s) != 44 || s[43] != '=')
		return false;
	for (int i = 0; i < 43; i++)
		if (base64_digit(s[i]) < 0)
			return false;
	return (base64_digit(s[42]) & 3) == 0;
}

/* The message must not show the key. */
static int read_key(struct reader *r, const struct ini_entry *entry, const char **ret)
{
	if (!is_key(entry->value)) {
		err_set(r->e, EINVAL,
			"%s is not a key; write 32 bytes in base64 (44 characters "
			"that end in \"=\"), as wg genkey prints",
			entry->name);
		return fail_at_value(r, entry, 0);
	}
	*ret = entry->value;
	return 0;
}

static int read_private_key(struct reader *r, const struct ini_entry *entry)
{
	return read_key(r, entry, &r->conf.private_key);
}

static int read_preshared_key(struct reader *r, const struct ini_entry *entry)
{
	return read_key(r, entry, &this_peer(r)->preshared_key);
}

static int read_public_key(struct reader *r, const struct ini_entry *entry)
{
	struct wg_peer *peer = this_peer(r);
	int err = read_key(r, entry, &peer->public_key);

	if (err < 0)
		return err;
	for (const struct wg_peer *other = r->conf.peers; other < peer; other++) {
		if (!other->public_key || !str_eq(other->public_key, peer->public_key))
			continue;
		err_set(r->e, EINVAL,
			"the peer in line %u has this PublicKey too; keep one of "
			"them",
			other->line);
		return fail_at_value(r, entry, 0);
	}
	return 0;
}

/* "a/len" with the bits beyond the length kept, or "a" alone. */
static bool address_parse(const char *word, struct wg_address *ret)
{
	char text[IP_TEXT_SIZE] = "";
	size_t len = strcspn(word, "/");
	struct prefix p;
	struct ip ip;

	if (len >= sizeof(text) || !prefix_parse(word, true, &p))
		return false;
	memcpy(text, word, len);
	if (!ip_parse(text, &ip))
		return false;
	*ret = (struct wg_address){ .ip = ip, .len = p.len };
	return true;
}

static int read_address(struct reader *r, const struct ini_entry *entry)
{
	struct wg_conf *c = &r->conf;
	const char *at = entry->value, *word;
	uint32_t offset = 0;

	while ((word = ini_word(r->a, entry->value, &at, &offset))) {
		struct wg_address address;

		if (!address_parse(word, &address)) {
			err_set(r->e, EINVAL,
				"\"%.60s\" is not an address; write ADDRESS/LENGTH, "
				"such as 10.64.0.2/32 or fd00::2/128",
				word);
			return fail_at_value(r, entry, offset);
		}
		*arena_push(r->a, c->addresses, c->n_addresses, c->cap_addresses) = address;
	}
	return 0;
}

static int read_dns(struct reader *r, const struct ini_entry *entry)
{
	struct wg_conf *c = &r->conf;
	const char *at = entry->value, *word;
	uint32_t offset = 0;

	while ((word = ini_word(r->a, entry->value, &at, &offset))) {
		struct ip ip;

		if (ip_parse(word, &ip)) {
			*arena_push(r->a, c->dns, c->n_dns, c->cap_dns) = ip;
		} else if (config_is_host(word)) {
			*arena_push(r->a, c->search, c->n_search, c->cap_search) = word;
		} else {
			err_set(r->e, EINVAL,
				"\"%.60s\" is neither an address nor a search "
				"domain; write addresses of name servers",
				word);
			return fail_at_value(r, entry, offset);
		}
	}
	return 0;
}

static int read_number(struct reader *r, const struct ini_entry *entry, uint32_t min, uint32_t max,
		       uint32_t *ret)
{
	uint32_t n;

	if (!str_to_u32(entry->value, max, &n) || n < min) {
		err_set(r->e, EINVAL, "%s \"%.40s\" is not a number from %u to %u; write one",
			entry->name, entry->value, min, max);
		return fail_at_value(r, entry, 0);
	}
	*ret = n;
	return 0;
}

static int read_listen_port(struct reader *r, const struct ini_entry *entry)
{
	uint32_t port = 0;
	int err = read_number(r, entry, 0, 65535, &port);

	if (err < 0)
		return err;
	r->conf.listen_port = (uint16_t)port;
	return 0;
}

/* Below 576 IPv4 itself is in trouble; 65535 is the kernel's end. */
static int read_mtu(struct reader *r, const struct ini_entry *entry)
{
	r->mtu = entry;
	return read_number(r, entry, 576, 65535, &r->conf.mtu);
}

static int read_keepalive(struct reader *r, const struct ini_entry *entry)
{
	uint32_t seconds = 0;
	int err = strcasecmp(entry->value, "off") == 0 ? 0
						       : read_number(r, entry, 0, 65535, &seconds);

	if (err < 0)
		return err;
	this_peer(r)->keepalive = (uint16_t)seconds;
	return 0;
}

static int read_allowed(struct reader *r, const struct ini_entry *entry)
{
	struct wg_peer *peer = this_peer(r);
	const char *at = entry->value, *word;
	uint32_t offset = 0;

	while ((word = ini_word(r->a, entry->value, &at, &offset))) {
		struct prefix p;

		if (!prefix_parse(word, true, &p)) {
			err_set(r->e, EINVAL,
				"\"%.60s\" is not a prefix; write ADDRESS/LENGTH, "
				"such as 10.0.0.0/8 or ::/0",
				word);
			return fail_at_value(r, entry, offset);
		}
		*arena_push(r->a, peer->allowed, peer->n_allowed, peer->cap_allowed) = p;
	}
	return 0;
}

/* Cuts "[v6]:port", "v4:port" or "name:port" at its colon. */
static bool endpoint_parse(char *text, struct wg_peer *peer)
{
	char *colon = strrchr(text, ':');
	struct ip ip;
	uint32_t port;
	bool is_host;

	if (!colon || !str_to_u32(colon + 1, 65535, &port) || port == 0)
		return false;
	*colon = 0;
	if (*text == '[' && colon > text && colon[-1] == ']') {
		colon[-1] = 0;
		text++;
		is_host = ip_parse(text, &ip) && ip.family == AF_INET6;
	} else {
		is_host = config_is_host(text);
	}
	peer->endpoint_host = is_host ? text : NULL;
	peer->endpoint_port = (uint16_t)port;
	return is_host;
}

static int read_endpoint(struct reader *r, const struct ini_entry *entry)
{
	if (endpoint_parse(arena_strdup(r->a, entry->value), this_peer(r)))
		return 0;
	err_set(r->e, EINVAL,
		"Endpoint \"%.60s\" is not HOST:PORT; write such as "
		"vpn.example.com:51820, 192.0.2.1:51820 or [2001:db8::1]:51820",
		entry->value);
	return fail_at_value(r, entry, 0);
}

#define NO_COMMANDS "no commands of a VPN file are run"

static const struct key keys[] = {
	{ "PrivateKey", INTERFACE, false, read_private_key, NULL },
	{ "Address", INTERFACE, true, read_address, NULL },
	{ "DNS", INTERFACE, true, read_dns, NULL },
	{ "MTU", INTERFACE, false, read_mtu, NULL },
	{ "ListenPort", INTERFACE, false, read_listen_port, NULL },
	{ "FwMark", INTERFACE, true, NULL, "the tunnel's packets get a mark of the gate" },
	{ "Table", INTERFACE, true, NULL, "each door has a table of its own" },
	{ "PreUp", INTERFACE, true, NULL, NO_COMMANDS },
	{ "PostUp", INTERFACE, true, NULL, NO_COMMANDS },
	{ "PreDown", INTERFACE, true, NULL, NO_COMMANDS },
	{ "PostDown", INTERFACE, true, NULL, NO_COMMANDS },
	{ "SaveConfig", INTERFACE, true, NULL, "the file is never written" },
	{ "IncludedApplications", INTERFACE, true, NULL, "it is of Android's application" },
	{ "ExcludedApplications", INTERFACE, true, NULL, "it is of Android's application" },
	{ "PublicKey", PEER, false, read_public_key, NULL },
	{ "PresharedKey", PEER, false, read_preshared_key, NULL },
	{ "AllowedIPs", PEER, true, read_allowed, NULL },
	{ "Endpoint", PEER, false, read_endpoint, NULL },
	{ "PersistentKeepalive", PEER, false, read_keepalive, NULL },
};

_Static_assert(ARRAY_LEN(keys) <= KEYS_MAX, "given[] has room for each key");

static const char *section_text(enum section section)
{
	return section == PEER ? "[Peer]" : "[Interface]";
}

static const struct key *find_key(const char *name, enum section section)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].section == section && strcasecmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

/* Settings of AmneziaWG, which both ends must have. */
static bool is_amnezia(const char *name)
{
	static const char *const names[] = { "Jc", "Jmin", "Jmax", "S1", "S2", "S3", "S4", "H1",
					     "H2", "H3",   "H4",   "I1", "I2", "I3", "I4", "I5" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (strcasecmp(names[i], name) == 0)
			return true;
	return false;
}

static int fail_unknown(struct reader *r, const struct ini_entry *entry)
{
	enum section other = r->section == PEER ? INTERFACE : PEER;
	const struct key *elsewhere = find_key(entry->name, other);
	const char *names[ARRAY_LEN(keys)];
	char teach[400];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].section == r->section && keys[i].read)
			names[n++] = keys[i].name;
	near_teach(teach, sizeof(teach), section_text(r->section), entry->name, names, n);
	if (r->section == INTERFACE && is_amnezia(entry->name))
		err_set(r->e, EINVAL,
			"\"%s\" is of AmneziaWG, which is not WireGuard; for its client write "
			"command = in sallyport.conf",
			entry->name);
	else if (elsewhere)
		err_set(r->e, EINVAL, "%s in %s; write it under %s", elsewhere->name,
			section_text(r->section), section_text(other));
	else
		/* Not all of it: it may be somebody's key. */
		err_set(r->e, EINVAL, "unknown key \"%.20s\"; %s", entry->name, teach);
	return fail_at(r, entry);
}

static void warn_ignored(struct reader *r, const struct ini_entry *entry, const struct key *key)
{
	struct wg_conf *c = &r->conf;

	*arena_push(r->a, c->warnings, c->n_warnings, c->cap_warnings) =
		arena_printf(r->a, "%s:%u:%u: %s is ignored: %s", r->file, entry->line,
			     entry->column, key->name, key->ignored);
}

static int read_setting(struct reader *r, const struct ini_entry *entry)
{
	const struct key *key = find_key(entry->name, r->section);
	uint32_t *given;

	if (r->section == NO_SECTION) {
		err_set(r->e, EINVAL, "\"%.40s\" before any section; write [Interface] above it",
			entry->name);
		return fail_at(r, entry);
	}
	if (!key)
		return fail_unknown(r, entry);
	given = &r->given[key - keys];
	if (*given && !key->repeats) {
		err_set(r->e, EINVAL, "%s stands in line %u already; keep one of them", key->name,
			*given);
		return fail_at(r, entry);
	}
	*given = entry->line;
	if (key->read)
		return key->read(r, entry);
	warn_ignored(r, entry, key);
	return 0;
}

static int end_section(struct reader *r)
{
	if (r->section != PEER || this_peer(r)->public_key)
		return 0;
	err_set(r->e, EINVAL, "the peer has no PublicKey; write PublicKey = KEY");
	return fail(r, this_peer(r)->line, r->peer_column);
}

static int begin_section(struct reader *r, const struct ini_entry *entry)
{
	struct wg_conf *c = &r->conf;

	memset(r->given, 0, sizeof(r->given));
	if (strcasecmp(entry->name, "Peer") == 0) {
		r->section = PEER;
		r->peer_column = entry->column;
		arena_push(r->a, c->peers, c->n_peers, c->cap_peers)->line = entry->line;
		return 0;
	}
	if (strcasecmp(entry->name, "Interface") != 0) {
		err_set(r->e, EINVAL, "unknown section [%.40s]; write [Interface] or [Peer]",
			entry->name);
		return fail_at(r, entry);
	}
	if (r->interface_line) {
		err_set(r->e, EINVAL, "[Interface] stands in line %u already; put everything there",
			r->interface_line);
		return fail_at(r, entry);
	}
	r->section = INTERFACE;
	r->interface_line = entry->line;
	r->interface_column = entry->column;
	return 0;
}

/* wg-quick(8) would fail half-way. */
static void warn_small(struct reader *r)
{
	struct wg_conf *c = &r->conf;
	bool six = false;

	for (size_t i = 0; i < c->n_addresses; i++)
		six |= c->addresses[i].ip.family == AF_INET6;
	if (!six || !c->mtu || c->mtu >= IPV6_LEAST_MTU)
		return;
	*arena_push(r->a, c->warnings, c->n_warnings, c->cap_warnings) = arena_printf(
		r->a, "%s:%u:%u: with MTU %u the tunnel has no IPv6, which needs %u at least",
		r->file, r->mtu->line, r->mtu->column, c->mtu, IPV6_LEAST_MTU);
}

static int read_entry(struct reader *r, const struct ini_entry *entry)
{
	int err;

	if (entry->value)
		return read_setting(r, entry);
	err = end_section(r);
	return err < 0 ? err : begin_section(r, entry);
}

static int check_whole(struct reader *r)
{
	if (!r->interface_line) {
		err_set(r->e, EINVAL, "no [Interface]; write it with PrivateKey and Address");
		return fail(r, 1, 1);
	}
	if (!r->conf.private_key)
		err_set(r->e, EINVAL, "[Interface] has no PrivateKey; write PrivateKey = KEY");
	else if (!r->conf.n_addresses)
		err_set(r->e, EINVAL,
			"[Interface] has no Address; write the address that the "
			"VPN gave, such as Address = 10.64.0.2/32");
	else
		return 0;
	return fail(r, r->interface_line, r->interface_column);
}

int wgconf_read(struct arena *a, const char *file, const char *text, size_t size,
		struct wg_conf *ret, struct err *e)
{
	struct reader r = { .a = a, .file = file, .e = e };
	struct ini ini;
	int err = ini_read(a, file, text, size, INI_WIREGUARD, &ini, e);

	if (err < 0)
		return err;
	for (size_t i = 0; i < ini.n_entries; i++) {
		err = read_entry(&r, &ini.entries[i]);
		if (err < 0)
			return err;
	}
	err = end_section(&r);
	if (err == 0)
		err = check_whole(&r);
	if (err < 0)
		return err;
	warn_small(&r);
	*ret = r.conf;
	return 0;
}

static void add_peer(struct text *t, const struct wg_peer *peer, const char *endpoint)
{
	char prefix[PREFIX_TEXT_SIZE];

	text_addf(t, "\n[Peer]\nPublicKey = %s\n", peer->public_key);
	if (peer->preshared_key)
		text_addf(t, "PresharedKey = %s\n", peer->preshared_key);
	/* One a line: wg reads a line of any length, but nobody else does. */
	for (size_t i = 0; i < peer->n_allowed; i++)
		text_addf(t, "AllowedIPs = %s\n", prefix_text(&peer->allowed[i], prefix));
	if (endpoint && strchr(endpoint, ':'))
		text_addf(t, "Endpoint = [%s]:%u\n", endpoint, peer->endpoint_port);
	else if (endpoint)
		text_addf(t, "Endpoint = %s:%u\n", endpoint, peer->endpoint_port);
	if (peer->keepalive)
		text_addf(t, "PersistentKeepalive = %u\n", peer->keepalive);
}

const char *wgconf_setconf(struct arena *a, const struct wg_conf *conf,
			   const char *const *endpoints, uint32_t fwmark)
{
	CLEANUP_TEXT struct text t = { 0 };

	text_addf(&t, "[Interface]\nPrivateKey = %s\n", conf->private_key);
	if (conf->listen_port)
		text_addf(&t, "ListenPort = %u\n", conf->listen_port);
	if (fwmark)
		text_addf(&t, "FwMark = 0x%x\n", fwmark);
	for (size_t i = 0; i < conf->n_peers; i++)
		add_peer(&t, &conf->peers[i], endpoints ? endpoints[i] : NULL);
	return arena_strdup(a, text_str(&t));
}

size_t wgconf_names(struct arena *a, const struct wg_conf *conf, const char ***ret)
{
	const char **list = arena_alloc(a, sizeof(*list) * (conf->n_peers + 1));
	size_t n = 0;
	struct ip ip;

	for (size_t i = 0; i < conf->n_peers; i++) {
		const char *host = conf->peers[i].endpoint_host;

		if (host && !ip_parse(host, &ip))
			list[n++] = host;
	}
	*ret = list;
	return n;
}

/* Of the addresses that stand before @name the one whose turn it is, or NULL. */
static const char *address_of(struct arena *a, const char *known, const char *name,
			      unsigned int turn)
{
	const char **list = NULL;
	size_t len, n = 0, cap = 0;

	for (const char *line = known; *line; line += len + (line[len] != 0)) {
		size_t to_blank = strcspn(line, " ");

		len = strcspn(line, "\n");

		if (to_blank < len && len - to_blank - 1 == strlen(name) &&
		    strncmp(line + to_blank + 1, name, strlen(name)) == 0)
			*arena_push(a, list, n, cap) = arena_strndup(a, line, to_blank);
	}
	return n ? list[turn % n] : NULL;
}

const char **wgconf_endpoints(struct arena *a, const struct wg_conf *conf, const char *known,
			      unsigned int turn)
{
	const char **list = arena_alloc(a, sizeof(*list) * (conf->n_peers + 1));
	struct ip ip;

	for (size_t i = 0; i < conf->n_peers; i++) {
		const char *host = conf->peers[i].endpoint_host;

		if (host)
			list[i] = ip_parse(host, &ip) ? host : address_of(a, known, host, turn);
	}
	return list;
}

void wgconf_keep_alive(struct wg_conf *conf)
{
	for (size_t i = 0; i < conf->n_peers; i++)
		if (conf->peers[i].endpoint_host && !conf->peers[i].keepalive)
			conf->peers[i].keepalive = KEEPALIVE_S;
}

bool wgconf_answers(const struct wg_conf *conf, const char *shown, int64_t now_ms,
		    struct wg_heard *h)
{
	bool any = false;
	uint64_t sum = 0;

	for (size_t i = 0; i < conf->n_peers; i++) {
		const struct wg_peer *p = &conf->peers[i];
		const char *at = strstr(shown, p->public_key);

		if (!p->endpoint_host)
			continue;
		any = true;
		sum += at ? strtoull(at + strlen(p->public_key), NULL, 10) : 0;
	}
	if (sum != h->sum)
		*h = (struct wg_heard){ .sum = sum, .at_ms = now_ms };
	return !any || (sum && now_ms - h->at_ms < HANDSHAKE_LIMIT_MS);
}
