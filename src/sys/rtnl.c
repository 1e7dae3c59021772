/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/rtnl.h"

#include "sys/netns.h"
#include "sys/rtnl_sock.h"
#include "wire/rtnl_decode.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define READS_MAX 4096

/* Ports that others have already: processes of several pid namespaces meet in one of the network. */
#define PORT_TRIES 64
#define PORT_STEP  977

/* netlink(7): any number that is free is a port; one that says who we are if @ports is not 0. */
static int bind_port(struct mnl_socket *sock, uint32_t ports)
{
	for (uint32_t i = 0; ports && i < PORT_TRIES; i++) {
		uint32_t port = ports | (((uint32_t)getpid() + i * PORT_STEP) & 0xffff);

		if (mnl_socket_bind(sock, 0, (pid_t)port) == 0)
			return 0;
	}
	return mnl_socket_bind(sock, 0, MNL_SOCKET_AUTOPID);
}

int netlink_open(int netns_fd, int bus, struct mnl_socket **ret, struct err *e)
{
	return netlink_open_at(netns_fd, bus, 0, ret, e);
}

int netlink_open_at(int netns_fd, int bus, uint32_t ports, struct mnl_socket **ret, struct err *e)
{
	struct netns_visit visit CLEANUP_VISIT = NETNS_VISIT_NONE;
	const struct timeval limit = { .tv_sec = RTNL_TIMEOUT_S };
	const int on = 1;
	struct mnl_socket *sock;
	int r;

	if (netns_fd >= 0) {
		r = netns_enter(netns_fd, &visit, e);
		if (r < 0)
			return r;
	}
	sock = mnl_socket_open2(bus, SOCK_CLOEXEC);
	if (!sock)
		return err_errno(e, errno, "netlink socket");
	/* Better errors and strict dumps; not worth failing for on an old kernel. */
	mnl_socket_setsockopt(sock, NETLINK_EXT_ACK, (void *)&on, sizeof(on));
	mnl_socket_setsockopt(sock, NETLINK_CAP_ACK, (void *)&on, sizeof(on));
	mnl_socket_setsockopt(sock, NETLINK_GET_STRICT_CHK, (void *)&on, sizeof(on));
	if (bind_port(sock, ports) < 0 || setsockopt(mnl_socket_get_fd(sock), SOL_SOCKET,
						     SO_RCVTIMEO, &limit, sizeof(limit)) < 0) {
		r = err_errno(e, errno, "netlink socket");
		mnl_socket_close(sock);
		return r;
	}
	*ret = sock;
	return 0;
}

static int join(struct mnl_socket *sock, const int *groups, size_t n, const char *what,
		struct err *e)
{
	/* 10,000 routes at once are some 2 MiB; beyond this ENOBUFS says that news was lost. */
	const int size = 8 * 1024 * 1024;
	int fd = mnl_socket_get_fd(sock);
	unsigned int mask = 0;

	/*
	 * Each change of memberships goes through all sockets of the kernel that listen
	 * (netlink_update_listeners()): so all groups at once.
	 */
	for (size_t i = 0; i < n; i++)
		mask |= 1U << (groups[i] - 1);
	if (mnl_socket_bind(sock, mask, (pid_t)mnl_socket_get_portid(sock)) < 0)
		return err_errno(e, errno, "listen for changes of %s", what);
	/* FORCE needs CAP_NET_ADMIN in the first user namespace. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) < 0)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return err_errno(e, errno, "listen for changes of %s", what);
	return 0;
}

int netlink_listen(int netns_fd, int bus, const int *groups, size_t n, const char *what,
		   struct mnl_socket **ret, struct err *e)
{
	struct mnl_socket *sock;
	int r = netlink_open(netns_fd, bus, &sock, e);

	if (r < 0)
		return r;
	r = join(sock, groups, n, what, e);
	if (r < 0)
		mnl_socket_close(sock);
	else
		*ret = sock;
	return r;
}

int netlink_news(struct mnl_socket *sock, const char *what, netlink_news_fn fn, void *ctx,
		 bool *ret_lost, struct err *e)
{
	_Alignas(8) char buf[32768];

	*ret_lost = false;
	for (int i = 0; i < READS_MAX; i++) {
		ssize_t got = mnl_socket_recvfrom(sock, buf, sizeof(buf));
		const struct nlmsghdr *nlh;
		int size = (int)got;

		if (got < 0 && errno == EAGAIN)
			break;
		if (got < 0 && (errno == ENOBUFS || errno == ENOSPC))
			*ret_lost = true;
		else if (got < 0 && errno != EINTR)
			return err_errno(e, errno, "changes of %s", what);
		if (got < 0)
			continue;
		for (nlh = (void *)buf; mnl_nlmsg_ok(nlh, size); nlh = mnl_nlmsg_next(nlh, &size))
			fn(nlh, ctx);
	}
	return 0;
}

int rtnl_open(int netns_fd, struct rtnl **ret, struct err *e)
{
	struct mnl_socket *sock;
	struct rtnl *rt;
	int r;

	r = netlink_open(netns_fd, NETLINK_ROUTE, &sock, e);
	if (r < 0)
		return r;
	rt = calloc(1, sizeof(*rt));
	if (!rt)
		abort();
	rt->sock = sock;
	*ret = rt;
	return 0;
}

void rtnl_close(struct rtnl **r)
{
	if (*r) {
		mnl_socket_close((*r)->sock);
		free(*r);
	}
	*r = NULL;
}

static int error_of(const struct nlmsghdr *nlh, struct err *e)
{
	char words[256];
	int errnum = rtnl_decode_error(nlh, words, sizeof(words));

	if (!errnum)
		return 0;
	if (words[0])
		return err_set(e, errnum, "%s (%s)", strerror(errnum), words);
	return err_set(e, errnum, "%s", strerror(errnum));
}

struct talk {
	rtnl_answer_fn fn;
	void *ctx;
	uint32_t seq;
	bool interrupted;
	bool done;
};

static int hear(struct talk *t, const char *buf, int size, struct err *e)
{
	const struct nlmsghdr *nlh;

	for (nlh = (const void *)buf; mnl_nlmsg_ok(nlh, size); nlh = mnl_nlmsg_next(nlh, &size)) {
		int r;

		/* The late answer to a question that was given up. */
		if (nlh->nlmsg_seq != t->seq)
			continue;
		if (nlh->nlmsg_flags & NLM_F_DUMP_INTR)
			t->interrupted = true;
		if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
			t->done = true;
			return error_of(nlh, e);
		}
		r = t->fn && nlh->nlmsg_type >= NLMSG_MIN_TYPE ? t->fn(nlh, t->ctx) : 0;
		if (r < 0)
			return err_errno(e, -r, "message of the kernel");
	}
	return 0;
}

int rtnl_talk(struct rtnl *r, struct nlmsghdr *nlh, uint16_t flags, rtnl_answer_fn fn, void *ctx,
	      struct err *e)
{
	struct talk t = { .fn = fn, .ctx = ctx, .seq = ++r->seq };
	/* What iproute2 reads dumps with: fewer system calls, and no cut messages. */
	_Alignas(8) char buf[32768];
	int status = 0;

	nlh->nlmsg_seq = t.seq;
	nlh->nlmsg_flags |= flags;
	if ((nlh->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		nlh->nlmsg_flags |= NLM_F_ACK;
	if (mnl_socket_sendto(r->sock, nlh, nlh->nlmsg_len) < 0)
		return err_errno(e, errno, "send to the kernel");
	while (!t.done && status == 0) {
		ssize_t size = mnl_socket_recvfrom(r->sock, buf, sizeof(buf));

		if (size < 0 && errno == EINTR)
			continue;
		if (size < 0 && errno == EAGAIN)
			return err_set(e, ETIMEDOUT, "no answer from the kernel in %d s",
				       RTNL_TIMEOUT_S);
		if (size < 0)
			return err_errno(e, errno, "receive from the kernel");
		status = hear(&t, buf, (int)size, e);
	}
	if (status == 0 && t.interrupted)
		return err_set(e, EAGAIN, "the network changed while it was listed");
	return status;
}

int rtnl_link_index(struct rtnl *r, const char *name, int *ret, struct err *e)
{
	struct ifreq link = { 0 };

	if (strlen(name) >= LINK_NAME_SIZE)
		return err_set(e, EINVAL, "link \"%s\": name is too long", name);
	/* netdevice(7), of any socket: a tenth of what RTM_GETLINK takes for all of the link. */
	snprintf(link.ifr_name, sizeof(link.ifr_name), "%s", name);
	if (ioctl(mnl_socket_get_fd(r->sock), SIOCGIFINDEX, &link) < 0)
		return err_errno(e, errno, "link \"%s\"", name);
	*ret = link.ifr_ifindex;
	return 0;
}

int rtnl_link_delete(struct rtnl *r, const char *name, struct err *e)
{
	struct rtnl_message m;
	int index, status;

	status = rtnl_link_index(r, name, &index, e);
	if (status == 0) {
		status = rtnl_talk(r, rtnl_encode_link_delete(&m, index), 0, NULL, NULL, e);
		if (status < 0)
			err_wrap(e, status, "delete link \"%s\"", name);
	}
	return status == -ENODEV ? 0 : status;
}

int rtnl_link_add_kind(struct rtnl *r, const char *name, const char *kind, int netns_fd,
		       struct err *e)
{
	struct rtnl_message m;
	int status;

	if (strlen(name) >= LINK_NAME_SIZE)
		return err_set(e, EINVAL, "link \"%s\": name is too long", name);
	status = rtnl_talk(r, rtnl_encode_link_add(&m, name, kind, netns_fd),
			   NLM_F_CREATE | NLM_F_EXCL, NULL, NULL, e);
	return status < 0 ? err_wrap(e, status, "add %s link \"%s\"", kind, name) : 0;
}

int rtnl_link_free(struct rtnl *r, const char *name, struct err *e)
{
	struct rtnl_message m;
	int index;
	int status = rtnl_link_index(r, name, &index, e);

	if (status == 0)
		status = rtnl_talk(r, rtnl_encode_link_free(&m, index), 0, NULL, NULL, e);
	return status < 0 ? err_wrap(e, status, "free link \"%s\"", name) : 0;
}

int rtnl_link_set(struct rtnl *r, const char *name, bool up, uint32_t mtu, const char *alias,
		  bool plain, struct err *e)
{
	struct rtnl_message m;
	int index, status;

	status = rtnl_link_index(r, name, &index, e);
	if (status < 0)
		return status;
	/*
	 * What is changed of a link that is up is told to everybody (netdev_state_change()),
	 * and without carrier IPv6 goes through all routes of the namespace: so first this.
	 */
	if (mtu || alias || plain)
		status = rtnl_talk(r, rtnl_encode_link_dress(&m, index, mtu, alias, plain), 0, NULL,
				   NULL, e);
	if (status == -EAFNOSUPPORT && plain) /* somebody made it too small for IPv6 */
		status = rtnl_talk(r, rtnl_encode_link_dress(&m, index, mtu, alias, false), 0, NULL,
				   NULL, e);
	if (status == 0)
		status = rtnl_talk(r, rtnl_encode_link_up(&m, index, up), 0, NULL, NULL, e);
	return status < 0 ? err_wrap(e, status, "set link \"%s\" %s", name, up ? "up" : "down") : 0;
}

static int take_stats(const struct nlmsghdr *nlh, void *ctx)
{
	int r = rtnl_decode_stats(nlh, ctx);

	return r < 0 ? r : 0;
}

int rtnl_counters(struct rtnl *r, const char *link, struct rtnl_counters *ret, struct err *e)
{
	struct link_stats s = { 0 };
	struct rtnl_message m;
	int status;

	if (strlen(link) >= LINK_NAME_SIZE)
		return err_set(e, EINVAL, "link \"%s\": name is too long", link);
	status = rtnl_talk(r, rtnl_encode_link_get(&m, link), 0, take_stats, &s, e);
	if (status < 0)
		return err_wrap(e, status, "counters of link \"%s\"", link);
	*ret = (struct rtnl_counters){ .packets_in = s.packets_in,
				       .packets_out = s.packets_out,
				       .bytes_in = s.bytes_in,
				       .bytes_out = s.bytes_out };
	return 0;
}
