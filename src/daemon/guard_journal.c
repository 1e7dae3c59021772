/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/guard_journal.h"

#include "base/text.h"
#include "daemon/log.h"
#include "model/host.h"
#include "sys/files.h"
#include "sys/loop.h"
#include "wire/host_json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRECTORY "/run/sallyport"
/* A full table of the Internet's routes has not a hundredth of it. */
#define JOURNAL_MAX ((size_t)256 << 20)
#define LATE_MS     (3600 * 1000)
#define STARTTIME   22 /* its number among the fields of proc_pid_stat(5) */

/* No gate can have a dot in its name. */
static const char *const paths[] = { DIRECTORY "/guard.trial", DIRECTORY "/guard.trial-beside" };

/* --- processes -------------------------------------------------------------------------- */

struct journal_process journal_process_of(pid_t pid)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct journal_process p = { 0 };
	const char *text, *rest;
	struct err e;
	size_t size;

	if (pid <= 0 || file_read(&a, arena_printf(&a, "/proc/%d/stat", (int)pid), FILE_READ_MAX,
				  &text, &size, &e) < 0)
		return p;
	/* A name may have blanks and brackets in it. */
	rest = strrchr(text, ')');
	if (!rest || rest[1] != ' ' || rest[2] == 'Z' || rest[2] == 'X')
		return p;
	for (int field = 2; rest && field < STARTTIME; field++)
		rest = strchr(rest + 1, ' ');
	if (rest)
		p = (struct journal_process){ .pid = pid, .began = strtoull(rest, NULL, 10) };
	return p;
}

bool journal_process_lives(const struct journal_process *p)
{
	struct journal_process now = journal_process_of(p->pid);

	return p->pid && now.pid == p->pid && now.began == p->began;
}

bool journal_lives(const struct journal *j)
{
	return journal_process_lives(&j->guard) || journal_process_lives(&j->watchdog);
}

bool journal_is_orphan(const struct journal *j)
{
	return !j->kept && !journal_lives(j);
}

/* --- the file ------------------------------------------------------------------------------ */

/* Where it counts: the boot and the network namespace. */
static const char *place(struct arena *a)
{
	const char *boot = "";
	struct stat net = { 0 };
	struct err e;
	size_t size;

	if (file_read(a, "/proc/sys/kernel/random/boot_id", FILE_READ_MAX, &boot, &size, &e) < 0 ||
	    stat("/proc/self/ns/net", &net) < 0)
		return "";
	return arena_printf(a, "%.*s %llu", (int)strcspn(boot, "\n"), boot,
			    (unsigned long long)net.st_ino);
}

static json_t *encode_process(const struct journal_process *p)
{
	return json_pack("{sisI}", "pid", (int)p->pid, "began", (json_int_t)p->began);
}

static json_t *encode_texts(const char *const *texts, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_string(texts[i]));
	return list;
}

static json_t *encode_lan(const struct journal *j)
{
	json_t *list = json_array();
	char text[PREFIX_TEXT_SIZE];

	for (size_t i = 0; i < j->n_lan; i++)
		json_array_append_new(list, json_string(prefix_text(&j->lan[i], text)));
	return list;
}

static json_t *encode_before(const struct host_before *b)
{
	struct text net CLEANUP_TEXT = { 0 };
	struct host host = { .net = b->net };
	json_t *policies = json_array();
	size_t n = 0;

	while (b->command && b->command[n])
		n++;
	for (size_t i = 0; i < b->n_policies; i++)
		json_array_append_new(policies, json_integer(b->policies[i].index));
	host_json_write(&net, &host);
	return json_pack("{sssosososs?so}", "net", text_str(&net), "nft",
			 encode_texts(b->nft, b->n_nft), "policies", policies, "command",
			 encode_texts(b->command, n), "token", b->token, "names",
			 resolver_encode(&b->resolver));
}

static json_t *encode(const struct journal *j)
{
	struct arena a CLEANUP_ARENA = { 0 };

	return json_pack("{sssososIsIsIsIsssssbsbsoso}", "place", place(&a), "guard",
			 encode_process(&j->guard), "watchdog", encode_process(&j->watchdog),
			 "since", (json_int_t)j->since, "confirm_ms", (json_int_t)j->confirm_ms,
			 "armed", (json_int_t)j->armed, "ends", (json_int_t)j->ends, "proof",
			 j->proof ? j->proof : "", "from", j->from ? j->from : "", "kept", j->kept,
			 "undoing", j->undoing, "lan", encode_lan(j), "before",
			 encode_before(&j->before));
}

int journal_write(const struct journal *j, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *path = paths[j->beside];
	const char *fresh = arena_printf(&a, "%s.new", path);
	json_t *root = encode(j);
	char *text = root ? json_dumps(root, 0) : NULL;
	int r;

	json_decref(root);
	if (!text)
		return err_set(e, EILSEQ, "%s: something here is no UTF-8", path);
	r = file_mkdirs(DIRECTORY, 0755, e);
	if (r == 0)
		r = file_write(fresh, text, e);
	free(text);
	/* Nobody reads half of it. */
	if (r == 0 && rename(fresh, path) < 0)
		r = err_errno(e, errno, "%s", path);
	return r;
}

static const char *decode_text(struct arena *a, const json_t *from, const char *key)
{
	const char *s = json_string_value(json_object_get(from, key));

	return s ? arena_strdup(a, s) : NULL;
}

static struct journal_process decode_process(const json_t *from)
{
	return (struct journal_process){
		.pid = (pid_t)json_integer_value(json_object_get(from, "pid")),
		.began = (uint64_t)json_integer_value(json_object_get(from, "began"))
	};
}

/* In @a, with NULL at the end. */
static const char **decode_texts(struct arena *a, const json_t *list, size_t *ret_n)
{
	size_t n = json_array_size(list), i;
	const char **texts = arena_alloc(a, (n + 1) * sizeof(*texts));
	const json_t *item;

	json_array_foreach(list, i, item)
		texts[i] = arena_strdup(a, json_is_string(item) ? json_string_value(item) : "");
	texts[n] = NULL;
	*ret_n = n;
	return texts;
}

static bool decode_net(struct arena *a, const json_t *from, struct snapshot *ret)
{
	const char *text = decode_text(a, from, "net");
	struct host host = { 0 };
	struct json_in j;
	struct err e;

	if (!text)
		return false;
	json_in_start(&j, a, "", text, strlen(text), &e);
	if (!host_json_read(&j, &host))
		return false;
	*ret = host.net;
	return true;
}

static bool decode_before(struct arena *a, const json_t *from, struct journal *ret)
{
	struct host_before *b = &ret->before;
	const json_t *item;
	size_t i, n;

	if (!decode_net(a, from, &b->net))
		return false;
	b->token = decode_text(a, from, "token");
	b->nft = decode_texts(a, json_object_get(from, "nft"), &b->n_nft);
	b->command = decode_texts(a, json_object_get(from, "command"), &n);
	b->n_policies = json_array_size(json_object_get(from, "policies"));
	b->policies = arena_alloc(a, (b->n_policies + 1) * sizeof(*b->policies));
	json_array_foreach(json_object_get(from, "policies"), i, item) b->policies[i] =
		(struct xfrm_policy){ .index = (uint32_t)json_integer_value(item) };
	ret->names_since = !resolver_decode(a, json_object_get(from, "names"), &b->resolver);
	return b->token && n;
}

static void decode_lan(struct arena *a, const json_t *list, struct journal *ret)
{
	struct prefix *lan = arena_alloc(a, (json_array_size(list) + 1) * sizeof(*lan));
	const json_t *item;
	size_t i;

	json_array_foreach(list, i, item) if (json_is_string(item) &&
					      prefix_parse(json_string_value(item), false,
							   &lan[ret->n_lan])) ret->n_lan++;
	ret->lan = lan;
}

static bool decode(struct arena *a, const json_t *from, struct journal *ret)
{
	const char *where = json_string_value(json_object_get(from, "place"));

	if (!where || !*where || !str_eq(where, place(a)))
		return false;
	ret->guard = decode_process(json_object_get(from, "guard"));
	ret->watchdog = decode_process(json_object_get(from, "watchdog"));
	ret->since = json_integer_value(json_object_get(from, "since"));
	ret->confirm_ms = json_integer_value(json_object_get(from, "confirm_ms"));
	ret->armed = json_integer_value(json_object_get(from, "armed"));
	ret->ends = json_integer_value(json_object_get(from, "ends"));
	ret->proof = decode_text(a, from, "proof");
	ret->from = decode_text(a, from, "from");
	ret->kept = json_is_true(json_object_get(from, "kept"));
	ret->undoing = json_is_true(json_object_get(from, "undoing"));
	decode_lan(a, json_object_get(from, "lan"), ret);
	return ret->proof && ret->from && decode_before(a, json_object_get(from, "before"), ret);
}

bool journal_read(struct arena *a, bool beside, struct journal *ret)
{
	struct journal j = { .beside = beside };
	const char *text;
	struct err ignored;
	json_t *root;
	size_t size;
	bool good;

	if (file_read(a, paths[beside], JOURNAL_MAX, &text, &size, &ignored) < 0)
		return false;
	root = json_loads(text, 0, NULL);
	good = root && decode(a, root, &j);
	json_decref(root);
	if (good)
		*ret = j;
	return good;
}

void journal_remove(bool beside, const char *token)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct journal j;

	if (journal_read(&a, beside, &j) && str_eq(j.before.token, token))
		(void)unlink(paths[beside]);
}

/* --- what is left of a trial ----------------------------------------------------------------- */

const char *journal_command(struct arena *a, const struct journal *j)
{
	const char *words = "";

	for (size_t i = 0; j->before.command[i]; i++)
		words = arena_printf(a, "%s%s%s", words, i ? " " : "", j->before.command[i]);
	return words;
}

/* Who has taken over what cannot be told apart any more. */
static bool is_late(const struct journal *j)
{
	return clock_ms() - (j->ends ? j->ends : j->armed + j->confirm_ms) > LATE_MS;
}

int journal_undo(const struct journal *j, struct err *e)
{
	struct journal marked = *j;
	struct err ignored;
	int r = 0;

	marked.watchdog = journal_process_of(getpid());
	marked.undoing = true;
	if (journal_write(&marked, &ignored) < 0)
		log_say(GUARD_WHO, "%s", ignored.text);
	if (!is_late(j)) {
		r = undo_all(&j->before, e);
	} else {
		(void)undo_run_command(&j->before);
		(void)undo_processes(&j->before);
		if (!j->names_since)
			r = resolver_restore(&j->before.resolver, true, e);
	}
	journal_remove(j->beside, j->before.token);
	return r;
}

/* --- for guard --status ---------------------------------------------------------------------- */

static const char *state_of(const struct journal *j)
{
	if (j->undoing)
		return "undone";
	if (j->kept)
		return "kept";
	if (!journal_lives(j))
		return "dead";
	return j->ends ? "runs" : "waits";
}

static json_t *trial_json(const struct journal *j)
{
	struct arena a CLEANUP_ARENA = { 0 };
	bool runs = !j->kept && !j->undoing && journal_lives(j);
	bool person = runs && journal_process_lives(&j->guard);
	int64_t left = j->ends - clock_ms();
	json_t *seconds = !runs || !j->ends ? json_null()
					    : json_integer(left > 0 ? (left + 999) / 1000 : 0);

	return json_pack("{s:s, s:s, s:i, s:s, s:b, s:I, s:I, s:o, s:s, s:b, s:o}", "command",
			 journal_command(&a, j), "state", state_of(j), "pid", (int)j->guard.pid,
			 "from", j->from, "beside", j->beside, "since", (json_int_t)j->since,
			 "seconds", (json_int_t)(j->confirm_ms / 1000), "seconds_left", seconds,
			 "proof", j->proof, "yes", person, "lan", encode_lan(j));
}

json_t *journal_status(void)
{
	json_t *list = json_array();

	for (int beside = 0; beside < 2; beside++) {
		struct arena a CLEANUP_ARENA = { 0 };
		struct journal j;

		if (journal_read(&a, beside, &j))
			json_array_append_new(list, trial_json(&j));
	}
	return list;
}
