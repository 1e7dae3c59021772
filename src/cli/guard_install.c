/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What makes a guard of every boot, and what keeps systemd-networkd from
 * throwing its rules away.  Files are written, nothing is started.
 */
#include "cli/guard_install.h"

#include "sys/files.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define UNIT        "/etc/systemd/system/sallyport-guard.service"
#define NETWORKD    "/etc/systemd/networkd.conf.d"
#define NETWORKD_50 NETWORKD "/50-sallyport.conf"

/* systemd-networkd is not root when it reads its settings. */
#define UMASK 022

/*
 * Before network-pre.target: systemd-networkd and NetworkManager, which bring up
 * VPNs of their own, are ordered behind that and before network.target, and so is
 * tailscaled.  It needs none of the network.
 */
static const char unit[] =
	"# Written by: sallyport guard --install\n"
	"[Unit]\n"
	"Description=Guard of this host: whoever comes in by an interface is "
	"answered by it\n"
	"Documentation=man:sallyport(8)\n"
	"DefaultDependencies=no\n"
	"After=local-fs.target systemd-sysctl.service nftables.service\n"
	"Wants=network-pre.target\n"
	"Before=network-pre.target network.target shutdown.target\n"
	"Conflicts=shutdown.target\n"
	"\n"
	"[Service]\n"
	"Type=notify\n"
	"NotifyAccess=main\n"
	"ExecStart=%s guard\n"
	"# A crash leaves the guard in force, and the next start takes it over.\n"
	"Restart=on-failure\n"
	"RestartSec=1\n"
	"KillMode=mixed\n"
	"\n"
	"[Install]\n"
	"WantedBy=multi-user.target\n";

int guard_install_unit(struct err *e)
{
	struct arena a CLEANUP_ARENA = { 0 };
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	int r;

	if (len < 0)
		return err_errno(e, errno, "/proc/self/exe");
	self[len] = 0;
	umask(UMASK);
	r = file_mkdirs("/etc/systemd/system", 0755, e);
	if (r == 0)
		r = file_write(UNIT, arena_printf(&a, unit, self), e);
	if (r == 0)
		printf("wrote " UNIT "; it starts with:\n"
		       "systemctl daemon-reload && systemctl enable --now sallyport-guard\n");
	return r;
}

int guard_install_networkd(struct err *e)
{
	int r;

	umask(UMASK);
	r = file_mkdirs(NETWORKD, 0755, e);
	if (r == 0)
		r = file_write(NETWORKD_50,
			       "# Written by: sallyport guard --networkd\n"
			       "[Network]\n"
			       "ManageForeignRoutingPolicyRules=no\n"
			       "ManageForeignRoutes=no\n",
			       e);
	if (r == 0)
		printf("wrote " NETWORKD_50 "; it holds after:\n"
		       "systemctl restart systemd-networkd\n");
	return r;
}
