/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/supervisor.h"

#include "sys/fd.h"
#include "sys/netns.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* The namespace of @p, made when there is none; one that is not ours is refused. */
static int open_netns(struct place *p, struct err *e)
{
	const char *alias = plan_alias(&p->sup->arena, &p->sup->gate);
	struct rtnl *rtnl CLEANUP_RTNL = NULL;
	struct arena a CLEANUP_ARENA = { 0 };
	struct snapshot net;
	const struct link *lo;
	int r;

	if (!p->netns)
		return netns_open_self(&p->fd, e);
	r = netns_open(p->netns, &p->fd, e);
	if (r == -ENOENT) {
		p->made = true;
		return netns_create(p->netns, alias, &p->fd, e);
	}
	if (r < 0)
		return r;
	r = rtnl_open(p->fd, &rtnl, e);
	if (r < 0)
		return r;
	r = rtnl_snapshot_tables(rtnl, &a, 0, 0, &net, e);
	if (r < 0)
		return r;
	lo = snapshot_link_by_name(&net, "lo");
	if (lo && str_starts(lo->alias, "sallyport "))
		return 0;
	return err_set(e, EEXIST,
		       "namespace %s/%s exists and is not sallyport's: choose another name for "
		       "the gate, or remove it with: ip netns del %s",
		       NETNS_DIR, p->netns, p->netns);
}

struct place place_none(struct supervisor *s, enum want_place kind, size_t room, const char *netns)
{
	return (struct place){ .sup = s,
			       .kind = kind,
			       .room = room,
			       .netns = netns,
			       .fd = -1,
			       .sysctls = SYSCTL_DIRS_NONE,
			       .watch_source.fd = -1,
			       .nft_source.fd = -1 };
}

int place_open(struct place *p, struct supervisor *s, enum want_place kind, size_t room,
	       const char *netns, struct err *e)
{
	int r;

	*p = place_none(s, kind, room, netns);
	r = open_netns(p, e);
	if (r < 0)
		return r;
	r = rtnl_open(p->fd, &p->rtnl, e);
	if (r < 0 || kind == PLACE_ROOM)
		return r;
	return nft_open_as_gate(p->fd, &p->nft, e);
}

void place_close(struct place *p)
{
	loop_remove(&p->sup->loop, &p->watch_source);
	loop_remove(&p->sup->loop, &p->nft_source);
	sandbox_watch_close(&p->sandbox_watch);
	rtnl_watch_close(&p->watch);
	nft_watch_close(&p->nft_watch);
	rtnl_close(&p->rtnl);
	nft_close(&p->nft);
	sysctl_dirs_close(&p->sysctls);
	fd_close(&p->fd);
	free(p->nft_text);
	p->nft_text = NULL;
}

void place_hear(struct place *p)
{
	struct rtnl_news news = { 0 };
	struct err e;

	if (rtnl_watch_read(p->watch, &news, &e) < 0) {
		sup_log(p->sup, "%s", e.text);
		news.lost = true;
	}
	p->locals_due |= news.locals;
	if (p->kind == PLACE_GATE)
		doors_had_hear(p->sup, &news);
	if (news.links || news.addresses || news.rules || news.deletions || news.lost)
		reconcile_soon(p->sup);
	else if (news.routes && p->kind != PLACE_ROOM)
		reconcile_later(p->sup); /* on the host, another way out (plan/sides.c) */
}

static void network_changed(struct loop_source *source, uint32_t events)
{
	(void)events;
	place_hear(source->ctx);
}

const char *place_nft_table(const struct place *p, struct arena *a)
{
	return p->kind == PLACE_HOST ? PLAN_NFT_HOST
				     : arena_printf(a, "sallyport-%s", p->sup->gate.name);
}

/* What stands there is not known any more. */
static void forget_nft(struct place *p)
{
	free(p->nft_text);
	p->nft_text = NULL;
	if (p->kind == PLACE_HOST)
		p->sup->firewall_known = false;
}

/* @who (may be "") changed what is ours: reconcile() puts it right. */
static void table_changed(struct place *p, const char *who)
{
	struct arena a CLEANUP_ARENA = { 0 };
	const char *table = place_nft_table(p, &a);

	sup_repaired(p->sup, "nft table inet %s of the %s was %s%s%s", table,
		     p->kind == PLACE_HOST ? "host" : "gate",
		     nft_has_chain(p->nft, table, "forward") ? "changed" : "deleted",
		     who[0] ? " by " : "", who);
	forget_nft(p);
}

/* Another supervisor, which puts its gate's part into the host's table or takes it out. */
static bool is_sibling(const struct place *p, const char *who)
{
	char own[32] = "";

	prctl(PR_GET_NAME, own);
	return p->kind == PLACE_HOST && str_eq(who, own);
}

/*
 * Somebody else made an nft transaction in this namespace: was it our table?
 * On the host it may also be a firewall that came back without our entries, or
 * one of many gates that start: that changes nothing of ours, and if all looked,
 * each start would cost the more the more gates there are.
 */
static void nft_changed(struct loop_source *source, uint32_t events)
{
	struct place *p = source->ctx;
	struct supervisor *s = p->sup;
	char who[32] = "";
	bool foreign = true;
	struct err e;

	(void)events;
	if (nft_watch_read(p->nft_watch, &foreign, who, &e) < 0)
		sup_log(s, "%s", e.text);
	if (!foreign || !p->nft_text)
		return;
	if (is_sibling(p, who))
		return;
	if (nft_watch_touched(p->nft_watch))
		table_changed(p, who);
	s->firewall_known = s->firewall_known && p->kind != PLACE_HOST;
	reconcile_soon(s);
}

int place_watch(struct place *p, struct err *e)
{
	int r = rtnl_watch_open(p->fd, &p->watch, e);

	if (r < 0)
		return r;
	p->watch_source = (struct loop_source){ .ready = network_changed, .ctx = p };
	return loop_add(&p->sup->loop, &p->watch_source, rtnl_watch_fd(p->watch), e);
}

int place_watch_nft(struct place *p, struct err *e)
{
	int r = nft_watch_open(p->fd, &p->nft_watch, e);

	if (r < 0)
		return r;
	if (p->kind == PLACE_HOST)
		nft_watch_without_gates(p->nft_watch);
	nft_watch_own(p->nft_watch, place_nft_table(p, &p->sup->arena), p->sup->gate.name);
	p->nft_source = (struct loop_source){ .ready = nft_changed, .ctx = p };
	r = loop_add(&p->sup->loop, &p->nft_source, nft_watch_fd(p->nft_watch), e);
	if (r < 0 || nft_is_alone(p->nft))
		return r;
	forget_nft(p);
	reconcile_soon(p->sup);
	return 0;
}
