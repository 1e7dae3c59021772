/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef UI_STATUS_H
#define UI_STATUS_H

#include "base/text.h"

#include <jansson.h>

/* The table for people of what `sallyport status --json` holds under "gates". */
void status_text(struct text *t, const json_t *gates);

#endif
