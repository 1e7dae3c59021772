/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/wgmoved.h"

#include "base/text.h"
#include "wire/config.h"

#include <stdlib.h>
#include <string.h>

/* REJECT_AFTER_TIME less what a handshake may take, as reresolve-dns.sh has it. */
#define SILENT_MS 135000
#define AGAIN_MS  30000

/* What stands behind the peer's key in @shown, or NULL. */
static const char *shown_of(const char *shown, const struct wg_peer *peer)
{
	const char *at = strstr(shown, peer->public_key);

	return at ? at + strlen(peer->public_key) + strspn(at + strlen(peer->public_key), "\t ")
		  : NULL;
}

static bool is_named(const struct wg_peer *peer)
{
	struct ip ip;

	return peer->endpoint_host && !ip_parse(peer->endpoint_host, &ip);
}

static bool is_silent(const struct wg_conf *conf, size_t peer, int64_t now_ms,
		      const struct wg_silence *s)
{
	return is_named(&conf->peers[peer]) && now_ms - s->peers[peer].at_ms >= SILENT_MS;
}

void wgmoved_begin(struct arena *a, const struct wg_conf *conf, int64_t now_ms,
		   struct wg_silence *s)
{
	if (!s->peers)
		s->peers = arena_alloc(a, sizeof(*s->peers) * (conf->n_peers + 1));
	for (size_t i = 0; i < conf->n_peers; i++)
		s->peers[i] = (struct wg_heard){ .at_ms = now_ms };
	s->asked_ms = 0;
}

void wgmoved_hear(const struct wg_conf *conf, const char *shown, int64_t now_ms,
		  struct wg_silence *s)
{
	for (size_t i = 0; i < conf->n_peers; i++) {
		const char *at = shown_of(shown, &conf->peers[i]);
		uint64_t said = at ? strtoull(at, NULL, 10) : 0;

		if (said && said != s->peers[i].sum)
			s->peers[i] = (struct wg_heard){ .sum = said, .at_ms = now_ms };
	}
}

size_t wgmoved_names(struct arena *a, const struct wg_conf *conf, int64_t now_ms,
		     struct wg_silence *s, const char ***ret)
{
	const char **list;
	size_t n = 0;

	if (s->asked_ms && now_ms - s->asked_ms < AGAIN_MS)
		return 0;
	list = arena_alloc(a, sizeof(*list) * (conf->n_peers + 1));
	for (size_t i = 0; i < conf->n_peers; i++)
		if (is_silent(conf, i, now_ms, s))
			list[n++] = conf->peers[i].endpoint_host;
	if (n)
		s->asked_ms = now_ms;
	*ret = list;
	return n;
}

/* The address of "ADDRESS:PORT" or "[ADDRESS]:PORT" at @shown; "" for "(none)". */
static const char *address_in(struct arena *a, const char *shown)
{
	bool six = shown && *shown == '[';
	const char *start = shown ? shown + six : "";
	const char *text = arena_strndup(a, start, strcspn(start, six ? "]\n" : ":\n"));
	struct ip ip;

	return ip_parse(text, &ip) ? text : "";
}

static bool is_known(struct arena *a, const char *known, const char *address, const char *name)
{
	const char *line = arena_printf(a, "\n%s %s\n", address, name);

	return *address && strstr(arena_printf(a, "\n%s", known), line);
}

size_t wgmoved_find(struct arena *a, const struct wg_conf *conf, const char *known,
		    const char *shown, int64_t now_ms, const struct wg_silence *s,
		    struct wg_move **ret)
{
	const char **now = wgconf_endpoints(a, conf, known, 0);
	struct wg_move *list = arena_alloc(a, sizeof(*list) * (conf->n_peers + 1));
	size_t n = 0;

	for (size_t i = 0; i < conf->n_peers; i++) {
		const struct wg_peer *p = &conf->peers[i];
		const char *from = address_in(a, shown_of(shown, p));

		if (is_silent(conf, i, now_ms, s) && now[i] &&
		    !is_known(a, known, from, p->endpoint_host))
			list[n++] = (struct wg_move){ .peer = p, .from = from, .to = now[i] };
	}
	*ret = list;
	return n;
}

const char *wgmoved_words(struct arena *a, const struct wg_move *move)
{
	return arena_printf(a, "the peer %s is silent, and its name has moved: %s -> %s",
			    move->peer->endpoint_host, move->from[0] ? move->from : "unknown",
			    move->to);
}

const char *wgmoved_endpoint(struct arena *a, const struct wg_move *move)
{
	return arena_printf(a, strchr(move->to, ':') ? "[%s]:%u" : "%s:%u", move->to,
			    move->peer->endpoint_port);
}
