/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two hundred gates on a host are two hundred listeners.  If all of them woke
 * for each of the sixty messages that a start of one makes, the last one would
 * wait for them longer than for the kernel.
 *
 * A load from behind a message's end drops it; so only attributes that were
 * found are read, and a name only where others follow it.  Numbers are read as
 * if they were in network order.
 */
#include "sys/rtnl_filter.h"

#include "base/text.h"
#include "plan/slot.h"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netconf.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#define CODE_MAX    4096 /* BPF_MAXINSNS */
#define BLOCK       200 /* a conditional jump goes over at most 255 */
#define INDICES_MAX 1500 /* of both sorts */

/* Where a message's parts are. */
#define TYPE_AT      4
#define PAYLOAD      NLMSG_HDRLEN
#define AFTER(type)  (PAYLOAD + NLMSG_ALIGN(sizeof(type)))
#define IN(type, of) (PAYLOAD + offsetof(type, of))

struct code {
	struct sock_filter insns[CODE_MAX];
	size_t n;
};

static struct sock_filter *add(struct code *c, uint16_t code, uint32_t k)
{
	struct sock_filter *i = &c->insns[c->n++];

	*i = (struct sock_filter){ .code = code, .k = k };
	return i;
}

static void accept_it(struct code *c)
{
	add(c, BPF_RET | BPF_K, UINT32_MAX);
}

static void drop_it(struct code *c)
{
	add(c, BPF_RET | BPF_K, 0);
}

/* The instructions up to skip_to_here() are for what equals @k; returns what that asks for. */
static size_t if_equal(struct code *c, uint32_t k)
{
	add(c, BPF_JMP | BPF_JEQ | BPF_K, k);
	return c->n - 1;
}

static void skip_to_here(struct code *c, size_t from)
{
	c->insns[from].jf = (uint8_t)(c->n - from - 1);
}

/* X becomes the offset of attribute @type behind @head; a message without it is accepted. */
static void find_attr(struct code *c, uint32_t head, uint32_t type)
{
	add(c, BPF_LD | BPF_IMM, head);
	add(c, BPF_LDX | BPF_IMM, type);
	add(c, BPF_LD | BPF_B | BPF_ABS, (uint32_t)(SKF_AD_OFF + SKF_AD_NLATTR));
	add(c, BPF_JMP | BPF_JEQ | BPF_K, 0)->jf = 1;
	accept_it(c);
	add(c, BPF_MISC | BPF_TAX, 0);
}

/* Accepts an attribute (at X) that begins with @text; its zero belongs to @len if it is the whole. */
static void accept_text(struct code *c, const char *text, size_t len)
{
	size_t first = c->n;

	for (size_t i = 0; i < len; i++) {
		add(c, BPF_LD | BPF_B | BPF_IND, (uint32_t)(NLA_HDRLEN + i));
		add(c, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)text[i]);
	}
	accept_it(c);
	for (size_t i = first + 1; i < c->n; i += 2)
		c->insns[i].jf = (uint8_t)(c->n - i - 1);
}

/* What does not begin with "sp-" (an attribute at X) is no gate's. */
static void accept_unless_gates(struct code *c)
{
	static const char start[] = { 's', 'p', '-' };

	for (size_t i = 0; i < sizeof(start); i++) {
		add(c, BPF_LD | BPF_B | BPF_IND, (uint32_t)(NLA_HDRLEN + i));
		add(c, BPF_JMP | BPF_JEQ | BPF_K, (uint8_t)start[i])->jt = 1;
		accept_it(c);
	}
}

/* Accepts when A is one of @indices. */
static void accept_indices(struct code *c, const int *indices, size_t n)
{
	for (size_t done = 0; done < n; done += BLOCK) {
		size_t some = n - done < BLOCK ? n - done : BLOCK;

		for (size_t i = 0; i < some; i++)
			add(c, BPF_JMP | BPF_JEQ | BPF_K, htonl((uint32_t)indices[done + i]))->jt =
				(uint8_t)(some - i);
		add(c, BPF_JMP | BPF_JA, 1);
		accept_it(c);
	}
}

/*
 * Drops what is about a gate's link (its index in A) that is not ours; A is lost.  Where
 * all links tell their slots no more than this is done for each of two hundred listeners.
 */
static void drop_other_gates(struct code *c, uint32_t slot)
{
	add(c, BPF_MISC | BPF_TAX, 0);
	add(c, BPF_ALU | BPF_AND | BPF_K, htonl(SLOT_INDEX_MASK));
	add(c, BPF_JMP | BPF_JEQ | BPF_K, htonl(SLOT_INDEX))->jf = 5;
	add(c, BPF_MISC | BPF_TXA, 0);
	add(c, BPF_ALU | BPF_AND | BPF_K, htonl(SLOT_INDEX_SLOT));
	add(c, BPF_JMP | BPF_JEQ | BPF_K, htonl(slot))->jt = 1;
	drop_it(c);
	accept_it(c);
}

static void by_name(struct code *c, const struct rtnl_filter *f)
{
	accept_unless_gates(c);
	accept_text(c, f->link, strlen(f->link) + 1);
	accept_text(c, f->short_links, strlen(f->short_links));
	drop_it(c);
}

static void links(struct code *c, const struct rtnl_filter *f)
{
	add(c, BPF_LD | BPF_W | BPF_ABS, IN(struct ifinfomsg, ifi_index));
	accept_indices(c, f->own, f->n_own);
	drop_other_gates(c, f->slot);
	find_attr(c, AFTER(struct ifinfomsg), IFLA_IFNAME);
	by_name(c, f);
}

/* On a link that is not known (yet): IPv4 says its name, IPv6 has only link-local ones on gates'. */
static void addresses(struct code *c, const struct rtnl_filter *f)
{
	size_t ipv6;

	add(c, BPF_LD | BPF_W | BPF_ABS, IN(struct ifaddrmsg, ifa_index));
	accept_indices(c, f->own, f->n_own);
	accept_indices(c, f->others, f->n_others);
	drop_other_gates(c, f->slot);
	add(c, BPF_LD | BPF_B | BPF_ABS, IN(struct ifaddrmsg, ifa_family));
	ipv6 = if_equal(c, AF_INET6);
	add(c, BPF_LD | BPF_B | BPF_ABS, IN(struct ifaddrmsg, ifa_scope));
	add(c, BPF_JMP | BPF_JEQ | BPF_K, RT_SCOPE_LINK)->jt = 1;
	accept_it(c);
	drop_it(c);
	skip_to_here(c, ipv6);
	find_attr(c, AFTER(struct ifaddrmsg), IFA_LABEL);
	by_name(c, f);
}

/* Ways out of the host: few, and seldom. */
static void defaults(struct code *c, const struct rtnl_filter *f)
{
	(void)f;
	add(c, BPF_LD | BPF_B | BPF_ABS, IN(struct rtmsg, rtm_dst_len));
	add(c, BPF_JMP | BPF_JEQ | BPF_K, 0)->jf = 1;
	accept_it(c);
	drop_it(c);
}

/* Only those by our links are ours. */
static void routes(struct code *c, const struct rtnl_filter *f)
{
	add(c, BPF_LD | BPF_B | BPF_ABS, IN(struct rtmsg, rtm_dst_len));
	add(c, BPF_JMP | BPF_JEQ | BPF_K, 0)->jf = 1;
	accept_it(c);
	find_attr(c, AFTER(struct rtmsg), RTA_OIF);
	add(c, BPF_LD | BPF_W | BPF_IND, NLA_HDRLEN);
	accept_indices(c, f->own, f->n_own);
	drop_it(c);
}

/* A new link of the host's is told of by another message. */
static void settings(struct code *c, const struct rtnl_filter *f)
{
	static const int of_all[] = { NETCONFA_IFINDEX_ALL, NETCONFA_IFINDEX_DEFAULT };
	static const struct nlattr index = { NLA_HDRLEN + sizeof(int), NETCONFA_IFINDEX };
	uint32_t head;

	/* The kernel puts it first. */
	memcpy(&head, &index, sizeof(head));
	add(c, BPF_LD | BPF_W | BPF_ABS, AFTER(struct netconfmsg));
	add(c, BPF_JMP | BPF_JEQ | BPF_K, htonl(head))->jt = 1;
	accept_it(c);
	add(c, BPF_LD | BPF_W | BPF_ABS, AFTER(struct netconfmsg) + NLA_HDRLEN);
	accept_indices(c, of_all, ARRAY_LEN(of_all));
	accept_indices(c, f->own, f->n_own);
	accept_indices(c, f->others, f->n_others);
	drop_it(c);
}

static const struct {
	uint16_t type;
	void (*part)(struct code *c, const struct rtnl_filter *f); /* NULL: not of interest */
} parts[] = {
	{ RTM_NEWLINK, links },       { RTM_DELLINK, links },     { RTM_NEWADDR, addresses },
	{ RTM_DELADDR, addresses },   { RTM_NEWROUTE, defaults }, { RTM_DELROUTE, routes },
	{ RTM_NEWNETCONF, settings }, { RTM_DELNETCONF, NULL },
};

/* One part behind the other; long ones are jumped over by a jump without condition. */
static void write_code(struct code *c, const struct rtnl_filter *f)
{
	add(c, BPF_LD | BPF_H | BPF_ABS, TYPE_AT);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		size_t over;

		add(c, BPF_JMP | BPF_JEQ | BPF_K, htons(parts[i].type))->jt = 1;
		add(c, BPF_JMP | BPF_JA, 0);
		over = c->n;
		if (parts[i].part)
			parts[i].part(c, f);
		else
			drop_it(c);
		c->insns[over - 1].k = (uint32_t)(c->n - over);
	}
	accept_it(c);
}

static bool fits(const struct rtnl_filter *f)
{
	return 3 * (f->n_own + f->n_others) <= INDICES_MAX && strlen(f->link) <= 15 &&
	       strlen(f->short_links) <= 15;
}

bool rtnl_filter_attach(int fd, const struct rtnl_filter *f)
{
	struct code c = { .n = 0 };
	struct sock_fprog program;
	int none = 0;

	if (fits(f)) {
		write_code(&c, f);
		program = (struct sock_fprog){ .len = (unsigned short)c.n, .filter = c.insns };
		if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0)
			return true;
	}
	/* One that knows fewer links would keep the new ones' messages back. */
	(void)setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &none, sizeof(none));
	return false;
}
