/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"
#include "must.h"
#include "wire/config.h"

#include <string.h>

/*
 * What is rewritten has the same lines, nothing left to leave out, and the
 * same remotes in the same lines.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t count_lines(const char *text, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\n';
	return n;
}

static void check_same(const struct ovpn_conf *a, const struct ovpn_conf *b)
{
	must(a->n_remotes == b->n_remotes);
	for (size_t i = 0; i < a->n_remotes; i++) {
		must(str_eq(a->remotes[i].host, b->remotes[i].host));
		must(str_eq(a->remotes[i].proto, b->remotes[i].proto));
		must(a->remotes[i].port == b->remotes[i].port);
		must(a->remotes[i].line == b->remotes[i].line);
	}
	must(!a->auth_user_pass == !b->auth_user_pass);
	for (size_t i = 0; i < b->n_warnings; i++)
		must(!strstr(b->warnings[i], "is left out"));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	CLEANUP_ARENA struct arena a = { 0 };
	struct ovpn_conf conf, again;
	const char *text, *twice;
	size_t text_size, twice_size;
	struct err e;

	if (ovpnconf_read(&a, "f", (const char *)data, size, &conf, &e) < 0) {
		must_be_told_of("f:", &e);
		return 0;
	}
	must(conf.n_remotes);
	must(ovpnconf_rewrite(&a, (const char *)data, size, &text, &text_size) == 0);
	must(count_lines(text, text_size) == count_lines((const char *)data, size));
	must(ovpnconf_read(&a, "f", text, text_size, &again, &e) == 0);
	check_same(&conf, &again);
	must(ovpnconf_rewrite(&a, text, text_size, &twice, &twice_size) == 0);
	must(twice_size == text_size && memcmp(twice, text, text_size) == 0);
	return 0;
}
