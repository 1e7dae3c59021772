/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sys/nft_library.h"

#include "base/text.h"

#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#define SONAME "libnftables.so.1"

static const struct {
	const char *name;
	size_t at; /* in struct nft_library */
} symbols[] = {
	{ "nft_ctx_new", offsetof(struct nft_library, ctx_new) },
	{ "nft_ctx_free", offsetof(struct nft_library, ctx_free) },
	{ "nft_ctx_buffer_output", offsetof(struct nft_library, buffer_output) },
	{ "nft_ctx_buffer_error", offsetof(struct nft_library, buffer_error) },
	{ "nft_ctx_get_output_buffer", offsetof(struct nft_library, output) },
	{ "nft_ctx_get_error_buffer", offsetof(struct nft_library, error) },
	{ "nft_ctx_output_get_flags", offsetof(struct nft_library, get_flags) },
	{ "nft_ctx_output_set_flags", offsetof(struct nft_library, set_flags) },
	{ "nft_run_cmd_from_buffer", offsetof(struct nft_library, run) },
};

static struct nft_library library;
static bool loaded;

int nft_library_load(const struct nft_library **ret, struct err *e)
{
	void *handle = loaded ? NULL : dlopen(SONAME, RTLD_LAZY | RTLD_LOCAL);

	if (!loaded && !handle)
		return err_set(e, ENOENT, "libnftables: %s", dlerror());
	for (size_t i = 0; !loaded && i < ARRAY_LEN(symbols); i++) {
		void *symbol = dlsym(handle, symbols[i].name);

		if (!symbol)
			return err_set(e, ENOENT, "libnftables: %s", dlerror());
		/* The one way that ISO C leaves to make a function of it, dlsym(3). */
		memcpy((char *)&library + symbols[i].at, &symbol, sizeof(symbol));
	}
	loaded = true;
	*ret = &library;
	return 0;
}

int nft_library_check(struct err *e)
{
	const struct nft_library *ignored;

	/* Where it was when this program was built it is nearly always. */
	if (loaded || access(NFTABLES_LIBDIR "/" SONAME, R_OK) == 0)
		return 0;
	return nft_library_load(&ignored, e);
}
