/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ip(8) names links, not their indices, and shows neither the family of a rule
 * nor that of a default route.  So the texts are read twice, links first, and
 *
 *  - a route is IPv6 if an address in it is, or if it has a "pref", which the
 *    kernel gives every IPv6 route (rt6_fill_node()) and no other;
 *  - a list of rules is of the family of the addresses in it, and the other
 *    list then of the other family.  Without an address the one that has rule
 *    32767, which only IPv4 is born with, is IPv4's; and of two that tell
 *    nothing the first, as the manual asks for them.
 *
 * What is absent has the value for which ip(8) leaves it out (iproute.c,
 * iprule.c, ipaddress.c of iproute2).
 */
#include "wire/ip_json.h"

#include "wire/ip_json_reader.h"

#include <errno.h>

/* What a list is about, by the first object that is not empty. */
static const struct ip_kind *kind_of(const struct json_in *begin)
{
	struct json_in j = *begin;
	const struct ip_kind *kind = NULL;
	struct err ignored;
	const char *key;

	j.e = &ignored;
	if (!json_in_list(&j))
		return NULL;
	while (!kind && json_in_item(&j)) {
		if (!json_in_object(&j))
			return NULL;
		while (json_in_key(&j, &key)) {
			if (str_eq(key, "ifname") || str_eq(key, "ifindex"))
				kind = &ip_links;
			else if (str_eq(key, "priority"))
				kind = &ip_rules;
			else if (str_eq(key, "dst"))
				kind = kind ? kind : &ip_routes;
			if (!json_in_skip(&j))
				return NULL;
		}
	}
	return kind;
}

static bool read_list(struct ip_reader *r, const struct ip_text *text, bool links)
{
	const struct ip_kind *kind = kind_of(r->j);

	if (kind == &ip_links && links) {
		if (r->h->parts & HOST_LINKS)
			return json_in_fail(r->j, "a second list of links");
		r->h->parts |= HOST_LINKS | HOST_LINK_KINDS;
		return ip_read_items(r, &ip_links);
	}
	if (kind == &ip_routes && !links)
		return ip_read_routes(r);
	if (kind == &ip_rules && !links)
		return ip_read_rules(r, text);
	r->j->value_at = r->j->at;
	if (json_in_next(r->j) != JSON_IN_LIST)
		return json_in_fail(r->j, "neither a snapshot of sallyport nor what "
					  "`ip -j addr`, `ip -j route` or `ip -j rule` prints");
	/* Of the other round; with an empty one nothing is said. */
	if (!kind && links) {
		struct json_in j = *r->j;
		struct err ignored;

		j.e = &ignored;
		if (json_in_list(&j) && json_in_item(&j) && !ip_is_empty(&j) && !j.failed)
			return json_in_skip(r->j) &&
			       json_in_fail(r->j, "is not what `ip -j addr`, `ip -j route` or "
						  "`ip -j rule` prints");
	}
	return json_in_skip(r->j);
}

static bool read_texts(struct ip_reader *r, const struct ip_text *texts, size_t n, bool links,
		       struct err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct json_in j;

		r->j = &j;
		json_in_start(&j, r->a, texts[i].file, texts[i].text, texts[i].size, e);
		while (json_in_next(&j) != JSON_IN_END)
			if (!read_list(r, &texts[i], links))
				return false;
	}
	return true;
}

int ip_json_read(struct arena *a, const struct ip_text *texts, size_t n, struct host *ret,
		 struct err *e)
{
	struct host h = { .name = "",
			  .place = "",
			  .kernel = "",
			  .version = "",
			  .taken = "",
			  .nft = "",
			  .dnat = "" };
	struct ip_reader r = { .a = a, .h = &h };
	bool good = read_texts(&r, texts, n, true, e);
	int status;

	if (good && !(h.parts & HOST_LINKS))
		return err_set(e, EINVAL,
			       "%s: there are no links in it: give the output of `ip -d -j addr`, "
			       "`ip -j route show table all`, `ip -j rule` and `ip -j -6 rule`",
			       texts[0].file);
	if (good && ip_settle_links(&r, texts[0].file, e) < 0)
		return -EINVAL;
	good = good && read_texts(&r, texts, n, false, e);
	arena_free(&r.brief);
	if (!good)
		return -EINVAL;
	status = ip_settle_families(&r, e);
	if (status == 0)
		status = ip_check_tables(&r, texts[0].file, e);
	if (status < 0)
		return status;
	*ret = h;
	return 0;
}
