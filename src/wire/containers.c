/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/containers.h"

#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

struct pools {
	struct container_pool *items;
	size_t n, cap;
};

static bool add_pool(struct arena *a, struct pools *pools, const char *engine, const char *base,
		     json_int_t len)
{
	struct container_pool p = { .engine = engine };

	if (!base || !prefix_parse(base, true, &p.base) || len < p.base.len ||
	    len > ip_bits(p.base.ip.family))
		return false;
	p.len = (uint8_t)len;
	*arena_push(a, pools->items, pools->n, pools->cap) = p;
	return true;
}

static void add_defaults(struct arena *a, struct pools *pools, const char *engine,
			 const char *const *bases, const uint8_t *lens, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!add_pool(a, pools, engine, bases[i], lens[i]))
			abort();
}

static void docker_defaults(struct arena *a, struct pools *pools)
{
	static const char *const bases[] = { "172.17.0.0/16", "172.18.0.0/16", "172.19.0.0/16",
					     "172.20.0.0/14", "172.24.0.0/14", "172.28.0.0/14",
					     "192.168.0.0/16" };
	static const uint8_t lens[] = { 16, 16, 16, 16, 16, 16, 20 };

	add_defaults(a, pools, "Docker", bases, lens, ARRAY_LEN(bases));
}

int containers_docker_pools(struct arena *a, const char *file, const char *text, size_t size,
			    struct container_pool **ret, size_t *ret_n, struct err *e)
{
	struct pools pools = { 0 };
	json_error_t where;
	json_t *root, *list, *item;
	size_t i;
	int r = 0;

	root = text ? json_loadb(text, size, JSON_REJECT_DUPLICATES, &where) : json_object();
	if (!root)
		return err_set(e, EINVAL, "%s:%d:%d: %s", file, where.line, where.column,
			       where.text);
	list = json_object_get(root, "default-address-pools");
	json_array_foreach(list, i, item)
	{
		const char *base = json_string_value(json_object_get(item, "base"));

		if (r == 0 && !add_pool(a, &pools, "Docker", base,
					json_integer_value(json_object_get(item, "size"))))
			r = err_set(e, EINVAL, "%s: default-address-pools: number %zu is no pool",
				    file, i + 1);
	}
	json_decref(root);
	if (r < 0)
		return r;
	if (!pools.n)
		docker_defaults(a, &pools);
	*ret = pools.items;
	*ret_n = pools.n;
	return 0;
}

void containers_podman_pools(struct arena *a, struct container_pool **ret, size_t *ret_n)
{
	static const char *const bases[] = { "10.89.0.0/16", "10.90.0.0/15", "10.92.0.0/14",
					     "10.96.0.0/11", "10.128.0.0/9" };
	static const uint8_t lens[] = { 24, 24, 24, 24, 24 };
	struct pools pools = { 0 };

	add_defaults(a, &pools, "Podman", bases, lens, ARRAY_LEN(bases));
	*ret = pools.items;
	*ret_n = pools.n;
}

/* --- docker-proxy ------------------------------------------------------------- */

/* The argument behind @flag, "" if there is none. */
static const char *argument(const char *cmdline, size_t size, const char *flag)
{
	size_t at = 0;

	while (at < size) {
		const char *word = cmdline + at;

		at += strlen(word) + 1;
		if (str_eq(word, flag) && at < size)
			return cmdline + at;
	}
	return "";
}

static bool port_of(const char *word, uint16_t *ret)
{
	uint32_t n;

	if (!str_to_u32(word, UINT16_MAX, &n) || !n)
		return false;
	*ret = (uint16_t)n;
	return true;
}

bool containers_proxy(const char *cmdline, size_t size, struct container_port *ret)
{
	struct container_port p = { 0 };
	const char *proto, *slash;

	/* Every word ends in a zero, the last one too. */
	if (!size || cmdline[size - 1])
		return false;
	slash = strrchr(cmdline, '/');
	if (!str_eq(slash ? slash + 1 : cmdline, "docker-proxy"))
		return false;
	proto = argument(cmdline, size, "-proto");
	p.proto = str_eq(proto, "tcp") ? IPPROTO_TCP : str_eq(proto, "udp") ? IPPROTO_UDP : 0;
	if (!p.proto || !ip_parse(argument(cmdline, size, "-host-ip"), &p.host) ||
	    !ip_parse(argument(cmdline, size, "-container-ip"), &p.inside) ||
	    !port_of(argument(cmdline, size, "-host-port"), &p.port) ||
	    !port_of(argument(cmdline, size, "-container-port"), &p.inside_port))
		return false;
	*ret = p;
	return true;
}

/* --- rewritten destinations ------------------------------------------------------ */

static void add_port(struct arena *a, struct container_ports *ports, const struct container_port *p)
{
	for (size_t i = 0; i < ports->n; i++) {
		const struct container_port *o = &ports->items[i];

		if (o->proto == p->proto && o->port == p->port && ip_equal(&o->host, &p->host) &&
		    ip_equal(&o->inside, &p->inside) && o->inside_port == p->inside_port)
			return;
	}
	*arena_push(a, ports->items, ports->n, ports->cap) = *p;
}

static struct ip any_of(sa_family_t family)
{
	return (struct ip){ .family = family };
}

/* "80", "80-90" and "80-90/8080" of --to-destination: the first. */
static bool first_port(const char *word, uint16_t *ret)
{
	char digits[6] = "";
	size_t n = strcspn(word, "-/");

	if (n >= sizeof(digits))
		return false;
	memcpy(digits, word, n);
	return port_of(digits, ret);
}

/* "172.17.0.2:80", "[fd00::2]:80" */
static bool read_destination(const char *word, struct container_port *p)
{
	const char *colon = strrchr(word, ':');
	char ip[IP_TEXT_SIZE] = "";
	size_t n = colon ? (size_t)(colon - word) : 0;

	if (n >= 2 && word[0] == '[' && word[n - 1] == ']') {
		word++;
		n -= 2;
	}
	if (!n || n >= sizeof(ip))
		return false;
	memcpy(ip, word, n);
	return ip_parse(ip, &p->inside) && first_port(colon + 1, &p->inside_port);
}

/* "8080", "8080:8090" */
static bool read_ports(const char *word, uint16_t *ret_first, uint16_t *ret_last)
{
	const char *colon = strchr(word, ':');
	char digits[6] = "";
	size_t n = colon ? (size_t)(colon - word) : strlen(word);

	if (n >= sizeof(digits))
		return false;
	memcpy(digits, word, n);
	if (!port_of(digits, ret_first))
		return false;
	*ret_last = *ret_first;
	return (!colon || port_of(colon + 1, ret_last)) && *ret_first <= *ret_last;
}

static bool is_of_containers(const char *chain)
{
	return str_eq(chain, "DOCKER") || str_starts(chain, "NETAVARK-DN-") ||
	       str_starts(chain, "CNI-DN-");
}

struct dnat {
	struct container_port port;
	uint16_t last;
	bool ours, dnat, to;
};

/* One option and its value; @negated: "!" stood before it. */
static void read_option(struct dnat *d, const char *option, const char *value, bool negated)
{
	struct prefix host;

	if (str_eq(option, "-A"))
		d->ours = is_of_containers(value);
	else if (str_eq(option, "-j"))
		d->dnat = str_eq(value, "DNAT");
	else if (str_eq(option, "--to-destination"))
		d->to = read_destination(value, &d->port);
	else if (negated)
		return;
	else if (str_eq(option, "-p"))
		d->port.proto = str_eq(value, "tcp")   ? IPPROTO_TCP
				: str_eq(value, "udp") ? IPPROTO_UDP
						       : 0;
	else if (str_eq(option, "--dport") && !read_ports(value, &d->port.port, &d->last))
		d->port.port = 0;
	else if (str_eq(option, "-d") && prefix_parse(value, true, &host) &&
		 host.len == ip_bits(host.ip.family))
		d->port.host = host.ip;
}

static void read_dnat(struct arena *a, char *line, struct container_ports *ports)
{
	struct dnat d = { 0 };
	char *save = NULL, *word = strtok_r(line, " ", &save);
	bool negated = false;

	while (word) {
		char *value;

		if (str_eq(word, "!")) {
			negated = true;
			word = strtok_r(NULL, " ", &save);
			continue;
		}
		if (*word != '-') {
			word = strtok_r(NULL, " ", &save);
			continue;
		}
		value = strtok_r(NULL, " ", &save);
		if (!value)
			break;
		/* An option without a value, as --random. */
		if (*value != '-')
			read_option(&d, word, value, negated);
		negated = false;
		word = *value == '-' ? value : strtok_r(NULL, " ", &save);
	}
	if (!d.ours || !d.dnat || !d.to || !d.port.proto || !d.port.port)
		return;
	if (!d.port.host.family)
		d.port.host = any_of(d.port.inside.family);
	if (d.port.host.family != d.port.inside.family)
		return;
	for (;; d.port.port++, d.port.inside_port++) {
		add_port(a, ports, &d.port);
		if (d.port.port == d.last || d.port.inside_port == UINT16_MAX)
			break;
	}
}

void containers_iptables(struct arena *a, const char *text, struct container_ports *ports)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		/* A line without end was cut off. */
		if (str_starts(text, "-A ") && text[n])
			read_dnat(a, arena_strndup(a, text, n), ports);
		text += n + (text[n] != 0);
	}
}

/* One expression of a rule: what it says of a published port. */
static void read_nft_match(const json_t *expr, struct dnat *d)
{
	const json_t *match = json_object_get(expr, "match"), *dnat = json_object_get(expr, "dnat");
	const json_t *left = json_object_get(match, "left"),
		     *right = json_object_get(match, "right");
	const json_t *payload = json_object_get(left, "payload");
	const char *proto = json_string_value(json_object_get(payload, "protocol"));
	const char *name = json_string_value(json_object_get(payload, "field"));
	const char *addr = json_string_value(json_object_get(dnat, "addr"));
	json_int_t port = json_integer_value(right);
	json_int_t inside = json_integer_value(json_object_get(dnat, "port"));

	if (name && proto && str_eq(name, "dport") && port > 0 && port <= UINT16_MAX) {
		d->port.port = d->last = (uint16_t)port;
		d->port.proto = str_eq(proto, "udp") ? IPPROTO_UDP : IPPROTO_TCP;
	}
	if (name && str_eq(name, "daddr") && json_is_string(right) &&
	    !ip_parse(json_string_value(right), &d->port.host))
		d->port.host = (struct ip){ 0 };
	if (addr && ip_parse(addr, &d->port.inside)) {
		d->to = true;
		d->port.inside_port = inside > 0 && inside <= UINT16_MAX ? (uint16_t)inside
									 : d->port.port;
	}
}

void containers_nft(struct arena *a, const char *text, struct container_ports *ports)
{
	json_t *root = json_loads(text, 0, NULL), *item, *expr;
	size_t i, n;

	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		struct dnat d = { 0 };

		json_array_foreach(json_object_get(json_object_get(item, "rule"), "expr"), n, expr)
			read_nft_match(expr, &d);
		if (!d.to || !d.port.port || !d.port.inside_port)
			continue;
		if (d.port.host.family != d.port.inside.family)
			d.port.host = any_of(d.port.inside.family);
		add_port(a, ports, &d.port);
	}
	json_decref(root);
}

/* --- containers.conf --------------------------------------------------------------- */

/* The text behind "key =" in [section], NULL if it is not there; @ret_line is its line. */
static const char *toml_value(const char *text, const char *section, const char *key,
			      size_t *ret_line)
{
	bool inside = false;
	size_t line = 0;

	while (*text) {
		size_t n = strcspn(text, "\n");
		const char *at = text + strspn(text, " \t");
		size_t len = strlen(key);

		line++;
		if (*at == '[')
			inside = strncmp(at + 1, section, strlen(section)) == 0 &&
				 at[1 + strlen(section)] == ']';
		else if (inside && strncmp(at, key, len) == 0 &&
			 at[len + strspn(at + len, " \t")] == '=') {
			*ret_line = line;
			return at + len + strspn(at + len, " \t") + 1;
		}
		text += n + (text[n] != 0);
	}
	return NULL;
}

/* Blanks, ends of lines, commas and comments. */
static const char *toml_pass(const char *at, size_t *line)
{
	for (;; at++) {
		if (*at == '#')
			at += strcspn(at, "\n");
		if (*at == '\n')
			++*line;
		else if (!*at || !strchr(" \t\r,", *at))
			return at;
	}
}

/* { "base" = "10.89.0.0/16", "size" = 24 }; the text behind it, NULL if it is none. */
static const char *toml_pool(struct arena *a, const char *at, size_t *line, struct pools *pools)
{
	char base[PREFIX_TEXT_SIZE] = "", size[4] = "";
	uint32_t len;

	if (*at++ != '{')
		return NULL;
	for (at = toml_pass(at, line); *at && *at != '}'; at = toml_pass(at, line)) {
		bool is_base = str_starts(at, "\"base\"") || str_starts(at, "base");
		bool is_size = str_starts(at, "\"size\"") || str_starts(at, "size");
		char *to = is_base ? base : size;
		size_t room = is_base ? sizeof(base) : sizeof(size), n;

		at += strcspn(at, "=}\n");
		if ((!is_base && !is_size) || *at != '=')
			return NULL;
		at += 1 + strspn(at + 1, " \t\"'");
		n = strcspn(at, " \t\"',}\r\n");
		if (n >= room)
			return NULL;
		memcpy(to, at, n);
		to[n] = 0;
		at += n;
		at += *at == '"' || *at == '\'';
	}
	if (*at != '}' || !str_to_u32(size, 128, &len) || !add_pool(a, pools, "Podman", base, len))
		return NULL;
	return at + 1;
}

int containers_podman_conf(struct arena *a, const char *file, const char *text, size_t size,
			   struct container_pool **ret, size_t *ret_n, struct err *e)
{
	struct pools pools = { 0 };
	size_t line = 0;
	const char *at =
		toml_value(arena_strndup(a, text, size), "network", "default_subnet_pools", &line);

	if (!at)
		return 0;
	at = toml_pass(at, &line);
	if (*at != '[')
		return err_set(e, EINVAL, "%s:%zu: default_subnet_pools: is no list", file, line);
	for (at = toml_pass(at + 1, &line); *at != ']'; at = toml_pass(at, &line)) {
		at = toml_pool(a, at, &line, &pools);
		if (!at)
			return err_set(e, EINVAL,
				       "%s:%zu: default_subnet_pools: number %zu is no pool", file,
				       line, pools.n + 1);
	}
	*ret = pools.items;
	*ret_n = pools.n;
	return pools.n > 0;
}
