/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/complete.h"

#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

/* --- what a usage says ------------------------------------------------------------------- */

/*
 * The word at @s without the brackets and dots around it; "GATE[.ROOM]" is one, with those
 * inside, and "GATE|FILE", but "--docker|--podman" are two.  @ret_next: where the next begins.
 */
static const char *take_word(struct arena *a, const char *s, const char **ret_next)
{
	const char *word = s + strspn(s, "[ ");
	size_t len = strcspn(word, *word == '-' ? "| " : " "), inside = strcspn(word, "[]. ");

	inside = inside < len ? inside : len;
	*ret_next = word + len + (word[len] == '|') + strspn(word + len, " ");
	if (word[inside] == '[' && word[inside + 1] != '=')
		return arena_strndup(a, word, strcspn(word, "] ") + 1);
	if (inside && inside < len && word[inside - 1] == ',')
		inside--;
	return arena_strndup(a, word, inside);
}

/* @word is "--publish" or "-p". */
static const struct option *find_flag(const struct verb *v, const char *word)
{
	for (const struct option *f = v->flags; f && f->name; f++)
		if (str_starts(word, "--")
			    ? str_eq(word + 2, f->name)
			    : *word == '-' && word[1] && !word[2] && f->val == word[1])
			return f;
	return NULL;
}

const char *usage_value(struct arena *a, const struct verb *v, const struct option *flag)
{
	const char *s = v->usage;

	while (*s) {
		const char *at = s;

		if (find_flag(v, take_word(a, at, &s)) != flag)
			continue;
		if (flag->has_arg == no_argument)
			return "";
		if (flag->has_arg == required_argument)
			return take_word(a, s, &s);
		at = strstr(at, "[=");
		return at ? take_word(a, at + 2, &s) : NULL;
	}
	return NULL;
}

/* Another way to call the verb begins here: "FILE | --routes PREFIX", but not inside of brackets. */
static bool is_other_way(const char *usage, const char *s)
{
	int depth = 0;

	for (const char *c = usage; c < s; c++)
		depth += (*c == '[') - (*c == ']');
	return !depth && (str_starts(s, "| ") || str_starts(s, "< "));
}

const char *usage_argument(struct arena *a, const struct verb *v, size_t n)
{
	const char *s = v->usage, *word;

	for (take_word(a, s, &s); *s && !is_other_way(v->usage, s);) {
		const struct option *flag = find_flag(v, word = take_word(a, s, &s));

		if (flag && flag->has_arg == required_argument)
			take_word(a, s, &s);
		if (isalpha((unsigned char)*word) && n-- == 0)
			return word;
	}
	return NULL;
}

/* --- where the cursor is ------------------------------------------------------------------ */

struct cursor {
	const struct verb *verb;
	const struct option *flag; /* whose value is typed; NULL */
	size_t n_arguments; /* before it */
	size_t command; /* the index of a command's first word; 0: none yet */
	bool flags_ended; /* by "--" */
	struct complete_words words;
};

static bool takes_command(struct arena *a, const struct verb *v, size_t n_arguments)
{
	const char *word = usage_argument(a, v, n_arguments);

	return word && str_eq(word, "COMMAND");
}

static void note_value(struct arena *a, struct cursor *c, const struct option *flag,
		       const char *value)
{
	struct complete_words *w = &c->words;

	if (str_eq(flag->name, "engine"))
		w->engine = value;
	else if (str_eq(flag->name, "vpn"))
		*arena_push(a, w->vpn, w->n_vpn, w->cap_vpn) = value;
}

/* "--name=value" and "-p80", too. @ret_value: what is behind it in the same word, or NULL. */
static const struct option *flag_of(struct arena *a, const struct verb *v, const char *word,
				    const char **ret_value)
{
	bool is_long = str_starts(word, "--");
	size_t len = is_long ? strcspn(word, "=") : 2;
	const struct option *flag;

	*ret_value = NULL;
	if (*word != '-' || strlen(word) < 2)
		return NULL;
	flag = find_flag(v, arena_strndup(a, word, len));
	if (flag && word[len])
		*ret_value = word + len + is_long;
	return flag;
}

/* @words: all behind "sallyport", the last one as far as it is typed. */
static void find_cursor(struct arena *a, char **words, size_t n, struct cursor *ret)
{
	const char *value;

	for (size_t i = 1; i + 1 < n && !ret->command; i++) {
		const struct option *flag =
			ret->flags_ended ? NULL : flag_of(a, ret->verb, words[i], &value);

		if (flag && (value || flag->has_arg != required_argument)) {
			note_value(a, ret, flag, value ? value : "");
		} else if (flag && i + 2 == n) {
			ret->flag = flag;
		} else if (flag) {
			note_value(a, ret, flag, words[++i]);
		} else if (str_eq(words[i], "--")) {
			ret->flags_ended = true;
			if (takes_command(a, ret->verb, ret->n_arguments))
				ret->command = i + 1;
		} else if (takes_command(a, ret->verb, ret->n_arguments)) {
			ret->command = i;
		} else if (*words[i] != '-') {
			ret->n_arguments++;
		}
	}
}

/* --- what may stand there ------------------------------------------------------------------ */

void complete_add(struct complete_answer *out, const char *word, const char *what)
{
	if (!str_starts(word, out->typed))
		return;
	text_addf(&out->text, "%s%s%s%s\n", out->before, word, what ? "\t" : "", what ? what : "");
}

static void add_verbs(struct complete_answer *out)
{
	size_t n;
	const struct verb *const *verbs = cli_verbs(&n);

	for (size_t i = 0; i < n; i++)
		complete_add(out, verbs[i]->name, verbs[i]->words);
	complete_add(out, "help", "what a command takes");
	complete_add(out, "--help", NULL);
	complete_add(out, "--version", NULL);
}

/* @only: nothing stands before it. */
static void add_flags(struct complete_answer *out, const struct cursor *c, bool only)
{
	for (const struct option *f = c->verb->flags; f && f->name; f++)
		complete_add(out, arena_printf(out->a, "--%s", f->name), NULL);
	if (only)
		complete_add(out, "--help", NULL);
	if (takes_command(out->a, c->verb, c->n_arguments))
		complete_add(out, "--", "the command follows");
}

/* "--flag=VAL" in one word; false if it is none. */
static bool add_joined(struct complete_answer *out, const struct cursor *c)
{
	const char *value, *typed = out->typed;
	const struct option *flag = flag_of(out->a, c->verb, typed, &value);

	if (!flag || !value || flag->has_arg == no_argument || !str_starts(typed, "--"))
		return false;
	out->before = arena_strndup(out->a, typed, (size_t)(value - typed));
	out->typed = value;
	complete_value(out, &c->words, usage_value(out->a, c->verb, flag));
	return true;
}

static void add_argument(struct complete_answer *out, const struct cursor *c)
{
	if (takes_command(out->a, c->verb, c->n_arguments))
		complete_add(out, "--", "the command follows");
	else
		complete_value(out, &c->words, usage_argument(out->a, c->verb, c->n_arguments));
}

static const struct verb *verb_of(const char *name)
{
	size_t n;
	const struct verb *const *verbs = cli_verbs(&n);

	for (size_t i = 0; i < n; i++)
		if (str_eq(verbs[i]->name, name))
			return verbs[i];
	return NULL;
}

static void answer(struct complete_answer *out, char **words, size_t n)
{
	struct cursor c = { 0 };

	out->typed = n ? words[n - 1] : "";
	out->before = "";
	if (n < 2 || (n == 2 && str_eq(words[0], "help"))) {
		add_verbs(out);
		return;
	}
	c.verb = verb_of(words[0]);
	if (!c.verb)
		return;
	c.words.verb = words[0];
	find_cursor(out->a, words, n, &c);
	if (!c.command && !c.flag && !c.flags_ended && *out->typed && *out->typed != '-' &&
	    takes_command(out->a, c.verb, c.n_arguments))
		c.command = n - 1;
	if (c.command)
		text_addf(&out->text, ":command %zu\n", c.command);
	else if (c.flag)
		complete_value(out, &c.words, usage_value(out->a, c.verb, c.flag));
	else if (*out->typed != '-' || c.flags_ended)
		add_argument(out, &c);
	else if (!add_joined(out, &c))
		add_flags(out, &c, n == 2);
}

static int complete(int argc, char **argv)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct complete_answer out = { .a = &a };

	if (argc < 2 || !str_eq(argv[1], "--"))
		return cli_usage(&verb_complete, "complete takes the words behind --");
	answer(&out, argv + 2, (size_t)argc - 2);
	fputs(text_str(&out.text), stdout);
	if (out.files)
		puts(":files");
	text_free(&out.text);
	return 0;
}

const struct verb verb_complete = {
	.name = "complete",
	.usage = "complete -- WORD...",
	.words = "what may come next on such a command line, for the shells",
	.run = complete,
};
