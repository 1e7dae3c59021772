/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/record.h"

#include "model/snapshot.h"
#include "wire/json_out.h"

#include <stdio.h>
#include <string.h>

/* --- members ------------------------------------------------------------------ */

static uint64_t load(const struct field *f, const void *item)
{
	const char *p = (const char *)item + f->at;
	uint64_t n = 0;
	uint32_t n32;
	uint16_t n16;

	switch (f->size) {
	case 1:
		return *(const uint8_t *)p;
	case 2:
		memcpy(&n16, p, sizeof(n16));
		return n16;
	case 4:
		memcpy(&n32, p, sizeof(n32));
		return n32;
	}
	memcpy(&n, p, sizeof(n));
	return n;
}

static void store(const struct field *f, void *item, uint64_t n)
{
	char *p = (char *)item + f->at;
	uint8_t n8 = (uint8_t)n;
	uint16_t n16 = (uint16_t)n;
	uint32_t n32 = (uint32_t)n;

	memcpy(p,
	       f->size == 1   ? (const void *)&n8
	       : f->size == 2 ? (const void *)&n16
	       : f->size == 4 ? (const void *)&n32
			      : (const void *)&n,
	       f->size);
}

static bool has(const struct field *f, const void *item)
{
	return !f->has || *(const bool *)((const char *)item + f->has);
}

static const char *string_of(const struct field *f, const void *item)
{
	const char *s;

	memcpy(&s, (const char *)item + f->at, sizeof(s));
	return s ? s : "";
}

static size_t count(const struct field *f, const void *item)
{
	size_t n;

	memcpy(&n, (const char *)item + f->n_at, sizeof(n));
	return n;
}

static bool same(const struct field *f, const void *a, const void *b)
{
	const char *x = (const char *)a + f->at, *y = (const char *)b + f->at;

	switch (f->kind) {
	case FIELD_CHARS:
		return str_eq(x, y);
	case FIELD_STRING:
	case FIELD_WORD:
		return str_eq(string_of(f, a), string_of(f, b));
	case FIELD_LIST:
		return count(f, a) == count(f, b);
	case FIELD_IP:
	case FIELD_PREFIX:
	case FIELD_MATCH:
		/* Its family comes first, and none of it counts without one. */
		return !memcmp(x, y, sizeof(sa_family_t));
	case FIELD_BOOL:
	case FIELD_NUMBER:
	case FIELD_INT:
	case FIELD_MAC:
	case FIELD_RANGE:
	case FIELD_NAME:
	case FIELD_BITS:
	case FIELD_NULL:
	case FIELD_OBJECT:
		break;
	}
	return memcmp(x, y, f->size) == 0;
}

static const char *name_of(const struct field *f, uint64_t number)
{
	for (size_t i = 0; i < f->n_names; i++)
		if (f->names[i].number == number)
			return f->names[i].name;
	return NULL;
}

/* --- writing --------------------------------------------------------------------- */

static void write_name(struct text *t, const struct field *f, uint64_t n)
{
	const char *name = name_of(f, n);

	if (name)
		json_out_string(t, name);
	else
		text_addf(t, "%llu", (unsigned long long)n);
}

static void write_bits(struct text *t, const struct field *f, uint64_t bits)
{
	const char *comma = "";

	text_add(t, "[");
	for (size_t i = 0; i < f->n_names; i++) {
		if (!(bits & f->names[i].number))
			continue;
		text_add(t, comma);
		json_out_string(t, f->names[i].name);
		comma = ", ";
	}
	text_add(t, "]");
}

static void write_list(struct text *t, const struct field *f, const void *item, bool indent)
{
	size_t n = count(f, item);
	const char *items;

	memcpy(&items, (const char *)item + f->at, sizeof(items));
	text_add(t, "[");
	for (size_t i = 0; i < n; i++) {
		text_add(t, i ? "," : "");
		text_add(t, indent ? "\n    " : i ? " " : "");
		record_write(t, f->of, items + i * f->of->size, false);
	}
	text_add(t, indent ? "\n  ]" : "]");
}

static void write_value(struct text *t, const struct field *f, const void *item, bool indent)
{
	const char *p = (const char *)item + f->at;
	struct rule_range range;
	char buf[PREFIX_TEXT_SIZE];

	switch (f->kind) {
	case FIELD_BOOL:
		text_add(t, *(const bool *)p ? "true" : "false");
		break;
	case FIELD_NUMBER:
		text_addf(t, "%llu", (unsigned long long)load(f, item));
		break;
	case FIELD_INT:
		text_addf(t, "%d", (int)load(f, item));
		break;
	case FIELD_CHARS:
		json_out_string(t, p);
		break;
	case FIELD_STRING:
	case FIELD_WORD:
		json_out_string(t, string_of(f, item));
		break;
	case FIELD_NULL:
		text_add(t, "null");
		break;
	case FIELD_OBJECT:
		record_write(t, f->of, p, false);
		break;
	case FIELD_IP:
		json_out_string(t, ip_text((const void *)p, buf));
		break;
	case FIELD_PREFIX:
	case FIELD_MATCH:
		json_out_string(t, prefix_text((const void *)p, buf));
		break;
	case FIELD_MAC:
		text_add(t, "\"");
		text_add_mac(t, (const uint8_t *)p);
		text_add(t, "\"");
		break;
	case FIELD_RANGE:
		memcpy(&range, p, sizeof(range));
		text_addf(t, "[%u, %u]", range.first, range.last);
		break;
	case FIELD_NAME:
		write_name(t, f, load(f, item));
		break;
	case FIELD_BITS:
		write_bits(t, f, load(f, item));
		break;
	case FIELD_LIST:
		write_list(t, f, item, indent);
		break;
	}
}

void record_write(struct text *t, const struct record *r, const void *item, bool indent)
{
	_Alignas(16) char fresh[1024] = { 0 };
	const char *comma = "";

	if (r->fresh)
		r->fresh(fresh);
	if (!r->fields[0].key) {
		write_value(t, &r->fields[0], item, false);
		return;
	}
	text_add(t, "{");
	for (size_t i = 0; i < r->n_fields; i++) {
		const struct field *f = &r->fields[i];

		if (f->has ? !has(f, item) : !f->needed && same(f, item, fresh))
			continue;
		text_addf(t, "%s%s\"%s\": ", comma, indent ? "\n  " : *comma ? " " : "", f->key);
		write_value(t, f, item, indent);
		comma = ",";
	}
	text_add(t, indent ? "\n}\n" : "}");
}

/* --- reading ------------------------------------------------------------------------ */

static bool read_number(struct json_in *j, const struct field *f, void *item)
{
	uint64_t max = f->max ? f->max : UINT64_MAX >> (64 - 8 * f->size);
	uint64_t n;

	if (!json_in_number(j, 0, max, &n))
		return false;
	store(f, item, n);
	return true;
}

static bool read_int(struct json_in *j, const struct field *f, void *item)
{
	uint64_t n;

	if (!json_in_number(j, INT32_MIN, INT32_MAX, &n))
		return false;
	store(f, item, n);
	return true;
}

static bool read_chars(struct json_in *j, const struct field *f, void *item)
{
	const char *s;

	if (!json_in_string(j, &s))
		return false;
	if (strlen(s) >= f->size)
		return json_in_fail(j, "\"%s\" is longer than %zu bytes", json_in_quote(j, s),
				    f->size - 1);
	strcpy((char *)item + f->at, s);
	return true;
}

static bool read_string(struct json_in *j, const struct field *f, void *item)
{
	const char *s;

	if (!json_in_string(j, &s))
		return false;
	s = arena_strdup(j->a, s);
	memcpy((char *)item + f->at, &s, sizeof(s));
	return true;
}

static bool read_word(struct json_in *j, const struct field *f, void *item)
{
	const char *s;
	uint64_t n;

	if (json_in_next(j) != JSON_IN_NUMBER)
		return read_string(j, f, item);
	if (!json_in_number(j, 0, UINT64_MAX, &n))
		return false;
	s = arena_printf(j->a, "%llu", (unsigned long long)n);
	memcpy((char *)item + f->at, &s, sizeof(s));
	return true;
}

static bool read_ip(struct json_in *j, const struct field *f, void *item)
{
	struct ip ip;
	const char *s;

	if (!json_in_string(j, &s))
		return false;
	if (!ip_parse(s, &ip))
		return json_in_fail(j, "\"%s\" is no address", json_in_quote(j, s));
	memcpy((char *)item + f->at, &ip, sizeof(ip));
	return true;
}

static bool match_parse(const char *s, struct prefix *ret)
{
	char head[IP_TEXT_SIZE];
	const char *slash = strchr(s, '/');
	uint32_t len;

	if (!slash || (size_t)(slash - s) >= sizeof(head))
		return false;
	snprintf(head, sizeof(head), "%.*s", (int)(slash - s), s);
	if (!ip_parse(head, &ret->ip) || !str_to_u32(slash + 1, ip_bits(ret->ip.family), &len))
		return false;
	ret->len = (uint8_t)len;
	return true;
}

static bool read_prefix(struct json_in *j, const struct field *f, void *item)
{
	struct prefix p = { 0 };
	const char *s;

	if (!json_in_string(j, &s))
		return false;
	if (f->kind == FIELD_MATCH ? !match_parse(s, &p) : !prefix_parse(s, false, &p))
		return json_in_fail(j, "\"%s\" is no prefix", json_in_quote(j, s));
	memcpy((char *)item + f->at, &p, sizeof(p));
	return true;
}

static bool read_mac(struct json_in *j, const struct field *f, void *item)
{
	const char *s;

	if (!json_in_string(j, &s))
		return false;
	if (!str_to_mac(s, (uint8_t *)item + f->at))
		return json_in_fail(j, "\"%s\" is no hardware address", json_in_quote(j, s));
	return true;
}

static bool read_range(struct json_in *j, const struct field *f, void *item)
{
	struct rule_range range;
	uint64_t n[2] = { 0, 0 };
	size_t at, i = 0;

	if (!json_in_list(j))
		return false;
	at = j->value_at;
	for (; json_in_item(j); i++) {
		uint64_t n_i;

		if (!json_in_number(j, 0, f->max ? f->max : UINT32_MAX, &n_i))
			return false;
		if (i < 2)
			n[i] = n_i;
	}
	if (j->failed)
		return false;
	j->value_at = at;
	if (i != 2)
		return json_in_fail(j, "is no range: write [FIRST, LAST]");
	range = (struct rule_range){ (uint32_t)n[0], (uint32_t)n[1] };
	memcpy((char *)item + f->at, &range, sizeof(range));
	return true;
}

static bool number_of(struct json_in *j, const struct field *f, uint32_t *ret)
{
	const char *s;

	if (!json_in_string(j, &s))
		return false;
	for (size_t i = 0; i < f->n_names; i++) {
		if (!str_eq(f->names[i].name, s))
			continue;
		*ret = f->names[i].number;
		return true;
	}
	return json_in_fail(j, "\"%s\" is not known to this version", json_in_quote(j, s));
}

static bool read_name(struct json_in *j, const struct field *f, void *item)
{
	uint32_t n;

	if (json_in_next(j) == JSON_IN_NUMBER)
		return read_number(j, f, item);
	if (!number_of(j, f, &n))
		return false;
	store(f, item, n);
	return true;
}

static bool read_bits(struct json_in *j, const struct field *f, void *item)
{
	uint32_t bits = 0, bit;

	if (!json_in_list(j))
		return false;
	while (json_in_item(j)) {
		if (!number_of(j, f, &bit))
			return false;
		bits |= bit;
	}
	if (j->failed)
		return false;
	store(f, item, bits);
	return true;
}

static bool read_list(struct json_in *j, const struct field *f, void *item)
{
	char *items = NULL;
	size_t n = 0, cap = 0;

	if (!json_in_list(j))
		return false;
	for (; json_in_item(j); n++) {
		if (n == cap)
			items = arena_grow(j->a, items, n, &cap, f->of->size);
		if (!record_read(j, f->of, items + n * f->of->size))
			return false;
	}
	if (j->failed)
		return false;
	memcpy((char *)item + f->at, &items, sizeof(items));
	memcpy((char *)item + f->n_at, &n, sizeof(n));
	return true;
}

static bool read_value(struct json_in *j, const struct field *f, void *item)
{
	switch (f->kind) {
	case FIELD_BOOL:
		return json_in_bool(j, (bool *)((char *)item + f->at));
	case FIELD_NUMBER:
		return read_number(j, f, item);
	case FIELD_INT:
		return read_int(j, f, item);
	case FIELD_CHARS:
		return read_chars(j, f, item);
	case FIELD_STRING:
		return read_string(j, f, item);
	case FIELD_WORD:
		return read_word(j, f, item);
	case FIELD_NULL:
		*(bool *)((char *)item + f->at) = true;
		return json_in_skip(j);
	case FIELD_OBJECT:
		return record_read(j, f->of, (char *)item + f->at);
	case FIELD_IP:
		return read_ip(j, f, item);
	case FIELD_PREFIX:
	case FIELD_MATCH:
		return read_prefix(j, f, item);
	case FIELD_MAC:
		return read_mac(j, f, item);
	case FIELD_RANGE:
		return read_range(j, f, item);
	case FIELD_NAME:
		return read_name(j, f, item);
	case FIELD_BITS:
		return read_bits(j, f, item);
	case FIELD_LIST:
		return read_list(j, f, item);
	}
	return false;
}

static const struct field *find_field(const struct record *r, const char *key, uint64_t *ret_bit)
{
	for (size_t i = 0; i < r->n_fields; i++) {
		if (!str_eq(r->fields[i].key, key))
			continue;
		*ret_bit = (uint64_t)1 << i;
		return &r->fields[i];
	}
	return NULL;
}

static bool read_field(struct json_in *j, const struct record *r, const char *key, void *item,
		       uint64_t *seen)
{
	const struct field *f;
	uint64_t bit = 0;

	f = find_field(r, key, &bit);
	if (!f && r->other) {
		r->other(item, key);
		return json_in_skip(j);
	}
	if (!f)
		return json_in_fail(j, "this version of sallyport knows no such key");
	if (*seen & bit)
		return json_in_fail(j, "is there twice");
	*seen |= bit;
	if (f->has)
		*(bool *)((char *)item + f->has) = true;
	return read_value(j, f, item);
}

static bool finish(struct json_in *j, const struct record *r, void *item, uint64_t seen)
{
	const char *wrong;

	for (size_t i = 0; i < r->n_fields; i++) {
		const struct field *f = &r->fields[i];
		const char *none = "";

		if (seen & (uint64_t)1 << i)
			continue;
		if (f->needed)
			return json_in_fail(j, "has no \"%s\"", f->key);
		if (f->kind == FIELD_STRING || f->kind == FIELD_WORD)
			memcpy((char *)item + f->at, &none, sizeof(none));
	}
	wrong = r->finish ? r->finish(item) : NULL;
	return wrong ? json_in_fail(j, "%s", wrong) : true;
}

bool record_read(struct json_in *j, const struct record *r, void *item)
{
	uint64_t seen = 0;
	const char *key;
	size_t at;

	if (r->fresh)
		r->fresh(item);
	if (!r->fields[0].key)
		return read_value(j, &r->fields[0], item);
	if (!json_in_object(j))
		return false;
	at = j->value_at;
	while (json_in_key(j, &key))
		if (!read_field(j, r, key, item, &seen))
			return false;
	if (j->failed)
		return false;
	j->value_at = at;
	return finish(j, r, item, seen);
}
