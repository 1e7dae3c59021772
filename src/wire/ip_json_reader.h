/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_IP_JSON_READER_H
#define WIRE_IP_JSON_READER_H

#include "wire/ip_json.h"
#include "wire/record.h"

struct ip_words;

/*
 * What the parts of the reader of ip(8)'s texts have in common: ip_json.c
 * takes the texts apart, and links, routes and rules are each read by a file
 * of their own.  All of them return false with the message told by @j.
 */
struct ip_rules {
	struct rule *items;
	size_t n, cap;
	sa_family_t family; /* 0: not known yet */
	bool has_default; /* the rule of IPv4 that IPv6 is born without */
	size_t at; /* where the list begins in its text */
	const struct ip_text *text;
};

/* Of one link; "" for none. */
struct ip_names {
	const char *peer, *master;
};

struct ip_reader {
	struct arena *a;
	struct arena brief; /* for one item */
	struct json_in *j;
	struct host *h;
	struct ip_names *names; /* one for each link */
	size_t n_names, cap_names;
	const struct link **by_name; /* all links, in order of name */
	struct ip_rules rules[2];
	size_t n_rules;
	bool has_routes[2]; /* IPv4, IPv6 */
};

/* What the objects of a list are, and how one of them comes into the host. */
struct ip_kind {
	const struct record *record;
	bool (*take)(struct ip_reader *r, const void *item);
};

extern const struct ip_kind ip_links, ip_routes, ip_rules;

/* The list that @r->j stands before. */
bool ip_read_items(struct ip_reader *r, const struct ip_kind *kind);
bool ip_read_routes(struct ip_reader *r);
bool ip_read_rules(struct ip_reader *r, const struct ip_text *text);

/* Peers and masters are named, and may be named before they come: once, after all links. */
int ip_settle_links(struct ip_reader *r, const char *file, struct err *e);
/* NULL if there is none; not before ip_settle_links(). */
const struct link *ip_link_called(const struct ip_reader *r, const char *name);

/* Which list of rules is of which family, as the head of ip_json.c tells; once, after all. */
int ip_settle_families(struct ip_reader *r, struct err *e);
/* An address that is up has a local route, so without any this is one table only. */
int ip_check_tables(struct ip_reader *r, const char *file, struct err *e);

/* An object without anything in it: `ip -4 addr` prints one for a link that is not shown. */
bool ip_is_empty(const struct json_in *at);
/* A word that must mean a number; @what it is, for the message. */
bool ip_read_number(struct json_in *j, const struct ip_words *words, const char *what,
		    const char *word, uint32_t *ret);
bool ip_read_ip(struct json_in *j, const char *word, struct ip *ret);
/* @size: of @to, in bytes. */
bool ip_copy_name(struct json_in *j, const char *what, const char *from, char *to, size_t size);

/* Tables of records: a list of strings, and keys that say nothing here. */
extern const struct record ip_string_record;
void ip_pass_over(void *item, const char *key);

#endif
