/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/vpnenv.h"

#include "base/text.h"
#include "wire/config.h"

#include <errno.h>
#include <string.h>

struct reader {
	struct arena *a;
	const char *const *environ;
	struct vpnenv *out;
	struct err *e;
	const char *name; /* of the variable at hand */
};

static const char *get(const struct reader *r, const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; r->environ[i]; i++)
		if (strncmp(r->environ[i], name, len) == 0 && r->environ[i][len] == '=' &&
		    r->environ[i][len + 1])
			return r->environ[i] + len + 1;
	return NULL;
}

static int take_vpn(struct reader *r, const char *value)
{
	r->out->vpn = value;
	return 0;
}

static int take_reach(struct reader *r, const char *value)
{
	static const char between[] = ", \t\n";

	for (value += strspn(value, between); *value; value += strspn(value, between)) {
		const char *word = arena_strndup(r->a, value, strcspn(value, between));
		struct prefix p;

		value += strlen(word);
		if (!prefix_parse(word, true, &p))
			return err_set(r->e, EINVAL,
				       "%s: \"%s\" is no prefix: write it like 192.168.1.0/24",
				       r->name, word);
		*arena_push(r->a, r->out->reach, r->out->n_reach, r->out->cap_reach) = p;
	}
	return 0;
}

static int take_udp(struct reader *r, const char *value)
{
	if (!str_eq(value, "alias") && !str_eq(value, "learn"))
		return err_set(r->e, EINVAL, "%s: \"%s\": write learn or alias", r->name, value);
	r->out->alias = str_eq(value, "alias");
	return 0;
}

static int take_mss(struct reader *r, const char *value)
{
	int ret = config_mss(value, &r->out->mss, r->e);

	return ret < 0 ? err_wrap(r->e, ret, "%s", r->name) : 0;
}

static int take_dns(struct reader *r, const char *value)
{
	static const char between[] = ", \t\n";

	r->out->keep_names = str_eq(value, "keep");
	if (r->out->keep_names)
		return 0;
	for (value += strspn(value, between); *value; value += strspn(value, between)) {
		const char *word = arena_strndup(r->a, value, strcspn(value, between));
		struct ip ip;

		value += strlen(word);
		if (!ip_parse(word, &ip))
			return err_set(r->e, EINVAL,
				       "%s: \"%s\" is no address: write addresses of name servers "
				       "that the tunnel leads to, or keep",
				       r->name, word);
		resolvconf_add_server(&r->out->names, &ip);
	}
	return 0;
}

/* gluetun's: its own server there is none of here, so 127.0.0.1 says nothing. */
static int take_dns_address(struct reader *r, const char *value)
{
	return str_eq(value, "127.0.0.1") ? 0 : take_dns(r, value);
}

static int take_dns_keep(struct reader *r, const char *value)
{
	r->out->keep_names = str_eq(value, "on");
	return 0;
}

static int take_user(struct reader *r, const char *value)
{
	r->out->user = value;
	return 0;
}

static int take_password(struct reader *r, const char *value)
{
	r->out->password = value;
	return 0;
}

static int take_user_file(struct reader *r, const char *value)
{
	r->out->user_file = value;
	return 0;
}

static int take_password_file(struct reader *r, const char *value)
{
	r->out->password_file = value;
	return 0;
}

/* Part of a WireGuard configuration, see make_wireguard(). */
static int take_later(struct reader *r, const char *value)
{
	(void)r, (void)value;
	return 0;
}

/* gluetun's: of the providers only "custom" has a file of its own. */
static int take_provider(struct reader *r, const char *value)
{
	if (str_eq(value, "custom"))
		return 0;
	return err_set(r->e, EINVAL,
		       "%s=%s: lists of providers are not known here: download the provider's "
		       ".ovpn or WireGuard file and mount it at /etc/sallyport/vpn.ovpn or "
		       "/etc/sallyport/vpn.conf",
		       r->name, value);
}

static const struct known {
	const char *name;
	const char *instead; /* the new name; NULL: nothing to say */
	int (*take)(struct reader *r, const char *value); /* NULL: not needed */
} known[] = {
	{ "SALLYPORT_VPN", NULL, take_vpn },
	{ "SALLYPORT_REACH", NULL, take_reach },
	{ "SALLYPORT_UDP", NULL, take_udp },
	{ "SALLYPORT_MSS", NULL, take_mss },
	{ "SALLYPORT_DNS", NULL, take_dns },
	{ "DNS_ADDRESS", "SALLYPORT_DNS", take_dns_address },
	{ "DNS_KEEP_NAMESERVER", "SALLYPORT_DNS=keep", take_dns_keep },
	{ "SALLYPORT_USER_FILE", NULL, take_user_file },
	{ "SALLYPORT_PASSWORD_FILE", NULL, take_password_file },
	{ "OPENVPN_CUSTOM_CONFIG", "SALLYPORT_VPN", take_vpn },
	{ "OPENVPN_USER_SECRETFILE", "SALLYPORT_USER_FILE", take_user_file },
	{ "OPENVPN_PASSWORD_SECRETFILE", "SALLYPORT_PASSWORD_FILE", take_password_file },
	{ "OPENVPN_USER", "a file named by SALLYPORT_USER_FILE", take_user },
	{ "OPENVPN_PASSWORD", "a file named by SALLYPORT_PASSWORD_FILE", take_password },
	{ "FIREWALL_OUTBOUND_SUBNETS", "SALLYPORT_REACH", take_reach },
	{ "EXTRA_SUBNETS", "SALLYPORT_REACH", take_reach },
	{ "VPN_SERVICE_PROVIDER", NULL, take_provider },
	{ "WIREGUARD_PRIVATE_KEY", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_PUBLIC_KEY", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_PRESHARED_KEY", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_ADDRESSES", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_ALLOWED_IPS", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_ENDPOINT_IP", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_ENDPOINT_PORT", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_MTU", "/etc/sallyport/vpn.conf", take_later },
	{ "WIREGUARD_PERSISTENT_KEEPALIVE_INTERVAL", "/etc/sallyport/vpn.conf", take_later },
	/* What these were for is so in any case. */
	{ "VPN_TYPE", NULL, NULL },
	{ "VPN_INTERFACE", NULL, NULL },
	{ "LAN_NETWORK", NULL, NULL },
	{ "LOCAL_NETWORK", NULL, NULL },
	{ "ALLOWED_SUBNETS", NULL, NULL },
	{ "KILL_SWITCH", NULL, NULL },
	{ "FIREWALL_INPUT_PORTS", NULL, NULL },
	{ "FIREWALL_VPN_INPUT_PORTS", NULL, NULL },
	{ "HEALTH_RESTART_VPN", NULL, NULL },
};

/* Somebody's whose variables we know some of: a word about the others. */
static const char *const foreign[] = { "OPENVPN_",  "WIREGUARD_",  "FIREWALL_", "VPN_",
				       "HEALTH_",   "DOT_",        "DNS_",      "HTTP_CONTROL_",
				       "HTTPPROXY", "SHADOWSOCKS", "SERVER_",   "SALLYPORT_" };

static const struct known *find(const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (strlen(known[i].name) == len && strncmp(known[i].name, name, len) == 0)
			return &known[i];
	return NULL;
}

static void note(struct reader *r, const char *text)
{
	struct vpnenv *out = r->out;

	*arena_push(r->a, out->notes, out->n_notes, out->cap_notes) = text;
}

static void note_foreign(struct reader *r, const char *variable, size_t len)
{
	for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
		if (strncmp(variable, foreign[i], strlen(foreign[i])) == 0) {
			note(r,
			     arena_printf(r->a,
					  "%.*s is not known here and does nothing: sallyport(8) "
					  "lists what is",
					  (int)len, variable));
			return;
		}
}

static int take(struct reader *r, const struct known *k, const char *value)
{
	r->name = k->name;
	if (!k->take)
		note(r, arena_printf(r->a, "%s is not needed: it does nothing, leave it out",
				     k->name));
	else if (k->instead)
		note(r,
		     arena_printf(r->a, "%s is taken; its name here is %s", k->name, k->instead));
	return k->take ? k->take(r, value) : 0;
}

static void add_line(struct reader *r, struct text *t, const char *key, const char *variable)
{
	const char *value = get(r, variable);

	if (value)
		text_addf(t, "%s = %s\n", key, value);
}

static const char *make_wireguard(struct reader *r)
{
	struct text t CLEANUP_TEXT = { 0 };
	const char *ip = get(r, "WIREGUARD_ENDPOINT_IP");
	const char *port = get(r, "WIREGUARD_ENDPOINT_PORT");

	if (!get(r, "WIREGUARD_PRIVATE_KEY"))
		return NULL;
	text_add(&t, "[Interface]\n");
	add_line(r, &t, "PrivateKey", "WIREGUARD_PRIVATE_KEY");
	add_line(r, &t, "Address", "WIREGUARD_ADDRESSES");
	add_line(r, &t, "MTU", "WIREGUARD_MTU");
	text_add(&t, "[Peer]\n");
	add_line(r, &t, "PublicKey", "WIREGUARD_PUBLIC_KEY");
	add_line(r, &t, "PresharedKey", "WIREGUARD_PRESHARED_KEY");
	if (get(r, "WIREGUARD_ALLOWED_IPS"))
		add_line(r, &t, "AllowedIPs", "WIREGUARD_ALLOWED_IPS");
	else
		text_add(&t, "AllowedIPs = 0.0.0.0/0, ::/0\n");
	add_line(r, &t, "PersistentKeepalive", "WIREGUARD_PERSISTENT_KEEPALIVE_INTERVAL");
	if (ip)
		text_addf(&t, strchr(ip, ':') ? "Endpoint = [%s]:%s\n" : "Endpoint = %s:%s\n", ip,
			  port ? port : "51820");
	return arena_strdup(r->a, text_str(&t));
}

int vpnenv_read(struct arena *a, const char *const *environ, struct vpnenv *ret, struct err *e)
{
	struct vpnenv out = { 0 };
	struct reader r = { .a = a, .environ = environ, .out = &out, .e = e };

	for (size_t i = 0; environ[i]; i++) {
		size_t len = strcspn(environ[i], "=");
		const struct known *k = find(environ[i], len);
		int status = 0;

		if (!k)
			note_foreign(&r, environ[i], len);
		else if (environ[i][len] && environ[i][len + 1])
			status = take(&r, k, environ[i] + len + 1);
		if (status < 0)
			return status;
	}
	out.wireguard = make_wireguard(&r);
	*ret = out;
	return 0;
}
