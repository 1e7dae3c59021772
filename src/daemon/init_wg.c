/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/init_wg.h"

#include "plan/plan.h"
#include "sys/loop.h"
#include "sys/proc.h"
#include "wire/config.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <sys/wait.h>

#define TOOL_LIMIT_MS 5000
#define MTU           1420u
#define METRIC6       1024u

static int run_tool(struct arena *a, const char *const *argv, const char *input,
		    const char **ret_output, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_NONE;
	int status = 0;
	int r;

	spec.argv = argv;
	r = proc_run(&spec, input, TOOL_LIMIT_MS, a, ret_output, &status, e);
	if (r == 0 && (!WIFEXITED(status) || WEXITSTATUS(status)))
		r = err_set(e, EIO, "%s %s: %s", argv[0], argv[1], *ret_output);
	return r;
}

static int add_route(struct rtnl *rtnl, const struct prefix *p, struct err *e)
{
	struct prefix half = *p;
	int r = 0;

	half.len = p->len ? p->len : 1; /* in front of any default, as two halves */
	for (int i = 0; r == 0 && i < (p->len ? 1 : 2); i++) {
		const struct want_route route = { .family = p->ip.family,
						  .type = RTN_UNICAST,
						  .scope = p->ip.family == AF_INET
								   ? RT_SCOPE_LINK
								   : RT_SCOPE_UNIVERSE,
						  .table = RT_TABLE_MAIN,
						  .metric = p->ip.family == AF_INET6 ? METRIC6 : 0,
						  .dst = half,
						  .link = INIT_WG_LINK,
						  .optional = true };

		r = rtnl_route_add(rtnl, &route, PLAN_PROTOCOL, e);
		half.ip.byte[0] |= 0x80;
	}
	return r;
}

static int add_network(struct rtnl *rtnl, const struct wg_conf *conf, struct err *e)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->n_addresses; i++) {
		const struct wg_address *x = &conf->addresses[i];
		const struct want_address address = { .link = INIT_WG_LINK,
						      .local = x->ip,
						      .len = x->len };

		r = rtnl_address_add(rtnl, &address, e);
		/* A container without IPv6 has none in the tunnel either. */
		if (r < 0 && x->ip.family == AF_INET6)
			r = 0;
	}
	if (r == 0)
		r = rtnl_link_set(rtnl, INIT_WG_LINK, true, conf->mtu ? conf->mtu : MTU, NULL,
				  false, e);
	for (size_t i = 0; r == 0 && i < conf->n_peers; i++)
		for (size_t k = 0; r == 0 && k < conf->peers[i].n_allowed; k++) {
			r = add_route(rtnl, &conf->peers[i].allowed[k], e);
			if (r < 0 && conf->peers[i].allowed[k].ip.family == AF_INET6)
				r = 0;
		}
	return r;
}

int init_wg_configure(struct rtnl *rtnl, const struct wg_conf *conf, const char *known,
		      unsigned int turn, struct err *e)
{
	static const char *const argv[] = { "wg", "setconf", INIT_WG_LINK, "/dev/stdin", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	const char **endpoints = wgconf_endpoints(&a, conf, known, turn);
	const char *output;
	int r = run_tool(&a, argv, wgconf_setconf(&a, conf, endpoints, 0), &output, e);

	return r < 0 ? r : add_network(rtnl, conf, e);
}

bool init_wg_answers(const struct wg_conf *conf, struct wg_heard *h)
{
	static const char *const argv[] = { "wg", "show", INIT_WG_LINK, "latest-handshakes", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	const char *output;
	struct err e;

	return run_tool(&a, argv, NULL, &output, &e) == 0 &&
	       wgconf_answers(conf, output, clock_ms(), h);
}
