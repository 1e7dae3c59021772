/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/netdriver.h"

#include "base/text.h"
#include "wire/config.h"
#include "wire/near.h"

#include <ctype.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define GENERIC  "com.docker.network.generic"
#define INTERNAL "com.docker.network.internal"
#define PORTMAP  "com.docker.network.portmap"

#define ID_MAX 128

static const char *string_of(struct arena *a, json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return arena_strdup(a, s ? s : "");
}

/* They become names of files. */
static int id_of(struct arena *a, json_t *root, const char *key, const char **ret, struct err *e)
{
	const char *id = string_of(a, root, key);
	size_t len = 0;

	while (isalnum((unsigned char)id[len]))
		len++;
	if (id[len] || len > ID_MAX)
		return err_set(e, EBADMSG, "%s \"%.40s\" is no ID", key, id);
	*ret = id;
	return 0;
}

/* Docker says "172.18.0.2/16" of an address, too: its length is the pool's. */
static bool address_of(const char *s, struct ip *ret)
{
	char text[IP_TEXT_SIZE];
	size_t len = strcspn(s, "/");

	if (len >= sizeof(text))
		return false;
	memcpy(text, s, len);
	text[len] = 0;
	return ip_parse(text, ret);
}

static int pool_of(json_t *root, const char *key, sa_family_t family, struct prefix *ret,
		   struct err *e)
{
	json_t *data = json_array_get(json_object_get(root, key), 0);
	const char *pool = json_string_value(json_object_get(data, "Pool"));
	struct prefix p = { 0 };

	if (!pool || !*pool)
		return 0;
	if (!prefix_parse(pool, true, &p) || p.ip.family != family)
		return err_set(e, EBADMSG, "%s: \"%.60s\" is no pool", key, pool);
	if (p.len)
		*ret = prefix_of(&p.ip, p.len);
	return 0;
}

static int interface_of(json_t *root, const char *key, sa_family_t family, struct ip *ret,
			struct err *e)
{
	json_t *interface = json_object_get(root, "Interface");
	const char *s = json_string_value(json_object_get(interface, key));
	struct ip ip = { 0 };

	if (s && *s && (!address_of(s, &ip) || ip.family != family))
		return err_set(e, EBADMSG, "%s \"%.60s\" is no address", key, s);
	*ret = ip;
	return 0;
}

static void options_of(struct arena *a, json_t *options, struct netdriver_request *q)
{
	json_t *value;
	const char *key;

	json_object_foreach(json_object_get(options, GENERIC), key, value)
	{
		const char *s = json_string_value(value);

		*arena_push(a, q->options, q->n_options, q->cap_options) =
			(struct netdriver_option){ arena_strdup(a, key),
						   arena_strdup(a, s ? s : "") };
	}
}

static bool number_of(json_t *object, const char *key, json_int_t max, json_int_t *ret)
{
	*ret = json_integer_value(json_object_get(object, key));
	return *ret >= 0 && *ret <= max;
}

static bool host_of(json_t *item, struct ip *ret)
{
	const char *s = json_string_value(json_object_get(item, "HostIP"));
	struct ip ip = { 0 };

	if (s && *s && !ip_parse(s, &ip))
		return false;
	*ret = ip;
	return true;
}

static int ports_of(struct arena *a, json_t *options, struct netdriver_request *q, struct err *e)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(options, PORTMAP), i, item)
	{
		json_int_t proto, port, door, end;
		struct ip host;

		if (!number_of(item, "Proto", UINT8_MAX, &proto) ||
		    !number_of(item, "Port", UINT16_MAX, &port) || !port ||
		    !number_of(item, "HostPort", UINT16_MAX, &door) ||
		    !number_of(item, "HostPortEnd", UINT16_MAX, &end) || !host_of(item, &host))
			return err_set(e, EBADMSG, PORTMAP "[%zu] is no port", i);
		*arena_push(a, q->ports, q->n_ports, q->cap_ports) =
			(struct netdriver_port){ .proto = (uint8_t)proto,
						 .room_port = (uint16_t)port,
						 .door_port = (uint16_t)door,
						 .door_port_end = (uint16_t)end,
						 .host = host };
	}
	return 0;
}

static int read_root(struct arena *a, json_t *root, struct netdriver_request *ret, struct err *e)
{
	json_t *options = json_object_get(root, "Options");
	struct netdriver_request q = { 0 };
	int r = id_of(a, root, "NetworkID", &q.network, e);

	if (r == 0)
		r = id_of(a, root, "EndpointID", &q.endpoint, e);
	if (r == 0)
		r = pool_of(root, "IPv4Data", AF_INET, &q.pool4, e);
	if (r == 0)
		r = pool_of(root, "IPv6Data", AF_INET6, &q.pool6, e);
	if (r == 0)
		r = interface_of(root, "Address", AF_INET, &q.address4, e);
	if (r == 0)
		r = interface_of(root, "AddressIPv6", AF_INET6, &q.address6, e);
	if (r == 0)
		r = ports_of(a, options, &q, e);
	if (r < 0)
		return r;
	options_of(a, options, &q);
	q.sandbox = string_of(a, root, "SandboxKey");
	q.internal = json_is_true(json_object_get(options, INTERNAL));
	q.publish = string_of(a, options, NETDRIVER_LABEL);
	*ret = q;
	return 0;
}

static json_t *load(const char *text, size_t size, const char *what, struct err *e)
{
	json_error_t where;
	json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);

	if (root && json_is_object(root))
		return root;
	err_set(e, EBADMSG, "%s: not a JSON object%s%s", what, root ? "" : ": ",
		root ? "" : where.text);
	json_decref(root);
	return NULL;
}

int netdriver_read(struct arena *a, const char *text, size_t size, struct netdriver_request *ret,
		   struct err *e)
{
	json_t *root = load(text, size, "the request", e);
	int r = root ? read_root(a, root, ret, e) : -EBADMSG;

	json_decref(root);
	return r;
}

/* --- networks ------------------------------------------------------------------------- */

static int set_option(struct arena *a, struct netdriver_network *n,
		      const struct netdriver_option *o, struct err *e)
{
	static const char *const names[] = { "gate", "doors", "default", "reach" };
	char teach[400];

	if (!*o->value)
		return err_set(e, EINVAL, "-o %.40s has no value", o->key);
	if (str_eq(o->key, "gate")) {
		n->gate = o->value;
		return config_check_name(n->gate, GATE_NAME_MAX, "-o gate: gate name", e);
	}
	if (str_eq(o->key, "default"))
		n->way = o->value;
	else if (str_eq(o->key, "doors"))
		sandbox_words_split(a, o->value, &n->doors);
	else if (str_eq(o->key, "reach"))
		sandbox_words_split(a, o->value, &n->reach);
	else {
		near_teach(teach, sizeof(teach), "-o", o->key, names, ARRAY_LEN(names));
		return err_set(e, EINVAL, "-o %.40s is no option of this driver; %s", o->key,
			       teach);
	}
	return 0;
}

int netdriver_network(struct arena *a, const struct netdriver_request *q,
		      struct netdriver_network *ret, struct err *e)
{
	struct netdriver_network n = { .pool4 = q->pool4, .pool6 = q->pool6 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < q->n_options; i++)
		r = set_option(a, &n, &q->options[i], e);
	if (r < 0)
		return r;
	if (!n.gate)
		return err_set(e, EINVAL,
			       "which gate? Say it with -o gate=NAME, such as: docker network "
			       "create -d sallyport -o gate=office office");
	if (q->internal)
		return err_set(e, EINVAL,
			       "--internal means nothing here: a container of this network has no "
			       "way out but the gate; leave it out, or say -o default=none");
	if (!n.doors.n)
		sandbox_word(a, &n.doors, "lan");
	*ret = n;
	return 0;
}

static void put_prefix(json_t *root, const char *key, const struct prefix *p)
{
	char text[PREFIX_TEXT_SIZE];

	if (p->len)
		json_object_set_new(root, key, json_string(prefix_text(p, text)));
}

static void put_ip(json_t *root, const char *key, const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	if (!ip_is_none(ip))
		json_object_set_new(root, key, json_string(ip_text(ip, text)));
}

static void put_words(struct arena *a, json_t *root, const char *key,
		      const struct sandbox_words *words)
{
	const char *all = "";

	for (size_t i = 0; i < words->n; i++)
		all = arena_printf(a, "%s%s%s", all, i ? " " : "", words->items[i]);
	json_object_set_new(root, key, json_string(all));
}

static const char *text_of(struct arena *a, json_t *root)
{
	char *text = json_dumps(root, JSON_INDENT(1));
	const char *ret = arena_printf(a, "%s\n", text ? text : "{}");

	free(text);
	json_decref(root);
	return ret;
}

const char *netdriver_network_write(struct arena *a, const struct netdriver_network *n)
{
	json_t *root = json_pack("{s:i, s:s}", "version", 1, "gate", n->gate);

	put_words(a, root, "doors", &n->doors);
	put_words(a, root, "reach", &n->reach);
	if (n->way)
		json_object_set_new(root, "default", json_string(n->way));
	put_prefix(root, "pool4", &n->pool4);
	put_prefix(root, "pool6", &n->pool6);
	return text_of(a, root);
}

static bool read_pool(struct arena *a, json_t *root, const char *key, sa_family_t family,
		      struct prefix *ret)
{
	const char *p = string_of(a, root, key);

	return !*p || (prefix_parse(p, false, ret) && ret->ip.family == family);
}

int netdriver_network_read(struct arena *a, const char *file, const char *text, size_t size,
			   struct netdriver_network *ret, struct err *e)
{
	json_t *root = load(text, size, file, e);
	struct netdriver_network n = { 0 };
	bool good;

	if (!root)
		return -EBADMSG;
	n.gate = string_of(a, root, "gate");
	n.way = json_object_get(root, "default") ? string_of(a, root, "default") : NULL;
	sandbox_words_split(a, string_of(a, root, "doors"), &n.doors);
	sandbox_words_split(a, string_of(a, root, "reach"), &n.reach);
	good = json_integer_value(json_object_get(root, "version")) == 1 && n.doors.n &&
	       read_pool(a, root, "pool4", AF_INET, &n.pool4) &&
	       read_pool(a, root, "pool6", AF_INET6, &n.pool6);
	json_decref(root);
	if (!good)
		return err_set(e, EBADMSG, "%s: not what the driver wrote", file);
	if (config_check_name(n.gate, GATE_NAME_MAX, "gate name", e) < 0)
		return err_wrap(e, -EBADMSG, "%s", file);
	*ret = n;
	return 0;
}

/* --- gates ----------------------------------------------------------------------------- */

static bool read_door(struct arena *a, json_t *door, struct netdriver_gate *g)
{
	json_t *item;
	size_t i;

	if (str_eq(string_of(a, door, "name"), "lan"))
		return true;
	json_array_foreach(json_object_get(door, "addresses"), i, item)
	{
		const char *s = json_string_value(item);
		struct ip ip;

		if (!s || !address_of(s, &ip))
			return false;
		*arena_push(a, g->vpn, g->n_vpn, g->cap_vpn) = ip;
	}
	return true;
}

static bool read_port(struct arena *a, json_t *port, struct netdriver_gate *g)
{
	json_int_t number;

	if (!number_of(port, "port", UINT16_MAX, &number))
		return false;
	*arena_push(a, g->ports, g->n_ports, g->cap_ports) = (struct publish){
		.proto = str_eq(string_of(a, port, "proto"), "udp") ? IPPROTO_UDP : IPPROTO_TCP,
		.door_port = (uint16_t)number,
	};
	return true;
}

int netdriver_read_gate(struct arena *a, const char *text, size_t size, struct netdriver_gate *ret,
			struct err *e)
{
	json_t *root = load(text, size, "what the gate says of itself", e), *door, *port;
	struct netdriver_gate g = { 0 };
	bool good;
	size_t i;

	if (!root)
		return -EBADMSG;
	good = read_pool(a, root, "links4", AF_INET, &g.net4) &&
	       read_pool(a, root, "links6", AF_INET6, &g.net6) && g.net4.len;
	json_array_foreach(json_object_get(root, "doors"), i, door)
		good = good && read_door(a, door, &g);
	json_array_foreach(json_object_get(root, "ports"), i, port)
		good = good && read_port(a, port, &g);
	json_decref(root);
	if (!good)
		return err_set(e, EBADMSG, "what the gate says of itself is of another version");
	*ret = g;
	return 0;
}

/* --- answers ------------------------------------------------------------------------------ */

const char *netdriver_failed(struct arena *a, const char *why)
{
	json_t *words = json_string(why);

	if (!words) /* no UTF-8 */
		words = json_string("failed, in words that are no UTF-8: see the driver's log");
	return text_of(a, json_pack("{s:o}", "Err", words));
}

/* Docker takes no address but for those that it did not give. */
static void put_own(struct arena *a, json_t *interface, const char *key, const struct ip *asked,
		    const struct ip *own)
{
	char ip[IP_TEXT_SIZE];

	if (ip_is_none(asked) && !ip_is_none(own))
		json_object_set_new(interface, key,
				    json_string(arena_printf(a, "%s/%u", ip_text(own, ip),
							     ip_bits(own->family))));
}

const char *netdriver_created(struct arena *a, const struct netdriver_request *q,
			      const struct sandbox *s)
{
	json_t *interface = json_object();

	put_own(a, interface, "Address", &q->address4, &s->address4);
	put_own(a, interface, "AddressIPv6", &q->address6, &s->address6);
	return text_of(a, json_pack("{s:o}", "Interface", interface));
}

/* CONNECTED is 1: by the link itself. */
static void add_route(struct arena *a, json_t *list, const struct prefix *to, const struct ip *via)
{
	char text[IP_TEXT_SIZE];
	json_t *route = json_pack("{s:s, s:i}", "Destination",
				  arena_printf(a, "%s/%u", ip_text(&to->ip, text), to->len),
				  "RouteType", via ? 0 : 1);

	if (via)
		put_ip(route, "NextHop", via);
	json_array_append_new(list, route);
}

/*
 * Docker gives the link the address with the length of its pool, and so a route
 * to the whole of that.  Whoever has an address of the pool on a network behind
 * a door is asked for by the gate like everybody else: by two more precise
 * routes.
 */
static void add_routes(struct arena *a, json_t *list, const struct prefix *pool,
		       const struct ip *gateway)
{
	struct prefix to = prefix_host(gateway);
	struct prefix half = *pool;

	if (ip_is_none(gateway))
		return;
	add_route(a, list, &to, NULL);
	if (!pool->len || pool->len + 2U > ip_bits(pool->ip.family))
		return;
	half.len++;
	add_route(a, list, &half, gateway);
	half.ip.byte[pool->len / 8] |= (uint8_t)(0x80 >> pool->len % 8);
	add_route(a, list, &half, gateway);
}

const char *netdriver_joined(struct arena *a, const struct netdriver_network *n,
			     const struct sandbox *s, const char *link)
{
	json_t *routes = json_array();
	json_t *root = json_pack("{s:{s:s, s:s}, s:b}", "InterfaceName", "SrcName", link,
				 "DstPrefix", "eth", "DisableGatewayService", 1);

	put_ip(root, "Gateway", &s->gateway4);
	put_ip(root, "GatewayIPv6", &s->gateway6);
	add_routes(a, routes, &n->pool4, &s->gateway4);
	add_routes(a, routes, &n->pool6, &s->gateway6);
	json_object_set_new(root, "StaticRoutes", routes);
	return text_of(a, root);
}

/* --- the engine's containers -------------------------------------------------------------- */

static bool has_endpoint(json_t *item, const char *endpoint)
{
	json_t *networks = json_object_get(json_object_get(item, "NetworkSettings"), "Networks");
	json_t *network;
	const char *name;

	json_object_foreach(networks, name, network)
	{
		const char *id = json_string_value(json_object_get(network, "EndpointID"));

		if (id && str_eq(id, endpoint))
			return true;
	}
	return false;
}

static const char *label_of(struct arena *a, json_t *labels)
{
	const char *s = json_string_value(json_object_get(labels, NETDRIVER_LABEL));

	return s ? arena_strdup(a, s) : NULL;
}

bool netdriver_find(struct arena *a, const char *text, size_t size, const char *endpoint,
		    struct netdriver_container *ret)
{
	json_t *root = json_loadb(text, size, 0, NULL), *item;
	bool found = false;
	size_t i;

	json_array_foreach(root, i, item)
	{
		const char *name =
			json_string_value(json_array_get(json_object_get(item, "Names"), 0));

		if (found || !has_endpoint(item, endpoint))
			continue;
		found = true;
		ret->name = arena_strdup(a, name ? name + (*name == '/') : "");
		ret->image = string_of(a, item, "ImageID");
		ret->label = label_of(a, json_object_get(item, "Labels"));
	}
	json_decref(root);
	return found;
}

int netdriver_image_label(struct arena *a, const char *text, size_t size, const char **ret,
			  struct err *e)
{
	json_t *root = load(text, size, "what it says of the image", e);

	if (!root)
		return -EBADMSG;
	*ret = label_of(a, json_object_get(json_object_get(root, "Config"), "Labels"));
	json_decref(root);
	return 0;
}
