/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A door made by WireGuard, from a wg-quick(8) file.  Where the kernel has it,
 * the device is the host's and stands in the gate: its encrypted packets
 * keep leaving by the host (wireguard.com/netns), the gate never sees them.
 * Else wireguard-go runs in the gate, its socket marked like any client's.
 * Addresses and routes are the plan's (plan/plan_gate.c, wg_link and wg_routes).
 */
#include "daemon/supervisor.h"

#include "sys/files.h"
#include "sys/proc.h"
#include "wire/config.h"
#include "wire/wgmoved.h"

#include <errno.h>
#include <stdio.h>
#include <sys/wait.h>

#define TOOL_LIMIT_MS    3000
#define CONNECT_LIMIT_MS 60000

static int load(struct door_run *d, struct err *e)
{
	const char *text;
	size_t size;
	int r = file_read(&d->arena, d->door->vpn, FILE_READ_MAX, &text, &size, e);

	if (r < 0)
		return r;
	r = wgconf_read(&d->arena, d->door->vpn, text, size, &d->wg, e);
	if (r < 0)
		return r;
	wgconf_keep_alive(&d->wg);
	d->client.connect_limit = CONNECT_LIMIT_MS;
	return 0;
}

static size_t names(struct door_run *d, const char ***ret)
{
	return wgconf_names(&d->arena, &d->wg, ret);
}

static int wg_tool(struct door_run *d, struct arena *a, const char *const *argv, const char *input,
		   const char **ret_output, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_NONE;
	int status = 0;
	int r;

	spec.argv = argv;
	spec.netns_fd = d->sup->inner.fd;
	spec.own_mounts = true;
	spec.client = true;
	spec.private_dir = d->dir;
	r = proc_run(&spec, input, TOOL_LIMIT_MS, a, ret_output, &status, e);
	if (r < 0)
		return r;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return err_set(e, EIO, "%s %s: %s", argv[0], argv[1], *ret_output);
	return 0;
}

static int configure(struct door_run *d, struct err *e)
{
	uint32_t mark = d->wg_kernel ? 0 : PLAN_MARK_TRANSPORT;
	/* After a start in vain the next of a server's addresses has its turn. */
	const char **endpoints =
		wgconf_endpoints(&d->arena, &d->wg, text_str(&d->names), d->client.failures);
	const char *text = wgconf_setconf(&d->arena, &d->wg, endpoints, mark);
	const char *const argv[] = { "wg", "setconf", d->door->name, "/dev/stdin", NULL };
	const char *output;
	int r = wg_tool(d, &d->arena, argv, text, &output, e);

	if (r < 0)
		return r;
	d->wg_configured = true;
	d->wg_heard = (struct wg_heard){ 0 };
	wgmoved_begin(&d->arena, &d->wg, clock_ms(), &d->wg_silence);
	door_forget_dns(d);
	door_note_dns(d, d->wg.dns, d->wg.n_dns);
	for (size_t i = 0; i < d->wg.n_search; i++)
		door_note_search(d, d->wg.search[i]);
	reconcile_soon(d->sup);
	return 0;
}

static void drop_link(struct rtnl *r, const char *name)
{
	struct err e;

	if (rtnl_link_delete(r, name, &e) < 0)
		return; /* what comes next fails with a better reason */
}

/*
 * Asked for by the host, so that its encrypted packets leave from there, and
 * made in the gate at once: nothing of it ever stands on the host.
 */
static int make_kernel_link(struct door_run *d, struct err *e)
{
	d->sup->facts_hash = 0; /* it may look like the one before: its addresses are no repair */
	return rtnl_link_add_kind(d->sup->host.rtnl, d->door->name, "wireguard", d->sup->inner.fd,
				  e);
}

static int start(struct door_run *d, struct err *e)
{
	const char *const argv[] = { "wireguard-go", "--foreground", d->door->name, NULL };
	int r;

	drop_link(d->sup->inner.rtnl, d->door->name);
	d->wg_configured = false;
	r = make_kernel_link(d, e);
	d->wg_kernel = r == 0;
	if (r == 0)
		return configure(d, e);
	if (r != -EOPNOTSUPP)
		return r;
	return door_spawn(d, argv, -1, e);
}

static bool link_is_there(struct door_run *d)
{
	struct rtnl_counters c;
	struct err e;

	return rtnl_counters(d->sup->inner.rtnl, d->door->name, &c, &e) == 0;
}

static void look_for_silent(struct door_run *d, struct arena *a, const char *shown)
{
	const char **names = NULL;

	wgmoved_hear(&d->wg, shown, clock_ms(), &d->wg_silence);
	if (wgmoved_names(a, &d->wg, clock_ms(), &d->wg_silence, &names))
		door_ask_names(d);
}

static void look(struct door_run *d)
{
	const char *const argv[] = { "wg", "show", d->door->name, "latest-handshakes", NULL };
	/* This is asked for as long as the door stands: its memory must not pile up. */
	struct arena a CLEANUP_ARENA = { 0 };
	const char *output = "";
	struct err e;

	if (!link_is_there(d)) {
		if (d->wg_kernel)
			door_event(d, CLIENT_EV_FAILED);
		return;
	}
	if (!d->wg_configured) {
		if (configure(d, &e) < 0 && d->wg_kernel)
			sup_log(d->sup, "%s: %s", d->door->name, e.text);
		return;
	}
	if (wg_tool(d, &a, argv, NULL, &output, &e) < 0)
		return;
	look_for_silent(d, &a, output);
	door_event(d, wgconf_answers(&d->wg, output, clock_ms(), &d->wg_heard) ? CLIENT_EV_CONNECTED
									       : CLIENT_EV_LOST);
}

static void follow(struct door_run *d, struct arena *a, const struct wg_move *move)
{
	const char *const argv[] = { "wg",
				     "set",
				     d->door->name,
				     "peer",
				     move->peer->public_key,
				     "endpoint",
				     wgmoved_endpoint(a, move),
				     NULL };
	const char *output;
	struct err e;

	if (wg_tool(d, a, argv, NULL, &output, &e) < 0)
		sup_log(d->sup, "%s: %s", d->door->name, e.text);
	else
		sup_log(d->sup, "%s: %s", d->door->name, wgmoved_words(a, move));
}

/* Whom the gate's sockets may speak to is told by their mark: the new address is nothing new. */
static void named(struct door_run *d)
{
	const char *const argv[] = { "wg", "show", d->door->name, "endpoints", NULL };
	struct arena a CLEANUP_ARENA = { 0 };
	struct wg_move *moves = NULL;
	const char *output;
	struct err e;
	size_t n;

	if (!d->wg_configured || wg_tool(d, &a, argv, NULL, &output, &e) < 0)
		return; /* asked for again while it stays silent */
	n = wgmoved_find(&a, &d->wg, text_str(&d->names), output, clock_ms(), &d->wg_silence,
			 &moves);
	for (size_t i = 0; i < n; i++)
		follow(d, &a, &moves[i]);
}

static void stop(struct door_run *d)
{
	if (d->wg_kernel)
		drop_link(d->sup->inner.rtnl, d->door->name);
}

const struct door_ops door_wireguard = {
	.load = load,
	.names = names,
	.start = start,
	.look = look,
	.stop = stop,
	.named = named,
};
