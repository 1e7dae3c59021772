/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/guard_undo.h"

#include "base/text.h"
#include "daemon/log.h"
#include "plan/guard_xfrm.h"
#include "plan/slot.h"
#include "sys/files.h"
#include "sys/loop.h"
#include "sys/proc.h"
#include "sys/xfrm.h"

#include <dirent.h>
#include <errno.h>
#include <jansson.h>
#include <linux/xfrm.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* From SIGTERM to SIGKILL, and for a command that undoes another, in ms. */
#define GRACE_MS 3000
#define UNDO_MS  20000
#define ASK_MS   5000

/* --- nft ------------------------------------------------------------------------------ */

/* "table inet x", "chain inet x y accept", "rule inet x y 7"; NULL for what has no name. */
static const char *nft_name(struct arena *a, const json_t *item, const char **ret_kind,
			    const json_t **ret)
{
	const char *family, *table, *chain, *policy;
	const json_t *x;

	if ((x = json_object_get(item, "table"))) {
		*ret_kind = "table";
		table = json_string_value(json_object_get(x, "name"));
		chain = policy = "";
	} else if ((x = json_object_get(item, "chain"))) {
		*ret_kind = "chain";
		table = json_string_value(json_object_get(x, "table"));
		chain = json_string_value(json_object_get(x, "name"));
		policy = json_string_value(json_object_get(x, "policy"));
	} else if ((x = json_object_get(item, "rule"))) {
		*ret_kind = "rule";
		table = json_string_value(json_object_get(x, "table"));
		chain = json_string_value(json_object_get(x, "chain"));
		policy = arena_printf(a, "%" JSON_INTEGER_FORMAT,
				      json_integer_value(json_object_get(x, "handle")));
	} else {
		return NULL;
	}
	*ret = x;
	family = json_string_value(json_object_get(x, "family"));
	if (!family || !table || !chain || str_eq(table, GUARD_NFT) ||
	    str_starts(table, "sallyport"))
		return NULL;
	return arena_printf(a, "%s %s %s %s %s", *ret_kind, family, table, chain,
			    policy ? policy : "");
}

static int take_nft(struct arena *a, struct nft *nft, struct host_before *b, struct err *e)
{
	const char *kind;
	const json_t *x;
	json_t *root, *item;
	size_t i;
	int r = nft_list_root(nft, "ruleset", &root, e);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const char *name = nft_name(a, item, &kind, &x);

		if (name)
			*arena_push(a, b->nft, b->n_nft, b->cap_nft) = name;
	}
	json_decref(root);
	return 0;
}

static bool was_there(const struct host_before *b, const char *name)
{
	for (size_t i = 0; i < b->n_nft; i++)
		if (str_eq(b->nft[i], name))
			return true;
	return false;
}

/* A chain by another policy. */
static bool chain_was(const struct host_before *b, const char *name, const char **ret_policy)
{
	size_t len = (size_t)(strrchr(name, ' ') - name) + 1;

	for (size_t i = 0; i < b->n_nft; i++)
		if (strncmp(b->nft[i], name, len) == 0) {
			*ret_policy = b->nft[i] + len;
			return true;
		}
	return false;
}

/* The command that takes @item away; NULL if it was there before. */
static const char *nft_undo(struct arena *a, const struct host_before *b, const json_t *item)
{
	const char *kind, *policy, *name;
	const json_t *x;
	const char *family, *table, *chain;

	name = nft_name(a, item, &kind, &x);
	if (!name || was_there(b, name))
		return NULL;
	family = json_string_value(json_object_get(x, "family"));
	table = json_string_value(json_object_get(x, str_eq(kind, "table") ? "name" : "table"));
	if (str_eq(kind, "table"))
		return arena_printf(a, "delete table %s %s", family, table);
	chain = json_string_value(json_object_get(x, str_eq(kind, "chain") ? "name" : "chain"));
	if (str_eq(kind, "rule"))
		return arena_printf(a, "delete rule %s %s %s handle %" JSON_INTEGER_FORMAT, family,
				    table, chain, json_integer_value(json_object_get(x, "handle")));
	if (chain_was(b, name, &policy))
		return arena_printf(a, "chain %s %s %s { policy %s; }", family, table, chain,
				    policy);
	return arena_printf(a, "flush chain %s %s %s\ndelete chain %s %s %s", family, table, chain,
			    family, table, chain);
}

/* One by one: what goes with its table must not keep the rest. */
static int undo_nft(struct arena *a, struct nft *nft, const struct host_before *b, struct err *e)
{
	json_t *root, *item;
	size_t i;
	int r = nft_list_root(nft, "ruleset", &root, e);

	if (r < 0)
		return r;
	json_array_foreach(json_object_get(root, "nftables"), i, item)
	{
		const char *command = nft_undo(a, b, item);
		struct err why;
		int done = command ? nft_run(nft, command, &why) : 0;

		if (done < 0 && done != -ENOENT && r == 0)
			r = err_set(e, -done, "%s: %s", command, why.text);
	}
	json_decref(root);
	return r;
}

/* --- xfrm ------------------------------------------------------------------------------ */

static bool is_new_policy(const struct host_before *b, const struct xfrm_policy *p)
{
	for (size_t i = 0; i < b->n_policies; i++)
		if (b->policies[i].index == p->index)
			return false;
	return !guard_xfrm_is_ours(p);
}

const char *before_left_policy(struct arena *a, const struct host_before *b)
{
	struct xfrm_policy *list;
	struct err e;
	size_t n;

	if (xfrm_list(a, &list, &n, &e) < 0)
		return NULL;
	for (size_t i = 0; i < n; i++)
		if (list[i].n_templates && list[i].dir == XFRM_POLICY_OUT &&
		    is_new_policy(b, &list[i]))
			return arena_printf(a, "xfrm policy %s", guard_xfrm_text(a, &list[i]));
	return NULL;
}

static int undo_policies(struct arena *a, const struct host_before *b, struct err *e)
{
	struct xfrm_policy *list;
	size_t n;
	int r = xfrm_list(a, &list, &n, e);

	for (size_t i = 0; r == 0 && i < n; i++)
		if (is_new_policy(b, &list[i]))
			r = xfrm_delete(&list[i], e);
	return r;
}

/* --- processes ---------------------------------------------------------------------------- */

/* What follows the word stays; "" ends the words. */
struct hander {
	const char *program, *word, *undo, *ask;
};

static const struct hander handovers[] = {
	{ "wg-quick", "up", "down", NULL },
	{ "systemctl", "start", "stop", "is-active" },
	{ "systemctl", "restart", "stop", "is-active" },
	{ "nmcli", "up", "down", NULL },
	{ "swanctl", "--initiate", "--terminate", NULL },
	{ "ipsec", "up", "down", NULL },
	{ "tailscale", "up", "down", NULL },
	{ "netbird", "up", "down", NULL },
	{ "mullvad", "connect", "disconnect", NULL },
	{ "nordvpn", "connect", "disconnect", NULL },
	{ "warp-cli", "connect", "disconnect", NULL },
};

/* The one that @command is, and the place of its word; NULL if it is none. */
static const struct hander *find_handover(const char *const *command, size_t *ret_word)
{
	/* "env A=b wg-quick up x" */
	for (size_t program = 0; command && command[program]; program++) {
		const char *slash = strrchr(command[program], '/');
		const char *name = slash ? slash + 1 : command[program];

		for (size_t i = 0; i < ARRAY_LEN(handovers); i++)
			for (size_t j = program + 1;
			     str_eq(name, handovers[i].program) && command[j]; j++)
				if (str_eq(command[j], handovers[i].word)) {
					*ret_word = j;
					return &handovers[i];
				}
		if (!str_eq(name, "env") && !strchr(name, '='))
			break;
	}
	return NULL;
}

static const char *const *with_word(struct arena *a, const char *const *command, size_t at,
				    const char *word)
{
	size_t n = 0;
	const char **argv;

	while (command[n])
		n++;
	argv = arena_alloc(a, (n + 1) * sizeof(*argv));
	memcpy(argv, command, n * sizeof(*argv));
	argv[at] = word;
	return argv;
}

const char *const *undo_command(struct arena *a, const char *const *command)
{
	size_t word;
	const struct hander *h = find_handover(command, &word);

	return h ? with_word(a, command, word, h->undo) : NULL;
}

/* A line for each unit; one that waits to be started again is "activating". */
static bool any_lives(const char *states)
{
	static const char *const alive[] = { "active\n", "activating\n", "reloading\n" };

	for (const char *s = states; *s; s += strcspn(s, "\n"), s += *s == '\n')
		for (size_t i = 0; i < ARRAY_LEN(alive); i++)
			if (str_starts(s, alive[i]))
				return true;
	return false;
}

static bool has_token(const char *pid, const char *token)
{
	struct arena a CLEANUP_ARENA = { 0 };
	char path[64];
	const char *env;
	size_t size;
	struct err e;

	snprintf(path, sizeof(path), "/proc/%.20s/environ", pid);
	if (file_read(&a, path, FILE_READ_MAX, &env, &size, &e) < 0)
		return false;
	for (const char *s = env; s < env + size; s += strlen(s) + 1)
		if (str_eq(s, token))
			return true;
	return false;
}

/* Sends @sig (0: none) to all that have the token; how many they are. */
static size_t signal_token(const struct host_before *b, int sig)
{
	DIR *proc = opendir("/proc");
	const struct dirent *entry;
	size_t n = 0;

	while (proc && (entry = readdir(proc))) {
		uint32_t pid;

		if (!str_to_u32(entry->d_name, INT32_MAX, &pid) || (pid_t)pid == getpid() ||
		    !has_token(entry->d_name, b->token))
			continue;
		n += kill((pid_t)pid, sig) == 0;
	}
	if (proc)
		closedir(proc);
	return n;
}

/* Who is known to leave its work to others is asked about them; else its own processes count. */
bool undo_still_runs(const struct host_before *b, bool *ret_knows)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	size_t word;
	const struct hander *h = find_handover(b->command, &word);
	const char *states;
	struct err e;
	int status;

	if (!h)
		return *ret_knows = b->token && signal_token(b, 0);
	*ret_knows = h->ask;
	if (!*ret_knows)
		return false;
	spec.argv = with_word(&a, b->command, word, h->ask);
	return proc_run(&spec, NULL, ASK_MS, &a, &states, &status, &e) == 0 && any_lives(states);
}

bool undo_processes(const struct host_before *b)
{
	const struct timespec pause = { .tv_nsec = 50 * 1000 * 1000 };
	int64_t until = clock_ms() + GRACE_MS;

	if (!b->token || !signal_token(b, SIGTERM))
		return false;
	while (signal_token(b, 0) && clock_ms() < until)
		nanosleep(&pause, NULL);
	signal_token(b, SIGKILL);
	return true;
}

bool undo_run_command(const struct host_before *b)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct proc_spec spec = PROC_SPEC_NONE;
	const char *output;
	struct err e;
	int status;

	spec.argv = undo_command(&a, b->command);
	if (!spec.argv)
		return false;
	if (proc_run(&spec, NULL, UNDO_MS, &a, &output, &status, &e) < 0)
		log_say(GUARD_WHO, "%s", e.text);
	return true;
}

/* --- all ------------------------------------------------------------------------------------ */

int host_before_take(struct arena *a, struct rtnl *rtnl, struct nft *nft, struct host_before *ret,
		     struct err *e)
{
	int r = rtnl_snapshot(rtnl, a, &ret->net, e);

	if (r == 0)
		r = take_nft(a, nft, ret, e);
	if (r == 0)
		r = xfrm_list(a, &ret->policies, &ret->n_policies, e);
	return r;
}

const char *undo_left_tunnel(const struct host_before *b, const struct snapshot *now)
{
	for (size_t i = 0; i < now->n_links; i++)
		if (guard_is_tunnel(&now->links[i]) &&
		    !snapshot_link_by_index(&b->net, now->links[i].index))
			return now->links[i].name;
	return NULL;
}

static int drop_tunnels(struct rtnl *rtnl, struct arena *a, const struct host_before *b,
			struct err *e)
{
	struct snapshot now = { 0 };
	int r = rtnl_snapshot_tables(rtnl, a, 0, 0, &now, e);

	for (size_t i = 0; r == 0 && i < now.n_links; i++)
		if (guard_is_tunnel(&now.links[i]) &&
		    !snapshot_link_by_index(&b->net, now.links[i].index))
			r = rtnl_link_delete(rtnl, now.links[i].name, e);
	return r;
}

int undo_all(const struct host_before *b, struct err *e)
{
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct nft *nft CLEANUP_NFT = NULL;
	struct arena a CLEANUP_ARENA = { 0 };
	struct err later[5];
	size_t steps;
	int r[ARRAY_LEN(later)];

	/* What drops packets first: the rest may take its time. */
	r[0] = nft_open(-1, &nft, &later[0]);
	if (r[0] == 0)
		r[0] = undo_nft(&a, nft, b, &later[0]);
	(void)undo_run_command(b);
	undo_processes(b);
	r[1] = rtnl_open(-1, &rtnl, &later[1]);
	if (r[1] == 0)
		r[1] = drop_tunnels(rtnl, &a, b, &later[1]);
	r[2] = rtnl ? rtnl_restore(rtnl, &b->net, SLOT_TABLE, GUARD_TABLE_LAST, &steps, &later[2])
		    : 0;
	if (nft && r[0] == 0)
		r[0] = undo_nft(&a, nft, b, &later[0]);
	r[3] = resolver_restore(&b->resolver, true, &later[3]);
	r[4] = undo_policies(&a, b, &later[4]);
	for (size_t i = 0; i < ARRAY_LEN(r); i++)
		if (r[i] < 0)
			return err_set(e, -r[i], "%s", later[i].text);
	return 0;
}
