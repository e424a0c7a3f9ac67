/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of an xattr map, and names through it: input is the map, a NUL, names. */
#include <linux/limits.h>
#include <string.h>

#include "fs/xattrmap.h"
#include "fuzz.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	return 0;
}

static void try_name(const struct xattrmap *m, const char *name)
{
	char buf[XATTR_NAME_MAX + 1];
	const char *host, *guest;

	if (strlen(name) > XATTR_NAME_MAX)
		return;
	if (xattrmap_client(m, name, buf, &host) == 0) {
		must(host == name || host == buf);
		must(strlen(host) <= XATTR_NAME_MAX);
	}
	guest = xattrmap_server(m, name);
	must(!guest || (guest >= name && guest <= name + strlen(name)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size), *name = text + strlen(text) + 1;
	struct xattrmap_error e = { 0 };
	struct xattrmap m;

	if (xattrmap_parse(text, &m, &e) == 0) {
		(void)xattrmap_has_catch_all(&m);
		try_name(&m, "");
		try_name(&m, "user.name");
		try_name(&m, "security.capability");
		for (; name < text + size; name += strlen(name) + 1)
			try_name(&m, name);
		xattrmap_free(&m);
	} else {
		must(e.what);
		must(e.at <= strlen(text));
	}
	free(text);
	return 0;
}
