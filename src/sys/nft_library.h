/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef SYS_NFT_LIBRARY_H
#define SYS_NFT_LIBRARY_H

#include "base/err.h"

#include <nftables/libnftables.h>

/*
 * libnftables(3), loaded when it is first needed: with the libraries that it needs
 * itself it is more than half of what a start has to load, and most starts do without.
 */
struct nft_library {
	__typeof__(nft_ctx_new) *ctx_new;
	__typeof__(nft_ctx_free) *ctx_free;
	__typeof__(nft_ctx_buffer_output) *buffer_output;
	__typeof__(nft_ctx_buffer_error) *buffer_error;
	__typeof__(nft_ctx_get_output_buffer) *output;
	__typeof__(nft_ctx_get_error_buffer) *error;
	__typeof__(nft_ctx_output_get_flags) *get_flags;
	__typeof__(nft_ctx_output_set_flags) *set_flags;
	__typeof__(nft_run_cmd_from_buffer) *run;
};

/* For as long as the program runs; -ENOENT if it cannot be loaded. */
int nft_library_load(const struct nft_library **ret, struct err *e) MUST_USE;
/* The same answer, and loaded only where that is not plain to see. */
int nft_library_check(struct err *e) MUST_USE;

#endif
