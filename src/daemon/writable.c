/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A gate's configuration and its VPN files name commands and scripts that run as root.
 * That others may write them is told and is no error, as with openvpn(8) and systemd(1):
 * the file may be shared on purpose, and a service that stays away after an upgrade or
 * a chmod(1) would be the greater harm.
 */
#include "daemon/supervisor.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whoever called sudo(8) is root if he likes. */
static bool is_trusted(uid_t uid)
{
	const char *sudo = getenv("SUDO_UID");
	uint32_t caller;

	return uid == 0 || uid == geteuid() ||
	       (sudo && str_to_u32(sudo, UINT32_MAX - 1, &caller) && uid == caller);
}

void writable_warn(const struct supervisor *s, const char *path)
{
	struct stat st;

	/* What a gate for a trial reads, it does not run. */
	if (s->trial || stat(path, &st) < 0)
		return;
	if (!is_trusted(st.st_uid))
		sup_log(s,
			"%s belongs to user %u, who may write into it what is run as root (try: "
			"chown root %s)",
			path, (unsigned int)st.st_uid, path);
	else if (st.st_mode & S_IWOTH || (st.st_mode & S_IWGRP && st.st_gid != 0))
		sup_log(s, "%s: others may write into it what is run as root (try: chmod go-w %s)",
			path, path);
}
