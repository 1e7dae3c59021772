/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/ip_json_reader.h"

#include "wire/ip_words.h"

#include <string.h>

/* Items between two clearings of what was read on the way. */
#define ITEMS_A_TIME 1024

void ip_pass_over(void *item, const char *key)
{
	(void)item;
	(void)key;
}

static const struct field string_fields[] = { { NULL, FIELD_STRING,
						.size = sizeof(const char *) } };
const struct record ip_string_record = { sizeof(const char *), string_fields,
					 ARRAY_LEN(string_fields) };

bool ip_read_number(struct json_in *j, const struct ip_words *words, const char *what,
		    const char *word, uint32_t *ret)
{
	if (ip_word(words, word, ret))
		return true;
	return json_in_fail(j,
			    "%s \"%s\" is a name that only that host knows; `ip -N` prints numbers",
			    what, json_in_quote(j, word));
}

bool ip_copy_name(struct json_in *j, const char *what, const char *from, char *to, size_t size)
{
	if (strlen(from) >= size)
		return json_in_fail(j, "%s \"%s\" is longer than %zu bytes", what,
				    json_in_quote(j, from), size - 1);
	strcpy(to, from);
	return true;
}

bool ip_read_ip(struct json_in *j, const char *word, struct ip *ret)
{
	return ip_parse(word, ret) ||
	       json_in_fail(j, "\"%s\" is no address", json_in_quote(j, word));
}

bool ip_is_empty(const struct json_in *at)
{
	struct json_in j = *at;
	const char *key;
	struct err ignored;

	j.e = &ignored;
	return json_in_object(&j) && !json_in_key(&j, &key) && !j.failed;
}

bool ip_read_items(struct ip_reader *r, const struct ip_kind *kind)
{
	struct json_in *j = r->j;
	struct arena *home = j->a;
	bool good = true;

	if (!json_in_list(j))
		return false;
	for (size_t i = 1; good && json_in_item(j); i++) {
		void *item;

		if (ip_is_empty(j)) {
			good = json_in_skip(j);
			continue;
		}
		/* Words are looked at once: their memory comes back every so often. */
		if (i % ITEMS_A_TIME == 0) {
			arena_free(&r->brief);
			j->word = NULL;
			j->word_len = j->word_cap = 0;
		}
		j->a = &r->brief;
		item = arena_alloc(j->a, kind->record->size);
		good = record_read(j, kind->record, item) && kind->take(r, item);
	}
	j->a = home;
	j->word = NULL;
	j->word_len = j->word_cap = 0;
	arena_free(&r->brief);
	return good && !j->failed;
}
