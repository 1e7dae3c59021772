/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_RTNL_ATTRS_H
#define WIRE_RTNL_ATTRS_H

/*
 * Attributes of linux/fib_rules.h that are newer than the headers we build
 * with; under names of our own, so that new headers do no harm.
 */
#define RULE_DSCP           25 /* FRA_DSCP, Linux 6.12 */
#define RULE_FLOWLABEL      26
#define RULE_FLOWLABEL_MASK 27
#define RULE_SPORT_MASK     28
#define RULE_DPORT_MASK     29
#define RULE_DSCP_MASK      30

#endif
