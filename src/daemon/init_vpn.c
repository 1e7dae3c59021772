/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/init_vpn.h"

#include "base/text.h"
#include "daemon/log.h"
#include "sys/files.h"
#include "wire/config.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>

struct load {
	struct arena *arena;
	const struct init_options *o;
	struct init_vpn vpn;
};

static int find_file(struct load *l, struct err *e)
{
	static const char *const usual[] = { INIT_OVPN, INIT_WG };
	const struct vpnenv *env = l->o->env;
	int r = -ENOENT;

	l->vpn.file = env->vpn;
	if (env->vpn)
		return file_read(l->arena, env->vpn, FILE_READ_MAX, &l->vpn.text, &l->vpn.size, e);
	for (size_t i = 0; i < ARRAY_LEN(usual) && r == -ENOENT; i++) {
		l->vpn.file = usual[i];
		r = file_read(l->arena, usual[i], FILE_READ_MAX, &l->vpn.text, &l->vpn.size, e);
	}
	if (r == -ENOENT && env->wireguard) {
		l->vpn.file = "WIREGUARD_ variables";
		l->vpn.text = env->wireguard;
		l->vpn.size = strlen(env->wireguard);
		return 0;
	}
	if (r == -ENOENT)
		return err_set(e, ENOENT,
			       "no VPN: mount its file at " INIT_OVPN " or " INIT_WG
			       " (docker run -v ./office.ovpn:" INIT_OVPN ":ro)");
	return r;
}

static void add_server(struct load *l, const char *host, uint16_t port, uint8_t proto)
{
	*arena_push(l->arena, l->vpn.servers, l->vpn.n_servers, l->vpn.cap_servers) =
		(struct door_server){ .host = host, .port = port, .proto = proto };
}

static int read_secret(struct arena *a, const char *value, const char *file, const char **ret,
		       struct err *e)
{
	size_t size;
	int r;

	*ret = value ? value : "";
	if (!file)
		return 0;
	r = file_read(a, file, FILE_READ_MAX, ret, &size, e);
	if (r == 0)
		*ret = arena_strndup(a, *ret, strcspn(*ret, "\r\n"));
	return r;
}

/*
 * A user and a password that the environment names are no business of `ps`: they
 * become part of the file that openvpn(8) reads, in place of its own line.
 */
static int add_secrets(struct load *l, struct err *e)
{
	static const char key[] = "auth-user-pass";
	const struct vpnenv *env = l->o->env;
	struct text t CLEANUP_TEXT = { 0 };
	const char *user, *password;
	int r;

	if (!env->user && !env->user_file)
		return 0;
	r = read_secret(l->arena, env->user, env->user_file, &user, e);
	if (r == 0)
		r = read_secret(l->arena, env->password, env->password_file, &password, e);
	if (r < 0)
		return r;
	for (const char *line = l->vpn.text; *line;) {
		size_t len = strcspn(line, "\n");
		const char *word = line + strspn(line, " \t");
		bool ours = str_starts(word, key) && strchr(" \t\r\n", word[strlen(key)]);

		/* Lines keep their numbers. */
		text_add_len(&t, line, ours ? 0 : len);
		text_add(&t, "\n");
		line += len + (line[len] != 0);
	}
	text_addf(&t, "<%s>\n%s\n%s\n</%s>\n", key, user, password, key);
	l->vpn.text = arena_strdup(l->arena, text_str(&t));
	l->vpn.size = t.len;
	return 0;
}

static int load_ovpn(struct load *l, struct err *e)
{
	int r = add_secrets(l, e);

	if (r == 0)
		r = ovpnconf_read(l->arena, l->vpn.file, l->vpn.text, l->vpn.size, &l->vpn.ovpn, e);
	for (size_t i = 0; r == 0 && i < l->vpn.ovpn.n_remotes; i++) {
		const struct ovpn_remote *x = &l->vpn.ovpn.remotes[i];

		add_server(l, x->host, x->port,
			   str_starts(x->proto, "tcp") ? IPPROTO_TCP : IPPROTO_UDP);
	}
	for (size_t i = 0; r == 0 && i < l->vpn.ovpn.n_warnings; i++)
		log_say(NULL, "%s", l->vpn.ovpn.warnings[i]);
	return r;
}

static int load_wg(struct load *l, struct err *e)
{
	int r = wgconf_read(l->arena, l->vpn.file, l->vpn.text, l->vpn.size, &l->vpn.wg, e);

	for (size_t i = 0; r == 0 && i < l->vpn.wg.n_peers; i++) {
		const struct wg_peer *p = &l->vpn.wg.peers[i];

		if (p->endpoint_host)
			add_server(l, p->endpoint_host, p->endpoint_port, IPPROTO_UDP);
	}
	if (r == 0)
		wgconf_keep_alive(&l->vpn.wg);
	for (size_t i = 0; r == 0 && i < l->vpn.wg.n_warnings; i++)
		log_say(NULL, "%s", l->vpn.wg.warnings[i]);
	return r;
}

static int load(struct load *l, struct err *e)
{
	int r;

	if (l->o->command) {
		l->vpn.kind = DOOR_COMMAND;
		l->vpn.file = l->o->command[0];
		for (size_t i = 0; i < l->o->n_servers; i++)
			add_server(l, l->o->servers[i].host, l->o->servers[i].port,
				   l->o->servers[i].proto);
		return 0;
	}
	r = find_file(l, e);
	if (r == 0)
		r = config_vpn_kind(l->vpn.file, l->vpn.text, l->vpn.size, &l->vpn.kind, e);
	if (r < 0)
		return r;
	return l->vpn.kind == DOOR_WIREGUARD ? load_wg(l, e) : load_ovpn(l, e);
}

int init_vpn_load(struct arena *a, const struct init_options *o, struct init_vpn *ret,
		  struct err *e)
{
	struct load l = { .arena = a, .o = o };
	int r = load(&l, e);

	if (r == 0)
		*ret = l.vpn;
	return r;
}
