/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/config.h"

#include "base/text.h"
#include "wire/draft.h"
#include "wire/ini.h"
#include "wire/near.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* sallyport.conf(5): a table of keys, and what each puts into the draft. */

enum scope { IN_NOTHING = 0, IN_ROOM = 1, IN_LAN = 2, IN_VPN = 4 };

enum key_id {
	KEY_PUBLISH,
	KEY_DEFAULT,
	KEY_REACH,
	KEY_LISTEN,
	KEY_VPN,
	KEY_COMMAND,
	KEY_INTERFACE,
	KEY_SERVER,
	KEY_MSS,
	N_KEYS,
};

struct reader {
	struct draft draft;
	const char *file;
	enum scope scope;
	size_t index; /* of the section's room or door */
	const struct ini_entry *section; /* NULL before the first */
	const struct ini_entry *given[N_KEYS]; /* in this section */
	struct err *e;
};

struct key {
	const char *name;
	const char *example;
	int (*read)(struct reader *r, const struct ini_entry *entry);
	unsigned int scopes;
};

static struct place place_of(const struct reader *r, const struct ini_entry *entry)
{
	return (struct place){ .file = r->file, .line = entry->line, .column = entry->column };
}

static struct place place_of_value(const struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of(r, entry);

	at.column = entry->value_column;
	return at;
}

/* Ends an error that err_set() began at the key or section of @entry. */
static int fail_at(struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of(r, entry);

	return place_wrap(&at, -EINVAL, r->e);
}

static int fail_at_value(struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of_value(r, entry);

	return place_wrap(&at, -EINVAL, r->e);
}

static struct door *this_door(struct reader *r)
{
	return &r->draft.gate.doors[r->index];
}

static int read_publish(struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of_value(r, entry);

	if (r->scope == IN_ROOM)
		return draft_room_publish(&r->draft, r->index, entry->value, &at, r->e);
	return draft_door_publish(&r->draft, r->index, entry->value, &at, r->e);
}

static int read_default(struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of_value(r, entry);

	return draft_room_default(&r->draft, r->index, entry->value, &at, r->e);
}

static int read_reach(struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of_value(r, entry);

	return draft_room_reach(&r->draft, r->index, entry->value, &at, r->e);
}

static int read_listen(struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of_value(r, entry);

	return draft_door_listen(&r->draft, r->index, entry->value, &at, r->e);
}

static int read_server(struct reader *r, const struct ini_entry *entry)
{
	struct place at = place_of_value(r, entry);

	return draft_door_server(&r->draft, r->index, entry->value, &at, r->e);
}

static int read_vpn(struct reader *r, const struct ini_entry *entry)
{
	const char *slash = strrchr(r->file, '/');
	const char *path = entry->value;
	struct place at = place_of_value(r, entry);
	struct door *door = this_door(r);

	if (*path == '~' || *path == '"' || *path == '\'') {
		err_set(r->e, EINVAL,
			"the file begins with %c, which means nothing here; "
			"write the path as it is",
			*path);
		return fail_at_value(r, entry);
	}
	door->kind = DOOR_OPENVPN;
	door->vpn_at = arena_printf(r->draft.a, "%s:%u:%u", at.file, at.line, at.column);
	if (*path == '/' || !slash)
		door->vpn = path;
	else
		door->vpn =
			arena_printf(r->draft.a, "%.*s/%s", (int)(slash - r->file), r->file, path);
	return 0;
}

/* Goes to the shell as it is: it knows its own comments. */
static int read_command(struct reader *r, const struct ini_entry *entry)
{
	this_door(r)->kind = DOOR_COMMAND;
	this_door(r)->command = entry->raw;
	return 0;
}

static int check_interface(struct reader *r, const char *name)
{
	if (strlen(name) > DOOR_NAME_MAX)
		return err_set(r->e, EINVAL,
			       "interface \"%.40s\" has %zu characters; an interface "
			       "has at most %d",
			       name, strlen(name), DOOR_NAME_MAX);
	if (name[strcspn(name, "/: \t")] || str_eq(name, ".") || str_eq(name, ".."))
		return err_set(r->e, EINVAL,
			       "\"%s\" is not the name of an interface; write one, "
			       "such as tun0",
			       name);
	if (str_eq(name, "lo") || str_eq(name, "lan") || str_starts(name, "room"))
		return err_set(r->e, EINVAL,
			       "interface \"%s\" is one of the gate's own; write the "
			       "one that the command makes, such as tun0",
			       name);
	for (size_t i = 0; i < r->index; i++) {
		const struct door *other = &r->draft.gate.doors[i];

		if (other->interface && str_eq(other->interface, name))
			return err_set(r->e, EINVAL,
				       "interface \"%s\" is that of [door %s] in "
				       "line %u already; each door has its own",
				       name, other->name, other->line);
	}
	return 0;
}

static int read_interface(struct reader *r, const struct ini_entry *entry)
{
	if (check_interface(r, entry->value) < 0)
		return fail_at_value(r, entry);
	this_door(r)->interface = entry->value;
	return 0;
}

/* Below 536 no host must go (RFC 9293 3.7.1), above 8960 no link asks for it. */
int config_mss(const char *word, uint32_t *ret, struct err *e)
{
	uint32_t mss;

	if (!str_to_u32(word, 8960, &mss) || mss < 536)
		return err_set(e, EINVAL,
			       "\"%.40s\" is not a TCP segment size; write bytes from 536 "
			       "to 8960, such as 1360",
			       word);
	*ret = mss;
	return 0;
}

static int read_mss(struct reader *r, const struct ini_entry *entry)
{
	if (config_mss(entry->value, &this_door(r)->mss, r->e) < 0)
		return fail_at_value(r, entry);
	return 0;
}

static const struct key keys[N_KEYS] = {
	[KEY_PUBLISH] = { "publish", "80 443 53/udp", read_publish, IN_ROOM | IN_LAN | IN_VPN },
	[KEY_DEFAULT] = { "default", "vpn", read_default, IN_ROOM },
	[KEY_REACH] = { "reach", "172.16.5.0/24", read_reach, IN_ROOM },
	[KEY_LISTEN] = { "listen", "172.16.5.10", read_listen, IN_LAN },
	[KEY_VPN] = { "vpn", "/etc/openvpn/client/office.ovpn", read_vpn, IN_VPN },
	[KEY_COMMAND] = { "command", "/usr/bin/vendor-vpn --foreground", read_command, IN_VPN },
	[KEY_INTERFACE] = { "interface", "tun0", read_interface, IN_VPN },
	[KEY_SERVER] = { "server", "vpn.example.com:443/tcp", read_server, IN_VPN },
	[KEY_MSS] = { "mss", "1360", read_mss, IN_VPN },
};

/* The door before it ends: vpn or command, and what only a command has. */
static int end_vpn_door(struct reader *r)
{
	const struct ini_entry *vpn = r->given[KEY_VPN], *command = r->given[KEY_COMMAND];
	const struct ini_entry *late = vpn && command && vpn->line > command->line ? vpn : command;

	if (!vpn && !command) {
		err_set(r->e, EINVAL,
			"[%.40s] has no way to connect; write vpn = FILE or "
			"command = COMMAND",
			r->section->name);
		return fail_at(r, r->section);
	}
	if (vpn && command) {
		err_set(r->e, EINVAL, "\"%s\" beside \"%s\" in line %u; a door has one of them",
			late->name, late == vpn ? "command" : "vpn",
			late == vpn ? command->line : vpn->line);
		return fail_at(r, late);
	}
	for (int i = KEY_INTERFACE; vpn && i <= KEY_SERVER; i++) {
		if (!r->given[i])
			continue;
		err_set(r->e, EINVAL,
			"\"%s\" is for a door with command; the file of vpn tells "
			"it, take it out",
			keys[i].name);
		return fail_at(r, r->given[i]);
	}
	return 0;
}

static int end_section(struct reader *r)
{
	return r->scope == IN_VPN ? end_vpn_door(r) : 0;
}

static int fail_duplicate(struct reader *r, const struct ini_entry *entry, uint32_t line)
{
	err_set(r->e, EINVAL,
		"[%.40s] stands in line %u already; put everything there, or "
		"choose another name",
		entry->name, line);
	return fail_at(r, entry);
}

static int begin_room(struct reader *r, const struct ini_entry *entry, const char *name,
		      const struct place *at)
{
	struct gate *g = &r->draft.gate;
	int index;

	for (size_t i = 0; i < g->n_rooms; i++)
		if (str_eq(g->rooms[i].name, name))
			return fail_duplicate(r, entry, g->rooms[i].line);
	index = draft_add_room(&r->draft, name, at, r->e);
	if (index < 0)
		return index;
	r->index = (size_t)index;
	r->scope = IN_ROOM;
	return 0;
}

static int begin_door(struct reader *r, const struct ini_entry *entry, const char *name,
		      const struct place *at)
{
	struct gate *g = &r->draft.gate;
	bool is_lan = str_eq(name, "lan");
	int index = 0;

	if (!*name) {
		err_set(r->e, EINVAL, "the door has no name; write [door lan] or [door NAME]");
		return fail_at(r, entry);
	}
	for (size_t i = 0; i < g->n_doors; i++)
		if (str_eq(g->doors[i].name, name) && g->doors[i].line)
			return fail_duplicate(r, entry, g->doors[i].line);
	if (!is_lan)
		index = draft_add_vpn_door(&r->draft, name, at, r->e);
	if (index < 0)
		return index;
	r->index = (size_t)index;
	r->scope = is_lan ? IN_LAN : IN_VPN;
	this_door(r)->line = entry->line;
	return 0;
}

static int begin_section(struct reader *r, const struct ini_entry *entry)
{
	static const char *const words[] = { "room", "door" };
	size_t len = strcspn(entry->name, " \t");
	const char *name = entry->name + len + strspn(entry->name + len, " \t");
	const char *word = arena_strndup(r->draft.a, entry->name, len);
	struct place at = place_of(r, entry);
	const char *near;

	memset(r->given, 0, sizeof(r->given));
	r->section = entry;
	r->scope = IN_NOTHING;
	at.column += (uint32_t)(name - entry->name);
	if (str_eq(word, "room"))
		return begin_room(r, entry, name, &at);
	if (str_eq(word, "door"))
		return begin_door(r, entry, name, &at);
	near = near_name(word, words, ARRAY_LEN(words));
	err_set(r->e, EINVAL,
		"unknown section [%.40s]; %s%s%swrite [room], [room NAME], "
		"[door lan] or [door NAME]",
		entry->name, near ? "did you mean \"" : "", near ? near : "", near ? "\"? " : "");
	return fail_at(r, entry);
}

static int find_key(const char *name, unsigned int scopes)
{
	for (int i = 0; i < N_KEYS; i++)
		if (keys[i].scopes & scopes && str_eq(keys[i].name, name))
			return i;
	return -1;
}

static const char *scope_text(unsigned int scopes)
{
	return scopes & IN_ROOM  ? "[room]"
	       : scopes & IN_LAN ? "[door lan]"
				 : "the section of a VPN door";
}

static int fail_unknown(struct reader *r, const struct ini_entry *entry)
{
	int elsewhere = find_key(entry->name, ~0U);
	const char *names[N_KEYS];
	char who[64], teach[256];
	size_t n = 0;

	for (size_t i = 0; i < N_KEYS; i++)
		if (keys[i].scopes & r->scope)
			names[n++] = keys[i].name;
	snprintf(who, sizeof(who), "[%.40s]", r->section->name);
	near_teach(teach, sizeof(teach), who, entry->name, names, n);
	if (elsewhere < 0)
		err_set(r->e, EINVAL, "unknown key \"%.40s\"; %s", entry->name, teach);
	else
		err_set(r->e, EINVAL, "\"%s\" belongs to %s; %s", entry->name,
			scope_text(keys[elsewhere].scopes), teach);
	return fail_at(r, entry);
}

static int read_key(struct reader *r, const struct ini_entry *entry)
{
	int i = find_key(entry->name, r->scope);

	if (!r->section) {
		err_set(r->e, EINVAL, "\"%.40s\" before any section; write [room] above it",
			entry->name);
		return fail_at(r, entry);
	}
	if (i < 0)
		return fail_unknown(r, entry);
	if (r->given[i]) {
		err_set(r->e, EINVAL, "\"%s\" stands in line %u already; keep one of them",
			entry->name, r->given[i]->line);
		return fail_at(r, entry);
	}
	if (!entry->value[strspn(entry->value, " \t,")]) {
		err_set(r->e, EINVAL, "\"%s\" has no value; write %s = %s, or take it out",
			entry->name, entry->name, keys[i].example);
		return fail_at(r, entry);
	}
	r->given[i] = entry;
	return keys[i].read(r, entry);
}

static int read_entry(struct reader *r, const struct ini_entry *entry)
{
	int err;

	if (entry->value)
		return read_key(r, entry);
	err = end_section(r);
	return err < 0 ? err : begin_section(r, entry);
}

int config_read(struct arena *a, const char *name, const char *file, const char *text, size_t size,
		struct gate *ret, struct err *e)
{
	struct reader r = { .e = e };
	struct ini ini;
	int err = config_check_name(name, GATE_NAME_MAX, "gate name", e);

	if (err < 0)
		return err_wrap(e, err, "%s", file);
	err = ini_read(a, file, text, size, INI_SALLYPORT, &ini, e);
	if (err < 0)
		return err;
	draft_start(&r.draft, a, name, file);
	r.file = r.draft.gate.file;
	for (size_t i = 0; i < ini.n_entries; i++) {
		err = read_entry(&r, &ini.entries[i]);
		if (err < 0)
			return err;
	}
	err = end_section(&r);
	if (err < 0)
		return err;
	if (!r.draft.gate.n_rooms)
		return err_set(e, EINVAL,
			       "%s:1:1: no room; write [room] and the ports of its "
			       "services, such as publish = 80",
			       file);
	return draft_finish(&r.draft, ret, e);
}
