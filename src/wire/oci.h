/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_OCI_H
#define WIRE_OCI_H

#include "base/arena.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

/* The state of a container as the OCI runtime specification has it (runtime.md, State). */
struct oci_state {
	const char *id;
	int pid; /* as the runtime sees it */
	/* Annotations, "" if not there. */
	const char *attach; /* sallyport.attach: "true", or "require" to fail closed */
	const char *server; /* sallyport.server: servers, comma-separated */
	const char *reach; /* sallyport.reach: prefixes, comma-separated */
	const char *udp; /* sallyport.udp: "learn" or "alias" */
};

int oci_read_state(struct arena *a, const char *text, size_t size, struct oci_state *ret,
		   struct err *e) MUST_USE;

/* Of the words for an OCI runtime (runc(8)): where the subcommand stands, @n if nowhere. */
size_t oci_subcommand(const char *const *words, size_t n);

#endif
