/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

static json_t *ip_json(const struct ip *ip)
{
	char text[IP_TEXT_SIZE];

	return json_string(ip_text(ip, text));
}

static const char *kind_word(enum door_kind kind)
{
	switch (kind) {
	case DOOR_LAN:
		return "lan";
	case DOOR_OPENVPN:
		return "openvpn";
	case DOOR_WIREGUARD:
		return "wireguard";
	case DOOR_COMMAND:
		return "command";
	}
	return "";
}

/* Where clients of the lan door find it: the host's addresses, or those it listens on. */
static json_t *lan_addresses(struct supervisor *s)
{
	const struct door *lan = &s->gate.doors[0];
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot host = { 0 };
	json_t *list = json_array();
	struct err e;

	for (size_t i = 0; i < lan->n_listen; i++)
		json_array_append_new(list, ip_json(&lan->listen[i]));
	if (lan->n_listen || rtnl_snapshot_tables(s->host.rtnl, &a, 0, 0, &host, &e) < 0)
		return list;
	for (size_t i = 0; i < host.n_addresses; i++) {
		const struct address *x = &host.addresses[i];
		const struct link *l = snapshot_link_by_index(&host, x->link);

		if (l && !plan_link_is_ours(l) && !ip_is_loopback(&x->local) &&
		    !ip_is_link_local(&x->local))
			json_array_append_new(list, ip_json(&x->local));
	}
	return list;
}

static json_t *words_json(const char *words)
{
	json_t *list = json_array();

	while (*words) {
		size_t n = strcspn(words, " ");

		if (n)
			json_array_append_new(list, json_stringn(words, n));
		words += n + (words[n] == ' ');
	}
	return list;
}

static void count(struct rtnl *rtnl, const char *link, struct rtnl_counters *sum)
{
	struct rtnl_counters c = { 0 };
	struct err e;

	if (!link[0] || rtnl_counters(rtnl, link, &c, &e) < 0)
		return;
	sum->packets_in += c.packets_in;
	sum->packets_out += c.packets_out;
	sum->bytes_in += c.bytes_in;
	sum->bytes_out += c.bytes_out;
}

static json_t *door_json(struct supervisor *s, size_t index)
{
	const struct door *d = &s->gate.doors[index];
	const struct door_run *run = &s->doors[index];
	const char *link = index ? run->interface : "lan";
	struct rtnl_counters c = { 0 };

	count(s->inner.rtnl, link, &c);
	for (size_t i = 0; !index && i < s->gate.n_rooms; i++)
		if (plan_room_is_short(&s->gate, i))
			count(s->rooms[i].rtnl, PLAN_SHORT_END, &c);
	return json_pack("{s:s, s:s, s:s, s:o, s:s, s:I, s:I, s:I, s:I, s:I}", "name", d->name,
			 "kind", kind_word(d->kind), "state", door_state_word(run), "addresses",
			 index ? words_json(text_str(&run->addresses)) : lan_addresses(s),
			 "interface", link, "since", (json_int_t)run->since, "packets_in",
			 (json_int_t)c.packets_in, "packets_out", (json_int_t)c.packets_out,
			 "bytes_in", (json_int_t)c.bytes_in, "bytes_out", (json_int_t)c.bytes_out);
}

static json_t *room_json(struct supervisor *s, size_t index)
{
	const struct sandbox *x = s->gate.rooms[index].sandbox;
	struct ip ip4 = plan_room_inside(&s->gate, &s->slot, AF_INET, index);
	struct ip ip6 = plan_room_inside(&s->gate, &s->slot, AF_INET6, index);

	return json_pack("{s:s, s:s*, s:s, s:o, s:o}", "name", s->gate.rooms[index].name,
			 "container", x && *x->container ? x->container : NULL, "namespace",
			 s->rooms[index].netns, "address4",
			 ip_is_none(&ip4) ? json_null() : ip_json(&ip4), "address6",
			 s->ipv6 && !ip_is_none(&ip6) ? ip_json(&ip6) : json_null());
}

static json_t *ip_or_nothing(const struct ip *ip)
{
	return ip_is_none(ip) ? NULL : ip_json(ip);
}

static json_t *port_json(struct supervisor *s, const struct publish *p)
{
	const struct sandbox *x = s->gate.rooms[p->room].sandbox;
	struct ip room = plan_publish_is_short(p)
				 ? slot_short(&s->slot, AF_INET, p->room)
				 : plan_room_inside(&s->gate, &s->slot, AF_INET, p->room);

	return json_pack("{s:s, s:s, s:o*, s:i, s:s, s:s*, s:o, s:i}", "door",
			 s->gate.doors[p->door].name, "proto",
			 p->proto == IPPROTO_UDP ? "udp" : "tcp", "address",
			 ip_or_nothing(&p->host), "port", p->door_port, "room",
			 s->gate.rooms[p->room].name, "container",
			 x && *x->container ? x->container : NULL, "room_address", ip_json(&room),
			 "room_port", p->room_port);
}

static bool all_answer(struct supervisor *s)
{
	for (size_t i = 1; i < s->gate.n_doors; i++)
		if (!door_answers(&s->doors[i]))
			return false;
	return true;
}

static const char *state_word(struct supervisor *s)
{
	return s->ending ? "ending" : all_answer(s) && !s->last_error ? "up" : "partly up";
}

char *status_json(struct supervisor *s)
{
	struct arena a CLEANUP_ARENA = { 0 };
	json_t *doors = json_array(), *rooms = json_array(), *ports = json_array();
	char net4[PREFIX_TEXT_SIZE], net6[PREFIX_TEXT_SIZE];
	json_t *root;
	char *text;

	for (size_t i = 0; i < s->gate.n_doors; i++)
		json_array_append_new(doors, door_json(s, i));
	for (size_t i = 0; i < s->gate.n_rooms; i++)
		json_array_append_new(rooms, room_json(s, i));
	for (size_t i = 0; i < s->gate.n_publish; i++)
		json_array_append_new(ports, port_json(s, &s->gate.publish[i]));
	root = json_pack("{s:s, s:s, s:s, s:s*, s:s*, s:i, s:I, s:o, s:o, s:o, s:o, s:I}", "name",
			 s->gate.name, "links4", prefix_text(&s->slot.net4, net4), "links6",
			 s->ipv6 ? prefix_text(&s->slot.net6, net6) : NULL, "state", state_word(s),
			 "trouble", status_trouble(s, &a), "supervisor_pid", (int)getpid(), "since",
			 (json_int_t)s->since, "doors", doors, "rooms", rooms, "ports", ports,
			 "repairs", log_repairs_json(&s->repairs), "repairs_ever",
			 (json_int_t)s->repairs.ever);
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	return text ? text : strdup("{}");
}
