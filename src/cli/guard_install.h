/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef CLI_GUARD_INSTALL_H
#define CLI_GUARD_INSTALL_H

#include "base/err.h"

/* Each writes one file and says on standard output what to do next. */
int guard_install_unit(struct err *e) MUST_USE;
int guard_install_networkd(struct err *e) MUST_USE;

#endif
