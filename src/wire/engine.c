/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/engine.h"

#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static const char *string_of(struct arena *a, json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return arena_strdup(a, s ? s : "");
}

static json_t *read_json(const char *text, size_t size, const char *what, struct err *e)
{
	json_error_t where;
	json_t *root = json_loadb(text, size, 0, &where);

	if (!root)
		err_set(e, EBADMSG, "%s: not JSON: line %d: %s", what, where.line, where.text);
	return root;
}

static void add_gateway(struct arena *a, struct engine_container *c, json_t *network,
			const char *key)
{
	const char *text = json_string_value(json_object_get(network, key));
	struct ip ip;

	if (text && ip_parse(text, &ip))
		*arena_push(a, c->gateways, c->n_gateways, c->cap_gateways) = ip;
}

static void add_networks(struct arena *a, struct engine_container *c, json_t *settings)
{
	json_t *network;
	const char *name;

	json_object_foreach(json_object_get(settings, "Networks"), name, network)
	{
		add_gateway(a, c, network, "Gateway");
		add_gateway(a, c, network, "IPv6Gateway");
	}
	/* podman's, and Docker's default network in older versions. */
	add_gateway(a, c, settings, "Gateway");
	add_gateway(a, c, settings, "IPv6Gateway");
}

int engine_read_container(struct arena *a, const char *text, size_t size,
			  struct engine_container *ret, struct err *e)
{
	json_t *root = read_json(text, size, "what it says of the container", e);
	json_t *state = json_object_get(root, "State");
	json_int_t pid = json_integer_value(json_object_get(state, "Pid"));
	struct engine_container c = { 0 };

	if (!root)
		return -EBADMSG;
	c.id = string_of(a, root, "Id");
	c.name = string_of(a, root, "Name");
	c.name += *c.name == '/';
	c.running = json_is_true(json_object_get(state, "Running"));
	c.pid = pid > 0 && pid <= INT_MAX ? (int)pid : 0;
	c.network_mode = string_of(a, json_object_get(root, "HostConfig"), "NetworkMode");
	add_networks(a, &c, json_object_get(root, "NetworkSettings"));
	json_decref(root);
	if (!*c.id)
		return err_set(e, EBADMSG, "what it says of the container has no Id");
	*ret = c;
	return 0;
}

static const char *first_name(struct arena *a, json_t *item)
{
	const char *name = json_string_value(json_array_get(json_object_get(item, "Names"), 0));

	return arena_strdup(a, name ? name + (*name == '/') : "");
}

static const char *service_of(struct arena *a, json_t *item)
{
	json_t *labels = json_object_get(item, "Labels");
	const char *project =
		json_string_value(json_object_get(labels, "com.docker.compose.project"));
	const char *service =
		json_string_value(json_object_get(labels, "com.docker.compose.service"));

	return project && service ? arena_printf(a, "%s/%s", project, service) : "";
}

int engine_read_list(struct arena *a, const char *text, size_t size, struct engine_listed **ret,
		     size_t *ret_n, struct err *e)
{
	json_t *root = read_json(text, size, "its list of containers", e), *item;
	struct engine_listed *list = NULL;
	size_t n = 0, cap = 0, i;

	if (!root)
		return -EBADMSG;
	json_array_foreach(root, i, item)
	{
		struct engine_listed *c = arena_push(a, list, n, cap);

		c->id = string_of(a, item, "Id");
		c->name = first_name(a, item);
		c->state = string_of(a, item, "State");
		c->network_mode = string_of(a, json_object_get(item, "HostConfig"), "NetworkMode");
		c->service = service_of(a, item);
	}
	json_decref(root);
	*ret = list;
	*ret_n = n;
	return 0;
}

int engine_read_event(struct arena *a, const char *text, size_t size, struct engine_event *ret,
		      struct err *e)
{
	json_t *root = read_json(text, size, "an event", e);
	json_t *actor = json_object_get(root, "Actor");

	if (!root)
		return -EBADMSG;
	*ret = (struct engine_event){
		.type = string_of(a, root, "Type"),
		.action = string_of(a, root, "Action"),
		.id = string_of(a, actor, "ID"),
		.name = string_of(a, json_object_get(actor, "Attributes"), "name"),
	};
	json_decref(root);
	return 0;
}

/* The text of one member of an object; NULL if there is none. */
static const char *read_member(struct arena *a, const char *text, size_t size, const char *name)
{
	json_t *root = json_loadb(text, size, 0, NULL);
	const char *words = json_string_value(json_object_get(root, name));
	const char *copy = words ? arena_strdup(a, words) : NULL;

	json_decref(root);
	return copy;
}

const char *engine_read_message(struct arena *a, const char *text, size_t size)
{
	return read_member(a, text, size, "message");
}

const char *engine_read_id(struct arena *a, const char *text, size_t size)
{
	return read_member(a, text, size, "Id");
}

const char *engine_joined(const char *network_mode)
{
	return str_starts(network_mode, "container:") ? network_mode + strlen("container:") : NULL;
}

/* --- another one like it --------------------------------------------------------- */

static bool is_bound(json_t *host, const char *where)
{
	json_t *list = json_object_get(host, "Binds"), *item;
	size_t i;

	json_array_foreach(list, i, item)
	{
		const char *text = json_string_value(item);
		const char *to = text ? strchr(text, ':') : NULL;
		size_t len = strlen(where);

		if (to && strncmp(to + 1, where, len) == 0 && (!to[len + 1] || to[len + 1] == ':'))
			return true;
	}
	json_array_foreach(json_object_get(host, "Mounts"), i, item)
	{
		const char *to = json_string_value(json_object_get(item, "Target"));

		if (to && str_eq(to, where))
			return true;
	}
	return false;
}

/* A volume that nobody named has a name all the same: by it the new container gets it. */
static void keep_volumes(struct arena *a, json_t *root, json_t *host)
{
	json_t *mount, *binds = json_object_get(host, "Binds");
	size_t i;

	if (!json_is_array(binds)) {
		binds = json_array();
		json_object_set_new(host, "Binds", binds);
	}
	json_array_foreach(json_object_get(root, "Mounts"), i, mount)
	{
		const char *type = json_string_value(json_object_get(mount, "Type"));
		const char *name = json_string_value(json_object_get(mount, "Name"));
		const char *to = json_string_value(json_object_get(mount, "Destination"));

		if (type && str_eq(type, "volume") && name && to && !is_bound(host, to))
			json_array_append_new(binds,
					      json_string(arena_printf(a, "%s:%s", name, to)));
	}
}

int engine_write_like(struct arena *a, const char *text, size_t size, const char *joins,
		      const char **ret, struct err *e)
{
	json_t *root = read_json(text, size, "what it says of the container", e);
	json_t *body = json_object_get(root, "Config");
	json_t *host = json_object_get(root, "HostConfig");
	char *out;

	if (!json_is_object(body) || !json_is_object(host)) {
		json_decref(root);
		return err_set(e, EBADMSG,
			       "what it says of the container has no Config or HostConfig");
	}
	/* Who joins a network has no name and no ports of its own there. */
	json_object_set_new(body, "Hostname", json_string(""));
	json_object_set_new(body, "Domainname", json_string(""));
	json_object_del(body, "ExposedPorts");
	json_object_del(body, "MacAddress");
	keep_volumes(a, root, host);
	json_object_set_new(host, "NetworkMode",
			    json_string(arena_printf(a, "container:%s", joins)));
	json_object_set(body, "HostConfig", host);
	out = json_dumps(body, JSON_COMPACT);
	*ret = arena_strdup(a, out ? out : "");
	free(out);
	json_decref(root);
	return 0;
}
