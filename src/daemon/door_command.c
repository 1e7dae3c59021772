/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A door made by a VPN client of any make: a command that runs in the gate and
 * brings an interface.  Nothing is known of it but that, its end, and the
 * servers that the user may have named.
 */
#include "daemon/supervisor.h"

#include "sys/files.h"

#include <string.h>

/* Vendors' clients ask people and servers; they may take their time. */
#define CONNECT_LIMIT_MS 180000

#define DNS_PORT 53

static int load(struct door_run *d, struct err *e)
{
	(void)e;
	d->client.connect_limit = CONNECT_LIMIT_MS;
	return 0;
}

/* Servers named by `server`; what else the client asks for it asks the host's name servers. */
static size_t names(struct door_run *d, const char ***ret)
{
	const char **list = arena_alloc(&d->arena, sizeof(*list) * (d->door->n_servers + 1));
	struct ip ip;
	size_t n = 0;

	for (size_t i = 0; i < d->door->n_servers; i++)
		if (!ip_parse(d->door->servers[i].host, &ip))
			list[n++] = d->door->servers[i].host;
	*ret = list;
	return n;
}

static void allow(struct door_run *d, const struct door_server *s, const struct ip *ip)
{
	*arena_push(&d->arena, d->servers, d->n_servers, d->cap_servers) =
		(struct plan_server){ .ip = *ip, .port = s->port, .proto = s->proto };
}

/* Lines "address name", as for /etc/hosts. */
static void allow_resolved(struct door_run *d, const struct door_server *s)
{
	const char *line = text_str(&d->names);

	for (; line && *line; line = strchr(line, '\n')) {
		char text[IP_TEXT_SIZE] = "";
		size_t len;
		struct ip ip;

		line += *line == '\n';
		len = strcspn(line, " \n");
		if (len >= sizeof(text) || line[len] != ' ')
			continue;
		memcpy(text, line, len);
		if (strncmp(line + len + 1, s->host, strlen(s->host)) == 0 &&
		    strcspn(line + len + 1, "\n") == strlen(s->host) && ip_parse(text, &ip))
			allow(d, s, &ip);
	}
}

static void allow_servers(struct door_run *d)
{
	const struct door_server dns = { .port = DNS_PORT };
	struct ip servers[RESOLV_SERVERS_MAX];
	size_t n = resolv_host_servers(&d->arena, servers);
	struct ip ip;

	d->servers = NULL;
	d->n_servers = d->cap_servers = 0;
	for (size_t i = 0; i < n; i++)
		allow(d, &dns, &servers[i]);
	for (size_t i = 0; i < d->door->n_servers; i++) {
		if (ip_parse(d->door->servers[i].host, &ip))
			allow(d, &d->door->servers[i], &ip);
		else
			allow_resolved(d, &d->door->servers[i]);
	}
}

/* The host's name servers without those on its loopback, which is not the gate's. */
static int write_resolv_conf(struct door_run *d, struct err *e)
{
	struct ip servers[RESOLV_SERVERS_MAX];
	size_t n = resolv_host_servers(&d->arena, servers);
	struct text t CLEANUP_TEXT = { 0 };
	char ip[IP_TEXT_SIZE];

	for (size_t i = 0; i < n; i++)
		text_addf(&t, "nameserver %s\n", ip_text(&servers[i], ip));
	d->resolv_conf = arena_printf(&d->arena, "%s/resolv.conf", d->dir);
	return file_write(d->resolv_conf, text_str(&t), e);
}

static int start(struct door_run *d, struct err *e)
{
	const char *const argv[] = { "/bin/sh", "-c", d->door->command, NULL };
	int r = write_resolv_conf(d, e);

	allow_servers(d);
	if (r == 0)
		r = reconcile(d->sup, e);
	return r < 0 ? r : door_spawn(d, argv, -1, e);
}

static bool has_interface(const struct door_run *d)
{
	return d->interface[0] && d->addresses.len;
}

static void look(struct door_run *d)
{
	door_event(d, has_interface(d) ? CLIENT_EV_CONNECTED : CLIENT_EV_LOST);
}

const struct door_ops door_command = {
	.load = load,
	.names = names,
	.start = start,
	.look = look,
	.has_interface = has_interface,
};
