/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/gate.h"

#include "model/ip.h"

bool publish_speaks(const struct publish *p, sa_family_t family)
{
	return ip_is_none(&p->host) || p->host.family == family;
}

bool publish_overlaps(const struct publish *p, const struct publish *q)
{
	if (p->door != q->door || p->proto != q->proto || p->door_port != q->door_port)
		return false;
	if (ip_is_none(&p->host) || !publish_speaks(q, p->host.family))
		return ip_is_none(&p->host);
	return ip_is_any(&p->host) || ip_is_any(&q->host) || ip_equal(&p->host, &q->host);
}
