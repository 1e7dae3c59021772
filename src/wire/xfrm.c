/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "wire/xfrm.h"

#include "wire/attrs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/xfrm.h>
#include <string.h>

static struct nlmsghdr *start(struct xfrm_message *m, uint16_t type)
{
	struct nlmsghdr *nlh = mnl_nlmsg_put_header(m->bytes);

	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = NLM_F_REQUEST;
	return nlh;
}

struct nlmsghdr *xfrm_encode_dump(struct xfrm_message *m)
{
	struct nlmsghdr *nlh = start(m, XFRM_MSG_GETPOLICY);

	nlh->nlmsg_flags |= NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(nlh, sizeof(struct xfrm_userpolicy_id));
	return nlh;
}

static void put_selector(struct xfrm_selector *sel, const struct xfrm_policy *p)
{
	memcpy(&sel->saddr, p->src.ip.byte, ip_bits(p->family) / 8);
	memcpy(&sel->daddr, p->dst.ip.byte, ip_bits(p->family) / 8);
	sel->prefixlen_s = p->src.len;
	sel->prefixlen_d = p->dst.len;
	sel->family = p->family;
	sel->proto = p->proto;
	sel->ifindex = p->link;
	sel->sport = htons(p->sport);
	sel->sport_mask = htons(p->sport_mask);
}

static void put_mark(struct nlmsghdr *nlh, const struct xfrm_policy *p)
{
	struct xfrm_mark mark = { .v = p->mark, .m = p->mark_mask };

	if (mark.v || mark.m)
		mnl_attr_put(nlh, XFRMA_MARK, sizeof(mark), &mark);
	if (p->if_id)
		mnl_attr_put_u32(nlh, XFRMA_IF_ID, p->if_id);
}

struct nlmsghdr *xfrm_encode_add(struct xfrm_message *m, const struct xfrm_policy *p)
{
	struct nlmsghdr *nlh = start(m, XFRM_MSG_NEWPOLICY);
	struct xfrm_userpolicy_info *info = mnl_nlmsg_put_extra_header(nlh, sizeof(*info));

	put_selector(&info->sel, p);
	info->lft.soft_byte_limit = info->lft.hard_byte_limit = XFRM_INF;
	info->lft.soft_packet_limit = info->lft.hard_packet_limit = XFRM_INF;
	info->priority = p->priority;
	info->dir = p->dir;
	info->action = p->block ? XFRM_POLICY_BLOCK : XFRM_POLICY_ALLOW;
	put_mark(nlh, p);
	return nlh;
}

struct nlmsghdr *xfrm_encode_delete(struct xfrm_message *m, const struct xfrm_policy *p)
{
	struct nlmsghdr *nlh = start(m, XFRM_MSG_DELPOLICY);
	struct xfrm_userpolicy_id *id = mnl_nlmsg_put_extra_header(nlh, sizeof(*id));

	id->index = p->index;
	id->dir = p->dir;
	/* Asked for together with the index. */
	put_mark(nlh, p);
	return nlh;
}

static bool read_prefix(const xfrm_address_t *from, sa_family_t family, uint8_t len,
			struct prefix *ret)
{
	struct ip ip = ip_from_bytes(family, from);

	if (len > ip_bits(family))
		return false;
	*ret = prefix_of(&ip, len);
	return true;
}

/* -EBADMSG if its addresses cannot be. */
static int read_selector(const struct xfrm_selector *sel, struct xfrm_policy *p)
{
	p->family = sel->family;
	p->proto = sel->proto;
	p->sport = ntohs(sel->sport);
	p->sport_mask = ntohs(sel->sport_mask);
	p->has_dport = sel->dport_mask != 0;
	p->link = sel->ifindex;
	return read_prefix(&sel->saddr, sel->family, sel->prefixlen_s, &p->src) &&
			       read_prefix(&sel->daddr, sel->family, sel->prefixlen_d, &p->dst)
		       ? 0
		       : -EBADMSG;
}

static struct xfrm_template read_template(const struct xfrm_user_tmpl *from, sa_family_t family)
{
	sa_family_t ends = from->family == AF_INET || from->family == AF_INET6 ? from->family
									       : family;

	return (struct xfrm_template){ .src = ip_from_bytes(ends, &from->saddr),
				       .dst = ip_from_bytes(ends, &from->id.daddr),
				       .proto = from->id.proto,
				       .mode = from->mode,
				       .optional = from->optional,
				       .spi = ntohl(from->id.spi),
				       .reqid = from->reqid };
}

static void read_templates(const struct nlattr *attr, struct xfrm_policy *p)
{
	size_t n = mnl_attr_get_payload_len(attr) / sizeof(struct xfrm_user_tmpl);
	struct xfrm_user_tmpl first;

	p->n_templates = (uint8_t)(n < UINT8_MAX ? n : UINT8_MAX);
	if (!n)
		return;
	memcpy(&first, mnl_attr_get_payload(attr), sizeof(first));
	p->template = read_template(&first, p->family);
}

int xfrm_decode_policy(const struct nlmsghdr *nlh, struct xfrm_policy *ret)
{
	struct xfrm_userpolicy_info info;
	struct xfrm_policy p = { 0 };
	const struct xfrm_mark *mark;
	struct attrs t;

	if (nlh->nlmsg_type != XFRM_MSG_NEWPOLICY && nlh->nlmsg_type != XFRM_MSG_UPDPOLICY)
		return 0;
	if (!attrs_of_message(&t, nlh, sizeof(info)))
		return -EBADMSG;
	memcpy(&info, mnl_nlmsg_get_payload(nlh), sizeof(info));
	if (info.dir > XFRM_POLICY_FWD ||
	    (info.sel.family != AF_INET && info.sel.family != AF_INET6))
		return 0;
	if (read_selector(&info.sel, &p) < 0)
		return -EBADMSG;
	p.dir = info.dir;
	p.block = info.action != XFRM_POLICY_ALLOW;
	p.priority = info.priority;
	p.index = info.index;
	if (t.at[XFRMA_TMPL])
		read_templates(t.at[XFRMA_TMPL], &p);
	mark = attrs_bytes(&t, XFRMA_MARK, sizeof(*mark));
	p.mark = mark ? mark->v : 0;
	p.mark_mask = mark ? mark->m : 0;
	p.if_id = attrs_u32(&t, XFRMA_IF_ID, 0);
	if (t.bad)
		return -EBADMSG;
	*ret = p;
	return 1;
}
