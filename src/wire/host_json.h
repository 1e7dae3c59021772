/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef WIRE_HOST_JSON_H
#define WIRE_HOST_JSON_H

#include "base/text.h"
#include "model/host.h"
#include "wire/json_in.h"

/* What `sallyport snapshot` writes.  It changes with every key that is added or goes. */
#define HOST_SCHEMA 1

/* What is read back is the same in every member, and so is the text of that. */
void host_json_write(struct text *t, const struct host *h);

/*
 * One document.  False, and -EINVAL in the reader's error, if it is no snapshot
 * of this schema or says what no kernel would: @ret is untouched then.
 */
bool host_json_read(struct json_in *j, struct host *ret);

#endif
