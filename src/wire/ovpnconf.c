/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/config.h"

#include "base/text.h"
#include "wire/ovpnlex.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/*
 * What sallyport must know of a client's .ovpn, and what it must not let
 * through.  openvpn reads the file itself afterwards: options that only
 * concern it are not looked at.
 */

/* A remote before the defaults are known: port 0 and proto NULL are open. */
struct remote {
	const char *host;
	uint16_t port;
	const char *proto;
	uint32_t line;
	const char *proxy; /* what is connected to instead; NULL: none */
	uint16_t proxy_port;
	bool proxy_is_socks;
};

struct remotes {
	struct remote *items;
	size_t n, cap;
};

struct reader {
	struct arena *a;
	struct ovpnlex lex;
	struct ovpn_conf conf;
	struct remote defaults; /* port, proto of the whole file */
	struct remote block; /* the <connection> being read */
	bool in_block;
	struct ovpn_option opened; /* its first line */
	struct remotes loose, blocks;
	struct ovpn_option auth; /* the last auth-user-pass, askpass, <key> */
	struct ovpn_option askpass;
	struct ovpn_option key;
	struct ovpn_option dev, dev_type;
	struct ovpn_option force; /* proto-force */
	struct err *e;
};

__attribute__((format(printf, 4, 5))) static int
fail_word(struct reader *r, const struct ovpn_option *o, size_t word, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return lines_err(&r->lex.lines, o->line, o->column[word], r->e, "%s", what);
}

/* --- what sallyport sets itself ------------------------------------------- */

/* Why an option is left out; "" goes without saying. */
struct left_out {
	const char *word;
	const char *why;
};

#define WINDOWS "it is for Windows alone"

static const struct left_out left_out[] = {
	{ "dev", "the interface is called as its door" },
	{ "dev-type", "" },
	{ "dev-node", "the interface is called as its door" },
	{ "cd", "" },
	{ "daemon", "sallyport watches over the client" },
	{ "inetd", "sallyport watches over the client" },
	{ "writepid", "sallyport watches over the client" },
	{ "log", "what the client says is passed on" },
	{ "log-append", "what the client says is passed on" },
	{ "syslog", "what the client says is passed on" },
	{ "mark", "the client's packets get a mark of the gate" },
	{ "local", "the gate has addresses of its own" },
	{ "bind-dev", "the gate has interfaces of its own" },
	{ "dns-updown", "the rooms get their name servers from sallyport" },
	{ "remote-random-hostname", "" }, /* names are looked up outside, and that way */
	/* openvpn(8) of other systems does not start with these. */
	{ "block-outside-dns", WINDOWS },
	{ "register-dns", WINDOWS },
	{ "ip-win32", WINDOWS },
	{ "tap-sleep", WINDOWS },
	{ "dhcp-renew", WINDOWS },
	{ "dhcp-release", WINDOWS },
	{ "dhcp-pre-release", WINDOWS },
	{ "show-net-up", WINDOWS },
	{ "win-sys", WINDOWS },
	{ "service", WINDOWS },
	{ "allow-nonadmin", WINDOWS },
	{ "pause-exit", WINDOWS },
	{ "windows-driver", WINDOWS },
};

/* These run commands, which then act in the gate. */
static const char *const scripts[] = { "up",       "down",   "route-up",  "route-pre-down",
				       "ipchange", "plugin", "tls-verify" };

static bool is_script(const struct ovpn_option *o)
{
	for (size_t i = 0; i < ARRAY_LEN(scripts); i++)
		if (str_eq(o->word[0], scripts[i]))
			return true;
	return false;
}

/* update-resolv-conf and its kin would change the resolver of the host. */
static bool sets_resolver(const struct ovpn_option *o)
{
	if (!is_script(o))
		return false;
	for (size_t i = 1; i <= OVPN_WORDS_MAX; i++)
		if (strstr(o->word[i], "resolv"))
			return true;
	return false;
}

/* NULL when the option stays in the file. */
static const char *why_left_out(const struct ovpn_option *o)
{
	for (size_t i = 0; i < ARRAY_LEN(left_out); i++) {
		if (!str_eq(o->word[0], left_out[i].word))
			continue;
		/* In every file, and just what the door does. */
		return str_eq(o->word[0], "dev") && str_eq(o->word[1], "tun") ? ""
									      : left_out[i].why;
	}
	if (str_starts(o->word[0], "management"))
		return "sallyport talks to the client itself";
	if (sets_resolver(o))
		return "the rooms get their name servers from sallyport, the host keeps its own";
	return NULL;
}

static void warn(struct reader *r, const struct ovpn_option *o, const char *what, const char *why)
{
	struct ovpn_conf *c = &r->conf;

	*arena_push(r->a, c->warnings, c->n_warnings, c->cap_warnings) =
		arena_printf(r->a, "%s:%u:%u: \"%.40s\" %s: %s", r->lex.lines.file, o->line,
			     o->column[0], o->word[0], what, why);
}

static void warn_about(struct reader *r, const struct ovpn_option *o)
{
	const char *why = why_left_out(o);

	if (why && *why)
		warn(r, o, "is left out", why);
	else if (!why && is_script(o))
		warn(r, o, "runs inside the gate", "it sees the gate's interfaces and routes");
}

/* --- remotes -------------------------------------------------------------- */

struct proto {
	const char *name;
	const char *client; /* as a client speaks it; NULL for servers */
};

static const struct proto protos[] = {
	{ "udp", "udp" },
	{ "udp4", "udp4" },
	{ "udp6", "udp6" },
	{ "tcp", "tcp-client" },
	{ "tcp4", "tcp4-client" },
	{ "tcp6", "tcp6-client" },
	{ "tcp-client", "tcp-client" },
	{ "tcp4-client", "tcp4-client" },
	{ "tcp6-client", "tcp6-client" },
	{ "tcp-server", NULL },
	{ "tcp4-server", NULL },
	{ "tcp6-server", NULL },
};

static int read_proto_word(struct reader *r, const struct ovpn_option *o, size_t word,
			   const char **ret)
{
	if (!*o->word[word])
		return fail_word(r, o, 0, "%s without a protocol; write udp or tcp", o->word[0]);
	for (size_t i = 0; i < ARRAY_LEN(protos); i++) {
		if (!str_eq(protos[i].name, o->word[word]))
			continue;
		if (!protos[i].client)
			return fail_word(r, o, word,
					 "proto %s is a server's; a door needs the "
					 "client's file",
					 protos[i].name);
		*ret = protos[i].client;
		return 0;
	}
	return fail_word(r, o, word,
			 "\"%.40s\" is not a protocol of openvpn; write udp, udp4, "
			 "udp6, tcp, tcp4 or tcp6",
			 o->word[word]);
}

static int read_port_word(struct reader *r, const struct ovpn_option *o, size_t word, uint16_t *ret)
{
	uint32_t port;

	if (!*o->word[word])
		return fail_word(r, o, 0, "%s without a number; write one from 1 to 65535",
				 o->word[0]);
	if (!str_to_u32(o->word[word], 65535, &port) || port == 0)
		return fail_word(r, o, word,
				 "\"%.40s\" is not a port; write a number from 1 to "
				 "65535",
				 o->word[word]);
	*ret = (uint16_t)port;
	return 0;
}

static bool is_host(const char *s)
{
	struct ip ip;

	return ip_parse(s, &ip) || config_is_host(s);
}

static struct remote *current(struct reader *r)
{
	return r->in_block ? &r->block : &r->defaults;
}

static int read_remote(struct reader *r, const struct ovpn_option *o)
{
	struct remote remote = { .host = o->word[1], .line = o->line };
	int err = 0;

	if (!*o->word[1])
		return fail_word(r, o, 0, "remote without a host; write remote HOST PORT");
	if (!is_host(o->word[1]))
		return fail_word(r, o, 1, "\"%.60s\" is not a host; write a name or an address",
				 o->word[1]);
	if (*o->word[2])
		err = read_port_word(r, o, 2, &remote.port);
	if (err == 0 && *o->word[3])
		err = read_proto_word(r, o, 3, &remote.proto);
	if (err < 0)
		return err;
	if (!r->in_block) {
		*arena_push(r->a, r->loose.items, r->loose.n, r->loose.cap) = remote;
		return 0;
	}
	r->block.host = remote.host;
	r->block.line = remote.line;
	r->block.port = remote.port ? remote.port : r->block.port;
	r->block.proto = remote.proto ? remote.proto : r->block.proto;
	return 0;
}

#define SOCKS_PORT 1080

static int read_proxy(struct reader *r, const struct ovpn_option *o)
{
	struct remote *to = current(r);

	for (size_t i = 1; i <= OVPN_WORDS_MAX; i++)
		if (str_eq(o->word[i], "stdin"))
			return fail_word(r, o, i,
					 "\"%s\" asks at a terminal, and a door has "
					 "none; write a file with user name and password on two "
					 "lines instead of stdin",
					 o->word[0]);
	if (!is_host(o->word[1]))
		return fail_word(r, o, 1, "\"%.60s\" is not a host; write a name or an address",
				 o->word[1]);
	to->proxy = o->word[1];
	to->proxy_is_socks = str_eq(o->word[0], "socks-proxy");
	to->proxy_port = SOCKS_PORT;
	if (to->proxy_is_socks && !*o->word[2])
		return 0;
	return read_port_word(r, o, 2, &to->proxy_port);
}

static int read_force(struct reader *r, const struct ovpn_option *o)
{
	if (!str_eq(o->word[1], "udp") && !str_eq(o->word[1], "tcp"))
		return fail_word(r, o, *o->word[1] ? 1 : 0, "proto-force is udp or tcp");
	r->force = *o;
	return 0;
}

static int read_port(struct reader *r, const struct ovpn_option *o)
{
	return read_port_word(r, o, 1, &current(r)->port);
}

static int read_proto(struct reader *r, const struct ovpn_option *o)
{
	return read_proto_word(r, o, 1, &current(r)->proto);
}

/* As openvpn does it: a block takes the defaults that stand above it. */
static int open_block(struct reader *r, const struct ovpn_option *o)
{
	if (r->in_block)
		return fail_word(r, o, 0,
				 "<connection> inside <connection> of line %u; write "
				 "</connection> above it",
				 r->opened.line);
	r->in_block = true;
	r->opened = *o;
	r->block = r->defaults;
	return 0;
}

static int close_block(struct reader *r, const struct ovpn_option *o)
{
	if (!r->in_block)
		return fail_word(r, o, 0,
				 "</connection> closes nothing; write <connection> above "
				 "it, or take it out");
	r->in_block = false;
	if (r->block.host)
		*arena_push(r->a, r->blocks.items, r->blocks.n, r->blocks.cap) = r->block;
	return 0;
}

/* --- what cannot work ----------------------------------------------------- */

static int refuse_server(struct reader *r, const struct ovpn_option *o)
{
	if (str_eq(o->word[0], "mode") && !str_eq(o->word[1], "server"))
		return 0;
	return fail_word(r, o, 0, "\"%s%s\" makes this a server's file; a door needs the client's",
			 o->word[0], str_eq(o->word[0], "mode") ? " server" : "");
}

static int refuse_config(struct reader *r, const struct ovpn_option *o)
{
	return fail_word(r, o, 0,
			 "\"config\" reads another file, which sallyport does not see; "
			 "put its lines here");
}

static int refuse_question(struct reader *r, const struct ovpn_option *o)
{
	return fail_word(r, o, 0,
			 "\"%s\" asks at a terminal, and a door has none; use an account "
			 "or certificate without it",
			 o->word[0]);
}

static int read_auth(struct reader *r, const struct ovpn_option *o)
{
	r->auth = *o;
	return 0;
}

static int read_askpass(struct reader *r, const struct ovpn_option *o)
{
	r->askpass = *o;
	return 0;
}

static int read_key(struct reader *r, const struct ovpn_option *o)
{
	r->key = *o;
	return 0;
}

static int read_dev(struct reader *r, const struct ovpn_option *o)
{
	r->dev = *o;
	return 0;
}

static int read_dev_type(struct reader *r, const struct ovpn_option *o)
{
	r->dev_type = *o;
	return 0;
}

static int read_random(struct reader *r, const struct ovpn_option *o)
{
	(void)o;
	r->conf.random_hostname = true;
	return 0;
}

static int read_cd(struct reader *r, const struct ovpn_option *o)
{
	if (!*o->word[1])
		return fail_word(r, o, 0, "cd without a directory; write one, or take it out");
	r->conf.cd = o->word[1];
	return 0;
}

static const struct {
	const char *word;
	int (*read)(struct reader *r, const struct ovpn_option *o);
} options[] = {
	{ "remote", read_remote },
	{ "remote-random-hostname", read_random },
	{ "port", read_port },
	{ "rport", read_port },
	{ "proto", read_proto },
	{ "proto-force", read_force },
	{ "<connection>", open_block },
	{ "</connection>", close_block },
	{ "auth-user-pass", read_auth },
	{ "askpass", read_askpass },
	{ "key", read_key },
	{ "dev", read_dev },
	{ "dev-type", read_dev_type },
	{ "cd", read_cd },
	{ "server", refuse_server },
	{ "server-ipv6", refuse_server },
	{ "server-bridge", refuse_server },
	{ "tls-server", refuse_server },
	{ "mode", refuse_server },
	{ "config", refuse_config },
	{ "static-challenge", refuse_question },
	{ "pkcs11-id", refuse_question },
	{ "http-proxy", read_proxy },
	{ "socks-proxy", read_proxy },
};

static int read_option(struct reader *r, const struct ovpn_option *o)
{
	warn_about(r, o);
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (str_eq(options[i].word, o->word[0]))
			return options[i].read(r, o);
	return 0;
}

/* --- the file as a whole -------------------------------------------------- */

static bool is_given(const struct ovpn_option *o)
{
	return o->line != 0;
}

static bool names_file(const struct ovpn_option *o)
{
	return is_given(o) && *o->word[1] && !str_eq(o->word[1], "stdin");
}

/* openvpn asks for what is missing of the two lines. */
static bool has_two_lines(const char *body, size_t size)
{
	const char *end = memchr(body, '\n', size);
	const char *second = end ? end + 1 : NULL;

	if (!second || *body == '\n' || *body == '\r' || second == body + size)
		return false;
	return *second != '\n' && *second != '\r';
}

static int check_auth(struct reader *r)
{
	const struct ovpn_option *o = &r->auth;

	if (!is_given(o))
		return 0;
	if (o->is_inline && !has_two_lines(o->body, o->body_size))
		return fail_word(r, o, 0,
				 "<auth-user-pass> would ask at a terminal, and a door "
				 "has none; write user name and password on two lines in it");
	if (!o->is_inline && !names_file(o))
		return fail_word(r, o, 0,
				 "auth-user-pass would ask at a terminal, and a door has "
				 "none; write auth-user-pass FILE, with user name and password "
				 "on two lines of it");
	r->conf.auth_user_pass = o->is_inline ? "" : o->word[1];
	return 0;
}

static bool contains(const char *body, size_t size, const char *what)
{
	return memmem(body, size, what, strlen(what)) != NULL;
}

static int check_key(struct reader *r)
{
	const struct ovpn_option *o = &r->key;

	if (is_given(&r->askpass) && !names_file(&r->askpass))
		return fail_word(r, &r->askpass, 0,
				 "askpass would ask at a terminal, and a door "
				 "has none; write askpass FILE, with the passphrase on its "
				 "first line");
	if (!o->is_inline || is_given(&r->askpass))
		return 0;
	if (contains(o->body, o->body_size, "BEGIN ENCRYPTED PRIVATE KEY") ||
	    contains(o->body, o->body_size, "4,ENCRYPTED"))
		return fail_word(r, o, 0,
				 "<key> is encrypted: openvpn would ask for its "
				 "passphrase at a terminal, and a door has none; write askpass "
				 "FILE, with the passphrase on its first line");
	return 0;
}

static int check_dev(struct reader *r)
{
	if (is_given(&r->dev_type) && str_eq(r->dev_type.word[1], "tap"))
		return fail_word(r, &r->dev_type, 0,
				 "dev-type tap carries Ethernet, and doors "
				 "carry IP; the VPN must offer tun");
	if (!is_given(&r->dev_type) && str_starts(r->dev.word[1] ? r->dev.word[1] : "", "tap"))
		return fail_word(r, &r->dev, 0,
				 "dev %.20s carries Ethernet, and doors carry IP; "
				 "the VPN must offer tun",
				 r->dev.word[1]);
	return 0;
}

static void push_remote(struct reader *r, const struct remote *from, const char *host,
			uint16_t port, const char *proto)
{
	struct ovpn_conf *c = &r->conf;
	struct ovpn_remote *to = arena_push(r->a, c->remotes, c->n_remotes, c->cap_remotes);

	to->host = host;
	to->line = from->line;
	to->port = port;
	to->proto = proto;
}

/*
 * Through a proxy only that is connected to, and it looks up the server's name.
 * SOCKS carries UDP by a port that it tells later.
 */
static void add_remote(struct reader *r, const struct remote *from)
{
	const struct remote *proxy = from->proxy ? from : &r->defaults;
	const char *proto = from->proto ? from->proto : r->defaults.proto;

	if (is_given(&r->force) && strncmp(proto, r->force.word[1], 3) != 0)
		return;
	if (!proxy->proxy) {
		push_remote(r, from, from->host, from->port ? from->port : r->defaults.port, proto);
		return;
	}
	push_remote(r, from, proxy->proxy, proxy->proxy_port, "tcp-client");
	if (proxy->proxy_is_socks && str_starts(proto, "udp"))
		push_remote(r, from, proxy->proxy, 0, proto);
}

static int check_remotes(struct reader *r)
{
	const struct remotes *all = r->blocks.n ? &r->blocks : &r->loose;
	struct ovpn_conf *c = &r->conf;

	if (r->in_block)
		return fail_word(r, &r->opened, 0,
				 "<connection> is not closed; write "
				 "</connection> on a line of its own below");
	if (!all->n)
		return lines_err(&r->lex.lines, 1, 1, r->e, "no remote; write remote HOST PORT");
	for (size_t i = 0; i < all->n; i++)
		add_remote(r, &all->items[i]);
	if (!c->n_remotes)
		return fail_word(
			r, &r->force, 1,
			"no remote speaks %s; take proto-force out, or write a remote that does",
			r->force.word[1]);
	return 0;
}

/* openvpn takes blocks or remotes, never both. */
static void warn_loose(struct reader *r)
{
	struct ovpn_option o = { .word = { "remote" }, .column = { 1 } };

	for (size_t i = 0; r->blocks.n && i < r->loose.n; i++) {
		o.line = r->loose.items[i].line;
		warn(r, &o, "is ignored", "openvpn uses the <connection> blocks alone");
	}
}

static int check_whole(struct reader *r)
{
	int err = check_remotes(r);

	if (err == 0)
		err = check_dev(r);
	if (err == 0)
		err = check_auth(r);
	if (err == 0)
		err = check_key(r);
	if (err == 0)
		warn_loose(r);
	return err;
}

int ovpnconf_read(struct arena *a, const char *file, const char *text, size_t size,
		  struct ovpn_conf *ret, struct err *e)
{
	struct reader r = { .a = a, .e = e, .defaults = { .port = 1194, .proto = "udp" } };
	struct ovpn_option option;
	int err = ovpnlex_start(&r.lex, a, file, text, size, e);

	if (err < 0)
		return err;
	while ((err = ovpnlex_next(&r.lex, &option, e)) > 0) {
		err = read_option(&r, &option);
		if (err < 0)
			return err;
	}
	if (err == 0)
		err = check_whole(&r);
	if (err < 0)
		return err;
	*ret = r.conf;
	return 0;
}

static void keep_line_ends(struct text *t, const char *s, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (s[i] == '\n')
			text_add_len(t, "\n", 1);
}

int ovpnconf_rewrite(struct arena *a, const char *text, size_t size, const char **ret,
		     size_t *ret_size)
{
	CLEANUP_TEXT struct text t = { 0 };
	struct ovpn_option o;
	struct ovpnlex lex;
	struct err e;
	size_t at = 0;
	int r = ovpnlex_start(&lex, a, "", text, size, &e);

	if (r < 0)
		return r;
	while ((r = ovpnlex_next(&lex, &o, &e)) > 0) {
		if (!why_left_out(&o))
			continue;
		text_add_len(&t, text + at, o.from - at);
		keep_line_ends(&t, text + o.from, o.to - o.from);
		at = o.to;
	}
	if (r < 0)
		return r;
	text_add_len(&t, text + at, size - at);
	*ret = arena_strndup(a, text_str(&t), t.len);
	*ret_size = t.len;
	return 0;
}

bool ovpnconf_is_of_ours(const char *line)
{
	return strstr(line, "[CMD-LINE]:1: dns-updown") != NULL;
}
