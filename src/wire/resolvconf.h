/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_RESOLVCONF_H
#define WIRE_RESOLVCONF_H

#include "base/arena.h"
#include "base/text.h"
#include "model/ip.h"

#include <stddef.h>

/*
 * The resolv.conf(5) that a container and the services on its network share,
 * once the VPN's name servers stand in it.  What it was before stands in its
 * comments: it outlives us, and the container is started again with it.
 */

/* More than resolv.conf(5) asks; the first ones count. */
#define RESOLVCONF_MAX 8

/* What a VPN says about names. Zero: nothing. */
struct resolvconf_names {
	struct ip servers[RESOLVCONF_MAX];
	int rank[RESOLVCONF_MAX]; /* of each server: lower ones first */
	size_t n_servers;
	char search[256]; /* " example.net corp.example.net" */
};

void resolvconf_add_server(struct resolvconf_names *n, const struct ip *server);
/* Only what a domain name is made of: it is a server's word that goes into a file. */
void resolvconf_add_search(struct resolvconf_names *n, const char *domain);
/*
 * "dhcp-option DNS 10.8.0.1" or "dns server 1 address 10.8.0.1", as openvpn(8) writes it; others
 * change nothing.  Servers of the second sort take the place of all of the first, as they do in
 * openvpn, the lowest number first; one that listens to another port than 53 is left out.
 */
void resolvconf_add_option(struct resolvconf_names *n, const char *option);
/*
 * Lines of openvpn's log: @pushed is what the server pushed last, without what the file's
 * pull-filter takes out again.
 */
void resolvconf_hear(struct text *pushed, const char *line);
void resolvconf_add_push(struct resolvconf_names *n, const char *pushed);

/* The servers of a file. */
void resolvconf_read(const char *text, struct resolvconf_names *ret);
/*
 * Whom Docker's own name server asks for the container, as a comment of its file says: "# ExtServers:
 * [192.0.2.1 host(127.0.0.53)]"; those that are asked from the host are left out.
 */
void resolvconf_read_docker(const char *text, struct resolvconf_names *ret);
/* What the file was before us: @text itself, unless it is ours. */
const char *resolvconf_before(struct arena *a, const char *text);
const char *resolvconf_write(struct arena *a, const char *before, const struct resolvconf_names *n);

#endif
