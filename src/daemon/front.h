/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef DAEMON_FRONT_H
#define DAEMON_FRONT_H

#include <stdbool.h>

/*
 * At a terminal, true in the process that the shell knows, when all is over: @ret_status is
 * for exit(3).  False in the one that goes on, with @ret_tty that terminal; or with -1 where
 * there is none, or no process could be made.
 */
bool front_stand(int *ret_tty, int *ret_status);

#endif
