/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_RESOLVECTL_H
#define WIRE_RESOLVECTL_H

#include "base/arena.h"

/*
 * What resolvectl(1), asked `resolvectl dns` or another of its settings, says of
 * the link with @index: the words behind "Link 2 (eth0):", with one blank between
 * them; "" for an empty setting.  A long line goes on in the next one, which begins
 * with a blank (systemd 252, src/resolve/resolvectl.c, status_print_strv_ifindex()).
 * NULL if it says nothing of that link.  In @a.
 */
const char *resolvectl_words(struct arena *a, const char *text, int index);

#endif
