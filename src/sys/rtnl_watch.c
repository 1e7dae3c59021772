/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/rtnl.h"

#include "base/text.h"
#include "sys/proc.h"
#include "sys/rtnl_filter.h"
#include "sys/rtnl_sock.h"

#include <linux/fib_rules.h>
#include <linux/if.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct rtnl_watch {
	struct mnl_socket *sock;
	char own_link[LINK_NAME_SIZE]; /* on a host with other gates; "": hear of everything */
	uint32_t own_slot;
	uint32_t *foreign; /* indices of other gates' links */
	size_t n_foreign;
	uint32_t blame_first, blame_last; /* tables; 0: nobody is blamed */
	uint64_t filter; /* what the socket's filter was made of; 0: there is none */
};

static const int groups[] = {
	RTNLGRP_LINK,       RTNLGRP_IPV4_IFADDR,  RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE,   RTNLGRP_IPV4_RULE,
	RTNLGRP_IPV6_RULE,  RTNLGRP_IPV4_NETCONF, RTNLGRP_IPV6_NETCONF,
};

static const int groups_of_addresses[] = {
	RTNLGRP_IPV4_IFADDR,
	RTNLGRP_IPV6_IFADDR,
	RTNLGRP_IPV4_ROUTE,
	RTNLGRP_IPV6_ROUTE,
};

static int open_watch(int netns_fd, const int *these, size_t n, struct rtnl_watch **ret,
		      struct err *e)
{
	struct mnl_socket *sock;
	struct rtnl_watch *w;
	int r;

	r = netlink_listen(netns_fd, NETLINK_ROUTE, these, n, "the network", &sock, e);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->sock = sock;
	*ret = w;
	return 0;
}

int rtnl_watch_open(int netns_fd, struct rtnl_watch **ret, struct err *e)
{
	return open_watch(netns_fd, groups, ARRAY_LEN(groups), ret, e);
}

int rtnl_watch_open_addresses(int netns_fd, struct rtnl_watch **ret, struct err *e)
{
	return open_watch(netns_fd, groups_of_addresses, ARRAY_LEN(groups_of_addresses), ret, e);
}

int rtnl_watch_fd(const struct rtnl_watch *w)
{
	return mnl_socket_get_fd(w->sock);
}

static uint64_t hash_indices(uint64_t h, const int *indices, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ (uint64_t)indices[i]) * 0x100000001b3ULL;
	return h ^ n << 32;
}

/* Indices of those of @links that are there. */
static size_t find_links(const struct rtnl_watch *w, const char *const *links, size_t n, int *ret)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++) {
		struct ifreq link = { 0 };

		snprintf(link.ifr_name, sizeof(link.ifr_name), "%s", links[i]);
		if (ioctl(mnl_socket_get_fd(w->sock), SIOCGIFINDEX, &link) == 0)
			ret[found++] = link.ifr_ifindex;
	}
	return found;
}

bool rtnl_watch_own(struct rtnl_watch *w, uint32_t slot, const char *const *links, size_t n,
		    const int *others, size_t n_others)
{
	char short_links[LINK_NAME_SIZE];
	int own[RTNL_WATCH_OWN_MAX];
	struct rtnl_filter f = { .link = links[0],
				 .slot = slot,
				 .short_links = short_links,
				 .own = own,
				 .others = others,
				 .n_others = n_others };
	uint64_t h = str_hash(links[0], slot + 1);

	f.n_own = find_links(w, links, n, own);
	snprintf(w->own_link, sizeof(w->own_link), "%s", links[0]);
	w->own_slot = slot;
	snprintf(short_links, sizeof(short_links), "sp-%u.", slot);
	h = hash_indices(hash_indices(h, own, f.n_own), others, n_others) | 1;
	if (h == w->filter)
		return false;
	w->filter = h;
	return rtnl_filter_attach(mnl_socket_get_fd(w->sock), &f);
}

static bool is_foreign_index(const struct rtnl_watch *w, uint32_t index)
{
	for (size_t i = 0; i < w->n_foreign; i++)
		if (w->foreign[i] == index)
			return true;
	return false;
}

static void note_foreign_index(struct rtnl_watch *w, uint32_t index)
{
	if (is_foreign_index(w, index))
		return;
	w->foreign = realloc(w->foreign, (w->n_foreign + 1) * sizeof(*w->foreign));
	if (!w->foreign)
		abort();
	w->foreign[w->n_foreign++] = index;
}

static void forget_foreign_index(struct rtnl_watch *w, uint32_t index)
{
	for (size_t i = 0; i < w->n_foreign; i++)
		if (w->foreign[i] == index)
			w->foreign[i--] = w->foreign[--w->n_foreign];
}

static const void *find_attr(const struct nlmsghdr *nlh, size_t head, uint16_t type, size_t size)
{
	const struct nlattr *a;

	if (nlh->nlmsg_len < NLMSG_LENGTH(head))
		return NULL;
	mnl_attr_for_each(a, nlh, head) if (mnl_attr_get_type(a) == type &&
					    mnl_attr_get_payload_len(a) >=
						    size) return mnl_attr_get_payload(a);
	return NULL;
}

static bool find_u32(const struct nlmsghdr *nlh, size_t head, uint16_t type, uint32_t *ret)
{
	const void *p = find_attr(nlh, head, type, sizeof(*ret));

	if (p)
		memcpy(ret, p, sizeof(*ret));
	return p != NULL;
}

/* "sp-NAME", and "sp-SLOT.ROOM" of a slot that is not ours. */
static bool is_foreign_name(const struct rtnl_watch *w, const char *name)
{
	char own[LINK_NAME_SIZE];
	int len = snprintf(own, sizeof(own), "sp-%u.", w->own_slot);

	return str_starts(name, "sp-") && !str_eq(name, w->own_link) &&
	       strncmp(name, own, (size_t)len) != 0;
}

/* The kernel tells of a link's settings before it tells of the link. */
static bool is_foreign_link(struct rtnl_watch *w, uint32_t index)
{
	struct ifreq link = { .ifr_ifindex = (int)index };

	if (is_foreign_index(w, index))
		return true;
	if (ioctl(mnl_socket_get_fd(w->sock), SIOCGIFNAME, &link) < 0 ||
	    !is_foreign_name(w, link.ifr_name))
		return false;
	note_foreign_index(w, index);
	return true;
}

/*
 * Is this about another gate's link, or what stands on it?  Its own supervisor
 * looks after that: two hundred gates must not all wake up for one.
 */
static bool is_another_gates(struct rtnl_watch *w, const struct nlmsghdr *nlh)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);
	const struct ifaddrmsg *ifa = mnl_nlmsg_get_payload(nlh);
	const char *name;
	uint32_t index;

	if (!w->own_link[0])
		return false;
	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		name = find_attr(nlh, sizeof(*ifi), IFLA_IFNAME, 4);
		if (!name || !is_foreign_name(w, name))
			return false;
		if (nlh->nlmsg_type == RTM_NEWLINK)
			note_foreign_index(w, (uint32_t)ifi->ifi_index);
		else
			forget_foreign_index(w, (uint32_t)ifi->ifi_index);
		return true;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		return nlh->nlmsg_len >= NLMSG_LENGTH(sizeof(*ifa)) &&
		       is_foreign_index(w, ifa->ifa_index);
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		return find_u32(nlh, sizeof(struct rtmsg), RTA_OIF, &index) &&
		       is_foreign_index(w, index);
	case RTM_NEWNETCONF:
		return find_u32(nlh, sizeof(struct netconfmsg), NETCONFA_IFINDEX, &index) &&
		       is_foreign_link(w, index);
	default:
		return false;
	}
}

void rtnl_watch_blame(struct rtnl_watch *w, uint32_t table_first, uint32_t table_last)
{
	w->blame_first = table_first;
	w->blame_last = table_last;
}

/* The kernel deletes by itself, too (port 0), and tells its own numbers in a container. */
static void blame(const struct rtnl_watch *w, const struct nlmsghdr *nlh, struct rtnl_news *news)
{
	bool rule = nlh->nlmsg_type == RTM_DELRULE;
	uint32_t table;

	if (!w->blame_last || news->who[0] || !nlh->nlmsg_pid ||
	    nlh->nlmsg_pid == (uint32_t)getpid() ||
	    !find_u32(nlh, rule ? sizeof(struct fib_rule_hdr) : sizeof(struct rtmsg),
		      rule ? FRA_TABLE : RTA_TABLE, &table) ||
	    table < w->blame_first || table > w->blame_last)
		return;
	proc_name((pid_t)nlh->nlmsg_pid, news->who, sizeof(news->who));
}

static void note_taker(const struct nlmsghdr *nlh, struct rtnl_news *news)
{
	for (size_t i = 0; i < news->n_takers; i++)
		if (news->takers[i] == nlh->nlmsg_pid)
			return;
	if (nlh->nlmsg_pid && news->n_takers < RTNL_TAKERS_MAX)
		news->takers[news->n_takers++] = nlh->nlmsg_pid;
}

static bool is_local(const struct nlmsghdr *nlh)
{
	const struct rtmsg *rtm = mnl_nlmsg_get_payload(nlh);

	return nlh->nlmsg_len >= NLMSG_LENGTH(sizeof(*rtm)) && rtm->rtm_table == RT_TABLE_LOCAL;
}

static void note(struct rtnl_watch *w, const struct nlmsghdr *nlh, struct rtnl_news *news)
{
	const struct ifinfomsg *ifi = mnl_nlmsg_get_payload(nlh);

	if (is_another_gates(w, nlh))
		return;

	switch (nlh->nlmsg_type) {
	case RTM_NEWLINK:
		news->links = true;
		/* IPv4 routes of a link that goes down vanish without a word. */
		if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*ifi)) || !(ifi->ifi_flags & IFF_UP))
			news->deletions = true;
		break;
	case RTM_DELLINK:
		news->links = news->deletions = true;
		break;
	case RTM_NEWNETCONF: /* forwarding or rp_filter of a link, or of all */
		news->links = true;
		break;
	case RTM_NEWADDR:
		news->addresses = true;
		break;
	case RTM_DELADDR:
		news->addresses = news->deletions = true;
		note_taker(nlh, news);
		break;
	case RTM_NEWROUTE:
		news->routes = true;
		break;
	case RTM_DELROUTE:
		news->routes = news->deletions = true;
		news->locals |= is_local(nlh);
		blame(w, nlh, news);
		note_taker(nlh, news);
		break;
	case RTM_NEWRULE:
		news->rules = news->deletions = true;
		break;
	case RTM_DELRULE:
		news->rules = news->deletions = true;
		blame(w, nlh, news);
		break;
	}
}

struct reading {
	struct rtnl_watch *w;
	struct rtnl_news news;
};

static void take(const struct nlmsghdr *nlh, void *ctx)
{
	struct reading *x = ctx;

	note(x->w, nlh, &x->news);
}

int rtnl_watch_read(struct rtnl_watch *w, struct rtnl_news *ret, struct err *e)
{
	static const struct rtnl_news anything = { .links = true,
						   .addresses = true,
						   .routes = true,
						   .rules = true,
						   .deletions = true,
						   .locals = true,
						   .lost = true };
	struct reading x = { .w = w };
	bool lost;
	int r = netlink_news(w->sock, "the network", take, &x, &lost, e);

	if (r == 0)
		*ret = lost ? anything : x.news;
	return r;
}

void rtnl_watch_close(struct rtnl_watch **w)
{
	if (*w) {
		mnl_socket_close((*w)->sock);
		free((*w)->foreign);
		free(*w);
	}
	*w = NULL;
}
