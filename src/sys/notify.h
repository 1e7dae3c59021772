/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_NOTIFY_H
#define SYS_NOTIFY_H

/*
 * sd_notify(3)'s protocol: one datagram to the socket that $NOTIFY_SOCKET names
 * (@socket; NULL or "": nobody asked).  Never waits; failure is no matter.
 */
void notify_send(const char *socket, const char *state);

#endif
