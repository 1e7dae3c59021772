/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/nft.h"

#include "base/text.h"
#include "plan/plan.h"
#include "sys/fd.h"
#include "sys/nft_raw.h"
#include "sys/rtnl_sock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/filter.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define NAME_SIZE 32

/* The inode of the first pid namespace is fixed (linux/proc_ns.h). */
#define FIRST_PID_NS 0xEFFFFFFCU

struct nft_watch {
	struct mnl_socket *sock;
	uint32_t own_pid; /* 0: the kernel's numbers are not those we see */
	char own_name[NAME_SIZE];
	bool table_went; /* in the transaction whose end has not come yet */
	bool names_own; /* likewise */
	bool touched;
	char own_table[NAME_SIZE];
	char own_gate[NAME_SIZE];
};

/*
 * The kernel tells the pid as its first namespace knows it.  In a container,
 * where that is not what getpid() says, the name must do.
 */
static void know_self(struct nft_watch *w)
{
	int fd CLEANUP_FD = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	struct stat st;
	ssize_t len;

	if (stat("/proc/self/ns/pid", &st) == 0 && st.st_ino == FIRST_PID_NS)
		w->own_pid = (uint32_t)getpid();
	len = fd >= 0 ? read(fd, w->own_name, sizeof(w->own_name) - 1) : 0;
	w->own_name[len > 0 ? len - 1 : 0] = 0;
}

int nft_watch_open(int netns_fd, struct nft_watch **ret, struct err *e)
{
	const int group = NFNLGRP_NFTABLES;
	struct mnl_socket *sock;
	struct nft_watch *w;
	int r;

	r = netlink_listen(netns_fd, NETLINK_NETFILTER, &group, 1, "nftables", &sock, e);
	if (r < 0)
		return r;
	w = calloc(1, sizeof(*w));
	if (!w)
		abort();
	w->sock = sock;
	know_self(w);
	*ret = w;
	return 0;
}

/*
 * Every message of a transaction tells the port of the socket that made it.  Where
 * the kernel refuses, more is heard, and nothing is wrong.
 */
void nft_watch_without_gates(struct nft_watch *w)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct nlmsghdr, nlmsg_pid)),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, htonl(NFT_GATE_MASK)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, htonl(NFT_GATE_PORTS), 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0),
		BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
	};
	struct sock_fprog program = { .len = ARRAY_LEN(code), .filter = code };

	(void)setsockopt(mnl_socket_get_fd(w->sock), SOL_SOCKET, SO_ATTACH_FILTER, &program,
			 sizeof(program));
}

int nft_watch_fd(const struct nft_watch *w)
{
	return mnl_socket_get_fd(w->sock);
}

struct maker {
	uint32_t pid;
	char name[NAME_SIZE];
};

static int read_maker(const struct nlattr *a, void *ctx)
{
	struct maker *m = ctx;

	if (mnl_attr_get_type(a) == NFTA_GEN_PROC_PID && mnl_attr_get_payload_len(a) >= 4)
		m->pid = ntohl(mnl_attr_get_u32(a));
	if (mnl_attr_get_type(a) == NFTA_GEN_PROC_NAME)
		snprintf(m->name, sizeof(m->name), "%.*s", (int)mnl_attr_get_payload_len(a),
			 (const char *)mnl_attr_get_payload(a));
	return MNL_CB_OK;
}

static bool is_own(const struct nft_watch *w, const struct maker *m)
{
	return w->own_pid ? m->pid == w->own_pid : str_eq(m->name, w->own_name);
}

struct subject {
	uint16_t message;
	const char *table;
	const char *chain;
};

/* The table is attribute 1 of every message; the chain's is another's number elsewhere. */
static int read_subject(const struct nlattr *a, void *ctx)
{
	struct subject *s = ctx;
	const char *text = mnl_attr_get_payload(a);
	uint16_t type = mnl_attr_get_type(a);
	bool rule = s->message == NFT_MSG_NEWRULE || s->message == NFT_MSG_DELRULE;
	bool chain = s->message == NFT_MSG_NEWCHAIN || s->message == NFT_MSG_DELCHAIN;

	if (mnl_attr_validate(a, MNL_TYPE_NUL_STRING) < 0)
		return MNL_CB_OK;
	if (type == NFTA_TABLE_NAME)
		s->table = text;
	else if ((rule && type == NFTA_RULE_CHAIN) || (chain && type == NFTA_CHAIN_NAME))
		s->chain = text;
	return MNL_CB_OK;
}

/* The gate that has the element, by its comment or the chain to which it leads; or NULL. */
static const char *gate_of(const struct nlattr *element)
{
	const char *comment = nft_raw_element_comment(element);
	const char *chain = nft_raw_element_chain(element);

	return comment || !chain ? comment : plan_nft_chain_gate(chain);
}

/* Are all elements that are told of other gates'? */
static bool only_others_elements(const struct nft_watch *w, const struct nlmsghdr *nlh)
{
	const struct nlattr *list, *element;
	bool any = false;

	mnl_attr_for_each(list, nlh, sizeof(struct nfgenmsg))
	{
		if (mnl_attr_get_type(list) != NFTA_SET_ELEM_LIST_ELEMENTS)
			continue;
		mnl_attr_for_each_nested(element, list)
		{
			const char *gate = gate_of(element);

			if (!gate || str_eq(gate, w->own_gate))
				return false;
			any = true;
		}
	}
	return any;
}

static bool concerns_own(const struct nft_watch *w, const struct nlmsghdr *nlh)
{
	struct subject s = { .message = nlh->nlmsg_type & 0xff };
	const struct nfgenmsg *head = mnl_nlmsg_get_payload(nlh);
	const char *gate;

	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(*head)) || head->nfgen_family != NFPROTO_INET)
		return false;
	mnl_attr_parse(nlh, sizeof(*head), read_subject, &s);
	gate = s.chain ? plan_nft_chain_gate(s.chain) : NULL;
	if ((s.message == NFT_MSG_NEWSETELEM || s.message == NFT_MSG_DELSETELEM) &&
	    only_others_elements(w, nlh))
		return false;
	return s.table && str_eq(s.table, w->own_table) && (!gate || str_eq(gate, w->own_gate));
}

void nft_watch_own(struct nft_watch *w, const char *table, const char *gate)
{
	snprintf(w->own_table, sizeof(w->own_table), "%s", table);
	snprintf(w->own_gate, sizeof(w->own_gate), "%s", gate);
}

bool nft_watch_touched(struct nft_watch *w)
{
	bool touched = w->touched;

	w->touched = false;
	return touched;
}

/*
 * Every transaction ends with one NEWGEN message that tells its maker.  One that
 * deletes a table is nobody's in particular: it may have hurt all.
 */
static void note(struct nft_watch *w, const struct nlmsghdr *nlh, bool *foreign,
		 char who[NAME_SIZE])
{
	struct maker m = { 0 };

	if (nlh->nlmsg_type == (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE))
		w->table_went = true;
	if (nlh->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN) ||
	    nlh->nlmsg_len < NLMSG_LENGTH(sizeof(struct nfgenmsg))) {
		w->names_own = w->names_own || concerns_own(w, nlh);
		return;
	}
	mnl_attr_parse(nlh, sizeof(struct nfgenmsg), read_maker, &m);
	if (w->table_went && str_eq(m.name, w->own_name) && !is_own(w, &m))
		m.name[0] = '\0';
	w->touched = w->touched || (w->names_own && !is_own(w, &m) && !str_eq(m.name, w->own_name));
	w->table_went = w->names_own = false;
	if (is_own(w, &m) || (*foreign && str_eq(m.name, w->own_name)))
		return;
	*foreign = true;
	memcpy(who, m.name, NAME_SIZE);
}

struct reading {
	struct nft_watch *w;
	bool foreign;
	char who[NAME_SIZE];
};

static void take(const struct nlmsghdr *nlh, void *ctx)
{
	struct reading *x = ctx;

	note(x->w, nlh, &x->foreign, x->who);
}

int nft_watch_read(struct nft_watch *w, bool *ret_foreign, char ret_who[32], struct err *e)
{
	struct reading x = { .w = w };
	bool lost;
	int r = netlink_news(w->sock, "nftables", take, &x, &lost, e);

	if (r < 0)
		return r;
	w->touched = w->touched || lost;
	*ret_foreign = x.foreign || lost;
	memcpy(ret_who, lost ? "" : x.who, lost ? 1 : NAME_SIZE);
	return 0;
}

void nft_watch_close(struct nft_watch **w)
{
	if (*w) {
		mnl_socket_close((*w)->sock);
		free(*w);
	}
	*w = NULL;
}
