/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/engine.h"

#include "base/text.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
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

const char *engine_read_message(struct arena *a, const char *text, size_t size)
{
	json_t *root = json_loadb(text, size, 0, NULL);
	const char *words = json_string_value(json_object_get(root, "message"));
	const char *copy = words ? arena_strdup(a, words) : NULL;

	json_decref(root);
	return copy;
}

const char *engine_joined(const char *network_mode)
{
	return str_starts(network_mode, "container:") ? network_mode + strlen("container:") : NULL;
}
