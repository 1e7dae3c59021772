/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The host's own firewall.  An accept in our table does not overrule another
 * chain's drop: every base chain at the forward hook has its say.  Docker keeps
 * a chain for others (DOCKER-USER), where we put two rules with our name; any
 * other chain that drops has to let us through by its own rules (firewall_lets.c),
 * and where it does not, the user must add the lines that we print.
 */
#include "daemon/supervisor.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

static const char *member(const json_t *object, const char *key)
{
	const char *s = json_string_value(json_object_get(object, key));

	return s ? s : "";
}

/* A rule that drops or rejects whatever comes to it, as firewalld's last one does. */
static bool drops_all(const json_t *rule)
{
	bool ends = false;
	json_t *expr;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, expr)
	{
		if (json_object_get(expr, "drop") || json_object_get(expr, "reject"))
			ends = true;
		else if (!json_object_get(expr, "counter") && !json_object_get(expr, "log"))
			return false;
	}
	return ends;
}

static int list_chain(struct nft *n, const struct nft_chain *c, json_t **ret, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };

	return nft_list_root(n, arena_printf(&a, "chain %s %s %s", c->family, c->table, c->name),
			     ret, e);
}

static bool matches_link(const json_t *expr, const char *key, const char *link)
{
	const json_t *match = json_object_get(expr, "match");
	const json_t *left = json_object_get(match, "left");
	const char *meta = member(json_object_get(left, "meta"), "key");
	const char *right = member(match, "right");
	size_t len = strlen(right);

	if (!str_eq(meta, key) || !str_eq(member(match, "op"), "==") || !len)
		return false;
	if (right[len - 1] == '*')
		return strncmp(right, link, len - 1) == 0;
	return str_eq(right, link);
}

/* Is this rule "iifname LINK accept" and nothing else (a counter apart)? */
static bool accepts_link(const json_t *rule, const char *key, const char *link)
{
	bool match = false, accept = false;
	json_t *expr;
	size_t i;

	json_array_foreach(json_object_get(rule, "expr"), i, expr)
	{
		if (json_object_get(expr, "match")) {
			if (!matches_link(expr, key, link))
				return false;
			match = true;
		} else if (json_object_get(expr, "accept")) {
			accept = true;
		} else if (!json_object_get(expr, "counter")) {
			return false;
		}
	}
	return match && accept;
}

static bool chain_accepts(const json_t *listing, const char *key, const char *link)
{
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(listing, "nftables"), i, item)
	{
		const json_t *rule = json_object_get(item, "rule");

		if (rule && accepts_link(rule, key, link))
			return true;
	}
	return false;
}

static int lets_through(struct nft *n, const struct nft_chain *c, const char *link, bool ret_has[2],
			struct err *e)
{
	json_t *listing;
	int r = list_chain(n, c, &listing, e);

	if (r < 0)
		return r;
	ret_has[0] = chain_accepts(listing, "iifname", link);
	ret_has[1] = chain_accepts(listing, "oifname", link);
	json_decref(listing);
	return 0;
}

struct chains {
	struct nft_chain *items;
	size_t n;
};

/* The chain of that name in the table of chain @c; NULL if it is not there. */
static const struct nft_chain *find_chain(const struct chains *all, const struct nft_chain *c,
					  const char *name)
{
	for (size_t i = 0; i < all->n; i++) {
		const struct nft_chain *x = &all->items[i];

		if (str_eq(x->name, name) && str_eq(x->family, c->family) &&
		    str_eq(x->table, c->table))
			return x;
	}
	return NULL;
}

/* Docker's place for others' rules. */
static const struct nft_chain *docker_user(const struct chains *all, const struct nft_chain *c)
{
	return find_chain(all, c, "DOCKER-USER");
}

static int add_to_docker(struct supervisor *s, struct arena *a, const struct nft_chain *c,
			 const char *link, struct err *e)
{
	static const char *const keys[] = { "iifname", "oifname" };
	bool has[2];
	int r = lets_through(s->host.nft, c, link, has, e);

	for (int i = 0; r == 0 && i < 2; i++) {
		if (has[i])
			continue;
		r = nft_run(s->host.nft,
			    arena_printf(a,
					 "insert rule %s %s %s %s \"%s\" counter accept comment "
					 "\"sallyport-%s\"",
					 c->family, c->table, c->name, keys[i], link, s->gate.name),
			    e);
		if (r == 0 && s->settled)
			sup_repaired(s, "host: chain %s had lost our %s rule", c->name, keys[i]);
	}
	return r;
}

/* How chain @c drops what no rule of it accepts; NULL if it does not. */
static int how_it_drops(struct nft *n, const struct nft_chain *c, const char **ret, struct err *e)
{
	json_t *item, *listing;
	size_t i;
	int r;

	*ret = NULL;
	if (c->drops) {
		*ret = "has policy drop";
		return 0;
	}
	r = list_chain(n, c, &listing, e);
	if (r < 0)
		return r;
	json_array_foreach(json_object_get(listing, "nftables"), i, item)
	{
		if (drops_all(json_object_get(item, "rule")))
			*ret = "ends in a rule that drops everything";
	}
	json_decref(listing);
	return 0;
}

/* In the words of whose firewall it is, where that is known: what nft adds, it forgets. */
static const char *lines_to_add(struct arena *a, const struct chains *all,
				const struct nft_chain *c)
{
	if (str_eq(c->table, "firewalld"))
		return "  firewall-cmd --permanent --zone=trusted --add-interface=sp-+\n"
		       "  firewall-cmd --reload";
	if (find_chain(all, c, "ufw-user-forward") || find_chain(all, c, "ufw6-user-forward"))
		return "  ufw route allow in on sp-+\n"
		       "  ufw route allow out on sp-+";
	return arena_printf(a,
			    "  nft 'insert rule %s %s %s iifname \"sp-*\" accept'\n"
			    "  nft 'insert rule %s %s %s oifname \"sp-*\" accept'",
			    c->family, c->table, c->name, c->family, c->table, c->name);
}

/* A chain where there is no place for rules of ours must let us through as it is. */
static int need_lines(struct supervisor *s, struct arena *a, const struct chains *all,
		      const struct nft_chain *c, const char *how, struct err *e)
{
	bool lets;
	int r = firewall_lets(s, c, &lets, e);

	if (r < 0 || lets)
		return r;
	return err_set(e, EPERM,
		       "the host's firewall drops what is forwarded to the room: chain %s of table "
		       "%s %s %s. Add these lines, then try again:\n%s",
		       c->name, c->family, c->table, how, lines_to_add(a, all, c));
}

/* Every link of the gate's gets its rules in Docker's place for them. */
static int open_docker(struct supervisor *s, struct arena *a, const struct nft_chain *docker,
		       struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i <= s->gate.n_rooms; i++) {
		const char *link = i < s->gate.n_rooms ? plan_short_link(a, &s->slot, i)
						       : plan_host_link(a, &s->gate);

		if (i == s->gate.n_rooms || plan_room_is_short(&s->gate, i))
			r = add_to_docker(s, a, docker, link, e);
	}
	return r;
}

/* One chain that drops. */
static int open_chain(struct supervisor *s, struct arena *a, const struct chains *all,
		      const struct nft_chain *c, const char *how, struct err *e)
{
	const struct nft_chain *docker = docker_user(all, c);

	if (docker)
		return open_docker(s, a, docker, e);
	/* A client on trial can do without IPv6, which Docker does not let through. */
	return s->trial && str_eq(c->family, "ip6") ? 0 : need_lines(s, a, all, c, how, e);
}

/* Those chains where there is a place for our rules (Docker's), or the others. */
static int open_chains(struct supervisor *s, struct arena *a, const struct chains *all,
		       bool with_place, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < all->n; i++) {
		const struct nft_chain *c = &all->items[i];
		const char *how;

		if (!c->forward || (docker_user(all, c) != NULL) != with_place)
			continue;
		r = how_it_drops(s->host.nft, c, &how, e);
		if (r == 0 && how)
			r = open_chain(s, a, all, c, how, e);
	}
	return r;
}

int firewall_open(struct supervisor *s, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct chains all;
	int r;

	r = firewall_legacy(s, e); /* nobody tells when it changes */
	if (r < 0 || s->firewall_known)
		return r;
	r = nft_chains(s->host.nft, &a, PLAN_NFT_HOST, &all.items, &all.n, e);
	/* What only a person can open comes first: where that fails, nothing is changed. */
	if (r == 0)
		r = open_chains(s, &a, &all, false, e);
	if (r == 0)
		r = open_chains(s, &a, &all, true, e);
	if (r == 0)
		firewall_notrack(s, all.items, all.n);
	s->firewall_known = r == 0;
	return r;
}

int firewall_undo(struct nft *n, const char *gate, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	struct chains all;
	int r = nft_chains(n, &a, PLAN_NFT_HOST, &all.items, &all.n, e);

	for (size_t i = 0; r == 0 && i < all.n; i++)
		if (str_eq(all.items[i].name, "DOCKER-USER"))
			r = nft_remove_commented(n, &all.items[i],
						 arena_printf(&a, "sallyport-%s", gate), e);
	return r;
}
