/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_RTNL_FILTER_H
#define SYS_RTNL_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A socket filter (classic BPF, bpf(2), Documentation/networking/filter.rst) for
 * a socket that hears of the host's changes: what happens to other gates' links
 * does not even wake this gate's supervisor.
 */
struct rtnl_filter {
	const char *link; /* "sp-NAME" */
	uint32_t slot;
	const char *short_links; /* "sp-SLOT.", with which the names of the others of ours begin */
	const int *own; /* their indices */
	size_t n_own;
	const int *others; /* indices of links that are no gate's: eth0 */
	size_t n_others;
};

/*
 * Puts it on socket @fd in the place of the one before.  False when there are
 * too many links for it or the kernel refuses: then everything is heard.
 */
bool rtnl_filter_attach(int fd, const struct rtnl_filter *f);

#endif
