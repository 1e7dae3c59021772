/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/init_client.h"

#include "base/text.h"
#include "daemon/init_wg.h"
#include "sys/fd.h"
#include "sys/files.h"
#include "sys/proc.h"
#include "wire/config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VERBOSE    3 /* openvpn(8) tells what is pushed */
#define LINE_LIMIT 65536

static void close_output(struct init_client *c)
{
	int fd = c->output.fd;

	if (fd < 0)
		return;
	loop_remove(c->loop, &c->output);
	fd_close(&fd);
}

static void says(struct loop_source *source, uint32_t events)
{
	struct init_client *c = source->ctx;
	char buf[4096], *nl;
	ssize_t n = read(source->fd, buf, sizeof(buf));

	(void)events;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		close_output(c);
		return;
	}
	text_add_len(&c->line, buf, (size_t)n);
	while ((nl = memchr(c->line.buf, '\n', c->line.len))) {
		size_t used = (size_t)(nl - c->line.buf) + 1;

		*nl = 0;
		c->heard(c->ctx, c->line.buf);
		memmove(c->line.buf, c->line.buf + used, c->line.len - used + 1);
		c->line.len -= used;
	}
	if (c->line.len > LINE_LIMIT)
		text_clear(&c->line);
}

/* What the client before this one left behind may still hold its output. */
static int spawn(struct init_client *c, const char *const *argv, int pass_fd, struct err *e)
{
	struct proc_spec spec = PROC_SPEC_NONE;
	int ends[2] CLEANUP_FD_PAIR = { -1, -1 };
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0 || fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
		return err_errno(e, errno, "pipe");
	spec.argv = argv;
	spec.stdout_fd = spec.stderr_fd = ends[1];
	spec.own_group = true;
	spec.pass_fd = pass_fd;
	r = proc_spawn(&spec, &c->pid, &c->pidfd, e);
	close_output(c);
	text_clear(&c->line);
	c->output = (struct loop_source){ .fd = -1, .ready = says, .ctx = c };
	return r < 0 ? r : loop_add(c->loop, &c->output, fd_take(&ends[0]), e);
}

/* As the user's file says, but no less than what tells us of the connection. */
static int verbosity(const struct init_vpn *vpn)
{
	int verb = VERBOSE;

	for (const char *line = vpn->text; *line; line += strcspn(line, "\n"), line += *line != 0)
		(void)!sscanf(line, "verb %d", &verb);
	return verb > VERBOSE ? verb : VERBOSE;
}

static int start_openvpn(struct init_client *c, const struct init_vpn *vpn, struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	int conf CLEANUP_FD = -1;
	const char *text;
	size_t size;
	int r = ovpnconf_rewrite(&a, vpn->text, vpn->size, &text, &size);

	if (r < 0)
		return err_set(e, EINVAL, "%s: cannot be passed on", vpn->file);
	r = file_memory("sallyport-openvpn", text, size, &conf, e);
	if (r < 0)
		return r;
	const char *const argv[] = { "openvpn", "--suppress-timestamps", "--connect-retry", "1",
				     "30", "--cd",
				     vpn->ovpn.cd ? vpn->ovpn.cd : file_directory(&a, vpn->file),
				     "--config", arena_printf(&a, "/proc/self/fd/%d", conf),
				     "--verb", arena_printf(&a, "%d", verbosity(vpn)), "--dev",
				     "tun0", "--dev-type", "tun",
				     /* 2.7 would write the resolver's file itself. */
				     "--setenv", "opt", "dns-updown", "disable", NULL };

	return spawn(c, argv, conf, e);
}

static int start_wireguard(struct init_client *c, struct rtnl *rtnl, struct err *e)
{
	const char *const argv[] = { "wireguard-go", "--foreground", INIT_WG_LINK, NULL };
	struct err ignored;
	int r;

	(void)!rtnl_link_delete(rtnl, INIT_WG_LINK, &ignored);
	r = rtnl_link_add_kind(rtnl, INIT_WG_LINK, "wireguard", -1, e);
	return r == -EOPNOTSUPP ? spawn(c, argv, -1, e) : r;
}

int init_client_start(struct init_client *c, struct rtnl *rtnl, const struct init_vpn *vpn,
		      const char *const *command, struct err *e)
{
	switch (vpn->kind) {
	case DOOR_OPENVPN:
		return start_openvpn(c, vpn, e);
	case DOOR_WIREGUARD:
		return start_wireguard(c, rtnl, e);
	case DOOR_COMMAND:
	case DOOR_LAN:
		break;
	}
	return spawn(c, command, -1, e);
}

void init_client_signal(const struct init_client *c, int sig)
{
	if (c->pid)
		kill(-c->pid, sig);
}

void init_client_ended(struct init_client *c)
{
	init_client_signal(c, SIGKILL);
	c->pid = 0;
	fd_close(&c->pidfd);
}

void init_client_close(struct init_client *c)
{
	fd_close(&c->pidfd);
	text_free(&c->line);
}
