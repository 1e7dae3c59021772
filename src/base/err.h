/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stddef.h>

/*
 * Why something failed, in words.  Set where it happens, wrapped on the way
 * up with the user's name for the thing:
 * gate "office": door "lan": add rule to 198.18.0.0/26: Operation not permitted
 */
struct err {
	char text[1024];
};

/*
 * Each returns -@errnum (a positive errno value) so that a caller can write
 * `return err_set(e, EINVAL, "...")`.  err_errno() appends strerror(@errnum).
 */
int err_set(struct err *e, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int err_errno(struct err *e, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "<fmt>: " in front of the text; returns @r, which it was given. */
int err_wrap(struct err *e, int r, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#define MUST_USE __attribute__((warn_unused_result))

#endif
